//! What an air-gapped site of real programs holds: files named and laid out as upstream releases are, and images as
//! archives, made of Debian's packages (HOST-002, HOST-022) and of programs that somebody built.
//!
//! Both parts are made once and kept beside the base root: the first under a hash of its recipe, the second under one
//! of the programs, too.

mod archive;
mod debian;
mod image;
mod kubernetes;
mod programs;
mod runc;
mod runtime;
mod site;

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::command::installed;
use crate::files::{at, make_folder, read, write};
use crate::{LabError, home, open_lock};

pub use site::{NETWORK_MANIFEST, Site};

/// How many parts made of programs are kept: as many versions as are tested in turn.
const KEPT: usize = 4;

/// Everything that hosts of a site fetch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Supply {
    /// Release files, each once.
    pub files: Vec<SupplyFile>,
    /// Images, each once.
    pub images: Vec<SupplyImage>,
}

/// One release file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SupplyFile {
    /// What the catalogue of downloads calls it, such as `cni_plugins`.
    pub name: String,
    /// Its version, without a `v`.
    pub version: String,
    /// For which processors, such as `amd64`.
    pub architecture: String,
    /// Where upstream has it: host and path, without a scheme.
    pub url: String,
    /// Where it is on this machine.
    pub path: PathBuf,
    /// 64 hexadecimal digits.
    pub sha256: String,
}

/// One image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SupplyImage {
    /// Its whole name upstream, such as `registry.k8s.io/pause:3.10`.
    pub reference: String,
    /// A tar as docker saves images, on this machine.
    pub archive: PathBuf,
}

impl Supply {
    /// Why this machine cannot make a supply, in one sentence, or nothing when it can.
    pub fn missing() -> Option<String> {
        let programs = [("apt-get", "apt"), ("dpkg-deb", "dpkg"), ("tar", "tar"), ("gzip", "gzip")];
        let missing = programs.iter().find(|(program, _)| !installed(program));
        missing.map(|(program, package)| format!("`{program}` is not installed: apt-get install {package}"))
    }

    /// Makes or finds a supply. `folders` hold programs (static, or in need of no more than glibc) named as upstream: kubeadm, kubelet, kubectl,
    /// kube-apiserver, kube-controller-manager, kube-scheduler, kube-proxy and pause, and if they are at hand
    /// crictl, nerdctl, helm and coredns; of a program that several have, that of the first counts. Without any
    /// folder there is what Debian has: engine, etcd, network plugins, nginx. [`LabError::NoProgram`] where
    /// one of Kubernetes is missing.
    pub fn make(folders: &[PathBuf]) -> Result<Supply, LabError> {
        let programs = if folders.is_empty() { None } else { Some(programs::find(folders)?) };
        let parts = home().join("supply");
        make_folder(&parts, 0o755)?;
        let lock = open_lock(&parts.join("lock"))?;
        lock.lock().map_err(at(&parts))?;
        let debian = parts.join(format!("debian-{}", key(&runtime::recipe())));
        let mut supply = part(&debian, runtime::make)?;
        if let Some(found) = programs {
            let recipe = format!("{} {} {}", debian.display(), kubernetes::RECIPE, programs::recipe(&found)?);
            let made = parts.join(format!("programs-{}", key(&recipe)));
            let kubernetes = part(&made, |folder| kubernetes::make(folder, &found, &debian))?;
            supply.files.extend(kubernetes.files);
            supply.images.extend(kubernetes.images);
            forget_old(&parts, &made);
        }
        Ok(supply)
    }

    /// The version of a file by its name in the catalogue.
    pub fn version(&self, name: &str) -> Option<&str> {
        self.files.iter().find(|file| file.name == name).map(|file| file.version.as_str())
    }
}

fn key(recipe: &str) -> String {
    archive::hexadecimal(Sha256::digest(recipe).get(..6).unwrap_or_default())
}

/// The part in `folder`, made if it is not there yet. `make` names what it made by paths below the folder it is given.
fn part(folder: &Path, make: impl FnOnce(&Path) -> Result<Supply, LabError>) -> Result<Supply, LabError> {
    let list = "supply.json";
    let wrong =
        |error: serde_json::Error| LabError::File { path: folder.join(list), problem: error.to_string() };
    if !folder.is_dir() {
        let unfinished = folder.with_file_name("unfinished");
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished).map_err(at(&unfinished))?;
        }
        make_folder(&unfinished, 0o755)?;
        let made = make(&unfinished)?;
        write(&unfinished.join(list), &serde_json::to_string_pretty(&made).map_err(wrong)?, 0o644)?;
        fs::rename(&unfinished, folder).map_err(at(folder))?;
    }
    let mut supply: Supply = serde_json::from_str(&read(&folder.join(list))?).map_err(wrong)?;
    for path in supply.files.iter_mut().map(|file| &mut file.path) {
        *path = folder.join(&path);
    }
    for path in supply.images.iter_mut().map(|image| &mut image.archive) {
        *path = folder.join(&path);
    }
    // The order of use, for the end of the oldest.
    let _ =
        fs::File::open(folder.join(list)).and_then(|file| file.set_modified(std::time::SystemTime::now()));
    Ok(supply)
}

/// Removes the parts of programs that were not used for longest. What cannot be removed stays.
fn forget_old(parts: &Path, used: &Path) {
    let entries = fs::read_dir(parts).map(|entries| entries.flatten().map(|entry| entry.path()).collect());
    let entries: Vec<PathBuf> = entries.unwrap_or_default();
    let is_other = |path: &&PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("programs-") && path.as_path() != used
    };
    let since = |path: &Path| fs::metadata(path.join("supply.json")).and_then(|list| list.modified()).ok();
    let mut others: Vec<_> = entries.iter().filter(is_other).map(|path| (since(path), path)).collect();
    others.sort();
    let old = others.len().saturating_sub(KEPT - 1);
    for (_, path) in others.into_iter().take(old) {
        let _ = fs::remove_dir_all(path);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
    use std::time::{Duration, SystemTime};

    use super::*;

    #[test]
    fn a_part_is_made_once_and_a_failed_one_is_none() {
        let folder = std::env::temp_dir().join(format!("lab-part-test-{}", std::process::id()));
        make_folder(&folder, 0o755).unwrap();
        let (target, image) = (folder.join("programs-a"), |archive: &str| SupplyImage {
            reference: "r/i:1".to_owned(),
            archive: archive.into(),
        });
        let failed = part(&target, |folder| {
            write(&folder.join("half"), "x", 0o644)?;
            Err(LabError::NoProgram { program: "kubeadm".to_owned() })
        });
        assert!(failed.is_err() && !target.exists());
        let made = part(&target, |folder| {
            assert!(!folder.join("half").exists());
            Ok(Supply { files: Vec::new(), images: vec![image("i.tar")] })
        });
        let wanted =
            Supply { files: Vec::new(), images: vec![image(target.join("i.tar").to_str().unwrap())] };
        assert_eq!(made.unwrap(), wanted);
        let again = part(&target, |_| Err(LabError::NoProgram { program: "again".to_owned() }));
        assert_eq!(again.unwrap(), wanted);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn the_oldest_parts_go() {
        let folder = std::env::temp_dir().join(format!("lab-old-test-{}", std::process::id()));
        for (age, name) in ["debian-x", "programs-a", "programs-b", "programs-c", "programs-d", "programs-e"]
            .iter()
            .enumerate()
        {
            let list = folder.join(name).join("supply.json");
            write(&list, "{}", 0o644).unwrap();
            let time = SystemTime::now() - Duration::from_secs(1000 - age as u64);
            fs::File::open(&list).unwrap().set_modified(time).unwrap();
        }
        // The one that was just made counts, however old its list is.
        forget_old(&folder, &folder.join("programs-a"));
        let mut left: Vec<String> = fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, ["debian-x", "programs-a", "programs-c", "programs-d", "programs-e"]);
        fs::remove_dir_all(&folder).unwrap();
    }
}
