//! `kubespray kubeconfig`: an administrator's access, taken from a live control plane (spec CP-161, OPS-188).
//!
//! It is what `admin.conf` holds on a control plane, with names that tell clusters apart and a server that can be
//! reached from elsewhere. Kubespray has kubeadm make a certificate of its own for it each time.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use kubespray_diagnostics::{Diagnostic, Source};
use kubespray_planner::operations::{ClientSource, client_sources};
use kubespray_resource::CertificateEnd;
use kubespray_resource::wire::{Answer, Ask};
use tempfile::NamedTempFile;

use super::heard::{Heard, hear};
use super::learn::reach;
use super::secrets::value_of;
use crate::arguments::operations as arguments;
use crate::failure::{FOUND_ERRORS, Failure};
use crate::fleet;

/// Longer files are no kubeconfig of kubeadm, in bytes.
const LONGEST: u64 = 1 << 20;

/// An administrator's access to a cluster.
pub(crate) struct Kubeconfig {
    /// The text of the file. It holds a key.
    pub(crate) text: String,
    /// The server in it.
    pub(crate) server: String,
    /// The control plane that gave it.
    pub(crate) host: String,
    /// Until when its certificate is valid.
    pub(crate) end: Option<CertificateEnd>,
    /// What was noticed beside it.
    pub(crate) warnings: Vec<Diagnostic>,
}

impl fmt::Debug for Kubeconfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kubeconfig")
            .field("server", &self.server)
            .field("host", &self.host)
            .finish_non_exhaustive()
    }
}

/// From the first control plane whose API server is ready; one that is down blocks nothing.
pub(crate) fn kubeconfig(options: &arguments::Kubeconfig) -> Result<Kubeconfig, Failure> {
    let server = options.server.as_deref().map(checked).transpose()?;
    taken(&hear(reach(&options.common, &options.connection)?)?, server)
}

/// The URL of an API server.
fn checked(server: &str) -> Result<&str, Failure> {
    let server = server.trim_end_matches('/');
    let rest = server.strip_prefix("https://").or_else(|| server.strip_prefix("http://"));
    if rest.is_some_and(|rest| !rest.is_empty() && !rest.contains(char::is_whitespace)) {
        return Ok(server);
    }
    let problem = Diagnostic::error("server", format!("`{server}` is no URL of an API server"));
    Err(problem.hint("such as `https://cluster.example.com:6443`").into())
}

/// The same over hosts that were asked before.
pub(super) fn taken(heard: &Heard, server: Option<&str>) -> Result<Kubeconfig, Failure> {
    let (site, reach) = (heard.known.site(), &heard.reach);
    let sources = client_sources(&site);
    let by_host: BTreeMap<&str, &ClientSource> =
        sources.iter().map(|source| (source.host.as_str(), source)).collect();
    let ways = reach.ways(&by_host.keys().copied().collect::<Vec<_>>())?;
    let asks = |host: &str| {
        let Some(api) = by_host.get(host).map(|source| &source.api) else { return Vec::new() };
        let (kubeconfig, server) = (api.kubeconfig.clone(), api.server.clone());
        vec![
            Ask::Read { path: kubeconfig.clone(), limit: LONGEST },
            Ask::CertificateEnds { files: vec![kubeconfig.clone()] },
            Ask::ApiServer { kubeconfig, server },
        ]
    };
    let mut answers = fleet::ask(&reach.transport, &ways, asks);
    let mut problems: Vec<Diagnostic> = heard
        .silent
        .iter()
        .filter(|(host, _)| site.spec.groups.control_plane.contains(host))
        .map(|(_, why)| why.clone())
        .collect();
    let (mut found, mut spare) = (None, None);
    for source in &sources {
        let answered = match answers.remove(&source.host) {
            Some(Ok(answered)) => answered,
            Some(Err(why)) => {
                problems.push(fleet::problem(&source.host, &why));
                continue;
            }
            None => continue,
        };
        let (mut text, mut end, mut down) = (None, None, None);
        for (answer, ..) in answered.answers {
            match answer {
                Answer::Text(read) => text = read,
                Answer::CertificateEnds(ends) => end = ends.into_values().next().and_then(Result::ok),
                Answer::ApiServer(api) => down = api.problem,
                other => problems.push(fleet::unexpected(&source.host, &other)),
            }
        }
        match (text, down) {
            (Some(text), None) => {
                found = Some((source, text, end));
                break;
            }
            (Some(text), Some(why)) => {
                let problem = Diagnostic::error("api", format!("its API server is not well: {why}"));
                problems.push(problem.on_host(&source.host));
                spare = spare.or(Some((source, text, end)));
            }
            (None, _) => {
                let message = format!("`{}` cannot be read", source.api.kubeconfig);
                problems.push(Diagnostic::error("kubeconfig", message).on_host(&source.host));
            }
        }
    }
    let Some((source, text, end)) = found.or(spare) else { return Err(nobody(problems)) };
    let Some(server) = server.or(source.server.as_deref()) else {
        let problem = Diagnostic::error("server", "its address for others is not known");
        return Err(problem.on_host(&source.host).hint("name it: `--server https://ADDRESS:6443`").into());
    };
    let Some(text) = rewritten(&text, &site.spec.name, server) else {
        let message = format!("`{}` holds no key and certificates of its own", source.api.kubeconfig);
        return Err(Diagnostic::error("kubeconfig", message).on_host(&source.host).into());
    };
    let mut warnings = reach.site.warnings.clone();
    warnings.extend(
        problems
            .into_iter()
            .map(|problem| Diagnostic { severity: kubespray_diagnostics::Severity::Warning, ..problem }),
    );
    Ok(Kubeconfig { text, server: server.to_owned(), host: source.host.clone(), end, warnings })
}

fn nobody(mut problems: Vec<Diagnostic>) -> Failure {
    let problem = Diagnostic::error("kubeconfig", "no control plane of this inventory is there and answers");
    problems.push(problem.hint("`kubespray cluster` makes it; `kubespray status` says what is there"));
    Failure { diagnostics: problems, code: FOUND_ERRORS }
}

/// A kubeconfig with the keys of another one, the names of the cluster and its server; nothing where that holds none.
fn rewritten(admin: &str, cluster: &str, server: &str) -> Option<String> {
    let source = Source::new("kubeconfig", admin.to_owned());
    let root = kubespray_yaml::parse(admin, &source).ok()?.root?;
    let data = |key: &str| value_of(&root, key, 0).filter(|data| !data.is_empty());
    let authority = data("certificate-authority-data")?;
    let (certificate, key) = (data("client-certificate-data")?, data("client-key-data")?);
    // A text in JSON is one in YAML.
    let quoted = |text: &str| serde_json::to_string(text).ok();
    let user = format!("kubernetes-admin-{cluster}");
    let context = quoted(&format!("{user}@{cluster}"))?;
    let (user, cluster, server) = (quoted(&user)?, quoted(cluster)?, quoted(server)?);
    Some(format!(
        "apiVersion: v1\nkind: Config\nclusters:\n- name: {cluster}\n  cluster:\n    server: {server}\n    \
         certificate-authority-data: {authority}\ncontexts:\n- name: {context}\n  context:\n    cluster: {cluster}\n    \
         user: {user}\ncurrent-context: {context}\nusers:\n- name: {user}\n  user:\n    \
         client-certificate-data: {certificate}\n    client-key-data: {key}\n"
    ))
}

/// Writes a file that only its owner may read, in one go; `false` where it was there like that.
pub(crate) fn write_private(path: &Path, text: &str) -> Result<bool, Failure> {
    use std::os::unix::fs::PermissionsExt as _;
    let wrong = |error: std::io::Error| {
        let problem = Diagnostic::error("write", format!("cannot write `{}`: {error}", path.display()));
        problem.hint("name a file in a folder that you may write to")
    };
    let is_private = std::fs::metadata(path).is_ok_and(|is| is.permissions().mode() & 0o7777 == 0o600);
    if is_private && std::fs::read_to_string(path).is_ok_and(|there| there == text) {
        return Ok(false);
    }
    // A link leads to the file that is meant.
    let target: PathBuf = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = NamedTempFile::new_in(folder).map_err(wrong)?;
    file.write_all(text.as_bytes()).and_then(|()| file.as_file().sync_all()).map_err(wrong)?;
    file.persist(&target).map_err(|error| wrong(error.error))?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADMIN: &str = "apiVersion: v1\nclusters:\n- cluster:\n    certificate-authority-data: Q0E=\n    server: https://127.0.0.1:6443\n  name: kubernetes\ncontexts:\n- context:\n    cluster: kubernetes\n    user: kubernetes-admin\n  name: kubernetes-admin@kubernetes\ncurrent-context: kubernetes-admin@kubernetes\nkind: Config\nusers:\n- name: kubernetes-admin\n  user:\n    client-certificate-data: Q0VSVA==\n    client-key-data: S0VZ\n";

    #[test]
    fn names_tell_clusters_apart_and_the_server_is_the_wished_one() {
        let text = rewritten(ADMIN, "east: 1", "https://[fd00::1]:6443").unwrap();
        let root = kubespray_yaml::parse(&text, &Source::new("", text.clone())).unwrap().root.unwrap();
        let value = |key| value_of(&root, key, 0).unwrap();
        assert_eq!(value("server"), "https://[fd00::1]:6443");
        assert_eq!(value("current-context"), "kubernetes-admin-east: 1@east: 1");
        assert_eq!(value("client-key-data"), "S0VZ");
    }

    #[test]
    fn one_without_keys_is_none() {
        assert_eq!(rewritten(&ADMIN.replace("client-key-data", "client-key"), "c", "https://a:1"), None);
        assert_eq!(rewritten(": : :", "c", "https://a:1"), None);
    }

    #[test]
    fn files_are_private_from_the_beginning_and_written_once() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        std::fs::write(&path, "old").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(write_private(&path, "new").unwrap());
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!write_private(&path, "new").unwrap());
        assert!(write_private(&folder.path().join("none/config"), "new").is_err());
    }

    #[test]
    fn servers_are_urls() {
        assert_eq!(checked("https://a:6443/").unwrap(), "https://a:6443");
        for wrong in ["a:6443", "https://", "ftp://a", "https://a b"] {
            assert!(checked(wrong).is_err(), "{wrong}");
        }
    }
}
