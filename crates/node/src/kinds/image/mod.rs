//! Container images, through the programs of their engines.

mod failures;
mod listing;

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kubespray_resource::{
    ErrorClass, Failure, Image, ImageEngine, ImageSource, ImageState, Mode, Owner, Secrets, whole_reference,
};
use serde_json::json;

use self::failures::of_pull;
pub(crate) use self::listing::Images;
use crate::failure::{impossible, missing_secret};
use crate::paths::{self, BASE};
use crate::{Host, HostError, Spawn, View};

/// Credentials for programs that take them from a file only; there while they pull.
const AUTH: &str = "/var/lib/kubespray/registry";

/// An engine that is told of an image by another program knows it a moment later.
const KNOWN_AFTER: Duration = Duration::from_millis(200);
const KNOWN_TRIES: u32 = 50;

/// What the engine has; one listing for all images of a look.
pub(crate) fn observe(view: &View<'_>, wish: &Image) -> Result<ImageState, Failure> {
    let mut engines = view.images.borrow_mut();
    let images = match engines.get(&wish.engine) {
        Some(images) => images,
        None => {
            let found = listing::list(view.host, &wish.engine);
            engines.entry(wish.engine.clone()).or_insert(found)
        }
    };
    match images {
        Ok(Images::All(ids)) => {
            Ok(ImageState { id: ids.get(&whole_reference(&wish.reference)).cloned(), problem: None })
        }
        Ok(Images::TooMany) => listing::one(view.host, &wish.engine, &wish.reference),
        Err(failure) if failure.class == ErrorClass::Cancelled => Err(failure.clone()),
        // An engine that is not there yet, or does not run yet, has no images.
        Err(failure) => Ok(ImageState { id: None, problem: Some(failure.message.clone()) }),
    }
}

/// Pulls the image, or takes it from its archive.
pub(crate) fn apply(host: &dyn Host, wish: &Image, secrets: &Secrets) -> Result<(), Failure> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || ".-_/:@".contains(c);
    if wish.reference.is_empty() || wish.reference.starts_with('-') || !wish.reference.chars().all(is_plain) {
        return Err(impossible(format!("`{}` is no reference of an image", wish.reference)));
    }
    match &wish.source {
        ImageSource::Pull => pull(host, wish, secrets),
        ImageSource::Archive { path } => import(host, wish, path),
    }
}

fn pull(host: &dyn Host, wish: &Image, secrets: &Secrets) -> Result<(), Failure> {
    let auth = match &wish.auth {
        Some(name) => Some(secrets.get(name).map_err(missing_secret)?),
        None => None,
    };
    let mut environment = wish.environment.clone();
    let reference = wish.reference.as_str();
    let argv: Vec<&str> = match &wish.engine {
        ImageEngine::Containerd { .. } | ImageEngine::Crio { .. } => {
            if let Some(auth) = auth {
                // Both names are those of `crictl`: CREDS is `user:password`, AUTH is base64.
                let name = if auth.contains(':') { "CRICTL_CREDS" } else { "CRICTL_AUTH" };
                environment.insert(name.to_owned(), auth.to_owned());
            }
            vec!["pull", reference]
        }
        _ => vec!["pull", "--quiet", reference],
    };
    let file = match (auth, &wish.engine) {
        (None, _) | (_, ImageEngine::Containerd { .. } | ImageEngine::Crio { .. }) => None,
        (Some(auth), ImageEngine::Podman) => {
            let path = write_auth(host, reference, auth)?;
            environment.insert("REGISTRY_AUTH_FILE".to_owned(), path.clone());
            Some(path)
        }
        (Some(auth), _) => {
            let path = write_auth(host, reference, auth)?;
            environment.insert("DOCKER_CONFIG".to_owned(), AUTH.to_owned());
            Some(path)
        }
    };
    let result = host.run(&Spawn {
        environment,
        timeout: Duration::from_secs(wish.timeout_s.max(1)),
        ..Spawn::new(listing::argv(&wish.engine, &argv))
    });
    if file.is_some() {
        host.remove(AUTH, true)?;
    }
    let output = result?;
    if output.is_success() { Ok(()) } else { Err(of_pull(wish, &output)) }
}

/// Keeps credentials where only root reads them, as docker does, under both names that docker's own registry has.
/// What a crash leaves of them goes with the next pull, or with all other traces.
fn write_auth(host: &dyn Host, reference: &str, auth: &str) -> Result<String, Failure> {
    let encoded = if auth.contains(':') { STANDARD.encode(auth) } else { auth.to_owned() };
    let whole = whole_reference(reference);
    let registry = whole.split('/').next().unwrap_or_default();
    let mut registries = vec![registry];
    if registry == "docker.io" {
        registries.push("https://index.docker.io/v1/");
    }
    let auths: BTreeMap<&str, _> =
        registries.into_iter().map(|registry| (registry, json!({ "auth": encoded }))).collect();
    let text = json!({ "auths": auths }).to_string();
    let path = format!("{AUTH}/config.json");
    paths::ensure(host, BASE)?;
    host.make_dir(AUTH, Mode(0o700), &Owner::root())?;
    host.write(&path, text.as_bytes(), Mode::PRIVATE, &Owner::root())?;
    Ok(path)
}

fn import(host: &dyn Host, wish: &Image, path: &str) -> Result<(), Failure> {
    if host.metadata(path)?.is_none() {
        return Err(Failure::of_host(format!("the archive `{path}` of `{}` is not there", wish.reference)));
    }
    let argv = match &wish.engine {
        ImageEngine::Containerd { socket, namespace } => {
            owned(&["ctr", "--address", socket, "--namespace", namespace, "images", "import", path])
        }
        ImageEngine::Crio { .. } => {
            let (from, to) =
                (format!("docker-archive:{path}"), format!("containers-storage:{}", wish.reference));
            owned(&["skopeo", "copy", &from, &to])
        }
        engine => listing::argv(engine, &["load", "--input", path]),
    };
    let spawn = Spawn { timeout: Duration::from_secs(wish.timeout_s.max(1)), ..Spawn::new(argv) };
    let output = host.run(&spawn)?;
    if !output.is_success() {
        return Err(crate::failure::of_output(&spawn.argv, &output));
    }
    for _ in 0..KNOWN_TRIES {
        let listed = observe(&View::new(host, []), wish)?;
        if listed.id.is_some() || listed.problem.is_some() {
            return Ok(());
        }
        if host.is_cancelled() {
            return Err(HostError::Cancelled.into());
        }
        host.sleep(KNOWN_AFTER)?;
    }
    Err(impossible(format!("the archive `{path}` holds no image `{}`", wish.reference)))
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}
