//! What kubeadm left when it was cut off in the middle. It writes keys before their certificates, in place, and takes
//! what is there for whole: a half of a pair fails it for ever, or an API server that lacks its key.

use kubespray_resource::{Failure, Kubeadm, KubeadmAction};

use super::text_of;
use crate::Host;

/// Certificates that each control plane makes for itself, and an authority that a new cluster makes: while the
/// certificate is not whole nobody can trust it yet.
const PAIRS: [&str; 4] = ["apiserver", "apiserver-kubelet-client", "front-proxy-client", "front-proxy-ca"];

/// The key that signs tokens of service accounts, with its public half.
const ACCOUNTS: [&str; 2] = ["sa.key", "sa.pub"];

const KUBECONFIGS: [&str; 5] =
    ["admin.conf", "super-admin.conf", "controller-manager.conf", "scheduler.conf", "kubelet.conf"];

/// Removes what is not whole of what an earlier attempt of ours made, so that the next one makes it anew.
pub(super) fn clear(host: &dyn Host, wish: &Kubeadm) -> Result<(), Failure> {
    for name in KUBECONFIGS {
        let path = format!("/etc/kubernetes/{name}");
        // Users come last, and a line that was cut off has no end.
        let is_whole = |text: &str| text.contains("users:") && text.ends_with('\n');
        if text_of(host, &path)?.is_some_and(|text| !is_whole(&text)) {
            host.remove(&path, false)?;
        }
    }
    let Some(folder) = &wish.certificates else { return Ok(()) };
    let is_new_cluster = matches!(wish.action, KubeadmAction::Init { .. });
    for name in PAIRS {
        let pair = [format!("{folder}/{name}.key"), format!("{folder}/{name}.crt")];
        // Another control plane brings the authorities of a cluster that there is.
        if name != "front-proxy-ca" || is_new_cluster {
            clear_pair(host, &pair)?;
        }
    }
    if is_new_cluster {
        clear_pair(host, &ACCOUNTS.map(|name| format!("{folder}/{name}")))?;
    }
    Ok(())
}

/// Removes a pair of which not both halves are whole.
fn clear_pair(host: &dyn Host, pair: &[String; 2]) -> Result<(), Failure> {
    let is_whole = |text: &String| text.trim_end().ends_with("-----") && text.contains("-----END ");
    let mut whole = 0;
    for path in pair {
        whole += usize::from(text_of(host, path)?.as_ref().is_some_and(is_whole));
    }
    for path in pair.iter().filter(|_| whole < pair.len()) {
        if host.metadata(path)?.is_some() {
            host.remove(path, false)?;
        }
    }
    Ok(())
}
