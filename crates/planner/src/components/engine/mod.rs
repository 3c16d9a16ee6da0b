//! The container engine (`container-engine`; spec CRI-001 to CRI-082, CRI-180 to CRI-193).
//!
//! containerd only, and with it runc, crictl and nerdctl. A host that runs another engine is refused: switching
//! (CRI-020 to CRI-025), CRI-O, Docker and Kata Containers are left to a later version. The distribution's runc is
//! left alone (CRI-070): ours is named by its path, and removing a package may take others with it.

mod base_spec;
mod config;
mod containerd;
mod registries;
mod tools;

use kubespray_spec::choices::ContainerManager;

use super::Chain;

pub(crate) use containerd::UNIT;
pub(crate) use registries::secrets;

/// The engine of a host, and the tools that speak to it. Hosts that need none get none.
pub(crate) fn wish(chain: &mut Chain<'_>) {
    let host = chain.host;
    let settings = host.settings();
    if !settings.engine.deploy_container_engine {
        return;
    }
    chain.begin("container-engine", "container-engine");
    let manager = settings.engine.container_manager;
    let Some(containerd) = settings.containerd.as_deref().filter(|_| manager == ContainerManager::Containerd)
    else {
        let name = if manager == ContainerManager::Crio { "crio" } else { "docker" };
        let message = format!("the container engine `{name}` is not supported yet");
        return chain.refuse(message, "set `container_manager: containerd`");
    };
    refuse_other_engines(chain);
    if settings.kata.is_some() {
        chain.refuse("Kata Containers are not supported yet", "set `kata_containers_enabled: false`");
    }
    tools::runtimes(chain);
    tools::crictl(chain);
    tools::nerdctl(chain, containerd);
    containerd::wish(chain, containerd);
}

/// containerd runs, with what its files say, and answers.
pub(crate) fn run(chain: &mut Chain<'_>) {
    containerd::run(chain);
}

/// CRI-020 to CRI-023: an engine that is not stopped would go on with the pods that it has.
fn refuse_other_engines(chain: &mut Chain<'_>) {
    let host = chain.host;
    // Images bring their engine along, and systemd starts it when it is asked for.
    if host.is_image_based() {
        return;
    }
    for engine in ["docker", "crio"] {
        if host.facts.runs(&format!("{engine}.service")) {
            chain.refuse(
                format!("`{engine}` runs on the host, and the container engine is to be `containerd`"),
                format!(
                    "drain the node and remove `{engine}`, or stop it for good with `systemctl disable --now {engine}`"
                ),
            );
        }
    }
}
