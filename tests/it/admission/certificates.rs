//! Certificates over years: whoever trusts what the API server was told reaches the webhook at any moment, replicas share
//! one Secret, and what is broken is made anew.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use cocoasyncer::controllers::admission::certificates::{CertificateError, Certificates, Place};
use cocoasyncer::controlplane::ControlPlane;
use cocoasyncer::pki::Rotating;
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, PostParams};
use kube::{Api, Client};
use serde_json::json;

use super::{Hook, NAME};

/// A plane with the webhook's configuration, and a clock.
struct Years {
    _plane: ControlPlane,
    client: Client,
    clock: Arc<AtomicI64>,
}

impl Years {
    async fn new() -> Years {
        let plane = ControlPlane::in_memory().await.unwrap();
        let client = plane.client();
        let years = Years { _plane: plane, client, clock: Arc::new(AtomicI64::new(1_800_000_000)) };
        let namespace = serde_json::from_value(json!({"metadata": {"name": "test"}})).unwrap();
        let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(years.client.clone());
        namespaces.create(&PostParams::default(), &namespace).await.unwrap();
        let webhook = |name: &str| {
            json!({"name": name, "admissionReviewVersions": ["v1"], "sideEffects": "None",
                "clientConfig": {"service": {"namespace": "test", "name": "cocoasyncer-webhook"}}})
        };
        let configuration = json!({"metadata": {"name": "cocoasyncer"},
            "webhooks": [webhook("a.cocoasyncer.io"), webhook("b.cocoasyncer.io")]});
        let configuration = serde_json::from_value(configuration).unwrap();
        years.configurations().create(&PostParams::default(), &configuration).await.unwrap();
        years
    }

    fn configurations(&self) -> Api<ValidatingWebhookConfiguration> {
        Api::all(self.client.clone())
    }

    fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.client.clone(), "test")
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_second(self.clock.load(Ordering::SeqCst)).unwrap()
    }

    fn pass(&self, days: i64) {
        self.clock.fetch_add(days * 86_400, Ordering::SeqCst);
    }

    fn replica(&self, active: bool) -> Certificates {
        let clock = self.clock.clone();
        Certificates {
            client: self.client.clone(),
            clock: Arc::new(move || Timestamp::from_second(clock.load(Ordering::SeqCst)).unwrap()),
            place: Place {
                namespace: "test".to_owned(),
                secret: "cocoasyncer-webhook".to_owned(),
                configuration: "cocoasyncer".to_owned(),
                names: vec![NAME.to_owned()],
            },
            rotating: Arc::<Rotating>::default(),
            metrics: Default::default(),
            active: Arc::new(move || active),
        }
    }

    /// What the API server trusts, the same for each webhook.
    async fn trusted(&self) -> String {
        let all = self.configurations().get("cocoasyncer").await.unwrap().webhooks.unwrap();
        assert_eq!(all.len(), 2);
        let of = |at: usize| {
            all[at].client_config.ca_bundle.clone().map(|bundle| String::from_utf8(bundle.0).unwrap())
        };
        assert_eq!(of(0), of(1));
        assert!(all.iter().all(|one| one.client_config.service.is_some()), "the rest stays as it was");
        of(0).unwrap_or_default()
    }
}

async fn hook(replica: &Certificates) -> Hook {
    Hook::serve(replica.rotating.clone(), Arc::new(|_| Box::pin(async { None }))).await
}

#[tokio::test]
async fn no_call_fails_in_two_years_of_rotation() {
    let years = Years::new().await;
    let (active, standby) = (years.replica(true), years.replica(false));
    let hooks = [hook(&active).await, hook(&standby).await];
    assert!(hooks[0].connect("", years.now()).await.is_err(), "nothing to show yet");
    let (mut authorities, mut last) = (0, String::new());
    for day in (0..730).step_by(3) {
        let before = years.trusted().await;
        let looked = active.look().await.unwrap();
        assert!(looked.untrusted.is_none(), "{:?}", looked.untrusted);
        standby.look().await.unwrap();
        let (kept, after) = (looked.kept.unwrap(), years.trusted().await);
        if kept.authority.certificate != last {
            (authorities, last) = (authorities + 1, kept.authority.certificate.clone());
        }
        // An API server that has not heard of the edit yet reaches it too.
        for bundle in [&before, &after].into_iter().filter(|bundle| !bundle.is_empty()) {
            for hook in &hooks {
                let met = hook.connect(bundle, years.now()).await;
                assert!(met.is_ok(), "day {day}: {:?}", met.err());
            }
        }
        years.pass(3);
    }
    assert_eq!(authorities, 3, "one a two thirds of its life");
}

#[tokio::test]
async fn of_two_replicas_that_begin_at_once_both_show_what_one_made() {
    let years = Years::new().await;
    let (one, other) = (years.replica(true), years.replica(true));
    let (first, second) = tokio::join!(one.look(), other.look());
    let conflicts = [&first, &second].into_iter().filter(|looked| looked.is_err()).count();
    assert!(conflicts <= 1, "{first:?} {second:?}");
    let (first, second) = (one.look().await.unwrap(), other.look().await.unwrap());
    assert_eq!(first.kept, second.kept);
    assert!(hook(&other).await.connect(&years.trusted().await, years.now()).await.is_ok());
}

#[tokio::test]
async fn only_the_active_replica_writes() {
    let years = Years::new().await;
    let looked = years.replica(false).look().await.unwrap();
    assert!(looked.kept.is_none());
    assert!(years.secrets().get_opt("cocoasyncer-webhook").await.unwrap().is_none());
    assert_eq!(years.trusted().await, "");
}

#[tokio::test]
async fn what_is_deleted_or_damaged_is_made_anew_and_keys_stay_in_the_secret() {
    let years = Years::new().await;
    let replica = years.replica(true);
    let first = replica.look().await.unwrap().kept.unwrap();
    let mut secret = years.secrets().get("cocoasyncer-webhook").await.unwrap();
    let public: Vec<String> = ["ca.crt", "tls.crt"]
        .map(|key| String::from_utf8(secret.data.as_ref().unwrap()[key].0.clone()).unwrap())
        .to_vec();
    assert!(public.iter().all(|text| text.contains("BEGIN CERTIFICATE") && !text.contains("PRIVATE")));
    assert!(!years.trusted().await.contains("PRIVATE"));
    secret.data.as_mut().unwrap().get_mut("certificates.json").unwrap().0 = b"{".to_vec();
    years.secrets().replace("cocoasyncer-webhook", &PostParams::default(), &secret).await.unwrap();
    let second = replica.look().await.unwrap().kept.unwrap();
    assert_ne!(first.authority.certificate, second.authority.certificate);
    years.secrets().delete("cocoasyncer-webhook", &DeleteParams::default()).await.unwrap();
    let third = replica.look().await.unwrap().kept.unwrap();
    assert_eq!(years.trusted().await, third.bundle());
}

#[tokio::test]
async fn without_its_configuration_it_waits_and_without_its_namespace_it_says_so() {
    let years = Years::new().await;
    years.configurations().delete("cocoasyncer", &DeleteParams::default()).await.unwrap();
    let looked = years.replica(true).look().await.unwrap();
    assert!(looked.kept.is_some() && looked.untrusted.is_none());
    assert!(years.configurations().get_opt("cocoasyncer").await.unwrap().is_none(), "it is not made");
    let mut lost = years.replica(true);
    lost.place.namespace = "nowhere".to_owned();
    let error = lost.look().await.unwrap_err();
    assert!(matches!(&error, CertificateError::Call { step, .. } if step.contains("Secret")), "{error:?}");
}
