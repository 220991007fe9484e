//! The runtime against an API server: what it applies, leaves alone, takes away and keeps.

use cocoasyncer::api::app::App;
use cocoasyncer::domain::app::instance::{AppKey, Instance};
use cocoasyncer::domain::app::kubernetes::{Options, render};
use cocoasyncer::domain::app::plan::Step;
use cocoasyncer::domain::app::registry::Credentials;
use cocoasyncer::runtimes::kubernetes::KubernetesRuntime;
use cocoasyncer::runtimes::{Aid, Clear, Kind, Runtime, RuntimeError};
use kube::api::PostParams;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use super::{all, built_in};
use crate::conformance::{Env, MERGE, conform, names, until, version};
use crate::support::install_crds;

/// An App with its runtime.
pub struct Stage {
    pub env: Env,
    pub runtime: KubernetesRuntime,
    pub instance: Instance,
}

impl Stage {
    /// The built-in template as an App of this name.
    pub async fn open(env: &Env, template: &str, name: &str) -> Self {
        install_crds(&env.client).await;
        let key = AppKey { namespace: env.ns.clone(), name: name.into() };
        let uid = Self::app(env, template, name).await;
        let runtime = KubernetesRuntime::new(env.client.clone(), Options::default());
        Self { env: env.clone(), runtime, instance: built_in(template, &key, &uid) }
    }

    /// Makes the App object; gives its uid. Objects without a living owner would be collected.
    async fn app(env: &Env, template: &str, name: &str) -> String {
        let api: Api<App> = Api::namespaced(env.client.clone(), &env.ns);
        let spec = json!({ "appName": template, "appVersion": "1" });
        let app = App::new(name, serde_json::from_value(spec).unwrap());
        api.create(&PostParams::default(), &app).await.unwrap().uid().unwrap()
    }

    pub async fn apply(&self) -> Result<(), RuntimeError> {
        let credentials = Credentials::default();
        let aid = Aid { credentials: &credentials, progress: &|_| () };
        self.runtime.step(&self.instance, &Step::Apply, aid).await
    }

    pub async fn object(&self, path: &str, name: &str) -> Value {
        self.env.get(&format!("{path}/{name}")).await.body
    }

    pub fn deployments(&self) -> String {
        self.env.builtin("apps/v1", "deployments")
    }

    async fn count(&self, path: &str) -> usize {
        names(&self.env.get(path).await.ok()).len()
    }

    /// Clears until nothing is left.
    async fn clear(&self, data: bool) {
        let what = Clear { images: false, data };
        until("all of it is gone", || async {
            let left = self.runtime.clear(&self.instance.key, &self.instance.uid, what).await.unwrap();
            left.is_empty().then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn what_was_applied_stands_and_a_second_time_changes_nothing() {
    conform(|env| async move {
        let stage = Stage::open(&env, "wordpress", "blog").await;
        assert!(!stage.runtime.observe(&stage.instance).await.unwrap().applied);
        stage.apply().await.unwrap();
        let seen = stage.runtime.observe(&stage.instance).await.unwrap();
        assert!(seen.applied);
        assert_eq!(seen.volumes.into_iter().collect::<Vec<_>>(), ["database", "site"]);
        let wordpress = stage.object(&stage.deployments(), "blog").await;
        assert_eq!(wordpress["spec"]["replicas"], 0, "it waits for its database");
        assert_eq!(stage.object(&stage.deployments(), "blog-mariadb").await["spec"]["replicas"], 1);
        let paths = ["services", "secrets", "configmaps", "persistentvolumeclaims"].map(|p| env.core(p));
        let mut before = Vec::new();
        for path in &paths {
            before.push(env.get(path).await.ok()["items"].clone());
        }
        stage.apply().await.unwrap();
        for (path, before) in paths.iter().zip(&before) {
            let after = env.get(path).await.ok();
            let versions = |list: &Value| list.as_array().unwrap().iter().map(version).collect::<Vec<_>>();
            assert!(!versions(before).is_empty(), "{path}");
            // A real cluster binds claims meanwhile.
            if env.plane.is_some() || !path.contains("claims") {
                assert_eq!(versions(before), versions(&after["items"]), "{path}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn every_template_is_applied_cleanly_and_again() {
    conform(|env| async move {
        let stage = Stage::open(&env, "redis", "7blog").await;
        for mut instance in all().0 {
            instance.key = stage.instance.key.clone();
            instance.uid = stage.instance.uid.clone();
            instance.wanted.running = false;
            let stage = Stage {
                env: env.clone(),
                runtime: KubernetesRuntime::new(env.client.clone(), Options::default()),
                instance,
            };
            let app = stage.instance.app_name.clone();
            stage.apply().await.unwrap_or_else(|error| panic!("{app}: {error}"));
            let rendered = render(&stage.instance, &Options::default());
            let (_, wrong) = stage.wrong(&rendered.objects).await;
            assert!(stage.runtime.observe(&stage.instance).await.unwrap().applied, "{app}: {wrong:?}");
            stage.clear(true).await;
        }
    })
    .await;
}

impl Stage {
    /// Objects that don't stand as rendered, with the first place that differs.
    async fn wrong(&self, objects: &[Value]) -> (usize, Vec<String>) {
        use cocoasyncer::domain::app::kubernetes::drift::differs;
        let mut wrong = Vec::new();
        for object in objects {
            let kind = cocoasyncer::runtimes::kubernetes::objects::ObjectKind::of(object).unwrap();
            let name = object["metadata"]["name"].as_str().unwrap();
            let live = kind.api(&self.env.client, &self.env.ns).get_opt(name).await.unwrap();
            let live = serde_json::to_value(live).unwrap();
            if let Some(place) = differs(object, &live, &mut Vec::new()) {
                wrong.push(format!("{} {name} {place}", kind.2));
            }
        }
        (objects.len(), wrong)
    }
}

#[tokio::test]
async fn what_the_operator_keeps_for_an_app_is_no_part_of_its_workload() {
    conform(|env| async move {
        let stage = Stage::open(&env, "redis", "cache").await;
        let labels = json!({
            "cocoasyncer.io/app": "cache", "cocoasyncer.io/app-namespace": env.ns,
            "cocoasyncer.io/app-uid": stage.instance.uid, "cocoasyncer.io/app-secret": "choices",
        });
        let secret = json!({ "metadata": { "name": "app-cache", "labels": labels } });
        env.post(&env.core("secrets"), secret).await.ok();
        stage.apply().await.unwrap();
        assert!(stage.runtime.observe(&stage.instance).await.unwrap().applied);
        stage.clear(true).await;
        env.get(&env.core("secrets/app-cache")).await.ok();
    })
    .await;
}

#[tokio::test]
async fn a_hand_edit_is_seen_and_undone() {
    conform(|env| async move {
        let stage = Stage::open(&env, "redis", "cache").await;
        stage.apply().await.unwrap();
        let name = format!("{}/cache", stage.deployments());
        let before = env.get(&name).await.ok();
        let edit =
            json!({ "spec": { "replicas": 3, "template": { "spec": { "enableServiceLinks": true } } } });
        env.patch(&name, MERGE, edit).await.ok();
        assert!(!stage.runtime.observe(&stage.instance).await.unwrap().applied);
        stage.apply().await.unwrap();
        assert_eq!(env.get(&name).await.ok()["spec"], before["spec"]);
        env.delete(&env.core("secrets/cache--env"), json!({})).await.ok();
        assert!(!stage.runtime.observe(&stage.instance).await.unwrap().applied);
        stage.apply().await.unwrap();
        assert!(stage.runtime.observe(&stage.instance).await.unwrap().applied);
    })
    .await;
}

#[tokio::test]
async fn what_is_rendered_no_more_goes_and_claims_stay() {
    conform(|env| async move {
        let mut stage = Stage::open(&env, "wordpress", "blog").await;
        stage.apply().await.unwrap();
        env.post(
            &env.core("configmaps"),
            json!({ "metadata": { "name": "blog-foreign",
            "labels": { "cocoasyncer.io/app": "blog" } } }),
        )
        .await
        .ok();
        let service = &mut stage.instance.workload.services;
        service.retain(|service| service.name == "wordpress");
        service[0].mounts.clear();
        service[0].waits.clear();
        stage.apply().await.unwrap();
        assert_eq!(names(&env.get(&stage.deployments()).await.ok()), ["blog"]);
        let maps = names(&env.get(&env.core("configmaps")).await.ok());
        let maps: Vec<&String> = maps.iter().filter(|name| name.starts_with("blog")).collect();
        assert_eq!(maps, ["blog-foreign"]);
        assert_eq!(stage.count(&env.core("persistentvolumeclaims")).await, 2);
        assert!(stage.runtime.observe(&stage.instance).await.unwrap().applied);
    })
    .await;
}

#[tokio::test]
async fn a_name_that_is_somebody_elses_is_refused_and_nothing_is_made() {
    conform(|env| async move {
        let stage = Stage::open(&env, "wordpress", "blog").await;
        let foreign = json!({ "metadata": { "name": "blog" }, "spec": { "clusterIP": "None", "selector": { "x": "y" } } });
        let foreign = env.post(&env.core("services"), foreign).await.ok();
        let error = stage.apply().await.unwrap_err();
        assert_eq!(error.kind, Kind::NameTaken, "{error}");
        assert!(error.what.contains("Service blog"), "{error}");
        assert_eq!(version(&env.get(&env.core("services/blog")).await.ok()), version(&foreign));
        assert_eq!(stage.count(&stage.deployments()).await, 0);
        // Another App's object is foreign too, whatever it is called.
        env.delete(&env.core("services/blog"), json!({})).await.ok();
        stage.apply().await.unwrap();
        let other = Stage { instance: Instance { uid: "another".into(), ..stage.instance.clone() }, ..Stage::open(&env, "redis", "other").await };
        assert_eq!(other.apply().await.unwrap_err().kind, Kind::NameTaken);
        assert_eq!(other.runtime.clear(&other.instance.key, "another", Clear { images: false, data: true }).await.unwrap(), Vec::<String>::new());
        assert!(stage.runtime.observe(&stage.instance).await.unwrap().applied);
    })
    .await;
}

#[tokio::test]
async fn a_foreign_service_under_a_siblings_bare_name_is_refused() {
    conform(|env| async move {
        let mut stage = Stage::open(&env, "wordpress", "blog").await;
        let wordpress = &mut stage.instance.workload.services[0];
        wordpress.environment.insert("WORDPRESS_DB_HOST".into(), "mariadb:3306".into());
        let foreign = json!({ "metadata": { "name": "mariadb" }, "spec": { "clusterIP": "None", "selector": { "x": "y" } } });
        env.post(&env.core("services"), foreign).await.ok();
        let error = stage.apply().await.unwrap_err();
        assert_eq!(error.kind, Kind::NameTaken, "{error}");
        env.delete(&env.core("services/mariadb"), json!({})).await.ok();
        stage.apply().await.unwrap();
        assert!(stage.runtime.observe(&stage.instance).await.unwrap().applied);
    })
    .await;
}

#[tokio::test]
async fn kept_data_are_adopted_by_the_next_of_the_name_and_removed_when_asked() {
    conform(|env| async move {
        let mut stage = Stage::open(&env, "wordpress", "blog").await;
        stage.apply().await.unwrap();
        let claims = env.core("persistentvolumeclaims");
        let before: Vec<Value> = env.get(&claims).await.ok()["items"].as_array().unwrap().clone();
        stage.clear(false).await;
        for path in [stage.deployments(), env.core("services"), env.core("secrets")] {
            let left: Vec<String> = names(&env.get(&path).await.ok())
                .into_iter()
                .filter(|name| name.starts_with("blog"))
                .collect();
            assert!(left.is_empty(), "{path} {left:?}");
        }
        let kept = env.get(&claims).await.ok();
        let uids = |list: &[Value]| list.iter().map(|one| one["metadata"]["uid"].clone()).collect::<Vec<_>>();
        assert_eq!(uids(kept["items"].as_array().unwrap()), uids(&before));
        for claim in kept["items"].as_array().unwrap() {
            assert_eq!(claim["metadata"]["labels"]["cocoasyncer.io/kept"], "true");
        }
        // The App goes, another one comes; a larger wish than what is there changes nothing of it.
        let app = format!("/apis/cocoasyncer.io/v1alpha1/namespaces/{}/apps/blog", env.ns);
        env.delete(&app, json!({})).await.ok();
        until("the App is gone", || async { (env.get(&app).await.code == 404).then_some(()) }).await;
        let uid = Stage::app(&env, "wordpress", "blog").await;
        stage.instance = built_in("wordpress", &stage.instance.key.clone(), &uid);
        stage.instance.needs.disk = 500.0;
        stage.apply().await.unwrap();
        let adopted = env.get(&claims).await.ok();
        assert_eq!(uids(adopted["items"].as_array().unwrap()), uids(&before));
        for claim in adopted["items"].as_array().unwrap() {
            assert_eq!(claim["metadata"]["labels"]["cocoasyncer.io/kept"], Value::Null);
            assert_eq!(claim["metadata"]["labels"]["cocoasyncer.io/app-uid"], uid);
            assert_ne!(claim["spec"]["resources"]["requests"]["storage"], "500Gi");
        }
        assert!(stage.runtime.observe(&stage.instance).await.unwrap().applied);
        stage.clear(true).await;
        assert_eq!(stage.count(&claims).await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_stopped_application_has_no_pods_and_starts_again() {
    conform(|env| async move {
        let mut stage = Stage::open(&env, "redis", "cache").await;
        stage.apply().await.unwrap();
        for (running, replicas) in [(false, 0), (true, 1)] {
            stage.instance.wanted.running = running;
            assert!(!stage.runtime.observe(&stage.instance).await.unwrap().applied);
            stage.apply().await.unwrap();
            assert_eq!(stage.object(&stage.deployments(), "cache").await["spec"]["replicas"], replicas);
            assert!(stage.runtime.observe(&stage.instance).await.unwrap().applied);
        }
        stage.instance.wanted.restarted = Some("2026-01-02T03:04:05Z".parse().unwrap());
        stage.apply().await.unwrap();
        let template = &stage.object(&stage.deployments(), "cache").await["spec"]["template"];
        assert_eq!(
            template["metadata"]["annotations"]["cocoasyncer.io/restarted-at"],
            "2026-01-02T03:04:05Z"
        );
    })
    .await;
}
