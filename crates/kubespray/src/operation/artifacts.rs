//! What a run leaves on the operator's machine: kubeconfig and kubectl (`kubeconfig_localhost`, `kubectl_localhost`; spec
//! CP-161, CP-162). A second run changes nothing there either.

use std::fs::{self, Permissions};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use kubespray_diagnostics::Diagnostic;
use kubespray_planner::operations::kubectl;
use kubespray_spec::Settings;

use super::heard::{Heard, hear};
use super::kubeconfig::{taken, write_private};
use super::{Reach, cache};
use crate::failure::{Failure, evaluation};

/// Calls the fetched kubectl with the fetched kubeconfig, wherever the folder is moved to.
const SCRIPT: &str = "#!/bin/sh\nfolder=$(CDPATH= cd -- \"$(dirname -- \"$0\")\" && pwd) || exit 1\nexec \"$folder/kubectl\" --kubeconfig \"$folder/admin.conf\" \"$@\"\n";

/// Whether the inventory wants anything here.
pub(crate) fn wanted(reach: &Reach) -> Result<bool, Failure> {
    let variables = reach.variables();
    let Some(host) = variables.inventory().hosts_of("kube_control_plane").first().map(ToString::to_string)
    else {
        return Ok(false);
    };
    for name in ["kubeconfig_localhost", "kubectl_localhost"] {
        let value = variables.get(&host, name).map_err(|error| evaluation(&host, name, &error))?;
        if value.truthy().map_err(|error| evaluation(&host, name, &error))? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Leaves it here, and gives the paths that were written.
pub(crate) fn leave(reach: Reach) -> Result<(Reach, Vec<PathBuf>), Failure> {
    let heard = hear(reach)?;
    let Some(settings) = settings(&heard) else { return Ok((heard.reach, Vec::new())) };
    let wishes = &settings.operations;
    let (with_config, with_kubectl) = (wishes.kubeconfig_localhost, wishes.kubectl_localhost);
    let folder = PathBuf::from(&wishes.artifacts_dir);
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o750)
        .create(&folder)
        .map_err(|error| wrong(&folder, &error))?;
    let mut written = Vec::new();
    if with_config {
        let path = folder.join("admin.conf");
        let config = taken(&heard, None)?;
        written.extend(write_private(&path, &config.text)?.then_some(path));
    }
    if with_kubectl {
        let path = folder.join("kubectl");
        let site = heard.known.site();
        let download =
            kubectl(&site).ok_or_else(|| "no control plane's facts are known".to_owned()).flatten();
        let download = download.map_err(|why| Diagnostic::error("kubectl", why))?;
        written.extend(cache::copy(&download, &path)?.then_some(path));
    }
    if with_config && with_kubectl {
        let path = folder.join("kubectl.sh");
        written.extend(write_script(&path)?.then_some(path));
    }
    Ok((heard.reach, written))
}

fn settings(heard: &Heard) -> Option<&Settings> {
    let spec = &heard.known.spec;
    Some(&spec.host(spec.groups.control_plane.first()?)?.settings)
}

fn write_script(path: &Path) -> Result<bool, Failure> {
    let is_executable = fs::metadata(path).is_ok_and(|is| is.permissions().mode() & 0o777 == 0o755);
    if is_executable && fs::read_to_string(path).is_ok_and(|there| there == SCRIPT) {
        return Ok(false);
    }
    fs::write(path, SCRIPT)
        .and_then(|()| fs::set_permissions(path, Permissions::from_mode(0o755)))
        .map_err(|error| wrong(path, &error))?;
    Ok(true)
}

fn wrong(path: &Path, error: &std::io::Error) -> Diagnostic {
    Diagnostic::error("artifacts", format!("cannot write `{}`: {error}", path.display()))
        .because("`kubeconfig_localhost` or `kubectl_localhost` wants files there")
        .hint("make the folder writable, or set `artifacts_dir`")
}
