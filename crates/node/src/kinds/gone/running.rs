//! Pods, processes, mounts.

use std::time::Duration;

use kubespray_resource::Failure;

use super::{if_there, spawn_if_there};
use crate::kinds::{must, text_of};
use crate::{Host, HostError, Output, Spawn};

/// An engine with many pods takes its time to list them, one that hangs takes for ever.
const ASK: Duration = Duration::from_secs(30);
/// For all pods of a host.
const END_PODS: Duration = Duration::from_mins(5);
/// A file system whose server is gone lets nobody wait longer.
const UNMOUNT: Duration = Duration::from_secs(10);
const GROUPS: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/systemd"];
/// Deeper control groups are not made by engines.
const DEEPEST: usize = 16;

/// Ids of the pods that an engine has; none where it does not answer.
pub(super) fn pods(host: &dyn Host, crictl: &str, endpoint: &str) -> Result<Vec<String>, Failure> {
    let argv = [crictl, "--runtime-endpoint", endpoint, "pods", "--quiet"];
    let spawn = Spawn { timeout: ASK, ..Spawn::new(argv) };
    let output = match spawn_if_there(host, &spawn) {
        Err(failure) if crate::failure::is_gone(&failure) => return Err(failure),
        // Who hangs does not end pods either.
        other => other.ok().flatten().filter(Output::is_success),
    };
    let ids = output.map(|output| output.stdout.split_whitespace().map(str::to_owned).collect());
    Ok(ids.unwrap_or_default())
}

/// Ends containers, then takes their pods away, whose network is so given back.
pub(super) fn end_pods(
    host: &dyn Host,
    crictl: &str,
    endpoint: &str,
    grace_s: u64,
    pods: &[String],
) -> Result<(), Failure> {
    let crictl = [crictl, "--runtime-endpoint", endpoint, "--timeout", "60s"];
    if grace_s > 0 {
        let list = Spawn { timeout: ASK, ..Spawn::new(crictl.iter().copied().chain(["ps", "--quiet"])) };
        let containers = must(host, list)?.stdout;
        let grace = grace_s.to_string();
        let argv = crictl.iter().copied().chain(["stop", "--timeout", &grace]);
        let argv: Vec<&str> = argv.chain(containers.split_whitespace()).collect();
        if !containers.trim().is_empty() {
            host.run(&Spawn { timeout: END_PODS + Duration::from_secs(grace_s), ..Spawn::new(argv) })?;
        }
    }
    let argv = crictl.iter().copied().chain(["rmp", "--force"]).chain(pods.iter().map(String::as_str));
    // A pod that cannot be ended, as its network is broken, ends with its processes.
    let _ = spawn_if_there(host, &Spawn { timeout: END_PODS, ..Spawn::new(argv) })?;
    Ok(())
}

/// How many processes control groups have.
pub(super) fn processes(host: &dyn Host, groups: &[String]) -> Result<Vec<String>, Failure> {
    let mut out = Vec::new();
    for group in groups {
        let count = of_group(host, group)?.len();
        if count > 0 {
            out.push(format!("{count} in {group}"));
        }
    }
    Ok(out)
}

fn of_group(host: &dyn Host, group: &str) -> Result<Vec<String>, Failure> {
    let mut out = Vec::new();
    for base in GROUPS {
        below(host, &format!("{base}/{group}"), 0, &mut out)?;
    }
    Ok(out)
}

fn below(host: &dyn Host, path: &str, depth: usize, out: &mut Vec<String>) -> Result<(), Failure> {
    let is_folder = host.metadata(path)?.is_some_and(|is| is.kind == kubespray_resource::PathKind::Directory);
    if !is_folder || depth > DEEPEST {
        return Ok(());
    }
    // A group may go while it is looked at.
    let processes = match host.read(&format!("{path}/cgroup.procs")) {
        Err(HostError::Gone) => return Err(HostError::Gone.into()),
        other => other.ok().flatten().unwrap_or_default(),
    };
    out.extend(String::from_utf8_lossy(&processes).split_whitespace().map(str::to_owned));
    for name in host.list(path)? {
        // The files of control groups have their controller's name before a dot.
        if !name.starts_with("cgroup.") {
            below(host, &format!("{path}/{name}"), depth + 1, out)?;
        }
    }
    Ok(())
}

/// Ends processes, also such as were just begun.
pub(super) fn kill(host: &dyn Host, groups: &[String]) -> Result<(), Failure> {
    const TRIES: usize = 25;
    const PAUSE: Duration = Duration::from_millis(200);
    for _ in 0..TRIES {
        let mut all = Vec::new();
        for group in groups {
            all.extend(of_group(host, group)?);
        }
        if all.is_empty() {
            return Ok(());
        }
        let argv = ["sh", "-c", "kill -KILL \"$@\"", "sh"].map(str::to_owned).into_iter().chain(all);
        host.run(&Spawn::new(argv))?;
        host.sleep(PAUSE)?;
    }
    Ok(())
}

/// What is mounted at or below some paths, the last one first.
pub(super) fn mounts(host: &dyn Host, below: &[String], kept: &[String]) -> Result<Vec<String>, Failure> {
    let text = text_of(host, "/proc/self/mounts")?.unwrap_or_default();
    let paths = text.lines().filter_map(|line| line.split_whitespace().nth(1)).map(unescaped);
    let is_below = |path: &String| {
        !kept.contains(path)
            && below.iter().any(|above| {
                path == above || path.strip_prefix(above.as_str()).is_some_and(|rest| rest.starts_with('/'))
            })
    };
    let mut out: Vec<String> = paths.filter(is_below).collect();
    out.reverse();
    Ok(out)
}

/// As `/proc` writes blanks and the like.
fn unescaped(path: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(path.to_owned(), |path, (from, to)| path.replace(from, to))
}

/// Unmounts; what is in use or hangs goes out of the tree.
pub(super) fn unmount(host: &dyn Host, paths: &[String]) -> Result<(), Failure> {
    for path in paths {
        let spawn = Spawn { timeout: UNMOUNT, ..Spawn::new(["umount", "--", path]) };
        let is_done = match host.run(&spawn) {
            Ok(output) => output.is_success(),
            Err(HostError::Timeout { .. }) => false,
            Err(error) => return Err(error.into()),
        };
        if !is_done {
            if_there(host, &["umount", "--lazy", "--force", "--", path])?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::unescaped;

    #[test]
    fn paths_with_blanks_are_read() {
        assert_eq!(unescaped("/var/lib/kubelet/a\\040b"), "/var/lib/kubelet/a b");
    }
}
