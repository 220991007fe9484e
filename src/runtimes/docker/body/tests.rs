//! What a service becomes. Tests only.

use std::time::Duration;

use bollard::models::HealthConfig;

use super::super::testing::instance;
use super::*;
use crate::domain::app::workload::{Content, Limits, Mount, Range};

fn made(service: Service, change: impl FnOnce(&mut Instance)) -> ContainerCreateBody {
    let mut instance = instance("blog");
    instance.workload.services = vec![service.clone()];
    change(&mut instance);
    let containers = [("db".to_owned(), "0123abc".to_owned())].into();
    let place = Place { folder: Path::new("/apps/blog"), containers: &containers };
    container(&instance, &service, &place)
}

fn web() -> Service {
    Service { name: "web".into(), image: Some("x:1".into()), ..Service::default() }
}

fn host_of(service: Service) -> HostConfig {
    made(service, |_| {}).host_config.unwrap()
}

#[test]
fn a_service_has_its_own_network_with_every_name_that_siblings_use() {
    let service = Service {
        container: Some("blog".into()),
        hostname: Some("front".into()),
        aliases: vec!["web".into(), "www".into()],
        ..web()
    };
    let body = made(service, |_| {});
    let endpoints = body.networking_config.unwrap().endpoints_config.unwrap();
    assert_eq!(endpoints.len(), 1, "older engines take no more at once");
    assert_eq!(endpoints["blog_default"].aliases.clone().unwrap(), ["web", "blog", "www", "front"]);
    assert_eq!(body.hostname.as_deref(), Some("front"));
    assert_eq!(body.host_config.unwrap().network_mode.as_deref(), Some("blog_default"));
}

#[test]
fn who_joins_a_network_brings_nothing_of_his_own_into_it() {
    let port = Port {
        host: Some(Range { first: 80, last: 80 }),
        container: Range { first: 80, last: 80 },
        protocol: Protocol::Tcp,
        address: None,
    };
    let service = Service {
        joins: Some("db".into()),
        hostname: Some("x".into()),
        ports: vec![port],
        extra_hosts: vec![("a".into(), "host-gateway".into())],
        ..web()
    };
    let body = made(service, |_| {});
    assert!(body.hostname.is_none() && body.exposed_ports.is_none() && body.networking_config.is_none());
    let host = body.host_config.unwrap();
    assert_eq!(host.network_mode.as_deref(), Some("container:0123abc"));
    assert!(host.port_bindings.is_none() && host.extra_hosts.is_none());
}

#[test]
fn ports_are_published_one_by_one_and_a_choice_of_many_is_the_engines() {
    let port = |host: Option<(u16, u16)>, container: (u16, u16), protocol, address: Option<&str>| Port {
        host: host.map(|(first, last)| Range { first, last }),
        container: Range { first: container.0, last: container.1 },
        protocol,
        address: address.map(str::to_owned),
    };
    let service = Service {
        ports: vec![
            port(Some((8080, 8080)), (80, 80), Protocol::Tcp, Some("127.0.0.1")),
            port(Some((9000, 9001)), (90, 91), Protocol::Udp, None),
            port(Some((7000, 7010)), (70, 70), Protocol::Tcp, None),
            port(None, (60, 60), Protocol::Sctp, None),
        ],
        inner_ports: vec![3306],
        ..web()
    };
    let body = made(service, |_| {});
    let exposed = body.exposed_ports.unwrap();
    assert_eq!(exposed, ["3306/tcp", "80/tcp", "90/udp", "91/udp", "70/tcp", "60/sctp"]);
    let bound = body.host_config.unwrap().port_bindings.unwrap();
    let of = |port: &str| {
        let binding = bound[port].clone().unwrap().remove(0);
        (binding.host_ip, binding.host_port)
    };
    assert_eq!(of("80/tcp"), (Some("127.0.0.1".into()), Some("8080".into())));
    assert_eq!(of("91/udp"), (None, Some("9001".into())));
    assert_eq!(of("70/tcp"), (None, Some("7000-7010".into())));
    assert_eq!(of("60/sctp"), (None, None));
}

#[test]
fn mounts_say_what_they_are_and_only_hosts_paths_are_made_by_the_engine() {
    let mount = |source: Source, read_only| Mount { source, target: "/t".into(), read_only, subpath: None };
    let service = Service {
        mounts: vec![
            mount(Source::Volume("data".into()), false),
            mount(Source::Template("src/a.conf".into()), true),
            mount(Source::Template(String::new()), false),
            mount(Source::Host("/srv/x".into()), true),
            mount(Source::Anonymous, false),
            mount(Source::Memory(Some(64), Some(0o1777)), false),
        ],
        contents: vec![Content { target: "/c".into(), text: "x".into(), mode: 0o444, secret: true }],
        ..web()
    };
    let host = host_of(service);
    assert_eq!(host.binds.unwrap(), ["/srv/x:/t:ro"]);
    let mounts = host.mounts.unwrap();
    let row = |mount: &bollard::models::Mount| (mount.typ.unwrap(), mount.source.clone(), mount.read_only);
    let expect = [
        (MountType::VOLUME, Some("blog_data"), None),
        (MountType::BIND, Some("/apps/blog/src/a.conf"), Some(true)),
        (MountType::BIND, Some("/apps/blog"), None),
        (MountType::VOLUME, None, None),
        (MountType::TMPFS, None, None),
        (MountType::BIND, Some("/apps/blog/.contents/web/0"), Some(true)),
    ];
    let expect = expect.map(|(kind, source, only)| (kind, source.map(str::to_owned), only));
    assert_eq!(mounts.iter().map(row).collect::<Vec<_>>(), expect);
    let memory = mounts[4].tmpfs_options.clone().unwrap();
    assert_eq!((memory.size_bytes, memory.mode), (Some(64), Some(0o1777)));
}

#[test]
fn bounds_rights_and_the_end_are_as_the_template_has_them() {
    let sandbox = Sandbox {
        security_opt: vec!["no-new-privileges:true".into(), "apparmor=x".into()],
        namespaces: [("pid".into(), "service:db".into()), ("ipc".into(), "shareable".into())].into(),
        devices: vec![("/dev/a".into(), "/dev/b".into(), String::new())],
        ulimits: [("nofile".into(), (1, 2))].into(),
        ..Sandbox::default()
    };
    let service = Service {
        limits: Limits { cpu: Some(1500), memory: Some(1 << 20), gpus: Some(-1), ..Limits::default() },
        sandbox,
        restart: Restart::OnFailure(Some(3)),
        ..web()
    };
    let host = host_of(service);
    assert_eq!((host.nano_cpus, host.memory), (Some(1_500_000_000), Some(1 << 20)));
    assert_eq!(host.device_requests.unwrap()[0].count, Some(-1));
    assert_eq!(host.security_opt.unwrap(), ["no-new-privileges=true", "apparmor=x"]);
    assert_eq!(
        (host.pid_mode.as_deref(), host.ipc_mode.as_deref()),
        (Some("container:0123abc"), Some("shareable"))
    );
    assert_eq!(host.devices.unwrap()[0].cgroup_permissions.as_deref(), Some("rwm"));
    let policy = host.restart_policy.unwrap();
    assert_eq!((policy.name, policy.maximum_retry_count), (Some(RestartPolicyNameEnum::ON_FAILURE), Some(3)));
    assert!(host.privileged.is_none() && host.cap_add.is_none(), "nothing is given unasked");
}

#[test]
fn commands_and_checks_keep_their_forms() {
    let check = Check {
        command: vec!["true".into()],
        shell: true,
        interval: Some(Duration::from_secs(2)),
        ..Check::default()
    };
    let service = Service { health: Health::Checked, check: Some(check), entrypoint: Some(vec![]), ..web() };
    let body = made(service, |_| {});
    assert_eq!(body.entrypoint.unwrap(), [""], "an empty list would leave the image's in force");
    assert_eq!(body.cmd, None);
    let HealthConfig { test, interval, retries, .. } = body.healthcheck.unwrap();
    assert_eq!(test.unwrap(), ["CMD-SHELL", "true"]);
    assert_eq!((interval, retries), (Some(2_000_000_000), None));
    let off = made(Service { health: Health::Off, ..web() }, |_| {});
    assert_eq!(off.healthcheck.unwrap().test.unwrap(), ["NONE"]);
    assert!(made(web(), |_| {}).healthcheck.is_none());
}

#[test]
fn a_templates_label_never_hides_ours() {
    let labels = [("cocoasyncer.io/app".to_owned(), "other".to_owned()), ("x".to_owned(), "y".to_owned())];
    let body = made(Service { labels: labels.into(), ..web() }, |instance| {
        instance.digests.insert("web".into(), "d1".into());
    });
    let labels = body.labels.unwrap();
    assert_eq!((labels["cocoasyncer.io/app"].as_str(), labels["x"].as_str()), ("blog", "y"));
    assert_eq!(labels["cocoasyncer.io/digest"], "d1");
    assert_eq!(labels["com.docker.compose.project.config_files"], "/apps/blog/docker-compose.yml");
}
