//! The program helm, as far as the chart of a network plugin needs it: charts in folders, with templates that only put
//! values into places.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::kubectl;
use crate::client::{Client, path};
use crate::{files, yaml};

/// Flags with a value.
const VALUED: [&str; 5] = ["kubeconfig", "namespace", "values", "timeout", "version"];

/// Flags without one.
const SWITCHES: [&str; 4] = ["install", "create-namespace", "wait", "short"];

/// How soon it is seen that pods run.
const NAP: Duration = Duration::from_millis(500);

/// What is written on the command line.
#[derive(Debug, Default)]
struct Line {
    words: Vec<String>,
    flags: BTreeMap<String, String>,
}

impl Line {
    fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut out = Self::default();
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let Some(name) = argument.strip_prefix("--") else {
                out.words.push(argument.clone());
                continue;
            };
            let (name, value) = match name.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (name, None),
            };
            let value = if SWITCHES.contains(&name) {
                value.unwrap_or_else(|| "true".into())
            } else if VALUED.contains(&name) {
                let next = || arguments.next().cloned().ok_or(format!("flag needs an argument: --{name}"));
                value.map_or_else(next, Ok)?
            } else {
                return Err(format!("unknown flag: --{name}"));
            };
            if out.flags.insert(name.to_owned(), value).is_some() {
                return Err(format!("--{name} is given twice"));
            }
        }
        Ok(out)
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.flags.get(name).map(String::as_str)
    }

    fn is(&self, name: &str) -> bool {
        self.get(name) == Some("true")
    }

    fn required(&self, name: &str) -> Result<&str, String> {
        self.get(name).ok_or(format!("this double wants --{name}"))
    }
}

/// Runs one command.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let line = Line::parse(arguments)?;
    let words: Vec<&str> = line.words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["version"] => {
            crate::say(&format!("{}+g0000000", crate::version()));
            Ok(())
        }
        ["upgrade", release, chart] => upgrade(&line, release, Path::new(chart)),
        other => Err(format!("unknown command {:?} for \"helm\"", other.join(" "))),
    }
}

fn upgrade(line: &Line, release: &str, folder: &Path) -> Result<(), String> {
    let is_name = |name: &str| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
    };
    if !is_name(release) {
        return Err(format!("release name {release:?} is invalid"));
    }
    let namespace = line.required("namespace")?;
    let limit = seconds(line.required("timeout")?)?;
    let chart = Chart::read(folder)?;
    if line.get("version").is_some_and(|wanted| wanted != chart.version) {
        return Err(format!("the chart {:?} has version {:?} only", chart.name, chart.version));
    }
    let mut values = chart.values.clone();
    if let Some(file) = line.get("values") {
        fill(&mut values, &yaml::read(&files::read(file)?)?, "")?;
    }
    let objects = chart.objects(&values, release, namespace)?;
    let client = Client::open(line.required("kubeconfig")?, "helm")?;
    if client.get(&path("v1", "namespaces", "", namespace))?.is_none() {
        if !line.is("create-namespace") {
            return Err(format!("namespaces {namespace:?} not found"));
        }
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
        client.make("v1", "namespaces", &object)?;
    }
    let revision = last_revision(&client, release, namespace)? + 1;
    if revision == 1 && !line.is("install") {
        return Err(format!("{release:?} has no deployed releases"));
    }
    let mut made = Vec::new();
    for object in objects {
        made.push(put(&client, object, release, namespace)?);
    }
    if line.is("wait") {
        let end = Instant::now() + limit;
        for place in &made {
            wait(&client, place, end)?;
        }
    }
    record(&client, release, namespace, revision, &chart)?;
    crate::say(&format!("Release {release:?} has been upgraded. Happy Helming!\nREVISION: {revision}"));
    Ok(())
}

/// `90s` or `5m`.
fn seconds(text: &str) -> Result<Duration, String> {
    let (number, unit) = text.split_at(text.len().saturating_sub(1));
    let number: u64 = number.parse().map_err(|_| format!("time: invalid duration {text:?}"))?;
    match unit {
        "s" => Ok(Duration::from_secs(number)),
        "m" => Ok(Duration::from_secs(number * 60)),
        _ => Err(format!("time: unknown unit in duration {text:?}")),
    }
}

/// A chart in a folder.
struct Chart {
    name: String,
    version: String,
    values: Value,
    /// Texts by file.
    templates: BTreeMap<String, String>,
}

impl Chart {
    fn read(folder: &Path) -> Result<Self, String> {
        let file = |name: &str| files::read(&folder.join(name).to_string_lossy());
        let about = yaml::read(&file("Chart.yaml")?)?;
        let text = |key: &str| match about.get(key).and_then(Value::as_str) {
            Some(text) => Ok(text.to_owned()),
            None => Err(format!("validation: chart.metadata.{key} is required")),
        };
        if text("apiVersion")? != "v2" {
            return Err("this double knows charts of apiVersion v2".into());
        }
        let mut templates = BTreeMap::new();
        for entry in std::fs::read_dir(folder.join("templates")).map_err(|error| error.to_string())? {
            let path = entry.map_err(|error| error.to_string())?.path();
            let name = path.to_string_lossy().into_owned();
            templates.insert(name.clone(), files::read(&name)?);
        }
        Ok(Self {
            name: text("name")?,
            version: text("version")?,
            values: yaml::read(&file("values.yaml")?)?,
            templates,
        })
    }

    /// The objects of all templates.
    fn objects(&self, values: &Value, release: &str, namespace: &str) -> Result<Vec<Value>, String> {
        let mut out = Vec::new();
        for (file, template) in &self.templates {
            let text =
                render(template, values, release, namespace).map_err(|error| format!("{file}: {error}"))?;
            out.extend(yaml::read_all(&text).map_err(|error| format!("{file}: {error}"))?);
        }
        Ok(out)
    }
}

/// Puts wished values in the places of those of the chart; one that the chart does not know is refused.
fn fill(values: &mut Value, wished: &Value, at: &str) -> Result<(), String> {
    match (values, wished) {
        (Value::Object(values), Value::Object(wished)) => {
            for (key, wish) in wished {
                let at = format!("{at}.{key}");
                let value = values.get_mut(key).ok_or(format!("the chart knows no value {at}"))?;
                fill(value, wish, &at)?;
            }
        }
        (value, wished) => value.clone_from(wished),
    }
    Ok(())
}

/// A template with its `{{ .Values.a.b }}`, `{{ .Release.Name }}` and `{{ .Release.Namespace }}`; nothing else is known.
fn render(template: &str, values: &Value, release: &str, namespace: &str) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let (word, after) = after.split_once("}}").ok_or("unclosed action")?;
        out.push_str(before);
        match word.trim() {
            ".Release.Name" => out.push_str(release),
            ".Release.Namespace" => out.push_str(namespace),
            word => {
                let place =
                    word.strip_prefix(".Values.").map(|place| format!("/{}", place.replace('.', "/")));
                let value = place.and_then(|place| values.pointer(&place));
                match value.ok_or(format!("this double cannot do {word:?}"))? {
                    Value::String(text) => out.push_str(text),
                    Value::Null => return Err(format!("{word} has no value")),
                    other => out.push_str(&other.to_string()),
                }
            }
        }
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

/// Applies an object as a part of the release; one that is there and belongs to nobody or to another is refused.
fn put(client: &Client, mut object: Value, release: &str, namespace: &str) -> Result<String, String> {
    let place = kubectl::place(client, &mut object, Some(namespace))?;
    let owner = "/metadata/annotations/meta.helm.sh~1release-name";
    if let Some(there) = client.get(&place)?
        && there.pointer(owner).and_then(Value::as_str) != Some(release)
    {
        return Err(format!(
            "{place} exists and cannot be imported into the current release: invalid ownership metadata"
        ));
    }
    object["metadata"]["labels"]["app.kubernetes.io/managed-by"] = "Helm".into();
    object["metadata"]["annotations"]["meta.helm.sh/release-name"] = release.into();
    object["metadata"]["annotations"]["meta.helm.sh/release-namespace"] = namespace.into();
    client.apply(&place, &object, "helm", true)?;
    Ok(place)
}

/// Waits until all pods of an object that has some are ready.
fn wait(client: &Client, place: &str, end: Instant) -> Result<(), String> {
    loop {
        let object = client.get(place)?.ok_or(format!("{place} vanished"))?;
        let number = |pointer: &str| object.pointer(pointer).and_then(Value::as_i64);
        let (wanted, ready, updated) = match object["kind"].as_str() {
            Some("DaemonSet") => (
                number("/status/desiredNumberScheduled"),
                number("/status/numberReady"),
                number("/status/updatedNumberScheduled"),
            ),
            Some("Deployment") => {
                (number("/spec/replicas"), number("/status/readyReplicas"), number("/status/updatedReplicas"))
            }
            _ => return Ok(()),
        };
        let is_seen = number("/status/observedGeneration") >= number("/metadata/generation");
        if is_seen && wanted.is_some() && ready >= wanted && updated >= wanted {
            return Ok(());
        }
        if Instant::now() >= end {
            return Err(format!(
                "{place}: {ready:?} of {wanted:?} pods are ready: context deadline exceeded"
            ));
        }
        std::thread::sleep(NAP);
    }
}

/// The last revision of a release; 0 where there is none.
fn last_revision(client: &Client, release: &str, namespace: &str) -> Result<u64, String> {
    let selector = crate::net::escaped(&format!("owner=helm,name={release}"));
    let secrets =
        client.list(&format!("{}?labelSelector={selector}", path("v1", "secrets", namespace, "")))?;
    let revision = |one: &Value| one.pointer("/metadata/labels/version")?.as_str()?.parse().ok();
    Ok(secrets.iter().filter_map(revision).max().unwrap_or_default())
}

fn record(
    client: &Client,
    release: &str,
    namespace: &str,
    revision: u64,
    chart: &Chart,
) -> Result<(), String> {
    let about = json!({"name": release, "version": revision, "chart": {"name": chart.name, "version": chart.version}});
    let object = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "helm.sh/release.v1",
        "metadata": {
            "name": format!("sh.helm.release.v1.{release}.v{revision}"),
            "namespace": namespace,
            "labels": {"owner": "helm", "name": release, "status": "deployed", "version": revision.to_string()},
        },
        "data": {"release": BASE64_STANDARD.encode(about.to_string())},
    });
    client.make("v1", "secrets", &object)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_put_into_templates_and_nothing_else_is_known() {
        let mut values = json!({"image": {"tag": "1", "pull": true}, "nobody": null});
        fill(&mut values, &json!({"image": {"tag": "2"}}), "").unwrap();
        let text =
            "{{ .Release.Name }}.{{.Release.Namespace}}: {{ .Values.image.tag }} {{ .Values.image.pull }}";
        assert_eq!(render(text, &values, "net", "kube-system"), Ok("net.kube-system: 2 true".into()));
        for wrong in
            ["{{ .Values.other }}", "{{ if .Values.image }}", "{{ .Values.nobody }}", "{{ .Release.Name"]
        {
            assert!(render(wrong, &values, "net", "kube-system").is_err(), "{wrong}");
        }
        assert!(fill(&mut values, &json!({"image": {"tga": "2"}}), "").unwrap_err().contains(".image.tga"));
    }

    #[test]
    fn flags_that_nobody_knows_are_refused() {
        let line = |text: &str| Line::parse(&text.split(' ').map(str::to_owned).collect::<Vec<_>>());
        let good =
            line("upgrade --install net /charts/net --namespace kube-system --version 1.0.0 --wait").unwrap();
        assert_eq!(good.words, ["upgrade", "net", "/charts/net"]);
        assert!(good.is("install") && good.is("wait") && good.get("version") == Some("1.0.0"));
        for wrong in ["upgrade --atomic", "upgrade --namespace", "upgrade --wait --wait"] {
            assert!(line(wrong).is_err(), "{wrong}");
        }
        for (text, expected) in [("5m", Some(300)), ("30s", Some(30)), ("5", None), ("m", None), ("1h", None)]
        {
            assert_eq!(seconds(text).ok().map(|time| time.as_secs()), expected, "{text}");
        }
    }
}
