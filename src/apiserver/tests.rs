//! The way as a whole, over a server that the test plays.

use std::sync::atomic::{AtomicUsize, Ordering};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::ListParams;

use super::*;

/// A client whose every call is answered by `answer`.
fn played<F>(answer: impl Fn(Request<Body>) -> F + Clone + Send + Sync + 'static) -> Client
where
    F: Future<Output = Response<Body>> + Send + 'static,
{
    Client::new(
        service_fn(move |request| {
            let answer = answer(request);
            async move { Ok::<_, std::convert::Infallible>(answer.await) }
        }),
        "default",
    )
}

fn response(status: u16, body: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(body.as_bytes().to_vec()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

const EMPTY: &str = r#"{"apiVersion":"v1","kind":"ConfigMapList","metadata":{},"items":[]}"#;

async fn way(clients: Vec<Client>, troubles: &Troubles) -> ApiServer {
    let next = AtomicUsize::new(0);
    let open: Open = Arc::new(move || {
        let at = next.fetch_add(1, Ordering::Relaxed).min(clients.len() - 1);
        let client = clients[at].clone();
        Box::pin(async move { Ok(client) })
    });
    ApiServer::open(open, 100.0, troubles.clone(), CallMetrics::default()).await.unwrap()
}

fn maps(way: &ApiServer) -> Api<ConfigMap> {
    Api::namespaced(way.client(), "ops")
}

#[tokio::test(start_paused = true)]
async fn a_call_that_hangs_ends_at_the_deadline_also_in_the_middle_of_its_answer() {
    let troubles = Troubles::default();
    let silent = played(|_| std::future::pending());
    let way = way(vec![silent], &troubles).await;
    let start = Instant::now();
    let error = maps(&way).list(&ListParams::default()).await.unwrap_err();
    assert!(error.to_string().contains("no answer in 20 s"), "{error}");
    assert!(start.elapsed() < DEADLINE + Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn an_expired_token_is_told_and_a_renewed_one_is_taken_without_a_restart() {
    let troubles = Troubles::default();
    let stale = played(|_| async { response(401, r#"{"kind":"Status","code":401}"#) });
    let fresh = played(|_| async { response(200, EMPTY) });
    let way = way(vec![stale, fresh], &troubles).await;
    tokio::time::advance(RENEW).await;
    assert!(maps(&way).list(&ListParams::default()).await.is_err());
    assert!(troubles.words()[0].starts_with("credentials: "));
    maps(&way).list(&ListParams::default()).await.unwrap();
    assert!(troubles.words().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_asked_too_much_is_left_alone_for_as_long_as_it_says_but_not_by_the_lease() {
    let troubles = Troubles::default();
    let asked = Arc::new(AtomicUsize::new(0));
    let busy = played(move |_| {
        let first = asked.fetch_add(1, Ordering::Relaxed) == 0;
        async move {
            let mut answer = if first { response(429, "{}") } else { response(200, EMPTY) };
            answer.headers_mut().insert(header::RETRY_AFTER, "7".parse().unwrap());
            answer
        }
    });
    let way = way(vec![busy], &troubles).await;
    let start = Instant::now();
    assert!(maps(&way).list(&ListParams::default()).await.is_err());
    let lease =
        http::Request::get("/apis/coordination.k8s.io/v1/namespaces/ops/leases/a").body(Vec::new()).unwrap();
    way.client().request_text(lease).await.unwrap();
    assert_eq!(start.elapsed(), Duration::ZERO, "the lease waits for nobody");
    maps(&way).list(&ListParams::default()).await.unwrap();
    assert!(Duration::from_secs(7) <= start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_right_that_is_asked_for_no_more_is_over_once_it_is_granted() {
    const FORBIDDEN: &str = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403,
        "message":"configmaps is forbidden: User \"x\" cannot list resource \"configmaps\""}"#;
    const GRANTED: &str = r#"{"kind":"SelfSubjectAccessReview","apiVersion":"authorization.k8s.io/v1","metadata":{},
        "spec":{},"status":{"allowed":true}}"#;
    let troubles = Troubles::default();
    let (refuses, grants) = (Arc::new(AtomicUsize::new(1)), Arc::new(AtomicUsize::new(0)));
    let (refusing, granting) = (refuses.clone(), grants.clone());
    let server = played(move |request| {
        let about = request.uri().path().contains("selfsubjectaccessreviews");
        let lists = request.uri().path().ends_with("/configmaps");
        let refuse = lists && refusing.load(Ordering::Relaxed) == 1;
        granting.fetch_add(usize::from(about), Ordering::Relaxed);
        async move {
            match (about, refuse) {
                (true, _) => response(201, GRANTED),
                (_, true) => response(403, FORBIDDEN),
                _ => response(200, r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}}"#),
            }
        }
    });
    let way = way(vec![server], &troubles).await;
    maps(&way).list(&ListParams::default()).await.unwrap_err();
    assert_eq!(troubles.words().len(), 1);
    refuses.store(0, Ordering::Relaxed);
    maps(&way).get("a").await.unwrap();
    assert_eq!((troubles.words().len(), grants.load(Ordering::Relaxed)), (1, 0), "not with every call");
    tokio::time::advance(REVIEW).await;
    maps(&way).get("a").await.unwrap();
    assert!(troubles.is_empty() && grants.load(Ordering::Relaxed) == 1, "{:?}", troubles.words());
}
