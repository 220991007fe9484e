//! The webhook as an API server meets it: over TLS, with what it asks and with what nobody should send; and its
//! certificates over years, on the embedded plane, with a clock that the test moves.

mod answers;
mod certificates;
mod cluster;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use cocoasyncer::http::admission::{self, PATH};
use cocoasyncer::http::server::{self, Limits};
use cocoasyncer::pki::Rotating;
use cocoasyncer::telemetry::metrics::admission::AdmissionMetrics;
use k8s_openapi::jiff::Timestamp;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_util::sync::{CancellationToken, DropGuard};

/// The name that the certificates are for.
const NAME: &str = "cocoasyncer-webhook.test.svc";

/// A webhook that is served.
struct Hook {
    at: SocketAddr,
    metrics: AdmissionMetrics,
    _stop: DropGuard,
}

impl Hook {
    async fn serve(rotating: Arc<Rotating>, judge: admission::Judge) -> Hook {
        let bound = server::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let (at, stop, metrics) = (bound.local_addr, CancellationToken::new(), AdmissionMetrics::default());
        let tls = cocoasyncer::pki::server(rotating, &[b"http/1.1"]).unwrap();
        let router = admission::router(judge, metrics.clone());
        let limits = Limits { drain: Duration::from_millis(100), ..Limits::default() };
        let tls = TlsAcceptor::from(Arc::new(tls));
        let until = stop.clone().cancelled_owned();
        tokio::spawn(bound.serve_tls(router, Default::default(), limits, tls, until));
        Hook { at, metrics, _stop: stop.drop_guard() }
    }

    /// A connection of somebody who trusts `bundle` alone and whose clock shows `now`.
    async fn connect(&self, bundle: &str, now: Timestamp) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(bundle.as_bytes()) {
            roots.add(certificate.unwrap()).unwrap();
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_details(provider, Arc::new(Clock(now)))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = TcpStream::connect(self.at).await?;
        let name = ServerName::try_from(NAME).unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }

    /// Sends `request` as it is; what came back until the end, status first.
    async fn raw(&self, bundle: &str, now: Timestamp, request: &[u8]) -> (u16, String) {
        let mut stream = self.connect(bundle, now).await.unwrap();
        // Who refuses a long body closes before it has all been sent.
        let _ = stream.write_all(request).await;
        let mut answer = Vec::new();
        let reading = stream.read_to_end(&mut answer);
        let _ = tokio::time::timeout(crate::support::PATIENCE, reading).await.expect("an answer in time");
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_default();
        let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default();
        (status, body)
    }

    async fn post(&self, bundle: &str, now: Timestamp, body: &[u8]) -> (u16, String) {
        let head = format!(
            "POST {PATH}?timeout=3s HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        self.raw(bundle, now, &[head.as_bytes(), body].concat()).await
    }
}

#[derive(Debug)]
struct Clock(Timestamp);

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.0.as_second()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}
