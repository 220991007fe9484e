//! The Pod Security Standards' levels `baseline` and `restricted`, as Kubernetes publishes them, for planes that enforce
//! nothing. Linux only.

use serde_json::Value;

/// Capabilities that `baseline` lets a container add.
const ADDED: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];
const SYSCTLS: [&str; 10] = [
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
/// Kinds of volumes that `restricted` allows.
const VOLUMES: [&str; 9] = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
];
const SELINUX: [&str; 5] = ["", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"];

/// Why the level `restricted` would refuse a pod of this spec; empty where it would take it.
pub fn unrestricted(spec: &Value) -> Vec<String> {
    let mut found = unsafe_at_all(spec);
    for volume in spec["volumes"].as_array().into_iter().flatten() {
        let kind = volume.as_object().and_then(|all| all.keys().find(|key| *key != "name"));
        // A volume without a source is an emptyDir.
        if let Some(kind) = kind.filter(|kind| !VOLUMES.contains(&kind.as_str())) {
            found.push(format!("volume {} is of the kind {kind}", volume["name"]));
        }
    }
    let pod = &spec["securityContext"];
    for container in containers(spec) {
        let (own, name) = (&container["securityContext"], &container["name"]);
        let either = |key: &str| if own[key].is_null() { pod[key].clone() } else { own[key].clone() };
        if own["allowPrivilegeEscalation"] != false {
            found.push(format!("{name}: allowPrivilegeEscalation is not false"));
        }
        if either("runAsNonRoot") != true {
            found.push(format!("{name}: runAsNonRoot is not true"));
        }
        if either("runAsUser") == 0 {
            found.push(format!("{name}: runAsUser is 0"));
        }
        let profile = either("seccompProfile");
        if !["RuntimeDefault", "Localhost"].contains(&profile["type"].as_str().unwrap_or_default()) {
            found.push(format!("{name}: seccompProfile is {profile}"));
        }
        let capabilities = &own["capabilities"];
        if !words(&capabilities["drop"]).any(|word| word == "ALL") {
            found.push(format!("{name}: capabilities.drop has no ALL"));
        }
        if words(&capabilities["add"]).any(|word| word != "NET_BIND_SERVICE") {
            found.push(format!("{name}: capabilities.add is {}", capabilities["add"]));
        }
    }
    found
}

/// What even `baseline` refuses.
fn unsafe_at_all(spec: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for key in ["hostNetwork", "hostPID", "hostIPC"] {
        if spec[key] == true {
            found.push(format!("{key} is true"));
        }
    }
    for volume in spec["volumes"].as_array().into_iter().flatten() {
        if !volume["hostPath"].is_null() {
            found.push(format!("volume {} is a hostPath", volume["name"]));
        }
    }
    for sysctl in spec["securityContext"]["sysctls"].as_array().into_iter().flatten() {
        if !SYSCTLS.contains(&sysctl["name"].as_str().unwrap_or_default()) {
            found.push(format!("sysctl {}", sysctl["name"]));
        }
    }
    context(&spec["securityContext"], "the pod", &mut found);
    for container in containers(spec) {
        let name = container["name"].as_str().unwrap_or_default();
        let own = &container["securityContext"];
        context(own, name, &mut found);
        if own["privileged"] == true {
            found.push(format!("{name}: privileged"));
        }
        let added = words(&own["capabilities"]["add"]).filter(|word| !ADDED.contains(word));
        found.extend(added.map(|word| format!("{name}: capabilities.add has {word}")));
        for port in container["ports"].as_array().into_iter().flatten() {
            if port["hostPort"].as_u64().is_some_and(|port| port != 0) {
                found.push(format!("{name}: hostPort {}", port["hostPort"]));
            }
        }
        if !matches!(own["procMount"].as_str(), None | Some("Default")) {
            found.push(format!("{name}: procMount is {}", own["procMount"]));
        }
        for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
            for way in ["httpGet", "tcpSocket"] {
                if container[probe][way]["host"].as_str().is_some_and(|host| !host.is_empty()) {
                    found.push(format!("{name}: {probe} names a host"));
                }
            }
        }
    }
    found
}

/// What pods and containers have in common.
fn context(context: &Value, of: &str, found: &mut Vec<String>) {
    if context["windowsOptions"]["hostProcess"] == true {
        found.push(format!("{of}: hostProcess"));
    }
    if context["seccompProfile"]["type"] == "Unconfined" {
        found.push(format!("{of}: seccompProfile is Unconfined"));
    }
    if context["appArmorProfile"]["type"] == "Unconfined" {
        found.push(format!("{of}: appArmorProfile is Unconfined"));
    }
    let selinux = &context["seLinuxOptions"];
    let named =
        ["user", "role"].iter().any(|key| selinux[*key].as_str().is_some_and(|word| !word.is_empty()));
    if named || !SELINUX.contains(&selinux["type"].as_str().unwrap_or_default()) {
        found.push(format!("{of}: seLinuxOptions {selinux}"));
    }
}

fn containers(spec: &Value) -> impl Iterator<Item = &Value> {
    let kinds = ["initContainers", "containers", "ephemeralContainers"];
    kinds.into_iter().flat_map(|kind| spec[kind].as_array().into_iter().flatten())
}

fn words(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}
