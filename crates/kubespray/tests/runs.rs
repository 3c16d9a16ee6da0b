//! Plans and runs on real hosts.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test that cannot go on fails")]

mod support;

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use kubespray_lab::{Lab, LabOptions};
use rustix::process::Signal;
use support::{has, kubespray, left_out, sh, start, write_inventory};

const UNIT: &str = "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n";

fn file(name: &str, path: &str, text: &str, more: &str) -> String {
    let text = serde_json::to_string(text).unwrap();
    format!(
        "- name: {name}\n  hosts: all\n  resource: {{file: {{path: {path}, content: {{text: {text}}}, mode: '0644', owner: {{user: \
         root, group: root}}}}}}\n{more}"
    )
}

/// A service with its configuration and a secret, restarted one host at a time.
fn service(setting: &str) -> String {
    format!(
        "name: service\nrollouts: {{service: {{hosts: all}}}}\nsteps:\n- {{name: folder, hosts: all, resource: {{directory: {{path: \
         /opt/sample, mode: '0755', owner: {{user: root, group: root}}}}}}}}\n{}{}- name: secret\n  hosts: all\n  resource: {{file: \
         {{path: /opt/sample/secret, content: {{secret: 'p={{secret:my_pass}}'}}, mode: '0600', owner: {{user: root, group: root}}}}}}\n\
         - name: unit\n  hosts: all\n  phase: service\n  rollout: service\n  disruption: restart\n  resource: {{unit: {{name: \
         sample.service, enabled: true, running: started, may_be_missing: false}}}}\n",
        file(
            "config",
            "/opt/sample/config",
            &format!("setting={setting}\n"),
            "  notifies: ['unit:sample.service']\n"
        ),
        file(
            "unit-file",
            "/etc/systemd/system/sample.service",
            UNIT,
            "  notifies: ['unit:sample.service']\n"
        ),
    )
}

/// Steps that take a while: each waits and then makes a file, which says how often it was made.
fn slow(steps: usize, seconds: &str) -> String {
    let mut text = "name: slow\nsteps:\n".to_owned();
    for step in 0..steps {
        let _ = writeln!(
            text,
            "- {{name: s{step}, hosts: all, resource: {{command: {{argv: [sh, -c, 'sleep {seconds}; echo made >> /opt/slow-{step}'], \
             guards: [{{creates: /opt/slow-{step}}}], timeout_s: 60}}}}}}"
        );
    }
    text
}

fn site(name: &str, hosts: u8) -> (Lab, tempfile::TempDir) {
    let lab = Lab::up(&LabOptions { name: name.into(), hosts }).unwrap();
    let folder = tempfile::tempdir().unwrap();
    write_inventory(&lab, folder.path(), "lab");
    (lab, folder)
}

fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).unwrap();
}

fn all(lab: &Lab) -> Vec<String> {
    lab.hosts().into_iter().map(|host| host.name).collect()
}

#[test]
fn lab_a_document_is_made_true_once() {
    if left_out() {
        return;
    }
    let (lab, folder) = site("document", 3);
    let hosts = all(&lab);
    let folder = folder.path();
    write(folder, "d.yaml", &service("1"));
    let with =
        |arguments: &[&str]| kubespray(folder, &lab, &[arguments, &["-e", "my_pass=hunter22xyz"]].concat());

    let plan = with(&["plan", "resources", "d.yaml", "--out", "p.json", "--detailed-exitcode"]);
    has(&plan, 2, "15 changes on 3 of 3 hosts");
    has(&plan, 2, "+setting=1");
    let stored = std::fs::read_to_string(folder.join("p.json")).unwrap();
    assert!(!stored.contains("hunter22xyz") && !plan.out.contains("hunter22xyz"));

    let done = with(&["apply", "p.json", "--output", "json"]);
    assert_eq!(done.code, 0, "{}{}", done.out, done.err);
    assert!(done.out.contains("\"event\":\"report\"") && !done.out.contains("hunter22xyz"), "{}", done.out);
    let pids: Vec<String> =
        hosts.iter().map(|host| sh(&lab, host, "systemctl show -p MainPID --value sample.service")).collect();
    assert_eq!(
        sh(&lab, &hosts[0], "cat /opt/sample/secret; stat -c %a /opt/sample/secret"),
        "p=hunter22xyz600"
    );

    // Nothing differs: no run, nothing restarts.
    let began = Instant::now();
    has(&with(&["resources", "d.yaml"]), 0, "Nothing to do: 3 hosts as wished.");
    eprintln!("a second run over three hosts: {} ms", began.elapsed().as_millis());
    has(&with(&["plan", "resources", "d.yaml", "--detailed-exitcode"]), 0, "Nothing to do");

    // The plan of then is refused now, and says why.
    has(&with(&["apply", "p.json"]), 1, "as wished by now");

    // What somebody else changed is found, and only that; the unit restarts where its input was mended.
    sh(&lab, &hosts[1], "echo setting=9 > /opt/sample/config");
    let plan = with(&["plan", "resources", "d.yaml", "--detailed-exitcode"]);
    has(&plan, 2, "2 changes on 1 of 3 hosts");
    has(&plan, 2, "-setting=9");
    has(&with(&["resources", "d.yaml"]), 0, "done: 1 host changed");
    for (host, pid) in hosts.iter().zip(&pids) {
        let now = sh(&lab, host, "systemctl show -p MainPID --value sample.service");
        assert_eq!(now == *pid, *host != hosts[1], "{host}");
    }

    // Only what is asked for.
    write(folder, "d.yaml", &service("2"));
    has(&with(&["plan", "resources", "d.yaml", "-l", &hosts[2]]), 0, "2 changes on 1 of 1 host");
    has(&with(&["plan", "resources", "d.yaml", "--tags", "resourcs"]), 2, "did you mean `resources`?");

    // A failure names cause, evidence and the command that goes on; what could be done is done.
    write(folder, "d.yaml", &service("2").replace("/bin/sleep infinity", "/bin/false"));
    let failed = with(&["resources", "d.yaml"]);
    has(&failed, 1, "sample.service");
    has(&failed, 1, "to go on: kubespray runs resume ");
    has(&failed, 1, "-i hosts.yaml -e 'my_pass=***'");
    let shown = kubespray(folder, &lab, &["runs", "show"]);
    has(&shown, 0, "not done after");
    let list = kubespray(folder, &lab, &["runs", "list"]);
    assert_eq!(list.out.lines().count(), 3, "{}", list.out);
    write(folder, "d.yaml", &service("2"));
    has(&with(&["resources", "d.yaml"]), 0, "done: ");
    has(&with(&["plan", "resources", "d.yaml", "--detailed-exitcode"]), 0, "Nothing to do");
}

/// Answers every request on loopback with these bytes, and counts them.
fn serve(bytes: Vec<u8>) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/file", listener.local_addr().unwrap());
    let count: Arc<AtomicUsize> = Arc::default();
    let asked = Arc::clone(&count);
    thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            asked.fetch_add(1, Ordering::Relaxed);
            let mut request = BufReader::new(connection.try_clone().unwrap());
            let mut line = String::new();
            while request.read_line(&mut line).unwrap_or(0) > 2 {
                line.clear();
            }
            let head =
                format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", bytes.len());
            let _ = connection.write_all(head.as_bytes()).and_then(|()| connection.write_all(&bytes));
        }
    });
    (url, count)
}

#[test]
fn lab_files_come_through_the_controller() {
    if left_out() {
        return;
    }
    // Hosts of a lab reach nothing but each other and us: what they get, they get from here.
    let (lab, folder) = site("through", 3);
    let folder = folder.path();
    let bytes: Vec<u8> = (0..5_000_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let digest = kubespray_resource::Digest::of(&bytes);
    let (url, count) = serve(bytes);
    let document = |digest: &str| {
        format!(
            "name: files\nsteps:\n- name: file\n  hosts: all\n  resource: {{download: {{path: /opt/file, urls: ['{url}'], \
             from_controller: true, digest: '{digest}', mode: '0755', owner: {{user: root, group: root}}, no_proxy: '', \
             verify_tls: true, timeout_s: 20}}}}\n"
        )
    };
    write(folder, "d.yaml", &document(digest.as_str()));
    has(&kubespray(folder, &lab, &["resources", "d.yaml"]), 0, "done: 3 hosts changed");
    for host in all(&lab) {
        assert_eq!(sh(&lab, &host, "sha256sum < /opt/file | cut -d' ' -f1"), digest.as_str());
    }
    has(&kubespray(folder, &lab, &["resources", "d.yaml"]), 0, "Nothing to do");
    assert_eq!(count.load(Ordering::Relaxed), 1, "fetched once, for all and for ever");
    // A wrong checksum reaches no host.
    write(folder, "d.yaml", &document(&"0".repeat(64)));
    has(&kubespray(folder, &lab, &["resources", "d.yaml"]), 1, "could not be fetched");
    assert_eq!(sh(&lab, &all(&lab)[0], "sha256sum < /opt/file | cut -d' ' -f1"), digest.as_str());
}

#[test]
fn lab_runs_that_are_cut_off_go_on() {
    if left_out() {
        return;
    }
    let (lab, folder) = site("cutoff", 3);
    let hosts = all(&lab);
    let folder = folder.path();
    write(folder, "d.yaml", &slow(8, "0.3"));

    // SIGKILL at many points; each time another process goes on, until one gets to the end.
    let kills = std::env::var("KUBESPRAY_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(12);
    let mut run = start(folder, &lab, &["resources", "d.yaml"]);
    // From its first change on, there is a record to go on from.
    run.until("changed s0");
    for kill in 0..kills {
        thread::sleep(Duration::from_millis(137 * kill % 800));
        run.signal(Signal::KILL);
        run.wait();
        run = start(folder, &lab, &["runs", "resume"]);
        run.until("going on with resources");
    }
    let end = run.wait();
    has(&end, 0, "done");
    for host in &hosts {
        assert_eq!(
            sh(&lab, host, "cat /opt/slow-* | sort | uniq -c | xargs"),
            "8 made",
            "{host}: each step once"
        );
    }
    has(
        &kubespray(folder, &lab, &["plan", "resources", "d.yaml", "--detailed-exitcode"]),
        0,
        "Nothing to do",
    );

    write(folder, "d.yaml", &slow(12, "0.6"));
    // Two operators: the second is told who works; one that was killed can be gone on with or given up.
    for host in &hosts {
        sh(&lab, host, "rm /opt/slow-*");
    }
    let mut first = start(folder, &lab, &["resources", "d.yaml"]);
    first.until("changed s0");
    let second = kubespray(folder, &lab, &["resources", "d.yaml"]);
    has(&second, 1, "works on the cluster: resources");
    // Ctrl-C finishes the step under way and gives the lock back.
    first.signal(Signal::INT);
    let first = first.wait();
    has(&first, 1, "stopped");
    has(&first, 1, "to go on: kubespray runs resume ");
    let told = format!("{}{}", first.out, first.err);
    let told = told.split("runs resume ").nth(1).and_then(|rest| rest.split_whitespace().next());
    let run = told.unwrap().to_owned();
    let mut again = start(folder, &lab, &["resources", "d.yaml"]);
    again.until("changed s");
    again.signal(Signal::KILL);
    again.wait();
    has(&kubespray(folder, &lab, &["resources", "d.yaml"]), 1, "`--break-lock` gives it up");
    has(&kubespray(folder, &lab, &["resources", "d.yaml", "--break-lock"]), 0, "took the lock away from");
    // What somebody else has done since is not done over.
    let old = kubespray(folder, &lab, &["runs", "resume", &run]);
    has(&old, 2, "another run has worked on these hosts since: resources, run `");

    // A host that is cut off, or loses power, is waited for.
    for host in &hosts {
        sh(&lab, host, "rm /opt/slow-*");
    }
    let mut run = start(folder, &lab, &["resources", "d.yaml"]);
    run.until("changed s1");
    lab.partition(&hosts[0]).unwrap();
    lab.kill(&hosts[1]).unwrap();
    lab.boot(&hosts[1]).unwrap();
    thread::sleep(Duration::from_secs(1));
    lab.heal(&hosts[0]).unwrap();
    let run = run.wait();
    has(&run, 0, "done: 3 hosts changed");
    has(&run, 0, &format!("{}: no connection", hosts[1]));
    has(
        &kubespray(folder, &lab, &["plan", "resources", "d.yaml", "--detailed-exitcode"]),
        0,
        "Nothing to do",
    );
}
