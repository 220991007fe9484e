//! A watch as all loops want it: the first list as a stream where the server can (it costs neither side a whole list in
//! memory), by pages where it can't; tried again with growing pauses; its interruptions told once.

use std::fmt::Debug;

use futures::StreamExt;
use futures::stream::BoxStream;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Config, Error, Event, watcher};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tracing::{debug, info, warn};

/// Events of the objects of `api` that `config` selects.
pub fn objects<K>(api: Api<K>, config: Config) -> BoxStream<'static, watcher::Result<Event<K>>>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
    K::DynamicType: Default,
{
    let streamed = watcher(api.clone(), config.clone().streaming_lists()).default_backoff();
    let can = |event: &watcher::Result<Event<K>>| {
        std::future::ready(!event.as_ref().is_err_and(cannot_stream_lists))
    };
    let paged = watcher(api, config).default_backoff();
    streamed.take_while(can).chain(paged).boxed()
}

/// Whether a server knows no lists as streams: then it finds the parameters of one invalid.
fn cannot_stream_lists(error: &Error) -> bool {
    matches!(error, Error::WatchStartFailed(kube::Error::Api(status)) if matches!(status.code, 400 | 422))
}

/// Tells a watch's interruptions, the first of a row and the end of the row.
pub struct Teller {
    what: String,
    interrupted: bool,
}

impl Teller {
    /// Of a watch of `what`.
    pub fn of(what: impl Into<String>) -> Self {
        Self { what: what.into(), interrupted: false }
    }

    /// Something came.
    pub fn came(&mut self) {
        if std::mem::take(&mut self.interrupted) {
            info!(watch = %self.what, "watch goes on");
        }
    }

    /// It was interrupted.
    pub fn failed(&mut self, error: &Error) {
        match std::mem::replace(&mut self.interrupted, true) {
            false => warn!(watch = %self.what, %error, "watch interrupted, it goes on by itself"),
            true => debug!(watch = %self.what, %error, "watch still interrupted"),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{Request, Response};
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::Client;
    use kube::client::Body;
    use tower::service_fn;

    use super::*;

    const LIST: &str = r#"{"kind":"ConfigMapList","apiVersion":"v1","metadata":{"resourceVersion":"7"},
        "items":[{"metadata":{"name":"a","namespace":"b","resourceVersion":"3"}}]}"#;
    const INVALID: &str =
        r#"{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Invalid","code":422}"#;

    /// Knows lists as pages only.
    fn older() -> Client {
        let answer = |request: Request<Body>| async move {
            let query = request.uri().query().unwrap_or_default().to_owned();
            let (status, text) = match query {
                query if query.contains("sendInitialEvents=true") => (422, INVALID),
                query if query.contains("watch=true") => (200, ""),
                _ => (200, LIST),
            };
            let body = Body::from(text.as_bytes().to_vec());
            Ok::<_, std::convert::Infallible>(Response::builder().status(status).body(body).unwrap())
        };
        Client::new(service_fn(answer), "default")
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_without_lists_as_streams_is_asked_for_pages() {
        let mut events = objects(Api::<ConfigMap>::all(older()), Config::default());
        let mut names = Vec::new();
        loop {
            match events.next().await.unwrap().unwrap() {
                Event::InitApply(map) => names.extend(map.metadata.name),
                Event::InitDone => break,
                _ => {}
            }
        }
        assert_eq!(names, ["a"]);
    }
}
