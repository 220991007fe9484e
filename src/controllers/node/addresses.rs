//! Finds the nodes' public addresses, v4 and v6 apart: as written, from echo services, or from a Kubernetes Service or
//! Node. What may be published and what answers agree on is `domain::addresses`'s.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, BoxStream, StreamExt};
use k8s_openapi::api::core::v1::{Node, Service};
use kube::{Api, Client};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::api::node::{AddressSource, CocoaNode, Echo, ObjectRef};
use crate::api::vocab::{Family, NetworkType};
use crate::controllers::board::{Board, Learned};
use crate::controllers::shared::chance::about;
use crate::controllers::shared::context::{Context, Role};
use crate::controllers::shared::keyed::Keyed;
use crate::controllers::shared::report::CALL_DEADLINE;
use crate::controllers::snapshot::Snapshot;
use crate::domain::addresses::{agreed, family, parse};
use crate::domain::budget::POLL;
use crate::domain::cluster::Addresses;
use crate::watching;

/// How long an echo service may take.
const ECHO_DEADLINE: Duration = Duration::from_secs(5);
/// An echo answer is an address, not a book.
const ECHO_BYTES: usize = 4096;
/// How soon echo services that failed are asked again.
const AGAIN: Duration = Duration::from_secs(5);
/// How soon a Kubernetes object that failed is read again.
const LOOK: Duration = Duration::from_secs(60);

#[derive(Clone, PartialEq)]
struct Search {
    source: AddressSource,
    network: NetworkType,
    own: bool,
    /// What a standby takes for the own node instead of asking an echo service: another replica may leave by another
    /// address, and a node has one set of them.
    told: Option<Vec<String>>,
}

/// Searches for the addresses of every node that names a source, until `stop`. A standby asks no echo service.
pub async fn run(
    ctx: Context,
    board: Board,
    mut snapshots: watch::Receiver<Option<Arc<Snapshot>>>,
    stop: CancellationToken,
) {
    let mut tasks = Keyed::new();
    loop {
        let snapshot = snapshots.borrow_and_update().clone();
        if let Some(snapshot) = snapshot {
            let wished = searches(&ctx, &snapshot.nodes);
            tasks.follow(wished, |name, search, stop| keep(ctx.clone(), board.clone(), name, search, stop));
        }
        tokio::select! {
            () = stop.cancelled() => return,
            changed = snapshots.changed() => if changed.is_err() { return },
        }
    }
}

fn searches(ctx: &Context, nodes: &[CocoaNode]) -> BTreeMap<String, Search> {
    let search = |node: &CocoaNode| {
        let name = node.metadata.name.clone()?;
        let source = node.spec.addresses.clone()?;
        let published = || {
            let of = node.status.iter().flat_map(|status| &status.addresses);
            of.flat_map(|of| of.values.iter().map(ToString::to_string)).collect()
        };
        let told = (ctx.role == Role::Standby && source.echo.is_some()).then(published);
        let (network, own) = (node.spec.network_type, name == ctx.me);
        Some((name, Search { source, network, own, told }))
    };
    nodes.iter().filter_map(search).collect()
}

async fn keep(ctx: Context, board: Board, name: String, search: Search, stop: CancellationToken) {
    let mut changes = changes(&ctx, &search);
    loop {
        let (addresses, learned) = tokio::select! {
            () = stop.cancelled() => return,
            found = find(&ctx, &search) => found,
        };
        let wait = match (&learned.trouble, &search.source.echo) {
            (Some(_), Some(_)) => AGAIN,
            (None, Some(echo)) => Duration::from_secs(echo.interval_seconds.into()),
            (Some(_), None) => about(LOOK),
            (None, None) => about(POLL),
        };
        board.learn(&name, addresses, learned);
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
            Some(()) = changes.next() => {}
        }
    }
}

/// When a Service that has the addresses changes. A Node is read by the clock: to watch it takes rights over all.
fn changes(ctx: &Context, search: &Search) -> BoxStream<'static, ()> {
    let AddressSource { fixed: None, echo: None, service: Some(at), .. } = &search.source else {
        return stream::pending().boxed();
    };
    if !ctx.scope().covers(&at.namespace) {
        return stream::pending().boxed();
    }
    let api = Api::<Service>::namespaced(ctx.client.clone(), &at.namespace);
    let events = watching::object(api, &at.name);
    events.filter_map(|event| std::future::ready(event.ok().map(drop))).boxed()
}

async fn find(ctx: &Context, search: &Search) -> (Addresses, Learned) {
    let AddressSource { fixed, echo, service, node, allow_private } = &search.source;
    let (source, found) = match (fixed, echo, service, node) {
        (Some(texts), ..) => ("fixed", Ok(texts.clone())),
        (None, Some(_), ..) if !search.own => (
            "echo",
            Err("spec.addresses.echo: only the node itself can ask who it is; leave spec.addresses out here"
                .into()),
        ),
        (None, Some(_), ..) if search.told.is_some() => ("echo", Ok(search.told.clone().unwrap_or_default())),
        (None, Some(echo), ..) => ("echo", ask_all(echo, search.network).await),
        (None, None, Some(service), _) => ("service", of_service(ctx, service, search.network).await),
        (None, None, None, Some(node)) => ("node", of_node(&ctx.client, node, search.network).await),
        (None, None, None, None) => {
            ("fixed", Err("spec.addresses: name one of fixed, echo, service, node".into()))
        }
    };
    let field = format!("spec.addresses.{source}");
    let read = found.and_then(|texts| {
        parse(&texts, search.network, *allow_private, &field).map_err(|error| error.to_string())
    });
    match read {
        Ok(addresses) => {
            let missing = Family::ALL.iter().find(|f| search.network.has(**f) && !addresses.contains_key(f));
            let trouble = missing.map(|f| format!("{field}: no {} address found", f.record_type()));
            (addresses, Learned { source, trouble })
        }
        Err(trouble) => (Addresses::new(), Learned { source, trouble: Some(trouble) }),
    }
}

async fn ask_all(echo: &Echo, network: NetworkType) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    for of in Family::ALL.into_iter().filter(|of| network.has(*of)) {
        let any: IpAddr = match of {
            Family::V4 => Ipv4Addr::UNSPECIFIED.into(),
            Family::V6 => Ipv6Addr::UNSPECIFIED.into(),
        };
        // Bound to one family, so that a host name with both can't answer for the other.
        let client = reqwest::Client::builder().local_address(any).timeout(ECHO_DEADLINE).no_proxy().build();
        let client = client.map_err(|_| "the HTTP client could not be made".to_owned())?;
        let answers = futures::future::join_all(echo.services.iter().map(|url| ask(&client, url))).await;
        let answers: Vec<IpAddr> = answers.into_iter().flatten().filter(|ip| family(*ip) == of).collect();
        found.extend(agreed(&answers, echo.agreement).map(|ip| ip.to_string()));
    }
    if found.is_empty() {
        let services = echo.services.len();
        return Err(format!(
            "spec.addresses.echo: of {services} services not enough agreed on an address ({} must)",
            echo.agreement
        ));
    }
    Ok(found)
}

async fn ask(client: &reqwest::Client, url: &str) -> Option<IpAddr> {
    let mut answer = client.get(url).send().await.ok()?.error_for_status().ok()?;
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.ok()? {
        body.extend_from_slice(&chunk);
        if ECHO_BYTES < body.len() {
            return None;
        }
    }
    echoed(&String::from_utf8(body).ok()?)
}

/// Reads an echo service's answer: the address alone, or JSON with a field `ip`, `query` or `origin`.
fn echoed(body: &str) -> Option<IpAddr> {
    let text = body.trim();
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    let json: serde_json::Value = serde_json::from_str(text).ok()?;
    ["ip", "query", "origin"].iter().find_map(|key| json.get(key)?.as_str()?.parse().ok())
}

async fn of_service(ctx: &Context, at: &ObjectRef, network: NetworkType) -> Result<Vec<String>, String> {
    if !ctx.scope().covers(&at.namespace) {
        return Err(format!(
            "spec.addresses.service.namespace: {} is not served: add it to --namespaces",
            at.namespace
        ));
    }
    let api = Api::<Service>::namespaced(ctx.client.clone(), &at.namespace);
    let service = get(api, &at.name, "spec.addresses.service").await?;
    let balancer = service.status.and_then(|status| status.load_balancer).and_then(|lb| lb.ingress);
    let ingress = balancer.into_iter().flatten().filter_map(|ingress| ingress.ip);
    let external = service.spec.and_then(|spec| spec.external_ips).into_iter().flatten();
    Ok(of_network(ingress.chain(external), network))
}

async fn of_node(client: &Client, name: &str, network: NetworkType) -> Result<Vec<String>, String> {
    let node = get(Api::<Node>::all(client.clone()), name, "spec.addresses.node").await?;
    let all = node.status.and_then(|status| status.addresses).into_iter().flatten();
    Ok(of_network(all.filter(|a| a.type_ == "ExternalIP").map(|a| a.address), network))
}

/// An object may have addresses of a family that the node doesn't publish: those are not an error.
fn of_network(all: impl Iterator<Item = String>, network: NetworkType) -> Vec<String> {
    all.filter(|text| text.parse().is_ok_and(|ip| network.has(family(ip)))).collect()
}

async fn get<K>(api: Api<K>, name: &str, field: &str) -> Result<K, String>
where
    K: kube::Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    match tokio::time::timeout(CALL_DEADLINE, api.get_opt(name)).await {
        Ok(Ok(Some(object))) => Ok(object),
        Ok(Ok(None)) => Err(format!("{field}: there is no {name:?}")),
        Ok(Err(error)) => Err(format!("{field}: {name:?} can't be read: {error}")),
        Err(_) => Err(format!("{field}: {name:?} can't be read: no answer in time")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn echo_answers_are_read_as_services_write_them() {
        let ip = Some("203.0.113.7".parse().unwrap());
        for body in ["203.0.113.7\n", r#"{"ip":"203.0.113.7"}"#, r#"{"origin": "203.0.113.7"}"#] {
            assert_eq!(echoed(body), ip, "{body}");
        }
        for body in ["", "<html>203.0.113.7</html>", "{}", "\"203.0.113.7\""] {
            assert_eq!(echoed(body), None, "{body}");
        }
    }
}
