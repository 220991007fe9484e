//! App: a catalogue application under a name the customer chose, on a Docker host or in a cluster.
//!
//! The type stands ahead of its controller so that manifests, validation and the client's tools know it already.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, MicroTime, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An installed (or to be installed) application. Its name is the `customer_app_name` and the `app_id` of the App API.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "cocoasyncer.io",
    version = "v1alpha1",
    kind = "App",
    plural = "apps",
    singular = "app",
    shortname = "capp",
    category = "cocoa",
    namespaced,
    status = "AppStatus",
    doc = "A catalogue application under a name the customer chose, on a Docker host or in a cluster.",
    derive = "PartialEq",
    validation = Rule::new("self.metadata.name.matches('^[0-9a-z]+$')")
        .message("metadata.name is the customer_app_name: digits and lower-case letters only"),
    printcolumn(name = "App", type_ = "string", json_path = ".spec.appName"),
    printcolumn(name = "Version", type_ = "string", json_path = ".spec.appVersion"),
    printcolumn(name = "Status", type_ = "string", json_path = ".status.status"),
    printcolumn(name = "URL", type_ = "string", json_path = ".status.url"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Runtime", type_ = "string", json_path = ".spec.runtime", priority = 1)
)]
#[serde(rename_all = "camelCase")]
pub struct AppSpec {
    /// The catalogue's name of the application, e.g. `wordpress`. Can't be changed.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("appName is immutable: uninstall and install instead"))]
    pub app_name: String,
    /// The version to run, as the catalogue lists it, e.g. `6.4`. Changing it upgrades, with a way back on failure.
    #[schemars(length(min = 1, max = 128))]
    pub app_version: String,
    /// `Running` (default) or `Stopped`.
    #[serde(default)]
    pub power: Power,
    /// Change this time (RFC 3339) to restart the application once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restarted_at: Option<Time>,
    /// Where it runs: `Auto` (default), `Docker` or `Kubernetes`. Can't be changed.
    #[serde(default)]
    #[x_kube(validation = Rule::new("self == oldSelf").message("runtime is immutable: uninstall and install instead"))]
    pub runtime: RuntimeKind,
    /// Values for the template's variables that its author left to the user, e.g. `W9_HTTP_PORT_SET: "9001"`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(length(max = 256))]
    pub variables: BTreeMap<String, String>,
    /// Values for variables that are secret, each from a Secret in this namespace.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(length(max = 64))]
    pub secret_variables: BTreeMap<String, LocalKeyRef>,
    /// Full name under which the application is served, e.g. `blog.example.com`; makes a ManagedService for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253), regex(pattern = r"^([^.\s/@*]{1,63}[.])+[^.\s/@*]{1,63}$"))]
    pub domain: Option<String>,
    /// CPU and memory bounds that replace the template's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// Secret (type kubernetes.io/dockerconfigjson) with the registry's credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_secret_ref: Option<LocalRef>,
    /// Dangerous rights of the template that the owner of this App accepts, by name; the operator's policy must allow them too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub allow: Vec<String>,
    /// How many replaced versions are kept for going back, 0 to 10. Default 1.
    #[serde(default = "default_keep")]
    #[schemars(range(min = 0, max = 10))]
    pub keep_versions: u32,
    /// What goes with this object when it is deleted.
    #[serde(default)]
    pub uninstall: Uninstall,
}

fn default_keep() -> u32 {
    1
}

/// Whether the application should run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Power {
    /// It runs, and comes back when it dies.
    #[default]
    Running,
    /// It is stopped and stays so.
    Stopped,
}

/// What runs the containers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RuntimeKind {
    /// The cluster where there is one, else the Docker engine.
    #[default]
    Auto,
    /// The Docker engine of the operator's host.
    Docker,
    /// The cluster the operator is connected to.
    Kubernetes,
}

/// A Secret in the App's namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LocalRef {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// A key of a Secret in the App's namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LocalKeyRef {
    /// The Secret's name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The key in it.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// Bounds of one application.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Resources {
    /// Cores, as Kubernetes writes quantities: `500m`, `2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[0-9]+([.][0-9]+)?m?$"))]
    pub cpu: Option<String>,
    /// Memory, as Kubernetes writes quantities: `512Mi`, `4Gi`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[0-9]+([.][0-9]+)?(Ki|Mi|Gi|Ti|k|M|G|T)?$"))]
    pub memory: Option<String>,
}

/// What an uninstall takes with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Uninstall {
    /// Removes images that nothing else uses. Default false.
    #[serde(default)]
    pub delete_image: bool,
    /// Removes the application's data. Default true, as the App API has it; false keeps it for a later install.
    #[serde(default = "default_true")]
    pub delete_data: bool,
}

fn default_true() -> bool {
    true
}

impl Default for Uninstall {
    fn default() -> Self {
        Self { delete_image: false, delete_data: true }
    }
}

/// What is known of the application.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct AppStatus {
    /// `00`, `10`, `11`, `12`, `30`, `40` or `50`, as the App API has them.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub status_code: String,
    /// The code's word: `queuing`, `pulling`, `creating`, `initing`, `running`, `stop`, `error`, or a finer one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub status: String,
    /// Since when it is so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// When it came into the queue; kept until its turn is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queued_at: Option<MicroTime>,
    /// The application's display name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Whether the template is of an official catalogue.
    #[serde(default)]
    pub official: bool,
    /// The version that runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running_version: Option<String>,
    /// The number of the revision that runs; each install and upgrade makes one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<i64>,
    /// Revisions that are kept for going back, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub revisions: Vec<Revision>,
    /// The change of version that is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upgrade: Option<Upgrade>,
    /// The change of version that failed last; it is not tried again before the next edit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rolled_back: Option<RolledBack>,
    /// What runs, by service.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<ServiceState>,
    /// The name under which `spec.domain` is served, once its ManagedService is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// The runtime that was chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<RuntimeKind>,
    /// Published ports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<PublishedPort>,
    /// Where people reach it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Where its administrator logs in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin_url: Option<String>,
    /// The administrator's name; the password lies in `credentialsRef`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_name: Option<String>,
    /// The Secret with the generated credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_ref: Option<LocalRef>,
    /// Path of the rendered compose file on the Docker host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compose_file: Option<String>,
    /// What is being done, in numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// Conditions `Valid`, `Ready`, `Progressing` and `Degraded`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// The generation that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

/// A revision: a template as it stood, with a version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Revision {
    /// Its number, from 1.
    pub number: i64,
    /// The version.
    pub app_version: String,
    /// When it began to run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
}

/// A change of version under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Upgrade {
    /// The revision that ran before.
    pub from: i64,
    /// The revision that shall run.
    pub to: i64,
    /// `Pulling`, `Snapshotting`, `Switching`, `Probing` or `RollingBack`.
    pub step: String,
    /// When it began.
    pub since: Time,
}

/// A change of version that failed and was undone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolledBack {
    /// The version that was tried.
    pub app_version: String,
    /// The generation of the spec that asked for it.
    pub generation: i64,
    /// Why it failed.
    pub message: String,
}

/// What runs of one service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceState {
    /// The service.
    pub name: String,
    /// Its image.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub image: String,
    /// `Missing`, `Created`, `Running`, `Restarting`, `Paused`, `Exited`, `Done`, `Dead`, `Pending` or `Ending`.
    pub state: String,
    /// `Starting`, `Healthy` or `Unhealthy`; absent where nothing checks it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<String>,
    /// How often it was restarted.
    #[serde(default)]
    pub restarts: u32,
}

/// A port of the application as the host publishes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PublishedPort {
    /// The template's variable that chose it, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variable: Option<String>,
    /// Port on the host.
    pub host: u16,
    /// Port in the container.
    pub container: u16,
    /// `TCP` or `UDP`.
    pub protocol: String,
}

/// Progress of a pull or an install.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// What is being done, e.g. the image that is pulled.
    pub step: String,
    /// Layers of a pull, those that move.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<Layer>,
    /// Done so far, in the step's unit (bytes for a pull).
    pub done: i64,
    /// Of how much; 0 while unknown.
    pub total: i64,
    /// Position in the queue while it waits, 1 is next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_position: Option<u32>,
}

/// A layer that is being pulled.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Layer {
    /// Its short id.
    pub id: String,
    /// Bytes done.
    pub done: i64,
    /// Of how many; 0 while unknown.
    pub total: i64,
}
