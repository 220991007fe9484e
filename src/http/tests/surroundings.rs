//! Pages, badge, figures, description, operations port, and the server below them all.

use super::*;

#[tokio::test]
async fn pages_answer_any_method_and_both_languages() {
    let world = World::of(view("leader"));
    for path in ["/", "/v1", "/v1/"] {
        for method in ["GET", "POST", "PUT", "DELETE", "OPTIONS"] {
            let (status, _, body) =
                world.ask(Request::builder().method(method).uri(path).body(Body::empty()).unwrap()).await;
            assert_eq!(status, 200, "{method} {path}");
            assert!(body.contains("Shanghai"));
        }
    }
    let (_, headers, english) = world.get("/v1/status").await;
    assert!(headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap().starts_with("default-src 'none'"));
    assert!(english.contains("Public addresses") && english.contains("203.0.113.10"));
    assert!(
        english.contains("test.luckykeeper.site") && english.contains("default CT → Shanghai"),
        "{english}"
    );
    assert!(english.contains("http://tk.example:44443"), "an address without its user");
    let chinese = Request::get("/v1/status").header("accept-language", "zh-CN").body(Body::empty()).unwrap();
    assert!(world.ask(chinese).await.2.contains("公网地址"));
    assert!(!english.contains("<script") && english.contains("&#60;script&#62;"), "{english}");
}

#[tokio::test]
async fn the_badge_is_an_image_that_nobody_keeps() {
    let world = World::of(view("leader"));
    let (status, headers, body) = world.get("/v1/badge").await;
    assert_eq!(
        (status, headers[header::CONTENT_TYPE].to_str().unwrap()),
        (200, "image/svg+xml;charset=utf-8")
    );
    assert!(headers[header::CACHE_CONTROL].to_str().unwrap().contains("no-cache"));
    assert!(body.contains("Shanghai | 1/2"));
}

#[tokio::test]
async fn figures_are_true_to_the_view_that_holds_now() {
    let world = World::of(view("leader"));
    let text = world.get("/metrics").await.2;
    for (label, count) in [
        ("NodeNumber", 2),
        ("CocoaSyncerManagedService", 1),
        ("CocoaSyncerCloudPlatformInfo", 1),
        ("CocoaSyncerNodeOnlineCount", 1),
        ("CocoaSyncerNodeOfflineCount", 1),
    ] {
        assert!(
            text.contains(&format!("cocoaSyncerStatus{{cocoaSyncerStatus=\"{label}\"}} {count}")),
            "{text}"
        );
    }
    let mut next = view("leader");
    next.nodes.truncate(1);
    world.views.send(Arc::new(next)).unwrap();
    let text = world.get("/metrics").await.2;
    assert!(text.contains("cocoaSyncerStatus{cocoaSyncerStatus=\"NodeNumber\"} 1"));
    assert!(!text.contains("node=\"tk\""), "a node that is gone leaves no figure");
    assert!(world.get("/v1/badge").await.2.contains("Shanghai | 1/1"));
}

#[tokio::test]
async fn the_api_describes_itself() {
    let world = World::of(view("leader"));
    let (status, _, doc) = world.get("/v1/swagger/openapi.json").await;
    let doc: Value = serde_json::from_str(&doc).unwrap();
    assert_eq!(status, 200);
    for path in ["/v1", "/v1/badge", "/v1/status", "/metrics", INFO, UPDATE] {
        assert!(doc["paths"][path].is_object(), "{path}");
    }
    let node = &doc["components"]["schemas"]["NodeInfo"]["properties"];
    assert!(node["ISPs"].is_object() && node["watchDog"].is_object(), "{node:#}");
    let basic = &doc["components"]["schemas"]["CocoaBasic"]["properties"];
    assert!(basic["DataBaseType"].is_object() && basic["Dsn"].is_object(), "{basic:#}");
    let (status, _, page) = world.get("/v1/swagger/index.html").await;
    assert_eq!(status, 200);
    assert!(page.contains(INFO) && page.contains("otherCocoaSyncer") && !page.contains("<script"));
    assert!(!page.contains("src=") && !page.contains("//cdn"));
}

#[tokio::test]
async fn the_operations_port_says_who_is_missing_and_changes_the_log() {
    let (_layer, log) = crate::telemetry::tracing::filter("info").unwrap();
    let state = admin::AdminState {
        troubles: Arc::new(Vec::new),
        missing: Arc::new(|| vec!["dns".to_owned()]),
        replica: Arc::new(|| ("standby", Some("pod-a_1".to_owned()))),
        metrics: Arc::new(|| "m 1\n".to_owned()),
        log: Some(log),
    };
    let router = admin::router(state);
    let call = async |method: &str, path: &str, body: &'static str| {
        let request = Request::builder().method(method).uri(path).body(Body::from(body)).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        (
            status,
            String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap(),
        )
    };
    assert_eq!(call("GET", "/healthz", "").await, (200, "ok".into()));
    let (status, body) = call("GET", "/readyz", "").await;
    assert!(status == 503 && body.contains("dns"), "{body}");
    assert_eq!(call("GET", "/metrics", "").await, (200, "m 1\n".into()));
    assert_eq!(call("PUT", "/log-level", "debug").await, (200, "debug\n".into()));
    assert_eq!(call("PUT", "/log-level", "a=loud").await.0, 400);
    assert_eq!(call("PUT", "/log-level", " ").await.0, 400);
    assert_eq!(call("GET", "/log-level", "").await, (200, "debug\n".into()));
}

#[tokio::test]
async fn a_server_answers_bounds_heads_and_stops_in_order() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let world = World::of(view("leader"));
    let bound = server::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = bound.local_addr;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let limits = server::Limits { head_timeout: std::time::Duration::from_millis(200), ..Default::default() };
    let serving = tokio::spawn(bound.serve(world.router.clone(), HttpMetrics::default(), limits, async {
        let _ = stopped.await;
    }));
    // A head that never ends is cut off.
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut slow = tokio::net::TcpStream::connect(address).await.unwrap();
    slow.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nx-slow: ").await.unwrap();
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(std::time::Duration::from_secs(10), slow.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "a slow head is not waited for for ever");
    let text =
        reqwest::Client::new().post(format!("http://{address}{INFO}")).body(ask()).send().await.unwrap();
    assert!(text.text().await.unwrap().contains("MafuMafu~"));
    stop.send(()).unwrap();
    tokio::time::timeout(std::time::Duration::from_secs(10), serving).await.unwrap().unwrap();
    assert!(server::bind(address).await.is_ok(), "the port is free again");
}

#[tokio::test]
async fn a_panic_ends_one_request_and_not_the_server() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let faulty = async || -> String { panic!("canary") };
    let router = Router::new().route("/panic", get(faulty)).route("/fine", get(|| async { "fine" }));
    let bound = server::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let base = format!("http://{}", bound.local_addr);
    let metrics = HttpMetrics::default();
    let serving =
        tokio::spawn(bound.serve(router, metrics, server::Limits::default(), std::future::pending()));
    let client = reqwest::Client::new();
    let answer = client.get(format!("{base}/panic")).send().await.unwrap();
    assert_eq!(answer.status(), 500);
    let text = answer.text().await.unwrap();
    assert!(text.contains("\"statusCode\":500") && !text.contains("canary"), "{text}");
    assert_eq!(client.get(format!("{base}/fine")).send().await.unwrap().text().await.unwrap(), "fine");
    serving.abort();
}
