//! The engine's events as names of applications. When a connection is lost, and after each new one, an empty name is
//! told: the engine may be gone, and what happened in between is not known.

use std::sync::Arc;
use std::time::Duration;

use bollard::models::EventMessage;
use bollard::query_parameters::EventsOptionsBuilder;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use jiff::Timestamp;
use tokio::time::sleep;

use super::engine::{Door, Filter};
use crate::api::APP_LABEL;

/// The first and the longest wait before the engine is asked again.
const WAITS: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(15));

/// What changes how an application stands. Health checks' own runs are events too, several a second on a full host.
const ACTIONS: [&str; 12] = [
    "create",
    "start",
    "die",
    "stop",
    "kill",
    "destroy",
    "pause",
    "unpause",
    "rename",
    "update",
    "oom",
    "health_status",
];

struct Listening {
    door: Arc<Door>,
    stream: Option<BoxStream<'static, Result<EventMessage, bollard::errors::Error>>>,
    wait: Duration,
}

/// Names of applications with which something happened; goes on for ever.
pub fn events(door: Arc<Door>) -> BoxStream<'static, String> {
    let first = Listening { door, stream: None, wait: Duration::ZERO };
    Box::pin(stream::unfold(first, |mut listening| async move {
        loop {
            let Some(stream) = &mut listening.stream else {
                sleep(listening.wait).await;
                listening.wait = (listening.wait * 2).clamp(WAITS.0, WAITS.1);
                let Ok(engine) = listening.door.engine().await else { continue };
                // An engine that takes no questions gives no events either: its connection is proved first.
                if engine.docker.ping().await.is_err() {
                    continue;
                }
                // The question is sent when it is first polled: what happens until then is asked for too.
                let since = Timestamp::now().as_second().saturating_sub(1).to_string();
                let options = EventsOptionsBuilder::new().since(&since).filters(&filter()).build();
                listening.stream = Some(Box::pin(engine.docker.events(Some(options))));
                return Some((String::new(), listening));
            };
            match stream.next().await {
                Some(Ok(event)) => {
                    listening.wait = Duration::ZERO;
                    if let Some(name) = app(event) {
                        return Some((name, listening));
                    }
                }
                // Whoever is told of nothing any more looks for itself, and finds that the engine is gone.
                Some(Err(_)) | None => {
                    listening.stream = None;
                    return Some((String::new(), listening));
                }
            }
        }
    }))
}

fn filter() -> Filter {
    let list = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    [
        ("type".to_owned(), list(&["container"])),
        ("label".to_owned(), list(&[APP_LABEL])),
        ("event".to_owned(), list(&ACTIONS)),
    ]
    .into()
}

fn app(event: EventMessage) -> Option<String> {
    event.actor?.attributes?.remove(APP_LABEL)
}
