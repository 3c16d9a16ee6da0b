//! `kubespray ping`

use std::process::ExitCode;

use kubespray_interface::{WIDEST_COLUMN, plural};
use kubespray_resource::wire::{Answer, Ask};
use kubespray_transport::{HelperFrom, HostKey, Root};
use serde_json::json;

use crate::arguments::Ping;
use crate::failure::{FOUND_ERRORS, Failure};
use crate::printer::Printer;
use crate::site::{Groups, Site};
use crate::{fleet, targets};

pub(crate) fn run(options: &Ping, printer: &mut Printer) -> Result<ExitCode, Failure> {
    let mut site = Site::load(&options.common, Groups::Kubespray)?;
    let hosts = site.hosts(options.common.limit.as_deref())?;
    let ways = targets::targets(&mut site, &hosts, &options.connection)?;
    let transport = targets::transport(&options.connection)?;
    // The first round trip pays for the start of the helper, the second is the latency.
    let mut results = fleet::ask(&transport, &ways, |_| vec![Ask::Ping, Ask::Ping]);
    let mut problems = site.warnings.clone();
    let mut list = Vec::new();
    let width = hosts.iter().map(String::len).max().unwrap_or(0).min(WIDEST_COLUMN);
    let mut answered = 0;
    for host in &hosts {
        match results.remove(host) {
            Some(Ok(found)) if found.answers.iter().all(|(answer, ..)| *answer == Answer::Ok) => {
                let latency = found.answers.last().map_or(0.0, |(_, took, _)| took.as_secs_f64() * 1000.0);
                let arrival = &found.arrival;
                let connect = arrival.took.as_millis();
                answered += 1;
                if printer.is_json() {
                    list.push(json!({
                        "host": host, "answers": true, "latency_ms": latency, "connect_ms": connect,
                        "root": arrival.root, "helper": arrival.helper, "host_key": arrival.host_key,
                        "hostname": arrival.hello.hostname, "build": arrival.hello.build,
                        "boot_id": arrival.hello.boot_id,
                    }));
                } else {
                    printer.line(format!(
                        "{host:width$}  answers in {latency:.1} ms, connected in {connect} ms, {}, {}, {}",
                        root(arrival.root),
                        helper(arrival.helper),
                        host_key(arrival.host_key)
                    ));
                }
            }
            Some(Ok(found)) => {
                let wrong = found.answers.iter().find(|(answer, ..)| *answer != Answer::Ok);
                problems.extend(wrong.map(|(answer, ..)| fleet::unexpected(host, answer)));
                list.push(json!({"host": host, "answers": false}));
            }
            Some(Err(why)) => {
                list.push(
                    json!({"host": host, "answers": false, "problem": why.to_string(), "hint": why.hint()}),
                );
                problems.push(fleet::problem(host, &why));
            }
            None => {}
        }
    }
    if printer.is_json() {
        printer.json(&list);
    } else {
        printer.line(format!("{answered} of {} answer", plural(hosts.len(), "host")));
    }
    printer.warnings(&problems, options.common.output.verbose);
    Ok(if answered == hosts.len() { ExitCode::SUCCESS } else { ExitCode::from(FOUND_ERRORS) })
}

fn root(root: Root) -> &'static str {
    match root {
        Root::Login => "root by login",
        Root::Sudo => "root by sudo",
        Root::SudoPassword => "root by sudo with a password",
    }
}

fn helper(helper: HelperFrom) -> &'static str {
    match helper {
        HelperFrom::Host => "helper was there",
        HelperFrom::Upload => "helper brought along",
        HelperFrom::Here => "helper is this program",
    }
}

fn host_key(host_key: HostKey) -> &'static str {
    match host_key {
        HostKey::Known => "host key known",
        HostKey::Recorded => "host key new and recorded",
        HostKey::Unchecked => "host key NOT CHECKED",
        HostKey::None => "this machine",
    }
}
