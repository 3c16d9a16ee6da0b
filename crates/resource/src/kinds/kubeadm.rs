//! kubeadm: control planes and nodes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Comparison, Guard};

/// What is begun and not finished is written here by helpers: `init` or `join`. All files of a control plane are there
/// long before `kubeadm init` is done, so they alone prove nothing.
pub const KUBEADM_BEGUN: &str = "/var/lib/kubespray/kubeadm-begun";

/// Where kubeadm keeps kubeconfigs and manifests, whatever its configuration says.
const FOLDER: &str = "/etc/kubernetes";

/// What kubeadm writes last of a kubelet's own configuration; also Kubespray's sign that it ran (CP-017).
const KUBELET_CONFIG: &str = "/var/lib/kubelet/config.yaml";

/// The kubelet's flags as kubeadm wants them.
const KUBELET_FLAGS: &str = "/var/lib/kubelet/kubeadm-flags.env";

/// The control plane's own pods.
const CONTROL_PLANE: [&str; 3] = ["kube-apiserver", "kube-controller-manager", "kube-scheduler"];

/// A run of kubeadm whose end can be seen on the host. Secrets stand in its configuration file, never in its
/// arguments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kubeadm {
    /// The program, such as `/usr/local/bin/kubeadm`. Its folder comes first in `PATH`.
    pub program: String,
    /// What it does.
    pub action: KubeadmAction,
    /// Its configuration file; patches are named there. `reset` takes none.
    pub config: Option<String>,
    /// The folder of certificates, where `init` and `join` may have left pairs of which only a half is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificates: Option<String>,
    /// Names of checks that may fail, or `all`.
    #[serde(default)]
    pub ignore_preflight_errors: Vec<String>,
    /// Phases that are left out.
    #[serde(default)]
    pub skip_phases: Vec<String>,
    /// Environment beyond the usual, such as proxies.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// How long it may take, in seconds.
    pub timeout_s: u64,
}

/// What kubeadm does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KubeadmAction {
    /// Makes the first control plane.
    Init {
        /// Whether certificates are kept in the cluster, encrypted, for other control planes.
        upload_certs: bool,
    },
    /// Makes the host a node of a cluster.
    Join {
        /// Whether it becomes a control plane too.
        control_plane: bool,
    },
    /// Raises the cluster and this control plane.
    UpgradeApply {
        /// The version, with or without `v`.
        version: String,
    },
    /// Raises this control plane to the cluster's version.
    UpgradeNode {
        /// The version that it then has, with or without `v`.
        version: String,
    },
    /// Takes back what `init` or `join` did on this host.
    Reset {
        /// The folder of certificates.
        certificates: String,
        /// The socket of the container engine.
        cri_socket: Option<String>,
    },
    /// Phases of `init`, `join` or `upgrade node` alone.
    Phase {
        /// The command that they belong to: `init`, `join`, `upgrade node`.
        of: String,
        /// The phase with those above it, such as `control-plane`, `all`.
        phase: Vec<String>,
        /// When it is done, as for commands.
        guards: Vec<Guard>,
    },
}

/// What a host shows of kubeadm.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KubeadmState {
    /// The paths of [`Kubeadm::witnesses`], and whether they are there.
    pub there: BTreeMap<String, bool>,
    /// What we began and did not finish: `init` or `join`.
    pub begun: Option<String>,
    /// Versions of the control plane's manifests by component.
    pub versions: BTreeMap<String, String>,
    /// Whether a guard of a phase says that it is done.
    pub done: bool,
}

/// How far kubeadm got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KubeadmProgress {
    /// All is done.
    Done,
    /// Nothing was done.
    Fresh,
    /// We began and did not finish: it is taken up again.
    Begun,
    /// Somebody did a part of it: nobody may guess what is missing.
    Half(String),
}

impl Kubeadm {
    /// The paths that tell how far it got.
    pub fn witnesses(&self) -> Vec<String> {
        let in_folder =
            |names: &[&str]| names.iter().map(|name| format!("{FOLDER}/{name}")).collect::<Vec<_>>();
        let mut out = match &self.action {
            KubeadmAction::Phase { .. } => return Vec::new(),
            KubeadmAction::UpgradeApply { .. } | KubeadmAction::UpgradeNode { .. } => return manifests(),
            KubeadmAction::Join { control_plane: false } => in_folder(&["kubelet.conf"]),
            KubeadmAction::Init { .. } | KubeadmAction::Join { .. } | KubeadmAction::Reset { .. } => {
                let mut out =
                    in_folder(&["admin.conf", "controller-manager.conf", "kubelet.conf", "scheduler.conf"]);
                out.extend(manifests());
                out
            }
        };
        out.push(KUBELET_CONFIG.to_owned());
        out
    }

    /// The manifests whose images tell versions, where it matters.
    pub fn manifests(&self) -> Vec<(String, String)> {
        match &self.action {
            KubeadmAction::UpgradeApply { .. } | KubeadmAction::UpgradeNode { .. } => CONTROL_PLANE
                .iter()
                .zip(manifests())
                .map(|(component, path)| ((*component).to_owned(), path))
                .collect(),
            _ => Vec::new(),
        }
    }

    /// The files that an upgrade writes anew, but for certificates.
    pub fn replaces(&self) -> Vec<String> {
        let manifests = self.manifests();
        if manifests.is_empty() {
            return Vec::new();
        }
        let of_kubelet = [KUBELET_CONFIG, KUBELET_FLAGS].map(str::to_owned);
        manifests.into_iter().map(|(_, path)| path).chain(of_kubelet).collect()
    }

    /// How far it got.
    pub fn progress(&self, state: &KubeadmState) -> KubeadmProgress {
        let missing = witnesses(state, false);
        let there = witnesses(state, true);
        match &self.action {
            KubeadmAction::Phase { .. } if state.done => KubeadmProgress::Done,
            KubeadmAction::Phase { .. } => KubeadmProgress::Fresh,
            KubeadmAction::Reset { .. } if there.is_empty() && state.begun.is_none() => KubeadmProgress::Done,
            KubeadmAction::Reset { .. } => KubeadmProgress::Fresh,
            KubeadmAction::UpgradeApply { version } | KubeadmAction::UpgradeNode { version } => {
                if !missing.is_empty() {
                    return KubeadmProgress::Half(format!(
                        "this host is no control plane: it lacks {}",
                        quoted(&missing)
                    ));
                }
                let is_at = |component: &&str| {
                    state.versions.get(*component).is_some_and(|found| plain(found) == plain(version))
                };
                if CONTROL_PLANE.iter().all(is_at) { KubeadmProgress::Done } else { KubeadmProgress::Fresh }
            }
            KubeadmAction::Init { .. } | KubeadmAction::Join { .. } => match &state.begun {
                Some(begun) if *begun == self.command() => KubeadmProgress::Begun,
                Some(begun) => KubeadmProgress::Half(format!(
                    "`kubeadm {begun}` was begun here and not finished, and now `kubeadm {}` is wished",
                    self.command()
                )),
                None if there.is_empty() => KubeadmProgress::Fresh,
                None if missing.is_empty() => KubeadmProgress::Done,
                None => KubeadmProgress::Half(format!(
                    "this host has {}, but lacks {}",
                    quoted(&there),
                    quoted(&missing)
                )),
            },
        }
    }

    /// The command without its flags.
    pub fn command(&self) -> String {
        match &self.action {
            KubeadmAction::Init { .. } => "init".into(),
            KubeadmAction::Join { .. } => "join".into(),
            KubeadmAction::UpgradeApply { version } => format!("upgrade apply v{}", plain(version)),
            KubeadmAction::UpgradeNode { .. } => "upgrade node".into(),
            KubeadmAction::Reset { .. } => "reset".into(),
            KubeadmAction::Phase { of, phase, .. } => format!("{of} phase {}", phase.join(" ")),
        }
    }

    /// What kubeadm has to do.
    pub fn compare(&self, state: &KubeadmState) -> Comparison {
        let mut out = Comparison::default();
        let is = match self.progress(state) {
            KubeadmProgress::Done => return out,
            KubeadmProgress::Half(why) => Some(why),
            KubeadmProgress::Begun => Some("begun and not finished".into()),
            KubeadmProgress::Fresh if state.versions.is_empty() => None,
            KubeadmProgress::Fresh => {
                let words =
                    state.versions.iter().map(|(component, version)| format!("{component} {version}"));
                Some(words.collect::<Vec<_>>().join(", "))
            }
        };
        out.add(&format!("kubeadm {}", self.command()), is, Some("done".into()));
        out
    }
}

fn manifests() -> Vec<String> {
    CONTROL_PLANE.iter().map(|name| format!("{FOLDER}/manifests/{name}.yaml")).collect()
}

/// The witnesses that are there, or those that are not.
fn witnesses(state: &KubeadmState, there: bool) -> Vec<&str> {
    state.there.iter().filter(|(_, is)| **is == there).map(|(path, _)| path.as_str()).collect()
}

fn quoted(paths: &[&str]) -> String {
    paths.iter().map(|path| format!("`{path}`")).collect::<Vec<_>>().join(", ")
}

fn plain(version: &str) -> &str {
    version.strip_prefix('v').unwrap_or(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(action: KubeadmAction) -> Kubeadm {
        Kubeadm {
            program: "/usr/local/bin/kubeadm".into(),
            action,
            config: None,
            certificates: None,
            ignore_preflight_errors: Vec::new(),
            skip_phases: Vec::new(),
            environment: BTreeMap::new(),
            timeout_s: 1,
        }
    }

    fn state(wish: &Kubeadm, there: impl Fn(&str) -> bool) -> KubeadmState {
        let there = wish.witnesses().into_iter().map(|path| (path.clone(), there(&path))).collect();
        KubeadmState { there, ..KubeadmState::default() }
    }

    #[test]
    fn a_control_plane_is_made_finished_or_explained() {
        let init = wish(KubeadmAction::Init { upload_certs: true });
        assert_eq!(init.progress(&state(&init, |_| false)), KubeadmProgress::Fresh);
        assert_eq!(init.progress(&state(&init, |_| true)), KubeadmProgress::Done);
        let half = state(&init, |path| !path.ends_with("admin.conf"));
        let KubeadmProgress::Half(why) = init.progress(&half) else { panic!("{half:?}") };
        assert!(why.ends_with("but lacks `/etc/kubernetes/admin.conf`"), "{why}");
        let begun = KubeadmState { begun: Some("init".into()), ..half };
        assert_eq!(init.progress(&begun), KubeadmProgress::Begun);
        // All files are there long before kubeadm is done.
        let late = KubeadmState { begun: Some("init".into()), ..state(&init, |_| true) };
        assert_eq!(init.progress(&late), KubeadmProgress::Begun);
        let join = wish(KubeadmAction::Join { control_plane: true });
        assert!(matches!(join.progress(&begun), KubeadmProgress::Half(why) if why.contains("kubeadm init")));
    }

    #[test]
    fn a_worker_is_seen_by_its_kubelet() {
        let join = wish(KubeadmAction::Join { control_plane: false });
        assert_eq!(join.witnesses(), ["/etc/kubernetes/kubelet.conf", "/var/lib/kubelet/config.yaml"]);
        assert_eq!(join.progress(&state(&join, |_| true)), KubeadmProgress::Done);
    }

    #[test]
    fn upgrades_are_seen_by_the_images_of_manifests() {
        let upgrade = wish(KubeadmAction::UpgradeNode { version: "1.35.2".into() });
        assert!(matches!(upgrade.progress(&state(&upgrade, |_| false)), KubeadmProgress::Half(_)));
        let mut seen = state(&upgrade, |_| true);
        for component in CONTROL_PLANE {
            assert_eq!(upgrade.progress(&seen), KubeadmProgress::Fresh);
            seen.versions.insert(component.into(), "v1.35.2".into());
        }
        assert_eq!(upgrade.progress(&seen), KubeadmProgress::Done);
        seen.versions.insert("kube-scheduler".into(), "v1.34.0".into());
        let change = &upgrade.compare(&seen).changes[0];
        assert!(change.from.as_deref().is_some_and(|from| from.contains("kube-scheduler v1.34.0")));
    }

    #[test]
    fn a_reset_leaves_nothing() {
        let reset =
            wish(KubeadmAction::Reset { certificates: "/etc/kubernetes/ssl".into(), cri_socket: None });
        assert_eq!(reset.progress(&state(&reset, |_| false)), KubeadmProgress::Done);
        assert_eq!(reset.progress(&state(&reset, |path| path.contains("kubelet"))), KubeadmProgress::Fresh);
    }

    #[test]
    fn a_phase_is_done_when_its_guards_say_so() {
        let phase = wish(KubeadmAction::Phase {
            of: "init".into(),
            phase: vec!["control-plane".into(), "all".into()],
            guards: vec![Guard::Pending("kubeadm:control-plane".into())],
        });
        assert_eq!(phase.command(), "init phase control-plane all");
        assert_eq!(phase.progress(&KubeadmState::default()), KubeadmProgress::Fresh);
        let done = KubeadmState { done: true, ..KubeadmState::default() };
        assert!(phase.compare(&done).is_same());
    }
}
