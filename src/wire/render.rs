//! The cluster's view made into the v1 API's documents: what peers and programs are told, and what a leader pushes.
//!
//! Every type is taken apart field by field, so that a new field makes somebody decide who may see it.

use std::sync::Arc;

use axum::body::Bytes;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::api::node::CocoaNodeSpec;
use crate::api::service::ManagedServiceSpec;
use crate::api::vocab::{NetworkType, WorkMode};
use crate::api::{ACCOUNT_ENDPOINT, ACCOUNT_SERVER, ACCOUNT_SIGNATURE};
use crate::domain::secret::Secret;
use crate::domain::view::{AccountView, ClusterView, NodeView, ServiceView};
use crate::wire::cluster::{
    Answer, BasicExtension, CocoaBasic, MASK, NO_LINE, NodeExtension, NodeInfo, Outcome, Platform,
    PlatformExtension, Service, ServiceExtension,
};

/// Keys of an account that everybody who may ask is shown.
const NO_SECRETS: [&str; 3] = [ACCOUNT_ENDPOINT, ACCOUNT_SERVER, ACCOUNT_SIGNATURE];

/// What the reader may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reveal {
    /// Credentials read `***`.
    Masked,
    /// Credentials in clear: for a peer that the configuration says needs them, and for what a leader pushes.
    Credentials,
}

/// How much is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// All of the cluster.
    Full,
    /// This node alone, for peers that ask every other second.
    BeatOnly,
}

/// Who a push is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// A node of our kind: services stand once.
    Ours,
    /// The old program: every node repeats the services it serves.
    Legacy,
}

/// The answer to `getClusterInfo` for whoever knows the secret.
pub fn answer(view: &ClusterView, reveal: Reveal, scope: Scope) -> Answer {
    let alone = view.nodes.len() <= 1;
    let follower = view.own().is_some_and(|own| own.spec.work_mode == WorkMode::Follower);
    let outcome = if alone && follower { Outcome::Fresh } else { Outcome::Done };
    let basic = basic(view, reveal, scope, Audience::Legacy);
    Answer { status_code: outcome.code(), status_string: outcome.text().to_owned(), cocoa_basic: basic }
}

/// A leader's push, rendered once and addressed to each follower with that follower's secret. It may be a megabyte, so
/// all that are addressed share its octets, which are wiped with the last of them.
pub struct Push {
    basic: Bytes,
}

impl Push {
    /// Renders what the leader knows, secrets in clear: followers need them.
    pub fn of(view: &ClusterView, audience: Audience) -> Self {
        let basic = basic(view, Reveal::Credentials, Scope::Full, audience);
        Self { basic: Bytes::from_owner(Zeroizing::new(to_json(&basic))) }
    }

    /// The request's body for the follower with this secret, in parts.
    pub fn addressed(&self, secret: &Secret) -> [Bytes; 3] {
        let name = Zeroizing::new(to_json(&secret.expose()));
        let mut head = Zeroizing::new(Vec::with_capacity(name.len() + 32));
        head.extend_from_slice(b"{\"cocoaSecret\":");
        head.extend_from_slice(&name);
        head.extend_from_slice(b",\"cocoaBasic\":");
        [Bytes::from_owner(head), self.basic.clone(), Bytes::from_static(b"}")]
    }
}

/// A value as JSON text.
pub fn to_json(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("our documents have text keys and no failing parts")
}

fn basic(view: &ClusterView, reveal: Reveal, scope: Scope, audience: Audience) -> CocoaBasic {
    let ClusterView {
        me,
        api_port,
        reverse_proxy,
        created_at,
        updated_at,
        generation,
        owner,
        nodes,
        // Whoever reads a document judges for himself.
        lines: _,
        services,
        accounts,
    } = view;
    let own = nodes.iter().find(|node| node.object == *me);
    let spec = own.map(|own| &own.spec);
    let text = |of: fn(&CocoaNodeSpec) -> &String| spec.map(of).cloned().unwrap_or_default();
    let full = scope == Scope::Full;
    let told: Vec<&NodeView> = nodes.iter().filter(|node| full || node.object == *me).collect();
    let repeated = full && audience == Audience::Legacy;
    let serves = |name: &str, service: &ServiceView| {
        service.spec.nodes.is_empty() || service.spec.nodes.iter().any(|node| node == name)
    };
    // A list for every node would be a hundred thousand entries in the largest cluster that we promise.
    let everywhere = services.iter().all(|service| service.spec.nodes.is_empty());
    let all: Arc<Vec<Service>> =
        Arc::new(services.iter().filter(|_| repeated && everywhere).map(|s| plain(s, None)).collect());
    let served = |node: &NodeView| -> Arc<Vec<Service>> {
        if !repeated || everywhere {
            return all.clone();
        }
        let own = services.iter().filter(|service| serves(&node.object, service));
        Arc::new(own.map(|service| plain(service, None)).collect())
    };
    let extended = |service| plain(service, Some(extension(service)));
    CocoaBasic {
        api_port: *api_port,
        node_name: text(|spec| &spec.node_name),
        node_code: text(|spec| &spec.node_code),
        node_address: address(&text(|spec| &spec.node_address), reveal),
        work_mode: spec.map(|spec| spec.work_mode.as_str()).unwrap_or_default().to_owned(),
        cocoa_secret: shown(own.map(|own| &own.secret), reveal),
        reverse_proxy: *reverse_proxy,
        other_cocoa_syncer: told.into_iter().map(|n| node(n, served(n), reveal)).collect(),
        cocoa_managed_service: services.iter().filter(|_| full).map(extended).collect(),
        cloud_platform_info: accounts.iter().filter(|_| full).map(|a| platform(a, reveal)).collect(),
        timeout: spec.map(|spec| spec.liveness.timeout_minutes).unwrap_or_default(),
        // There is no database: the store is in the process or is Kubernetes'.
        database_type: "embedded".to_owned(),
        dsn: Secret::default(),
        created_at: Some(*created_at),
        updated_at: Some(*updated_at),
        config_imported: true,
        operator: Some(BasicExtension {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            generation: *generation,
            owner: owner.as_ref().map(ToString::to_string).unwrap_or_default(),
        }),
    }
}

fn node(view: &NodeView, services: Arc<Vec<Service>>, reveal: Reveal) -> NodeInfo {
    let NodeView { object, spec, secret, pulse, addresses, serving: _ } = view;
    let lines: Vec<String> = spec.isps.iter().map(|line| line.as_str().to_owned()).collect();
    NodeInfo {
        node_name: spec.node_name.clone(),
        node_code: spec.node_code.clone(),
        node_address: address(&spec.node_address, reveal),
        work_mode: spec.work_mode.as_str().to_owned(),
        cocoa_secret: shown(Some(secret), reveal),
        isps: if lines.is_empty() { vec![NO_LINE.to_owned()] } else { lines },
        network_type: network_name(spec.network_type).to_owned(),
        status_code: pulse.status_code(),
        watch_dog: pulse.watch_dog,
        cocoa_managed_service: services,
        operator: Some(NodeExtension {
            object: object.clone(),
            public_addresses: addresses.clone(),
            heartbeat_seconds: spec.liveness.heartbeat_seconds,
            spec: to_value(&without_own_affairs(spec, reveal)),
        }),
    }
}

/// A spec without what each node decides for itself: where its secret lies and how addresses are found.
fn without_own_affairs(spec: &CocoaNodeSpec, reveal: Reveal) -> CocoaNodeSpec {
    let CocoaNodeSpec {
        node_name,
        node_code,
        node_address,
        work_mode,
        isps,
        network_type,
        secret_ref: _,
        addresses: _,
        liveness,
        preference,
        drain,
        pin,
    } = spec;
    CocoaNodeSpec {
        node_name: node_name.clone(),
        node_code: node_code.clone(),
        node_address: address(node_address, reveal),
        work_mode: *work_mode,
        isps: isps.clone(),
        network_type: *network_type,
        secret_ref: None,
        addresses: None,
        liveness: liveness.clone(),
        preference: *preference,
        drain: drain.clone(),
        pin: pin.clone(),
    }
}

fn plain(view: &ServiceView, operator: Option<ServiceExtension>) -> Service {
    let ServiceView { id: _, spec, release: _, adopt: _, lines: _, ready: _ } = view;
    Service {
        service_name: spec.service_name.clone(),
        domain: spec.domain.clone(),
        record: spec.record.clone(),
        platform_provider: spec.platform_provider.as_str().to_owned(),
        operator,
    }
}

fn extension(view: &ServiceView) -> ServiceExtension {
    let spec: &ManagedServiceSpec = &view.spec;
    ServiceExtension {
        namespace: view.id.namespace.clone(),
        name: view.id.name.clone(),
        spec: to_value(spec),
        release: view.release.clone().unwrap_or_default(),
        adopt: view.adopt,
    }
}

fn platform(view: &AccountView, reveal: Reveal) -> Platform {
    let AccountView { id, provider, access_key, access_secret, data } = view;
    let told = |(key, value): (&String, &Secret)| match reveal {
        Reveal::Masked if NO_SECRETS.contains(&key.as_str()) => {
            (key.clone(), Secret::new(without_user(value.expose())))
        }
        _ => (key.clone(), shown(Some(value), reveal)),
    };
    Platform {
        platform_provider: provider.as_str().to_owned(),
        access_key: shown(Some(access_key), reveal),
        access_secret: shown(Some(access_secret), reveal),
        operator: Some(PlatformExtension {
            namespace: id.namespace.clone(),
            name: id.name.clone(),
            data: data.iter().map(told).collect(),
        }),
    }
}

/// A network type as the wire spells it.
pub const fn network_name(network: NetworkType) -> &'static str {
    match network {
        NetworkType::IPV4 => "IPV4",
        NetworkType::IPV6 => "IPV6",
        NetworkType::Both => "Both",
    }
}

/// An address without a user's name and password.
pub fn without_user(address: &str) -> String {
    let Some((scheme, rest)) = address.split_once("://") else { return address.to_owned() };
    let end = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

/// An address may carry a password too.
fn address(text: &str, reveal: Reveal) -> String {
    match reveal {
        Reveal::Masked => without_user(text),
        Reveal::Credentials => text.to_owned(),
    }
}

fn shown(secret: Option<&Secret>, reveal: Reveal) -> Secret {
    match reveal {
        Reveal::Masked => Secret::new(MASK),
        Reveal::Credentials => secret.cloned().unwrap_or_default(),
    }
}

fn to_value(spec: &impl serde::Serialize) -> Value {
    serde_json::to_value(spec).expect("a spec is plain data")
}

#[cfg(test)]
mod tests;
