//! Against real servers on loopback: peers of both kinds, and peers that fail in every way.

use super::*;
use axum::Router;
use axum::response::Redirect;
use axum::routing::post;
use serde_json::Value;

const SAMPLE: &str = include_str!("../../tests/golden/source-sample.json");
const WAIT: Duration = Duration::from_secs(5);

fn client() -> PeerClient {
    // Another test may have been first; either way there is one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    PeerClient::new().unwrap()
}

async fn peer(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}/")
}

async fn answering(route: &str, status: u16, body: Value) -> String {
    let status = axum::http::StatusCode::from_u16(status).unwrap();
    let handler = move || async move { (status, axum::Json(body)) };
    peer(Router::new().route(route, post(handler))).await
}

fn secret() -> Secret {
    Secret::new("canary-secret")
}

#[tokio::test]
async fn a_peer_of_our_kind_tells_addresses_and_beats() {
    let body = serde_json::json!({"statusCode": 201, "statusString": "Mafu?", "cocoaBasic": {
    "nodeCode": "b", "operator": {"version": "1", "generation": 9},
    "otherCocoaSyncer": [
        {"nodeCode": "a", "watchDog": "2026-01-01T00:00:00Z"},
        {"nodeCode": "b", "watchDog": "2026-01-02T08:00:00+08:00", "operator": {"object": "b",
         "publicAddresses": {"A": ["203.0.113.1"], "AAAA": ["2001:db8::1"]}, "heartbeatSeconds": 2}}
    ]}});
    let base = answering(INFO, 200, body).await;
    let beat = client().beat(&base, &secret(), WAIT).await.unwrap();
    assert_eq!(
        (beat.status, beat.ours, beat.generation, beat.heartbeat_seconds),
        (201, true, Some(9), Some(2))
    );
    assert_eq!(beat.watch_dog.to_string(), "2026-01-02T00:00:00Z");
    assert_eq!(beat.addresses.len(), 2);
    assert_eq!(beat.node_code, "b");
}

#[tokio::test]
async fn an_old_peer_that_masks_its_code_is_found_by_its_address() {
    let base = answering(INFO, 200, serde_json::from_str(SAMPLE).unwrap()).await;
    let beat = client().beat(&base, &secret(), WAIT).await.unwrap();
    assert!(!beat.ours);
    assert_eq!(beat.watch_dog.to_string(), "2023-09-18T14:54:22.0765568Z", "port 44443 is the first entry");
    assert_eq!(beat.node_code, "");
    let (status, basic) = client().info(&base, &secret(), WAIT).await.unwrap();
    assert_eq!((status, basic.other_cocoa_syncer.len()), (200, 2));
}

#[tokio::test]
async fn failures_say_who_can_mend_them_and_never_the_secret() {
    let unauthorized = serde_json::json!({"statusCode": 401, "statusString": "", "cocoaBasic": {}});
    let no_self = serde_json::json!({"statusCode": 200, "cocoaBasic": {}});
    let away = Router::new().route(INFO, post(|| async { Redirect::temporary("http://127.0.0.1:1/") }));
    let html = Router::new().route(INFO, post(|| async { "<html>canary-secret" }));
    let hung = Router::new().route(INFO, post(std::future::pending::<String>));
    let huge = Router::new().route(INFO, post(|| async { vec![b' '; MAX_ANSWER + 1] }));
    let cases = [
        (answering(INFO, 200, unauthorized).await, Class::User, "refused the secret"),
        (answering(INFO, 200, no_self).await, Class::Transient, "does not name itself"),
        (answering("/other", 200, Value::Null).await, Class::User, "404"),
        (answering(INFO, 502, Value::Null).await, Class::Transient, "502"),
        (peer(away).await, Class::User, "redirects are not followed"),
        (peer(html).await, Class::User, "not a CocoaSyncer"),
        (peer(huge).await, Class::Transient, "more than"),
        ("http://user:canary-pass@127.0.0.1:1".into(), Class::Transient, "call /v1/getClusterInfo"),
        ("sh.example:44443".into(), Class::User, "nodeAddress"),
    ];
    for (base, class, part) in cases {
        let err = client().beat(&base, &secret(), WAIT).await.unwrap_err();
        assert_eq!(err.class(), class, "{err}");
        let mut text = format!("{err} {err:?}");
        let mut cause = std::error::Error::source(&err);
        while let Some(err) = cause {
            text += &format!(" {err}");
            cause = err.source();
        }
        assert!(text.contains(part), "{text}");
        assert!(!text.contains("canary"), "{text}");
    }
    let err = client().beat(&peer(hung).await, &secret(), Duration::from_millis(50)).await.unwrap_err();
    assert!(matches!(err, PeerError::Deadline { .. }) && err.class() == Class::Transient);
}

#[tokio::test]
async fn a_push_ends_in_an_outcome_or_an_error() {
    let push = async |status: u16, body: Value| {
        let base = answering(UPDATE, status, body).await;
        client().push(&base, &secret(), [b"{".as_slice().into(), b"}".as_slice().into()], WAIT).await
    };
    let json = |code: i32| serde_json::json!({"statusCode": code, "statusString": "Words"});
    assert_eq!(push(200, json(200)).await.unwrap(), PushOutcome::Taken);
    assert_eq!(push(200, json(405)).await.unwrap(), PushOutcome::Refused("Words".into()));
    let named = serde_json::json!({"statusCode": 405, "error": "cocoaBasic.x: wrong"});
    assert_eq!(push(200, named).await.unwrap(), PushOutcome::Refused("cocoaBasic.x: wrong".into()));
    let echo = serde_json::json!({"statusCode": 405, "error": "you said\n canary-secret"});
    assert_eq!(push(200, echo).await.unwrap(), PushOutcome::Refused("you said ***".into()), "a hostile peer");
    assert_eq!(push(200, json(401)).await.unwrap_err().class(), Class::User);
    assert!(push(413, json(413)).await.unwrap_err().to_string().contains("413"));
    assert_eq!(push(503, json(503)).await.unwrap_err().class(), Class::Transient);
}
