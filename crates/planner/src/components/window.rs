//! The time in which a live node is out of service: emptied before, given back behind (`upgrade/pre-upgrade`,
//! `upgrade/post-upgrade`; spec OPS-010 to OPS-019, OPS-055 to OPS-059).
//!
//! Every node does this by itself, with the kubeconfig of its own kubelet: the API server lets a node cordon itself and
//! evict the pods that run on it, and nothing else, so that no worker is given more than it has.
//!
//! A node is emptied only where a step of its turn needs it ([`crate::windows`]) and another one can take its pods.
//! Who was cordoned by somebody else is neither emptied nor given back (OPS-018); what carries our mark is finished
//! and given back, whichever run cordoned it (OPS-019).

use kubespray_resource::{
    Check, Disruption, Drain, DrainFallback, Hold, NodeListed, NodeState, ObjectMust, ObjectRef, Probe, Step,
    StepId,
};
use kubespray_spec::Settings;

use super::{Chain, Host};

/// The name of the steps that empty a node, and that give it back.
pub(crate) const AWAY: &str = "away";
pub(crate) const BACK: &str = "back";

/// Who cordons, as nodes say it.
const MARK: &str = "upgrade-cluster";

/// How long a kubelet may take to be ready in its new version, in seconds: networks begin behind it.
const READY_S: u64 = 300;
const READY_INTERVAL_MS: u64 = 1_000;

/// What becomes of the pods of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// They move away.
    Drain,
    /// No new ones come.
    Cordon,
    /// Nothing.
    Leave,
}

fn way(host: &Host<'_>) -> Way {
    let settings = &host.settings().upgrade;
    let Some(seen) = host.site.live.node(host.spec) else { return Way::Leave };
    let is_ours = seen.cordoned_by.is_some();
    let is_wanted = is_ours || (seen.ready && !seen.unschedulable) || settings.upgrade_node_always_cordon;
    match (is_wanted, settings.drain_nodes && others_take_pods(host)) {
        (false, _) => Way::Leave,
        (true, true) => Way::Drain,
        // Pods that nobody could take stay where they are, and new ones have nowhere else to go (PAIN-039).
        (true, false) if !others_take_pods(host) => Way::Leave,
        (true, false) => Way::Cordon,
    }
}

/// The step that empties the node, where there is one.
pub(crate) fn away<'c>(chain: &'c mut Chain<'_>) -> Option<&'c mut Step> {
    let id = StepId(format!("{}/pre-upgrade/{AWAY}", chain.host.spec.name));
    chain.steps().iter_mut().find(|step| step.id == id)
}

/// Why nothing empties the node; nothing where something does.
pub(crate) fn undrained(host: &Host<'_>) -> Option<&'static str> {
    match way(host) {
        Way::Drain => return None,
        Way::Cordon => return Some("`drain_nodes` is false"),
        Way::Leave => {}
    }
    Some(match host.site.live.node(host.spec) {
        None => "the cluster has none of this host",
        Some(seen) if !seen.ready => "it was not ready",
        Some(seen) if seen.unschedulable => "somebody else cordoned it",
        Some(_) => "no other node could take them",
    })
}

/// Whether pods that leave a node have somewhere to go.
fn others_take_pods(host: &Host<'_>) -> bool {
    let takes = |seen: &NodeListed| {
        let is_free = |key: &String| key.ends_with(":PreferNoSchedule") || key.contains("unschedulable:");
        seen.ready && (!seen.unschedulable || seen.cordoned_by.is_some()) && seen.taints.iter().all(is_free)
    };
    let nodes = host.site.live.listed.iter().flatten();
    nodes.into_iter().any(|(name, seen)| *name != host.spec.node_name && takes(seen))
}

/// The kubeconfig of the kubelet.
fn kubeconfig(host: &Host<'_>) -> String {
    format!("{}/kubelet.conf", host.settings().kubernetes.kube_config_dir)
}

/// Empties the node; what follows may disturb it.
pub(crate) fn open(chain: &mut Chain<'_>) {
    chain.begin("pre-upgrade", "pre-upgrade");
    let host = chain.host;
    let settings = host.settings();
    refuse_unknown(chain);
    let node = host.spec.node_name.clone();
    let upgrade = &settings.upgrade;
    let hold = hold(
        upgrade.upgrade_node_confirm,
        upgrade.upgrade_node_pause_seconds,
        format!("begin with node `{node}`"),
    );
    let step = match way(&host) {
        Way::Leave => return,
        Way::Drain => chain.add(AWAY, drain(&host)),
        Way::Cordon => chain.add(AWAY, cordon(&host, true)),
    };
    step.disruption = Disruption::Drain;
    step.hold = hold;
}

/// Proves that the node is ready in the wished version, then lets it take pods again.
pub(crate) fn close(chain: &mut Chain<'_>) {
    let host = chain.host;
    // What was not ready before must not become it by an upgrade (OPS-018).
    let proves = host.site.live.node(host.spec).is_some_and(|seen| seen.ready);
    close_at(chain, &host.site.wished_version(), proves);
}

/// Lets the node take pods again; where `proves`, only when it is ready in a version.
pub(crate) fn close_at(chain: &mut Chain<'_>, version: &str, proves: bool) {
    chain.begin("post-upgrade", "post-upgrade");
    let host = chain.host;
    let node = host.spec.node_name.clone();
    if proves {
        let object =
            ObjectRef { api_version: "v1".into(), kind: "Node".into(), namespace: None, name: node.clone() };
        let probe = Probe::Object {
            kubeconfig: kubeconfig(&host),
            object,
            must: ObjectMust::NodeAt(version.to_owned()),
        };
        let check = Check {
            name: format!("node `{node}` is ready with version {version}"),
            probe,
            timeout_s: READY_S,
            interval_ms: READY_INTERVAL_MS,
        };
        chain.add("ready", check);
    }
    if way(&host) == Way::Leave {
        return;
    }
    let upgrade = &host.settings().upgrade;
    let hold = hold(
        upgrade.upgrade_node_post_upgrade_confirm,
        upgrade.upgrade_node_post_upgrade_pause_seconds,
        format!("let node `{node}` take pods again"),
    );
    chain.add(BACK, cordon(&host, false)).hold = hold;
}

/// LIFE-232 to LIFE-235: a question goes before a pause.
fn hold(confirm: bool, pause: i64, question: String) -> Option<Hold> {
    if confirm {
        return Some(Hold::Confirm(question));
    }
    u64::try_from(pause).ok().filter(|seconds| *seconds > 0).map(Hold::Pause)
}

fn refuse_unknown(chain: &mut Chain<'_>) {
    let upgrade = &chain.host.settings().upgrade;
    let hooks = upgrade.post_upgrade_hooks.as_ref();
    if hooks.is_some_and(|hooks| !hooks.is_empty()) {
        chain.refuse(
            "`post_upgrade_hooks` names tasks of Ansible, which are not run",
            "unset it; with `upgrade_node_post_upgrade_confirm: true` the run waits before each node takes pods again: \
             do their work then from another terminal, such as with `kubespray exec NODE -i INVENTORY -- COMMAND`",
        );
    }
}

/// A cordon or its end, with our mark.
fn cordon(host: &Host<'_>, unschedulable: bool) -> NodeState {
    NodeState {
        kubeconfig: kubeconfig(host),
        name: host.spec.node_name.clone(),
        unschedulable: Some(unschedulable),
        mark: Some(MARK.into()),
        ..NodeState::default()
    }
}

/// OPS-015 to OPS-017. Attempts and the time between them are one deadline (PAIN-047): a pod that a budget holds is
/// asked again every few seconds until then.
fn drain(host: &Host<'_>) -> Drain {
    let settings: &Settings = host.settings();
    let (upgrade, removal) = (&settings.upgrade, &settings.remove_node);
    let seconds = |number: i64| u64::try_from(number).ok();
    let whole = |one: u64, retries: i64, delay: i64| {
        let retries = seconds(retries).unwrap_or_default();
        let delays = retries.saturating_mul(seconds(delay).unwrap_or_default());
        one.saturating_mul(retries.saturating_add(1)).saturating_add(delays)
    };
    Drain {
        kubeconfig: kubeconfig(host),
        node: host.spec.node_name.clone(),
        mark: Some(MARK.into()),
        grace_s: seconds(removal.drain_grace_period),
        timeout_s: whole(
            removal.drain_timeout.length().as_secs(),
            removal.drain_retries,
            removal.drain_retry_delay_seconds,
        ),
        ignore_daemonsets: true,
        delete_empty_dir: true,
        force: true,
        pod_selector: upgrade.drain_pod_selector.clone().filter(|selector| !selector.is_empty()),
        fallback: upgrade.drain_fallback_enabled.then(|| DrainFallback {
            grace_s: seconds(upgrade.drain_fallback_grace_period),
            timeout_s: whole(
                upgrade.drain_fallback_timeout.length().as_secs(),
                upgrade.drain_fallback_retries,
                upgrade.drain_fallback_retry_delay_seconds,
            ),
        }),
        uncordon_on_failure: upgrade.upgrade_node_uncordon_after_drain_failure,
        may_fail: !upgrade.upgrade_node_fail_if_drain_fails,
    }
}
