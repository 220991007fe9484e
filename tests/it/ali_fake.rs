//! The test of the stand-in for Alidns: Ali's own SDK is its client, forged requests are refused as the vendor refuses
//! them, and each failure that a test can order does come.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::{Timestamp, ToSpan};
use ring::{digest, hmac};
use serde_json::{Value, json};

use crate::support::ali::FakeAli;
use crate::support::ali::faults::{Fault, Mishap, Trouble};
use crate::support::ali::signature::{Scheme, hex, percent};
use crate::support::ali::world::{Outcome, Standing, request_id};
use crate::support::ali::zones::{Edition, Record};
use crate::support::ran;

const ZONE: &str = "example.com";

/// A fake with the key `testid` of an account with one free zone.
async fn fake() -> FakeAli {
    let fake = FakeAli::start().await;
    fake.add_key("main", "testid", "testsecret");
    fake.add_zone("main", ZONE, Edition::Free);
    fake
}

/// A request that can be spoilt before it is sent.
struct Signed {
    scheme: Scheme,
    key: &'static str,
    secret: &'static str,
    token: Option<&'static str>,
    at: Timestamp,
    nonce: String,
    action: String,
    params: Vec<(String, String)>,
}

fn ask(scheme: Scheme, action: &str, params: &[(&str, &str)]) -> Signed {
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

fn http() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// Sends it, its query and headers changed on the way.
async fn forged(
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

async fn send(fake: &FakeAli, signed: &Signed) -> reqwest::Result<reqwest::Response> {
    forged(fake, signed, |_, _| {}).await
}

/// The status and the code of a refusal, `200 OK` of an answer.
async fn code(answer: reqwest::Result<reqwest::Response>) -> String {
    let answer = answer.unwrap();
    let status = answer.status().as_u16();
    let header = answer.headers()["x-acs-request-id"].to_str().unwrap().to_owned();
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body["RequestId"], header);
    format!("{status} {}", body["Code"].as_str().unwrap_or("OK"))
}

/// Calls with a good signature; the body of the answer.
async fn call(fake: &FakeAli, action: &str, params: &[(&str, &str)]) -> Value {
    send(fake, &ask(Scheme::Acs3, action, params)).await.unwrap().json().await.unwrap()
}

async fn refused(fake: &FakeAli, action: &str, params: &[(&str, &str)]) -> String {
    code(send(fake, &ask(Scheme::Acs3, action, params)).await).await
}

/// Where a Python with Ali's SDK is, if one can be had.
fn sdk() -> Option<String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools/ali_sdk.sh");
    let output = Command::new(&script).output().expect("tests/tools/ali_sdk.sh runs");
    if !output.status.success() {
        eprintln!("SKIPPED, nothing was proven: {}", String::from_utf8_lossy(&output.stderr));
        return None;
    }
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

const SDK_IS_TOLD: &str = r#"
{"TotalCount": 1, "step": "domains"}
{"DomainName": "example.com", "MinTtl": 600, "VersionCode": "mianfei", "step": "info"}
{"step": "add"}
{"step": "add a wildcard"}
{"refused": "DomainRecordDuplicate", "status": 400, "step": "add twice"}
{"refused": "QuotaExceeded.TTL", "status": 400, "step": "add below the floor"}
{"step": "remark"}
{"step": "update"}
{"refused": "DomainRecordDuplicate", "status": 400, "step": "update to the same"}
{"Status": "Disable", "step": "pause"}
{"Open": true, "RecordCount": 1, "step": "balance"}
{"Weight": 7, "step": "weigh"}
"#;

#[tokio::test]
async fn alis_own_sdk_lists_adds_changes_and_deletes() {
    let Some(python) = sdk() else { return };
    for (scheme, name) in [(Scheme::Acs3, "acs3"), (Scheme::V1, "v1")] {
        let fake = fake().await;
        fake.plant(ZONE, Record::new("@", "TXT", "default", "v=spf1 -all"));
        let mut command = Command::new(&python);
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools/ali_sdk.py"));
        command.args([fake.endpoint().trim_start_matches("http://"), "testid", "testsecret", name, ZONE]);
        let said = ran::run(command, "").await.done();
        println!("{said}");
        assert!(said.starts_with(SDK_IS_TOLD.trim_start()), "{name}: {said}");
        assert_eq!(
            fake.texts(ZONE),
            ["*.例子 A telecom 192.0.2.2 1200 paused", "@ TXT default v=spf1 -all 600"]
        );
        assert!(fake.calls().iter().all(|call| call.scheme == Some(scheme)), "{name}");
        // What no other client may do twice: the SDK made each call once.
        assert_eq!(fake.count("AddDomainRecord"), 4);
    }
}
