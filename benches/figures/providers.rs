//! Providers outside: the whole operator against Alidns' stand-in, at the vendor's published quotas and on the real
//! clock; and a name server's updates against its own tool's. The stand-in runs in a process of its own, so that its
//! work is nobody's here.

mod bind;
mod calls;
mod death;
pub mod fake;
mod fresh;
mod operator;
mod sync;

use crate::report::Figure;

/// Measures.
pub fn run() -> anyhow::Result<Vec<Figure>> {
    // As the program runs.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut scenarios = Vec::new();
        let mut figures = sync::measure(&mut scenarios).await?;
        figures.extend(fresh::measure(&mut scenarios).await?);
        figures.extend(death::measure(&mut scenarios).await?);
        figures.extend(calls::measure(scenarios).await?);
        figures.extend(bind::measure().await?);
        Ok(figures)
    })
}
