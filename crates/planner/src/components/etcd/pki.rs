//! The certificates of etcd (ETCD-021 to ETCD-045).
//!
//! Keys are made where they are used and stay there: no host holds those of others. Only the authority's is copied, to
//! all hosts of the group `etcd`: without it nobody could ever be let in again when its holder is lost (ETCD-034,
//! ETCD-142). A certificate is renewed for a reason, not in every run (ETCD-033). etcd and its
//! clients read certificates again with every connection, so nothing restarts for a new one.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use kubespray_resource::{
    AlternativeName, Authority, Certificate, CertificateRequest, Command, Content, Directory, File, Guard,
    KeyAlgorithm, KeyCopy, KeyFile, KeyOffer, KeySealing, Link, Mode, Owner, Signature, StepId, Subject,
    Token, Usage,
};
use kubespray_spec::HostSpec;
use kubespray_spec::choices::CertManagement;
use kubespray_spec::etcd::Etcd;

use super::cluster::{Cluster, Stage, hosts};
use super::{Problem, takes_part};
use crate::components::{Chain, Family, Host, Site};

const COMPONENT: &str = "etcd-secrets";
const SHARED: Mode = Mode(0o640);

/// Certificates that last longer are renewed when they last fewer days than this.
const RENEW_BEFORE_DAYS: u32 = 30;

/// How long rebuilding the store of trusted authorities may take, in seconds.
const TRUST_TIMEOUT_S: u64 = 120;

/// What a certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    /// A member shows it to clients and other members.
    Member,
    /// The operator's, on a host of a member.
    Admin,
    /// A client's: that of an API server or network plugin.
    Node,
}

impl Use {
    fn name(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Admin => "admin",
            Self::Node => "node",
        }
    }

    /// Those of a host.
    fn of(host: &HostSpec) -> Vec<Self> {
        let mut all = Vec::new();
        if host.roles.etcd {
            all.extend([Self::Member, Self::Admin]);
        }
        if host.roles.control_plane || needs_client(host) {
            all.push(Self::Node);
        }
        all
    }
}

/// Whether a node that is no control plane asks etcd: its network plugin keeps its data there. Kubespray gives
/// certificates also to nodes whose plugin never shows them (ETCD-143).
pub(super) fn needs_client(host: &HostSpec) -> bool {
    use kubespray_spec::choices::{CalicoDatastore, CiliumIdentityAllocationMode};
    let settings = &host.settings;
    let calico = settings.calico.as_ref().map(|calico| calico.calico_datastore);
    let cilium = settings.cilium.as_ref().map(|cilium| cilium.cilium_identity_allocation_mode);
    let roles = host.roles;
    (roles.worker || roles.route_reflector)
        && (calico == Some(CalicoDatastore::Etcd) || cilium == Some(CiliumIdentityAllocationMode::Kvstore))
}

/// What is the same for all certificates.
#[derive(Clone, Debug)]
pub(super) struct Pki<'a> {
    /// The host that signs.
    holder: &'a str,
    algorithm: KeyAlgorithm,
    days: u32,
    names: BTreeSet<AlternativeName>,
}

impl<'a> Pki<'a> {
    /// Nothing where others manage the certificates.
    pub(super) fn of(site: &Site<'a>, cluster: &Cluster<'a>) -> Result<Option<Self>, Problem> {
        let Some(first) = hosts(site).next() else { return Ok(None) };
        let settings = &first.settings;
        if settings.kubernetes.cert_management == CertManagement::None {
            return Ok(None);
        }
        let etcd = &settings.etcd;
        let algorithm = match etcd.certificates_key_size {
            2048 => KeyAlgorithm::Rsa2048,
            3072 => KeyAlgorithm::Rsa3072,
            4096 => KeyAlgorithm::Rsa4096,
            other => {
                let message = format!("`certificates_key_size` is {other}");
                return Err(Problem { message, hint: "set it to 2048, 3072 or 4096".into() });
            }
        };
        let days = u32::try_from(etcd.certificates_duration).ok().filter(|days| *days > 0);
        let days = days.ok_or_else(|| Problem {
            message: format!("`certificates_duration` is {} days", etcd.certificates_duration),
            hint: "set it to at least one day".into(),
        })?;
        let holder = holder(site, cluster)?;
        Ok(Some(Self { holder, algorithm, days, names: names(site, etcd)? }))
    }

    fn key(&self, path: String, mode: Mode, owner: Owner) -> KeyFile {
        KeyFile { path, algorithm: self.algorithm, mode, owner }
    }

    fn authority(&self) -> Content {
        Content::Output(StepId(format!("{}/{COMPONENT}/authority", self.holder)))
    }

    fn is_holder(&self, host: &HostSpec) -> bool {
        host.name == self.holder
    }

    /// Whether a host is given a copy of the authority's key.
    fn copies_to(&self, host: &HostSpec) -> bool {
        host.roles.etcd && !self.is_holder(host)
    }
}

/// The host that has the authority's key, or shall make it. A new authority where a cluster uses another one would
/// part it from all its clients, so there is none unless everything is new (LIFE-076).
fn holder<'a>(site: &Site<'a>, cluster: &Cluster<'a>) -> Result<&'a str, Problem> {
    let spec = site.spec;
    let has_key = |host: &&'a HostSpec| site.live.etcd_authorities.contains(&host.name);
    if let Some(holder) = hosts(site).find(has_key).or_else(|| spec.hosts.iter().find(has_key)) {
        return Ok(&holder.name);
    }
    if matches!(cluster.stage, Stage::New) && cluster.live.members.is_empty() {
        let mut members = cluster.members.iter();
        return match (members.clone().find(|member| !member.is_known), members.next()) {
            (Some(silent), _) => Err(Problem {
                message: format!("`{}` is not known: the cluster may be there already", silent.host.name),
                hint: "make the host reachable, or take it out of the group `etcd`".into(),
            }),
            (None, Some(first)) => Ok(&first.host.name),
            (None, None) => {
                Err(Problem { message: "no host is in the group `etcd`".into(), hint: "add some".into() })
            }
        };
    }
    let folder = &spec.settings.etcd.etcd_cert_dir;
    Err(Problem {
        message: "the key of etcd's certificate authority is on no host that is known".into(),
        hint: format!("put `ca.pem` and `ca-key.pem` back into `{folder}` of an etcd host from a backup"),
    })
}

/// ETCD-027, ETCD-028: all certificates have the same names, as those that Kubespray made.
fn names(site: &Site<'_>, etcd: &Etcd) -> Result<BTreeSet<AlternativeName>, Problem> {
    let dns = |name: &str| AlternativeName::Dns(name.to_owned());
    let mut names = BTreeSet::from([dns("localhost")]);
    names.extend(etcd.etcd_cert_alt_names.iter().map(|name| dns(name)));
    for host in hosts(site) {
        names.insert(dns(&host.name));
        // Members and clients reach it by this name then: without it they refuse each other (ETCD-144).
        for name in [&host.own.etcd_access_address, &host.own.etcd_events_access_address] {
            let name = name.known().map(|name| name.trim_matches(['[', ']']));
            names.extend(name.filter(|name| name.parse::<IpAddr>().is_err()).map(dns));
        }
        for addresses in [&host.own.main_access_ips, &host.own.main_ips] {
            let addresses = addresses.known().ok_or_else(|| Problem {
                message: format!("the addresses of the etcd member `{}` are not known", host.name),
                hint: "set its `ip`, or make the host reachable".into(),
            })?;
            names.extend(addresses.iter().copied().map(AlternativeName::Address));
        }
    }
    for text in etcd.etcd_cert_alt_ips.iter().map(String::as_str).chain(["127.0.0.1", "::1"]) {
        let address: IpAddr = text.parse().map_err(|_| Problem {
            message: format!("`{text}` of `etcd_cert_alt_ips` is no address"),
            hint: "names go to `etcd_cert_alt_names`".into(),
        })?;
        names.insert(AlternativeName::Address(address));
    }
    Ok(names)
}

/// Mode of certificates, mode of keys, owner of both: members read them as Kubespray's other members do, clients as
/// OpenSSL leaves them (ETCD-034, ETCD-035, ETCD-038).
fn access(host: &HostSpec) -> (Mode, Mode, Owner) {
    if !host.roles.etcd {
        return (Mode::PUBLIC, Mode::PRIVATE, Owner::root());
    }
    (SHARED, SHARED, owner(&host.settings.etcd))
}

fn owner(etcd: &Etcd) -> Owner {
    Owner { user: etcd.etcd_owner.clone(), group: etcd.etcd_cert_group.clone() }
}

/// The folder, the authority's certificate, and the certificates of the host. On the holder also those that must be
/// signed before it can start its member.
pub(super) fn wish(chain: &mut Chain<'_>, pki: &Pki<'_>, cluster: &Cluster<'_>) {
    chain.begin("etcd", COMPONENT);
    let host = chain.host;
    let etcd = &host.settings().etcd;
    let folder = &etcd.etcd_cert_dir;
    let path = folder.clone();
    chain.add("folder", Directory { path, mode: Mode(0o700), owner: owner(etcd) });
    let (mode, _, owner) = access(host.spec);
    let ca = format!("{folder}/ca.pem");
    if pki.is_holder(host.spec) {
        let authority = Authority {
            certificate_path: ca,
            certificate_mode: mode,
            certificate_owner: owner,
            key: pki.key(authority_key(&host), Mode::PRIVATE, Owner::root()),
            subject: Subject::named("etcd-ca"),
            days: pki.days,
        };
        chain.add("authority", authority);
    } else {
        let content = pki.authority();
        chain.add("authority", File { path: ca, content, mode, owner, keep_content: false });
    }
    for purpose in Use::of(host.spec) {
        certificate(chain, pki, purpose);
    }
    // Early, so that the holder never waits for it.
    if pki.copies_to(host.spec) {
        chain.add("offer-authority-key", KeyOffer { path: authority_key(&host) });
    }
    if pki.is_holder(host.spec) {
        sign_others(chain, pki, |other| is_urgent(pki, cluster, other));
    }
    if host.spec.roles.control_plane {
        links(chain);
    }
}

/// Members that the holder's own needs: to become a cluster, or because they join before it. All others are signed
/// behind its start: a host that is slow or fails holds up nobody.
fn is_urgent(pki: &Pki<'_>, cluster: &Cluster<'_>, host: &HostSpec) -> bool {
    let joins = |name: &str| cluster.member(name).is_some_and(|member| cluster.joins(member));
    cluster.member(&host.name).is_some() && (!joins(&host.name) || joins(pki.holder))
}

/// What is left to be signed when the holder's member runs.
pub(super) fn finish(chain: &mut Chain<'_>, pki: &Pki<'_>, cluster: &Cluster<'_>) {
    if pki.is_holder(chain.host.spec) {
        chain.begin("etcd", COMPONENT);
        sign_others(chain, pki, |other| !is_urgent(pki, cluster, other));
        seal_for_others(chain, pki);
    }
}

/// The key of etcd's authority on a host.
fn authority_key(host: &Host<'_>) -> String {
    format!("{}/ca-key.pem", host.settings().etcd.etcd_cert_dir)
}

fn sealing_name(host: &HostSpec) -> String {
    format!("seal-authority-key-{}", host.name)
}

fn seal_for_others(chain: &mut Chain<'_>, pki: &Pki<'_>) {
    let holder = chain.host;
    for other in holder.site.hosts().filter(|other| pki.copies_to(other.spec)) {
        let offer = StepId(format!("{}/{COMPONENT}/offer-authority-key", other.spec.name));
        let (key_path, copy_path) = (authority_key(&holder), authority_key(&other));
        let sealing = KeySealing { key_path, offer: Content::Output(offer), copy_path };
        chain.add(sealing_name(other.spec), sealing);
    }
}

/// The copy of the authority's key. A host that has none works as well as the others, so nothing may wait for it.
pub(super) fn copy(chain: &mut Chain<'_>, pki: &Pki<'_>) {
    let host = chain.host;
    if !pki.copies_to(host.spec) {
        return;
    }
    chain.begin("etcd", COMPONENT);
    let copy = KeyCopy {
        path: authority_key(&host),
        mode: Mode::PRIVATE,
        owner: Owner::root(),
        from: Content::Output(StepId(format!("{}/{COMPONENT}/{}", pki.holder, sealing_name(host.spec)))),
        authority: pki.authority(),
    };
    chain.add("authority-key", copy);
}

fn sign_others(chain: &mut Chain<'_>, pki: &Pki<'_>, is_wanted: impl Fn(&HostSpec) -> bool) {
    let site = chain.host.site;
    let others = site.hosts().filter(|other| !pki.is_holder(other.spec) && takes_part(other));
    for other in others.filter(|other| is_wanted(other.spec)) {
        for purpose in Use::of(other.spec) {
            sign(chain, pki, purpose, &other);
        }
    }
}

/// ETCD-024: the text before the first dot.
fn subject(host: &HostSpec, purpose: Use) -> Subject {
    let short = host.name.split('.').next().unwrap_or_default();
    Subject::named(format!("etcd-{}-{short}", purpose.name()))
}

fn usages() -> BTreeSet<Usage> {
    [Usage::Server, Usage::Client].into()
}

fn signature_name(host: &HostSpec, purpose: Use) -> String {
    format!("sign-{}-{}", purpose.name(), host.name)
}

fn sign(chain: &mut Chain<'_>, pki: &Pki<'_>, purpose: Use, of: &Host<'_>) {
    let holder = chain.host;
    let signature = Signature {
        ca_certificate_path: format!("{}/ca.pem", holder.settings().etcd.etcd_cert_dir),
        ca_key_path: authority_key(&holder),
        request: Content::Output(StepId(format!("{}/{COMPONENT}/request-{}", of.spec.name, purpose.name()))),
        subject: subject(of.spec, purpose),
        names: pki.names.clone(),
        usages: usages(),
        days: pki.days,
    };
    chain.add(signature_name(of.spec, purpose), signature);
}

fn certificate(chain: &mut Chain<'_>, pki: &Pki<'_>, purpose: Use) {
    let host = chain.host;
    let name = purpose.name();
    let path = format!("{}/{name}-{}", host.settings().etcd.etcd_cert_dir, host.spec.name);
    let (mode, key_mode, owner) = access(host.spec);
    let key = pki.key(format!("{path}-key.pem"), key_mode, owner.clone());
    let subject = subject(host.spec, purpose);
    let request = CertificateRequest { key: key.clone(), subject: subject.clone(), names: pki.names.clone() };
    chain.add(format!("request-{name}"), request);
    if pki.is_holder(host.spec) {
        sign(chain, pki, purpose, &host);
    }
    let from = StepId(format!("{}/{COMPONENT}/{}", pki.holder, signature_name(host.spec, purpose)));
    let certificate = Certificate {
        path: format!("{path}.pem"),
        mode,
        owner,
        key,
        from: Content::Output(from),
        authority: pki.authority(),
        subject,
        names: pki.names.clone(),
        usages: usages(),
        renew_before_days: RENEW_BEFORE_DAYS.min(pki.days / 3),
    };
    chain.add(format!("certificate-{name}"), certificate);
}

/// ETCD-037: the configuration of kubeadm is one for all control planes, and names the files of one of them.
fn links(chain: &mut Chain<'_>) {
    let host = chain.host;
    let folder = &host.settings().etcd.etcd_cert_dir;
    for other in host.site.spec.groups.control_plane.iter().filter(|other| **other != host.spec.name) {
        for suffix in ["", "-key"] {
            let link = Link {
                path: format!("{folder}/node-{other}{suffix}.pem"),
                target: format!("{folder}/node-{}{suffix}.pem", host.spec.name),
            };
            chain.add(format!("link-node-{other}{suffix}"), link);
        }
    }
}

/// Where the system keeps authorities that it trusts, and how it is told (ETCD-041 to ETCD-045).
pub(crate) fn trust_store(host: &Host<'_>) -> Option<(&'static str, Vec<&'static str>)> {
    let clear = "/usr/share/ca-certs/etcd-ca.pem";
    Some(match host.family() {
        Family::Debian => ("/usr/local/share/ca-certificates/etcd-ca.crt", vec!["update-ca-certificates"]),
        Family::RedHat => {
            ("/etc/pki/ca-trust/source/anchors/etcd-ca.crt", vec!["update-ca-trust", "extract"])
        }
        Family::Suse => ("/etc/pki/trust/anchors/etcd-ca.pem", vec!["update-ca-certificates"]),
        Family::Other if host.is_os("flatcar") => {
            ("/etc/ssl/certs/etcd-ca.pem", vec!["update-ca-certificates"])
        }
        Family::Other if host.is_os("clear-linux-os") => (clear, vec!["clrtrust", "add", clear]),
        Family::Other => return None,
    })
}

/// The system's own clients trust the authority. Nothing of a cluster is among them, and the programs of systems take
/// seconds for it.
pub(super) fn trust(chain: &mut Chain<'_>, pki: &Pki<'_>) {
    let host = chain.host;
    let knows = host.spec.roles.etcd || host.spec.roles.control_plane || needs_client(host.spec);
    let Some((path, argv)) = trust_store(&host).filter(|_| knows) else { return };
    chain.begin("etcd", COMPONENT);
    let token = Token::from("trust:etcd-ca");
    let file = File {
        path: path.to_owned(),
        content: pki.authority(),
        mode: SHARED,
        owner: Owner::root(),
        keep_content: false,
    };
    chain.add("trusted-authority", file).notifies.push(token.clone());
    let command = Command {
        argv: argv.into_iter().map(str::to_owned).collect(),
        environment: BTreeMap::new(),
        stdin: None,
        guards: vec![Guard::Pending(token)],
        timeout_s: TRUST_TIMEOUT_S,
    };
    chain.add("trust", command);
}
