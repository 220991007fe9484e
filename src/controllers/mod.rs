//! The loops. Objects and beats go in, records and statuses come out:
//!
//! ```text
//!  watches: CocoaNode ManagedService Secret ConfigMap        peers (v1 API)     echo services
//!        |                                                        |                  |
//!        v                                                        v                  v
//!      stores -----------+                              node::beats          node::addresses
//!                        |                                        \             /
//!                        v                                         v           v
//!       accounts --> snapshot  <------------------------------------- board (who lives, where)
//!                   /    |    \
//!                  v     v     v
//!     service::zone ... (one worker a zone)    node::report     view -> http, sync (leader -> followers)
//! ```
//!
//! Every worker reads the latest snapshot and nothing else: what woke it plays no part (level-triggered). The only
//! writer of a zone is its worker; the only writer of a kind's status is that kind's `report`.

pub mod shared;
pub mod lease;
pub mod stores;
pub mod board;
pub mod node;
pub mod accounts;
pub mod snapshot;
pub mod service;
pub mod generation;
pub mod view;
pub mod sync;
pub mod manifests;
pub mod serials;
pub mod owner;
pub mod local;
pub mod app;
pub mod admission;
pub mod catalog;
