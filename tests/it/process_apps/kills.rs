//! SIGKILL of our process at any moment of an install's life: afterwards it ends where it should, with one set of
//! containers, and the password and the port that were chosen.

use crate::support::apps::{Host, shows};
use crate::support::engine::lab;

#[tokio::test]
async fn killed_while_creating_initing_running_and_stopping_it_goes_on() {
    let Some(lab) = lab(&[]).await else { return };
    let name = &lab.name();
    let mut host = Host::start(lab, &[], &[]).await;
    let db = &format!("{name}-db");
    host.install("pair", "gated", name).await;
    let mut password = None;
    // A network, a volume, two containers.
    for things in 1..=4 {
        host.wait("something more is made", async || {
            (things <= host.lab.things(name).await.len()).then_some(())
        })
        .await;
        host.falls().await;
        let chosen = host.chosen(name).await.0;
        assert_eq!(password.get_or_insert(chosen.clone()), &chosen, "the password stays");
    }
    host.becomes(name, "creating").await;
    host.wait("its first service runs", async || {
        (host.inspect(db).await?.state?.running == Some(true)).then_some(())
    })
    .await;
    let first = host.standing(name).await;
    host.falls().await;
    host.becomes(name, "creating").await;
    host.shell(db, "touch /data/go-db").await;
    host.becomes(name, "initing").await;
    host.falls().await;
    assert_eq!(host.status(name).await.as_deref(), Some("initing"));
    host.shell(db, "touch /data/go-web").await;
    let info = host.runs(name).await;
    let chosen = host.chosen(name).await;
    assert_eq!((info["port"].as_u64(), Some(&chosen.0)), (Some(chosen.1.into()), password.as_ref()));
    shows(chosen.1, "/version", "gated").await;
    let before = host.standing(name).await;
    let ids =
        |all: &[crate::support::apps::Standing]| all.iter().map(|one| one.id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&before), ids(&first), "one set of containers, made once");
    assert_eq!(host.lab.things(name).await.len(), 4);

    host.falls().await;
    assert_eq!(host.runs(name).await, info);
    assert_eq!(host.standing(name).await, before, "nothing was touched");

    host.shell(db, "touch /data/hold").await;
    host.operate("AppStop", name).await;
    assert_eq!(host.status(name).await.as_deref(), Some("stopping"));
    host.falls().await;
    assert_eq!(host.status(name).await.as_deref(), Some("stopping"));
    host.shell(db, "rm /data/hold").await;
    host.becomes(name, "stopped").await;
    host.falls().await;
    assert_eq!(host.status(name).await.as_deref(), Some("stopped"));
    assert_eq!(ids(&host.standing(name).await), ids(&before));
    host.operate("AppStart", name).await;
    assert_eq!(host.runs(name).await, info);
}
