//! Built-in applications installed by plan and step until they answer, and brought back when somebody touched them.

use bollard::models::ContainerUpdateBody;
use bollard::query_parameters::{InspectContainerOptions, RemoveContainerOptionsBuilder};
use cocoasyncer::domain::app::observed::{Probe, State, Wellness};
use cocoasyncer::domain::app::plan::Step;
use cocoasyncer::runtimes::Runtime;
use futures::StreamExt;

use crate::support::engine::{PASSWORD, Setting, TINY, lab};

#[tokio::test]
async fn redis_is_installed_answers_stops_and_comes_back() {
    let Some(lab) = lab(&["redis"]).await else { return };
    let name = lab.name();
    let setting = Setting { version: "8.2", ..Setting::default() };
    let redis = lab.built_in("redis", &name, setting);
    let seen = lab.answers(&redis).await;
    let container = &seen.services["redis"];
    assert_eq!((container.state, container.restarts), (State::Running, 0));
    assert!(container.health.is_some() && container.started.is_some() && container.address.is_some());
    let said = lab.exec(&name, &["redis-cli", "set", "k", "v"]).await;
    assert_eq!(said.trim(), "OK", "the password stands in the environment");
    // Stopped it stays, and is not made anew when it starts again.
    let stopped = lab.built_in("redis", &name, Setting { running: false, ..setting });
    assert_eq!(lab.turn(&stopped).await, [Step::Stop("redis".into())]);
    assert!(lab.turn(&stopped).await.is_empty());
    let seen = lab.runtime.observe(&stopped).await.unwrap();
    assert_eq!(seen.services["redis"].state, State::Exited);
    assert!(matches!(lab.runtime.probe(&stopped, &seen).await, Probe::Silent(_)));
    assert_eq!(lab.turn(&redis).await, [Step::Start("redis".into())]);
    lab.answers(&redis).await;
    let said = lab.exec(&name, &["redis-cli", "get", "k"]).await;
    assert_eq!(said.trim(), "v");
}

#[tokio::test]
async fn what_somebody_did_by_hand_is_seen_and_undone() {
    let Some(lab) = lab(&["nginx"]).await else { return };
    let name = lab.name();
    let nginx = lab.built_in("nginx", &name, Setting { version: "1.28", ..Setting::default() });
    let seen = lab.answers(&nginx).await;
    assert!(seen.network && seen.files && seen.images.contains("nginx:1.28"));
    let force = || Some(RemoveContainerOptionsBuilder::new().force(true).build());
    lab.docker.remove_container(&name, force()).await.unwrap();
    let seen = lab.runtime.observe(&nginx).await.unwrap();
    assert!(seen.services.is_empty());
    let steps = lab.turn(&nginx).await;
    assert_eq!(steps, [Step::Create("nginx".into()), Step::Start("nginx".into())]);
    // Limits, the policy, its name, its network.
    let update = ContainerUpdateBody { memory: Some(64 << 20), memory_swap: Some(-1), ..Default::default() };
    lab.docker.update_container(&name, update).await.unwrap();
    let steps = lab.turn(&nginx).await;
    assert!(steps.contains(&Step::Create("nginx".into())), "{steps:?}");
    let disconnect = bollard::models::NetworkDisconnectRequest { container: name.clone(), force: Some(true) };
    lab.docker.disconnect_network(&format!("{name}_default"), disconnect).await.unwrap();
    let steps = lab.turn(&nginx).await;
    assert!(steps.contains(&Step::Create("nginx".into())), "{steps:?}");
    let rename = bollard::query_parameters::RenameContainerOptionsBuilder::new().name(&format!("{name}old"));
    lab.docker.rename_container(&name, rename.build()).await.unwrap();
    let steps = lab.turn(&nginx).await;
    assert!(matches!(steps.as_slice(), [Step::RemoveStray(_), Step::Create(_), Step::Start(_)]), "{steps:?}");
    lab.answers(&nginx).await;
}

#[tokio::test]
async fn a_site_waits_for_its_database_and_finds_it_by_name() {
    let Some(lab) = lab(&["mariadb", "wordpress"]).await else { return };
    let name = lab.name();
    let site = lab.built_in("wordpress", &name, Setting { version: "6.8", ..Setting::default() });
    let seen = lab.answers(&site).await;
    assert_eq!(seen.services["mariadb"].health, Some(Wellness::Healthy));
    // The page asks the database; without one it answers 500.
    let page =
        "exit(strpos(file_get_contents('http://127.0.0.1/wp-admin/install.php'), 'WordPress') ? 0 : 1);";
    lab.exec(&name, &["php", "-r", page]).await;
    let page = lab.exec(&name, &["curl", "-sSL", "http://127.0.0.1/wp-admin/install.php"]).await;
    assert!(page.contains("WordPress") && !page.contains("Error establishing"), "{page}");
    assert!(!format!("{seen:?}").contains(PASSWORD));
    let lines = lab.runtime.logs(&site.key, None, 20).await.unwrap();
    assert!(lines.len() <= 20 && lines.iter().any(|line| line.service == "mariadb"), "{lines:?}");
    let lines = lab.runtime.logs(&site.key, Some("wordpress"), 5).await.unwrap();
    assert!(!lines.is_empty() && lines.iter().all(|line| line.service == "wordpress"), "{lines:?}");
}

#[tokio::test]
async fn compose_and_siblings_see_the_containers() {
    let Some(lab) = lab(&[]).await else { return };
    let name = lab.name();
    let compose = format!(
        "services:\n  web:\n    image: {TINY}\n    command: [sh, -c, 'mkdir /w; echo hi > /w/index.html; httpd -f -p 80 -h /w']\n    \
         expose: ['80']\n    hostname: front\n    depends_on: [once]\n  \
         side:\n    image: {TINY}\n    network_mode: service:web\n    command: [sleep, '1000']\n    restart: always\n  \
         ask:\n    image: {TINY}\n    container_name: $W9_ID-ask\n    command: [sleep, '1000']\n    restart: always\n    init: true\n  \
         once:\n    image: {TINY}\n    command: ['true']\n    restart: 'no'\n"
    );
    let made = lab.composed(&compose, &[], &name, Setting::default());
    let seen = lab.settles(&made).await;
    assert_eq!((seen.services["once"].state, seen.services["once"].exit), (State::Exited, Some(0)));
    assert_eq!(seen.services["side"].address, seen.services["web"].address);
    for alias in ["web", "front", &format!("{name}-web-1")] {
        let said = lab.exec(&format!("{name}-ask"), &["wget", "-qO-", &format!("http://{alias}/")]).await;
        assert_eq!(said.trim(), "hi", "{alias}");
    }
    let said = lab.exec(&format!("{name}-side-1"), &["wget", "-qO-", "http://127.0.0.1/"]).await;
    assert_eq!(said.trim(), "hi");
    let found = lab.docker.inspect_container(&format!("{name}-web-1"), None::<InspectContainerOptions>).await;
    let labels = found.unwrap().config.unwrap().labels.unwrap();
    let file = lab.runtime.compose_file(&made.key).unwrap();
    let expect = [
        ("com.docker.compose.project", name.as_str()),
        ("com.docker.compose.service", "web"),
        ("com.docker.compose.container-number", "1"),
        ("com.docker.compose.oneoff", "False"),
        ("com.docker.compose.depends_on", "once:service_started:false"),
        ("com.docker.compose.project.config_files", &file),
        ("cocoasyncer.io/app", name.as_str()),
        ("cocoasyncer.io/app-uid", "uid-1"),
    ];
    for (label, value) in expect {
        assert_eq!(labels.get(label).map(String::as_str), Some(value), "{label}");
    }
    // Who joins another's network is made anew with it.
    let other = compose.replace("hostname: front", "hostname: face");
    let other = lab.composed(&other, &[], &name, Setting::default());
    let steps = lab.turn(&other).await;
    for service in ["web", "side"] {
        assert!(steps.contains(&Step::Create(service.into())), "{steps:?}");
    }
    assert!(!steps.contains(&Step::Create("ask".into())));
}

#[tokio::test]
async fn a_container_that_cant_run_says_why() {
    let Some(lab) = lab(&[]).await else { return };
    let name = lab.name();
    let compose = format!(
        "services:\n  bad:\n    image: {TINY}\n    expose: ['80']\n    restart: always\n    \
         command: [sh, -c, 'echo \"no luck with $W9_POWER_PASSWORD\"; exit 3']\n"
    );
    let made = lab.composed(&compose, &[], &name, Setting::default());
    let bad = lab
        .wait("it restarts", async || {
            lab.turn(&made).await;
            let seen = lab.runtime.observe(&made).await.unwrap();
            let bad = seen.services.get("bad")?.clone();
            (bad.restarts >= 1 && bad.state == State::Restarting).then_some(bad)
        })
        .await;
    assert_eq!(bad.exit, Some(3));
    assert_eq!(bad.trouble.as_deref(), Some("no luck with ***"));
}

#[tokio::test]
async fn events_name_the_application_and_taken_ports_and_capacity_are_known() {
    let Some(lab) = lab(&["nginx"]).await else { return };
    let name = lab.name();
    let mut events = lab.runtime.events();
    assert_eq!(events.next().await.as_deref(), Some(""), "what was before is not known");
    let nginx = lab.built_in("nginx", &name, Setting { version: "1.28", ..Setting::default() });
    lab.answers(&nginx).await;
    let told = async {
        while let Some(event) = events.next().await {
            if event == name {
                return;
            }
        }
        panic!("the events ended");
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), told).await.unwrap();
    let port = nginx.ports[0].host;
    let has = |ports: &std::collections::BTreeSet<(u16, _)>| ports.iter().any(|(number, _)| *number == port);
    let mut other = nginx.key.clone();
    other.name = lab.name();
    assert!(!has(&lab.runtime.taken_ports(&nginx.key).await.unwrap()), "its own are no hindrance");
    assert!(has(&lab.runtime.taken_ports(&other).await.unwrap()));
    let stopped =
        lab.built_in("nginx", &name, Setting { version: "1.28", running: false, ..Setting::default() });
    lab.turn(&stopped).await;
    assert!(has(&lab.runtime.taken_ports(&other).await.unwrap()), "a stopped one wants its port back");
    let capacity = lab.runtime.capacity().await.unwrap();
    assert!(capacity.cores >= 1.0 && capacity.memory > 0.1 && capacity.disk > 0.1, "{capacity:?}");
}
