//! An account: the name servers and the keys, read from a Secret. One key a line, because a view of BIND is chosen by the
//! key that signs. It only reads; whether a key is right, the server says.
//!
//! Two keys that lead to one and the same zone can't be told from two views, and their lines would undo each other's work:
//! a server without views gets one key.
//!
//! | key of the Secret | meaning |
//! |---|---|
//! | `server` | `host`, `host:port` or `[v6]:port` (53); several, separated by commas, are tried in turn |
//! | `accessKey` | name of the key of the line `default`, or `algorithm:name` (`hmac-sha256`) |
//! | `accessSecret` | its secret in base64, as BIND, Knot and PowerDNS show it |
//! | `accessKey.CT`, `accessSecret.CT`, … | the same for another line |

use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv6Addr;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

use crate::api::vocab::Line;
use crate::domain::names::{DnsName, FieldError};
use crate::domain::secret::Secret;
use crate::providers::rfc2136::tsig::{Algorithm, Key};

const PORT: u16 = 53;

/// Padded or not: people copy either.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A name server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// Where to send and how to sign.
#[derive(Debug, Clone)]
pub struct Account {
    /// Tried in turn; at least one.
    pub servers: Vec<Server>,
    /// The key of the default line.
    pub default: Key,
    /// The keys of all lines, `default` among them.
    pub keys: BTreeMap<Line, Key>,
}

impl Account {
    /// Reads the data of a Secret; the refusal names the key in it as `data.<key>`.
    pub fn parse(data: &BTreeMap<String, Secret>) -> Result<Self, FieldError> {
        let text = |key: &str| data.get(key).map(|secret| secret.expose().trim()).unwrap_or_default();
        let lines = text("server").split(',').map(str::trim).filter(|server| !server.is_empty());
        let servers: Vec<Server> = lines.map(server).collect::<Result<_, _>>()?;
        if servers.is_empty() {
            return Err(FieldError::new("data.server", "missing: write the name server's name or address"));
        }
        for key in data.keys() {
            let line = key.strip_prefix("accessKey.").or_else(|| key.strip_prefix("accessSecret."));
            let known = |line: &str| Line::ALL.iter().any(|known| known.as_str() == line);
            if line.is_some_and(|line| line == Line::Default.as_str() || !known(line)) {
                let why = "no such line: use CT, CU, CMCC, CNEdu or OverSea; default is plain \
                           accessKey and accessSecret";
                return Err(FieldError::new(format!("data.{key}"), why));
            }
        }
        let mut keys: BTreeMap<Line, Key> = BTreeMap::new();
        for line in Line::ALL {
            let of_line = |key: &str| match line {
                Line::Default => key.to_owned(),
                _ => format!("{key}.{line}"),
            };
            let (name, secret) = (of_line("accessKey"), of_line("accessSecret"));
            if line != Line::Default && !data.contains_key(&name) && !data.contains_key(&secret) {
                continue;
            }
            let key = key((&name, text(&name)), (&secret, text(&secret)))?;
            if let Some((other, _)) = keys.iter().find(|(_, known)| known.name() == key.name()) {
                let why = format!(
                    "is the key of {other}, too: each line is a view, and each view needs its own key"
                );
                return Err(FieldError::new(format!("data.{name}"), why));
            }
            keys.insert(line, key);
        }
        let default = keys.get(&Line::Default).cloned();
        let default = default.ok_or_else(|| FieldError::new("data.accessKey", "missing"))?;
        Ok(Self { servers, default, keys })
    }
}

fn server(text: &str) -> Result<Server, FieldError> {
    let bad = || FieldError::new("data.server", format!("{text:?} is not host, host:port or [address]:port"));
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']').ok_or_else(bad)? {
            (host, "") => (host, None),
            (host, port) => (host, Some(port.strip_prefix(':').ok_or_else(bad)?)),
        },
        None if text.parse::<Ipv6Addr>().is_ok() => (text, None),
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let port = port.map_or(Some(PORT), |port| port.parse().ok().filter(|port| 0 < *port)).ok_or_else(bad)?;
    if host.parse::<Ipv6Addr>().is_err() {
        DnsName::parse(host, "data.server").map_err(|_| bad())?;
    }
    Ok(Server { host: host.trim_end_matches('.').to_owned(), port })
}

fn key(name: (&str, &str), secret: (&str, &str)) -> Result<Key, FieldError> {
    let (field, text) = (format!("data.{}", name.0), name.1);
    if text.is_empty() {
        return Err(FieldError::new(field, "missing: write the TSIG key's name, or algorithm:name"));
    }
    let (algorithm, name) = match text.split_once(':') {
        None => (Algorithm::Sha256, text),
        Some((algorithm, name)) => {
            let algorithm = algorithm.trim_end_matches('.').to_ascii_lowercase();
            let known = Algorithm::ALL.into_iter().find(|known| known.as_str() == algorithm);
            let why =
                || format!("{algorithm:?} is not supported: use hmac-sha256, hmac-sha384 or hmac-sha512");
            (known.ok_or_else(|| FieldError::new(&field, why()))?, name)
        }
    };
    let name = DnsName::parse(name, &field)?;
    let field = format!("data.{}", secret.0);
    if secret.1.is_empty() {
        return Err(FieldError::new(field, "missing: write the TSIG key's secret in base64"));
    }
    // What is wrong with it is not said: it is a secret.
    let octets = BASE64.decode(secret.1).map_err(|_| FieldError::new(field, "is not base64"))?;
    Ok(Key::new(name, algorithm, &Zeroizing::new(octets)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(data: &[(&str, &str)], expect: Result<&str, &str>) {
        let data = data.iter().map(|(key, value)| ((*key).to_owned(), Secret::new(*value))).collect();
        let show = |account: Account| {
            let servers: Vec<String> = account.servers.iter().map(ToString::to_string).collect();
            format!("{} {:?}", servers.join(" "), account.keys)
        };
        match (Account::parse(&data).map(show), expect) {
            (Ok(got), Ok(right)) => assert_eq!(got, right),
            (Err(err), Err(right)) => assert!(err.to_string().starts_with(right), "{err}"),
            (got, want) => panic!("{data:?}: got {got:?}, want {want:?}"),
        }
    }

    #[test]
    fn an_account_is_servers_and_a_key_for_each_line() {
        let one = [("server", "ns1.example.com"), ("accessKey", "k."), ("accessSecret", "c2VjcmV0")];
        check(&one, Ok("ns1.example.com:53 {Default: hmac-sha256:k}"));
        let all = [
            ("server", "192.0.2.1:5353, [2001:db8::1]:54,2001:db8::2"),
            ("accessKey", "HMAC-SHA512:k"),
            ("accessSecret", " c2VjcmV0cw \n"),
            ("accessKey.CT", "k-ct"),
            ("accessSecret.CT", "c2VjcmV0cw=="),
            ("somethingElse", "is none of ours"),
        ];
        let right = "192.0.2.1:5353 [2001:db8::1]:54 [2001:db8::2]:53 \
                     {Default: hmac-sha512:k, CT: hmac-sha256:k-ct}";
        check(&all, Ok(right));
    }

    #[test]
    fn what_is_wrong_is_told_by_its_key_and_a_secret_is_never_shown() {
        let with = |key: &'static str, value: &'static str| {
            let mut data =
                BTreeMap::from([("server", "ns1"), ("accessKey", "k"), ("accessSecret", "c2VjcmV0")]);
            data.insert(key, value);
            data.into_iter().collect::<Vec<_>>()
        };
        check(&[], Err("data.server: missing"));
        check(&with("server", "ns1:x"), Err("data.server: \"ns1:x\" is not host"));
        check(&with("server", "[::1"), Err("data.server: "));
        check(&with("server", "http://ns1"), Err("data.server: "));
        check(&with("accessKey", ""), Err("data.accessKey: missing"));
        check(&with("accessKey", "hmac-md5:k"), Err("data.accessKey: \"hmac-md5\" is not supported"));
        check(&with("accessKey", "a b"), Err("data.accessKey: label"));
        check(&with("accessSecret", ""), Err("data.accessSecret: missing"));
        check(&with("accessSecret", "s3cret!"), Err("data.accessSecret: is not base64"));
        check(&with("accessKey.CT", "k2"), Err("data.accessSecret.CT: missing"));
        check(&with("accessSecret.CT", "c2VjcmV0"), Err("data.accessKey.CT: missing"));
        check(&with("accessKey.ct", "k2"), Err("data.accessKey.ct: no such line"));
        check(&with("accessKey.default", "k2"), Err("data.accessKey.default: no such line"));
        let mut twice = with("accessKey.CT", "k");
        twice.push(("accessSecret.CT", "c2VjcmV0"));
        check(&twice, Err("data.accessKey.CT: is the key of default, too"));
    }
}
