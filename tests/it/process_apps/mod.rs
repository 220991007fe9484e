//! Applications by the whole product as a process, on a real Docker engine: installed, used, killed in every phase.

mod commands;
mod drift;
mod engine;
mod failing;
mod hostile;
mod kills;
mod pulls;
mod single;
mod upgrades;
mod wordpress;
