//! An account as a Secret's data tells it. Pure; a refusal names the key of the Secret and never repeats its value.

use std::collections::BTreeMap;
use std::net::IpAddr;

use reqwest::Url;

use crate::domain::names::FieldError;
use crate::domain::secret::Secret;
use crate::providers::ali::sign::{Key, Signature};

/// Where the vendor serves Alidns.
const ENDPOINT: &str = "https://alidns.aliyuncs.com/";

/// One account at the vendor.
#[derive(Debug, Clone)]
pub struct Account {
    /// Who signs.
    pub key: Key,
    /// Where calls go: scheme, host and port.
    pub endpoint: Url,
    /// How they are signed.
    pub signature: Signature,
}

impl Account {
    /// Reads the data of a Secret: `accessKey`, `accessSecret`, and where they are wanted `endpoint` (a host or a URL),
    /// `signature` (`ACS3-HMAC-SHA256` or `HMAC-SHA1`) and `securityToken`. Other keys are passed over.
    pub fn parse(data: &BTreeMap<String, Secret>) -> Result<Self, FieldError> {
        let id = word(data, "accessKey")?.ok_or_else(|| missing("accessKey"))?;
        let secret = word(data, "accessSecret")?.ok_or_else(|| missing("accessSecret"))?;
        let signature = match word(data, "signature")?.as_ref().map(Secret::expose) {
            None | Some("ACS3-HMAC-SHA256") => Signature::Acs3,
            Some("HMAC-SHA1") => Signature::V1,
            Some(_) => {
                return Err(FieldError::new(
                    "data.signature",
                    "use ACS3-HMAC-SHA256 (the default) or HMAC-SHA1",
                ));
            }
        };
        let endpoint = endpoint(word(data, "endpoint")?.as_ref().map_or(ENDPOINT, Secret::expose))?;
        let token = word(data, "securityToken")?;
        Ok(Self { key: Key { id, secret, token }, endpoint, signature })
    }
}

/// A value without the line feed that `echo` leaves; none where there is nothing else.
fn word(data: &BTreeMap<String, Secret>, key: &str) -> Result<Option<Secret>, FieldError> {
    let text = data.get(key).map(|secret| secret.expose().trim_ascii()).unwrap_or_default();
    // What is more than this can't stand in a header, and no key of the vendor's has it.
    if !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(FieldError::new(format!("data.{key}"), "may hold printable ASCII without blanks only"));
    }
    Ok((!text.is_empty()).then(|| Secret::new(text)))
}

fn missing(key: &str) -> FieldError {
    FieldError::new(format!("data.{key}"), "is missing: an account has accessKey and accessSecret")
}

fn endpoint(text: &str) -> Result<Url, FieldError> {
    let bad = |why: &str| Err(FieldError::new("data.endpoint", why));
    let full = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
    let Ok(url) = Url::parse(&full) else {
        return bad("is neither a host nor a URL: write e.g. alidns.aliyuncs.com");
    };
    let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    if !bare || !url.username().is_empty() || url.password().is_some() {
        return bad("may hold a scheme, a host and a port only: write e.g. https://alidns.aliyuncs.com");
    }
    match url.scheme() {
        "https" => Ok(url),
        // The secret itself never travels, but over plain HTTP anybody on the way could write the answers.
        "http" if loops_back(&url) => Ok(url),
        "http" => bad("plain http is for loopback addresses only: use https"),
        _ => bad("use https"),
    }
}

/// Whether the endpoint is on this machine.
pub(super) fn loops_back(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(more: &[(&str, &str)]) -> Result<Account, FieldError> {
        let own = [("accessKey", "canary-id\n"), ("accessSecret", " canary-secret")];
        let data =
            own.iter().chain(more).map(|(key, text)| ((*key).to_owned(), Secret::new(*text))).collect();
        Account::parse(&data)
    }

    #[test]
    fn a_key_pair_is_enough_and_blanks_round_it_are_none_of_it() {
        let account = parse(&[]).unwrap();
        assert_eq!(account.key.id.expose(), "canary-id");
        assert_eq!(account.key.secret.expose(), "canary-secret");
        assert_eq!((account.endpoint.as_str(), account.signature), (ENDPOINT, Signature::Acs3));
        assert!(account.key.token.is_none() && !format!("{account:?}").contains("canary"));
        let all =
            [("signature", "HMAC-SHA1"), ("securityToken", "sts"), ("endpoint", "alidns.cn-beijing.example")];
        let account = parse(&all).unwrap();
        assert_eq!(account.endpoint.as_str(), "https://alidns.cn-beijing.example/");
        assert_eq!((account.signature, account.key.token.is_some()), (Signature::V1, true));
    }

    #[test]
    fn a_refusal_names_the_key_and_tells_nothing_of_its_value() {
        for (key, text, part) in [
            ("accessKey", "", "is missing"),
            ("accessSecret", " \n", "is missing"),
            ("accessSecret", "canary 1", "printable"),
            ("accessKey", "canary\u{7f}", "printable"),
            ("signature", "canary", "ACS3-HMAC-SHA256"),
            ("endpoint", "http://alidns.example", "loopback"),
            ("endpoint", "ftp://alidns.example", "use https"),
            ("endpoint", "https://canary:b@alidns.example", "host and a port only"),
            ("endpoint", "https://alidns.example/canary", "host and a port only"),
            ("endpoint", "https://", "neither"),
        ] {
            let refusal = parse(&[(key, text)]).unwrap_err();
            assert_eq!(refusal.field, format!("data.{key}"));
            assert!(refusal.why.contains(part) && !refusal.why.contains("canary"), "{refusal}");
        }
    }

    #[test]
    fn plain_http_stays_on_this_machine() {
        for endpoint in ["http://127.0.0.1:8080", "http://[::1]:1/", "http://localhost"] {
            assert_eq!(parse(&[("endpoint", endpoint)]).unwrap().endpoint.scheme(), "http", "{endpoint}");
        }
    }
}
