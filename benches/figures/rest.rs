//! The rest of the large cluster: forty-nine followers that beat and take pushes, all on one port.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path};
use axum::routing::post;
use cocoasyncer::api::vocab::Family;
use cocoasyncer::domain::liveness::Pulse;
use cocoasyncer::domain::secret::Secret;
use cocoasyncer::domain::view::{ClusterView, NodeView};
use cocoasyncer::wire::cluster::{Envelope, Outcome};
use cocoasyncer::wire::render::{Reveal, Scope, answer, to_json};
use k8s_openapi::jiff::Timestamp;

use crate::objects;

/// Serves them; gives the address under which each is found by its name.
pub async fn serve() -> anyhow::Result<SocketAddr> {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let at = listener.local_addr()?;
    let address = format!("http://{at}");
    let router = Router::new()
        .route(
            "/{node}/v1/getClusterInfo",
            post(move |Path(node): Path<String>| {
                let answer = beat(&node, &address).unwrap_or_default();
                async move { answer }
            }),
        )
        // Real followers take 1 MiB as well.
        .route(
            "/{node}/v1/updateClusterInfo",
            post(|_: Bytes| async { to_json(&Envelope::of(Outcome::Done)) }),
        )
        .layer(DefaultBodyLimit::max(1 << 20));
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(at)
}

fn beat(name: &str, address: &str) -> anyhow::Result<Vec<u8>> {
    let index: usize = name.trim_start_matches('n').parse()?;
    let (object, now) = (objects::node(index, address)?, Timestamp::now());
    let node = NodeView {
        object: name.to_owned(),
        spec: object.spec,
        secret: Secret::new(objects::SECRET),
        pulse: Pulse::own(now, now),
        addresses: BTreeMap::from([(Family::V4, [objects::public(index).into()].into())]),
        serving: Vec::new(),
    };
    let view = ClusterView {
        me: name.to_owned(),
        api_port: 0,
        reverse_proxy: false,
        created_at: now,
        updated_at: now,
        generation: 1,
        owner: None,
        nodes: vec![node],
        lines: Vec::new(),
        services: Arc::default(),
        accounts: Vec::new(),
    };
    Ok(to_json(&answer(&view, Reveal::Masked, Scope::BeatOnly)))
}
