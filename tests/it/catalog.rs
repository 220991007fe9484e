//! Real templates that nobody here wrote: each is checked without a crash and fast, and the verdicts on the ones with
//! known traps are recorded. Of the templates themselves nothing is recorded but names.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cocoasyncer::catalog::library::Library;
use cocoasyncer::catalog::{builtin, load};
use cocoasyncer::domain::app::fill::{Order, allocate, instantiate, wanted_ports};
use cocoasyncer::domain::app::finding::{Code, Effect, Finding, Right};
use cocoasyncer::domain::app::instance::{AppKey, Choices, Wanted};
use cocoasyncer::domain::app::template::{Checked, Template, check};
use cocoasyncer::domain::app::verdict::{Backend, Verdict, verdict};
use cocoasyncer::domain::secret::Secret;

/// Templates with a trap each: the diverse ones and the nasty ones.
const TRAPS: &[&str] = &[
    "airflow",
    "awx",
    "bigbluebutton",
    "bunkerweb",
    "cloudreve",
    "dify",
    "drupal",
    "ghost",
    "gogs",
    "immich",
    "keycloak",
    "killbill",
    "listmonk",
    "mattermost",
    "memcached",
    "metabase",
    "minio",
    "mongodb",
    "mysql",
    "n8n",
    "neko",
    "nextcloud",
    "nginx",
    "odoo",
    "onlyoffice",
    "openclaw",
    "postgresql",
    "rabbitmq",
    "redis",
    "safeline",
    "superset",
    "uptimekuma",
    "vaultwarden",
    "wordpress",
    "zammad",
    "zitadel",
];

/// The samples' folder, in some folder above this checkout; absent on most machines.
#[allow(clippy::print_stderr, reason = "a skip is loud")]
fn samples() -> Option<PathBuf> {
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let found = above.map(|folder| folder.join("shared/catalog-samples/apps")).find(|folder| folder.is_dir());
    if found.is_none() {
        eprintln!(
            "skipped: no folder shared/catalog-samples above the checkout, so no real template was checked"
        );
    }
    found
}

fn word(checked: &Checked, backend: Backend) -> &'static str {
    match verdict(&checked.findings, backend, &BTreeSet::new()) {
        Verdict::Runs => "runs",
        Verdict::Findings => "findings",
        Verdict::Cannot => "cannot",
    }
}

/// A verdict and the codes of all that is more than a note, a line for each backend.
fn recorded(checked: &Checked, backend: Backend) -> String {
    let counts = |finding: &&Finding| Effect::Note < finding.effect(backend);
    let codes: BTreeSet<&str> =
        checked.findings.iter().filter(counts).map(|finding| finding.code.as_str()).collect();
    let codes: Vec<&str> = codes.into_iter().collect();
    format!("{} {}", word(checked, backend), codes.join(",")).trim_end().to_owned()
}

#[test]
fn verdicts_on_templates_with_known_traps_are_as_recorded() {
    let Some(folder) = samples() else { return };
    let checked: BTreeMap<String, Checked> =
        load(&folder).unwrap().iter().map(|template| (template.name.clone(), check(template))).collect();
    let mut text = String::new();
    for name in TRAPS {
        let Some(checked) = checked.get(*name) else { panic!("no sample {name}") };
        for (word, backend) in [("docker", Backend::Docker), ("kubernetes", Backend::Kubernetes)] {
            text.push_str(&format!("{name} {word} {}\n", recorded(checked, backend)));
        }
    }
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/catalog-verdicts.txt");
    let expect = std::fs::read_to_string(&golden).unwrap_or_default();
    if text != expect {
        let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("catalog-verdicts.txt");
        std::fs::write(&out, &text).unwrap();
        let differs = text.lines().zip(expect.lines()).find(|(now, then)| now != then);
        panic!(
            "{differs:?}: where the new verdicts are right, copy {} to {}",
            out.display(),
            golden.display()
        );
    }
}

#[test]
#[allow(clippy::print_stderr, reason = "the figures of a run")]
fn every_real_template_is_checked_and_most_run_on_both_backends() {
    let Some(folder) = samples() else { return };
    let begun = Instant::now();
    let templates = load(&folder).unwrap();
    let checked: Vec<Checked> = templates.iter().map(check).collect();
    let taken = begun.elapsed();
    assert!(100 <= checked.len(), "{} samples", checked.len());
    // A third of a catalogue of 363 in a third of its second, and tenfold for a build without optimisation.
    assert!(taken < Duration::from_millis(3300), "{taken:?}");
    let runs = |backend| checked.iter().filter(|c| word(c, backend) != "cannot").count();
    let (docker, kubernetes) = (runs(Backend::Docker), runs(Backend::Kubernetes));
    eprintln!("{} templates in {taken:?}: {docker} run on Docker, {kubernetes} on Kubernetes", checked.len());
    assert!(
        checked.len() * 7 / 10 <= docker && checked.len() * 7 / 10 <= kubernetes,
        "{docker} {kubernetes}"
    );
    // Compose reads all of these: where this reader does not, the reader is wrong.
    let unread =
        |c: &&Checked| c.workload.is_none() && !["bigbluebutton", "jumpserver"].contains(&c.name.as_str());
    let unread: Vec<&str> = checked.iter().filter(unread).map(|c| c.name.as_str()).collect();
    assert!(unread.is_empty(), "{unread:?}");
}

#[test]
fn no_finding_repeats_the_value_of_a_variable_that_is_secret() {
    let secret = "s3cr3t-of-nobody";
    for template in builtin::templates() {
        let mut template = template;
        let env = String::from_utf8(template.env.take().unwrap()).unwrap();
        template.env = Some(env.replace("change-me-at-install", secret).into_bytes());
        let bad_values = "services: {x: {image: 'A $W9_POWER_PASSWORD', user: '$W9_POWER_PASSWORD', ports: ['$W9_POWER_PASSWORD'],
            container_name: '_$W9_POWER_PASSWORD', depends_on: ['$W9_POWER_PASSWORD'], environment: ['a $W9_POWER_PASSWORD']}}";
        for broken in ["services: [", bad_values] {
            template.compose = Some(broken.as_bytes().to_vec());
            let said = format!("{:?}", check(&template).findings);
            assert!(!said.contains(secret), "{}: {said}", template.name);
            assert!(
                check(&template).findings.iter().any(|f| matches!(f.code, Code::NotYaml | Code::BadValue))
            );
        }
    }
}

/// An order with choices as an install makes them.
struct Wish {
    key: AppKey,
    version: String,
    variables: BTreeMap<String, String>,
    secrets: BTreeMap<String, Secret>,
    choices: Choices,
    allowed: BTreeSet<Right>,
}

impl Wish {
    fn of(template: &Template, name: &str) -> Self {
        let metadata = check(template).metadata.unwrap_or_default();
        let wanted = wanted_ports(template, &BTreeMap::new());
        let ports = allocate(&wanted, &BTreeMap::new(), &BTreeSet::new()).unwrap();
        Self {
            key: AppKey { namespace: "default".into(), name: name.into() },
            version: metadata.versions.first().cloned().unwrap_or_else(|| "1".into()),
            variables: BTreeMap::new(),
            secrets: BTreeMap::new(),
            choices: Choices { password: Secret::new("Pa55wordPa55wordX"), code: "c0de".into(), ports },
            allowed: BTreeSet::new(),
        }
    }

    fn order(&self, backend: Backend) -> Order<'_> {
        Order {
            key: &self.key,
            uid: "u-1",
            version: &self.version,
            variables: &self.variables,
            secret_variables: &self.secrets,
            choices: &self.choices,
            domain: None,
            host: Some("192.0.2.7"),
            resources: None,
            allowed: &self.allowed,
            wanted: Wanted::default(),
            backend,
        }
    }
}

/// Of a built-in template: ports that it wants, who serves, its address, its login, its containers.
const BUILT_IN: &[(&str, &str)] = &[(
    "ghost",
    "W9_HTTP_PORT_SET=9001 | ghost:2368<9001 http | http://192.0.2.7:9001 | - Pa55wordPa55wordX | a7blog a7blog-mysql",
)];

#[test]
fn built_in_templates_become_the_instances_that_they_describe() {
    for (name, expect) in BUILT_IN {
        let offer = Library::built_in().get(name).unwrap();
        let wish = Wish::of(&offer.template, "7blog");
        let instance =
            instantiate(&offer.template, Arc::new(offer.files().unwrap()), &wish.order(Backend::Docker))
                .unwrap();
        let ports: Vec<String> =
            wish.choices.ports.iter().map(|(key, port)| format!("{key}={port}")).collect();
        let serving = instance.serving.as_ref().map(|it| {
            let host = it.host.map(|host| host.to_string()).unwrap_or_default();
            format!("{}:{}<{host}{}", it.service, it.port, if it.http { " http" } else { "" })
        });
        let containers: Vec<&str> =
            instance.workload.services.iter().filter_map(|it| it.container.as_deref()).collect();
        let login = |it: Option<&str>| it.unwrap_or("-").to_owned();
        let shown = format!(
            "{} | {} | {} | {} {} | {}",
            ports.join(" "),
            serving.unwrap_or_default(),
            instance.url.as_deref().unwrap_or("-"),
            login(instance.user_name.as_deref()),
            login(instance.password.as_ref().map(Secret::expose)),
            containers.join(" "),
        );
        assert_eq!(shown, *expect, "{name}\n{}\n{}", instance.env.expose(), instance.compose.expose());
    }
}
