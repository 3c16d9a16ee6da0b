//! Whether names of the cluster lead where they must: asked of a DNS server itself, or of the host's resolver.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use kubespray_resource::Failure;

use super::{Finding, words};
use crate::{Host, HostError, matrix};

/// How long one answer may take, and how often it is asked for: datagrams get lost.
pub(crate) const ANSWER: Duration = Duration::from_secs(2);
const TRIES: u32 = 2;

/// Types of records, and the class of the Internet.
const A: u16 = 1;
const AAAA: u16 = 28;
const INTERNET: u16 = 1;

/// The end of a name in an answer, at the latest after so many parts and pointers.
const MOST_PARTS: usize = 128;

/// CHK-036, CHK-066, CHK-068: the server is also what makes its service's address work.
pub(super) fn served(
    host: &dyn Host,
    server: IpAddr,
    names: &BTreeMap<String, IpAddr>,
) -> Result<Option<Finding>, Failure> {
    let mut problems = Vec::new();
    for (number, (name, address)) in (1..).zip(names) {
        let exchange = |target: &str, query: &[u8]| host.exchange(target, query, ANSWER);
        if let Some(why) = asked(&exchange, server, name, *address, number)? {
            problems.push(format!("`{name}` at {server}: {why}"));
        }
    }
    let finding = Finding::of(problems, |many| format!("{many} names are not known at {server}"));
    Ok(finding.map(|finding| {
        finding.hint("see the pods of CoreDNS and of the cache on this node; where they run, rules of kube-proxy or a firewall keep datagrams to port 53 away")
    }))
}

/// Why a server does not give a name this address. `exchange` sends a datagram to `address:port` and gives the answer.
pub(crate) fn asked(
    exchange: &dyn Fn(&str, &[u8]) -> Result<Vec<u8>, HostError>,
    server: IpAddr,
    name: &str,
    expected: IpAddr,
    number: u16,
) -> Result<Option<String>, Failure> {
    let kind = if expected.is_ipv4() { A } else { AAAA };
    let Some(query) = query(number, name, kind) else { return Ok(Some("it is no name".into())) };
    let target = SocketAddr::new(server, 53).to_string();
    let mut why = String::new();
    for _ in 0..TRIES {
        match words(exchange(&target, &query))? {
            Err(silent) => why = silent,
            Ok(answer) => return Ok(judged(&answer, number, kind, expected)),
        }
    }
    Ok(Some(why))
}

fn judged(answer: &[u8], number: u16, kind: u16, expected: IpAddr) -> Option<String> {
    match read(answer, number, kind) {
        None => Some("the answer cannot be read".into()),
        Some(Err(code)) => Some(match code {
            3 => "there is no such name".to_owned(),
            2 => "the server failed".to_owned(),
            5 => "the server refuses".to_owned(),
            other => format!("the server answers with code {other}"),
        }),
        Some(Ok(found)) if found.contains(&expected) => None,
        Some(Ok(found)) if found.is_empty() => Some("it has no address of this kind".into()),
        Some(Ok(found)) => {
            let found: Vec<String> = found.iter().map(ToString::to_string).collect();
            Some(format!("it is {} in place of {expected}", found.join(", ")))
        }
    }
}

/// CHK-066, where hosts resolve names by the cluster's DNS.
pub(super) fn resolved(
    host: &dyn Host,
    names: &BTreeMap<String, IpAddr>,
) -> Result<Option<Finding>, Failure> {
    let wanted: Vec<String> = names.keys().cloned().collect();
    let found = matrix::resolve(host, &wanted)?;
    let problems = names.iter().filter_map(|(name, address)| match found.get(name) {
        Some(Ok(addresses)) if addresses.contains(address) => None,
        Some(Ok(addresses)) => {
            let found: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            Some(format!("`{name}` is {} in place of {address}", found.join(", ")))
        }
        Some(Err(why)) => Some(format!("`{name}`: {why}")),
        None => Some(format!("`{name}` was not looked up")),
    });
    let finding = Finding::of(problems.collect(), |many| format!("the host does not know {many} names"));
    Ok(finding.map(|finding| {
        finding.hint("`/etc/resolv.conf` of the host must name the cluster's DNS: `kubespray cluster --tags resolvconf` writes it")
    }))
}

/// A question for the addresses of a name; nothing for what is no name.
fn query(number: u16, name: &str, kind: u16) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    // The number; a question that wants recursion; one question and nothing else.
    for word in [number, 0x0100, 1, 0, 0, 0] {
        out.extend(word.to_be_bytes());
    }
    for part in name.trim_end_matches('.').split('.') {
        let length = u8::try_from(part.len()).ok().filter(|length| (1..64).contains(length))?;
        out.push(length);
        out.extend(part.bytes());
    }
    out.push(0);
    out.extend(kind.to_be_bytes());
    out.extend(INTERNET.to_be_bytes());
    Some(out)
}

/// The addresses of an answer to a question, or its code; nothing for what is no answer to it.
fn read(answer: &[u8], number: u16, kind: u16) -> Option<Result<Vec<IpAddr>, u16>> {
    let word = |at: usize| Some(u16::from_be_bytes(*answer.get(at..)?.first_chunk()?));
    let flags = word(2)?;
    if word(0)? != number || flags & 0x8000 == 0 {
        return None;
    }
    let code = flags & 0x000f;
    if code != 0 {
        return Some(Err(code));
    }
    let mut at = 12;
    for _ in 0..word(4)? {
        at = behind_name(answer, at)? + 4;
    }
    let mut found = Vec::new();
    for _ in 0..word(6)? {
        at = behind_name(answer, at)?;
        let (of_kind, length) = (word(at)?, usize::from(word(at + 8)?));
        let data = answer.get(at + 10..at + 10 + length)?;
        at += 10 + length;
        if of_kind != kind {
            continue;
        }
        if let Ok(bytes) = <[u8; 4]>::try_from(data) {
            found.push(IpAddr::V4(Ipv4Addr::from(bytes)));
        } else if let Ok(bytes) = <[u8; 16]>::try_from(data) {
            found.push(IpAddr::V6(Ipv6Addr::from(bytes)));
        }
    }
    Some(Ok(found))
}

/// Where a name ends that begins somewhere; a pointer ends it.
fn behind_name(answer: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    for _ in 0..MOST_PARTS {
        match *answer.get(at)? {
            0 => return Some(at + 1),
            pointer if pointer & 0xc0 == 0xc0 => return Some(at + 2),
            length => at += 1 + usize::from(length),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer as CoreDNS gives it: the question, and records that point back at its name.
    fn answer(number: u16, code: u16, records: &[(u16, &[u8])]) -> Vec<u8> {
        let mut out = query(number, "kubernetes.default.svc.cluster.local", A).unwrap();
        out[2..4].copy_from_slice(&(0x8180 | code).to_be_bytes());
        out[6..8].copy_from_slice(&u16::try_from(records.len()).unwrap().to_be_bytes());
        for (kind, data) in records {
            out.extend([0xc0, 12]);
            out.extend(kind.to_be_bytes());
            out.extend(INTERNET.to_be_bytes());
            out.extend(30_u32.to_be_bytes());
            out.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
            out.extend(*data);
        }
        out
    }

    #[test]
    fn answers_are_read() {
        let at: IpAddr = "10.233.0.1".parse().unwrap();
        let alias: &[u8] = &[1, b'x', 0];
        for (answer, expected) in [
            (answer(7, 0, &[(A, &[10, 233, 0, 1])]), None),
            (answer(7, 0, &[(5, alias), (A, &[10, 233, 0, 9]), (A, &[10, 233, 0, 1])]), None),
            (answer(7, 0, &[(A, &[10, 233, 0, 9])]), Some("it is 10.233.0.9 in place of 10.233.0.1")),
            (answer(7, 0, &[]), Some("it has no address of this kind")),
            (answer(7, 3, &[]), Some("there is no such name")),
            (answer(7, 2, &[]), Some("the server failed")),
            (answer(8, 0, &[(A, &[10, 233, 0, 1])]), Some("the answer cannot be read")),
            (query(7, "x", A).unwrap(), Some("the answer cannot be read")),
            (Vec::new(), Some("the answer cannot be read")),
        ] {
            assert_eq!(judged(&answer, 7, A, at).as_deref(), expected, "{answer:?}");
        }
        let v6: IpAddr = "fd00::1".parse().unwrap();
        let IpAddr::V6(address) = v6 else { panic!("it is one") };
        assert_eq!(judged(&answer(7, 0, &[(AAAA, &address.octets())]), 7, AAAA, v6), None);
    }

    #[test]
    fn broken_answers_are_no_panic_and_names_are_names() {
        let whole = answer(7, 0, &[(A, &[10, 233, 0, 1]), (AAAA, &[0; 16])]);
        for end in 0..whole.len() {
            assert!(!matches!(read(&whole[..end], 7, A), Some(Ok(_))), "{end}");
        }
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0xff;
            let _ = read(&bytes, 7, A);
        }
        for name in ["", "a..b", &"x".repeat(64)] {
            assert_eq!(query(1, name, A), None, "{name}");
        }
        assert_eq!(query(1, "a.b.", A), query(1, "a.b", A));
    }
}
