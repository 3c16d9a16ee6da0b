//! Packages of Debian's archive, fetched and unpacked without touching what is installed on this machine (HOST-002).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::LabError;
use crate::base::mirror;
use crate::command::{finish, run};
use crate::files::{at, make_folder, write};

const KEYS: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Fetches packages of suites into `folder`, each as `name.deb`. Lists, cache and status of apt are all
/// below `folder`; only its proxy and the like are the machine's.
pub(crate) fn fetch(folder: &Path, packages: &[(&str, &str)]) -> Result<(), LabError> {
    let apt = folder.join("apt");
    for name in ["lists/partial", "cache/archives/partial"] {
        make_folder(&apt.join(name), 0o755)?;
    }
    let mut suites: Vec<&str> = packages.iter().map(|(_, suite)| *suite).collect();
    suites.sort_unstable();
    suites.dedup();
    let mirror = mirror();
    let sources = suites.iter().map(|suite| format!("deb [signed-by={KEYS}] {mirror} {suite} main\n"));
    write(&apt.join("sources.list"), &sources.collect::<String>(), 0o644)?;
    write(&apt.join("status"), "", 0o644)?;
    let shown = apt.display();
    let configuration = format!(
        "#clear APT::Update::Post-Invoke;\n#clear APT::Update::Post-Invoke-Success;\n\
         Dir::Etc::SourceList \"{shown}/sources.list\";\nDir::Etc::SourceParts \"/dev/null\";\n\
         Dir::State \"{shown}\";\nDir::State::Lists \"{shown}/lists\";\nDir::State::status \"{shown}/status\";\n\
         Dir::Cache \"{shown}/cache\";\nAPT::Sandbox::User \"root\";\nAcquire::Languages \"none\";\n\
         Acquire::Retries \"3\";\nAcquire::IndexTargets::deb::DEP-11::DefaultEnabled \"false\";\n"
    );
    let file = apt.join("apt.conf");
    write(&file, &configuration, 0o644)?;
    let get = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        // Read after the machine's settings, so that it wins over them.
        command.arg("-c").arg(&file).arg("-q").args(arguments);
        finish(command.current_dir(folder))
    };
    get(&["update"])?;
    let wanted: Vec<String> = packages.iter().map(|(name, suite)| format!("{name}/{suite}")).collect();
    let words: Vec<&str> = std::iter::once("download").chain(wanted.iter().map(String::as_str)).collect();
    get(&words)?;
    fs::remove_dir_all(&apt).map_err(at(&apt))?;
    // `NAME_VERSION_ARCH.deb`, where a name has no underscore.
    for entry in fs::read_dir(folder).map_err(at(folder))?.flatten() {
        let found = entry.file_name().to_string_lossy().into_owned();
        if let Some((name, _)) = found.split_once('_') {
            let plain = package(folder, name);
            fs::rename(entry.path(), &plain).map_err(at(&plain))?;
        }
    }
    Ok(())
}

/// The file of a package that [`fetch`] brought.
pub(crate) fn package(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.deb"))
}

/// Unpacks packages over each other into `root`, as files alone: no script of theirs runs.
pub(crate) fn unpack(folder: &Path, names: &[&str], root: &Path) -> Result<(), LabError> {
    make_folder(root, 0o755)?;
    for name in names {
        let file = package(folder, name);
        run("dpkg-deb", &[Path::new("--extract"), file.as_path(), root])?;
    }
    Ok(())
}

/// The version of upstream that a package holds: `2.1.9` of `2.1.9+ds1-5`.
pub(crate) fn version(folder: &Path, name: &str) -> Result<String, LabError> {
    let file = package(folder, name);
    let whole = run("dpkg-deb", &[Path::new("--field"), file.as_path(), Path::new("Version")])?;
    Ok(of_upstream(whole.trim()).to_owned())
}

fn of_upstream(whole: &str) -> &str {
    let whole = whole.split_once(':').map_or(whole, |(_, rest)| rest);
    whole.find(['+', '-', '~']).and_then(|end| whole.get(..end)).unwrap_or(whole)
}

/// The name that both Debian and Kubernetes have for this machine's processors.
pub(crate) fn architecture() -> Result<String, LabError> {
    run("dpkg", &["--print-architecture"]).map(|name| name.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::of_upstream;

    #[test]
    fn versions_are_those_of_upstream() {
        for (whole, upstream) in [
            ("2.1.9+ds1-5", "2.1.9"),
            ("3.5.30-2", "3.5.30"),
            ("1:1.37.0-6+b9", "1.37.0"),
            ("1.26.3-3+deb13u7", "1.26.3"),
            ("1.4.0~rc1-1", "1.4.0"),
            ("7", "7"),
        ] {
            assert_eq!(of_upstream(whole), upstream);
        }
    }
}
