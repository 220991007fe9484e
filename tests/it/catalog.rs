//! Real templates that nobody here wrote: each is checked without a crash and fast, and the verdicts on the ones with
//! known traps are recorded. Of the templates themselves nothing is recorded but names.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cocoasyncer::catalog::library::Library;
use cocoasyncer::catalog::{builtin, contents, load};
use cocoasyncer::domain::app::compose;
use cocoasyncer::domain::app::env_file::Env;
use cocoasyncer::domain::app::fill::{Order, allocate, instantiate, wanted_ports};
use cocoasyncer::domain::app::finding::{Code, Effect, Finding, Findings, Right};
use cocoasyncer::domain::app::instance::{AppKey, Choices, Files, Instance, Wanted};
use cocoasyncer::domain::app::template::{Checked, Template, check};
use cocoasyncer::domain::app::verdict::{Backend, Verdict, verdict};
use cocoasyncer::domain::app::workload::{Service, Wait, Workload};
use cocoasyncer::domain::secret::Secret;

use crate::support::samples;

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
    let Some(folder) = samples::folder("checked") else { return };
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
    let Some(folder) = samples::folder("checked") else { return };
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
            pull_secret: None,
            host: Some("192.0.2.7"),
            resources: None,
            allowed: &self.allowed,
            wanted: Wanted::default(),
            backend,
        }
    }
}

/// Of a built-in template: ports that it wants, who serves, its address, its login, its containers.
const BUILT_IN: &[(&str, &str)] = &[
    (
        "ghost",
        "W9_HTTP_PORT_SET=9001 | ghost:2368<9001 http | http://192.0.2.7:9001 | - Pa55wordPa55wordX | a7blog a7blog-mysql",
    ),
    (
        "gitea",
        "W9_HTTP_PORT_SET=9001 W9_SSH_PORT_SET=2222 | gitea:3000<9001 http | http://192.0.2.7:9001 | - Pa55wordPa55wordX | a7blog a7blog-postgresql",
    ),
    ("mariadb", "W9_DB_PORT_SET=3306 | mariadb:3306<3306 | - | root Pa55wordPa55wordX | a7blog"),
    ("memcached", "W9_DB_PORT_SET=11211 | memcached:11211<11211 | - | - - | a7blog"),
    (
        "minio",
        "W9_API_PORT_SET=9000 W9_HTTP_PORT_SET=9001 | minio:9090<9001 http | http://192.0.2.7:9001 | admin Pa55wordPa55wordX | a7blog",
    ),
    (
        "nextcloud",
        "W9_HTTP_PORT_SET=9001 | nextcloud:80<9001 http | http://192.0.2.7:9001 | admin Pa55wordPa55wordX | a7blog a7blog-mariadb a7blog-redis",
    ),
    ("nginx", "W9_HTTP_PORT_SET=9001 | nginx:80<9001 http | http://192.0.2.7:9001 | - - | a7blog"),
    ("postgresql", "W9_DB_PORT_SET=5432 | postgresql:5432<5432 | - | postgres Pa55wordPa55wordX | a7blog"),
    ("redis", "W9_DB_PORT_SET=6379 | redis:6379<6379 | - | - Pa55wordPa55wordX | a7blog"),
    (
        "uptimekuma",
        "W9_HTTP_PORT_SET=9001 | uptimekuma:3001<9001 http | http://192.0.2.7:9001 | - - | a7blog",
    ),
    (
        "wordpress",
        "W9_HTTP_PORT_SET=9001 | wordpress:80<9001 http | http://192.0.2.7:9001 | - Pa55wordPa55wordX | a7blog a7blog-mariadb",
    ),
];

#[test]
fn built_in_templates_become_the_instances_that_they_describe() {
    let names: Vec<&str> = BUILT_IN.iter().map(|(name, _)| *name).collect();
    assert_eq!(Library::built_in().all().keys().collect::<Vec<_>>(), names);
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
        holds(&instance, &offer.template);
        assert_eq!(shown, *expect, "{name}\n{}\n{}", instance.env.expose(), instance.compose.expose());
    }
}

/// What a service comes to, without where it stood and what a rendering can't tell.
fn bare(workload: &Workload) -> Vec<serde_json::Value> {
    let service = |service: &Service| {
        let waits = service.waits.iter().filter(|wait| workload.service(&wait.on).is_some());
        let waits: BTreeMap<_, _> =
            waits.map(|wait| (wait.on.clone(), Wait { line: 0, ..wait.clone() })).collect();
        let mut bare = Service { line: 0, profiles: Vec::new(), ..service.clone() };
        bare.waits = waits.into_values().collect();
        bare.contents.iter_mut().for_each(|content| content.secret = false);
        serde_json::to_value(bare).unwrap()
    };
    let mut all: Vec<_> = workload.services.iter().map(service).collect();
    all.sort_by_key(|service| service["name"].to_string());
    all
}

/// What holds for every instance, whoever wrote its template.
fn holds(instance: &Instance, template: &Template) {
    let name = &instance.app_name;
    let mut findings = Findings::default();
    let env = Env::parse(instance.env.expose().as_bytes(), ".env", &mut findings);
    assert_eq!(env.render(), instance.env.expose(), "{name}: its .env comes back");
    let said = findings.sorted();
    assert!(said.iter().all(|finding| finding.docker <= Effect::Note), "{name}: {said:?}");
    let rendered = instance.compose.expose();
    let files = Files::clone(&instance.files);
    let mut findings = Findings::default();
    let again = compose::read(rendered.as_bytes(), &Env::default(), template, &files, &mut findings);
    let again = again.unwrap_or_else(|| panic!("{name}: {:?}", findings.sorted()));
    let (again, was) = (bare(&again), bare(&instance.workload));
    assert_eq!(again.len(), was.len(), "{name}");
    for (again, was) in again.iter().zip(&was) {
        for (key, value) in was.as_object().unwrap() {
            assert_eq!(
                &again[key], value,
                "{name} {} {key}: the rendered document says the same",
                was["name"]
            );
        }
    }
    assert_eq!(instance.digests.len(), instance.workload.services.len(), "{name}");
    if let Some(serving) = &instance.serving {
        assert!(instance.workload.service(&serving.service).is_some(), "{name}");
    }
}

#[test]
#[allow(clippy::print_stderr, reason = "the figures of a run")]
fn every_real_template_is_filled_or_refused_and_the_same_way_twice() {
    let Some(folder) = samples::folder("checked") else { return };
    let all: BTreeSet<Right> = Right::ALL.into();
    let (mut filled, mut refused) = (0, 0);
    for template in load(&folder).unwrap() {
        let files = Arc::new(contents(&folder.join(&template.name), &template).unwrap_or_default());
        let wish = Wish { allowed: all.clone(), ..Wish::of(&template, "9shop") };
        for backend in [Backend::Docker, Backend::Kubernetes] {
            let fill = || instantiate(&template, files.clone(), &wish.order(backend));
            match fill() {
                Ok(instance) => {
                    filled += 1;
                    assert_eq!(
                        verdict(&check(&template).findings, backend, &all).max(Verdict::Findings),
                        Verdict::Findings
                    );
                    holds(&instance, &template);
                    let again = fill().unwrap();
                    assert_eq!(again.digests, instance.digests, "{}", template.name);
                    assert_eq!(again.compose, instance.compose, "{}", template.name);
                    assert_eq!((again.ports, again.url), (instance.ports, instance.url), "{}", template.name);
                }
                Err(findings) => {
                    refused += 1;
                    assert!(!findings.is_empty(), "{}", template.name);
                    let forbids = |it: &Finding| it.verdict(backend, &all) == Verdict::Cannot;
                    assert!(findings.iter().all(forbids), "{}: {findings:?}", template.name);
                    // Nothing but what the check says of the template itself.
                    assert_eq!(
                        verdict(&check(&template).findings, backend, &all),
                        Verdict::Cannot,
                        "{} {findings:?}",
                        template.name
                    );
                }
            }
        }
    }
    eprintln!("{filled} instances, {refused} refusals");
    assert!(refused * 4 < filled, "{filled} {refused}");
}
