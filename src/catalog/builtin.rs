//! The catalogue that every installation has: the templates in the repository's `catalog` folder, part of the program.

use crate::domain::app::instance::{File, Files};
use crate::domain::app::template::{Entry, Template};

/// A template's name and its files.
type Folder = (&'static str, &'static [(&'static str, &'static [u8])]);

macro_rules! folder {
    ($name:literal $(, $file:literal)*) => {
        (
            $name,
            &[
                ("docker-compose.yml", include_bytes!(concat!("../../catalog/", $name, "/docker-compose.yml"))),
                (".env", include_bytes!(concat!("../../catalog/", $name, "/.env"))),
                ("variables.json", include_bytes!(concat!("../../catalog/", $name, "/variables.json"))),
                $(($file, include_bytes!(concat!("../../catalog/", $name, "/", $file)))),*
            ],
        )
    };
}

const FOLDERS: &[Folder] = &[
    folder!("ghost"),
    folder!("gitea"),
    folder!("mariadb"),
    folder!("memcached"),
    folder!("minio"),
    folder!("nextcloud"),
    folder!("nginx", "src/default.conf", "src/index.html"),
    folder!("postgresql"),
    folder!("redis"),
    folder!("uptimekuma"),
    folder!("wordpress", "src/php.ini"),
];

/// The built-in templates, in the order of their names.
pub fn templates() -> Vec<Template> {
    FOLDERS.iter().map(template).collect()
}

/// The files of the built-in template `name` beside the three of the pipeline.
pub fn files(name: &str) -> Files {
    let folder = FOLDERS.iter().find(|(folder, _)| *folder == name);
    let files = folder.map(|(_, files)| *files).unwrap_or_default();
    let inner = files.iter().filter(|(path, _)| path.contains('/'));
    inner.map(|(path, bytes)| ((*path).to_owned(), File { bytes: (*bytes).into(), mode: 0o644 })).collect()
}

fn template((name, files): &Folder) -> Template {
    let bytes = |path: &str| files.iter().find(|(file, _)| *file == path).map(|(_, bytes)| bytes.to_vec());
    let mut template = Template {
        name: (*name).to_owned(),
        compose: bytes("docker-compose.yml"),
        env: bytes(".env"),
        metadata: bytes("variables.json"),
        ..Template::default()
    };
    for (path, bytes) in *files {
        for (at, _) in path.match_indices('/') {
            template.entries.insert(path[..at].to_owned(), Entry::Folder);
        }
        template.entries.insert((*path).to_owned(), Entry::File(bytes.len() as u64));
    }
    template
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;
    use crate::catalog::load;
    use crate::domain::app::finding::Effect;
    use crate::domain::app::template::check;
    use crate::domain::app::verdict::{Backend, Verdict, verdict};
    use crate::domain::app::workload::{Health, Protocol};

    #[test]
    fn what_is_built_in_is_what_stands_in_the_folder() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("catalog");
        let read = load(&folder).unwrap();
        let names = |templates: &[Template]| templates.iter().map(|t| t.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&templates()), names(&read));
        for (built, read) in templates().iter().zip(&read) {
            assert_eq!(built.entries, read.entries, "{}", built.name);
        }
    }

    #[test]
    fn every_built_in_template_runs_everywhere_without_a_finding_and_tells_its_health() {
        for template in templates() {
            let checked = check(&template);
            let said: Vec<String> =
                checked.findings.iter().map(|f| format!("{} {}", f.place, f.words().0)).collect();
            assert!(
                checked.findings.iter().all(|f| f.docker <= Effect::Note),
                "{}: {said:#?}",
                template.name
            );
            for backend in [Backend::Docker, Backend::Kubernetes] {
                let verdict = verdict(&checked.findings, backend, &BTreeSet::new());
                assert_eq!(verdict, Verdict::Runs, "{}: {said:#?}", template.name);
            }
            let workload = checked.workload.unwrap();
            for service in &workload.services {
                assert_eq!(service.health, Health::Checked, "{} {}", template.name, service.name);
                let tcp = |ports: &[crate::domain::app::workload::Port]| {
                    ports.iter().any(|port| port.protocol == Protocol::Tcp)
                };
                assert!(tcp(&service.ports) || !service.inner_ports.is_empty(), "{}", service.name);
            }
        }
    }
}
