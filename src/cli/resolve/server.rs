//! Which DNS server is asked: the one that was named, that of this host, or, for the kubectl plugin, the one that the
//! operator's DNS Service in the cluster leads to. It asks the cluster's API alone.

use std::net::{IpAddr, SocketAddr};

use k8s_openapi::api::core::v1::Service;
use kube::ResourceExt;
use kube::api::{Api, ListParams};

use crate::cli::Ctx;
use crate::cli::error::CliError;
use crate::config::DEFAULT_DNS;
use crate::domain::names::FieldError;

/// What the chart labels its objects with.
const OURS: &str = "app.kubernetes.io/name=cocoasyncer";
/// The chart's name of the port; it is there for TCP too.
const PORT: &str = "dns-udp";

/// The server to ask.
pub async fn server(named: Option<&str>, ctx: &Ctx<'_>) -> Result<SocketAddr, CliError> {
    match named {
        Some(text) => Ok(parse(text)?),
        None if ctx.access.kubectl.is_some() => of_cluster(ctx).await,
        None => Ok(parse(DEFAULT_DNS)?),
    }
}

/// An address as people write it.
pub fn parse(text: &str) -> Result<SocketAddr, FieldError> {
    let with_port =
        text.parse().or_else(|_| text.trim_matches(['[', ']']).parse().map(|ip| SocketAddr::new(ip, 53)));
    with_port.map_err(|_| {
        FieldError::new("--server", format!("{text:?} is not an address: write e.g. 127.0.0.1:1053"))
    })
}

async fn of_cluster(ctx: &Ctx<'_>) -> Result<SocketAddr, CliError> {
    let plane = ctx.access.plane().await?;
    let all = Api::<Service>::all(plane.client.clone());
    let labelled = ListParams::default().labels(OURS);
    let services = plane.answer("the operator's DNS Service", all.list(&labelled)).await?.items;
    let found: Vec<&Service> = services.iter().filter(|service| port(service).is_some()).collect();
    let outside = found.iter().find_map(|service| Some(SocketAddr::new(outer(service)?, port(service)?)));
    outside.ok_or_else(|| match found.first() {
        Some(service) => CliError::failed(format!(
            "the DNS Service {}/{} has no address outside of the cluster: name one from which it is reached by --server",
            service.namespace().unwrap_or_default(),
            service.name_any()
        )),
        None => CliError::NotFound(format!(
            "there is no DNS Service of the operator in this cluster (label {OURS}): name a server by --server"
        )),
    })
}

fn port(service: &Service) -> Option<u16> {
    let mut ports = service.spec.as_ref()?.ports.iter().flatten();
    let port = ports.find(|port| port.name.as_deref() == Some(PORT))?;
    u16::try_from(port.port).ok()
}

/// An address at which the Service is reached from outside.
fn outer(service: &Service) -> Option<IpAddr> {
    let balanced = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let balanced = balanced.into_iter().flat_map(|balancer| balancer.ingress.iter().flatten());
    let balanced = balanced.filter_map(|ingress| ingress.ip.as_deref());
    let fixed = service.spec.as_ref().into_iter().flat_map(|spec| spec.external_ips.iter().flatten());
    balanced.chain(fixed.map(String::as_str)).find_map(|ip| ip.parse().ok())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn service(spec: Value, status: Value) -> Service {
        serde_json::from_value(json!({"metadata": {"name": "dns"}, "spec": spec, "status": status})).unwrap()
    }

    #[test]
    fn a_server_is_read_as_people_write_it() {
        assert_eq!(parse("192.0.2.1").unwrap().port(), 53);
        assert_eq!(parse("[::1]").unwrap().port(), 53);
        assert_eq!(parse("[::1]:1053").unwrap().port(), 1053);
        assert_eq!(parse("ns.example.com").unwrap_err().field, "--server");
    }

    #[test]
    fn a_service_is_reached_at_its_balancers_address_or_one_that_was_given_to_it() {
        let ports = json!([{"name": "dns-tcp", "port": 54}, {"name": "dns-udp", "port": 53}]);
        let balanced = json!({"loadBalancer": {"ingress": [{"hostname": "x"}, {"ip": "203.0.113.5"}]}});
        let spec = json!({"ports": ports, "externalIPs": ["203.0.113.6"]});
        let both = service(spec.clone(), balanced);
        assert_eq!((outer(&both).unwrap().to_string(), port(&both)), ("203.0.113.5".to_owned(), Some(53)));
        assert_eq!(outer(&service(spec, json!({}))).unwrap().to_string(), "203.0.113.6");
        let inner =
            service(json!({"clusterIP": "10.0.0.1", "ports": [{"name": "api", "port": 1}]}), json!({}));
        assert_eq!((outer(&inner), port(&inner)), (None, None));
    }
}
