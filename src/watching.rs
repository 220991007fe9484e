//! A watch as all want it: the first list as a stream where the server can (it costs neither side a whole list in memory),
//! by pages where it can't; tried again with growing pauses, begun anew where the server has forgotten where it was; its
//! interruptions told once. It knows no kind and decides nothing.

use std::fmt::Debug;
use std::future::ready;
use std::time::Duration;

use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt};
use kube::runtime::WatchStreamExt;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{Config, DefaultBackoff, Error, Event, Result, watcher};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tracing::{debug, info, warn};

use crate::telemetry::chain::Chain;

/// The longest pause between two tries. kube's own grow to 30 s, and for so long nothing would be known of what happened
/// while the API server was away.
const PAUSE: Duration = Duration::from_secs(8);

/// Events of the objects of `api` that `config` selects.
pub fn objects<K>(api: Api<K>, config: Config) -> BoxStream<'static, Result<Event<K>>>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
    K::DynamicType: Default,
{
    let streamed = anew(api.clone(), config.clone().streaming_lists());
    let can =
        |event: &Result<Event<K>>| ready(!event.as_ref().is_err_and(|error| refused(error, &[400, 422])));
    streamed.take_while(can).chain(anew(api, config)).boxed()
}

/// The one object of that name, now and after every change; `None` while there is none.
pub fn object<K>(api: Api<K>, name: &str) -> BoxStream<'static, Result<Option<K>>>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
    K::DynamicType: Default,
{
    let events = objects(api, Config::default().fields(&format!("metadata.name={name}")));
    let seen = events.scan(false, |listed, event| {
        let seen = match event {
            Ok(Event::Apply(object)) => Some(Ok(Some(object))),
            Ok(Event::InitApply(object)) => {
                *listed = true;
                Some(Ok(Some(object)))
            }
            Ok(Event::Delete(_)) => Some(Ok(None)),
            Ok(Event::Init) => {
                *listed = false;
                None
            }
            // What is not in a list that is whole is not there, even if nobody told of its end.
            Ok(Event::InitDone) => (!*listed).then_some(Ok(None)),
            Err(error) => Some(Err(error)),
        };
        ready(Some(seen))
    });
    seen.filter_map(ready).boxed()
}

/// kube's watcher, begun anew when the server can't go on from where it was: by itself it asks for the same version for
/// ever where a server says 410 at once and not as the stream's first event.
#[expect(clippy::disallowed_methods, reason = "here it is begun anew")]
fn anew<K>(api: Api<K>, config: Config) -> impl Stream<Item = Result<Event<K>>> + Send
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
    K::DynamicType: Default,
{
    let begin = move || watcher(api.clone(), config.clone()).boxed();
    let events = stream::unfold((begin(), begin), |(mut events, begin)| async {
        let event = events.next().await?;
        if event.as_ref().is_err_and(|error| refused(error, &[410])) {
            events = begin();
        }
        Some((event, (events, begin)))
    });
    events.backoff(Pauses::default())
}

/// kube's pauses, none longer than [`PAUSE`].
#[derive(Default)]
struct Pauses(DefaultBackoff);

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.0.next().map(|pause| pause.min(PAUSE))
    }
}

impl Backoff for Pauses {
    fn reset(&mut self) {
        self.0.reset();
    }
}

/// Whether a watch was refused at its start with one of these codes. 400 and 422: the server knows no lists as streams,
/// and finds their parameters invalid.
fn refused(error: &Error, codes: &[u16]) -> bool {
    matches!(error, Error::WatchStartFailed(kube::Error::Api(status)) if codes.contains(&status.code))
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
            false => {
                warn!(watch = %self.what, error = %Chain(error), "watch interrupted, it goes on by itself")
            }
            true => debug!(watch = %self.what, error = %Chain(error), "watch still interrupted"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use http::{Request, Response};
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::Client;
    use kube::client::Body;
    use tower::service_fn;

    use super::*;

    const LIST: &str = r#"{"kind":"ConfigMapList","apiVersion":"v1","metadata":{"resourceVersion":"7"},
        "items":[{"metadata":{"name":"a","namespace":"b","resourceVersion":"3"}}]}"#;
    const EVENT: &str = r#"{"type":"ADDED","object":{"kind":"ConfigMap","apiVersion":"v1",
        "metadata":{"name":"a","namespace":"b","resourceVersion":"3"}}}"#;
    const BOOKMARK: &str = r#"{"type":"BOOKMARK","object":{"kind":"ConfigMap","apiVersion":"v1",
        "metadata":{"resourceVersion":"7","annotations":{"k8s.io/initial-events-end":"true"}}}}"#;
    const EXPIRED: &str =
        r#"{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Expired","code":410}"#;
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

    /// Knows the version 7 no more when it is first asked to go on from it.
    fn forgetful() -> Client {
        let forgotten = Arc::new(AtomicUsize::new(0));
        let answer = move |request: Request<Body>| {
            let query = request.uri().query().unwrap_or_default().to_owned();
            let goes_on = query.contains("resourceVersion=7");
            let first = goes_on && forgotten.fetch_add(1, Ordering::Relaxed) == 0;
            async move {
                let (status, text) = match query {
                    _ if first => (410, EXPIRED.to_owned()),
                    _ if goes_on => (200, String::new()),
                    _ => (200, [EVENT, BOOKMARK].map(|event| event.replace('\n', "") + "\n").concat()),
                };
                let body = Body::from(text.into_bytes());
                Ok::<_, std::convert::Infallible>(Response::builder().status(status).body(body).unwrap())
            }
        };
        Client::new(service_fn(answer), "default")
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_forgot_where_the_watch_was_is_asked_for_all_anew() {
        let mut seen = object(Api::<ConfigMap>::namespaced(forgetful(), "b"), "a");
        assert_eq!(seen.next().await.unwrap().unwrap().unwrap().metadata.name.as_deref(), Some("a"));
        assert!(seen.next().await.unwrap().is_err_and(|error| refused(&error, &[410])));
        assert_eq!(seen.next().await.unwrap().unwrap().unwrap().metadata.name.as_deref(), Some("a"));
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
