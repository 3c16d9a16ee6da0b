//! Commands that ask hosts, on real ones. Left out, with the reason, where a machine cannot have test hosts; a
//! failure there when `KUBESPRAY_REQUIRE_LAB` is 1.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test that cannot go on fails")]

mod support;

use kubespray_lab::{LOCKED_PASSWORD, Lab, LabOptions};
use serde_json::Value as Json;
use support::{json, kubespray, left_out, write_inventory};

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
    for round in ["helper brought along", "helper was there"] {
        let run = kubespray(folder.path(), &lab, &["ping"]);
        assert_eq!(run.code, 0, "{round}: {}{}", run.out, run.err);
        assert!(run.out.ends_with("3 of 3 hosts answer\n"), "{}", run.out);
        let told = format!("root by sudo, {round}, host key known");
        assert_eq!(run.out.matches(&told).count(), 3, "{}", run.out);
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

    // Which control groups they have is for the machine to say.
    let preflight = |more: &[&str]| {
        let all = [&["preflight", "-e", "kubelet_fail_cgroup_v1=false"], more].concat();
        kubespray(folder.path(), &lab, &all)
    };
    let run = preflight(&["-e", "disable_host_nameservers=true"]);
    assert_eq!(run.code, 0, "{}{}", run.out, run.err);
    let run = preflight(&["--output", "json"]);
    let report = json(&run);
    let ids: Vec<&str> =
        report["problems"].as_array().unwrap().iter().filter_map(|p| p["id"].as_str()).collect();
    // How fast and how full its disks are depends on the machine.
    let ids: Vec<&str> = ids.into_iter().filter(|id| !["etcd-disk", "disk-space"].contains(id)).collect();
    assert_eq!((run.code, ids), (1, vec!["VAL-051"; 3]), "hosts of a lab have no nameserver");

    // A port that another program has, and one that a firewall closes.
    let on = |host: &str, command: &[&str]| {
        let output = lab.exec(host, &[&["sudo"], command].concat()).unwrap();
        assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    on(
        &names[0],
        &["systemd-run", "--unit=taken", "socat", "TCP-LISTEN:2380,fork,reuseaddr", "OPEN:/dev/null"],
    );
    on(&names[1], &["iptables", "-I", "INPUT", "-p", "tcp", "--dport", "10250", "-j", "DROP"]);
    let run = preflight(&["--output", "json", "-e", "disable_host_nameservers=true"]);
    let report = json(&run);
    let of =
        |id: &str| report["problems"].as_array().unwrap().iter().find(|p| p["id"] == id).cloned().unwrap();
    assert_eq!((run.code, &of("port-in-use")["host"]), (1, &Json::from(names[0].as_str())));
    assert!(of("port-in-use")["message"].as_str().unwrap().contains("is used by `socat`"), "{report:#}");
    assert_eq!(of("port-closed")["host"], names[1].as_str(), "{report:#}");
    on(&names[0], &["systemctl", "stop", "taken"]);
    on(&names[1], &["iptables", "-F", "INPUT"]);

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

    // What helpers left goes, and nothing of them runs once those that cleaned up have ended, too.
    let run = kubespray(folder.path(), &lab, &["node", "clean"]);
    assert_eq!(run.code, 0, "{}{}", run.out, run.err);
    for name in &names {
        let left = lab
            .exec(
                name,
                &[
                    "sudo",
                    "sh",
                    "-c",
                    "ls -d /var/lib/kubespray 2>/dev/null; \
                     for _ in $(seq 50); do pgrep -f '[n]ode --stdio' || exit 0; sleep 0.1; done >/tmp/left; cat /tmp/left",
                ],
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
        assert_eq!(code == 0, run.out.contains("root by sudo with a password"), "{}", run.out);
        assert!(!run.err.contains(password) && !run.out.contains(password), "{}", run.err);
    }
    write_inventory(&lab, folder.path(), "nobody-of-this-name");
    let run = kubespray(folder.path(), &lab, &["ping"]);
    assert!(run.code == 1 && run.err.contains("does not accept the login"), "{}", run.err);
}
