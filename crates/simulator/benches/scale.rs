//! How time and memory grow with the number of hosts.
//!
//! `cargo bench -p kubespray-simulator --bench scale` prints a line for each number of hosts, each measured in a
//! process of its own: looking at all hosts that are as wished, making the plan and running it; and, for fewer hosts,
//! a first run that changes everything. `HOSTS` names other numbers: `HOSTS=100,200`.
#![allow(
    missing_docs,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints, and may end early"
)]

use std::process::Command;
use std::time::{Duration, Instant};

use kubespray_controller::{Ending, Options};
use kubespray_planner::plan;
use kubespray_simulator::{Reach, World, sample};

const RESOURCES: usize = 300;
const HOSTS: [usize; 7] = [10, 50, 100, 500, 1_000, 2_000, 5_000];
/// A first run keeps all that it tells, which is a lot.
const MOST_CHANGED: usize = 1_000;

fn main() {
    if let Ok(hosts) = std::env::var("SCALE_ONE") {
        measure(hosts.parse().unwrap());
        return;
    }
    let named = std::env::var("HOSTS").ok();
    let hosts: Vec<usize> = match &named {
        Some(named) => named.split(',').filter_map(|hosts| hosts.parse().ok()).collect(),
        None => HOSTS.to_vec(),
    };
    println!("{RESOURCES} resources on each host, nothing to change");
    println!("{:>6} {:>9} {:>10} {:>7} {:>9}", "hosts", "seconds", "ms/host", "MB", "MB/host");
    for hosts in hosts {
        let child =
            Command::new(std::env::current_exe().unwrap()).env("SCALE_ONE", hosts.to_string()).output();
        print!("{}", String::from_utf8_lossy(&child.unwrap().stdout));
    }
}

fn measure(hosts: usize) {
    let names: Vec<String> = (0..hosts).map(|number| format!("node{number:04}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    // One host is made as wished; all others are its copies.
    let one = sample(&names[..1], RESOURCES, Reach::Small);
    let mut world = World::new(&names[..1], 1);
    let seen = world.observe(&one.wishes, &one.secrets);
    let made = plan(one.wishes, &seen, &one.secrets).unwrap();
    let (report, _) = world.run(made, "first", &one.secrets, Options::default()).unwrap();
    assert_eq!(report.unwrap().ending, Ending::Done);
    let mut world = World::of_copies(world.host(names[0]).unwrap(), &names, 1);

    let began = Instant::now();
    let all = sample(&names, RESOURCES, Reach::Small);
    let seen = world.observe(&all.wishes, &all.secrets);
    let looked = began.elapsed();
    let made = plan(all.wishes, &seen, &all.secrets).unwrap();
    assert!(made.is_empty());
    let planned = began.elapsed();
    let (report, _) = world.run(made, "second", &all.secrets, Options::default()).unwrap();
    assert_eq!(report.unwrap().ending, Ending::Done);
    let took = began.elapsed();
    let memory = peak_mb();
    println!(
        "{hosts:>6} {:>9.3} {:>10.3} {memory:>7.0} {:>9.3}   look {:.0} %, plan {:.0} %, run {:.0} %",
        took.as_secs_f64(),
        took.as_secs_f64() * 1000.0 / hosts as f64,
        memory / hosts as f64,
        percent(looked, took),
        percent(planned.saturating_sub(looked), took),
        percent(took.saturating_sub(planned), took),
    );
    drop((seen, world));
    if hosts <= MOST_CHANGED {
        change_all(&names);
    }
}

fn change_all(names: &[&str]) {
    let all = sample(names, RESOURCES, Reach::Small);
    let mut world = World::new(names, 1);
    let seen = world.observe(&all.wishes, &all.secrets);
    let made = plan(all.wishes, &seen, &all.secrets).unwrap();
    let began = Instant::now();
    let (report, events) = world.run(made, "first", &all.secrets, Options::default()).unwrap();
    assert_eq!(report.unwrap().ending, Ending::Done);
    let took = began.elapsed().as_secs_f64();
    println!(
        "{:>6} {took:>9.3} {:>10.3}   first run, {} events",
        "",
        took * 1000.0 / names.len() as f64,
        events.len()
    );
}

fn percent(part: Duration, all: Duration) -> f64 {
    part.as_secs_f64() * 100.0 / all.as_secs_f64()
}

/// The most memory that this process ever had.
fn peak_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}
