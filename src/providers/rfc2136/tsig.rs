//! Signing with shared keys (TSIG, RFC 8945): one key a line. It computes and compares; it sends nothing and never shows a
//! key. Truncated signatures are not taken.

use std::fmt;

use ring::hmac;

use crate::domain::names::DnsName;
use crate::providers::rfc2136::message::{Message, Signature, put_name};

/// The class of a TSIG record (RFC 8945 section 4.2).
const ANY: u16 = 255;
/// Its type.
pub const TSIG: u16 = 250;
/// Seconds by which two clocks may differ (RFC 8945 section 10 recommends them).
const FUDGE: u16 = 300;
/// Most messages of a transfer between two that are signed (RFC 8945 section 5.3.1).
const MOST_UNSIGNED: usize = 99;
/// Octets of a header before the count of additional records, which the signature raises by one.
const ARCOUNT: usize = 10;

/// How a key signs. SHA-1 and MD5 are not offered (RFC 8945 section 6), SHA-224 is unknown to the crypto library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// `hmac-sha256`
    Sha256,
    /// `hmac-sha384`
    Sha384,
    /// `hmac-sha512`
    Sha512,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Algorithm; 3] = [Algorithm::Sha256, Algorithm::Sha384, Algorithm::Sha512];

    /// Its name in messages and in name servers' settings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Algorithm::Sha256 => "hmac-sha256",
            Algorithm::Sha384 => "hmac-sha384",
            Algorithm::Sha512 => "hmac-sha512",
        }
    }

    fn mac(self) -> hmac::Algorithm {
        match self {
            Algorithm::Sha256 => hmac::HMAC_SHA256,
            Algorithm::Sha384 => hmac::HMAC_SHA384,
            Algorithm::Sha512 => hmac::HMAC_SHA512,
        }
    }
}

/// A shared key.
#[derive(Clone)]
pub struct Key {
    name: DnsName,
    algorithm: Algorithm,
    mac: hmac::Key,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm.as_str(), self.name)
    }
}

/// Why an answer is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Distrust {
    /// There is no signature where one must be.
    #[error("it is not signed")]
    Unsigned,
    /// It names another key or algorithm.
    #[error("it is signed with another key")]
    OtherKey,
    /// The signature is not this key's, or the message was altered.
    #[error("its signature is wrong: the secret differs from the server's, or somebody stands in between")]
    Wrong,
    /// The signature is too old or too new.
    #[error("it is {0} s off this clock: put the clocks right")]
    Time(i64),
}

impl Key {
    /// A key; `secret` is its octets.
    pub fn new(name: DnsName, algorithm: Algorithm, secret: &[u8]) -> Self {
        Self { name, algorithm, mac: hmac::Key::new(algorithm.mac(), secret) }
    }

    /// Its name.
    pub fn name(&self) -> &DnsName {
        &self.name
    }

    /// Signs `message` at `now` (seconds since 1970) by a record at its end; the check is for what answers it.
    pub fn sign(&self, message: &mut Vec<u8>, now: u64) -> Check<'_> {
        let mut context = hmac::Context::with_key(&self.mac);
        context.update(message);
        context.update(&self.variables(now, FUDGE, 0, &[]));
        let tag = context.sign();
        let id = message.get(..2).map(<[u8]>::to_vec).unwrap_or_default();
        let mut data = Vec::with_capacity(96);
        put_name(&mut data, self.algorithm.as_str(), None);
        put_time(&mut data, now, FUDGE);
        data.extend(length(tag.as_ref()));
        data.extend(tag.as_ref());
        data.extend(id);
        data.extend([0; 4]); // no error, nothing else
        put_name(message, self.name.as_str(), None);
        message.extend(TSIG.to_be_bytes());
        message.extend(ANY.to_be_bytes());
        message.extend([0; 4]);
        message.extend(length(&data));
        message.extend(data);
        if let Some(count) = message.get_mut(ARCOUNT + 1) {
            // We put nothing else there.
            *count = 1;
        }
        Check { key: self, prior: tag.as_ref().to_vec(), first: true, unsigned: Vec::new(), skipped: 0 }
    }

    /// What is signed beside the message (RFC 8945 section 4.3.3).
    fn variables(&self, time: u64, fudge: u16, error: u16, other: &[u8]) -> Vec<u8> {
        let mut all = Vec::with_capacity(96);
        put_name(&mut all, self.name.as_str(), None);
        all.extend(ANY.to_be_bytes());
        all.extend([0; 4]);
        put_name(&mut all, self.algorithm.as_str(), None);
        put_time(&mut all, time, fudge);
        all.extend(error.to_be_bytes());
        all.extend(length(other));
        all.extend(other);
        all
    }
}

fn put_time(into: &mut Vec<u8>, time: u64, fudge: u16) {
    into.extend(time.to_be_bytes().iter().skip(2));
    into.extend(fudge.to_be_bytes());
}

fn length(of: &[u8]) -> [u8; 2] {
    u16::try_from(of.len()).unwrap_or(u16::MAX).to_be_bytes()
}

/// Checks the answers to one signed question, which are chained: each signature covers the one before.
pub struct Check<'k> {
    key: &'k Key,
    prior: Vec<u8>,
    first: bool,
    unsigned: Vec<u8>,
    skipped: usize,
}

impl Check<'_> {
    /// Whether all that came so far is covered by a signature: a transfer must not end otherwise.
    pub fn is_complete(&self) -> bool {
        !self.first && self.skipped == 0
    }

    /// Checks the next answer: `packet` as it came, `message` as it was read, `now` in seconds since 1970.
    pub fn take(&mut self, packet: &[u8], message: &Message, now: u64) -> Result<(), Distrust> {
        let Some(signature) = &message.signature else {
            if self.first || self.skipped == MOST_UNSIGNED {
                return Err(Distrust::Unsigned);
            }
            self.skipped += 1;
            self.unsigned.extend(packet);
            return Ok(());
        };
        if signature.key.as_deref() != Some(self.key.name.as_str())
            || signature.algorithm.as_deref() != Some(self.key.algorithm.as_str())
        {
            return Err(Distrust::OtherKey);
        }
        let Signature { time, fudge, .. } = *signature;
        let mut signed = length(&self.prior).to_vec();
        signed.extend(&self.prior);
        signed.append(&mut self.unsigned);
        let body = packet.get(..signature.at).unwrap_or_default();
        let fewer = message.additionals.saturating_sub(1).to_be_bytes();
        signed.extend(signature.id.to_be_bytes());
        signed.extend(body.get(2..ARCOUNT).unwrap_or_default());
        signed.extend(fewer);
        signed.extend(body.get(ARCOUNT + 2..).unwrap_or_default());
        match self.first {
            true => signed.extend(self.key.variables(time, fudge, signature.error, &signature.other)),
            false => put_time(&mut signed, time, fudge),
        }
        hmac::verify(&self.key.mac, &signed, &signature.mac).map_err(|_| Distrust::Wrong)?;
        let off = i64::try_from(time).unwrap_or(i64::MAX).saturating_sub_unsigned(now);
        // The server's word on our clock is taken whatever the clock says.
        if signature.error == 0 && u64::from(fudge) < off.unsigned_abs() {
            return Err(Distrust::Time(off));
        }
        self.prior.clone_from(&signature.mac);
        (self.first, self.skipped) = (false, 0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::rfc2136::message::question;

    fn key(secret: &[u8]) -> Key {
        Key::new(DnsName::parse("key.example", "").unwrap(), Algorithm::Sha256, secret)
    }

    /// The server's side, from the RFC: signs an answer whose question was signed with `prior`.
    fn answer(key: &Key, prior: &[u8], first: bool, now: u64) -> Vec<u8> {
        let mut packet = question(7, "example.com", 6);
        packet[2] |= 0x80;
        let mut signed = length(prior).to_vec();
        signed.extend(prior);
        signed.extend(&packet);
        match first {
            true => signed.extend(key.variables(now, 300, 0, &[])),
            false => put_time(&mut signed, now, 300),
        }
        let tag = hmac::sign(&key.mac, &signed);
        key.sign(&mut packet, now);
        let at = packet.len() - 6 - tag.as_ref().len();
        packet[at..at + tag.as_ref().len()].copy_from_slice(tag.as_ref());
        packet
    }

    #[track_caller]
    fn check(packet: &[u8], check: &mut Check<'_>, now: u64) -> Result<(), Distrust> {
        check.take(packet, &Message::read(packet).unwrap(), now)
    }

    #[test]
    fn only_an_answer_signed_with_the_same_key_to_this_question_is_believed() {
        let (ours, other) = (key(b"secret"), key(b"another"));
        let asked = || ours.sign(&mut question(7, "example.com", 6), 1_000_000);
        let prior = asked().prior;
        let good = answer(&ours, &prior, true, 1_000_010);
        assert_eq!(check(&good, &mut asked(), 1_000_000), Ok(()));
        assert_eq!(check(&good, &mut asked(), 1_000_400), Err(Distrust::Time(-390)));
        assert_eq!(
            check(&answer(&other, &prior, true, 1_000_000), &mut asked(), 1_000_000),
            Err(Distrust::Wrong)
        );
        assert_eq!(
            check(&answer(&ours, b"other", true, 1_000_000), &mut asked(), 1_000_000),
            Err(Distrust::Wrong)
        );
        assert_eq!(check(&question(7, "example.com", 6), &mut asked(), 1_000_000), Err(Distrust::Unsigned));
        let mut altered = good;
        altered[13] ^= 1;
        assert_eq!(check(&altered, &mut asked(), 1_000_000), Err(Distrust::Wrong));
        let renamed = Key::new(DnsName::parse("key2.example", "").unwrap(), Algorithm::Sha256, b"secret");
        assert_eq!(
            check(&answer(&renamed, &prior, true, 1_000_000), &mut asked(), 1_000_000),
            Err(Distrust::OtherKey)
        );
    }

    #[test]
    fn a_transfer_is_signed_as_a_chain_and_may_leave_gaps_inside_only() {
        let ours = key(b"secret");
        let mut chain = ours.sign(&mut question(7, "example.com", 6), 1_000_000);
        let first = answer(&ours, &chain.prior.clone(), true, 1_000_000);
        assert_eq!(check(&first, &mut chain, 1_000_000), Ok(()));
        let second = answer(&ours, &chain.prior.clone(), false, 1_000_000);
        assert_eq!(check(&second, &mut chain, 1_000_000), Ok(()));
        assert_eq!(check(&second, &mut chain, 1_000_000), Err(Distrust::Wrong), "a replay within the chain");
        for _ in 0..MOST_UNSIGNED {
            assert_eq!(check(&question(7, "example.com", 6), &mut chain, 1_000_000), Ok(()));
            assert!(!chain.is_complete());
        }
        assert_eq!(check(&question(7, "example.com", 6), &mut chain, 1_000_000), Err(Distrust::Unsigned));
    }

    #[test]
    fn a_key_is_not_printed() {
        assert_eq!(format!("{:?}", key(b"secret")), "hmac-sha256:key.example");
    }
}
