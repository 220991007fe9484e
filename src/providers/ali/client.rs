//! One call to Alidns and its answer: signed, bounded in time and size, read tolerantly. It repeats nothing and keeps
//! nothing but connections.
//!
//! TLS needs the process's crypto provider: `main` installs ring's before anything is built here.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::HeaderValue;
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::Value;

use crate::domain::retry::Class;
use crate::providers::ali::account::{Account, loops_back};
use crate::providers::ali::errors::{Fault, Refusal, refused, unreadable};
use crate::providers::ali::sign::{Request, hex, sign};
use crate::providers::{Kind, ProviderError};

/// Most octets that are read of an answer: a page of 500 records takes 150 KiB.
const MAX_ANSWER: usize = 8 << 20;
/// How long a connection may take; the whole call has its own deadline.
const CONNECT: Duration = Duration::from_secs(5);

/// Calls one account.
pub(super) struct Client {
    http: reqwest::Client,
    account: Account,
    host: String,
    deadline: Duration,
    random: SystemRandom,
}

impl Client {
    /// A client without connections, whose calls take `deadline` at most.
    pub fn new(account: Account, deadline: Duration) -> Result<Self, ProviderError> {
        let builder = reqwest::Client::builder()
            // A redirect would carry a signed call to somebody else.
            .redirect(reqwest::redirect::Policy::none())
            // A call that got no answer closes its HTTP/1 connection; over HTTP/2 it would leave the dead one in use.
            .http1_only()
            .connect_timeout(CONNECT)
            .pool_idle_timeout(Duration::from_secs(10))
            .tcp_nodelay(true)
            .user_agent(concat!("cocoasyncer/", env!("CARGO_PKG_VERSION")));
        // A cloud may lie behind the site's proxy, this machine never does.
        let builder = if loops_back(&account.endpoint) { builder.no_proxy() } else { builder };
        let http = builder.build().map_err(|source| ProviderError {
            source: Some(source.into()),
            ..ProviderError::new(Kind::Other, Class::Bug, "build the HTTP client for Alidns")
        })?;
        let name = account.endpoint.host_str().unwrap_or_default();
        let host = account.endpoint.port().map_or(name.to_owned(), |port| format!("{name}:{port}"));
        Ok(Self { http, account, host, deadline, random: SystemRandom::new() })
    }

    /// Makes one call; the answer is an object without an error in it.
    pub async fn call(&self, action: &str, params: &[(&str, &str)]) -> Result<Value, Fault> {
        let late = |_| {
            let what = format!(
                "{action}: {} gave no whole answer within {} ms: it is tried again",
                self.host,
                self.deadline.as_millis()
            );
            Fault::after(ProviderError::new(Kind::Unreachable, Class::Transient, what))
        };
        let request = self.request(action, params).map_err(Fault::before)?;
        let exchange = self.exchange(action, request);
        let (status, body) = tokio::time::timeout(self.deadline, exchange).await.map_err(late)??;
        self.read(action, status, &body)
    }

    fn request(
        &self,
        action: &str,
        params: &[(&str, &str)],
    ) -> Result<reqwest::RequestBuilder, ProviderError> {
        let bug = |what: &str| ProviderError::new(Kind::Other, Class::Bug, format!("{action}: {what}"));
        let mut nonce = [0; 16];
        self.random.fill(&mut nonce).map_err(|_| bug("the system has no randomness"))?;
        let nonce = hex(&nonce);
        let request = Request { action, params, host: &self.host, at: Timestamp::now(), nonce: &nonce };
        let signed = sign(self.account.signature, &self.account.key, &request);
        let mut url = self.account.endpoint.clone();
        url.set_query(Some(signed.query.expose()));
        let mut request = self.http.post(url).header(reqwest::header::ACCEPT, "application/json");
        for (name, value) in &signed.headers {
            let mut value =
                HeaderValue::from_str(value.expose()).map_err(|_| bug("a header can't hold its value"))?;
            value.set_sensitive(true);
            request = request.header(*name, value);
        }
        Ok(request)
    }

    async fn exchange(
        &self,
        action: &str,
        request: reqwest::RequestBuilder,
    ) -> Result<(u16, Vec<u8>), Fault> {
        let failed = |source: reqwest::Error| {
            let unsent = source.is_connect() || source.is_builder();
            let advice = match unsent {
                true => {
                    "can't be reached: check this machine's network and data.endpoint of the account's Secret"
                }
                false => "gave no whole answer: it is tried again",
            };
            let error = ProviderError {
                // The URL holds what was signed.
                source: Some(source.without_url().into()),
                ..ProviderError::new(
                    Kind::Unreachable,
                    Class::Transient,
                    format!("{action}: {} {advice}", self.host),
                )
            };
            Fault { error, may_be_done: !unsent }
        };
        let mut response = request.send().await.map_err(failed)?;
        let status = response.status().as_u16();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if MAX_ANSWER < body.len() + chunk.len() {
                return Err(unreadable(action, status, &format!("more than {MAX_ANSWER} octets")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok((status, body))
    }

    fn read(&self, action: &str, status: u16, body: &[u8]) -> Result<Value, Fault> {
        let Ok(answer) = serde_json::from_slice::<Value>(body) else {
            let what = match body.trim_ascii_start() {
                [] => "an empty body",
                [b'<', ..] => "a page of HTML or XML",
                _ => "what is no whole JSON",
            };
            return Err(unreadable(action, status, what));
        };
        if let Some(code) = text(&answer, "Code") {
            let message = text(&answer, "Message").unwrap_or_default();
            let refusal = Refusal { status, code, message, request_id: text(&answer, "RequestId") };
            return Err(refused(action, refusal, &self.account.key));
        }
        match answer.is_object() && status == 200 {
            true => Ok(answer),
            false => Err(unreadable(action, status, "JSON that is no answer of Alidns")),
        }
    }
}

/// A member as text, whether it came as text, number or truth; none where there is nothing in it.
pub(super) fn text(of: &Value, member: &str) -> Option<String> {
    match of.get(member)? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}

/// A member as a number, whether it came as one or as text.
pub(super) fn number<N: std::str::FromStr>(of: &Value, member: &str) -> Option<N> {
    text(of, member)?.parse().ok()
}

/// The list in `of.outer.inner`, as the vendor wraps its lists.
pub(super) fn list<'a>(of: &'a Value, outer: &str, inner: &str) -> &'a [Value] {
    of.get(outer)
        .and_then(|of| of.get(inner))
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}
