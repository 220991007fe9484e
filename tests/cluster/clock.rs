//! The machine's clock jumps under a running operator, by libfaketime: time of day only, as a correction of the clock
//! does it. Timers and the lease run by the steady clock and must not notice.

use std::path::Path;
use std::time::Duration;

use crate::support::process::{wait, wait_within};
use crate::watching::Asking;
use crate::world::World;

const LIBRARIES: [&str; 3] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/faketime/libfaketimeMT.so.1",
];

/// The library; none: told, and in CI a failure.
#[expect(clippy::disallowed_methods, reason = "tests have no command line of their own")]
#[allow(clippy::print_stderr, reason = "a skip is loud")]
fn library() -> Option<&'static str> {
    let found = LIBRARIES.into_iter().find(|path| Path::new(path).exists());
    if found.is_none() {
        assert!(std::env::var("CI").is_err(), "the package faketime is missing");
        eprintln!("skipped: no libfaketime (package faketime), so no clock jumped");
    }
    found
}

#[tokio::test]
async fn a_clock_that_jumps_moves_no_record_and_silences_nobody() {
    let Some(library) = library() else { return };
    let world = World::new().await;
    let mut replica = world.replica(&[]).await;
    let file = replica.site.write("now", "+0");
    let jump = async |by: &str| drop(tokio::fs::write(&file, by).await);
    for (name, value) in [
        ("LD_PRELOAD", library),
        ("FAKETIME_TIMESTAMP_FILE", file.as_str()),
        ("FAKETIME_NO_CACHE", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ("FAKETIME_DONT_RESET", "1"),
    ] {
        replica.site.environment.push((name.to_owned(), value.to_owned()));
    }
    replica.site.start().await;
    world.local("www").await;
    world.at_ali("a").await;
    replica.serves("www").await;
    world.becomes("a", "Ready", "AsWished").await;
    let writes = world.writes();
    let asking = Asking::begin(vec![replica.site.at.dns], "www");
    for by in ["+2h", "-2h", "+400d"] {
        jump(by).await;
        // The log tells the jumped time: the jump is real.
        let lines = replica.site.log().lines().count();
        let name = format!("at{}", by.trim_start_matches(['+', '-']));
        world.local(&name).await;
        replica.serves(&name).await;
        assert!(lines <= replica.site.log().lines().count());
        // A whole round of the zone's worker: signatures with the wrong time are refused.
        tokio::time::sleep(Duration::from_secs(3)).await;
    }
    jump("+0").await;
    world.at_ali("b").await;
    world.holds(&["a", "b"]).await;
    let right = async || (!world.ali.texts("example.com").is_empty()).then_some(());
    wait_within("the zone is as before", Duration::from_secs(5), right).await;
    wait("both are told right", || async {
        world.becomes("a", "Ready", "AsWished").await;
        world.becomes("b", "Ready", "AsWished").await;
        Some(())
    })
    .await;
    asking.end();
    assert!(writes.keys().all(|one| world.writes().contains_key(one)));
    world.wrote_nothing_twice();
    assert!(replica.site.running());
}
