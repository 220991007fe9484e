//! Applications on a real Docker engine, by our process and its App API: how long an install takes beside
//! `docker-compose` with the same document, and what a hundred of them take at rest.

pub mod compose;
pub mod engine;
pub mod install;
pub mod operator;
pub mod rest;
