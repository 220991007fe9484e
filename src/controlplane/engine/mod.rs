//! Joins the pure rules with the store: every write of every caller, ours or a client's, comes through here. Each
//! write is decided on one version of the object and happens only if that version still stands; if it does not, it
//! is decided again, so a patch without a version never fails because others write too.

pub mod checks;
pub mod delete;
pub mod list;
pub mod write;

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{
    object::{Part, Rules},
    registry::{Registry, Resource, Served},
    status::{Refusal, Subject},
    store::{CommitError, ReadError, Store, codec::Stored},
};

/// What to do with fields that the schema does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validation {
    /// Drop them silently.
    Ignore,
    /// Drop them and say so.
    Warn,
    /// Refuse.
    Strict,
}

/// Who writes what, and how.
#[derive(Clone)]
pub struct Call {
    /// The resource.
    pub resource: Arc<Resource>,
    /// The namespace, for namespaced resources.
    pub namespace: Option<String>,
    /// The object's name; empty for a create whose body names it.
    pub name: String,
    /// Which face is written.
    pub part: Part,
    /// The field manager.
    pub manager: String,
    /// Decide, but do not store.
    pub dry_run: bool,
    /// What unknown fields come to.
    pub validation: Validation,
}

/// A write that was done.
#[derive(Debug)]
pub struct Done {
    /// The object as it is now, or was last.
    pub object: Value,
    /// Whether it is new.
    pub created: bool,
    /// Whether it is gone.
    pub removed: bool,
    /// For the client's eyes.
    pub warnings: Vec<String>,
}

/// The plane without its surface.
pub struct Engine {
    /// The store.
    pub store: Store,
    /// What is served.
    pub registry: Registry,
    /// Ends every watch and background task.
    pub stop: CancellationToken,
    random: SystemRandom,
    index: Mutex<Option<(u64, Arc<Value>)>>,
}

impl Engine {
    /// Serves what lies in `store`.
    pub fn new(store: Store) -> Result<Engine, ReadError> {
        let engine = Engine {
            store,
            registry: Registry::new(),
            stop: CancellationToken::new(),
            random: SystemRandom::new(),
            index: Mutex::new(None),
        };
        let definitions = engine.definitions();
        for (_, stored) in engine.store.list(&definitions.prefix(None), None, usize::MAX)?.items {
            engine.registry.put_crd(&stored.value());
        }
        Ok(engine)
    }

    /// The object, if there is one.
    pub fn find(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Option<Stored>, Refusal> {
        self.store.get(&resource.key(namespace, name)).map_err(read_refusal)
    }

    /// The object, or the refusal that there is none.
    pub fn get(&self, resource: &Resource, namespace: Option<&str>, name: &str) -> Result<Stored, Refusal> {
        self.find(resource, namespace, name)?.ok_or_else(|| Refusal::not_found(resource.subject(name)))
    }

    /// A random name suffix, from letters and digits that make no words.
    pub fn suffix(&self) -> String {
        const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
        self.random_bytes::<5>()
            .iter()
            .map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()]))
            .collect()
    }

    /// A random uid (UUID version 4).
    fn uid(&self) -> String {
        let mut bytes = self.random_bytes::<16>();
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }

    fn random_bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.random.fill(&mut bytes).expect("the operating system gives random bytes");
        bytes
    }

    /// A document that depends on what is served alone, made again only when that changes.
    pub fn cached_index(&self, make: impl FnOnce(&Served) -> Value) -> Arc<Value> {
        let served = self.registry.served();
        let mut kept = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        match kept.as_ref() {
            Some((edition, index)) if *edition == served.edition => index.clone(),
            _ => {
                let index = Arc::new(make(&served));
                *kept = Some((served.edition, index.clone()));
                index
            }
        }
    }

    /// The resource of definitions.
    pub fn definitions(&self) -> Arc<Resource> {
        let served = self.registry.served();
        served.find("apiextensions.k8s.io", "v1", "customresourcedefinitions").expect("it is built in")
    }

    /// The resource of namespaces.
    pub fn namespaces(&self) -> Arc<Resource> {
        self.registry.served().find("", "v1", "namespaces").expect("it is built in")
    }
}

impl Call {
    /// A write by the plane itself.
    pub fn internal(resource: Arc<Resource>, namespace: Option<&str>, name: &str) -> Call {
        Call {
            resource,
            namespace: namespace.map(str::to_owned),
            name: name.to_owned(),
            part: Part::Main,
            manager: "cocoasyncer-plane".to_owned(),
            dry_run: false,
            validation: Validation::Ignore,
        }
    }

    fn rules(&self) -> Rules {
        Rules { status: self.resource.status, generation: self.resource.generation }
    }

    fn key(&self) -> String {
        self.resource.key(self.namespace.as_deref(), &self.name)
    }

    fn subject(&self) -> Subject {
        self.resource.subject(&self.name)
    }

    fn kind_subject(&self) -> Subject {
        self.resource.kind_subject(&self.name)
    }

    fn subresource(&self) -> Option<&'static str> {
        match self.part {
            Part::Main => None,
            Part::Status => Some("status"),
            Part::Finalize => Some("finalize"),
        }
    }
}

/// Now, as Kubernetes writes times.
pub fn now_text() -> String {
    let seconds = Timestamp::now().as_second();
    Timestamp::from_second(seconds).expect("the present is in range").to_string()
}

/// A failed read as a refusal.
pub fn read_refusal(error: ReadError) -> Refusal {
    match error {
        ReadError::Compacted(compacted) => Refusal::expired(format!(
            "The resourceVersion for the provided list is too old; the oldest kept is {}",
            compacted.oldest
        )),
        ReadError::Future { asked, current } => Refusal::future_version(asked, current),
        ReadError::Failed(why) => {
            Refusal { retry_after: Some(1), ..Refusal::new(503, "ServiceUnavailable", why) }
        }
    }
}

/// A failed commit as a refusal.
fn commit_refusal(error: CommitError) -> Refusal {
    Refusal { retry_after: Some(1), ..Refusal::new(503, "ServiceUnavailable", error.to_string()) }
}
