//! `kubectl cocoa` through the real kubectl: found on PATH by its name, by kubectl's own kubeconfig.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use cocoasyncer::controlplane::ControlPlane;
use serde_json::json;

use crate::conformance::kubectl::binary;
use crate::support::objects::service;
use crate::support::process::{PROGRAM, Site, wait};
use crate::support::ran::{Ran, run};

const COMPLETER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/kubectl_complete-cocoa");

/// A person's home with the plugin on PATH.
struct Person {
    home: tempfile::TempDir,
    kubeconfig: PathBuf,
}

impl Person {
    fn new(kubeconfig: PathBuf) -> Person {
        let home = tempfile::tempdir().unwrap();
        let bin = home.path().join("bin");
        fs::create_dir(&bin).unwrap();
        symlink(PROGRAM, bin.join("kubectl-cocoa")).unwrap();
        symlink(COMPLETER, bin.join("kubectl_complete-cocoa")).unwrap();
        symlink(binary(), bin.join("kubectl")).unwrap();
        Person { home, kubeconfig }
    }

    async fn kubectl(&self, words: &[&str]) -> Ran {
        let mut command = Command::new(self.home.path().join("bin/kubectl"));
        let path = format!("{}:/usr/bin:/bin", self.home.path().join("bin").display());
        command
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.home.path())
            .env("KUBECONFIG", &self.kubeconfig);
        command.args(words);
        run(command, "").await
    }

    /// A kubeconfig of his own, made from the other by `change`.
    fn changed(self, change: impl Fn(String) -> String) -> Person {
        let text = change(fs::read_to_string(&self.kubeconfig).unwrap());
        let kubeconfig = self.home.path().join("kubeconfig");
        fs::write(&kubeconfig, text).unwrap();
        Person { kubeconfig, ..self }
    }
}

#[tokio::test]
async fn a_site_is_seen_drained_and_brought_back_by_kubectl() {
    let site = Site::leader("shanghai", &[]).await;
    let person = Person::new(site.kubeconfig());
    let listed = person.kubectl(&["plugin", "list"]).await.done();
    assert!(listed.contains("kubectl-cocoa"), "{listed}");
    let told = wait("the site lives", || async {
        let told = person.kubectl(&["cocoa", "status"]).await.done();
        told.contains("1 of 1 nodes live").then_some(told)
    })
    .await;
    assert!(told.contains("shanghai"), "{told}");
    person.kubectl(&["cocoa", "drain", "shanghai", "--for", "2h", "--reason", "new router"]).await.done();
    let json = person.kubectl(&["cocoa", "status", "-o", "json"]).await.json();
    assert_eq!(json["nodes"][0]["state"], "drained");
    person.kubectl(&["cocoa", "undrain", "shanghai"]).await.done();
    person.kubectl(&["cocoa", "pin", "shanghai", "--lines", "CU"]).await.done();
    person.kubectl(&["cocoa", "unpin", "shanghai"]).await.done();
    person.kubectl(&["cocoa", "plan"]).await.done();
    person.kubectl(&["cocoa", "simulate", "--lose", "shanghai"]).await.done();
    person.kubectl(&["cocoa", "app", "list"]).await.done();
    person
        .kubectl(&["cocoa", "drain", "nobody"])
        .await
        .refused(3, &["there is no CocoaNode nobody", "shanghai"]);
    resolves(&site, &person).await;
    let help = person.kubectl(&["cocoa", "--help"]).await.done();
    assert!(help.contains("Usage: kubectl cocoa"), "{help}");
}

/// The cluster's own DNS Service is asked, once it has an address.
async fn resolves(site: &Site, person: &Person) {
    let ask = ["cocoa", "resolve", "www.example.com"];
    person.kubectl(&ask).await.refused(3, &["there is no DNS Service", "--server"]);
    site.apply(service("www")).await.unwrap();
    site.answers("www.example.com", "192.0.2.0/26", "203.0.113.1").await;
    let mut dns = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "name": "cocoasyncer-dns", "namespace": "default", "labels": {"app.kubernetes.io/name": "cocoasyncer"},
        },
        "spec": {"ports": [{"name": "dns-udp", "port": site.at.dns.port(), "protocol": "UDP"}]},
    });
    site.apply(dns.clone()).await.unwrap();
    person.kubectl(&ask).await.refused(1, &["default/cocoasyncer-dns has no address outside", "--server"]);
    dns["spec"]["externalIPs"] = json!([site.at.dns.ip()]);
    site.apply(dns).await.unwrap();
    let told = person.kubectl(&ask).await.done();
    assert!(told.contains("203.0.113.1"), "{told}");
}

#[tokio::test]
async fn kubectl_completes_commands_flags_and_nodes() {
    let site = Site::leader("shanghai", &[]).await;
    let person = Person::new(site.kubeconfig());
    for (words, candidate) in
        [(&["dr"][..], "drain"), (&["status", "--conte"], "--context"), (&["drain", "sh"], "shanghai")]
    {
        let said = person.kubectl(&[&["__complete", "cocoa"], words].concat()).await.done();
        assert!(said.lines().any(|line| line == candidate), "{words:?}: {said}");
    }
}

#[tokio::test]
async fn what_is_missing_is_told_with_what_to_do() {
    let plane = ControlPlane::in_memory().await.unwrap();
    let bound = plane.bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = bound.local_addr();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("kubeconfig");
    bound.write_kubeconfig(&file).unwrap();
    let serving = tokio::spawn(bound.serve(std::future::pending()));
    let person = Person::new(file.clone());
    let said = &["does not know the kind of CocoaNode", "is it installed there"];
    person.kubectl(&["cocoa", "status"]).await.refused(1, said);
    let contexts = &["--context", "the kubeconfig has the contexts: cocoasyncer"];
    person.kubectl(&["cocoa", "status", "--context", "prod"]).await.refused(2, contexts);
    let stranger = Person::new(file.clone()).changed(|text| text.replace("token: ", "token: x"));
    stranger.kubectl(&["cocoa", "status"]).await.refused(1, &["does not know who you are"]);
    let nobody = Person::new(Path::new("/nonexistent/kubeconfig").to_owned());
    nobody.kubectl(&["cocoa", "status"]).await.refused(2, &["--kubeconfig", "set KUBECONFIG"]);
    serving.abort();
    let _ = serving.await;
    drop(plane);
    let gone = &["no API server answers at", &address.to_string(), "kubectl config current-context"];
    person.kubectl(&["cocoa", "status"]).await.refused(5, gone);
}

#[tokio::test]
async fn the_krew_manifest_is_filled_for_a_release_and_refuses_a_missing_checksum() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let dir = tempfile::tempdir().unwrap();
    let sums = dir.path().join("sums");
    let row = |arch: &str, digit: &str| {
        format!("{}  cocoasyncer-{}-linux-{arch}.tar.gz\n", digit.repeat(64), env!("CARGO_PKG_VERSION"))
    };
    fs::write(&sums, row("amd64", "a") + &row("arm64", "b")).unwrap();
    let krew = |release: &str| {
        let mut command = Command::new(root.join("scripts/krew.sh"));
        command.args(["https://example.com/cocoasyncer", release]).arg(&sums);
        command
    };
    let text = run(krew("https://example.com/v1/"), "").await.done();
    assert!(!text.contains('@'), "{text}");
    let read: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
    let platforms = read["spec"]["platforms"].as_array().unwrap();
    assert_eq!(platforms.len(), 2);
    for (platform, digit) in platforms.iter().zip(["a", "b"]) {
        assert_eq!(platform["sha256"], digit.repeat(64));
        assert_eq!(platform["bin"], "kubectl-cocoa");
        assert_eq!(platform["files"][0]["to"], "kubectl-cocoa");
        assert!(platform["uri"].as_str().unwrap().starts_with("https://example.com/v1/cocoasyncer-"));
    }
    assert_eq!(read["spec"]["version"], format!("v{}", env!("CARGO_PKG_VERSION")));
    run(krew("http://example.com"), "").await.refused(2, &["does not begin with https://"]);
    fs::write(&sums, row("amd64", "a")).unwrap();
    run(krew("https://example.com"), "").await.refused(1, &["no checksum of", "arm64"]);
}
