//! Templates and Apps that nobody should write: each is refused at once, in words that name the place, whichever way it
//! comes; nothing is pulled, made or chosen for it, and the process goes on.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use kube::api::DeleteParams;
use serde_json::json;

use crate::support::apps::Host;
use crate::support::engine::{TINY, lab};

/// Names of templates, their documents, and what the refusal says.
fn templates() -> Vec<(&'static str, String, &'static str)> {
    let service = |more: &str| format!("services:\n  web:\n    image: {TINY}\n    ports: ['80']\n{more}");
    let mut bomb = "x-a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
    for nth in 1..9 {
        let before = format!("*a{},", nth - 1).repeat(10);
        bomb += &format!("x-a{nth}: &a{nth} [{before}]\n");
    }
    vec![
        ("leaves", service("    volumes: ['./src/../../leaves2/.env:/x']\n"), "docker-compose.yml:5"),
        ("envfile", service("    env_file: ../../../../etc/passwd\n"), "docker-compose.yml:5"),
        ("linked", service("    volumes: ['./src/passwd:/x']\n"), "src/passwd"),
        ("bomb", bomb + &service(""), "docker-compose.yml"),
        ("largeenv", service(""), ".env"),
        (
            "url",
            "services:\n  web:\n    image: http://203.0.113.9/a:1\n    ports: ['80']\n".into(),
            "docker-compose.yml:3",
        ),
        ("root", service("    privileged: true\n"), "docker-compose.yml:5"),
        ("socket", service("    volumes: ['/var/run/docker.sock:/s']\n"), "docker-compose.yml:5"),
        ("nothing", "services: {}\n".into(), "docker-compose.yml"),
        ("broken", "services: [\n".into(), "docker-compose.yml"),
    ]
}

fn more(catalog: &Path) {
    fs::create_dir(catalog.join("linked/src")).unwrap();
    symlink("/etc/passwd", catalog.join("linked/src/passwd")).unwrap();
    fs::write(catalog.join("largeenv/.env"), "A=1\n".repeat(10 << 18)).unwrap();
}

/// Why an App can't be, where it can't.
async fn refused(host: &Host, namespace: &str, name: &str) -> Option<(String, String)> {
    let status = host.apps_in(namespace).await.get(name).await.ok()?.status?;
    let mut all = status.conditions.into_iter();
    let found = all.find(|condition| condition.type_ == "Valid" && condition.status == "False")?;
    Some((found.reason, found.message))
}

#[tokio::test]
async fn what_is_hostile_is_refused_by_its_place_and_leaves_no_trace() {
    let Some(lab) = lab(&[]).await else { return };
    let all = templates();
    let named: Vec<(&str, &str)> = all.iter().map(|(name, text, _)| (*name, text.as_str())).collect();
    let name = &lab.name();
    let host = Host::start_with(lab, &named, &[], more).await;
    for (app, _, place) in &all {
        let query = [("app_name", *app), ("customer_app_name", name.as_str()), ("app_version", "1")];
        let (status, answer) = host.call("AppInstall", &query).await;
        assert_eq!(
            (status, answer["Error"]["Code"].as_str()),
            (404, Some("Param.AppName.NotExis")),
            "{app}: {answer}"
        );
        assert!(answer["Error"]["Detail"].as_str().unwrap().contains(place), "{app}: {answer}");
        // The same by an object, which nobody can refuse before it is there.
        host.apply(name, json!({ "appName": app, "appVersion": "1" })).await;
        let (reason, words) =
            host.wait("it is refused", async || refused(&host, "default", name).await).await;
        assert!(matches!(reason.as_str(), "TemplateRefused" | "RightsRefused"), "{app}: {reason}");
        assert!(words.contains(place) && !words.contains("root:x"), "{app}: {words}");
        assert_eq!(host.status(name).await.as_deref(), Some("error"));
        assert_eq!(host.lab.things(name).await, Vec::<String>::new(), "{app}");
        assert_eq!(host.secrets(name).await, Vec::<String>::new(), "{app}");
        host.delete(name).await;
        host.gone(name).await;
        host.left_nothing(name).await;
    }
    for app in ["../pair", "pair/../pair", "%2e%2e%2fpair", "/etc"] {
        let query = [("app_name", app), ("customer_app_name", name), ("app_version", "1")];
        let (status, answer) = host.call("AppInstall", &query).await;
        assert_eq!(
            (status, answer["Error"]["Code"].as_str()),
            (404, Some("Param.AppName.NotExis")),
            "{answer}"
        );
        match host.apply_in("default", name, json!({ "appName": app, "appVersion": "1" })).await {
            Err(why) => assert!(why.to_string().contains("appName"), "{why}"),
            Ok(()) => {
                let (reason, words) =
                    host.wait("it is refused", async || refused(&host, "default", name).await).await;
                assert!(reason == "AppUnknown" && words.contains("appName"), "{reason}: {words}");
                host.delete(name).await;
                host.gone(name).await;
            }
        }
    }
    let spec = json!({ "appName": "pair", "appVersion": "1" });
    for long in ["x".repeat(64), "9".repeat(63), "Blog".into(), "a-b".into()] {
        match host.apply_in("default", &long, spec.clone()).await {
            Err(why) => assert!(why.to_string().contains("name"), "{long}: {why}"),
            // A letter goes before a digit, and then it is too long.
            Ok(()) => {
                let (_, words) =
                    host.wait("it is refused", async || refused(&host, "default", &long).await).await;
                assert!(words.contains("metadata.name"), "{long}: {words}");
                host.delete(&long).await;
            }
        }
    }
    // One name, two namespaces: the older one is the App that everybody knows.
    host.install("pair", "1", name).await;
    host.runs(name).await;
    let before = host.standing(name).await;
    let team = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team"}});
    host.site.apply(team).await.unwrap();
    host.apply_in("team", name, spec).await.unwrap();
    let (reason, words) =
        host.wait("the younger one is refused", async || refused(&host, "team", name).await).await;
    assert!(reason == "NameRepeated" && words.contains(&format!("default/{name}")), "{reason}: {words}");
    let apps = host.apps_in("team").await;
    apps.delete(name, &DeleteParams::default()).await.unwrap();
    host.wait("it is gone", async || apps.get_opt(name).await.unwrap().is_none().then_some(())).await;
    assert_eq!(host.standing(name).await, before, "the other's end touches nothing");
    host.uninstalls(name, &[]).await;
    host.left_nothing(name).await;
}
