//! Makes one change, step by step. A write whose answer got lost is never blindly made again: an addition is looked for
//! first, an update or deletion is repeated because a second one changes nothing.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::api::vocab::{Family, Line};
use crate::domain::dns_plan::{Change, Found, Owner, Row};
use crate::domain::marks::remark;
use crate::domain::names::DnsName;
use crate::domain::records::{RecordKey, RecordSet};
use crate::providers::ali::AliProvider;
use crate::providers::ali::caller::{Paged, Under};
use crate::providers::ali::client::text;
use crate::providers::ali::errors::{DUPLICATE, GONE, UNWEIGHED, unreadable};
use crate::providers::ali::rows::{self, Record};
use crate::providers::ali::write::{Adopt, Step, outcome, steps, taken, weighing};
use crate::providers::limiter::Urgency;
use crate::providers::{ProviderError, outside};

/// Most records of one name that the vendor puts on a page.
const ROWS_A_PAGE: usize = 100;
/// How often a change starts again from what is there.
const ROUNDS: usize = 4;
/// How often a write that changes nothing the second time is made.
const TRIES: usize = 3;
/// Before a write is made again.
const PAUSE: Duration = Duration::from_millis(200);

/// Why a step was not taken.
enum Stop {
    /// What stands there may not be what was thought: look again.
    Moved(ProviderError),
    /// It can't be done.
    Failed(ProviderError),
}

/// What all steps of a change have in common.
struct At<'a> {
    zone: &'a DnsName,
    /// The zone as the vendor spells it.
    domain: &'a str,
    rr: &'a str,
    key: &'a RecordKey,
    to: Option<&'a RecordSet>,
    adopt: Adopt,
    under: Under,
}

impl AliProvider {
    /// Makes one change; tells what stands there afterwards.
    pub(super) async fn change(
        &self,
        zone: &DnsName,
        change: &Change,
    ) -> Result<Option<Found>, ProviderError> {
        let Change { key, from, to, cause, .. } = change;
        let Some(rr) = key.name.relative_to(zone) else {
            return Err(outside(zone, &key.name));
        };
        let urgency = if cause.is_never_held() { Urgency::Failover } else { Urgency::Rest };
        let (domain, adopt, to) = (self.spelling(zone), Adopt::of(from.as_ref()), to.as_ref());
        let at = At { zone, domain: &domain, rr, key, to, adopt, under: self.under(urgency) };
        let mut there = from.clone();
        // Whether a record that stands there may be ours, added by a call whose answer got lost.
        let mut lost = false;
        let mut round = 0;
        loop {
            round += 1;
            let moved = match self.run(&at, there.as_ref(), &mut lost).await {
                Ok(rows) => return Ok(outcome(there.as_ref(), rows, to)),
                Err(Stop::Moved(error)) if round < ROUNDS && Instant::now() < at.under.until => error,
                Err(Stop::Moved(error) | Stop::Failed(error)) => return Err(error),
            };
            there = self.look(&at).await?;
            if adopt == Adopt::No && there.as_ref().is_some_and(|there| is_anothers(there, to, lost)) {
                return Err(moved);
            }
        }
    }

    /// Takes the steps from `there` to what is wished for; tells the rows afterwards.
    async fn run(&self, at: &At<'_>, there: Option<&Found>, lost: &mut bool) -> Result<Vec<Row>, Stop> {
        let mut rows: Vec<Row> = there.map(|found| found.rows.to_vec()).unwrap_or_default();
        for step in steps(there, at.to, at.adopt) {
            let new = self.step(at, &step, lost).await?;
            taken(&mut rows, &step, new);
        }
        for step in at.to.map(|to| weighing(&rows, to)).unwrap_or_default() {
            self.step(at, &step, lost).await?;
            taken(&mut rows, &step, None);
        }
        Ok(rows)
    }

    /// Takes one step; tells the id of a new record.
    async fn step(&self, at: &At<'_>, step: &Step, lost: &mut bool) -> Result<Option<String>, Stop> {
        match step {
            Step::Mark { id } => self.mark(at, id).await?,
            Step::Release => self.release(at).await?,
            Step::Update { id, value } => self.update(at, id, &value.to_string(), &[]).await?,
            // The vendor's word for an update that changes nothing.
            Step::Retime { id, value } => self.update(at, id, &value.to_string(), &[DUPLICATE]).await?,
            Step::Add { value } => {
                let id = self.add(at, &value.to_string(), lost).await?;
                self.mark(at, &id).await?;
                return Ok(Some(id));
            }
            Step::Delete { id } => self.delete(at, id).await?,
            Step::Balance => self.balance(at).await?,
            Step::Weigh { id, weight } => self.weigh(at, id, *weight).await?,
        }
        Ok(None)
    }

    async fn add(&self, at: &At<'_>, value: &str, lost: &mut bool) -> Result<String, Stop> {
        const CALL: &str = "AddDomainRecord";
        let ttl = at.ttl();
        let params = [("DomainName", at.domain), ("Value", value), ("TTL", &ttl)];
        let done = self.caller.call(CALL, &at.with(&params), at.under).await;
        let answer = done.map_err(|fault| {
            *lost |= fault.may_be_done;
            // Without a lost call before it somebody else was faster: then the planner has to see what stands there.
            match fault.may_be_done || fault.is(DUPLICATE) && *lost {
                true => Stop::Moved(fault.error),
                false => Stop::Failed(fault.error),
            }
        })?;
        text(&answer, "RecordId").ok_or_else(|| {
            *lost = true;
            Stop::Moved(unreadable(CALL, 200, "no RecordId").error)
        })
    }

    async fn update(&self, at: &At<'_>, id: &str, value: &str, done: &[&str]) -> Result<(), Stop> {
        let ttl = at.ttl();
        let params = [("RecordId", id), ("Value", value), ("TTL", &ttl)];
        self.repeat("UpdateDomainRecord", &at.with(&params), at.under, done).await
    }

    async fn mark(&self, at: &At<'_>, id: &str) -> Result<(), Stop> {
        let params = [("RecordId", id), ("Remark", &remark(&self.owner))];
        self.repeat("UpdateDomainRecordRemark", &params, at.under, &[DUPLICATE]).await
    }

    async fn delete(&self, at: &At<'_>, id: &str) -> Result<(), Stop> {
        self.repeat("DeleteDomainRecord", &[("RecordId", id)], at.under, &[GONE]).await
    }

    async fn balance(&self, at: &At<'_>) -> Result<(), Stop> {
        // The zone itself is `@.example.com` here; without the `@` the vendor refuses.
        let full = format!("{}.{}", at.rr, at.domain);
        let (kind, line) = (at.key.family.record_type(), rows::code(at.key.line));
        let params = [
            ("DomainName", at.domain),
            ("SubDomain", full.as_str()),
            ("Type", kind),
            ("Line", line),
            ("Open", "true"),
        ];
        self.repeat("SetDNSSLBStatus", &params, at.under, &[]).await
    }

    async fn weigh(&self, at: &At<'_>, id: &str, weight: u8) -> Result<(), Stop> {
        let weight = weight.to_string();
        let params = [("RecordId", id), ("Weight", weight.as_str())];
        let weigh = || self.repeat("UpdateDNSSLBWeight", &params, at.under, &[]);
        match weigh().await {
            // Switched off since it was listed, be it by somebody or for want of a second record.
            Err(Stop::Failed(error)) if error.code.as_deref() == Some(UNWEIGHED) => {
                self.balance(at).await?;
                weigh().await
            }
            done => done,
        }
    }

    /// Makes a write that changes nothing the second time; refusals with a code in `done` mean that it is as it should be.
    async fn repeat(
        &self,
        call: &'static str,
        params: &[(&str, &str)],
        under: Under,
        done: &[&str],
    ) -> Result<(), Stop> {
        let (mut lost, mut tries) = (false, 0);
        loop {
            tries += 1;
            let Err(fault) = self.caller.call(call, params, under).await else { return Ok(()) };
            match () {
                () if done.iter().any(|code| fault.is(code)) || lost && fault.is(DUPLICATE) => return Ok(()),
                () if fault.is(DUPLICATE) || fault.is(GONE) => return Err(Stop::Moved(fault.error)),
                () if fault.may_be_done && tries < TRIES && Instant::now() < under.until => lost = true,
                () => return Err(Stop::Failed(fault.error)),
            }
            sleep(PAUSE).await;
        }
    }

    /// What stands there now.
    async fn look(&self, at: &At<'_>) -> Result<Option<Found>, ProviderError> {
        let kind = at.key.family.record_type();
        let records = self.at_name(at, &at.key.name, &[("Type", kind)]).await?;
        Ok(rows::found(&records, at.zone, &self.owner).remove(at.key))
    }

    /// The records of exactly one name.
    async fn at_name(
        &self,
        at: &At<'_>,
        name: &DnsName,
        more: &[(&str, &str)],
    ) -> Result<Vec<Record>, ProviderError> {
        let full = format!("{}.{}", name.relative_to(at.zone).unwrap_or("@"), at.domain);
        let mut params = vec![("DomainName", at.domain), ("SubDomain", &full)];
        params.extend(more);
        let paged = Paged {
            call: "DescribeSubDomainRecords",
            params: &params,
            size: ROWS_A_PAGE,
            at: ("DomainRecords", "Record"),
        };
        let (_, mut records) = self.caller.pages(&paged, at.under, Record::read).await?;
        records.retain(|record| record.name(at.zone).as_ref() == Some(name));
        Ok(records)
    }

    /// Takes external-dns' marks of this set away, so that it doesn't go on as if the records were its own. The mark at
    /// the name itself covers all types: it stays while it still has another one's records to cover.
    async fn release(&self, at: &At<'_>) -> Result<(), Stop> {
        let RecordKey { name, family, .. } = at.key;
        let mut records = self.at_name(at, name, &[]).await.map_err(Stop::Failed)?;
        let prefix = match family {
            Family::V4 => "a",
            Family::V6 => "aaaa",
        };
        let typed =
            DnsName::parse(&format!("{prefix}-{name}"), "").ok().filter(|typed| typed.is_within(at.zone));
        let covered = |record: &Record| {
            ["A", "AAAA", "CNAME"].contains(&record.kind.as_str())
                && record.kind != family.record_type()
                && rows::line(&record.line) == Some(Line::Default)
                && rows::whose(record, &self.owner) != Owner::Ours
        };
        let shared = records.iter().any(covered);
        if let Some(typed) = typed {
            records.extend(self.at_name(at, &typed, &[("Type", "TXT")]).await.map_err(Stop::Failed)?);
        }
        for (id, of, types, _) in rows::external(&records, at.zone, &self.owner) {
            let this = types == Some(*family) || types.is_none() && !shared;
            if of == *name && this {
                self.delete(at, &id).await?;
            }
        }
        Ok(())
    }
}

/// Whether somebody else holds what is wished for, so that the planner has to judge anew. What carries no mark may be
/// ours only where a call for it was lost.
fn is_anothers(there: &Found, to: Option<&RecordSet>, lost: bool) -> bool {
    match there.owner {
        Owner::Ours => !lost && to.is_some_and(|to| !there.beside.is_disjoint(&to.values)),
        Owner::Unmarked => !lost,
        Owner::Foreign(_) => true,
    }
}

impl At<'_> {
    fn ttl(&self) -> String {
        self.to.map_or(0, |to| to.ttl).to_string()
    }

    /// What both addition and update are called with, and more.
    fn with<'b>(&'b self, more: &[(&'b str, &'b str)]) -> Vec<(&'b str, &'b str)> {
        let own =
            [("RR", self.rr), ("Type", self.key.family.record_type()), ("Line", rows::code(self.key.line))];
        own.into_iter().chain(more.iter().copied()).collect()
    }
}
