//! The columns of built-in kinds, as kubectl's users know them. PURE.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::table::{age, plain};

/// Name, type and priority of each column of a built-in kind.
pub fn builtin_columns(group: &str, plural: &str) -> &'static [(&'static str, &'static str, i64)] {
    const NAME: (&str, &str, i64) = ("Name", "string", 0);
    const AGE: (&str, &str, i64) = ("Age", "string", 0);
    match (group, plural) {
        ("", "namespaces") => &[NAME, ("Status", "string", 0), AGE],
        ("", "secrets") => &[NAME, ("Type", "string", 0), ("Data", "integer", 0), AGE],
        ("", "configmaps") => &[NAME, ("Data", "integer", 0), AGE],
        ("" | "events.k8s.io", "events") => &[
            ("Last Seen", "string", 0),
            ("Type", "string", 0),
            ("Reason", "string", 0),
            ("Object", "string", 0),
            ("Source", "string", 1),
            ("Message", "string", 0),
            ("Count", "integer", 1),
            ("Name", "string", 1),
        ],
        ("", "services") => &[
            NAME,
            ("Type", "string", 0),
            ("Cluster-IP", "string", 0),
            ("External-IP", "string", 0),
            ("Port(s)", "string", 0),
            AGE,
            ("Selector", "string", 1),
        ],
        ("", "pods") => &[
            NAME,
            ("Ready", "string", 0),
            ("Status", "string", 0),
            ("Restarts", "string", 0),
            AGE,
            ("IP", "string", 1),
            ("Node", "string", 1),
        ],
        ("", "nodes") => {
            &[NAME, ("Status", "string", 0), ("Roles", "string", 0), AGE, ("Version", "string", 0)]
        }
        ("", "persistentvolumeclaims") => &[
            NAME,
            ("Status", "string", 0),
            ("Volume", "string", 0),
            ("Capacity", "string", 0),
            ("Access Modes", "string", 0),
            ("StorageClass", "string", 0),
            AGE,
        ],
        ("apps", "deployments") => &[
            NAME,
            ("Ready", "string", 0),
            ("Up-to-date", "integer", 0),
            ("Available", "integer", 0),
            AGE,
            ("Containers", "string", 1),
            ("Images", "string", 1),
        ],
        ("apps", "replicasets") => {
            &[NAME, ("Desired", "integer", 0), ("Current", "integer", 0), ("Ready", "integer", 0), AGE]
        }
        ("apps", "statefulsets") => &[NAME, ("Ready", "string", 0), AGE],
        ("batch", "jobs") => &[NAME, ("Status", "string", 0), ("Completions", "string", 0), AGE],
        ("batch", "cronjobs") => &[NAME, ("Schedule", "string", 0), ("Suspend", "boolean", 0), AGE],
        ("networking.k8s.io", "ingresses") => {
            &[NAME, ("Class", "string", 0), ("Hosts", "string", 0), ("Address", "string", 0), AGE]
        }
        ("coordination.k8s.io", "leases") => &[NAME, ("Holder", "string", 0), AGE],
        ("rbac.authorization.k8s.io", "roles" | "clusterroles") => &[NAME, ("Created At", "date", 0)],
        ("rbac.authorization.k8s.io", _) => &[NAME, ("Role", "string", 0), AGE],
        ("apiextensions.k8s.io", _) => &[NAME, ("Created At", "date", 0)],
        ("storage.k8s.io", "storageclasses") => &[NAME, ("Provisioner", "string", 0), AGE],
        _ => &[NAME, AGE],
    }
}

/// The cells of an object of a built-in kind.
pub fn builtin_cells(group: &str, plural: &str, object: &Value, now: Timestamp) -> Vec<Value> {
    let name = object["metadata"]["name"].clone();
    let created = object["metadata"]["creationTimestamp"].as_str().unwrap_or_default();
    let old = json!(age(created, now));
    let at = |path: &str| object.pointer(path).cloned().unwrap_or(Value::Null);
    let text = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or("<none>").to_owned();
    let number = |path: &str| object.pointer(path).and_then(Value::as_i64).unwrap_or(0);
    let size = |path: &str| object.pointer(path).and_then(Value::as_object).map_or(0, |map| map.len());
    let of = |path: &str, wanted: &str| json!(format!("{}/{}", number(path), number(wanted)));
    match (group, plural) {
        ("", "namespaces") => vec![name, at("/status/phase"), old],
        ("", "secrets") => vec![name, at("/type"), json!(size("/data")), old],
        ("", "configmaps") => vec![name, json!(size("/data") + size("/binaryData")), old],
        ("", "events") => event_cells(object, "involvedObject", "message", now),
        ("events.k8s.io", "events") => event_cells(object, "regarding", "note", now),
        ("", "services") => {
            let external = match object["spec"]["externalIPs"].as_array() {
                Some(list) => list.iter().map(plain).collect::<Vec<_>>().join(","),
                None => "<none>".to_owned(),
            };
            let kind = object["spec"]["type"].as_str().unwrap_or("ClusterIP");
            let cells = [json!(kind), json!(text("/spec/clusterIP")), json!(external), json!(ports(object))];
            [vec![name], cells.to_vec(), vec![old, json!(pairs(&object["spec"]["selector"]))]].concat()
        }
        ("", "pods") => pod_cells(object, name, old),
        ("", "nodes") => {
            let ready = condition(object, "Ready");
            let status = if ready == Some("True") { "Ready" } else { "NotReady" };
            vec![name, json!(status), json!("<none>"), old, at("/status/nodeInfo/kubeletVersion")]
        }
        ("", "persistentvolumeclaims") => {
            let modes = object["spec"]["accessModes"].as_array().into_iter().flatten().map(plain);
            let modes = modes.collect::<Vec<_>>().join(",");
            let (volume, capacity) = (at("/spec/volumeName"), at("/status/capacity/storage"));
            vec![name, at("/status/phase"), volume, capacity, json!(modes), at("/spec/storageClassName"), old]
        }
        ("apps", "deployments") => {
            let containers = object.pointer("/spec/template/spec/containers").and_then(Value::as_array);
            let list = |field: &str| {
                let all = containers.into_iter().flatten().map(|one| plain(&one[field]));
                json!(all.collect::<Vec<_>>().join(","))
            };
            let ready = of("/status/readyReplicas", "/spec/replicas");
            let (updated, available) =
                (number("/status/updatedReplicas"), number("/status/availableReplicas"));
            vec![name, ready, json!(updated), json!(available), old, list("name"), list("image")]
        }
        ("apps", "replicasets") => {
            let numbers = ["/spec/replicas", "/status/replicas", "/status/readyReplicas"]
                .map(|path| json!(number(path)));
            [vec![name], numbers.to_vec(), vec![old]].concat()
        }
        ("apps", "statefulsets") => vec![name, of("/status/readyReplicas", "/spec/replicas"), old],
        ("batch", "jobs") => {
            let complete = condition(object, "Complete") == Some("True");
            let status = if complete { "Complete" } else { "Running" };
            vec![name, json!(status), of("/status/succeeded", "/spec/completions"), old]
        }
        ("batch", "cronjobs") => vec![name, at("/spec/schedule"), at("/spec/suspend"), old],
        ("networking.k8s.io", "ingresses") => {
            let rules = object["spec"]["rules"].as_array().into_iter().flatten();
            let hosts = rules
                .map(|rule| rule["host"].as_str().unwrap_or("*").to_owned())
                .collect::<Vec<_>>()
                .join(",");
            vec![
                name,
                json!(text("/spec/ingressClassName")),
                json!(hosts),
                at("/status/loadBalancer/ingress/0/ip"),
                old,
            ]
        }
        ("coordination.k8s.io", "leases") => vec![name, at("/spec/holderIdentity"), old],
        ("rbac.authorization.k8s.io", "roles" | "clusterroles") | ("apiextensions.k8s.io", _) => {
            vec![name, json!(created)]
        }
        ("rbac.authorization.k8s.io", _) => {
            vec![name, json!(format!("{}/{}", text("/roleRef/kind"), text("/roleRef/name"))), old]
        }
        ("storage.k8s.io", "storageclasses") => vec![name, at("/provisioner"), old],
        _ => vec![name, old],
    }
}

fn event_cells(event: &Value, subject: &str, message: &str, now: Timestamp) -> Vec<Value> {
    let times = [
        &event["series"]["lastObservedTime"],
        &event["lastTimestamp"],
        &event["deprecatedLastTimestamp"],
        &event["eventTime"],
        &event["metadata"]["creationTimestamp"],
    ];
    let seen = times.into_iter().find_map(Value::as_str).unwrap_or_default();
    let about = &event[subject];
    let object =
        format!("{}/{}", plain(&about["kind"]).to_lowercase(), about["name"].as_str().unwrap_or_default());
    let source = [&event["reportingComponent"], &event["reportingController"], &event["source"]["component"]];
    let source =
        source.into_iter().find_map(|one| one.as_str().filter(|text| !text.is_empty())).unwrap_or_default();
    let counts = [&event["series"]["count"], &event["count"], &event["deprecatedCount"]];
    let count = counts.into_iter().find_map(Value::as_i64).unwrap_or(1).max(1);
    vec![
        json!(age(seen, now)),
        event["type"].clone(),
        event["reason"].clone(),
        json!(object),
        json!(source),
        event[message].clone(),
        json!(count),
        event["metadata"]["name"].clone(),
    ]
}

fn pod_cells(pod: &Value, name: Value, old: Value) -> Vec<Value> {
    let states: Vec<&Value> = pod["status"]["containerStatuses"].as_array().into_iter().flatten().collect();
    let ready = states.iter().filter(|one| one["ready"] == true).count();
    let restarts: i64 = states.iter().filter_map(|one| one["restartCount"].as_i64()).sum();
    let total = pod["spec"]["containers"].as_array().map_or(0, Vec::len);
    let phase = pod["status"]["phase"].as_str().unwrap_or("Pending");
    let text = |path: &str| json!(pod.pointer(path).and_then(Value::as_str).unwrap_or("<none>"));
    let (ip, node) = (text("/status/podIP"), text("/spec/nodeName"));
    vec![name, json!(format!("{ready}/{total}")), json!(phase), json!(restarts.to_string()), old, ip, node]
}

fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a str> {
    let list = object["status"]["conditions"].as_array()?;
    list.iter().find(|one| one["type"] == kind)?["status"].as_str()
}

fn ports(service: &Value) -> String {
    let Some(list) = service["spec"]["ports"].as_array() else { return "<none>".to_owned() };
    let text = list.iter().map(|port| {
        let protocol = port["protocol"].as_str().unwrap_or("TCP");
        match port["nodePort"].as_i64() {
            Some(node) if node != 0 => format!("{}:{node}/{protocol}", port["port"]),
            _ => format!("{}/{protocol}", port["port"]),
        }
    });
    text.collect::<Vec<_>>().join(",")
}

fn pairs(map: &Value) -> String {
    match map.as_object() {
        Some(map) => map.iter().map(|(k, v)| format!("{k}={}", plain(v))).collect::<Vec<_>>().join(","),
        None => "<none>".to_owned(),
    }
}
