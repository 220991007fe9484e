//! A client that signs what it is told, right or wrong, for the tests of the stand-in.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use ring::{digest, hmac};
use serde_json::Value;

use crate::support::ali::FakeAli;
use crate::support::ali::signature::{Scheme, hex, percent};
use crate::support::ali::world::request_id;

/// A request that can be spoilt before it is sent.
pub struct Signed {
    pub scheme: Scheme,
    pub key: &'static str,
    pub secret: &'static str,
    pub token: Option<&'static str>,
    pub at: Timestamp,
    pub nonce: String,
    pub action: String,
    pub params: Vec<(String, String)>,
}

pub fn ask(scheme: Scheme, action: &str, params: &[(&str, &str)]) -> Signed {
    Signed {
        scheme,
        key: "testid",
        secret: "testsecret",
        token: None,
        at: Timestamp::now(),
        nonce: request_id(),
        action: action.to_owned(),
        params: params.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
    }
}

impl Signed {
    /// The query, and the headers.
    fn sign(&self, host: &str) -> (String, Vec<(&'static str, String)>) {
        let at = self.at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let mut params = self.params.clone();
        if self.scheme == Scheme::V1 {
            let own = [
                ("AccessKeyId", self.key),
                ("Action", &self.action),
                ("Format", "JSON"),
                ("SignatureMethod", "HMAC-SHA1"),
                ("SignatureNonce", &self.nonce),
                ("SignatureVersion", "1.0"),
                ("Timestamp", &at),
                ("Version", "2015-01-09"),
            ];
            params.extend(own.map(|(name, value)| (name.to_owned(), value.to_owned())));
            params.extend(self.token.map(|token| ("SecurityToken".to_owned(), token.to_owned())));
        }
        params.sort();
        let pair = |(name, value): &(String, String)| format!("{}={}", percent(name), percent(value));
        let query = params.iter().map(pair).collect::<Vec<_>>().join("&");
        if self.scheme == Scheme::V1 {
            let to_sign = format!("GET&%2F&{}", percent(&query));
            let key = format!("{}&", self.secret);
            let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key.as_bytes());
            let signature = STANDARD.encode(hmac::sign(&key, to_sign.as_bytes()));
            return (format!("{query}&Signature={}", percent(&signature)), Vec::new());
        }
        let sha256 = |text: &str| hex(digest::digest(&digest::SHA256, text.as_bytes()).as_ref());
        let mut headers = vec![
            ("host", host.to_owned()),
            ("x-acs-action", self.action.clone()),
            ("x-acs-content-sha256", sha256("")),
            ("x-acs-date", at),
            ("x-acs-signature-nonce", self.nonce.clone()),
            ("x-acs-version", "2015-01-09".to_owned()),
        ];
        headers.extend(self.token.map(|token| ("x-acs-security-token", token.to_owned())));
        headers.sort();
        let names = headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
        let lines: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let canonical = format!("GET\n/\n{query}\n{lines}\n{names}\n{}", sha256(""));
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.secret.as_bytes());
        let to_sign = format!("ACS3-HMAC-SHA256\n{}", sha256(&canonical));
        let signature = hex(hmac::sign(&key, to_sign.as_bytes()).as_ref());
        let credential = format!("Credential={},SignedHeaders={names},Signature={signature}", self.key);
        headers.push(("authorization", format!("ACS3-HMAC-SHA256 {credential}")));
        (query, headers)
    }
}

pub fn http() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// Sends it, its query and headers changed on the way.
pub async fn forged(
    fake: &FakeAli,
    signed: &Signed,
    change: impl FnOnce(&mut String, &mut Vec<(&'static str, String)>),
) -> reqwest::Result<reqwest::Response> {
    let endpoint = fake.endpoint();
    let (mut query, mut headers) = signed.sign(endpoint.trim_start_matches("http://"));
    change(&mut query, &mut headers);
    let request = http().get(format!("{endpoint}/?{query}"));
    headers.into_iter().fold(request, |request, (name, value)| request.header(name, value)).send().await
}

pub async fn send(fake: &FakeAli, signed: &Signed) -> reqwest::Result<reqwest::Response> {
    forged(fake, signed, |_, _| {}).await
}

/// The status and the code of a refusal, `200 OK` of an answer.
pub async fn code(answer: reqwest::Result<reqwest::Response>) -> String {
    let answer = answer.unwrap();
    let status = answer.status().as_u16();
    let header = answer.headers()["x-acs-request-id"].to_str().unwrap().to_owned();
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body["RequestId"], header);
    format!("{status} {}", body["Code"].as_str().unwrap_or("OK"))
}

/// Calls with a good signature; the body of the answer.
pub async fn call(fake: &FakeAli, action: &str, params: &[(&str, &str)]) -> Value {
    send(fake, &ask(Scheme::Acs3, action, params)).await.unwrap().json().await.unwrap()
}

pub async fn refused(fake: &FakeAli, action: &str, params: &[(&str, &str)]) -> String {
    code(send(fake, &ask(Scheme::Acs3, action, params)).await).await
}
