//! kubectl and root's access, and what keeps certificates alive (spec CP-011, CP-144 to CP-147, CP-159).
//!
//! Root's `.kube/config` is a link to `admin.conf`, which renewals replace: it never grows stale. `admin.conf` leads
//! to the API server of its own host or to the external load balancer, so that it works while any other host is
//! down (CP-174). Completion asks kubectl itself, so that it fits the installed version. Waiting for the API server
//! after a renewal ends, and asks the address that it listens on (CP-147).

use kubespray_resource::{File, Link, Mode, Unit};

use super::super::{Chain, Family, Host, directory, downloads, enabled, file, restarts};
use super::names;

const SERVICE: &str = "k8s-certs-renew.service";
const TIMER: &str = "k8s-certs-renew.timer";

/// Programs of the operator, before the control plane is made.
pub(super) fn programs(chain: &mut Chain<'_>) {
    let host = chain.host;
    let settings = host.settings();
    let bin = &settings.kubernetes.bin_dir;
    downloads::install(chain, "kubectl", None, &format!("{bin}/kubectl"), Mode::EXECUTABLE);
    if host.family() != Family::Other {
        let mut text = format!(". <({bin}/kubectl completion bash)\n");
        if let Some(alias) = settings.apiserver.kubectl_alias.as_ref().filter(|alias| !alias.is_empty()) {
            text.push_str(
                "alias ALIAS=kubectl\ncomplete -o default -F __start_kubectl ALIAS\n"
                    .replace("ALIAS", alias)
                    .as_str(),
            );
        }
        let completion = File { mode: Mode::EXECUTABLE, ..file("/etc/bash_completion.d/kubectl.sh", text) };
        chain.add("kubectl-completion", completion);
    }
}

/// Root's kubeconfig, when the control plane is there.
pub(super) fn access(chain: &mut Chain<'_>) {
    let target = super::admin(&chain.host);
    chain.add("folder-kube", directory("/root/.kube", Mode(0o700)));
    chain.add("kubeconfig", Link { path: "/root/.kube/config".into(), target });
}

/// The script that renews certificates, and its timer where it is wished.
pub(super) fn renewal(chain: &mut Chain<'_>) {
    let host = chain.host;
    let settings = host.settings();
    let certificates = &settings.certificates;
    let path = format!("{}/k8s-certs-renew.sh", settings.kubernetes.bin_dir);
    chain.add("certificate-renewal", File { mode: Mode::EXECUTABLE, ..file(path.as_str(), script(&host)) });
    if !certificates.auto_renew_certificates {
        return;
    }
    let minutes = 10 * host.site.spec.groups.control_plane.len();
    let service = format!(
        "[Unit]\nDescription=Renew certificates of the control plane\n\n[Service]\nType=oneshot\nExecStart={path}\n"
    );
    let timer = format!(
        "[Unit]\nDescription=Renew certificates of the control plane in time\n\n[Timer]\nOnCalendar={}\n\
         RandomizedDelaySec={minutes}min\nFixedRandomDelay=yes\nPersistent=yes\n\n[Install]\nWantedBy=timers.target\n",
        certificates.auto_renew_certificates_systemd_calendar
    );
    chain.add("certificate-renewal-service", file(format!("/etc/systemd/system/{SERVICE}"), service));
    restarts(
        chain.add("certificate-renewal-timer", file(format!("/etc/systemd/system/{TIMER}"), timer)),
        TIMER,
    );
    chain.add(TIMER, Unit { ..enabled(TIMER) });
}

/// Renews everything when something ends before the timer has run once more, with a week to spare; without a timer
/// always.
fn script(host: &Host<'_>) -> String {
    let settings = host.settings();
    let kubernetes = &settings.kubernetes;
    let (bin, config, certificates) =
        (&kubernetes.bin_dir, &kubernetes.kube_config_dir, &kubernetes.kube_cert_dir);
    let (socket, server) = (&settings.engine.cri_socket, names::own_server(host));
    format!(
        r#"#!/bin/sh
# Renews the certificates of this control plane and restarts what reads them only once.
set -eu

PATH={bin}:/usr/sbin:/usr/bin:/sbin:/bin
config={config}
certificates={certificates}

ends_within() {{
    for file in apiserver.crt apiserver-kubelet-client.crt front-proxy-client.crt; do
        openssl x509 -noout -checkend "$1" -in "$certificates/$file" >/dev/null || return 0
    done
    for file in admin.conf controller-manager.conf scheduler.conf; do
        sed -n 's/.*client-certificate-data: //p' "$config/$file" | base64 -d |
            openssl x509 -noout -checkend "$1" >/dev/null || return 0
    done
    return 1
}}

kubeadm certs check-expiration --cert-dir "$certificates" || true
next=$(systemctl show {TIMER} --property NextElapseUSecRealtime --value 2>/dev/null || true)
if [ -n "$next" ] && next=$(date --date "$next" +%s 2>/dev/null); then
    if ! ends_within $((next + 7 * 24 * 3600 - $(date +%s))); then
        echo 'no certificate ends before the next run'
        exit 0
    fi
fi

kubeadm certs renew all --cert-dir "$certificates"
for name in kube-apiserver kube-controller-manager kube-scheduler etcd; do
    for pod in $(crictl --runtime-endpoint {socket} pods --namespace kube-system --name "^$name-" --quiet); do
        crictl --runtime-endpoint {socket} stopp "$pod"
        crictl --runtime-endpoint {socket} rmp "$pod"
    done
done

tries=60
until kubectl --kubeconfig "$config/admin.conf" --server {server} --tls-server-name kubernetes get --raw=/healthz >/dev/null 2>&1; do
    tries=$((tries - 1))
    if [ "$tries" -eq 0 ]; then
        echo 'the API server does not answer' >&2
        exit 1
    fi
    sleep 5
done
kubeadm certs check-expiration --cert-dir "$certificates"
"#
    )
}
