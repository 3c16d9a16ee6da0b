//! Names of images.

use std::fmt;

use kubespray_resource::{Digest, whole_reference};

use crate::Problem;

/// An image in a registry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    /// The registry's name with its port where it has one, such as `docker.io`.
    pub registry: String,
    /// The path in it, such as `library/nginx`.
    pub repository: String,
    /// Which one.
    pub version: Version,
}

/// Which image of a repository.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// Whichever has the tag.
    Tag(String),
    /// The one with the digest.
    Digest(Digest),
}

impl Reference {
    /// Reads a reference as engines do: `nginx` is `docker.io/library/nginx:latest`, and where there are a tag and a
    /// digest, only the digest counts.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let wrong = |why: &str| Problem::new(format!("`{text}` is no reference of an image: {why}"));
        let whole = whole_reference(text.trim());
        let (name, version) = if let Some((name, digest)) = whole.split_once('@') {
            let digest = digest.strip_prefix("sha256:").and_then(Digest::parse);
            (name, Version::Digest(digest.ok_or_else(|| wrong("the digest is none of SHA-256"))?))
        } else {
            let (name, tag) = whole.rsplit_once(':').ok_or_else(|| wrong("it has no tag"))?;
            if !is_tag(tag) {
                return Err(wrong("the tag is none"));
            }
            (name, Version::Tag(tag.to_owned()))
        };
        let (registry, repository) = name.split_once('/').ok_or_else(|| wrong("it has no path"))?;
        if !is_registry(registry) {
            return Err(wrong("the registry is none"));
        }
        if !is_repository(repository) {
            return Err(wrong("paths are small letters, digits and `.`, `_`, `-` between them"));
        }
        Ok(Self { registry: registry.to_owned(), repository: repository.to_owned(), version })
    }

    /// The same image elsewhere.
    pub fn at(&self, registry: &str, repository: &str) -> Self {
        Self {
            registry: registry.to_owned(),
            repository: repository.to_owned(),
            version: self.version.clone(),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { registry, repository, version } = self;
        match version {
            Version::Tag(tag) => write!(f, "{registry}/{repository}:{tag}"),
            Version::Digest(digest) => write!(f, "{registry}/{repository}@sha256:{digest}"),
        }
    }
}

impl Version {
    /// As it stands in URLs: the tag, or `sha256:` and digits.
    pub fn in_url(&self) -> String {
        match self {
            Self::Tag(tag) => tag.clone(),
            Self::Digest(digest) => format!("sha256:{digest}"),
        }
    }
}

/// OCI distribution: up to 128 letters, digits, `_`, `.` and `-`, the last two not first.
pub(crate) fn is_tag(tag: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    !tag.is_empty() && tag.len() <= 128 && tag.bytes().all(fits) && !tag.starts_with(['.', '-'])
}

fn is_registry(registry: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    !registry.is_empty() && registry.bytes().all(fits)
}

/// OCI distribution: parts between slashes of small letters and digits, with separators between these.
pub(crate) fn is_repository(repository: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
    let is_end =
        |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let is_part = |part: &str| {
        part.bytes().all(fits) && is_end(part.bytes().next()) && is_end(part.bytes().next_back())
    };
    repository.len() <= 255 && repository.split('/').all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read_as_engines_read_them() {
        let digest = "ab".repeat(32);
        for (text, whole) in [
            ("nginx", Some("docker.io/library/nginx:latest".to_owned())),
            ("calico/node:v3", Some("docker.io/calico/node:v3".to_owned())),
            ("registry.k8s.io/pause:3.10", Some("registry.k8s.io/pause:3.10".to_owned())),
            ("127.0.0.1:5000/a/b:1", Some("127.0.0.1:5000/a/b:1".to_owned())),
            ("localhost/b", Some("localhost/b:latest".to_owned())),
            (&format!("quay.io/a/b:v1@sha256:{digest}"), Some(format!("quay.io/a/b@sha256:{digest}"))),
            ("quay.io/a/b@sha256:12", None),
            ("quay.io/a/b:", None),
            ("quay.io/../b:1", None),
            ("quay.io/a//b:1", None),
            ("quay.io/A/b:1", None),
            ("quay.io/a/b:-1", None),
            ("", None),
        ] {
            let found = Reference::parse(text).map(|reference| reference.to_string()).ok();
            assert_eq!(found, whole, "{text}");
        }
    }
}
