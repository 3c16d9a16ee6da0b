//! Commands with guards.

use std::collections::BTreeSet;
use std::time::Duration;

use kubespray_resource::{
    AlternativeName, Command, CommandState, ErrorClass, Failure, Guard, PathKind, Secrets,
};

use super::certificate::now_s;
use crate::failure::{in_short, missing_secret, of_output};
use crate::x509;
use crate::{Host, HostError, Spawn, View, tokens};

/// Whether a guard says that the command is done.
pub(crate) fn observe(view: &View<'_>, wish: &Command) -> Result<CommandState, Failure> {
    let mut differs = Vec::new();
    for guard in &wish.guards {
        let Guard::Flags(manifests) = guard else { continue };
        for (path, flags) in manifests {
            differs.extend(flags.differences(path, view.text(path)?.as_deref()));
        }
    }
    if !differs.is_empty() {
        return Ok(CommandState { done: false, differs });
    }
    for guard in &wish.guards {
        let done = match guard {
            Guard::Flags(_) => continue,
            Guard::Creates(path) => view.host.metadata(path)?.is_some(),
            Guard::Unless(argv) => succeeds(view.host, wish, argv)?,
            Guard::OnlyIf(argv) => !succeeds(view.host, wish, argv)?,
            Guard::Pending(token) => !view.is_pending(token)?,
            Guard::Names { certificate, names } => is_good_for(view.host, certificate, names)?,
        };
        if done {
            return Ok(CommandState { done: true, differs });
        }
    }
    Ok(CommandState { done: false, differs })
}

/// Whether a certificate that can be read names all of these.
fn is_good_for(host: &dyn Host, path: &str, names: &BTreeSet<AlternativeName>) -> Result<bool, Failure> {
    let bytes = match host.metadata(path)? {
        Some(is) if is.kind == PathKind::File => host.read(path)?,
        _ => None,
    };
    let der = bytes.as_deref().and_then(x509::first_certificate);
    let facts = der.and_then(|der| x509::facts(&der, None, now_s(host)));
    Ok(facts.is_some_and(|facts| names.iter().all(|name| facts.names.contains(&name.to_string()))))
}

/// A guard whose program is not there yet does not succeed.
fn succeeds(host: &dyn Host, wish: &Command, argv: &[String]) -> Result<bool, Failure> {
    let spawn = Spawn { environment: wish.environment.clone(), ..Spawn::new(argv.iter().cloned()) };
    match host.run(&spawn) {
        Ok(output) => Ok(output.is_success()),
        Err(HostError::NoProgram(_)) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Runs the command and has it proved.
pub(crate) fn apply(host: &dyn Host, wish: &Command, secrets: &Secrets) -> Result<(), Failure> {
    let spawn = Spawn {
        argv: wish.argv.clone(),
        environment: wish.environment.clone(),
        stdin: wish.input(secrets).map_err(missing_secret)?,
        timeout: Duration::from_secs(wish.timeout_s),
    };
    let output = host.run(&spawn)?;
    if !output.is_success() {
        return Err(of_output(&spawn.argv, &output));
    }
    if is_proved(host, wish)? {
        return Ok(());
    }
    let mut failure = Failure::new(
        ErrorClass::Host,
        format!("`{}` succeeded, but nothing says that it is done", in_short(&wish.argv)),
    );
    failure.evidence = of_output(&spawn.argv, &output).evidence;
    Err(failure)
}

/// After a command succeeded: forgets what it waited for, and asks its guards again, but for those that only ask
/// whether it may run, and for flags, of which the program that wrote them knows best.
pub(crate) fn is_proved(host: &dyn Host, wish: &Command) -> Result<bool, Failure> {
    for guard in &wish.guards {
        if let Guard::Pending(token) = guard {
            tokens::clear(host, token)?;
        }
    }
    let proof = Command {
        guards: wish
            .guards
            .iter()
            .filter(|guard| !matches!(guard, Guard::OnlyIf(_) | Guard::Flags(_)))
            .cloned()
            .collect(),
        ..wish.clone()
    };
    Ok(proof.guards.is_empty() || observe(&View::new(host, []), &proof)?.done)
}
