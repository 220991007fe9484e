//! Takes part in the election for one lease: reads and changes the Lease object as `domain::lease` says, tells how this
//! replica stands, and gives the lease back at the end. It judges nothing.

use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::controllers::lease::fence::{LOOK, Standing, Ticks};
use crate::controllers::lease::object::{object, record};
use crate::controllers::shared::context::Clock;
use crate::domain::lease::{Bid, Election, Failure, Step, Timing};
use crate::telemetry::chain::Chain;
use crate::telemetry::metrics::lease::LeaseMetrics;
use crate::watching;

/// One replica's place at one lease.
pub struct Seat {
    /// The control plane with the Lease. It must not be fenced.
    pub client: Client,
    /// The Lease's namespace.
    pub namespace: String,
    /// The Lease's name.
    pub name: String,
    /// What this replica calls itself; nobody else may.
    pub me: String,
    /// How long things take.
    pub timing: Timing,
    /// By this clock terms are counted.
    pub ticks: Ticks,
    /// The time that is written into the Lease, for people.
    pub clock: Clock,
    /// Where terms are counted.
    pub metrics: LeaseMetrics,
}

/// The Lease's name of a node.
pub fn lease_name(node: &str) -> String {
    format!("cocoasyncer-{node}")
}

/// Takes part until `leave`, which is told when nothing more is written; then gives the lease back.
pub async fn run(seat: Seat, out: watch::Sender<Standing>, leave: CancellationToken) {
    let api = Api::<Lease>::namespaced(seat.client.clone(), &seat.namespace);
    // Beside the calls: a lease that is given back is taken up at once, and nobody asks every second.
    let mut watched = watching::object(api.clone(), &seat.name);
    let election = Election::new(seat.me.clone(), seat.timing);
    let mut keeper = Keeper { seat, api, election, lease: None, trouble: None, out };
    while !leave.is_cancelled() {
        let now = keeper.now();
        match keeper.election.next(now) {
            Step::Read => keeper.read().await,
            Step::Write(bid) => keeper.write(bid).await,
            Step::Wait(until) => {
                // Not beyond the term's end, which must be told.
                let end = keeper.election.term(now).map_or(until, |term| term.until.min(until));
                tokio::select! {
                    () = leave.cancelled() => {}
                    () = tokio::time::sleep(end.saturating_sub(now).min(LOOK)) => {}
                    Some(event) = watched.next() => if let Ok(lease) = event { keeper.heard(lease) },
                }
            }
        }
        keeper.tell();
    }
    keeper.release().await;
}

struct Keeper {
    seat: Seat,
    api: Api<Lease>,
    election: Election,
    /// The object as last seen, for what else stands in it.
    lease: Option<Lease>,
    /// What went wrong last, so that it is said once.
    trouble: Option<String>,
    out: watch::Sender<Standing>,
}

impl Keeper {
    fn now(&self) -> Duration {
        (self.seat.ticks)()
    }

    /// How long a call may take: its answer is worth nothing once the term is over.
    fn patience(&self) -> Duration {
        let (now, most) = (self.now(), self.seat.timing.retry() * 2);
        self.election.term(now).map_or(most, |term| most.min(term.until.saturating_sub(now)))
    }

    fn heard(&mut self, lease: Option<Lease>) {
        let now = self.now();
        self.election.heard(now, lease.as_ref().map(record));
        // What a holder wrote itself is newer than its echo.
        if self.election.term(now).is_none() {
            self.lease = lease;
        }
    }

    async fn read(&mut self) {
        let asked = self.now();
        match tokio::time::timeout(self.patience(), self.api.get_opt(&self.seat.name)).await {
            Ok(Ok(lease)) => {
                self.election.read(asked, self.now(), lease.as_ref().map(record));
                self.lease = lease;
                self.mended();
            }
            Ok(Err(error)) => self.failed("read", Failure::Unknown, &Chain(&error).to_string()),
            Err(_) => self.failed("read", Failure::Unknown, "no answer in time"),
        }
    }

    async fn write(&mut self, bid: Bid) {
        let Seat { name, timing, clock, .. } = &self.seat;
        let lease = object(name, self.lease.as_ref().filter(|_| bid.from.is_some()), &bid, *timing, clock());
        let params = PostParams { field_manager: Some("cocoasyncer/lease".into()), ..PostParams::default() };
        let call = async {
            match &bid.from {
                Some(_) => self.api.replace(name, &params, &lease).await,
                None => self.api.create(&params, &lease).await,
            }
        };
        match tokio::time::timeout(self.patience(), call).await {
            Ok(Ok(lease)) => {
                self.election.won(&bid, self.now(), record(&lease));
                self.lease = Some(lease);
                self.mended();
            }
            // A conflict tells that somebody was faster, and a lease that is gone that it is to be made.
            Ok(Err(kube::Error::Api(status))) if status.is_conflict() || status.is_already_exists() => {
                self.election.failed(self.now(), Failure::Conflict);
            }
            Ok(Err(error)) => self.failed("write", Failure::Unknown, &Chain(&error).to_string()),
            Err(_) => self.failed("write", Failure::Unknown, "no answer in time"),
        }
    }

    fn failed(&mut self, step: &'static str, failure: Failure, why: &str) {
        self.election.failed(self.now(), failure);
        if self.trouble.as_deref() != Some(why) {
            let Seat { namespace, name, .. } = &self.seat;
            warn!(lease = %format!("{namespace}/{name}"), step, error = %why, "the lease can't be had now, it is tried again");
        }
        self.trouble = Some(why.to_owned());
    }

    fn mended(&mut self) {
        if self.trouble.take().is_some() {
            info!(lease = %format!("{}/{}", self.seat.namespace, self.seat.name), "the lease answers again");
        }
    }

    /// Says how this replica stands, where that is news.
    fn tell(&self) {
        let term = self.election.term(self.now());
        let holder = self.election.holder().map(str::to_owned);
        let before = self.out.borrow().clone();
        let known = before.known || holder.is_some() || term.is_some();
        // While a call is under way nothing is seen: who held it last most likely does.
        let fresh = Standing { term, holder: holder.or_else(|| before.holder.clone()), known };
        if fresh == before {
            return;
        }
        let number = |standing: &Standing| standing.term.map(|term| term.number);
        match (number(&before), number(&fresh)) {
            (one, other) if one == other => {
                if before.holder != fresh.holder && fresh.term.is_none() {
                    info!(active = fresh.holder.as_deref().unwrap_or("nobody"), "this replica is a standby");
                }
            }
            (_, Some(term)) => {
                self.seat.metrics.began();
                info!(me = %self.seat.me, term, "this replica is the active one: it alone writes");
            }
            (_, None) => {
                let holder = fresh.holder.as_deref().unwrap_or("nobody");
                warn!(active = %holder, "this replica is no longer the active one: it writes nothing until it is again");
            }
        }
        self.seat.metrics.active(fresh.term.is_some());
        self.out.send_replace(fresh);
    }

    /// Gives the lease back; before it is told, nothing more is written.
    async fn release(&mut self) {
        let now = self.now();
        let mut bid = self.election.release(now);
        self.seat.metrics.active(false);
        self.out.send_modify(|standing| standing.term = None);
        if bid.is_none() && matches!(self.election.next(now), Step::Read) {
            self.read().await;
            bid = self.election.release(self.now());
        }
        let Some(bid) = bid else { return };
        self.write(bid).await;
        match self.election.holder() == Some(&self.seat.me) || self.trouble.is_some() {
            false => info!("the lease is given back"),
            true => warn!(
                seconds = self.seat.timing.lease().as_secs(),
                "the lease could not be given back: it runs out"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};

    use jiff::Timestamp;

    use super::*;
    use crate::controllers::lease::fence::ticks;
    use crate::controlplane::ControlPlane;

    struct Replica {
        standing: watch::Receiver<Standing>,
        leave: CancellationToken,
        task: tokio::task::JoinHandle<()>,
    }

    impl Replica {
        async fn becomes(&mut self, active: bool) {
            let changed = self.standing.wait_for(|standing| standing.term.is_some() == active);
            tokio::time::timeout(Duration::from_secs(20), changed).await.unwrap().unwrap();
        }
    }

    fn replica(plane: &ControlPlane, me: &str, clock: Clock) -> Replica {
        let seat = Seat {
            client: plane.client(),
            namespace: "cocoasyncer-system".into(),
            name: lease_name("n1"),
            me: me.into(),
            timing: Timing::of(Duration::from_secs(3)),
            ticks: ticks(),
            clock,
            metrics: LeaseMetrics::new("n1"),
        };
        let (out, standing) = watch::channel(Standing::default());
        let leave = CancellationToken::new();
        let task = tokio::spawn(run(seat, out, leave.clone()));
        Replica { standing, leave, task }
    }

    async fn lease(plane: &ControlPlane) -> k8s_openapi::api::coordination::v1::LeaseSpec {
        let api = Api::<Lease>::namespaced(plane.client(), "cocoasyncer-system");
        api.get("cocoasyncer-n1").await.unwrap().spec.unwrap()
    }

    #[tokio::test]
    async fn a_term_is_kept_through_jumps_of_the_clock_and_given_back_and_taken_at_once() {
        let plane = ControlPlane::in_memory().await.unwrap();
        // An hour forth and back at every look.
        let looks = Arc::new(AtomicI64::new(0));
        let clock: Clock = Arc::new(move || {
            let look = looks.fetch_add(1, Ordering::SeqCst);
            Timestamp::from_second(1_700_000_000 + 3600 * (look % 2)).unwrap()
        });
        let mut first = replica(&plane, "a", clock.clone());
        first.becomes(true).await;
        let mut second = replica(&plane, "b", clock);
        second.standing.wait_for(|standing| standing.known).await.unwrap();
        tokio::time::timeout(Duration::from_secs(4), first.becomes(false)).await.unwrap_err();
        assert_eq!(first.standing.borrow().term.unwrap().number, 1);
        assert_eq!(second.standing.borrow().term, None);
        assert_eq!(lease(&plane).await.holder_identity.as_deref(), Some("a"));
        let asked = std::time::Instant::now();
        first.leave.cancel();
        first.task.await.unwrap();
        second.becomes(true).await;
        assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
        let lease = lease(&plane).await;
        assert_eq!((lease.holder_identity.as_deref(), lease.lease_transitions), (Some("b"), Some(1)));
    }

    #[tokio::test]
    async fn whoever_follows_under_the_same_name_waits_for_nothing() {
        let plane = ControlPlane::in_memory().await.unwrap();
        let mut first = replica(&plane, "a", Arc::new(Timestamp::now));
        first.becomes(true).await;
        first.task.abort();
        let _ = first.task.await;
        let asked = std::time::Instant::now();
        let mut second = replica(&plane, "a", Arc::new(Timestamp::now));
        second.becomes(true).await;
        assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
    }
}
