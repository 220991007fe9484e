//! What an API server fills into workloads that leave it out: the values that clients and controllers rely on to be
//! there. PURE.

use serde_json::{Map, Value, json};

/// Fills in the defaults of a built-in kind that has any.
pub fn fill(group: &str, plural: &str, object: &mut Value) {
    match (group, plural) {
        ("apps", "deployments") => {
            let spec = map(object, "spec");
            set(spec, "replicas", json!(1));
            set(spec, "revisionHistoryLimit", json!(10));
            set(spec, "progressDeadlineSeconds", json!(600));
            strategy(spec, "strategy", &["maxSurge", "maxUnavailable"], "25%");
        }
        ("apps", "statefulsets") => {
            let spec = map(object, "spec");
            set(spec, "replicas", json!(1));
            set(spec, "revisionHistoryLimit", json!(10));
            set(spec, "podManagementPolicy", json!("OrderedReady"));
            set(map_in(spec, "updateStrategy"), "type", json!("RollingUpdate"));
        }
        ("apps", "daemonsets") => {
            let spec = map(object, "spec");
            set(spec, "revisionHistoryLimit", json!(10));
            set(map_in(spec, "updateStrategy"), "type", json!("RollingUpdate"));
        }
        ("apps", "replicasets") => set(map(object, "spec"), "replicas", json!(1)),
        ("", "pods") => return pod(map(object, "spec")),
        _ => return,
    }
    if object["spec"]["template"].is_object() {
        let template = map_in(map(object, "spec"), "template");
        pod(map_in(template, "spec"));
    }
}

fn strategy(spec: &mut Map<String, Value>, field: &str, bounds: &[&str], bound: &str) {
    let strategy = map_in(spec, field);
    set(strategy, "type", json!("RollingUpdate"));
    if strategy["type"] == "RollingUpdate" {
        let rolling = map_in(strategy, "rollingUpdate");
        for one in bounds {
            set(rolling, one, json!(bound));
        }
    }
}

fn pod(spec: &mut Map<String, Value>) {
    set(spec, "restartPolicy", json!("Always"));
    set(spec, "dnsPolicy", json!("ClusterFirst"));
    set(spec, "schedulerName", json!("default-scheduler"));
    set(spec, "terminationGracePeriodSeconds", json!(30));
    map_in(spec, "securityContext");
    for field in ["containers", "initContainers"] {
        for one in spec.get_mut(field).and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(container) = one.as_object_mut() {
                fill_container(container);
            }
        }
    }
}

fn fill_container(container: &mut Map<String, Value>) {
    let image = container.get("image").and_then(Value::as_str).unwrap_or_default();
    // Without a tag, or with the one that moves, the image must be looked for each time.
    let last = image.rsplit('/').next().unwrap_or_default();
    let moving = last.ends_with(":latest") || !(last.contains(':') || last.contains('@'));
    set(container, "imagePullPolicy", json!(if moving { "Always" } else { "IfNotPresent" }));
    set(container, "terminationMessagePath", json!("/dev/termination-log"));
    set(container, "terminationMessagePolicy", json!("File"));
    map_in(container, "resources");
    for port in container.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(port) = port.as_object_mut() {
            set(port, "protocol", json!("TCP"));
        }
    }
}

fn map<'a>(object: &'a mut Value, field: &str) -> &'a mut Map<String, Value> {
    if !object.is_object() {
        *object = json!({});
    }
    map_in(object.as_object_mut().expect("made an object just above"), field)
}

fn map_in<'a>(object: &'a mut Map<String, Value>, field: &str) -> &'a mut Map<String, Value> {
    let slot = object.entry(field).or_insert_with(|| json!({}));
    if !slot.is_object() {
        *slot = json!({});
    }
    slot.as_object_mut().expect("made an object just above")
}

fn set(object: &mut Map<String, Value>, field: &str, value: Value) {
    object.entry(field).or_insert(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_filled_in_and_what_is_said_stays() {
        let mut object = json!({"spec": {
            "replicas": 3, "strategy": {"type": "Recreate"},
            "template": {"spec": {"containers": [{"image": "a"}, {"image": "b:1"}, {"image": "h:5/c@sha256:0"}]}},
        }});
        fill("apps", "deployments", &mut object);
        assert_eq!(
            (&object["spec"]["replicas"], &object["spec"]["strategy"]),
            (&json!(3), &json!({"type": "Recreate"}))
        );
        let pod = &object["spec"]["template"]["spec"];
        let policies: Vec<&Value> =
            pod["containers"].as_array().unwrap().iter().map(|one| &one["imagePullPolicy"]).collect();
        assert_eq!(policies, ["Always", "IfNotPresent", "IfNotPresent"]);
        let once = object.clone();
        fill("apps", "deployments", &mut object);
        assert_eq!(object, once, "filling again changes nothing");
    }
}
