//! What hosts are given before the container engine.
#![allow(clippy::unwrap_used, clippy::panic, clippy::format_push_string, unreachable_pub, reason = "tests")]

#[allow(dead_code, reason = "other tests need the rest")]
mod support;

use std::collections::{BTreeMap, BTreeSet};

use kubespray_planner::components::{Live, Site};
use kubespray_resource::{Facts, Resource, Step};
use support::{debian, part, rocky, shown, spec};

const HOSTS: &str = "
all:
  hosts: {a: {ip: 10.0.0.11}, b: {ip: 10.0.0.12}, e: {ip: 10.0.0.13}}
  children:
    kube_control_plane: {hosts: {a: }}
    kube_node: {hosts: {b: }}
    etcd: {hosts: {e: }}
";

fn steps(vars: &str, facts: &BTreeMap<String, Facts>) -> Vec<Step> {
    let spec = spec(HOSTS, vars, facts);
    prepared(&Site { spec: &spec, facts, live: &Live::default() })
}

fn prepared(site: &Site<'_>) -> Vec<Step> {
    part(site, &BTreeMap::new(), |phase, _| ["bootstrap_os", "preinstall"].contains(&phase)).unwrap().steps
}

fn facts() -> BTreeMap<String, Facts> {
    BTreeMap::from([
        ("a".to_owned(), debian("10.0.0.11")),
        ("b".to_owned(), rocky("10.0.0.12")),
        ("e".to_owned(), debian("10.0.0.13")),
    ])
}

fn of<'a>(steps: &'a [Step], host: &str) -> Vec<&'a Step> {
    steps.iter().filter(|step| step.host == host).collect()
}

#[test]
fn a_debian_control_plane() {
    let steps = steps("", &facts());
    let own: Vec<Step> = of(&steps, "a").into_iter().cloned().collect();
    insta::assert_snapshot!(shown(&own));
}

#[test]
fn a_rocky_worker_with_everything_on() {
    let vars = "
http_proxy: http://proxy:3128
ntp_enabled: true
ntp_manage_config: true
ntp_timezone: Europe/Berlin
nameservers: [10.9.9.9]
searchdomains: [corp.example]
disable_ipv6_dns: true
additional_sysctl: [{name: vm.max_map_count, value: 262144}]
ipv6_stack: true
";
    let steps = steps(vars, &facts());
    let own: Vec<Step> = of(&steps, "b").into_iter().cloned().collect();
    insta::assert_snapshot!(shown(&own));
}

#[test]
fn an_etcd_host_gets_nothing_of_nodes() {
    let steps = steps("", &facts());
    let paths: Vec<&str> = of(&steps, "e")
        .into_iter()
        .filter_map(|step| match &step.resource {
            Resource::Directory(folder) => Some(folder.path.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(paths, ["/etc/bash_completion.d", "/usr/local/bin"]);
    let packages = of(&steps, "e").into_iter().find_map(|step| match &step.resource {
        Resource::Packages(packages) => Some(packages.wishes.keys().cloned().collect::<BTreeSet<_>>()),
        _ => None,
    });
    let packages = packages.unwrap();
    assert!(packages.contains("socat") && !packages.contains("conntrack"), "{packages:?}");
}

#[test]
fn hosts_without_facts_are_left_out() {
    let known = facts();
    let spec = spec(HOSTS, "", &known);
    let some: BTreeMap<String, Facts> = [("e".to_owned(), debian("10.0.0.13"))].into();
    assert!(
        prepared(&Site { spec: &spec, facts: &some, live: &Live::default() })
            .iter()
            .all(|step| step.host == "e")
    );
}

#[test]
fn resolvers_that_were_taken_over_stay() {
    let block_of = |facts: &BTreeMap<String, Facts>| {
        let steps = steps("", facts);
        let found = of(&steps, "a").into_iter().find_map(|step| match &step.resource {
            Resource::Block(block) => Some(block.clone()),
            _ => None,
        });
        found.unwrap()
    };
    let mut facts = facts();
    let first = block_of(&facts);
    let host = facts.get_mut("a").unwrap();
    let text = first.edit(host.resolv_conf.as_deref().unwrap());
    assert_eq!(text.matches("nameserver 10.0.0.53").count(), 1, "{text}");
    host.resolv_conf = Some(text);
    assert_eq!(block_of(&facts), first);
}
