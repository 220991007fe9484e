//! The API's OpenAPI document, made from the handlers, and a page that shows it: plain HTML from the binary, without
//! scripts and without anything from elsewhere.

use std::sync::Arc;
use std::time::Instant;

use askama::Template;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde_json::Value;
use utoipa::{OpenApi, ToSchema};

use crate::http::app::doc::Bearer;
use crate::http::body::json;
use crate::http::pages::words::Language;
use crate::http::pages::{STYLE, html, rendered};
use crate::http::state::ApiState;
use crate::http::{admin, app, badge, cluster, pages};
use crate::wire::cluster::{Answer, CocoaBasic, Envelope};

/// Request of `getClusterInfo`.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "it describes what the reader takes apart by hand")]
pub struct InfoRequest {
    /// The node's shared secret.
    cocoa_secret: String,
    /// Between nodes of our kind: answer with this node alone.
    beat_only: Option<bool>,
}

/// Request of `updateClusterInfo`.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "it describes what the reader takes apart by hand")]
pub struct UpdateRequest {
    /// The follower's shared secret.
    cocoa_secret: String,
    /// What the leader knows.
    cocoa_basic: CocoaBasic,
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "CocoaSyncer v1 API",
        description = "Cluster and monitoring API of a CocoaSyncer node, whose calls answer HTTP 200 with the outcome in \
            statusCode; and its App API, whose calls answer 200 or 404 with the reason in Error."
    ),
    paths(
        pages::home,
        badge::badge,
        pages::status,
        admin::api_metrics,
        cluster::get_cluster_info,
        cluster::update_cluster_info,
        app::doc::install,
        app::doc::uninstall,
        app::doc::restart,
        app::doc::start,
        app::doc::stop,
        app::doc::status,
        app::doc::list,
        app::doc::logs,
        app::doc::catalog
    ),
    modifiers(&Bearer),
    components(schemas(InfoRequest, UpdateRequest, Answer, Envelope))
)]
struct Doc;

/// The document and its page, rendered once.
pub(super) struct Published {
    document: Bytes,
    page: Bytes,
}

impl Published {
    pub(super) fn new() -> Self {
        let doc = serde_json::to_value(Doc::openapi()).expect("the document is plain data");
        let document = serde_json::to_vec_pretty(&doc).expect("the document is plain data").into();
        Self { document, page: rendered(&ApiPage::of(&doc)).into() }
    }
}

/// Serves the page.
pub(super) async fn page(State(state): State<Arc<ApiState>>) -> Response {
    let since = Instant::now();
    let response = html(state.published.page.clone(), Language::English);
    state.routes().swagger.answered("200", since.elapsed());
    response
}

/// Serves the document.
pub(super) async fn document(State(state): State<Arc<ApiState>>) -> Response {
    let since = Instant::now();
    let response = json(StatusCode::OK, state.published.document.clone());
    state.routes().swagger.answered("200", since.elapsed());
    response
}

#[derive(Template)]
#[template(path = "openapi.html")]
struct ApiPage {
    style: &'static str,
    title: String,
    description: String,
    version: String,
    operations: Vec<Operation>,
    schemas: Vec<Schema>,
}

struct Operation {
    method: String,
    path: String,
    summary: String,
    description: String,
    request: String,
    responses: Vec<Answered>,
}

struct Answered {
    status: String,
    description: String,
    body: String,
}

struct Schema {
    name: String,
    fields: Vec<Row>,
}

struct Row {
    name: String,
    kind: String,
    description: String,
}

impl ApiPage {
    fn of(doc: &Value) -> Self {
        let operation = |path: &str, method: &str, of: &Value| Operation {
            method: method.to_owned(),
            path: path.to_owned(),
            summary: text(&of["summary"]),
            description: text(&of["description"]),
            request: name(&of["requestBody"]["content"]["application/json"]["schema"]),
            responses: members(&of["responses"])
                .map(|(status, response)| Answered {
                    status: status.clone(),
                    description: text(&response["description"]),
                    body: name(&response["content"]["application/json"]["schema"]),
                })
                .collect(),
        };
        let operations = members(&doc["paths"])
            .flat_map(|(path, methods)| members(methods).map(move |(method, of)| operation(path, method, of)))
            .collect();
        let row = |(name, of): (&String, &Value)| Row {
            name: name.clone(),
            kind: kind(of),
            description: text(&of["description"]),
        };
        let schemas = members(&doc["components"]["schemas"])
            .map(|(name, of)| Schema {
                name: name.clone(),
                fields: members(&of["properties"]).map(row).collect(),
            })
            .collect();
        let info = &doc["info"];
        Self {
            style: STYLE,
            title: text(&info["title"]),
            description: text(&info["description"]),
            version: text(&info["version"]),
            operations,
            schemas,
        }
    }
}

fn members(of: &Value) -> impl Iterator<Item = (&String, &Value)> {
    of.as_object().into_iter().flatten()
}

fn text(of: &Value) -> String {
    of.as_str().unwrap_or_default().to_owned()
}

/// The name of the schema that is referred to.
fn name(of: &Value) -> String {
    of["$ref"].as_str().and_then(|path| path.rsplit('/').next()).unwrap_or_default().to_owned()
}

fn kind(of: &Value) -> String {
    let choice = of["oneOf"].as_array().into_iter().flatten().map(name).find(|name| !name.is_empty());
    match (&of["type"], choice) {
        (_, Some(name)) => name,
        (Value::String(kind), _) if kind == "array" => format!("list of {}", self::kind(&of["items"])),
        (Value::String(kind), _) => kind.clone(),
        (Value::Array(kinds), _) => kinds.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or "),
        _ => name(of),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::app::Action;

    #[test]
    fn the_document_and_its_page_cover_the_app_api() {
        let published = Published::new();
        let doc: Value = serde_json::from_slice(&published.document).unwrap();
        let page = String::from_utf8(published.page.to_vec()).unwrap();
        for action in Action::DOCUMENTED {
            let path = &doc["paths"][action.path()];
            for method in ["get", "post"] {
                let of = &path[method];
                assert!(of["responses"]["200"].is_object(), "{method} {}", action.path());
                assert_eq!(of["security"][0]["bearer"], serde_json::json!([]), "{of}");
            }
            assert!(page.contains(action.path()));
        }
        assert_eq!(doc["paths"]["/AppInstall"]["get"]["parameters"].as_array().map(Vec::len), Some(3));
        for action in [Action::Logs, Action::Catalog] {
            assert!(doc["paths"][action.path()]["get"].is_object());
        }
        assert_eq!(doc["components"]["securitySchemes"]["bearer"]["scheme"], "bearer");
        let schemas = doc["components"]["schemas"].as_object().unwrap();
        for schema in ["AppStatusInfo", "AppDetailInfo", "RunningInfo", "ErrorInfo"] {
            assert!(schemas.contains_key(schema), "{schema} is not among {:?}", schemas.keys());
        }
        assert!(schemas["RunningInfo"]["properties"]["password"].is_object());
    }
}
