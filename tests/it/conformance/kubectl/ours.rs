//! Our own kinds in `kubectl`: short names, category, columns, words.

use serde_json::json;

use super::{Env, Kubectl, conform, rows};
use crate::support::install_crds;

#[tokio::test]
async fn our_kinds_are_at_hand() {
    conform(|env: Env| async move {
        install_crds(&env.client).await;
        let kubectl = Kubectl::new(&env).await;
        let all = kubectl.ok(&["api-resources", "--api-group=cocoasyncer.io", "--no-headers"]).await;
        for (plural, short) in [("cocoanodes", "cnode"), ("managedservices", "mservice"), ("apps", "capp")] {
            let line = all.lines().find(|line| line.starts_with(plural)).unwrap_or_else(|| panic!("{all}"));
            assert!(line.contains(short), "{line}");
        }
        let service = json!({
            "apiVersion": "cocoasyncer.io/v1alpha1", "kind": "ManagedService", "metadata": {"name": "blog"},
            "spec": {"serviceName": "Blog", "domain": "example.com", "record": "blog"},
        });
        kubectl.feed(&["apply", "-f", "-"], &service.to_string()).await;
        let status = json!({"status": {"fqdn": "blog.example.com", "lines": "default=n1", "conditions": [{
            "type": "Ready", "status": "True", "reason": "InSync", "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }]}});
        let status = status.to_string();
        kubectl
            .ok(&["patch", "mservice", "blog", "--subresource=status", "--type=merge", "-p", &status])
            .await;
        let table = rows(&kubectl.ok(&["get", "mservice"]).await);
        assert_eq!(table[0], ["NAME", "FQDN", "LINES", "READY", "AGE"]);
        assert_eq!(table[1][..4], ["blog", "blog.example.com", "default=n1", "True"]);
        let wide = rows(&kubectl.ok(&["get", "msvc", "-o", "wide"]).await);
        assert!(
            wide[0].contains(&"PROVIDER".to_owned()) && wide[1].contains(&"InSync".to_owned()),
            "{wide:?}"
        );
        kubectl.ok(&["wait", "--for=condition=Ready", "mservice/blog", "--timeout=60s"]).await;
        let cocoa = kubectl.ok(&["get", "cocoa", "-o", "name"]).await;
        assert!(cocoa.contains("managedservice.cocoasyncer.io/blog"), "{cocoa}");
        kubectl.ok(&["get", "cnode,mservice,capp"]).await;
        let described = kubectl.ok(&["describe", "mservice", "blog"]).await;
        assert!(described.contains("blog.example.com"), "{described}");
        let said =
            kubectl.run(&["patch", "mservice", "blog", "--type=merge", "-p", r#"{"spec":{"ttl":0}}"#]).await;
        assert!(said.code != 0 && said.err.contains("spec.ttl"), "{said:?}");
    })
    .await;
}

#[tokio::test]
async fn our_fields_explain_themselves() {
    conform(|env: Env| async move {
        install_crds(&env.client).await;
        let kubectl = Kubectl::new(&env).await;
        super::super::until("the schema is published", || async {
            (kubectl.run(&["explain", "mservice"]).await.code == 0).then_some(())
        })
        .await;
        let ttl = kubectl.ok(&["explain", "mservice.spec.ttl"]).await;
        assert!(ttl.contains("Seconds that resolvers may keep an answer"), "{ttl}");
        let node = kubectl.ok(&["explain", "cnode.spec", "--recursive"]).await;
        for field in ["nodeCode", "heartbeatSeconds", "addresses", "fixed"] {
            assert!(node.contains(field), "{field} in {node}");
        }
        let app = kubectl.ok(&["explain", "capp"]).await;
        assert!(app.contains("App"), "{app}");
    })
    .await;
}
