//! How things are measured: several times, alternating with their baseline, judged by the median, because a machine
//! that does other things as well does them to both.

use std::time::{Duration, Instant};

/// The middle of several values; of none, nothing that could be mistaken for a value.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        len if len % 2 == 1 => sorted[len / 2],
        len => f64::midpoint(sorted[len / 2 - 1], sorted[len / 2]),
    }
}

/// Pairs of a value and its baseline.
pub struct Pairs(Vec<(f64, f64)>);

impl Pairs {
    /// Measures `ours` and `theirs` in turns; who goes first alternates too.
    pub fn measure(
        times: usize,
        mut ours: impl FnMut() -> anyhow::Result<f64>,
        mut theirs: impl FnMut() -> anyhow::Result<f64>,
    ) -> anyhow::Result<Self> {
        let mut pairs = Vec::new();
        for turn in 0..times {
            let pair = match turn % 2 {
                0 => {
                    let first = ours()?;
                    (first, theirs()?)
                }
                _ => {
                    let first = theirs()?;
                    (ours()?, first)
                }
            };
            pairs.push(pair);
        }
        Ok(Self(pairs))
    }

    /// The median of the pairs' ratios.
    pub fn ratio(&self) -> f64 {
        median(&self.0.iter().map(|(ours, theirs)| ours / theirs).collect::<Vec<_>>())
    }

    /// The medians of both sides.
    pub fn medians(&self) -> (f64, f64) {
        let (ours, theirs): (Vec<f64>, Vec<f64>) = self.0.iter().copied().unzip();
        (median(&ours), median(&theirs))
    }
}

/// Seconds that `work` takes.
pub fn seconds<T>(work: impl FnOnce() -> T) -> f64 {
    let began = Instant::now();
    std::hint::black_box(work());
    began.elapsed().as_secs_f64()
}

/// Looks every `pause` until `is_so` gives something; fails with what was waited for.
pub async fn until<T, F: Future<Output = Option<T>>>(
    what: &str,
    within: Duration,
    pause: Duration,
    mut is_so: impl FnMut() -> F,
) -> anyhow::Result<T> {
    let deadline = Instant::now() + within;
    loop {
        if let Some(found) = is_so().await {
            return Ok(found);
        }
        anyhow::ensure!(Instant::now() < deadline, "waited {} s in vain until {what}", within.as_secs());
        tokio::time::sleep(pause).await;
    }
}
