//! Images, before they are needed (`download`; spec DL-050 to DL-079, DL-130 to DL-179).
//!
//! They are pulled the way kubelet pulls them, by the engine itself with its mirrors and credentials (DL-075), and by
//! the digest where one is set (DL-054). What kubeadm needs is known without asking it (DL-020 to DL-025): a worker
//! gets no control plane's images, a new one gets kube-proxy's, and only hosts with a local proxy get its image.

use std::collections::{BTreeMap, BTreeSet};

use kubespray_resource::{Image, ImageEngine, ImageSource, whole_reference};
use kubespray_spec::choices::ContainerManager;

use super::{Chain, load_balancer};

/// Large images over a slow line.
const TIMEOUT_S: u64 = 1800;

/// Where kubelet's images are.
const NAMESPACE: &str = "k8s.io";

/// Images of the catalogue that only control planes run.
const OF_CONTROL_PLANES: [&str; 3] = ["kube_apiserver", "kube_controller_manager", "kube_scheduler"];

/// Images of the catalogue that only local proxies run.
const OF_PROXIES: [&str; 2] = ["haproxy", "nginx_proxy"];

/// Every image that the catalogue has pulled beforehand on the host, each once.
pub(crate) fn wish(chain: &mut Chain<'_>) {
    let host = chain.host;
    let settings = host.settings();
    let downloads = &settings.downloads;
    // The engine's own component refuses others.
    let has_engine = settings.engine.deploy_container_engine
        && settings.engine.container_manager == ContainerManager::Containerd;
    if downloads.skip_downloads || !downloads.download_container || !has_engine {
        return;
    }
    chain.begin("download", "download");
    let socket = settings.engine.cri_socket.trim_start_matches("unix://").to_owned();
    let engine = ImageEngine::Containerd { socket, namespace: NAMESPACE.to_owned() };
    let mut known = BTreeSet::new();
    for (name, image) in &host.spec.artefacts.images {
        let is_elsewhere = OF_CONTROL_PLANES.contains(&name.as_str()) && !host.spec.roles.control_plane
            || OF_PROXIES.contains(&name.as_str()) && !load_balancer::needs_proxy(&host);
        if !image.prefetch || is_elsewhere || !known.insert(whole_reference(&image.reference)) {
            continue;
        }
        let wish = Image {
            reference: image.reference.clone(),
            engine: engine.clone(),
            source: ImageSource::Pull,
            auth: None,
            environment: BTreeMap::new(),
            timeout_s: TIMEOUT_S,
        };
        chain.add(format!("image-{name}"), wish);
    }
}
