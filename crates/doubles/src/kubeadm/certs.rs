//! Certificates and kubeconfigs of a control plane.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use super::config::{Config, text, texts};
use crate::cidr::Cidr;
use crate::kubeconfig::{self, User};
use crate::pki::{self, Authority, Facts, Leaf};
use crate::{clock, files};

pub(crate) const FOLDER: &str = "/etc/kubernetes";

/// Leaves: file, authority, common name, organisation, whether for a server.
const LEAVES: [(&str, &str, &str, &str, bool); 3] = [
    ("apiserver", "ca", "kube-apiserver", "", true),
    ("apiserver-kubelet-client", "ca", "kube-apiserver-kubelet-client", "kubeadm:cluster-admins", false),
    ("front-proxy-client", "front-proxy-ca", "front-proxy-client", "", false),
];

fn path(config: &Config, name: &str) -> String {
    format!("{}/{name}", config.certificates())
}

fn write_pair(config: &Config, name: &str, certificate: &str, key: &str) -> Result<(), String> {
    files::write(Path::new(&path(config, &format!("{name}.key"))), key.as_bytes(), 0o600)?;
    files::write(Path::new(&path(config, &format!("{name}.crt"))), certificate.as_bytes(), 0o644)
}

/// An authority that is there, or a new one where that may be. Without its key it is the authority of others.
fn authority(config: &Config, name: &str, common: &str) -> Result<Option<Authority>, String> {
    let (certificate, key) = (path(config, &format!("{name}.crt")), path(config, &format!("{name}.key")));
    match (files::is_there(&certificate), files::is_there(&key)) {
        (true, true) => {
            pki::check_signed(&certificate, &certificate)?;
            let found = Authority::read(&certificate, &key)?;
            crate::say(&format!("[certs] Using existing {name} certificate authority"));
            Ok(Some(found))
        }
        (true, false) => {
            crate::say(&format!("[certs] Using existing {name} keyless certificate authority"));
            Ok(None)
        }
        (false, true) => Err(format!("{key} is there, but {certificate} is not")),
        (false, false) => {
            let made = Authority::create(common, config.algorithm(), config.lasts(true))?;
            write_pair(config, name, &made.pem, &made.key_pem())?;
            crate::say(&format!("[certs] Generating {common:?} certificate and key"));
            Ok(Some(made))
        }
    }
}

/// The names that the API server's certificate must have.
fn names(config: &Config) -> Result<Vec<String>, String> {
    let domain = config.domain();
    let mut out = vec![
        config.node(),
        "kubernetes".into(),
        "kubernetes.default".into(),
        "kubernetes.default.svc".into(),
        format!("kubernetes.default.svc.{domain}"),
    ];
    for range in Cidr::list(config.services())? {
        out.extend(range.address(1).map(|address| address.to_string()));
    }
    if config.address().parse::<IpAddr>().is_err() {
        return Err(format!(
            "couldn't use {:?} as \"apiserver-advertise-address\", must be ipv4 or ipv6 address",
            config.address()
        ));
    }
    out.push(config.address().to_owned());
    let endpoint = config.server();
    let host = endpoint.trim_start_matches("https://").rsplit_once(':').map_or("", |(host, _)| host);
    out.push(host.trim_matches(['[', ']']).to_owned());
    out.extend(texts(&config.cluster, "/apiServer/certSANs"));
    let mut known = std::collections::BTreeSet::new();
    out.retain(|name| !name.is_empty() && known.insert(name.clone()));
    Ok(out)
}

fn leaf(config: &Config, name: &str) -> Result<(), String> {
    let (_, above, common, organisation, server) = LEAVES
        .into_iter()
        .find(|leaf| leaf.0 == name)
        .ok_or_else(|| format!("unknown certificate {name}"))?;
    let (certificate, key) = (path(config, &format!("{name}.crt")), path(config, &format!("{name}.key")));
    let names = if server { names(config)? } else { Vec::new() };
    if files::is_there(&certificate) && files::is_there(&key) {
        pki::check_pair(&certificate, &key)?;
        pki::check_signed(&certificate, path(config, &format!("{above}.crt")))?;
        let facts = Facts::read(&certificate)?;
        if let Some(missing) = names.iter().find(|name| !facts.names.contains(name)) {
            return Err(format!(
                "certificate {certificate} is invalid: x509: certificate is not valid for {missing}"
            ));
        }
        crate::say(&format!("[certs] Using existing {name} certificate and key on disk"));
        return Ok(());
    }
    if files::is_there(&certificate) || files::is_there(&key) {
        return Err(format!("of {certificate} and {key} only one is there"));
    }
    let authority = authority(config, above, "")?
        .ok_or_else(|| format!("{name}: the key of its certificate authority is not there"))?;
    let organisations = if organisation.is_empty() { Vec::new() } else { vec![organisation.to_owned()] };
    let wish = Leaf {
        name: common.into(),
        organisations,
        names,
        server,
        client: !server,
        lasts: config.lasts(false),
    };
    let (made, made_key) = authority.issue(&wish, config.algorithm())?;
    crate::say(&format!("[certs] Generating {name:?} certificate and key"));
    write_pair(config, name, &made, &made_key)
}

/// `certs all`, or one of them.
pub(crate) fn certs(config: &Config, which: &str) -> Result<(), String> {
    crate::say(&format!("[certs] Using certificateDir folder {:?}", config.certificates()));
    match which {
        "all" => {
            authority(config, "ca", "kubernetes")?;
            leaf(config, "apiserver")?;
            leaf(config, "apiserver-kubelet-client")?;
            authority(config, "front-proxy-ca", "front-proxy-ca")?;
            leaf(config, "front-proxy-client")?;
            check_etcd(config)?;
            account(config)
        }
        "ca" => authority(config, "ca", "kubernetes").map(drop),
        "front-proxy-ca" => authority(config, "front-proxy-ca", "front-proxy-ca").map(drop),
        "sa" => account(config),
        name => leaf(config, name),
    }
}

fn account(config: &Config) -> Result<(), String> {
    let (private, public) = (path(config, "sa.key"), path(config, "sa.pub"));
    if !files::is_there(&private) {
        let key = pki::new_key(config.algorithm())?;
        files::write(Path::new(&private), key.serialize_pem().as_bytes(), 0o600)?;
        crate::say("[certs] Generating \"sa\" key and public key");
    }
    let key = pki::read_key(&private)?;
    if !files::is_there(&public) {
        files::write(Path::new(&public), pki::public_pem(&key).as_bytes(), 0o600)?;
    }
    Ok(())
}

/// The certificate with which this host asks etcd.
pub(crate) fn check_etcd(config: &Config) -> Result<(), String> {
    let Some(etcd) = config.cluster.pointer("/etcd/external") else {
        return Err("a local etcd is not made by this double: give it .Etcd.External".into());
    };
    let (authority, certificate, key) =
        (text(etcd, "/caFile"), text(etcd, "/certFile"), text(etcd, "/keyFile"));
    for path in [authority, certificate, key] {
        files::read(path).map_err(|error| format!("external etcd: {error}"))?;
    }
    pki::check_pair(certificate, key)?;
    pki::check_signed(certificate, authority)?;
    if Facts::read(certificate)?.client {
        Ok(())
    } else {
        Err(format!("{certificate} is not a certificate for a client"))
    }
}

/// Kubeconfigs: file, common name, organisation, whether of the own API server.
const KUBECONFIGS: [(&str, &str, &str, bool); 5] = [
    ("admin.conf", "kubernetes-admin", "kubeadm:cluster-admins", false),
    ("super-admin.conf", "kubernetes-super-admin", "system:masters", false),
    ("kubelet.conf", "system:node:", "system:nodes", false),
    ("controller-manager.conf", "system:kube-controller-manager", "", true),
    ("scheduler.conf", "system:kube-scheduler", "", true),
];

/// The kubeconfigs of these names; those that are there must be of this cluster.
pub(crate) fn kubeconfigs(config: &Config, which: &[&str]) -> Result<(), String> {
    let pem = files::read(&path(config, "ca.crt"))?;
    for (file, common, organisation, is_local) in KUBECONFIGS.into_iter().filter(|one| which.contains(&one.0))
    {
        let target = format!("{FOLDER}/{file}");
        let server = if is_local { config.local_server() } else { config.server() };
        if files::is_there(&target) {
            let found = kubeconfig::read(&target)?;
            if found.identity.authority.as_deref() != Some(pem.as_bytes()) {
                return Err(format!(
                    "a kubeconfig file {target:?} exists but does not contain the expected CA"
                ));
            }
            crate::say(&format!("[kubeconfig] Using existing kubeconfig file: {target:?}"));
            continue;
        }
        let authority = Authority::read(path(config, "ca.crt"), path(config, "ca.key"))?;
        let name =
            if common.ends_with(':') { format!("{common}{}", config.node()) } else { common.to_owned() };
        let organisations = if organisation.is_empty() { Vec::new() } else { vec![organisation.to_owned()] };
        let wish = Leaf {
            name: name.clone(),
            organisations,
            client: true,
            lasts: config.lasts(false),
            ..Leaf::default()
        };
        let (certificate, key) = authority.issue(&wish, config.algorithm())?;
        let text = kubeconfig::document(
            config.cluster_name(),
            &server,
            &pem,
            &name,
            &User::Pair(&certificate, &key),
        );
        kubeconfig::write(&target, &text)?;
        crate::say(&format!("[kubeconfig] Writing {file:?} kubeconfig file"));
    }
    Ok(())
}

/// Renews leaves and kubeconfigs with the authorities that are there.
pub(crate) fn renew(folder: &str, lasts: Duration) -> Result<(), String> {
    for (name, above, ..) in LEAVES {
        let (certificate, key) = (format!("{folder}/{name}.crt"), format!("{folder}/{name}.key"));
        let facts = Facts::read(&certificate)?;
        let authority = Authority::read(format!("{folder}/{above}.crt"), format!("{folder}/{above}.key"))?;
        let (made, made_key) = authority.issue(&of_facts(&facts, lasts), "")?;
        files::write(Path::new(&key), made_key.as_bytes(), 0o600)?;
        files::write(Path::new(&certificate), made.as_bytes(), 0o644)?;
        crate::say(&format!("certificate for {name} renewed"));
    }
    let authority = Authority::read(format!("{folder}/ca.crt"), format!("{folder}/ca.key"))?;
    for (file, common, ..) in KUBECONFIGS.into_iter().filter(|one| one.0 != "kubelet.conf") {
        let target = format!("{FOLDER}/{file}");
        if !files::is_there(&target) {
            continue;
        }
        let access = kubeconfig::read(&target)?;
        let (pem, _) = access.identity.pair.ok_or_else(|| format!("{target} has no certificate"))?;
        let facts = pki::first(&String::from_utf8_lossy(&pem)).and_then(|der| Facts::of(&der))?;
        let (made, key) = authority.issue(&of_facts(&facts, lasts), "")?;
        let text = kubeconfig::document(
            "kubernetes",
            &access.server,
            &authority.pem,
            common,
            &User::Pair(&made, &key),
        );
        kubeconfig::write(&target, &text)?;
        crate::say(&format!("certificate embedded in {target} renewed"));
    }
    Ok(())
}

fn of_facts(facts: &Facts, lasts: Duration) -> Leaf {
    Leaf {
        name: facts.name.clone(),
        organisations: facts.organisations.clone(),
        names: facts.names.clone(),
        server: facts.server,
        client: facts.client,
        lasts,
    }
}

/// Tells when certificates end.
pub(crate) fn check_expiration(folder: &str) -> Result<(), String> {
    crate::say(
        "CERTIFICATE                EXPIRES                  RESIDUAL TIME   CERTIFICATE AUTHORITY   EXTERNALLY MANAGED",
    );
    for (name, above, ..) in LEAVES {
        let facts = Facts::read(format!("{folder}/{name}.crt"))?;
        let days = (facts.not_after - clock::now_s()) / 86_400;
        crate::say(&format!("{name:26} {:24} {days}d   {above}   no", clock::text(facts.not_after)));
    }
    Ok(())
}
