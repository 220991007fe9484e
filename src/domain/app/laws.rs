//! The laws of the pipeline over generated texts: nothing panics, dollars come back, what is read is bounded. Tests only.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::domain::app::env_file::Env;
use crate::domain::app::finding::{Code, Effect, Findings};
use crate::domain::app::interpolate::Scope;
use crate::domain::app::template::{Template, check};

/// Texts in which what these readers look for is frequent.
fn dense() -> impl Strategy<Value = String> {
    let bits = [
        "$", "$$", "${", "}", ":-", "-", ":?", "?", ":+", "A", "B_1", "=", ": ", ":", "\n", "'", "\"", "\\",
        "#", " #", "export ", " ", "\r\n", "0", "[", "]", "{", "&a ", "*a", "<<", "- ", "é", "services",
        "  ",
    ];
    prop::collection::vec(prop::sample::select(bits.to_vec()), 0..60).prop_map(|bits| bits.concat())
}

fn template(compose: Vec<u8>, env: Vec<u8>, metadata: Vec<u8>) -> Template {
    Template {
        name: "x".into(),
        compose: Some(compose),
        env: Some(env),
        metadata: Some(metadata),
        ..Template::default()
    }
}

proptest! {
    #[test]
    fn filling_never_panics_and_stays_in_its_bounds(text in dense(), value in dense()) {
        let lookup = |name: &str| (name == "A").then(|| value.clone());
        if let Ok(filled) = Scope::new(&lookup, 500).fill(&text) {
            prop_assert!(filled.len() <= 500);
        }
    }

    #[test]
    fn a_doubled_dollar_comes_back_as_one(text in any::<String>()) {
        let none = |_: &str| None;
        let filled = Scope::new(&none, usize::MAX).fill(&text.replace('$', "$$"));
        prop_assert_eq!(filled, Ok(text));
    }

    #[test]
    fn a_value_is_put_in_as_it_is(value in any::<String>()) {
        let lookup = |_: &str| Some(value.clone());
        let filled = Scope::new(&lookup, usize::MAX).fill("a${X}b$X");
        prop_assert_eq!(filled, Ok(format!("a{value}b{value}")));
    }

    #[test]
    fn any_octets_are_read_as_an_env_file(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        Env::parse(&bytes, ".env", &mut Findings::default());
    }

    #[test]
    fn a_value_in_single_quotes_comes_back(value in "[^'\\\\\r]*") {
        let mut findings = Findings::default();
        let env = Env::parse(format!("A='{value}'\nB=1").as_bytes(), ".env", &mut findings);
        prop_assert_eq!(env.get("A"), Some(value.as_str()));
        prop_assert_eq!(env.get("B"), Some("1"));
    }

    #[test]
    fn any_template_is_checked_and_the_same_way_twice(compose in dense(), env in dense(), metadata in dense()) {
        let template = template(compose.into(), env.into(), metadata.into());
        prop_assert_eq!(check(&template).findings, check(&template).findings);
    }

    #[test]
    fn any_scalar_in_any_key_is_checked(
        (key, value) in (prop::sample::select(
            crate::domain::app::compose::keys::SERVICE.iter().map(|(key, _)| *key).collect::<Vec<_>>()), dense())
    ) {
        let text = serde_json::to_string(&value).unwrap();
        for shape in [text.clone(), format!("[{text}]"), format!("{{a: {text}}}"), format!("[{{target: {text}}}]")] {
            let compose = format!("services:\n  s:\n    image: nginx:1\n    {key}: {shape}\n");
            check(&template(compose.into(), Vec::new(), b"{}".to_vec()));
        }
    }
}

#[test]
fn what_is_out_of_all_proportion_is_refused_at_once() {
    // Of this thread alone: others may hold up a busy machine for as long as they like.
    let spent = || {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
        text.split_whitespace().next().map_or(0, |nanos| nanos.parse::<u64>().unwrap())
    };
    let begun = spent();
    let compose = |head: &str, line: &str, times: usize| format!("{head}{}", line.repeat(times));
    let service = |keys: &str| format!("services:\n  s:\n    image: a:1\n    {keys}:\n");
    let many: String = (0..5000).map(|n| format!("  s{n}: {{image: a, env_file: .env}}\n")).collect();
    let cases = [
        (format!("services:\n{many}"), "too-large"),
        (compose(&service("ports"), "    - 1-65535:1-65535\n", 20_000), "bad-value"),
        (compose(&service("expose"), "    - 1-65535\n", 20_000), "bad-value"),
        (compose(&service("env_file"), "    - .env\n", 20_000), "too-large"),
        (
            format!("{}    - {}x{}\n", service("command"), "${A:-".repeat(100), "}".repeat(100)),
            "interpolation",
        ),
        (format!("services: {}", "{a: ".repeat(500)), "not-yaml"),
    ];
    let env = format!("B={}\n", "y".repeat(500_000));
    for (compose, code) in cases {
        let found = check(&template(compose.into_bytes(), env.clone().into_bytes(), b"{}".to_vec())).findings;
        assert!(
            found.iter().any(|f| f.code.as_str() == code && f.docker == Effect::Cannot),
            "{code}: {found:?}"
        );
    }
    let found = check(&template(b"services: {s: {image: a}}".to_vec(), vec![b'A'; 10 << 20], b"{}".to_vec()))
        .findings;
    assert!(found.iter().any(|f| f.code == Code::TooLarge), "{found:?}");
    // Each of them would take minutes and gigabytes if nothing held it.
    let took = std::time::Duration::from_nanos(spent() - begun);
    assert!(took < std::time::Duration::from_secs(30), "{took:?}");
}

#[test]
fn the_workload_is_what_the_template_says() {
    let compose = "\
services:
  web:
    image: nginx:$W9_VERSION
    container_name: $W9_ID
    ports: ['$W9_HTTP_PORT_SET:80', '53:53/udp']
    volumes: [data:/data:ro, ./src/a.conf:/etc/a.conf]
    depends_on: {db: {condition: service_healthy}}
  db:
    image: mysql:8.0
    container_name: $W9_ID-mysql
    healthcheck: {test: [CMD, mysqladmin, ping]}
volumes: {data: }
";
    let env = "W9_ID=blog\nW9_VERSION=1.27\nW9_HTTP_PORT_SET='9001'\nW9_HTTP_PORT=80\n";
    let metadata =
        r#"{"name":"x","edition":[{"version":["1.27"]}],"requirements":{"cpu":1,"memory":1,"disk":1}}"#;
    let mut template = template(compose.into(), env.into(), metadata.into());
    let entry = crate::domain::app::template::Entry::File(3);
    template.entries = BTreeMap::from([("src/a.conf".to_owned(), entry)]);
    let checked = check(&template);
    assert_eq!(checked.findings, []);
    let workload = checked.workload.unwrap();
    let [web, db] = &workload.services[..] else { panic!("{workload:?}") };
    assert_eq!((web.image.as_deref(), web.container.as_deref()), (Some("nginx:1.27"), Some("blog")));
    assert_eq!((web.ports.len(), web.mounts.len(), web.waits.len()), (2, 2, 1));
    assert_eq!((db.container.as_deref(), db.line), (Some("blog-mysql"), 9));
}
