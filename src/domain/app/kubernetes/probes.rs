//! How a pod is asked whether it is well. Checks tell whether it is ready, never that it must die: a slow first start must
//! not be killed, and an engine kills nobody for being ill either.

use std::time::Duration;

use serde_json::{Value, json};

use crate::domain::app::kubernetes::Draft;
use crate::domain::app::kubernetes::container::{CHECK_VARIABLE, literal};
use crate::domain::app::workload::{Check, Health, Protocol, Service};

/// How long a first start may take until the container is started anew. A startup probe can't be without an end; this one
/// is far beyond where the status says that something is wrong.
const START: u64 = 3600;
/// Compose's interval and timeout where the template says none.
const DEFAULT: Duration = Duration::from_secs(30);
/// Compose's number of failures.
const RETRIES: u32 = 3;
/// Time between two probes of a port.
const PORT_PERIOD: u64 = 5;

/// The startup and readiness probes of a service, into its container. `hidden` says that the check's text is in a
/// variable, since it holds a secret.
pub(crate) fn probes(draft: &Draft<'_>, service: &Service, hidden: bool, container: &mut Value) {
    if let Some(check) = service.check.as_ref().filter(|_| service.health == Health::Checked) {
        let exec = json!({ "command": command(check, hidden) });
        let interval = seconds(check.interval.unwrap_or(DEFAULT));
        let timeout = seconds(check.timeout.unwrap_or(DEFAULT));
        let first = check.start_interval.map_or(interval.min(PORT_PERIOD), seconds);
        container["readinessProbe"] = json!({
            "exec": exec, "periodSeconds": interval, "timeoutSeconds": timeout,
            "failureThreshold": check.retries.unwrap_or(RETRIES).max(1),
        });
        let longest = START.max(check.start_period.map_or(0, seconds).saturating_mul(2));
        container["startupProbe"] = json!({
            "exec": exec, "periodSeconds": first, "timeoutSeconds": timeout,
            "failureThreshold": longest.div_ceil(first),
        });
        return;
    }
    let Some(port) = serving(draft, service) else { return };
    // An open port and no page: what answers 401, 404 or only to its own name answers all the same.
    let socket = json!({ "port": port });
    container["readinessProbe"] = json!({
        "tcpSocket": socket, "periodSeconds": PORT_PERIOD, "timeoutSeconds": 3, "failureThreshold": 3,
    });
    container["startupProbe"] = json!({
        "tcpSocket": socket, "periodSeconds": PORT_PERIOD, "timeoutSeconds": 3,
        "failureThreshold": START.div_ceil(PORT_PERIOD),
    });
}

/// The port of this service that people talk to, where TCP carries it.
fn serving(draft: &Draft<'_>, service: &Service) -> Option<u16> {
    let serving = draft.instance.serving.as_ref().filter(|serving| serving.service == service.name)?;
    let has = |protocol| {
        service.ports.iter().any(|port| {
            port.protocol == protocol && (port.container.first..=port.container.last).contains(&serving.port)
        })
    };
    (has(Protocol::Tcp) || !has(Protocol::Udp)).then_some(serving.port)
}

fn command(check: &Check, hidden: bool) -> Vec<String> {
    if hidden {
        return vec!["/bin/sh".into(), "-c".into(), format!("eval \"${CHECK_VARIABLE}\"")];
    }
    let mut command: Vec<String> = check.command.iter().map(|word| literal(word)).collect();
    if check.shell {
        command = vec!["/bin/sh".into(), "-c".into(), command.join(" ")];
    }
    command
}

fn seconds(time: Duration) -> u64 {
    (time.as_millis().div_ceil(1000) as u64).max(1)
}
