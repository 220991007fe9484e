//! The webhook's certificates where all replicas find them, a Secret, and what the API server trusts: `caBundle` of one
//! ValidatingWebhookConfiguration. When what is replaced is `rotation`'s. Only the active replica writes.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::controllers::admission::rotation::{Kept, turn};
use crate::controllers::shared::context::Clock;
use crate::controllers::shared::report::CALL_DEADLINE;
use crate::pki::{PkiError, Rotating};
use crate::telemetry::chain::Chain;
use crate::telemetry::metrics::process::ProcessMetrics;

const MANAGER: &str = "cocoasyncer/webhook";
/// The Secret's key that we read; beside it stand the certificates alone, for people.
const KEY: &str = "certificates.json";
/// How often they are looked at.
const LOOK: Duration = Duration::from_secs(300);
/// How long an authority is trusted, at least, before it signs: API servers learn of an edit by their own watches.
const SETTLE: Duration = Duration::from_secs(30);
/// How soon it is tried again where there is none yet, or something failed.
const AGAIN: Duration = Duration::from_secs(5);

/// What the webhook is called by, and where its things lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The operator's namespace.
    pub namespace: String,
    /// The Secret in it.
    pub secret: String,
    /// The ValidatingWebhookConfiguration.
    pub configuration: String,
    /// Names and addresses that the API server calls it by.
    pub names: Vec<String>,
}

/// Why there is no certificate, or nobody trusts it.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The API server refused or failed.
    #[error("{step}")]
    Call {
        /// What was tried.
        step: String,
        /// The cause.
        #[source]
        source: Box<kube::Error>,
    },
    /// No answer in time.
    #[error("{step}: no answer in {CALL_DEADLINE:?}")]
    Deadline {
        /// What was tried.
        step: String,
    },
    /// A certificate can't be made or used.
    #[error(transparent)]
    Certificate(#[from] PkiError),
}

/// Tells whether this replica is the one that writes now. Two that think so for a moment do no harm: the Secret is
/// written with its resourceVersion.
pub type Active = Arc<dyn Fn() -> bool + Send + Sync>;

/// Keeps the certificates.
pub struct Certificates {
    /// The way to the API server.
    pub client: Client,
    /// The time.
    pub clock: Clock,
    /// Where they lie.
    pub place: Place,
    /// What is shown to who connects.
    pub rotating: Arc<Rotating>,
    /// Figures.
    pub metrics: ProcessMetrics,
    /// Whether this replica is the one that writes.
    pub active: Active,
}

/// What a look at them came to.
#[derive(Debug, Default)]
pub struct Look {
    /// What is kept now.
    pub kept: Option<Kept>,
    /// Why the API server does not trust it yet.
    pub untrusted: Option<CertificateError>,
    /// Whether this replica is to write and there is nothing yet that makes the API server ask.
    pub unregistered: bool,
}

impl Certificates {
    /// Looks at them again and again, until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let mut said = None;
        while !stop.is_cancelled() {
            let looked = tokio::select! {
                () = stop.cancelled() => return,
                looked = self.look() => looked,
            };
            let (wait, trouble) = match looked {
                Ok(Look { untrusted: Some(error), .. }) | Err(error) => {
                    (AGAIN, Some(Chain(&error).to_string()))
                }
                Ok(Look { kept: None, .. }) => (AGAIN, None),
                Ok(Look { kept: Some(kept), unregistered, .. }) if unregistered || kept.next.is_some() => {
                    (SETTLE, None)
                }
                Ok(_) => (LOOK, None),
            };
            match &trouble {
                Some(error) if said != trouble => {
                    warn!(error = %error, "the API server can't ask the webhook, and stores what it would have asked about")
                }
                None if said.is_some() => info!("the API server can ask the webhook"),
                _ => {}
            }
            said = trouble;
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Looks at them once; the active replica brings them forward.
    pub async fn look(&self) -> Result<Look, CertificateError> {
        let found = called("read the webhook's Secret", self.secrets().get_opt(&self.place.secret)).await?;
        let mut kept = found.as_ref().and_then(read);
        let (mut untrusted, mut unregistered) = (None, false);
        if (self.active)() {
            let (configuration, trouble) = match self.configuration().await {
                Ok(configuration) => (configuration, None),
                Err(error) => (None, Some(error)),
            };
            // Where there is nothing to call us, nobody has to trust anybody first.
            let trusted = trouble.is_none()
                && configuration
                    .as_ref()
                    .is_none_or(|all| kept.as_ref().is_some_and(|kept| trusts(all, &kept.bundle())));
            if let Some(fresh) = turn(kept.as_ref(), &self.place.names, trusted, (self.clock)())? {
                self.store(found.as_ref(), &fresh).await?;
                kept = Some(fresh);
            }
            unregistered = trouble.is_none() && configuration.is_none();
            untrusted = match (trouble, &configuration, &kept) {
                (Some(error), ..) => Some(error),
                (None, Some(configuration), Some(kept)) => {
                    self.trust(configuration, &kept.bundle()).await.err()
                }
                _ => None,
            };
        }
        if let Some(kept) = &kept {
            self.rotating.replace(&kept.server.certificate, &kept.server.key)?;
            self.metrics.certificate_ends("webhook", kept.server.ends);
            self.metrics.certificate_ends("webhook-authority", kept.authority.ends);
        }
        Ok(Look { kept, untrusted, unregistered })
    }

    fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.client.clone(), &self.place.namespace)
    }

    fn configurations(&self) -> Api<ValidatingWebhookConfiguration> {
        Api::all(self.client.clone())
    }

    async fn configuration(&self) -> Result<Option<ValidatingWebhookConfiguration>, CertificateError> {
        let name = &self.place.configuration;
        let step = format!("read the ValidatingWebhookConfiguration {name}");
        called(&step, self.configurations().get_opt(name)).await
    }

    /// Of two replicas that store at a time one is refused, and reads what the other stored.
    async fn store(&self, found: Option<&Secret>, kept: &Kept) -> Result<(), CertificateError> {
        let text = serde_json::to_vec(kept).expect("plain values serialise");
        let data = [
            (KEY, ByteString(text)),
            ("ca.crt", ByteString(kept.bundle().into_bytes())),
            ("tls.crt", ByteString(kept.server.certificate.clone().into_bytes())),
        ];
        let metadata = ObjectMeta {
            name: Some(self.place.secret.clone()),
            namespace: Some(self.place.namespace.clone()),
            resource_version: found.and_then(|found| found.metadata.resource_version.clone()),
            labels: found.and_then(|found| found.metadata.labels.clone()),
            annotations: found.and_then(|found| found.metadata.annotations.clone()),
            ..ObjectMeta::default()
        };
        let data: BTreeMap<String, ByteString> = data.map(|(key, value)| (key.to_owned(), value)).into();
        let secret = Secret { metadata, data: Some(data), ..Secret::default() };
        let (api, params) = (self.secrets(), PostParams::default());
        match found {
            Some(_) => {
                called("replace the webhook's Secret", api.replace(&self.place.secret, &params, &secret))
                    .await
            }
            None => called("create the webhook's Secret", api.create(&params, &secret)).await,
        }?;
        info!(secret = %self.place.secret, "the webhook's certificates were made anew");
        Ok(())
    }

    async fn trust(
        &self,
        configuration: &ValidatingWebhookConfiguration,
        bundle: &str,
    ) -> Result<(), CertificateError> {
        if trusts(configuration, bundle) {
            return Ok(());
        }
        let name = &self.place.configuration;
        let bundle = ByteString(bundle.as_bytes().to_vec());
        let webhooks = configuration.webhooks.iter().flatten();
        let webhooks: Vec<_> = webhooks
            .map(|webhook| json!({"name": webhook.name, "clientConfig": {"caBundle": bundle}}))
            .collect();
        let patch = json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingWebhookConfiguration",
            // The uid: one that was deleted meanwhile is not made again, half.
            "metadata": {"name": name, "uid": configuration.metadata.uid},
            "webhooks": webhooks,
        });
        let (api, params) = (self.configurations(), PatchParams::apply(MANAGER).force());
        let step = format!("write caBundle of the ValidatingWebhookConfiguration {name}");
        called(&step, api.patch(name, &params, &Patch::Apply(&patch))).await.map(drop)
    }
}

fn read(secret: &Secret) -> Option<Kept> {
    let kept = secret.data.as_ref()?.get(KEY)?;
    // What can't be read is made anew: nothing else depends on it.
    serde_json::from_slice(&kept.0).ok()
}

fn trusts(configuration: &ValidatingWebhookConfiguration, bundle: &str) -> bool {
    let mut webhooks = configuration.webhooks.iter().flatten();
    webhooks.all(|webhook| {
        webhook.client_config.ca_bundle.as_ref().is_some_and(|trusted| trusted.0 == bundle.as_bytes())
    })
}

async fn called<T>(
    step: &str,
    call: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, CertificateError> {
    match tokio::time::timeout(CALL_DEADLINE, call).await {
        Ok(answer) => answer
            .map_err(|source| CertificateError::Call { step: step.to_owned(), source: Box::new(source) }),
        Err(_) => Err(CertificateError::Deadline { step: step.to_owned() }),
    }
}
