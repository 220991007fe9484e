//! Security contexts: the `restricted` level where the template allows it, else the least level that works.

use serde_json::{Map, Value, json};

use crate::domain::app::compose::keys::DEFAULT_CAPABILITIES;
use crate::domain::app::kubernetes::{Draft, Level};
use crate::domain::app::workload::Service;

/// The one capability of an engine's own set that the baseline level doesn't let a container add.
const BEYOND_BASELINE: &str = "NET_RAW";
/// Kernel settings that the baseline level lets a pod change.
const SYSCTLS: &[&str] = &[
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
];
/// The group that owns volumes where nothing says who runs: every process of the pod is in it, so that images with a
/// user of their own can write to a fresh volume.
const GROUP: i64 = 1000;

/// A user as numbers; none where the template says a name or nothing.
fn user(service: &Service) -> Option<(i64, Option<i64>)> {
    let (user, group) = match service.user.as_deref()?.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (service.user.as_deref()?, None),
    };
    Some((user.trim().parse().ok()?, group.and_then(|group| group.trim().parse().ok())))
}

/// The least strict level that a service needs.
pub(crate) fn level(service: &Service) -> Level {
    let sandbox = &service.sandbox;
    let unconfined = sandbox.security_opt.iter().any(|option| option.contains("unconfined"));
    let beyond = sandbox.cap_add.iter().any(|cap| !is_baseline(cap))
        || sandbox.sysctls.keys().any(|name| !SYSCTLS.contains(&name.as_str()));
    if sandbox.privileged || unconfined || beyond {
        return Level::Privileged;
    }
    let added = sandbox.cap_add.iter().any(|cap| cap != "NET_BIND_SERVICE");
    match user(service) {
        // Without a number nobody knows whether the image's user is root.
        Some((uid, _)) if uid != 0 && !added => Level::Restricted,
        _ => Level::Baseline,
    }
}

/// A container's security context.
pub(crate) fn container(draft: &mut Draft<'_>, service: &Service, level: Level) -> Value {
    let mut context = Map::new();
    let sandbox = &service.sandbox;
    match user(service) {
        Some((uid, gid)) => {
            context.insert("runAsUser".into(), json!(uid));
            if let Some(gid) = gid {
                context.insert("runAsGroup".into(), json!(gid));
            }
        }
        None if service.user.is_some() => {
            let words = "a cluster knows users by their numbers only: the image's own user runs it";
            draft.degrade(format!("{}.user", service.name), words);
        }
        None => {}
    }
    if sandbox.read_only {
        context.insert("readOnlyRootFilesystem".into(), json!(true));
    }
    let options = &sandbox.security_opt;
    let quiet = options.iter().any(|o| o.starts_with("no-new-privileges") && !o.ends_with("false"));
    if level == Level::Restricted || (quiet && !sandbox.privileged) {
        context.insert("allowPrivilegeEscalation".into(), json!(false));
    }
    if sandbox.privileged {
        context.insert("privileged".into(), json!(true));
        return Value::Object(context);
    }
    let unconfined = options.iter().any(|option| option.contains("seccomp") && option.contains("unconfined"));
    let profile = if unconfined { "Unconfined" } else { "RuntimeDefault" };
    context.insert("seccompProfile".into(), json!({ "type": profile }));
    let (mut add, mut drop) = (sandbox.cap_add.clone(), sandbox.cap_drop.clone());
    if level == Level::Restricted {
        context.insert("runAsNonRoot".into(), json!(true));
        drop = vec!["ALL".into()];
        let low = service.ports.iter().any(|port| port.container.first < 1024)
            || service.inner_ports.iter().any(|port| *port < 1024);
        if low && add.is_empty() {
            add.push("NET_BIND_SERVICE".into());
        }
    }
    let mut capabilities = Map::new();
    for (key, list) in [("add", add), ("drop", drop)] {
        if !list.is_empty() {
            capabilities.insert(key.into(), json!(list));
        }
    }
    if !capabilities.is_empty() {
        context.insert("capabilities".into(), Value::Object(capabilities));
    }
    Value::Object(context)
}

/// A pod's security context.
pub(crate) fn pod(draft: &mut Draft<'_>, services: &[&Service], stays: bool) -> Value {
    let mut context = Map::new();
    let known = services.iter().find_map(|service| user(service));
    if stays {
        let group = match known {
            Some((0, _)) => None,
            Some((_, Some(gid))) if gid != 0 => Some(gid),
            Some((uid, _)) => Some(uid),
            None => Some(GROUP),
        };
        if let Some(group) = group {
            context.insert("fsGroup".into(), json!(group));
            // What the application set itself is not undone at each start.
            context.insert("fsGroupChangePolicy".into(), json!("OnRootMismatch"));
        }
    }
    let mut groups: Vec<i64> = Vec::new();
    let mut sysctls: Vec<Value> = Vec::new();
    for service in services {
        for group in &service.sandbox.group_add {
            match group.parse() {
                Ok(number) => groups.push(number),
                Err(_) => {
                    let words = format!("a cluster knows groups by their numbers only, not {group}");
                    draft.degrade(format!("{}.group_add", service.name), words);
                }
            }
        }
        let settings = &service.sandbox.sysctls;
        sysctls.extend(settings.iter().map(|(name, value)| json!({ "name": name, "value": value })));
        if !service.sandbox.devices.is_empty() {
            draft.degrade(format!("{}.devices", service.name), "devices of the host are not given to it");
        }
        for key in service.sandbox.namespaces.keys() {
            draft.degrade(format!("{}.{key}", service.name), "the pod's own is used");
        }
    }
    groups.sort_unstable();
    groups.dedup();
    if !groups.is_empty() {
        context.insert("supplementalGroups".into(), json!(groups));
    }
    if !sysctls.is_empty() {
        context.insert("sysctls".into(), Value::Array(sysctls));
    }
    Value::Object(context)
}

fn is_baseline(capability: &str) -> bool {
    capability != BEYOND_BASELINE && DEFAULT_CAPABILITIES.contains(&capability)
}
