//! `kubespray facts`

use std::process::ExitCode;

use kubespray_resource::Facts;
use kubespray_resource::wire::{Answer, Ask};
use serde_json::{Map, Value, json};

use crate::arguments;
use crate::failure::{FOUND_ERRORS, Failure};
use crate::printer::Printer;
use crate::site::{Groups, Site};
use crate::{fleet, targets};

pub(crate) fn run(options: &arguments::Facts, printer: &mut Printer) -> Result<ExitCode, Failure> {
    let mut site = Site::load(&options.common, Groups::Kubespray)?;
    let hosts = site.hosts(options.common.limit.as_deref())?;
    let ways = targets::targets(&mut site, &hosts, &options.connection)?;
    let transport = targets::transport(&options.connection)?;
    let mut results = fleet::ask(&transport, &ways, |_| vec![Ask::Facts]);
    let mut problems = site.warnings.clone();
    let mut found = Map::new();
    for host in &hosts {
        match results.remove(host) {
            Some(Ok(answered)) => match answered.answers.into_iter().next() {
                Some((Answer::Facts(facts), ..)) => {
                    if !printer.is_json() {
                        summary(host, &facts).iter().for_each(|line| printer.line(line));
                    }
                    let facts =
                        if options.ansible { Value::Object(facts.to_ansible()) } else { json!(facts) };
                    found.insert(host.clone(), facts);
                }
                Some((other, ..)) => problems.push(fleet::unexpected(host, &other)),
                None => {}
            },
            Some(Err(why)) => problems.push(fleet::problem(host, &why)),
            None => {}
        }
    }
    if printer.is_json() {
        printer.json(&found);
    }
    printer.warnings(&problems, options.common.output.verbose);
    Ok(if found.len() == hosts.len() { ExitCode::SUCCESS } else { ExitCode::from(FOUND_ERRORS) })
}

fn summary(host: &str, facts: &Facts) -> Vec<String> {
    let addresses: Vec<String> = facts
        .addresses()
        .map(|found| format!("{}/{} ({})", found.address, found.prefix, found.interface))
        .collect();
    let gib = |bytes: u64| bytes / (1 << 30);
    let disks: Vec<String> = facts
        .file_systems
        .iter()
        .map(|disk| format!("{} {} of {} GiB free", disk.path, gib(disk.free), gib(disk.size)))
        .collect();
    vec![
        host.to_owned(),
        format!(
            "  system     {} {}, kernel {}, {}",
            facts.os.name, facts.os.version, facts.kernel, facts.architecture
        ),
        format!(
            "  machine    {} CPU, {} MB of memory, {} MB of swap",
            facts.cpus, facts.memory_mb, facts.swap_mb
        ),
        format!("  addresses  {}", addresses.join(", ")),
        format!("  disks      {}", disks.join(", ")),
    ]
}
