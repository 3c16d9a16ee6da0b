//! Whom a worker that comes to a cluster of a thousand hosts, or leaves it, concerns.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::Ipv4Addr;

use clap::Parser;
use kubespray_controller::{Ending, Options};
use kubespray_resource::Secrets;
use kubespray_simulator::{Fault, World};
use kubespray_variables::UnknownFacts;

use super::Scale;
use crate::arguments::operations as arguments;
use crate::operation::asked::{Described, Hosts, States};
use crate::operation::intent::{Asking, Intent};
use crate::operation::look::Questions;
use crate::operation::{Cluster, RemoveNode, make_plan, secrets_of};
use crate::site::{Groups, Site};

const WORKERS: usize = 997;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    operation: arguments::Operation,
}

/// Who is asked, and how often.
struct Counted<'a> {
    world: &'a mut World,
    asked: BTreeMap<String, u64>,
}

impl Hosts for Counted<'_> {
    fn facts(&mut self, hosts: &[String]) -> Described {
        for host in hosts {
            *self.asked.entry(host.clone()).or_default() += 1;
        }
        Hosts::facts(self.world, hosts)
    }

    fn states(&mut self, asked: Questions) -> Result<States, crate::failure::Failure> {
        for host in asked.keys() {
            *self.asked.entry(host.clone()).or_default() += 1;
        }
        Hosts::states(self.world, asked)
    }
}

fn worker(number: usize) -> String {
    format!("w{number:04}")
}

/// Three control planes with etcd, and so many workers.
fn inventory(workers: usize) -> String {
    let planes = "{a: , b: , c: }";
    let mut text = "all:\n  hosts:\n".to_owned();
    let names = ["a", "b", "c"].map(str::to_owned).into_iter().chain((1..=workers).map(worker));
    for (number, name) in names.enumerate() {
        let _ = writeln!(text, "    {name}: {{ip: {}}}", address(number));
    }
    let _ = write!(
        text,
        "  children:\n    kube_control_plane: {{hosts: {planes}}}\n    etcd: {{hosts: {planes}}}\n    kube_node: {{hosts: {{"
    );
    let _ = (1..=workers).try_for_each(|number| write!(text, "{}: , ", worker(number)));
    text + "}}\n"
}

fn address(number: usize) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 3, 0, 1)) + u32::try_from(number).unwrap())
}

/// Does what is asked and gives who was connected to.
fn done(
    intent: &dyn Intent,
    world: &mut World,
    options: &arguments::Operation,
    secrets: &mut Secrets,
) -> BTreeSet<String> {
    let mut site = Site::load(&options.common, Groups::Kubespray).unwrap();
    let mut counted = Counted { world, asked: BTreeMap::new() };
    let wished = intent.wish(&mut Asking { site: &mut site, hosts: &mut counted, options }).unwrap();
    let mut hosts: BTreeSet<String> = counted.asked.into_keys().collect();
    let mut wishes = wished.wishes;
    world.imagine_downloads(&mut wishes);
    let of_steps = secrets_of(wishes.steps.iter(), &site.variables(UnknownFacts::Pending), secrets).unwrap();
    secrets.extend(of_steps);
    hosts.extend(wishes.steps.iter().map(|step| step.host.clone()));
    let seen = world.observe(&wishes, secrets);
    let plan = make_plan(wishes, &seen, secrets).unwrap();
    assert!(!plan.is_empty());
    let holder = world.holder(&plan.operation.clone(), &plan.operation);
    let operator = world.begin(plan, holder, secrets, Options::default()).unwrap();
    world.go();
    let report = world.report(operator).unwrap();
    assert_eq!(report.ending, Ending::Done, "{:#?}", report.failures);
    assert_eq!(world.violations(), []);
    hosts.extend(world.connections(operator).into_keys());
    world.go_for(30_000);
    hosts
}

#[test]
fn a_worker_of_a_thousand_hosts_comes_and_leaves_by_control_planes_and_etcd_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("few.yaml"), inventory(1)).unwrap();
    std::fs::write(path("all.yaml"), inventory(WORKERS)).unwrap();
    let options = |name: &str| {
        let network = "kube_network_plugin=none";
        Line::parse_from(["kubespray", "-i", &path(name), "-e", network]).operation
    };
    let names: Vec<String> =
        ["a", "b", "c"].map(str::to_owned).into_iter().chain((1..=WORKERS).map(worker)).collect();
    let mut world = World::new(&names, 1);
    for (number, name) in names.iter().enumerate() {
        world.set_address(name, address(number));
    }
    let mut secrets = Secrets::default();
    let made = done(&Cluster, &mut world, &options("few.yaml"), &mut secrets);
    assert_eq!(made.len(), 4);

    // All workers but the new one are nodes that do not answer.
    let silent: Vec<String> = (1..WORKERS).map(worker).collect();
    let (_, others) = silent.split_first().unwrap();
    world.add_silent_nodes(others);
    for host in silent {
        world.befall(Fault::Off { host, off_ms: u64::MAX });
    }
    world.go_for(1_000);

    let new = worker(WORKERS);
    let concerned = done(&Scale, &mut world, &options("all.yaml"), &mut secrets);
    assert_eq!(concerned.into_iter().collect::<Vec<_>>(), ["a", "b", "c", &new]);

    // It goes again as it came, whoever else is away.
    let leaves = RemoveNode { names: vec![new.clone()], dead: false };
    let concerned = done(&leaves, &mut world, &options("all.yaml"), &mut secrets);
    assert_eq!(concerned.into_iter().collect::<Vec<_>>(), ["a", "b", "c", &new]);
}
