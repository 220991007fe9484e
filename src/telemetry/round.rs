//! A round of a loop as a span: each line that is logged in it tells which loop it is, about what, and why it began; its
//! end is a line at `debug` with what became of it and how long it took. No secret may be an object.

use std::fmt::Display;
use std::future::Future;
use std::time::Instant;

use tracing::field::Empty;
use tracing::{Instrument, Span, debug, error_span};

use crate::domain::retry::Class;
use crate::telemetry::metrics::reconcile::ReconcileMetrics;

/// Which round of which loop.
#[derive(Debug, Clone, Copy)]
pub struct Round<O> {
    /// The loop, as its metrics call it.
    pub of: &'static str,
    /// What it is about: a zone, an application, a node.
    pub object: O,
    /// What woke it, in a word: `start`, `news`, `edit`, `event`, `due`, `again`.
    pub cause: &'static str,
}

impl<O: Display> Round<O> {
    /// Does `work` as this round and counts it.
    pub async fn run<T>(
        self,
        metrics: &ReconcileMetrics,
        work: impl Future<Output = (T, Result<(), Class>)>,
    ) -> T {
        let Self { of, object, cause } = self;
        // At this level it is there whatever the filter: even where only warnings are logged they tell whose they are.
        let span = error_span!("reconcile", "loop" = of, %object, cause, outcome = Empty, seconds = Empty);
        let began = Instant::now();
        let (told, result) = work.instrument(span.clone()).await;
        let took = began.elapsed();
        metrics.reconciled(of, result, took);
        span.record("outcome", outcome(result)).record("seconds", took.as_secs_f64());
        ended(&span);
        told
    }
}

fn ended(span: &Span) {
    let _inside = span.enter();
    debug!("reconciled");
}

/// The word for what became of something: `ok`, or who can mend it.
pub const fn outcome(result: Result<(), Class>) -> &'static str {
    match result {
        Ok(()) => "ok",
        Err(Class::User) => "user",
        Err(Class::Transient) => "transient",
        Err(Class::Bug) => "bug",
    }
}
