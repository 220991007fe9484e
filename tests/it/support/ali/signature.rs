//! The vendor's two signatures, verified from the published descriptions alone: what arrived is written down again in
//! canonical form, signed with the secret that the vendor knows, and compared. It must not use the product's signing.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use ring::{digest, hmac};

use super::errors::Refusal;

/// A request as it came off the wire.
#[derive(Clone, Debug, Default)]
pub struct Arrived {
    pub method: String,
    pub path: String,
    /// Still encoded.
    pub query: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// Which signature a request carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// ACS3-HMAC-SHA256, in the header `Authorization`.
    Acs3,
    /// HMAC-SHA1, among the parameters.
    V1,
}

/// What a request says of itself, believed or not.
#[derive(Clone, Debug)]
pub struct Claim {
    pub scheme: Scheme,
    pub key: String,
    pub token: Option<String>,
    pub at: Timestamp,
    pub nonce: String,
    pub action: String,
    pub version: String,
    /// The action's own parameters; nothing of the signature is among them.
    pub params: BTreeMap<String, String>,
    signature: String,
    to_sign: String,
    /// What the vendor quotes back.
    shown: (&'static str, String),
}

impl Claim {
    /// Reads a request without judging its signature.
    pub fn read(arrived: &Arrived) -> Result<Self, Refusal> {
        match header(arrived, "authorization") {
            Some(authorization) => acs3(arrived, &authorization),
            None => v1(arrived),
        }
    }

    /// Whether the signature is the one that `secret` makes.
    pub fn verify(&self, secret: &str) -> Result<(), Refusal> {
        if self.expected(secret) == self.signature {
            Ok(())
        } else {
            Err(Refusal::mismatch(self.shown.0, &self.shown.1))
        }
    }

    fn expected(&self, secret: &str) -> String {
        let text = self.to_sign.as_bytes();
        match self.scheme {
            Scheme::Acs3 => {
                hex(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), text).as_ref())
            }
            Scheme::V1 => {
                let key =
                    hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, format!("{secret}&").as_bytes());
                STANDARD.encode(hmac::sign(&key, text))
            }
        }
    }
}

fn acs3(arrived: &Arrived, authorization: &str) -> Result<Claim, Refusal> {
    let incomplete = || Refusal::new("IncompleteSignature");
    let parts = authorization
        .strip_prefix("ACS3-HMAC-SHA256 ")
        .ok_or_else(|| Refusal::new("InvalidSignatureMethod"))?;
    let parts: BTreeMap<&str, &str> =
        parts.split(',').filter_map(|part| part.trim().split_once('=')).collect();
    let part = |name: &str| parts.get(name).map(|value| (*value).to_owned()).ok_or_else(incomplete);
    let (key, signed, signature) = (part("Credential")?, part("SignedHeaders")?, part("Signature")?);
    let must = |name: &str| header(arrived, name).ok_or_else(|| Refusal::missing(name));
    let (action, version) = (must("x-acs-action")?, must("x-acs-version")?);
    let (nonce, declared) = (must("x-acs-signature-nonce")?, must("x-acs-content-sha256")?);
    let at = time(header(arrived, "x-acs-date"))?;

    let names: Vec<&str> = signed.split(';').collect();
    // Left unsigned, such a header could be changed on the way.
    let to_be_signed = |name: &str| name == "host" || name.starts_with("x-acs-");
    let all_signed =
        arrived.headers.iter().all(|(name, _)| !to_be_signed(name) || names.contains(&name.as_str()));
    let payload = hex(digest::digest(&digest::SHA256, &arrived.body).as_ref());
    let query: Vec<String> = sorted(pairs(&arrived.query)).iter().map(encoded).collect();
    let lines: String =
        names.iter().map(|name| format!("{name}:{}\n", header(arrived, name).unwrap_or_default())).collect();
    let path = if arrived.path.is_empty() { "/" } else { &arrived.path };
    let canonical = format!("{}\n{path}\n{}\n{lines}\n{signed}\n{payload}", arrived.method, query.join("&"));
    let is_sorted = names.is_sorted();
    if !(all_signed && is_sorted && declared == payload) {
        return Err(Refusal::mismatch("CanonicalRequest", &canonical));
    }
    let hashed = hex(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref());
    Ok(Claim {
        scheme: Scheme::Acs3,
        key,
        token: header(arrived, "x-acs-security-token"),
        at,
        nonce,
        action,
        version,
        params: pairs(&arrived.query).into_iter().chain(form(arrived)).collect(),
        signature,
        to_sign: format!("ACS3-HMAC-SHA256\n{hashed}"),
        shown: ("CanonicalRequest", canonical),
    })
}

/// The parameters that belong to the signature or the transport.
const COMMON: [&str; 10] = [
    "AccessKeyId",
    "Action",
    "Format",
    "SecurityToken",
    "Signature",
    "SignatureMethod",
    "SignatureNonce",
    "SignatureVersion",
    "Timestamp",
    "Version",
];

fn v1(arrived: &Arrived) -> Result<Claim, Refusal> {
    let all: BTreeMap<String, String> = pairs(&arrived.query).into_iter().chain(form(arrived)).collect();
    let must = |name: &str| all.get(name).cloned().ok_or_else(|| Refusal::missing(name));
    let (key, signature) = (must("AccessKeyId")?, must("Signature")?);
    if all.get("SignatureMethod").is_some_and(|method| method != "HMAC-SHA1") {
        return Err(Refusal::new("InvalidSignatureMethod"));
    }
    if must("SignatureVersion")? != "1.0" {
        return Err(Refusal::new("IncompleteSignature"));
    }
    let at = time(all.get("Timestamp").cloned())?;
    let query: Vec<String> = all
        .iter()
        .filter(|(name, _)| *name != "Signature")
        .map(|(name, value)| encoded(&(name.clone(), value.clone())))
        .collect();
    let to_sign = format!("{}&{}&{}", arrived.method, percent("/"), percent(&query.join("&")));
    Ok(Claim {
        scheme: Scheme::V1,
        key,
        token: all.get("SecurityToken").cloned(),
        at,
        nonce: must("SignatureNonce")?,
        action: must("Action")?,
        version: must("Version")?,
        params: all.into_iter().filter(|(name, _)| !COMMON.contains(&name.as_str())).collect(),
        signature,
        shown: ("string to sign", to_sign.clone()),
        to_sign,
    })
}

fn header(arrived: &Arrived, name: &str) -> Option<String> {
    let values = arrived.headers.iter().filter(|(found, _)| found == name);
    let mut values: Vec<&str> = values.map(|(_, value)| value.trim()).collect();
    values.sort_unstable();
    if values.is_empty() { None } else { Some(values.join(",")) }
}

fn time(text: Option<String>) -> Result<Timestamp, Refusal> {
    let text = text.ok_or_else(|| Refusal::new("IllegalTimestamp"))?;
    let strict = text.len() == 20 && text.ends_with('Z');
    let at = text.parse().ok().filter(|_| strict);
    at.ok_or_else(|| Refusal::new("InvalidTimeStamp.Format"))
}

fn form(arrived: &Arrived) -> Vec<(String, String)> {
    let is_form = header(arrived, "content-type")
        .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
    if is_form { pairs(&String::from_utf8_lossy(&arrived.body)) } else { Vec::new() }
}

fn pairs(text: &str) -> Vec<(String, String)> {
    let pair = |part: &str| {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        (decoded(name), decoded(value))
    };
    text.split('&').filter(|part| !part.is_empty()).map(pair).collect()
}

fn sorted(mut pairs: Vec<(String, String)>) -> Vec<(String, String)> {
    pairs.sort();
    pairs
}

fn encoded((name, value): &(String, String)) -> String {
    format!("{}={}", percent(name), percent(value))
}

/// RFC 3986: everything but the unreserved characters.
pub fn percent(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(byte.into()),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut out, mut at) = (Vec::new(), 0);
    while let Some(&byte) = bytes.get(at) {
        let digits = text.get(at + 1..at + 3).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (byte, digits) {
            (b'%', Some(value)) => {
                out.push(value);
                at += 2;
            }
            (b'+', _) => out.push(b' '),
            _ => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vendor's own example of HMAC-SHA1.
    #[test]
    fn the_vendors_v1_example_has_the_vendors_signature() {
        let query = "AccessKeyId=testid&Action=DescribeDomainRecords&DomainName=example.com&Format=XML\
            &Signature=uRpHwaSEt3J%2B6KQD%2F%2FsvCh%2Fx%2BpI%3D&SignatureMethod=HMAC-SHA1\
            &SignatureNonce=f59ed6a9-83fc-473b-9cc6-99c95df3856e&SignatureVersion=1.0\
            &Timestamp=2016-03-24T16%3A41%3A54Z&Version=2015-01-09";
        let arrived =
            Arrived { method: "GET".into(), path: "/".into(), query: query.into(), ..Default::default() };
        let claim = Claim::read(&arrived).unwrap();
        assert_eq!(claim.expected("testsecret"), "uRpHwaSEt3J+6KQD//svCh/x+pI=");
        assert!(claim.verify("testsecret").is_ok());
        assert_eq!(claim.verify("other").unwrap_err().code, "SignatureDoesNotMatch");
        let params: Vec<_> = claim.params.into_iter().collect();
        assert_eq!(params, [("DomainName".to_owned(), "example.com".to_owned())]);
    }

    #[test]
    fn a_form_is_signed_as_a_query_is() {
        let (query, form) =
            ("Action=A&Version=2015-01-09&AccessKeyId=k&SignatureVersion=1.0&SignatureNonce=n", "RR=%40");
        let signed = |form: &str, signature: &str| {
            let rest = format!("&Timestamp=2016-03-24T16%3A41%3A54Z&Signature={}", percent(signature));
            let kind = ("content-type".into(), "application/x-www-form-urlencoded".into());
            let (query, body) = (query.to_owned() + &rest, form.as_bytes().to_vec());
            Arrived { method: "POST".into(), path: "/".into(), query, headers: vec![kind], body }
        };
        let good = Claim::read(&signed(form, "")).unwrap().expected("s");
        let claim = Claim::read(&signed(form, &good)).unwrap();
        assert_eq!(claim.params["RR"], "@");
        assert!(claim.to_sign.starts_with("POST&%2F&AccessKeyId%3Dk%26Action%3DA%26RR%3D%2540%26"));
        assert!(claim.verify("s").is_ok());
        assert!(Claim::read(&signed("RR=a", &good)).unwrap().verify("s").is_err());
    }

    /// The vendor's own example of ACS3-HMAC-SHA256.
    #[test]
    fn the_vendors_acs3_example_has_the_vendors_signature() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let signature = "06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0";
        let authorization = format!(
            "ACS3-HMAC-SHA256 Credential=YourAccessKeyId,SignedHeaders=host;x-acs-action;x-acs-content-sha256;\
             x-acs-date;x-acs-signature-nonce;x-acs-version,Signature={signature}"
        );
        let headers = [
            ("host", "ecs.cn-shanghai.aliyuncs.com"),
            ("x-acs-action", "RunInstances"),
            ("x-acs-content-sha256", empty),
            ("x-acs-date", "2023-10-26T10:22:32Z"),
            ("x-acs-signature-nonce", "3156853299f313e23d1673dc12e1703d"),
            ("x-acs-version", "2014-05-26"),
            ("authorization", &authorization),
        ];
        let arrived = Arrived {
            method: "POST".into(),
            path: "/".into(),
            query: "RegionId=cn-shanghai&ImageId=win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd".into(),
            headers: headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
            body: Vec::new(),
        };
        let claim = Claim::read(&arrived).unwrap();
        let hashed = claim.to_sign.strip_prefix("ACS3-HMAC-SHA256\n").unwrap();
        assert!(hashed.starts_with("7ea06492") && hashed.ends_with("b1e259"), "{hashed}");
        assert_eq!(claim.expected("YourAccessKeySecret"), signature);

        let mut altered = arrived.clone();
        altered.query.push('1');
        assert!(Claim::read(&altered).unwrap().verify("YourAccessKeySecret").is_err());
        let mut altered = arrived.clone();
        altered.body.push(b'x');
        assert_eq!(Claim::read(&altered).unwrap_err().code, "SignatureDoesNotMatch");
        let mut unsigned = arrived;
        unsigned.headers.push(("x-acs-security-token".into(), "t".into()));
        assert_eq!(Claim::read(&unsigned).unwrap_err().code, "SignatureDoesNotMatch");
    }

    #[test]
    fn percent_encoding_round_trips() {
        for text in ["a b*~", "例子.cn", "100%", "a+b/c=d&e"] {
            assert_eq!(decoded(&percent(text)), text);
        }
        assert_eq!(percent("* ~/"), "%2A%20~%2F");
        assert_eq!(decoded("100%zz+"), "100%zz ");
    }
}
