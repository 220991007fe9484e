//! A client of the control plane behind a fence: reads pass, everything else only while the term lasts.

use http::{Method, Request};
use kube::Client;
use kube::client::Body;
use tower::{Layer, Service, ServiceExt};

use crate::controllers::lease::fence::Fence;

/// What the metrics call a write of ours to the control plane.
const WHAT: &str = "object";

/// Puts a fence around a service of requests to the control plane.
#[derive(Clone)]
pub struct FenceLayer {
    fence: Fence,
}

impl FenceLayer {
    /// A layer of this fence.
    pub fn new(fence: Fence) -> Self {
        Self { fence }
    }
}

impl<S> Layer<S> for FenceLayer {
    type Service = FencedService<S>;

    fn layer(&self, inner: S) -> FencedService<S> {
        FencedService { inner, fence: self.fence.clone() }
    }
}

/// A service behind a fence.
#[derive(Clone)]
pub struct FencedService<S> {
    inner: S,
    fence: Fence,
}

impl<S> Service<Request<Body>> for FencedService<S>
where
    S: Service<Request<Body>, Error = kube::Error> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = S::Response;
    type Error = kube::Error;
    type Future = futures::future::BoxFuture<'static, Result<S::Response, kube::Error>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), kube::Error>> {
        // Each call has a copy of its own, which it waits for.
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (inner, fence) = (self.inner.clone(), self.fence.clone());
        Box::pin(async move {
            let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
            let send = inner.oneshot(request);
            if reads {
                return send.await;
            }
            let sent = fence.guard(WHAT, send).await;
            sent.unwrap_or_else(|fenced| Err(kube::Error::Service(Box::new(fenced))))
        })
    }
}

/// `client` behind a fence.
pub fn fenced(client: &Client, fence: &Fence) -> Client {
    let namespace = client.default_namespace().to_owned();
    let through = client.clone();
    let service = tower::service_fn(move |request: Request<Body>| {
        let client = through.clone();
        async move { client.send(request).await }
    });
    Client::new(FenceLayer::new(fence.clone()).layer(service), namespace)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::Api;
    use kube::api::{DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams};

    use super::*;
    use crate::telemetry::metrics::lease::LeaseMetrics;

    fn map() -> ConfigMap {
        let metadata = ObjectMeta { name: Some("a".into()), ..ObjectMeta::default() };
        ConfigMap { metadata, ..ConfigMap::default() }
    }

    #[tokio::test]
    async fn reads_pass_and_writes_of_every_kind_do_not() {
        let plane = crate::controlplane::ControlPlane::in_memory().await.unwrap();
        let metrics = LeaseMetrics::new("n1");
        let standing = tokio::sync::watch::Sender::default();
        let over =
            Fence::new(standing.subscribe(), 1, std::sync::Arc::new(Default::default), metrics.clone());
        let open: Api<ConfigMap> =
            Api::default_namespaced(fenced(&plane.client(), &Fence::open(metrics.clone())));
        open.create(&PostParams::default(), &map()).await.unwrap();
        let api: Api<ConfigMap> = Api::default_namespaced(fenced(&plane.client(), &over));
        let there = api.get("a").await.unwrap();
        assert_eq!(api.list(&ListParams::default()).await.unwrap().items.len(), 1);
        let patch = Patch::Merge(serde_json::json!({ "data": { "a": "b" } }));
        let refused = [
            api.create(&PostParams::default(), &map()).await.err(),
            api.replace("a", &PostParams::default(), &there).await.err(),
            api.patch("a", &PatchParams::default(), &patch).await.err(),
            api.patch("a", &PatchParams::apply("x"), &Patch::Apply(&map())).await.err(),
            api.delete("a", &DeleteParams::default()).await.err(),
            api.delete_collection(&DeleteParams::default(), &ListParams::default()).await.err(),
        ];
        for error in refused {
            let Some(kube::Error::Service(source)) = error else { panic!("{error:?}") };
            assert!(source.is::<super::super::fence::Fenced>(), "{source}");
        }
        assert_eq!(api.get("a").await.unwrap().metadata.resource_version, there.metadata.resource_version);
        assert_eq!(metrics.refusals(WHAT), 6);
        let missing = api.get("b").await.unwrap_err();
        assert!(matches!(missing, kube::Error::Api(status) if status.is_not_found()), "answers stay answers");
    }
}
