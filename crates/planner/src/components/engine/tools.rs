//! Runtimes of containers, and the programs that speak to the engine: runc, crun, gVisor, crictl, nerdctl (CRI-070 to
//! CRI-082, CRI-183, CRI-184).

use std::collections::BTreeMap;

use kubespray_resource::{Command, Guard, Mode, Token};
use kubespray_spec::choices::CgroupDriver;
use kubespray_spec::engine::Containerd;
use serde_json::{Map, json};

use super::super::{Chain, directory, downloads, file, toml};

/// How long a program may take to write its completions, in seconds.
const COMPLETION_TIMEOUT_S: u64 = 60;

/// What runs containers. Nothing restarts: the next container begins with it.
pub(super) fn runtimes(chain: &mut Chain<'_>) {
    let settings = chain.host.settings();
    let bin_dir = &settings.kubernetes.bin_dir;
    chain.begin("container-engine", "runc");
    let runc = format!("{}/runc", settings.runc.runc_bin_dir);
    downloads::install(chain, "runc", None, &runc, Mode::EXECUTABLE);
    if settings.crun.is_some() {
        chain.begin("container-engine", "crun");
        downloads::install(chain, "crun", None, &format!("{bin_dir}/crun"), Mode::EXECUTABLE);
    }
    if settings.gvisor.is_some() {
        chain.begin("container-engine", "gvisor");
        let shim = "containerd-shim-runsc-v1";
        for (artefact, name) in [("gvisor_runsc", "runsc"), ("gvisor_containerd_shim", shim)] {
            downloads::install(chain, artefact, None, &format!("{bin_dir}/{name}"), Mode::EXECUTABLE);
        }
    }
}

/// CRI-075, CRI-076.
pub(super) fn crictl(chain: &mut Chain<'_>) {
    chain.begin("container-engine", "crictl");
    let settings = chain.host.settings();
    let socket = &settings.engine.cri_socket;
    let text = format!("runtime-endpoint: {socket}\nimage-endpoint: {socket}\ntimeout: 30\ndebug: false\n");
    chain.add("configuration", file("/etc/crictl.yaml", text));
    let path = format!("{}/crictl", settings.kubernetes.bin_dir);
    downloads::install(chain, "crictl", Some("crictl"), &path, Mode::EXECUTABLE)
        .notifies
        .push(completion_of("crictl"));
    complete(chain, "crictl", &path);
}

/// CRI-080 to CRI-082.
pub(super) fn nerdctl(chain: &mut Chain<'_>, containerd: &Containerd) {
    chain.begin("container-engine", "nerdctl");
    let settings = chain.host.settings();
    let path = format!("{}/nerdctl", settings.kubernetes.bin_dir);
    downloads::install(chain, "nerdctl", Some("nerdctl"), &path, Mode::EXECUTABLE)
        .notifies
        .push(completion_of("nerdctl"));
    // Images that kubelet's snapshotter did not unpack would be unpacked again.
    let snapshotter = containerd.nerdctl_snapshotter.as_ref().unwrap_or(&containerd.containerd_snapshotter);
    let cgroup_driver = settings.kubelet.kubelet_cgroup_driver.unwrap_or(CgroupDriver::Systemd);
    let mut configuration = Map::new();
    for (key, value) in [
        ("debug", json!(false)),
        ("debug_full", json!(false)),
        ("address", json!(settings.engine.cri_socket)),
        ("namespace", json!("k8s.io")),
        ("snapshotter", json!(snapshotter)),
        ("cni_path", json!("/opt/cni/bin")),
        ("cni_netconfpath", json!("/etc/cni/net.d")),
        ("cgroup_manager", json!(cgroup_driver)),
        ("hosts_dir", json!([format!("{}/certs.d", containerd.containerd_cfg_dir)])),
    ] {
        configuration.insert(key.to_owned(), value);
    }
    chain.add("folder", directory("/etc/nerdctl", Mode::EXECUTABLE));
    chain.add("configuration", file("/etc/nerdctl/nerdctl.toml", toml::document(&configuration)));
    complete(chain, "nerdctl", &path);
}

fn completion_of(program: &str) -> Token {
    Token(format!("completion:{program}"))
}

/// Completions of a shell, whenever the program changes.
fn complete(chain: &mut Chain<'_>, program: &str, path: &str) {
    // A text that is cut off would break every login shell: it is renamed when it is whole.
    let target = format!("/etc/bash_completion.d/{program}");
    let script = r#""$1" completion bash > "$2.new" && chmod 0644 "$2.new" && mv "$2.new" "$2""#;
    let argv = ["/bin/sh", "-c", script, "sh", path, &target].map(str::to_owned).to_vec();
    let command = Command {
        argv,
        environment: BTreeMap::new(),
        stdin: None,
        guards: vec![Guard::Pending(completion_of(program))],
        timeout_s: COMPLETION_TIMEOUT_S,
    };
    chain.add("completion", command);
}
