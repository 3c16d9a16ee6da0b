//! What engines have.

use std::collections::BTreeMap;
use std::time::Duration;

use kubespray_resource::{Failure, ImageEngine, ImageState, whole_reference};
use serde::Deserialize;

use super::owned;
use crate::failure::{last_lines, of_output};
use crate::{Host, Spawn};

/// What an engine has.
#[derive(Debug)]
pub(crate) enum Images {
    /// Ids of images by whole references, tags and digests both.
    All(BTreeMap<String, String>),
    /// More than a listing tells: each must be asked for by itself.
    TooMany,
}

/// How long a listing may take: an engine that unpacks large images is slow to answer.
const LIST: Duration = Duration::from_mins(2);

/// Columns of programs that list as docker does.
const COLUMNS: &str = "{{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}";

#[derive(Deserialize)]
struct CriList {
    #[serde(default)]
    images: Vec<CriImage>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CriImage {
    id: String,
    #[serde(default)]
    repo_tags: Vec<String>,
    #[serde(default)]
    repo_digests: Vec<String>,
}

/// The program of an engine with its socket, and arguments for it.
pub(super) fn argv(engine: &ImageEngine, arguments: &[&str]) -> Vec<String> {
    let mut argv = match engine {
        ImageEngine::Containerd { socket, .. } | ImageEngine::Crio { socket } => {
            let endpoint = format!("unix://{socket}");
            owned(&[
                "crictl",
                "--runtime-endpoint",
                &endpoint,
                "--image-endpoint",
                &endpoint,
                "--timeout",
                "30s",
            ])
        }
        ImageEngine::Nerdctl { socket, namespace } => {
            owned(&["nerdctl", "--address", socket, "--namespace", namespace])
        }
        ImageEngine::Docker => owned(&["docker"]),
        ImageEngine::Podman => owned(&["podman"]),
    };
    argv.extend(owned(arguments));
    argv
}

/// All images.
pub(super) fn list(host: &dyn Host, engine: &ImageEngine) -> Result<Images, Failure> {
    let speaks_cri = matches!(engine, ImageEngine::Containerd { .. } | ImageEngine::Crio { .. });
    let arguments: &[&str] = if speaks_cri {
        &["images", "-o", "json"]
    } else {
        &["images", "--digests", "--no-trunc", "--format", COLUMNS]
    };
    let spawn = Spawn { timeout: LIST, ..Spawn::new(argv(engine, arguments)) };
    let output = host.run(&spawn)?;
    if !output.is_success() {
        return Err(of_output(&spawn.argv, &output));
    }
    if !speaks_cri {
        return Ok(Images::All(from_lines(&output.stdout)));
    }
    let text = output.stdout.trim();
    match serde_json::from_str::<CriList>(text) {
        Ok(list) => Ok(Images::All(from_cri(list.images))),
        // Only the end of a very long output is kept.
        Err(_) if text.ends_with('}') && !text.starts_with('{') => Ok(Images::TooMany),
        Err(error) => {
            let mut failure =
                Failure::of_host(format!("`{}` printed what cannot be read: {error}", spawn.argv.join(" ")));
            failure.evidence = last_lines(text);
            Err(failure)
        }
    }
}

fn from_cri(images: Vec<CriImage>) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    for image in images {
        for name in image.repo_tags.iter().chain(&image.repo_digests) {
            out.insert(whole_reference(name), image.id.clone());
        }
    }
    out
}

fn from_lines(text: &str) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    for line in text.lines() {
        let mut fields = line.split('\t');
        let (Some(repository), Some(tag), Some(digest), Some(id)) =
            (fields.next(), fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        let known = |word: &str| !word.is_empty() && word != "<none>";
        if !known(repository) {
            continue;
        }
        if known(tag) {
            out.insert(whole_reference(&format!("{repository}:{tag}")), id.to_owned());
        }
        if known(digest) {
            out.insert(whole_reference(&format!("{repository}@{digest}")), id.to_owned());
        }
    }
    out
}

/// One image, where there are too many to list.
pub(super) fn one(host: &dyn Host, engine: &ImageEngine, reference: &str) -> Result<ImageState, Failure> {
    let spawn = Spawn {
        timeout: LIST,
        ..Spawn::new(argv(engine, &["inspecti", "--quiet", "-o", "json", reference]))
    };
    let output = host.run(&spawn)?;
    // The engine finds images by their references itself; which id it has matters to nobody.
    let id = output.is_success().then(|| reference.to_owned());
    let problem = (id.is_none() && !output.stderr.contains("no such image"))
        .then(|| of_output(&spawn.argv, &output).message);
    Ok(ImageState { id, problem })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listings_of_docker_and_of_the_cri_lead_to_the_same_names() {
        let lines = "nginx\t1.30\tsha256:aa\tid1\n<none>\t<none>\tsha256:bb\tid2\nquay.io/x\t<none>\tsha256:cc\tid3\nnoise\n";
        let known: Vec<String> = from_lines(lines).into_keys().collect();
        let expected =
            ["docker.io/library/nginx:1.30", "docker.io/library/nginx@sha256:aa", "quay.io/x@sha256:cc"];
        assert_eq!(known, expected);
        let json = r#"{"images":[{"id":"id1","repoTags":["docker.io/library/nginx:1.30"],
            "repoDigests":["docker.io/library/nginx@sha256:aa"],"size":"9","uid":null,"pinned":false},
            {"id":"id3","repoTags":[],"repoDigests":["quay.io/x@sha256:cc"],"size":"1"}]}"#;
        let list: CriList = serde_json::from_str(json).unwrap();
        let known: Vec<String> = from_cri(list.images).into_keys().collect();
        assert_eq!(known, expected);
        assert!(serde_json::from_str::<CriList>("{}").unwrap().images.is_empty());
    }
}
