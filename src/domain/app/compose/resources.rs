//! Bounds of a service: `deploy.resources`, the older keys beside it, and how many of it there shall be.

use crate::domain::app::compose::keys::{self, Use, known};
use crate::domain::app::compose::reading::Reading;
use crate::domain::app::compose::values;
use crate::domain::app::finding::{Code, Effect};
use crate::domain::app::workload::Limits;
use crate::domain::app::yaml::{Node, Value};

/// Reads all of them. `deploy` goes before the older keys, as compose has it.
pub fn read(node: &Node, reading: &mut Reading<'_>) -> Limits {
    let mut limits = Limits {
        shm: reading.parsed(node, ("shm_size", "a size"), values::size),
        memory: reading.parsed(node, ("mem_limit", "a size"), values::size).filter(|memory| 0 < *memory),
        memory_reserved: reading
            .parsed(node, ("mem_reservation", "a size"), values::size)
            .filter(|memory| 0 < *memory),
        cpu: cores(node, "cpus", reading),
        gpus: gpus(node, reading),
        ..Limits::default()
    };
    let replicas = reading.parsed(node, ("scale", "a number"), |text| text.parse::<u32>().ok());
    let mut replicas = (replicas.unwrap_or(1), node.get("scale"));
    if let Some(deploy) = node.get("deploy") {
        for (key, value) in deploy.entries() {
            match known(keys::DEPLOY, key) {
                Some(Use::Full) => {}
                using => reading.unused(using, value, &format!("deploy.{key}")),
            }
        }
        let number = reading.parsed(deploy, ("deploy.replicas", "a number"), |text| text.parse::<u32>().ok());
        replicas = number.map_or(replicas, |number| (number, deploy.get("replicas")));
        if let Some(resources) = deploy.get("resources") {
            self::resources(resources, &mut limits, reading);
        }
    }
    if let (number, Some(at)) = replicas
        && 1 < number
        && node.get("container_name").is_some()
    {
        reading.bad((at, "deploy.replicas"), "several containers can't share one container_name");
    }
    limits
}

/// Thousandths of a core; nothing is no bound.
fn cores(node: &Node, path: &str, reading: &mut Reading<'_>) -> Option<u64> {
    let cores = reading.parsed(node, (path, "a number"), |text| text.parse::<f64>().ok())?;
    (0.001..1e6).contains(&cores).then_some((cores * 1000.0).round() as u64)
}

fn resources(resources: &Node, limits: &mut Limits, reading: &mut Reading<'_>) {
    for part in ["limits", "reservations"] {
        let Some(node) = resources.get(part) else { continue };
        let path = |key: &str| format!("deploy.resources.{part}.{key}");
        let cpu = cores(node, &path("cpus"), reading);
        let memory = reading.parsed(node, (&path("memory"), "a size"), values::size).filter(|m| 0 < *m);
        if part == "limits" {
            (limits.cpu, limits.memory) = (cpu.or(limits.cpu), memory.or(limits.memory));
        } else {
            limits.cpu_reserved = cpu;
            limits.memory_reserved = memory.or(limits.memory_reserved);
        }
        for device in reading.items(node, "devices") {
            let kinds: Vec<&str> =
                reading.texts(device, "capabilities").into_iter().map(|(text, _)| text).collect();
            reading.say(Code::Gpu, Effect::Odd, (device, &path("devices")), &kinds.join(", "));
            if kinds.contains(&"gpu") {
                limits.gpus = Some(joined(limits.gpus, count(device)));
            }
        }
    }
}

fn gpus(node: &Node, reading: &mut Reading<'_>) -> Option<i64> {
    let gpus = node.get("gpus").filter(|gpus| !gpus.is_null())?;
    reading.say(Code::Gpu, Effect::Odd, (gpus, "gpus"), "gpu");
    match &gpus.value {
        Value::List(devices) => devices.iter().map(count).fold(None, |all, more| Some(joined(all, more))),
        _ => Some(-1),
    }
}

/// How many devices one entry asks for: a count, a list of them, else all.
fn count(device: &Node) -> i64 {
    let ids = match device.get("device_ids").map(|ids| &ids.value) {
        Some(Value::List(ids)) => i64::try_from(ids.len()).ok(),
        _ => None,
    };
    let count = device.get("count").and_then(Node::scalar).and_then(|count| count.parse::<u16>().ok());
    count.map(i64::from).or(ids).unwrap_or(-1)
}

fn joined(all: Option<i64>, more: i64) -> i64 {
    match all {
        Some(-1) => -1,
        _ if more < 0 => -1,
        all => all.unwrap_or_default() + more,
    }
}
