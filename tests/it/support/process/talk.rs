//! The ways to talk to a site: its plane by kubeconfig, HTTP, DNS, the command line, its log.

use std::net::SocketAddr;
use std::time::Duration;

use cocoasyncer::api::node::CocoaNode;
use cocoasyncer::api::service::ManagedService;
use cocoasyncer::dns::ask::{Reply, ask};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use serde_json::Value;

use super::{Site, http, wait};
use crate::support::ran::{Ran, run};

impl Site {
    /// A client over TLS, by the kubeconfig.
    pub async fn client(&self) -> Client {
        let file = Kubeconfig::read_from(self.kubeconfig()).unwrap();
        let mut config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.unwrap();
        config.default_retry = false;
        Client::try_from(config).unwrap()
    }

    pub async fn services(&self) -> Api<ManagedService> {
        Api::namespaced(self.client().await, "default")
    }

    pub async fn nodes(&self) -> Api<CocoaNode> {
        Api::all(self.client().await)
    }

    /// Runs a command of the command line.
    pub async fn cli(&self, words: &[&str]) -> Ran {
        self.cli_with(words, "").await
    }

    /// The same with `input` on its standard input.
    pub async fn cli_with(&self, words: &[&str], input: &str) -> Ran {
        let mut command = self.program();
        command.arg("--kubeconfig").arg(self.kubeconfig()).args(words);
        run(command, input).await
    }

    /// Waits until its log holds all `parts` in one line.
    pub async fn says(&self, parts: &[&str]) {
        wait(&format!("{} says {parts:?}", self.name), || async {
            self.log().lines().any(|line| parts.iter().all(|part| line.contains(part))).then_some(())
        })
        .await;
    }

    /// GET; `None` where nobody answers.
    pub async fn get(&self, at: SocketAddr, path: &str) -> Option<(u16, String)> {
        let answer = http().get(format!("http://{at}{path}")).send().await.ok()?;
        Some((answer.status().as_u16(), answer.text().await.ok()?))
    }

    /// POST of a body to the v1 API.
    pub async fn post(&self, path: &str, kind: &str, body: impl Into<reqwest::Body>) -> (u16, Value) {
        let request = http().post(format!("http://{}{path}", self.at.api)).header("content-type", kind);
        let answer = request.body(body).send().await.unwrap();
        let status = answer.status().as_u16();
        (status, serde_json::from_str(&answer.text().await.unwrap()).unwrap_or_default())
    }

    /// A call of the v1 API: its statusCode and the whole answer.
    pub async fn call(&self, route: &str, body: &Value) -> (i64, Value) {
        let (_, answer) = self.post(&format!("/v1/{route}"), "application/json", body.to_string()).await;
        (answer["statusCode"].as_i64().unwrap_or_default(), answer)
    }

    /// Asks its DNS server; `None` where nobody answers.
    pub async fn ask(&self, name: &str, kind: &str, subnet: Option<&str>) -> Option<Reply> {
        let subnet = subnet.map(|subnet| subnet.parse().unwrap());
        ask(self.at.dns, name, kind, subnet, Duration::from_secs(5)).await.ok()
    }

    /// The one A record of a name for somebody in `subnet`.
    pub async fn a(&self, name: &str, subnet: &str) -> Option<String> {
        self.ask(name, "A", Some(subnet)).await?.values("A").pop()
    }

    /// Waits until the A record of a name for somebody in `subnet` is `address`.
    pub async fn answers(&self, name: &str, subnet: &str, address: &str) {
        wait(&format!("{} answers {address} for {name} from {subnet}", self.name), || async {
            (self.a(name, subnet).await.as_deref() == Some(address)).then_some(())
        })
        .await;
    }

    /// Applies objects as they stand in a manifest.
    pub async fn apply(&self, object: Value) -> Result<(), kube::Error> {
        use kube::core::{DynamicObject, GroupVersionKind, TypeMeta};
        let types: TypeMeta = serde_json::from_value(object.clone()).unwrap();
        let kind = GroupVersionKind::try_from(&types).unwrap();
        let resource = kube::core::ApiResource::from_gvk(&kind);
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        let api: Api<DynamicObject> = match object["metadata"]["namespace"].as_str() {
            Some(namespace) => Api::namespaced_with(self.client().await, namespace, &resource),
            None => Api::all_with(self.client().await, &resource),
        };
        api.patch(&name, &PatchParams::apply("test").force(), &Patch::Apply(&object)).await.map(drop)
    }

    /// The secret of its own node, as stored.
    pub async fn secret(&self) -> String {
        let secrets: Api<Secret> = Api::namespaced(self.client().await, "cocoasyncer-system");
        let data = secrets.get(&self.name).await.unwrap().data.unwrap();
        String::from_utf8(data["cocoaSecret"].0.clone()).unwrap()
    }

    /// The reason of a service's condition `kind`.
    pub async fn reason(&self, service: &str, kind: &str) -> Option<(String, String)> {
        let status = self.services().await.get(service).await.ok()?.status?;
        let found = status.conditions.into_iter().find(|condition| condition.type_ == kind)?;
        Some((found.reason, found.message))
    }

    /// Waits until a service's condition `kind` has this reason; returns the message.
    pub async fn becomes(&self, service: &str, kind: &str, reason: &str) -> String {
        wait(&format!("{service} has {kind} {reason}"), || async {
            self.reason(service, kind).await.filter(|found| found.0 == reason).map(|found| found.1)
        })
        .await
    }

    /// A sample of the metrics at the operations port.
    pub async fn metric(&self, sample: &str) -> Option<f64> {
        let (_, text) = self.get(self.at.ops, "/metrics").await?;
        text.lines().find_map(|line| line.strip_prefix(sample)?.trim().parse().ok())
    }
}
