//! A listener with the limits that `axum::serve` lacks: a deadline for a request's head, a bound on connections, an
//! orderly stop. HTTP/1.1 only: telling HTTP/2 apart would wait for a first line without a deadline, and who wants
//! HTTP/2 has a proxy in front.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use futures::FutureExt;
use http::StatusCode;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use crate::http::body::{envelope, json, other};
use crate::telemetry::metrics::http::HttpMetrics;

/// Bounds of one listener.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Most connections at a time; the next waits in the kernel's queue.
    pub max_connections: usize,
    /// Longest wait for a request's head, and so for the next request on a connection that is kept.
    pub head_timeout: Duration,
    /// Longest wait for answers under way when the server stops.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_connections: 1024, head_timeout: Duration::from_secs(15), drain: Duration::from_secs(5) }
    }
}

/// An address can't be listened on.
#[derive(Debug, thiserror::Error)]
#[error("listen on {address}: is the port in use, or the address not this host's")]
pub struct BindError {
    /// Which.
    pub address: SocketAddr,
    /// What the system said.
    #[source]
    pub source: std::io::Error,
}

/// Address of the connection that a request came over, as a request extension.
#[derive(Debug, Clone, Copy)]
pub struct Caller(pub SocketAddr);

/// A listener that does not answer yet.
#[derive(Debug)]
pub struct Bound {
    listener: TcpListener,
    /// Where it listens; the port is the real one where 0 was asked for.
    pub local_addr: SocketAddr,
}

/// Takes an address.
pub async fn bind(address: SocketAddr) -> Result<Bound, BindError> {
    let failed = |source| BindError { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let local_addr = listener.local_addr().map_err(failed)?;
    Ok(Bound { listener, local_addr })
}

impl Bound {
    /// Answers until `shutdown`, then lets answers under way finish.
    pub async fn serve(
        self,
        router: Router,
        metrics: HttpMetrics,
        limits: Limits,
        shutdown: impl Future<Output = ()>,
    ) {
        self.answer(router, metrics, limits, None, shutdown).await;
    }

    /// Answers over TLS until `shutdown`, then lets answers under way finish.
    pub async fn serve_tls(
        self,
        router: Router,
        metrics: HttpMetrics,
        limits: Limits,
        tls: TlsAcceptor,
        shutdown: impl Future<Output = ()>,
    ) {
        self.answer(router, metrics, limits, Some(tls), shutdown).await;
    }

    async fn answer(
        self,
        router: Router,
        metrics: HttpMetrics,
        limits: Limits,
        tls: Option<TlsAcceptor>,
        shutdown: impl Future<Output = ()>,
    ) {
        let graceful = GracefulShutdown::new();
        let permits = Arc::new(Semaphore::new(limits.max_connections));
        let mut connections = tokio::task::JoinSet::new();
        tokio::pin!(shutdown);
        loop {
            let accepted = async {
                let permit = permits.clone().acquire_owned().await.expect("the semaphore is never closed");
                (permit, self.listener.accept().await)
            };
            let (permit, accepted) = tokio::select! {
                () = &mut shutdown => break,
                Some(_) = connections.join_next() => continue,
                accepted = accepted => accepted,
            };
            match accepted {
                Ok((stream, caller)) => {
                    let open = metrics.connection();
                    let (router, tls) = (router.clone(), tls.clone());
                    let (patience, watcher) = (limits.head_timeout, graceful.watcher());
                    connections.spawn(async move {
                        // Waiting for more to send only delays answers, which are whole when they are written.
                        let _ = stream.set_nodelay(true);
                        match tls {
                            None => connection(stream, caller, router, patience, watcher).await,
                            Some(tls) => match tokio::time::timeout(patience, tls.accept(stream)).await {
                                Ok(Ok(stream)) => connection(stream, caller, router, patience, watcher).await,
                                Ok(Err(err)) => {
                                    tracing::debug!(%err, %caller, "no TLS connection came about")
                                }
                                Err(_) => tracing::debug!(%caller, "no TLS connection came about in time"),
                            },
                        }
                        drop((permit, open));
                    });
                }
                Err(err) => {
                    // Out of file descriptors, mostly: closing connections helps, asking again at once does not.
                    tracing::warn!(%err, "accept failed");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
        drop(self.listener);
        let _ = tokio::time::timeout(limits.drain, graceful.shutdown()).await;
        connections.shutdown().await;
    }
}

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    caller: SocketAddr,
    router: Router,
    head_timeout: Duration,
    watcher: Watcher,
) {
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(Caller(caller));
        // By hand and not as a layer: a layer would box every answer's body once more.
        let answer = AssertUnwindSafe(router.clone().oneshot(request.map(Body::new))).catch_unwind();
        async move {
            Ok::<_, Infallible>(
                answer.await.map_or_else(|_| panicked(), |answer| answer.unwrap_or_else(|e| match e {})),
            )
        }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new()).http1_only();
    builder.http1().timer(TokioTimer::new()).header_read_timeout(head_timeout).max_buf_size(64 << 10);
    let serving = builder.serve_connection(TokioIo::new(stream), service).into_owned();
    if let Err(err) = watcher.watch(serving).await {
        tracing::debug!(%err, %caller, "connection ended early");
    }
}

/// A panic is one request's end, not the server's. What it said stays in the log: it might quote anything.
fn panicked() -> Response {
    tracing::error!("a request's handler panicked");
    let status = StatusCode::INTERNAL_SERVER_ERROR;
    json(status, envelope(&other(status, "this is a fault of ours; the log has more")))
}
