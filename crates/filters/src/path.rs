//! Filters on paths, as Python's `posixpath` and `ntpath` define them.

use std::path::Path as FsPath;

use kubespray_jinja::{Args, Context, Library, World};
use kubespray_value::{Error, Value};

use crate::support::{filters, need_str, optional, sequence, texts};

pub(crate) fn add(library: &mut Library) {
    filters!(library, "ansible.builtin.";
        "basename" => basename,
        "commonpath" => common_path,
        "dirname" => dirname,
        "expanduser" => expand_user,
        "expandvars" => expand_variables,
        "fileglob" => file_glob,
        "normpath" => norm_path,
        "path_join" => path_join,
        "realpath" => real_path,
        "relpath" => relative_path,
        "splitext" => split_extension,
        "win_basename" => win_basename,
        "win_dirname" => win_dirname,
        "win_splitdrive" => win_split_drive,
    );
}

fn input(value: &Value) -> Result<&str, Error> {
    need_str(value, "a path")
}

fn tail(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or("")
}

/// Python's `dirname`.
pub(crate) fn parent(path: &str) -> &str {
    let head = path.get(..path.len() - tail(path).len()).unwrap_or("");
    let trimmed = head.trim_end_matches('/');
    if trimmed.is_empty() { head } else { trimmed }
}

/// Python's `join`.
pub(crate) fn joined(parts: &[&str]) -> String {
    let mut path = String::new();
    for (index, part) in parts.iter().enumerate() {
        if index == 0 || part.starts_with('/') {
            (*part).clone_into(&mut path);
        } else {
            if !path.is_empty() && !path.ends_with('/') {
                path.push('/');
            }
            path.push_str(part);
        }
    }
    path
}

/// Python's `normpath`.
pub(crate) fn normal(path: &str) -> String {
    if path.is_empty() {
        return ".".into();
    }
    // Two slashes in front are kept, three are one.
    let root = if path.starts_with("//") && !path.starts_with("///") {
        "//"
    } else if path.starts_with('/') {
        "/"
    } else {
        ""
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_none_or(|last| *last == "..") => {
                if root.is_empty() {
                    parts.push("..");
                }
            }
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let path = format!("{root}{}", parts.join("/"));
    if path.is_empty() { ".".into() } else { path }
}

fn basename(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&[])?;
    Ok(tail(input(&value)?).into())
}

fn dirname(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&[])?;
    Ok(parent(input(&value)?).into())
}

fn norm_path(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&[])?;
    Ok(normal(input(&value)?).into())
}

fn path_join(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&[])?;
    if let Value::Str(_) = value {
        return Ok(value);
    }
    let Some(parts) = sequence(&value) else {
        return Err(Error::of_type(format!(
            "path_join expects a text or a list, got `{}` instead",
            value.type_name()
        )));
    };
    if parts.is_empty() {
        return Err(Error::of_type("path_join expects at least one path"));
    }
    let parts: Vec<&str> = parts.iter().map(input).collect::<Result<_, _>>()?;
    Ok(joined(&parts).into())
}

fn split_extension(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&[])?;
    let path = input(&value)?;
    let name = tail(path);
    let stem_start = name.len() - name.trim_start_matches('.').len();
    // Dots at the start of a name begin no extension.
    let dot = name.rfind('.').filter(|dot| *dot > stem_start);
    let at = dot.map_or(path.len(), |dot| path.len() - name.len() + dot);
    let (stem, extension) = path.split_at(at);
    Ok(Value::tuple(vec![stem.into(), extension.into()]))
}

/// Python's `expanduser`; users that do not exist leave the path as it is.
pub(crate) fn with_home(world: &dyn World, path: &str) -> String {
    let Some(rest) = path.strip_prefix('~') else { return path.to_owned() };
    let (user, rest) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    match world.home(if user.is_empty() { None } else { Some(user) }) {
        Some(home) => {
            let home = home.to_string_lossy();
            let expanded = format!("{}{rest}", home.trim_end_matches('/'));
            if expanded.is_empty() { "/".into() } else { expanded }
        }
        None => path.to_owned(),
    }
}

fn expand_user(context: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&[])?;
    Ok(with_home(context.world, input(&value)?).into())
}

/// Python's `expandvars`: `$name` and `${name}`, what is not set stays.
pub(crate) fn with_variables(world: &dyn World, path: &str) -> String {
    let mut out = String::new();
    let mut rest = path;
    while let Some(at) = rest.find('$') {
        let (before, behind) = rest.split_at(at);
        out.push_str(before);
        let behind = behind.get(1..).unwrap_or("");
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let (name, length) = if let Some(end) = behind.strip_prefix('{').and_then(|inside| inside.find('}')) {
            (behind.get(1..=end).unwrap_or(""), end + 2)
        } else {
            let end = behind.find(|c| !is_word(c)).unwrap_or(behind.len());
            (behind.get(..end).unwrap_or(""), end)
        };
        let (name_text, behind) = behind.split_at(length);
        if let Some(value) = world.environment(name).filter(|_| !name.is_empty()) {
            out.push_str(&value);
        } else {
            out.push('$');
            out.push_str(name_text);
        }
        rest = behind;
    }
    out.push_str(rest);
    out
}

fn expand_variables(context: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&[])?;
    Ok(with_variables(context.world, input(&value)?).into())
}

fn real_path(context: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&[])?;
    Ok(Value::str(context.world.real_path(FsPath::new(input(&value)?)).to_string_lossy()))
}

/// A path from the root on, links left alone. The working folder stands for what is relative.
fn absolute(world: &dyn World, path: &str) -> String {
    let here = world.real_path(FsPath::new("."));
    normal(&joined(&[&here.to_string_lossy(), path]))
}

fn relative_path(context: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&["start"])?;
    let path = input(&value)?;
    if path.is_empty() {
        return Err(Error::of_value("no path specified"));
    }
    let start = optional(args, 0, "start").map_or(Ok("."), input)?;
    let (path, start) = (absolute(context.world, path), absolute(context.world, start));
    let parts = |path: &str| -> Vec<String> {
        path.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect()
    };
    let (path, start) = (parts(&path), parts(&start));
    let common = path.iter().zip(&start).take_while(|(a, b)| a == b).count();
    let up = vec!["..".to_owned(); start.len() - common];
    let relative: Vec<String> = up.into_iter().chain(path.into_iter().skip(common)).collect();
    Ok(Value::str(if relative.is_empty() { ".".to_owned() } else { relative.join("/") }))
}

fn common_path(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&[])?;
    let Some(paths) = sequence(&value) else {
        return Err(Error::of_type(format!(
            "commonpath expects a list, got `{}` instead",
            value.type_name()
        )));
    };
    let paths: Vec<&str> = paths.iter().map(input).collect::<Result<_, _>>()?;
    let Some(first) = paths.first() else {
        return Err(Error::of_value("commonpath() arg is an empty sequence"));
    };
    if paths.iter().any(|path| path.starts_with('/') != first.starts_with('/')) {
        return Err(Error::of_value("can't mix absolute and relative paths"));
    }
    let split: Vec<Vec<&str>> = paths
        .iter()
        .map(|path| path.split('/').filter(|part| !matches!(*part, "" | ".")).collect())
        .collect();
    let mut common = Vec::new();
    for (index, part) in split.iter().flatten().take(split.first().map_or(0, Vec::len)).enumerate() {
        if split.iter().all(|parts| parts.get(index) == Some(part)) {
            common.push(*part);
        } else {
            break;
        }
    }
    let root = if first.starts_with('/') { "/" } else { "" };
    Ok(Value::str(format!("{root}{}", common.join("/"))))
}

fn file_glob(context: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&[])?;
    let found = context.world.glob(input(&value)?);
    Ok(texts(found.into_iter().filter(|path| path.is_file()).map(|path| path.to_string_lossy().into_owned())))
}

fn is_separator(c: char) -> bool {
    matches!(c, '/' | '\\')
}

/// Drive (or share) and the rest.
fn win_drive(path: &str) -> (&str, &str) {
    let plain = path.replace('/', "\\");
    let at = if plain.starts_with(r"\\") {
        let prefix = if plain.to_uppercase().starts_with(r"\\?\UNC\") { 8 } else { 2 };
        let server_end = plain.get(prefix..).and_then(|rest| rest.find('\\')).map(|end| end + prefix);
        match server_end {
            None => path.len(),
            Some(end) => plain
                .get(end + 1..)
                .and_then(|rest| rest.find('\\'))
                .map_or(path.len(), |share| end + 1 + share),
        }
    } else if plain.get(1..2) == Some(":") {
        2
    } else {
        0
    };
    path.split_at(at.min(path.len()))
}

fn win_split(path: &str) -> (String, &str) {
    let (drive, rest) = win_drive(path);
    let at = rest.rfind(is_separator).map_or(0, |at| at + 1);
    let (head, tail) = rest.split_at(at);
    let trimmed = head.trim_end_matches(is_separator);
    (format!("{drive}{}", if trimmed.is_empty() { head } else { trimmed }), tail)
}

fn win_basename(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&[])?;
    Ok(win_split(input(&value)?).1.into())
}

fn win_dirname(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&[])?;
    Ok(win_split(input(&value)?).0.into())
}

fn win_split_drive(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&[])?;
    let (drive, rest) = win_drive(input(&value)?);
    Ok(Value::tuple(vec![drive.into(), rest.into()]))
}
