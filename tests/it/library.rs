//! The catalogue as its loop keeps it: ConfigMaps of a plane and a folder that change, clash, break and go.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cocoasyncer::api::{CATALOG_LABEL, SYSTEM_NAMESPACE};
use cocoasyncer::catalog::library::{Library, Offer};
use cocoasyncer::catalog::sources::{Source, Sources};
use cocoasyncer::controllers::catalog::{self, Wiring};
use cocoasyncer::controlplane::ControlPlane;
use cocoasyncer::telemetry::metrics::catalog::CatalogMetrics;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::Client;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use prometheus::Registry;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::support::until;

/// How often its folder is looked at.
const EVERY: Duration = Duration::from_millis(50);

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
        let wiring = Wiring {
            client: client.clone(),
            scope: Arc::default(),
            library: library.clone(),
            sources,
            metrics,
            every: EVERY,
        };
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
    assert!(Arc::ptr_eq(&untouched, &kept.library.get("redis").unwrap()));
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
