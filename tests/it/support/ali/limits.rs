//! How often an account may call an action: a sliding second, on tokio's clock so that a paused test passes it at will.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

/// Published numbers, calls a second (alibabacloud.com/help/en/dns/api-alidns-2015-01-09-quota).
const PUBLISHED: [(&str, u32); 9] = [
    ("DescribeSubDomainRecords", 300),
    ("DescribeDomainRecordInfo", 200),
    ("DescribeDomainRecords", 100),
    ("AddDomainRecord", 60),
    ("UpdateDomainRecord", 60),
    ("DeleteDomainRecord", 60),
    ("DeleteSubDomainRecords", 20),
    ("AddDomain", 10),
    ("DeleteDomain", 10),
];

/// What has no published number. Assumed.
const UNPUBLISHED_READ: u32 = 20;
const UNPUBLISHED_WRITE: u32 = 60;

#[derive(Debug, Default)]
pub struct Limits {
    /// A test's own numbers; none is no limit at all.
    pub own: BTreeMap<String, Option<u32>>,
    pub off: bool,
    admitted: BTreeMap<(String, String), VecDeque<Instant>>,
}

impl Limits {
    /// Takes one call from the quota, if there is one. A refused call costs nothing.
    pub fn admit(&mut self, account: &str, action: &str) -> bool {
        let Some(limit) = self.of(action) else { return true };
        let now = Instant::now();
        let admitted = self.admitted.entry((account.to_owned(), action.to_owned())).or_default();
        while admitted.front().is_some_and(|at| Duration::from_secs(1) <= now - *at) {
            admitted.pop_front();
        }
        let fits = admitted.len() < limit as usize;
        if fits {
            admitted.push_back(now);
        }
        fits
    }

    fn of(&self, action: &str) -> Option<u32> {
        if self.off {
            return None;
        }
        let published = PUBLISHED.iter().find(|(name, _)| *name == action).map(|(_, limit)| *limit);
        let unpublished = if action.starts_with("Describe") { UNPUBLISHED_READ } else { UNPUBLISHED_WRITE };
        self.own.get(action).copied().unwrap_or(Some(published.unwrap_or(unpublished)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_second_slides_and_accounts_and_actions_count_alone() {
        let mut limits = Limits::default();
        let taken = |limits: &mut Limits, account: &str, action: &str| {
            (0..1000).filter(|_| limits.admit(account, action)).count()
        };
        for (action, limit) in PUBLISHED {
            assert_eq!(taken(&mut limits, "a", action), limit as usize, "{action}");
        }
        assert_eq!(taken(&mut limits, "a", "DescribeDomains"), 20);
        assert_eq!(taken(&mut limits, "a", "UpdateDomainRecordRemark"), 60);
        assert_eq!(taken(&mut limits, "b", "AddDomainRecord"), 60);
        tokio::time::advance(Duration::from_millis(999)).await;
        assert_eq!(taken(&mut limits, "a", "AddDomainRecord"), 0);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(taken(&mut limits, "a", "AddDomainRecord"), 60);
    }
}
