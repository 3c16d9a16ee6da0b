//! Keys, requests and certificates: reading those of anybody, making ours.
//!
//! Nothing of a private key leaves this module but as the text that is written to its file.

use std::collections::BTreeSet;
use std::net::IpAddr;

use kubespray_resource::{
    AlternativeName, CertificateFacts, Failure, KeyAlgorithm, PathKind, Subject, Usage,
};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PublicKeyData, RsaKeySize, SanType,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateSigningRequestDer, PrivateKeyDer};
use x509_parser::certificate::X509Certificate;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;
use x509_parser::time::ASN1Time;
use x509_parser::x509::{SubjectPublicKeyInfo, X509Name, X509Version};

use crate::failure::impossible;
use crate::{Host, Metadata};

const DAY_S: i64 = 86_400;

/// How long before its making a certificate begins to be valid, in seconds. The clock of the host that reads it
/// may be behind the clock of the host that signs it; without a margin it would be refused until that clock
/// catches up.
const SKEW_S: i64 = 3600;

/// What is at the path of a key.
pub(crate) struct KeyThere {
    /// Mode and owner; of a link, the link's own.
    pub(crate) metadata: Metadata,
    /// The key; nothing where it cannot be read: encrypted, torn, too short, no file.
    pub(crate) key: Option<Key>,
}

/// A private key.
pub(crate) struct Key(KeyPair);

impl Key {
    /// A new one.
    pub(crate) fn new(algorithm: KeyAlgorithm) -> Result<Self, Failure> {
        let rsa = |size| KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, size);
        let pair = match algorithm {
            KeyAlgorithm::Rsa2048 => rsa(RsaKeySize::_2048),
            KeyAlgorithm::Rsa3072 => rsa(RsaKeySize::_3072),
            KeyAlgorithm::Rsa4096 => rsa(RsaKeySize::_4096),
            KeyAlgorithm::EcdsaP256 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256),
            KeyAlgorithm::EcdsaP384 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384),
        };
        pair.map(Self).map_err(|error| Failure::of_host(format!("a key could not be made: {error}")))
    }

    /// Reads PKCS#8, PKCS#1 or SEC1 in PEM. Other blocks before it, such as curve parameters, are passed over.
    pub(crate) fn parse(pem: &[u8]) -> Option<Self> {
        let der = PrivateKeyDer::from_pem_slice(pem).ok()?;
        KeyPair::try_from(&der).ok().map(Self)
    }

    /// The text for its file: PKCS#8 in PEM.
    pub(crate) fn pem(&self) -> String {
        self.0.serialize_pem()
    }

    /// Whether it is of an algorithm.
    pub(crate) fn is(&self, algorithm: KeyAlgorithm) -> bool {
        let info = self.0.subject_public_key_info();
        SubjectPublicKeyInfo::from_der(&info)
            .is_ok_and(|(_, key)| algorithm_of(&key) == algorithm.to_string())
    }

    /// Whether a certificate is for this key.
    pub(crate) fn fits(&self, certificate: &CertificateDer<'_>) -> bool {
        parsed(certificate).is_some_and(|certificate| {
            *certificate.public_key().subject_public_key.data == *self.0.der_bytes()
        })
    }

    /// A certificate in PEM for this key, signed by itself, that may sign others.
    pub(crate) fn authority(&self, subject: &Subject, days: u32, now_s: i64) -> Result<String, Failure> {
        let mut params = params_of(subject, days, now_s)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages =
            vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.self_signed(&self.0).map(|made| made.pem()).map_err(|error| not_made(&error))
    }

    /// A request in PEM for a certificate for this key.
    pub(crate) fn request(
        &self,
        subject: &Subject,
        names: &BTreeSet<AlternativeName>,
    ) -> Result<String, Failure> {
        let mut params = CertificateParams::default();
        params.distinguished_name = distinguished(subject);
        params.subject_alt_names = alternative(names)?;
        params
            .serialize_request(&self.0)
            .and_then(|made| made.pem())
            .map_err(|error| Failure::of_host(format!("a request could not be made: {error}")))
    }
}

/// What an authority is asked to sign; all but the key.
pub(crate) struct Leaf<'a> {
    /// Whom it names.
    pub(crate) subject: &'a Subject,
    /// Under which names.
    pub(crate) names: &'a BTreeSet<AlternativeName>,
    /// What for.
    pub(crate) usages: &'a BTreeSet<Usage>,
    /// How long it lasts, in days.
    pub(crate) days: u32,
}

/// A certificate in PEM, signed by an authority, for the key of a request in PEM. Nothing but the key is taken
/// from the request, and that only if whoever made the request has the key. Extensions are those of ETCD-026, and
/// key usages, which strict readers ask for.
pub(crate) fn sign(
    authority: &CertificateDer<'_>,
    key: &Key,
    request: &str,
    leaf: &Leaf<'_>,
    now_s: i64,
) -> Result<String, Failure> {
    let refused = |why: &str| impossible(format!("the request for `{}` {why}", leaf.subject));
    let der = CertificateSigningRequestDer::from_pem_slice(request.as_bytes())
        .map_err(|_| refused("is no request in PEM"))?;
    let (_, request) = X509CertificationRequest::from_der(&der).map_err(|_| refused("cannot be read"))?;
    request.verify_signature().map_err(|_| refused("was not signed with its own key"))?;
    let public = &request.certification_request_info.subject_pki;
    let algorithm = algorithm_of(public);
    if !KEY_ALGORITHMS.iter().any(|known| known.to_string() == algorithm) {
        return Err(refused(&format!("is for a key of {algorithm}")));
    }
    let public = rcgen::SubjectPublicKeyInfo::from_der(public.raw).map_err(|error| not_made(&error))?;

    let mut params = params_of(leaf.subject, leaf.days, now_s)?;
    params.subject_alt_names = alternative(leaf.names)?;
    params.is_ca = IsCa::ExplicitNoCa;
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    if algorithm.starts_with("RSA") {
        // TLS before 1.3 may send its secret under such a key.
        params.key_usages.push(KeyUsagePurpose::KeyEncipherment);
    }
    let usages = leaf.usages.iter().map(|usage| match usage {
        Usage::Server => ExtendedKeyUsagePurpose::ServerAuth,
        Usage::Client => ExtendedKeyUsagePurpose::ClientAuth,
    });
    params.extended_key_usages = usages.collect();

    let issuer = Issuer::from_ca_cert_der(authority, &key.0).map_err(|error| not_made(&error))?;
    let made = params.signed_by(&public, &issuer).map_err(|error| not_made(&error))?;
    // Names of authorities have forms that cannot be written again as they were, and a key may be of another
    // authority: both would make a certificate that nobody trusts.
    if !parsed(made.der()).is_some_and(|made| is_signed_by(&made, authority)) {
        return Err(Failure::of_host("what the authority signed does not lead back to it")
            .hint("check that certificate and key of the authority belong together"));
    }
    Ok(made.pem())
}

const KEY_ALGORITHMS: [KeyAlgorithm; 5] = [
    KeyAlgorithm::Rsa2048,
    KeyAlgorithm::Rsa3072,
    KeyAlgorithm::Rsa4096,
    KeyAlgorithm::EcdsaP256,
    KeyAlgorithm::EcdsaP384,
];

/// What is at the path of a key; `None` where nothing is.
pub(crate) fn read_key(host: &dyn Host, path: &str) -> Result<Option<KeyThere>, Failure> {
    let Some(metadata) = host.metadata(path)? else { return Ok(None) };
    let bytes = if metadata.kind == PathKind::File { host.read(path)? } else { None };
    Ok(Some(KeyThere { metadata, key: bytes.as_deref().and_then(Key::parse) }))
}

/// The first certificate in a PEM text.
pub(crate) fn first_certificate(pem: &[u8]) -> Option<CertificateDer<'static>> {
    let der = CertificateDer::from_pem_slice(pem).ok()?;
    parsed(&der).is_some().then_some(der)
}

/// What an authority's certificate says.
pub(crate) struct AuthorityFacts {
    /// Whom it names.
    pub(crate) subject: String,
    /// Kind and size of its key.
    pub(crate) algorithm: String,
    /// Since when, in seconds since 1970.
    pub(crate) not_before: i64,
    /// Until when, in seconds since 1970.
    pub(crate) not_after: i64,
    /// Whether it may sign certificates.
    pub(crate) may_sign: bool,
}

/// Reads an authority's certificate.
pub(crate) fn authority_facts(der: &CertificateDer<'_>) -> Option<AuthorityFacts> {
    let certificate = parsed(der)?;
    // Certificates of version 1 have no constraints, and TLS libraries take them as authorities.
    let is_ca = certificate.is_ca() || certificate.version() != X509Version::V3;
    let may_sign = match certificate.key_usage() {
        Ok(usage) => usage.is_none_or(|usage| usage.value.key_cert_sign()),
        Err(_) => false,
    };
    Some(AuthorityFacts {
        subject: shown(certificate.subject()),
        algorithm: algorithm_of(certificate.public_key()),
        not_before: certificate.validity().not_before.timestamp(),
        not_after: certificate.validity().not_after.timestamp(),
        may_sign: is_ca && may_sign,
    })
}

/// Reads a certificate. `authority` is the one that should have signed it, where it is known.
pub(crate) fn facts(
    der: &CertificateDer<'_>,
    authority: Option<&CertificateDer<'_>>,
    now_s: i64,
) -> Option<CertificateFacts> {
    let certificate = parsed(der)?;
    let names = certificate.subject_alternative_name().ok()?;
    let names = names.iter().flat_map(|names| &names.value.general_names).map(name).collect();
    let not_after = certificate.validity().not_after.timestamp();
    Some(CertificateFacts {
        subject: shown(certificate.subject()),
        names,
        usages: usages(&certificate)?,
        algorithm: algorithm_of(certificate.public_key()),
        not_after,
        expires_in_days: not_after.saturating_sub(now_s).div_euclid(DAY_S),
        is_signed: authority.map(|authority| is_signed_by(&certificate, authority)),
    })
}

fn parsed<'a>(der: &'a CertificateDer<'_>) -> Option<X509Certificate<'a>> {
    let (rest, certificate) = X509Certificate::from_der(der).ok()?;
    rest.is_empty().then_some(certificate)
}

fn is_signed_by(certificate: &X509Certificate<'_>, authority: &CertificateDer<'_>) -> bool {
    parsed(authority).is_some_and(|authority| {
        certificate.issuer().as_raw() == authority.subject().as_raw()
            && certificate.verify_signature(Some(authority.public_key())).is_ok()
    })
}

/// A name as [`AlternativeName`] is shown.
fn name(name: &GeneralName<'_>) -> String {
    match name {
        GeneralName::DNSName(name) => AlternativeName::Dns((*name).to_owned()).to_string(),
        GeneralName::IPAddress(bytes) => {
            let address = <[u8; 4]>::try_from(*bytes)
                .map(IpAddr::from)
                .or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from));
            address.map_or_else(|_| "IP:unreadable".into(), |at| AlternativeName::Address(at).to_string())
        }
        GeneralName::URI(uri) => format!("URI:{uri}"),
        GeneralName::RFC822Name(mail) => format!("email:{mail}"),
        _ => "another kind of name".into(),
    }
}

/// What a certificate is for, as [`Usage`] is shown; nothing where that cannot be read.
fn usages(certificate: &X509Certificate<'_>) -> Option<BTreeSet<String>> {
    let Some(usage) = certificate.extended_key_usage().ok()? else { return Some(BTreeSet::new()) };
    let known = [
        (usage.value.server_auth, Usage::Server.to_string()),
        (usage.value.client_auth, Usage::Client.to_string()),
        (usage.value.any, "any".to_owned()),
        (usage.value.code_signing, "code signing".to_owned()),
        (usage.value.email_protection, "email".to_owned()),
        (usage.value.time_stamping, "time stamping".to_owned()),
        (usage.value.ocsp_signing, "OCSP signing".to_owned()),
    ];
    let known = known.into_iter().filter_map(|(is, name)| is.then_some(name));
    Some(known.chain(usage.value.other.iter().map(ToString::to_string)).collect())
}

/// Kind and size of a key, as [`KeyAlgorithm`] is shown; others as they are called.
fn algorithm_of(key: &SubjectPublicKeyInfo<'_>) -> String {
    const P256: &str = "1.2.840.10045.3.1.7";
    const P384: &str = "1.3.132.0.34";
    match key.parsed() {
        Ok(PublicKey::RSA(rsa)) => format!("RSA {}", rsa.key_size()),
        Ok(PublicKey::EC(_)) => {
            let curve = key.algorithm.parameters.as_ref().and_then(|curve| curve.as_oid().ok());
            match curve.map(|curve| curve.to_id_string()).as_deref() {
                Some(P256) => KeyAlgorithm::EcdsaP256.to_string(),
                Some(P384) => KeyAlgorithm::EcdsaP384.to_string(),
                other => format!("ECDSA {}", other.unwrap_or("of no named curve")),
            }
        }
        _ => key.algorithm.algorithm.to_id_string(),
    }
}

/// A subject as [`Subject`] is shown.
fn shown(subject: &X509Name<'_>) -> String {
    const SHORT: [(&str, &str); 6] = [
        ("2.5.4.3", "CN"),
        ("2.5.4.10", "O"),
        ("2.5.4.11", "OU"),
        ("2.5.4.6", "C"),
        ("2.5.4.7", "L"),
        ("2.5.4.8", "ST"),
    ];
    let mut parts: Vec<String> = subject
        .iter_attributes()
        .map(|part| {
            let oid = part.attr_type().to_id_string();
            let name = SHORT.iter().find(|(known, _)| *known == oid).map_or(oid.as_str(), |(_, name)| name);
            format!("{name}={}", part.as_str().unwrap_or("unreadable"))
        })
        .collect();
    parts.sort();
    parts.join(", ")
}

/// What our certificates have in common.
fn params_of(subject: &Subject, days: u32, now_s: i64) -> Result<CertificateParams, Failure> {
    let at = |seconds: i64| {
        ASN1Time::from_timestamp(seconds)
            .map(|time| time.to_datetime())
            .map_err(|_| impossible(format!("no certificate can last {days} days from now")))
    };
    let mut params = CertificateParams::default();
    params.distinguished_name = distinguished(subject);
    params.not_before = at(now_s.saturating_sub(SKEW_S))?;
    params.not_after = at(now_s.saturating_add(i64::from(days).saturating_mul(DAY_S)))?;
    params.serial_number = Some(serial()?.to_vec().into());
    Ok(params)
}

fn distinguished(subject: &Subject) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    if let Some(organization) = &subject.organization {
        name.push(DnType::OrganizationName, organization.as_str());
    }
    name.push(DnType::CommonName, subject.common_name.as_str());
    name
}

fn alternative(names: &BTreeSet<AlternativeName>) -> Result<Vec<SanType>, Failure> {
    let name = |name: &AlternativeName| match name {
        AlternativeName::Address(address) => Ok(SanType::IpAddress(*address)),
        AlternativeName::Dns(text) => text
            .to_ascii_lowercase()
            .try_into()
            .map(SanType::DnsName)
            .map_err(|_| impossible(format!("`{text}` cannot be a name in a certificate"))),
    };
    names.iter().map(name).collect()
}

/// A random number of 127 bits: with its 128th bit set it would be negative in DER.
fn serial() -> Result<[u8; 16], Failure> {
    let mut bytes = [0; 16];
    rustls::crypto::aws_lc_rs::default_provider()
        .secure_random
        .fill(&mut bytes)
        .map_err(|_| Failure::of_host("the host gives no random numbers"))?;
    let [first, ..] = &mut bytes;
    // Never zero, and always of the same length.
    *first = *first & 0x7f | 0x40;
    Ok(bytes)
}

fn not_made(error: &rcgen::Error) -> Failure {
    Failure::of_host(format!("a certificate could not be made: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files on hosts hold anything.
    #[test]
    fn no_change_of_any_byte_is_more_than_unreadable() {
        const CA: &[u8] = include_bytes!("../tests/certificates/curve-ca.pem");
        const KEY: &[u8] = include_bytes!("../tests/certificates/curve-ca-key.pem");
        const THEIRS: &[u8] = include_bytes!("../tests/certificates/theirs-ca.pem");
        const MEMBER: &[u8] = include_bytes!("../tests/certificates/theirs-member.pem");
        let names = BTreeSet::from([AlternativeName::Dns("n1".into())]);
        let usages = BTreeSet::from([Usage::Server]);
        let subject = Subject::named("n1");
        let leaf = Leaf { subject: &subject, names: &names, usages: &usages, days: 1 };
        let key = Key::parse(KEY).unwrap();
        let request = key.request(&subject, &names).unwrap();
        let authority = first_certificate(CA).unwrap();
        sign(&authority, &key, &request, &leaf, 0).unwrap();
        for (pem, signer) in [(CA, CA), (MEMBER, THEIRS)] {
            let (der, signer) = (first_certificate(pem).unwrap(), first_certificate(signer).unwrap());
            assert_eq!(facts(&der, Some(&signer), 0).unwrap().is_signed, Some(true));
            let signed = 8 + usize::from(u16::from_be_bytes([der[6], der[7]]));
            for at in 0..der.len() {
                let mut changed = der.to_vec();
                changed[at] ^= 1 << (at % 8);
                let changed = CertificateDer::from(changed);
                let is_signed = facts(&changed, Some(&signer), 0).and_then(|facts| facts.is_signed);
                assert!(at < 4 || at >= signed || is_signed != Some(true), "{at}");
                let _ = authority_facts(&changed);
                let _ = sign(&changed, &key, &request, &leaf, 0);
                let _ = first_certificate(&pem[..at]);
                let _ = Key::parse(&pem[..at]);
            }
        }
    }

    #[test]
    fn times_and_names_that_cannot_be_are_refused() {
        let key = Key::new(KeyAlgorithm::EcdsaP256).unwrap();
        let subject = Subject::named("ca");
        key.authority(&subject, 36_500, 0).unwrap();
        assert!(key.authority(&subject, u32::MAX, 0).is_err());
        assert!(key.authority(&subject, 1, i64::MAX).is_err());
        let names = BTreeSet::from([AlternativeName::Dns("nä".into())]);
        assert!(key.request(&subject, &names).unwrap_err().message.contains("`nä`"));
    }

    #[test]
    fn serial_numbers_are_positive_and_not_the_same() {
        let (one, other) = (serial().unwrap(), serial().unwrap());
        assert_ne!(one, other);
        assert_eq!(one[0] & 0xc0, 0x40);
    }
}
