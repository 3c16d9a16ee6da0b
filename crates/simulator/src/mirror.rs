//! Servers of files that are only imagined.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::rc::Rc;

use flate2::Compression;
use flate2::write::GzEncoder;
use kubespray_planner::Wishes;
use kubespray_resource::{Check, Content, Digest, Download, Object, Probe, Resource};
use serde_json::json;

use crate::World;
use crate::models::is_built_in;

/// Files by their URLs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mirror(BTreeMap<String, Imagined>);

#[derive(Clone, Debug, Default)]
struct Imagined {
    /// The files in it, where it is an archive.
    members: BTreeSet<String>,
    /// What it defines, where it is a manifest: by name, the definitions of kinds.
    kinds: BTreeMap<String, String>,
    bytes: Rc<Vec<u8>>,
}

impl Mirror {
    pub(crate) fn get(&self, url: &str) -> Option<Rc<Vec<u8>>> {
        self.0.get(url).map(|file| Rc::clone(&file.bytes))
    }

    /// Serves a file with these members or kinds beside those that it has already, and tells its digest.
    fn serve(&mut self, url: &str, members: &BTreeSet<String>, kinds: &BTreeMap<String, String>) -> Digest {
        let file = self.0.entry(url.to_owned()).or_default();
        file.members.extend(members.iter().cloned());
        if is_manifest(url) {
            file.kinds.extend(kinds.iter().map(|(name, text)| (name.clone(), text.clone())));
        }
        let bytes = if !file.members.is_empty() {
            archive(url, &file.members)
        } else if is_manifest(url) {
            file.kinds.values().fold(String::new(), |all, text| all + "---\n" + text + "\n").into_bytes()
        } else {
            program(url, url).into_bytes()
        };
        let digest = Digest::of(&bytes);
        file.bytes = Rc::new(bytes);
        digest
    }
}

fn is_manifest(url: &str) -> bool {
    [".yaml", ".yml"].iter().any(|end| url.ends_with(end))
}

/// What stands for a program: its name and the version that its URL names.
fn program(path: &str, url: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    let is_version = |part: &&str| {
        let digits = part.strip_prefix('v').unwrap_or(part);
        digits.contains('.') && digits.starts_with(|first: char| first.is_ascii_digit())
    };
    let version = url.split(['/', '-']).find(is_version).unwrap_or("0.0.0");
    format!("{name} v{}\n", version.strip_prefix('v').unwrap_or(version))
}

/// A small archive, the same bytes each time.
fn archive(url: &str, members: &BTreeSet<String>) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for name in members {
        let text = program(name, url);
        let mut header = tar::Header::new_ustar();
        header.set_size(text.len() as u64);
        header.set_mode(0o755);
        // Memory takes all that is written to it.
        let _ = builder.append_data(&mut header, name, text.as_bytes());
    }
    let plain = builder.into_inner().unwrap_or_default();
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    let _ = packed.write_all(&plain);
    packed.finish().unwrap_or_default()
}

/// A definition of the kind of an object that no API server knows by itself: its name and its manifest.
fn kind_of(object: &Object) -> Option<(String, String)> {
    let object = object.reference().ok()?;
    let (group, version) = object.api_version.split_once('/')?;
    if is_built_in(&object.api_version, &object.kind) {
        return None;
    }
    let plural = format!("{}s", object.kind.to_lowercase());
    Some(definition(&plural, group, version, &object.kind, object.namespace.is_some()))
}

/// The definition that somebody waits for.
fn awaited(check: &Check) -> Option<(String, String)> {
    let Probe::Object { object, .. } = &check.probe else { return None };
    let (plural, group) = object.name.split_once('.')?;
    (object.kind == "CustomResourceDefinition").then(|| definition(plural, group, "v1", plural, false))
}

fn definition(plural: &str, group: &str, version: &str, kind: &str, inside: bool) -> (String, String) {
    let name = format!("{plural}.{group}");
    let scope = if inside { "Namespaced" } else { "Cluster" };
    let manifest = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": name},
        "spec": {
            "group": group, "scope": scope, "names": {"kind": kind, "plural": plural},
            "versions": [{"name": version, "served": true, "storage": true}],
        },
    });
    (name, manifest.to_string())
}

impl World {
    /// Serves every file that these wishes fetch from anywhere: programs and archives that say their name and version,
    /// and manifests that define the kinds of which there are objects. Nobody can imagine bytes of a digest, so the
    /// digests in the wishes become those of the imagined files, the same ones in every call.
    pub fn imagine_downloads(&mut self, wishes: &mut Wishes) {
        let mut members: BTreeMap<Digest, BTreeSet<String>> = BTreeMap::new();
        let checks = wishes.steps.iter().filter_map(|step| match &step.resource {
            Resource::Check(check) => awaited(check),
            _ => None,
        });
        let mut kinds: BTreeMap<String, String> = checks.collect();
        for step in &wishes.steps {
            match &step.resource {
                Resource::Archive(archive) => {
                    let names = archive.members.iter().map(|member| member.name.clone());
                    members.entry(archive.digest.clone()).or_default().extend(names);
                }
                Resource::Object(object) => kinds.extend(kind_of(object)),
                _ => {}
            }
        }
        let mut site = self.site.borrow_mut();
        let mut digests: BTreeMap<Digest, Digest> = BTreeMap::new();
        let none = BTreeSet::new();
        let downloads = wishes.steps.iter().filter_map(|step| match &step.resource {
            Resource::Download(Download { urls, digest, .. }) => Some((urls, digest)),
            _ => None,
        });
        for (urls, digest) in downloads {
            for url in urls.iter().filter(|url| !url.starts_with("file:")) {
                let imagined = site.mirror.serve(url, members.get(digest).unwrap_or(&none), &kinds);
                digests.insert(digest.clone(), imagined);
            }
        }
        for step in &mut wishes.steps {
            let digest = match &mut step.resource {
                Resource::Download(wish) => &mut wish.digest,
                Resource::Archive(wish) => &mut wish.digest,
                Resource::File(wish) => match &mut wish.content {
                    Content::CopyOf { digest, .. } => digest,
                    _ => continue,
                },
                _ => continue,
            };
            if let Some(imagined) = digests.get(digest) {
                digest.clone_from(imagined);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_say_their_versions() {
        for (path, url, expected) in [
            ("kubeadm", "https://dl.k8s.io/release/v1.35.2/bin/linux/amd64/kubeadm", "kubeadm v1.35.2\n"),
            ("a/etcd", "https://github.com/x/etcd-v3.6.5-linux-amd64.tar.gz", "etcd v3.6.5\n"),
            ("bin/ctr", "https://x/containerd-2.1.4-linux-amd64.tar.gz", "ctr v2.1.4\n"),
            ("x", "https://host/x", "x v0.0.0\n"),
        ] {
            assert_eq!(program(path, url), expected);
        }
    }

    #[test]
    fn a_file_that_is_served_again_stays_the_same() {
        let mut mirror = Mirror::default();
        let members = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        let both = mirror.serve("u", &members(&["a", "b"]), &BTreeMap::new());
        assert_eq!(mirror.serve("u", &members(&["b"]), &BTreeMap::new()), both);
        assert_ne!(mirror.serve("u", &members(&["c"]), &BTreeMap::new()), both);
        assert!(mirror.get("u").is_some_and(|bytes| bytes.starts_with(&[0x1f, 0x8b])));
    }
}
