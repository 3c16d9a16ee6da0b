//! An air-gapped site for the hosts of a lab: everything of a supply, served by `kubespray bundle serve`'s own server
//! on the lab's network.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use kubespray_bundle::{FileEntry, Options, Server, Store, serve};
use kubespray_lab::{Lab, NETWORK_MANIFEST, Site, Supply};
use kubespray_resource::Digest;
use serde_json::Value as Json;

/// Folders of Kubernetes' programs; tests that need them are left out without.
pub fn programs() -> Option<Vec<PathBuf>> {
    let Some(folders) = std::env::var_os("KUBESPRAY_LAB_BINARIES") else {
        eprintln!("left out: KUBESPRAY_LAB_BINARIES names no folder of Kubernetes' programs");
        return None;
    };
    Some(std::env::split_paths(&folders).collect())
}

/// Serves a supply as long as the answer lives, and makes the inventory in `folder` use it.
pub fn served(lab: &Lab, supply: &Supply, folder: &Path) -> Server {
    let store = Store::open(folder.join("bundle")).unwrap();
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
    let variables = Json::Object(supply.variables(&site).unwrap());
    let all = folder.join("group_vars/all");
    fs::create_dir_all(&all).unwrap();
    // JSON is YAML.
    fs::write(all.join("supply.yml"), variables.to_string()).unwrap();
    server
}
