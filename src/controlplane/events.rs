//! The two faces of an event: core/v1 and events.k8s.io/v1 are one object in the store, as in a cluster. PURE.

use serde_json::Value;

/// Core name, events.k8s.io name.
const FIELDS: &[(&str, &str)] = &[
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
];

/// Turns the core face into the newer one.
pub fn from_core(event: &mut Value) {
    FIELDS.iter().for_each(|(core, new)| rename(event, core, new));
}

/// Turns the newer face into the core one.
pub fn to_core(event: &mut Value) {
    FIELDS.iter().for_each(|(core, new)| rename(event, new, core));
}

fn rename(event: &mut Value, from: &str, to: &str) {
    if let Some(map) = event.as_object_mut()
        && let Some(value) = map.remove(from)
    {
        map.insert(to.to_owned(), value);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_survives_both_conversions() {
        let event =
            json!({"involvedObject": {"name": "a"}, "message": "m", "count": 3, "reason": "r", "series": {}});
        let mut other = event.clone();
        from_core(&mut other);
        assert_eq!(other["note"], "m");
        assert_eq!(other["regarding"]["name"], "a");
        assert!(other.get("message").is_none());
        to_core(&mut other);
        assert_eq!(other, event);
    }
}
