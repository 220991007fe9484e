//! App objects as the App API writes them: made, patched, deleted, in the words of its codes where that fails.

use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Client, ResourceExt};
use serde_json::Value;

use crate::api::app::App;
use crate::domain::app::instance::AppKey;
use crate::telemetry::chain::Chain;
use crate::wire::app::Failure;
use crate::wire::app::words::Code;

/// Whose fields they are.
const FIELD_MANAGER: &str = "cocoasyncer-app-api";

/// Why an App was not written.
pub(super) enum WriteError {
    /// There is one of that name.
    Exists,
    /// There is none.
    Gone,
    /// Anything else.
    Failed(Failure),
}

impl WriteError {
    fn of(error: kube::Error, key: &AppKey) -> Self {
        match error {
            kube::Error::Api(status) if status.reason == "AlreadyExists" => WriteError::Exists,
            kube::Error::Api(status) if status.reason == "NotFound" && status.message.contains(&key.name) => {
                WriteError::Gone
            }
            // What it says of an App may be repeated: no secret stands there.
            kube::Error::Api(status) if matches!(status.code, 400 | 422) => {
                WriteError::Failed(Failure::new(Code::ValueError, status.message).of(&key.name))
            }
            error => {
                tracing::warn!(app = %key, error = %Chain(&error), "the App API could not write an App");
                let why = match &error {
                    kube::Error::Api(status) => status.message.clone(),
                    _ => "the control plane gives no answer".to_owned(),
                };
                WriteError::Failed(Failure::new(Code::SystemError, why).of(&key.name))
            }
        }
    }

    /// The failure that a caller is told.
    pub(super) fn told(self, key: &AppKey) -> Failure {
        match self {
            WriteError::Failed(failure) => failure,
            WriteError::Gone => {
                Failure::new(Code::AppIdNotExist, format!("app_id: there is no app {}", key.name))
                    .of(&key.name)
            }
            WriteError::Exists => {
                let why = format!("customer_app_name: {} is installed already", key.name);
                Failure::new(Code::CustomerAppNameRepeat, why).of(&key.name)
            }
        }
    }
}

fn api(client: &Client, key: &AppKey) -> Api<App> {
    Api::namespaced(client.clone(), &key.namespace)
}

/// Makes `app`.
pub(super) async fn create(client: &Client, key: &AppKey, app: &App) -> Result<App, WriteError> {
    let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
    api(client, key).create(&params, app).await.map_err(|error| WriteError::of(error, key))
}

/// Changes the fields that stand in `patch`.
pub(super) async fn patch(client: &Client, key: &AppKey, patch: &Value) -> Result<App, WriteError> {
    let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    let patched = api(client, key).patch(&key.name, &params, &Patch::Merge(patch)).await;
    patched.map_err(|error| WriteError::of(error, key))
}

/// Deletes `app` itself, and not another that came under its name since. Answers what is left of it while somebody still
/// clears up.
pub(super) async fn delete(client: &Client, key: &AppKey, app: &App) -> Result<Option<App>, WriteError> {
    let preconditions = Preconditions { uid: app.uid(), resource_version: None };
    let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
    let deleted = api(client, key).delete(&key.name, &params).await;
    deleted.map(|left| left.left()).map_err(|error| WriteError::of(error, key))
}
