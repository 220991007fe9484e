//! What a test can make go wrong between an operator and its API server. Which calls are met follows from a seed and
//! the calls' order, so that a failure can be had again.

use std::collections::BTreeSet;
use std::time::Duration;

use super::asked::{Asked, Parameters};

/// Whether anybody answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Door {
    #[default]
    Open,
    /// Nobody listens; open connections are cut.
    Refusing,
    /// Connections are taken and nothing ever comes; streams fall silent.
    Hanging,
}

/// What a call meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// 409, nothing done. Meets writes only: no server answers a read so.
    Conflict,
    /// 429 with `Retry-After: 1`, nothing done.
    TooMany,
    /// 500, nothing done.
    Internal,
    /// Done, but the connection ends instead of the answer.
    Unheard,
}

impl Fault {
    fn fits(self, asked: &Asked) -> bool {
        match self {
            Self::Conflict => matches!(asked.verb, "update" | "patch" | "delete"),
            Self::Unheard => asked.writes(),
            Self::TooMany | Self::Internal => true,
        }
    }
}

/// A fault for calls that a test names.
#[derive(Clone, Debug)]
pub struct Trouble {
    pub verb: &'static str,
    /// As in [`Asked::resource`].
    pub resource: &'static str,
    pub fault: Fault,
    pub times: usize,
}

/// All that goes wrong.
#[derive(Default)]
pub struct Faults {
    pub seed: u64,
    /// One call in so many meets one of these.
    pub share: Option<(u64, Vec<Fault>)>,
    pub troubles: Vec<Trouble>,
    /// How long a watch lasts.
    pub watches_last: Option<Duration>,
    /// How long each answer takes.
    pub lag: Duration,
    /// Revisions below this one are forgotten.
    oldest: u64,
    /// Kinds that were listed since: whatever version a server gave then may be watched from.
    listed: BTreeSet<String>,
    /// The next list that goes on is told that its first page is too old.
    expire_page: bool,
    /// Calls that a share of the faults could have met.
    pub seen: u64,
}

impl Faults {
    /// What this call meets.
    pub fn meeting(&mut self, asked: &Asked) -> Option<Fault> {
        let named =
            |one: &&mut Trouble| 0 < one.times && one.verb == asked.verb && one.resource == asked.resource;
        if let Some(trouble) = self.troubles.iter_mut().find(named) {
            trouble.times -= 1;
            return Some(trouble.fault);
        }
        let (one_in, faults) = self.share.as_ref()?;
        let fitting: Vec<Fault> = faults.iter().copied().filter(|fault| fault.fits(asked)).collect();
        if fitting.is_empty() {
            return None;
        }
        // One of each row of so many, so that few calls have their share too.
        let (row, place) = (self.seen / one_in, self.seen % one_in);
        self.seen += 1;
        let dice = dice(self.seed, row);
        (dice % one_in == place).then(|| fitting[(dice / one_in) as usize % fitting.len()])
    }

    /// The version where it is too old to watch from.
    pub fn too_old(&self, asked: &Asked, parameters: &Parameters) -> Option<u64> {
        let version: u64 = parameters.version.parse().ok()?;
        let before = asked.verb == "watch" && version != 0 && version < self.oldest;
        (before && !self.listed.contains(&asked.kind())).then_some(self.oldest)
    }

    /// Forgets what was before the revision `oldest`.
    pub fn compact(&mut self, oldest: u64) {
        (self.oldest, self.expire_page) = (oldest, true);
        self.listed.clear();
    }

    /// A list was answered.
    pub fn listed(&mut self, asked: &Asked) {
        self.listed.insert(asked.kind());
    }

    /// Whether a list's next page is refused; once.
    pub fn page_expired(&mut self, asked: &Asked, parameters: &Parameters) -> bool {
        asked.verb == "list" && parameters.goes_on && std::mem::take(&mut self.expire_page)
    }
}

/// SplitMix64: which number of a seed's row this is decides, and neighbours don't share their luck.
fn dice(seed: u64, nth: u64) -> u64 {
    let mixed =
        seed.wrapping_mul(0xd1b5_4a32_d192_ed03).wrapping_add(nth.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
