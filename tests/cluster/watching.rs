//! What is looked at while something goes wrong: DNS asked all the time, and what was written at Ali.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cocoasyncer::dns::ask::ask;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::world::{ADDRESS, CT, World};

/// Somebody who asks a DNS server for one name without end.
pub struct Asking {
    told: Arc<Mutex<Told>>,
    task: JoinHandle<()>,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Told {
    pub right: usize,
    /// When and what.
    pub wrong: Vec<(Instant, String)>,
}

impl Asking {
    /// Asks `servers` in turn, twenty times a second, until this is ended.
    pub fn begin(servers: Vec<SocketAddr>, name: &str) -> Self {
        let told = Arc::new(Mutex::new(Told::default()));
        let (notes, name) = (told.clone(), format!("{name}.example.com"));
        let task = tokio::spawn(async move {
            for server in servers.iter().cycle() {
                let subnet = CT.parse().ok();
                let reply = ask(*server, &name, "A", subnet, Duration::from_secs(2)).await;
                let values = reply.map_or_else(|error| vec![error.to_string()], |reply| reply.values("A"));
                {
                    let mut notes = notes.lock().unwrap();
                    match values == [ADDRESS] {
                        true => notes.right += 1,
                        false => notes.wrong.push((Instant::now(), format!("{server}: {values:?}"))),
                    }
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        Self { told, task }
    }

    /// Fails where an answer was wrong or none came; tells how many there were.
    #[track_caller]
    pub fn end(self) -> usize {
        self.task.abort();
        let told = self.told.lock().unwrap().clone();
        assert!(told.wrong.is_empty(), "of {} answers wrong: {:?}", told.right, told.wrong);
        assert!(0 < told.right, "nobody answered");
        told.right
    }
}

impl World {
    /// Calls of Ali that changed something, and how often each did.
    pub fn writes(&self) -> BTreeMap<String, usize> {
        let mut writes = BTreeMap::new();
        for call in self.ali.calls().iter().filter(|call| call.is_done()) {
            let what = ["RR", "Line", "Value", "RecordId", "Remark"].map(|name| call.param(name)).join(" ");
            if ["Add", "Update", "Delete", "Set"].iter().any(|word| call.action.starts_with(word)) {
                *writes.entry(format!("{} {what}", call.action)).or_default() += 1;
            }
        }
        writes
    }

    /// Fails where something was written twice.
    #[track_caller]
    pub fn wrote_nothing_twice(&self) {
        let twice: Vec<_> = self.writes().into_iter().filter(|(_, times)| 1 < *times).collect();
        assert!(twice.is_empty(), "written more than once: {twice:#?}");
    }
}
