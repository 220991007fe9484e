//! How a cluster wants the applications in it: flags into the options that they are rendered with.

use std::collections::BTreeMap;

use crate::config::checks::{check_object_name, parsed};
use crate::domain::app::kubernetes::{Exposure, Gateway, Options};
use crate::domain::names::{DnsName, FieldError};

/// Most of a claim where the template asks for no disk, in GiB.
const MOST_GIB: u32 = 65_536;

/// What was written on the command line, unchecked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is the flag of its name, told in the command line's help")]
pub struct ClusterFlags {
    pub expose: String,
    pub ingress_class: Option<String>,
    pub gateway: Option<String>,
    pub route_annotations: Vec<String>,
    pub storage_class: Option<String>,
    pub volume_gib: u32,
    pub cluster_domain: String,
    pub cluster_dns: Option<String>,
    pub pull_secrets: Vec<String>,
}

impl Default for ClusterFlags {
    fn default() -> Self {
        let plain = Options::default();
        Self {
            expose: "cluster".into(),
            ingress_class: None,
            gateway: None,
            route_annotations: Vec::new(),
            storage_class: None,
            volume_gib: plain.volume_gib,
            cluster_domain: plain.cluster_domain,
            cluster_dns: None,
            pull_secrets: Vec::new(),
        }
    }
}

/// Checks the flags; a refusal names the one that is wrong.
pub fn options(flags: ClusterFlags) -> Result<Options, FieldError> {
    let name = |flag, text: Option<String>| text.map(|text| check_object_name(flag, &text)).transpose();
    let gateway = flags.gateway.as_deref().map(gateway).transpose()?;
    if gateway.is_some() && flags.ingress_class.is_some() {
        let why = "can't stand beside --app-gateway: a domain is routed by one of them";
        return Err(FieldError::new("--app-ingress-class", why));
    }
    if flags.volume_gib == 0 || MOST_GIB < flags.volume_gib {
        return Err(FieldError::new("--app-volume-gib", format!("must be 1 to {MOST_GIB}")));
    }
    let pull_secrets = flags.pull_secrets.iter().map(|text| check_object_name("--app-pull-secret", text));
    let dns = flags.cluster_dns.as_deref();
    Ok(Options {
        exposure: exposure(&flags.expose)?,
        ingress_class: name("--app-ingress-class", flags.ingress_class)?,
        gateway,
        route_annotations: annotations(&flags.route_annotations)?,
        storage_class: name("--app-storage-class", flags.storage_class)?,
        volume_gib: flags.volume_gib,
        cluster_domain: domain(&flags.cluster_domain)?,
        dns_server: dns
            .map(|text| parsed("--app-cluster-dns", text, "is no address: write e.g. 10.96.0.10"))
            .transpose()?,
        pull_secrets: pull_secrets.collect::<Result<_, _>>()?,
    })
}

fn exposure(text: &str) -> Result<Exposure, FieldError> {
    match text {
        "cluster" => Ok(Exposure::Cluster),
        "node" => Ok(Exposure::Node),
        "load-balancer" => Ok(Exposure::LoadBalancer),
        other => {
            Err(FieldError::new("--app-expose", format!("{other:?} is none of cluster, node, load-balancer")))
        }
    }
}

/// `NAMESPACE/NAME` or `NAMESPACE/NAME/LISTENER`.
fn gateway(text: &str) -> Result<Gateway, FieldError> {
    const FLAG: &str = "--app-gateway";
    let part = |text: &str| check_object_name(FLAG, text);
    match text.split('/').collect::<Vec<_>>()[..] {
        [namespace, name] => Ok(Gateway { namespace: part(namespace)?, name: part(name)?, section: None }),
        [namespace, name, section] => {
            Ok(Gateway { namespace: part(namespace)?, name: part(name)?, section: Some(part(section)?) })
        }
        _ => Err(FieldError::new(FLAG, format!("{text:?} is not NAMESPACE/NAME or NAMESPACE/NAME/LISTENER"))),
    }
}

fn domain(text: &str) -> Result<String, FieldError> {
    let name = DnsName::parse(text, "--app-cluster-domain")?;
    Ok(name.as_str().trim_end_matches('.').to_owned())
}

/// `KEY=VALUE`, the key as Kubernetes takes it: a name, with a DNS prefix or without.
fn annotations(texts: &[String]) -> Result<BTreeMap<String, String>, FieldError> {
    const FLAG: &str = "--app-route-annotation";
    let mut all = BTreeMap::new();
    for text in texts {
        let wrong = |why: &str| FieldError::new(FLAG, format!("{text:?} {why}"));
        let (key, value) = text.split_once('=').ok_or_else(|| wrong("is not KEY=VALUE"))?;
        let (prefix, name) = key.rsplit_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
        if let Some(prefix) = prefix {
            check_object_name(FLAG, prefix)?;
        }
        let inside = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        let ends = |name: &str| {
            let edge = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_alphanumeric());
            edge(name.bytes().next()) && edge(name.bytes().last())
        };
        if 63 < name.len() || !ends(name) || !name.bytes().all(inside) {
            return Err(wrong("has a key that is no annotation's name"));
        }
        if all.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(wrong("stands twice"));
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_said_is_how_every_cluster_has_it() {
        assert_eq!(options(ClusterFlags::default()).unwrap(), Options::default());
    }

    #[test]
    fn each_flag_is_an_option() {
        let flags = ClusterFlags {
            expose: "load-balancer".into(),
            gateway: Some("edge/public/https".into()),
            route_annotations: vec!["cert-manager.io/cluster-issuer=le=1".into()],
            storage_class: Some("fast".into()),
            volume_gib: 7,
            cluster_domain: "k8s.example.".into(),
            cluster_dns: Some("10.0.0.10".into()),
            pull_secrets: vec!["regcred".into()],
            ..ClusterFlags::default()
        };
        let options = options(flags).unwrap();
        assert_eq!(options.exposure, Exposure::LoadBalancer);
        let section = Some("https".to_owned());
        assert_eq!(
            options.gateway,
            Some(Gateway { name: "public".into(), namespace: "edge".into(), section })
        );
        assert_eq!(options.route_annotations["cert-manager.io/cluster-issuer"], "le=1");
        assert_eq!((options.storage_class.as_deref(), options.volume_gib), (Some("fast"), 7));
        assert_eq!(options.cluster_domain, "k8s.example");
        assert_eq!(options.dns_server, Some([10, 0, 0, 10].into()));
        assert_eq!(options.pull_secrets, ["regcred"]);
    }

    #[test]
    fn every_bad_value_is_refused_by_its_flag() {
        #[track_caller]
        fn check(flag: &str, change: impl FnOnce(&mut ClusterFlags)) {
            let mut flags = ClusterFlags::default();
            change(&mut flags);
            assert_eq!(options(flags).unwrap_err().field, flag);
        }
        check("--app-expose", |f| f.expose = "world".into());
        check("--app-ingress-class", |f| f.ingress_class = Some("A b".into()));
        check("--app-ingress-class", |f| {
            (f.ingress_class, f.gateway) = (Some("nginx".into()), Some("a/b".into()));
        });
        check("--app-gateway", |f| f.gateway = Some("public".into()));
        check("--app-gateway", |f| f.gateway = Some("a/b/c/d".into()));
        check("--app-storage-class", |f| f.storage_class = Some(String::new()));
        check("--app-volume-gib", |f| f.volume_gib = 0);
        check("--app-cluster-domain", |f| f.cluster_domain = "a..b".into());
        check("--app-cluster-dns", |f| f.cluster_dns = Some("dns".into()));
        check("--app-pull-secret", |f| f.pull_secrets = vec!["_".into()]);
        check("--app-route-annotation", |f| f.route_annotations = vec!["key".into()]);
        check("--app-route-annotation", |f| f.route_annotations = vec!["a b=c".into()]);
        check("--app-route-annotation", |f| f.route_annotations = vec!["a=b".into(), "a=c".into()]);
    }
}
