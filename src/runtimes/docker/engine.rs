//! The connection to the engine: made when it is first needed, so that an engine that comes late is found, and kept.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::models::ContainerSummary;
use bollard::query_parameters::ListContainersOptionsBuilder;
use bollard::{API_DEFAULT_VERSION, Docker};
use http::HeaderValue;
use tokio::sync::OnceCell;

use super::error::told;
use crate::runtimes::RuntimeError;

/// How long the engine may take to begin an answer.
pub const DEADLINE: Duration = Duration::from_secs(120);
/// The header with a registry's login.
const LOGIN_HEADER: &str = "x-registry-auth";

/// A filter of the engine's lists.
pub type Filter = HashMap<String, Vec<String>>;

/// A connected engine and what it said of itself.
#[derive(Debug, Clone)]
pub struct Engine {
    /// Its API.
    pub docker: Docker,
    /// Its own key for the registry of images that name none.
    pub index: String,
    /// Where it keeps images and volumes.
    pub root: PathBuf,
    /// The host's cores.
    pub cores: i64,
    /// The host's memory, in octets.
    pub memory: i64,
    /// The kernel's table of the host's routes and own addresses.
    pub routes: PathBuf,
}

/// How to come to the engine.
#[derive(Debug)]
pub struct Door {
    socket: String,
    routes: PathBuf,
    engine: OnceCell<Engine>,
}

impl Door {
    /// The engine behind a unix socket, on the host whose kernel tells of itself below `proc`.
    pub fn of(socket: &str, proc: &Path) -> Self {
        let socket = socket.trim_start_matches("unix://").to_owned();
        Self { socket, routes: proc.join("net/fib_trie"), engine: OnceCell::new() }
    }

    /// Where it listens.
    pub fn socket(&self) -> &str {
        &self.socket
    }

    /// The engine, asked for its version and itself the first time.
    pub async fn engine(&self) -> Result<&Engine, RuntimeError> {
        self.engine.get_or_try_init(|| connect(&self.socket, &self.routes)).await
    }
}

async fn connect(socket: &str, routes: &Path) -> Result<Engine, RuntimeError> {
    let what = "connect to the Docker engine";
    let told = |error| told(what, &error);
    let docker = Docker::connect_with_unix(socket, DEADLINE.as_secs(), API_DEFAULT_VERSION).map_err(told)?;
    let docker = docker.with_request_modifier(mend_login).negotiate_version().await.map_err(told)?;
    let info = docker.info().await.map_err(told)?;
    Ok(Engine {
        docker,
        index: info.index_server_address.unwrap_or_default(),
        root: info.docker_root_dir.map(PathBuf::from).unwrap_or_else(|| Path::new("/").to_owned()),
        cores: info.ncpu.unwrap_or_default(),
        memory: info.mem_total.unwrap_or_default(),
        routes: routes.to_owned(),
    })
}

/// The engine reads a login in the URL-safe alphabet only, takes any other for none at all, and pulls without one.
fn mend_login<B>(mut request: http::Request<B>) -> http::Request<B> {
    let value = request.headers().get(LOGIN_HEADER).and_then(|value| value.to_str().ok());
    let mended = value.map(|value| value.replace('+', "-").replace('/', "_"));
    if let Some(mut value) = mended.and_then(|text| HeaderValue::from_str(&text).ok()) {
        value.set_sensitive(true);
        request.headers_mut().insert(LOGIN_HEADER, value);
    }
    request
}

impl Engine {
    /// Containers, running or not, that pass `filter`.
    pub async fn containers(&self, filter: &Filter) -> Result<Vec<ContainerSummary>, RuntimeError> {
        let options = ListContainersOptionsBuilder::new().all(true).filters(filter).build();
        self.docker.list_containers(Some(options)).await.map_err(|error| told("list containers", &error))
    }
}

/// The filter for what carries all these labels.
pub fn by_label(labels: &[String]) -> Filter {
    [("label".to_owned(), labels.to_vec())].into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_sent_in_the_alphabet_that_the_engine_reads() {
        let request = http::Request::builder().header("X-Registry-Auth", "ab+/=").body(()).unwrap();
        let mended = mend_login(request);
        assert_eq!(mended.headers()["X-Registry-Auth"], "ab-_=");
        assert!(mended.headers()["X-Registry-Auth"].is_sensitive());
    }
}
