//! What may be called running or stopped, and what not: each row is a state that could be taken for the one after it.

use super::*;
use crate::domain::app::instance::Wanted;
use crate::domain::app::plan::tests::{at, container, made, running};

/// One with a check and one that is probed.
const TWO: &str = "services:
  web: { image: 'web:1', ports: ['80:80'], depends_on: [db] }
  db: { image: 'db:1', healthcheck: { test: [CMD, 'true'] } }
";

/// Both run, and did so since the second 100.
fn both(instance: &Instance) -> Observed {
    let one = |name: &str, health| {
        let up = Container { health, started: Some(at(100)), ..container(instance, name, State::Running) };
        (name.to_owned(), up)
    };
    let services = [one("web", None), one("db", Some(Wellness::Healthy))].into();
    Observed { services, ..Observed::default() }
}

/// The phase with one thing changed of one service.
fn with(instance: &Instance, name: &str, change: impl FnOnce(&mut Container)) -> Phase {
    let mut seen = both(instance);
    change(seen.services.get_mut(name).unwrap());
    judge(Some(instance), &seen, &Probe::Answers, &Doing::Working, at(500)).phase
}

#[test]
fn running_means_that_what_shall_run_answers() {
    let instance = made(TWO, running());
    assert_eq!(with(&instance, "web", |_| ()), Phase::Running);
    for name in ["web", "db"] {
        assert_eq!(with(&instance, name, |c| c.digest = "of before".into()), Phase::Creating, "{name}");
        for state in
            [State::Created, State::Restarting, State::Paused, State::Exited, State::Dead, State::Ending]
        {
            assert_eq!(with(&instance, name, |c| c.state = state), Phase::Creating, "{name} {state:?}");
        }
    }
    assert_eq!(with(&instance, "db", |c| c.health = Some(Wellness::Starting)), Phase::Initing);
    assert_eq!(with(&instance, "db", |c| c.health = Some(Wellness::Unhealthy)), Phase::Error);
    let silent = Probe::Silent("it was not asked yet".into());
    let judged = judge(Some(&instance), &both(&instance), &silent, &Doing::Settled, at(500));
    assert_eq!(judged.phase, Phase::Initing, "who was not asked has not answered");
}

#[test]
fn what_is_to_restart_is_being_restarted_however_well_it_answers() {
    let instance = made(TWO, Wanted { running: true, restarted: Some(at(200)) });
    let judged = judge(Some(&instance), &both(&instance), &Probe::Answers, &Doing::Settled, at(500));
    assert_eq!((judged.phase, judged.reason), (Phase::Creating, reasons::STARTING));
    assert!(judged.message.ends_with("is being restarted"), "{}", judged.message);
    let mut seen = both(&instance);
    seen.services.get_mut("db").unwrap().started = Some(at(201));
    let judged = judge(Some(&instance), &seen, &Probe::Answers, &Doing::Settled, at(500));
    assert_eq!(judged.phase, Phase::Creating, "the other one has not been");
    seen.services.get_mut("web").unwrap().started = Some(at(202));
    let judged = judge(Some(&instance), &seen, &Probe::Answers, &Doing::Settled, at(500));
    assert_eq!(judged.phase, Phase::Running);
}

#[test]
fn stopped_is_what_neither_runs_nor_may_run_again_by_itself() {
    let instance = made(TWO, Wanted { running: false, restarted: None });
    let stands = |state| {
        let mut seen = both(&instance);
        seen.services.values_mut().for_each(|container| container.state = State::Exited);
        seen.services.get_mut("db").unwrap().state = state;
        judge(Some(&instance), &seen, &Probe::Nobody, &Doing::Working, at(500)).phase
    };
    for state in [State::Running, State::Restarting, State::Paused, State::Pending, State::Ending] {
        assert_eq!(stands(state), Phase::Stopping, "{state:?}");
    }
    for state in [State::Created, State::Exited, State::Dead] {
        assert_eq!(stands(state), Phase::Stopped, "{state:?}");
    }
    let none = Observed::default();
    assert_eq!(judge(Some(&instance), &none, &Probe::Nobody, &Doing::Settled, at(500)).phase, Phase::Stopped);
}
