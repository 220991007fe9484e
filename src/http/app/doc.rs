//! The App API's part of the OpenAPI document. One handler serves all actions, so what is told of each stands here, on
//! functions that nobody calls.

#![allow(dead_code, reason = "they describe what one handler does for all actions")]

use utoipa::openapi::OpenApi as Document;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{IntoParams, IntoResponses, Modify};

use crate::wire::app::{AppAnswer, AppDetailInfo, AppId, AppStatusInfo, CatalogEntry, LogEntry};

/// Parameters of AppInstall.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
struct InstallQuery {
    /// The catalogue's name of the application.
    app_name: String,
    /// Digits and lower-case letters, at most 63; it becomes the app_id.
    customer_app_name: String,
    /// One of the versions that the catalogue lists.
    app_version: String,
}

/// Parameters of AppUninstall.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
struct UninstallQuery {
    /// The application; the older form `<app_name>_<customer_app_name>` is understood.
    app_id: String,
    /// Removes images that nothing else uses. Default false.
    delete_image: Option<bool>,
    /// Removes the application's data. Default true.
    delete_data: Option<bool>,
}

/// Parameters of all actions on one application.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
struct IdQuery {
    /// The application; the older form `<app_name>_<customer_app_name>` is understood.
    app_id: String,
}

/// Parameters of AppList.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// Only this one.
    customer_app_name: Option<String>,
}

/// Parameters of a log.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
struct LogQuery {
    /// Only this service's lines.
    service: Option<String>,
    /// How many, 1 to 5000. Default 200.
    lines: Option<u32>,
}

/// Why a call did nothing.
#[derive(IntoResponses)]
enum Refused {
    /// Who calls is not known.
    #[response(status = 401, description = "no token, or a wrong one")]
    Stranger,
    /// Who calls may not do this.
    #[response(status = 403, description = "the token may only read")]
    Reader,
    /// It can't be done.
    #[response(status = 404, description = "it failed; Error says why")]
    Failed,
}

/// Says how a token is sent.
pub struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut Document) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(scheme));
    }
}

/// Install an application.
#[utoipa::path(method(get, post), path = "/AppInstall", operation_id = "AppInstall", tag = "App API", summary = "Install an application",
    description = "Also under /v1/ and /apps/; parameters in the query string or, with POST, as JSON or a form. Returns once the wish is recorded; AppStatus tells how far it is. Codes: Param.AppName.Blank, Param.AppName.NotExis, Param.CustomerAppName.Blank, Param.CustomerAppName.FormatError, Param.CustomerAppName.Repeat, Param.CustomerAppName.Wait, Param.AppVersion.Blank, Param.AppVersion.NotExist, Requirement.NotEnough.",
    params(InstallQuery), security(("bearer" = [])),
    responses(
        (status = 200, description = "done", body = AppAnswer<AppId>),
        Refused
    ))]
pub fn install() {}

/// Uninstall an application.
#[utoipa::path(method(get, post), path = "/AppUninstall", operation_id = "AppUninstall", tag = "App API", summary = "Uninstall an application",
    description = "Also under /v1/ and /apps/; parameters in the query string or, with POST, as JSON or a form. Returns once the wish is recorded. Codes: Param.APPID.Blank, Param.APPID.FormatError, Param.APPID.NotExist.",
    params(UninstallQuery), security(("bearer" = [])),
    responses(
        (status = 200, description = "done", body = AppAnswer<AppId>),
        Refused
    ))]
pub fn uninstall() {}

/// Restart an application.
#[utoipa::path(method(get, post), path = "/AppRestart", operation_id = "AppRestart", tag = "App API", summary = "Restart an application",
    description = "Also under /v1/ and /apps/; parameters in the query string or, with POST, as JSON or a form. A stopped one is started. Codes as of AppUninstall.",
    params(IdQuery), security(("bearer" = [])),
    responses(
        (status = 200, description = "done", body = AppAnswer<AppId>),
        Refused
    ))]
pub fn restart() {}

/// Start an application.
#[utoipa::path(method(get, post), path = "/AppStart", operation_id = "AppStart", tag = "App API", summary = "Start an application",
    description = "Also under /v1/ and /apps/; parameters in the query string or, with POST, as JSON or a form. Codes as of AppUninstall.",
    params(IdQuery), security(("bearer" = [])),
    responses(
        (status = 200, description = "done", body = AppAnswer<AppId>),
        Refused
    ))]
pub fn start() {}

/// Stop an application.
#[utoipa::path(method(get, post), path = "/AppStop", operation_id = "AppStop", tag = "App API", summary = "Stop an application",
    description = "Also under /v1/ and /apps/; parameters in the query string or, with POST, as JSON or a form. It stays stopped until it is started. Codes as of AppUninstall.",
    params(IdQuery), security(("bearer" = [])),
    responses(
        (status = 200, description = "done", body = AppAnswer<AppId>),
        Refused
    ))]
pub fn stop() {}

/// How far an application is.
#[utoipa::path(method(get, post), path = "/AppStatus", operation_id = "AppStatus", tag = "App API", summary = "How far an application is",
    description = "Also under /v1/ and /apps/; parameters in the query string or, with POST, as JSON or a form. Codes as of AppUninstall.",
    params(IdQuery), security(("bearer" = [])),
    responses(
        (status = 200, description = "done", body = AppAnswer<AppStatusInfo>),
        Refused
    ))]
pub fn status() {}

/// All applications.
#[utoipa::path(method(get, post), path = "/AppList", operation_id = "AppList", tag = "App API", summary = "All applications",
    description = "Also under /v1/ and /apps/; parameters in the query string or, with POST, as JSON or a form. Code: Param.CustomerAppName.FormatError.",
    params(ListQuery), security(("bearer" = [])),
    responses(
        (status = 200, description = "done", body = AppAnswer<Vec<AppDetailInfo>>),
        Refused
    ))]
pub fn list() {}

/// An application's last words.
#[utoipa::path(get, path = "/apps/{app_id}/logs", operation_id = "AppLogs", tag = "App API",
    summary = "The last lines of an application's log",
    description = "Beyond the published document. Secrets read ***; needs a token that may operate.",
    params(("app_id" = String, Path, description = "The application"), LogQuery), security(("bearer" = [])),
    responses(
        (status = 200, description = "done", body = AppAnswer<Vec<LogEntry>>),
        Refused
    ))]
pub fn logs() {}

/// What can be installed.
#[utoipa::path(get, path = "/apps/catalog", operation_id = "AppCatalog", tag = "App API", summary = "What can be installed",
    description = "Beyond the published document: the catalogue as it stands now, in the order of the names.",
    security(("bearer" = [])),
    responses(
        (status = 200, description = "done", body = AppAnswer<Vec<CatalogEntry>>),
        Refused
    ))]
pub fn catalog() {}
