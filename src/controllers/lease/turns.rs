//! Runs the loops that fit this replica's role, and changes them with it: at the end of a term the writers are stopped
//! at once and those of a standby begin, with nothing remembered; at the end of the process they finish what they have
//! begun. What the loops are is the caller's.

use std::collections::HashMap;
use std::future::Future;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::controllers::lease::fence::{Fence, Standing, Ticks};
use crate::controllers::shared::context::Role;
use crate::telemetry::metrics::lease::LeaseMetrics;

/// How long writers may take to finish what they have begun; then it is cut off, so that the next active replica needn't
/// wait for long.
pub const FINISH: Duration = Duration::from_millis(1500);
/// How soon loops that could not be started are tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// The loops of one role; all end at once when this is dropped.
#[derive(Default)]
pub struct Crew {
    tasks: JoinSet<()>,
    names: HashMap<Id, &'static str>,
}

impl Crew {
    /// Starts a loop that runs until its token is cancelled.
    pub fn spawn(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let handle = self.tasks.spawn(task);
        self.names.insert(handle.id(), name);
    }

    /// The first loop that ends by itself; never, where there is none.
    async fn first_end(&mut self) -> Ended {
        match self.tasks.join_next_with_id().await {
            Some(Ok((id, ()))) => Ended { task: self.name(id), panicked: false },
            Some(Err(error)) => Ended { task: self.name(error.id()), panicked: error.is_panic() },
            None => std::future::pending().await,
        }
    }

    fn name(&self, id: Id) -> &'static str {
        self.names.get(&id).copied().unwrap_or_default()
    }

    async fn finish(&mut self) {
        while let Some(ended) = self.tasks.join_next_with_id().await {
            if let Err(error) = ended {
                warn!(task = self.name(error.id()), error = %error, "failed while draining");
            }
        }
    }
}

/// A loop ended though nobody asked it to.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{task} {}", if *.panicked { "panicked" } else { "ended by itself" })]
pub struct Ended {
    /// Its name.
    pub task: &'static str,
    /// Whether it panicked.
    pub panicked: bool,
}

/// What a start needs to know.
pub struct Turn {
    /// What this replica is from now on.
    pub role: Role,
    /// What holds its writes back.
    pub fence: Fence,
    /// Cancelled when the loops shall end.
    pub stop: CancellationToken,
}

/// How this replica stands, and by which clock.
pub struct Stand {
    /// What the keeper tells.
    pub standing: watch::Receiver<Standing>,
    /// The clock of the terms.
    pub ticks: Ticks,
    /// Where fences count.
    pub metrics: LeaseMetrics,
}

impl Stand {
    /// The role now, and its fence.
    pub fn now(&self) -> (Role, Fence) {
        let now = (self.ticks)();
        match self.standing.borrow().term.filter(|term| term.lasts(now)) {
            Some(term) => (
                Role::Active,
                Fence::new(self.standing.clone(), term.number, self.ticks.clone(), self.metrics.clone()),
            ),
            None => (Role::Standby, Fence::closed()),
        }
    }

    /// Waits until a replica in `role`, behind `fence`, is something else.
    pub async fn changed(&mut self, role: Role, fence: &Fence) {
        let ticks = self.ticks.clone();
        let begun = |standing: &Standing| standing.term.is_some_and(|term| term.lasts(ticks()));
        match role {
            Role::Active => fence.over().await,
            Role::Standby if self.standing.wait_for(begun).await.is_ok() => {}
            // The keeper ended, and with it the process will.
            Role::Standby => std::future::pending().await,
        }
    }
}

/// Who knows which loops fit a role.
#[async_trait]
pub trait Loops: Send {
    /// Starts those of this turn. Where it fails it is called again a moment later.
    async fn start(&mut self, turn: &Turn, crew: &mut Crew) -> Result<(), kube::Error>;
}

/// Runs the loops that fit the role, anew whenever it changes, until `stop`.
pub async fn run(mut stand: Stand, mut loops: impl Loops, stop: CancellationToken) -> Result<(), Ended> {
    while !stop.is_cancelled() {
        let (role, fence) = stand.now();
        let turn = Turn { role, fence, stop: CancellationToken::new() };
        let mut crew = Crew::default();
        let work = async {
            while let Err(error) = loops.start(&turn, &mut crew).await {
                warn!(error = %crate::telemetry::chain::Chain(&error), "the loops can't start yet");
                crew = Crew::default();
                tokio::time::sleep(AGAIN).await;
            }
            crew.first_end().await
        };
        tokio::select! {
            // What the loops wait for may end with the process, a moment before they do.
            biased;
            () = stop.cancelled() => {
                turn.stop.cancel();
                // Behind the fence whatever does not end now ends with the term.
                if tokio::time::timeout(FINISH, crew.finish()).await.is_err() {
                    warn!("writes that took too long were cut off");
                }
            }
            () = stand.changed(turn.role, &turn.fence) => turn.stop.cancel(),
            ended = work => return Err(ended),
        }
        crew.tasks.shutdown().await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::domain::lease::Term;

    /// What happened, in order.
    #[derive(Clone, Default)]
    struct Story(Arc<Mutex<Vec<String>>>);

    impl Story {
        fn say(&self, what: impl Into<String>) {
            self.0.lock().unwrap().push(what.into());
        }

        fn told(&self) -> Vec<String> {
            std::mem::take(&mut self.0.lock().unwrap())
        }
    }

    struct Fallen(Story);

    impl Drop for Fallen {
        fn drop(&mut self) {
            self.0.say("ended");
        }
    }

    struct Players {
        story: Story,
        failures: usize,
        ends: bool,
    }

    #[async_trait]
    impl Loops for Players {
        async fn start(&mut self, turn: &Turn, crew: &mut Crew) -> Result<(), kube::Error> {
            if 0 < self.failures {
                self.failures -= 1;
                return Err(kube::Error::Service("away".into()));
            }
            let (story, role, stop, ends) = (self.story.clone(), turn.role, turn.stop.clone(), self.ends);
            story.say(format!("{role:?}"));
            crew.spawn("player", async move {
                let _fallen = Fallen(story.clone());
                if ends {
                    return;
                }
                stop.cancelled().await;
                // Something that was begun, and takes a while.
                tokio::time::sleep(Duration::from_secs(1)).await;
                story.say("finished");
            });
            Ok(())
        }
    }

    fn stand(standing: &watch::Sender<Standing>) -> Stand {
        let began = tokio::time::Instant::now();
        let ticks: Ticks = Arc::new(move || began.elapsed());
        Stand { standing: standing.subscribe(), ticks, metrics: LeaseMetrics::new("n1") }
    }

    fn active(number: u64, until: u64) -> Standing {
        let term = Some(Term { number, until: Duration::from_secs(until) });
        Standing { term, holder: None, known: true }
    }

    #[tokio::test(start_paused = true)]
    async fn loops_follow_the_role_end_at_once_with_a_term_and_finish_with_the_process() {
        let (standing, story, stop) = (watch::Sender::default(), Story::default(), CancellationToken::new());
        let players = Players { story: story.clone(), failures: 2, ends: false };
        let run = tokio::spawn(run(stand(&standing), players, stop.clone()));
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(story.told(), ["Standby"], "what can't start is tried again");
        standing.send_replace(active(1, 10));
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(story.told(), ["ended", "Active"]);
        // Nobody says that the term is over: its time tells.
        tokio::time::sleep(Duration::from_secs(7)).await;
        assert_eq!(story.told(), ["ended", "Standby"], "a writer of a term that is over finishes nothing");
        standing.send_replace(active(2, 99));
        tokio::time::sleep(Duration::from_secs(1)).await;
        story.told();
        stop.cancel();
        assert_eq!(run.await.unwrap(), Ok(()));
        assert_eq!(story.told(), ["finished", "ended"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_ends_by_itself_is_named() {
        let standing = watch::Sender::new(active(1, 10));
        let players = Players { story: Story::default(), failures: 0, ends: true };
        let ended = run(stand(&standing), players, CancellationToken::new()).await.unwrap_err();
        assert_eq!(ended.to_string(), "player ended by itself");
    }
}
