//! A host with a kubeconfig for the API server double.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kubespray_resource::{Outcome, Resource, Secrets};

use crate::apiserver::ApiServer;
use crate::common::World;

pub const KUBECONFIG: &str = "/etc/kubernetes/admin.conf";
pub const CA: &str = include_str!("../certificates/kubernetes/ca.crt");
pub const ADMIN: &str = include_str!("../certificates/kubernetes/admin.crt");
pub const ADMIN_KEY: &str = include_str!("../certificates/kubernetes/admin.key");
pub const EXPIRED: &str = include_str!("../certificates/kubernetes/expired.crt");

/// A kubeconfig in the form in which kubeadm writes it.
pub fn kubeconfig(server: &str, user: &str) -> String {
    format!(
        "apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: {}
    server: {server}
  name: kubernetes
contexts:
- context:
    cluster: kubernetes
    user: kubernetes-admin
  name: kubernetes-admin@kubernetes
current-context: kubernetes-admin@kubernetes
kind: Config
preferences: {{}}
users:
- name: kubernetes-admin
  user:
{user}",
        STANDARD.encode(CA)
    )
}

pub fn user(certificate: &str, key: &str) -> String {
    format!(
        "    client-certificate-data: {}\n    client-key-data: {}\n",
        STANDARD.encode(certificate),
        STANDARD.encode(key)
    )
}

/// A control plane of the double.
pub fn cluster() -> (World, ApiServer) {
    let (world, server) = (World::new(), ApiServer::start());
    world.put(KUBECONFIG, &kubeconfig(&server.url, &user(ADMIN, ADMIN_KEY)));
    (world, server)
}

/// What differs, by name.
pub fn differs(world: &World, wish: &Resource) -> Vec<String> {
    world.compare(wish).changes.into_iter().map(|change| change.what).collect()
}

/// Applies with secrets: the first time changes, the second time nothing.
pub fn converge_with(world: &World, wish: impl Into<Resource>, secrets: &Secrets) -> Outcome {
    let wish = wish.into();
    let apply = || kubespray_node::apply(&world.host, &wish, secrets, &mut |_| Ok(())).unwrap();
    let first = apply();
    assert!(!first.changes.is_empty());
    assert_eq!(apply(), Outcome::unchanged());
    first
}
