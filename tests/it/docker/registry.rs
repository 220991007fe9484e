//! A registry of images on the loopback address, where an engine needs no TLS: one good image, one for a login, one that
//! is broken, one whose layer never comes to its end and one whose layer waits until it is released.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, digest};
use serde_json::json;
use tokio::sync::watch;

/// The login that the image `locked` wants. Its octets need both letters in which the alphabets of base64 differ.
pub const LOGIN: (&str, &str) = ("u", "~~~???>>>");

const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// A registry that serves while it lives.
pub struct Registry {
    pub at: SocketAddr,
    /// How many layers are being poured out without an end.
    pub pouring: watch::Receiver<usize>,
    images: Arc<Images>,
    serving: tokio::task::JoinHandle<()>,
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

struct Images {
    layers: Vec<Vec<u8>>,
    /// Whether it asks everybody for a login.
    asks: bool,
    /// Whether the image `slow` goes on.
    open: watch::Sender<bool>,
    config: Vec<u8>,
    manifest: Vec<u8>,
    pouring: watch::Sender<usize>,
}

impl Registry {
    /// A registry whose image no engine has yet, for `name` stands in its layer.
    pub async fn start(name: &str) -> Self {
        Self::over(Vec::new(), name).await
    }

    /// The same with archives below that layer; where there are some it asks nobody for a login.
    pub async fn over(mut layers: Vec<Vec<u8>>, name: &str) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let asks = layers.is_empty();
        layers.push(tar("file", name.repeat(50_000).as_bytes()));
        let sums: Vec<String> = layers.iter().map(|layer| sum(layer)).collect();
        let config = json!({
            "architecture": "amd64", "os": "linux", "config": { "Cmd": ["sh"] },
            "rootfs": { "type": "layers", "diff_ids": sums },
        });
        let config = config.to_string().into_bytes();
        let layer = |layer: &Vec<u8>| {
            let kind = "application/vnd.docker.image.rootfs.diff.tar.gzip";
            json!({ "mediaType": kind, "size": layer.len(), "digest": sum(layer) })
        };
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": { "mediaType": "application/vnd.docker.container.image.v1+json", "size": config.len(), "digest": sum(&config) },
            "layers": layers.iter().map(layer).collect::<Vec<_>>(),
        });
        let (sender, pouring) = watch::channel(0);
        let (open, manifest) = (watch::Sender::new(false), manifest.to_string().into_bytes());
        let images = Arc::new(Images { layers, asks, open, config, manifest, pouring: sender });
        let app = Router::new()
            .route("/v2/", get(ping))
            .route("/v2/{image}/manifests/{reference}", get(manifests))
            .route("/v2/{image}/blobs/{digest}", get(blobs))
            .with_state(images.clone());
        let serving = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { at, pouring, images, serving }
    }

    /// From now on the image `slow` comes as fast as others.
    pub fn release(&self) {
        self.images.open.send_replace(true);
    }

    /// From now on `slow` waits again.
    pub fn holds(&self) {
        self.images.open.send_replace(false);
    }

    /// An image of this registry.
    pub fn image(&self, name: &str) -> String {
        format!("{}/{name}:1", self.at)
    }
}

fn sum(bytes: &[u8]) -> String {
    let hex: String = digest(&SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// An archive of one file.
fn tar(name: &str, content: &[u8]) -> Vec<u8> {
    let mut head = vec![0; 512];
    let mut put = |at: usize, text: &str| head[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, "0000644\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    put(124, &format!("{:011o}\0", content.len()));
    put(136, "00000000000\0");
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\x0000");
    let check: u32 = head.iter().map(|byte| u32::from(*byte)).sum();
    head[148..156].copy_from_slice(format!("{check:06o}\0 ").as_bytes());
    let mut all = head;
    all.extend_from_slice(content);
    all.resize(all.len().next_multiple_of(512) + 1024, 0);
    all
}

/// All is locked to who comes with a wrong login, and `locked` to who comes without.
fn is_let_in(headers: &HeaderMap, image: &str) -> bool {
    let login = format!("Basic {}", STANDARD.encode(format!("{}:{}", LOGIN.0, LOGIN.1)));
    match headers.get(header::AUTHORIZATION) {
        Some(given) => given.as_bytes() == login.as_bytes(),
        None => image != "locked",
    }
}

fn locked() -> Response {
    let error = json!({ "errors": [{ "code": "UNAUTHORIZED", "message": "authentication required" }] });
    let headers = [(header::WWW_AUTHENTICATE, "Basic realm=\"test\"")];
    (StatusCode::UNAUTHORIZED, headers, error.to_string()).into_response()
}

async fn ping(State(images): State<Arc<Images>>, headers: HeaderMap) -> Response {
    if !images.asks {
        return StatusCode::OK.into_response();
    }
    // The engine learns here how logins are given.
    match headers.contains_key(header::AUTHORIZATION) {
        true if !is_let_in(&headers, "") => locked(),
        true => StatusCode::OK.into_response(),
        false => locked(),
    }
}

async fn manifests(
    State(images): State<Arc<Images>>,
    Path((image, _)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    if !is_let_in(&headers, &image) {
        return locked();
    }
    match image.as_str() {
        "good" | "locked" | "endless" | "slow" => {
            let headers = [(header::CONTENT_TYPE, MANIFEST.to_owned())];
            (headers, [("Docker-Content-Digest", sum(&images.manifest))], images.manifest.clone())
                .into_response()
        }
        "broken" => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        _ => {
            let error = json!({ "errors": [{ "code": "MANIFEST_UNKNOWN", "message": "manifest unknown" }] });
            (StatusCode::NOT_FOUND, error.to_string()).into_response()
        }
    }
}

async fn blobs(
    State(images): State<Arc<Images>>,
    Path((image, wanted)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    if !is_let_in(&headers, &image) {
        return locked();
    }
    if wanted == sum(&images.config) {
        return images.config.clone().into_response();
    }
    let place = images.layers.iter().position(|layer| sum(layer) == wanted);
    let Some(place) = place else { return StatusCode::NOT_FOUND.into_response() };
    let last = place + 1 == images.layers.len();
    if image == "slow" && last {
        return slowly(images, place);
    }
    if image != "endless" || !last {
        return images.layers[place].clone().into_response();
    }
    let end = Pouring::begin(&images);
    // It drips: an engine notices that nobody listens any more when it has something to write.
    let tick = tokio::time::interval(std::time::Duration::from_millis(20));
    let drips = futures::stream::unfold((tick, end), async |(mut tick, end)| {
        tick.tick().await;
        Some((Ok::<_, std::io::Error>(b"drip".to_vec()), (tick, end)))
    });
    let length = [(header::CONTENT_LENGTH, 1_u64 << 30)];
    (length, Body::from_stream(drips)).into_response()
}

/// A beginning, and the rest when the registry is released.
fn slowly(images: Arc<Images>, place: usize) -> Response {
    let length = [(header::CONTENT_LENGTH, images.layers[place].len())];
    let (end, mut open) = (Pouring::begin(&images), images.open.subscribe());
    let first = images.layers[place][..512].to_vec();
    let rest = async move {
        let _ = open.wait_for(|open| *open).await;
        Ok(end.0.layers[place][512..].to_vec())
    };
    let first = futures::stream::iter([Ok::<_, std::io::Error>(first)]);
    (length, Body::from_stream(futures::StreamExt::chain(first, futures::stream::once(rest)))).into_response()
}

struct Pouring(Arc<Images>);

impl Pouring {
    fn begin(images: &Arc<Images>) -> Self {
        images.pouring.send_modify(|count| *count += 1);
        Self(images.clone())
    }
}

impl Drop for Pouring {
    fn drop(&mut self) {
        self.0.pouring.send_modify(|count| *count -= 1);
    }
}
