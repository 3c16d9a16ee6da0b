//! Keys, certificates, requests and signed tokens.

use std::fs;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PublicKeyData, RsaKeySize, SanType, SigningKey as _,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{
    CertificateDer, CertificateSigningRequestDer, PrivateKeyDer, SubjectPublicKeyInfoDer,
};
use serde_json::Value;
use x509_parser::certificate::X509Certificate;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer;
use x509_parser::time::ASN1Time;
use x509_parser::x509::{SubjectPublicKeyInfo, X509Name};

use crate::clock;

/// Certificates begin to be valid a little before they are made, in seconds.
const SKEW_S: i64 = 300;

/// What a certificate is made for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Leaf {
    pub(crate) name: String,
    pub(crate) organisations: Vec<String>,
    /// DNS names and addresses.
    pub(crate) names: Vec<String>,
    pub(crate) server: bool,
    pub(crate) client: bool,
    pub(crate) lasts: Duration,
}

/// A certificate authority with its key.
pub(crate) struct Authority {
    pub(crate) pem: String,
    der: CertificateDer<'static>,
    key: KeyPair,
}

/// Algorithms as kubeadm calls them.
pub(crate) fn new_key(algorithm: &str) -> Result<KeyPair, String> {
    let rsa = |size| KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, size);
    let pair = match algorithm {
        "" | "RSA-2048" => rsa(RsaKeySize::_2048),
        "RSA-3072" => rsa(RsaKeySize::_3072),
        "RSA-4096" => rsa(RsaKeySize::_4096),
        "ECDSA-P256" => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256),
        other => return Err(format!("unknown encryption algorithm {other:?}")),
    };
    pair.map_err(|error| error.to_string())
}

/// Reads a private key in PEM.
pub(crate) fn read_key(path: impl AsRef<Path>) -> Result<KeyPair, String> {
    let path = path.as_ref();
    let bytes = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    key_of(&bytes).map_err(|error| format!("{}: {error}", path.display()))
}

fn key_of(pem: &[u8]) -> Result<KeyPair, String> {
    let der = PrivateKeyDer::from_pem_slice(pem).map_err(|error| format!("no private key: {error}"))?;
    KeyPair::try_from(&der).map_err(|error| format!("no private key: {error}"))
}

impl Authority {
    /// Makes one.
    pub(crate) fn create(name: &str, algorithm: &str, lasts: Duration) -> Result<Self, String> {
        let key = new_key(algorithm)?;
        let mut params = params(name, &[], lasts);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyEncipherment,
            KeyUsagePurpose::KeyCertSign,
        ];
        let made = params.self_signed(&key).map_err(|error| error.to_string())?;
        Ok(Self { pem: made.pem(), der: made.der().clone(), key })
    }

    /// Reads certificate and key, which must belong together.
    pub(crate) fn read(certificate: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<Self, String> {
        let pem = read(&certificate)?;
        let der = first(&pem).map_err(|error| format!("{}: {error}", certificate.as_ref().display()))?;
        let key = read_key(key)?;
        let facts = Facts::of(&der)?;
        if !facts.is_authority {
            return Err(format!("{} is no certificate authority", certificate.as_ref().display()));
        }
        if !fits(&der, &key) {
            return Err(format!("{} does not belong to its key", certificate.as_ref().display()));
        }
        Ok(Self { pem, der, key })
    }

    pub(crate) fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    /// A certificate in PEM for a public key.
    pub(crate) fn sign(&self, leaf: &Leaf, public: &impl PublicKeyData) -> Result<String, String> {
        let mut params = params(&leaf.name, &leaf.organisations, leaf.lasts);
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        if leaf.server {
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
        }
        if leaf.client {
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
        }
        params.subject_alt_names = alternative(&leaf.names)?;
        let issuer = Issuer::from_ca_cert_der(&self.der, &self.key).map_err(|error| error.to_string())?;
        params.signed_by(public, &issuer).map(|made| made.pem()).map_err(|error| error.to_string())
    }

    /// A certificate and its new key, both in PEM.
    pub(crate) fn issue(&self, leaf: &Leaf, algorithm: &str) -> Result<(String, String), String> {
        let key = new_key(algorithm)?;
        Ok((self.sign(leaf, &key)?, key.serialize_pem()))
    }

    /// Signs a request in PEM with what `leaf` says.
    pub(crate) fn sign_request(&self, leaf: &Leaf, request: &str) -> Result<String, String> {
        let der = CertificateSigningRequestDer::from_pem_slice(request.as_bytes())
            .map_err(|_| "no request in PEM".to_owned())?;
        let (_, request) = X509CertificationRequest::from_der(&der).map_err(|error| error.to_string())?;
        let public =
            rcgen::SubjectPublicKeyInfo::from_der(request.certification_request_info.subject_pki.raw)
                .map_err(|error| error.to_string())?;
        self.sign(leaf, &public)
    }
}

fn params(name: &str, organisations: &[String], lasts: Duration) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = distinguished(name, organisations);
    let now = clock::now_s();
    let at = |seconds: i64| {
        let (year, month, day, time) = clock::date(seconds);
        rcgen::date_time_ymd(year, month, day) + Duration::from_secs(time)
    };
    params.not_before = at(now - SKEW_S);
    params.not_after = at(now.saturating_add(i64::try_from(lasts.as_secs()).unwrap_or(i64::MAX / 4)));
    params
}

fn distinguished(name: &str, organisations: &[String]) -> DistinguishedName {
    let mut out = DistinguishedName::new();
    // rcgen holds one of each kind: our programs never need two organisations.
    if let Some(first) = organisations.first() {
        out.push(DnType::OrganizationName, first.as_str());
    }
    out.push(DnType::CommonName, name);
    out
}

fn alternative(names: &[String]) -> Result<Vec<SanType>, String> {
    names
        .iter()
        .map(|name| match name.parse() {
            Ok(address) => Ok(SanType::IpAddress(address)),
            Err(_) => name
                .as_str()
                .try_into()
                .map(SanType::DnsName)
                .map_err(|_| format!("{name:?} is no name for a certificate")),
        })
        .collect()
}

/// A request in PEM.
pub(crate) fn request(key: &KeyPair, leaf: &Leaf) -> Result<String, String> {
    let mut params = CertificateParams::default();
    params.distinguished_name = distinguished(&leaf.name, &leaf.organisations);
    params.subject_alt_names = alternative(&leaf.names)?;
    params
        .serialize_request(key)
        .and_then(|made| made.pem())
        .map_err(|error| format!("a request could not be made: {error}"))
}

/// What a request asks for, whose signature was verified.
pub(crate) fn requested(pem: &str) -> Result<Leaf, String> {
    let der = CertificateSigningRequestDer::from_pem_slice(pem.as_bytes())
        .map_err(|_| "no request in PEM".to_owned())?;
    let (_, request) = X509CertificationRequest::from_der(&der).map_err(|error| error.to_string())?;
    request.verify_signature().map_err(|_| "it was not signed with its own key".to_owned())?;
    let mut out = Leaf::default();
    (out.name, out.organisations) = subject(&request.certification_request_info.subject);
    for extension in request.requested_extensions().into_iter().flatten() {
        if let ParsedExtension::SubjectAlternativeName(names) = extension {
            out.names.extend(names.general_names.iter().filter_map(general_name));
        }
    }
    Ok(out)
}

fn subject(name: &X509Name<'_>) -> (String, Vec<String>) {
    let common = name.iter_common_name().next().and_then(|part| part.as_str().ok()).unwrap_or_default();
    let organisations = name.iter_organization().filter_map(|part| part.as_str().ok().map(str::to_owned));
    (common.to_owned(), organisations.collect())
}

fn general_name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => {
            let address = <[u8; 4]>::try_from(*bytes)
                .map(std::net::IpAddr::from)
                .or_else(|_| <[u8; 16]>::try_from(*bytes).map(std::net::IpAddr::from));
            address.ok().map(|address| address.to_string())
        }
        _ => None,
    }
}

/// What a certificate says.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) name: String,
    pub(crate) organisations: Vec<String>,
    pub(crate) names: Vec<String>,
    pub(crate) server: bool,
    pub(crate) client: bool,
    pub(crate) is_authority: bool,
    /// In seconds since 1970.
    pub(crate) not_before: i64,
    pub(crate) not_after: i64,
}

impl Facts {
    pub(crate) fn of(der: &CertificateDer<'_>) -> Result<Self, String> {
        let (_, certificate) = X509Certificate::from_der(der).map_err(|error| error.to_string())?;
        let (name, organisations) = subject(certificate.subject());
        let names = certificate.subject_alternative_name().ok().flatten();
        let names = names.iter().flat_map(|names| &names.value.general_names).filter_map(general_name);
        let usage = certificate.extended_key_usage().ok().flatten();
        Ok(Self {
            name,
            organisations,
            names: names.collect(),
            server: usage.as_ref().is_some_and(|usage| usage.value.server_auth),
            client: usage.as_ref().is_some_and(|usage| usage.value.client_auth),
            is_authority: certificate.is_ca(),
            not_before: certificate.validity().not_before.timestamp(),
            not_after: certificate.validity().not_after.timestamp(),
        })
    }

    pub(crate) fn read(path: impl AsRef<Path>) -> Result<Self, String> {
        let pem = read(&path)?;
        first(&pem)
            .and_then(|der| Self::of(&der))
            .map_err(|error| format!("{}: {error}", path.as_ref().display()))
    }
}

/// Refuses a certificate that is not one that `authority` signed for now, in the words of kubeadm.
pub(crate) fn check_signed(certificate: impl AsRef<Path>, authority: impl AsRef<Path>) -> Result<(), String> {
    let (path, pem, above) = (certificate.as_ref(), read(&certificate)?, read(&authority)?);
    let (der, above) = (first(&pem)?, first(&above)?);
    let told = |why: &str| format!("certificate {}: {why}", path.display());
    let (_, leaf) = X509Certificate::from_der(&der).map_err(|error| told(&error.to_string()))?;
    let (_, above) = X509Certificate::from_der(&above).map_err(|error| told(&error.to_string()))?;
    if leaf.issuer().as_raw() != above.subject().as_raw()
        || leaf.verify_signature(Some(above.public_key())).is_err()
    {
        return Err(told("x509: certificate signed by unknown authority"));
    }
    for one in [&leaf, &above] {
        let now = ASN1Time::from_timestamp(clock::now_s()).map_err(|error| error.to_string())?;
        if !one.validity().is_valid_at(now) {
            return Err(told("x509: certificate has expired or is not yet valid"));
        }
    }
    Ok(())
}

/// Whether a certificate is for a key.
pub(crate) fn fits(der: &CertificateDer<'_>, key: &KeyPair) -> bool {
    X509Certificate::from_der(der)
        .is_ok_and(|(_, certificate)| *certificate.public_key().subject_public_key.data == *key.der_bytes())
}

/// Refuses a certificate that is not for the key in a file.
pub(crate) fn check_pair(certificate: &str, key: &str) -> Result<(), String> {
    let pem = read(certificate)?;
    if fits(&first(&pem)?, &read_key(key)?) {
        Ok(())
    } else {
        Err(format!("{certificate} does not belong to {key}"))
    }
}

/// The hash of an authority's public key by which hosts that join know it: `sha256:…`.
pub(crate) fn authority_hash(pem: &str) -> Result<String, String> {
    use sha2::Digest as _;
    let der = first(pem)?;
    let (_, certificate) = X509Certificate::from_der(&der).map_err(|error| error.to_string())?;
    Ok(format!("sha256:{}", hex(&sha2::Sha256::digest(certificate.public_key().raw))))
}

/// The first certificate of a text in PEM.
pub(crate) fn first(pem: &str) -> Result<CertificateDer<'static>, String> {
    CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|error| format!("no certificate: {error}"))
}

fn read(path: impl AsRef<Path>) -> Result<String, String> {
    fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.as_ref().display()))
}

/// Bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| char::from(DIGITS[usize::from(value & 15)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}

/// The public key of a private one, in PEM.
pub(crate) fn public_pem(key: &KeyPair) -> String {
    key.public_key_pem()
}

/// A signed token of claims.
pub(crate) fn token(key: &KeyPair, claims: &Value) -> Result<String, String> {
    let algorithm = if key.is_compatible(&rcgen::PKCS_RSA_SHA256) { "RS256" } else { "ES256" };
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let head = serde_json::json!({"alg": algorithm, "typ": "JWT"});
    let text = format!("{}.{}", encode(&head), encode(claims));
    let signature = key.sign(text.as_bytes()).map_err(|error| error.to_string())?;
    Ok(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

/// The claims of a token that the owner of one of these public keys (or private ones), in PEM, has signed.
pub(crate) fn token_claims(public: &[String], token: &str) -> Option<Value> {
    let (text, signature) = token.rsplit_once('.')?;
    let (head, claims) = text.split_once('.')?;
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).ok();
    let head: Value = serde_json::from_slice(&decode(head)?).ok()?;
    let scheme = match head.get("alg")?.as_str()? {
        "RS256" => rustls::SignatureScheme::RSA_PKCS1_SHA256,
        "ES256" => rustls::SignatureScheme::ECDSA_NISTP256_SHA256,
        _ => return None,
    };
    let signature = decode(signature)?;
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let algorithms = provider.signature_verification_algorithms.mapping;
    let (_, algorithms) = algorithms.iter().find(|(known, _)| *known == scheme)?;
    let is_good = public.iter().any(|pem| {
        let bits = match SubjectPublicKeyInfoDer::from_pem_slice(pem.as_bytes()) {
            Ok(der) => {
                SubjectPublicKeyInfo::from_der(&der).map(|(_, key)| key.subject_public_key.data.to_vec()).ok()
            }
            Err(_) => key_of(pem.as_bytes()).map(|key| key.der_bytes().to_vec()).ok(),
        };
        bits.is_some_and(|bits| {
            algorithms.iter().any(|one| one.verify_signature(&bits, text.as_bytes(), &signature).is_ok())
        })
    });
    if is_good { serde_json::from_slice(&decode(claims)?).ok() } else { None }
}
