//! `kubeadm upgrade`, with the rules of which version follows which.

use super::certs::{self, FOLDER};
use super::config::{Config, text, texts};
use super::{administrator, manifests, objects, preflight};
use crate::client::Client;
use crate::flags::Flags;
use crate::{kubeconfig, version};

/// The version of the API server that answers.
fn of_cluster(client: &Client) -> Result<String, String> {
    let (_, body) = client.raw("GET", "/version", "", None)?;
    let answer: serde_json::Value = serde_json::from_slice(&body).map_err(|error| error.to_string())?;
    Ok(text(&answer, "/gitVersion").to_owned())
}

/// Whether a cluster of one version may become one of another, by a kubeadm of a third.
pub(super) fn check(from: &str, to: &str, own: &str) -> Result<(), String> {
    let minors = [from, to, own].map(|version| preflight::minor(version).map(|(_, minor)| minor));
    let [Some(from_minor), Some(to_minor), Some(own_minor)] = minors else {
        return Err(format!("couldn't parse one of the versions {from:?}, {to:?}, {own:?}"));
    };
    let mut problems = Vec::new();
    if to_minor > from_minor + 1 {
        problems.push(format!("Specified version to upgrade to {to:?} is too high; kubeadm can upgrade only 1 minor version at a time"));
    }
    if to_minor + 1 < from_minor || preflight::numbers(to) < preflight::numbers(from) {
        problems.push(format!("Specified version to upgrade to {to:?} is lower than the version of the cluster {from:?}; kubeadm does not downgrade"));
    }
    if to_minor > own_minor {
        problems.push(format!("Specified version to upgrade to {to:?} is at least one minor release higher than the kubeadm minor release ({to_minor} > {own_minor}). Such an upgrade is not supported"));
    } else if preflight::numbers(to) > preflight::numbers(own) {
        problems.push(format!("Specified version to upgrade to {to:?} is higher than the kubeadm version {own:?}. Upgrade kubeadm first using the tool you used to install kubeadm"));
    }
    if own_minor > to_minor + 1 {
        problems
            .push(format!("Kubeadm version {own:?} can only upgrade to the same minor version or one below"));
    }
    if problems.is_empty() {
        Ok(())
    } else {
        Err(format!(
            "[upgrade/version] FATAL: the --version argument is invalid due to these errors:\n\t- {}",
            problems.join("\n\t- ")
        ))
    }
}

/// Kubelets must not be more than three minor versions behind.
fn check_kubelets(client: &Client, to: &str) -> Result<(), String> {
    for node in client.list("/api/v1/nodes")? {
        let found = text(&node, "/status/nodeInfo/kubeletVersion");
        let (Some((_, kubelet)), Some((_, to_minor))) = (preflight::minor(found), preflight::minor(to))
        else {
            continue;
        };
        if kubelet + 3 < to_minor {
            return Err(format!(
                "[upgrade/version] FATAL: the kubelet of {} is of version {found}, which does not work with {to}",
                text(&node, "/metadata/name")
            ));
        }
    }
    Ok(())
}

/// The configuration in the cluster with what only this host knows of itself.
fn of_this_host(client: &Client) -> Result<Config, String> {
    let mut config = objects::fetch(client)?;
    let own = crate::yaml::read(&crate::files::read(&format!("{FOLDER}/manifests/kube-apiserver.yaml"))?)?;
    let command = own.pointer("/spec/containers/0/command").and_then(serde_json::Value::as_array);
    let flag = |name: &str| {
        let start = format!("--{name}=");
        command.into_iter().flatten().find_map(|word| word.as_str()?.strip_prefix(&start).map(str::to_owned))
    };
    let address = flag("advertise-address").ok_or("the API server's manifest has no --advertise-address")?;
    let port = flag("secure-port").and_then(|port| port.parse::<u64>().ok()).unwrap_or(6443);
    let access = kubeconfig::read(&format!("{FOLDER}/kubelet.conf"))?;
    let (pem, _) = access.identity.pair.ok_or("kubelet.conf has no certificate")?;
    let facts =
        crate::pki::first(&String::from_utf8_lossy(&pem)).and_then(|der| crate::pki::Facts::of(&der))?;
    config.init = serde_json::json!({"localAPIEndpoint": {"advertiseAddress": address, "bindPort": port},
        "nodeRegistration": {"name": facts.name.trim_start_matches("system:node:")}});
    Ok(config)
}

fn raise(config: &Config, client: &Client, wished: &Config, part: &str) -> Result<(), String> {
    let own = &wished.upgrade[part];
    let mut config = config.clone();
    if let Some(patches) = own.get("patches") {
        config.init["patches"] = patches.clone();
    }
    let skipped = texts(own, "/skipPhases");
    if own.get("certificateRenewal") != Some(&serde_json::Value::Bool(false)) {
        certs::renew(config.certificates(), config.lasts(false))?;
    }
    manifests::write(&config, &manifests::COMPONENTS)?;
    let wanted = config.kubernetes_version();
    super::wait("the raised kube-apiserver", config.timeout("upgradeManifests", 300), || {
        let local = kubeconfig::Access {
            server: config.local_server(),
            ..kubeconfig::read(&format!("{FOLDER}/admin.conf"))?
        };
        let found = of_cluster(&Client::new(&local, "kubeadm")?)?;
        if found == wanted { Ok(()) } else { Err(format!("it is still {found}")) }
    })?;
    super::wait_for_control_plane(&config)?;
    if part == "apply" {
        objects::upload_config(client, &config, "all")?;
        if !skipped.iter().any(|phase| phase == "addon/kube-proxy" || phase == "addon") {
            objects::proxy(client, &config)?;
        }
    }
    super::write_kubelet(&config)
}

pub(super) fn apply(flags: &Flags, version_wished: Option<&str>) -> Result<(), String> {
    let wished = Config::read(flags.required("config")?)?;
    let to = match (version_wished, text(&wished.upgrade, "/apply/kubernetesVersion")) {
        (Some(version), _) => version.to_owned(),
        (None, "") => {
            return Err("missing one or more required arguments. Required arguments: [version]".into());
        }
        (None, version) => version.to_owned(),
    };
    if !flags.is("yes")
        && wished.upgrade.pointer("/apply/forceUpgrade") != Some(&serde_json::Value::Bool(true))
    {
        return Err("won't proceed; the user didn't answer (Y|y) in order to continue".into());
    }
    let client = administrator()?;
    let from = of_cluster(&client)?;
    check(&from, &to, &version())?;
    check_kubelets(&client, &to)?;
    let mut config = of_this_host(&client)?;
    config.cluster["kubernetesVersion"] = to.as_str().into();
    config.proxy = wished.proxy.clone();
    preflight::pull(&config)?;
    raise(&config, &client, &wished, "apply")?;
    crate::say(&format!("[upgrade] SUCCESS! A control plane node of your cluster was upgraded to {to:?}."));
    Ok(())
}

pub(super) fn node(flags: &Flags) -> Result<(), String> {
    let wished = match flags.get("config") {
        Some(path) => Config::read(path)?,
        None => Config::default(),
    };
    let kubelet = objects::open(&format!("{FOLDER}/kubelet.conf"))?;
    if !crate::files::is_there(&format!("{FOLDER}/manifests/kube-apiserver.yaml")) {
        let mut config = objects::fetch(&kubelet)?;
        config.init = serde_json::json!({"nodeRegistration": {"name": crate::hostname()}});
        return super::write_kubelet(&config);
    }
    let client = administrator()?;
    let config = of_this_host(&client)?;
    let to = config.kubernetes_version();
    let own = version();
    if preflight::minor(&to) > preflight::minor(&own) {
        return Err(format!("the cluster is of version {to}, this kubeadm of version {own}"));
    }
    preflight::pull(&config)?;
    raise(&config, &client, &wished, "node")
}

pub(super) fn plan(_: &Flags) -> Result<(), String> {
    let from = of_cluster(&administrator()?)?;
    crate::say(&format!(
        "[upgrade/versions] Cluster version: {from}\n[upgrade/versions] kubeadm version: {}",
        version()
    ));
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn versions_follow_each_other_by_one_minor_at_most() {
        for (from, to, own, is_allowed) in [
            ("v1.34.1", "v1.35.0", "v1.35.0", true),
            ("v1.35.0", "v1.35.2", "v1.35.2", true),
            ("v1.35.0", "v1.35.0", "v1.35.2", true),
            ("v1.34.1", "v1.36.0", "v1.36.0", false),
            ("v1.35.1", "v1.35.0", "v1.35.1", false),
            ("v1.35.0", "v1.34.9", "v1.35.0", false),
            ("v1.34.1", "v1.35.0", "v1.34.1", false),
            ("v1.35.0", "v1.35.2", "v1.35.1", false),
            ("v1.34.0", "v1.34.1", "v1.36.0", false),
            ("nonsense", "v1.34.1", "v1.36.0", false),
        ] {
            assert_eq!(super::check(from, to, own).is_ok(), is_allowed, "{from} {to} {own}");
        }
    }
}
