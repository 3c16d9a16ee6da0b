//! The folder of a bundle: an OCI image layout whose blobs are also the files.
//!
//! ```text
//! oci-layout, index.json     what every OCI tool reads: the images
//! bundle.json                what we read: files and images, by name
//! blobs/sha256/DIGEST        their bytes
//! partial/                   what is still being fetched, taken up by the next run
//! ```
//!
//! A blob is moved to its place when its digest is proven, a list when its blobs are there; so a kill at any time
//! leaves a folder that is whole as far as its lists go.

use std::collections::BTreeSet;
use std::fs::{self, File as OpenFile, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use kubespray_resource::Digest;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::index::{File, Image, Index};
use crate::oci;
use crate::problem::{Problem, cannot};

/// Our list.
pub(crate) const BUNDLE: &str = "bundle.json";

/// The beginning of names in `partial` that no later run takes up.
const NEW: &str = "new-";

/// A bundle's folder. Many threads may use it at once.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    index: Mutex<Index>,
    /// Blobs that somebody is fetching.
    taken: Mutex<BTreeSet<Digest>>,
    given_back: Condvar,
    next: AtomicU64,
    /// Held as long as this process may write.
    lock: Option<OpenFile>,
}

/// A file that is to be added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileEntry {
    /// Where it is served: host and path of its URL, as in [`File::path`].
    pub path: String,
    /// What it is.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it runs on; nothing for what is the same for all.
    pub architecture: Option<String>,
    /// What its digest must be, where that is known.
    pub sha256: Option<Digest>,
}

/// Bytes that are not a blob yet; removed when dropped.
#[derive(Debug)]
pub(crate) struct Staged {
    pub(crate) path: PathBuf,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
}

/// A blob that only its holder fetches; given back when dropped.
#[derive(Debug)]
pub(crate) struct Taken<'a> {
    store: &'a Store,
    digest: Digest,
}

impl Store {
    /// Opens a folder to add to it; makes it where there is none. One process at a time may hold it so.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self, Problem> {
        let folder = folder.into();
        for part in ["blobs/sha256", "partial"] {
            let path = folder.join(part);
            fs::create_dir_all(&path).map_err(cannot("make the folder", &path))?;
        }
        let path = folder.join("partial/lock");
        let lock = OpenFile::options().write(true).create(true).truncate(false).open(&path);
        let lock = lock.map_err(cannot("open", &path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let message = format!("`{}` is being filled by another process", folder.display());
                return Err(Problem::new(message).hint("wait until it is done"));
            }
            Err(TryLockError::Error(error)) => return Err(cannot("lock", &path)(error)),
        }
        let store = Self::read(folder, Some(lock))?;
        store.sweep()?;
        replace(&store.folder.join("oci-layout"), b"{\"imageLayoutVersion\":\"1.0.0\"}\n")?;
        store.save(&store.locked())?;
        Ok(store)
    }

    /// Opens a folder that is there, only to read it. It may be filled by another process meanwhile.
    pub fn open_to_read(folder: impl Into<PathBuf>) -> Result<Self, Problem> {
        let folder = folder.into();
        if !folder.join(BUNDLE).is_file() {
            let message = format!("`{}` is no bundle: it has no `{BUNDLE}`", folder.display());
            return Err(Problem::new(message).hint("`kubespray bundle create` makes one"));
        }
        Self::read(folder, None)
    }

    fn read(folder: PathBuf, lock: Option<OpenFile>) -> Result<Self, Problem> {
        let index = read_index(&folder)?;
        Ok(Self {
            folder,
            index: Mutex::new(index),
            taken: Mutex::default(),
            given_back: Condvar::new(),
            next: AtomicU64::new(0),
            lock,
        })
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Everything in it.
    pub fn index(&self) -> Index {
        self.locked().clone()
    }

    /// Reads the list again, which another process may have changed.
    pub(crate) fn read_again(&self) -> Result<(), Problem> {
        *self.locked() = read_index(&self.folder)?;
        Ok(())
    }

    fn locked(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where a blob is, or would be.
    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.folder.join("blobs/sha256").join(digest.as_str())
    }

    /// The size of a blob; nothing where it is not there. What is there was proven when it came.
    pub fn blob_size(&self, digest: &Digest) -> Option<u64> {
        let metadata = fs::metadata(self.blob_path(digest)).ok()?;
        metadata.is_file().then_some(metadata.len())
    }

    /// Whether a blob of a size is there.
    pub(crate) fn has(&self, digest: &Digest, size: u64) -> bool {
        self.blob_size(digest) == Some(size)
    }

    /// A small blob.
    pub(crate) fn read_blob(&self, digest: &Digest, limit: u64) -> Result<Vec<u8>, Problem> {
        let path = self.blob_path(digest);
        let mut bytes = Vec::new();
        let file = OpenFile::open(&path).map_err(cannot("read", &path))?;
        file.take(limit + 1).read_to_end(&mut bytes).map_err(cannot("read", &path))?;
        if bytes.len() as u64 > limit {
            return Err(Problem::new(format!("`{}` is larger than {limit} bytes", path.display())));
        }
        Ok(bytes)
    }

    /// Adds a file from a stream; one with another digest than it must have is not kept.
    pub fn add_file(&self, entry: FileEntry, from: impl Read) -> Result<File, Problem> {
        if !is_path(&entry.path) {
            return Err(Problem::new(format!("`{}` is no path to serve a file at", entry.path))
                .hint("it is the host and the path of a URL, without `.` and `..`"));
        }
        let (sha256, size) = self.put(entry.sha256.as_ref(), from, &entry.path)?;
        let FileEntry { path, name, version, architecture, .. } = entry;
        let file = File { path, name, version, architecture, sha256, size };
        self.record(|index| drop(index.files.insert(file.path.clone(), file.clone())))?;
        Ok(file)
    }

    /// Writes a file down whose blob is there.
    pub(crate) fn record_file(&self, file: File) -> Result<(), Problem> {
        self.record(|index| drop(index.files.insert(file.path.clone(), file)))
    }

    /// Writes an image down whose blobs are there.
    pub(crate) fn record_image(&self, image: Image) -> Result<(), Problem> {
        self.record(|index| drop(index.images.insert(image.reference.clone(), image)))
    }

    fn record(&self, change: impl FnOnce(&mut Index)) -> Result<(), Problem> {
        if self.lock.is_none() {
            return Err(Problem::new(format!("`{}` was opened only to read it", self.folder.display())));
        }
        let mut index = self.locked();
        let mut changed = index.clone();
        change(&mut changed);
        if changed != *index {
            self.save(&changed)?;
            *index = changed;
        }
        Ok(())
    }

    /// Stores bytes, and gives their digest and size. `what` names them in errors.
    pub(crate) fn put(
        &self,
        expected: Option<&Digest>,
        from: impl Read,
        what: &str,
    ) -> Result<(Digest, u64), Problem> {
        let staged = self.stage(from, what)?;
        if let Some(expected) = expected
            && *expected != staged.digest
        {
            let message = format!("`{what}` has the digest {} and should have {expected}", staged.digest);
            return Err(Problem::new(message));
        }
        let found = (staged.digest.clone(), staged.size);
        staged.keep(self)?;
        Ok(found)
    }

    /// Writes bytes beside the blobs, where they stay until they are kept or dropped.
    pub(crate) fn stage(&self, mut from: impl Read, what: &str) -> Result<Staged, Problem> {
        let path = self.new_path();
        let file = OpenFile::create(&path).map_err(cannot("make", &path))?;
        let mut staged = Staged { path, digest: Digest::of(b""), size: 0 };
        let mut out = Hashing { to: file, hash: Sha256::new(), size: 0 };
        io::copy(&mut from, &mut out)
            .map_err(|error| Problem::new(format!("cannot store `{what}`: {error}")))?;
        out.to.sync_all().map_err(cannot("write", &staged.path))?;
        (staged.digest, staged.size) = (Digest::from_hash(&out.hash.finalize()), out.size);
        Ok(staged)
    }

    /// Moves bytes whose digest is proven to where it says.
    pub(crate) fn keep(&self, path: &Path, digest: &Digest) -> Result<(), Problem> {
        let to = self.blob_path(digest);
        fs::rename(path, &to).map_err(cannot("move a blob to", &to))?;
        sync_folder(&to)
    }

    /// Where a blob is fetched to; what is there already goes on.
    pub(crate) fn partial(&self, digest: &Digest) -> PathBuf {
        self.folder.join("partial").join(digest.as_str())
    }

    /// A path in `partial` that nobody has.
    pub(crate) fn new_path(&self) -> PathBuf {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.folder.join("partial").join(format!("{NEW}{number}"))
    }

    /// Waits until nobody else fetches a blob; who holds it looks first whether it is there.
    pub(crate) fn take(&self, digest: &Digest) -> Taken<'_> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        while !taken.insert(digest.clone()) {
            taken = self.given_back.wait(taken).unwrap_or_else(PoisonError::into_inner);
        }
        Taken { store: self, digest: digest.clone() }
    }

    /// Removes what an earlier process began and nobody goes on with.
    fn sweep(&self) -> Result<(), Problem> {
        let folder = self.folder.join("partial");
        for entry in fs::read_dir(&folder).map_err(cannot("list", &folder))? {
            let entry = entry.map_err(cannot("list", &folder))?;
            if entry.file_name().to_string_lossy().starts_with(NEW) {
                let path = entry.path();
                fs::remove_file(&path).map_err(cannot("remove", &path))?;
            }
        }
        Ok(())
    }

    fn save(&self, index: &Index) -> Result<(), Problem> {
        let words = |error: serde_json::Error| Problem::new(format!("cannot write `{BUNDLE}`: {error}"));
        let manifests = index.images.values().map(|image| {
            json!({
                "mediaType": image.media_type,
                "digest": format!("sha256:{}", image.sha256),
                "size": image.size,
                "annotations": {
                    "io.containerd.image.name": image.reference,
                    "org.opencontainers.image.ref.name": image.reference,
                },
            })
        });
        let manifests: Vec<_> = manifests.collect();
        let layout = json!({"schemaVersion": 2, "mediaType": oci::INDEX, "manifests": manifests});
        replace(&self.folder.join("index.json"), &serde_json::to_vec_pretty(&layout).map_err(words)?)?;
        replace(&self.folder.join(BUNDLE), &index.write().map_err(words)?)
    }
}

impl Staged {
    /// Makes a blob of it.
    pub(crate) fn keep(self, store: &Store) -> Result<(), Problem> {
        store.keep(&self.path, &self.digest)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // Nothing is there when it was kept; what cannot be removed is swept by the next process.
        let _ = fs::remove_file(&self.path);
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.store.taken.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.digest);
        self.store.given_back.notify_all();
    }
}

fn read_index(folder: &Path) -> Result<Index, Problem> {
    let path = folder.join(BUNDLE);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Index::default()),
        Err(error) => return Err(cannot("read", &path)(error)),
    };
    Index::read(&bytes).map_err(|why| Problem::new(format!("cannot read `{}`: {why}", path.display())))
}

/// Writes beside and moves over; nothing where the same is there.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), Problem> {
    if fs::read(path).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    let beside = path.with_extension("new");
    let write = || -> io::Result<()> {
        let mut file = OpenFile::create(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(cannot("write", &beside))?;
    fs::rename(&beside, path).map_err(cannot("write", path))?;
    sync_folder(path)
}

fn sync_folder(path: &Path) -> Result<(), Problem> {
    let Some(folder) = path.parent() else { return Ok(()) };
    OpenFile::open(folder).and_then(|folder| folder.sync_all()).map_err(cannot("sync", folder))
}

/// Whether a file can be served there: parts between slashes, none of them empty, `.` or `..`, all of them visible.
pub(crate) fn is_path(path: &str) -> bool {
    path.split('/')
        .all(|part| !["", ".", ".."].contains(&part) && !part.contains(|c: char| c == '\\' || c.is_control()))
}

/// Hashes what is written.
struct Hashing<W> {
    to: W,
    hash: Sha256,
    size: u64,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.to.write(bytes)?;
        self.hash.update(bytes.get(..count).unwrap_or_default());
        self.size = self.size.saturating_add(count as u64);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// The digest of a file's bytes.
pub(crate) fn digest_of(path: &Path) -> Result<Digest, Problem> {
    let mut file = OpenFile::open(path).map_err(cannot("read", path))?;
    let mut out = Hashing { to: io::sink(), hash: Sha256::new(), size: 0 };
    let mut buffer = vec![0; 128 << 10];
    loop {
        let count = file.read(&mut buffer).map_err(cannot("read", path))?;
        if count == 0 {
            return Ok(Digest::from_hash(&out.hash.finalize()));
        }
        out.write_all(buffer.get(..count).unwrap_or_default()).map_err(cannot("read", path))?;
    }
}
