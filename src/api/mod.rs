//! The types users write: three CRDs, their vocabulary, their conditions. No client, no I/O, no clock.
//!
//! Everything here is spelt as it appears in a manifest; what a value means beyond its spelling is `domain`'s.

pub mod vocab;
pub mod condition;
pub mod node;
pub mod service;
pub mod app;
pub mod crds;
pub mod rbac;

/// API group of all our kinds.
pub const GROUP: &str = "cocoasyncer.io";
/// API version of all our kinds.
pub const VERSION: &str = "v1alpha1";
/// Namespace for what belongs to the operator itself, and for the Secrets of cluster-scoped nodes, unless it was told another
/// (`domain::scope`).
pub const SYSTEM_NAMESPACE: &str = "cocoasyncer-system";

/// Finalizer on a ManagedService: its records are removed before it goes.
pub const RECORDS_FINALIZER: &str = "cocoasyncer.io/records";

/// Finalizer on an App: its containers are removed before it goes.
pub const WORKLOAD_FINALIZER: &str = "cocoasyncer.io/workload";
/// Label on what belongs to an App (Secrets, objects, containers, volumes, networks): the App's name.
pub const APP_LABEL: &str = "cocoasyncer.io/app";
/// Label beside [`APP_LABEL`]: the App's namespace.
pub const APP_NAMESPACE_LABEL: &str = "cocoasyncer.io/app-namespace";
/// Label beside [`APP_LABEL`]: the App's uid. Another App's things under the same name are left alone.
pub const APP_UID_LABEL: &str = "cocoasyncer.io/app-uid";
/// Label beside [`APP_LABEL`] on what outlived its App because its data were to be kept.
pub const KEPT_LABEL: &str = "cocoasyncer.io/kept";
/// Label beside [`APP_LABEL`] on a Secret of the operator's: `choices` (what an install chose) or `revision`.
pub const APP_SECRET_LABEL: &str = "cocoasyncer.io/app-secret";
/// Label on containers and objects: the digest of what they were made from.
pub const DIGEST_LABEL: &str = "cocoasyncer.io/digest";
/// Label on a ConfigMap: it holds an application's template, the label's value its name.
pub const CATALOG_LABEL: &str = "cocoasyncer.io/catalog-app";

/// Label whose value says whence an object came; `leader` marks what a leader pushed to this node.
pub const ORIGIN_LABEL: &str = "cocoasyncer.io/origin";
/// Value of [`ORIGIN_LABEL`] for objects that the leader pushed.
pub const ORIGIN_LEADER: &str = "leader";
/// Value of [`ORIGIN_LABEL`] for objects read from a manifests folder or the old configuration file.
pub const ORIGIN_MANIFESTS: &str = "manifests";
/// Label on a Secret: it holds the account of this DNS platform (`Ali`, ...).
pub const PROVIDER_LABEL: &str = "cocoasyncer.io/platform-provider";
/// Label on a ConfigMap: its data are line tables (`CIDR LINE` a row).
pub const LINE_TABLE_LABEL: &str = "cocoasyncer.io/line-table";

/// Annotation on a ManagedService: releases a held mass change; its value is the plan's digest from the condition.
pub const RELEASE_ANNOTATION: &str = "cocoasyncer.io/release-plan";
/// Value of [`RELEASE_ANNOTATION`] on a service that its leader deletes: the leader's guard has judged already.
pub const RELEASED_BY_LEADER: &str = "leader";
/// Annotation on a ManagedService: `"true"` takes foreign records under its name into our ownership.
pub const ADOPT_ANNOTATION: &str = "cocoasyncer.io/adopt";

/// Key in a node's Secret under which its shared secret lies, unless the reference says otherwise.
pub const NODE_SECRET_KEY: &str = "cocoaSecret";
/// Key in a platform account's Secret: the access key's id.
pub const ACCESS_KEY: &str = "accessKey";
/// Key in a platform account's Secret: the access key's secret.
pub const ACCESS_SECRET: &str = "accessSecret";
/// Key in an Ali account's Secret: where its calls go.
pub const ACCOUNT_ENDPOINT: &str = "endpoint";
/// Key in an Ali account's Secret: how its calls are signed.
pub const ACCOUNT_SIGNATURE: &str = "signature";
/// Key in an RFC2136 account's Secret: its name servers.
pub const ACCOUNT_SERVER: &str = "server";
/// ConfigMap in [`SYSTEM_NAMESPACE`] with the id that marks this installation's records.
pub const OWNER_CONFIG_MAP: &str = "cocoasyncer-owner";
/// Its key for the id.
pub const OWNER_KEY: &str = "id";
