//! The plane's own certificate authority and the one token, kept in the data directory for its owner's eyes only.
//! Server certificates are made from the authority at each start and replaced while running, so none is ever stored.

use std::{
    io::Write,
    net::IpAddr,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::pki::{Authority, PkiError, Rotating};

/// The authority's name in its certificate.
const NAME: &str = "cocoasyncer plane";
/// How long the authority lives.
const AUTHORITY_DAYS: i64 = 3650;
/// An authority with less left than this is replaced at the next start.
const AUTHORITY_SPARE_DAYS: i64 = 365;
/// How long a server certificate lives.
const SERVER_DAYS: i64 = 90;
/// A server certificate with less left than this is replaced.
pub const SERVER_SPARE_DAYS: i64 = 30;

/// Why there are no credentials.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The file cannot be read or written.
    #[error("cannot use the credentials file {file}", file = .file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is not what was written.
    #[error(
        "the credentials file {file} cannot be read; move it away to have new ones made (clients then need the new \
         kubeconfig)",
        file = .file.display()
    )]
    Damaged {
        /// The file.
        file: PathBuf,
    },
    /// A key or certificate cannot be made.
    #[error(transparent)]
    Certificate(#[from] PkiError),
    /// There is no token.
    #[error("no random bytes from the operating system")]
    NoRandom,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    authority: String,
    authority_key: String,
    /// Unix seconds.
    expires: i64,
    token: String,
}

/// The authority and the token.
pub struct Credentials {
    authority: Authority,
    token: Zeroizing<String>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials(***)")
    }
}

impl Credentials {
    /// Reads them from `dir`, or makes them there. Without a directory they live as long as the process.
    pub fn open(dir: Option<&Path>, now: Timestamp) -> Result<Credentials, CredentialsError> {
        let Some(dir) = dir else { return make(now, None).and_then(|kept| from_kept(kept, Path::new(""))) };
        let file = dir.join("credentials.json");
        let failed = |source| CredentialsError::File { file: file.clone(), source };
        let kept = match std::fs::read(&file).map(Zeroizing::new) {
            Ok(text) => {
                let kept: Kept = serde_json::from_slice(&text)
                    .map_err(|_| CredentialsError::Damaged { file: file.clone() })?;
                if now.as_second() + AUTHORITY_SPARE_DAYS * 86_400 < kept.expires {
                    return from_kept(kept, &file);
                }
                // The token stays: it has no date, and changing it would lock clients out for no gain.
                make(now, Some(kept.token))?
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => make(now, None)?,
            Err(error) => return Err(failed(error)),
        };
        let text = Zeroizing::new(serde_json::to_vec(&kept).expect("plain strings serialise"));
        write_private(&file, &text).map_err(failed)?;
        from_kept(kept, &file)
    }

    /// Whether `token` is the one.
    pub fn accepts(&self, token: &[u8]) -> bool {
        self.token.as_bytes().ct_eq(token).into()
    }

    /// Goes on with a new server certificate for `names`; answers when it ends, in Unix seconds.
    pub fn renew(
        &self,
        rotating: &Rotating,
        names: &[String],
        now: Timestamp,
    ) -> Result<i64, CredentialsError> {
        let signed = self.authority.sign(names, now, SERVER_DAYS)?;
        rotating.replace(&signed.certificate, &signed.key)?;
        Ok(now.as_second() + SERVER_DAYS * 86_400)
    }

    /// The text of a kubeconfig for the server at `url`.
    pub fn kubeconfig(&self, url: &str) -> Zeroizing<String> {
        let authority = STANDARD.encode(self.authority.certificate());
        Zeroizing::new(format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: cocoasyncer\nclusters:\n- name: cocoasyncer\n  cluster:\n    \
             server: {url}\n    certificate-authority-data: {authority}\ncontexts:\n- name: cocoasyncer\n  context:\n    \
             cluster: cocoasyncer\n    user: admin\n    namespace: default\nusers:\n- name: admin\n  user:\n    token: {}\n",
            self.token.as_str()
        ))
    }
}

/// Names that every server certificate carries.
pub fn names(addr: IpAddr, extra: &[String]) -> Vec<String> {
    let mut names: Vec<String> =
        ["localhost", "127.0.0.1", "::1", "kubernetes", "kubernetes.default", "kubernetes.default.svc"]
            .map(str::to_owned)
            .to_vec();
    if !addr.is_unspecified() {
        names.push(addr.to_string());
    }
    names.extend(extra.iter().cloned());
    names.sort();
    names.dedup();
    names
}

/// Writes a file that only its owner may read, in one step: a crash leaves the old one or the new one.
pub fn write_private(file: &Path, content: &[u8]) -> std::io::Result<()> {
    let mut fresh = file.as_os_str().to_owned();
    fresh.push(".new");
    let fresh = PathBuf::from(fresh);
    match std::fs::remove_file(&fresh) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut out = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
    out.write_all(content)?;
    out.sync_all()?;
    std::fs::rename(&fresh, file)
}

fn make(now: Timestamp, token: Option<String>) -> Result<Kept, CredentialsError> {
    let authority = Authority::make(NAME, now, AUTHORITY_DAYS)?;
    let token = match token {
        Some(token) => token,
        None => {
            let mut bytes = Zeroizing::new([0u8; 32]);
            SystemRandom::new().fill(bytes.as_mut()).map_err(|_| CredentialsError::NoRandom)?;
            bytes.iter().map(|byte| format!("{byte:02x}")).collect()
        }
    };
    Ok(Kept {
        authority: authority.certificate().to_owned(),
        authority_key: authority.key().to_string(),
        expires: now.as_second() + AUTHORITY_DAYS * 86_400,
        token,
    })
}

fn from_kept(kept: Kept, file: &Path) -> Result<Credentials, CredentialsError> {
    let authority = Authority::read(NAME, &kept.authority, &Zeroizing::new(kept.authority_key))
        .map_err(|_| CredentialsError::Damaged { file: file.to_owned() })?;
    Ok(Credentials { authority, token: Zeroizing::new(kept.token) })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use jiff::SignedDuration;

    use super::*;

    #[test]
    fn credentials_survive_a_restart_and_are_for_the_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let now = Timestamp::now();
        let first = Credentials::open(Some(dir.path()), now).unwrap();
        let mode = std::fs::metadata(dir.path().join("credentials.json")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let second = Credentials::open(Some(dir.path()), now).unwrap();
        assert_eq!(first.kubeconfig("x").as_str(), second.kubeconfig("x").as_str());
        assert!(second.accepts(first.token.as_bytes()) && !second.accepts(b"") && !second.accepts(b"x"));
        assert_eq!(format!("{first:?}"), "Credentials(***)");
    }

    #[test]
    fn an_authority_near_its_end_is_replaced_and_the_token_stays() {
        let dir = tempfile::tempdir().unwrap();
        let now = Timestamp::now();
        let old = Credentials::open(Some(dir.path()), now).unwrap();
        let later = now + SignedDuration::from_hours(24 * (AUTHORITY_DAYS - 100));
        let new = Credentials::open(Some(dir.path()), later).unwrap();
        assert_ne!(old.authority.certificate(), new.authority.certificate());
        assert!(new.accepts(old.token.as_bytes()));
    }

    #[test]
    fn damaged_credentials_are_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("credentials.json"), "{").unwrap();
        let error = Credentials::open(Some(dir.path()), Timestamp::now()).unwrap_err().to_string();
        assert!(error.contains("move it away"), "{error}");
    }
}
