//! Client of other nodes' v1 API: asks for a beat, reads a cluster, pushes a configuration. It decides nothing and
//! keeps nothing but connections.
//!
//! TLS needs the process's crypto provider: `main` installs ring's before anything is built here.

mod answers;
mod parts;

use std::time::Duration;

use axum::body::Bytes;
use jiff::Timestamp;
use serde_json::json;
use zeroize::Zeroizing;

use crate::domain::cluster::Addresses;
use crate::domain::retry::Class;
use crate::domain::secret::Secret;
use crate::wire::cluster::{Answer, CocoaBasic, Outcome};
use crate::wire::read::{Field, ReadError, document};
use crate::wire::render::{to_json, without_user as shown};

use answers::{own_info, repeatable, unmasked};
use parts::Parts;

/// Most octets that are read of an answer: 50 nodes with 2,000 services, which each node lists again, take 12 MiB.
pub const MAX_ANSWER: usize = 32 << 20;

/// Asks peers over HTTP and HTTPS; connections are kept and shared by all clones.
#[derive(Clone, Debug)]
pub struct PeerClient {
    http: reqwest::Client,
}

/// What a peer said of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerBeat {
    /// The answer's statusCode: 200, or 201 from a follower in no cluster yet.
    pub status: i32,
    /// When the peer last fed its watchdog, by its own clock.
    pub watch_dog: Timestamp,
    /// Whether the peer is of our kind, and so beats as often as it says.
    pub ours: bool,
    /// Its public addresses; empty where it doesn't tell.
    pub addresses: Addresses,
    /// Seconds between its beats, where it tells.
    pub heartbeat_seconds: Option<u32>,
    /// Generation of its configuration, where it tells.
    pub generation: Option<u64>,
    /// Its nodeCode; empty where it is masked.
    pub node_code: String,
}

/// How a push ended where the follower gave an outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PushOutcome {
    /// It was taken.
    Taken,
    /// The follower refused it; the text names the field.
    Refused(String),
}

/// Why a peer gave no usable answer. Never holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// The HTTP client could not be built.
    #[error("build the HTTP client")]
    Build(#[source] reqwest::Error),
    /// The address is none.
    #[error("nodeAddress: {0:?} is not an http or https base URL")]
    Address(String),
    /// No connection, or it broke.
    #[error("call {route} of {peer}")]
    Call {
        /// The peer's address.
        peer: String,
        /// Which route.
        route: &'static str,
        /// The cause, without the URL.
        #[source]
        source: reqwest::Error,
    },
    /// The peer took longer than the deadline.
    #[error("{route} of {peer} gave no answer within {} ms", .within.as_millis())]
    Deadline {
        /// The peer's address.
        peer: String,
        /// Which route.
        route: &'static str,
        /// The deadline.
        within: Duration,
    },
    /// HTTP said something else than 200.
    #[error("{route} of {peer} answered HTTP {status}{hint}")]
    Status {
        /// The peer's address.
        peer: String,
        /// Which route.
        route: &'static str,
        /// The status.
        status: u16,
        /// What to do, where it is known.
        hint: &'static str,
    },
    /// The answer is longer than any cluster's.
    #[error("{route} of {peer} answered more than {MAX_ANSWER} octets")]
    TooLong {
        /// The peer's address.
        peer: String,
        /// Which route.
        route: &'static str,
    },
    /// The answer is no answer of this API.
    #[error("{peer} is not a CocoaSyncer: check nodeAddress")]
    NotCocoa {
        /// The peer's address.
        peer: String,
        /// What was wrong with the answer.
        #[source]
        source: ReadError,
    },
    /// 401.
    #[error("{peer} refused the secret: give this node the secret that {peer} has")]
    Secret {
        /// The peer's address.
        peer: String,
    },
    /// An outcome that this call can't have.
    #[error("{peer} answered statusCode {code}: {text}")]
    Outcome {
        /// The peer's address.
        peer: String,
        /// The statusCode.
        code: i32,
        /// The statusString or the error's text.
        text: String,
    },
    /// The answer does not tell how the peer itself is.
    #[error("{peer} does not name itself with a watchDog in otherCocoaSyncer")]
    NoSelf {
        /// The peer's address.
        peer: String,
    },
}

impl PeerError {
    /// Who can mend it.
    pub fn class(&self) -> Class {
        match self {
            PeerError::Build(_) => Class::Bug,
            PeerError::Address(_) | PeerError::NotCocoa { .. } | PeerError::Secret { .. } => Class::User,
            PeerError::Status { status: 300..=399 | 404 | 405, .. } => Class::User,
            PeerError::Call { .. }
            | PeerError::Deadline { .. }
            | PeerError::Status { .. }
            | PeerError::TooLong { .. }
            | PeerError::Outcome { .. }
            | PeerError::NoSelf { .. } => Class::Transient,
        }
    }
}

const INFO: &str = "/v1/getClusterInfo";
const UPDATE: &str = "/v1/updateClusterInfo";

impl PeerClient {
    /// A client without connections.
    pub fn new() -> Result<Self, PeerError> {
        let http = reqwest::Client::builder()
            // A redirect would carry the secret to somebody else.
            .redirect(reqwest::redirect::Policy::none())
            // Peers are asked straight: a proxy that lives would hide a peer that doesn't.
            .no_proxy()
            // A call that got no answer closes its HTTP/1 connection; over HTTP/2 it would leave the dead one in use.
            .http1_only()
            .connect_timeout(Duration::from_secs(5))
            // Shorter than our servers keep an idle connection, so that none is used while it is being closed.
            .pool_idle_timeout(Duration::from_secs(10))
            .pool_max_idle_per_host(2)
            .tcp_nodelay(true)
            .user_agent(concat!("cocoasyncer/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(PeerError::Build)?;
        Ok(Self { http })
    }

    /// Asks a peer how it is; one that can tell itself apart answers in short.
    pub async fn beat(
        &self,
        base_url: &str,
        secret: &Secret,
        deadline: Duration,
    ) -> Result<PeerBeat, PeerError> {
        let body = Zeroizing::new(to_json(&json!({"cocoaSecret": secret.expose(), "beatOnly": true})));
        let answer = self.ask(base_url, secret, &body, deadline).await?;
        let basic = answer.cocoa_basic;
        let own = own_info(&basic, base_url);
        let Some((own, watch_dog)) = own.and_then(|own| own.watch_dog.map(|dog| (own, dog))) else {
            return Err(PeerError::NoSelf { peer: shown(base_url) });
        };
        let told = own.operator.as_ref();
        Ok(PeerBeat {
            status: answer.status_code,
            watch_dog,
            ours: told.is_some() && basic.operator.is_some(),
            addresses: told.map(|told| told.public_addresses.clone()).unwrap_or_default(),
            heartbeat_seconds: told.map(|told| told.heartbeat_seconds).filter(|seconds| 0 < *seconds),
            generation: basic.operator.as_ref().map(|operator| operator.generation),
            node_code: unmasked(&own.node_code).or(unmasked(&basic.node_code)).unwrap_or_default().to_owned(),
        })
    }

    /// Reads all that a peer knows, with the answer's statusCode: 201 from a follower that is in no cluster yet.
    pub async fn info(
        &self,
        base_url: &str,
        secret: &Secret,
        deadline: Duration,
    ) -> Result<(i32, CocoaBasic), PeerError> {
        let body = Zeroizing::new(to_json(&json!({"cocoaSecret": secret.expose()})));
        let answer = self.ask(base_url, secret, &body, deadline).await?;
        Ok((answer.status_code, answer.cocoa_basic))
    }

    /// Pushes a body that was addressed with this secret ([`crate::wire::render::Push::addressed`]). Wrong secrets and dead peers are errors; a follower's
    /// refusal of what stands in the body is an outcome.
    pub async fn push(
        &self,
        base_url: &str,
        secret: &Secret,
        body: impl IntoIterator<Item = Bytes>,
        deadline: Duration,
    ) -> Result<PushOutcome, PeerError> {
        let text = self.call(base_url, UPDATE, reqwest::Body::wrap(Parts::of(body)), deadline).await?;
        let not_cocoa = |source| PeerError::NotCocoa { peer: shown(base_url), source };
        let answer = Answer::read(&text).map_err(not_cocoa)?;
        let error = document(&text).ok().and_then(|doc| Field::root(&doc).get("error").text().ok());
        let said = error.filter(|text| !text.is_empty()).unwrap_or(answer.status_string);
        let said = repeatable(&said, secret);
        match answer.status_code {
            200 => Ok(PushOutcome::Taken),
            401 => Err(PeerError::Secret { peer: shown(base_url) }),
            code if code == Outcome::NotAllowed.code() => Ok(PushOutcome::Refused(said)),
            code => Err(PeerError::Outcome { peer: shown(base_url), code, text: said }),
        }
    }

    async fn ask(
        &self,
        base_url: &str,
        secret: &Secret,
        body: &[u8],
        deadline: Duration,
    ) -> Result<Answer, PeerError> {
        let text = self.call(base_url, INFO, body.to_vec().into(), deadline).await?;
        let peer = || shown(base_url);
        let answer = Answer::read(&text).map_err(|source| PeerError::NotCocoa { peer: peer(), source })?;
        match answer.status_code {
            200 | 201 => Ok(answer),
            401 => Err(PeerError::Secret { peer: peer() }),
            code => {
                let text = repeatable(&answer.status_string, secret);
                Err(PeerError::Outcome { peer: peer(), code, text })
            }
        }
    }

    async fn call(
        &self,
        base_url: &str,
        route: &'static str,
        body: reqwest::Body,
        deadline: Duration,
    ) -> Result<Zeroizing<Vec<u8>>, PeerError> {
        let url = url(base_url, route)?;
        let peer = shown(base_url);
        match tokio::time::timeout(deadline, self.exchange(url, &peer, route, body)).await {
            Ok(done) => done,
            Err(_) => Err(PeerError::Deadline { peer, route, within: deadline }),
        }
    }

    async fn exchange(
        &self,
        url: reqwest::Url,
        peer: &str,
        route: &'static str,
        body: reqwest::Body,
    ) -> Result<Zeroizing<Vec<u8>>, PeerError> {
        let failed = |source: reqwest::Error| PeerError::Call {
            peer: peer.into(),
            route,
            source: source.without_url(),
        };
        let request = self
            .http
            .post(url)
            .header(reqwest::header::CONTENT_TYPE, "application/json")
            .header(reqwest::header::ACCEPT, "application/json")
            .body(body);
        let mut response = request.send().await.map_err(failed)?;
        let status = response.status().as_u16();
        // A push that is too long or malformed gets its reason in the envelope; the caller reads it there.
        let told = status == 200 || (route == UPDATE && matches!(status, 400 | 413));
        if !told {
            let hint = match status {
                300..=399 => ": redirects are not followed, give the final address",
                404 | 405 => ": is nodeAddress the base URL of a CocoaSyncer",
                _ => "",
            };
            return Err(PeerError::Status { peer: peer.into(), route, status, hint });
        }
        let mut text = Zeroizing::new(Vec::new());
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if MAX_ANSWER < text.len() + chunk.len() {
                return Err(PeerError::TooLong { peer: peer.into(), route });
            }
            text.extend_from_slice(&chunk);
        }
        Ok(text)
    }
}

fn url(base_url: &str, route: &str) -> Result<reqwest::Url, PeerError> {
    let bad = || PeerError::Address(shown(base_url));
    let base = base_url.trim_end_matches('/');
    let url = reqwest::Url::parse(&format!("{base}{route}")).map_err(|_| bad())?;
    let plain = matches!(url.scheme(), "http" | "https") && url.query().is_none() && url.fragment().is_none();
    if plain { Ok(url) } else { Err(bad()) }
}

#[cfg(test)]
mod tests;
