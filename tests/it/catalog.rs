//! Real templates that nobody here wrote: each is checked without a crash and fast, and the verdicts on the ones with
//! known traps are recorded. Of the templates themselves nothing is recorded but names.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cocoasyncer::catalog::{builtin, load};
use cocoasyncer::domain::app::finding::{Code, Effect, Finding};
use cocoasyncer::domain::app::template::{Checked, check};
use cocoasyncer::domain::app::verdict::{Backend, Verdict, verdict};

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
