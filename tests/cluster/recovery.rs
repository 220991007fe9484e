//! What is wrong with the way to the cluster, or with what lies there, is said by name, once, and mends itself when it is
//! put right: no restart.

use std::time::Duration;

use crate::support::process::wait_within;
use crate::world::World;

/// A token is read anew at least once a minute.
const TOKEN_READ: Duration = Duration::from_secs(90);

#[tokio::test]
async fn an_accounts_secret_deleted_under_a_running_operator_leaves_its_records_and_is_missed_by_name() {
    let world = World::new().await;
    let _replica = world.operator().await;
    world.at_ali("a").await;
    world.becomes("a", "Ready", "AsWished").await;
    world.delete(world.platform()).await;
    world.at_ali("b").await;
    let said = world.becomes("b", "Ready", "AccountUnknown").await;
    assert!(said.contains("Ali"), "{said}");
    let left = world.ali.records("example.com").iter().filter(|record| record.rr == "a").count();
    assert_eq!(left, 2, "its records stay");
    world.apply(world.platform()).await;
    world.holds(&["a", "b"]).await;
    world.becomes("a", "Ready", "AsWished").await;
    world.becomes("b", "Ready", "AsWished").await;
    world.wrote_nothing_twice();
}

#[tokio::test]
async fn a_token_that_expired_is_told_once_and_the_one_in_its_file_is_taken() {
    let world = World::new().await;
    let mut replica = world.replica(&[]).await;
    let old = world.cluster.token(&replica.proxy, &world.account).await;
    let file = replica.site.write("token", &old);
    replica.site.write("kubeconfig", &replica.proxy.kubeconfig_with_file(&file));
    replica.site.start().await;
    world.at_ali("a").await;
    world.holds(&["a"]).await;
    replica.proxy.expire(&old);
    replica.proxy.cut_watches();
    world.at_ali("b").await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    replica.site.write("token", &world.cluster.token(&replica.proxy, &world.account).await);
    let written = async || (world.ali.records("example.com").len() == 4).then_some(());
    wait_within("the new token is used", TOKEN_READ, written).await;
    world.holds(&["a", "b"]).await;
    world.wrote_nothing_twice();
}
