//! Signatures of the vendor's RPC calls: ACS3-HMAC-SHA256, and V1 HMAC-SHA1 for endpoints that know no other. Pure: the
//! moment and the nonce are arguments.
//!
//! Sources: "V3 request structure and signature" and "Request signature" in Alibaba Cloud's OpenAPI documents.

use std::fmt::Write;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use ring::{digest, hmac};

use crate::domain::secret::Secret;

/// Version of the Alidns API that all calls speak.
const VERSION: &str = "2015-01-09";

/// How calls are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Signature {
    /// ACS3-HMAC-SHA256, in headers.
    #[default]
    Acs3,
    /// V1 HMAC-SHA1, in the query.
    V1,
}

/// Who signs.
#[derive(Debug, Clone)]
pub struct Key {
    /// The AccessKey ID.
    pub id: Secret,
    /// The AccessKey secret.
    pub secret: Secret,
    /// The token of temporary credentials (STS).
    pub token: Option<Secret>,
}

/// One call that is to be signed.
pub(super) struct Request<'a> {
    /// The API's name, e.g. `AddDomainRecord`.
    pub action: &'a str,
    /// What it is called with.
    pub params: &'a [(&'a str, &'a str)],
    /// The `Host` header, with the port where it isn't the scheme's own.
    pub host: &'a str,
    /// When it is sent.
    pub at: Timestamp,
    /// What makes it different from all others.
    pub nonce: &'a str,
}

/// A signed call: a POST of `/` without a body.
pub(super) struct Signed {
    /// The query, encoded.
    pub query: Secret,
    /// The headers beside `Host`.
    pub headers: Vec<(&'static str, Secret)>,
}

/// Signs a call.
pub(super) fn sign(how: Signature, key: &Key, request: &Request<'_>) -> Signed {
    match how {
        Signature::Acs3 => acs3(key, request, VERSION),
        Signature::V1 => v1(key, request),
    }
}

fn acs3(key: &Key, request: &Request<'_>, version: &str) -> Signed {
    let query = query(request.params.iter().copied());
    let nothing = hex(digest::digest(&digest::SHA256, b"").as_ref());
    let mut headers = vec![
        ("x-acs-action", Secret::new(request.action)),
        ("x-acs-content-sha256", Secret::new(&*nothing)),
        ("x-acs-date", Secret::new(second(request.at))),
        ("x-acs-security-token", key.token.clone().unwrap_or_default()),
        ("x-acs-signature-nonce", Secret::new(request.nonce)),
        ("x-acs-version", Secret::new(version)),
    ];
    headers.retain(|(_, value)| !value.is_empty());
    let names: Vec<&str> = std::iter::once("host").chain(headers.iter().map(|(name, _)| *name)).collect();
    let names = names.join(";");
    let mut canonical = format!("POST\n/\n{query}\nhost:{}\n", request.host);
    for (name, value) in &headers {
        let _ = writeln!(canonical, "{name}:{}", value.expose());
    }
    let _ = write!(canonical, "\n{names}\n{nothing}");
    let canonical = hex(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref());
    let secret = hmac::Key::new(hmac::HMAC_SHA256, key.secret.expose().as_bytes());
    let signature = hex(hmac::sign(&secret, format!("ACS3-HMAC-SHA256\n{canonical}").as_bytes()).as_ref());
    let id = key.id.expose();
    let shown = format!("ACS3-HMAC-SHA256 Credential={id},SignedHeaders={names},Signature={signature}");
    headers.push(("authorization", Secret::new(shown)));
    Signed { query: Secret::new(query), headers }
}

fn v1(key: &Key, request: &Request<'_>) -> Signed {
    let signed = v1_query(key, request, "POST", "JSON");
    Signed { query: Secret::new(signed), headers: Vec::new() }
}

fn v1_query(key: &Key, request: &Request<'_>, method: &str, format: &str) -> String {
    let at = second(request.at);
    let mut all = vec![
        ("AccessKeyId", key.id.expose()),
        ("Action", request.action),
        ("Format", format),
        ("SignatureMethod", "HMAC-SHA1"),
        ("SignatureNonce", request.nonce),
        ("SignatureVersion", "1.0"),
        ("Timestamp", &at),
        ("Version", VERSION),
    ];
    all.extend(key.token.as_ref().map(|token| ("SecurityToken", token.expose())));
    all.extend(request.params);
    let query = query(all.into_iter());
    let text = format!("{method}&%2F&{}", encode(&query));
    let secret = format!("{}&", key.secret.expose());
    let secret = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.as_bytes());
    let signature = BASE64_STANDARD.encode(hmac::sign(&secret, text.as_bytes()));
    format!("{query}&Signature={}", encode(&signature))
}

/// The parameters by name, encoded: what is sent and what is signed are the same text.
fn query<'a>(params: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut pairs: Vec<(&str, &str)> = params.collect();
    pairs.sort_unstable();
    let pair = |(name, value): (&str, &str)| format!("{}={}", encode(name), encode(value));
    pairs.into_iter().map(pair).collect::<Vec<_>>().join("&")
}

/// Percent encoding of everything that RFC 3986 section 2.3 doesn't call unreserved.
pub(super) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => encoded.push(byte.into()),
            _ => drop(write!(encoded, "%{byte:02X}")),
        }
    }
    encoded
}

/// The moment as both signatures write it: UTC, whole seconds.
fn second(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Octets as lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: &str, secret: &str) -> Key {
        Key { id: Secret::new(id), secret: Secret::new(secret), token: None }
    }

    fn header<'a>(signed: &'a Signed, name: &str) -> &'a str {
        signed.headers.iter().find(|(own, _)| *own == name).unwrap().1.expose()
    }

    /// The sample of "V3 request structure and signature". The page's header sample is of another date and nonce, which
    /// don't give the page's signature; these do.
    #[test]
    fn acs3_signs_as_the_vendors_sample() {
        let request = Request {
            action: "RunInstances",
            params: &[
                ("RegionId", "cn-shanghai"),
                ("ImageId", "win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd"),
            ],
            host: "ecs.cn-shanghai.aliyuncs.com",
            at: "2023-10-26T10:22:32Z".parse().unwrap(),
            nonce: "3156853299f313e23d1673dc12e1703d",
        };
        let signed = acs3(&key("YourAccessKeyId", "YourAccessKeySecret"), &request, "2014-05-26");
        let signature = "06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0";
        let names = "host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version";
        assert_eq!(
            header(&signed, "authorization"),
            format!(
                "ACS3-HMAC-SHA256 Credential=YourAccessKeyId,SignedHeaders={names},Signature={signature}"
            )
        );
        let trap = Request { at: "2023-10-26T09:01:01Z".parse().unwrap(), ..request };
        let other = acs3(&key("YourAccessKeyId", "YourAccessKeySecret"), &trap, "2014-05-26");
        assert!(!header(&other, "authorization").contains(signature));
    }

    /// The sample of Alidns' "Request signature".
    #[test]
    fn v1_signs_as_the_vendors_sample() {
        let request = Request {
            action: "DescribeDomainRecords",
            params: &[("DomainName", "example.com")],
            host: "",
            at: "2016-03-24T16:41:54Z".parse().unwrap(),
            nonce: "f59ed6a9-83fc-473b-9cc6-99c95df3856e",
        };
        let query = v1_query(&key("testid", "testsecret"), &request, "GET", "XML");
        assert!(query.ends_with("&Signature=uRpHwaSEt3J%2B6KQD%2F%2FsvCh%2Fx%2BpI%3D"), "{query}");
        assert!(query.starts_with("AccessKeyId=testid&Action=DescribeDomainRecords&DomainName=example.com&"));
    }

    #[test]
    fn a_token_is_signed_and_nothing_of_it_is_printed() {
        let with = Key { token: Some(Secret::new("canary+token")), ..key("id", "secret") };
        let at = Timestamp::UNIX_EPOCH;
        let request = Request { action: "A", params: &[("RR", "*")], host: "h:1", at, nonce: "n" };
        let signed = sign(Signature::Acs3, &with, &request);
        assert_eq!(header(&signed, "x-acs-security-token"), "canary+token");
        assert!(header(&signed, "authorization").contains(";x-acs-security-token;"));
        assert_eq!(signed.query.expose(), "RR=%2A");
        let signed = sign(Signature::V1, &with, &request);
        assert!(signed.query.expose().contains("&SecurityToken=canary%2Btoken&"));
        assert!(!format!("{with:?}").contains("canary"));
    }

    #[test]
    fn only_unreserved_octets_stay_as_they_are() {
        for (text, encoded) in
            [("aZ09-_.~", "aZ09-_.~"), (" +*/&=@", "%20%2B%2A%2F%26%3D%40"), ("测", "%E6%B5%8B"), ("", "")]
        {
            assert_eq!(encode(text), encoded);
        }
    }
}
