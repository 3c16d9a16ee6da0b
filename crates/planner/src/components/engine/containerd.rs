//! containerd: its programs, files and service (CRI-030 to CRI-038).
//!
//! Only what containers need is taken from the archive: `containerd-stress` and the shims of runtimes that nothing
//! uses are left out. A proxy that is unset later goes from the service, too (CRI-033).

use std::fmt::Write as _;

use kubespray_resource::{Absent, Check, Content, Disruption, File, Mode, Owner, Probe, Unit};
use kubespray_spec::engine::Containerd;
use serde_json::Value;

use super::super::{Chain, directory, downloads, enabled, file, restarts};
use super::{base_spec, config, registries};

pub(crate) const UNIT: &str = "containerd.service";
/// The file that the default runtime names (CRI-035).
const BASE_SPEC: &str = "cri-base.json";
/// The shim that only old runtimes of 1.x use.
const OLD_RUNTIME: &str = "io.containerd.runc.v1";
/// On live nodes one after the other, so that a mistake in the configuration does not reach all of them. It is a
/// rollout of its own: nothing between a node's first and last step of it waits for another node.
const ROLLOUT: &str = "engine";
/// Kubespray waits for about half a minute.
const HEALTHY_S: u64 = 60;

/// The engine, running and answering.
pub(super) fn wish(chain: &mut Chain<'_>, containerd: &Containerd) {
    chain.begin("container-engine", "containerd");
    let host = chain.host;
    programs(chain, containerd);
    let text = unit(chain, containerd);
    restarts(chain.add("unit", file(format!("/etc/systemd/system/{UNIT}"), text)), UNIT);
    chain.add("drop-in-folder", directory(&containerd.containerd_systemd_dir, Mode::EXECUTABLE));
    let drop_in = format!("{}/http-proxy.conf", containerd.containerd_systemd_dir);
    match proxy(chain) {
        Some(text) => restarts(chain.add("proxy", file(drop_in, text)), UNIT),
        None => restarts(chain.add("proxy", Absent { path: drop_in, recursive: false }), UNIT),
    }
    let folder = &containerd.containerd_cfg_dir;
    chain.add("folder", directory(folder, Mode::EXECUTABLE));
    restarts(
        chain.add("base-spec", file(format!("{folder}/{BASE_SPEC}"), base_spec::text(containerd))),
        UNIT,
    );
    let text = config::text(chain, containerd);
    let has_secrets = !registries::credentials_table(&host.spec.name, containerd).is_empty();
    let (content, mode) =
        if has_secrets { (Content::Secret(text), Mode::PRIVATE) } else { (Content::Text(text), Mode(0o640)) };
    let configuration = File { content, mode, ..file(format!("{folder}/config.toml"), "") };
    restarts(chain.add("configuration", configuration), UNIT);
    registries::wish(chain, containerd);
    run(chain);
}

/// The engine runs, with what its files say, and answers.
pub(super) fn run(chain: &mut Chain<'_>) {
    chain.begin("container-engine", "containerd");
    let host = chain.host;
    let rollout = host.is_live_node().then(|| ROLLOUT.to_owned());
    let step = chain.add(UNIT, Unit { masked: Some(false), ..enabled(UNIT) });
    step.disruption = Disruption::Restart;
    step.rollout.clone_from(&rollout);
    // `ctr` answers even where the part that kubelet needs did not start: crictl asks just that part.
    let check = Check {
        name: "containerd answers".into(),
        probe: Probe::Command {
            argv: vec![format!("{}/crictl", host.settings().kubernetes.bin_dir), "version".into()],
            prints: "containerd".into(),
        },
        timeout_s: HEALTHY_S,
        interval_ms: 500,
    };
    chain.add("healthy", check).rollout = rollout;
}

/// CRI-030.
fn programs(chain: &mut Chain<'_>, containerd: &Containerd) {
    let artefact = if containerd.containerd_static_binary { "containerd_static" } else { "containerd" };
    let mut names = vec!["containerd", "containerd-shim-runc-v2", "ctr"];
    let runtimes = &containerd.containerd_additional_runtimes;
    if runtimes.iter().any(|runtime| runtime.get("type").and_then(Value::as_str) == Some(OLD_RUNTIME)) {
        names.push("containerd-shim-runc-v1");
    }
    let pairs: Vec<(String, String)> = names
        .iter()
        .map(|name| (format!("bin/{name}"), format!("{}/{name}", containerd.containerd_bin_dir)))
        .collect();
    let members: Vec<(&str, &str)> =
        pairs.iter().map(|(member, target)| (member.as_str(), target.as_str())).collect();
    let step = downloads::install_members(chain, artefact, &members, Mode::EXECUTABLE, &Owner::root());
    restarts(step, UNIT);
}

/// The unit (spec 3.2).
fn unit(chain: &Chain<'_>, containerd: &Containerd) -> String {
    let kubelet = &chain.host.settings().kubelet;
    let slice = if kubelet.kube_reserved {
        format!("Slice={}\n", kubelet.kube_reserved_cgroups_for_service_slice)
    } else {
        String::new()
    };
    format!(
        "[Unit]\nDescription=containerd container runtime\nDocumentation=https://containerd.io\n\
         After=network.target local-fs.target dbus.service\n\n\
         [Service]\nType=notify\nExecStartPre=-/sbin/modprobe overlay\nExecStart={}/containerd\n\
         Restart=always\nRestartSec=5\nDelegate=yes\nKillMode=process\n\
         LimitNPROC={}\nLimitCORE={}\nLimitNOFILE={}\nLimitMEMLOCK={}\nTasksMax=infinity\n\
         OOMScoreAdjust=-999\n{slice}\n[Install]\nWantedBy=multi-user.target\n",
        containerd.containerd_bin_dir,
        containerd.containerd_limit_proc_num,
        containerd.containerd_limit_core,
        containerd.containerd_limit_open_file_num,
        containerd.containerd_limit_mem_lock,
    )
}

/// CRI-033: the proxy of the service, where there is one.
fn proxy(chain: &Chain<'_>) -> Option<String> {
    let host = chain.host;
    let proxy = &host.settings().proxy;
    let set = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let (http, https) = (set(&proxy.http_proxy), set(&proxy.https_proxy));
    if http.is_none() && https.is_none() {
        return None;
    }
    let no_proxy = host.site.spec.no_proxy.as_ref().and_then(|list| list.known().cloned());
    let mut text = "[Service]\n".to_owned();
    for (name, value) in [("HTTP_PROXY", http), ("HTTPS_PROXY", https), ("NO_PROXY", no_proxy)] {
        if let Some(value) = value {
            let _ = writeln!(text, "Environment=\"{name}={}\"", quoted(&value));
        }
    }
    Some(text)
}

/// A value between the quotes of a unit: systemd would replace what follows a `%`, as in an encoded password.
fn quoted(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_units_mean_themselves() {
        assert_eq!(quoted("http://u:p%40s\"\\@proxy"), "http://u:p%%40s\\\"\\\\@proxy");
    }
}
