//! How an application's parts find each other, and how people find it.
//!
//! Siblings call each other by container name (`blog-mysql`) and by service name (`mysql`), mostly on ports that the
//! template never says. So inner names lead to *headless* Services: these answer with the pod's own address, on which
//! every port works, and with one pod there is nothing to balance. They answer before the pod is ready too, as an
//! engine's DNS does.
//!
//! - A name with the application's id in front is a Service of that name: nobody else in the namespace has it.
//! - A bare name would be a Service that two applications of a namespace fight for. Instead the pod has it as its
//!   `hostname` below the application's own headless Service, whose domain is among the search domains of every pod of the
//!   application: `mysql` is `mysql.<id>--pods.<namespace>.svc.<cluster domain>`. Addresses in `hostAliases` would not do,
//!   since they change with every pod.
//! - Search domains of the namespace go before ours, so a foreign Service `mysql` would answer instead. Such names are in
//!   `bare`, and the runtime refuses where one is taken. Where the cluster's DNS server is known, the order is ours.
//! - A pod has one hostname. If siblings use several bare names of one pod, the others are Services after all, and said.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::domain::app::kubernetes::names::{called_as, label, places};
use crate::domain::app::kubernetes::{Draft, Exposure, Group, members};
use crate::domain::app::workload::{Network, Protocol, Service, Source};
use crate::domain::names::DnsName;

/// Most ports of a range that are published: a Service lists each by itself.
const MOST_PORTS: usize = 128;

/// The network part of a rendering.
#[derive(Default)]
pub(crate) struct Net {
    /// Services and what routes to them.
    pub(crate) objects: Vec<Value>,
    /// The hostname of a group's pods.
    pub(crate) hostnames: BTreeMap<String, String>,
    /// Names that a foreign Service would take.
    pub(crate) bare: BTreeSet<String>,
    /// Names with the group that answers.
    pub(crate) found: BTreeMap<String, String>,
}

/// Gives every name of every group to whom it belongs.
pub(crate) fn network(draft: &mut Draft<'_>, groups: &[Group]) -> Net {
    let mut net = Net::default();
    let subdomain = draft.names.subdomain();
    let mut all = headless(draft, &subdomain, json!({ crate::api::APP_UID_LABEL: draft.instance.uid }));
    all["metadata"]["labels"]["app.kubernetes.io/component"] = Value::from("names");
    net.objects.push(all);
    for group in groups {
        names(draft, group, &mut net);
    }
    for group in groups {
        publish(draft, group, &mut net);
    }
    route(draft, &mut net);
    for (old, new) in draft.names.renamed.clone() {
        draft.degrade(
            format!("names.{old}"),
            format!("a cluster can't call it {old}: it is {new} there, and its siblings are told so"),
        );
    }
    net
}

fn headless(draft: &Draft<'_>, name: &str, selector: Value) -> Value {
    let spec = json!({
        "clusterIP": "None", "type": "ClusterIP", "publishNotReadyAddresses": true, "selector": selector,
    });
    draft.object("v1", "Service", name, json!({ "spec": spec }))
}

/// A group's names: who joins another's network has none of its own, there as here.
fn names(draft: &mut Draft<'_>, group: &Group, net: &mut Net) {
    let Some(leader) = members(draft.instance, group).first().copied() else { return };
    let mut bare = Vec::new();
    for called in called_as(leader) {
        let name = label(&called, 63);
        if called.contains('.') {
            draft.degrade(format!("{}.hostname", leader.name), format!("a pod can't be called {called}"));
        }
        if net.found.contains_key(&name) {
            continue;
        }
        if !draft.names.is_own(&called) {
            bare.push(name);
            continue;
        }
        net.found.insert(name.clone(), group.name.clone());
        let service = headless(draft, &name, draft.selector(&group.name));
        net.objects.push(service);
    }
    let own = leader.hostname.as_deref().map(|name| label(name, 63));
    let used: Vec<String> = bare.iter().filter(|name| is_used(draft, group, name)).cloned().collect();
    let others = used.iter().filter(|name| Some(*name) != own.as_ref()).count();
    let hostname = match (&own, used.first()) {
        // What the template calls it inside matters to what it stores; what siblings call it matters more.
        (Some(own), _) if others == 0 => own.clone(),
        (_, Some(first)) => first.clone(),
        (Some(own), None) => own.clone(),
        (None, None) => label(&leader.name, 63),
    };
    if let Some(own) = own.filter(|own| *own != hostname) {
        let words = format!("its pod is called {hostname}, by which its siblings find it, and not {own}");
        draft.degrade(format!("{}.hostname", leader.name), words);
    }
    for name in bare.into_iter().filter(|name| *name == hostname || used.contains(name)) {
        net.found.insert(name.clone(), group.name.clone());
        if name != hostname {
            let words = format!(
                "{name} is a Service of that name, which only one application of a namespace can have"
            );
            draft.degrade(format!("{}.names", leader.name), words);
            let service = headless(draft, &name, draft.selector(&group.name));
            net.objects.push(service);
        } else if used.contains(&name) {
            net.bare.insert(name);
        }
    }
    net.hostnames.insert(group.name.clone(), hostname);
}

/// Whether another pod of the application says `name` anywhere.
fn is_used(draft: &Draft<'_>, group: &Group, name: &str) -> bool {
    let own: BTreeSet<&str> = group.services.iter().map(|(service, _)| service.as_str()).collect();
    let others =
        draft.instance.workload.services.iter().filter(|service| !own.contains(service.name.as_str()));
    let mut texts = others.flat_map(|service| said(draft, service));
    texts.any(|text| {
        let text = draft.names.told(&text).to_ascii_lowercase();
        !places(&text, name).is_empty()
    })
}

/// Everything that a service is told.
fn said(draft: &Draft<'_>, service: &Service) -> Vec<String> {
    let mut texts: Vec<String> = service.environment.values().cloned().collect();
    texts.extend(service.command.iter().chain(&service.entrypoint).flatten().cloned());
    texts.extend(service.check.iter().flat_map(|check| check.command.iter().cloned()));
    texts.extend(service.contents.iter().map(|content| content.text.clone()));
    for mount in &service.mounts {
        let Source::Template(path) = &mount.source else { continue };
        let below = if path.is_empty() { String::new() } else { format!("{path}/") };
        let files = draft.instance.files.iter().filter(|(file, _)| *file == path || file.starts_with(&below));
        texts.extend(files.filter_map(|(_, file)| String::from_utf8(file.bytes.to_vec()).ok()));
    }
    texts
}

/// The Service through which a group's published ports are reached.
fn publish(draft: &mut Draft<'_>, group: &Group, net: &mut Net) {
    let services = members(draft.instance, group);
    let mut ports: BTreeSet<(u16, Protocol)> = BTreeSet::new();
    for service in &services {
        for port in &service.ports {
            let range = port.container.first..=port.container.last;
            ports.extend(range.map(|number| (number, port.protocol)));
        }
    }
    let serving = draft.instance.serving.as_ref();
    if let Some(serving) = serving.filter(|serving| services.iter().any(|s| s.name == serving.service)) {
        ports.insert((serving.port, Protocol::Tcp));
    }
    if ports.is_empty() {
        return;
    }
    if MOST_PORTS < ports.len() {
        let words = format!("{} ports are published, only the first {MOST_PORTS} are", ports.len());
        draft.degrade(format!("{}.ports", group.name), words);
    }
    let list: Vec<Value> = ports.into_iter().take(MOST_PORTS).map(port).collect();
    let kind = match draft.options.exposure {
        Exposure::Cluster => "ClusterIP",
        Exposure::Node => "NodePort",
        Exposure::LoadBalancer => "LoadBalancer",
    };
    let spec = json!({ "type": kind, "selector": draft.selector(&group.name), "ports": list });
    let name = draft.names.part(&group.name, "public");
    net.objects.push(draft.object("v1", "Service", &name, json!({ "spec": spec })));
}

fn port((number, protocol): (u16, Protocol)) -> Value {
    let protocol = match protocol {
        Protocol::Tcp => "TCP",
        Protocol::Udp => "UDP",
        Protocol::Sctp => "SCTP",
    };
    json!({
        "name": format!("p{number}-{}", protocol.to_ascii_lowercase()),
        "port": number, "targetPort": number, "protocol": protocol,
    })
}

/// What routes the domain to the serving port.
fn route(draft: &mut Draft<'_>, net: &mut Net) {
    let Some(domain) = draft.instance.domain.clone() else { return };
    let Some(serving) = draft.instance.serving.clone() else {
        draft.degrade("domain", "nothing of it serves, so the domain leads nowhere");
        return;
    };
    let Ok(domain) = DnsName::parse(&domain, "spec.domain") else {
        draft.degrade("domain", "it is not a name of DNS");
        return;
    };
    if !serving.http {
        draft.degrade("domain", "it speaks no HTTP: the name leads to its ports, and nothing routes by it");
        return;
    }
    let Some(group) = net.group_of(draft, &serving.service) else { return };
    let (backend, host) = (draft.names.part(&group, "public"), domain.as_str().trim_end_matches('.'));
    let name = draft.names.part(&draft.instance.id, "web");
    let annotations = json!(draft.options.route_annotations);
    let object = match &draft.options.gateway {
        Some(gateway) => {
            let mut parent = json!({ "name": gateway.name, "namespace": gateway.namespace });
            if let Some(section) = &gateway.section {
                parent["sectionName"] = Value::from(section.as_str());
            }
            let spec = json!({
                "parentRefs": [parent], "hostnames": [host],
                "rules": [{ "backendRefs": [{ "name": backend, "port": serving.port }] }],
            });
            draft.object("gateway.networking.k8s.io/v1", "HTTPRoute", &name, json!({ "spec": spec }))
        }
        None => {
            let path = json!({
                "path": "/", "pathType": "Prefix",
                "backend": { "service": { "name": backend, "port": { "number": serving.port } } },
            });
            let mut spec = json!({ "rules": [{ "host": host, "http": { "paths": [path] } }] });
            if let Some(class) = &draft.options.ingress_class {
                spec["ingressClassName"] = Value::from(class.as_str());
            }
            draft.object("networking.k8s.io/v1", "Ingress", &name, json!({ "spec": spec }))
        }
    };
    let mut object = object;
    if !draft.options.route_annotations.is_empty() {
        object["metadata"]["annotations"] = annotations;
    }
    net.objects.push(object);
}

impl Net {
    fn group_of(&self, draft: &Draft<'_>, service: &str) -> Option<String> {
        let groups = super::pod::groups(draft.instance, &draft.names);
        groups.into_iter().find(|g| g.services.iter().any(|(name, _)| name == service)).map(|g| g.name)
    }
}

/// A pod's resolver: the application's own names, and what the template says.
pub(crate) fn resolver(draft: &mut Draft<'_>, leader: &Service, pod: &mut Value) {
    let (namespace, domain) = (&draft.instance.key.namespace, &draft.options.cluster_domain);
    let own = format!("{}.{namespace}.svc.{domain}", draft.names.subdomain());
    let mut searches = vec![own];
    let mut config = json!({});
    if let Some(server) = draft.options.dns_server {
        searches.extend([format!("{namespace}.svc.{domain}"), format!("svc.{domain}"), domain.clone()]);
        config["nameservers"] = json!([server.to_string()]);
        config["options"] = json!([{ "name": "ndots", "value": "5" }]);
        pod["dnsPolicy"] = Value::from("None");
    }
    searches.extend(leader.dns.search.iter().cloned());
    config["searches"] = json!(searches);
    if !leader.dns.servers.is_empty() {
        let words = "its own name servers don't know its siblings, so the cluster's is asked";
        draft.degrade(format!("{}.dns", leader.name), words);
    }
    pod["dnsConfig"] = config;
    aliases(draft, leader, pod);
    if leader.network == Network::None {
        draft.degrade(format!("{}.network_mode", leader.name), "a pod always has a network");
    }
}

fn aliases(draft: &mut Draft<'_>, leader: &Service, pod: &mut Value) {
    let mut hosts: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, address) in &leader.extra_hosts {
        match address.parse::<std::net::IpAddr>() {
            Ok(_) => hosts.entry(address).or_default().push(name),
            Err(_) => {
                let words = format!("{name} is {address}, which a pod can't know");
                draft.degrade(format!("{}.extra_hosts", leader.name), words);
            }
        }
    }
    if !hosts.is_empty() {
        let list: Vec<Value> =
            hosts.into_iter().map(|(ip, names)| json!({ "ip": ip, "hostnames": names })).collect();
        pod["hostAliases"] = Value::from(list);
    }
}
