//! Certificates of API servers, which others read: what kubeadm makes is one in earnest.

use std::net::IpAddr;

use rcgen::{CertificateParams, DnType, Issuer, KeyPair, SanType};

/// A certificate of an API server with these names, and its key, both in PEM; signed by the authority whose key this
/// is, where that can be read. The text is empty where no certificate can be made of the names.
pub(super) fn of_server(names: &[String], authority_key: &str) -> (String, String) {
    let made = || -> Option<(String, String)> {
        let key = KeyPair::generate().ok()?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "kube-apiserver");
        for name in names {
            params.subject_alt_names.push(match name.parse::<IpAddr>() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName(name.as_str().try_into().ok()?),
            });
        }
        let certificate = match KeyPair::from_pem(authority_key) {
            Ok(signer) => {
                let mut authority = CertificateParams::default();
                authority.distinguished_name.push(DnType::CommonName, "kubernetes");
                params.signed_by(&key, &Issuer::new(authority, signer)).ok()?
            }
            Err(_) => params.self_signed(&key).ok()?,
        };
        Some((certificate.pem(), key.serialize_pem()))
    };
    made().unwrap_or_default()
}

/// The first address of a network in CIDR notation: that of the service `kubernetes`.
pub(super) fn first_address(network: &str) -> Option<String> {
    let (address, _) = network.split_once('/')?;
    let address: std::net::Ipv4Addr = address.parse().ok()?;
    Some(std::net::Ipv4Addr::from(u32::from(address).checked_add(1)?).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_begin_at_one() {
        assert_eq!(first_address("10.233.0.0/18").as_deref(), Some("10.233.0.1"));
        assert_eq!(first_address("fd00::/108"), None);
    }

    #[test]
    fn names_and_addresses_become_a_certificate() {
        let names = ["kubernetes".to_owned(), "10.233.0.1".to_owned()];
        let key = KeyPair::generate().unwrap().serialize_pem();
        for authority in ["", &key] {
            let (certificate, own) = of_server(&names, authority);
            assert!(certificate.starts_with("-----BEGIN CERTIFICATE") && own.contains("PRIVATE KEY"));
        }
        assert_eq!(of_server(&["Ünmöglich".to_owned()], ""), Default::default());
    }
}
