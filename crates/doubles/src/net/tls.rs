//! TLS: who a server is and who asks it.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{DigitallySignedStruct, DistinguishedName, RootCertStore, SignatureScheme};

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// All certificates of a text in PEM.
pub(crate) fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    found.map_err(|error| format!("no certificates: {error}"))
}

fn roots(pem: &[u8]) -> Result<RootCertStore, String> {
    let mut out = RootCertStore::empty();
    for certificate in certificates(pem)? {
        out.add(certificate).map_err(|error| error.to_string())?;
    }
    if out.is_empty() { Err("no certificate authority".into()) } else { Ok(out) }
}

/// Which clients are believed: those with a certificate for clients that one of these authorities signed for now.
pub(crate) struct Clients(Vec<Arc<dyn ClientCertVerifier>>);

impl Clients {
    pub(crate) fn new(authorities: &[Vec<u8>]) -> Result<Self, String> {
        let verifiers = authorities.iter().map(|pem| {
            let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(pem)?), provider());
            builder.build().map_err(|error| error.to_string())
        });
        Ok(Self(verifiers.collect::<Result<_, _>>()?))
    }

    /// The place of the authority that vouches for it.
    pub(crate) fn vouched(&self, certificate: &CertificateDer<'_>) -> Result<usize, String> {
        let mut last = "x509: no authority is known".to_owned();
        for (at, verifier) in self.0.iter().enumerate() {
            match verifier.verify_client_cert(certificate, &[], UnixTime::now()) {
                Ok(_) => return Ok(at),
                Err(error) => last = format!("x509: {error}"),
            }
        }
        Err(last)
    }
}

/// Takes every client certificate, as API servers do: who it is, is asked later.
#[derive(Debug)]
struct AnyClient(Arc<rustls::crypto::CryptoProvider>);

impl ClientCertVerifier for AnyClient {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }
    fn client_auth_mandatory(&self) -> bool {
        false
    }
    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// The certificate of a server, read again when its file changes.
#[derive(Debug)]
struct FromFiles {
    certificate: PathBuf,
    key: PathBuf,
    known: Mutex<Option<(SystemTime, Arc<CertifiedKey>)>>,
}

impl FromFiles {
    fn load(&self) -> Result<Arc<CertifiedKey>, String> {
        let told = |path: &PathBuf, error: String| format!("{}: {error}", path.display());
        let changed = fs::metadata(&self.certificate)
            .and_then(|metadata| metadata.modified())
            .map_err(|error| told(&self.certificate, error.to_string()))?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, key)) = known.as_ref()
            && *at == changed
        {
            return Ok(Arc::clone(key));
        }
        let read = |path: &PathBuf| fs::read(path).map_err(|error| told(path, error.to_string()));
        let chain = certificates(&read(&self.certificate)?)?;
        let der = PrivateKeyDer::from_pem_slice(&read(&self.key)?)
            .map_err(|error| told(&self.key, error.to_string()))?;
        let key = CertifiedKey::from_der(chain, der, &provider()).map_err(|error| error.to_string())?;
        key.keys_match().map_err(|error| told(&self.certificate, error.to_string()))?;
        let key = Arc::new(key);
        *known = Some((changed, Arc::clone(&key)));
        Ok(key)
    }
}

impl ResolvesServerCert for FromFiles {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        match self.load() {
            Ok(key) => Some(key),
            // While both files are being replaced the old pair serves on.
            Err(_) => {
                let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
                known.as_ref().map(|(_, key)| Arc::clone(key))
            }
        }
    }
}

/// A server with its certificate in files, which takes any client.
pub(crate) fn server(certificate: &str, key: &str) -> Result<Arc<rustls::ServerConfig>, String> {
    let files = FromFiles { certificate: certificate.into(), key: key.into(), known: Mutex::default() };
    files.load()?;
    let config = rustls::ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_client_cert_verifier(Arc::new(AnyClient(provider())))
        .with_cert_resolver(Arc::new(files));
    Ok(Arc::new(config))
}

/// Who a client is and whom it believes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Identity {
    /// Authorities in PEM; nothing for a server that is not verified.
    pub(crate) authority: Option<Vec<u8>>,
    /// Certificate and key in PEM.
    pub(crate) pair: Option<(Vec<u8>, Vec<u8>)>,
}

#[derive(Debug)]
struct AnyServer(Arc<rustls::crypto::CryptoProvider>);

impl rustls::client::danger::ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// TLS of a client.
pub(crate) fn client(identity: &Identity) -> Result<Arc<rustls::ClientConfig>, String> {
    let builder = rustls::ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = match &identity.authority {
        Some(pem) => builder.with_root_certificates(roots(pem)?),
        None => builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyServer(provider()))),
    };
    let config = match &identity.pair {
        Some((certificate, key)) => {
            let key =
                PrivateKeyDer::from_pem_slice(key).map_err(|error| format!("no private key: {error}"))?;
            builder
                .with_client_auth_cert(certificates(certificate)?, key)
                .map_err(|error| error.to_string())?
        }
        None => builder.with_no_client_auth(),
    };
    Ok(Arc::new(config))
}
