//! The whole product as real processes with real sockets: what a user, a peer and an accident would do to it.

mod bad_input;
mod cluster;
mod durability;
mod folder;
mod legacy;
mod names;
mod owner;
mod pages;
mod probe;
mod refusals;
mod secrets;
