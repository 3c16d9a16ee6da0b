//! What is served, by the names it is asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use kubespray_resource::Digest;

use crate::contents::Contents;
use crate::index::File;
use crate::oci::Descriptor;
use crate::problem::Problem;
use crate::reference::{Reference, Version};
use crate::store::{BUNDLE, Store};

/// A store as clients see it, read again when its list changes.
pub(super) struct View {
    store: Store,
    now: Mutex<(Stamp, Arc<Names>)>,
}

/// What tells one version of the list from another: it is moved into place whole.
type Stamp = Option<(u64, i64, i64)>;

/// Everything by name.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Files by path.
    files: BTreeMap<String, File>,
    /// The paths of [`Self::files`] by what is left without the server's name.
    short_paths: BTreeMap<String, String>,
    /// Tags of repositories: by the name in requests, by tag, by registry.
    pub(super) repositories: BTreeMap<String, BTreeMap<String, BTreeMap<String, Descriptor>>>,
    /// Manifests by digest.
    manifests: BTreeMap<Digest, Descriptor>,
    /// Manifests below each index by platform.
    children: BTreeMap<Digest, Vec<(String, Digest)>>,
    /// Configurations and layers by digest, with their sizes.
    blobs: BTreeMap<Digest, u64>,
}

impl View {
    /// Of a folder.
    pub(super) fn of(folder: &Path) -> Result<Self, Problem> {
        let store = Store::open_to_read(folder)?;
        let stamp = stamp(folder);
        let names = Arc::new(Names::of(&store));
        Ok(Self { store, now: Mutex::new((stamp, names)) })
    }

    /// What is served now. A list that cannot be read leaves what was.
    pub(super) fn names(&self) -> Arc<Names> {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = stamp(self.store.folder());
        if stamp != now.0 && self.store.read_again().is_ok() {
            *now = (stamp, Arc::new(Names::of(&self.store)));
        }
        Arc::clone(&now.1)
    }

    /// Where a blob is.
    pub(super) fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.store.blob_path(digest)
    }
}

fn stamp(folder: &Path) -> Stamp {
    let metadata = fs::metadata(folder.join(BUNDLE)).ok()?;
    Some((metadata.ino(), metadata.mtime(), metadata.mtime_nsec()))
}

impl Names {
    fn of(store: &Store) -> Self {
        let index = store.index();
        let mut names = Self { files: index.files, ..Self::default() };
        for path in names.files.keys() {
            if let Some((_, short)) = path.split_once('/') {
                names.short_paths.entry(short.to_owned()).or_insert_with(|| path.clone());
            }
        }
        for image in index.images.values() {
            // One broken image does not take the others away; `verify` tells.
            let (Ok(reference), Ok(contents)) =
                (Reference::parse(&image.reference), Contents::of(store, image))
            else {
                continue;
            };
            let Some(top) = contents.manifests.first().cloned() else { continue };
            for name in
                [format!("{}/{}", reference.registry, reference.repository), reference.repository.clone()]
            {
                let tags = names.repositories.entry(name).or_default();
                if let Version::Tag(tag) = &reference.version {
                    let registries = tags.entry(tag.clone()).or_default();
                    registries.insert(reference.registry.clone(), top.clone());
                }
            }
            names.children.insert(top.digest.clone(), contents.platforms);
            names.manifests.extend(contents.manifests.into_iter().map(|one| (one.digest.clone(), one)));
            names.blobs.extend(contents.blobs.into_iter().map(|one| (one.digest, one.size)));
        }
        names
    }

    /// The file of a path: that of the path itself; that of the server whose name the request has, where the site
    /// names the mirror as it names the server; that of any server with such a path.
    pub(super) fn file(&self, path: &str, host: Option<&str>) -> Option<&File> {
        let of_host = || {
            let host = host?;
            let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
            [host, name].iter().find_map(|host| self.files.get(&format!("{host}/{path}")))
        };
        let short = || self.files.get(self.short_paths.get(path)?);
        self.files.get(path).or_else(of_host).or_else(short)
    }

    /// The manifest of a tag. Where several registries have such a repository, that of `registry`, or else the first.
    pub(super) fn tagged(&self, name: &str, tag: &str, registry: Option<&str>) -> Option<&Descriptor> {
        let registries = self.repositories.get(name)?.get(tag)?;
        registry.and_then(|registry| registries.get(registry)).or_else(|| registries.values().next())
    }

    /// The manifest of a digest.
    pub(super) fn manifest(&self, digest: &Digest) -> Option<&Descriptor> {
        self.manifests.get(digest)
    }

    /// The manifest of an index for whoever takes no index: that for most machines, or else the only one.
    pub(super) fn usual_child(&self, index: &Digest) -> Option<&Descriptor> {
        let children = self.children.get(index)?;
        let usual = children.iter().find(|(platform, _)| platform == "linux/amd64");
        let only = || children.first().filter(|_| children.len() == 1);
        self.manifests.get(&usual.or_else(only)?.1)
    }

    /// The size of a configuration, a layer or a manifest.
    pub(super) fn blob(&self, digest: &Digest) -> Option<u64> {
        self.blobs.get(digest).copied().or_else(|| Some(self.manifests.get(digest)?.size))
    }

    /// Everything, a line each.
    pub(super) fn listing(&self) -> String {
        let files = self.files.keys().map(|path| format!("/{path}\n"));
        let mut images = BTreeSet::new();
        for (name, tags) in &self.repositories {
            images.extend(tags.keys().map(|tag| format!("{name}:{tag}\n")));
        }
        files.chain(images).collect()
    }
}
