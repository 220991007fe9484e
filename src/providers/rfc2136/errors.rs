//! What a server said, in words that tell what to do: which key, which line, which zone. No secret is in them.

use crate::api::vocab::Line;
use crate::domain::names::DnsName;
use crate::domain::retry::Class;
use crate::providers::rfc2136::message::Rcode;
use crate::providers::rfc2136::session::{Meaning, SessionError};
use crate::providers::rfc2136::tsig::Key;
use crate::providers::{Kind, ProviderError};

/// What was being done.
#[derive(Debug, Clone, Copy)]
pub enum Doing {
    /// Looking for the zone of a name.
    Finding,
    /// Transferring a zone.
    Listing,
    /// Updating it.
    Changing,
}

/// Where it was done.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// What.
    pub doing: Doing,
    /// In which zone, or for which name.
    pub name: &'a DnsName,
    /// On which line.
    pub line: Line,
    /// Signed with.
    pub key: &'a Key,
}

impl SessionError {
    /// What went wrong, and who can mend it.
    pub fn verdict(&self) -> (Kind, Class) {
        match self {
            SessionError::Connect { .. } | SessionError::Broken { .. } | SessionError::Silent { .. } => {
                (Kind::Unreachable, Class::Transient)
            }
            SessionError::Garbage { .. } | SessionError::Distrusted { .. } => {
                (Kind::Unreadable, Class::Transient)
            }
            SessionError::TooLarge { .. } => (Kind::Other, Class::User),
            SessionError::Refused { rcode, means, .. } => match (*means, *rcode) {
                (Meaning::Key | Meaning::Unclear, _) => (Kind::Credentials, Class::User),
                (Meaning::Zone, _) => (Kind::ZoneUnknown, Class::User),
                (Meaning::Rights, _) => (Kind::Rights, Class::User),
                (Meaning::Else, Rcode::NOTIMP) => (Kind::Other, Class::User),
                // Clocks and servers are mended without an edit of ours.
                (Meaning::Else, Rcode::BADTIME | Rcode::SERVFAIL) => (Kind::Other, Class::Transient),
                (Meaning::Else, rcode) if rcode.is_prerequisite() => (Kind::Conflict, Class::Transient),
                _ => (Kind::Other, Class::Bug),
            },
        }
    }
}

impl Place<'_> {
    /// The error for the loops above.
    pub fn error(&self, error: &SessionError) -> ProviderError {
        let (kind, class) = error.verdict();
        if let SessionError::Refused { server, rcode, ahead, means } = error {
            let what = format!("{server} says {rcode}: {}", self.advice(*rcode, *means, *ahead));
            return ProviderError { code: Some(rcode.to_string()), ..ProviderError::new(kind, class, what) };
        }
        let (name, line) = (self.name, self.line);
        let what = match self.doing {
            Doing::Finding => format!("can't ask for the zone of {name}"),
            Doing::Listing => format!("can't transfer {name} [{line}]"),
            Doing::Changing => format!("can't update {name} [{line}]"),
        };
        ProviderError { source: Some(Box::new(error.clone())), ..ProviderError::new(kind, class, what) }
    }

    fn advice(&self, rcode: Rcode, means: Meaning, ahead: Option<i64>) -> String {
        let (name, line, key) = (self.name, self.line, self.key.name());
        match (means, rcode) {
            (Meaning::Key, Rcode::BADKEY) => format!(
                "it doesn't know the key {key} [{line}], or grants it nothing in {name}: compare accessKey with \
                 the server's keys and what they may do"
            ),
            (Meaning::Key, Rcode::BADSIG | Rcode::BADTRUNC) => format!(
                "secret or algorithm of the key {key} [{line}] are not the server's: compare accessSecret and \
                 accessKey"
            ),
            (Meaning::Key | Meaning::Unclear, _) => format!(
                "it doesn't accept the key {key} [{line}]: compare accessKey and accessSecret with the server's \
                 keys, and this machine's clock with its clock"
            ),
            (Meaning::Zone, _) => format!(
                "it is not the authority of {name} where the key {key} [{line}] leads: create the zone there, or \
                 mend the service's domain"
            ),
            (Meaning::Rights, _) => match self.doing {
                Doing::Finding => format!("the key {key} [{line}] may not ask for {name}"),
                Doing::Listing => format!(
                    "the key {key} [{line}] may not transfer {name}: allow it \
                     (BIND: allow-transfer, Knot: acl, PowerDNS: TSIG-ALLOW-AXFR)"
                ),
                Doing::Changing => format!(
                    "the key {key} [{line}] may not make this update in {name}: allow it (BIND: update-policy or \
                     allow-update, and check-names for names with underscores, Knot: acl, PowerDNS: \
                     TSIG-ALLOW-DNSUPDATE)"
                ),
            },
            (Meaning::Else, Rcode::BADTIME) => skew(ahead),
            (Meaning::Else, Rcode::NOTIMP) => {
                format!(
                    "it can't do that with {name} [{line}]: name the primary server, and let it take updates"
                )
            }
            (Meaning::Else, Rcode::SERVFAIL) => format!("it failed at {name} [{line}]: see its log"),
            _ => format!("it doesn't take what was asked of {name} [{line}]"),
        }
    }

    /// An alias stands where a record should (RFC 1034 section 3.6.2).
    pub fn alias(&self, at: &DnsName, rcode: Rcode) -> ProviderError {
        let what = format!(
            "a CNAME stands at {at} [{}], and nothing can stand beside it ({rcode}): remove it, or choose \
             another name",
            self.line
        );
        ProviderError {
            code: Some(rcode.to_string()),
            ..ProviderError::new(Kind::Conflict, Class::User, what)
        }
    }

    /// Something else stands there than what was listed.
    pub fn changed(&self, at: &DnsName, rcode: Rcode) -> ProviderError {
        let what = format!("somebody changed {at} [{}] since it was listed ({rcode})", self.line);
        let error = ProviderError::new(Kind::Conflict, Class::Transient, what);
        ProviderError { code: Some(rcode.to_string()), ..error }
    }
}

fn skew(ahead: Option<i64>) -> String {
    match ahead {
        Some(ahead) if 0 < ahead => {
            format!("this machine's clock is {ahead} s behind the server's: put it right")
        }
        Some(ahead) => {
            format!("this machine's clock is {} s ahead of the server's: put it right", ahead.unsigned_abs())
        }
        None => "this machine's clock and the server's differ too much: put them right".into(),
    }
}
