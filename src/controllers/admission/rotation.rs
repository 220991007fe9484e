//! When the webhook's certificates are made and replaced. It reads what is kept and the clock that it is given, and
//! says what is to be kept; it stores nothing.
//!
//! A new authority is trusted before anything signed by it is shown: first it stands beside the old one in what the API
//! server trusts, then it signs, and the old one is trusted until it ends. So no call fails in between, whichever replica
//! answers it.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use crate::pki::{Authority, PkiError};

/// The authorities' name in their certificates.
const NAME: &str = "cocoasyncer webhook";
/// How long an authority lives, in days.
pub const AUTHORITY_DAYS: i64 = 365;
/// How long a server's certificate lives, in days. Less than the third of an authority's life in which it is still
/// trusted after its successor has come.
pub const SERVER_DAYS: i64 = 90;

const DAY: i64 = 86_400;

/// A certificate, its key and its life, in Unix seconds.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pair {
    /// PEM.
    pub certificate: String,
    /// PEM.
    #[serde(serialize_with = "written", deserialize_with = "hidden")]
    pub key: Zeroizing<String>,
    /// Made.
    pub made: i64,
    /// Ends.
    pub ends: i64,
}

fn written<S: Serializer>(key: &Zeroizing<String>, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(key)
}

fn hidden<'de, D: Deserializer<'de>>(from: D) -> Result<Zeroizing<String>, D::Error> {
    String::deserialize(from).map(Zeroizing::new)
}

impl std::fmt::Debug for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pair(*** {} to {})", self.made, self.ends)
    }
}

impl Pair {
    /// Whether two thirds of its life are over.
    fn is_due(&self, now: i64) -> bool {
        self.made + (self.ends - self.made) * 2 / 3 <= now
    }

    fn is_over(&self, now: i64) -> bool {
        self.ends <= now
    }
}

/// An authority that signs nothing any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Former {
    /// PEM.
    pub certificate: String,
    /// When it ends, in Unix seconds.
    pub ends: i64,
}

/// All that the replicas share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Signs.
    pub authority: Pair,
    /// Is to sign once it is trusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Pair>,
    /// Signed before, and is trusted until it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub former: Option<Former>,
    /// What is shown.
    pub server: Pair,
    /// What it is shown for.
    pub names: Vec<String>,
}

impl Kept {
    /// What an API server is to trust, as PEM.
    pub fn bundle(&self) -> String {
        let next = self.next.iter().map(|next| next.certificate.as_str());
        let former = self.former.iter().map(|former| former.certificate.as_str());
        [self.authority.certificate.as_str()].into_iter().chain(next).chain(former).collect()
    }
}

/// What is to be kept from `now` on; none: what is kept already. `trusted`: the API server trusts the bundle of what is
/// kept, or nobody can make it do so.
pub fn turn(
    kept: Option<&Kept>,
    names: &[String],
    trusted: bool,
    now: Timestamp,
) -> Result<Option<Kept>, PkiError> {
    let at = now.as_second();
    let Some(kept) = kept.filter(|kept| !kept.authority.is_over(at) || kept.next.is_some()) else {
        let authority = authority(now)?;
        let server = server(&authority, names, now)?;
        let (next, former, names) = (None, None, names.to_vec());
        return Ok(Some(Kept { authority, next, former, server, names }));
    };
    let mut fresh = kept.clone();
    if fresh.former.as_ref().is_some_and(|former| former.ends <= at) {
        fresh.former = None;
    }
    match fresh.next.take() {
        Some(next) if trusted || fresh.authority.is_over(at) => {
            let old = std::mem::replace(&mut fresh.authority, next);
            fresh.former = Some(Former { certificate: old.certificate, ends: old.ends });
            fresh.server = server(&fresh.authority, names, now)?;
            fresh.names = names.to_vec();
        }
        Some(next) => fresh.next = Some(next),
        None if fresh.authority.is_due(at) => fresh.next = Some(authority(now)?),
        None => {}
    }
    if fresh.server.is_due(at) || fresh.names != names {
        fresh.server = server(&fresh.authority, names, now)?;
        fresh.names = names.to_vec();
    }
    Ok((fresh != *kept).then_some(fresh))
}

fn authority(now: Timestamp) -> Result<Pair, PkiError> {
    let authority = Authority::make(NAME, now, AUTHORITY_DAYS)?;
    Ok(pair(authority.certificate().to_owned(), authority.key(), now, AUTHORITY_DAYS))
}

fn server(authority: &Pair, names: &[String], now: Timestamp) -> Result<Pair, PkiError> {
    // What outlives its authority is worth nothing from then on.
    let left = (authority.ends - now.as_second()) / DAY;
    let days = left.clamp(1, SERVER_DAYS);
    let authority = Authority::read(NAME, &authority.certificate, &authority.key)?;
    let signed = authority.sign(names, now, days)?;
    Ok(pair(signed.certificate, signed.key, now, days))
}

/// Certificates are dated by the day: they end at the midnight before.
fn pair(certificate: String, key: Zeroizing<String>, now: Timestamp, days: i64) -> Pair {
    let made = now.as_second();
    Pair { certificate, key, made, ends: (made + days * DAY) / DAY * DAY }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(days: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + days * DAY).unwrap()
    }

    fn names() -> Vec<String> {
        vec!["webhook.ns.svc".to_owned()]
    }

    fn made() -> Kept {
        turn(None, &names(), false, at(0)).unwrap().unwrap()
    }

    #[test]
    fn what_is_fresh_is_left_alone() {
        let kept = made();
        assert_eq!(turn(Some(&kept), &names(), true, at(59)).unwrap(), None);
        assert_eq!(kept.bundle(), kept.authority.certificate);
        assert!(!format!("{kept:?}").contains("PRIVATE"), "no key in what is logged");
    }

    #[test]
    fn the_servers_certificate_is_renewed_after_two_thirds_and_for_other_names() {
        let kept = made();
        let renewed = turn(Some(&kept), &names(), true, at(60)).unwrap().unwrap();
        assert_ne!(renewed.server, kept.server);
        assert_eq!(renewed.authority, kept.authority);
        let other = vec!["10.0.0.1".to_owned()];
        assert_eq!(turn(Some(&kept), &other, true, at(1)).unwrap().unwrap().names, other);
    }

    #[test]
    fn a_new_authority_is_trusted_before_it_signs_and_the_old_one_until_it_ends() {
        let mut kept = made();
        kept.server = server(&kept.authority, &names(), at(240)).unwrap();
        let both = turn(Some(&kept), &names(), true, at(244)).unwrap().unwrap();
        let next = both.next.clone().unwrap();
        assert_eq!(both.server, kept.server, "what it signs would not be trusted yet");
        assert_eq!(both.bundle(), kept.authority.certificate.clone() + &next.certificate);
        assert_eq!(turn(Some(&both), &names(), false, at(245)).unwrap(), None, "it waits to be trusted");
        let turned = turn(Some(&both), &names(), true, at(245)).unwrap().unwrap();
        assert_eq!((&turned.authority, &turned.next), (&next, &None));
        assert_ne!(turned.server, kept.server);
        assert_eq!(turned.bundle(), next.certificate.clone() + &kept.authority.certificate);
        let mut later = turned.clone();
        later.server = server(&later.authority, &names(), at(360)).unwrap();
        let alone = turn(Some(&later), &names(), true, at(366)).unwrap().unwrap();
        assert_eq!((alone.bundle(), alone.former), (next.certificate, None));
    }

    #[test]
    fn after_a_long_stop_everything_begins_anew() {
        let kept = made();
        let fresh = turn(Some(&kept), &names(), false, at(400)).unwrap().unwrap();
        assert_ne!(fresh.authority, kept.authority);
        assert_eq!(fresh.former, None);
    }

    #[test]
    fn nothing_outlives_its_authority() {
        let kept = made();
        let late = server(&kept.authority, &names(), at(350)).unwrap();
        assert!(late.ends <= kept.authority.ends, "{late:?} {:?}", kept.authority);
    }
}
