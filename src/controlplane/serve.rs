//! The plane on a socket, for `kubectl`: TLS from its own authority, one token, bounded in connections and patience.

use std::{convert::Infallible, future::Future, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use http::{Request, header};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
};
use jiff::Timestamp;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_rustls::TlsAcceptor;
use tower::Service;
use zeroize::Zeroizing;

use super::{
    credentials::{Credentials, CredentialsError, SERVER_SPARE_DAYS, names, write_private},
    engine::Engine,
    service::{ApiService, Identity},
};
use crate::pki::{self, Rotating};

/// Connections at one time; more wait in the listener's queue.
const CONNECTIONS: usize = 512;
/// How long a client may take for its handshake, and for the headers of a request.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long open requests get when the server stops.
const DRAIN: Duration = Duration::from_secs(3);
/// How often the certificate's age is looked at.
const ROTATE: Duration = Duration::from_secs(12 * 3600);

/// Why the plane is not on a socket.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Something else listens there.
    #[error("the address {addr} is in use; stop what listens there or choose another address")]
    InUse {
        /// The address.
        addr: SocketAddr,
    },
    /// The operating system refused.
    #[error("cannot listen on {addr}")]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// There is no certificate to serve with.
    #[error("cannot make a certificate for {addr}")]
    Certificate {
        /// The address.
        addr: SocketAddr,
        /// Why.
        #[source]
        source: CredentialsError,
    },
    /// TLS cannot be set up.
    #[error("cannot set up TLS")]
    Tls(#[source] rustls::Error),
}

/// The plane, listening and not yet serving.
pub struct Bound {
    engine: Arc<Engine>,
    credentials: Arc<Credentials>,
    listener: TcpListener,
    addr: SocketAddr,
    names: Vec<String>,
    expires: i64,
    /// Hears when the certificate in use ends.
    hears: Box<dyn Fn(i64) + Send + Sync>,
    rotating: Arc<Rotating>,
    tls: TlsAcceptor,
}

/// Takes `addr` before there is a plane, so that a port in use is told before anything is written. Port 0 takes any
/// free port.
pub async fn listen(addr: SocketAddr) -> Result<TcpListener, BindError> {
    TcpListener::bind(addr).await.map_err(|source| match source.kind() {
        std::io::ErrorKind::AddrInUse => BindError::InUse { addr },
        _ => BindError::Listen { addr, source },
    })
}

impl Bound {
    /// Serves on `listener`; `extra` are names that clients may call the server by besides its address.
    pub(super) fn new(
        engine: Arc<Engine>,
        credentials: Arc<Credentials>,
        listener: TcpListener,
        extra: &[String],
    ) -> Result<Bound, BindError> {
        let unknown = SocketAddr::from(([0, 0, 0, 0], 0));
        let addr = listener.local_addr().map_err(|source| BindError::Listen { addr: unknown, source })?;
        let names = names(addr.ip(), extra);
        let rotating = Arc::<Rotating>::default();
        let expires = credentials
            .renew(&rotating, &names, Timestamp::now())
            .map_err(|source| BindError::Certificate { addr, source })?;
        let config = pki::server(rotating.clone(), &[b"h2", b"http/1.1"]).map_err(BindError::Tls)?;
        let tls = TlsAcceptor::from(Arc::new(config));
        let hears = Box::new(|_| ());
        Ok(Bound { engine, credentials, listener, addr, names, expires, hears, rotating, tls })
    }

    /// The address that it listens on.
    pub fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    /// Tells `hears` when the certificate in use ends, in seconds since 1970: now, and whenever it is replaced.
    pub fn tell_certificate(self, hears: impl Fn(i64) + Send + Sync + 'static) -> Self {
        hears(self.expires);
        Self { hears: Box::new(hears), ..self }
    }

    /// A kubeconfig for this address. It holds the token.
    pub fn kubeconfig(&self) -> Zeroizing<String> {
        let mut addr = self.addr;
        if addr.ip().is_unspecified() {
            addr.set_ip(if addr.is_ipv4() { [127, 0, 0, 1].into() } else { [0, 0, 0, 0, 0, 0, 0, 1].into() });
        }
        self.credentials.kubeconfig(&format!("https://{addr}"))
    }

    /// Writes the kubeconfig to `file`, readable by its owner only.
    pub fn write_kubeconfig(&self, file: &Path) -> std::io::Result<()> {
        write_private(file, self.kubeconfig().as_bytes())
    }

    /// Serves until `shutdown` or until the plane is closed; then open requests get a few seconds.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) {
        let connections = Arc::new(Semaphore::new(CONNECTIONS));
        let graceful = GracefulShutdown::new();
        let stop = self.engine.stop.clone();
        let mut rotate = tokio::time::interval(ROTATE);
        let mut expires = self.expires;
        tokio::pin!(shutdown);
        loop {
            let permit = tokio::select! {
                permit = connections.clone().acquire_owned() => permit.expect("nobody closes the semaphore"),
                () = &mut shutdown => break,
                () = stop.cancelled() => break,
            };
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        let connection = self.connection(stream, graceful.watcher());
                        tokio::spawn(async move {
                            connection.await;
                            drop(permit);
                        });
                    }
                    Err(error) => {
                        // Out of file descriptors, most likely: pause, or this loop takes a whole core.
                        tracing::warn!(%error, "cannot accept a connection");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                },
                _ = rotate.tick() => expires = self.rotate(expires),
                () = &mut shutdown => break,
                () = stop.cancelled() => break,
            }
        }
        // Watches never end by themselves.
        if tokio::time::timeout(DRAIN, graceful.shutdown()).await.is_err() {
            tracing::debug!("connections were cut at the end of the grace time");
        }
    }

    fn rotate(&self, expires: i64) -> i64 {
        let now = Timestamp::now();
        if now.as_second() + SERVER_SPARE_DAYS * 86_400 < expires {
            return expires;
        }
        match self.credentials.renew(&self.rotating, &self.names, now) {
            Ok(end) => {
                (self.hears)(end);
                end
            }
            Err(error) => {
                tracing::error!(%error, "cannot renew the plane's certificate");
                expires
            }
        }
    }

    fn connection(
        &self,
        stream: TcpStream,
        watcher: hyper_util::server::graceful::Watcher,
    ) -> impl Future<Output = ()> + Send + use<> {
        let (tls, engine, credentials) = (self.tls.clone(), self.engine.clone(), self.credentials.clone());
        async move {
            // Watches are many small frames; waiting to fill packets would delay each.
            let _ = stream.set_nodelay(true);
            let Ok(Ok(stream)) = tokio::time::timeout(PATIENCE, tls.accept(stream)).await else { return };
            let service = hyper::service::service_fn(move |request: Request<Incoming>| {
                let identity = authenticate(&credentials, &request);
                let mut api = ApiService::new(engine.clone(), identity);
                async move { Ok::<_, Infallible>(api.call(request).await.unwrap_or_else(|never| match never {})) }
            });
            let mut builder = auto::Builder::new(TokioExecutor::new());
            builder.http1().timer(TokioTimer::new()).header_read_timeout(PATIENCE);
            builder
                .http2()
                .timer(TokioTimer::new())
                .keep_alive_interval(Duration::from_secs(30))
                .max_concurrent_streams(250);
            let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
            if let Err(error) = watcher.watch(connection).await {
                tracing::debug!(%error, "a connection to the plane ended badly");
            }
        }
    }
}

/// Who asks, by the token.
fn authenticate<B>(credentials: &Credentials, request: &Request<B>) -> Option<Identity> {
    let value = request.headers().get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked(7)?;
    let bearer = scheme.eq_ignore_ascii_case(b"bearer ");
    (bearer && credentials.accepts(token.trim_ascii())).then(Identity::admin)
}
