//! `kubespray preflight`

mod matrix;

use std::collections::BTreeMap;
use std::process::ExitCode;

use ipnet::IpNet;
use kubespray_diagnostics::{Diagnostic, Severity};
use kubespray_interface::plural;
use kubespray_planner::{HostSeen, node_facts, preflight};
use kubespray_resource::Facts;
use kubespray_resource::wire::{Answer, Ask};
use kubespray_spec::checks::{self, node::check_node};
use kubespray_transport::{Target, Transport};
use kubespray_variables::{UnknownFacts, Variables};
use serde_json::json;

use self::matrix::Matrix;
use crate::arguments::Preflight;
use crate::failure::{FOUND_ERRORS, Failure};
use crate::printer::Printer;
use crate::site::{Groups, Site};
use crate::{fleet, targets};

/// The networks of a cluster, by the variables that set them.
const NETWORKS: [(&str, &str); 4] = [
    ("kube_service_addresses", "ipv4_stack"),
    ("kube_pods_subnet", "ipv4_stack"),
    ("kube_service_addresses_ipv6", "ipv6_stack"),
    ("kube_pods_subnet_ipv6", "ipv6_stack"),
];

/// One host's answer to the first question.
struct Known {
    facts: Facts,
    asked_ms: u64,
    round_trip_ms: u64,
}

pub(crate) fn run(options: &Preflight, printer: &mut Printer) -> Result<ExitCode, Failure> {
    let mut site = Site::load(&options.common, Groups::Kubespray)?;
    let hosts = site.hosts(options.common.limit.as_deref())?;
    let ways = targets::targets(&mut site, &hosts, &options.connection)?;
    let transport = targets::transport(&options.connection)?;
    let mut problems = site.warnings.clone();

    let known = ask_facts(&transport, &ways, &mut problems);
    site.learn(known.iter().map(|(host, known)| (host, &known.facts)));
    let variables = site.variables(UnknownFacts::Pending);
    let checked = checks::Site { variables: &variables, inventory: &site.inventory };
    for (host, known) in &known {
        problems.extend(check_node(&checked, host, &node_facts(&known.facts)).diagnostics);
    }
    let is_known = |host: &str| known.contains_key(host) || site.knows(host);
    problems.extend(checks::node::val_040_hosts_left_out_are_known(
        &checked,
        |host| hosts.iter().any(|h| h == host),
        is_known,
    ));

    let ways: Vec<Target> = ways.into_iter().filter(|way| known.contains_key(&way.host)).collect();
    let networks = networks(&variables, &hosts);
    let matrix = Matrix { transport: &transport, ways: &ways, variables: &variables, known: &known };
    let found = matrix.look(&networks);
    problems.extend(found.problems);
    let seen: Vec<HostSeen<'_>> = known
        .iter()
        .map(|(host, known)| HostSeen {
            host,
            facts: &known.facts,
            asked_ms: known.asked_ms,
            round_trip_ms: known.round_trip_ms,
            syncs_us: found.syncs.get(host).map(Vec::as_slice),
        })
        .collect();
    problems.extend(preflight(&seen, &networks));
    report(options, printer, hosts.len(), &problems)
}

fn report(
    options: &Preflight,
    printer: &mut Printer,
    hosts: usize,
    problems: &[Diagnostic],
) -> Result<ExitCode, Failure> {
    let count = |severity| problems.iter().filter(|problem| problem.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let failed = errors > 0 || (options.strict && warnings > 0);
    if printer.is_json() {
        printer.json(&json!({
            "hosts": hosts, "errors": errors, "warnings": warnings, "ready": !failed, "problems": problems,
        }));
    } else {
        printer.warnings(problems, true);
        let word = if failed { "not ready" } else { "ready" };
        printer.line(format!(
            "{word}: {}, {}, {}",
            plural(hosts, "host"),
            plural(errors, "error"),
            plural(warnings, "warning")
        ));
    }
    Ok(if failed { ExitCode::from(FOUND_ERRORS) } else { ExitCode::SUCCESS })
}

fn ask_facts(
    transport: &dyn Transport,
    ways: &[Target],
    problems: &mut Vec<Diagnostic>,
) -> BTreeMap<String, Known> {
    let mut known = BTreeMap::new();
    // The first question waits for the helper to start; of the clock's the quickest tells most.
    let asks = |_: &str| vec![Ask::Ping, Ask::Clock, Ask::Clock, Ask::Clock, Ask::Facts];
    for (host, result) in fleet::ask(transport, ways, asks) {
        let answered = match result {
            Ok(answered) => answered,
            Err(why) => {
                problems.push(fleet::problem(&host, &why));
                continue;
            }
        };
        let clock = answered.clock();
        let mut found = None;
        for (answer, ..) in answered.answers {
            match answer {
                Answer::Facts(facts) => found = Some(*facts),
                Answer::Ok | Answer::Clock(_) => {}
                other => problems.push(fleet::unexpected(&host, &other)),
            }
        }
        if let Some((mut facts, clock)) = found.zip(clock) {
            facts.clock_ms = clock.host_ms;
            let (asked_ms, round_trip_ms) = (clock.halfway_ms(), clock.round_trip_ms());
            known.insert(host, Known { facts, asked_ms, round_trip_ms });
        }
    }
    known
}

fn networks(variables: &Variables, hosts: &[String]) -> Vec<(&'static str, IpNet)> {
    let Some(host) = hosts.first() else { return Vec::new() };
    let text = |name: &str| variables.get(host, name).map(|value| value.to_text()).unwrap_or_default();
    NETWORKS
        .iter()
        .filter(|(_, switch)| text(switch) == "True" || text(switch) == "true")
        .filter_map(|(name, _)| Some((*name, text(name).parse().ok()?)))
        .collect()
}
