//! Lookups of files, and of what commands print.

use std::path::PathBuf;

use kubespray_jinja::{Args, Context, World};
use kubespray_value::{Error, ErrorKind, Value};

use super::switch;
use crate::path::{joined, normal, parent, with_home, with_variables};
use crate::support::{entry, is_blank, is_mapping, need_str, sequence};

/// Where Ansible looks for a relative path: in `files` and beside, for each folder of the search path.
fn candidates(world: &dyn World, name: &str) -> Vec<PathBuf> {
    if name.starts_with(['~', '/']) {
        return vec![PathBuf::from(normal(&with_variables(world, &with_home(world, name))))];
    }
    let mut paths = Vec::new();
    for folder in world.search_path() {
        if name.split('/').next() != Some("files") {
            paths.push(folder.join("files").join(name));
        }
        paths.push(folder.join(name));
    }
    paths
}

fn found(world: &dyn World, name: &str) -> Option<PathBuf> {
    if name.is_empty() {
        return None;
    }
    candidates(world, name).into_iter().find(|path| path.exists())
}

pub(super) fn file(context: &Context<'_>, terms: &[Value], options: &Args) -> Result<Vec<Value>, Error> {
    let (rstrip, lstrip) = (switch(options, "rstrip", true), switch(options, "lstrip", false));
    let mut contents = Vec::new();
    for term in terms {
        let name = need_str(term, "the name of a file")?;
        let path = found(context.world, name)
            .ok_or_else(|| Error::of_value(format!("the lookup `file` did not find `{name}`")))?;
        let bytes = context.world.read_file(&path)?;
        if bytes.starts_with(b"$ANSIBLE_VAULT;") {
            return Err(Error::new(ErrorKind::Vault, format!("`{}` is encrypted", path.display()))
                .hint("write the encrypted value into the inventory with the tag `!vault`"));
        }
        let text = String::from_utf8(bytes)
            .map_err(|_| Error::of_value(format!("`{}` is no UTF-8 text", path.display())))?;
        let mut text = text.as_str();
        if lstrip {
            text = text.trim_start_matches(is_blank);
        }
        if rstrip {
            text = text.trim_end_matches(is_blank);
        }
        contents.push(Value::str(text));
    }
    Ok(contents)
}

pub(super) fn file_glob(context: &Context<'_>, terms: &[Value], _: &Args) -> Result<Vec<Value>, Error> {
    let mut all = Vec::new();
    for term in terms {
        let pattern = need_str(term, "a pattern of files")?;
        let folder = parent(pattern);
        let name = pattern.rsplit('/').next().unwrap_or(pattern);
        let folders: Vec<PathBuf> = if pattern.contains('/') {
            found(context.world, folder).into_iter().collect()
        } else {
            context.world.search_path().into_iter().flat_map(|path| [path.join("files"), path]).collect()
        };
        for folder in folders {
            let pattern = joined(&[&folder.to_string_lossy(), name]);
            let files = context.world.glob(&pattern).into_iter().filter(|path| path.is_file());
            let files: Vec<Value> = files.map(|path| Value::str(path.to_string_lossy())).collect();
            if !files.is_empty() {
                all.extend(files);
                break;
            }
        }
    }
    Ok(all)
}

/// The settings of `first_found`: from the call, or from a map among the terms.
struct Search {
    names: Vec<String>,
    skip: bool,
}

const DEEPEST: usize = 20;

/// A text separates its parts by any of some characters; a list has each of its texts separated.
fn parts(value: Option<Value>, separators: &[char], depth: usize) -> Result<Vec<String>, Error> {
    match value {
        None | Some(Value::None) => Ok(Vec::new()),
        Some(Value::Str(text)) => Ok(text.split(separators).map(str::to_owned).collect()),
        Some(other) if depth < DEEPEST => {
            let mut all = Vec::new();
            for item in other.iterate()? {
                all.extend(parts(Some(item), separators, depth + 1)?);
            }
            Ok(all)
        }
        Some(_) => Err(Error::of_value("paths are nested too deeply")),
    }
}

fn add_terms(search: &mut Search, terms: &[Value], options: &Value, depth: usize) -> Result<(), Error> {
    for term in terms {
        let (files, settings) = match term {
            map if is_mapping(map) => (entry(map, &"files".into())?, map),
            text @ Value::Str(_) => (Some(text.clone()), options),
            list => match sequence(list) {
                Some(items) if depth < DEEPEST => {
                    add_terms(search, items, options, depth + 1)?;
                    continue;
                }
                _ => {
                    return Err(Error::of_type(format!(
                        "the lookup `first_found` takes texts, maps and lists, not `{}`",
                        list.type_name()
                    )));
                }
            },
        };
        if let Some(skip) = entry(settings, &"skip".into())? {
            search.skip = crate::checks::as_boolean(&skip).unwrap_or(false);
        }
        let files = parts(files, &[',', ';'], 0)?;
        let folders = parts(entry(settings, &"paths".into())?, &[',', ':', ';'], 0)?;
        if folders.is_empty() {
            search.names.extend(files);
        } else {
            for folder in &folders {
                search.names.extend(files.iter().map(|file| joined(&[folder, file])));
            }
        }
    }
    Ok(())
}

pub(super) fn first_found(
    context: &Context<'_>,
    terms: &[Value],
    options: &Args,
) -> Result<Vec<Value>, Error> {
    let settings = options.named.iter().map(|(name, value)| (Value::str(name.clone()), value.clone()));
    let settings = Value::map(settings.collect());
    let named_files;
    let terms = if terms.is_empty() {
        named_files = parts(options.named("files").cloned(), &[], 0)?;
        &named_files.into_iter().map(Value::from).collect::<Vec<_>>()
    } else {
        terms
    };
    let mut search = Search { names: Vec::new(), skip: false };
    add_terms(&mut search, terms, &settings, 0)?;
    for name in &search.names {
        let name = match context.scope.template(&Value::str(name.as_str())) {
            Ok(Value::Undefined(_)) => continue,
            Ok(name) => name.to_text(),
            Err(error) if error.kind == ErrorKind::Undefined => continue,
            Err(error) => return Err(error),
        };
        if let Some(path) = found(context.world, &name) {
            return Ok(vec![Value::str(normal(&path.to_string_lossy()))]);
        }
    }
    if search.skip {
        return Ok(Vec::new());
    }
    Err(Error::of_value("no file was found when using first_found"))
}

pub(super) fn pipe(context: &Context<'_>, terms: &[Value], _: &Args) -> Result<Vec<Value>, Error> {
    let mut outputs = Vec::new();
    for term in terms {
        let output = context.world.pipe(&crate::support::text(term)?)?;
        outputs.push(Value::str(output.trim_end_matches(is_blank)));
    }
    Ok(outputs)
}
