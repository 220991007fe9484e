//! What tests of several commands share: a page to write on, and a small world to look at.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use crate::cli::world::World;

/// A writer whose text can be read afterwards.
#[derive(Clone, Default)]
pub struct Page(Arc<Mutex<Vec<u8>>>);

impl Page {
    /// What was written.
    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Two nodes of the source document's sample; the second may be lost.
pub fn world(second: i32, recorded: bool) -> World {
    let node = |name: &str, lines: &str, address: &str, code: i32| {
        serde_json::from_value(serde_json::json!({
            "metadata": {"name": name, "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"nodeName": name, "nodeCode": name, "nodeAddress": "http://127.0.0.1:1",
                "isps": lines.split(',').collect::<Vec<_>>()},
            "status": {"statusCode": code, "addresses": [{"family": "A", "values": [address], "source": "fixed",
                "learnedAt": "2026-01-01T00:00:00Z"}]},
        }))
        .unwrap()
    };
    let record = |line: &str, node: &str, value: &str| {
        serde_json::json!({"line": line, "type": "A", "values": [value], "ttl": 60, "node": node,
            "takenOver": false, "since": "2026-01-01T00:00:00Z"})
    };
    let records = match recorded {
        true => vec![record("default", "a", "203.0.113.1"), record("CU", "b", "203.0.113.2")],
        false => vec![],
    };
    let service = serde_json::json!({
        "metadata": {"name": "test", "namespace": "default"},
        "spec": {"serviceName": "t", "domain": "example.com", "record": "test", "ttl": 60},
        "status": {"records": records},
    });
    World {
        nodes: vec![node("a", "default", "203.0.113.1", 200), node("b", "CU", "203.0.113.2", second)],
        services: vec![serde_json::from_value(service).unwrap()],
        now: "2026-01-02T00:00:00Z".parse().unwrap(),
    }
}
