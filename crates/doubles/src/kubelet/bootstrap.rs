//! How a kubelet gets its certificate, and keeps it.

use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{FOLDER, text};
use crate::client::{Client, path};
use crate::kubeconfig::{self, User};
use crate::pki::{self, Leaf};
use crate::{clock, files};

const CSR: &str = "certificates.k8s.io/v1";
const PLURAL: &str = "certificatesigningrequests";

/// How long a request may wait for approval.
const PATIENCE: Duration = Duration::from_mins(15);

/// Makes the kubeconfig with the bootstrap one, where there is none.
pub(super) fn ensure(kubeconfig: &str, bootstrap: &str, node: &str) -> Result<(), String> {
    if files::is_there(kubeconfig) {
        return Ok(());
    }
    if bootstrap.is_empty() || !files::is_there(bootstrap) {
        return Err(format!(
            "failed to run Kubelet: unable to load bootstrap kubeconfig: stat {bootstrap}: no such file or directory"
        ));
    }
    let access = kubeconfig::read(bootstrap)?;
    if access.token.is_none() {
        return Err(format!("{bootstrap} has no token"));
    }
    let client = Client::new(&access, "kubelet")?;
    let wish = Leaf {
        name: format!("system:node:{node}"),
        organisations: vec!["system:nodes".into()],
        ..Leaf::default()
    };
    let pair = certificate(&client, &wish, "kubernetes.io/kube-apiserver-client-kubelet", "client auth")?;
    let current = write_current("client", &pair)?;
    let authority = access
        .identity
        .authority
        .and_then(|pem| String::from_utf8(pem).ok())
        .ok_or("no certificate authority")?;
    let text = kubeconfig::document(
        "default-cluster",
        &access.server,
        &authority,
        "default-auth",
        &User::File(&current),
    );
    kubeconfig::write(kubeconfig, &text)
}

/// Asks for a certificate and waits for it; tells it with its key.
pub(crate) fn certificate(
    client: &Client,
    wish: &Leaf,
    signer: &str,
    usage: &str,
) -> Result<(String, String), String> {
    let key = pki::new_key("ECDSA-P256")?;
    let request = pki::request(&key, wish)?;
    let name = format!("csr-{}", crate::random(5));
    let object = json!({"apiVersion": CSR, "kind": "CertificateSigningRequest", "metadata": {"name": name},
        "spec": {"request": STANDARD.encode(request), "signerName": signer, "usages": ["digital signature", usage]}});
    client.create(&path(CSR, PLURAL, "", ""), &object)?;
    let deadline = std::time::Instant::now() + PATIENCE;
    while std::time::Instant::now() < deadline {
        let found = client.get(&path(CSR, PLURAL, "", &name))?.ok_or("the request is gone")?;
        let encoded = text(&found, "/status/certificate");
        if !encoded.is_empty() {
            let pem = STANDARD
                .decode(encoded)
                .ok()
                .and_then(|bytes| String::from_utf8(bytes).ok())
                .ok_or("no PEM")?;
            return Ok((pem, key.serialize_pem()));
        }
        let is_denied = |one: &Value| one["type"] == "Denied";
        if super::list(&found, "/status/conditions").iter().any(is_denied) {
            return Err("certificate signing request is denied".into());
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    Err("timed out waiting for the certificate to be signed".into())
}

/// Keeps a pair in a file of its own, to which a link of a fixed name leads; tells the link.
pub(super) fn write_current(kind: &str, pair: &(String, String)) -> Result<String, String> {
    let stamp = clock::now().replace([':', 'T'], "-").replace('Z', "");
    let target = format!("{FOLDER}/pki/kubelet-{kind}-{stamp}.pem");
    let link = format!("{FOLDER}/pki/kubelet-{kind}-current.pem");
    files::write(Path::new(&target), format!("{}{}", pair.0, pair.1).as_bytes(), 0o600)?;
    let next = format!("{link}.new");
    _ = std::fs::remove_file(&next);
    let told = |error: std::io::Error| format!("{link}: {error}");
    std::os::unix::fs::symlink(&target, &next).map_err(told)?;
    std::fs::rename(&next, &link).map_err(told)?;
    Ok(link)
}

/// A kubelet that rotates keeps the certificate that kubeadm made for it where its next ones will be.
pub(super) fn keep(kubeconfig: &str, config: &Value) -> Result<(), String> {
    if config["rotateCertificates"] != true
        || files::is_there(&format!("{FOLDER}/pki/kubelet-client-current.pem"))
    {
        return Ok(());
    }
    let access = kubeconfig::read(kubeconfig)?;
    let Some((certificate, key)) = access.identity.pair else { return Ok(()) };
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).map_err(|_| "no PEM".to_owned());
    write_current("client", &(text(certificate)?, text(key)?)).map(drop)
}

/// Renews the certificate when a fifth of its time is left.
pub(super) fn rotate(kubelet: &super::Kubelet) -> Result<(), String> {
    let current = format!("{FOLDER}/pki/kubelet-client-current.pem");
    if kubelet.config["rotateCertificates"] != true || !files::is_there(&current) {
        return Ok(());
    }
    let facts = pki::Facts::read(&current)?;
    let left = facts.not_after - clock::now_s();
    if left * 5 > facts.not_after - facts.not_before {
        return Ok(());
    }
    let Some(client) = kubelet.client() else { return Ok(()) };
    let wish = Leaf { name: facts.name, organisations: facts.organisations, ..Leaf::default() };
    let pair = certificate(&client, &wish, "kubernetes.io/kube-apiserver-client-kubelet", "client auth")?;
    write_current("client", &pair)?;
    kubelet.reopen()
}
