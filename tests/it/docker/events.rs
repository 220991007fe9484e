//! Events through an engine that goes away and comes back, as a restart of it looks from here.

use std::path::Path;
use std::time::Duration;

use cocoasyncer::runtimes::Runtime;
use cocoasyncer::runtimes::docker::DockerRuntime;
use futures::StreamExt;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::support::engine::{Setting, TINY, lab};

const PATIENCE: Duration = Duration::from_secs(30);

/// The engine under another path, for as long as the set lives.
fn door(path: &Path, engine: &str) -> JoinSet<()> {
    let listener = UnixListener::bind(path).unwrap();
    let engine = engine.to_owned();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut passing = JoinSet::new();
        while let Ok((mut near, _)) = listener.accept().await {
            let mut far = UnixStream::connect(&engine).await.unwrap();
            passing.spawn(async move { drop(tokio::io::copy_bidirectional(&mut near, &mut far).await) });
        }
    });
    tasks
}

#[tokio::test]
async fn a_lost_connection_is_made_anew_and_what_was_missed_is_told() {
    let Some(lab) = lab(&[]).await else { return };
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("engine.sock");
    let open = door(&path, lab.socket());
    let runtime = DockerRuntime::new(&path.to_string_lossy(), home.path()).unwrap();
    let (sender, mut heard) = mpsc::unbounded_channel();
    let mut events = runtime.events();
    let listening = tokio::spawn(async move {
        while let Some(event) = events.next().await {
            sender.send(event).unwrap();
        }
    });
    assert_eq!(timeout(PATIENCE, heard.recv()).await.unwrap().as_deref(), Some(""));
    drop(open);
    std::fs::remove_file(&path).unwrap();
    assert!(runtime.check().await.is_err(), "it is gone");
    let _open = door(&path, lab.socket());
    // Others' events may still come of the first connection; its end is told, and the next one.
    for _ in 0..2 {
        while timeout(PATIENCE, heard.recv()).await.unwrap().unwrap() != "" {}
    }
    runtime.check().await.unwrap();
    let name = lab.name();
    let compose = format!("services:\n  web:\n    image: {TINY}\n    command: ['true']\n    restart: 'no'\n");
    let made = lab.composed(&compose, &[], &name, Setting::default());
    lab.settles(&made).await;
    while timeout(PATIENCE, heard.recv()).await.unwrap().unwrap() != name {}
    listening.abort();
}
