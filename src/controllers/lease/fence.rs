//! The fence: work that changes the world begins only while a term lasts, and is cut off when the term ends. It knows
//! nothing of what the work is.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::domain::lease::Term;
use crate::telemetry::metrics::lease::LeaseMetrics;

/// The time since some moment of this process's own. It never jumps, and goes on while the machine sleeps: a term must
/// not outlive its lease because a lid was closed.
pub type Ticks = Arc<dyn Fn() -> Duration + Send + Sync>;

/// The runtime's timers stand still while the machine sleeps; after at most this long it is seen that time went on.
pub const LOOK: Duration = Duration::from_secs(5);

/// The system's clock of that kind.
pub fn ticks() -> Ticks {
    Arc::new(|| {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let (seconds, nanos) = (u64::try_from(now.tv_sec), u32::try_from(now.tv_nsec));
        Duration::new(seconds.unwrap_or_default(), nanos.unwrap_or_default())
    })
}

/// How this replica stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Standing {
    /// Its term; none: it is a standby.
    pub term: Option<Term>,
    /// Who holds the lease, as last seen.
    pub holder: Option<String>,
    /// Whether the lease has been read at all.
    pub known: bool,
}

/// The work was not done, or not wholly: this replica is no longer the active one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this replica is not the active one: nothing is written")]
pub struct Fenced;

/// The fence of one term. Cloning is cheap.
#[derive(Clone)]
pub struct Fence {
    standing: watch::Receiver<Standing>,
    /// The term that it is for; a later one of the same replica is not meant.
    term: u64,
    ticks: Ticks,
    metrics: LeaseMetrics,
}

impl Fence {
    /// The fence of the term with this number.
    pub fn new(standing: watch::Receiver<Standing>, term: u64, ticks: Ticks, metrics: LeaseMetrics) -> Self {
        Self { standing, term, ticks, metrics }
    }

    /// A fence that nothing passes, for whoever only reads. What it holds back is no writer's: it counts nowhere.
    pub fn closed() -> Self {
        let standing = watch::Sender::new(Standing::default()).subscribe();
        Self { standing, term: 0, ticks: Arc::new(|| Duration::ZERO), metrics: LeaseMetrics::new("") }
    }

    /// A fence that everything passes, for a world with one replica, as in tests.
    pub fn open(metrics: LeaseMetrics) -> Self {
        let term = Some(Term { number: 1, until: Duration::MAX });
        let standing = watch::Sender::new(Standing { term, holder: None, known: true }).subscribe();
        Self { standing, term: 1, ticks: Arc::new(|| Duration::ZERO), metrics }
    }

    /// Does `work` while the term lasts; `what` names its kind for the metrics.
    pub async fn guard<T>(&self, what: &'static str, work: impl Future<Output = T>) -> Result<T, Fenced> {
        if self.left().is_none() {
            self.metrics.refused(what);
            return Err(Fenced);
        }
        tokio::select! {
            // After a pause of the whole process both may be ready: then nothing more is sent.
            biased;
            () = self.over() => {
                self.metrics.cut_off(what);
                Err(Fenced)
            }
            done = work => Ok(done),
        }
    }

    /// Ends when the term does.
    pub async fn over(&self) {
        let mut standing = self.standing.clone();
        while let Some(left) = self.left() {
            standing.mark_unchanged();
            tokio::select! {
                () = tokio::time::sleep(left.min(LOOK)) => {}
                // Renewed, or lost; where nobody tells any more the time decides.
                Ok(()) = standing.changed() => {}
            }
        }
    }

    /// How long the term still lasts, unless it is renewed; none: it is over.
    fn left(&self) -> Option<Duration> {
        let term = self.standing.borrow().term.filter(|term| term.number == self.term)?;
        term.until.checked_sub((self.ticks)()).filter(|left| !left.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    struct World {
        standing: watch::Sender<Standing>,
        clock: Arc<AtomicU64>,
        metrics: LeaseMetrics,
    }

    impl World {
        fn new() -> Self {
            Self {
                standing: watch::Sender::default(),
                clock: Arc::default(),
                metrics: LeaseMetrics::new("n1"),
            }
        }

        fn term(&self, number: u64, until: u64) {
            let term = Some(Term { number, until: Duration::from_secs(until) });
            self.standing.send_replace(Standing { term, holder: None, known: true });
        }

        fn fence(&self, number: u64) -> Fence {
            let clock = self.clock.clone();
            let ticks: Ticks = Arc::new(move || Duration::from_secs(clock.load(Ordering::SeqCst)));
            Fence::new(self.standing.subscribe(), number, ticks, self.metrics.clone())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn work_begins_only_in_its_own_term() {
        let world = World::new();
        assert_eq!(world.fence(1).guard("test", async {}).await, Err(Fenced));
        world.term(1, 6);
        assert_eq!(world.fence(1).guard("test", async { 7 }).await, Ok(7));
        assert_eq!(world.fence(2).guard("test", async {}).await, Err(Fenced));
        world.clock.store(6, Ordering::SeqCst);
        assert_eq!(world.fence(1).guard("test", async {}).await, Err(Fenced), "its time has come");
        world.term(2, 12);
        assert_eq!(world.fence(1).guard("test", async {}).await, Err(Fenced), "an earlier term's writer");
        assert_eq!(world.metrics.refusals("test"), 4);
        assert_eq!(Fence::closed().guard("test", async {}).await, Err(Fenced));
        assert_eq!(Fence::open(world.metrics.clone()).guard("test", async {}).await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn work_is_cut_off_when_its_term_ends_and_not_before() {
        let world = World::new();
        world.term(1, 6);
        let fence = world.fence(1);
        let (began, clock) = (tokio::time::Instant::now(), world.clock.clone());
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
                clock.fetch_add(1, Ordering::SeqCst);
            }
        });
        let work = tokio::spawn(async move { fence.guard("test", std::future::pending::<()>()).await });
        tokio::time::sleep(Duration::from_millis(3500)).await;
        world.term(1, 9);
        assert_eq!(work.await.unwrap(), Err(Fenced));
        assert!(
            (9..=10).contains(&began.elapsed().as_secs()),
            "renewed in time, it goes on: {:?}",
            began.elapsed()
        );
        assert_eq!(world.metrics.cuts("test"), 1);
        world.term(2, 99);
        let fence = world.fence(2);
        let work = tokio::spawn(async move { fence.guard("test", std::future::pending::<()>()).await });
        tokio::task::yield_now().await;
        world.standing.send_replace(Standing::default());
        assert_eq!(work.await.unwrap(), Err(Fenced), "a lost term ends before its time");
    }

    #[test]
    fn the_systems_ticks_rise() {
        let ticks = ticks();
        let first = ticks();
        assert!(first <= ticks() && !first.is_zero());
    }
}
