//! One status: a projection of what was wished, what is being done and what was seen. It claims nothing that wasn't seen:
//! `running` means that the application answers.

use jiff::{SignedDuration, Timestamp};

use crate::api::condition::reasons;
use crate::domain::app::instance::Instance;
use crate::domain::app::observed::{Container, Observed, Probe, State, Wellness};
use crate::domain::app::plan;
use crate::domain::app::workload::Service;

/// Restarts by the runtime from which on a container that restarts again is one that can't run.
pub const CRASH_LOOP: u32 = 3;
/// How long a container that ended again and again must stay up until it counts as running, where no check says more.
pub const STEADY: SignedDuration = SignedDuration::from_secs(10);
/// How long an application may take, after its last container's start, until it answers, where no check says more.
pub const INIT_GRACE: SignedDuration = SignedDuration::from_mins(10);

/// Where an application is. Source: the App API's table of codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// It waits for its turn.
    Queuing,
    /// Its images are being pulled.
    Pulling,
    /// Its containers are being made and started.
    Creating,
    /// It started and does not answer yet.
    Initing,
    /// It answers.
    Running,
    /// It is being stopped.
    Stopping,
    /// It is stopped.
    Stopped,
    /// It is being removed.
    Uninstalling,
    /// It can't do what it should.
    Error,
}

impl Phase {
    /// All of them.
    pub const ALL: [Phase; 9] = [
        Phase::Queuing,
        Phase::Pulling,
        Phase::Creating,
        Phase::Initing,
        Phase::Running,
        Phase::Stopping,
        Phase::Stopped,
        Phase::Uninstalling,
        Phase::Error,
    ];

    /// The App API's code.
    pub fn code(self) -> &'static str {
        match self {
            Phase::Queuing => "00",
            Phase::Pulling => "10",
            Phase::Creating => "11",
            Phase::Initing => "12",
            Phase::Running => "30",
            Phase::Stopping | Phase::Stopped | Phase::Uninstalling => "40",
            Phase::Error => "50",
        }
    }

    /// The word in AppStatus and in `status.status`.
    pub fn word(self) -> &'static str {
        match self {
            Phase::Queuing => "queuing",
            Phase::Pulling => "pulling",
            Phase::Creating => "creating",
            Phase::Initing => "initing",
            Phase::Running => "running",
            Phase::Stopping => "stopping",
            Phase::Stopped => "stopped",
            Phase::Uninstalling => "uninstalling",
            Phase::Error => "error",
        }
    }

    /// The word in AppList, which knows one for all that stops.
    pub fn list_word(self) -> &'static str {
        match self {
            Phase::Stopping | Phase::Stopped | Phase::Uninstalling => "stop",
            other => other.word(),
        }
    }

    /// Reads [`Phase::word`].
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|phase| phase.word() == word)
    }
}

/// What is being done, or was refused, as far as it decides the status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Doing {
    /// Nothing but what the plan says.
    Settled,
    /// It waits for its turn.
    Queued,
    /// Images are pulled.
    Pulling,
    /// Other steps are taken.
    Working,
    /// It is removed.
    Uninstalling,
    /// It can't go on: the reason and its words.
    Failed(&'static str, String),
}

/// A judgement of an application's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// Where it is.
    pub phase: Phase,
    /// Reason of the condition `Ready`.
    pub reason: &'static str,
    /// Its words.
    pub message: String,
}

impl Judgement {
    fn new(phase: Phase, reason: &'static str, message: impl Into<String>) -> Self {
        Self { phase, reason, message: message.into() }
    }
}

/// Judges. A failure goes before all but the removal; what was seen before what is being done.
pub fn judge(
    instance: Option<&Instance>,
    seen: &Observed,
    probe: &Probe,
    doing: &Doing,
    now: Timestamp,
) -> Judgement {
    let busy = match doing {
        Doing::Uninstalling => {
            return Judgement::new(
                Phase::Uninstalling,
                reasons::DELETING,
                "its containers are being removed",
            );
        }
        Doing::Failed(reason, words) => return Judgement::new(Phase::Error, reason, words.as_str()),
        Doing::Queued => return Judgement::new(Phase::Queuing, reasons::QUEUED, "it waits for its turn"),
        Doing::Pulling => return Judgement::new(Phase::Pulling, reasons::PULLING, "images are being pulled"),
        Doing::Working => true,
        Doing::Settled => false,
    };
    let Some(instance) = instance else {
        return Judgement::new(Phase::Creating, reasons::STARTING, "it is being prepared");
    };
    if !instance.wanted.running {
        // A frozen one holds its ports and its memory, and what a cluster has not taken away may still start.
        let up =
            |container: &Container| !matches!(container.state, State::Created | State::Exited | State::Dead);
        return match seen.services.values().any(up) {
            true => Judgement::new(Phase::Stopping, reasons::STOPPING, "its containers are being stopped"),
            false => Judgement::new(Phase::Stopped, reasons::STOPPED, "it is stopped, as spec.power has it"),
        };
    }
    services(instance, seen, busy, now).unwrap_or_else(|| answers(instance, seen, probe, now))
}

/// What the containers alone say against running; none: nothing.
fn services(instance: &Instance, seen: &Observed, busy: bool, now: Timestamp) -> Option<Judgement> {
    let mut starting = None;
    for service in plan::in_order(&instance.workload) {
        let name = &service.name;
        let Some(container) = seen.services.get(name) else {
            let words = format!("{name} has no container yet");
            starting.get_or_insert(Judgement::new(Phase::Creating, reasons::STARTING, words));
            continue;
        };
        let trouble = container.trouble.as_deref().map(|t| format!(": {t}")).unwrap_or_default();
        let other = instance.digests.get(name).is_some_and(|digest| *digest != container.digest);
        let judged = match container.state {
            // It may run well: soon it is gone, and what shall run is not seen yet.
            _ if other => {
                let words = format!("{name} is being replaced{trouble}");
                Judgement::new(Phase::Creating, reasons::STARTING, words)
            }
            State::Running => match container.health {
                Some(Wellness::Unhealthy) => {
                    let words = format!("{name}'s health check fails{trouble}");
                    return Some(Judgement::new(Phase::Error, reasons::UNHEALTHY, words));
                }
                Some(Wellness::Starting) => {
                    let words = format!("{name}'s health check has not passed yet");
                    Judgement::new(Phase::Initing, reasons::INITIALISING, words)
                }
                // It answers, but not as it was asked to.
                _ if plan::to_restart(instance, container) => {
                    let words = format!("{name} is being restarted");
                    Judgement::new(Phase::Creating, reasons::STARTING, words)
                }
                // Between two ends of a loop it runs, too: that is not what running means.
                None if !is_steady(container, now) => {
                    let words = format!("{name} ended {} times{trouble}", container.restarts);
                    return Some(Judgement::new(Phase::Error, reasons::CRASH_LOOP, words));
                }
                _ => continue,
            },
            State::Restarting if CRASH_LOOP <= container.restarts => {
                let words = format!("{name} ended {} times{trouble}", container.restarts);
                return Some(Judgement::new(Phase::Error, reasons::CRASH_LOOP, words));
            }
            State::Exited if plan::done(instance, service, container) => continue,
            // It ended when it was stopped, or long ago: whom it waits for says whether there is an error.
            State::Exited if held(instance, service, seen) => {
                let words = format!("{name} waits for what it depends on{trouble}");
                Judgement::new(Phase::Creating, reasons::STARTING, words)
            }
            State::Exited | State::Dead if !busy && container.exit.is_some_and(|code| code != 0) => {
                let code = container.exit.unwrap_or_default();
                let words = format!("{name} ended with code {code}{trouble}");
                return Some(Judgement::new(Phase::Error, reasons::CRASH_LOOP, words));
            }
            State::Pending if container.trouble.is_some() => {
                let words = format!("{name} can't start{trouble}");
                return Some(Judgement::new(Phase::Error, reasons::CANNOT_START, words));
            }
            State::Ending => {
                let words = format!("{name} is ending, and another takes its place");
                Judgement::new(Phase::Creating, reasons::STARTING, words)
            }
            _ => {
                let words = format!("{name} is being started{trouble}");
                Judgement::new(Phase::Creating, reasons::STARTING, words)
            }
        };
        // What is not even made says more than what does not answer yet.
        match &starting {
            Some(known) if known.phase <= judged.phase => {}
            _ => starting = Some(judged),
        }
    }
    starting
}

/// Whether a service can't be started before another one is further.
fn held(instance: &Instance, service: &Service, seen: &Observed) -> bool {
    service.waits.iter().any(|wait| {
        let on = instance.workload.service(&wait.on);
        on.is_some_and(|on| !plan::met(instance, on, seen.services.get(&wait.on), wait.until))
    })
}

/// Whether a container that runs has done so for long enough, for one that ended so often.
pub fn is_steady(container: &Container, now: Timestamp) -> bool {
    let young = |started| now.duration_since(started) < STEADY;
    container.restarts < CRASH_LOOP || !container.started.is_some_and(young)
}

fn answers(instance: &Instance, seen: &Observed, probe: &Probe, now: Timestamp) -> Judgement {
    let Probe::Silent(why) = probe else {
        return Judgement::new(Phase::Running, reasons::AS_WISHED, "");
    };
    let began = instance
        .serving
        .as_ref()
        .and_then(|serving| seen.services.get(&serving.service))
        .and_then(|container| container.started);
    let port = instance.serving.as_ref().map(|serving| serving.port).unwrap_or_default();
    let words = format!("port {port} does not answer: {why}");
    match began {
        Some(began) if INIT_GRACE < now.duration_since(began) => {
            Judgement::new(Phase::Error, reasons::NOT_ANSWERING, words)
        }
        _ => Judgement::new(Phase::Initing, reasons::INITIALISING, words),
    }
}

#[cfg(test)]
mod tests;
