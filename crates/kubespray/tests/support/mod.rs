//! The program, run as a user runs it, over the hosts of a lab.

#![allow(dead_code, unreachable_pub, reason = "not every file of tests uses all of it")]

pub mod site;
pub mod workload;

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use kubespray_lab::Lab;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value as Json;

pub struct Run {
    pub code: i32,
    pub out: String,
    pub err: String,
}

/// Whether this machine cannot have test hosts; where they are required that is a failure.
pub fn left_out() -> bool {
    let Some(reason) = Lab::missing() else { return false };
    assert!(std::env::var_os("KUBESPRAY_REQUIRE_LAB").is_none_or(|value| value != "1"), "{reason}");
    eprintln!("left out: {reason}");
    true
}

/// An inventory of the lab's hosts, with the way to them: all are everything.
pub fn write_inventory(lab: &Lab, folder: &Path, user: &str) {
    write_inventory_of(lab, folder, user, lab.hosts().len());
}

/// An inventory of those of the lab's hosts that are control planes, members of etcd or nodes, in this order.
pub fn write_groups(lab: &Lab, folder: &Path, user: &str, groups: [&[&str]; 3]) {
    let key = lab.key();
    let key = key.display();
    let mut text =
        format!("all:\n  vars: {{ansible_user: {user}, ansible_ssh_private_key_file: {key}}}\n  hosts:\n");
    let mut known = Vec::new();
    for name in groups.concat() {
        if known.contains(&name) {
            continue;
        }
        known.push(name);
        let host = lab.hosts().into_iter().find(|host| host.name == name).unwrap();
        let _ = writeln!(text, "    {name}: {{ansible_host: {0}, ip: {0}}}", host.address);
    }
    text += "  children:\n";
    for (group, hosts) in ["kube_control_plane", "etcd", "kube_node"].into_iter().zip(groups) {
        let hosts: Vec<String> = hosts.iter().map(|name| format!("{name}: ")).collect();
        let _ = writeln!(text, "    {group}: {{hosts: {{{}}}}}", hosts.join(", "));
    }
    std::fs::write(folder.join("hosts.yaml"), text).unwrap();
}

/// The same, where only the first hosts are control planes and hold etcd.
pub fn write_inventory_of(lab: &Lab, folder: &Path, user: &str, leaders: usize) {
    let hosts = lab.hosts();
    let names: Vec<&str> = hosts.iter().map(|host| host.name.as_str()).collect();
    write_groups(lab, folder, user, [&names[..leaders], &names[..leaders], &names]);
}

pub fn command(folder: &Path, lab: &Lab, arguments: &[&str]) -> Command {
    let (options, words) = match arguments.iter().position(|argument| *argument == "--") {
        Some(at) => arguments.split_at(at),
        None => (arguments, &[][..]),
    };
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubespray"));
    command.args(options);
    if !(options.starts_with(&["runs"]) && options.get(1) != Some(&"resume")) {
        command.args(["-i", "hosts.yaml", "--known-hosts"]).arg(lab.known_hosts());
    }
    command
        .args(words)
        .current_dir(folder)
        .env("NO_COLOR", "1")
        // Nothing of the person who runs the tests counts.
        .env("HOME", folder)
        .env_remove("XDG_STATE_HOME")
        .env_remove("SSH_AUTH_SOCK");
    command
}

/// Runs a script on a host as root; it must succeed.
pub fn sh(lab: &Lab, host: &str, script: &str) -> String {
    let output = lab.exec(host, &["sudo", "sh", "-c", script]).unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The steps that a plan would do, without checks.
pub fn changes(plan: &Json) -> Vec<String> {
    let steps = plan["steps"].as_array().unwrap().iter();
    let changed =
        steps.filter(|planned| planned["changes"] == true && planned["resource"]["check"].is_null());
    changed.map(|planned| planned["id"].as_str().unwrap().to_owned()).collect()
}

/// The exit code, and a text that is printed.
pub fn has(run: &Run, code: i32, text: &str) {
    assert!(
        run.code == code && (run.out.contains(text) || run.err.contains(text)),
        "{}: {}{}",
        run.code,
        run.out,
        run.err
    );
}

/// Runs a command to its end.
pub fn kubespray(folder: &Path, lab: &Lab, arguments: &[&str]) -> Run {
    ended(command(folder, lab, arguments).output().unwrap())
}

/// A command under way.
pub struct Running {
    child: Child,
    lines: BufReader<ChildStdout>,
    said: String,
}

/// Starts a command and goes on.
pub fn start(folder: &Path, lab: &Lab, arguments: &[&str]) -> Running {
    let mut child =
        command(folder, lab, arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap());
    Running { child, lines, said: String::new() }
}

impl Running {
    /// Waits for a line with this text; a command that ends before is a failure.
    pub fn until(&mut self, text: &str) {
        loop {
            let before = self.said.len();
            let read = self.lines.read_line(&mut self.said).unwrap();
            if read == 0 {
                let mut err = String::new();
                self.child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
                panic!("it ended without `{text}`: {}{err}", self.said);
            }
            if self.said[before..].contains(text) {
                return;
            }
        }
    }

    /// Whether a line with this text comes before its end.
    pub fn said_before_its_end(&mut self, text: &str) -> bool {
        loop {
            let before = self.said.len();
            if self.lines.read_line(&mut self.said).unwrap() == 0 {
                return false;
            }
            if self.said[before..].contains(text) {
                return true;
            }
        }
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end.
    pub fn wait(mut self) -> Run {
        self.lines.read_to_string(&mut self.said).unwrap();
        let mut run = ended(self.child.wait_with_output().unwrap());
        run.out.insert_str(0, &self.said);
        run
    }
}

pub fn ended(output: std::process::Output) -> Run {
    Run {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

pub fn json(run: &Run) -> Json {
    serde_json::from_str(&run.out).unwrap_or_else(|error| panic!("{error}: {}{}", run.out, run.err))
}
