//! What the DNS server counts. Labels are closed sets: no name or address of an asker ever becomes one.

use std::time::Duration;

use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, Opts, Registry};

use crate::api::vocab::Line;

/// How a query came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// One datagram.
    Udp,
    /// A stream.
    Tcp,
}

/// Response codes that are counted by name; the rest is `other`.
const RCODES: [&str; 8] =
    ["noerror", "formerr", "servfail", "nxdomain", "notimp", "refused", "badvers", "other"];
const LINES: usize = Line::ALL.len() + 1;

/// Counters of the DNS server.
#[derive(Debug, Clone)]
pub struct DnsMetrics {
    queries: IntCounterVec,
    /// The children of `queries`, looked up once: by transport, code and line.
    by_index: Vec<IntCounter>,
    limited: IntCounterVec,
    slipped: IntCounter,
    dropped: IntCounter,
    refused_connections: IntCounter,
    latency: Histogram,
}

impl DnsMetrics {
    /// Fresh counters, registered nowhere yet.
    pub fn new() -> Result<Self, prometheus::Error> {
        let queries = IntCounterVec::new(
            Opts::new(
                "cocoasyncer_dns_queries_total",
                "DNS queries answered, by transport, response code and line",
            ),
            &["transport", "rcode", "line"],
        )?;
        let limited = IntCounterVec::new(
            Opts::new(
                "cocoasyncer_dns_limited_total",
                "DNS queries over the rate limit, by what became of them",
            ),
            &["action"],
        )?;
        let refused_connections = IntCounter::new(
            "cocoasyncer_dns_tcp_refused_total",
            "DNS connections closed at once because too many were open",
        )?;
        let latency = Histogram::with_opts(
            HistogramOpts::new(
                "cocoasyncer_dns_answer_seconds",
                "Time from a query read to its answer written out, in seconds",
            )
            .buckets(vec![0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.001, 0.01, 0.1]),
        )?;
        let mut by_index = Vec::new();
        for transport in ["udp", "tcp"] {
            for rcode in RCODES {
                for line in Line::ALL.iter().map(|line| line.as_str()).chain(["none"]) {
                    by_index.push(queries.get_metric_with_label_values(&[transport, rcode, line])?);
                }
            }
        }
        let slipped = limited.get_metric_with_label_values(&["truncated"])?;
        let dropped = limited.get_metric_with_label_values(&["dropped"])?;
        Ok(Self { queries, by_index, limited, slipped, dropped, refused_connections, latency })
    }

    /// Shows them in `registry`.
    pub fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        registry.register(Box::new(self.queries.clone()))?;
        registry.register(Box::new(self.limited.clone()))?;
        registry.register(Box::new(self.refused_connections.clone()))?;
        registry.register(Box::new(self.latency.clone()))
    }

    /// One query answered with the response code `rcode` for `line`, if it came so far.
    pub fn answered(&self, transport: Transport, rcode: u16, line: Option<Line>, took: Duration) {
        let rcode = match rcode {
            0 => 0,
            1 => 1,
            2 => 2,
            3 => 3,
            4 => 4,
            5 => 5,
            16 => 6,
            _ => 7,
        };
        let line = line.map_or(LINES - 1, |line| line as usize);
        let at = (transport as usize * RCODES.len() + rcode) * LINES + line;
        if let Some(counter) = self.by_index.get(at) {
            counter.inc();
        }
        self.latency.observe(took.as_secs_f64());
    }

    /// One query over the limit that got a truncated answer.
    pub fn slipped(&self) {
        self.slipped.inc();
    }

    /// One query over the limit that got no answer.
    pub fn dropped(&self) {
        self.dropped.inc();
    }

    /// One connection turned away.
    pub fn connection_refused(&self) {
        self.refused_connections.inc();
    }
}

#[cfg(test)]
mod tests {
    use prometheus::{Encoder, TextEncoder};

    use super::*;

    #[test]
    fn every_label_counts_where_it_says() {
        let (registry, metrics) = (Registry::new(), DnsMetrics::new().unwrap());
        metrics.register(&registry).unwrap();
        metrics.answered(Transport::Tcp, 3, Some(Line::CNEdu), Duration::ZERO);
        metrics.answered(Transport::Udp, 16, None, Duration::ZERO);
        metrics.answered(Transport::Udp, 99, Some(Line::Default), Duration::ZERO);
        metrics.slipped();
        let mut text = Vec::new();
        TextEncoder::new().encode(&registry.gather(), &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        for expect in [
            "queries_total{line=\"CNEdu\",rcode=\"nxdomain\",transport=\"tcp\"} 1\n",
            "queries_total{line=\"none\",rcode=\"badvers\",transport=\"udp\"} 1\n",
            "queries_total{line=\"default\",rcode=\"other\",transport=\"udp\"} 1\n",
            "limited_total{action=\"truncated\"} 1\n",
            "answer_seconds_count 3\n",
        ] {
            assert!(text.contains(expect), "{expect} in\n{text}");
        }
    }
}
