//! Calls at the account's pace: each waits for its quota, and what the vendor refused as too much or too early is made
//! again a bounded number of times. Such a refusal comes before anything is done, so repeating it is safe; what else
//! failed is the caller's to judge.

use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::providers::ali::client::{Client, list, number};
use crate::providers::ali::errors::{Fault, UNFINISHED, unreadable};
use crate::providers::limiter::{Limiter, Urgency};
use crate::providers::{Kind, ProviderError};
use crate::telemetry::metrics::provider::ProviderMetrics;

/// The label of this provider's metrics.
const PROVIDER: &str = "Ali";

/// Calls a second that the vendor publishes for an account ("API rate quotas" of Alidns 2015-01-09). For remarks it
/// publishes none; as they go with additions one by one, they are taken to have the same.
const QUOTAS: &[(&str, u32)] = &[
    ("DescribeSubDomainRecords", 300),
    ("DescribeDomainRecords", 100),
    ("AddDomainRecord", 60),
    ("UpdateDomainRecord", 60),
    ("UpdateDomainRecordRemark", 60),
    ("DeleteDomainRecord", 60),
];
/// What is assumed of calls without a published number.
const UNPUBLISHED: u32 = 10;

/// The first wait before a refused call is made again; it doubles.
const FIRST_WAIT: Duration = Duration::from_millis(200);

/// Pages that are read of a list at most: a vendor that counts wildly must not keep us for ever.
const MOST_PAGES: usize = 2000;

/// Calls one account.
pub(super) struct Caller {
    client: Client,
    limiter: Limiter,
    metrics: ProviderMetrics,
}

/// What a call is made under.
#[derive(Clone, Copy)]
pub(super) struct Under {
    /// Who goes first.
    pub urgency: Urgency,
    /// Nothing is begun again after that.
    pub until: Instant,
}

/// A list that is read page by page.
pub(super) struct Paged<'a> {
    /// The API's name.
    pub call: &'static str,
    /// What it is called with.
    pub params: &'a [(&'a str, &'a str)],
    /// Entries a page.
    pub size: usize,
    /// Where the entries are in the answer.
    pub at: (&'a str, &'a str),
}

impl Caller {
    /// Calls through `client`.
    pub fn new(client: Client, metrics: ProviderMetrics) -> Self {
        Self { client, limiter: Limiter::new(QUOTAS, UNPUBLISHED), metrics }
    }

    /// Makes a call.
    pub async fn call(
        &self,
        call: &'static str,
        params: &[(&str, &str)],
        under: Under,
    ) -> Result<Value, Fault> {
        let mut wait = FIRST_WAIT;
        loop {
            self.metrics.waited(PROVIDER, self.limiter.acquire(call, under.urgency).await);
            let began = Instant::now();
            let done = self.client.call(call, params).await;
            let result = done.as_ref().map_or_else(|fault| fault.error.kind.as_str(), |_| "ok");
            self.metrics.called(PROVIDER, call, result, began.elapsed());
            let fault = match done {
                Ok(answer) => {
                    self.limiter.eased();
                    return Ok(answer);
                }
                Err(fault) => fault,
            };
            let throttled = fault.error.kind == Kind::Throttled;
            if throttled {
                self.limiter.throttled();
                self.metrics.throttled(PROVIDER);
            }
            let again = throttled || fault.is(UNFINISHED);
            if !again || under.until <= Instant::now() + wait {
                return Err(fault);
            }
            // For what was throttled the limiter rests the whole account, longer each time.
            if !throttled {
                sleep(wait).await;
                wait *= 2;
            }
        }
    }

    /// Makes a call that only reads; where its answer got lost on the way it is made once more.
    pub async fn read(
        &self,
        call: &'static str,
        params: &[(&str, &str)],
        under: Under,
    ) -> Result<Value, ProviderError> {
        match self.call(call, params, under).await {
            Err(fault)
                if fault.may_be_done
                    && fault.error.kind != Kind::Unreadable
                    && Instant::now() < under.until =>
            {
                self.call(call, params, under).await
            }
            done => done,
        }
        .map_err(|fault| fault.error)
    }

    /// Reads all pages of a list, with the count that the vendor gives; none where it changed from page to page.
    pub async fn pages<T>(
        &self,
        paged: &Paged<'_>,
        under: Under,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Result<(Option<usize>, Vec<T>), ProviderError> {
        let size = paged.size.to_string();
        let (mut total, mut all) = (None, Vec::new());
        let mut steady = true;
        for page in 1..=MOST_PAGES {
            let number_of = page.to_string();
            let mut params = vec![("PageNumber", number_of.as_str()), ("PageSize", &size)];
            params.extend(paged.params);
            let answer = self.read(paged.call, &params, under).await?;
            let lacks = |what: &str| unreadable(paged.call, 200, what).error;
            let count: usize = number(&answer, "TotalCount").ok_or_else(|| lacks("no TotalCount"))?;
            steady &= *total.get_or_insert(count) == count;
            let entries = list(&answer, paged.at.0, paged.at.1);
            for entry in entries {
                all.push(read(entry).ok_or_else(|| lacks("an entry that can't be told from others"))?);
            }
            if count <= page.saturating_mul(paged.size) || entries.is_empty() {
                break;
            }
        }
        Ok((total.filter(|_| steady), all))
    }
}
