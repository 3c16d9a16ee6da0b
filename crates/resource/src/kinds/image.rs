//! Container images.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::shown;
use crate::Comparison;

/// An image in the store of a container engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// `repository:tag` or `repository@sha256:digest` (DL-051).
    pub reference: String,
    /// Which engine, and how it is asked.
    pub engine: ImageEngine,
    /// Where it comes from.
    pub source: ImageSource,
    /// The name of the secret with the registry's credentials: `user:password`, or both in base64 as the
    /// files of docker hold them. Nothing where none are needed.
    #[serde(default)]
    pub auth: Option<String>,
    /// Environment of the program that pulls, such as a proxy (DL-065). An engine that pulls by itself has its
    /// own.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// How long it may take, in seconds.
    pub timeout_s: u64,
}

/// Which engine keeps the image, and by which program it is asked (DL-055 to DL-058).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageEngine {
    /// containerd by `crictl`, so with the mirrors and the snapshotter that kubelet uses; archives by `ctr`.
    Containerd {
        /// Path of its socket.
        socket: String,
        /// Where kubelet's images are: `k8s.io`.
        namespace: String,
    },
    /// containerd by `nerdctl`, which has settings of its own.
    Nerdctl {
        /// Path of containerd's socket.
        socket: String,
        /// Where kubelet's images are: `k8s.io`.
        namespace: String,
    },
    /// CRI-O by `crictl`; archives by `skopeo`.
    Crio {
        /// Path of its socket.
        socket: String,
    },
    /// Docker by its own program.
    Docker,
    /// Podman by its own program.
    Podman,
}

/// Where an image comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageSource {
    /// The registry that its reference names, or a mirror that the engine knows.
    Pull,
    /// An archive on the host, as engines save images.
    Archive {
        /// Absolute path.
        path: String,
    },
}

/// What an engine has of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageState {
    /// The id of the image that the reference leads to; nothing when it leads nowhere.
    pub id: Option<String>,
    /// Why the engine does not say; nothing when it does.
    pub problem: Option<String>,
}

impl fmt::Display for ImageEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Containerd { .. } | Self::Nerdctl { .. } => "containerd",
            Self::Crio { .. } => "cri-o",
            Self::Docker => "docker",
            Self::Podman => "podman",
        })
    }
}

impl Image {
    /// Whether the image is there.
    pub fn compare(&self, state: &ImageState) -> Comparison {
        let mut out = Comparison::default();
        if state.id.is_none() {
            out.add("image", shown(state.problem.as_ref()), Some(self.reference.clone()));
        }
        out
    }
}

/// A reference with all that engines leave out: the registry, `library/`, `:latest`. Of a tag and a digest only
/// the digest counts. Two references lead to the same image where these are equal.
pub fn whole_reference(reference: &str) -> String {
    let (name, digest) = match reference.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (reference, None),
    };
    // A colon behind the last slash begins a tag, one before it a port.
    let slash = name.rfind('/').map_or(0, |at| at + 1);
    let (name, tag) = match name.get(slash..).and_then(|last| last.find(':')) {
        Some(at) => name.split_at(slash + at),
        None => (name, ""),
    };
    let repository = match name.split_once('/') {
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => name.to_owned(),
        Some(_) => format!("docker.io/{name}"),
        None => format!("docker.io/library/{name}"),
    };
    let repository = match repository.strip_prefix("index.docker.io/") {
        Some(rest) => format!("docker.io/{rest}"),
        None => repository,
    };
    let repository = match repository.strip_prefix("docker.io/") {
        Some(rest) if !rest.contains('/') => format!("docker.io/library/{rest}"),
        _ => repository,
    };
    match (digest, tag) {
        (Some(digest), _) => format!("{repository}@{digest}"),
        (None, "") => format!("{repository}:latest"),
        (None, tag) => format!("{repository}{tag}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_have_one_whole_form() {
        for (reference, expected) in [
            ("nginx", "docker.io/library/nginx:latest"),
            ("nginx:1.30.1-alpine", "docker.io/library/nginx:1.30.1-alpine"),
            ("docker.io/nginx:1", "docker.io/library/nginx:1"),
            ("docker.io/library/nginx:1", "docker.io/library/nginx:1"),
            ("index.docker.io/library/nginx:1", "docker.io/library/nginx:1"),
            ("flannel/flannel:v0.28.4", "docker.io/flannel/flannel:v0.28.4"),
            ("registry.k8s.io/pause:3.10", "registry.k8s.io/pause:3.10"),
            ("localhost/x", "localhost/x:latest"),
            ("mirror.lan:5000/a/b", "mirror.lan:5000/a/b:latest"),
            ("mirror.lan:5000/a/b:1", "mirror.lan:5000/a/b:1"),
            ("quay.io/a@sha256:ab", "quay.io/a@sha256:ab"),
            ("quay.io/a:1@sha256:ab", "quay.io/a@sha256:ab"),
            ("mirror.lan:5000/a@sha256:ab", "mirror.lan:5000/a@sha256:ab"),
            ("", "docker.io/library/:latest"),
            ("/", "docker.io//:latest"),
        ] {
            assert_eq!(whole_reference(reference), expected);
        }
    }
}
