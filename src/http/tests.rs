//! The contract's tables, row by row, through the router; and what no answer may ever hold.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Mutex;

use super::push::tests::{Recorded, recording};
use super::server::Caller;
use super::state::Settings;
use super::*;
use crate::api::node::CocoaNodeSpec;
use crate::api::service::ManagedServiceSpec;
use crate::api::vocab::{Family, Line, PlatformProvider};
use crate::domain::liveness::{Life, Pulse};
use crate::domain::names::ObjectId;
use crate::domain::secret::Secret;
use crate::domain::view::{AccountView, ClusterView, NodeView, ServiceView};
use crate::telemetry::metrics::http::HttpMetrics;
use axum::body::Body;
use http::{Request, header};
use http_body_util::BodyExt;
use jiff::Timestamp;
use prometheus::Registry;
use proptest::prelude::{ProptestConfig, prop, proptest};
use serde_json::{Value, json};
use tokio::sync::watch;
use tower::ServiceExt;

const SECRET: &str = "canary-own-secret";

fn node(object: &str, name: &str, code: &str, mode: &str, lines: &[Line], life: Life) -> NodeView {
    let spec: CocoaNodeSpec = serde_json::from_value(json!({
        "nodeName": name, "nodeCode": code, "nodeAddress": format!("http://user:canary-pass@{object}.example:44443"),
        "workMode": mode, "isps": lines, "secretRef": {"name": "canary-ref"}
    }))
    .unwrap();
    let dog: Timestamp = "2023-09-18T14:54:22.0765568Z".parse().unwrap();
    let pulse = Pulse { life, watch_dog: Some(dog), ..Pulse::unseen(dog) };
    NodeView {
        object: object.into(),
        spec,
        secret: Secret::new(if object == "sh" { SECRET } else { "canary-peer-secret" }),
        pulse,
        addresses: BTreeMap::from([(Family::V4, ["203.0.113.10".parse().unwrap()].into())]),
        serving: lines.iter().map(|line| (*line, object == "tk")).collect(),
    }
}

fn view(mode: &str) -> ClusterView {
    let spec: ManagedServiceSpec = serde_json::from_value(json!({
        "serviceName": "测试", "domain": "luckykeeper.site", "record": "test", "platformProvider": "Ali"
    }))
    .unwrap();
    ClusterView {
        me: "sh".into(),
        api_port: 44443,
        reverse_proxy: true,
        created_at: "2023-09-07T07:52:46Z".parse().unwrap(),
        updated_at: "2023-09-18T14:54:22Z".parse().unwrap(),
        generation: 7,
        owner: None,
        nodes: vec![
            node("sh", "Shanghai", "canary-code-1", mode, &[Line::Default, Line::CT], Life::Alive),
            node("tk", "<script>\"东京\"", "canary-code-2", "follower", &[], Life::Lost),
        ],
        lines: Vec::new(),
        services: Arc::new(vec![ServiceView {
            id: ObjectId { namespace: "default".into(), name: "test".into() },
            spec,
            release: None,
            adopt: false,
            lines: "default,CT=sh CU=tk+".into(),
            ready: Some((true, "AsWished".into())),
        }]),
        accounts: vec![AccountView {
            id: ObjectId { namespace: "cocoasyncer-system".into(), name: "ali".into() },
            provider: PlatformProvider::Ali,
            access_key: Secret::new("canary-access-key"),
            access_secret: Secret::new("canary-access-secret"),
            data: BTreeMap::new(),
        }],
    }
}

struct World {
    router: Router,
    state: Arc<ApiState>,
    views: watch::Sender<Arc<ClusterView>>,
    recorded: Arc<Mutex<Recorded>>,
}

impl World {
    fn of(view: ClusterView) -> Self {
        let (views, receiver) = watch::channel(Arc::new(view));
        let recorded = Arc::new(Mutex::new(Recorded::default()));
        let (registry, http) = (Registry::new(), HttpMetrics::default());
        http.register(&registry).unwrap();
        let settings =
            Settings { reveal_to: vec!["192.0.2.0/24".parse().unwrap()], owner: None, scope: Arc::default() };
        let state = ApiState::new(receiver, recording(recorded.clone()), registry, &http, settings).unwrap();
        Self { router: router(state.clone()), state, views, recorded }
    }

    async fn ask(&self, request: Request<Body>) -> (u16, http::HeaderMap, String) {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        (parts.status.as_u16(), parts.headers, String::from_utf8(bytes.to_vec()).unwrap())
    }

    async fn get(&self, path: &str) -> (u16, http::HeaderMap, String) {
        self.ask(Request::get(path).body(Body::empty()).unwrap()).await
    }

    async fn post(&self, path: &str, body: impl Into<Body>) -> (u16, Value) {
        let (status, _, text) = self.ask(Request::post(path).body(body.into()).unwrap()).await;
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }
}

fn ask() -> String {
    json!({"cocoaSecret": SECRET}).to_string()
}

const INFO: &str = "/v1/getClusterInfo";
const UPDATE: &str = "/v1/updateClusterInfo";

mod surroundings;

#[tokio::test]
async fn get_cluster_info_answers_as_the_table_says() {
    let leader = World::of(view("leader"));
    let (status, body) = leader.post(INFO, ask()).await;
    let golden: Value = serde_json::from_str(include_str!("../../tests/golden/leader-info.json")).unwrap();
    assert_eq!((status, &body), (200, &golden), "{body:#}");

    let follower = World::of(view("follower"));
    assert_eq!(follower.post(INFO, ask()).await.1["statusCode"], 200);
    let mut alone = view("follower");
    alone.nodes.truncate(1);
    let (status, body) = World::of(alone).post(INFO, ask()).await;
    assert_eq!((status, &body["statusCode"], &body["statusString"]), (200, &json!(201), &json!("Mafu?")));
    assert_eq!(body["cocoaBasic"]["otherCocoaSyncer"][0]["nodeCode"], "canary-code-1");

    let unauthorized: Value =
        serde_json::from_str(include_str!("../../tests/golden/unauthorized.json")).unwrap();
    for wrong in
        [r#"{"cocoaSecret": "wrong"}"#, "{}", "", "{\"cocoaSecret\": null}", "{\"cocoaSecret\": [1]}"]
    {
        assert_eq!(leader.post(INFO, wrong).await, (200, unauthorized.clone()), "{wrong}");
    }
    let mut nameless = view("leader");
    nameless.nodes[0].secret = Secret::default();
    let (_, body) = World::of(nameless).post(INFO, r#"{"cocoaSecret": ""}"#).await;
    assert_eq!(body, unauthorized, "without a secret nobody is admitted");
}

#[tokio::test]
async fn credentials_are_seen_by_whom_the_configuration_names() {
    let world = World::of(view("leader"));
    let from = |address: &str| {
        let caller = Caller(address.parse::<SocketAddr>().unwrap());
        Request::post(INFO).extension(caller).body(Body::from(ask())).unwrap()
    };
    let (_, _, masked) = world.ask(from("198.51.100.1:9")).await;
    assert!(!masked.contains("canary-access") && !masked.contains("secret\":\"canary"), "{masked}");
    let (_, _, clear) = world.ask(from("[::ffff:192.0.2.7]:9")).await;
    assert!(clear.contains("canary-access-secret") && clear.contains("canary-peer-secret"));
    assert!(!clear.contains("canary-ref"), "where a secret lies is nobody's business");
}

#[tokio::test]
async fn a_beat_tells_of_this_node_alone() {
    let (_, body) = World::of(view("leader"))
        .post(INFO, json!({"cocoaSecret": SECRET, "beatOnly": true}).to_string())
        .await;
    let basic = &body["cocoaBasic"];
    assert_eq!(basic["otherCocoaSyncer"].as_array().unwrap().len(), 1);
    assert_eq!(basic["cocoaManagedService"], json!([]));
    assert_eq!(basic["operator"]["generation"], 7);
    let own = &basic["otherCocoaSyncer"][0];
    assert_eq!(own["operator"]["publicAddresses"], json!({"A": ["203.0.113.10"]}));
    assert_eq!(own["operator"]["heartbeatSeconds"], 2);
}

#[tokio::test]
async fn update_cluster_info_answers_as_the_table_says() {
    let not_allowed: Value =
        serde_json::from_str(include_str!("../../tests/golden/not-allowed.json")).unwrap();
    let leader = World::of(view("leader"));
    for body in ["{}", "not json", &ask()] {
        assert_eq!(leader.post(UPDATE, body.to_owned()).await, (200, not_allowed.clone()), "{body}");
    }
    let follower = World::of(view("follower"));
    let (status, body) = follower.post(UPDATE, r#"{"cocoaSecret": "x"}"#).await;
    assert_eq!((status, &body["statusCode"]), (200, &json!(401)));
    let (status, body) = follower
        .post(UPDATE, json!({"cocoaSecret": SECRET, "cocoaBasic": {"timeout": "ten"}}).to_string())
        .await;
    assert_eq!((status, &body["statusCode"]), (200, &json!(405)));
    assert!(body["error"].as_str().unwrap().starts_with("cocoaBasic.timeout: "), "{body}");
    assert!(follower.recorded.lock().unwrap().calls.is_empty(), "nothing was even read");

    let own = json!({"apiVersion": "cocoasyncer.io/v1alpha1", "kind": "CocoaNode", "metadata": {"name": "sh"},
        "spec": {"nodeName": "b", "nodeCode": "b", "nodeAddress": "http://b.example", "workMode": "follower"}});
    follower.recorded.lock().unwrap().nodes.push(own);
    let push = json!({"cocoaSecret": SECRET, "cocoaBasic": {"otherCocoaSyncer": [{"nodeName": "B", "nodeCode": "b",
        "nodeAddress": "http://b.example", "workMode": "follower", "ISPs": ["default"]}]}});
    let (status, body) = follower.post(UPDATE, push.to_string()).await;
    assert_eq!((status, body), (200, json!({"statusCode": 200, "statusString": "MafuMafu~"})));
    let calls = follower.recorded.lock().unwrap().calls.join("\n");
    assert!(calls.contains("PATCH /apis/cocoasyncer.io/v1alpha1/cocoanodes/sh?"), "{calls}");
}

#[tokio::test]
async fn what_is_no_call_of_the_api_gets_https_own_status_in_the_envelope() {
    let world = World::of(view("follower"));
    for path in [INFO, UPDATE] {
        let (status, body) = world.post(path, "{\"cocoaSecret\": canary}").await;
        assert_eq!((status, &body["statusCode"]), (400, &json!(400)));
        assert_eq!(body["error"], "body: is not JSON (line 1, column 17)");
        assert_eq!(world.post(path, "[1]").await.0, 400);
        let (status, body) = world.post(path, vec![b' '; (1 << 20) + 1]).await;
        assert_eq!((status, &body["statusCode"]), (413, &json!(413)));
        let chunks = futures::stream::iter((0..20).map(|_| Ok::<_, std::io::Error>(vec![b' '; 1 << 16])));
        assert_eq!(
            world.post(path, Body::from_stream(chunks)).await.0,
            413,
            "whatever the length that is told"
        );
    }
    let (status, headers, body) = world.get("/v2/none").await;
    assert_eq!(
        (status, headers[header::CONTENT_TYPE].to_str().unwrap()),
        (404, "application/json; charset=utf-8")
    );
    assert!(body.contains("\"statusCode\":404"));
    let (status, headers, body) = world.get(INFO).await;
    assert_eq!((status, headers.get(header::ALLOW).map(|v| v.to_str().unwrap())), (405, Some("POST")));
    assert!(body.contains("\"statusCode\":405"));
}

#[tokio::test]
async fn an_answer_is_rendered_once_a_view() {
    let world = World::of(view("leader"));
    let once = world.state.snapshot();
    let first = once.info(crate::wire::render::Reveal::Masked, crate::wire::render::Scope::Full).1;
    world.post(INFO, ask()).await;
    let again = world.state.snapshot();
    assert!(Arc::ptr_eq(&once, &again));
    let second = again.info(crate::wire::render::Reveal::Masked, crate::wire::render::Scope::Full).1;
    assert_eq!(first.as_ptr(), second.as_ptr(), "the same bytes, not equal ones");
}

#[tokio::test]
async fn no_secret_and_no_code_reaches_what_anybody_may_read() {
    let world = World::of(view("leader"));
    let all = [
        "/",
        "/v1/status",
        "/v1/badge",
        "/metrics",
        "/v1/swagger/index.html",
        "/v1/swagger/openapi.json",
        "/x",
    ];
    for path in all {
        let (_, headers, body) = world.get(path).await;
        assert!(!format!("{headers:?}{body}").contains("canary"), "{path}: {body}");
    }
    let (_, masked) = world.post(INFO, ask()).await;
    let text = masked.to_string();
    // Codes and addresses are what getClusterInfo is for; secrets are not.
    for secret in [
        SECRET,
        "canary-peer-secret",
        "canary-access-key",
        "canary-access-secret",
        "canary-ref",
        "canary-pass",
    ] {
        assert!(!text.contains(secret), "{secret}");
    }
    assert!(!format!("{:?}", world.state.snapshot().view()).contains("canary-own-secret"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_body_makes_a_route_panic(noise in prop::collection::vec(proptest::prelude::any::<u8>(), 0..200), text in "[\\[\\]{}\":,0-9a-z]{0,80}") {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let world = World::of(view("follower"));
            for path in [INFO, UPDATE] {
                for body in [noise.clone(), text.clone().into_bytes()] {
                    let (status, _) = world.post(path, body).await;
                    assert!(matches!(status, 200 | 400), "{status}");
                }
            }
        });
    }
}
