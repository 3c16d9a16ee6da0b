//! What an image consists of.

use kubespray_resource::Digest;

use crate::index::Image;
use crate::oci::{Config, Descriptor, Document, LARGEST_MANIFEST, is_manifest_type};
use crate::problem::Problem;
use crate::store::Store;

/// An index may hold indexes, though none of ours does.
pub(crate) const DEEPEST: usize = 3;

/// Everything of an image.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    /// Manifests and indexes that are there.
    pub(crate) manifests: Vec<Descriptor>,
    /// Configurations and layers of them, there or not.
    pub(crate) blobs: Vec<Descriptor>,
    /// Manifests that an index names and that are not there, with their platforms.
    pub(crate) absent: Vec<Descriptor>,
    /// Platforms of manifests that are there, with the manifest's digest.
    pub(crate) platforms: Vec<(String, Digest)>,
}

impl Contents {
    /// Follows an image from its first manifest.
    pub(crate) fn of(store: &Store, image: &Image) -> Result<Self, Problem> {
        let top = Descriptor {
            media_type: image.media_type.clone(),
            digest: image.sha256.clone(),
            size: image.size,
            platform: None,
            annotations: std::collections::BTreeMap::new(),
            urls: Vec::new(),
        };
        Self::below(store, &top)
    }

    /// Follows a manifest or an index.
    pub(crate) fn below(store: &Store, top: &Descriptor) -> Result<Self, Problem> {
        let mut contents = Self::default();
        contents.follow(store, top, 0)?;
        Ok(contents)
    }

    fn follow(&mut self, store: &Store, at: &Descriptor, depth: usize) -> Result<(), Problem> {
        if depth >= DEEPEST {
            return Err(Problem::new(format!("the index sha256:{} is nested too deeply", at.digest)));
        }
        let bytes = store.read_blob(&at.digest, LARGEST_MANIFEST)?;
        let document = Document::read(&bytes)
            .map_err(|why| Problem::new(format!("sha256:{} is broken: {why}", at.digest)))?;
        let media_type = if is_manifest_type(&at.media_type) { &at.media_type } else { document.kind() };
        self.manifests.push(Descriptor { media_type: media_type.to_owned(), ..at.clone() });
        let Some(config) = document.config else {
            for child in document.manifests {
                if store.blob_size(&child.digest).is_some() {
                    self.follow(store, &child, depth + 1)?;
                } else {
                    self.absent.push(child);
                }
            }
            return Ok(());
        };
        let platform = match &at.platform {
            Some(platform) => Some(platform.name()),
            None => platform_of(store, &config),
        };
        self.platforms.extend(platform.map(|platform| (platform, at.digest.clone())));
        self.blobs.push(config);
        self.blobs.extend(document.layers.into_iter().filter(|layer| layer.urls.is_empty()));
        Ok(())
    }

    /// The platforms all of whose blobs are there.
    pub(crate) fn whole_platforms(store: &Store, top: &Descriptor) -> Result<Vec<String>, Problem> {
        let contents = Self::below(store, top)?;
        let mut whole = Vec::new();
        for (platform, digest) in contents.platforms {
            let of = contents.manifests.iter().find(|manifest| manifest.digest == digest);
            let Some(of) = of else { continue };
            let one = Self::below(store, of)?;
            if one.blobs.iter().all(|blob| store.has(&blob.digest, blob.size)) {
                whole.push(platform);
            }
        }
        whole.sort();
        whole.dedup();
        Ok(whole)
    }
}

/// What a configuration says of its platform, where it is there and says something.
pub(crate) fn platform_of(store: &Store, config: &Descriptor) -> Option<String> {
    let bytes = store.read_blob(&config.digest, LARGEST_MANIFEST).ok()?;
    let config: Config = serde_json::from_slice(&bytes).ok()?;
    let platform = config.platform;
    (!platform.os.is_empty() && !platform.architecture.is_empty()).then(|| platform.name())
}
