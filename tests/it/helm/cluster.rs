//! What a cluster's controllers do as far as Helm waits for it: Services get an address, Deployments roll out unless their
//! image is `broken`, Jobs come to their end.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Service;
use kube::api::{Api, ListParams, Patch, PatchParams};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};

use super::NAMESPACE;

/// A time in the past.
const THEN: &str = "2026-01-01T00:00:00Z";

/// Plays until it is dropped.
pub async fn play(client: Client) {
    loop {
        turn(&client).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn turn(client: &Client) {
    let all = ListParams::default();
    let (params, merge) = (PatchParams::default(), |patch: Value| Patch::Merge(patch));
    let services = Api::<Service>::namespaced(client.clone(), NAMESPACE);
    for (index, service) in services.list(&all).await.unwrap().iter().enumerate() {
        if service.spec.as_ref().is_some_and(|spec| spec.cluster_ip.is_none()) {
            let patch = json!({"spec": {"clusterIP": format!("10.96.0.{}", index + 10)}});
            // What was removed in the meantime needs no address.
            let _ = services.patch(&service.name_any(), &params, &merge(patch)).await;
        }
    }
    let deployments = Api::<Deployment>::namespaced(client.clone(), NAMESPACE);
    for deployment in deployments.list(&all).await.unwrap() {
        let status = rolled_out(&deployment);
        if serde_json::to_value(&deployment.status).unwrap() != status {
            let patch = merge(json!({ "status": status }));
            let _ = deployments.patch_status(&deployment.name_any(), &params, &patch).await;
        }
    }
    let jobs = Api::<Job>::namespaced(client.clone(), NAMESPACE);
    for job in jobs.list(&all).await.unwrap().iter().filter(|job| job.status.is_none()) {
        let conditions = json!([{"type": "Complete", "status": "True", "lastTransitionTime": THEN}]);
        let status =
            json!({"succeeded": 1, "startTime": THEN, "completionTime": THEN, "conditions": conditions});
        let _ = jobs.patch_status(&job.name_any(), &params, &merge(json!({ "status": status }))).await;
    }
}

/// A pod of a broken image never gets ready; those before it go on.
fn rolled_out(deployment: &Deployment) -> Value {
    let spec = deployment.spec.as_ref().unwrap();
    let image = spec.template.spec.as_ref().unwrap().containers[0].image.as_deref().unwrap_or_default();
    let replicas = spec.replicas.unwrap_or(1);
    let updated = if image.contains("broken") { 1 } else { replicas };
    let condition = |kind: &str, reason: &str| json!({"type": kind, "status": "True", "reason": reason, "lastTransitionTime": THEN});
    json!({
        "observedGeneration": deployment.metadata.generation, "replicas": replicas, "updatedReplicas": updated,
        "readyReplicas": replicas, "availableReplicas": replicas,
        "conditions": [condition("Available", "MinimumReplicasAvailable"), condition("Progressing", "NewReplicaSetAvailable")],
    })
}
