//! AppStatus, AppList and logs: what the view shows, and what the runtime's log says. Nothing is changed.

use axum::body::Bytes;

use crate::domain::app::view::{AppView, AppsView};
use crate::http::app::state::AppState;
use crate::http::auth::Scope;
use crate::wire::app::params::{Named, Params, customer_name};
use crate::wire::app::words::Code;
use crate::wire::app::{Action, Failure, catalog, done, list, log, status};
use crate::wire::render::Reveal;

/// Answers a caller with this scope.
pub(super) async fn answer(
    state: &AppState,
    action: Action,
    params: &Params,
    scope: Scope,
) -> Result<Bytes, Failure> {
    match action {
        Action::List => {
            let reveal = match scope {
                Scope::Read => Reveal::Masked,
                Scope::Operate => Reveal::Credentials,
            };
            match params.optional("customer_app_name") {
                None => Ok(state.list(reveal)),
                Some(name) => Ok(list(&state.view(), Some(customer_name(name)?), reveal)),
            }
        }
        Action::Logs => logs(state, params).await,
        Action::Catalog => {
            let offers = state.library.all();
            Ok(catalog(offers.values().map(|offer| (&offer.checked, offer.official))))
        }
        _ => Ok(done(status(find(&state.view(), &params.app()?)?))),
    }
}

/// The application that a caller means.
pub(super) fn find<'a>(view: &'a AppsView, named: &Named) -> Result<&'a AppView, Failure> {
    let is_it = |app: &&AppView| named.app_name.as_ref().is_none_or(|name| app.app_name == *name);
    view.get(&named.name).filter(is_it).ok_or_else(|| {
        Failure::new(Code::AppIdNotExist, format!("app_id: there is no app {}", named.name)).of(&named.name)
    })
}

async fn logs(state: &AppState, params: &Params) -> Result<Bytes, Failure> {
    let view = state.view();
    let app = find(&view, &params.app()?)?;
    let lines = params.lines()?;
    let service = params.optional("service").map(str::to_owned);
    let Some(logs) = &state.senses.logs else {
        return Err(Failure::new(Code::SystemError, "no runtime is connected that has logs"));
    };
    if app.masks.is_empty() {
        return Err(Failure::new(Code::SystemError, "its secrets are not known yet: ask again in a moment"));
    }
    let read = logs(app.key.clone(), service, lines).await;
    Ok(log(app, read.map_err(|why| Failure::new(Code::SystemError, why))?))
}
