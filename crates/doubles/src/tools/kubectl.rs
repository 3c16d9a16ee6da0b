//! The program kubectl, as far as steps and people in a lab use it.

use std::io::Read as _;

use serde_json::{Value, json};

use crate::client::{Client, path};
use crate::flags::Flags;
use crate::kubeconfig;
use crate::{files, yaml};

const KNOWN: &str = "kubeconfig server s=server tls-server-name request-timeout raw namespace n=namespace output o=output \
    all-namespaces A=all-namespaces selector l=selector field-selector filename f=filename server-side force-conflicts field-manager \
    ignore-not-found client wait timeout force grace-period all no-headers v=v context insecure-skip-tls-verify dry-run overwrite";

/// Short names of kinds.
const SHORT: [(&str, &str); 14] = [
    ("no", "nodes"),
    ("po", "pods"),
    ("cm", "configmaps"),
    ("svc", "services"),
    ("sa", "serviceaccounts"),
    ("ns", "namespaces"),
    ("ds", "daemonsets"),
    ("deploy", "deployments"),
    ("pdb", "poddisruptionbudgets"),
    ("crd", "customresourcedefinitions"),
    ("csr", "certificatesigningrequests"),
    ("ep", "endpoints"),
    ("pc", "priorityclasses"),
    ("sc", "storageclasses"),
];

/// A kind as the server tells it.
struct Kind {
    api_version: String,
    kind: String,
    plural: String,
    namespaced: bool,
}

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Runs one command.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let flags = Flags::parse(arguments, KNOWN)?;
    let words: Vec<&str> = flags.words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["completion", "bash"] => {
            crate::say(
                "# bash completion of kubectl\n__start_kubectl() { :; }\ncomplete -o default -F __start_kubectl kubectl",
            );
            Ok(())
        }
        ["version"] => {
            let own = crate::version();
            match flags.text("output") {
                "json" => crate::say(&json!({"clientVersion": {"gitVersion": own}}).to_string()),
                _ => crate::say(&format!("Client Version: {own}")),
            }
            Ok(())
        }
        ["get"] => {
            let at = flags.required("raw")?;
            let (status, body) = client(&flags)?.raw("GET", at, "", None)?;
            let text = String::from_utf8_lossy(&body).into_owned();
            if status >= 400 {
                return Err(format!("Error from server: {status} {text}"));
            }
            crate::say(&text);
            Ok(())
        }
        ["get", kind, names @ ..] => get(&flags, kind, names),
        ["delete", kind, names @ ..] => delete(&flags, kind, names),
        ["apply" | "create"] => apply(&flags),
        other => Err(format!("unknown command {:?} for \"kubectl\"", other.join(" "))),
    }
}

fn client(flags: &Flags) -> Result<Client, String> {
    let from_environment = std::env::var("KUBECONFIG").ok().filter(|path| !path.is_empty());
    let home = std::env::var("HOME").unwrap_or_else(|_| "/root".into());
    let default = from_environment.unwrap_or_else(|| format!("{home}/.kube/config"));
    let mut access = kubeconfig::read(flags.get("kubeconfig").unwrap_or(&default))?;
    if let Some(server) = flags.get("server") {
        server.clone_into(&mut access.server);
    }
    Client::with_name(&access, "kubectl", flags.get("tls-server-name"))
}

fn kinds_of(client: &Client, api_version: &str) -> Result<Vec<Kind>, String> {
    let root = if api_version.contains('/') {
        format!("/apis/{api_version}")
    } else {
        format!("/api/{api_version}")
    };
    let list = client.get(&root)?.ok_or_else(|| format!("no matches for kind in version {api_version:?}"))?;
    let resources = list.get("resources").and_then(Value::as_array).cloned().unwrap_or_default();
    let plain = resources.iter().filter(|one| !text(one, "/name").contains('/'));
    Ok(plain
        .map(|one| Kind {
            api_version: api_version.to_owned(),
            kind: text(one, "/kind").to_owned(),
            plural: text(one, "/name").to_owned(),
            namespaced: one["namespaced"] == true,
        })
        .collect())
}

/// A kind by any of its names.
fn kind(client: &Client, name: &str) -> Result<Kind, String> {
    let name = name.to_lowercase();
    let (name, group) =
        name.split_once('.').map_or((name.as_str(), None), |(name, group)| (name, Some(group)));
    let name = SHORT.iter().find(|(short, _)| *short == name).map_or(name, |(_, long)| long);
    let groups = client.get("/apis")?.unwrap_or_default();
    let mut versions = vec!["v1".to_owned()];
    for one in groups["groups"].as_array().into_iter().flatten() {
        if group.is_none_or(|group| one["name"] == group) {
            versions.push(text(one, "/preferredVersion/groupVersion").to_owned());
        }
    }
    for version in versions {
        let found = kinds_of(client, &version)?
            .into_iter()
            .find(|kind| kind.plural == name || kind.kind.to_lowercase() == name);
        if let Some(found) = found {
            return Ok(found);
        }
    }
    Err(format!("the server doesn't have a resource type {name:?}"))
}

fn namespace<'f>(flags: &'f Flags, kind: &Kind) -> &'f str {
    if !kind.namespaced || flags.is("all-namespaces") {
        ""
    } else {
        flags.get("namespace").unwrap_or("default")
    }
}

fn get(flags: &Flags, name: &str, names: &[&str]) -> Result<(), String> {
    let client = client(flags)?;
    let (name, names) = match name.split_once('/') {
        Some((name, one)) => (name, vec![one]),
        None => (name, names.to_vec()),
    };
    let kind = kind(&client, name)?;
    let namespace = namespace(flags, &kind);
    let mut found = Vec::new();
    if names.is_empty() {
        let mut query = Vec::new();
        for (key, flag) in [("labelSelector", "selector"), ("fieldSelector", "field-selector")] {
            if let Some(value) = flags.get(flag) {
                query.push(format!("{key}={}", crate::net::escaped(value)));
            }
        }
        found = client.list(&format!(
            "{}?{}",
            path(&kind.api_version, &kind.plural, namespace, ""),
            query.join("&")
        ))?;
    }
    for name in &names {
        match client.get(&path(&kind.api_version, &kind.plural, namespace, name))? {
            Some(object) => found.push(object),
            None if flags.is("ignore-not-found") => {}
            None => {
                return Err(format!("Error from server (NotFound): {} \"{name}\" not found", kind.plural));
            }
        }
    }
    for object in &mut found {
        object["apiVersion"] = kind.api_version.as_str().into();
        object["kind"] = kind.kind.as_str().into();
    }
    match flags.text("output") {
        "json" | "yaml" => {
            let out = match (names.len(), found.first()) {
                (1, Some(one)) => one.clone(),
                (1, None) => return Ok(()),
                _ => json!({"apiVersion": "v1", "kind": "List", "items": found}),
            };
            crate::say(
                if flags.text("output") == "json" { out.to_string() } else { yaml::write_sorted(&out) }
                    .trim_end(),
            );
        }
        "name" => found.iter().for_each(|one| {
            crate::say(&format!("{}/{}", kind.kind.to_lowercase(), text(one, "/metadata/name")));
        }),
        "" | "wide" => {
            for one in &found {
                let ready = one.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten();
                let ready = ready
                    .filter(|one| one["type"] == "Ready")
                    .map(|one| text(one, "/status"))
                    .next()
                    .unwrap_or_default();
                let phase = text(one, "/status/phase");
                let state = if kind.kind == "Node" && ready != "True" {
                    "NotReady"
                } else if kind.kind == "Node" {
                    "Ready"
                } else {
                    phase
                };
                crate::say(&format!(
                    "{:12} {:48} {state:10} {}",
                    text(one, "/metadata/namespace"),
                    text(one, "/metadata/name"),
                    text(one, "/spec/nodeName")
                ));
            }
        }
        other => return Err(format!("unable to match a printer suitable for the output format {other:?}")),
    }
    Ok(())
}

fn delete(flags: &Flags, name: &str, names: &[&str]) -> Result<(), String> {
    let client = client(flags)?;
    let kind = kind(&client, name)?;
    if names.is_empty() {
        return Err("resource(s) were provided, but no name was specified".into());
    }
    for name in names {
        let at = path(&kind.api_version, &kind.plural, namespace(flags, &kind), name);
        let options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"});
        if client.delete(&at, &options)? {
            crate::say(&format!("{} \"{name}\" deleted", kind.kind.to_lowercase()));
        } else if !flags.is("ignore-not-found") {
            return Err(format!("Error from server (NotFound): {} \"{name}\" not found", kind.plural));
        }
    }
    Ok(())
}

fn apply(flags: &Flags) -> Result<(), String> {
    if !flags.is("server-side") {
        return Err("this double applies on the server's side only: --server-side".into());
    }
    let client = client(flags)?;
    for file in flags.list("filename") {
        let mut content = String::new();
        if file == "-" {
            std::io::stdin().read_to_string(&mut content).map_err(|error| error.to_string())?;
        } else {
            content = files::read(&file)?;
        }
        for document in yaml::read_all(&content).map_err(|error| format!("{file}: {error}"))? {
            let items = if document["kind"] == "List" {
                document["items"].as_array().cloned().unwrap_or_default()
            } else {
                vec![document]
            };
            for object in items {
                one(flags, &client, object)?;
            }
        }
    }
    Ok(())
}

fn one(flags: &Flags, client: &Client, mut object: Value) -> Result<(), String> {
    let at = place(client, &mut object, flags.get("namespace"))?;
    let manager = flags.get("field-manager").unwrap_or("kubectl");
    client.apply(&at, &object, manager, flags.is("force-conflicts"))?;
    crate::say(&format!(
        "{}/{} serverside-applied",
        text(&object, "/kind").to_lowercase(),
        text(&object, "/metadata/name")
    ));
    Ok(())
}

/// The path of an object, which is put into a namespace where it has none and its kind wants one; one that is in
/// another than `namespace` is refused.
pub(super) fn place(client: &Client, object: &mut Value, namespace: Option<&str>) -> Result<String, String> {
    let (api_version, name) = (text(object, "/apiVersion").to_owned(), text(object, "/kind").to_owned());
    // A kind that was defined a moment ago is served soon.
    let mut found = None;
    for _ in 0..20 {
        found = kinds_of(client, &api_version)
            .ok()
            .and_then(|kinds| kinds.into_iter().find(|kind| kind.kind == name));
        if found.is_some() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(250));
    }
    let kind = found.ok_or_else(|| format!("no matches for kind {name:?} in version {api_version:?}"))?;
    if kind.namespaced && text(object, "/metadata/namespace").is_empty() {
        object["metadata"]["namespace"] = namespace.unwrap_or("default").into();
    }
    let wished = text(object, "/metadata/namespace");
    if let Some(namespace) = namespace
        && kind.namespaced
        && wished != namespace
    {
        return Err(format!(
            "the namespace from the provided object {wished:?} does not match the namespace {namespace:?}"
        ));
    }
    Ok(path(
        &kind.api_version,
        &kind.plural,
        if kind.namespaced { wished } else { "" },
        text(object, "/metadata/name"),
    ))
}
