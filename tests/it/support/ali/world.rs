//! All that the fake remembers: keys, zones, nonces, quotas, troubles, calls. Admission is here; what an action does is
//! in `reads` and `writes`.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use jiff::Timestamp;
use ring::rand::{SecureRandom, SystemRandom};
use tokio::time::Instant;

use super::errors::Refusal;
use super::faults::{Fault, Trouble};
use super::limits::Limits;
use super::signature::{Claim, Scheme};
use super::zones::{Zone, ascii};

/// How a key or its account stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    Active,
    /// The key was switched off: `InvalidAccessKeyId.Inactive`.
    Disabled,
    /// The session token is past its time: `InvalidSecurityToken.Expired`.
    Expired,
    /// The account was suspended: `Forbidden.RiskControl`, the code that Alidns' own list gives.
    Suspended,
    /// The account owes money: `InsufficientBalance`, documented for other products of the vendor.
    Overdue,
}

/// An access key.
#[derive(Clone, Debug)]
pub struct Key {
    pub account: String,
    pub secret: String,
    /// A session's token, which each of its calls must carry.
    pub token: Option<String>,
    pub standing: Standing,
    /// Actions it has no right to.
    pub denied: BTreeSet<String>,
}

/// What became of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done and answered.
    Done,
    /// Refused with this code.
    Refused(String),
    /// Nothing was done, and no proper answer was given.
    Lost,
    /// Done, and no proper answer was given.
    Unheard,
}

/// A call that arrived, without secrets.
#[derive(Clone, Debug)]
pub struct Call {
    /// When it came.
    pub began: Instant,
    /// When it was answered.
    pub at: Instant,
    /// The process that called, where that was to be told.
    pub caller: Option<u32>,
    pub key: String,
    pub scheme: Option<Scheme>,
    pub action: String,
    pub params: BTreeMap<String, String>,
    pub outcome: Outcome,
}

impl Call {
    pub fn param(&self, name: &str) -> &str {
        self.params.get(name).map_or("", String::as_str)
    }

    /// Whether the zone is what it was asked to be: heard or not.
    pub fn is_done(&self) -> bool {
        matches!(self.outcome, Outcome::Done | Outcome::Unheard)
    }
}

/// See the head of the file.
#[derive(Debug)]
pub struct World {
    pub keys: BTreeMap<String, Key>,
    /// By name on the wire.
    pub zones: BTreeMap<String, Zone>,
    pub limits: Limits,
    pub troubles: Vec<Trouble>,
    pub calls: Vec<Call>,
    /// Seconds that the vendor's clock is ahead of this machine's.
    pub ahead: i64,
    /// How long a write keeps its zone busy.
    pub write_takes: Duration,
    nonces: HashSet<(String, String)>,
    last_id: u64,
}

/// The vendor allows 15 minutes.
const SKEW_SECONDS: i64 = 15 * 60;

pub const VERSION: &str = "2015-01-09";

impl Default for World {
    fn default() -> Self {
        Self {
            keys: BTreeMap::new(),
            zones: BTreeMap::new(),
            limits: Limits::default(),
            troubles: Vec::new(),
            calls: Vec::new(),
            ahead: 0,
            write_takes: Duration::from_millis(1),
            nonces: HashSet::new(),
            // Beyond what a float holds exactly, as the vendor's are.
            last_id: 879_893_219_372_900_000,
        }
    }
}

impl World {
    /// Milliseconds since 1970 on the vendor's clock.
    pub fn now(&self) -> i64 {
        Timestamp::now().as_millisecond() + self.ahead * 1000
    }

    /// Ids grow and have gaps.
    pub fn next_id(&mut self) -> u64 {
        self.last_id += 1 + u64::from(random::<1>()[0]);
        self.last_id
    }

    /// The account of a call that may be made, and what is to go wrong with it.
    pub fn admit(&mut self, claim: &Claim) -> Result<(String, Option<Fault>), Refusal> {
        let account = self.authenticate(claim)?;
        if claim.version != VERSION {
            return Err(Refusal::new("InvalidVersion"));
        }
        if !super::ACTIONS.contains(&claim.action.as_str()) {
            return Err(Refusal::new("InvalidApi.NotFound"));
        }
        if !self.limits.admit(&account, &claim.action) {
            return Err(Refusal::new("Throttling.User"));
        }
        let key = &self.keys[&claim.key];
        match key.standing {
            Standing::Suspended => return Err(Refusal::new("Forbidden.RiskControl")),
            Standing::Overdue => return Err(Refusal::new("InsufficientBalance")),
            _ if key.denied.contains(&claim.action) => return Err(Refusal::new("Forbidden.RAM")),
            _ => {}
        }
        Ok((account, super::faults::meeting(&mut self.troubles, claim)))
    }

    fn authenticate(&mut self, claim: &Claim) -> Result<String, Refusal> {
        let unknown = || Refusal::new("InvalidAccessKeyId.NotFound");
        let key = self.keys.get(&claim.key).ok_or_else(unknown)?;
        if key.standing == Standing::Disabled {
            return Err(Refusal::new("InvalidAccessKeyId.Inactive"));
        }
        match (&key.token, &claim.token) {
            // A session's key is none without its token.
            (Some(_), None) => return Err(unknown()),
            (mine, Some(given)) if mine.as_ref() != Some(given) => {
                return Err(Refusal::new("InvalidSecurityToken.MismatchWithAccessKey"));
            }
            _ if key.standing == Standing::Expired => {
                return Err(Refusal::new("InvalidSecurityToken.Expired"));
            }
            _ => {}
        }
        if SKEW_SECONDS * 1000 < (claim.at.as_millisecond() - self.now()).abs() {
            return Err(Refusal::new("InvalidTimeStamp.Expired"));
        }
        claim.verify(&key.secret)?;
        let account = key.account.clone();
        if !self.nonces.insert((claim.key.clone(), claim.nonce.clone())) {
            return Err(Refusal::new("SignatureNonceUsed"));
        }
        Ok(account)
    }

    /// The zone of that name, if it is this account's.
    pub fn zone(&mut self, account: &str, name: &str) -> Result<&mut Zone, Refusal> {
        let zone =
            self.zones.get_mut(&ascii(name)).ok_or_else(|| Refusal::new("InvalidDomainName.NoExist"))?;
        if zone.account == account { Ok(zone) } else { Err(Refusal::new("IncorrectDomainUser")) }
    }

    /// The zone of this account that holds the record.
    pub fn holder(&mut self, account: &str, id: u64) -> Result<&mut Zone, Refusal> {
        let mut zones = self.zones.values_mut();
        let held = zones.find(|zone| zone.account == account && zone.records.contains_key(&id));
        held.ok_or_else(|| Refusal::new("DomainRecordNotBelongToUser"))
    }

    /// Where a full name is: the domain that was registered, unless the caller says which.
    pub fn place(&self, sub_domain: &str, domain: Option<&str>) -> Result<(String, String), Refusal> {
        let full = ascii(sub_domain.trim_start_matches("@."));
        let holds = |zone: &str| full == zone || full.ends_with(&format!(".{zone}"));
        let zone = match domain {
            Some(domain) => Some(ascii(domain)),
            None => self.zones.keys().filter(|zone| holds(zone)).min_by_key(|zone| zone.len()).cloned(),
        };
        let zone = zone.ok_or_else(|| Refusal::new("InvalidDomainName.NoExist"))?;
        if !holds(&zone) {
            return Err(Refusal::invalid("SubDomain"));
        }
        let rr = full.strip_suffix(&zone).unwrap_or_default().trim_end_matches('.');
        Ok((zone.clone(), if rr.is_empty() { "@".to_owned() } else { rr.to_owned() }))
    }
}

/// Random bytes.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).unwrap();
    bytes
}

/// As the vendor's request ids look.
pub fn request_id() -> String {
    let id = super::signature::hex(&random::<16>()).to_uppercase();
    [&id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..]].join("-")
}
