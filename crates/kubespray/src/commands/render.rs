//! `kubespray render`

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::process::ExitCode;

use kubespray_diagnostics::Diagnostic;
use kubespray_interface::plural;
use kubespray_planner::Item;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::arguments::operations::Render;
use crate::failure::Failure;
use crate::operation;
use crate::printer::Printer;

/// The list of a host's items, and in the folder itself that of hosts.
const MANIFEST: &str = "manifest.json";

/// What our manifests say, so that we know our own folders again.
const MADE_BY: &str = "kubespray render";

const SCHEMA_VERSION: u32 = 1;

pub(crate) fn run(options: &Render, printer: &mut Printer) -> Result<ExitCode, Failure> {
    let out = &options.out;
    let unwritable =
        |error: io::Error| Diagnostic::error("render", format!("cannot write `{}`: {error}", out.display()));
    is_ours_or_empty(out)?;
    let (hosts, warnings) = operation::rendered(options)?;
    printer.warnings(&warnings, false);
    let parent = match out.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(parent).map_err(unwritable)?;
    let next = TempDir::with_prefix_in(".kubespray-render-", parent).map_err(unwritable)?;
    write(next.path(), &hosts).map_err(unwritable)?;
    replace(out, next, parent).map_err(unwritable)?;
    let items: usize = hosts.values().map(Vec::len).sum();
    if printer.is_json() {
        printer.json(&json!({"out": out, "hosts": hosts.len(), "items": items}));
    } else {
        printer.line(format!(
            "wrote `{}`: {}, {}",
            out.display(),
            plural(hosts.len(), "host"),
            plural(items, "item")
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// Refuses to replace what somebody else made.
fn is_ours_or_empty(out: &Path) -> Result<(), Failure> {
    let refused = |why: &str| {
        Diagnostic::error("render", format!("`{}` {why}", out.display()))
            .hint("name a new folder, or an empty one")
    };
    let mut entries = match fs::read_dir(out) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            return Err(refused("is no folder").into());
        }
        Err(error) => return Err(refused(&format!("cannot be read: {error}")).into()),
    };
    if entries.next().is_none() {
        return Ok(());
    }
    let text = fs::read_to_string(out.join(MANIFEST)).unwrap_or_default();
    let manifest: Value = serde_json::from_str(&text).unwrap_or_default();
    if manifest.get("made_by").and_then(Value::as_str) == Some(MADE_BY) {
        return Ok(());
    }
    Err(refused("holds what `kubespray render` did not write").into())
}

fn write(folder: &Path, hosts: &BTreeMap<String, Vec<Item>>) -> io::Result<()> {
    for (host, items) in hosts {
        let root = below(folder, host)?;
        fs::create_dir_all(&root)?;
        for item in items {
            let Some(bytes) = &item.bytes else { continue };
            let path = below(&root, &item.path)?;
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::write(path, bytes)?;
        }
        let manifest =
            json!({"made_by": MADE_BY, "schema_version": SCHEMA_VERSION, "host": host, "items": items});
        write_json(&root.join(MANIFEST), &manifest)?;
    }
    let names: Vec<&String> = hosts.keys().collect();
    let manifest = json!({"made_by": MADE_BY, "schema_version": SCHEMA_VERSION, "hosts": names});
    write_json(&folder.join(MANIFEST), &manifest)
}

fn write_json(path: &Path, value: &Value) -> io::Result<()> {
    let mut text = serde_json::to_string_pretty(value)?;
    text.push('\n');
    fs::write(path, text)
}

/// A path of a host in a folder; one that leads out of it is an error.
fn below(folder: &Path, path: &str) -> io::Result<PathBuf> {
    let relative = Path::new(path.trim_start_matches('/'));
    let is_plain = relative.components().all(|part| matches!(part, Component::Normal(_)));
    if is_plain && relative.components().next().is_some() {
        return Ok(folder.join(relative));
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, format!("`{path}` is no path of a host")))
}

/// Puts a folder in the place of another one, which is removed only when the new one is there.
fn replace(out: &Path, next: TempDir, parent: &Path) -> io::Result<()> {
    let old = TempDir::with_prefix_in(".kubespray-render-", parent)?;
    let has_old = out.exists();
    if has_old {
        fs::rename(out, old.path().join("old"))?;
    }
    let made = fs::rename(next.path(), out);
    if made.is_err() && has_old {
        fs::rename(old.path().join("old"), out)?;
    }
    made?;
    // It is not there any more; nothing is left to be removed.
    let _ = next.keep();
    set_public(out)
}

/// Temporary folders are private; what was written is for all to read, as secrets are not in it.
fn set_public(out: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(out, fs::Permissions::from_mode(0o755))
}
