//! The program crictl.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::cri::{Cri, Image, POD_NAME, POD_NAMESPACE};
use crate::flags::Flags;
use crate::{files, yaml};

const KNOWN: &str = "runtime-endpoint r=runtime-endpoint image-endpoint i=image-endpoint timeout t=timeout config c=config debug D=debug \
    namespace name state label quiet output o=output all a=all no-trunc creds auth force f=force pod p=pod version v=version latest";

/// The flag that is short for `quiet`; with a value it is none.
const QUIET: &str = "q=quiet";

fn endpoint(flags: &Flags) -> Result<String, String> {
    if let Some(endpoint) = flags.get("runtime-endpoint") {
        return Ok(endpoint.to_owned());
    }
    let path = flags.get("config").unwrap_or("/etc/crictl.yaml");
    let document = yaml::read(&files::read(path)?).map_err(|error| format!("{path}: {error}"))?;
    const FIELDS: [&str; 6] = [
        "runtime-endpoint",
        "image-endpoint",
        "timeout",
        "debug",
        "pull-image-on-create",
        "disable-pull-on-run",
    ];
    for (key, _) in document.as_object().into_iter().flatten() {
        if !FIELDS.contains(&key.as_str()) {
            return Err(format!("{path}: no configuration entry {key:?}"));
        }
    }
    let endpoint = document.get("runtime-endpoint").and_then(Value::as_str);
    endpoint.map(str::to_owned).ok_or_else(|| format!("{path} names no runtime-endpoint"))
}

/// Runs one command.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let flags = Flags::parse(arguments, &format!("{KNOWN} {QUIET}"))?;
    if flags.is("version") {
        crate::say(&format!("crictl version {}", crate::version()));
        return Ok(());
    }
    let words: Vec<&str> = flags.words.iter().map(String::as_str).collect();
    if let ["completion", "bash"] = words.as_slice() {
        crate::say("# bash completion of crictl\ncomplete -o default crictl");
        return Ok(());
    }
    let cri = Cri::open(&endpoint(&flags)?)?;
    match words.as_slice() {
        ["version"] => {
            let (name, version) = cri.version()?;
            crate::say(&format!(
                "Version:  0.1.0\nRuntimeName:  {name}\nRuntimeVersion:  {version}\nRuntimeApiVersion:  v1"
            ));
        }
        ["info"] => {
            let conditions: Vec<Value> = cri
                .status()?
                .into_iter()
                .map(|(name, (holds, why))| json!({"type": name, "status": holds, "message": why}))
                .collect();
            crate::say(&json!({"status": {"conditions": conditions}}).to_string());
        }
        ["pods"] => pods(&cri, &flags)?,
        ["ps"] => containers(&cri, &flags)?,
        ["stopp", ids @ ..] if !ids.is_empty() => {
            for id in ids {
                cri.stop_sandbox(&whole(&cri, id)?)?;
                crate::say(&format!("Stopped sandbox {id}"));
            }
        }
        ["rmp", ids @ ..] if !ids.is_empty() => remove(&cri, &flags, ids)?,
        ["images" | "image" | "img"] => images(&cri, &flags)?,
        ["inspecti", reference] => match cri.image(reference)? {
            Some(image) => crate::say(&json!({"status": shown(&image)}).to_string()),
            None => return Err(format!("no such image \"{reference}\" present")),
        },
        ["pull", reference] => {
            let user = credentials(&flags)?;
            let user = user.as_ref().map(|(name, password)| (name.as_str(), password.as_str()));
            let found = cri.pull(reference, user).map_err(|error| format!("pulling image: {error}"))?;
            crate::say(&format!("Image is up to date for {found}"));
        }
        ["rmi", references @ ..] if !references.is_empty() => {
            for reference in references {
                cri.remove_image(reference)?;
            }
        }
        ["exec", id, command @ ..] if !command.is_empty() => {
            let command: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
            let (status, text) = cri.exec(id, &command, Duration::from_secs(30))?;
            crate::say(text.trim_end());
            if status != 0 {
                return Err(format!("command terminated with exit code {status}"));
            }
        }
        other => return Err(format!("unknown command {:?} for \"crictl\"", other.join(" "))),
    }
    Ok(())
}

fn credentials(flags: &Flags) -> Result<Option<(String, String)>, String> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let pair =
        |text: &str| text.split_once(':').map(|(name, password)| (name.to_owned(), password.to_owned()));
    if let Some(creds) = flags.get("creds").map(str::to_owned).or_else(|| variable("CRICTL_CREDS")) {
        return pair(&creds).map(Some).ok_or_else(|| "invalid credentials".into());
    }
    let Some(auth) = flags.get("auth").map(str::to_owned).or_else(|| variable("CRICTL_AUTH")) else {
        return Ok(None);
    };
    let decoded = STANDARD.decode(auth).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    decoded.as_deref().and_then(pair).map(Some).ok_or_else(|| "invalid auth".into())
}

/// The whole id of a sandbox that is named by its beginning.
fn whole(cri: &Cri, id: &str) -> Result<String, String> {
    let found = cri.sandboxes()?.into_iter().find(|one| one.id.starts_with(id));
    found.map(|one| one.id).ok_or_else(|| format!("could not find sandbox {id:?}"))
}

fn remove(cri: &Cri, flags: &Flags, ids: &[&str]) -> Result<(), String> {
    for id in ids {
        let id = whole(cri, id)?;
        let is_ready = cri.sandboxes()?.iter().any(|one| one.id == id && one.is_ready);
        if is_ready && !flags.is("force") {
            return Err(format!("sandbox {id:?} is running, please stop it first"));
        }
        cri.remove_sandbox(&id)?;
        crate::say(&format!("Removed sandbox {id}"));
    }
    Ok(())
}

/// Whether a name fits a pattern: a text, which `^` and `$` bind to the name's ends.
fn fits(name: &str, pattern: &str) -> Result<bool, String> {
    let (text, from_start) = pattern.strip_prefix('^').map_or((pattern, false), |rest| (rest, true));
    let (text, to_end) = text.strip_suffix('$').map_or((text, false), |rest| (rest, true));
    if text.chars().any(|c| "*+?[](){}|\\^$".contains(c)) {
        return Err(format!("the pattern {pattern:?} is too much for this double"));
    }
    Ok(match (from_start, to_end) {
        (true, true) => name == text,
        (true, false) => name.starts_with(text),
        (false, true) => name.ends_with(text),
        (false, false) => name.contains(text),
    })
}

fn labels(flags: &Flags) -> BTreeMap<String, String> {
    flags
        .list("label")
        .iter()
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

fn pods(cri: &Cri, flags: &Flags) -> Result<(), String> {
    let state = flags.text("state").to_lowercase();
    if !["", "ready", "notready", "s"].contains(&state.as_str()) {
        return Err(format!("invalid value {state:?} of --state"));
    }
    let mut found = cri.sandboxes_with(&labels(flags))?;
    found.sort_by_key(|one| std::cmp::Reverse(one.created));
    let mut shown = Vec::new();
    for one in found {
        let is_wanted = fits(&one.name, flags.text("name"))?
            && (flags.get("namespace").is_none() || flags.get("namespace") == Some(&one.namespace))
            && (state.is_empty() || (state == "ready") == one.is_ready);
        if is_wanted {
            shown.push(one);
        }
    }
    match (flags.is("quiet"), flags.text("output")) {
        (true, _) => shown.iter().for_each(|one| crate::say(&one.id)),
        (_, "json") => {
            let items: Vec<Value> = shown
                .iter()
                .map(|one| {
                    json!({"id": one.id, "metadata": {"name": one.name, "namespace": one.namespace, "uid": one.uid, "attempt": one.attempt},
                        "state": if one.is_ready { "SANDBOX_READY" } else { "SANDBOX_NOTREADY" },
                        "createdAt": one.created.to_string(), "labels": one.labels, "annotations": one.annotations})
                })
                .collect();
            crate::say(&json!({"items": items}).to_string());
        }
        _ => {
            crate::say(
                "POD ID              STATE               NAME                NAMESPACE           ATTEMPT",
            );
            for one in &shown {
                let state = if one.is_ready { "Ready" } else { "NotReady" };
                let id = one.id.get(..13).unwrap_or(&one.id);
                crate::say(&format!(
                    "{id:19} {state:19} {:19} {:19} {}",
                    one.name, one.namespace, one.attempt
                ));
            }
        }
    }
    Ok(())
}

fn containers(cri: &Cri, flags: &Flags) -> Result<(), String> {
    let state = flags.text("state").to_lowercase();
    let mut shown = Vec::new();
    for one in cri.containers_with(&labels(flags))? {
        let pod = one.labels.get(POD_NAME).map_or("", String::as_str);
        let own = match one.state {
            0 => "created",
            1 => "running",
            2 => "exited",
            _ => "unknown",
        };
        let is_wanted = fits(&one.name, flags.text("name"))?
            && (flags.get("pod").is_none_or(|id| one.sandbox.starts_with(id)))
            && (flags
                .get("namespace")
                .is_none_or(|namespace| one.labels.get(POD_NAMESPACE).is_some_and(|own| own == namespace)))
            && (if state.is_empty() { flags.is("all") || own == "running" } else { own == state });
        if is_wanted {
            shown.push((
                one.id.clone(),
                own,
                one.name.clone(),
                one.attempt,
                pod.to_owned(),
                one.image.clone(),
                one.sandbox.clone(),
            ));
        }
    }
    match (flags.is("quiet"), flags.text("output")) {
        (true, _) => shown.iter().for_each(|one| crate::say(&one.0)),
        (_, "json") => {
            let items: Vec<Value> = shown
                .iter()
                .map(|(id, state, name, attempt, pod, image, sandbox)| {
                    json!({"id": id, "podSandboxId": sandbox, "state": format!("CONTAINER_{}", state.to_uppercase()),
                        "metadata": {"name": name, "attempt": attempt}, "image": {"image": image}, "labels": {POD_NAME: pod}})
                })
                .collect();
            crate::say(&json!({"containers": items}).to_string());
        }
        _ => {
            crate::say("CONTAINER           STATE     NAME                ATTEMPT   POD");
            for (id, state, name, attempt, pod, ..) in &shown {
                crate::say(&format!(
                    "{:19} {state:9} {name:19} {attempt:<9} {pod}",
                    id.get(..13).unwrap_or(id)
                ));
            }
        }
    }
    Ok(())
}

fn shown(image: &Image) -> Value {
    json!({"id": image.id, "repoTags": image.tags, "repoDigests": image.digests, "size": image.size.to_string(),
        "uid": null, "username": "", "spec": null, "pinned": image.is_pinned})
}

fn images(cri: &Cri, flags: &Flags) -> Result<(), String> {
    let all = cri.images()?;
    match (flags.is("quiet"), flags.text("output")) {
        (true, _) => all.iter().for_each(|image| crate::say(&image.id)),
        (_, "json") => crate::say(&json!({"images": all.iter().map(shown).collect::<Vec<_>>()}).to_string()),
        _ => {
            crate::say("IMAGE");
            all.iter().flat_map(|image| &image.tags).for_each(|tag| crate::say(tag));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn names_fit_patterns() {
        for (name, pattern, expected) in [
            ("kube-apiserver-a", "^kube-apiserver-", true),
            ("my-kube-apiserver-a", "^kube-apiserver-", false),
            ("a", "", true),
            ("ab", "^a$", false),
        ] {
            assert_eq!(fits(name, pattern), Ok(expected), "{name} {pattern}");
        }
        assert!(fits("a", "a|b").is_err());
    }
}
