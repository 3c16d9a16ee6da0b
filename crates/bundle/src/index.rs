//! What a bundle holds: files by the paths they are served at, images by their references.

use std::collections::BTreeMap;

use kubespray_resource::Digest;
use serde::{Deserialize, Serialize};

/// The form of `bundle.json`.
pub(crate) const SCHEMA: u32 = 1;

/// The list of everything, which `bundle.json` is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Index {
    /// Files by path.
    pub files: BTreeMap<String, File>,
    /// Images by reference.
    pub images: BTreeMap<String, Image>,
}

/// A file that a bundle holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Where it is served: the host and the path of its URL, such as `dl.k8s.io/release/v1.36.2/bin/linux/amd64/kubeadm`.
    pub path: String,
    /// What it is, such as `kubeadm`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it runs on, in Go's words; nothing for what is the same for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub architecture: Option<String>,
    /// Its digest.
    pub sha256: Digest,
    /// Its size in bytes.
    pub size: u64,
}

/// An image that a bundle holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// Its whole name, such as `registry.k8s.io/pause:3.10`.
    pub reference: String,
    /// What the blob of the digest is.
    pub media_type: String,
    /// The digest of its manifest, or of the index of its platforms.
    pub sha256: Digest,
    /// The size of that in bytes.
    pub size: u64,
    /// Platforms that are here whole, such as `linux/amd64`. The index may name more.
    pub platforms: Vec<String>,
}

/// The index as it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    schema_version: u32,
    files: Vec<File>,
    images: Vec<Image>,
}

impl Index {
    /// Reads `bundle.json`; the reason where it is none.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Schema {
            schema_version: u32,
        }
        let Schema { schema_version } = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if schema_version != SCHEMA {
            return Err(format!("it has the schema {schema_version}, and this program reads {SCHEMA}"));
        }
        let written: Written = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        let files = written.files.into_iter().map(|file| (file.path.clone(), file));
        let images = written.images.into_iter().map(|image| (image.reference.clone(), image));
        Ok(Self { files: files.collect(), images: images.collect() })
    }

    /// The bytes of `bundle.json`.
    pub(crate) fn write(&self) -> Result<Vec<u8>, serde_json::Error> {
        let written = Written {
            schema_version: SCHEMA,
            files: self.files.values().cloned().collect(),
            images: self.images.values().cloned().collect(),
        };
        let mut bytes = serde_json::to_vec_pretty(&written)?;
        bytes.push(b'\n');
        Ok(bytes)
    }
}
