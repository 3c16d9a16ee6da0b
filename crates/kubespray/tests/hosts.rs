//! Commands that ask hosts, on real ones. Left out, with the reason, where a machine cannot have test hosts; a
//! failure there when `KUBESPRAY_REQUIRE_LAB` is 1.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test that cannot go on fails")]

use std::path::Path;
use std::process::Command;

use kubespray_lab::{LOCKED_PASSWORD, Lab, LabOptions};
use serde_json::Value as Json;

struct Run {
    code: i32,
    out: String,
    err: String,
}

fn left_out() -> bool {
    let Some(reason) = Lab::missing() else { return false };
    assert!(std::env::var_os("KUBESPRAY_REQUIRE_LAB").is_none_or(|value| value != "1"), "{reason}");
    eprintln!("left out: {reason}");
    true
}

/// An inventory of the lab's hosts, with the way to them.
fn write_inventory(lab: &Lab, folder: &Path, user: &str) {
    let hosts: Vec<String> = lab
        .hosts()
        .iter()
        .map(|host| format!("    {}: {{ansible_host: {}, ip: {}}}", host.name, host.address, host.address))
        .collect();
    let names: Vec<String> = lab.hosts().iter().map(|host| format!("{}: ", host.name)).collect();
    let names = names.join(", ");
    let text = format!(
        "all:\n  vars: {{ansible_user: {user}, ansible_ssh_private_key_file: {}}}\n  hosts:\n{}\n  children:\n    \
         kube_control_plane: {{hosts: {{{names}}}}}\n    etcd: {{hosts: {{{names}}}}}\n    kube_node: {{hosts: {{{names}}}}}\n",
        lab.key().display(),
        hosts.join("\n"),
    );
    std::fs::write(folder.join("hosts.yaml"), text).unwrap();
}

fn kubespray(folder: &Path, lab: &Lab, arguments: &[&str]) -> Run {
    let (options, command) = match arguments.iter().position(|argument| *argument == "--") {
        Some(at) => arguments.split_at(at),
        None => (arguments, &[][..]),
    };
    let output = Command::new(env!("CARGO_BIN_EXE_kubespray"))
        .args(options)
        .args(["-i", "hosts.yaml", "--known-hosts"])
        .arg(lab.known_hosts())
        .args(command)
        .current_dir(folder)
        .env("NO_COLOR", "1")
        // Nothing of the person who runs the tests counts.
        .env("HOME", folder)
        .env_remove("SSH_AUTH_SOCK")
        .output()
        .unwrap();
    Run {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

fn json(run: &Run) -> Json {
    serde_json::from_str(&run.out).unwrap_or_else(|error| panic!("{error}: {}{}", run.out, run.err))
}

#[test]
fn lab_hosts_answer_and_what_is_wrong_with_one_is_told() {
    if left_out() {
        return;
    }
    let lab = Lab::up(&LabOptions { name: "commands".into(), hosts: 3 }).unwrap();
    let folder = tempfile::tempdir().unwrap();
    write_inventory(&lab, folder.path(), "lab");
    let names: Vec<String> = lab.hosts().into_iter().map(|host| host.name).collect();

    // The first time the helper is brought along, the second time it is there.
    for round in ["fresh", "again"] {
        let run = kubespray(folder.path(), &lab, &["ping"]);
        assert_eq!(run.code, 0, "{round}: {}{}", run.out, run.err);
        assert!(run.out.ends_with("3 of 3 hosts answer\n"), "{}", run.out);
    }

    let run = kubespray(folder.path(), &lab, &["facts", "--output", "json"]);
    let facts = json(&run);
    for host in lab.hosts() {
        let facts = &facts[&host.name];
        assert_eq!(facts["os"]["id"], "debian", "{facts:#}");
        assert_eq!(facts["service_manager"], "systemd");
        assert_eq!(facts["default_ipv4"]["address"], host.address.to_string());
    }
    let run = kubespray(folder.path(), &lab, &["facts", "--ansible", "--output", "json"]);
    let ansible = json(&run);
    assert_eq!(ansible[&names[0]]["ansible_distribution"], "Debian");
    std::fs::write(folder.path().join("facts.json"), &run.out).unwrap();
    let run =
        kubespray(folder.path(), &lab, &["exec", &names[1], "--", "sh", "-c", "id -u; echo no >&2; exit 3"]);
    assert_eq!((run.code, run.out), (1, format!("{}: (status 3)\n  0\n  no\n", names[1])), "{}", run.err);

    let ready = ["preflight", "-e", "disable_host_nameservers=true"];
    let run = kubespray(folder.path(), &lab, &ready);
    assert_eq!(run.code, 0, "{}{}", run.out, run.err);
    let run = kubespray(folder.path(), &lab, &["preflight", "--output", "json"]);
    let report = json(&run);
    let ids: Vec<&str> =
        report["problems"].as_array().unwrap().iter().filter_map(|p| p["id"].as_str()).collect();
    // How fast its disks are depends on what else the machine does.
    let ids: Vec<&str> = ids.into_iter().filter(|id| *id != "etcd-disk").collect();
    assert_eq!((run.code, ids), (1, vec!["VAL-051"; 3]), "hosts of a lab have no nameserver");

    // A host that is cut off is named, the others answer.
    lab.partition(&names[2]).unwrap();
    let run = kubespray(
        folder.path(),
        &lab,
        &["exec", "all", "--connect-timeout", "3", "--output", "json", "--", "true"],
    );
    let list = json(&run);
    assert_eq!((run.code, &list[0]["status"], &list[1]["status"]), (1, &Json::from(0), &Json::from(0)));
    assert!(list[2]["problem"].is_string() && run.err.contains(&names[2]), "{}", run.err);
    lab.heal(&names[2]).unwrap();

    // What helpers left goes, and nothing of them runs.
    let run = kubespray(folder.path(), &lab, &["node", "clean"]);
    assert_eq!(run.code, 0, "{}{}", run.out, run.err);
    for name in &names {
        let left = lab
            .exec(
                name,
                &["sudo", "sh", "-c", "ls -d /var/lib/kubespray 2>/dev/null; pgrep -f '[n]ode --stdio'"],
            )
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&left.stdout), "", "{name}");
    }
}

#[test]
fn lab_logins_that_do_not_work_say_what_to_do() {
    if left_out() {
        return;
    }
    let lab = Lab::up(&LabOptions { name: "logins".into(), hosts: 1 }).unwrap();
    let folder = tempfile::tempdir().unwrap();
    write_inventory(&lab, folder.path(), "locked");
    let run = kubespray(folder.path(), &lab, &["ping"]);
    assert!(
        run.code == 1 && run.err.contains("sudo needs a password") && run.err.contains("-K"),
        "{}",
        run.err
    );
    for (password, code) in [("wrong", 1), (LOCKED_PASSWORD, 0)] {
        std::fs::write(folder.path().join("password"), password).unwrap();
        let run = kubespray(folder.path(), &lab, &["ping", "--become-password-file", "password"]);
        assert_eq!(run.code, code, "{}{}", run.out, run.err);
        assert!(!run.err.contains(password) && !run.out.contains(password), "{}", run.err);
    }
    write_inventory(&lab, folder.path(), "nobody-of-this-name");
    let run = kubespray(folder.path(), &lab, &["ping"]);
    assert!(run.code == 1 && run.err.contains("does not accept the login"), "{}", run.err);
}
