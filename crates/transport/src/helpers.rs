//! The programs that are brought to hosts.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;

use flate2::Compression;
use flate2::write::GzEncoder;
use kubespray_resource::Digest;

use crate::Disconnect;

/// One program: read once, compressed once and only when a host needs it, shared between all hosts.
#[derive(Clone, Debug)]
pub(crate) struct Helper {
    /// The digest of its bytes.
    pub(crate) digest: Digest,
    /// Its bytes.
    pub(crate) raw: Arc<[u8]>,
    packed: Arc<OnceLock<Option<Arc<[u8]>>>>,
}

impl Helper {
    /// Its bytes in gzip; nothing where they cannot be compressed. The first caller compresses while the others
    /// wait.
    pub(crate) fn gzip(&self) -> Option<&Arc<[u8]>> {
        // Compressing takes more stack than a thread of a connection has.
        let pack = || thread::scope(|scope| scope.spawn(|| compress(&self.raw)).join()).ok()?.ok();
        self.packed.get_or_init(pack).as_ref()
    }
}

/// The programs by architecture, as `uname -m` names it.
#[derive(Debug)]
pub(crate) struct Helpers {
    paths: BTreeMap<String, PathBuf>,
    read: Mutex<Option<Arc<BTreeMap<String, Helper>>>>,
}

impl Helpers {
    pub(crate) fn new(paths: BTreeMap<String, PathBuf>) -> Self {
        Self { paths, read: Mutex::new(None) }
    }

    /// All of them. The first caller reads while the others wait.
    pub(crate) fn all(&self) -> Result<Arc<BTreeMap<String, Helper>>, Disconnect> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(helpers) = read.as_ref() {
            return Ok(Arc::clone(helpers));
        }
        let mut helpers = BTreeMap::new();
        for (arch, path) in &self.paths {
            let helper = load(path).map_err(|error| Disconnect::HelperUnreadable {
                reason: format!("`{}`: {error}", path.display()),
            })?;
            helpers.insert(arch.clone(), helper);
        }
        Ok(Arc::clone(read.insert(Arc::new(helpers))))
    }
}

fn load(path: &Path) -> io::Result<Helper> {
    let raw = std::fs::read(path)?;
    Ok(Helper { digest: Digest::of(&raw), raw: raw.into(), packed: Arc::default() })
}

fn compress(raw: &[u8]) -> io::Result<Arc<[u8]>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(raw)?;
    Ok(encoder.finish()?.into())
}
