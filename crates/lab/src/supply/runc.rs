//! runc for hosts that may do less than a machine: one file, a script with the real program behind it.
//!
//! It leaves out of what containers ask for two things that such a host cannot give: a negative `oom_score_adj`
//! (HOST-008) and a limit of open files above the machine's (HOST-021).

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::archive::hexadecimal;
use crate::LabError;
use crate::files::at;

/// Where hosts keep the program that is taken out of the file.
const CACHE: &str = "/var/cache/lab-runc";

/// `%CACHE%/%KEY%` is where the program is put, `%START%` its first byte in this file, counted from 1.
///
/// What is edited was written by the engine for this call alone, on one line or many. In a string of it a quote has
/// `\` before it, so that the patterns meet keys only.
const SCRIPT: &str = r#"#!/bin/sh
real=%CACHE%/%KEY%
if [ ! -x "$real" ]; then
    mkdir -p %CACHE%
    tail -c +%START% "$0" > "$real.$$" && chmod 0755 "$real.$$" && mv "$real.$$" "$real" || exit 125
fi
bundle=. process= verb= previous=
for word in "$@"; do
    case $previous in
        -b | --bundle) bundle=$word ;;
        -p | --process) process=$word ;;
    esac
    case $word in
        --bundle=*) bundle=${word#*=} ;;
        --process=*) process=${word#*=} ;;
        create | run | exec) verb=${verb:-$word} ;;
    esac
    previous=$word
done
case $verb in
    create | run) edited=$bundle/config.json ;;
    exec) edited=$process ;;
    *) edited= ;;
esac
if [ -n "$edited" ] && [ -f "$edited" ]; then
    sed -z -i \
        -e 's/,[[:space:]]*"oomScoreAdj"[[:space:]]*:[[:space:]]*-\{0,1\}[0-9]\{1,\}//g' \
        -e 's/"oomScoreAdj"[[:space:]]*:[[:space:]]*-\{0,1\}[0-9]\{1,\},\{0,1\}//g' \
        -e 's/,[[:space:]]*"rlimits"[[:space:]]*:[[:space:]]*\[[^]]*\]//g' \
        -e 's/"rlimits"[[:space:]]*:[[:space:]]*\[[^]]*\],\{0,1\}//g' \
        "$edited" || exit 125
fi
exec "$real" "$@"
"#;

/// Writes the file that stands for runc.
pub(crate) fn wrap(real: &Path, target: &Path) -> Result<(), LabError> {
    wrap_with(real, target, CACHE)
}

fn wrap_with(real: &Path, target: &Path, cache: &str) -> Result<(), LabError> {
    let program = fs::read(real).map_err(at(real))?;
    let mut file = script(&program, cache).into_bytes();
    file.extend_from_slice(&program);
    fs::write(target, file).map_err(at(target))?;
    fs::set_permissions(target, fs::Permissions::from_mode(0o755)).map_err(at(target))
}

fn script(program: &[u8], cache: &str) -> String {
    let key = hexadecimal(Sha256::digest(program).get(..8).unwrap_or_default());
    let script = SCRIPT.replace("%CACHE%", cache).replace("%KEY%", &key);
    // Ten digits, whatever the number, so that it does not change the length that it tells.
    let start = script.len() - "%START%".len() + 10 + 1;
    script.replace("%START%", &format!("{start:010}"))
}

/// What the key of the cache covers.
pub(crate) fn recipe() -> &'static str {
    SCRIPT
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
    use std::process::Command;

    use super::*;

    /// A program that says with which arguments and on which file it was called.
    const REAL: &[u8] = b"#!/bin/sh\necho \"called with $*\"\n";

    #[test]
    fn what_a_host_cannot_give_is_left_out() {
        let folder = std::env::temp_dir().join(format!("lab-runc-test-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("real"), REAL).unwrap();
        let wrapper = folder.join("runc");
        let cache = folder.join("cache");
        wrap_with(&folder.join("real"), &wrapper, cache.to_str().unwrap()).unwrap();

        let hard = r#"{"type":"RLIMIT_NOFILE","hard":1048576,"soft":1048576}"#;
        let before = format!(
            r#"{{"process":{{"args":["\"oomScoreAdj\":-1,\"rlimits\":[1]"],"rlimits":[{hard},{hard}],"noNewPrivileges":true,"oomScoreAdj":-998}},"root":{{}}}}"#
        );
        let after =
            r#"{"process":{"args":["\"oomScoreAdj\":-1,\"rlimits\":[1]"],"noNewPrivileges":true},"root":{}}"#;
        let pretty =
            "{\n  \"rlimits\": [\n    {\"hard\": 1}\n  ],\n  \"oomScoreAdj\": -998,\n  \"cwd\": \"/\"\n}";
        for (arguments, file, before, after) in [
            (&["--root", "r", "create", "--bundle", "B", "id"][..], "config.json", before.as_str(), after),
            (&["run", "-b", "B", "id"], "config.json", &before, after),
            (&["create", "--bundle=B", "id"], "config.json", &before, after),
            (&["--root", "r", "exec", "--process", "B/p", "id"], "p", &before, after),
            (&["create", "-b", "B", "id"], "config.json", pretty, "{\n  \n  \"cwd\": \"/\"\n}"),
            // Nothing else is touched.
            (&["state", "--bundle", "B"], "config.json", &before, &before),
        ] {
            let bundle = folder.join("B");
            fs::create_dir_all(&bundle).unwrap();
            fs::write(bundle.join(file), before).unwrap();
            let output = Command::new(&wrapper).args(arguments).current_dir(&folder).output().unwrap();
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            assert_eq!(said, format!("called with {}\n", arguments.join(" ")), "{output:?}");
            assert_eq!(fs::read_to_string(bundle.join(file)).unwrap(), after, "{arguments:?}");
        }
        fs::remove_dir_all(&folder).unwrap();
    }
}
