//! What users see for bad input: one clear diagnostic each, never a panic, never a hang.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use kubespray_diagnostics::{Style, render};
use kubespray_inventory::{Inventory, Options, Secret, Vault};

/// Writes `path: text` pairs below a folder; texts that start with `#!` are made executable.
fn write(root: &Path, files: &[(&str, &str)]) {
    for (path, text) in files {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        if text.starts_with("#!") {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
    }
}

fn options() -> Options {
    let vault = Vault::new(vec![("default".into(), Secret::new(b"right"))]);
    Options { vault: Arc::new(vault), extra_vars: Vec::new(), script_timeout: Duration::from_millis(300) }
}

/// The diagnostics of loading sources below a folder, with the folder's own path taken out.
fn shown(root: &Path, sources: &[&str], extra: &[&str]) -> String {
    let full = |source: &&str| root.join(source).to_string_lossy().into_owned();
    let sources: Vec<String> = sources.iter().map(full).collect();
    let extra_vars = extra.iter().map(|e| e.replace("{ROOT}", &root.to_string_lossy())).collect();
    let options = Options { extra_vars, ..options() };
    let (verdict, problems) = match Inventory::load(&sources, &options) {
        Ok(inventory) => ("accepted", inventory.warnings().to_vec()),
        Err(problems) => ("refused", problems),
    };
    let mut out = vec![verdict.to_owned()];
    out.extend(problems.iter().map(|p| render(p, Style::default())));
    out.join("\n\n").replace(&format!("{}/", root.display()), "")
}

/// Name, files, sources, extra vars.
type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [&'a str], &'a [&'a str]);

/// One snapshot for a table of cases.
fn report(cases: &[Case<'_>]) -> String {
    let mut out = Vec::new();
    for (name, files, sources, extra) in cases {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), files);
        out.push(format!("===== {name}\n{}\n\n", shown(folder.path(), sources, extra)));
    }
    out.concat()
}

const HOSTS: (&str, &str) = ("hosts.yaml", "all:\n  hosts:\n    node1:\n");

#[test]
fn sources() {
    let report = report(&[
        ("none", &[], &[], &[]),
        ("missing file", &[HOSTS], &["host.yaml"], &[]),
        ("missing folder", &[], &["nowhere/hosts.yaml"], &[]),
        ("not a list", &[], &["node1"], &[]),
        ("empty file", &[("hosts.yaml", " \n")], &["hosts.yaml"], &[]),
        ("only a comment", &[("hosts.yaml", "---\n# nothing\n")], &["hosts.yaml"], &[]),
        ("binary", &[("hosts", "a\0b")], &["hosts"], &[]),
        ("toml", &[("hosts.toml", "[all]\n")], &["hosts.toml"], &[]),
        ("plugin", &[("aws.yml", "plugin: amazon.aws.aws_ec2\nregions: [a]\n")], &["aws.yml"], &[]),
        ("folder with a stranger", &[HOSTS, ("README.md", "# My cluster\nSome words here\n")], &["."], &[]),
        ("folder with half an inventory", &[HOSTS, ("notes.txt", "one\ntwo words\n")], &["."], &[]),
    ]);
    insta::assert_snapshot!(report);
}

#[test]
fn yaml_shapes() {
    let report = report(&[
        ("top list", &[("h.yaml", "- a\n")], &["h.yaml"], &[]),
        ("top text", &[("h.yaml", "just words\n")], &["h.yaml"], &[]),
        ("broken", &[("h.yaml", "all:\n  hosts:\n    a: {x: 1\n")], &["h.yaml"], &[]),
        ("group list", &[("h.yaml", "all:\n  children:\n    g:\n      - a\n")], &["h.yaml"], &[]),
        ("top group list", &[("h.yaml", "g:\n  - a\nall:\n  hosts: {a: }\n")], &["h.yaml"], &[]),
        ("hosts list", &[("h.yaml", "all:\n  hosts:\n    - a\n")], &["h.yaml"], &[]),
        ("vars list", &[("h.yaml", "all:\n  hosts: {a: }\n  vars:\n    - x: 1\n")], &["h.yaml"], &[]),
        ("host text", &[("h.yaml", "all:\n  hosts:\n    a: 10.0.0.1\n")], &["h.yaml"], &[]),
        (
            "number as host",
            &[("h.yaml", "all:\n  hosts:\n    10: {}\n  children: {on: {}}\n")],
            &["h.yaml"],
            &[],
        ),
        (
            "misspelt sections",
            &[(
                "h.yaml",
                "all:\n  hosts: {a: }\n  childern: {}\n  host:\n    b:\n  kube_version: 1\n  etcd:\n    hosts: {a: }\n",
            )],
            &["h.yaml"],
            &[],
        ),
        ("range", &[("h.yaml", "all:\n  hosts:\n    \"n[1:x]\":\n    \"n[5:1]\":\n")], &["h.yaml"], &[]),
        (
            "loop",
            &[(
                "h.yaml",
                "a:\n  children:\n    b:\n      children:\n        c:\n          children:\n            a:\n",
            )],
            &["h.yaml"],
            &[],
        ),
        ("host and group", &[("h.yaml", "etcd:\n  hosts:\n    etcd: {x: 1}\n")], &["h.yaml"], &[]),
        ("priority", &[("h.yaml", "g:\n  vars: {ansible_group_priority: high}\n")], &["h.yaml"], &[]),
        (
            "several mistakes in several files",
            &[
                ("a.yaml", "g:\n  hosts: [a]\nh:\n  vars: 5\n"),
                ("b.ini", "[g\nx y\n"),
                ("group_vars/all.yml", "a: {\n"),
            ],
            &["a.yaml", "b.ini"],
            &[],
        ),
    ]);
    insta::assert_snapshot!(report);
}

#[test]
fn scripts() {
    let report = report(&[
        ("fails", &[("i.sh", "#!/bin/sh\necho no access >&2\nexit 3\n")], &["i.sh"], &[]),
        ("hangs", &[("i.sh", "#!/bin/sh\nsleep 60\n")], &["i.sh"], &[]),
        ("no json", &[("i.sh", "#!/bin/sh\necho hello\n")], &["i.sh"], &[]),
        ("prints nothing", &[("i.sh", "#!/bin/sh\n")], &["i.sh"], &[]),
        ("list", &[("i.sh", "#!/bin/sh\necho '[]'\n")], &["i.sh"], &[]),
        ("no interpreter", &[("i.sh", "#!/nonexistent/python\n")], &["i.sh"], &[]),
        (
            "host fails",
            &[("i.sh", "#!/bin/sh\n[ $1 = --list ] && echo '{\"g\": [\"a\"]}' || exit 1\n")],
            &["i.sh"],
            &[],
        ),
        ("bad hosts", &[("i.sh", "#!/bin/sh\necho '{\"g\": {\"hosts\": \"a\"}}'\n")], &["i.sh"], &[]),
    ]);
    insta::assert_snapshot!(report);
}

#[test]
fn variable_files() {
    let secret = Vault::encrypt(b"a: {\n", &Secret::new(b"right"), None, &[1; 32]);
    let wrong = Vault::encrypt(b"a: 1\n", &Secret::new(b"wrong"), Some("prod"), &[1; 32]);
    let report = report(&[
        ("list", &[HOSTS, ("group_vars/all.yml", "- a: 1\n")], &["hosts.yaml"], &[]),
        ("text", &[HOSTS, ("host_vars/node1", "hello\n")], &["hosts.yaml"], &[]),
        ("no folder", &[HOSTS, ("group_vars", "a: 1\n")], &["hosts.yaml"], &[]),
        ("wrong password", &[HOSTS, ("group_vars/all/secret.yml", &wrong)], &["hosts.yaml"], &[]),
        ("secret text is not shown", &[HOSTS, ("group_vars/all/secret.yml", &secret)], &["hosts.yaml"], &[]),
        ("binary", &[HOSTS, ("group_vars/all/x", "\0\0")], &["hosts.yaml"], &[]),
        ("not for anybody", &[HOSTS, ("group_vars/other.yml", "{")], &["hosts.yaml"], &[]),
    ]);
    insta::assert_snapshot!(report);
}

#[test]
fn extra_vars() {
    let report = report(&[
        ("missing file", &[HOSTS], &["hosts.yaml"], &["@{ROOT}/e.yml"]),
        ("file name", &[HOSTS], &["hosts.yaml"], &["./e.yml"]),
        ("list", &[HOSTS], &["hosts.yaml"], &["[1, 2]"]),
        ("broken", &[HOSTS], &["hosts.yaml"], &["{\"a\": "]),
        ("quote", &[HOSTS], &["hosts.yaml"], &["a='b"]),
        ("word", &[HOSTS], &["hosts.yaml"], &["a=1 stray"]),
    ]);
    insta::assert_snapshot!(report);
}

#[test]
fn links_in_a_circle_end() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write(root, &[("inv/hosts.yaml", HOSTS.1), ("inv/group_vars/all/a.yml", "a: 1\n")]);
    symlink("..", root.join("inv/group_vars/all/up")).unwrap();
    let text = shown(root, &["inv"], &[]);
    assert!(text.starts_with("refused") && text.contains("contains itself through a link"), "{text}");
    std::fs::remove_file(root.join("inv/group_vars/all/up")).unwrap();
    symlink(".", root.join("inv/again")).unwrap();
    let text = shown(root, &["inv"], &[]);
    assert!(text.contains("the folder `inv/again` contains itself"), "{text}");
    std::fs::remove_file(root.join("inv/again")).unwrap();
    symlink("nothing", root.join("inv/dangling")).unwrap();
    assert!(shown(root, &["inv"], &[]).contains("a link to something that does not exist"));
}

#[test]
fn bombs_are_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let huge = std::fs::File::create(root.join("huge.yaml")).unwrap();
    huge.set_len(70 << 20).unwrap();
    let braces = format!("all: {}", "{a: ".repeat(100_000));
    let groups: Vec<String> = (0..100_000).map(|n| format!("[g{n}:children]\ng{}", n + 1)).collect();
    let groups = groups.join("\n") + "\n[g100000]\n";
    let nested = format!("x={}\n", "[".repeat(100_000));
    write(
        root,
        &[("deep.yaml", &braces), ("chain.ini", &groups), ("literal.ini", &format!("[all:vars]\n{nested}"))],
    );
    let start = std::time::Instant::now();
    assert!(shown(root, &["huge.yaml"], &[]).contains("larger than 64 MiB"));
    assert!(shown(root, &["deep.yaml"], &[]).starts_with("refused"));
    assert!(shown(root, &["chain.ini"], &[]).contains("nested deeper than 500 levels"));
    assert!(shown(root, &["literal.ini"], &[]).starts_with("accepted"));
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}
