//! A cluster to test in: the embedded plane in this process, or the one that `COCOA_TEST_KUBECONFIG` names; and a proxy
//! in front of it, behind which an operator has a ServiceAccount's rights and a test's troubles.

#![allow(dead_code, reason = "two test binaries use a part each")]

pub mod asked;
pub mod faults;
mod handling;
pub mod ledger;
pub mod proxy;
mod refusal;
pub mod rights;

use cocoasyncer::controlplane::ControlPlane;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::api::{Patch, PatchParams, PostParams};
use kube::config::{AuthInfo, Config, KubeConfigOptions, Kubeconfig};
use kube::{Api, Client};
use serde_json::json;
use tokio::sync::{Mutex, MutexGuard};

use self::proxy::{Proxy, Who};
use self::rights::Account;

/// Tests share a real cluster, and with it the names of what has no namespace: one at a time.
static ALONE: Mutex<()> = Mutex::const_new(());

/// A cluster. An embedded one ends with this.
pub struct Cluster {
    /// May do everything.
    pub client: Client,
    place: Place,
}

enum Place {
    Embedded { _plane: ControlPlane },
    Real { config: Box<Config>, _alone: MutexGuard<'static, ()> },
}

impl Cluster {
    /// The embedded plane, new, or the cluster that the environment names, as it is.
    #[expect(clippy::disallowed_methods, reason = "tests have no command line of their own")]
    pub async fn open() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        match std::env::var("COCOA_TEST_KUBECONFIG") {
            Ok(path) if !path.is_empty() => {
                let file = Kubeconfig::read_from(&path).expect("COCOA_TEST_KUBECONFIG names a kubeconfig");
                let options = KubeConfigOptions::default();
                let mut config = Config::from_custom_kubeconfig(file, &options).await.unwrap();
                config.default_retry = false;
                let client = Client::try_from(config.clone()).unwrap();
                let place = Place::Real { config: Box::new(config), _alone: ALONE.lock().await };
                Self { client, place }
            }
            _ => Self::embedded(ControlPlane::in_memory().await.unwrap()),
        }
    }

    /// A plane of the caller's.
    pub fn embedded(plane: ControlPlane) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self { client: plane.client(), place: Place::Embedded { _plane: plane } }
    }

    /// Whether it is more than our own plane.
    pub fn is_real(&self) -> bool {
        matches!(self.place, Place::Real { .. })
    }

    /// A proxy in front of it.
    pub async fn proxy(&self) -> Proxy {
        let judging = match &self.place {
            Place::Embedded { .. } => None,
            Place::Real { config, .. } => {
                let mut bare = (**config).clone();
                bare.auth_info = AuthInfo::default();
                Some(Client::try_from(bare).unwrap())
            }
        };
        Proxy::start(self.client.clone(), judging).await
    }

    /// Makes a namespace and a ServiceAccount in it, where they are missing.
    pub async fn account(&self, namespace: &str, name: &str) -> Account {
        let params = PatchParams::apply("test");
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
        let namespaces = Api::<Namespace>::all(self.client.clone());
        namespaces.patch(namespace, &params, &Patch::Apply(&object)).await.unwrap();
        let object = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}});
        let accounts = Api::<ServiceAccount>::namespaced(self.client.clone(), namespace);
        accounts.patch(name, &params, &Patch::Apply(&object)).await.unwrap();
        Account::new(namespace, name)
    }

    /// A token of a ServiceAccount that `proxy` takes.
    pub async fn token(&self, proxy: &Proxy, account: &Account) -> String {
        let token = match &self.place {
            Place::Embedded { .. } => random_token(),
            Place::Real { .. } => {
                let accounts = Api::<ServiceAccount>::namespaced(self.client.clone(), &account.namespace);
                let spec = TokenRequestSpec { expiration_seconds: Some(3600), ..Default::default() };
                let request = TokenRequest { spec: Some(spec), ..Default::default() };
                let made =
                    accounts.create_token_request(&account.name, &PostParams::default(), &request).await;
                made.unwrap().status.unwrap().token.unwrap()
            }
        };
        proxy.admit(&token, Who::Account(account.clone()));
        token
    }

    /// A token that `proxy` takes for one who may do everything.
    pub fn admin_token(&self, proxy: &Proxy) -> String {
        let token = random_token();
        proxy.admit(&token, Who::Admin);
        token
    }
}

/// A client by a kubeconfig's text. It tries nothing again: a refusal must be seen.
pub async fn client_of(kubeconfig: &str) -> Client {
    let file = Kubeconfig::from_yaml(kubeconfig).unwrap();
    let mut config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.unwrap();
    config.default_retry = false;
    Client::try_from(config).unwrap()
}

fn random_token() -> String {
    use ring::rand::{SecureRandom, SystemRandom};
    let mut bytes = [0u8; 16];
    SystemRandom::new().fill(&mut bytes).unwrap();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
