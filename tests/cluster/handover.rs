//! Two replicas as the chart runs them, of which the active one goes: killed or drained, another one takes over in time,
//! DNS answers on, no record is written twice, and nobody writes but the one whose term it is.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::support::process::wait;
use crate::terms::wrote_within_their_terms;
use crate::watching::Asking;
use crate::world::{Replica, World};

/// The shortest lease that is taken, in seconds: a test that waits for twenty of them must not take all day.
const SHORT: u64 = 6;
/// What `--lease-seconds` is unless it is said.
const USUAL: u64 = 12;
/// What is promised for a crash; a busy machine keeps it with a short lease too.
const CRASH: Duration = Duration::from_secs(15);
/// A lease that is given back is followed sooner than any runs out.
const HANDED: Duration = Duration::from_secs(SHORT - 1);

/// How the active replica ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    /// SIGKILL.
    Kill,
    /// SIGTERM.
    Drain,
}

struct Pair {
    world: World,
    replicas: [Replica; 2],
    /// Of which replica each process was.
    processes: BTreeMap<u32, usize>,
    /// What is at Ali.
    names: Vec<String>,
    lease: Duration,
}

impl Pair {
    /// Two that are ready, serve `www` themselves and have written `a` at Ali.
    async fn new(lease: u64, flags: &[&str]) -> Self {
        let world = World::new().await;
        world.ali.tell_callers();
        // Long enough that an end in the middle of a write is one.
        world.ali.writes_take(Duration::from_millis(30));
        let mut replicas = [world.replica(flags).await, world.replica(flags).await];
        for replica in &mut replicas {
            replica.site.start().await;
        }
        let processes = [(replicas[0].site.pid(), 0), (replicas[1].site.pid(), 1)].into();
        let lease = Duration::from_secs(lease);
        let pair = Self { world, replicas, processes, names: vec!["a".into()], lease };
        pair.world.local("www").await;
        pair.world.at_ali("a").await;
        pair.world.becomes("a", "Ready", "AsWished").await;
        for replica in &pair.replicas {
            replica.serves("www").await;
        }
        pair
    }

    /// Ends the active replica once `after` more writes for a new service have begun; how long it took until the other
    /// one was active. Then the ended one is back, and all is at Ali.
    async fn end_active(&mut self, how: End, after: usize) -> Duration {
        let active = wait("one is active", || async {
            let roles = [role(&self.replicas[0]).await?, role(&self.replicas[1]).await?];
            roles.iter().position(|role| role == "active")
        })
        .await;
        let [first, second] = &mut self.replicas;
        let (ending, other) = if active == 0 { (first, second) } else { (second, first) };
        let asking = Asking::begin(vec![other.site.at.dns], "www");
        let (name, before) = (format!("n{}", self.names.len()), self.world.ali.writes());
        self.world.at_ali(&name).await;
        self.world.ali.until("the writes began", |ali| before + after <= ali.writes()).await;
        let began = Instant::now();
        let ended = async {
            match how {
                End::Kill => ending.site.kill(),
                End::Drain => assert!(ending.site.stop().await.success(), "it ends well"),
            }
            ending.site.start().await;
        };
        let taken = async {
            let active = async || (role(other).await? == "active").then_some(());
            wait("the other one is active", active).await;
            began.elapsed()
        };
        let ((), took) = tokio::join!(ended, taken);
        self.processes.insert(self.replicas[active].site.pid(), active);
        self.names.push(name);
        let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        self.world.holds(&names).await;
        asking.end();
        took
    }

    /// What must hold at the end.
    async fn is_well(&self) -> String {
        for name in &self.names {
            self.world.becomes(name, "Ready", "AsWished").await;
        }
        self.world.wrote_nothing_twice();
        let (writes, unseen) =
            wrote_within_their_terms(&self.world, &self.replicas, &self.processes, self.lease);
        // Each service has two records, each made and marked.
        assert!(4 * self.names.len() < writes, "{writes} writes");
        // A process that was killed just after it had called can't be looked up.
        assert!(4 * unseen < writes, "of {writes} writes the writer of {unseen} is not known");
        format!("{writes} writes, each in its writer's term ({unseen} of a process that was gone)")
    }
}

/// `active`, `standby` or `unknown`.
async fn role(replica: &Replica) -> Option<String> {
    let (_, text) = replica.site.get(replica.site.at.ops, "/readyz").await?;
    let told: Value = serde_json::from_str(&text).ok()?;
    Some(told["role"].as_str()?.to_owned())
}

#[allow(clippy::print_stderr, reason = "how long it takes is what the test is for")]
fn tell(what: &str, mut took: Vec<Duration>) {
    took.sort();
    let [first, .., last] = took.as_slice() else { return eprintln!("{what}: {took:.1?}") };
    eprintln!("{what}: {} times, {first:.1?} to {last:.1?}, median {:.1?}", took.len(), took[took.len() / 2]);
}

#[tokio::test]
async fn twenty_ends_of_the_active_replica_write_no_record_twice_and_leave_no_question_unanswered() {
    let mut pair = Pair::new(SHORT, &["--lease-seconds", &SHORT.to_string()]).await;
    let (mut killed, mut drained) = (Vec::new(), Vec::new());
    for round in 0..20 {
        let how = if round % 5 == 4 { End::Drain } else { End::Kill };
        let took = pair.end_active(how, round % 5).await;
        match how {
            End::Kill => {
                assert!(took < CRASH, "{took:?} after kill {round}");
                killed.push(took);
            }
            End::Drain => {
                assert!(took < HANDED, "{took:?} after drain {round}");
                drained.push(took);
            }
        }
    }
    let writes = pair.is_well().await;
    tell(&format!("taken over after a kill, with a lease of {SHORT} s"), killed);
    tell(&format!("taken over after a graceful end, {writes}"), drained);
}

#[tokio::test]
async fn with_the_usual_lease_a_kill_is_followed_within_fifteen_seconds_and_a_drain_at_once() {
    let mut pair = Pair::new(USUAL, &[]).await;
    let took = pair.end_active(End::Kill, 2).await;
    assert!(took < CRASH, "{took:?}");
    let drained = pair.end_active(End::Drain, 1).await;
    assert!(drained < HANDED, "{drained:?}");
    let writes = pair.is_well().await;
    tell(&format!("taken over after a kill and a graceful end, with the usual lease, {writes}"), vec![took]);
    tell("after a graceful end", vec![drained]);
}
