//! What a Kubernetes API must do, asserted through `kube::Client` and `kubectl` only. The embedded plane always answers;
//! with `COCOA_TEST_KUBECONFIG` set, the cluster that it names answers instead. So nothing here may assert what only
//! our plane does: each test is what Kubernetes documents and a kube-apiserver 1.36 shows. A behaviour that is not in
//! this suite is not promised.
//!
//! Each test has its own namespace and API group, so that all run at once on a cluster that others use too.

mod applies;
mod apply_lists;
mod builtins;
mod definitions;
mod deletes;
mod discovery;
mod garbage;
pub mod kubectl;
mod lists;
mod namespaces;
mod objects;
mod ours;
mod patches;
mod runtime;
mod schemas;
mod shapes;
mod status;
mod strategic;
mod things;
mod versions;
mod watches;

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use cocoasyncer::controlplane::ControlPlane;
use futures::{AsyncBufReadExt, FutureExt, StreamExt};
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use kube::config::{Config, KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};

/// Media types of the four patches.
pub const JSON_PATCH: &str = "application/json-patch+json";
pub const MERGE: &str = "application/merge-patch+json";
pub const STRATEGIC: &str = "application/strategic-merge-patch+json";
pub const APPLY: &str = "application/apply-patch+yaml";

/// A place to test in: a client, a namespace and an API group of its own.
#[derive(Clone)]
pub struct Env {
    pub client: Client,
    pub ns: String,
    pub group: String,
    /// The kubeconfig of the cluster; none where the plane is in this process.
    pub kubeconfig: Option<String>,
    pub plane: Option<Arc<ControlPlane>>,
}

/// Runs `test` in a place of its own and clears it away, whatever came of the test.
pub async fn conform<F: Future<Output = ()>>(test: impl FnOnce(Env) -> F) {
    let env = Env::open().await;
    let outcome = AssertUnwindSafe(test(env.clone())).catch_unwind().await;
    if env.plane.is_none() {
        env.clear().await;
    }
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

impl Env {
    #[expect(clippy::disallowed_methods, reason = "tests have no command line of their own")]
    async fn open() -> Env {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (client, kubeconfig, plane) = match std::env::var("COCOA_TEST_KUBECONFIG") {
            Ok(path) if !path.is_empty() => (cluster(&path).await, Some(path), None),
            _ => {
                let plane = ControlPlane::in_memory().await.expect("the embedded plane opens");
                (plane.client(), None, Some(Arc::new(plane)))
            }
        };
        let mut env = Env { client, ns: String::new(), group: String::new(), kubeconfig, plane };
        let made =
            env.post("/api/v1/namespaces", json!({"metadata": {"generateName": "conform-"}})).await.ok();
        env.ns = text(&made["metadata"]["name"]);
        env.group = format!("{}.example.com", env.ns);
        env
    }

    async fn clear(&self) {
        let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
        let all = self.get(definitions).await.body;
        for one in all["items"].as_array().into_iter().flatten() {
            if one["spec"]["group"] == json!(self.group) {
                self.delete(&format!("{definitions}/{}", text(&one["metadata"]["name"])), json!({})).await;
            }
        }
        self.delete(&format!("/api/v1/namespaces/{}", self.ns), json!({})).await;
    }

    /// A collection of a core kind in the test's namespace.
    pub fn core(&self, plural: &str) -> String {
        format!("/api/v1/namespaces/{}/{plural}", self.ns)
    }

    /// A collection of a built-in kind in a group.
    pub fn builtin(&self, group_version: &str, plural: &str) -> String {
        format!("/apis/{group_version}/namespaces/{}/{plural}", self.ns)
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.call("GET", path, &[], Vec::new()).await
    }

    pub async fn get_as(&self, path: &str, accept: &str) -> Reply {
        self.call("GET", path, &[("accept", accept)], Vec::new()).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Reply {
        self.send("POST", path, "application/json", body).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Reply {
        self.send("PUT", path, "application/json", body).await
    }

    pub async fn patch(&self, path: &str, kind: &str, body: Value) -> Reply {
        self.send("PATCH", path, kind, body).await
    }

    pub async fn delete(&self, path: &str, options: Value) -> Reply {
        self.send("DELETE", path, "application/json", options).await
    }

    async fn send(&self, method: &str, path: &str, kind: &str, body: Value) -> Reply {
        self.call(method, path, &[("content-type", kind)], body.to_string().into_bytes()).await
    }

    /// Any request.
    pub async fn call(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Reply {
        let mut request = http::Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body)).unwrap();
        let sent = tokio::time::timeout(Duration::from_secs(60), self.client.send(request));
        let response = sent.await.expect("an answer in time").expect("an answer");
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.expect("a whole body").to_bytes();
        let warnings = parts.headers.get_all("warning").iter();
        let warnings = warnings.map(|one| String::from_utf8_lossy(one.as_bytes()).into_owned()).collect();
        let raw = String::from_utf8_lossy(&bytes).into_owned();
        let body = serde_json::from_str(&raw).unwrap_or(Value::Null);
        let said =
            |name| parts.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
        let (what, kind) = (format!("{method} {path}"), said("content-type"));
        Reply { what, code: parts.status.as_u16(), kind, warnings, body, raw }
    }

    /// A watch. `path` carries the query; `watch=true` is added.
    pub async fn watch(&self, path: &str) -> Watch {
        self.watch_as(path, "application/json").await
    }

    pub async fn watch_as(&self, path: &str, accept: &str) -> Watch {
        let mark = if path.contains('?') { '&' } else { '?' };
        let uri = format!("{path}{mark}watch=true");
        let request = http::Request::get(&uri).header("accept", accept).body(Vec::new()).unwrap();
        let stream = self.client.request_stream(request).await.unwrap_or_else(|e| panic!("GET {uri}: {e}"));
        Watch { lines: Box::pin(stream).lines().boxed() }
    }
}

async fn cluster(path: &str) -> Client {
    let file = Kubeconfig::read_from(path).expect("COCOA_TEST_KUBECONFIG names a kubeconfig");
    let mut config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.unwrap();
    // Refusals are asserted; a client that tries again hides them.
    config.default_retry = false;
    Client::try_from(config).expect("a client for the cluster")
}

/// An answer, whole.
#[derive(Debug)]
pub struct Reply {
    what: String,
    pub code: u16,
    pub kind: String,
    pub warnings: Vec<String>,
    pub body: Value,
    pub raw: String,
}

impl Reply {
    /// The body of an answer that must be a success.
    #[track_caller]
    pub fn ok(self) -> Value {
        assert!((200..300).contains(&self.code), "{}: {} {}", self.what, self.code, self.raw);
        self.body
    }

    /// The body of an answer that must be this refusal, as a metav1.Status.
    #[track_caller]
    pub fn refused(self, code: u16, reason: &str) -> Value {
        assert_eq!((self.code, &self.body["reason"]), (code, &json!(reason)), "{}: {}", self.what, self.raw);
        assert_eq!(self.body["kind"], "Status", "{}", self.raw);
        assert_eq!(self.body["apiVersion"], "v1", "{}", self.raw);
        assert_eq!(self.body["status"], "Failure", "{}", self.raw);
        assert_eq!(self.body["code"], json!(code), "{}", self.raw);
        assert!(!text(&self.body["message"]).is_empty(), "{}", self.raw);
        self.body
    }

    /// A 422 whose causes name `field` with `reason`; gives that cause's message.
    #[track_caller]
    pub fn invalid(self, field: &str, reason: &str) -> String {
        let what = self.what.clone();
        let body = self.refused(422, "Invalid");
        let causes = body["details"]["causes"].as_array().cloned().unwrap_or_default();
        let found = causes.iter().find(|cause| cause["field"] == field && cause["reason"] == reason);
        text(&found.unwrap_or_else(|| panic!("{what}: no cause {reason} at {field} in {body}"))["message"])
    }
}

/// Events of a watch.
pub struct Watch {
    lines: futures::stream::BoxStream<'static, std::io::Result<String>>,
}

impl Watch {
    /// The next event, which must come.
    pub async fn next(&mut self) -> Value {
        let wait = tokio::time::timeout(Duration::from_secs(30), self.lines.next());
        let line =
            wait.await.expect("an event in time").expect("an event, not the end").expect("a whole line");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    /// The next event but bookmarks, as `TYPE name`.
    pub async fn said(&mut self) -> String {
        loop {
            let event = self.next().await;
            if event["type"] != "BOOKMARK" {
                let name = &event["object"]["metadata"]["name"];
                return format!("{} {}", text(&event["type"]), text(name));
            }
        }
    }

    /// All events until the server ends the stream.
    pub async fn rest(mut self) -> Vec<Value> {
        let mut events = Vec::new();
        while let Some(line) = self.lines.next().await {
            events.push(serde_json::from_str(&line.expect("a whole line")).expect("JSON"));
        }
        events
    }
}

/// A string of a document; empty where there is none.
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// An object's resourceVersion.
pub fn version(object: &Value) -> String {
    text(&object["metadata"]["resourceVersion"])
}

/// Names of a list's items, in its order.
pub fn names(list: &Value) -> Vec<String> {
    let items = list["items"].as_array().unwrap_or_else(|| panic!("a list, not {list}"));
    items.iter().map(|item| text(&item["metadata"]["name"])).collect()
}

/// Waits until `is_so` gives something. Patience is long, since a cluster's collectors wake only now and then.
pub async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut is_so: impl FnMut() -> F) -> T {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(found) = is_so().await {
            return found;
        }
        assert!(tokio::time::Instant::now() < deadline, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
