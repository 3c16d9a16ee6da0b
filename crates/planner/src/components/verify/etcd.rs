//! What members of etcd can say of their clusters (`etcd_deployment_type: host`).

use std::collections::BTreeMap;

use kubespray_resource::{Assertion, EtcdClient, Probe};
use kubespray_spec::choices::{CertManagement, EtcdDeployment};
use kubespray_spec::{FromFacts, HostSpec};

use super::{NOW, Patience, SOON, assert, probe};
use crate::components::{Chain, Host};

/// Nobody renews these by itself, so there must be time to, in days.
const LASTS_DAYS: u32 = 30;

/// What one look at etcd may take, beside the pause between two (CHK-021).
const LOOK_S: i64 = 3;

/// What etcd takes where nothing else is said.
const QUOTA: u64 = 2 << 30;

/// Whether a host has a member that is a service.
pub(super) fn runs(host: &Host<'_>) -> bool {
    host.spec.roles.etcd && host.settings().etcd.etcd_deployment_type == EtcdDeployment::Host
}

pub(super) fn wish(chain: &mut Chain<'_>) {
    let host = chain.host;
    let settings = host.settings();
    let etcd = &settings.etcd;
    certificates(chain);
    if !runs(&host) {
        return;
    }
    // CHK-021, and no less than CHK-020.
    let seconds = etcd.etcd_retries.saturating_mul(settings.downloads.retry_stagger.saturating_add(LOOK_S));
    let patience =
        Patience { timeout_s: u64::try_from(seconds).unwrap_or_default().max(SOON.timeout_s), interval_s: 1 };
    cluster(chain, patience, "", 2379, "etcd.service", |host| &host.own.etcd_peer_url);
    if etcd.etcd_events_cluster_enabled {
        cluster(chain, patience, "events-", 2383, "etcd-events.service", |host| {
            &host.own.etcd_events_peer_url
        });
    }
    let is_first = host.site.hosts().find(runs).is_some_and(|first| first.spec.name == host.spec.name);
    let resources = &settings.encryption.kube_encryption_resources;
    let kind = resources.iter().find(|kind| *kind == "secrets").or(resources.first());
    if let Some(kind) = kind.filter(|_| is_first && settings.encryption.kube_encrypt_secret_data) {
        let prefix = format!("/registry/{kind}/");
        assert(chain, "secrets-encrypted", NOW, Assertion::Encrypted { client: client(&host, 2379), prefix });
    }
}

fn cluster(
    chain: &mut Chain<'_>,
    patience: Patience,
    infix: &str,
    port: u16,
    unit: &str,
    peer_url: impl Fn(&HostSpec) -> &FromFacts<String>,
) {
    let host = chain.host;
    let etcd = &host.settings().etcd;
    probe(chain, &format!("etcd-{infix}service"), SOON, Probe::Unit(unit.to_owned()));
    let hosts = host.site.spec.groups.etcd.iter().filter_map(|name| host.site.spec.host(name));
    let members: BTreeMap<String, String> =
        hosts.filter_map(|host| Some((peer_url(host).known()?.clone(), host.name.clone()))).collect();
    let members = Assertion::Etcd {
        client: client(&host, port),
        members,
        version: etcd.etcd_version.to_string(),
        quota: etcd.etcd_quota_backend_bytes.trim().parse().ok().filter(|bytes| *bytes > 0).unwrap_or(QUOTA),
    };
    assert(chain, &format!("etcd-{infix}members"), patience, members);
}

/// Through the host's own member: each says what it sees itself.
fn client(host: &Host<'_>, port: u16) -> EtcdClient {
    let folder = &host.settings().etcd.etcd_cert_dir;
    let admin = format!("{folder}/admin-{}", host.spec.name);
    EtcdClient {
        endpoints: vec![format!("https://127.0.0.1:{port}")],
        ca: format!("{folder}/ca.pem"),
        certificate: format!("{admin}.pem"),
        key: format!("{admin}-key.pem"),
        bin_dir: Some(host.settings().kubernetes.bin_dir.clone()),
    }
}

/// CHK-072: those of members, of their operators and of API servers.
fn certificates(chain: &mut Chain<'_>) {
    let host = chain.host;
    let (etcd, roles) = (&host.settings().etcd, host.spec.roles);
    if host.settings().kubernetes.cert_management == CertManagement::None
        || etcd.etcd_deployment_type != EtcdDeployment::Host
    {
        return;
    }
    let of_member: &[&str] = if roles.etcd { &["member", "admin"] } else { &[] };
    let of_client: &[&str] = if roles.control_plane { &["node"] } else { &[] };
    let folder = &etcd.etcd_cert_dir;
    let files: BTreeMap<String, String> = of_member
        .iter()
        .chain(of_client)
        .map(|kind| (format!("{folder}/{kind}-{}.pem", host.spec.name), format!("{folder}/ca.pem")))
        .collect();
    if !files.is_empty() {
        assert(chain, "etcd-certificates", NOW, Assertion::Certificates { files, days: LASTS_DAYS });
    }
}
