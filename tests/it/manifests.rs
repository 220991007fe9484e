//! The folder against a real plane: what is sent, what is deleted, and above all what is not.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use cocoasyncer::api::app::App;
use cocoasyncer::api::service::ManagedService;
use cocoasyncer::api::{CATALOG_LABEL, ORIGIN_LABEL, ORIGIN_MANIFESTS, PROVIDER_LABEL};
use cocoasyncer::assembly::accounts::opener;
use cocoasyncer::catalog::library::Offer;
use cocoasyncer::catalog::sources::{Map, Sources};
use cocoasyncer::controllers::manifests::{Manifests, Pass};
use cocoasyncer::controlplane::ControlPlane;
use cocoasyncer::domain::app::verdict::{Backend, Verdict, verdict};
use cocoasyncer::domain::marks::OwnerId;
use cocoasyncer::domain::records::Service;
use cocoasyncer::domain::secret::Secret;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret as SecretObject};
use kube::Client;
use kube::ResourceExt;
use kube::api::{Api, ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use serde_json::json;

use crate::support::install_crds;

fn map(name: &str, value: &str) -> String {
    format!("---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{k: {value}}}\n")
}

struct Stage {
    _plane: ControlPlane,
    client: Client,
    folder: tempfile::TempDir,
}

impl Stage {
    async fn new() -> Self {
        let plane = ControlPlane::in_memory().await.unwrap();
        Self { client: plane.client(), _plane: plane, folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn write(&self, file: &str, text: &str) {
        std::fs::write(self.path().join(file), text).unwrap();
    }

    fn manifests(&self) -> Manifests {
        Manifests::new(self.client.clone(), vec![self.path().to_owned()])
    }

    fn maps(&self) -> Api<ConfigMap> {
        Api::namespaced(self.client.clone(), "default")
    }

    /// Names and resource versions: two equal answers mean that nothing was written in between.
    async fn versions(&self) -> BTreeMap<String, Option<String>> {
        let listed = self.maps().list(&ListParams::default()).await.unwrap();
        listed.items.iter().map(|map| (map.name_any(), map.resource_version())).collect()
    }

    async fn names(&self) -> Vec<String> {
        self.versions().await.into_keys().collect()
    }
}

/// Looks twice: what vanished is deleted only once it was seen to be gone twice.
async fn settle(manifests: &mut Manifests) -> Pass {
    let first = manifests.pass().await;
    let second = manifests.pass().await;
    Pass { applied: first.applied + second.applied, deleted: first.deleted + second.deleted, ..second }
}

#[tokio::test]
async fn what_did_not_change_is_not_written_even_by_a_new_process() {
    let stage = Stage::new().await;
    stage.write("a.yaml", &format!("{}{}", map("one", "x"), map("two", "x")));
    let mut manifests = stage.manifests();
    assert_eq!(settle(&mut manifests).await, Pass { applied: 2, ..Pass::default() });
    let before = stage.versions().await;
    assert_eq!(settle(&mut manifests).await, Pass::default());
    settle(&mut stage.manifests()).await;
    assert_eq!(stage.versions().await, before);
    stage.write("a.yaml", &format!("{}{}", map("one", "z"), map("two", "x")));
    assert_eq!(settle(&mut manifests).await.applied, 1, "only what changed is sent");
}

#[tokio::test]
async fn what_vanished_goes_and_what_is_not_ours_stays() {
    let stage = Stage::new().await;
    let ours = json!({"metadata": {"labels": {ORIGIN_LABEL: ORIGIN_MANIFESTS}}});
    let foreign = ConfigMap {
        metadata: ObjectMeta { name: Some("foreign".into()), ..ObjectMeta::default() },
        ..ConfigMap::default()
    };
    stage.maps().create(&PostParams::default(), &foreign).await.unwrap();
    stage.maps().patch("foreign", &PatchParams::default(), &Patch::Merge(ours)).await.unwrap();
    stage.write("a.yaml", &map("one", "x"));
    stage.write("b.yaml", &map("two", "x"));
    stage.write("c.json", r#"{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"kept"}}"#);
    settle(&mut stage.manifests()).await;
    for file in ["b.yaml", "c.json"] {
        std::fs::remove_file(stage.path().join(file)).unwrap();
    }
    // A new process knows nothing of what it applied before: the marks must do.
    let mut manifests = stage.manifests();
    assert_eq!(manifests.pass().await.deleted, 0, "one look is not enough");
    assert_eq!(manifests.pass().await.deleted, 1);
    assert_eq!(stage.names().await, ["foreign", "one"], "our label alone is not enough");
    let namespaces: Api<Namespace> = Api::all(stage.client.clone());
    assert!(namespaces.get_opt("kept").await.unwrap().is_some(), "a namespace takes too much along");
}

#[tokio::test]
async fn an_empty_unreadable_or_half_read_folder_deletes_nothing() {
    let stage = Stage::new().await;
    stage.write("a.yaml", &map("one", "x"));
    stage.write("b.yaml", &map("two", "x"));
    let mut manifests = stage.manifests();
    settle(&mut manifests).await;
    stage.write("b.yaml", "kind: [");
    assert_eq!(settle(&mut manifests).await, Pass { refused: 1, ..Pass::default() });
    stage.write("b.yaml", "");
    stage.write("a.yaml", "");
    assert_eq!(settle(&mut manifests).await, Pass::default());
    std::fs::remove_file(stage.path().join("a.yaml")).unwrap();
    std::fs::remove_file(stage.path().join("b.yaml")).unwrap();
    assert_eq!(settle(&mut manifests).await, Pass::default());
    std::fs::write(stage.path().join("a.yaml"), [0xff, 0xfe]).unwrap();
    stage.write("c.yaml", &map("three", "x"));
    assert_eq!(settle(&mut manifests).await, Pass { applied: 1, ..Pass::default() });
    let gone = Manifests::new(stage.client.clone(), vec![stage.path().join("nowhere")]);
    settle(&mut { gone }).await;
    assert_eq!(stage.names().await, ["one", "three", "two"]);
}

#[tokio::test]
async fn one_bad_object_holds_up_no_other_and_waits_for_an_edit() {
    let stage = Stage::new().await;
    let bad = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: Bad_Name}\n";
    stage.write("a.yaml", &format!("{bad}{}", map("good", "x")));
    let mut manifests = stage.manifests();
    assert_eq!(manifests.pass().await, Pass { applied: 1, refused: 1, ..Pass::default() });
    assert_eq!(manifests.pass().await.refused, 0, "it is not sent again until it is edited");
    stage.write("a.yaml", &format!("{}{}", map("mended", "x"), map("good", "x")));
    assert_eq!(settle(&mut manifests).await.applied, 1);
}

#[tokio::test]
async fn the_examples_are_taken_as_they_stand() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests/examples");
    for (folder, objects) in
        [(examples.clone(), 6), (examples.join("providers"), 4), (examples.join("apps"), 6)]
    {
        let stage = Stage::new().await;
        install_crds(&stage.client).await;
        let mut manifests = Manifests::new(stage.client.clone(), vec![folder]);
        assert_eq!(settle(&mut manifests).await, Pass { applied: objects, ..Pass::default() });
        let services = Api::<ManagedService>::all(stage.client.clone());
        for service in services.list(&ListParams::default()).await.unwrap() {
            Service::parse(&service).unwrap();
        }
        let accounts = ListParams::default().labels(PROVIDER_LABEL);
        let open = opener(Default::default(), std::sync::Arc::new(|| 0));
        for secret in Api::<SecretObject>::all(stage.client.clone()).list(&accounts).await.unwrap() {
            let platform = secret.labels()[PROVIDER_LABEL].parse().unwrap();
            let text = |bytes: &[u8]| Secret::new(String::from_utf8(bytes.to_vec()).unwrap());
            let data = secret.data.iter().flatten().map(|(key, bytes)| (key.clone(), text(&bytes.0)));
            assert!(open(platform, &data.collect(), &OwnerId::parse("it", "").unwrap()).is_ok());
        }
    }
}

/// The examples' own templates beside the built-in ones.
fn offered(maps: Vec<ConfigMap>) -> Vec<Arc<Offer>> {
    let mut sources = Sources::new([]);
    for map in &maps {
        let texts = map.data.iter().flatten().map(|(key, text)| (key.as_str(), text.as_bytes()));
        let (key, data) = ((String::new(), map.name_any()), texts.collect());
        sources.set_map(Map { key, app: &map.labels()[CATALOG_LABEL], created: 0, own: false, data });
    }
    sources.sorted().offers
}

#[tokio::test]
async fn the_examples_apps_are_of_the_catalogue_and_run_everywhere() {
    let stage = Stage::new().await;
    install_crds(&stage.client).await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests/examples/apps");
    settle(&mut Manifests::new(stage.client.clone(), vec![folder])).await;
    let templates = stage.maps().list(&ListParams::default().labels(CATALOG_LABEL)).await.unwrap().items;
    assert_eq!(templates.len(), 1);
    let offers = offered(templates);
    let apps = Api::<App>::all(stage.client.clone()).list(&ListParams::default()).await.unwrap();
    assert_eq!(apps.items.len(), 4);
    for app in apps {
        let offer = offers.iter().find(|offer| offer.template.name == app.spec.app_name).unwrap();
        let checked = &offer.checked;
        let versions = &checked.metadata.as_ref().unwrap().versions;
        assert!(versions.contains(&app.spec.app_version), "{}", app.name_any());
        for backend in [Backend::Docker, Backend::Kubernetes] {
            assert_eq!(verdict(&checked.findings, backend, &BTreeSet::new()), Verdict::Runs);
        }
        let env = String::from_utf8(offer.template.env.clone().unwrap()).unwrap();
        let set = app.spec.variables.keys().chain(app.spec.secret_variables.keys());
        for variable in set {
            assert!(env.contains(&format!("{variable}=")), "{variable} is in no .env");
        }
    }
}
