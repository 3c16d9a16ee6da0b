//! What a site needs from elsewhere (spec DL-090 to DL-098, DL-175 to DL-177).

use std::collections::{BTreeMap, BTreeSet};

use kubespray_catalog::Downloads;
use kubespray_resource::Digest;
use kubespray_spec::{ClusterSpec, File as Artefact, HostSpec, Image as ArtefactImage};
use kubespray_value::{Map, Value};

use crate::problem::{Problem, shown};
use crate::reference::Reference;

/// Everything that hosts fetch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Files by the path that they are served at.
    pub files: BTreeMap<String, FileNeed>,
    /// Images by what hosts ask for.
    pub images: BTreeMap<String, ImageNeed>,
}

/// A file that hosts fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileNeed {
    /// What it is, such as `kubeadm`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it runs on; nothing for what is the same for all.
    pub architecture: Option<String>,
    /// Its digest.
    pub sha256: Digest,
    /// Where it may be had, the best place first.
    pub urls: Vec<String>,
}

/// An image that hosts pull.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageNeed {
    /// The names it is kept under.
    pub names: BTreeSet<String>,
    /// Where it may be had, the best place first.
    pub sources: Vec<Reference>,
    /// What it must run on, such as `linux/amd64`.
    pub platforms: BTreeSet<String>,
}

/// How a site names the mirror that the bundle will be: what stands before the name of the real server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SiteMirror {
    /// `files_repo`, where the inventory has it.
    pub files_repo: Option<String>,
    /// `registry_host`, where the inventory has it.
    pub registry_host: Option<String>,
}

impl FileNeed {
    /// Where it may be had, without passwords.
    pub fn shown_urls(&self) -> Vec<String> {
        self.urls.iter().map(|url| shown(url)).collect()
    }
}

impl Needs {
    /// What some hosts of a cluster need. Every problem is told, with the host that has it.
    pub fn of<'a>(
        spec: &'a ClusterSpec,
        mirror: &SiteMirror,
        is_wanted: impl Fn(&str) -> bool,
    ) -> Result<Self, Vec<(&'a str, Problem)>> {
        let mut needs = Self::default();
        let mut problems = Vec::new();
        let mut platforms = BTreeSet::new();
        for host in spec.hosts.iter().filter(|host| is_wanted(&host.name)) {
            match architecture(host) {
                Ok(architecture) => drop(platforms.insert(format!("linux/{architecture}"))),
                Err(problem) => {
                    problems.push((host.name.as_str(), problem));
                    continue;
                }
            }
            for (name, file) in &host.artefacts.files {
                if let Err(problem) = needs.add_file(host, mirror, name, file) {
                    problems.push((host.name.as_str(), problem));
                }
            }
            for (name, image) in &host.artefacts.images {
                if let Err(problem) = needs.add_image(mirror, name, image) {
                    problems.push((host.name.as_str(), problem));
                }
            }
        }
        // A pod may come to any host, wherever its image is pulled beforehand.
        for image in needs.images.values_mut() {
            image.platforms.clone_from(&platforms);
        }
        if problems.is_empty() { Ok(needs) } else { Err(problems) }
    }

    /// Takes what another look at the site needs, such as one for another architecture.
    pub fn join(&mut self, other: Self) {
        self.files.extend(other.files);
        for (reference, image) in other.images {
            match self.images.get_mut(&reference) {
                Some(known) => known.platforms.extend(image.platforms),
                None => drop(self.images.insert(reference, image)),
            }
        }
    }

    /// Takes one more image, for the platforms of all others.
    pub fn also_image(&mut self, reference: Reference) {
        let platforms = self.images.values().flat_map(|image| image.platforms.iter().cloned()).collect();
        let name = reference.to_string();
        let need = ImageNeed { names: BTreeSet::from([name.clone()]), sources: vec![reference], platforms };
        self.images.entry(name).or_insert(need);
    }

    fn add_file(
        &mut self,
        host: &HostSpec,
        mirror: &SiteMirror,
        name: &str,
        file: &Artefact,
    ) -> Result<(), Problem> {
        let unknown = || {
            Problem::new(format!("where `{name}` comes from depends on facts of the host that are not known"))
                .hint("give `--facts FILE`, which `kubespray facts --ansible --output json` writes")
        };
        let url = file.url.known().ok_or_else(unknown)?;
        let checksum = file.checksum.known().ok_or_else(unknown)?;
        let sha256 = checksum.as_deref().and_then(Digest::parse).ok_or_else(|| {
            let given = checksum.as_deref().map_or("none".to_owned(), |given| format!("`{given}`"));
            Problem::new(format!("`{name}` {} has no checksum of the kind sha256: {given}", file.version)).hint(
                "choose a version that the catalogue knows, or set the checksum as `sha256:` and 64 hexadecimal \
                 digits",
            )
        })?;
        let (path, urls) = places(url, mirror.files_repo.as_deref())
            .ok_or_else(|| Problem::new(format!("`{name}` comes from `{}`, which is no URL", shown(url))))?;
        let of_architecture = entry(&Downloads::get().files, name)
            .and_then(|entry| entry.get("url"))
            .and_then(Value::as_str)
            .is_some_and(|url| url.contains("{arch}") || url.contains("{uname_arch}"));
        let architecture = of_architecture.then(|| architecture(host)).transpose()?;
        let version = file.version.clone();
        let need = FileNeed { name: name.to_owned(), version, architecture, sha256, urls };
        match self.files.get(&path) {
            Some(known) if known.sha256 != need.sha256 => Err(Problem::new(format!(
                "`{path}` is to be {} for some hosts and {} for others",
                known.sha256, need.sha256
            ))),
            Some(_) => Ok(()),
            None => {
                self.files.insert(path, need);
                Ok(())
            }
        }
    }

    fn add_image(&mut self, mirror: &SiteMirror, name: &str, image: &ArtefactImage) -> Result<(), Problem> {
        let asked =
            Reference::parse(&image.reference).map_err(|problem| problem.because(format!("of `{name}`")))?;
        let upstream = match mirror.registry_host.as_deref() {
            Some(registry) => upstream(&asked, &image.reference, registry, name),
            None => None,
        };
        let (names, sources) = match upstream {
            // The bundle serves it by this name without anything more.
            Some(upstream) => {
                let is_served = asked.repository == upstream.repository
                    || asked.repository == format!("{}/{}", upstream.registry, upstream.repository);
                let mut names = BTreeSet::from([upstream.to_string()]);
                if !is_served {
                    names.insert(asked.to_string());
                }
                (names, vec![upstream, asked.clone()])
            }
            None => (BTreeSet::from([asked.to_string()]), vec![asked.clone()]),
        };
        self.images.insert(asked.to_string(), ImageNeed { names, sources, platforms: BTreeSet::new() });
        Ok(())
    }
}

fn architecture(host: &HostSpec) -> Result<String, Problem> {
    host.architecture.known().cloned().ok_or_else(|| {
        Problem::new("its architecture is not known").hint("give it with `--facts FILE` or `--arch`")
    })
}

fn entry<'a>(map: &'a Map, name: &str) -> Option<&'a Map> {
    map.get(name).and_then(Value::as_map)
}

/// The path that a file is served at, and where it may be had. What the site already names by its mirror comes from the
/// server that stands behind the mirror's name; the mirror is asked last, for it may not be there yet.
fn places(url: &str, files_repo: Option<&str>) -> Option<(String, Vec<String>)> {
    let within = |rest: &str| {
        let rest = rest.split(['?', '#']).next().unwrap_or_default();
        let path = crate::serve::percent_decoded(rest)?;
        crate::store::is_path(&path).then_some(path)
    };
    let repo = files_repo.map(|repo| repo.trim_end_matches('/')).filter(|repo| !repo.is_empty());
    if let Some(rest) = repo.and_then(|repo| url.strip_prefix(repo)?.strip_prefix('/')) {
        let is_host = rest.split('/').next().is_some_and(|first| first.contains('.'));
        let upstream = is_host.then(|| format!("https://{rest}"));
        return Some((within(rest)?, upstream.into_iter().chain([url.to_owned()]).collect()));
    }
    let (scheme, rest) = url.split_once("://")?;
    if !["http", "https", "file"].contains(&scheme) {
        return None;
    }
    // Names and passwords are no part of where it is served.
    let (authority, path) = rest.split_once('/')?;
    let server = authority.rsplit_once('@').map_or(authority, |(_, server)| server);
    let path = if server.is_empty() { path.to_owned() } else { format!("{server}/{path}") };
    Some((within(&path)?, vec![url.to_owned()]))
}

/// The image behind the name that the site's registry has for it: what stands behind the registry's name where it
/// begins with that of another registry, or else what the catalogue has.
fn upstream(asked: &Reference, reference: &str, registry_host: &str, name: &str) -> Option<Reference> {
    let rest = reference.strip_prefix(registry_host.trim_end_matches('/'))?.strip_prefix('/')?;
    let (first, path) = rest.split_once('/').unwrap_or(("", rest));
    if first.contains(['.', ':']) && !path.is_empty() {
        return Reference::parse(rest).ok();
    }
    let catalogue = Downloads::get();
    let entry = entry(&catalogue.images, name)?;
    let text = |key: &str| entry.get(key).and_then(Value::as_str);
    let registry = match text("registry_variable") {
        Some(variable) => catalogue.registries.get(variable).and_then(Value::as_str)?,
        None => text("registry")?,
    };
    Some(asked.at(registry, text("path")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_served_below_the_names_of_their_servers() {
        for (url, repo, expected) in [
            ("https://dl.k8s.io/release/v1/kubeadm", None, Some(("dl.k8s.io/release/v1/kubeadm", 1))),
            ("https://me:pw@files.lan:8443/a%20b?x=1#y", None, Some(("files.lan:8443/a b", 1))),
            ("http://m:8080/dl.k8s.io/v1/kubeadm", Some("http://m:8080/"), Some(("dl.k8s.io/v1/kubeadm", 2))),
            ("http://m:8080/own/kubeadm", Some("http://m:8080"), Some(("own/kubeadm", 1))),
            ("http://m:80801/own", Some("http://m:8080"), Some(("m:80801/own", 1))),
            ("file:///srv/kubeadm", None, Some(("srv/kubeadm", 1))),
            ("https://dl.k8s.io/../x", None, None),
            ("https://dl.k8s.io/%2e%2e/x", None, None),
            ("https://dl.k8s.io//x", None, None),
            ("ftp://dl.k8s.io/x", None, None),
            ("kubeadm", None, None),
        ] {
            let found = places(url, repo);
            let found = found.as_ref().map(|(path, urls)| (path.as_str(), urls.len()));
            assert_eq!(found, expected, "{url}");
        }
        let (_, urls) = places("http://m:8080/dl.k8s.io/v1/x", Some("http://m:8080")).unwrap();
        assert_eq!(urls, ["https://dl.k8s.io/v1/x", "http://m:8080/dl.k8s.io/v1/x"]);
    }

    #[test]
    fn images_come_from_behind_the_registry_of_the_site() {
        let artefact = |reference: &str| ArtefactImage {
            repository: String::new(),
            tag: String::new(),
            reference: reference.to_owned(),
            prefetch: true,
            listed_by_kubeadm: false,
        };
        for (reference, registry, names, sources) in [
            (
                "registry.k8s.io/pause:3",
                None,
                vec!["registry.k8s.io/pause:3"],
                vec!["registry.k8s.io/pause:3"],
            ),
            (
                "r.lan:5000/pause:3",
                Some("r.lan:5000"),
                vec!["registry.k8s.io/pause:3"],
                vec!["registry.k8s.io/pause:3", "r.lan:5000/pause:3"],
            ),
            (
                "r.lan:5000/registry.k8s.io/pause:3",
                Some("r.lan:5000/"),
                vec!["registry.k8s.io/pause:3"],
                vec!["registry.k8s.io/pause:3", "r.lan:5000/registry.k8s.io/pause:3"],
            ),
            (
                "r.lan/k8s/pause:3",
                Some("r.lan/k8s"),
                vec!["r.lan/k8s/pause:3", "registry.k8s.io/pause:3"],
                vec!["registry.k8s.io/pause:3", "r.lan/k8s/pause:3"],
            ),
        ] {
            let mirror = SiteMirror { registry_host: registry.map(str::to_owned), files_repo: None };
            let mut needs = Needs::default();
            needs.add_image(&mirror, "pause", &artefact(reference)).unwrap();
            let need = needs.images.values().next().unwrap();
            assert_eq!(need.names.iter().map(String::as_str).collect::<Vec<_>>(), names, "{reference}");
            let found: Vec<String> = need.sources.iter().map(ToString::to_string).collect();
            assert_eq!(found, sources, "{reference}");
        }
    }
}
