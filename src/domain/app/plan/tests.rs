//! The laws of planning: a simulated engine takes the steps, and the world comes to rest where it was wished.

use std::sync::Arc;

use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::domain::app::fill::{Order, instantiate};
use crate::domain::app::instance::{AppKey, Choices, Wanted};
use crate::domain::app::observed::Wellness;
use crate::domain::app::template::Template;
use crate::domain::app::workload::Health;

const ALL: &str = "services:
  web: { image: 'web:1', ports: ['80:80'], depends_on: { db: { condition: service_healthy }, init: { condition: service_completed_successfully } } }
  side: { image: 'side:1', network_mode: 'service:web' }
  init: { image: 'init:1', restart: 'no', depends_on: [db] }
  db: { image: 'db:1', healthcheck: { test: [CMD, 'true'] }, volumes: ['data:/d'] }
volumes: { data: }
";

pub(in crate::domain::app) fn made(text: &str, wanted: Wanted) -> Instance {
    let template = Template { name: "t".into(), compose: Some(text.into()), ..Template::default() };
    let (key, none) = (AppKey { namespace: "n".into(), name: "t".into() }, Default::default());
    let (choices, secrets, allowed) = (Choices::default(), Default::default(), Default::default());
    let order = Order {
        key: &key,
        uid: "u",
        version: "1",
        variables: &none,
        secret_variables: &secrets,
        choices: &choices,
        domain: None,
        pull_secret: None,
        host: None,
        resources: None,
        allowed: &allowed,
        wanted,
        backend: Backend::Docker,
    };
    instantiate(&template, Arc::default(), &order).unwrap()
}

pub(in crate::domain::app) fn running() -> Wanted {
    Wanted { running: true, restarted: None }
}

pub(in crate::domain::app) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

pub(in crate::domain::app) fn container(instance: &Instance, name: &str, state: State) -> Container {
    Container {
        id: name.into(),
        digest: instance.digests[name].clone(),
        image: instance.workload.service(name).unwrap().image.clone().unwrap_or_default(),
        state,
        health: None,
        restarts: 0,
        exit: None,
        started: None,
        ended: None,
        address: None,
        trouble: None,
    }
}

/// Takes a step as an engine would, and fails where an engine would.
fn take(instance: &Instance, seen: &mut Observed, step: &Step) {
    let service = |name: &str| instance.workload.service(name).unwrap();
    match step {
        Step::Files => seen.files = true,
        Step::Network => seen.network = true,
        Step::Volume(name) => assert!(seen.volumes.insert(name.clone()), "{step} twice"),
        Step::Pull(image) => drop(seen.images.replace(image.clone())),
        Step::Create(name) => {
            assert!(
                seen.images.contains(service(name).image.as_deref().unwrap()),
                "{step} without its image"
            );
            assert!(seen.files && seen.network, "{step} before the ground");
            assert!(!seen.services.contains_key(name), "{step} over one that stands");
            let joined = service(name).joins.as_ref();
            assert!(
                joined.is_none_or(|joined| seen.services.contains_key(joined)),
                "{step} before its other half"
            );
            seen.services.insert(name.clone(), container(instance, name, State::Created));
        }
        Step::Start(name) => {
            for wait in &service(name).waits {
                let on = &seen.services[&wait.on];
                let met = match wait.until {
                    Until::Started => on.state == State::Running || on.exit == Some(0),
                    Until::Healthy => on.health == Some(Wellness::Healthy),
                    Until::Completed => on.exit == Some(0),
                };
                assert!(met, "{step} before {}", wait.on);
            }
            let checked = service(name).health == Health::Checked;
            let one_shot = service(name).is_one_shot(&instance.workload);
            let container = seen.services.get_mut(name).unwrap();
            container.started = Some(at(100));
            container.state = if one_shot { State::Exited } else { State::Running };
            container.exit = one_shot.then_some(0);
            container.health = checked.then_some(Wellness::Starting);
        }
        Step::Stop(name) => {
            let container = seen.services.get_mut(name).unwrap();
            (container.state, container.exit) = (State::Exited, Some(137));
        }
        Step::Remove(name) => drop(seen.services.remove(name).unwrap()),
        Step::RemoveStray(id) => assert!(seen.strays.remove(id)),
        other => panic!("{other} is no part of a plan"),
    }
}

/// Turns until nothing is to be done; between two turns checks pass.
fn settle(instance: &Instance, seen: &mut Observed) -> Vec<Step> {
    let mut taken = Vec::new();
    for _ in 0..12 {
        let plan = plan(instance, seen, &BTreeSet::new(), Backend::Docker);
        if plan.is_done() {
            return taken;
        }
        assert_eq!(waves(instance, &plan.steps).concat(), plan.steps, "waves keep all steps in their order");
        for step in &plan.steps {
            take(instance, seen, step);
        }
        taken.extend(plan.steps);
        for (name, container) in &mut seen.services {
            // The engine brings back what it restarts, and what has only one thing to do comes to its end.
            if container.state == State::Restarting {
                container.state = State::Running;
            } else if instance.workload.service(name).unwrap().is_one_shot(&instance.workload)
                && container.state == State::Running
            {
                (container.state, container.exit) = (State::Exited, Some(0));
            }
            let checked = instance.workload.service(name).unwrap().health == Health::Checked;
            container.health = (checked && container.state == State::Running).then_some(Wellness::Healthy);
        }
    }
    panic!("it never rests: {taken:?}");
}

#[test]
fn who_started_before_the_moment_is_to_restart_and_nobody_else() {
    let wished = |second| made(ALL, Wanted { running: true, restarted: Some(at(second)) });
    for (moment, started, expect) in
        [(10, Some(9), true), (10, Some(10), false), (10, Some(11), false), (10, None, false)]
    {
        let instance = wished(moment);
        let one = Container { started: started.map(at), ..container(&instance, "db", State::Running) };
        assert_eq!(to_restart(&instance, &one), expect, "{started:?}");
        let nobody = made(ALL, running());
        assert!(!to_restart(&nobody, &one), "nothing was asked for");
    }
}

#[test]
fn a_failed_step_is_named_once() {
    let pull = Step::Pull("nginx:1".into());
    assert_eq!(pull.failed("pull nginx:1: no route"), "pull nginx:1: no route");
    assert_eq!(pull.failed("no route"), "pull nginx:1: no route");
}

#[test]
fn an_install_goes_in_order_and_comes_to_rest() {
    let instance = made(ALL, running());
    let mut seen = Observed::default();
    let steps = settle(&instance, &mut seen);
    let at = |step: Step| steps.iter().position(|other| *other == step).unwrap();
    let start = |name: &str| at(Step::Start(name.into()));
    assert!(start("db") < start("init") && start("init") < start("web") && start("web") < start("side"));
    assert_eq!(seen.services["init"].state, State::Exited, "what did its work is not started again");
}

#[test]
fn a_restart_is_one_of_each_and_a_stop_begins_at_the_far_end() {
    let mut seen = Observed::default();
    settle(&made(ALL, running()), &mut seen);
    let again = made(ALL, Wanted { running: true, restarted: Some(at(50)) });
    assert!(settle(&again, &mut seen).is_empty(), "what started later is new enough");
    let again = made(ALL, Wanted { running: true, restarted: Some(at(100)) });
    assert!(plan(&again, &seen, &BTreeSet::new(), Backend::Docker).is_done());
    let stopped = made(ALL, Wanted::default());
    let steps = plan(&stopped, &seen, &BTreeSet::new(), Backend::Docker).steps;
    let stops: Vec<&str> = steps.iter().filter_map(Step::service).collect();
    assert_eq!(stops, ["side", "web", "db"]);
    settle(&stopped, &mut seen);
    assert!(settle(&made(ALL, running()), &mut seen).iter().all(|step| matches!(step, Step::Start(_))));
}

#[test]
fn who_joins_goes_with_the_one_it_joins() {
    let mut seen = Observed::default();
    let instance = made(ALL, running());
    settle(&instance, &mut seen);
    seen.services.get_mut("web").unwrap().digest = "old".into();
    let steps = settle(&instance, &mut seen);
    let made: Vec<&str> =
        steps.iter().filter(|s| matches!(s, Step::Create(_))).filter_map(Step::service).collect();
    assert_eq!(made, ["web", "side"]);
    assert!(!steps.iter().any(|step| matches!(step, Step::Pull(_) | Step::Volume(_))));
}

#[test]
fn waves_part_those_who_need_each_other() {
    let instance = made(ALL, running());
    let names = ["db", "init", "web", "side"];
    let steps: Vec<Step> = names.iter().map(|name| Step::Create((*name).into())).collect();
    let waves: Vec<usize> = waves(&instance, &steps).iter().map(Vec::len).collect();
    assert_eq!(waves, [1, 1, 1, 1]);
    let pulls = [Step::Pull("a".into()), Step::Pull("b".into()), Step::Files];
    assert_eq!(super::waves(&instance, &pulls).len(), 2);
}

proptest! {
    /// From whatever was left behind the same state is reached, and then nothing is to be done.
    #[test]
    fn every_world_comes_to_rest(
        states in proptest::collection::vec(0..7usize, 4),
        files in any::<bool>(), network in any::<bool>(), images in any::<bool>(), stray in any::<bool>(),
    ) {
        let instance = made(ALL, running());
        let mut seen = Observed { files, network, ..Observed::default() };
        let any = states.iter().any(|state| *state != 0);
        // A container without a network or files is none that an engine would show.
        if any {
            (seen.files, seen.network) = (true, true);
            seen.volumes.insert("data".into());
        }
        if images || any {
            seen.images.extend(instance.workload.services.iter().filter_map(|s| s.image.clone()));
        }
        if stray {
            seen.strays.insert("stray".into());
        }
        for (service, state) in instance.workload.services.iter().zip(states) {
            let state = match state {
                0 => continue,
                1 => State::Created,
                2 => State::Running,
                3 => State::Restarting,
                4 => State::Exited,
                5 => State::Dead,
                _ => State::Paused,
            };
            let mut standing = container(&instance, &service.name, state);
            standing.exit = (state == State::Exited).then_some(1);
            standing.started = (state != State::Created).then(|| at(10));
            standing.health = (service.name == "db" && state == State::Running).then_some(Wellness::Healthy);
            seen.services.insert(service.name.clone(), standing);
        }
        settle(&instance, &mut seen);
        prop_assert!(seen.strays.is_empty());
        prop_assert_eq!(seen.services.len(), 4);
        prop_assert!(plan(&instance, &seen, &BTreeSet::new(), Backend::Docker).is_done());
    }
}
