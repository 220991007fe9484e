//! Whether what stands is still what was applied: everything that was said is there, whatever the cluster added.

use serde_json::Value;

/// Whether `live` says everything that `wanted` says.
pub fn holds(wanted: &Value, live: &Value) -> bool {
    differs(wanted, live, &mut Vec::new()).is_none()
}

/// The first place where `live` doesn't say what `wanted` says. Values are not repeated: they may be secret.
pub fn differs<'a>(wanted: &'a Value, live: &Value, path: &mut Vec<&'a str>) -> Option<String> {
    match (wanted, live) {
        (Value::Object(wanted), Value::Object(live)) => wanted.iter().find_map(|(key, value)| {
            path.push(key);
            // What is empty is left out when it is stored.
            let found = match live.get(key) {
                Some(live) => differs(value, live, path),
                None if is_empty(value) => None,
                None => Some(path.join(".")),
            };
            path.pop();
            found
        }),
        (Value::Array(wanted), Value::Array(live)) if path.last() == Some(&"ownerReferences") => {
            let there = |one: &Value| live.iter().any(|live| holds(one, live));
            (!wanted.iter().all(there)).then(|| path.join("."))
        }
        (Value::Array(wanted), Value::Array(live)) if wanted.len() == live.len() => {
            wanted.iter().zip(live).find_map(|(wanted, live)| differs(wanted, live, path))
        }
        _ if wanted == live => None,
        _ => Some(path.join(".")),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Bool(set) => !set,
        Value::Number(number) => number.as_i64() == Some(0),
        Value::String(text) => text.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn additions_are_no_drift_and_changes_are() {
        let wanted =
            json!({ "a": { "x": 1, "e": {} }, "l": [{ "n": "a" }], "ownerReferences": [{ "uid": "u" }] });
        let live = json!({ "a": { "x": 1, "y": 2 }, "l": [{ "n": "a", "d": true }], "s": 1,
            "ownerReferences": [{ "uid": "v" }, { "uid": "u", "kind": "App" }] });
        assert!(holds(&wanted, &live));
        for (at, value) in
            [("/a/x", json!(2)), ("/l", json!([])), ("/l/0/n", json!("b")), ("/ownerReferences", json!([]))]
        {
            let mut live = live.clone();
            *live.pointer_mut(at).unwrap() = value;
            assert!(!holds(&wanted, &live), "{at}");
        }
    }
}
