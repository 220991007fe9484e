//! What whoever watches over the operator has: metrics, alerts, a dashboard, a runbook, log lines.

mod alerts;
mod scraped;
mod spans;
