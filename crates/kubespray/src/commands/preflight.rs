//! `kubespray preflight`

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, UNIX_EPOCH};

use ipnet::IpNet;
use kubespray_diagnostics::{Diagnostic, Severity};
use kubespray_interface::plural;
use kubespray_planner::{HostSeen, node_facts, preflight};
use kubespray_resource::Facts;
use kubespray_resource::wire::{Answer, Ask};
use kubespray_spec::checks::{self, node::check_node};
use kubespray_transport::{Target, Transport};
use kubespray_value::{Map, json};
use kubespray_variables::{UnknownFacts, Variables};
use serde_json::json;

use crate::arguments::Preflight;
use crate::failure::{FOUND_ERRORS, Failure};
use crate::printer::Printer;
use crate::site::{Groups, Site};
use crate::{fleet, targets};

/// Enough to see the slowest of a hundred.
const SYNCS: u32 = 200;

/// How long a host may take to reach another one, in milliseconds.
const REACH_MS: u64 = 3_000;

const SSH_PORT: u16 = 22;

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
    site.learn(known.iter().map(|(host, known)| (host.clone(), ansible_facts(&known.facts))).collect());
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
    let syncs = ask_each_other(&transport, &ways, &variables, &site, &mut problems);
    let seen: Vec<HostSeen<'_>> = known
        .iter()
        .map(|(host, known)| HostSeen {
            host,
            facts: &known.facts,
            asked_ms: known.asked_ms,
            round_trip_ms: known.round_trip_ms,
            syncs_us: syncs.get(host).map(Vec::as_slice),
        })
        .collect();
    problems.extend(preflight(&seen, &networks(&variables, &hosts)));
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
    // The first question waits for the helper to start; the time of the second is that of the question alone.
    for (host, result) in fleet::ask(transport, ways, |_| vec![Ask::Ping, Ask::Facts]) {
        match result {
            Err(why) => problems.push(fleet::problem(&host, &why)),
            Ok(mut answered) => match answered.answers.pop() {
                Some((Answer::Facts(facts), took, at)) => {
                    let asked = at.checked_sub(took / 2).unwrap_or(at);
                    let since = asked.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
                    let (asked_ms, round_trip_ms) = (since.as_millis() as u64, took.as_millis() as u64);
                    known.insert(host, Known { facts: *facts, asked_ms, round_trip_ms });
                }
                Some((other, ..)) => problems.push(fleet::unexpected(&host, &other)),
                None => {}
            },
        }
    }
    known
}

/// Every host connects to every other one; those of etcd write to their disks.
fn ask_each_other(
    transport: &dyn Transport,
    ways: &[Target],
    variables: &Variables,
    site: &Site,
    problems: &mut Vec<Diagnostic>,
) -> BTreeMap<String, Vec<u64>> {
    let address = |host: &str| {
        let found = variables.get(host, "main_access_ip").ok()?.to_text();
        Some((host.to_owned(), found.parse::<std::net::IpAddr>().ok()?))
    };
    let addresses: BTreeMap<String, std::net::IpAddr> =
        ways.iter().filter_map(|way| address(&way.host)).collect();
    let port =
        |host: &str| ways.iter().find(|way| way.host == host).and_then(|way| way.port).unwrap_or(SSH_PORT);
    let socket =
        |host: &str| addresses.get(host).map(|ip| std::net::SocketAddr::new(*ip, port(host)).to_string());
    let etcd = site.inventory.hosts_of("etcd");
    let asks = |host: &str| {
        let others = ways.iter().filter(|way| way.host != host).filter_map(|way| socket(&way.host)).collect();
        let mut asks = vec![Ask::Reach { addresses: others, timeout_ms: REACH_MS }];
        if etcd.contains(&host)
            && let Ok(folder) = variables.get(host, "etcd_data_dir")
        {
            asks.push(Ask::Fsync { path: format!("{}-kubespray-preflight", folder.to_text()), count: SYNCS });
        }
        asks
    };
    let mut syncs = BTreeMap::new();
    for (host, result) in fleet::ask(transport, ways, asks) {
        let answered = match result {
            Ok(answered) => answered,
            Err(why) => {
                problems.push(fleet::problem(&host, &why));
                continue;
            }
        };
        for (answer, ..) in answered.answers {
            match answer {
                Answer::Reached(reached) => {
                    for way in ways.iter().filter(|way| way.host != host) {
                        let result = socket(&way.host)
                            .and_then(|socket| Some((reached.get(&socket)?.clone(), socket)));
                        if let Some((Err(why), socket)) = result {
                            problems.push(
                                Diagnostic::error(
                                    "unreachable",
                                    format!("`{host}` does not reach `{}` at {socket}: {why}", way.host),
                                )
                                .on_host(&host)
                                .hint(
                                    "check `ip` and `access_ip` of both, routes and firewalls between them",
                                ),
                            );
                        }
                    }
                }
                Answer::Synced(times) => _ = syncs.insert(host.clone(), times),
                other => problems.push(fleet::unexpected(&host, &other)),
            }
        }
    }
    syncs
}

fn ansible_facts(facts: &Facts) -> Map {
    let text = serde_json::to_string(&facts.to_ansible()).unwrap_or_default();
    json::read(&text).ok().and_then(|value| value.as_map().cloned()).unwrap_or_default()
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
