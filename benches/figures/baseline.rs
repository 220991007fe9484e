//! The DNS server's baseline: hickory's own server with its own zone in memory, in the same process and runtime.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use hickory_proto::rr::rdata::{A, SOA};
use hickory_proto::rr::{LowerName, Name, RData, Record};
use hickory_server::Server;
use hickory_server::net::runtime::TokioRuntimeProvider;
use hickory_server::store::in_memory::InMemoryZoneHandler;
use hickory_server::zone_handler::{AxfrPolicy, Catalog, ZoneHandler, ZoneType};
use tokio::net::UdpSocket;

/// A server that answers for `names`, all in `zone`; it runs as long as what is returned lives.
pub async fn serve(zone: &str, names: &[String]) -> anyhow::Result<(SocketAddr, Server<Catalog>)> {
    let origin = Name::from_ascii(format!("{zone}."))?;
    let mut handler = InMemoryZoneHandler::<TokioRuntimeProvider>::empty(
        origin.clone(),
        ZoneType::Primary,
        AxfrPolicy::Deny,
    );
    let soa = SOA::new(origin.clone(), origin.clone(), 1, 3600, 600, 604_800, 60);
    handler.upsert_mut(Record::from_rdata(origin.clone(), 3600, RData::SOA(soa)), 0);
    for name in names {
        let data = RData::A(A(Ipv4Addr::new(203, 0, 113, 1)));
        handler.upsert_mut(Record::from_rdata(Name::from_ascii(format!("{name}."))?, 60, data), 0);
    }
    let mut catalog = Catalog::new();
    catalog.upsert(LowerName::new(&origin), vec![Arc::new(handler) as Arc<dyn ZoneHandler>]);
    let mut server = Server::new(catalog);
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let at = socket.local_addr()?;
    server.register_socket(socket);
    Ok((at, server))
}
