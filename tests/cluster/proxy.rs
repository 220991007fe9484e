//! The proxy itself: a test that stands on it must know that it refuses, cuts and counts as it says.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use kube::api::{ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::core::Status;
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::support::cluster::faults::{Door, Fault};
use crate::support::cluster::proxy::Proxy;
use crate::support::cluster::rights::Account;
use crate::support::cluster::{Cluster, client_of};

const SOON: Duration = Duration::from_secs(20);

/// Makes an object as it stands.
async fn make<K>(api: Api<K>, object: Value)
where
    K: kube::Resource + serde::Serialize + serde::de::DeserializeOwned + Clone + std::fmt::Debug,
{
    api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
}

/// A cluster with a namespace and an account that may, there, read ConfigMaps and write the one named `mine`; and read
/// Namespaces everywhere.
async fn world() -> (Cluster, Proxy, Account, Client) {
    let cluster = Cluster::open().await;
    let made: Namespace = serde_json::from_value(json!({"metadata": {"generateName": "proxy-"}})).unwrap();
    let made = Api::all(cluster.client.clone()).create(&PostParams::default(), &made).await.unwrap();
    let namespace = made.metadata.name.unwrap();
    let account = cluster.account(&namespace, "tester").await;
    let subjects = json!([{"kind": "ServiceAccount", "name": "tester", "namespace": namespace}]);
    let bind = |kind: &str, name: &str| {
        let of = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name});
        json!({"metadata": {"name": name}, "subjects": subjects, "roleRef": of})
    };
    let inside = json!([
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["mine"], "verbs": ["patch", "update"]},
    ]);
    let client = || cluster.client.clone();
    let within = |name: &str| json!({"metadata": {"name": name}, "rules": inside});
    make(Api::<Role>::namespaced(client(), &namespace), within("reader")).await;
    make(Api::<RoleBinding>::namespaced(client(), &namespace), bind("Role", "reader")).await;
    let wide = json!({"metadata": {"name": namespace}, "rules": [
        {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["list"]},
    ]});
    make(Api::<ClusterRole>::all(client()), wide).await;
    make(Api::<ClusterRoleBinding>::all(client()), bind("ClusterRole", &namespace)).await;
    let proxy = cluster.proxy().await;
    let token = cluster.token(&proxy, &account).await;
    let asker = client_of(&proxy.kubeconfig(&token)).await;
    (cluster, proxy, account, asker)
}

fn refused<T: std::fmt::Debug>(result: Result<T, kube::Error>) -> Box<Status> {
    match result {
        Err(kube::Error::Api(status)) => status,
        other => panic!("no refusal: {other:?}"),
    }
}

fn map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "b"}})
}

#[tokio::test]
async fn an_account_may_what_rules_say_and_is_refused_in_kubernetes_words() {
    let (cluster, proxy, account, asker) = world().await;
    let namespace = account.namespace.as_str();
    let maps = Api::<ConfigMap>::namespaced(asker.clone(), namespace);
    maps.list(&ListParams::default()).await.unwrap();
    Api::<Namespace>::all(asker.clone()).list(&ListParams::default()).await.unwrap();
    asker.apiserver_version().await.unwrap();
    let secrets = Api::<Secret>::namespaced(asker.clone(), namespace);
    let status = refused(secrets.get("key").await);
    let user = account.user();
    assert_eq!(
        status.message,
        format!(
            "secrets \"key\" is forbidden: User \"{user}\" cannot get resource \"secrets\" in API group \"\" in the \
             namespace \"{namespace}\""
        )
    );
    assert_eq!((status.code, status.reason.as_str()), (403, "Forbidden"));
    let status = refused(Api::<ConfigMap>::all(asker.clone()).list(&ListParams::default()).await);
    let words = "cannot list resource \"configmaps\" in API group \"\" at the cluster scope";
    assert!(status.message.contains(words), "{}", status.message);
    // An apply that would create needs the right to create.
    let params = PatchParams::apply("test");
    let status = refused(maps.patch("mine", &params, &Patch::Apply(map("mine"))).await);
    assert!(status.message.contains("cannot create"), "{}", status.message);
    make(Api::<ConfigMap>::namespaced(cluster.client.clone(), namespace), map("mine")).await;
    let mut fresh = map("mine");
    fresh["data"]["c"] = json!("d");
    maps.patch("mine", &params.force(), &Patch::Apply(fresh)).await.unwrap();
    refused(maps.patch("other", &PatchParams::apply("test"), &Patch::Apply(map("other"))).await);
    let used: Vec<String> = proxy.ledger().used().iter().map(ToString::to_string).collect();
    assert!(used.contains(&format!("patch configmaps in {namespace} \"mine\"")), "{used:?}");
    assert!(!used.iter().any(|one| one.contains("secrets")), "{used:?}");
    let refusals = proxy.ledger().refusals();
    assert!(refusals.contains(&format!("get secrets in {namespace} \"key\"")), "{refusals:?}");
    assert_eq!(proxy.ledger().count("list", "configmaps"), 2);
}

#[tokio::test]
async fn a_right_given_later_holds_and_a_token_that_expired_is_nobodys() {
    let (cluster, proxy, account, asker) = world().await;
    let namespace = account.namespace.as_str();
    let may = async |verb: &str| {
        let about = json!({"verb": verb, "resource": "secrets", "namespace": namespace});
        let review = json!({"spec": {"resourceAttributes": about}, "metadata": {}});
        let review = serde_json::from_value(review).unwrap();
        type Review = k8s_openapi::api::authorization::v1::SelfSubjectAccessReview;
        let api = Api::<Review>::all(asker.clone());
        api.create(&PostParams::default(), &review).await.unwrap().status.unwrap().allowed
    };
    assert!(!may("list").await);
    let secrets = Api::<Secret>::namespaced(asker.clone(), namespace);
    refused(secrets.list(&ListParams::default()).await);
    let rule = json!({"apiGroups": [""], "resources": ["*"], "verbs": ["list"]});
    let patch = Patch::Json::<Role>(
        serde_json::from_value(json!([
            {"op": "add", "path": "/rules/-", "value": rule},
        ]))
        .unwrap(),
    );
    let roles = Api::<Role>::namespaced(cluster.client.clone(), namespace);
    roles.patch("reader", &PatchParams::default(), &patch).await.unwrap();
    tokio::time::timeout(SOON, async {
        while secrets.list(&ListParams::default()).await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    assert!(may("list").await && !may("get").await);
    let token = cluster.token(&proxy, &account).await;
    let other = client_of(&proxy.kubeconfig(&token)).await;
    other.apiserver_version().await.unwrap();
    proxy.expire(&token);
    assert_eq!(refused(other.apiserver_version().await).reason, "Unauthorized");
}

#[tokio::test]
async fn one_call_in_five_fails_and_the_same_ones_again_with_the_same_seed() {
    let (_cluster, proxy, account, asker) = world().await;
    let maps = Api::<ConfigMap>::namespaced(asker, &account.namespace);
    let mut runs = Vec::new();
    for seed in [7, 7, 8] {
        proxy.calm().await;
        proxy.fail_one_in(5, &[Fault::Conflict, Fault::TooMany, Fault::Internal], seed);
        let mut codes = Vec::new();
        for _ in 0..100 {
            let code =
                maps.get_opt("none").await.map_or_else(|error| refused::<()>(Err(error)).code, |_| 404);
            codes.push(code);
        }
        let failed = codes.iter().filter(|code| **code != 404).count();
        assert_eq!(failed, 20);
        assert!(!codes.contains(&409), "nobody answers a read so");
        assert!(codes.contains(&429) && codes.contains(&500), "{codes:?}");
        runs.push(codes);
    }
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0], runs[2]);
    proxy.calm().await;
    proxy.trouble("get", "configmaps", Fault::TooMany, 1);
    assert_eq!(refused(maps.get("none").await).code, 429);
    assert_eq!(refused(maps.get("none").await).code, 404);
    assert!(proxy.ledger().refusals().is_empty());
}

#[tokio::test]
async fn an_answer_that_is_lost_was_done() {
    let (cluster, proxy, account, _) = world().await;
    let admin = client_of(&proxy.kubeconfig(&cluster.admin_token(&proxy))).await;
    let maps = Api::<ConfigMap>::namespaced(admin, &account.namespace);
    proxy.trouble("create", "configmaps", Fault::Unheard, 1);
    let made = serde_json::from_value(map("lost")).unwrap();
    let lost = maps.create(&PostParams::default(), &made).await.unwrap_err();
    assert!(!matches!(lost, kube::Error::Api(_)), "{lost}");
    maps.get("lost").await.unwrap();
}

#[tokio::test]
async fn nobody_listens_behind_a_shut_door_and_nothing_comes_from_one_that_hangs() {
    let (_cluster, proxy, account, asker) = world().await;
    let maps = Api::<ConfigMap>::namespaced(asker.clone(), &account.namespace);
    let mut watch = maps.watch(&WatchParams::default(), "0").await.unwrap().boxed();
    // Its first events, or bookmarks, until it is quiet: it was there.
    maps.list(&ListParams::default()).await.unwrap();
    proxy.set_door(Door::Hanging).await;
    let all = ListParams::default();
    let asked = tokio::time::timeout(Duration::from_millis(300), maps.list(&all));
    assert!(asked.await.is_err(), "no answer while it hangs");
    proxy.set_door(Door::Open).await;
    maps.list(&ListParams::default()).await.unwrap();
    proxy.set_door(Door::Refusing).await;
    let refused = maps.list(&ListParams::default()).await.unwrap_err();
    assert!(!matches!(refused, kube::Error::Api(_)), "{refused}");
    let end = async { while let Ok(Some(_)) = watch.try_next().await {} };
    tokio::time::timeout(SOON, end).await.expect("a watch ends with the connection");
    proxy.set_door(Door::Open).await;
    maps.list(&ListParams::default()).await.unwrap();
}

#[tokio::test]
async fn watches_are_cut_and_after_a_compaction_none_goes_on_from_before() {
    let (cluster, proxy, account, asker) = world().await;
    let maps = Api::<ConfigMap>::namespaced(asker, &account.namespace);
    let behind = Api::<ConfigMap>::namespaced(cluster.client.clone(), &account.namespace);
    let version = maps.list(&ListParams::default()).await.unwrap().metadata.resource_version.unwrap();
    let mut watch = maps.watch(&WatchParams::default(), &version).await.unwrap().boxed();
    make(behind.clone(), map("one")).await;
    let seen = tokio::time::timeout(SOON, watch.try_next()).await.unwrap().unwrap();
    assert!(matches!(seen, Some(WatchEvent::Added(_))), "{seen:?}");
    proxy.cut_watches();
    let end = async { while let Ok(Some(_)) = watch.try_next().await {} };
    tokio::time::timeout(SOON, end).await.expect("the watch is cut");
    proxy.watches_last(Duration::from_millis(100));
    let mut short = maps.watch(&WatchParams::default(), &version).await.unwrap().boxed();
    let end = async { while let Ok(Some(_)) = short.try_next().await {} };
    tokio::time::timeout(SOON, end).await.expect("the watch is short");
    proxy.calm().await;
    for round in 0..2 {
        // Both ways of saying it come, for an odd and an even revision.
        make(behind.clone(), map(&format!("more-{round}"))).await;
        proxy.compact().await;
        let told = match maps.watch(&WatchParams::default(), &version).await {
            Err(error) => refused::<()>(Err(error)).code,
            Ok(events) => match events.boxed().try_next().await.unwrap() {
                Some(WatchEvent::Error(status)) => status.code,
                other => panic!("{other:?}"),
            },
        };
        assert_eq!(told, 410);
        let now = maps.list(&ListParams::default()).await.unwrap().metadata.resource_version.unwrap();
        drop(maps.watch(&WatchParams::default(), &now).await.unwrap());
    }
}
