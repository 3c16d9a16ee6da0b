//! Health checks.

use std::time::Duration;

use kubespray_resource::{Check, CheckState, ErrorClass, Failure, Probe};

use super::assertion::{self, Finding};
use super::unit;
use crate::failure::{is_gone, last_lines};
use crate::kubernetes::health::{self, Problem};
use crate::kubernetes::{ApiError, Clients};
use crate::{Host, HostError, Spawn, View};

/// How long one look may take.
const LOOK: Duration = Duration::from_secs(10);

/// One look.
pub(crate) fn observe(view: &View<'_>, wish: &Check) -> Result<CheckState, Failure> {
    let Some(finding) = look(view.host, &view.clients, &wish.probe)? else {
        return Ok(CheckState::default());
    };
    let Finding { problem, evidence, hints } = match &wish.probe {
        Probe::Unit(name) => with_evidence(view.host, name, finding)?,
        _ => finding,
    };
    Ok(CheckState { problem: Some(problem), evidence, hints })
}

/// Looks until it is true or time is up.
pub(crate) fn apply(host: &dyn Host, wish: &Check) -> Result<(), Failure> {
    let deadline = host.now_ms().saturating_add(wish.timeout_s.saturating_mul(1000));
    loop {
        let Some(finding) = look(host, &Clients::default(), &wish.probe)? else { return Ok(()) };
        if host.now_ms() >= deadline {
            let message =
                format!("{} is not true after {} s: {}", wish.name, wish.timeout_s, finding.problem);
            let mut failure = Failure::new(ErrorClass::Host, message);
            failure.evidence = finding.evidence;
            failure.hints = finding.hints;
            return Err(match &wish.probe {
                Probe::Unit(name) => unit::with_evidence(host, name, failure),
                _ => failure,
            });
        }
        if host.is_cancelled() {
            return Err(HostError::Cancelled.into());
        }
        host.sleep(Duration::from_millis(wish.interval_ms.max(10)))?;
    }
}

/// A unit that is not active, with what its journal says.
fn with_evidence(host: &dyn Host, unit: &str, finding: Finding) -> Result<Finding, Failure> {
    let failure = unit::with_evidence(host, unit, Failure::of_host(finding.problem));
    if is_gone(&failure) {
        return Err(failure);
    }
    Ok(Finding { problem: failure.message, evidence: failure.evidence, hints: failure.hints })
}

/// What is wrong, with evidence.
fn look<'h>(host: &'h dyn Host, clients: &Clients<'h>, probe: &Probe) -> Result<Option<Finding>, Failure> {
    let found = match probe {
        Probe::Cluster(assertion) => return assertion::look(host, clients, assertion),
        probe => look_simply(host, clients, probe)?,
    };
    let hint = match probe {
        Probe::Command { argv, .. } => Some(format!("run it on the host to see more: `{}`", argv.join(" "))),
        _ => None,
    };
    Ok(found.map(|(problem, evidence)| Finding { problem, evidence, hints: hint.into_iter().collect() }))
}

fn look_simply<'h>(host: &'h dyn Host, clients: &Clients<'h>, probe: &Probe) -> Result<Problem, Failure> {
    let told = |result: Result<(), HostError>| match result {
        Ok(()) => Ok(None),
        Err(error @ (HostError::Gone | HostError::Cancelled)) => Err(Failure::from(error)),
        Err(error) => Ok(Some((error.to_string(), Vec::new()))),
    };
    // An API server that is not there yet is waited for; what it refuses is told.
    let asked = |result: Result<Problem, ApiError>| match result {
        Err(ApiError::NoKind { api_version, kind }) => Ok(Some((
            format!("the API server does not know the kind `{kind}` of `{api_version}`"),
            Vec::new(),
        ))),
        Err(error) => match error.unknown() {
            Some(why) => Ok(Some((why, Vec::new()))),
            None if error.may_pass() => Ok(Some((Failure::from(error).message, Vec::new()))),
            None => Err(error.into()),
        },
        Ok(problem) => Ok(problem),
    };
    match probe {
        Probe::Object { kubeconfig, object, must } => {
            asked(clients.get(host, kubeconfig).and_then(|client| health::object(&client, object, must)))
        }
        Probe::NodesReady { kubeconfig, nodes } => {
            asked(clients.get(host, kubeconfig).and_then(|client| health::nodes(&client, nodes)))
        }
        Probe::Cluster(_) => Ok(None),
        Probe::Tcp(address) => told(host.connect(address, LOOK).map(drop)),
        Probe::Socket(path) => told(host.connect_socket(path)),
        Probe::Path(path) => Ok(match host.metadata(path)? {
            Some(_) => None,
            None => Some((format!("`{path}` is not there"), Vec::new())),
        }),
        Probe::Unit(name) => Ok(unit::is_active(host, name)?.map(|problem| (problem, Vec::new()))),
        Probe::Command { argv, prints } => {
            let spawn = Spawn { timeout: LOOK, ..Spawn::new(argv.iter().cloned()) };
            match host.run(&spawn) {
                Ok(output) if output.is_success() && output.stdout.contains(prints) => Ok(None),
                Ok(output) => {
                    let line = argv.join(" ");
                    let problem = match output.status {
                        Some(0) => format!("`{line}` does not print `{prints}`"),
                        Some(status) => format!("`{line}` ended with status {status}"),
                        None => format!("`{line}` was ended by a signal"),
                    };
                    Ok(Some((problem, last_lines(&format!("{}\n{}", output.stdout, output.stderr)))))
                }
                Err(error) => told(Err(error)),
            }
        }
    }
}
