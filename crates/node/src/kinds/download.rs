//! Files from elsewhere.

use std::collections::BTreeSet;
use std::time::Duration;

use kubespray_resource::{Download, DownloadState, ErrorClass, Failure, PathKind};

use crate::failure::impossible;
use crate::{Fetch, Host, HostError, View, paths};

/// What is at the path.
pub(crate) fn observe(view: &View<'_>, wish: &Download) -> Result<DownloadState, Failure> {
    let nothing = DownloadState { digest: None, mode: None, owner: None };
    let Some(is) = view.host.metadata(&wish.path)? else { return Ok(nothing) };
    if is.kind != PathKind::File {
        return Ok(nothing);
    }
    let digest = view.digest(&wish.path)?;
    Ok(DownloadState { digest, mode: Some(is.mode), owner: Some(is.owner) })
}

/// Fetches the file, from one place after the other; takes up what is there of an earlier attempt.
pub(crate) fn apply(host: &dyn Host, wish: &Download, state: &DownloadState) -> Result<(), Failure> {
    if state.digest.as_ref() != Some(&wish.digest) {
        fetch(host, wish)?;
    }
    Ok(host.set_attributes(&wish.path, wish.mode, &wish.owner)?)
}

/// Where a file is had from.
#[derive(Clone, Copy)]
enum Place<'a> {
    Controller,
    Url(&'a str),
}

/// Fetches a file to its path from one place after the other, proves its digest and only then puts it there.
pub fn fetch(host: &dyn Host, wish: &Download) -> Result<(), Failure> {
    let controller = wish.from_controller.then_some(Place::Controller);
    let places: Vec<Place<'_>> =
        controller.into_iter().chain(wish.urls.iter().map(|url| Place::Url(url))).collect();
    if places.is_empty() {
        return Err(impossible(format!("nobody said where `{}` may be had", wish.path)));
    }
    paths::make_parents(host, &wish.path)?;
    let part = format!("{}.part", wish.path);
    let mut class = ErrorClass::Wish;
    let (mut evidence, mut hints) = (Vec::new(), BTreeSet::new());
    for place in places {
        match fetch_one(host, wish, place, &part) {
            Ok(()) => {
                host.set_attributes(&part, wish.mode, &wish.owner)?;
                return Ok(host.rename(&part, &wish.path)?);
            }
            Err(failure) if failure.class == ErrorClass::Cancelled => return Err(failure),
            Err(failure) => {
                // Passing by itself is the best that can be hoped for; a wrong wish is the last.
                if failure.class < class {
                    class = failure.class;
                }
                hints.extend(failure.hints);
                evidence.push(failure.message);
            }
        }
    }
    let mut failure = Failure::new(class, format!("`{}` could not be fetched from anywhere", wish.path));
    failure.evidence = evidence;
    failure.hints.extend(hints);
    if !failure.hints.is_empty() {
        return Err(failure);
    }
    Err(match class {
        ErrorClass::Wish => {
            failure.hint(
                "the checksum in the variables does not belong to what the URLs give: correct one of them, and run the \
                 operation anew, as a resumed run keeps what it was planned with",
            )
        }
        _ if wish.urls.is_empty() => {
            failure.hint("fill the cache of the machine that runs this, or let hosts download by themselves")
        }
        _ => failure.hint("check that the host reaches the URLs, through its proxy where it needs one"),
    })
}

fn fetch_one(host: &dyn Host, wish: &Download, place: Place<'_>, part: &str) -> Result<(), Failure> {
    let mut offset = match host.metadata(part)? {
        Some(is) if is.kind == PathKind::File => is.size,
        _ => 0,
    };
    if offset > 0 && host.digest(part)?.as_ref() == Some(&wish.digest) {
        return Ok(());
    }
    loop {
        match place {
            Place::Url(url) => host.fetch(&Fetch {
                url,
                to: part,
                offset,
                proxy: wish.proxy.as_deref().filter(|_| !is_direct(url, &wish.no_proxy)),
                verify_tls: wish.verify_tls,
                timeout: Duration::from_secs(wish.timeout_s.max(1)),
            })?,
            Place::Controller => supply(host, wish, part, offset)?,
        }
        let digest = host.digest(part)?;
        if digest.as_ref() == Some(&wish.digest) {
            return Ok(());
        }
        host.remove(part, false)?;
        // What was there before may have come from another place: once more from the beginning.
        if offset == 0 {
            let got = digest.map_or_else(|| "nothing".to_owned(), |digest| digest.to_string());
            let place = match place {
                Place::Controller => "the controller".to_owned(),
                Place::Url(url) => shown(url),
            };
            return Err(impossible(format!("{place} gave {got} in place of {}", wish.digest)));
        }
        if host.is_cancelled() {
            return Err(HostError::Cancelled.into());
        }
        offset = 0;
    }
}

/// Writes what the controller gives, from an offset to the end.
fn supply(host: &dyn Host, wish: &Download, part: &str, mut offset: u64) -> Result<(), Failure> {
    loop {
        if host.is_cancelled() {
            return Err(HostError::Cancelled.into());
        }
        let chunk = host.supply(&wish.digest, offset, Duration::from_secs(wish.timeout_s.max(1)))?;
        host.write_part(part, offset, &chunk.bytes, chunk.last)?;
        offset = offset.saturating_add(chunk.bytes.len() as u64);
        if chunk.last {
            return Ok(());
        }
        if chunk.bytes.is_empty() {
            return Err(Failure::of_host("the controller gave no bytes of a file that goes on"));
        }
    }
}

/// A URL without the password in it.
fn shown(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (authority, path) = rest.split_once('/').map_or((rest, ""), |(authority, path)| (authority, path));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}/{path}")
}

/// Whether a URL is reached without the proxy, as `no_proxy` says: names, their domains with or without a dot
/// before them, `*`, each with a port or without.
pub fn is_direct(url: &str, no_proxy: &str) -> bool {
    let Some((_, rest)) = url.split_once("://") else { return true };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    let host = host.to_ascii_lowercase();
    no_proxy.split([',', ' ']).map(str::trim).filter(|entry| !entry.is_empty()).any(|entry| {
        let entry = entry.to_ascii_lowercase();
        if entry == "*" || entry == authority {
            return true;
        }
        if let (Ok(address), Some((network, length))) = (host.parse(), entry.split_once('/')) {
            return is_within(address, network, length);
        }
        let domain = entry.trim_start_matches("*.").trim_start_matches('.');
        host == domain || host.strip_suffix(domain).is_some_and(|before| before.ends_with('.'))
    })
}

fn is_within(address: std::net::IpAddr, network: &str, length: &str) -> bool {
    use std::net::IpAddr::{V4, V6};
    let Ok(length) = length.parse::<u32>() else { return false };
    match (address, network.parse()) {
        (V4(a), Ok(V4(n))) if length <= 32 => {
            (u64::from(a.to_bits()) >> (32 - length)) == (u64::from(n.to_bits()) >> (32 - length))
        }
        (V6(a), Ok(V6(n))) if length <= 128 => {
            let shift = 128 - length;
            a.to_bits().checked_shr(shift) == n.to_bits().checked_shr(shift)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_hosts_are_reached_without_the_proxy() {
        for (url, no_proxy, direct) in [
            ("https://mirror.lan/x", "mirror.lan", true),
            ("https://a.mirror.lan:8443/x", ".mirror.lan", true),
            ("https://notmirror.lan/x", "mirror.lan", false),
            ("http://10.1.2.3/x", "10.0.0.0/8", true),
            ("http://11.1.2.3/x", "10.0.0.0/8", false),
            ("http://[fd00::1]:80/x", "fd00::/8,localhost", true),
            ("https://dl.k8s.io/x", "", false),
            ("https://dl.k8s.io/x", "*", true),
        ] {
            assert_eq!(is_direct(url, no_proxy), direct, "{url} {no_proxy}");
        }
    }

    #[test]
    fn passwords_in_urls_are_not_shown() {
        assert_eq!(shown("https://me:secret@h:1/a/b"), "https://h:1/a/b");
    }
}
