//! `kubespray status`

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use kubespray_interface::{WIDEST_COLUMN, duration, list, plural};
use kubespray_planner::operations::{Existence, HostStatus, LockStatus, MemberStatus, Remark, Status};

use crate::arguments::operations::Status as Options;
use crate::failure::{FOUND_ERRORS, Failure};
use crate::operation;
use crate::printer::Printer;

/// With more hosts than fit on a screen, workers without a fault are counted and not listed.
const MOST_ROWS: usize = 20;

/// Lines of one section; a count stands for the rest.
const MOST_LINES: usize = 20;

/// Hosts that are named in a line.
const MOST_NAMES: usize = 4;

pub(crate) fn run(options: &Options, printer: &mut Printer) -> Result<ExitCode, Failure> {
    let (status, warnings) = operation::status(options)?;
    printer.warnings(&warnings, options.common.output.verbose);
    if printer.is_json() {
        printer.json(&status);
    } else {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        for line in text(&status, u64::try_from(now.as_millis()).unwrap_or(u64::MAX)) {
            printer.line(line);
        }
    }
    Ok(if status.healthy { ExitCode::SUCCESS } else { ExitCode::from(FOUND_ERRORS) })
}

/// A day, of seconds since 1970.
pub(super) fn day(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).unwrap_or_default().strftime("%Y-%m-%d").to_string()
}

/// For people; `now_ms` is in milliseconds since 1970.
fn text(status: &Status, now_ms: u64) -> Vec<String> {
    let word = match (status.existence, status.problems.len()) {
        (Existence::None, _) => "no cluster here yet".to_owned(),
        (_, 0) => "healthy".to_owned(),
        (_, count) => {
            format!("{} wrong", if count == 1 { "1 thing is".into() } else { format!("{count} things are") })
        }
    };
    let mut lines = vec![format!("{}: {word}; {}", status.cluster, plural(status.hosts.len(), "host"))];
    lines.push(String::new());
    lines.extend(hosts(status));
    lines.push(String::new());
    if !status.versions.running.is_empty() {
        lines.extend(versions(status));
    }
    if !status.etcd_events.is_empty() {
        let members: Vec<String> =
            status.etcd_events.iter().map(|one| format!("{} {}", one.name, of_member(one))).collect();
        lines.push(format!("etcd events   {}", members.join("; ")));
    }
    lines.push(format!("certificates  {}", certificates(status)));
    let waiting: Vec<&str> =
        status.hosts.iter().filter(|host| host.reboot.is_some()).map(|host| host.name.as_str()).collect();
    let waiting =
        if waiting.is_empty() { "no host waits for one".to_owned() } else { list(&waiting, MOST_NAMES) };
    lines.push(format!("reboot        {waiting}"));
    match status.locks.as_slice() {
        [] => lines.push("lock          free".to_owned()),
        locks => lines.extend(locks.iter().flat_map(|lock| of_lock(lock, now_ms))),
    }
    lines.extend(remarks("to know", &status.notes));
    lines.extend(remarks("wrong", &status.problems));
    lines
}

fn roles(host: &HostStatus) -> String {
    let all = [
        ("control plane", host.roles.control_plane, host.is.control_plane),
        ("etcd", host.roles.etcd, host.is.etcd),
        ("worker", host.roles.worker, host.is.worker),
        ("route reflector", host.roles.route_reflector, host.is.route_reflector),
    ];
    let told = all.into_iter().filter(|(_, wanted, _)| *wanted);
    let told = told.map(
        |(name, _, is)| {
            if is || host.silent.is_some() { name.to_owned() } else { format!("({name})") }
        },
    );
    told.collect::<Vec<_>>().join(", ")
}

/// A table of hosts.
fn hosts(status: &Status) -> Vec<String> {
    let members: BTreeMap<&str, &MemberStatus> =
        status.etcd.iter().filter_map(|member| Some((member.host.as_deref()?, member))).collect();
    let is_told = |host: &HostStatus| {
        let is_plain = !host.roles.control_plane && !host.roles.etcd;
        let is_well = host.silent.is_none()
            && host.is == host.roles
            && host.node.as_ref().is_some_and(|node| node.problem.is_none() && node.cordon.is_none());
        status.hosts.len() <= MOST_ROWS || !is_plain || !is_well
    };
    let (told, others): (Vec<&HostStatus>, Vec<&HostStatus>) =
        status.hosts.iter().partition(|host| is_told(host));
    let head = ["host", "roles", "node", "kubelet", "engine", "API server", "etcd"].map(str::to_owned);
    let mut rows = vec![head];
    rows.extend(told.into_iter().map(|host| row(host, members.get(host.name.as_str()).copied())));
    // What no host has is no column.
    let width = |column: usize| {
        let cells = rows.iter().skip(1).filter_map(|row| row.get(column));
        let widest = cells.map(|cell| cell.chars().count()).max().unwrap_or(0).min(WIDEST_COLUMN);
        let head = rows.first().and_then(|row| row.get(column)).map_or(0, |cell| cell.chars().count());
        if widest == 0 { 0 } else { widest.max(head) }
    };
    let widths: Vec<usize> = (0..7).map(width).collect();
    let line = |row: &[String; 7]| {
        let cells = row.iter().zip(&widths).filter(|(_, width)| **width > 0);
        let cells: Vec<String> = cells.map(|(cell, width)| format!("{cell:width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    let mut lines: Vec<String> = rows.iter().map(line).collect();
    if !others.is_empty() {
        lines.push(format!("and {} that are ready", plural(others.len(), "worker")));
    }
    lines
}

fn row(host: &HostStatus, member: Option<&MemberStatus>) -> [String; 7] {
    let node = match (&host.silent, &host.node) {
        (Some(_), None) => "does not answer".to_owned(),
        (_, None) => String::new(),
        (silent, Some(node)) => {
            let ready = if node.problem.is_none() { "ready" } else { "not ready" };
            let cordoned = if node.cordon.is_some() { ", cordoned" } else { "" };
            let silent = if silent.is_some() { ", does not answer" } else { "" };
            format!("{ready}{cordoned}{silent}")
        }
    };
    let of_node =
        |of: fn(&kubespray_resource::NodeStatus) -> String| host.node.as_ref().map(of).unwrap_or_default();
    let api = host.api_server.as_ref().map(|api| match (&api.problem, &api.version) {
        (Some(_), _) => "not ready".to_owned(),
        (None, Some(version)) => format!("ready, {version}"),
        (None, None) => "ready".to_owned(),
    });
    [
        host.name.clone(),
        roles(host),
        node,
        of_node(|node| node.kubelet.clone()),
        of_node(|node| node.engine.replacen("://", " ", 1)),
        api.unwrap_or_default(),
        member.map(of_member).unwrap_or_default(),
    ]
}

fn of_member(member: &MemberStatus) -> String {
    let how = match (&member.problem, member.learner, member.leader) {
        (Some(_), ..) => "not well",
        (None, true, _) => "learns",
        (None, false, true) => "leads",
        (None, false, false) => "follows",
    };
    let size = member.db_size.map(|bytes| format!(", {}", size(bytes))).unwrap_or_default();
    let alarms =
        if member.alarms.is_empty() { String::new() } else { format!(", {}", member.alarms.join(", ")) };
    format!("{how}{size}{alarms}")
}

/// `640 kB`, `12 MB`.
fn size(bytes: u64) -> String {
    match bytes {
        0..10_000_000 => format!("{} kB", bytes / 1_000),
        _ => format!("{} MB", bytes / 1_000_000),
    }
}

/// One version of each component in one line; who differs in lines of their own.
fn versions(status: &Status) -> Vec<String> {
    let running = &status.versions.running;
    let same: Vec<String> = running
        .iter()
        .filter_map(|(component, versions)| match versions.keys().collect::<Vec<_>>().as_slice() {
            [version] => Some(format!("{component} {version}")),
            _ => None,
        })
        .collect();
    let mut lines = Vec::new();
    // In two lines where one would be too long.
    for part in same.chunks(4) {
        let head = if lines.is_empty() { "versions" } else { "" };
        lines.push(format!("{head:12}  {}", part.join(", ")));
    }
    for (component, versions) in running.iter().filter(|(_, versions)| versions.len() > 1) {
        let parts = versions.iter().map(|(version, hosts)| {
            let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
            format!("{version} on {}", list(&hosts, MOST_NAMES))
        });
        let head = if lines.is_empty() { "versions" } else { "" };
        lines.push(format!("{head:12}  {component} {}", parts.collect::<Vec<_>>().join("; ")));
    }
    lines
}

fn certificates(status: &Status) -> String {
    let Some((first, end)) = status.certificates.iter().find_map(|one| Some((one, one.end?))) else {
        return "none yet".to_owned();
    };
    let soon = status.certificates.iter().filter(|one| one.soon).count();
    let soon = if soon == 0 { String::new() } else { format!(", {soon} within 30") };
    format!(
        "{}; the first ends in {} days{soon} ({}): {} `{}`",
        status.certificates.len(),
        end.in_days,
        day(end.not_after),
        first.host,
        first.path
    )
}

fn of_lock(lock: &LockStatus, now_ms: u64) -> Vec<String> {
    let ago = |ms: u64| duration(now_ms.saturating_sub(ms));
    let hosts: Vec<&str> = lock.hosts.iter().map(String::as_str).collect();
    let holder = &lock.holder;
    let mut lines = vec![format!(
        "lock          `{}`: {}, run `{}`, for {}, on {}",
        holder.owner,
        holder.operation,
        holder.run,
        ago(holder.since_ms),
        list(&hosts, MOST_NAMES)
    )];
    let progress = &lock.progress;
    let mut parts = vec![format!("{} done", plural(progress.done, "step"))];
    for (word, steps) in [("under way", &progress.doing), ("failed", &progress.failed)] {
        let steps: Vec<&str> = steps.iter().map(String::as_str).collect();
        if !steps.is_empty() {
            parts.push(format!("{word}: {}", list(&steps, MOST_NAMES)));
        }
    }
    parts.extend(progress.last_ms.map(|last| format!("its last sign of life {} ago", ago(last))));
    lines.push(format!("              {}", parts.join("; ")));
    lines
}

fn remarks(title: &str, remarks: &[Remark]) -> Vec<String> {
    if remarks.is_empty() {
        return Vec::new();
    }
    let width =
        remarks.iter().filter_map(|remark| remark.host.as_ref()).map(|host| host.chars().count()).max();
    let indent = match width.unwrap_or(0).min(WIDEST_COLUMN) {
        0 => 2,
        width => width + 4,
    };
    let mut lines = vec![String::new(), title.to_owned()];
    for remark in remarks.iter().take(MOST_LINES) {
        let host = remark.host.as_deref().unwrap_or_default();
        let host = format!("  {host}");
        lines.push(format!("{host:indent$}{}", remark.message));
        lines.extend(remark.hint.as_ref().map(|hint| format!("{:indent$}  {hint}", "")));
    }
    if let more @ 1.. = remarks.len().saturating_sub(MOST_LINES) {
        lines.push(format!("  and {more} more: `--output json`"));
    }
    lines
}
