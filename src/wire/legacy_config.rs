//! The old program's `config.yaml`, read as leniently as it read it itself (keys in any case, numbers and flags as text
//! too), into objects of ours. Its database settings have no use here and are passed over; no value that may be secret
//! stands in a refusal or a note. PURE.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret as SecretObject;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

use crate::api::node::{AddressSource, CocoaNode, CocoaNodeSpec, Liveness, SecretKeyRef};
use crate::api::service::{ManagedService, ManagedServiceSpec};
use crate::api::vocab::{DeletionPolicy, Line, NetworkType};
use crate::api::{
    ACCESS_KEY, ACCESS_SECRET, NODE_SECRET_KEY, ORIGIN_LABEL, ORIGIN_MANIFESTS, PROVIDER_LABEL,
};
use crate::domain::names::{DnsName, FieldError};
use crate::wire::legacy_config::section::Section;

mod section;

/// Namespace of imported services and their platform accounts.
pub const NAMESPACE: &str = "default";

/// What the old file does not say of this process's own node.
#[derive(Debug, Clone, PartialEq)]
pub struct Own<'a> {
    /// Object name.
    pub name: &'a str,
    /// Namespace of nodes' secrets.
    pub system: &'a str,
    /// Its lines, where the file lists none: the old program kept them in its database.
    pub lines: &'a [Line],
    /// Families it publishes, where the file doesn't say.
    pub network: NetworkType,
    /// Where its public addresses come from: the old program asked a service of its own.
    pub addresses: Option<AddressSource>,
}

/// The old configuration as objects.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Imported {
    /// Namespace of nodes' secrets.
    pub system: String,
    /// Nodes; the first is this process's own.
    pub nodes: Vec<CocoaNode>,
    /// Services.
    pub services: Vec<ManagedService>,
    /// Nodes' secrets and platform accounts.
    pub secrets: Vec<SecretObject>,
    /// Port of the v1 API, where it was named.
    pub api_port: Option<u16>,
    /// Whether a reverse proxy stands in front, where it was said.
    pub reverse_proxy: Option<bool>,
    /// What was passed over, for a person to read.
    pub notes: Vec<String>,
}

/// Reads the file's text. Every refusal names the key.
pub fn import(text: &str, own: &Own<'_>) -> Result<Imported, FieldError> {
    let root: Value = serde_saphyr::from_str(text).map_err(|error| {
        let at = error.location().map(|at| format!(" near line {}, column {}", at.line(), at.column()));
        FieldError::new("config.yaml", format!("is not YAML{}", at.unwrap_or_default()))
    })?;
    let Value::Object(map) = &root else {
        return Err(FieldError::new("config.yaml", "must be a map of settings"));
    };
    let settings = Section { at: String::new(), map };
    let mut all = Imported {
        system: own.system.to_owned(),
        api_port: settings.number("APIPort", 1..=65535)?.and_then(|port| u16::try_from(port).ok()),
        reverse_proxy: settings.flag("ReverseProxy")?,
        ..Imported::default()
    };
    let timeout = settings.number("Timeout", 1..=1440)?;
    let me = settings.required("NodeCode")?;
    let listed = settings.list("OtherCocoaSyncer")?;
    let mine = listed.iter().find(|node| node.text("NodeCode").ok().flatten().as_ref() == Some(&me));
    let mut seats = Seats::default();
    add_node(&mut all, &mut seats, &settings, Some((own, mine)), timeout)?;
    for node in listed.iter().filter(|node| node.text("NodeCode").ok().flatten().as_ref() != Some(&me)) {
        add_node(&mut all, &mut seats, node, None, timeout)?;
    }
    for service in settings.list("CocoaManagedService")? {
        add_service(&mut all, &mut seats, &service)?;
    }
    for platform in settings.list("CloudPlatformInfo")? {
        add_account(&mut all, &platform)?;
    }
    for key in ["DataBaseType", "DSN"] {
        if settings.text(key)?.is_some_and(|text| !text.is_empty()) {
            all.notes
                .push(format!("{key} is passed over: objects live in the control plane, not in a database"));
        }
    }
    Ok(all)
}

type Mine<'a, 'b> = Option<(&'a Own<'a>, Option<&'a Section<'b>>)>;

fn add_node(
    all: &mut Imported,
    seats: &mut Seats,
    from: &Section<'_>,
    mine: Mine<'_, '_>,
    timeout: Option<u32>,
) -> Result<(), FieldError> {
    let code = from.required("NodeCode")?;
    let name = match mine {
        Some((own, _)) => own.name.to_owned(),
        None => slug(&code),
    };
    seats.take(&from.path("NodeCode"), format!("CocoaNode {name}"))?;
    // What the database held of this node itself, if the file lists it, completes the file's own keys.
    let listed = match mine {
        Some((_, listed)) => listed,
        None => Some(from),
    };
    let lines = listed.map(|section| section.lines()).transpose()?.flatten();
    let network = listed.map(|section| section.network()).transpose()?.flatten();
    if lines.is_none() && mine.is_some() {
        all.notes.push(
            "the file names no lines for this node: --lines, or spec.isps of its CocoaNode, says them".into(),
        );
    }
    let secret = from.text("CocoaSecret")?.filter(|secret| !secret.is_empty() && secret != "***");
    let spec = CocoaNodeSpec {
        node_name: from.required("NodeName")?,
        node_code: code,
        node_address: from.address()?,
        work_mode: from.work_mode()?,
        isps: lines.unwrap_or_else(|| mine.map(|(own, _)| own.lines.to_vec()).unwrap_or_default()),
        network_type: network.or(mine.map(|(own, _)| own.network)).unwrap_or_default(),
        secret_ref: secret.as_ref().map(|_| SecretKeyRef { name: name.clone(), namespace: None, key: None }),
        addresses: mine.and_then(|(own, _)| own.addresses.clone()),
        liveness: Liveness { timeout_minutes: timeout.unwrap_or(10), ..Liveness::default() },
        preference: 50,
        drain: None,
        pin: None,
    };
    if let Some(secret) = secret {
        let data = [(NODE_SECRET_KEY, secret)];
        let secret = secret_object(&all.system, &name, &data, &[]);
        all.secrets.push(secret);
    }
    all.nodes.push(CocoaNode { metadata: meta(None, &name, &[]), spec, status: None });
    Ok(())
}

fn add_service(all: &mut Imported, seats: &mut Seats, from: &Section<'_>) -> Result<(), FieldError> {
    let domain = DnsName::parse(&from.required("Domain")?, &from.path("domain"))?;
    let record = from.required("Record")?;
    let full = domain.child(&record, &from.path("record"))?;
    let name = full.as_str().replace("*.", "wildcard.").replace('_', "-");
    seats.take(&from.path("record"), format!("ManagedService {name}"))?;
    let spec = ManagedServiceSpec {
        service_name: from.required("ServiceName")?,
        domain: domain.as_str().to_owned(),
        record,
        platform_provider: from.platform()?,
        account_ref: None,
        ttl: 60,
        nodes: Vec::new(),
        weights: Default::default(),
        deletion_policy: DeletionPolicy::default(),
    };
    all.services.push(ManagedService { metadata: meta(Some(NAMESPACE), &name, &[]), spec, status: None });
    Ok(())
}

fn add_account(all: &mut Imported, from: &Section<'_>) -> Result<(), FieldError> {
    let provider = from.platform()?;
    let data = [(ACCESS_KEY, from.required("AccessKey")?), (ACCESS_SECRET, from.required("AccessSecret")?)];
    let label = [(PROVIDER_LABEL, provider.as_str())];
    let name = format!("platform-{}", provider.as_str().to_ascii_lowercase());
    all.secrets.push(secret_object(NAMESPACE, &name, &data, &label));
    Ok(())
}

/// Names in use, so that two entries never become one object.
#[derive(Default)]
struct Seats(BTreeMap<String, String>);

impl Seats {
    fn take(&mut self, field: &str, object: String) -> Result<(), FieldError> {
        match self.0.insert(object.clone(), field.to_owned()) {
            Some(first) => {
                Err(FieldError::new(field, format!("{first} makes {object} already: each needs its own")))
            }
            None => Ok(()),
        }
    }
}

fn meta(namespace: Option<&str>, name: &str, labels: &[(&str, &str)]) -> ObjectMeta {
    let own = [(ORIGIN_LABEL, ORIGIN_MANIFESTS)];
    let labels =
        own.iter().chain(labels).map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: namespace.map(ToOwned::to_owned),
        labels: Some(labels),
        ..ObjectMeta::default()
    }
}

fn secret_object(
    namespace: &str,
    name: &str,
    data: &[(&str, String)],
    labels: &[(&str, &str)],
) -> SecretObject {
    let bytes = |text: &String| k8s_openapi::ByteString(text.as_bytes().to_vec());
    SecretObject {
        metadata: meta(Some(namespace), name, labels),
        data: Some(data.iter().map(|(key, text)| ((*key).to_owned(), bytes(text))).collect()),
        type_: Some("Opaque".to_owned()),
        ..SecretObject::default()
    }
}

/// A code as an object's name; one without a single usable letter gets a digest of itself, so that names stay apart.
fn slug(code: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let text: String = code.chars().map(plain).take(63).collect();
    match text.trim_matches('-') {
        "" => {
            let digest = ring::digest::digest(&ring::digest::SHA256, code.as_bytes());
            let short: String = digest.as_ref().iter().take(4).map(|byte| format!("{byte:02x}")).collect();
            format!("node-{short}")
        }
        text => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Own<'static> = Own {
        name: "me",
        system: "ops",
        lines: &[Line::Default],
        network: NetworkType::IPV4,
        addresses: None,
    };
    const MINIMAL: &str = "APIPort: 80\nNodeName: Cocoa\nNodeCode: test\nNodeAddress: http://127.0.0.1:44443/\n\
        ReverseProxy: true\nWorkMode: leader\nCocoaSecret: canary-secret\nTimeout: 7\nDataBaseType: mysql\nDSN: canary-dsn\n";

    #[test]
    fn the_file_as_it_is_shipped_becomes_this_node() {
        let all = import(MINIMAL, &OWN).unwrap();
        assert_eq!((all.api_port, all.reverse_proxy), (Some(80), Some(true)));
        let node = &all.nodes[0];
        assert_eq!(node.metadata.name.as_deref(), Some("me"));
        assert_eq!(node.spec.node_address, "http://127.0.0.1:44443");
        assert_eq!(node.spec.isps, [Line::Default]);
        assert_eq!(node.spec.liveness.timeout_minutes, 7);
        let secret = &all.secrets[0];
        assert_eq!(secret.metadata.namespace.as_deref(), Some("ops"));
        assert_eq!(secret.data.as_ref().unwrap()[NODE_SECRET_KEY].0, b"canary-secret");
        assert_eq!(all.notes.len(), 3, "lines, type and place of the database: {:?}", all.notes);
        assert!(!all.notes.join("").contains("canary"));
    }

    #[test]
    fn what_the_flags_say_of_addresses_is_the_own_nodes_alone() {
        let addresses = AddressSource { fixed: Some(vec!["203.0.113.1".into()]), ..AddressSource::default() };
        let more = "othercocoasyncer:\n- {nodeName: O, nodeCode: os1, nodeAddress: 'http://os:1', workMode: follower}\n";
        let own = Own { addresses: Some(addresses.clone()), ..OWN };
        let all = import(&format!("{MINIMAL}{more}"), &own).unwrap();
        assert_eq!((&all.nodes[0].spec.addresses, &all.nodes[1].spec.addresses), (&Some(addresses), &None));
    }

    #[test]
    fn what_the_database_held_may_stand_in_the_file_in_any_case() {
        let more = "othercocoasyncer:\n- {nodeName: Cocoa, nodeCode: test, ISPs: [default, CT], networkType: Both}\n\
            - {nodeName: 大阪, nodeCode: OS_1, nodeAddress: 'http://os:1', workMode: follower, cocoaSecret: 999, ISPs: [None]}\n\
            cocoaManagedService:\n- {serviceName: t, domain: example.com, record: '*', platformProvider: Ali}\n\
            CLOUDPLATFORMINFO:\n- {platformProvider: Ali, accessKey: k, accessSecret: s}\n";
        let all = import(&format!("{MINIMAL}{more}"), &OWN).unwrap();
        assert_eq!(all.nodes[0].spec.isps, [Line::Default, Line::CT]);
        assert_eq!(all.nodes[0].spec.network_type, NetworkType::Both);
        assert_eq!(all.nodes[1].metadata.name.as_deref(), Some("os-1"));
        assert_eq!(all.nodes[1].spec.isps, []);
        assert_eq!(all.services[0].metadata.name.as_deref(), Some("wildcard.example.com"));
        assert_eq!(all.secrets.len(), 3);
        let account = all.secrets[2].metadata.labels.as_ref().unwrap();
        assert_eq!(account[PROVIDER_LABEL], "Ali");
    }

    #[test]
    fn a_refusal_names_the_key_and_no_value_of_a_secret() {
        #[track_caller]
        fn check(change: (&str, &str), field: &str) {
            let text = MINIMAL.replace(change.0, change.1);
            let err = import(&text, &OWN).unwrap_err();
            assert_eq!(err.field, field, "{err}");
            assert!(!err.to_string().contains("canary"), "{err}");
        }
        check(("APIPort: 80", "APIPort: 80000"), "APIPort");
        check(("WorkMode: leader", "WorkMode: boss"), "WorkMode");
        check(("NodeName: Cocoa", "NodeName: ''"), "NodeName");
        check(("NodeCode: test\n", ""), "NodeCode");
        check(("ReverseProxy: true", "ReverseProxy: maybe"), "ReverseProxy");
        check(("Timeout: 7", "Timeout: 0"), "Timeout");
        check(("http://127.0.0.1:44443/", "127.0.0.1:44443"), "NodeAddress");
        check(("CocoaSecret: canary-secret", "CocoaSecret: [canary-secret]"), "CocoaSecret");
        check(("NodeName: Cocoa", "}NodeName: [canary"), "config.yaml");
        check(
            ("Timeout: 7", "CocoaManagedService: [{domain: a.b, record: x, platformProvider: Moon}]"),
            "CocoaManagedService[0].ServiceName",
        );
    }
}
