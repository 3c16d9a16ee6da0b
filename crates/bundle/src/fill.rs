//! Fetching what a site needs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::mpsc::Sender;
use std::thread;

use kubespray_node::LinuxHost;
use kubespray_resource::{Download, ErrorClass, Mode, Owner, whole_reference};

use crate::client::Client;
use crate::contents::{Contents, platform_of};
use crate::index::{File, Image};
use crate::needs::{FileNeed, ImageNeed, Needs};
use crate::oci::{DOCKER_INDEX, Descriptor, INDEX};
use crate::problem::{Problem, cannot};
use crate::reference::{Reference, Version};
use crate::store::Store;
use crate::transfer::Transfer;

/// So many downloads at once: more do not make a line faster.
const AT_ONCE: usize = 4;

/// What happens while a bundle is filled. Names are paths of files and references of images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// It came.
    Fetched {
        /// What.
        name: String,
        /// How many bytes came; fewer than it has where some were here.
        bytes: u64,
    },
    /// It was here.
    Here {
        /// What.
        name: String,
    },
    /// Something about it is worth knowing.
    Note {
        /// Of what.
        name: String,
        /// What is to be known.
        text: String,
    },
    /// It did not come.
    Failed {
        /// What.
        name: String,
        /// Why.
        problem: Problem,
    },
}

/// One thing to fetch.
enum Task<'a> {
    File(&'a str, &'a FileNeed),
    Image(&'a str, &'a ImageNeed),
    Archive(String, &'a PathBuf),
}

/// Fetches everything that is not in the store yet: files by their URLs, images from archives where there is one of a
/// name, and else from registries. Everything is tried; what happens is told as it happens, and the end by the return.
pub fn fill(
    store: &Store,
    needs: &Needs,
    transfer: &Transfer,
    archives: &BTreeMap<String, PathBuf>,
    events: &Sender<Event>,
) {
    let archives: BTreeMap<String, &PathBuf> =
        archives.iter().map(|(reference, path)| (whole_reference(reference), path)).collect();
    let filler = Filler { store, transfer, client: Client::new(transfer), archives: &archives };
    let needed: BTreeSet<String> = needs.images.values().flat_map(names_of).collect();
    let extra = archives.iter().filter(|(reference, _)| !needed.contains(*reference));
    let tasks: Vec<Task<'_>> = needs
        .files
        .iter()
        .map(|(path, need)| Task::File(path, need))
        .chain(needs.images.iter().map(|(reference, need)| Task::Image(reference, need)))
        .chain(extra.map(|(reference, path)| Task::Archive(reference.clone(), path)))
        .collect();
    let queue = Mutex::new(tasks.into_iter());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                let next = || queue.lock().ok().and_then(|mut queue| queue.next());
                while let Some(task) = next() {
                    for event in filler.done(&task) {
                        // Nobody listens any more: what came is in the store all the same.
                        let _ = events.send(event);
                    }
                }
            });
        }
    });
}

/// All names that mean an image of a need.
fn names_of(need: &ImageNeed) -> impl Iterator<Item = String> {
    need.names.iter().cloned().chain(need.sources.iter().map(ToString::to_string))
}

struct Filler<'a> {
    store: &'a Store,
    transfer: &'a Transfer,
    client: Client<'a>,
    archives: &'a BTreeMap<String, &'a PathBuf>,
}

/// An image that was fetched, before it has its names.
struct Pulled {
    image: Image,
    bytes: u64,
    notes: Vec<String>,
}

impl Filler<'_> {
    fn done(&self, task: &Task<'_>) -> Vec<Event> {
        let (name, result) = match task {
            Task::File(path, need) => (*path, self.file(path, need).map(|bytes| (bytes, Vec::new()))),
            Task::Image(reference, need) => (*reference, self.image(need)),
            Task::Archive(reference, path) => {
                let added = self.store.add_image_archive(reference, path);
                (reference.as_str(), added.map(|image| (Some(self.bytes_of(&image)), Vec::new())))
            }
        };
        let name = || name.to_owned();
        match result {
            Ok((bytes, notes)) => {
                let end = match bytes {
                    Some(bytes) => Event::Fetched { name: name(), bytes },
                    None => Event::Here { name: name() },
                };
                let notes = notes.into_iter().map(|text| Event::Note { name: name(), text });
                notes.chain([end]).collect()
            }
            Err(problem) => vec![Event::Failed { name: name(), problem }],
        }
    }

    /// How many bytes came; nothing where it was here.
    fn file(&self, path: &str, need: &FileNeed) -> Result<Option<u64>, Problem> {
        let _taken = self.store.take(&need.sha256);
        let known = self.store.index().files.get(path).map(|file| file.size);
        let before =
            self.store.blob_size(&need.sha256).filter(|size| known.is_none_or(|known| known == *size));
        if before.is_none() {
            self.fetch(need)?;
        }
        let size = self.store.blob_size(&need.sha256).unwrap_or_default();
        self.store.record_file(File {
            path: path.to_owned(),
            name: need.name.clone(),
            version: need.version.clone(),
            architecture: need.architecture.clone(),
            sha256: need.sha256.clone(),
            size,
        })?;
        Ok(before.is_none().then_some(size))
    }

    /// As hosts fetch.
    fn fetch(&self, need: &FileNeed) -> Result<(), Problem> {
        let partial = self.store.partial(&need.sha256);
        let (user, group) = (rustix::process::geteuid(), rustix::process::getegid());
        // The store may be named by a path from the working folder.
        let path = std::path::absolute(&partial).map_err(cannot("name", &partial))?;
        let wish = Download {
            path: path.display().to_string(),
            urls: need.urls.clone(),
            from_controller: false,
            digest: need.sha256.clone(),
            mode: Mode::PUBLIC,
            owner: Owner { user: user.as_raw().to_string(), group: group.as_raw().to_string() },
            proxy: need.urls.first().and_then(|url| self.transfer.proxy(url)).map(str::to_owned),
            no_proxy: self.transfer.no_proxy.clone(),
            verify_tls: self.transfer.verify_tls,
            timeout_s: self.transfer.timeout.as_secs(),
            only_as_source: false,
        };
        let host = LinuxHost::new();
        let mut pause = self.transfer.pause;
        let mut attempt = 1;
        let failure = loop {
            match kubespray_node::fetch(&host, &wish) {
                Ok(()) => return self.store.keep(&partial, &need.sha256),
                Err(failure) => {
                    if failure.class != ErrorClass::Transient || attempt >= self.transfer.attempts {
                        break failure;
                    }
                }
            }
            thread::sleep(pause);
            pause = pause.saturating_mul(2);
            attempt += 1;
        };
        let problem = Problem::new(format!("`{}` {} cannot be fetched", need.name, need.version));
        Err(failure.evidence.into_iter().fold(problem, Problem::because).hint(
            "a checksum that is wrong belongs to another version or address than the variables name; else see that \
             this machine reaches the URLs",
        ))
    }

    /// How many bytes came, nothing where all was here; and what is worth knowing.
    fn image(&self, need: &ImageNeed) -> Result<(Option<u64>, Vec<String>), Problem> {
        if need.names.iter().all(|name| self.is_here(name, &need.platforms)) {
            return Ok((None, Vec::new()));
        }
        let archive = names_of(need).find_map(|name| Some((self.archives.get(&name)?, name)));
        let pulled = match archive {
            Some((path, name)) => {
                let image = self.store.read_image_archive(&name, path)?;
                let missing: Vec<&String> =
                    need.platforms.iter().filter(|wanted| !image.platforms.contains(*wanted)).collect();
                let notes = missing
                    .iter()
                    .map(|wanted| format!("the archive `{}` has no image for {wanted}", path.display()));
                let notes = notes.collect();
                Pulled { bytes: self.bytes_of(&image), image, notes }
            }
            None => self.pull(need)?,
        };
        for name in &need.names {
            self.store.record_image(Image { reference: name.clone(), ..pulled.image.clone() })?;
        }
        Ok((Some(pulled.bytes), pulled.notes))
    }

    /// Whether an image is in the store, for all platforms that it has and hosts need.
    fn is_here(&self, name: &str, platforms: &BTreeSet<String>) -> bool {
        let index = self.store.index();
        let Some(image) = index.images.get(name) else { return false };
        let is_one = image.media_type != INDEX && image.media_type != DOCKER_INDEX;
        if !is_one && !platforms.iter().all(|wanted| image.platforms.contains(wanted)) {
            return false;
        }
        Contents::of(self.store, image)
            .is_ok_and(|contents| contents.blobs.iter().all(|blob| self.store.has(&blob.digest, blob.size)))
    }

    fn bytes_of(&self, image: &Image) -> u64 {
        Contents::of(self.store, image)
            .map_or(0, |contents| contents.blobs.iter().map(|blob| blob.size).sum())
    }

    fn pull(&self, need: &ImageNeed) -> Result<Pulled, Problem> {
        let mut problems = Vec::new();
        for source in &need.sources {
            match self.pull_from(source, &need.platforms) {
                Ok(pulled) => return Ok(pulled),
                Err(problem) => problems.push(problem),
            }
        }
        let mut problems = problems.into_iter();
        let Some(first) = problems.next() else {
            return Err(Problem::new("nobody said where it may be had"));
        };
        Err(problems.fold(first, |first, next| first.because(next.to_string())))
    }

    fn pull_from(&self, source: &Reference, platforms: &BTreeSet<String>) -> Result<Pulled, Problem> {
        let top = self.client.manifest(self.store, source)?;
        let mut bytes = top.descriptor.size;
        let mut notes = Vec::new();
        let mut here = BTreeSet::new();
        if top.document.is_index() {
            for wanted in platforms {
                let children: Vec<&Descriptor> = top
                    .document
                    .manifests
                    .iter()
                    .filter(|child| child.platform.as_ref().is_some_and(|is| is.name() == *wanted))
                    .collect();
                if children.is_empty() {
                    return Err(no_platform(source, wanted, &top.document.manifests));
                }
                for child in children {
                    let version = Version::Digest(child.digest.clone());
                    let child = self.client.manifest(self.store, &Reference { version, ..source.clone() })?;
                    bytes += child.descriptor.size;
                    if child.document.is_index() {
                        return Err(Problem::new(format!("`{source}` is an index within an index")));
                    }
                    bytes += self.blobs(source, &child.document)?;
                }
                here.insert(wanted.clone());
            }
        } else {
            bytes += self.blobs(source, &top.document)?;
            let config = top.document.config.as_ref();
            let only = config.and_then(|config| platform_of(self.store, config));
            for wanted in platforms.iter().filter(|wanted| only.as_ref().is_some_and(|only| only != *wanted))
            {
                let only = only.clone().unwrap_or_default();
                notes.push(format!("it says that it is for {only} alone, and hosts of {wanted} need it"));
            }
            here.extend(only);
        }
        let image = Image {
            reference: source.to_string(),
            media_type: top.descriptor.media_type,
            sha256: top.descriptor.digest,
            size: top.descriptor.size,
            platforms: here.into_iter().collect(),
        };
        Ok(Pulled { image, bytes, notes })
    }

    fn blobs(&self, source: &Reference, document: &crate::oci::Document) -> Result<u64, Problem> {
        let layers = document.layers.iter().filter(|layer| layer.urls.is_empty());
        let mut bytes = 0;
        for blob in document.config.iter().chain(layers) {
            bytes += self.client.blob(self.store, source, blob)?;
        }
        Ok(bytes)
    }
}

fn no_platform(source: &Reference, wanted: &str, has: &[Descriptor]) -> Problem {
    let names: BTreeSet<String> = has
        .iter()
        .filter_map(|child| child.platform.as_ref())
        .filter(|platform| platform.os != "unknown")
        .map(crate::oci::Platform::name)
        .collect();
    let names: Vec<String> = names.into_iter().collect();
    Problem::new(format!("`{source}` has no image for {wanted}"))
        .because(format!("it has images for {}", names.join(", ")))
        .hint("choose a version that has one, or leave hosts of that architecture out with `--limit`")
}
