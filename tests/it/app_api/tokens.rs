//! Tokens and their scopes; and that no secret stands where it must not.

use std::io::Write;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use cocoasyncer::http::app::state::AppApiSettings;
use serde_json::json;

use super::{EYE, HAND, PASSWORD, PLENTY, World, running, settings, tokens};

async fn guarded() -> World {
    World::with(AppApiSettings { auth: tokens(), always_200: true, ..settings() }, PLENTY).await
}

async fn with(world: &World, path: &str, token: &str) -> super::Answer {
    world.get_with(path, ("authorization", &format!("Bearer {token}"))).await
}

#[tokio::test]
async fn who_has_no_token_is_told_so_and_does_nothing() {
    let world = guarded().await;
    let version = world.version("redis");
    let install = format!("/AppInstall?app_name=redis&customer_app_name=a&app_version={version}");
    for path in [install.as_str(), "/AppList", "/v1/AppStatus?app_id=a", "/apps/a/logs", "/apps/catalog"] {
        let answer = world.get(path).await;
        assert_eq!((answer.status, answer.code().as_str()), (401, "Auth.Token.Missing"), "{path}");
        assert!(answer.headers["www-authenticate"].to_str().unwrap().starts_with("Bearer"));
        let answer = with(&world, path, "canary-wrong").await;
        assert_eq!((answer.status, answer.code().as_str()), (401, "Auth.Token.Wrong"), "{path}");
        assert!(answer.json()["ResponseData"].is_null() && !answer.text.contains("canary"));
    }
    let answer = with(&world, &install, EYE).await;
    assert_eq!((answer.status, answer.code().as_str()), (403, "Auth.Token.Scope"));
    assert!(world.apps().list(&Default::default()).await.unwrap().items.is_empty());
    with(&world, &install, HAND).await.done("a");
    for action in ["AppUninstall", "AppStart", "AppStop", "AppRestart"] {
        assert_eq!(with(&world, &format!("/{action}?app_id=a"), EYE).await.status, 403);
    }
    assert_eq!(with(&world, "/AppStatus?app_id=a", EYE).await.status, 200);
    assert_eq!(with(&world, "/apps/a/logs", EYE).await.status, 403);
    assert_eq!(with(&world, "/apps/catalog", EYE).await.status, 200);
}

#[tokio::test]
async fn a_reader_sees_that_there_is_a_password_and_an_operator_sees_it() {
    let world = guarded().await;
    let version = world.version("redis");
    let install = format!("/AppInstall?app_name=redis&customer_app_name=a&app_version={version}");
    with(&world, &install, HAND).await.done("a");
    world.report("a", running()).await;
    for path in ["/AppList", "/AppList?customer_app_name=a"] {
        for (token, expect) in [(HAND, PASSWORD), (EYE, "***"), (HAND, PASSWORD)] {
            let body = with(&world, path, token).await.json();
            assert_eq!(body["ResponseData"][0]["running_info"]["password"], expect, "{path}");
        }
    }
    let log = with(&world, "/apps/a/logs?service=web&lines=7", HAND).await;
    let line = json!({"service": "web", "line": "default/a 7 password=***"});
    assert_eq!(log.json(), json!({"ResponseData": [line]}));
    for (query, code) in [
        ("lines=0", "Parameter.Value.Error"),
        ("lines=many", "Parameter.Value.Error"),
        ("service=none", "SystemError"),
        ("app_id=b", "Parameter.Value.Error"),
    ] {
        assert_eq!(with(&world, &format!("/apps/a/logs?{query}"), HAND).await.code(), code, "{query}");
    }
    assert_eq!(with(&world, "/apps/ghost/logs", HAND).await.code(), "Param.APPID.NotExist");
}

#[tokio::test]
async fn behind_a_gateway_only_the_gateway_is_heard() {
    let world = World::new().await;
    let request =
        || http::Request::get("/AppList").header("x-forwarded-for", "127.0.0.1").body(Body::empty());
    let answer = world.ask_from("198.51.100.1:7", request().unwrap()).await;
    assert_eq!((answer.status, answer.code().as_str()), (403, "Auth.Caller.Wrong"));
    assert_eq!(world.ask_from("[::ffff:127.0.0.9]:7", request().unwrap()).await.status, 200);
}

#[derive(Clone, Default)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_secret_stands_in_an_error_or_in_the_log() {
    let page = Page::default();
    let writer = page.clone();
    let log = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .finish();
    let _guard = tracing::subscriber::set_default(log);
    let world = guarded().await;
    let version = world.version("redis");
    let mut said = String::new();
    let install = format!("/AppInstall?app_name=redis&customer_app_name=a&app_version={version}");
    said.push_str(&with(&world, &install, HAND).await.text);
    world.report("a", running()).await;
    for path in [
        &install,
        "/AppInstall?app_name=ghost&customer_app_name=a&app_version=1",
        "/AppStatus?app_id=a",
        "/AppStatus?app_id=ghost",
        "/AppStop?app_id=a",
        "/AppRestart?app_id=a",
        "/AppUninstall?app_id=a&delete_data=maybe",
        "/AppUninstall?app_id=a",
    ] {
        for token in [HAND, EYE, "canary-wrong"] {
            said.push_str(&with(&world, path, token).await.text);
        }
    }
    let log = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("asked for by the App API") && log.contains("by=\"hand\""), "{log}");
    assert!(!said.contains("canary"), "{said}");
    assert!(!log.contains("canary"), "{log}");
}
