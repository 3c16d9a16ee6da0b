//! `/bin/sh`, for the few scripts of steps: words, `rm`, `&&`, and what those scripts are about.

use kubespray_node::{Host as _, HostError, Output, Spawn};

use super::{containerd, failed, ok};
use crate::SimHost;
use crate::host::file;

const NOT_KNOWN: i32 = 127;

/// Runs a script.
pub(super) fn sh(host: &SimHost, words: &[&str], _: &Spawn) -> Result<Output, HostError> {
    drop(host.alive(2_000)?);
    match words {
        // A program writes its completion into a file.
        ["-c", script, "sh", program, target] if script.starts_with(r#""$1" completion bash > "$2.new""#) => {
            let output = host.run(&Spawn::new([*program, "completion", "bash"]))?;
            if output.is_success() {
                let mut inner = host.effect(target, 1_000)?;
                file(&mut inner, target, &output.stdout);
                inner.files.sync();
            }
            Ok(output)
        }
        ["-c", script] if script.starts_with("for pod in $(") => {
            match script.split_once("--name '^").and_then(|(_, rest)| rest.split_once("-'")) {
                Some((pod, _)) => containerd::restart(host, pod),
                None => unknown(script),
            }
        }
        // The manifests of a control plane are made again, and the new API server is waited for.
        ["-c", script] if script.starts_with("sum() {") => {
            let phase = script.lines().find_map(|line| line.strip_suffix(" || exit 1"));
            match phase.filter(|line| line.contains("/kubeadm init phase control-plane all ")) {
                Some(line) => {
                    let output = command(host, line)?;
                    drop(host.alive(2_000_000)?);
                    Ok(output)
                }
                None => unknown(script),
            }
        }
        ["-c", script] if !script.contains(['$', '|', ';', '\n', '>', '<', '\'', '"']) => {
            let mut output = ok("")?;
            for line in script.split(" && ") {
                output = command(host, line)?;
                if !output.is_success() {
                    break;
                }
            }
            Ok(output)
        }
        other => unknown(&other.join(" ")),
    }
}

fn unknown(script: &str) -> Result<Output, HostError> {
    let stderr = format!("sh: this model does not understand: {script}\n");
    Ok(Output { status: Some(NOT_KNOWN), stdout: String::new(), stderr })
}

/// A command of plain words.
fn command(host: &SimHost, line: &str) -> Result<Output, HostError> {
    let words: Vec<&str> = line.split_whitespace().collect();
    if let ["rm", "-f", paths @ ..] = words.as_slice() {
        for path in paths {
            host.remove(path, false)?;
        }
        return ok("");
    }
    match host.run(&Spawn::new(words)) {
        Err(HostError::NoProgram(name)) => failed(format!("sh: {name}: not found")),
        other => other,
    }
}
