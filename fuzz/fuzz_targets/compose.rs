//! Any pair of a compose document and its `.env`, parted by a null, is checked and filled without a crash.
#![no_main]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cocoasyncer::domain::app::fill::{Order, instantiate, wanted_ports};
use cocoasyncer::domain::app::instance::{AppKey, Choices, Files, Wanted};
use cocoasyncer::domain::app::template::{Template, check};
use cocoasyncer::domain::app::verdict::Backend;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let at = bytes.iter().position(|octet| *octet == 0).unwrap_or(bytes.len());
    let (compose, env) = bytes.split_at(at);
    let template = Template {
        name: "x".into(),
        compose: Some(compose.to_vec()),
        env: Some(env.strip_prefix(b"\0").unwrap_or(env).to_vec()),
        metadata: Some(b"{}".to_vec()),
        ..Template::default()
    };
    check(&template);
    wanted_ports(&template, &BTreeMap::new());
    let key = AppKey { namespace: "default".into(), name: "x".into() };
    let order = Order {
        key: &key,
        uid: "u",
        version: "1",
        variables: &BTreeMap::new(),
        secret_variables: &BTreeMap::new(),
        choices: &Choices::default(),
        domain: None,
        host: Some("192.0.2.7"),
        resources: None,
        allowed: &BTreeSet::new(),
        wanted: Wanted::default(),
        backend: Backend::Docker,
    };
    let _ = instantiate(&template, Arc::new(Files::new()), &order);
});
