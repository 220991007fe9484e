//! The process's life: who is ready, how it stops, and that no task dies unseen.
//!
//! A component that is not ready keeps the whole process from being ready; the first signal drains, the second aborts;
//! a task that ends while nobody asked it to ends the process, with its name. It must not know what the tasks do.

use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::fmt::Display;
use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// How long tasks may take to drain before they are cut off; below Kubernetes' default grace of 30 s.
pub const DRAIN_DEADLINE: Duration = Duration::from_secs(25);

/// The name that [`Readiness::missing`] gives while the process drains.
const DRAINING: &str = "draining";

/// Any error, as tasks return it.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// How a component stands.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Ready,
    /// It waits, for what these words say, where it can tell.
    Missing(Option<String>),
}

/// Named components, and which of them have yet to become ready.
#[derive(Clone)]
pub struct Readiness {
    components: Arc<Mutex<BTreeMap<String, State>>>,
    shutdown: Shutdown,
}

impl Readiness {
    /// All `names` are missing until their handles say otherwise.
    pub fn new(shutdown: &Shutdown, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let components = names.into_iter().map(|name| (name.into(), State::Missing(None))).collect();
        Self { components: Arc::new(Mutex::new(components)), shutdown: shutdown.clone() }
    }

    /// The handle of one component. A name that was not announced counts from now on, so that no part is forgotten.
    pub fn take(&self, name: &str) -> Ready {
        self.with(|components| {
            components.entry(name.to_owned()).or_insert(State::Missing(None));
        });
        Ready { readiness: self.clone(), name: name.to_owned() }
    }

    /// Who is not ready and why, in the order of names; empty where the process is ready. While it drains it is not, though
    /// every part still works, so that no new work is sent here.
    pub fn missing(&self) -> Vec<String> {
        let named = |(name, state): (&String, &State)| match state {
            State::Ready => None,
            State::Missing(None) => Some(name.clone()),
            State::Missing(Some(words)) => Some(format!("{name}: {words}")),
        };
        let mut missing: Vec<String> = self.with(|components| components.iter().filter_map(named).collect());
        if self.shutdown.is_draining() {
            missing.push(DRAINING.to_owned());
        }
        missing
    }

    /// Whether nobody is missing.
    pub fn is_ready(&self) -> bool {
        self.missing().is_empty()
    }

    fn with<T>(&self, act: impl FnOnce(&mut BTreeMap<String, State>) -> T) -> T {
        act(&mut self.components.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// One component's word on itself.
#[derive(Clone)]
pub struct Ready {
    readiness: Readiness,
    name: String,
}

impl Ready {
    /// The component works.
    pub fn ready(&self) {
        self.set(State::Ready);
    }

    /// It has stopped working for now.
    pub fn not_ready(&self) {
        self.set(State::Missing(None));
    }

    /// It can't work before something has changed; `words` say what. Told once in the log while they stay the same.
    pub fn waits(&self, words: String) {
        let state = State::Missing(Some(words.clone()));
        let before = self.readiness.with(|components| components.insert(self.name.clone(), state.clone()));
        if before.as_ref() != Some(&state) {
            warn!(component = %self.name, "waits: {words}");
        }
    }

    fn set(&self, now: State) {
        let ready = now == State::Ready;
        let before = self.readiness.with(|components| components.insert(self.name.clone(), now));
        if before.is_none_or(|before| (before == State::Ready) != ready) {
            info!(component = %self.name, ready, "readiness changed");
        }
    }
}

/// The wish to stop: first to drain, then to abort.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    drain: CancellationToken,
    abort: CancellationToken,
}

impl Shutdown {
    /// Nobody wishes to stop yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks everybody to finish what they have begun and to end.
    pub fn drain(&self) {
        self.drain.cancel();
    }

    /// Asks for the end at once.
    pub fn abort(&self) {
        self.drain.cancel();
        self.abort.cancel();
    }

    /// Whether the end has been asked for.
    pub fn is_draining(&self) -> bool {
        self.drain.is_cancelled()
    }

    /// A token that is cancelled when draining begins, for servers and loops.
    pub fn token(&self) -> CancellationToken {
        self.drain.clone()
    }

    /// A token that is cancelled so long after draining began: whoever sends requests here needs a moment to hear that
    /// this process is no longer ready. Call it inside the runtime.
    pub fn lingering(&self, long: Duration) -> CancellationToken {
        let (shutdown, token) = (self.clone(), CancellationToken::new());
        let cancelled = token.clone();
        tokio::spawn(async move {
            shutdown.draining().await;
            tokio::select! {
                () = shutdown.aborted() => {}
                () = tokio::time::sleep(long) => {}
            }
            cancelled.cancel();
        });
        token
    }

    /// Ends when draining begins.
    pub async fn draining(&self) {
        self.drain.cancelled().await;
    }

    /// Ends when the end at once is asked for.
    pub async fn aborted(&self) {
        self.abort.cancelled().await;
    }

    /// Listens for SIGINT and SIGTERM: the first drains, the second aborts. Call it inside the runtime.
    pub fn on_signals(&self) -> io::Result<()> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let shutdown = self.clone();
        tokio::spawn(async move {
            loop {
                let name = tokio::select! {
                    _ = interrupt.recv() => "SIGINT",
                    _ = terminate.recv() => "SIGTERM",
                };
                if shutdown.is_draining() {
                    warn!(signal = name, "aborting");
                    return shutdown.abort();
                }
                info!(signal = name, "draining; once more aborts");
                shutdown.drain();
            }
        });
        Ok(())
    }
}

/// Why the process ended other than by draining.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// A task returned though nobody asked it to.
    #[error("task {task} ended by itself")]
    Finished {
        /// Its name.
        task: String,
    },
    /// A task failed.
    #[error("task {task} failed")]
    Failed {
        /// Its name.
        task: String,
        /// Its error.
        #[source]
        source: BoxError,
    },
    /// A task panicked.
    #[error("task {task} panicked: {what}")]
    Panicked {
        /// Its name.
        task: String,
        /// The panic's message.
        what: String,
    },
    /// Tasks were still running at the deadline, and were cut off.
    #[error("still running {} s after the wish to stop: {}", .deadline.as_secs(), .tasks.join(", "))]
    Deadline {
        /// How long they had.
        deadline: Duration,
        /// Their names.
        tasks: Vec<String>,
    },
    /// A second signal cut tasks off.
    #[error("aborted while still running: {}", .tasks.join(", "))]
    Aborted {
        /// Their names.
        tasks: Vec<String>,
    },
}

/// The tasks of the process.
pub struct Tasks {
    running: JoinSet<Result<(), BoxError>>,
    names: HashMap<Id, String>,
    shutdown: Shutdown,
}

impl Tasks {
    /// No task yet.
    pub fn new(shutdown: &Shutdown) -> Self {
        Self { running: JoinSet::new(), names: HashMap::new(), shutdown: shutdown.clone() }
    }

    /// Starts a task that runs until the process drains.
    pub fn spawn<E>(&mut self, name: &str, task: impl Future<Output = Result<(), E>> + Send + 'static)
    where
        E: Into<BoxError> + 'static,
    {
        let handle = self.running.spawn(async move { task.await.map_err(Into::into) });
        self.names.insert(handle.id(), name.to_owned());
    }

    /// Starts a task that can't fail.
    pub fn spawn_infallible(&mut self, name: &str, task: impl Future<Output = ()> + Send + 'static) {
        self.spawn(name, async move {
            task.await;
            Ok::<(), BoxError>(())
        });
    }

    /// Runs until somebody asks for the end or a task ends by itself; then drains the others, for at most `deadline`,
    /// and answers with the first failure.
    pub async fn run(mut self, deadline: Duration) -> Result<(), ProcessError> {
        let shutdown = self.shutdown.clone();
        let failure = tokio::select! {
            () = shutdown.draining() => None,
            failure = self.first_end() => failure,
        };
        shutdown.drain();
        let cut = tokio::select! {
            () = self.drain() => None,
            () = shutdown.aborted() => Some(ProcessError::Aborted { tasks: self.left() }),
            () = tokio::time::sleep(deadline) => Some(ProcessError::Deadline { deadline, tasks: self.left() }),
        };
        self.running.shutdown().await;
        failure.or(cut).map_or(Ok(()), Err)
    }

    /// The first task that ends before anybody asked; `None` where there is no task at all.
    async fn first_end(&mut self) -> Option<ProcessError> {
        let ended = self.running.join_next_with_id().await?;
        let (task, outcome) = self.named(ended);
        if self.shutdown.is_draining() {
            report_late(&task, outcome);
            return None;
        }
        Some(match outcome {
            Ok(()) => ProcessError::Finished { task },
            Err(End::Failed(source)) => ProcessError::Failed { task, source },
            Err(End::Panicked(what)) => ProcessError::Panicked { task, what },
        })
    }

    async fn drain(&mut self) {
        while let Some(ended) = self.running.join_next_with_id().await {
            let (task, outcome) = self.named(ended);
            report_late(&task, outcome);
        }
    }

    fn named(&mut self, ended: Result<(Id, Result<(), BoxError>), JoinError>) -> (String, Result<(), End>) {
        let (id, outcome) = match ended {
            Ok((id, outcome)) => (id, outcome.map_err(End::Failed)),
            Err(error) => (error.id(), Err(End::Panicked(panic_text(error)))),
        };
        (self.names.remove(&id).unwrap_or_default(), outcome)
    }

    fn left(&self) -> Vec<String> {
        let mut left: Vec<String> = self.names.values().cloned().collect();
        left.sort();
        left
    }
}

enum End {
    Failed(BoxError),
    Panicked(String),
}

fn report_late(task: &str, outcome: Result<(), End>) {
    match outcome {
        Ok(()) => info!(task, "drained"),
        Err(End::Failed(error)) => warn!(task, error = %chain(error.as_ref()), "failed while draining"),
        Err(End::Panicked(what)) => warn!(task, what, "panicked while draining"),
    }
}

fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        add(&mut text, next);
        cause = next.source();
    }
    text
}

fn add(text: &mut String, part: impl Display) {
    text.push_str(": ");
    text.push_str(&part.to_string());
}

fn panic_text(error: JoinError) -> String {
    let Ok(panic) = error.try_into_panic() else {
        return "cancelled".to_owned();
    };
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => panic.downcast_ref::<&str>().map_or("no message".to_owned(), |text| (*text).to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_names_who_is_missing_and_ends_with_the_drain() {
        let shutdown = Shutdown::new();
        let readiness = Readiness::new(&shutdown, ["caches", "dns"]);
        assert_eq!(readiness.missing(), ["caches", "dns"]);
        let dns = readiness.take("dns");
        dns.ready();
        assert_eq!(readiness.missing(), ["caches"]);
        readiness.take("caches").ready();
        assert!(readiness.is_ready());
        dns.not_ready();
        assert_eq!(readiness.missing(), ["dns"]);
        dns.waits("for the zones".to_owned());
        assert_eq!(readiness.missing(), ["dns: for the zones"]);
        dns.ready();
        let _late = readiness.take("http");
        assert_eq!(readiness.missing(), ["http"], "whoever was not announced counts too");
        readiness.take("http").ready();
        shutdown.drain();
        assert_eq!(readiness.missing(), ["draining"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_ends_by_itself_ends_the_process_with_its_name() {
        let start = |what: &'static str| {
            let shutdown = Shutdown::new();
            let mut tasks = Tasks::new(&shutdown);
            let drained = shutdown.clone();
            tasks.spawn_infallible("steady", async move { drained.draining().await });
            match what {
                "ends" => tasks.spawn("odd", async { Ok::<(), BoxError>(()) }),
                "fails" => tasks.spawn("odd", async { Err::<(), BoxError>("no luck".into()) }),
                _ => tasks.spawn_infallible("odd", async { panic!("oh no") }),
            }
            tasks.run(DRAIN_DEADLINE)
        };
        assert_eq!(start("ends").await.unwrap_err().to_string(), "task odd ended by itself");
        let failed = start("fails").await.unwrap_err();
        assert_eq!(failed.to_string(), "task odd failed");
        assert_eq!(failed.source().unwrap().to_string(), "no luck");
        assert_eq!(start("panics").await.unwrap_err().to_string(), "task odd panicked: oh no");
    }

    #[tokio::test(start_paused = true)]
    async fn what_lingers_ends_a_moment_after_the_wish_to_stop() {
        let shutdown = Shutdown::new();
        let lingering = shutdown.lingering(Duration::from_secs(3));
        shutdown.drain();
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(!lingering.is_cancelled());
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(lingering.is_cancelled());
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_does_not_drain_in_time_is_cut_off_and_named() {
        let shutdown = Shutdown::new();
        let mut tasks = Tasks::new(&shutdown);
        let drained = shutdown.clone();
        tasks.spawn_infallible("good", async move { drained.draining().await });
        tasks.spawn_infallible("stuck", std::future::pending());
        shutdown.drain();
        let err = tasks.run(DRAIN_DEADLINE).await.unwrap_err();
        assert_eq!(err.to_string(), "still running 25 s after the wish to stop: stuck");
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_wish_aborts_and_a_drain_in_time_is_no_error() {
        let shutdown = Shutdown::new();
        let mut tasks = Tasks::new(&shutdown);
        tasks.spawn_infallible("stuck", std::future::pending());
        shutdown.abort();
        let err = tasks.run(DRAIN_DEADLINE).await.unwrap_err();
        assert_eq!(err.to_string(), "aborted while still running: stuck");

        let shutdown = Shutdown::new();
        let mut tasks = Tasks::new(&shutdown);
        let drained = shutdown.clone();
        tasks.spawn("late", async move {
            drained.draining().await;
            Err::<(), BoxError>("the connection was closed".into())
        });
        shutdown.drain();
        tasks.run(DRAIN_DEADLINE).await.unwrap();
    }
}
