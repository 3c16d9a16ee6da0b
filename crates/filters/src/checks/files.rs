//! Tests of files on this machine.
//!
//! Reading attributes needs no [`kubespray_jinja::World`]: nothing is run and nothing is changed.

use std::path::Path;

use kubespray_jinja::{Args, Context, Library};
use kubespray_value::{Error, Value};

use crate::support::{need_str, tests};

pub(crate) fn add(library: &mut Library) {
    tests!(library, "ansible.builtin.";
        "abs" => absolute,
        "directory" => directory,
        "exists" => exists,
        "file" => file,
        "is_abs" => absolute,
        "is_dir" => directory,
        "is_file" => file,
        "is_link" => link,
        "is_mount" => mount,
        "is_same_file" => same_file,
        "link" => link,
        "link_exists" => link_exists,
        "mount" => mount,
        "same_file" => same_file,
        "vaulted_file" => vaulted_file,
    );
}

fn path(value: &Value) -> Result<&Path, Error> {
    need_str(value, "a path").map(Path::new)
}

fn absolute(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    args.only(&[])?;
    Ok(path(&value)?.is_absolute())
}

fn directory(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    args.only(&[])?;
    Ok(path(&value)?.is_dir())
}

fn file(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    args.only(&[])?;
    Ok(path(&value)?.is_file())
}

fn exists(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    args.only(&[])?;
    Ok(path(&value)?.exists())
}

fn link(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    args.only(&[])?;
    Ok(path(&value)?.is_symlink())
}

fn link_exists(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    args.only(&[])?;
    Ok(path(&value)?.symlink_metadata().is_ok())
}

/// The device and number that tell one file from another.
fn identity(path: &Path) -> Result<(u64, u64), Error> {
    use std::os::unix::fs::MetadataExt;
    let metadata = path.metadata();
    let metadata = metadata.map_err(|error| Error::of_value(format!("`{}`: {error}", path.display())))?;
    Ok((metadata.dev(), metadata.ino()))
}

fn same_file(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    args.only(&["other"])?;
    Ok(identity(path(&value)?)? == identity(path(args.require(0, "other")?)?)?)
}

/// A folder is a mount point when its parent lies on another device or is itself.
fn mount(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    args.only(&[])?;
    let path = path(&value)?;
    if path.is_symlink() {
        return Ok(false);
    }
    let (Ok((device, number)), Ok(parent)) = (identity(path), identity(&path.join(".."))) else {
        return Ok(false);
    };
    Ok(device != parent.0 || number == parent.1)
}

fn vaulted_file(context: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    args.only(&[])?;
    let bytes = context.world.read_file(path(&value)?)?;
    Ok(bytes.is_ascii() && bytes.starts_with(b"$ANSIBLE_VAULT"))
}
