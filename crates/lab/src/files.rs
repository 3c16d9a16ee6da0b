//! Files, with errors that name them.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::LabError;

/// Makes an I/O error one that names `path`.
pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> LabError + '_ {
    move |error| LabError::File { path: path.to_owned(), problem: error.to_string() }
}

pub(crate) fn read(path: &Path) -> Result<String, LabError> {
    fs::read_to_string(path).map_err(at(path))
}

/// Writes a whole file, making its folders, and sets its mode.
pub(crate) fn write(path: &Path, text: &str, mode: u32) -> Result<(), LabError> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(at(folder))?;
    }
    fs::write(path, text).map_err(at(path))?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(at(path))
}

/// Makes a folder and those above it.
pub(crate) fn make_folder(path: &Path, mode: u32) -> Result<(), LabError> {
    fs::create_dir_all(path).map_err(at(path))?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(at(path))
}
