//! Files that hosts fetch, and programs made of them (`download` and the roles that fetch by themselves; spec
//! DL-001 to DL-005, DL-030 to DL-046, DL-090 to DL-124, CRI-010).
//!
//! A file is fetched only while something has to be made of it: what a host has already it need not fetch again when
//! its folder for downloads was cleaned (DL-042). A program is taken out of its archive straight to its place: nothing
//! is unpacked beside it (DL-041), and no folder that is there is owned again (DL-040). Digests are always checked and
//! always SHA-256 (DL-035): a file without one is refused before anything is done.

use kubespray_resource::{Archive, Content, Digest, Download, File, Member, Mode, Owner, Step};
use kubespray_spec::File as Artefact;

use super::{Chain, Host, common_crds};

/// How long a server may say nothing, in seconds.
const TIMEOUT_S: u64 = 60;

/// Fetches a file of the catalogue and puts it, or a member of the archive that it is, at `target` as root's.
/// Tells the last step, so that restarts can be added to it. A host that does not need the artefact is a mistake of
/// the caller, which the chain refuses.
pub(crate) fn install<'c>(
    chain: &'c mut Chain<'_>,
    artefact: &str,
    member: Option<&str>,
    target: &str,
    mode: Mode,
) -> &'c mut Step {
    match member {
        Some(member) => install_members(chain, artefact, &[(member, target)], mode, &Owner::root()),
        None => {
            let Some(source) = fetched(chain, artefact, true) else { return chain.refused_step() };
            let content = Content::CopyOf { path: source.path, digest: source.digest };
            let (path, owner) = (target.to_owned(), Owner::root());
            let file = File { path, content, mode, owner, keep_content: false };
            chain.add(format!("install-{}", base_name(target)), file)
        }
    }
}

/// Fetches an archive of the catalogue and puts some of its members at their targets.
pub(crate) fn install_members<'c>(
    chain: &'c mut Chain<'_>,
    artefact: &str,
    members: &[(&str, &str)],
    mode: Mode,
    owner: &Owner,
) -> &'c mut Step {
    let Some(source) = fetched(chain, artefact, true) else { return chain.refused_step() };
    let name = match members {
        [(_, target)] => base_name(target),
        _ => artefact,
    };
    let members = members.iter().map(|(member, path)| Member {
        name: (*member).to_owned(),
        path: (*path).to_owned(),
        mode,
    });
    let (members, owner) = (members.collect(), owner.clone());
    chain.add(format!("install-{name}"), Archive { path: source.path, digest: source.digest, members, owner })
}

/// Everything else that the catalogue has for the host, before the cluster is touched (DL-005).
pub(crate) fn wish(chain: &mut Chain<'_>) {
    chain.begin("download", "download");
    let host = chain.host;
    if host.settings().downloads.skip_downloads {
        return;
    }
    // Elsewhere each boot that empties the folder for downloads would have them fetched once more, for nothing.
    let is_used = |artefact: &&String| {
        host.spec.name == host.site.leader() || !common_crds::ARTEFACTS.contains(&artefact.as_str())
    };
    for artefact in host.spec.artefacts.files.keys().filter(is_used) {
        fetched(chain, artefact, true);
    }
}

/// A file as it is on the host.
struct Fetched {
    path: String,
    digest: Digest,
}

/// Once for each component, so that its tags are enough; the plan has it fetched once all the same.
fn fetched(chain: &mut Chain<'_>, artefact: &str, only_as_source: bool) -> Option<Fetched> {
    let host = chain.host;
    let Some(file) = host.spec.artefacts.files.get(artefact) else {
        chain.refuse(format!("`{artefact}` is not among the files of this host"), "this is a defect of ours");
        return None;
    };
    let mut wish = match download(&host, file) {
        Ok(wish) => wish,
        Err(problem) => {
            chain.refuse(format!("`{artefact}` {}", problem.message), problem.hint);
            return None;
        }
    };
    let fetched = Fetched { path: wish.path.clone(), digest: wish.digest.clone() };
    // What one component reads where it lies has to lie there for all.
    wish.only_as_source = only_as_source;
    for earlier in chain.downloads().filter(|earlier| earlier.path == wish.path) {
        earlier.only_as_source &= only_as_source;
        wish.only_as_source = earlier.only_as_source;
    }
    if chain.is_first(&format!("fetch {artefact}")) {
        chain.add(format!("fetch-{artefact}"), wish);
    }
    Some(fetched)
}

/// Why a file cannot be had.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unusable {
    pub(crate) message: String,
    hint: &'static str,
}

const CHECKSUM_HINT: &str =
    "choose a version that the catalogue knows, or set the checksum as `sha256:` and 64 hexadecimal digits";

/// How a host fetches a file.
pub(crate) fn download(host: &Host<'_>, file: &Artefact) -> Result<Download, Unusable> {
    let settings = host.settings();
    let unknown = || Unusable {
        message: "depends on facts of the host that are not known".into(),
        hint: "the host has to be reachable",
    };
    let checksum = file.checksum.known().ok_or_else(unknown)?;
    let digest = digest(checksum.as_deref(), &file.version)?;
    let url = file.url.known().ok_or_else(unknown)?.clone();
    let downloads = &settings.downloads;
    let no_proxy = host.site.spec.no_proxy.as_ref().and_then(|list| list.known());
    let proxy = proxy_for(host, &url);
    Ok(Download {
        path: file.staged_as.known().ok_or_else(unknown)?.clone(),
        // The operator's machine fetches it once, from the same URL (DL-002 to DL-004).
        from_controller: downloads.download_run_once
            || downloads.download_force_cache
            || downloads.download_localhost,
        urls: vec![url],
        digest,
        mode: u32::from_str_radix(&file.staged_mode, 8).map_or(Mode::EXECUTABLE, Mode),
        owner: Owner::root(),
        no_proxy: proxy.as_ref().and(no_proxy).cloned().unwrap_or_default(),
        proxy,
        verify_tls: downloads.download_validate_certs,
        timeout_s: TIMEOUT_S,
        only_as_source: false,
    })
}

/// Only SHA-256 is trusted (DL-099): a digest of another kind, or none, is no digest.
fn digest(checksum: Option<&str>, version: &str) -> Result<Digest, Unusable> {
    let Some(checksum) = checksum else {
        let message = format!("has no known checksum in version `{version}` for this architecture");
        return Err(Unusable { message, hint: CHECKSUM_HINT });
    };
    if let Some(digest) = Digest::parse(checksum) {
        return Ok(digest);
    }
    let message = match checksum.split_once(':') {
        Some((algorithm, _)) if algorithm != "sha256" => {
            format!("has a checksum of the kind `{algorithm}`, and only `sha256` is accepted")
        }
        _ => format!("has the checksum `{checksum}`, which is none of SHA-256"),
    };
    Err(Unusable { message, hint: CHECKSUM_HINT })
}

/// The proxy that a URL is fetched through.
fn proxy_for(host: &Host<'_>, url: &str) -> Option<String> {
    let proxy = &host.settings().proxy;
    let proxy = if url.starts_with("https:") { &proxy.https_proxy } else { &proxy.http_proxy };
    proxy.clone().filter(|proxy| !proxy.is_empty())
}

fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sha256_is_a_checksum() {
        let digits = "ab".repeat(32);
        for (checksum, expected) in [
            (Some(format!("sha256:{digits}")), Ok(())),
            (Some(digits.to_uppercase()), Ok(())),
            (None, Err("has no known checksum in version `1.2` for this architecture")),
            (
                Some(format!("sha512:{digits}{digits}")),
                Err("has a checksum of the kind `sha512`, and only `sha256` is accepted"),
            ),
            (
                Some("md5:0123".to_owned()),
                Err("has a checksum of the kind `md5`, and only `sha256` is accepted"),
            ),
            (Some("sha256:12".to_owned()), Err("has the checksum `sha256:12`, which is none of SHA-256")),
            (Some("none".to_owned()), Err("has the checksum `none`, which is none of SHA-256")),
        ] {
            let found = digest(checksum.as_deref(), "1.2").map(|found| assert_eq!(found.as_str(), digits));
            assert_eq!(found.map_err(|problem| problem.message), expected.map_err(str::to_owned));
        }
    }
}
