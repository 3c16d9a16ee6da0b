//! Helm on control planes (`kubernetes-apps/helm`).

use kubespray_resource::Mode;

use super::{Chain, downloads};

/// The program where it is wished for.
pub(crate) fn wish(chain: &mut Chain<'_>) {
    let host = chain.host;
    // A chart of a network plugin brings it along.
    let has_chart = host.spec.name == host.site.leader()
        && host
            .settings()
            .custom_cni
            .as_ref()
            .is_some_and(|custom| custom.custom_cni_chart_release_name.is_some());
    if host.spec.roles.control_plane && host.settings().helm.is_some() && !has_chart {
        chain.begin("apps", "helm");
        install(chain);
    }
}

/// The program, once; its path. Nothing where the architecture is not known, which is refused.
pub(crate) fn install(chain: &mut Chain<'_>) -> Option<String> {
    let host = chain.host;
    let path = format!("{}/helm", host.settings().kubernetes.bin_dir);
    let Some(architecture) = host.spec.architecture.known() else {
        chain.refuse("the architecture is not known", "the host has to be reachable");
        return None;
    };
    let member = format!("linux-{architecture}/helm");
    downloads::install(chain, "helm", Some(&member), &path, Mode::EXECUTABLE);
    Some(path)
}
