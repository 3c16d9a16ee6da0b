//! Documents of the OCI image specification, and Docker's of the same form.

use std::collections::BTreeMap;

use kubespray_resource::Digest;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An image of one platform.
pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// Images of several platforms.
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// Docker's [`MANIFEST`].
pub(crate) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Docker's [`INDEX`].
pub(crate) const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// What a container is started with.
pub(crate) const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// A layer.
pub(crate) const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// A compressed layer.
pub(crate) const LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// Larger manifests are refused, as registries refuse them.
pub(crate) const LARGEST_MANIFEST: u64 = 4 << 20;

/// What points at a blob.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    /// What the blob is.
    #[serde(default)]
    pub(crate) media_type: String,
    /// Its digest.
    #[serde(serialize_with = "with_algorithm", deserialize_with = "sha256")]
    pub(crate) digest: Digest,
    /// Its size in bytes.
    pub(crate) size: u64,
    /// What it runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) platform: Option<Platform>,
    /// Notes, such as names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) annotations: BTreeMap<String, String>,
    /// Where else it may be had. Such layers (of Windows) are not kept in registries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) urls: Vec<String>,
}

/// What an image runs on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Platform {
    /// In Go's words, such as `amd64`.
    #[serde(default)]
    pub(crate) architecture: String,
    /// Such as `linux`.
    #[serde(default)]
    pub(crate) os: String,
    /// Such as `v8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) variant: Option<String>,
}

impl Platform {
    /// `linux/amd64`.
    pub(crate) fn name(&self) -> String {
        format!("{}/{}", self.os, self.architecture)
    }
}

/// A manifest or an index: which of them, its lists tell.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Document {
    pub(crate) schema_version: u8,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) media_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) config: Option<Descriptor>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) layers: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) manifests: Vec<Descriptor>,
}

impl Document {
    /// Reads a document; the reason where it is none.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, String> {
        let document: Self =
            serde_json::from_slice(bytes).map_err(|error| format!("it is no manifest: {error}"))?;
        match document.schema_version {
            2 => Ok(document),
            1 => Err("it is a manifest of Docker's first schema, which no engine of today takes".to_owned()),
            other => Err(format!("it is a manifest of schema {other}")),
        }
    }

    /// Whether it lists images of several platforms.
    pub(crate) fn is_index(&self) -> bool {
        self.config.is_none()
    }

    /// Its own word for what it is, or what its lists tell.
    pub(crate) fn kind(&self) -> &str {
        match (self.media_type.as_str(), self.is_index()) {
            ("", true) => INDEX,
            ("", false) => MANIFEST,
            (media_type, _) => media_type,
        }
    }
}

/// What a configuration says of its image.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Config {
    #[serde(flatten)]
    pub(crate) platform: Platform,
    #[serde(default)]
    pub(crate) rootfs: RootFs,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct RootFs {
    #[serde(default)]
    pub(crate) diff_ids: Vec<String>,
}

/// Whether a media type is that of a manifest or an index.
pub(crate) fn is_manifest_type(media_type: &str) -> bool {
    [MANIFEST, INDEX, DOCKER_MANIFEST, DOCKER_INDEX].contains(&media_type)
}

fn with_algorithm<S: Serializer>(digest: &Digest, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("sha256:{digest}"))
}

fn sha256<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.strip_prefix("sha256:")
        .and_then(Digest::parse)
        .ok_or_else(|| serde::de::Error::custom(format!("`{text}` is no digest of the kind sha256")))
}
