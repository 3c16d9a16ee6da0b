//! An air-gapped site for the hosts of a lab: everything of a supply, served by `kubespray bundle serve`'s own server
//! on the lab's network.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use kubespray_bundle::{FileEntry, Options, Server, Store, serve};
use kubespray_lab::{Lab, NETWORK_MANIFEST, Site, Supply};
use kubespray_resource::Digest;
use serde_json::Value as Json;
use tempfile::TempDir;

/// Programs of Kubernetes for hosts: real ones where `KUBESPRAY_LAB_BINARIES` names folders of them, else doubles.
pub enum Programs {
    Real(Vec<PathBuf>),
    Doubles(TempDir),
}

impl Programs {
    pub fn at_hand() -> Self {
        Self::or_doubles_of(DOUBLED_VERSION)
    }

    /// Real ones at hand, else doubles of a version.
    pub fn or_doubles_of(version: &str) -> Self {
        match std::env::var_os("KUBESPRAY_LAB_BINARIES") {
            Some(folders) => Self::Real(std::env::split_paths(&folders).collect()),
            None => Self::Doubles(doubles(version)),
        }
    }

    /// Programs of several versions, in the order in which a cluster takes them: real ones of the folders that
    /// `KUBESPRAY_LAB_UPGRADES` lists, else doubles of `versions`.
    pub fn in_turn(versions: &[&str]) -> Vec<Self> {
        match std::env::var_os("KUBESPRAY_LAB_UPGRADES") {
            Some(folders) => std::env::split_paths(&folders).map(|folder| Self::Real(vec![folder])).collect(),
            None => versions.iter().map(|version| Self::Doubles(doubles(version))).collect(),
        }
    }

    pub fn folders(&self) -> Vec<PathBuf> {
        match self {
            Self::Real(folders) => folders.clone(),
            Self::Doubles(folder) => vec![folder.path().to_owned()],
        }
    }
}

/// What doubles say that they are.
const DOUBLED_VERSION: &str = "v1.36.2";

/// What the program of doubles can be.
const DOUBLED: [&str; 11] = [
    "coredns",
    "crictl",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-proxy",
    "kube-scheduler",
    "kubeadm",
    "kubectl",
    "kubelet",
    "nerdctl",
    "pause",
];

/// A folder with the doubles, each under the name of the program that it stands for.
fn doubles(version: &str) -> TempDir {
    doubles_named(&DOUBLED, version)
}

/// A folder with some of the doubles.
pub fn doubles_named(names: &[&str], version: &str) -> TempDir {
    let program = Path::new(env!("CARGO_BIN_EXE_kubespray")).with_file_name("kubespray-doubles");
    assert!(program.exists(), "there is no `{}`: cargo build -p kubespray-doubles", program.display());
    let folder = tempfile::tempdir().unwrap();
    // What debuggers need is most of it, and hosts fetch it many times.
    let bare = folder.path().join("bare");
    let stripped = Command::new("strip").arg("-o").arg(&bare).arg(&program).status();
    assert!(stripped.is_ok_and(|status| status.success()), "strip: apt-get install binutils");
    let stamped = kubespray_doubles::stamp(&fs::read(&bare).unwrap(), version);
    fs::remove_file(bare).unwrap();
    for name in names {
        let path = folder.path().join(name);
        fs::write(&path, &stamped).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    folder
}

/// Puts a supply into a new bundle.
pub fn bundled(supply: &Supply, folder: &Path) -> Store {
    let store = Store::open(folder).unwrap();
    for file in &supply.files {
        let entry = FileEntry {
            path: file.url.clone(),
            name: file.name.clone(),
            version: file.version.clone(),
            architecture: Some(file.architecture.clone()),
            sha256: Digest::parse(&file.sha256),
        };
        store.add_file(entry, File::open(&file.path).unwrap()).unwrap();
    }
    for image in &supply.images {
        store.add_image_archive(&image.reference, &image.archive).unwrap();
    }
    store
}

/// Serves the bundle of a site that was served at this address before.
pub fn served_again(folder: &Path, address: SocketAddr) -> Server {
    let store = Store::open(folder.join("bundle")).unwrap();
    serve(&store, Options { listen: Some(address), ..Options::default() }).unwrap()
}

/// Serves a supply as long as the answer lives, and makes the inventory in `folder` use it.
pub fn served(lab: &Lab, supply: &Supply, folder: &Path) -> Server {
    let (server, site) = serving(lab, &[supply], folder);
    choose(&site, supply, folder);
    server
}

/// Serves several supplies at one place as long as the first answer lives.
pub fn serving(lab: &Lab, supplies: &[&Supply], folder: &Path) -> (Server, Site) {
    for supply in supplies {
        bundled(supply, &folder.join("bundle"));
    }
    let store = Store::open(folder.join("bundle")).unwrap();
    let listen = Some(SocketAddr::from((lab.gateway(), 0)));
    let server = serve(&store, Options { listen, ..Options::default() }).unwrap();
    let site = Site {
        files: server.url(),
        registry: server.address().to_string(),
        registry_url: server.url(),
        nameserver: lab.gateway(),
        manifest: folder.join(NETWORK_MANIFEST).display().to_string(),
    };
    fs::write(folder.join(NETWORK_MANIFEST), site.network_manifest()).unwrap();
    (server, site)
}

/// Makes the inventory in `folder` use one of the supplies of a site.
pub fn choose(site: &Site, supply: &Supply, folder: &Path) {
    let variables = Json::Object(supply.variables(site).unwrap());
    let all = folder.join("group_vars/all");
    fs::create_dir_all(&all).unwrap();
    // JSON is YAML.
    fs::write(all.join("supply.yml"), variables.to_string()).unwrap();
}
