//! The way to a cluster's API server, and what all calls of it have in common: a deadline, a pace, a count, and what is
//! wrong, told once. A client of [`ApiServer::client`] is an ordinary one; whoever calls knows nothing of this.
//!
//! It tries nothing again: who calls knows what a failure means. But it makes its way anew where that may help: a token
//! or a kubeconfig may have been put right since.

pub mod asked;
pub mod pace;
mod review;
pub mod troubles;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures::future::BoxFuture;
use http::{HeaderMap, Request, Response, StatusCode, header};
use kube::Client;
use kube::client::Body;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use tower::{BoxError, service_fn};

use crate::apiserver::asked::Asked;
use crate::apiserver::pace::Pace;
use crate::apiserver::troubles::Reader;
use crate::telemetry::metrics::calls::CallMetrics;
use crate::telemetry::troubles::Troubles;

/// Longest that a call may take, its answer included; a watch's answer has no end, and only its beginning counts.
pub const DEADLINE: Duration = Duration::from_secs(20);
/// The way is made anew at most this often.
const RENEW: Duration = Duration::from_secs(10);
/// Rights that were refused are asked for anew at most this often.
const REVIEW: Duration = Duration::from_secs(15);
/// Longest that a server's `Retry-After` is obeyed: it may be wrong, and a lease does not wait.
const LONGEST_REST: Duration = Duration::from_secs(60);
/// A refusal's text is read up to here.
const REFUSAL: usize = 64 * 1024;

/// Makes a client from what the settings name, as it is now.
pub type Open = Arc<dyn Fn() -> BoxFuture<'static, Result<Client, BoxError>> + Send + Sync>;

/// A way to an API server. Cloning is cheap.
#[derive(Clone)]
pub struct ApiServer(Arc<Inner>);

struct Inner {
    now: ArcSwap<Client>,
    open: Open,
    /// When the way was last made.
    opened: Mutex<Instant>,
    /// When refused rights were last asked for.
    reviewed: Mutex<Instant>,
    pace: Pace,
    reader: Reader,
    metrics: CallMetrics,
}

impl ApiServer {
    /// A way that `open` makes, with at most `rate` calls a second in the long run. What is wrong is told to `troubles`.
    pub async fn open(
        open: Open,
        rate: f64,
        troubles: Troubles,
        metrics: CallMetrics,
    ) -> Result<Self, BoxError> {
        let now = ArcSwap::from_pointee(open().await?);
        let (opened, reviewed) = (Mutex::new(Instant::now()), Mutex::new(Instant::now()));
        let (pace, reader) = (Pace::new(rate), Reader::new(troubles));
        Ok(Self(Arc::new(Inner { now, open, opened, reviewed, pace, reader, metrics })))
    }

    /// A client that goes this way.
    pub fn client(&self) -> Client {
        let inner = self.0.clone();
        let namespace = inner.now.load().default_namespace().to_owned();
        Client::new(service_fn(move |request| inner.clone().call(request)), namespace)
    }

    /// Makes the way anew, unless that was done a moment ago. A way that can't be made leaves the old one.
    pub async fn renew(&self) {
        self.0.renew().await;
    }
}

impl Inner {
    async fn call(self: Arc<Self>, request: Request<Body>) -> Result<Response<Body>, kube::Error> {
        let asked = Asked::of(request.method(), request.uri());
        // The lease must not wait behind what it allows.
        if !asked.is_lease() {
            self.pace.turn().await;
        }
        let client = self.now.load_full();
        let answer = timeout(DEADLINE, answer(&client, request, asked.streams)).await;
        let answer = answer.unwrap_or_else(|_| {
            Err(kube::Error::Service(format!("no answer in {} s", DEADLINE.as_secs()).into()))
        });
        self.metrics.called(asked.verb.as_str(), result(&answer));
        let lost = match &answer {
            Ok(response) => {
                let status = response.status();
                if status == StatusCode::TOO_MANY_REQUESTS {
                    self.pace.rest(rest(response.headers()));
                }
                let words = response.extensions().get::<Words>().map(|words| words.0.as_str());
                self.reader.answered(&asked, status, words);
                status == StatusCode::UNAUTHORIZED
            }
            Err(error) => {
                self.reader.unanswered(error);
                true
            }
        };
        if lost {
            self.renew().await;
        } else {
            self.review(&client).await;
        }
        answer
    }

    /// Asks for what was refused, unless that was done a moment ago.
    async fn review(&self, client: &Client) {
        let refused = self.reader.refused();
        let Ok(mut reviewed) = self.reviewed.try_lock() else { return };
        if refused.is_empty() || reviewed.elapsed() < REVIEW {
            return;
        }
        *reviewed = Instant::now();
        for asked in refused {
            if let Ok(true) = timeout(DEADLINE, review::is_granted(client, &asked)).await {
                self.reader.granted(&asked);
            }
        }
    }

    async fn renew(&self) {
        // Whoever comes while the way is being made goes on without.
        let Ok(mut opened) = self.opened.try_lock() else { return };
        if opened.elapsed() < RENEW {
            return;
        }
        *opened = Instant::now();
        match timeout(DEADLINE, (self.open)()).await {
            Ok(Ok(client)) => {
                self.now.store(Arc::new(client));
                self.reader.opened();
            }
            Ok(Err(error)) => self.reader.not_opened(error.as_ref()),
            Err(_) => {}
        }
    }
}

/// What a server said of a refusal, beside the response whose body it is.
#[derive(Clone)]
struct Words(String);

/// Sends, and reads the answer to its end, unless it `streams`.
async fn answer(
    client: &Client,
    request: Request<Body>,
    streams: bool,
) -> Result<Response<Body>, kube::Error> {
    let response = client.send(request).await?;
    if streams && response.status().is_success() {
        return Ok(response);
    }
    let (mut parts, body) = response.into_parts();
    let bytes = body.collect_bytes().await?;
    if parts.status == StatusCode::FORBIDDEN {
        let text = String::from_utf8_lossy(&bytes[..bytes.len().min(REFUSAL)]).into_owned();
        parts.extensions.insert(Words(text));
    }
    Ok(Response::from_parts(parts, Body::from(bytes)))
}

/// How long a server that was asked too much wants to be left alone.
fn rest(headers: &HeaderMap) -> Duration {
    let seconds = headers.get(header::RETRY_AFTER).and_then(|text| text.to_str().ok()?.trim().parse().ok());
    Duration::from_secs(seconds.unwrap_or(1)).min(LONGEST_REST)
}

/// An answer's name in metrics.
fn result(answer: &Result<Response<Body>, kube::Error>) -> &'static str {
    let Ok(response) = answer else { return "unanswered" };
    match response.status().as_u16() {
        200..=399 => "ok",
        401 => "unauthorized",
        403 => "forbidden",
        404 | 410 => "gone",
        409 | 412 => "conflict",
        429 => "throttled",
        500.. => "failed",
        _ => "refused",
    }
}

#[cfg(test)]
mod tests;
