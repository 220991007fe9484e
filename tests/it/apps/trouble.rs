//! What goes wrong is said, stays said until it is mended, and tells no secret.

use cocoasyncer::domain::app::observed::{Capacity, Wellness};
use cocoasyncer::domain::retry::Class;
use cocoasyncer::runtimes::Kind;
use cocoasyncer::runtimes::memory::Script;

use super::*;

#[tokio::test]
async fn failures_have_their_reasons_and_end_by_themselves() {
    let apps = Apps::new().await;
    let table = [
        ("pull", Kind::Credentials, "RegistryCredentials"),
        ("pull", Kind::RegistryUnreachable, "RegistryUnreachable"),
        ("volume", Kind::NoSpace, "NoSpace"),
        ("create web", Kind::NameTaken, "NameTaken"),
        ("start web", Kind::Refused, "RuntimeFailed"),
        ("observe", Kind::Unreachable, "RuntimeUnreachable"),
        ("pull", Kind::Rights, "NotPermitted"),
    ];
    for (at, (of, kind, reason)) in table.into_iter().enumerate() {
        apps.runtime.fail(of, kind, Class::Transient, usize::MAX);
        let name = format!("app{at}");
        apps.create("default", &name, json!({"appName": "web", "appVersion": format!("{}", at % 3 + 1)}))
            .await;
        // An image that is there is not pulled again: then there is nothing to fail.
        let there = of == "pull" && apps.runtime.images().contains(&format!("web:{}", at % 3 + 1));
        if !there {
            let message = apps.condition(&name, "Ready", reason).await;
            assert!(message.contains("told to fail"), "{message}");
            assert_eq!(apps.status(&name).await.status_code, "50");
        }
        apps.runtime.mend();
        apps.comes_to(&name, "running").await;
    }
}

#[tokio::test]
async fn what_cannot_be_is_refused_at_once() {
    let apps = Apps::new().await;
    let check = async |name: &str, spec: Value, kind: &str, reason: &str, part: &str| {
        apps.create("default", name, spec).await;
        let message = apps.condition(name, kind, reason).await;
        assert!(message.contains(part), "{reason}: {message}");
        assert_eq!(apps.status(name).await.status, "error");
    };
    check("a", json!({"appName": "nope", "appVersion": "1"}), "Valid", "AppUnknown", "spec.appName").await;
    check("b", json!({"appName": "web", "appVersion": "9"}), "Valid", "VersionUnknown", "3, 2, 1").await;
    check("c", json!({"appName": "root", "appVersion": "1"}), "Valid", "RightsRefused", "docker-compose.yml")
        .await;
    let spec = json!({"appName": "web", "appVersion": "1", "runtime": "Kubernetes"});
    check("d", spec, "Valid", "RuntimeUnknown", "spec.runtime").await;
    let reference = json!({"name": "none", "key": "k"});
    let spec =
        json!({"appName": "web", "appVersion": "1", "secretVariables": {"W9_POWER_PASSWORD": reference}});
    check("e", spec, "Ready", "SecretMissing", "default/none").await;
    apps.runtime.has(Capacity { cores: 1.0, memory: 0.5, disk: 2.5 });
    let spec = json!({"appName": "web", "appVersion": "1"});
    check("f", spec, "Ready", "NotEnoughResources", "GiB of memory").await;
    assert_eq!(apps.runtime.steps(), Vec::<String>::new(), "nothing was pulled or made");
    assert!(apps.secret("app-c").await.is_none(), "nor chosen");
    apps.runtime.has(Capacity { cores: 8.0, memory: 64.0, disk: 64.0 });
    apps.edit("f", json!({"keepVersions": 2})).await;
    apps.comes_to("f", "running").await;
}

#[tokio::test]
async fn a_crash_loop_is_an_error_with_its_last_words_and_no_secret() {
    let apps = Apps::new().await;
    apps.runtime.hold("start");
    apps.install("blog", "web").await;
    until("it is about to start", || async {
        apps.runtime.steps().iter().any(|step| step.contains("start")).then_some(())
    })
    .await;
    let password = apps.password("blog").await;
    let says = Some(format!("cannot log in with {password}"));
    apps.runtime.script("web:1", Script { exits: Some(3), says, ..Script::default() });
    apps.runtime.release("start");
    apps.holds("blog", "ended again and again", |status| {
        let again = status.services.iter().any(|service| 2 <= service.restarts);
        status.status == "error" && again && words(status).contains("CrashLoop")
    })
    .await;
    let message = apps.condition("blog", "Ready", "CrashLoop").await;
    assert!(message.contains("cannot log in with ***"), "{message}");
    assert!(!words(&apps.status("blog").await).contains(&password));
    apps.runtime.script("web:1", Script::default());
    until("it was started again", || async {
        let containers = apps.runtime.containers(&key("default", "blog"));
        (containers["web"].exit.is_none()).then_some(())
    })
    .await;
    // It counts as running when it has stayed up for a while, and not before.
    apps.pass(60);
    apps.runtime.tell(&key("default", "blog"));
    apps.comes_to("blog", "running").await;
}

#[tokio::test]
async fn an_application_that_does_not_answer_is_not_running() {
    let apps = Apps::new().await;
    apps.runtime.script("web:1", Script { silent: true, ..Script::default() });
    apps.install("blog", "web").await;
    let status = apps.comes_to("blog", "initing").await;
    assert_eq!(status.status_code, "12");
    apps.pass(601);
    apps.condition("blog", "Ready", "NotAnswering").await;
    apps.runtime.script("web:1", Script::default());
    apps.comes_to("blog", "running").await;
    apps.runtime.change(&key("default", "blog"), "web", |container| {
        container.health = Some(Wellness::Unhealthy);
    });
    apps.condition("blog", "Ready", "Unhealthy").await;
}

#[tokio::test]
async fn a_port_that_was_taken_meanwhile_is_chosen_anew() {
    let apps = Apps::new().await;
    apps.runtime.hold("start");
    apps.install("blog", "web").await;
    until("it is about to start", || async {
        apps.runtime.steps().iter().any(|step| step.contains("start")).then_some(())
    })
    .await;
    apps.runtime.occupy(9001, cocoasyncer::domain::app::workload::Protocol::Tcp);
    apps.runtime.release("start");
    let status = apps.comes_to("blog", "running").await;
    assert_eq!(ports(&status), [9002].into());
}

#[tokio::test]
async fn a_secret_that_changes_is_used_at_once() {
    let apps = Apps::new().await;
    let secrets = Api::<Secret>::namespaced(apps.client.clone(), "default");
    let write = async |name: &str, data: Value| {
        let secret =
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data});
        let params = PatchParams::apply("test").force();
        secrets.patch(name, &params, &Patch::Apply(secret)).await.unwrap();
    };
    let login = |password: &str| {
        let auths = json!({"auths": {"registry.example": {"username": "u", "password": password}}});
        json!({ ".dockerconfigjson": auths.to_string() })
    };
    write("word", json!({"k": "first-word-of-all"})).await;
    write("login", login("wrong")).await;
    apps.runtime.fail("pull", Kind::Credentials, Class::User, usize::MAX);
    let reference = json!({"name": "word", "key": "k"});
    let spec = json!({
        "appName": "web", "appVersion": "1",
        "secretVariables": {"W9_POWER_PASSWORD": reference}, "pullSecretRef": {"name": "login"},
    });
    apps.create("default", "blog", spec).await;
    // What only its user can mend is not tried again for minutes, but for a change.
    apps.condition("blog", "Ready", "RegistryCredentials").await;
    apps.runtime.mend();
    write("login", login("right")).await;
    apps.holds("blog", "stands", |status| status.revision == Some(1) && status.status == "running").await;
    assert_eq!(apps.took("create"), 1);
    write("word", json!({"k": "another-word-then"})).await;
    until("it is made with the new word", || async { (apps.took("create") == 2).then_some(()) }).await;
    apps.comes_to("blog", "running").await;
}

#[tokio::test]
async fn a_status_that_could_not_be_written_is_written_soon() {
    let apps = Apps::new().await;
    apps.install("blog", "web").await;
    apps.holds("blog", "stands", |status| status.revision == Some(1) && status.status == "running").await;
    apps.refuses.store(true, Ordering::SeqCst);
    apps.edit("blog", json!({"power": "Stopped"})).await;
    until("it is stopped", || async {
        apps.runtime.containers(&key("default", "blog"))["web"].exit.map(drop)
    })
    .await;
    apps.looked_at("blog").await;
    assert_eq!(apps.status("blog").await.status, "running");
    apps.refuses.store(false, Ordering::SeqCst);
    apps.comes_to("blog", "stopped").await;
}
