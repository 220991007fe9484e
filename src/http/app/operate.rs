//! AppUninstall, AppRestart, AppStart, AppStop: a wish each, written into an App that is there.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use serde_json::{Value, json};

use crate::domain::app::instance::AppKey;
use crate::domain::app::phase::Phase;
use crate::domain::app::view::AppView;
use crate::http::app::objects;
use crate::http::app::seeing::find;
use crate::http::app::state::{AppState, is_as_new};
use crate::wire::app::params::Params;
use crate::wire::app::words::Code;
use crate::wire::app::{Action, Failure};

/// Does what `action` asks; answers the id.
pub(super) async fn operate(state: &AppState, action: Action, params: &Params) -> Result<String, Failure> {
    let named = params.app()?;
    let view = state.view();
    let app = find(&view, &named)?;
    match action {
        Action::Uninstall => {
            let uninstall = json!({
                "deleteImage": params.flag("delete_image", false).map_err(|f| f.of(&named.name))?,
                "deleteData": params.flag("delete_data", true).map_err(|f| f.of(&named.name))?,
            });
            remove(state, app, &uninstall).await?;
        }
        Action::Stop => set(state, app, json!({"power": "Stopped"})).await?,
        Action::Restart => {
            // A stopped one is started: whoever restarts wants it to run.
            let now = Time(Timestamp::now());
            set(state, app, json!({"power": "Running", "restartedAt": now})).await?;
        }
        _ => set(state, app, json!({"power": "Running"})).await?,
    }
    Ok(named.name)
}

async fn set(state: &AppState, app: &AppView, spec: Value) -> Result<(), Failure> {
    let key = &app.key;
    if app.phase == Phase::Uninstalling {
        let why = format!("app_id: {} is being uninstalled", key.name);
        return Err(Failure::new(Code::AppIdNotExist, why).of(&key.name));
    }
    let patched = objects::patch(&state.client, key, &json!({ "spec": spec })).await;
    let written = patched.map_err(|error| error.told(key))?.resource_version().unwrap_or_default();
    state.caught_up(|view| view.get(&key.name).is_none_or(|app| is_as_new(app, &written))).await;
    Ok(())
}

/// First what goes with it, then the object: whoever clears up finds the flags as they were wished. A second call while
/// it goes changes nothing: half of the data may be gone already.
async fn remove(state: &AppState, app: &AppView, uninstall: &Value) -> Result<(), Failure> {
    let AppView { key, phase, .. } = app;
    if *phase == Phase::Uninstalling {
        return Ok(());
    }
    let told = |error: objects::WriteError, key: &AppKey| error.told(key);
    let flags = json!({ "spec": { "uninstall": uninstall } });
    let patched = objects::patch(&state.client, key, &flags).await.map_err(|error| told(error, key))?;
    let left = match objects::delete(&state.client, key, &patched).await {
        Ok(left) => left,
        // Somebody else's deletion was quicker.
        Err(objects::WriteError::Gone) => None,
        Err(error) => return Err(told(error, key)),
    };
    let (uid, written) = (patched.uid().unwrap_or_default(), left.and_then(|left| left.resource_version()));
    state
        .caught_up(|view| {
            let there = view.get(&key.name).filter(|app| app.uid == uid);
            there.is_none_or(|app| written.as_deref().is_some_and(|written| is_as_new(app, written)))
        })
        .await;
    Ok(())
}
