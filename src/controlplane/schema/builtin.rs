//! The shapes of the built-in kinds, from the schemas that come with the Kubernetes types.
//!
//! PURE. Generated on first use and then kept without their prose; the prose is generated again when
//! somebody asks for the OpenAPI document, for it is several megabytes that nothing else needs.

use std::collections::BTreeMap;

use k8s_openapi::api::admissionregistration::v1 as admission;
use k8s_openapi::api::{
    apps::v1 as apps, batch::v1 as batch, coordination::v1 as coordination, core::v1 as core,
};
use k8s_openapi::api::{discovery::v1 as discovery, events::v1 as events, networking::v1 as networking};
use k8s_openapi::api::{policy::v1 as policy, rbac::v1 as rbac, storage::v1 as storage};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1 as apiextensions;
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::Value;

use super::merge_keys::{ATOMIC, ATOMIC_FIELDS, KEY_DEFAULTS, LISTS, PATCH_ONLY, RETAIN_KEYS, short};
use super::node::{Kind, ListKind, Node, Reader, Rest, Shape};

/// Name of the definition of every object's metadata.
pub(crate) const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/// A root schema with the definitions that it names, prose included.
pub(crate) struct Described {
    /// A reference into `definitions`.
    pub(crate) root: Value,
    pub(crate) definitions: BTreeMap<String, Value>,
}

/// The schema of a built-in kind; none for kinds that are not carried here.
pub(crate) fn describe(group: &str, version: &str, kind: &str) -> Option<Described> {
    let mut generator = generator();
    let root = generate(&mut generator, group, version, kind)?;
    Some(described(root, generator))
}

/// The schema of `ObjectMeta`, for kinds that do not bring one.
pub(crate) fn describe_metadata() -> Described {
    let mut generator = generator();
    let root = generator.subschema_for::<meta::ObjectMeta>();
    described(root, generator)
}

/// The shape of a built-in kind; an unknown kind keeps everything.
pub(crate) fn shape(group: &str, version: &str, kind: &str) -> Shape {
    let (root, described) = match describe(group, version, kind) {
        Some(described) => (Reader::default().node(&described.root, 0), described),
        None => {
            let described = describe_metadata();
            let metadata = Reader::default().node(&described.root, 0);
            let fields = BTreeMap::from([("metadata".to_owned(), metadata)]);
            (Node { kind: Kind::Object, rest: Rest::Open, fields, ..Node::default() }, described)
        }
    };
    Shape { root, definitions: definitions(described.definitions), builtin: true }
}

/// Compiles definitions and adds what their schemas do not say.
pub(crate) fn definitions(described: BTreeMap<String, Value>) -> BTreeMap<String, Node> {
    let mut reader = Reader::default();
    let compile = |(name, schema): (String, Value)| {
        let mut node = reader.node(&schema, 0);
        complete(short(&name), &schema, &mut node);
        (name, node)
    };
    described.into_iter().map(compile).collect()
}

/// Takes the definitions out, with the marks that kubectl reads when it builds a strategic merge patch.
fn described(root: schemars::Schema, mut generator: SchemaGenerator) -> Described {
    let mut definitions: BTreeMap<String, Value> = generator.take_definitions(false).into_iter().collect();
    for (name, schema) in &mut definitions {
        let fields = schema.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten();
        for (field, schema) in fields {
            let here = (short(name), field.as_str());
            let listed = LISTS.iter().find(|listed| listed.at == here).map(|listed| listed.patch);
            let key = listed.or_else(|| PATCH_ONLY.iter().find(|(at, _)| *at == here).map(|(_, key)| *key));
            let strategies = [("merge", key.is_some()), ("retainKeys", RETAIN_KEYS.contains(&here))];
            let strategy: Vec<&str> =
                strategies.iter().filter(|(_, set)| *set).map(|(name, _)| *name).collect();
            let Some(schema) = schema.as_object_mut().filter(|_| !strategy.is_empty()) else { continue };
            schema.insert("x-kubernetes-patch-strategy".to_owned(), Value::from(strategy.join(",")));
            if let Some(key) = key.filter(|key| !key.is_empty()) {
                schema.insert("x-kubernetes-patch-merge-key".to_owned(), Value::from(key));
            }
        }
    }
    Described { root: root.into(), definitions }
}

fn generator() -> SchemaGenerator {
    let settings = SchemaSettings::default().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
        settings.transforms.clear();
    });
    settings.into_generator()
}

fn generate(to: &mut SchemaGenerator, group: &str, version: &str, kind: &str) -> Option<schemars::Schema> {
    macro_rules! table {
        ($($group:literal: $($module:ident::$kind:ident)*;)*) => {
            match (group, kind) {
                $($(($group, stringify!($kind)) => to.subschema_for::<$module::$kind>(),)*)*
                _ => return None,
            }
        };
    }
    if version != "v1" {
        return None;
    }
    Some(table! {
        "": core::Namespace core::Secret core::ConfigMap core::Event core::ServiceAccount core::Service core::Pod
            core::PersistentVolumeClaim core::PersistentVolume core::Node core::Endpoints;
        "events.k8s.io": events::Event;
        "coordination.k8s.io": coordination::Lease;
        "discovery.k8s.io": discovery::EndpointSlice;
        "apps": apps::Deployment apps::ReplicaSet apps::StatefulSet apps::DaemonSet;
        "batch": batch::Job batch::CronJob;
        "networking.k8s.io": networking::Ingress networking::IngressClass networking::NetworkPolicy;
        "rbac.authorization.k8s.io": rbac::Role rbac::RoleBinding rbac::ClusterRole rbac::ClusterRoleBinding;
        "policy": policy::PodDisruptionBudget;
        "storage.k8s.io": storage::StorageClass;
        "apiextensions.k8s.io": apiextensions::CustomResourceDefinition;
        "admissionregistration.k8s.io": admission::ValidatingWebhookConfiguration
            admission::MutatingWebhookConfiguration admission::ValidatingAdmissionPolicy
            admission::ValidatingAdmissionPolicyBinding;
    })
}

fn complete(name: &str, schema: &Value, node: &mut Node) {
    open_where_silent(schema, node);
    if name == "JSON" || name.starts_with("JSONSchemaPropsOr") {
        // Any JSON at all; the schema says "object" because it cannot say that.
        *node = Node { rest: Rest::Open, ..Node::default() };
    }
    node.atomic = node.atomic || ATOMIC.contains(&name);
    // The real server asks neither for a kind's metadata here nor for anything in a status.
    let status = name.ends_with("Status");
    let checks = node.checks.as_mut();
    checks.into_iter().for_each(|checks| checks.required.retain(|field| !status && field != "metadata"));
    for (field, child) in &mut node.fields {
        let here = (name, field.as_str());
        if let Some(listed) = LISTS.iter().find(|listed| listed.at == here) {
            child.list = match listed.keys {
                [] => ListKind::Set,
                keys => ListKind::Map(keys.iter().map(|key| (*key).to_owned()).collect()),
            };
            child.merge_key = Some(listed.patch);
        }
        if let Some((_, key)) = PATCH_ONLY.iter().find(|(at, _)| *at == here) {
            child.merge_key = Some(key);
        }
        if let Some((_, value)) = KEY_DEFAULTS.iter().find(|(at, _)| *at == here) {
            child.default = Some(Value::from(*value));
        }
        child.atomic = child.atomic || ATOMIC_FIELDS.contains(&here);
    }
}

/// An object that names no fields holds anything (`FieldsV1`, `RawExtension`).
fn open_where_silent(schema: &Value, node: &mut Node) {
    let object = schema.get("type").and_then(Value::as_str) == Some("object");
    if object && schema.get("properties").is_none() && schema.get("additionalProperties").is_none() {
        node.rest = Rest::Open;
    }
}
