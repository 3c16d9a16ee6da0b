//! Strict doubles of Kubernetes' own programs, for tests on hosts that have none of them.
//!
//! One program acts by the name that it is called: `kubeadm`, `kubelet`, `kubectl`, `kube-apiserver`,
//! `kube-controller-manager`, `kube-scheduler`, `kube-proxy`, `pause`, `coredns`, `crictl`, `nerdctl`, `helm`. Objects are kept in
//! a real etcd, pods run as real containers of the host's engine. A double is stricter than what it stands for: it refuses
//! unknown fields and flags, wrong certificates, wrong order and versions that do not fit together.
//!
//! Which version of Kubernetes it is, is written behind the program's end by [`stamp`].
#![allow(unreachable_pub, reason = "one program in many modules")]

mod api;
mod cidr;
mod client;
mod clock;
mod controller;
mod cri;
mod fields;
mod files;
mod flags;
mod kubeadm;
mod kubeconfig;
mod kubelet;
mod leader;
mod net;
mod pki;
mod scheduler;
mod schema;
mod store;
#[cfg(test)]
mod tests;
mod tools;
mod yaml;

pub use fields::{Fields, apply, merge_into, note_update};

use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::net::SocketAddr;

/// What stands before the version at the end of a program.
const MARK: &[u8] = b"\nkubespray-double-version=";

/// How long mark and version are at most, in bytes.
const TRAILER: i64 = 64;

/// The version of programs that have no stamp.
const UNSTAMPED: &str = "v1.35.0";

/// The program as one of this version of Kubernetes, such as `v1.36.2`.
pub fn stamp(program: &[u8], version: &str) -> Vec<u8> {
    [program, MARK, version.as_bytes()].concat()
}

/// The version of this program.
pub(crate) fn version() -> String {
    let read = || -> std::io::Result<String> {
        let mut file = std::fs::File::open("/proc/self/exe")?;
        file.seek(SeekFrom::End(-TRAILER))?;
        let mut end = Vec::new();
        file.read_to_end(&mut end)?;
        let at = end.windows(MARK.len()).rposition(|window| window == MARK);
        let version = at.and_then(|at| end.get(at + MARK.len()..));
        version
            .and_then(|version| String::from_utf8(version.to_vec()).ok())
            .ok_or_else(|| std::io::Error::other("no stamp"))
    };
    read().unwrap_or_else(|_| UNSTAMPED.to_owned())
}

/// Acts as the program that the first argument names; tells the status that the process ends with.
pub fn run(arguments: &[String]) -> i32 {
    let Some((name, rest)) = arguments.split_first() else { return 2 };
    let name = name.rsplit('/').next().unwrap_or_default();
    // A first process gets no signals that it has no handler for.
    if let Ok(mut signals) = signal_hook::iterator::Signals::new([15, 2]) {
        let is_kubelet = name == "kubelet";
        std::thread::spawn(move || {
            if signals.forever().next().is_some() {
                end(if is_kubelet { 0 } else { 143 });
            }
        });
    }
    let result = match name {
        "kube-apiserver" => api::server::run(rest),
        "kube-controller-manager" => controller::run(rest),
        "kube-scheduler" => scheduler::run(rest),
        "kubeadm" => kubeadm::run(rest),
        "kubelet" => kubelet::run(rest),
        "kube-proxy" => tools::proxy::run(rest),
        "kubectl" => tools::kubectl::run(rest),
        "crictl" => tools::crictl::run(rest),
        "nerdctl" => tools::nerdctl::run(rest),
        "helm" => tools::helm::run(rest),
        "coredns" => tools::coredns::run(rest),
        "pause" => tools::pause::run(rest),
        other => Err(format!("{other:?} is no program that this is a double of")),
    };
    match result {
        Ok(()) => 0,
        Err(error) => {
            told(&format!("error: {error}"));
            1
        }
    }
}

#[allow(clippy::exit, reason = "the whole process is ended by a signal")]
fn end(status: i32) {
    std::process::exit(status);
}

/// Starts an API server that keeps everything in memory, on a free port of this host, and tells where. `certificate`
/// and `key` are its own, `authority` vouches for clients, `account_key` signs tokens of service accounts; all are paths
/// of files in PEM. It runs until the process ends.
///
/// # Errors
/// What is wrong with a file.
pub fn api_server(
    certificate: &str,
    key: &str,
    authority: &str,
    account_key: &str,
) -> Result<SocketAddr, String> {
    api::server::in_memory(certificate, key, authority, account_key)
}

/// Writes a line to the log, which is stderr.
pub(crate) fn told(line: &str) {
    _ = writeln!(std::io::stderr(), "{} {line}", clock::now_micro());
}

/// Writes a line to stdout.
pub(crate) fn say(line: &str) {
    _ = writeln!(std::io::stdout(), "{line}");
}

/// Writes a line to stderr.
pub(crate) fn warn(line: &str) {
    _ = writeln!(std::io::stderr(), "{line}");
}

/// The name of this host, as nodes are called by it.
pub(crate) fn hostname() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_lowercase()
}

/// Refuses a kubeconfig that is not that of a user, and of a group where one is wanted.
pub(crate) fn check_user(access: &kubeconfig::Access, name: &str, group: &str) -> Result<(), String> {
    let (pem, _) = access.identity.pair.as_ref().ok_or("the kubeconfig has no client certificate")?;
    let facts = pki::first(&String::from_utf8_lossy(pem)).and_then(|der| pki::Facts::of(&der))?;
    let is_valid = facts.not_before <= clock::now_s() && clock::now_s() < facts.not_after;
    if facts.name != name || (!group.is_empty() && !facts.organisations.iter().any(|found| found == group)) {
        return Err(format!("the kubeconfig is that of {:?}, not of {name:?}", facts.name));
    }
    if is_valid && facts.client {
        Ok(())
    } else {
        Err(format!("the certificate of {name:?} is over or not that of a client"))
    }
}

/// Letters and digits that nobody can guess.
pub(crate) fn random(length: usize) -> String {
    const LETTERS: &[u8; 32] = b"bcdfghjklmnpqrstvwxz245678903aeu";
    let mut bytes = vec![0u8; length];
    let read = std::fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
    debug_assert!(read.is_ok());
    bytes.iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect()
}

/// Random bytes.
pub(crate) fn random_bytes<const N: usize>() -> Result<[u8; N], String> {
    let mut bytes = [0; N];
    let read = std::fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
    read.map(|()| bytes).map_err(|error| error.to_string())
}

/// A new id of an object.
pub(crate) fn uid() -> String {
    let bytes = random_bytes::<16>().unwrap_or_default();
    let hex = pki::hex(&bytes);
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    format!("{}-{}-4{}-a{}-{}", part(0, 8), part(8, 12), part(13, 16), part(17, 20), part(20, 32))
}

/// Refuses what is no feature gate `Name=bool`.
pub(crate) fn check_gate(gate: &str) -> Result<(), String> {
    let (name, value) = gate.split_once('=').ok_or_else(|| format!("missing bool value for {gate}"))?;
    if !name.starts_with(|c: char| c.is_ascii_uppercase()) {
        return Err(format!("unrecognized feature gate: {name}"));
    }
    if ["true", "false"].contains(&value.to_ascii_lowercase().as_str()) {
        Ok(())
    } else {
        Err(format!("invalid value of {gate}"))
    }
}
