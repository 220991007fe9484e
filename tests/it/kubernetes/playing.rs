//! What is seen of pods. The test plays the cluster's controllers, so these only run against the embedded plane, where
//! nobody else does.

use cocoasyncer::domain::app::observed::{Container, Probe, State, Wellness};
use cocoasyncer::runtimes::Runtime;
use futures::StreamExt;
use serde_json::{Value, json};

use super::runtime::Stage;
use crate::conformance::{Env, MERGE, conform};

/// Whether the test may play; where controllers run, they would play against it.
#[allow(clippy::print_stderr, reason = "a skip is loud")]
fn plays(env: &Env) -> bool {
    if env.plane.is_none() {
        eprintln!("skipped: on a real cluster its controllers make pods and their states");
    }
    env.plane.is_some()
}

impl Stage {
    /// Makes the pod of a Deployment or Job.
    async fn pod(&self, path: &str, name: &str) -> String {
        let owner = self.object(path, name).await;
        let template = owner["spec"]["template"].clone();
        let mut pod = json!({ "metadata": template["metadata"], "spec": template["spec"] });
        pod["metadata"]["name"] = json!(format!("{name}-pod"));
        pod["metadata"]["ownerReferences"] = json!([{ "apiVersion": owner["apiVersion"], "kind": owner["kind"],
            "name": name, "uid": owner["metadata"]["uid"] }]);
        self.env.post(&self.env.core("pods"), pod).await.ok();
        format!("{}/{name}-pod", self.env.core("pods"))
    }

    async fn status(&self, pod: &str, status: Value) {
        self.env.patch(&format!("{pod}/status"), MERGE, json!({ "status": status })).await.ok();
    }

    async fn sees(&self, service: &str) -> Container {
        self.runtime.observe(&self.instance).await.unwrap().services.remove(service).unwrap()
    }
}

/// A container's status.
fn container(name: &str, state: Value, ready: bool, restarts: u32, last: Value) -> Value {
    json!([{ "name": name, "image": "x", "imageID": "", "ready": ready, "started": ready, "restartCount": restarts,
        "state": state, "lastState": last }])
}

#[tokio::test]
async fn who_waits_starts_when_its_database_is_well_and_troubles_are_told() {
    conform(|env| async move {
        if !plays(&env) {
            return;
        }
        let stage = Stage::open(&env, "wordpress", "blog").await;
        stage.apply().await.unwrap();
        let database = stage.pod(&stage.deployments(), "blog-mariadb").await;
        let unplaced = json!([{ "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes" }]);
        stage.status(&database, json!({ "phase": "Pending", "conditions": unplaced })).await;
        let seen = stage.sees("mariadb").await;
        assert_eq!((seen.state, seen.trouble.as_deref()), (State::Pending, Some("Unschedulable: 0/3 nodes")));
        let running = json!({ "running": { "startedAt": "2026-01-01T00:00:00Z" } });
        stage.status(&database, json!({ "phase": "Running", "podIP": "10.0.0.7", "conditions": null,
            "containerStatuses": container("mariadb", running.clone(), false, 0, json!({})) })).await;
        let seen = stage.sees("mariadb").await;
        assert_eq!((seen.state, seen.health), (State::Running, Some(Wellness::Starting)));
        assert_eq!(seen.address, Some("10.0.0.7".parse().unwrap()));
        assert_eq!(seen.digest, stage.instance.digests["mariadb"]);
        assert!(stage.runtime.observe(&stage.instance).await.unwrap().applied, "it still has to wait");
        let ready = json!([{ "type": "Ready", "status": "True" }]);
        stage.status(&database, json!({ "conditions": ready, "containerStatuses": container("mariadb", running.clone(), true, 0, json!({})) })).await;
        assert!(!stage.runtime.observe(&stage.instance).await.unwrap().applied);
        stage.apply().await.unwrap();
        assert_eq!(stage.object(&stage.deployments(), "blog").await["spec"]["replicas"], 1);
        let web = stage.pod(&stage.deployments(), "blog").await;
        let pulling = json!({ "waiting": { "reason": "ImagePullBackOff", "message": "no such image" } });
        stage.status(&web, json!({ "phase": "Pending", "containerStatuses": container("wordpress", pulling, false, 0, json!({})) })).await;
        let seen = stage.sees("wordpress").await;
        assert_eq!((seen.state, seen.trouble.as_deref()), (State::Pending, Some("ImagePullBackOff: no such image")));
        let crash = json!({ "waiting": { "reason": "CrashLoopBackOff", "message": "back-off" } });
        let message = format!("denied for {}", super::PASSWORD);
        let last = json!({ "terminated": { "exitCode": 3, "reason": "Error", "message": message } });
        stage.status(&web, json!({ "phase": "Running", "containerStatuses": container("wordpress", crash, false, 5, last) })).await;
        let seen = stage.sees("wordpress").await;
        assert_eq!((seen.state, seen.restarts, seen.exit), (State::Restarting, 5, Some(3)));
        assert_eq!(seen.trouble.as_deref(), Some("Error: denied for ***"));
        let observed = stage.runtime.observe(&stage.instance).await.unwrap();
        assert!(matches!(stage.runtime.probe(&stage.instance, &observed).await, Probe::Silent(_)));
        // An ill database takes nobody down that runs.
        stage.status(&database, json!({ "containerStatuses": container("mariadb", running.clone(), false, 0, json!({})) })).await;
        assert!(stage.runtime.observe(&stage.instance).await.unwrap().applied);
        stage.status(&web, json!({ "conditions": [{ "type": "Ready", "status": "True" }],
            "containerStatuses": container("wordpress", running, true, 5, json!({})) })).await;
        let seen = stage.sees("wordpress").await;
        assert_eq!((seen.state, seen.health, seen.trouble), (State::Running, Some(Wellness::Healthy), None));
        assert_eq!(stage.runtime.probe(&stage.instance, &observed).await, Probe::Answers);
    })
    .await;
}

#[tokio::test]
async fn a_job_ends_once_and_another_one_is_made_only_of_something_else() {
    conform(|env| async move {
        if !plays(&env) {
            return;
        }
        let mut stage = Stage::open(&env, "redis", "cache").await;
        let mut migrate = stage.instance.workload.services[0].clone();
        migrate.name = "migrate".into();
        migrate.container = Some("cache-migrate".into());
        migrate.restart = cocoasyncer::domain::app::workload::Restart::No;
        (migrate.check, migrate.health) = (None, Default::default());
        migrate.ports.clear();
        migrate.inner_ports.clear();
        stage.instance.workload.services.push(migrate);
        let on = cocoasyncer::domain::app::workload::Wait { on: "migrate".into(),
            until: cocoasyncer::domain::app::workload::Until::Completed, required: true, line: 1 };
        stage.instance.workload.services[0].waits.push(on);
        stage.apply().await.unwrap();
        let jobs = env.builtin("batch/v1", "jobs");
        let job = stage.object(&jobs, "cache-migrate").await;
        assert_eq!(job["spec"]["suspend"], false);
        assert_eq!(stage.object(&stage.deployments(), "cache").await["spec"]["replicas"], 0);
        let pod = stage.pod(&jobs, "cache-migrate").await;
        let ended = json!({ "terminated": { "exitCode": 0, "reason": "Completed" } });
        stage.status(&pod, json!({ "phase": "Succeeded", "containerStatuses": container("migrate", ended, false, 0, json!({})) })).await;
        let complete = json!({ "conditions": [{ "type": "Complete", "status": "True" }] });
        env.patch(&format!("{jobs}/cache-migrate/status"), MERGE, json!({ "status": complete })).await.ok();
        let seen = stage.sees("migrate").await;
        assert_eq!((seen.state, seen.exit), (State::Exited, Some(0)));
        stage.apply().await.unwrap();
        assert_eq!(stage.object(&stage.deployments(), "cache").await["spec"]["replicas"], 1);
        assert_eq!(stage.object(&jobs, "cache-migrate").await["metadata"]["uid"], job["metadata"]["uid"]);
        stage.instance.workload.services[1].environment.insert("NEW".into(), "1".into());
        crate::conformance::until("another Job stands", || async {
            let _ = stage.apply().await;
            let now = stage.object(&jobs, "cache-migrate").await;
            (now["metadata"]["uid"].is_string() && now["metadata"]["uid"] != job["metadata"]["uid"]).then_some(())
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn what_happens_to_an_apps_objects_is_heard_by_its_name() {
    conform(|env| async move {
        let stage = Stage::open(&env, "redis", "cache").await;
        let mut events = stage.runtime.events();
        let heard = async {
            // Each of the watches says first that anything may have happened before it began.
            for _ in 0..8 {
                while !events.next().await.expect("the events go on").is_empty() {}
            }
            stage.apply().await.unwrap();
            while events.next().await.expect("the events go on") != "cache" {}
        };
        tokio::time::timeout(std::time::Duration::from_secs(60), heard).await.unwrap();
    })
    .await;
}
