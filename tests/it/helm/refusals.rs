//! Values that are wrong or contradict each other are refused by their name, before anything is made: the table is
//! `refusals.yaml`.

use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, ListParams};
use serde_json::json;

use super::{Helm, NAMESPACE, table};

#[tokio::test]
async fn a_wrong_value_is_refused_by_its_name_and_nothing_is_made() {
    let mut helm = Helm::new().await;
    let mut wrong = Vec::new();
    for row in table("refusals.yaml") {
        let said = helm.ask(json!({"do": "install", "values": row["set"], "wait": false})).await;
        let error = said["error"].as_str().unwrap_or("it was installed");
        let all = row["says"].as_array().unwrap();
        if !all.iter().all(|word| error.contains(word.as_str().unwrap())) {
            wrong.push(format!("{}: {error}", row["set"]));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let secrets = Api::<Secret>::namespaced(helm.client.clone(), NAMESPACE);
    assert_eq!(secrets.list(&ListParams::default()).await.unwrap().items, []);
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let request = http::Request::get(definitions).body(Vec::new()).unwrap();
    let definitions: serde_json::Value = helm.client.request(request).await.unwrap();
    assert_eq!(definitions["items"], json!([]));
}
