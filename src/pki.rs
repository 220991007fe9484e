//! Certificates of our own: authorities, what they sign, and handing the present one to each new connection. It keeps
//! nothing and reads no clock: where keys lie and when they are replaced is decided by who asks.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::{
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use zeroize::Zeroizing;

/// A key or certificate can't be made or read.
#[derive(Debug, thiserror::Error)]
#[error("cannot make a certificate: {0}")]
pub struct PkiError(String);

fn bad(error: impl std::fmt::Display) -> PkiError {
    PkiError(error.to_string())
}

/// An authority that signs servers' certificates.
pub struct Authority {
    name: String,
    certificate: String,
    key: KeyPair,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Authority({})", self.name)
    }
}

impl Authority {
    /// Makes one called `name` that lives for so many days.
    pub fn make(name: &str, now: Timestamp, days: i64) -> Result<Self, PkiError> {
        let key = KeyPair::generate().map_err(bad)?;
        let mut params = authority_params(name);
        set_validity(&mut params, now, days);
        let certificate = params.self_signed(&key).map_err(bad)?.pem();
        Ok(Self { name: name.to_owned(), certificate, key })
    }

    /// The one called `name` that was made before, from its PEM texts.
    pub fn read(name: &str, certificate: &str, key: &str) -> Result<Self, PkiError> {
        let key = KeyPair::from_pem(key).map_err(bad)?;
        Ok(Self { name: name.to_owned(), certificate: certificate.to_owned(), key })
    }

    /// Its certificate as PEM.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// Its key as PEM.
    pub fn key(&self) -> Zeroizing<String> {
        Zeroizing::new(self.key.serialize_pem())
    }

    /// A server's certificate for `names`, with a key of its own, as PEM texts.
    pub fn sign(&self, names: &[String], now: Timestamp, days: i64) -> Result<Signed, PkiError> {
        let key = KeyPair::generate().map_err(bad)?;
        let mut params = CertificateParams::new(names.to_vec()).map_err(bad)?;
        params.distinguished_name.push(DnType::CommonName, "cocoasyncer");
        params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
        params.key_usages.push(KeyUsagePurpose::DigitalSignature);
        params.use_authority_key_identifier_extension = true;
        set_validity(&mut params, now, days);
        let issuer = Issuer::new(authority_params(&self.name), &self.key);
        let certificate = params.signed_by(&key, &issuer).map_err(bad)?;
        Ok(Signed { certificate: certificate.pem(), key: Zeroizing::new(key.serialize_pem()) })
    }
}

/// A signed certificate with its key, as PEM.
pub struct Signed {
    /// The certificate.
    pub certificate: String,
    /// Its key.
    pub key: Zeroizing<String>,
}

/// Hands the present certificate to each new connection, so that it can be replaced without a restart. Before there is
/// one, handshakes fail.
#[derive(Debug, Default)]
pub struct Rotating(ArcSwapOption<CertifiedKey>);

impl Rotating {
    /// Goes on with this certificate.
    pub fn replace(&self, certificate: &str, key: &str) -> Result<(), PkiError> {
        let chain = CertificateDer::from_pem_slice(certificate.as_bytes()).map_err(bad)?;
        let key = KeyPair::from_pem(key).map_err(bad)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let signer = rustls::crypto::ring::sign::any_supported_type(&key).map_err(bad)?;
        self.0.store(Some(Arc::new(CertifiedKey::new(vec![chain], signer))));
        Ok(())
    }
}

impl ResolvesServerCert for Rotating {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.load_full()
    }
}

/// A server's TLS settings: one stack, no client certificates, the present certificate from `rotating`.
pub fn server(rotating: Arc<Rotating>, protocols: &[&[u8]]) -> Result<rustls::ServerConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(rotating);
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(config)
}

fn authority_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages =
        vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    params
}

/// The validity of a certificate, from yesterday, since clocks differ, for so many days.
fn set_validity(params: &mut CertificateParams, now: Timestamp, days: i64) {
    let midnight = |days: i64| {
        let day = now.saturating_add(SignedDuration::from_hours(24 * days)).unwrap_or(now);
        let day = day.to_zoned(TimeZone::UTC).date();
        rcgen::date_time_ymd(day.year().into(), day.month().unsigned_abs(), day.day().unsigned_abs())
    };
    params.not_before = midnight(-1);
    params.not_after = midnight(days);
}
