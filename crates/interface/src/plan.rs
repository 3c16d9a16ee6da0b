//! Plans as texts.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use kubespray_resource::{Change, Disruption, Plan, PlannedStep};

use crate::amount::{list, plural};

/// Hosts that are named at the head of a group; a count stands for the rest.
const HOSTS_NAMED: usize = 8;

/// What a plan will do: by host and phase, with differences and what they cost. Hosts with the same changes
/// are one group.
pub fn plan_text(plan: &Plan) -> String {
    let hosts = plan.hosts();
    let mut by_host: BTreeMap<&str, Vec<&PlannedStep>> = BTreeMap::new();
    for planned in plan.changes() {
        by_host.entry(&planned.step.host).or_default().push(planned);
    }
    let mut groups: Vec<(String, Vec<&str>)> = Vec::new();
    for host in &hosts {
        let Some(steps) = by_host.get(host) else { continue };
        let text = host_text(steps);
        match groups.iter_mut().find(|(other, _)| *other == text) {
            Some((_, names)) => names.push(host),
            None => groups.push((text, vec![host])),
        }
    }
    let mut out = String::new();
    for (text, names) in &groups {
        let _ = writeln!(out, "{}\n{text}", list(names, HOSTS_NAMED));
    }
    out + &summary(plan, hosts.len(), by_host.len())
}

fn summary(plan: &Plan, hosts: usize, changed: usize) -> String {
    if changed == 0 {
        return format!("Nothing to do: {} as wished.\n", plural(hosts, "host"));
    }
    let mut costs: BTreeMap<Disruption, Vec<&str>> = BTreeMap::new();
    for planned in plan.changes() {
        let hosts = costs.entry(planned.step.disruption).or_default();
        if !hosts.contains(&planned.step.host.as_str()) {
            hosts.push(&planned.step.host);
        }
    }
    costs.remove(&Disruption::None);
    let mut out = format!(
        "{}: {} on {} of {}.",
        plan.operation,
        plural(plan.changes().count(), "change"),
        changed,
        plural(hosts, "host"),
    );
    match costs.len() {
        0 => out.push_str(" Nothing is disrupted.\n"),
        _ => {
            out.push('\n');
            for (cost, hosts) in costs.iter().rev() {
                let _ = writeln!(out, "  {cost}: {}", list(hosts, HOSTS_NAMED));
            }
            windows(plan, &mut out);
        }
    }
    out
}

/// How many nodes are out of service at once, where any are, and how many go ahead.
fn windows(plan: &Plan, out: &mut String) {
    let mut away: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for PlannedStep { step, .. } in plan.changes() {
        let is_away = matches!(step.disruption, Disruption::Drain | Disruption::Reboot);
        if let Some(rollout) = step.rollout.as_ref().filter(|_| is_away) {
            let hosts = away.entry(rollout).or_default();
            if !hosts.contains(&step.host.as_str()) {
                hosts.push(&step.host);
            }
        }
    }
    if away.is_empty() {
        return;
    }
    out.push_str("Out of service at once:\n");
    for (name, hosts) in away {
        let Some(rollout) = plan.policy.rollouts.get(name) else { continue };
        let _ = write!(out, "  {name}: {} of {}", rollout.max_unavailable.min(hosts.len()), hosts.len());
        if rollout.canaries > 0 && hosts.len() > 1 {
            let _ = write!(out, ", behind {} alone", rollout.canaries.min(hosts.len()));
        }
        out.push('\n');
    }
}

fn host_text(steps: &[&PlannedStep]) -> String {
    let mut out = String::new();
    let mut phase = None;
    for planned in steps {
        if phase != Some(&planned.step.phase) {
            phase = Some(&planned.step.phase);
            let _ = writeln!(out, "  {}", planned.step.phase);
        }
        let _ = write!(out, "    {} {}", sign(planned), planned.step.resource.title());
        if planned.step.disruption != Disruption::None {
            let _ = write!(out, "  [{}]", planned.step.disruption);
        }
        out.push('\n');
        match &planned.diff {
            Some(diff) => diff.lines().for_each(|line| _ = writeln!(out, "        {line}")),
            None if planned.seen.is_same() => out.push_str("        because what it is made from changes\n"),
            None => planned.seen.changes.iter().filter_map(change_text).for_each(|line| {
                let _ = writeln!(out, "        {line}");
            }),
        }
    }
    out
}

/// `+` for what is new, `-` for what goes, `~` for what becomes other.
fn sign(planned: &PlannedStep) -> char {
    let changes = &planned.seen.changes;
    if !changes.is_empty() && changes.iter().all(|change| change.from.is_none() && change.to.is_some()) {
        '+'
    } else if !changes.is_empty() && changes.iter().all(|change| change.to.is_none() && change.from.is_some())
    {
        '-'
    } else {
        '~'
    }
}

/// A difference that the title does not tell already.
fn change_text(change: &Change) -> Option<String> {
    let Change { what, from, to } = change;
    match (from, to) {
        (Some(from), Some(to)) => Some(format!("{what}: {from} -> {to}")),
        (None, None) => Some(format!("{what}: not shown")),
        (None, Some(_))
            if ["file", "directory", "link", "user", "group", "command"].contains(&what.as_str()) =>
        {
            None
        }
        (None, Some(to)) => Some(format!("{what}: {to}")),
        (Some(from), None) => Some(format!("{what}: {from} goes")),
    }
}

#[cfg(test)]
mod tests {
    use kubespray_resource::{
        Absent, Comparison, Content, File, Mode, Owner, PLAN_SCHEMA_VERSION, Policy, Resource, Rollout,
        Running, Step, Unit,
    };

    use super::*;

    fn planned(
        host: &str,
        phase: &str,
        resource: impl Into<Resource>,
        seen: &[(&str, &str, &str)],
    ) -> PlannedStep {
        let mut comparison = Comparison::default();
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        for (what, from, to) in seen {
            comparison.add(what, text(from), text(to));
        }
        let step =
            Step { id: format!("{host}/{phase}/x").into(), ..Step::new(host, "c", phase, "x", resource) };
        PlannedStep { step, seen: comparison, changes: true, diff: None }
    }

    fn file(content: Content) -> File {
        File {
            path: "/etc/x.conf".into(),
            content,
            mode: Mode::PUBLIC,
            owner: Owner::root(),
            keep_content: false,
        }
    }

    #[test]
    fn hosts_with_the_same_changes_are_told_once() {
        let mut steps = Vec::new();
        for host in ["a", "b"] {
            let mut config =
                planned(host, "engine", file(Content::Text("new\n".into())), &[("content", "1", "2")]);
            config.diff = Some("--- /etc/x.conf\n+++ /etc/x.conf\n@@ -1 +1 @@\n-old\n+new\n".into());
            let unit = Unit {
                name: "x.service".into(),
                enabled: Some(true),
                running: Some(Running::Started),
                masked: None,
                may_be_missing: false,
            };
            let mut unit = planned(host, "engine", unit, &[]);
            unit.step.disruption = Disruption::Restart;
            steps.extend([config, unit]);
        }
        let absent = Absent { path: "/old".into(), recursive: true };
        steps.push(planned("c", "bootstrap", absent, &[("path", "directory", "")]));
        steps.push(planned(
            "c",
            "engine",
            file(Content::Secret("{secret:x}".into())),
            &[("content", "", "")],
        ));
        let mut unchanged = planned("d", "engine", file(Content::Text(String::new())), &[]);
        unchanged.changes = false;
        steps.push(unchanged);
        let plan = Plan {
            schema_version: PLAN_SCHEMA_VERSION,
            operation: "cluster".into(),
            cluster: "c".into(),
            lock_hosts: Vec::new(),
            steps,
            gates: BTreeMap::new(),
            policy: Policy::default(),
        };
        insta::assert_snapshot!(plan_text(&plan), @r#"
a and b
  engine
    ~ file /etc/x.conf
        --- /etc/x.conf
        +++ /etc/x.conf
        @@ -1 +1 @@
        -old
        +new
    ~ unit x.service  [restart]
        because what it is made from changes

c
  bootstrap
    - path /old
        path: directory goes
  engine
    ~ file /etc/x.conf
        content: not shown

cluster: 6 changes on 3 of 4 hosts.
  restart: a and b
"#);
        let drain = |host: &str, rollout: &str| {
            let mut drain = planned(host, "pre-upgrade", file(Content::Text(String::new())), &[]);
            drain.step.disruption = Disruption::Drain;
            drain.step.rollout = Some(rollout.to_owned());
            drain
        };
        let mut drains = Plan { steps: Vec::new(), ..plan.clone() };
        for (name, hosts, max_unavailable, canaries) in
            [("masters", "a b", 1, 0), ("workers", "c d e", 2, 1), ("workers:gpu", "f", 3, 1)]
        {
            let hosts: Vec<String> = hosts.split(' ').map(str::to_owned).collect();
            drains.steps.extend(hosts.iter().map(|host| drain(host, name)));
            let rollout = Rollout { hosts, max_unavailable, canaries };
            drains.policy.rollouts.insert(name.to_owned(), rollout);
        }
        let text = plan_text(&drains);
        let (_, windows) = text.split_once("Out of service at once:\n").unwrap();
        let expected = "  masters: 1 of 2\n  workers: 2 of 3, behind 1 alone\n  workers:gpu: 1 of 1\n";
        assert_eq!(windows, expected);
        let none = Plan { steps: plan.steps.into_iter().filter(|step| !step.changes).collect(), ..plan };
        assert_eq!(plan_text(&none), "Nothing to do: 1 host as wished.\n");
    }
}
