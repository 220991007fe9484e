//! The operator's definitions under a running operator: upgraded, and removed and put back.

use cocoasyncer::api::crds;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use crate::support::process::wait;
use crate::world::{World, define, service};

const SERVICES: &str = "managedservices.cocoasyncer.io";

fn definitions(world: &World) -> Api<CustomResourceDefinition> {
    Api::all(world.cluster.client.clone())
}

/// The definition of ManagedService as the next release might have it: a new optional field, and a column that shows
/// it.
fn next_release() -> Value {
    let ours = crds::all().into_iter().find(|crd| crd.name_any() == SERVICES).unwrap();
    let mut next = serde_json::to_value(ours).unwrap();
    let version = &mut next["spec"]["versions"][0];
    version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["note"] =
        json!({"type": "string", "maxLength": 64});
    let columns = version["additionalPrinterColumns"].as_array_mut().unwrap();
    columns.push(json!({"name": "Note", "type": "string", "jsonPath": ".spec.note"}));
    next
}

/// A service's spec as it is stored, the fields that we don't know too.
async fn spec(world: &World, name: &str) -> Value {
    let object = json!({
        "apiVersion": "cocoasyncer.io/v1alpha1", "kind": "ManagedService",
        "metadata": {"name": name, "namespace": "cocoasyncer-system"},
    });
    world.api(&object).get(name).await.unwrap().data["spec"].clone()
}

#[tokio::test]
async fn an_upgraded_definition_leaves_objects_and_watches_as_they_are() {
    let world = World::new().await;
    let replica = world.operator().await;
    world.local("www").await;
    world.at_ali("a").await;
    replica.serves("www").await;
    world.holds(&["a"]).await;
    let before = spec(&world, "www").await;
    replica.proxy.ledger().forget();
    let params = PatchParams::apply("test").force();
    definitions(&world).patch(SERVICES, &params, &Patch::Apply(next_release())).await.unwrap();
    assert_eq!(spec(&world, "www").await, before);
    let mut noted = service("www");
    noted["spec"]["note"] = json!("new");
    wait("the new field is kept", || async {
        world.apply(noted.clone()).await;
        (spec(&world, "www").await["note"] == "new").then_some(())
    })
    .await;
    world.local("more").await;
    replica.serves("more").await;
    replica.serves("www").await;
    assert_eq!(spec(&world, "www").await["note"], "new", "the operator must not drop what it does not know");
    world.holds(&["a"]).await;
    world.wrote_nothing_twice();
    let lists = replica.proxy.ledger().count("list", "managedservices");
    assert!(lists <= 1, "the watch goes on: {lists} lists");
}

#[tokio::test]
async fn a_removed_definition_takes_its_objects_and_records_along_and_one_put_back_is_served_again() {
    let world = World::new().await;
    let mut replica = world.operator().await;
    world.local("www").await;
    world.at_ali("gone").await;
    let mut stays = service("stays");
    stays["spec"]["platformProvider"] = json!("Ali");
    stays["spec"]["deletionPolicy"] = json!("Retain");
    world.apply(stays).await;
    replica.serves("www").await;
    world.holds(&["gone", "stays"]).await;
    for name in ["gone", "stays"] {
        world.becomes(name, "Ready", "AsWished").await;
    }
    definitions(&world).delete(SERVICES, &DeleteParams::default()).await.unwrap();
    // Deleting a definition deletes its objects, and a deleted service's records go unless it says otherwise.
    world.holds(&["stays"]).await;
    wait("the definition is gone", || async {
        definitions(&world).get_opt(SERVICES).await.unwrap().is_none().then_some(())
    })
    .await;
    wait("the name is answered no more", || async { replica.a("www").await.is_none().then_some(()) }).await;
    define(&world.cluster.client).await;
    world.local("www").await;
    world.at_ali("back").await;
    replica.serves("www").await;
    world.holds(&["back", "stays"]).await;
    assert!(replica.site.running(), "it was not restarted");
    let all = world.services().list(&ListParams::default()).await.unwrap();
    assert_eq!(all.items.len(), 2);
    world.wrote_nothing_twice();
}
