//! Whether a bundle is whole.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::thread;

use kubespray_resource::Digest;

use crate::contents::Contents;
use crate::needs::Needs;
use crate::oci::{DOCKER_INDEX, INDEX};
use crate::problem::Problem;
use crate::store::{Store, digest_of};

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// How many files the bundle has.
    pub files: usize,
    /// How many images the bundle has.
    pub images: usize,
    /// How many blobs these consist of.
    pub blobs: usize,
    /// The bytes of these.
    pub bytes: u64,
    /// What is missing or broken.
    pub problems: Vec<Problem>,
}

/// Reads every blob, and sees that everything that is needed is there.
pub fn verify(store: &Store, needs: Option<&Needs>) -> Verified {
    let index = store.index();
    let mut problems = Vec::new();
    // Each blob with its size and one of the things that consist of it.
    let mut blobs: BTreeMap<Digest, (u64, String)> = BTreeMap::new();
    for file in index.files.values() {
        blobs.entry(file.sha256.clone()).or_insert((file.size, file.path.clone()));
    }
    for image in index.images.values() {
        let name = &image.reference;
        blobs.entry(image.sha256.clone()).or_insert((image.size, name.clone()));
        let contents = match Contents::of(store, image) {
            Ok(contents) => contents,
            Err(problem) => {
                problems.push(problem.because(format!("of the image `{name}`")));
                continue;
            }
        };
        for part in contents.manifests.iter().chain(&contents.blobs) {
            blobs.entry(part.digest.clone()).or_insert((part.size, name.clone()));
        }
        for platform in &image.platforms {
            let is_there = contents.platforms.iter().any(|(there, _)| there == platform);
            if !is_there {
                problems.push(again(format!("the image `{name}` has no manifest for {platform}")));
            }
        }
    }
    let bytes = blobs.values().map(|(size, _)| size).sum();
    let count = blobs.len();
    problems.extend(broken(store, blobs));
    if let Some(needs) = needs {
        problems.extend(missing(store, needs));
    }
    problems.sort_by(|a, b| a.message.cmp(&b.message));
    problems.dedup();
    Verified { files: index.files.len(), images: index.images.len(), blobs: count, bytes, problems }
}

fn again(message: String) -> Problem {
    Problem::new(message).hint("`kubespray bundle create` fetches what is missing")
}

/// Reads blobs, several at once.
fn broken(store: &Store, blobs: BTreeMap<Digest, (u64, String)>) -> Vec<Problem> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let queue = Mutex::new(blobs.into_iter());
    let found = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let next = || queue.lock().ok().and_then(|mut queue| queue.next());
                while let Some((digest, (size, name))) = next() {
                    if let Some(problem) = blob_problem(store, &digest, size)
                        && let Ok(mut found) = found.lock()
                    {
                        found.push(problem.because(format!("it belongs to `{name}`")));
                    }
                }
            });
        }
    });
    found.into_inner().unwrap_or_default()
}

fn blob_problem(store: &Store, digest: &Digest, size: u64) -> Option<Problem> {
    let path = store.blob_path(digest);
    let shown = path.display();
    let remove = "remove it; `kubespray bundle create` fetches it again";
    match store.blob_size(digest) {
        None => Some(again(format!("`{shown}` is missing"))),
        Some(is) if is != size => {
            Some(Problem::new(format!("`{shown}` has {is} bytes and should have {size}")).hint(remove))
        }
        Some(_) => match digest_of(&path) {
            Ok(is) if is == *digest => None,
            Ok(is) => Some(Problem::new(format!("`{shown}` is broken: its digest is {is}")).hint(remove)),
            Err(problem) => Some(problem),
        },
    }
}

fn missing(store: &Store, needs: &Needs) -> Vec<Problem> {
    let index = store.index();
    let mut problems = Vec::new();
    for (path, need) in &needs.files {
        match index.files.get(path) {
            Some(file) if file.sha256 == need.sha256 => {}
            Some(file) => problems.push(again(format!(
                "the file `{path}` is {} and the inventory wants {}",
                file.sha256, need.sha256
            ))),
            None => problems.push(again(format!("the file `{path}` is missing"))),
        }
    }
    for need in needs.images.values() {
        for name in &need.names {
            let Some(image) = index.images.get(name) else {
                problems.push(again(format!("the image `{name}` is missing")));
                continue;
            };
            // One image for all is what `create` takes, with a note, where its registry has no other.
            if ![INDEX, DOCKER_INDEX].contains(&image.media_type.as_str()) {
                continue;
            }
            let here: BTreeSet<&String> = image.platforms.iter().collect();
            for platform in need.platforms.iter().filter(|platform| !here.contains(platform)) {
                problems.push(again(format!("the image `{name}` is not there for {platform}")));
            }
        }
    }
    problems
}
