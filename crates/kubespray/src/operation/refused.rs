//! Why nothing can be planned, with the places of the settings that it is about.

use kubespray_diagnostics::Diagnostic;
use kubespray_interface::list;
use kubespray_planner::components::PlanningError;
use kubespray_variables::{Catalogue, Variables};

use super::learn::HOSTS_NAMED;
use crate::failure::{FOUND_ERRORS, Failure};

/// Why nothing can be wished: each refusal once, however many hosts it is about, with the file and line of every
/// variable that it names.
pub(super) fn unplannable(refusals: &[PlanningError], variables: &Variables) -> Failure {
    let mut alike: Vec<(&PlanningError, Vec<&str>)> = Vec::new();
    for refusal in refusals {
        let is_alike = |(other, _): &&mut (&PlanningError, Vec<&str>)| {
            (&other.component, &other.message, &other.hint)
                == (&refusal.component, &refusal.message, &refusal.hint)
        };
        match alike.iter_mut().find(is_alike) {
            Some((_, hosts)) => hosts.push(&refusal.host),
            None => alike.push((refusal, vec![&refusal.host])),
        }
    }
    let diagnostics = alike.iter().map(|(refusal, hosts)| diagnostic(refusal, hosts, variables)).collect();
    Failure { diagnostics, code: FOUND_ERRORS }
}

fn diagnostic(refusal: &PlanningError, hosts: &[&str], variables: &Variables) -> Diagnostic {
    let mut problem = Diagnostic::error(format!("plan-{}", refusal.component), refusal.message.clone());
    problem = match hosts {
        [host] => problem.on_host(*host),
        hosts => problem.because(format!("it concerns {}", list(hosts, HOSTS_NAMED))),
    };
    for name in named(&refusal.message, &refusal.hint) {
        let origin = variables.raw(&refusal.host, name).and_then(|found| found.origin);
        problem = problem.at_maybe(origin.as_ref());
    }
    problem.hint(refusal.hint.clone())
}

/// The variables that texts name in backticks, as `` `name` `` or `` `name: value` ``, each once.
fn named<'a>(message: &'a str, hint: &'a str) -> Vec<&'a str> {
    let mut names = Vec::new();
    for text in [message, hint] {
        let quoted = text.split('`').skip(1).step_by(2);
        for name in quoted.map(|quoted| quoted.split_once(':').map_or(quoted, |(name, _)| name)) {
            if Catalogue::get().entry(name).is_some() && !names.contains(&name) {
                names.push(name);
            }
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::named;

    #[test]
    fn variables_are_told_from_other_words() {
        let message = "the container engine `crio` is not supported yet, nor `helm_enabled`";
        let hint = "set `container_manager: containerd` or `helm_enabled: false`";
        assert_eq!(named(message, hint), ["helm_enabled", "container_manager"]);
        assert!(named("no `such_thing`", "`").is_empty());
    }
}
