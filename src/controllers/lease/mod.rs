//! Which replica of this node is active: only that one writes. `keeper` takes part in the election (the rules are
//! `domain::lease`'s) and says how it stands; a `fence` holds back what a term no longer covers; the others put it
//! around a client, a provider and a runtime.

pub mod fence;
pub mod client;
pub mod provider;
pub mod runtime;
pub mod keeper;
mod object;
pub mod turns;
