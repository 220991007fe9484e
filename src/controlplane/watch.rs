//! Watches: what there is, if asked for, then the log from a revision on, then what comes. A watcher reads the shared
//! log at its own pace; one that falls out of it is told so with 410 and never misses a change silently.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use axum::body::Bytes;
use futures::Stream;
use serde_json::{Value, json};
use tokio::{sync::watch, time::Instant};

use super::{
    engine::{
        Engine,
        list::{At, ListRequest},
        read_refusal,
    },
    path::Query,
    render::Render,
    select::Selector,
    status::Refusal,
    store::{
        codec::Stored,
        log::{Change, Entry},
    },
};

/// How often a quiet watch says where it is.
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);
/// How long a watch lasts whose client does not say.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(45 * 60);
/// How many log entries are looked at in one go.
const CHUNK: usize = 256;

/// Where a watch begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    /// With everything that is there.
    State,
    /// With everything that is there, then a mark that this was all.
    StateAndMark(u64),
    /// After a revision.
    After(u64),
}

/// What a watch asks for.
#[derive(Clone)]
pub struct WatchRequest {
    /// The namespace, or all.
    pub namespace: Option<String>,
    /// Which objects.
    pub selector: Selector,
    /// How they are written.
    pub render: Render,
    start: Start,
    bookmarks: bool,
    timeout: Duration,
}

impl WatchRequest {
    /// Reads the parameters of a watch.
    pub fn read(
        query: &Query,
        namespace: Option<String>,
        selector: Selector,
        render: Render,
    ) -> Result<WatchRequest, Refusal> {
        let version = parse_version(query)?;
        let initial = query.get("sendInitialEvents").is_some().then(|| query.flag("sendInitialEvents"));
        let matching = query.get("resourceVersionMatch");
        let bookmarks = query.flag("allowWatchBookmarks");
        let start = match (initial, matching) {
            (None, Some(_)) => {
                return Err(forbidden(
                    "resourceVersionMatch",
                    "is forbidden for watch unless sendInitialEvents is provided",
                ));
            }
            (Some(_), Some("NotOlderThan")) if initial == Some(true) && !bookmarks => {
                return Err(forbidden(
                    "allowWatchBookmarks",
                    "sendInitialEvents needs allowWatchBookmarks=true",
                ));
            }
            (Some(true), Some("NotOlderThan")) => Start::StateAndMark(version.unwrap_or(0)),
            (Some(false), Some("NotOlderThan")) | (None, None) => match (initial, version) {
                (Some(false), None | Some(0)) => Start::After(u64::MAX),
                (_, None | Some(0)) => Start::State,
                (_, Some(version)) => Start::After(version),
            },
            (Some(_), _) => {
                let why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
                return Err(forbidden("resourceVersionMatch", why));
            }
        };
        let timeout =
            query.get("timeoutSeconds").and_then(|text| text.parse().ok()).filter(|seconds| *seconds != 0);
        let timeout = timeout.map_or(DEFAULT_TIMEOUT, Duration::from_secs);
        Ok(WatchRequest { namespace, selector, render, start, bookmarks, timeout })
    }
}

/// The `resourceVersion` parameter.
pub fn parse_version(query: &Query) -> Result<Option<u64>, Refusal> {
    query.get("resourceVersion").map_or(Ok(None), |text| {
        text.parse().map(Some).map_err(|_| {
            Refusal::bad_request(format!(
                "invalid resource version \"{text}\": must be a number that the server gave"
            ))
        })
    })
}

fn forbidden(field: &str, why: &str) -> Refusal {
    let cause = super::cause::Cause {
        field: field.to_owned(),
        reason: "FieldValueForbidden",
        message: format!("Forbidden: {why}"),
    };
    let subject = super::status::Subject {
        group: "meta.k8s.io".to_owned(),
        kind: "ListOptions".to_owned(),
        ..super::status::Subject::default()
    };
    Refusal::invalid(subject, vec![cause])
}

/// A running watch.
struct Watch {
    engine: Arc<Engine>,
    request: WatchRequest,
    prefix: String,
    wake: watch::Receiver<u64>,
    state: std::vec::IntoIter<Stored>,
    mark: Option<u64>,
    cursor: u64,
    edition: u64,
    deadline: Instant,
    next_bookmark: Instant,
    queue: VecDeque<Bytes>,
    ended: bool,
}

/// Starts a watch; its frames are lines of JSON.
pub fn start(
    engine: &Arc<Engine>,
    request: WatchRequest,
) -> Result<impl Stream<Item = Result<Bytes, std::convert::Infallible>> + Send + use<>, Refusal> {
    // Subscribed before anything is read, so that no wake-up is missed.
    let wake = engine.store.subscribe();
    let resource = request.render.resource.clone();
    let current = engine.store.revision().map_err(read_refusal)?;
    let mut queue = VecDeque::new();
    let (state, cursor) = match request.start {
        Start::State | Start::StateAndMark(_) => {
            let at = match request.start {
                Start::StateAndMark(least) if least != 0 => At::NotOlderThan(least),
                _ => At::Now,
            };
            let wanted = ListRequest { selector: request.selector.clone(), at, limit: None, cursor: None };
            let page = engine.list(&resource, request.namespace.as_deref(), &wanted)?;
            (page.items, page.revision)
        }
        Start::After(u64::MAX) => (Vec::new(), current),
        Start::After(revision) if current < revision => {
            // Happens when an older copy of the store was put back: the client must list again.
            queue.push_back(error_frame(&Refusal::expired(format!(
                "resource version {revision} is newer than the current {current}; list again"
            ))));
            (Vec::new(), current)
        }
        Start::After(revision) => (Vec::new(), revision),
    };
    let mark = matches!(request.start, Start::StateAndMark(_)).then_some(cursor);
    let now = Instant::now();
    let running = Watch {
        prefix: resource.prefix(request.namespace.as_deref()),
        engine: engine.clone(),
        wake,
        state: state.into_iter(),
        mark,
        cursor,
        edition: engine.registry.served().edition,
        deadline: now + request.timeout,
        next_bookmark: now + BOOKMARK_EVERY,
        ended: !queue.is_empty(),
        queue,
        request,
    };
    Ok(futures::stream::unfold(running, |mut watch| async move {
        let frame = watch.next().await?;
        Some((Ok(frame), watch))
    }))
}

impl Watch {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(frame) = self.queue.pop_front() {
                return Some(frame);
            }
            if self.ended {
                return None;
            }
            if self.replay_state() || self.replay_log() {
                continue;
            }
            let until =
                if self.request.bookmarks { self.deadline.min(self.next_bookmark) } else { self.deadline };
            let stop = self.engine.stop.clone();
            tokio::select! {
                changed = self.wake.changed() => self.ended |= changed.is_err(),
                () = tokio::time::sleep_until(until) => self.tick(),
                () = stop.cancelled() => self.ended = true,
            }
        }
    }

    /// Says what is there, a chunk at a time, then that this was all.
    fn replay_state(&mut self) -> bool {
        let mut out = Vec::new();
        for stored in self.state.by_ref().take(CHUNK) {
            frame(&self.request.render, "ADDED", &stored, &mut out);
        }
        if out.is_empty() {
            match self.mark.take() {
                Some(revision) => self.bookmark(revision, true),
                None => return false,
            }
            return true;
        }
        self.queue.push_back(Bytes::from(out));
        true
    }

    /// Says what changed since the cursor. False when there was nothing new.
    fn replay_log(&mut self) -> bool {
        let served = self.engine.registry.served();
        if served.edition != self.edition {
            self.edition = served.edition;
            let resource = &self.request.render.resource;
            // Its definition is gone: there will never be another change.
            self.ended = served.find(&resource.group, &resource.version, &resource.plural).is_none();
        }
        match self.engine.store.since(&self.prefix, self.cursor, CHUNK) {
            Err(compacted) => {
                self.queue.push_back(error_frame(&Refusal::expired(format!(
                    "too old resource version: {} ({})",
                    self.cursor, compacted.oldest
                ))));
                self.ended = true;
                true
            }
            Ok((entries, seen)) => {
                self.cursor = seen;
                let mut out = Vec::new();
                entries.iter().for_each(|entry| self.translate(entry, &mut out));
                if out.is_empty() {
                    // A full chunk without a match may have more behind it.
                    return entries.len() == CHUNK || self.ended;
                }
                self.queue.push_back(Bytes::from(out));
                true
            }
        }
    }

    /// Writes the event that `entry` is to this watcher: an object that begins to match was added to its world.
    fn translate(&self, entry: &Entry, out: &mut Vec<u8>) {
        let render = &self.request.render;
        let selector = &self.request.selector;
        let wanted =
            |stored: &Stored| selector.is_empty() || selector.matches(&render.resource.present(stored));
        let now = || wanted(&entry.stored());
        let before = || entry.previous.as_ref().is_some_and(&wanted);
        match entry.change {
            Change::Created if now() => frame(render, "ADDED", &entry.stored(), out),
            Change::Removed if before() => frame(render, "DELETED", &entry.stored(), out),
            Change::Updated => match (before(), now()) {
                (true, true) => frame(render, "MODIFIED", &entry.stored(), out),
                (false, true) => frame(render, "ADDED", &entry.stored(), out),
                (true, false) => {
                    let body = entry.previous.as_ref().map_or(&entry.body, |previous| &previous.body).clone();
                    frame(render, "DELETED", &Stored { revision: entry.revision, body }, out);
                }
                (false, false) => {}
            },
            Change::Created | Change::Removed => {}
        }
    }

    fn tick(&mut self) {
        let now = Instant::now();
        if self.request.bookmarks {
            self.bookmark(self.cursor, false);
            self.next_bookmark = now + BOOKMARK_EVERY;
        }
        self.ended = self.deadline <= now;
    }

    fn bookmark(&mut self, revision: u64, initial_end: bool) {
        let event =
            json!({"type": "BOOKMARK", "object": self.request.render.bookmark(revision, initial_end)});
        self.queue.push_back(line(&event));
    }
}

fn frame(render: &Render, kind: &str, stored: &Stored, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"type\":\"");
    out.extend_from_slice(kind.as_bytes());
    out.extend_from_slice(b"\",\"object\":");
    render.stored(stored, out);
    out.extend_from_slice(b"}\n");
}

fn error_frame(refusal: &Refusal) -> Bytes {
    line(&json!({"type": "ERROR", "object": refusal.document()}))
}

fn line(event: &Value) -> Bytes {
    let mut text = event.to_string();
    text.push('\n');
    Bytes::from(text)
}
