//! What filling promises, over tables and generated orders. Tests only.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::domain::app::instance::{File, Serving};
use crate::domain::app::template::Entry;
use crate::domain::app::workload::{Range, Service};

const COMPOSE: &str = "\
services:
  web:
    image: $W9_REPO:$W9_VERSION
    container_name: $W9_ID
    env_file: [.env, src/more.env]
    environment:
      URL: http://$W9_URL/
      W9_LOGIN_USER:
      ABSENT:
      CODE: $W9_RCODE
    ports: ['$W9_HTTP_PORT_SET:80', '$W9_DNS_PORT_SET:53/udp', '$W9_DNS_PORT_SET:53', '7000-7002:7000-7002/udp']
    volumes: ['./src/a.conf:/a.conf']
  db:
    image: mysql:8.0
    container_name: $W9_ID-mysql
    deploy: {resources: {limits: {memory: 1g}}}
";
const ENV: &str = "W9_REPO=blog\nW9_VERSION=1\nW9_ID=blog\nW9_NETWORK=shared\nW9_RCODE=x\nW9_POWER_PASSWORD=change-me-at-install
W9_HTTP_PORT=80\nW9_HTTP_PORT_SET='9001'\nW9_DNS_PORT_SET=53\nW9_URL=internet_ip:$W9_HTTP_PORT_SET\nW9_URL_REPLACE=true
W9_LOGIN_USER=admin\nW9_LOGIN_PASSWORD=$W9_POWER_PASSWORD\nW9_ADMIN_PATH=/admin\nFREE_TEXT=a\n";
const METADATA: &str = r#"{"name":"blog","trademark":"Blog","edition":[{"version":["2","1"]}],"requirements":{"cpu":1,"memory":1,"disk":1}}"#;

fn template(compose: &str, env: &str) -> Template {
    let entries = [".env", "src/a.conf", "src/more.env"].map(|path| (path.to_owned(), Entry::File(3)));
    Template {
        name: "blog".into(),
        compose: Some(compose.into()),
        env: Some(env.into()),
        metadata: Some(METADATA.into()),
        entries: entries.into(),
        ..Template::default()
    }
}

fn files(conf: &str, mode: u32) -> Arc<Files> {
    let file = |text: &str, mode| File { bytes: text.as_bytes().into(), mode };
    let more = file("MORE=$W9_ID-more\nFREE_TEXT=over\n", 0o644);
    Arc::new([("src/a.conf".to_owned(), file(conf, mode)), ("src/more.env".to_owned(), more)].into())
}

/// An App, its choices included.
#[derive(Clone)]
struct App {
    name: String,
    version: String,
    variables: BTreeMap<String, String>,
    secrets: BTreeMap<String, Secret>,
    choices: Choices,
    domain: Option<String>,
    resources: Option<Resources>,
    backend: Backend,
}

impl App {
    fn new() -> Self {
        let ports = [("W9_HTTP_PORT_SET", 9005), ("W9_DNS_PORT_SET", 1053), ("web:7000/udp", 7100)];
        Self {
            name: "shop".into(),
            version: "2".into(),
            variables: BTreeMap::new(),
            secrets: BTreeMap::new(),
            choices: Choices {
                password: Secret::new("Generated0Password"),
                code: "c0de".into(),
                ports: ports.map(|(key, port)| (key.to_owned(), port)).into(),
            },
            domain: None,
            resources: None,
            backend: Backend::Docker,
        }
    }

    fn with(mut self, key: &str, value: &str) -> Self {
        self.variables.insert(key.into(), value.into());
        self
    }

    fn fill(&self, template: &Template, files: Arc<Files>) -> Result<Instance, Vec<String>> {
        let key = AppKey { namespace: "default".into(), name: self.name.clone() };
        let order = Order {
            key: &key,
            uid: "u",
            version: &self.version,
            variables: &self.variables,
            secret_variables: &self.secrets,
            choices: &self.choices,
            domain: self.domain.as_deref(),
            pull_secret: None,
            host: Some("2001:db8::7"),
            resources: self.resources.as_ref(),
            allowed: &BTreeSet::new(),
            wanted: Wanted::default(),
            backend: self.backend,
        };
        let said = |f: &Finding| format!("{} {} {}", f.code.as_str(), f.place, f.subject);
        instantiate(template, files, &order).map_err(|found| found.iter().map(said).collect())
    }

    fn filled(&self) -> Instance {
        self.fill(&template(COMPOSE, ENV), files("x", 0o644)).unwrap()
    }
}

#[test]
fn what_an_install_chose_takes_the_template_s_place_and_what_refers_to_it_sees_it() {
    let instance = App::new().with("FREE_TEXT", "it's $HOME \\ \"x\"").filled();
    let [web, db] = &instance.workload.services[..] else { panic!() };
    assert_eq!((web.image.as_deref(), db.container.as_deref()), (Some("blog:2"), Some("shop-mysql")));
    let expect = [
        ("W9_LOGIN_PASSWORD", "Generated0Password"),
        ("W9_LOGIN_USER", "admin"),
        ("CODE", "c0de"),
        ("URL", "http://[2001:db8::7]:9005/"),
        ("MORE", "shop-more"),
        ("FREE_TEXT", "over"),
    ];
    for (key, value) in expect {
        assert_eq!(web.environment.get(key).map(String::as_str), Some(value), "{key}");
    }
    assert!(!web.environment.contains_key("ABSENT"));
    assert_eq!(instance.title, "Blog");
    assert_eq!(instance.shared_network.as_deref(), Some("shared"));
    assert_eq!(instance.url.as_deref(), Some("http://[2001:db8::7]:9005"));
    assert_eq!(instance.admin_url.as_deref(), Some("http://[2001:db8::7]:9005/admin"));
    assert_eq!(instance.user_name.as_deref(), Some("admin"));
    assert!(instance.password.as_ref().unwrap().matches("Generated0Password"));
    assert_eq!(instance.masked("a Generated0Password b"), "a *** b");
    assert!(
        instance.env.expose().contains("FREE_TEXT=\"it's \\$HOME \\\\ \\\"x\\\"\"\n"),
        "{}",
        instance.env.expose()
    );
    let serving = Serving { service: "web".into(), port: 80, host: Some(9005), http: true };
    assert_eq!(instance.serving, Some(serving));
    let hosts: Vec<Option<Range>> = web.ports.iter().map(|port| port.host).collect();
    let range = |first, last| Some(Range { first, last });
    assert_eq!(hosts, [range(9005, 9005), range(1053, 1053), range(1053, 1053), range(7100, 7102)]);
    let ports: Vec<String> = instance
        .ports
        .iter()
        .map(|it| {
            format!("{} {}>{} {}", it.variable.as_deref().unwrap_or("-"), it.host, it.container, it.protocol)
        })
        .collect();
    let expect = [
        "W9_HTTP_PORT_SET 9005>80 TCP",
        "W9_DNS_PORT_SET 1053>53 UDP",
        "W9_DNS_PORT_SET 1053>53 TCP",
        "- 7100>7000 UDP",
        "- 7101>7001 UDP",
        "- 7102>7002 UDP",
    ];
    assert_eq!(ports, expect);
}

#[test]
fn a_domain_is_the_address_with_a_port_only_where_an_engine_publishes_one() {
    let mut app = App { domain: Some("blog.example.com".into()), ..App::new() };
    for (backend, url, variable) in [
        (Backend::Docker, "http://blog.example.com:9005", "http://blog.example.com:9005/"),
        (Backend::Kubernetes, "http://blog.example.com", "http://blog.example.com/"),
    ] {
        app.backend = backend;
        let instance = app.filled();
        assert_eq!(instance.url.as_deref(), Some(url));
        assert_eq!(instance.workload.services[0].environment["URL"], variable);
    }
    // An address that its author fixed and the application uses stays.
    let fixed = ENV.replace("W9_URL_REPLACE=true\n", "");
    let instance = App::new().fill(&template(COMPOSE, &fixed), files("x", 0o644)).unwrap();
    assert_eq!(instance.workload.services[0].environment["URL"], "http://internet_ip:9005/");
}

#[test]
fn what_an_app_may_not_want_is_refused_by_the_field() {
    let cases = [
        (
            App::new().with("NO_SUCH", "1"),
            "unknown-variable App spec.variables.NO_SUCH spec.variables.NO_SUCH",
        ),
        (App::new().with("W9_ID", "x"), "reserved-variable App spec.variables.W9_ID spec.variables.W9_ID"),
        (
            App::new().with("W9_NETWORK", "x"),
            "reserved-variable App spec.variables.W9_NETWORK spec.variables.W9_NETWORK",
        ),
        (
            App::new().with("W9_POWER_PASSWORD", "x"),
            "reserved-variable App spec.variables.W9_POWER_PASSWORD spec.variables.W9_POWER_PASSWORD",
        ),
        (
            App::new().with("W9_HTTP_PORT_SET", "x"),
            "bad-port App spec.variables.W9_HTTP_PORT_SET spec.variables.W9_HTTP_PORT_SET",
        ),
        (App { version: "3".into(), ..App::new() }, "unknown-version App spec.appVersion 3"),
        (App { name: "9".repeat(63), ..App::new() }, "name-too-long App metadata.name"),
        (App { name: "x".repeat(60), ..App::new() }, "name-too-long docker-compose.yml:14 db.container_name"),
        (
            App { resources: Some(Resources { cpu: None, memory: Some("1X".into()) }), ..App::new() },
            "bad-value App spec.resources.memory \"1X\" is no quantity",
        ),
    ];
    for (app, expect) in cases {
        let said = app.fill(&template(COMPOSE, ENV), files("x", 0o644)).unwrap_err();
        assert!(said.iter().any(|it| it.starts_with(expect)), "{expect}: {said:?}");
    }
    let secret = ("W9_POWER_PASSWORD".to_owned(), Secret::new("Brought0Along0"));
    let instance = App { secrets: [secret].into(), ..App::new() }.filled();
    assert_eq!(instance.workload.services[0].environment["W9_LOGIN_PASSWORD"], "Brought0Along0");
    assert_eq!(instance.masked("Brought0Along0"), "***");
}

#[test]
fn bounds_of_the_app_replace_those_of_the_serving_service() {
    let resources = Resources { cpu: Some("500m".into()), memory: Some("512Mi".into()) };
    let instance = App { resources: Some(resources), ..App::new() }.filled();
    let [web, db] = &instance.workload.services[..] else { panic!() };
    assert_eq!((web.limits.cpu, web.limits.memory), (Some(500), Some(512 << 20)));
    assert_eq!((db.limits.cpu, db.limits.memory), (None, Some(1 << 30)));
}

#[test]
fn a_digest_tells_what_its_container_is_made_from_and_nothing_else() {
    let app = App::new();
    let base = app.filled();
    let changed = |other: &Instance| -> Vec<String> {
        let differs =
            |(name, digest): (&String, &String)| (base.digests[name] != *digest).then(|| name.clone());
        other.digests.iter().filter_map(differs).collect()
    };
    let with = |compose: &str, env: &str, conf: &str, mode| {
        app.fill(&template(compose, env), files(conf, mode)).unwrap()
    };
    assert!(changed(&app.filled()).is_empty());
    assert!(changed(&with(&format!("# moved\n{COMPOSE}"), ENV, "x", 0o644)).is_empty());
    assert_eq!(changed(&with(COMPOSE, ENV, "y", 0o644)), ["web"]);
    assert_eq!(changed(&with(COMPOSE, ENV, "x", 0o755)), ["web"]);
    assert_eq!(changed(&with(&COMPOSE.replace("memory: 1g", "memory: 2g"), ENV, "x", 0o644)), ["db"]);
    assert_eq!(changed(&with(COMPOSE, &ENV.replace("=shared", "=other"), "x", 0o644)), ["web"]);
}

#[test]
fn ports_are_wanted_by_the_variable_that_chooses_them_however_far_away() {
    let compose = "services:
  a:
    image: a:1
    ports: ['$W9_HTTP_PORT_SET:80', '${OTHER}:53/udp', '5000:5000', '9000-9002:80', '81']
  b:
    image: b:1
    ports: ['$W9_HTTP_PORT_SET:80', '5000:5000']
";
    let env = "W9_HTTP_PORT_SET=80\nW9_DNS_PORT_SET=53\nOTHER=$W9_DNS_PORT_SET\nW9_UNUSED_PORT_SET=1\n";
    let shown = |variables: &BTreeMap<String, String>, compose: &str| -> Vec<String> {
        let wanted = wanted_ports(&template(compose, env), variables);
        wanted.iter().map(|it| format!("{}={}x{} {:?}", it.key, it.like, it.count, it.protocols)).collect()
    };
    let expect = [
        "W9_HTTP_PORT_SET=8080x1 {Tcp}",
        "W9_DNS_PORT_SET=53x1 {Udp}",
        "a:5000/tcp=5000x1 {Tcp}",
        "a:9000/tcp=9000x1 {Tcp}",
        "a::81/tcp=8081x1 {Tcp}",
        "b:W9_HTTP_PORT_SET:80/tcp=8080x1 {Tcp}",
        "b:5000/tcp=5000x1 {Tcp}",
    ];
    let variables = [("W9_HTTP_PORT_SET".to_owned(), "8080".to_owned())].into();
    assert_eq!(shown(&variables, compose), expect);
    let host = "services: {a: {image: 'a:1', network_mode: host}}";
    let all = ["W9_DNS_PORT_SET=53x1 {Tcp}", "W9_HTTP_PORT_SET=80x1 {Tcp}", "W9_UNUSED_PORT_SET=1x1 {Tcp}"];
    assert_eq!(shown(&BTreeMap::new(), host), all);
}

/// Texts in which what the readers look for is frequent.
fn dense() -> impl Strategy<Value = String> {
    let bits = [
        "$", "$$", "${", "}", ":-", "W9_ID", "=", ":", "\n", "'", "\"", "\\", "#", " ", "0", "8", "/", "-",
        ".", "a",
    ];
    prop::collection::vec(prop::sample::select(bits.to_vec()), 0..20).prop_map(|bits| bits.concat())
}

fn protocols() -> impl Strategy<Value = BTreeSet<Protocol>> {
    prop::collection::btree_set(prop::sample::select(vec![Protocol::Tcp, Protocol::Udp]), 1..3)
}

#[test]
fn a_name_that_cannot_stand_as_it_is_gets_a_letter_in_front() {
    for (name, expect) in
        [("blog", "blog"), ("1", "a1"), ("a1", "aa1"), ("7up", "a7up"), ("x", "ax"), ("a", "aa")]
    {
        assert_eq!(id(name), expect, "{name}");
    }
}

proptest! {
    #[test]
    fn no_two_names_share_an_id(one in "[ab01]{1,5}", other in "[ab01]{1,5}") {
        let (a, b) = (id(&one), id(&other));
        prop_assert!(!a.starts_with(|c: char| c.is_ascii_digit()) && 1 < a.len());
        prop_assert_eq!(one == other, a == b, "{} {}", a, b);
    }

    #[test]
    fn no_port_is_given_twice_and_what_is_remembered_stays(
        wishes in prop::collection::vec((prop_oneof![1..90u16, 65_500..=65_535u16, 9000..9010u16], protocols(), 1..5u16), 0..12),
        taken in prop::collection::btree_set((prop_oneof![1..90u16, 65_500..=65_535u16, 9000..9010u16, 1024..1030u16], prop::sample::select(vec![Protocol::Tcp, Protocol::Udp])), 0..60),
    ) {
        let wanted: Vec<WantedPort> = wishes.into_iter().enumerate().map(|(n, (like, protocols, count))| {
            WantedPort { key: format!("k{n}"), like, protocols, count }
        }).collect();
        let Some(chosen) = allocate(&wanted, &BTreeMap::new(), &taken) else {
            return Err(TestCaseError::fail("there are free ports"));
        };
        let mut given = taken.clone();
        for port in &wanted {
            let first = chosen[&port.key];
            let last = first.checked_add(port.count - 1);
            prop_assert!(last.is_some(), "{first} {}", port.count);
            prop_assert!(first == port.like || 1024 <= first, "{first} for {}", port.like);
            for number in first..=last.unwrap() {
                for protocol in &port.protocols {
                    prop_assert!(given.insert((number, *protocol)), "{number} twice");
                }
            }
        }
        prop_assert_eq!(allocate(&wanted, &chosen, &BTreeSet::new()), Some(chosen.clone()));
        // A later one never takes what an earlier installation remembers.
        let mut more = vec![WantedPort { key: "new".into(), like: 9001, protocols: [Protocol::Tcp].into(), count: 1 }];
        more.extend(wanted.clone());
        let again = allocate(&more, &chosen, &BTreeSet::new()).unwrap();
        let held = wanted.iter().filter(|it| it.protocols.contains(&Protocol::Tcp));
        for port in held {
            let first = chosen[&port.key];
            prop_assert!(!(first..=first + (port.count - 1)).contains(&again["new"]));
        }
    }

    #[test]
    fn a_rendered_env_reads_as_the_same_values(values in prop::collection::vec(any::<String>(), 0..8), spice in "[\\\\'\"$ #\r\n\\{}a\u{85}\u{2028}]*") {
        let put: BTreeMap<String, String> =
            values.into_iter().chain([spice]).enumerate().map(|(n, value)| (format!("K{n}.x"), value)).collect();
        let mut env = Env::default();
        put.iter().for_each(|(key, value)| env.set_beside(key, value));
        let text = env.render();
        let mut findings = Findings::default();
        let again = Env::parse(text.as_bytes(), super::ENV, &mut findings);
        let again: BTreeMap<String, String> = again.iter().map(|(k, v)| (k.to_owned(), v.value.clone())).collect();
        prop_assert_eq!(again, put, "{}", text);
    }

    #[test]
    fn any_scalar_in_any_key_is_refused_or_rendered_as_it_was_read(
        key in prop::sample::select(compose::keys::SERVICE.iter().map(|(key, _)| *key).collect::<Vec<_>>()),
        value in prop_oneof![dense(), any::<String>(), prop::sample::select(vec!["1", "true", "a", "s", "/a:/b", "1g", "a=b"]).prop_map(str::to_owned)],
    ) {
        let text = serde_json::to_string(&value).unwrap();
        for shape in [text.clone(), format!("[{text}]"), format!("{{a: {text}}}"), format!("[{{target: {text}}}]")] {
            let document = format!("services:\n  s:\n    image: nginx:1\n    {key}: {shape}\n");
            let template = template(&document, ENV);
            let Ok(instance) = App::new().fill(&template, files("x", 0o644)) else { continue };
            let rendered = instance.compose.expose();
            let again = compose::read(rendered.as_bytes(), &Env::default(), &template, &Files::new(), &mut Findings::default());
            let bare = |workload: &Workload| -> Vec<serde_json::Value> {
                let bare = |it: &Service| Service { line: 0, profiles: Vec::new(), waits: Vec::new(), ..it.clone() };
                workload.services.iter().map(|it| serde_json::to_value(bare(it)).unwrap()).collect()
            };
            prop_assert_eq!(again.as_ref().map(bare), Some(bare(&instance.workload)), "{}\n{}", document, rendered);
        }
    }

    #[test]
    fn a_user_s_value_is_a_value_and_never_structure(value in "[^\u{0}]*", name in "[a-z0-9]{1,40}") {
        let mut app = App::new().with("FREE_TEXT", &value);
        app.name = name;
        let compose = COMPOSE.replace("CODE: $W9_RCODE", "CODE: <$FREE_TEXT>");
        let instance = app.fill(&template(&compose, ENV), files("x", 0o644));
        let instance = instance.map_err(|said| TestCaseError::fail(said.join("\n")))?;
        prop_assert_eq!(&instance.workload.services[0].environment["CODE"], &format!("<{value}>"));
        prop_assert_eq!(instance.workload.services.len(), 2);
        let again = app.fill(&template(&compose, ENV), files("x", 0o644)).unwrap();
        prop_assert_eq!(again.digests, instance.digests);
        prop_assert_eq!(again.compose.expose(), instance.compose.expose());
    }
}
