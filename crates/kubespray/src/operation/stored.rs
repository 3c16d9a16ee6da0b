//! Plans in files.

use std::io::Write as _;
use std::path::Path;

use kubespray_diagnostics::Diagnostic;
use kubespray_planner::{Seen, Wishes, changed_since};
use kubespray_resource::{PLAN_SCHEMA_VERSION, Plan, Secrets};
use serde::Deserialize;
use tempfile::NamedTempFile;

use crate::failure::{FOUND_ERRORS, Failure};

/// Writes a plan for `kubespray apply`. Plans hold no secrets, but they tell much of a site.
pub(crate) fn store(plan: &Plan, path: &Path) -> Result<(), Failure> {
    let wrong = |error: std::io::Error| {
        Diagnostic::error("plan-file", format!("cannot write `{}`: {error}", path.display()))
    };
    let text = serde_json::to_string(plan).map_err(std::io::Error::from).map_err(wrong)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Written beside and renamed: nobody applies half a plan. Such files are their owner's alone.
    let mut file = NamedTempFile::new_in(folder).map_err(wrong)?;
    file.write_all(text.as_bytes()).and_then(|()| file.as_file().sync_all()).map_err(wrong)?;
    file.persist(path).map_err(|error| wrong(error.error))?;
    Ok(())
}

#[derive(Deserialize)]
struct Version {
    schema_version: u32,
}

/// Reads a plan.
pub(crate) fn restore(path: &Path) -> Result<Plan, Failure> {
    let wrong = |what: String| {
        Diagnostic::error("plan-file", format!("`{}` {what}", path.display()))
            .hint("make one with `kubespray plan … --out FILE`")
    };
    let text = std::fs::read_to_string(path).map_err(|error| wrong(format!("cannot be read: {error}")))?;
    let version: Version =
        serde_json::from_str(&text).map_err(|error| wrong(format!("is no plan: {error}")))?;
    if version.schema_version != PLAN_SCHEMA_VERSION {
        let what =
            format!("has the format {}; this program knows {PLAN_SCHEMA_VERSION}", version.schema_version);
        return Err(wrong(what).into());
    }
    Ok(serde_json::from_str(&text).map_err(|error| wrong(format!("is no plan: {error}")))?)
}

/// The wishes of a plan, to look at its hosts once more.
pub(crate) fn wishes_of(plan: &Plan) -> Wishes {
    Wishes {
        operation: plan.operation.clone(),
        cluster: plan.cluster.clone(),
        lock_hosts: plan.lock_hosts.clone(),
        steps: plan.steps.iter().map(|planned| planned.step.clone()).collect(),
        gates: plan.gates.clone(),
        policy: plan.policy.clone(),
    }
}

/// Refuses a plan whose hosts are no longer as it saw them.
pub(crate) fn refuse_moved(plan: &Plan, seen: &Seen, secrets: &Secrets) -> Result<(), Failure> {
    let moved = changed_since(plan, seen, secrets);
    if moved.is_empty() {
        return Ok(());
    }
    let hint = "look at a new plan; nothing was changed";
    let problems = moved.iter().map(|moved| {
        let host = moved.step.as_str().split('/').next().unwrap_or_default();
        Diagnostic::error("plan-outdated", format!("`{}`: {}", moved.step, moved.how))
            .on_host(host)
            .hint(hint)
    });
    Err(Failure { diagnostics: problems.collect(), code: FOUND_ERRORS })
}
