//! Images from archives: what `docker save`, `ctr images export`, `skopeo copy` and others write.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Component, Path, PathBuf};

use flate2::bufread::MultiGzDecoder;
use kubespray_resource::{Digest, whole_reference};
use serde::Deserialize;

use crate::contents::{Contents, DEEPEST};
use crate::index::Image;
use crate::oci::{CONFIG, Config, Descriptor, Document, LARGEST_MANIFEST, LAYER, LAYER_GZIP, MANIFEST};
use crate::problem::{Problem, cannot};
use crate::store::{Staged, Store};

/// How a stream of gzip begins.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Links that are followed to a layer.
const MOST_LINKS: usize = 8;

/// One image of Docker's own list, `manifest.json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

/// The members of an archive by name.
#[derive(Debug, Default)]
struct Members {
    files: BTreeMap<String, Staged>,
    links: BTreeMap<String, String>,
}

impl Store {
    /// Adds an image from an archive under a reference. Of several images in it, the one of that name is taken.
    pub fn add_image_archive(&self, reference: &str, path: &Path) -> Result<Image, Problem> {
        let image = self.read_image_archive(reference, path)?;
        self.record_image(image.clone())?;
        Ok(image)
    }

    /// Stores the blobs of an image, without its name.
    pub(crate) fn read_image_archive(&self, reference: &str, path: &Path) -> Result<Image, Problem> {
        let reference = whole_reference(reference);
        let within = |problem: Problem| problem.because(format!("reading the archive `{}`", path.display()));
        let members = unpack(self, path).map_err(within)?;
        let top = match members.document("index.json").map_err(within)? {
            Some(index) => from_layout(self, members, &index, &reference),
            None => from_docker(self, members, &reference),
        };
        let top = top.map_err(within)?;
        let platforms = Contents::whole_platforms(self, &top).map_err(within)?;
        if platforms.is_empty() {
            return Err(within(Problem::new("no platform of the image is in it with all its layers")));
        }
        let Descriptor { media_type, digest, size, .. } = top;
        Ok(Image { reference, media_type, sha256: digest, size, platforms })
    }
}

fn unpack(store: &Store, path: &Path) -> Result<Members, Problem> {
    let file = File::open(path).map_err(cannot("read", path))?;
    let mut file = BufReader::with_capacity(128 << 10, file);
    let is_gzip = file.fill_buf().map_err(cannot("read", path))?.starts_with(&GZIP);
    let stream: Box<dyn Read> = if is_gzip { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
    let unreadable = |error: std::io::Error| Problem::new(format!("it is no tar archive: {error}"));
    let mut members = Members::default();
    let mut archive = tar::Archive::new(stream);
    for entry in archive.entries().map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let Some(name) = member_name(&entry.path().map_err(unreadable)?) else { continue };
        let kind = entry.header().entry_type();
        if kind.is_symlink() || kind.is_hard_link() {
            let Some(target) = entry.link_name().map_err(unreadable)? else { continue };
            // Symbolic links count from their folder, hard ones from the top.
            let folder = if kind.is_symlink() { Path::new(&name).parent() } else { None };
            if let Some(target) = member_name(&folder.unwrap_or(Path::new("")).join(&target)) {
                members.links.insert(name, target);
            }
        } else if kind.is_file() {
            let staged = store.stage(entry, &name)?;
            members.files.insert(name, staged);
        }
    }
    if members.files.is_empty() {
        return Err(Problem::new("it holds no files"));
    }
    Ok(members)
}

/// A path within the archive, without `.` and `..`; nothing for one that leads out of it.
fn member_name(path: &Path) -> Option<String> {
    let mut name = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(part) => name.push(part),
            Component::CurDir => {}
            Component::ParentDir => {
                if !name.pop() {
                    return None;
                }
            }
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    name.to_str().filter(|name| !name.is_empty()).map(str::to_owned)
}

impl Members {
    /// The name of the file that a name leads to.
    fn resolved<'a>(&'a self, name: &'a str) -> &'a str {
        let mut name = name;
        for _ in 0..MOST_LINKS {
            match self.links.get(name) {
                Some(target) if !self.files.contains_key(name) => name = target,
                _ => break,
            }
        }
        name
    }

    fn file(&self, name: &str) -> Result<&Staged, Problem> {
        self.files.get(self.resolved(name)).ok_or_else(|| Problem::new(format!("`{name}` is not in it")))
    }

    fn bytes(&self, name: &str) -> Result<Vec<u8>, Problem> {
        let staged = self.file(name)?;
        if staged.size > LARGEST_MANIFEST {
            return Err(Problem::new(format!("`{name}` is larger than {LARGEST_MANIFEST} bytes")));
        }
        std::fs::read(&staged.path).map_err(cannot("read", &staged.path))
    }

    fn document(&self, name: &str) -> Result<Option<Document>, Problem> {
        if !self.files.contains_key(name) {
            return Ok(None);
        }
        let document = Document::read(&self.bytes(name)?);
        document.map(Some).map_err(|why| Problem::new(format!("`{name}` is broken: {why}")))
    }

    /// Makes blobs of some files; a blob that two names have is kept once.
    fn keep(mut self, store: &Store, names: &BTreeSet<String>) -> Result<(), Problem> {
        for name in names {
            let name = self.resolved(name).to_owned();
            if let Some(staged) = self.files.remove(&name) {
                staged.keep(store)?;
            }
        }
        Ok(())
    }
}

fn is_called(names: &[&str], reference: &str) -> bool {
    names.iter().any(|name| whole_reference(name) == reference)
}

/// Which of several images is meant: the only one, or the one of the name.
fn choose<T>(images: Vec<(Vec<&str>, T)>, reference: &str) -> Result<T, Problem> {
    let named: Vec<String> =
        images.iter().flat_map(|(names, _)| names).map(|name| format!("`{name}`")).collect();
    let count = images.len();
    let mut images = images;
    if let Some(at) = images.iter().position(|(names, _)| is_called(names, reference)) {
        return Ok(images.swap_remove(at).1);
    }
    match images.pop() {
        Some((_, image)) if count == 1 => Ok(image),
        _ => Err(Problem::new(format!("it holds {count} images, and none is called `{reference}`"))
            .because(format!("its images are {}", named.join(", ")))),
    }
}

/// An OCI layout: the blobs are there as they are served.
fn from_layout(
    store: &Store,
    members: Members,
    index: &Document,
    reference: &str,
) -> Result<Descriptor, Problem> {
    let images = index.manifests.iter().map(|manifest| {
        let keys = ["io.containerd.image.name", "org.opencontainers.image.ref.name"];
        let names = keys.iter().filter_map(|key| manifest.annotations.get(*key)).map(String::as_str);
        (names.collect(), manifest)
    });
    let top = choose(images.collect(), reference)?;
    let mut wanted = BTreeSet::new();
    let kind = reach(&members, &top.digest, 0, &mut wanted)?;
    let media_type = if top.media_type.is_empty() { kind } else { top.media_type.clone() };
    let size = members.file(&blob_name(&top.digest))?.size;
    members.keep(store, &wanted)?;
    let top = top.clone();
    Ok(Descriptor { media_type, size, platform: None, annotations: BTreeMap::new(), ..top })
}

fn blob_name(digest: &Digest) -> String {
    format!("blobs/sha256/{digest}")
}

/// Adds the names of everything below a manifest that is there, and tells what the manifest is.
fn reach(
    members: &Members,
    digest: &Digest,
    depth: usize,
    wanted: &mut BTreeSet<String>,
) -> Result<String, Problem> {
    if depth >= DEEPEST {
        return Err(Problem::new(format!("the index sha256:{digest} is nested too deeply")));
    }
    let mut take = |digest: &Digest| -> Result<(), Problem> {
        let name = blob_name(digest);
        let found = &members.file(&name)?.digest;
        if found != digest {
            return Err(Problem::new(format!("`{name}` has the digest {found}")));
        }
        wanted.insert(name);
        Ok(())
    };
    take(digest)?;
    let document = members.document(&blob_name(digest))?;
    let Some(document) = document else { return Err(Problem::new(format!("sha256:{digest} is not in it"))) };
    for blob in document.config.iter().chain(&document.layers) {
        // A platform that is not whole does not count; whether one is whole is looked at afterwards.
        if members.files.contains_key(&blob_name(&blob.digest)) {
            take(&blob.digest)?;
        }
    }
    for child in &document.manifests {
        if members.files.contains_key(&blob_name(&child.digest)) {
            reach(members, &child.digest, depth + 1, wanted)?;
        }
    }
    Ok(document.kind().to_owned())
}

/// Docker's own form: a configuration and layers as they are unpacked, for which a manifest is made.
fn from_docker(store: &Store, members: Members, reference: &str) -> Result<Descriptor, Problem> {
    let list = members.bytes("manifest.json").map_err(|_| {
        Problem::new("it is no archive of images: it has neither `index.json` nor `manifest.json`")
    })?;
    let list: Vec<Saved> = serde_json::from_slice(&list)
        .map_err(|error| Problem::new(format!("`manifest.json` is broken: {error}")))?;
    let images = list.iter().map(|saved| {
        let names = saved.repo_tags.iter().flatten().map(String::as_str);
        (names.collect(), saved)
    });
    let saved = choose(images.collect(), reference)?;
    let config: Config = serde_json::from_slice(&members.bytes(&saved.config)?)
        .map_err(|error| Problem::new(format!("`{}` is broken: {error}", saved.config)))?;
    if config.rootfs.diff_ids.len() != saved.layers.len() {
        return Err(Problem::new("its configuration and its list name different numbers of layers"));
    }
    let descriptor = |name: &str, media_type: &str| -> Result<Descriptor, Problem> {
        let staged = members.file(name)?;
        Ok(Descriptor {
            media_type: media_type.to_owned(),
            digest: staged.digest.clone(),
            size: staged.size,
            platform: None,
            annotations: BTreeMap::new(),
            urls: Vec::new(),
        })
    };
    let mut layers = Vec::new();
    for (name, diff_id) in saved.layers.iter().zip(&config.rootfs.diff_ids) {
        let layer = descriptor(name, LAYER)?;
        let is_gzip = starts_with_gzip(&members.file(name)?.path)?;
        if is_gzip {
            layers.push(Descriptor { media_type: LAYER_GZIP.to_owned(), ..layer });
        } else if *diff_id == format!("sha256:{}", layer.digest) {
            layers.push(layer);
        } else {
            return Err(Problem::new(format!("`{name}` is not the layer {diff_id}")));
        }
    }
    let manifest = Document {
        schema_version: 2,
        media_type: MANIFEST.to_owned(),
        config: Some(descriptor(&saved.config, CONFIG)?),
        layers,
        manifests: Vec::new(),
    };
    let names: BTreeSet<String> = saved.layers.iter().chain([&saved.config]).cloned().collect();
    members.keep(store, &names)?;
    let bytes = serde_json::to_vec(&manifest).map_err(|error| Problem::new(error.to_string()))?;
    let (digest, size) = store.put(None, bytes.as_slice(), "a manifest")?;
    let media_type = MANIFEST.to_owned();
    Ok(Descriptor {
        media_type,
        digest,
        size,
        platform: None,
        annotations: BTreeMap::new(),
        urls: Vec::new(),
    })
}

fn starts_with_gzip(path: &Path) -> Result<bool, Problem> {
    let mut first = Vec::new();
    let file = File::open(path).map_err(cannot("read", path))?;
    file.take(2).read_to_end(&mut first).map_err(cannot("read", path))?;
    Ok(first == GZIP)
}
