//! The small rules of a rendering, each by itself; whole renderings are proven on templates.

use crate::domain::app::kubernetes::container::literal;
use crate::domain::app::kubernetes::gate::held;
use crate::domain::app::kubernetes::security::level;
use crate::domain::app::kubernetes::{Level, Options, cores, octets, render};
use crate::domain::app::observed::{Observed, State};
use crate::domain::app::plan::tests::{container, made, running};
use crate::domain::app::workload::{Sandbox, Service};

#[test]
fn quantities_are_written_as_the_server_writes_them_back() {
    for (number, expect) in
        [(0, "0"), (1 << 30, "1Gi"), (1536 << 20, "1536Mi"), (1_000_000_000, "1G"), (1001, "1001")]
    {
        assert_eq!(octets(number), expect);
    }
    assert_eq!((cores(500).as_str(), cores(2000).as_str()), ("500m", "2"));
}

#[test]
fn what_a_cluster_would_put_in_for_dollars_stays_as_it_stands() {
    for (text, expect) in
        [("$HOME", "$HOME"), ("$(date)", "$$(date)"), ("a$$b", "a$$$$b"), ("$x $(y)", "$$x $$(y)")]
    {
        assert_eq!(literal(text), expect);
    }
}

#[test]
fn a_service_gets_the_strictest_level_that_it_can_live_with() {
    let service = |user: Option<&str>, cap: &str, privileged: bool| Service {
        user: user.map(str::to_owned),
        sandbox: Sandbox {
            privileged,
            cap_add: if cap.is_empty() { Vec::new() } else { vec![cap.into()] },
            ..Sandbox::default()
        },
        ..Service::default()
    };
    for (user, cap, privileged, expect) in [
        (Some("1000:1000"), "", false, Level::Restricted),
        (Some("1000"), "NET_BIND_SERVICE", false, Level::Restricted),
        (Some("1000"), "CHOWN", false, Level::Baseline),
        (Some("0"), "", false, Level::Baseline),
        (Some("node"), "", false, Level::Baseline),
        (None, "", false, Level::Baseline),
        (Some("1000"), "NET_ADMIN", false, Level::Privileged),
        (Some("1000"), "", true, Level::Privileged),
    ] {
        assert_eq!(level(&service(user, cap, privileged)), expect, "{user:?} {cap}");
    }
}

#[test]
fn who_is_ending_is_not_there_to_those_that_wait() {
    let text = "services:\n  web: { image: 'web:1', depends_on: [db] }\n  db: { image: 'db:1' }\n";
    let instance = made(text, running());
    let groups = render(&instance, &Options::default()).groups;
    let holds = |web: Option<State>, db: Option<State>| {
        let all = [("web", web), ("db", db)].into_iter();
        let services =
            all.filter_map(|(name, state)| Some((name.to_owned(), container(&instance, name, state?))));
        let seen = Observed { services: services.collect(), ..Observed::default() };
        held(&instance, &groups, &seen).values().any(|waiting| waiting.service == "web" && waiting.on == "db")
    };
    assert!(holds(None, None));
    assert!(holds(None, Some(State::Ending)), "a start right after a stop");
    assert!(holds(Some(State::Ending), Some(State::Pending)), "its own last pod is none");
    assert!(!holds(None, Some(State::Running)));
    assert!(!holds(Some(State::Running), Some(State::Ending)), "an ill database takes nobody down with it");
}
