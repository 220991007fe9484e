//! A reverse proxy in front of a Kubernetes API, over TLS on a port of its own: it judges callers by the RBAC objects
//! that stand in the plane (a real API server judges by itself), counts, and makes go wrong what a test says.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::ListParams;
use kube::{Api, Client};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use super::faults::{Door, Fault, Faults, Trouble};
use super::handling::answer;
use super::ledger::Ledger;
use super::rights::{Account, Rights};
use crate::support::process::own_ip;

/// How long what was read of the rights holds: a real authorizer's caches lag too.
const RIGHTS_HOLD: Duration = Duration::from_millis(100);

/// Who a token is.
#[derive(Clone, Debug)]
pub enum Who {
    /// May do everything.
    Admin,
    Account(Account),
}

/// The running proxy. It ends, with all its connections, when this is dropped.
pub struct Proxy {
    address: SocketAddr,
    /// PEM.
    certificate: String,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

/// What its connections share.
pub struct Shared {
    /// May do everything.
    pub admin: Client,
    /// The server that judges tokens by itself; none: they are judged here.
    pub judging: Option<Client>,
    pub tokens: Mutex<BTreeMap<String, Who>>,
    pub faults: Mutex<Faults>,
    pub ledger: Ledger,
    pub door: watch::Sender<Door>,
    /// What the server has made of it.
    applied: watch::Sender<Door>,
    /// Counted up to end every watch that is open.
    pub watches: watch::Sender<u64>,
    rights: tokio::sync::Mutex<Option<(Instant, Arc<Rights>)>>,
}

impl Shared {
    /// What is granted now.
    pub async fn rights(&self) -> Arc<Rights> {
        let mut held = self.rights.lock().await;
        match held.as_ref() {
            Some((at, rights)) if at.elapsed() < RIGHTS_HOLD => rights.clone(),
            _ => {
                let rights = Arc::new(Rights::read(&self.admin).await);
                *held = Some((Instant::now(), rights.clone()));
                rights
            }
        }
    }

    pub fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap()
    }
}

impl Proxy {
    /// Stands in front of what `admin` calls. `judging` calls the same without credentials, where it judges tokens by
    /// itself.
    pub async fn start(admin: Client, judging: Option<Client>) -> Self {
        let listener = TcpListener::bind((own_ip(), 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let made = rcgen::generate_simple_self_signed([address.ip().to_string()]).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let chain = vec![made.cert.der().clone()];
        let tls = tls.unwrap().with_no_client_auth().with_single_cert(chain, key).unwrap();
        let shared = Arc::new(Shared {
            admin,
            judging,
            tokens: Mutex::default(),
            faults: Mutex::default(),
            ledger: Ledger::default(),
            door: watch::Sender::default(),
            applied: watch::Sender::default(),
            watches: watch::Sender::default(),
            rights: tokio::sync::Mutex::default(),
        });
        let server = tokio::spawn(serve(listener, TlsAcceptor::from(Arc::new(tls)), shared.clone()));
        Self { address, certificate: made.cert.pem(), shared, server }
    }

    /// `https://IP:PORT`.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Takes `token` for `who` from now on.
    pub fn admit(&self, token: &str, who: Who) {
        self.shared.tokens.lock().unwrap().insert(token.to_owned(), who);
    }

    /// Knows `token` no more: 401.
    pub fn expire(&self, token: &str) {
        self.shared.tokens.lock().unwrap().remove(token);
    }

    /// A kubeconfig with a token in it.
    pub fn kubeconfig(&self, token: &str) -> String {
        self.kubeconfig_of(json!({ "token": token }))
    }

    /// A kubeconfig whose token stands in a file.
    pub fn kubeconfig_with_file(&self, file: &str) -> String {
        self.kubeconfig_of(json!({ "tokenFile": file }))
    }

    fn kubeconfig_of(&self, user: serde_json::Value) -> String {
        use base64::Engine as _;
        let authority = base64::engine::general_purpose::STANDARD.encode(&self.certificate);
        let cluster = json!({ "server": self.url(), "certificate-authority-data": authority });
        json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "proxy",
            "clusters": [{ "name": "proxy", "cluster": cluster }],
            "users": [{ "name": "proxy", "user": user }],
            "contexts": [{ "name": "proxy", "context": { "cluster": "proxy", "user": "proxy" } }],
        })
        .to_string()
    }

    /// What was asked for.
    pub fn ledger(&self) -> &Ledger {
        &self.shared.ledger
    }

    /// Opens or shuts the door, and returns once that holds.
    pub async fn set_door(&self, door: Door) {
        let mut applied = self.shared.applied.subscribe();
        self.shared.door.send_replace(door);
        applied.wait_for(|now| *now == door).await.unwrap();
    }

    /// From now on one call in `one_in` meets one of `faults`; which, follows from `seed`.
    pub fn fail_one_in(&self, one_in: u64, faults: &[Fault], seed: u64) {
        let mut all = self.shared.faults();
        (all.share, all.seed, all.seen) = (Some((one_in, faults.to_vec())), seed, 0);
    }

    /// The next `times` calls of `verb` and `resource` meet `fault`.
    pub fn trouble(&self, verb: &'static str, resource: &'static str, fault: Fault, times: usize) {
        self.shared.faults().troubles.push(Trouble { verb, resource, fault, times });
    }

    /// Each watch that begins from now on is cut after that long.
    pub fn watches_last(&self, time: Duration) {
        self.shared.faults().watches_last = Some(time);
    }

    /// Every answer takes that long.
    pub fn lag(&self, time: Duration) {
        self.shared.faults().lag = time;
    }

    /// Cuts the watches that are open.
    pub fn cut_watches(&self) {
        self.shared.watches.send_modify(|round| *round += 1);
    }

    /// Forgets all revisions but the present one, as etcd's compaction does: open watches end, one that would go on
    /// from before is told 410, and so is the next list that goes on.
    pub async fn compact(&self) {
        let all = Api::<Namespace>::all(self.shared.admin.clone());
        let now = all.list_metadata(&ListParams::default().limit(1)).await.unwrap();
        self.shared.faults().compact(now.metadata.resource_version.unwrap().parse().unwrap());
        self.cut_watches();
    }

    /// All goes well again, behind an open door.
    pub async fn calm(&self) {
        *self.shared.faults() = Faults::default();
        self.set_door(Door::Open).await;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: TcpListener, tls: TlsAcceptor, shared: Arc<Shared>) {
    let address = listener.local_addr().unwrap();
    let mut listener = Some(listener);
    let mut connections = JoinSet::new();
    let mut door = shared.door.subscribe();
    loop {
        let now = *door.borrow_and_update();
        match now {
            Door::Refusing => {
                listener = None;
                connections.shutdown().await;
            }
            _ if listener.is_none() => listener = Some(TcpListener::bind(address).await.unwrap()),
            _ => {}
        }
        shared.applied.send_replace(now);
        let accept = async {
            match &listener {
                Some(listener) if now == Door::Open => listener.accept().await,
                // What the system takes by itself hangs.
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            accepted = accept => if let Ok((stream, _)) = accepted {
                connections.spawn(connection(stream, tls.clone(), shared.clone()));
            },
            Some(_) = connections.join_next() => {}
            changed = door.changed() => if changed.is_err() { return },
        }
    }
}

async fn connection(stream: TcpStream, tls: TlsAcceptor, shared: Arc<Shared>) {
    let _ = stream.set_nodelay(true);
    // A client that goes away, or does not like our certificate, is no news here.
    let Ok(stream) = tls.accept(stream).await else { return };
    let service = service_fn(move |request| answer(request, shared.clone()));
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}
