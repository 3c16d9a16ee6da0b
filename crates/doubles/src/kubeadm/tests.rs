//! Files of a control plane, in folders of their own.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::config::Config;
use super::{certs, manifests, objects};
use crate::files;
use crate::pki::{Authority, Facts, Leaf};
use crate::tests::Lab;

const KEY: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// A configuration whose folder of certificates and etcd's are in a folder.
fn config(folder: &str, names: &str) -> Config {
    let text = format!(
        "apiVersion: kubeadm.k8s.io/v1beta4\nkind: InitConfiguration\n\
         localAPIEndpoint: {{advertiseAddress: 10.0.0.11}}\nnodeRegistration: {{name: n1}}\n---\n\
         apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\nkubernetesVersion: v1.35.2\n\
         encryptionAlgorithm: ECDSA-P256\ncertificatesDir: {folder}/pki\ncontrolPlaneEndpoint: 10.0.0.10:6443\n\
         networking: {{serviceSubnet: 10.233.0.0/18, podSubnet: 10.233.64.0/18}}\n\
         apiServer: {{certSANs: [{names}], extraArgs: [{{name: profiling, value: \"False\"}}, {{name: profiling, value: \"True\"}}]}}\n\
         etcd: {{external: {{endpoints: [\"https://10.0.0.11:2379\"], caFile: {folder}/etcd/ca.pem, \
         certFile: {folder}/etcd/node.pem, keyFile: {folder}/etcd/node-key.pem}}}}\n"
    );
    Config::parse(&text).unwrap()
}

fn etcd(folder: &str) {
    let write = |name: &str, text: &str| {
        files::write(Path::new(&format!("{folder}/etcd/{name}")), text.as_bytes(), 0o600).unwrap();
    };
    let lasts = Duration::from_hours(1);
    let authority = Authority::create("etcd-ca", "ECDSA-P256", lasts).unwrap();
    let wish = Leaf { name: "etcd-node".into(), client: true, lasts, ..Leaf::default() };
    let (certificate, key) = authority.issue(&wish, "ECDSA-P256").unwrap();
    write("ca.pem", &authority.pem);
    write("node.pem", &certificate);
    write("node-key.pem", &key);
}

#[test]
fn certificates_are_made_kept_and_checked() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().to_string_lossy().into_owned();
    let first = config(&folder, "one.example.org");
    assert!(certs::certs(&first, "all").unwrap_err().contains("external etcd"));
    etcd(&folder);
    certs::certs(&first, "all").unwrap();
    let own = Facts::read(format!("{folder}/pki/apiserver.crt")).unwrap();
    for name in [
        "n1",
        "kubernetes.default.svc.cluster.local",
        "10.233.0.1",
        "10.0.0.11",
        "10.0.0.10",
        "one.example.org",
    ] {
        assert!(own.names.iter().any(|known| known == name), "{name}");
    }
    let client = Facts::read(format!("{folder}/pki/apiserver-kubelet-client.crt")).unwrap();
    assert_eq!(client.organisations, ["kubeadm:cluster-admins"]);
    let before = files::read(&format!("{folder}/pki/apiserver.crt")).unwrap();
    certs::certs(&first, "all").unwrap();
    assert_eq!(files::read(&format!("{folder}/pki/apiserver.crt")).unwrap(), before, "it is kept");
    let error = certs::certs(&config(&folder, "two.example.org"), "apiserver").unwrap_err();
    assert!(error.contains("not valid for two.example.org"), "{error}");
    // An authority of others in the place of the one that signed.
    let other = Authority::create("kubernetes", "ECDSA-P256", Duration::from_hours(1)).unwrap();
    files::write(Path::new(&format!("{folder}/pki/ca.crt")), other.pem.as_bytes(), 0o644).unwrap();
    assert!(certs::certs(&first, "apiserver").unwrap_err().contains("unknown authority"));
}

#[test]
fn control_planes_share_certificates_by_a_key() {
    let lab = Lab::start();
    let client = lab.admin();
    let (from, to) = (lab.path("from"), lab.path("to"));
    etcd(&from);
    let giver = config(&from, "");
    certs::certs(&giver, "all").unwrap();
    std::fs::remove_file(format!("{from}/etcd/node.pem")).unwrap();
    objects::upload_certs(&client, &giver, KEY).unwrap();
    let taker = config(&to, "");
    let error = objects::download_certs(&client, &taker, &KEY.replace('0', "1")).unwrap_err();
    assert!(error.contains("authentication failed"), "{error}");
    objects::download_certs(&client, &taker, KEY).unwrap();
    for name in ["pki/ca.key", "pki/sa.key", "pki/front-proxy-ca.crt", "etcd/ca.pem"] {
        let [a, b] = [&from, &to].map(|folder| files::read(&format!("{folder}/{name}")).unwrap());
        assert_eq!(a, b, "{name}");
    }
    assert!(!files::is_there(&format!("{to}/etcd/node.pem")), "what was not there is passed over");
}

#[test]
fn manifests_hold_the_flags() {
    let config = config("/x", "");
    let pod = manifests::manifest(&config, "kube-apiserver").unwrap();
    let command: Vec<&str> = pod["spec"]["containers"][0]["command"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    assert_eq!(command[0], "kube-apiserver");
    assert!(command[1..].is_sorted(), "{command:?}");
    for flag in [
        "--advertise-address=10.0.0.11",
        "--etcd-cafile=/x/etcd/ca.pem",
        "--profiling=False",
        "--profiling=True",
    ] {
        assert!(command.contains(&flag), "{flag}");
    }
    assert_eq!(pod["spec"]["containers"][0]["image"], "registry.k8s.io/kube-apiserver:v1.35.2");
}
