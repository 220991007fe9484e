//! Credentials of image registries, from a Secret of type `kubernetes.io/dockerconfigjson`. No text of a failure repeats
//! what stands in it.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::domain::names::FieldError;
use crate::domain::secret::Secret;

/// The key of such a Secret.
pub const KEY: &str = ".dockerconfigjson";
/// The largest document that is read, in octets: a Secret holds no more.
const MOST: usize = 1 << 20;
/// The most registries.
const MOST_HOSTS: usize = 1000;

/// A user of a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The name.
    pub user: String,
    /// The password or token.
    pub password: Secret,
}

/// Logins by the registry's host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    /// By host, as an image reference names it: in lower case, without scheme and path.
    pub logins: BTreeMap<String, Login>,
}

#[derive(Deserialize)]
struct Written {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    auth: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
}

impl Credentials {
    /// Reads the document. Entries that hold no login, as those of a credential helper, are passed over.
    pub fn parse(bytes: &[u8]) -> Result<Self, FieldError> {
        let refuse = |why: String| FieldError::new(KEY, why);
        if MOST < bytes.len() {
            return Err(refuse(format!("it has {} octets, at most {MOST} are read", bytes.len())));
        }
        if !bytes.trim_ascii_start().starts_with(b"{") {
            return Err(refuse("it is not a JSON object with `auths` by host".into()));
        }
        let written: Written = serde_json::from_slice(bytes).map_err(|error| {
            refuse(format!("it is not a JSON object with `auths` by host (line {})", error.line()))
        })?;
        if MOST_HOSTS < written.auths.len() {
            return Err(refuse(format!("it names {} registries, at most {MOST_HOSTS}", written.auths.len())));
        }
        let mut logins = BTreeMap::new();
        for (written, entry) in written.auths {
            let host = host(&written);
            let login = entry.login().map_err(|why| refuse(format!("auths[{host:?}]: {why}")))?;
            if let Some(login) = login.filter(|_| !host.is_empty()) {
                logins.insert(host, login);
            }
        }
        Ok(Self { logins })
    }

    /// The login for `image`; `default` is the host that stands for images that name none.
    pub fn for_image(&self, image: &str, default: &str) -> Option<&Login> {
        let first = image.split_once('/').map(|(first, _)| first);
        let named = first.filter(|first| first.contains(['.', ':']) || *first == "localhost");
        self.logins.get(&host(named.unwrap_or(default)))
    }
}

impl Entry {
    fn login(self) -> Result<Option<Login>, &'static str> {
        if self.auth.is_empty() {
            let login = Login { user: self.username, password: Secret::new(self.password) };
            return Ok(Some(login).filter(|login| !login.user.is_empty()));
        }
        let not = "`auth` must be `user:password` in base64";
        let text = STANDARD.decode(self.auth.trim()).map_err(|_| not)?;
        let text = String::from_utf8(text).map_err(|_| not)?;
        let (user, password) = text.split_once(':').ok_or(not)?;
        // Some tools pad the password with nulls.
        let password = Secret::new(password.trim_end_matches('\0'));
        Ok(Some(Login { user: user.to_owned(), password }))
    }
}

/// The host of a registry's address, as an image reference has it.
fn host(address: &str) -> String {
    let rest = address.trim();
    let rest = rest.strip_prefix("https://").or_else(|| rest.strip_prefix("http://")).unwrap_or(rest);
    rest.split('/').next().unwrap_or(rest).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_are_found_by_the_image_whatever_way_the_host_was_written() {
        let text = r#"{"auths": {
            "https://One.example.com/v1/": {"auth": "YW5uOnM6M2M="},
            "two.example.com:5000": {"username": "bob", "password": "pw"},
            "three.example.com": {}
        }, "credsStore": "x"}"#;
        let credentials = Credentials::parse(text.as_bytes()).unwrap();
        let user = |image: &str| {
            credentials.for_image(image, "https://one.example.com/v1/").map(|it| it.user.as_str())
        };
        assert_eq!(user("nginx:1"), Some("ann"));
        assert_eq!(user("library/nginx"), Some("ann"));
        assert_eq!(user("one.example.com/a/b:1"), Some("ann"));
        assert_eq!(user("two.example.com:5000/a@sha256:0"), Some("bob"));
        assert_eq!(user("three.example.com/a"), None);
        assert_eq!(user("two.example.com/a"), None);
        assert_eq!(user("localhost/a"), None);
        assert!(credentials.logins["one.example.com"].password.matches("s:3c"));
    }

    #[test]
    fn what_cannot_be_read_is_refused_without_its_text() {
        let many: Vec<String> = (0..=MOST_HOSTS).map(|n| format!("\"h{n}\":{{}}")).collect();
        let cases = [
            "",
            "[]",
            "{\"auths\": []}",
            "{\"auths\": {\"h\": {\"auth\": \"hunter2\"}}}",
            "{\"auths\": {\"h\": {\"auth\": \"aHVudGVyMg==\"}}}",
            "{\"auths\": {\"h\": {\"auth\": \"/////w==\"}}}",
            &format!("{{\"auths\": {{{}}}}}", many.join(",")),
            &" ".repeat(MOST + 1),
        ];
        for text in cases {
            let error = Credentials::parse(text.as_bytes()).unwrap_err();
            assert!(error.field == KEY && !error.why.contains("hunter2"), "{error:?}");
        }
        assert_eq!(Credentials::parse(b"{}").unwrap(), Credentials::default());
    }
}
