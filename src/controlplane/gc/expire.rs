//! Events are news: an hour after they last happened they go, as a cluster's store lets them go.

use jiff::Timestamp;
use serde_json::Value;

use super::Collector;
use crate::controlplane::engine::delete::DeleteOptions;

/// How long an event is kept after it last happened, in seconds; a cluster's default.
const KEPT: i64 = 3600;
/// The prefix of the keys of events.
const EVENTS: &str = "/events/";

impl Collector {
    /// Deletes the events that are too old at `now`.
    pub(super) async fn expire_events(&self, now: Timestamp) {
        let mut old = Vec::new();
        let scanned = self.engine.store.scan(EVENTS, |key, body| {
            let event: Value = serde_json::from_slice(body).unwrap_or_default();
            if last_seen(&event).is_some_and(|seen| seen.as_second() + KEPT < now.as_second()) {
                old.push((key.to_owned(), event["metadata"]["uid"].as_str().map(str::to_owned)));
            }
        });
        if let Err(error) = scanned {
            tracing::warn!(%error, "the plane cannot look for old events");
        }
        for (key, uid) in old {
            let Some((call, _)) = self.call(&key) else { continue };
            let options = DeleteOptions { uid, ..DeleteOptions::default() };
            match self.engine.delete(&call, &options).await {
                Err(refusal) if !matches!(refusal.code, 404 | 409) => {
                    tracing::warn!(error = refusal.message, "the plane cannot drop an old event");
                    return;
                }
                _ => {}
            }
        }
    }
}

/// When the event last happened. One that does not say is kept.
fn last_seen(event: &Value) -> Option<Timestamp> {
    let times = [
        "/metadata/creationTimestamp",
        "/eventTime",
        "/firstTimestamp",
        "/lastTimestamp",
        "/series/lastObservedTime",
    ];
    let read = |path| event.pointer(path).and_then(Value::as_str).and_then(|text| text.parse().ok());
    times.into_iter().filter_map(read).max()
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use serde_json::json;

    use super::*;
    use crate::controlplane::{
        ControlPlane,
        engine::{Call, now_text},
    };

    #[test]
    fn an_event_is_as_young_as_its_last_repetition() {
        let event = json!({
            "metadata": {"creationTimestamp": "2024-01-01T00:00:00Z"},
            "series": {"lastObservedTime": "2024-01-02T00:00:00.123456Z"},
        });
        assert_eq!(last_seen(&event).unwrap().to_string(), "2024-01-02T00:00:00.123456Z");
        assert_eq!(last_seen(&json!({})), None);
    }

    #[tokio::test]
    async fn old_events_go_and_young_ones_stay() {
        let plane = ControlPlane::in_memory().await.unwrap();
        let engine = plane.engine.clone();
        let events = engine.registry.served().find("", "v1", "events").unwrap();
        let now = Timestamp::now();
        let call = Call::internal(events.clone(), Some("default"), "e");
        let body = json!({"metadata": {"name": "e"}, "lastTimestamp": now_text(), "involvedObject": {}});
        engine.create(&call, body).await.unwrap();
        let collector = Collector::new(engine.clone());
        collector.expire_events(now + SignedDuration::from_secs(KEPT - 60)).await;
        assert!(engine.find(&events, Some("default"), "e").unwrap().is_some());
        collector.expire_events(now + SignedDuration::from_secs(KEPT + 60)).await;
        assert!(engine.find(&events, Some("default"), "e").unwrap().is_none());
    }
}
