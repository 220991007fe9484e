//! Real templates that nobody here wrote: each is checked without a crash and fast, and the verdicts on the ones with
//! known traps are recorded. Of the templates themselves nothing is recorded but names.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cocoasyncer::api::{CATALOG_LABEL, SYSTEM_NAMESPACE};
use cocoasyncer::catalog::library::{Library, Offer};
use cocoasyncer::catalog::sources::{Source, Sources};
use cocoasyncer::catalog::{builtin, load};
use cocoasyncer::controllers::catalog::{self, Wiring};
use cocoasyncer::controlplane::ControlPlane;
use cocoasyncer::domain::app::finding::{Code, Effect, Finding};
use cocoasyncer::domain::app::template::{Checked, check};
use cocoasyncer::domain::app::verdict::{Backend, Verdict, verdict};
use cocoasyncer::telemetry::metrics::catalog::CatalogMetrics;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::Client;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use prometheus::Registry;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::support::until;

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

/// A catalogue that is kept up to date over a plane of its own.
struct Kept {
    _plane: ControlPlane,
    client: Client,
    library: Library,
    folder: tempfile::TempDir,
    registry: Registry,
    stop: CancellationToken,
}

impl Kept {
    async fn start() -> Self {
        let plane = ControlPlane::in_memory().await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        template(folder.path(), "blog", "blog:1");
        let mut sources = Sources::new([Source { folder: folder.path().to_owned(), official: true }]);
        sources.look();
        let (client, library) = (plane.client(), Library::of(sources.sorted().offers));
        assert!(library.get("blog").is_some(), "folders are there before the loop starts");
        let (metrics, registry, stop) =
            (CatalogMetrics::default(), Registry::new(), CancellationToken::new());
        metrics.register(&registry).unwrap();
        let wiring = Wiring { client: client.clone(), library: library.clone(), sources, metrics };
        let (tell, told) = tokio::sync::oneshot::channel();
        tokio::spawn(catalog::run(wiring, stop.clone(), move || {
            // A test that has ended does not listen.
            let _ = tell.send(());
        }));
        tokio::time::timeout(crate::support::PATIENCE, told).await.unwrap().unwrap();
        Self { _plane: plane, client, library, folder, registry, stop }
    }

    fn maps(&self, namespace: &str) -> Api<ConfigMap> {
        Api::namespaced(self.client.clone(), namespace)
    }

    async fn until(&self, what: &str, is_so: impl Fn(&Library) -> bool) {
        until(what, || std::future::ready(is_so(&self.library).then_some(()))).await;
    }

    fn figure(&self, line: &str) -> bool {
        cocoasyncer::telemetry::metrics::text(&self.registry).lines().any(|it| it == line)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn compose(image: &str) -> String {
    format!("services: {{web: {{image: '{image}', ports: ['80:80'], volumes: ['./src/a_b.conf:/a']}}}}")
}

fn template(folder: &Path, name: &str, image: &str) {
    let app = folder.join(name);
    std::fs::create_dir_all(app.join("src")).unwrap();
    std::fs::write(app.join("docker-compose.yml"), compose(image)).unwrap();
    std::fs::write(app.join("src/a_b.conf"), "of the folder").unwrap();
}

fn config_map(name: &str, app: &str, image: &str) -> ConfigMap {
    let text = json!({
        "metadata": {"name": name, "labels": {CATALOG_LABEL: app}},
        "data": {"docker-compose.yml": compose(image), "src__a_b.conf": "of the map"},
        "binaryData": {"src__bin": "/w=="},
    });
    serde_json::from_value(text).unwrap()
}

fn image(offer: &Offer) -> Option<&str> {
    offer.checked.workload.as_ref()?.services[0].image.as_deref()
}

fn offers(library: &Library, name: &str, wanted: &str) -> bool {
    library.get(name).is_some_and(|offer| image(&offer) == Some(wanted))
}

#[tokio::test]
async fn config_maps_are_taken_followed_and_forgotten() {
    let kept = Kept::start().await;
    let maps = kept.maps("default");
    maps.create(&PostParams::default(), &config_map("wiki-template", "wiki", "wiki:1")).await.unwrap();
    kept.until("the ConfigMap is offered", |library| offers(library, "wiki", "wiki:1")).await;
    let wiki = kept.library.get("wiki").unwrap();
    assert!(!wiki.official && wiki.origin.to_string() == "configmap/default/wiki-template");
    let files = wiki.files().unwrap();
    assert_eq!((&*files["src/a_b.conf"].bytes, &*files["src/bin"].bytes), (&b"of the map"[..], &b"\xff"[..]));
    let untouched = kept.library.get("redis").unwrap();
    let patch = Patch::Merge(json!({"data": {"docker-compose.yml": compose("wiki:2")}}));
    maps.patch("wiki-template", &PatchParams::default(), &patch).await.unwrap();
    kept.until("the edit is taken", |library| offers(library, "wiki", "wiki:2")).await;
    assert!(std::sync::Arc::ptr_eq(&untouched, &kept.library.get("redis").unwrap()));
    // Without its label it is no template any more, nor is a ConfigMap that never had it.
    let patch = Patch::Merge(json!({"metadata": {"labels": {CATALOG_LABEL: null}}}));
    maps.patch("wiki-template", &PatchParams::default(), &patch).await.unwrap();
    kept.until("it is gone", |library| library.get("wiki").is_none()).await;
}

#[tokio::test]
async fn only_the_operators_own_namespace_may_put_another_template_under_a_name() {
    let kept = Kept::start().await;
    let namespaces: Api<Namespace> = Api::all(kept.client.clone());
    let system = serde_json::from_value(json!({"metadata": {"name": SYSTEM_NAMESPACE}})).unwrap();
    // It may stand already.
    let _ = namespaces.create(&PostParams::default(), &system).await;
    let evil = config_map("evil", "blog", "evil:1");
    kept.maps("default").create(&PostParams::default(), &evil).await.unwrap();
    let marker = config_map("marker", "marker", "marker:1");
    kept.maps("default").create(&PostParams::default(), &marker).await.unwrap();
    kept.until("the marker is offered", |library| library.get("marker").is_some()).await;
    assert!(offers(&kept.library, "blog", "blog:1"));
    assert!(kept.figure("cocoasyncer_catalog_templates{state=\"shadowed\"} 1"));
    let own = kept.maps(SYSTEM_NAMESPACE);
    own.create(&PostParams::default(), &config_map("x", "blog", "own:1")).await.unwrap();
    kept.until("the own one holds", |library| offers(library, "blog", "own:1")).await;
    own.delete("x", &DeleteParams::default()).await.unwrap();
    kept.until("the folder holds again", |library| offers(library, "blog", "blog:1")).await;
    assert!(kept.library.get("blog").unwrap().official);
}

#[tokio::test]
async fn a_folder_is_followed_and_one_that_vanished_keeps_what_it_gave() {
    let kept = Kept::start().await;
    let readable =
        |is: i32| format!("cocoasyncer_catalog_readable{{folder=\"{}\"}} {is}", kept.folder.path().display());
    template(kept.folder.path(), "blog", "blog:2");
    kept.until("the edit is taken", |library| offers(library, "blog", "blog:2")).await;
    assert!(kept.figure(&readable(1)));
    std::fs::rename(kept.folder.path(), kept.folder.path().with_extension("away")).unwrap();
    until("it is told", || std::future::ready(kept.figure(&readable(0)).then_some(()))).await;
    assert!(offers(&kept.library, "blog", "blog:2"));
    std::fs::rename(kept.folder.path().with_extension("away"), kept.folder.path()).unwrap();
    until("it can be read again", || std::future::ready(kept.figure(&readable(1)).then_some(()))).await;
}
