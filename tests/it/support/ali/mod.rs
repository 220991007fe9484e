//! A stand-in for Alidns (2015-01-09) on loopback: accounts, zones, both signatures verified from first principles,
//! pages, fuzzy searches, the published quotas, the documented refusals, and every kind of failure at a test's word.
//!
//! It must not use the product's own code, and it stands alone, so that the bench can include it by path. What no
//! public source shows is marked "assumed". Ali's own Python SDK as its client is the test of it (`ali_fake`).

#![allow(
    clippy::unwrap_used,
    dead_code,
    reason = "tests and bench use a half each, and fail where they stand"
)]

mod caller;
pub mod errors;
pub mod faults;
pub mod limits;
mod reads;
pub mod signature;
pub mod world;
mod writes;
pub mod zones;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use self::errors::Refusal;
use self::faults::{Body, Fault, Mishap, Reply, Trouble};
use self::reads::Ask;
use self::signature::{Arrived, Claim};
use self::world::{Call, Key, Outcome, Standing, World};
use self::zones::{Edition, Record, Zone, ascii};

/// What it can do.
pub const ACTIONS: [&str; 12] = [
    "DescribeDomains",
    "DescribeDomainInfo",
    "DescribeDomainRecords",
    "DescribeSubDomainRecords",
    "DescribeDomainRecordInfo",
    "AddDomainRecord",
    "UpdateDomainRecord",
    "UpdateDomainRecordRemark",
    "DeleteDomainRecord",
    "SetDomainRecordStatus",
    "SetDNSSLBStatus",
    "UpdateDNSSLBWeight",
];

/// The running server. It ends, with all its connections, when this is dropped.
pub struct FakeAli {
    address: SocketAddr,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

struct Shared {
    world: Mutex<World>,
    /// How many calls were written down.
    seen: watch::Sender<usize>,
    /// Whether each connection's process is looked up.
    tells_callers: AtomicBool,
}

impl FakeAli {
    /// Starts with no key and no zone.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            world: Mutex::default(),
            seen: watch::Sender::new(0),
            tells_callers: AtomicBool::new(false),
        });
        let server = tokio::spawn(accept(listener, shared.clone()));
        Self { address, shared, server }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on [`Call::caller`] is told, for connections that begin.
    pub fn tell_callers(&self) {
        self.shared.tells_callers.store(true, Ordering::SeqCst);
    }

    /// A key of an account. Keys of one account share its zones and its quotas.
    pub fn add_key(&self, account: &str, id: &str, secret: &str) {
        let key = Key {
            account: account.to_owned(),
            secret: secret.to_owned(),
            token: None,
            standing: Standing::Active,
            denied: Default::default(),
        };
        self.world().keys.insert(id.to_owned(), key);
    }

    /// Makes the key one of a session, whose calls must carry the token.
    pub fn set_token(&self, key: &str, token: &str) {
        self.world().keys.get_mut(key).unwrap().token = Some(token.to_owned());
    }

    pub fn set_standing(&self, key: &str, standing: Standing) {
        self.world().keys.get_mut(key).unwrap().standing = standing;
    }

    /// Takes the right to an action from a key: `Forbidden.RAM`.
    pub fn deny(&self, key: &str, action: &str) {
        self.world().keys.get_mut(key).unwrap().denied.insert(action.to_owned());
    }

    /// Gives all rights back.
    pub fn allow_all(&self, key: &str) {
        self.world().keys.get_mut(key).unwrap().denied.clear();
    }

    pub fn add_zone(&self, account: &str, name: &str, edition: Edition) {
        self.world().zones.insert(ascii(name), Zone::new(account, name, edition));
    }

    pub fn drop_zone(&self, name: &str) {
        self.world().zones.remove(&ascii(name));
    }

    /// The lines that the zone's edition allows, as the vendor spells them.
    pub fn set_lines(&self, zone: &str, lines: &[&str]) {
        let lines = lines.iter().map(|line| (*line).to_owned()).collect();
        self.with_zone(zone, |zone| zone.lines = lines);
    }

    /// Puts a record there as a person at the console would; nothing is checked. Returns its id.
    pub fn plant(&self, zone: &str, record: Record) -> u64 {
        let mut world = self.world();
        let (id, now) = (world.next_id(), world.now());
        let zone = world.zones.get_mut(&ascii(zone)).unwrap();
        zone.put(id, Some(Record { id, created: now, updated: now, ..record }));
        id
    }

    /// Changes a record as a person at the console would.
    pub fn alter(&self, zone: &str, id: u64, change: impl FnOnce(&mut Record)) {
        self.with_zone(zone, |zone| {
            let mut record = zone.records[&id].clone();
            change(&mut record);
            zone.put(id, Some(record));
        });
    }

    /// Removes a record as a person at the console would.
    pub fn erase(&self, zone: &str, id: u64) {
        self.with_zone(zone, |zone| zone.put(id, None));
    }

    /// The zone's records, the oldest first.
    pub fn records(&self, zone: &str) -> Vec<Record> {
        self.with_zone(zone, |zone| zone.records.values().cloned().collect())
    }

    /// The zone's records in words (`Record::text`), sorted.
    pub fn texts(&self, zone: &str) -> Vec<String> {
        let mut texts: Vec<String> = self.records(zone).iter().map(Record::text).collect();
        texts.sort();
        texts
    }

    /// In how many sets of the zone weights count.
    pub fn weighted(&self, zone: &str) -> usize {
        self.with_zone(zone, |zone| zone.weighted.len())
    }

    /// Switches the weights of all sets off, as a person at the console would.
    pub fn unweigh(&self, zone: &str) {
        self.with_zone(zone, |zone| zone.weighted.clear());
    }

    /// From now on this goes wrong; of several troubles the first that meets a call decides.
    pub fn trouble(&self, trouble: Trouble) {
        self.world().troubles.push(trouble);
    }

    /// All goes well again.
    pub fn end_troubles(&self) {
        self.world().troubles.clear();
    }

    /// The next `calls` lists (pages count each) are as before the last `writes` writes, seen from each of them.
    pub fn serve_stale(&self, zone: &str, writes: usize, calls: usize) {
        self.with_zone(zone, |zone| zone.stale = Some((writes, calls)));
    }

    /// Another quota for an action, calls a second; none is no limit.
    pub fn limit(&self, action: &str, per_second: Option<u32>) {
        self.world().limits.own.insert(action.to_owned(), per_second);
    }

    /// No quotas at all.
    pub fn no_limits(&self) {
        self.world().limits.off = true;
    }

    /// How long a write keeps its zone busy; another write in that time is `LastOperationNotFinished`. At first 1 ms.
    pub fn writes_take(&self, time: Duration) {
        self.world().write_takes = time;
    }

    /// The vendor's clock is that many seconds ahead of this machine's.
    pub fn set_clock_ahead(&self, seconds: i64) {
        self.world().ahead = seconds;
    }

    /// All calls so far, in the order of their ends.
    pub fn calls(&self) -> Vec<Call> {
        self.world().calls.clone()
    }

    /// How many calls of each action so far.
    pub fn counts(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for call in &self.world().calls {
            *counts.entry(call.action.clone()).or_default() += 1;
        }
        counts
    }

    /// How many calls of an action so far.
    pub fn count(&self, action: &str) -> usize {
        self.world().calls.iter().filter(|call| call.action == action).count()
    }

    /// How many calls would have changed something, done or not.
    pub fn writes(&self) -> usize {
        self.world().calls.iter().filter(|call| writes::WRITES.contains(&call.action.as_str())).count()
    }

    /// Forgets the calls; a scenario counts from here.
    pub fn forget_calls(&self) {
        self.world().calls.clear();
    }

    /// Waits until a condition holds, looked at after every call; fails with `what` after 20 s.
    pub async fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let mut seen = self.shared.seen.subscribe();
        let wait = async {
            while !is_so(self) {
                seen.changed().await.unwrap();
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(20), wait).await;
        waited.unwrap_or_else(|_| panic!("waited in vain until {what}; calls: {:#?}", self.counts()));
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.shared.world.lock().unwrap()
    }

    fn with_zone<T>(&self, name: &str, look: impl FnOnce(&mut Zone) -> T) -> T {
        look(self.world().zones.get_mut(&ascii(name)).expect("the zone is there"))
    }
}

impl Drop for FakeAli {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => if let Ok((stream, peer)) = accepted {
                let asks = shared.tells_callers.load(Ordering::SeqCst);
                let caller = asks.then(|| caller::process_at(peer)).flatten();
                connections.spawn(serve(stream, caller, shared.clone()));
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: TcpStream, caller: Option<u32>, shared: Arc<Shared>) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| answer(request, caller, shared.clone()));
    // A client that goes away, or a connection that is to end, is no news here.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// When and from whom a call came.
#[derive(Clone, Copy)]
struct Came {
    at: Instant,
    caller: Option<u32>,
}

/// An error ends the connection without a byte.
async fn answer(
    request: Request<Incoming>,
    caller: Option<u32>,
    shared: Arc<Shared>,
) -> io::Result<Response<Body>> {
    let (parts, body) = request.into_parts();
    let came = Came { at: Instant::now(), caller };
    let text = |value: &hyper::header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let arrived = Arrived {
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: parts.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
        body: body.collect().await.map_err(io::Error::other)?.to_bytes().to_vec(),
    };
    // What was begun is finished, whether or not the client still waits.
    let (reply, mishap) =
        tokio::spawn(async move { shared.work(&arrived, came).await }).await.map_err(io::Error::other)?;
    match mishap {
        None => Ok(reply.whole()),
        Some(mishap) => reply.spoilt(mishap).await.ok_or_else(|| io::Error::other("told to close")),
    }
}

impl Shared {
    async fn work(&self, arrived: &Arrived, came: Came) -> (Reply, Option<Mishap>) {
        let request_id = world::request_id();
        let claim = match Claim::read(arrived) {
            Ok(claim) => claim,
            Err(refusal) => {
                self.note(None, came, Outcome::Refused(refusal.code.clone()));
                return (Reply::refused(&refusal, &request_id), None);
            }
        };
        let (done, mishap) = self.act(&claim).await;
        let outcome = match (&done, mishap) {
            (Err(refusal), _) => Outcome::Refused(refusal.code.clone()),
            (Ok(None), _) => Outcome::Lost,
            (Ok(Some(_)), Some(_)) => Outcome::Unheard,
            (Ok(Some(_)), None) => Outcome::Done,
        };
        self.note(Some(&claim), came, outcome);
        let reply = match done {
            Err(refusal) => Reply::refused(&refusal, &request_id),
            Ok(body) => {
                let mut body = body.unwrap_or_else(|| json!({}));
                body["RequestId"] = json!(request_id);
                Reply { status: 200, request_id, json: body.to_string() }
            }
        };
        (reply, mishap)
    }

    /// The answer, none where nothing was done, and what comes instead of it.
    async fn act(&self, claim: &Claim) -> (Result<Option<Value>, Refusal>, Option<Mishap>) {
        let admitted = self.world.lock().unwrap().admit(claim);
        let (account, fault) = match admitted {
            Ok(admitted) => admitted,
            Err(refusal) => return (Err(refusal), None),
        };
        let ask = Ask { account: &account, params: &claim.params };
        let mishap = match fault {
            None => None,
            Some(Fault::Refuse(code)) => return (Err(Refusal::new(code)), None),
            Some(Fault::Instead(mishap)) => return (Ok(None), Some(mishap)),
            Some(Fault::DoneBut(mishap)) => Some(mishap),
            Some(Fault::Lag(time)) => {
                tokio::time::sleep(time).await;
                None
            }
        };
        (self.perform(&claim.action, &ask).await.map(Some), mishap)
    }

    async fn perform(&self, action: &str, ask: &Ask<'_>) -> Result<Value, Refusal> {
        if !writes::WRITES.contains(&action) {
            return run(&mut self.world.lock().unwrap(), action, ask);
        }
        let (zone, time) = {
            let mut world = self.world.lock().unwrap();
            let zone = writes::zone_of(&mut world, ask, action);
            let busy = zone.as_ref().map(|zone| &mut world.zones.get_mut(zone).unwrap().busy);
            if busy.is_some_and(|busy| std::mem::replace(busy, true)) {
                return Err(Refusal::new("LastOperationNotFinished"));
            }
            (zone, world.write_takes)
        };
        tokio::time::sleep(time).await;
        let mut world = self.world.lock().unwrap();
        let result = run(&mut world, action, ask);
        if let Some(zone) = zone.and_then(|zone| world.zones.get_mut(&zone)) {
            zone.busy = false;
        }
        result
    }

    fn note(&self, claim: Option<&Claim>, came: Came, outcome: Outcome) {
        let of = |field: fn(&Claim) -> &String| claim.map_or_else(String::new, |claim| field(claim).clone());
        let call = Call {
            began: came.at,
            at: Instant::now(),
            caller: came.caller,
            key: of(|claim| &claim.key),
            scheme: claim.map(|claim| claim.scheme),
            action: of(|claim| &claim.action),
            params: claim.map(|claim| claim.params.clone()).unwrap_or_default(),
            outcome,
        };
        self.world.lock().unwrap().calls.push(call);
        self.seen.send_modify(|seen| *seen += 1);
    }
}

fn run(world: &mut World, action: &str, ask: &Ask) -> Result<Value, Refusal> {
    match action {
        "DescribeDomains" => reads::domains(world, ask),
        "DescribeDomainInfo" => reads::domain_info(world, ask),
        "DescribeDomainRecords" => reads::domain_records(world, ask),
        "DescribeSubDomainRecords" => reads::sub_domain_records(world, ask),
        "DescribeDomainRecordInfo" => reads::record_info(world, ask),
        "AddDomainRecord" => writes::add(world, ask),
        "UpdateDomainRecord" => writes::update(world, ask),
        "UpdateDomainRecordRemark" => writes::remark(world, ask),
        "DeleteDomainRecord" => writes::delete(world, ask),
        "SetDomainRecordStatus" => writes::set_status(world, ask),
        "SetDNSSLBStatus" => writes::set_balancing(world, ask),
        "UpdateDNSSLBWeight" => writes::weigh(world, ask),
        _ => Err(Refusal::new("InvalidApi.NotFound")),
    }
}
