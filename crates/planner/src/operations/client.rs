//! What operators take from a cluster to their own machine (Kubespray's role `kubernetes/client`; spec CP-161, CP-162,
//! OPS-195 to OPS-199).

use std::net::IpAddr;

use kubespray_resource::Download;

use super::status::{ApiWay, questions};
use crate::components::{Host, Site, download, with_port};

/// A control plane that can give its kubeconfig.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientSource {
    /// The host.
    pub host: String,
    /// The way to its API server on the host itself; the kubeconfig there is what is taken.
    pub api: ApiWay,
    /// `https://address:port` that works from elsewhere; nothing where no address is known.
    pub server: Option<String>,
}

/// The control planes that are there and answer, in the order of the inventory.
pub fn client_sources(site: &Site<'_>) -> Vec<ClientSource> {
    let hosts = site.hosts().filter(Host::is_live_control_plane);
    hosts
        .filter_map(|host| {
            let api = questions(host).api_server?;
            Some(ClientSource { host: host.spec.name.clone(), api, server: server(&host) })
        })
        .collect()
}

/// CP-161: the load balancer where there is one (by its address: its name is known to hosts of the cluster only), else
/// kube-vip's address, else the control plane: as SSH reaches it where that is wished, or at its access address.
fn server(host: &Host<'_>) -> Option<String> {
    let settings = host.settings();
    let port = settings.apiserver.kube_apiserver_port;
    let balancer = &settings.load_balancer;
    if let Some(external) = &balancer.loadbalancer_apiserver {
        let name = external.address.as_ref().or(balancer.apiserver_loadbalancer_domain_name.as_ref())?;
        return Some(url(name, external.port.unwrap_or(port)));
    }
    if let Some(address) = settings.kube_vip.as_ref().and_then(|vip| vip.kube_vip_address) {
        return Some(url(&address.to_string(), port));
    }
    if settings.operations.kubeconfig_localhost_ansible_host {
        return Some(url(&host.spec.connection.address, port));
    }
    Some(url(&host.spec.access_address()?.to_string(), port))
}

/// With brackets around what needs them.
fn url(host: &str, port: u16) -> String {
    match host.parse::<IpAddr>() {
        Ok(address) => format!("https://{}", with_port(&address, port)),
        Err(_) => format!("https://{host}:{port}"),
    }
}

/// `kubectl` as control planes get it, of their architecture; its path is that on hosts. Nothing where no control
/// plane's facts are known, or why it cannot be had.
pub fn kubectl(site: &Site<'_>) -> Option<Result<Download, String>> {
    let host = site.hosts().find(|host| host.spec.roles.control_plane)?;
    let file = host.spec.artefacts.files.get("kubectl")?;
    Some(download(&host, file).map_err(|problem| format!("`kubectl` {}", problem.message)))
}
