//! Renderings of all templates: the same each time, valid for every version of Kubernetes, without a password where
//! pods are read, and with every sibling found.

use std::collections::{BTreeMap, BTreeSet};

use cocoasyncer::domain::app::instance::Instance;
use cocoasyncer::domain::app::kubernetes::names::{called_as, is_label, label, places};
use cocoasyncer::domain::app::kubernetes::{Exposure, Gateway, Group, Options, Rendered, render};
use cocoasyncer::domain::app::workload::Service;
use serde_json::Value;

use super::{PASSWORD, all};
use crate::support::samples;
use crate::support::schemas::assert_valid;

fn of_kind<'a>(rendered: &'a Rendered, kinds: &'a [&str]) -> impl Iterator<Item = &'a Value> {
    rendered.objects.iter().filter(move |object| kinds.iter().any(|kind| object["kind"] == *kind))
}

fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap()
}

/// Whether `called` resolves, in the pods of `from`, to the pods of `to`: a Service that selects them, or their hostname
/// below a headless Service whose domain is searched.
fn resolves(rendered: &Rendered, called: &str, from: &Group, to: &Group) -> bool {
    let template = |group: &Group| {
        let found = of_kind(rendered, &["Deployment", "Job"]).find(|object| name(object) == group.name);
        found.unwrap()["spec"]["template"].clone()
    };
    let (asking, answering) = (template(from), template(to));
    let selects = |service: &Value| {
        let selector = service["spec"]["selector"].as_object().unwrap();
        selector.iter().all(|(key, value)| answering["metadata"]["labels"][key] == *value)
    };
    let services: BTreeMap<&str, &Value> = of_kind(rendered, &["Service"]).map(|s| (name(s), s)).collect();
    if let Some(service) = services.get(called) {
        return selects(service) && service["spec"]["clusterIP"] == "None";
    }
    let subdomain = answering["spec"]["subdomain"].as_str().unwrap();
    let searched = format!("{subdomain}.default.svc.cluster.local");
    let searches = asking["spec"]["dnsConfig"]["searches"].as_array().unwrap();
    answering["spec"]["hostname"] == called
        && services.get(subdomain).is_some_and(|service| selects(service))
        && searches.iter().any(|domain| *domain == *searched)
}

/// What a service is told that may name a sibling.
fn told(service: &Service) -> String {
    let words = service.command.iter().chain(&service.entrypoint).flatten();
    let all: Vec<&str> = service.environment.values().chain(words).map(String::as_str).collect();
    all.join("\n").to_ascii_lowercase()
}

/// Names of siblings that are said and don't resolve; and how many do.
fn lost(instance: &Instance, rendered: &Rendered) -> (Vec<String>, usize) {
    let (mut lost, mut found) = (Vec::new(), 0);
    let group = |service: &str| {
        rendered.groups.iter().find(|g| g.services.iter().any(|(s, _)| s == service)).unwrap()
    };
    for asking in &instance.workload.services {
        let told = told(asking);
        // Who joins another's network has no name there either.
        for sibling in instance.workload.services.iter().filter(|s| s.joins.is_none()) {
            let (from, to) = (group(&asking.name), group(&sibling.name));
            for called in called_as(sibling).iter().filter(|_| from != to) {
                if places(&told, &called.to_ascii_lowercase()).is_empty() {
                    continue;
                }
                let others = instance.workload.services.iter().filter(|s| s.name != sibling.name);
                // Two services of one name: an engine gives either, so either is right.
                let ambiguous = others.flat_map(called_as).any(|other| other.eq_ignore_ascii_case(called));
                match ambiguous || resolves(rendered, &label(called, 63), from, to) {
                    true => found += 1,
                    false => lost.push(format!("{}: {} says {called}", instance.app_name, asking.name)),
                }
            }
        }
    }
    (lost, found)
}

#[test]
#[allow(clippy::print_stderr, reason = "the figures of a run")]
fn every_sibling_is_found_under_every_name_that_is_said() {
    let (instances, refused) = all();
    let (mut all_lost, mut all_found) = (Vec::new(), 0);
    for instance in &instances {
        let rendered = render(instance, &Options::default());
        let (lost, found) = lost(instance, &rendered);
        all_lost.extend(lost);
        all_found += found;
        let again = render(&instance.clone(), &Options::default());
        assert_eq!(rendered.objects, again.objects, "{}", instance.app_name);
        assert_eq!(rendered.degraded, again.degraded, "{}", instance.app_name);
    }
    eprintln!("{} templates rendered, {refused} refused, {all_found} names found", instances.len());
    assert!(all_lost.is_empty(), "{all_lost:#?}");
    assert!(10 <= instances.len() && 5 <= all_found);
    if samples::folder("rendered").is_some() {
        assert!(70 <= instances.len() && 100 <= all_found, "{} {all_found}", instances.len());
    }
}

#[test]
fn a_name_that_leads_nowhere_is_seen() {
    let (instances, _) = all();
    let instance = instances.iter().find(|instance| instance.app_name == "wordpress").unwrap();
    let mut rendered = render(instance, &Options::default());
    rendered.objects.retain(|object| name(object) != "a7blog-mariadb" || object["kind"] != "Service");
    assert_eq!(lost(instance, &rendered).0, ["wordpress: wordpress says a7blog-mariadb"]);
}

/// What an author wrote freely. Names, labels and images may read like a default password (`zammad`) and hide nothing.
fn free_texts(object: &Value) -> Vec<(String, String)> {
    let mut texts = vec![("data".to_owned(), object["data"].to_string())];
    for list in ["containers", "initContainers"] {
        for container in object["spec"]["template"]["spec"][list].as_array().into_iter().flatten() {
            for key in ["command", "args", "readinessProbe", "startupProbe"] {
                texts.push((format!("{list}.{key}"), container[key].to_string()));
            }
            for variable in container["env"].as_array().into_iter().flatten() {
                texts.push((format!("{list}.env"), variable["value"].to_string()));
            }
        }
    }
    texts
}

#[test]
fn objects_have_names_of_their_own_and_no_password_stands_where_pods_are_read() {
    for instance in all().0 {
        let rendered = render(&instance, &Options::default());
        let mut seen = BTreeSet::new();
        for object in &rendered.objects {
            let at = format!("{}: {} {}", instance.app_name, object["kind"], name(object));
            assert!(seen.insert((object["kind"].to_string(), name(object).to_owned())), "{at} twice");
            assert!(is_label(name(object)), "{at}");
            assert!(object["metadata"]["annotations"]["cocoasyncer.io/digest"].is_string(), "{at}");
            assert_eq!(object["metadata"]["labels"]["cocoasyncer.io/app-uid"], "u-1", "{at}");
            let owned = object["metadata"]["ownerReferences"].is_array();
            assert_eq!(owned, object["kind"] != "PersistentVolumeClaim", "{at}");
            if object["kind"] != "Secret" {
                assert!(!object.to_string().contains(PASSWORD), "{at}");
                for (place, text) in free_texts(object) {
                    assert!(instance.masked(&text) == text, "{at}: {place} holds a secret");
                }
            }
            // What names a volume must have it.
            let pod = &object["spec"]["template"]["spec"];
            let volumes = pod["volumes"].as_array().into_iter().flatten();
            let volumes: Vec<&Value> = volumes.map(|volume| &volume["name"]).collect();
            for list in ["containers", "initContainers"] {
                for container in pod[list].as_array().into_iter().flatten() {
                    let mut places = BTreeSet::new();
                    for mount in container["volumeMounts"].as_array().into_iter().flatten() {
                        assert!(volumes.contains(&&mount["name"]), "{at} {mount}");
                        assert!(places.insert(mount["mountPath"].to_string()), "{at} {mount}");
                    }
                    assert!(container["livenessProbe"].is_null(), "{at}");
                }
            }
        }
    }
}

/// Every object of every template, also as a Gateway, a load balancer and nodes' ports have it.
fn all_objects() -> Vec<Value> {
    let gateway = Gateway { name: "g".into(), namespace: "infra".into(), section: Some("https".into()) };
    let rich = Options {
        gateway: Some(gateway),
        exposure: Exposure::LoadBalancer,
        storage_class: Some("fast".into()),
        dns_server: Some("192.0.2.53".parse().unwrap()),
        pull_secrets: vec!["more".into()],
        ..Options::default()
    };
    let (instances, _) = all();
    let plain = instances.iter().flat_map(|instance| render(instance, &Options::default()).objects);
    let few = instances.iter().take(11).flat_map(|instance| render(instance, &rich).objects);
    // The schemas know Kubernetes' own kinds.
    plain.chain(few).filter(|object| object["kind"] != "HTTPRoute").collect()
}

#[test]
fn all_objects_are_valid_for_all_versions_of_kubernetes() {
    assert_valid(all_objects());
}
