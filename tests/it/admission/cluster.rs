//! A real API server that asks the webhook and enforces the policies, and what a person reads of it through kubectl. Only
//! where `COCOA_TEST_KUBECONFIG` names a cluster whose API server reaches this host's loopback: a throw-away one.

use std::process::{Child, Command, Stdio};

use serde_json::json;

use crate::conformance::kubectl::binary;
use crate::policies::rendered;
use crate::support::process::{PROGRAM, wait};
use crate::support::ran::{Ran, run};

/// The operator as a process of its own, killed when dropped.
struct Operator {
    child: Child,
    home: tempfile::TempDir,
    kubeconfig: String,
    /// The name of what this run makes in the cluster.
    name: String,
}

impl Drop for Operator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[expect(clippy::disallowed_methods, reason = "tests have no command line of their own")]
#[expect(clippy::print_stderr, reason = "a skip is loud")]
fn cluster() -> Option<String> {
    let named = std::env::var("COCOA_TEST_KUBECONFIG").ok().filter(|path| !path.is_empty());
    if named.is_none() {
        eprintln!("skipped: COCOA_TEST_KUBECONFIG names no cluster");
    }
    named
}

impl Operator {
    fn start(kubeconfig: &str, name: &str) -> Operator {
        let home = tempfile::tempdir().unwrap();
        let log = std::fs::File::create(home.path().join("log")).unwrap();
        let mut command = Command::new(PROGRAM);
        command.env_clear().env("HOME", home.path()).current_dir(home.path());
        command.args(["run", "--kubeconfig", kubeconfig, "--node", name, "--docker", "none"]);
        command.args(["--api-listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--dns-listen", "none"]);
        command.args(["--public-address", "203.0.113.1", "--app-token-file"]).arg(tokens(&home));
        command.args(["--webhook-listen", "127.0.0.1:0", "--webhook-name", "127.0.0.1"]);
        command.args(["--webhook-configuration", name, "--webhook-service", name]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        Operator { child, home, kubeconfig: kubeconfig.to_owned(), name: name.to_owned() }
    }

    /// Where the webhook listens, as the log tells.
    async fn listens(&self) -> String {
        wait("the webhook listens", || async {
            let log = std::fs::read_to_string(self.home.path().join("log")).unwrap_or_default();
            let line = log.lines().find(|line| line.contains("the webhook listens"))?.to_owned();
            Some(line.split_once("address=")?.1.split_whitespace().next()?.to_owned())
        })
        .await
    }
}

fn tokens(home: &tempfile::TempDir) -> std::path::PathBuf {
    let file = home.path().join("tokens");
    std::fs::write(&file, "test read 0123456789abcdef0123456789abcdef\n").unwrap();
    file
}

async fn kubectl(kubeconfig: &str, words: &[&str], input: &str) -> Ran {
    let mut command = Command::new(binary());
    command.arg("--kubeconfig").arg(kubeconfig).args(words);
    run(command, input).await
}

fn node(name: &str, code: &str) -> String {
    json!({"apiVersion": "cocoasyncer.io/v1alpha1", "kind": "CocoaNode", "metadata": {"name": name},
        "spec": {"nodeName": "x", "nodeCode": code, "nodeAddress": format!("http://{name}"),
            "secretRef": {"name": "x"}}})
    .to_string()
}

fn service(name: &str, record: &str, annotations: serde_json::Value, provider: &str) -> String {
    json!({"apiVersion": "cocoasyncer.io/v1alpha1", "kind": "ManagedService",
        "metadata": {"name": name, "annotations": annotations},
        "spec": {"serviceName": "x", "domain": "admission.example.com", "record": record, "platformProvider": provider}})
    .to_string()
}

/// What all runs need, and a namespace of this one's.
async fn prepare(kubeconfig: &str, name: &str) {
    let crds = concat!(env!("CARGO_MANIFEST_DIR"), "/crds");
    kubectl(kubeconfig, &["apply", "--server-side", "--force-conflicts", "-f", crds], "").await.done();
    kubectl(kubeconfig, &["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"], "")
        .await
        .done();
    // It may be there.
    kubectl(kubeconfig, &["create", "namespace", "cocoasyncer-system"], "").await;
    kubectl(kubeconfig, &["create", "namespace", name], "").await.done();
}

#[tokio::test]
async fn a_real_api_server_asks_and_passes_the_words_on() {
    let Some(file) = cluster() else { return };
    let name = &format!("admission-{}", std::process::id());
    prepare(&file, name).await;
    let configuration = json!({"apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration", "metadata": {"name": name},
        "webhooks": [{"name": "objects.cocoasyncer.io", "admissionReviewVersions": ["v1"], "sideEffects": "None",
            "failurePolicy": "Ignore", "timeoutSeconds": 3, "clientConfig": {"url": "https://127.0.0.1:1/admission"},
            "rules": [{"apiGroups": ["cocoasyncer.io"], "apiVersions": ["v1alpha1"],
                "operations": ["CREATE", "UPDATE"], "resources": ["cocoanodes", "managedservices", "apps"]}],
            "matchConditions": [
                {"name": "what-is-wished-changes", "expression": "oldObject == null || object.spec != oldObject.spec"},
                {"name": "it-stays", "expression": "!has(object.metadata.deletionTimestamp)"}]}]});
    kubectl(&file, &["create", "-f", "-"], &configuration.to_string()).await.done();
    let operator = Operator::start(&file, name);
    let url = format!("https://{}/admission", operator.listens().await);
    let patch = json!([{"op": "replace", "path": "/webhooks/0/clientConfig/url", "value": url}]).to_string();
    kubectl(&file, &["patch", "validatingwebhookconfiguration", name, "--type=json", "-p", &patch], "")
        .await
        .done();
    // A taken code is refused once caBundle stands there and the API server has heard of both.
    let denied = "admission webhook \"objects.cocoasyncer.io\" denied the request: spec.nodeCode: node";
    let twin = format!("{name}-twin");
    wait("the API server asks", || async {
        let said = kubectl(&file, &["create", "--dry-run=server", "-f", "-"], &node(&twin, name)).await;
        said.err.contains(denied).then_some(())
    })
    .await;
    let apply = ["apply", "-n", name, "-f", "-"];
    kubectl(&file, &apply, &service("www", "www", json!({}), "Local")).await.done();
    wait("the name is taken", || async {
        let said = kubectl(&file, &apply, &service("twin", "www", json!({}), "Local")).await;
        said.err.contains("spec.record: www.admission.example.com is managed by").then_some(())
    })
    .await;
    let warned = kubectl(&file, &apply, &service("ali", "ali", json!({}), "Ali")).await;
    assert!(
        warned.code == 0 && warned.err.contains("Warning: spec.platformProvider: no Secret"),
        "{warned:?}"
    );
    clear(&operator).await;
}

async fn clear(operator: &Operator) {
    let Operator { kubeconfig, name, .. } = operator;
    for words in [
        ["delete", "validatingwebhookconfiguration", name, "--ignore-not-found", "--wait=false"],
        ["delete", "namespace", name, "--ignore-not-found", "--wait=false"],
        ["delete", "cocoanode", name, "--ignore-not-found", "--wait=false"],
    ] {
        kubectl(kubeconfig, &words, "").await;
    }
}

#[tokio::test]
async fn a_real_api_server_takes_the_policies_and_enforces_them() {
    let Some(file) = cluster() else { return };
    let name = &format!("policies-{}", std::process::id());
    prepare(&file, name).await;
    kubectl(&file, &["apply", "-f", "-"], &rendered()).await.done();
    let app = |allow: &str| {
        json!({"apiVersion": "cocoasyncer.io/v1alpha1", "kind": "App", "metadata": {"name": "shop"},
            "spec": {"appName": "redis", "appVersion": "7", "allow": [allow]}})
        .to_string()
    };
    let create = ["create", "--dry-run=server", "-n", name, "-f", "-"];
    wait("the policies are enforced", || async {
        let said = kubectl(&file, &create, &app("privileged")).await;
        said.err.contains("spec.allow: this namespace does not grant privileged").then_some(())
    })
    .await;
    let granted = [
        "annotate",
        "namespace",
        name,
        "cocoasyncer.io/allowed-rights=privileged",
        "cocoasyncer.io/ttl-floor=120",
        "cocoasyncer.io/zones=example.org",
    ];
    kubectl(&file, &granted, "").await.done();
    wait("the namespace grants it", || async {
        (kubectl(&file, &create, &app("privileged")).await.code == 0).then_some(())
    })
    .await;
    let said = kubectl(&file, &create, &service("a", "a", json!({}), "Local")).await;
    let words = [
        "admission.example.com is not one of this namespace",
        "spec.ttl: 60 is under this namespace's floor",
    ];
    assert!(words.iter().any(|words| said.err.contains(words)), "{said:?}");
    let bare = ["annotate", "namespace", name, "cocoasyncer.io/zones-", "cocoasyncer.io/ttl-floor-"];
    kubectl(&file, &bare, "").await.done();
    let adopt = json!({"cocoasyncer.io/adopt": "true"});
    wait("the administrator may adopt", || async {
        let said = kubectl(&file, &create, &service("a", "a", adopt.clone(), "Local")).await;
        (said.code == 0).then_some(())
    })
    .await;
    let (role, resource) = (
        ["create", "role", "writer", "-n", name, "--verb=get,create,patch,update"],
        "--resource=managedservices.cocoasyncer.io",
    );
    kubectl(&file, &[&role[..], &[resource]].concat(), "").await.done();
    kubectl(&file, &["create", "rolebinding", "writer", "-n", name, "--role=writer", "--user=jane"], "")
        .await
        .done();
    let as_jane = [&create[..], &["--as=jane"]].concat();
    wait("jane may write", || async {
        (kubectl(&file, &as_jane, &service("a", "a", json!({}), "Local")).await.code == 0).then_some(())
    })
    .await;
    let said = kubectl(&file, &as_jane, &service("a", "a", adopt, "Local")).await;
    assert!(said.err.contains("you need the verb adopt on managedservices"), "{said:?}");
    kubectl(&file, &["create", "-f", "-"], &node(name, name)).await.done();
    let said =
        kubectl(&file, &["apply", "--server-side", "--force-conflicts", "-f", "-"], &node(name, "other"))
            .await;
    assert!(said.err.contains("spec.nodeCode: peers know a node by it"), "{said:?}");
    for words in
        [["delete", "namespace", name, "--wait=false"], ["delete", "cocoanode", name, "--wait=false"]]
    {
        kubectl(&file, &words, "").await;
    }
    kubectl(&file, &["delete", "-f", "-"], &rendered()).await;
}
