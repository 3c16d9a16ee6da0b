//! `kubespray render` and the part of `kubespray verify` that needs no host, as users run them.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value as Json;

struct Run {
    code: i32,
    out: String,
    err: String,
}

fn kubespray(folder: &Path, arguments: &[&str]) -> Run {
    let output = Command::new(env!("CARGO_BIN_EXE_kubespray"))
        .args(arguments)
        .current_dir(folder)
        .env("NO_COLOR", "1")
        .output()
        .unwrap();
    Run {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Three hosts, one of them without an address in the inventory.
const HOSTS: &str = "\
all:
  vars: {kube_encrypt_secret_data: true, dl_k8s_io_url: 'https://me:s3cr3t@mirror.local'}
  hosts:
    c: {ip: 10.0.0.1, containerd_registry_auth: [{registry: r.local, username: u, password: s3cr3t}]}
    w: {ip: 10.0.0.2}
    x: {}
  children:
    kube_control_plane: {hosts: {c: }}
    kube_node: {hosts: {c: , w: , x: }}
    etcd: {hosts: {c: }}
";

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("hosts.yaml"), HOSTS).unwrap();
    folder
}

fn render(folder: &Path, more: &[&str]) -> Run {
    let arguments = ["render", "-i", "hosts.yaml", "--os", "debian-13", "--out", "out"];
    kubespray(folder, &[&arguments[..], more].concat())
}

/// All files of a folder with their bytes.
fn tree(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut out = BTreeMap::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_string_lossy().into_owned();
                out.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    out
}

#[test]
fn a_tree_for_each_host_with_a_manifest_and_no_secret() {
    let folder = folder();
    let run = render(folder.path(), &[]);
    assert_eq!(run.code, 0, "{}", run.err);
    assert!(run.out.starts_with("wrote `out`: 3 hosts, "), "{}", run.out);
    let tree = tree(&folder.path().join("out"));
    for path in ["c/etc/etcd.env", "w/etc/kubernetes/kubelet-config.yaml", "x/manifest.json", "manifest.json"]
    {
        assert!(tree.contains_key(path), "no `{path}` in {:?}", tree.keys());
    }
    for (path, bytes) in &tree {
        assert!(!String::from_utf8_lossy(bytes).contains("s3cr3t"), "`{path}` tells a secret");
    }
    let manifest: Json = serde_json::from_slice(&tree["c/manifest.json"]).unwrap();
    assert_eq!(
        (manifest["made_by"].as_str(), manifest["host"].as_str()),
        (Some("kubespray render"), Some("c"))
    );
    let items = manifest["items"].as_array().unwrap();
    let of = |path: &str, kind: &str| {
        let found = items.iter().find(|item| item["path"] == path && item["kind"] == kind);
        found.unwrap_or_else(|| panic!("no {kind} `{path}`"))
    };
    let secret = of("/etc/kubernetes/ssl/secrets_encryption.yaml", "file");
    assert_eq!(secret["secrets"], serde_json::json!(["generated/kube_encrypt_token"]));
    let text = String::from_utf8_lossy(&tree["c/etc/kubernetes/ssl/secrets_encryption.yaml"]);
    assert!(text.contains("{secret:generated/kube_encrypt_token"), "{text}");
    let unit = of("etcd.service", "unit");
    assert_eq!((unit["enabled"].as_bool(), unit["step"].as_str()), (Some(true), Some("c/etcd/running")));
    let file = of("/etc/etcd.env", "file");
    assert_eq!((file["mode"].as_str(), file["owner"].as_str()), (Some("0640"), Some("root")));
    let kubelet = items.iter().find(|item| {
        item["kind"] == "download" && item["path"].as_str().is_some_and(|path| path.contains("kubelet-"))
    });
    let kubelet = kubelet.unwrap();
    assert!(kubelet["urls"][0].as_str().unwrap().starts_with("https://{secret}@mirror.local/"), "{kubelet}");
    assert_eq!(kubelet["sha256"].as_str().unwrap().len(), 64);
    for kind in ["directory", "certificate", "key", "sysctl", "unpacked", "link"] {
        assert!(items.iter().any(|item| item["kind"] == kind), "no {kind}");
    }
}

#[test]
fn the_same_input_gives_the_same_bytes_and_replaces_what_was_there() {
    let folder = folder();
    let out = folder.path().join("out");
    assert_eq!(render(folder.path(), &[]).code, 0);
    let first = tree(&out);
    fs::write(out.join("c/etc/stale"), "from an earlier version").unwrap();
    assert_eq!(render(folder.path(), &[]).code, 0);
    assert_eq!(tree(&out), first);
    assert_eq!(render(folder.path(), &["--host", "w"]).code, 0);
    let hosts: Vec<String> = fs::read_dir(&out)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    assert_eq!(hosts.len(), 2, "{hosts:?}");
    assert_eq!(tree(&out)["w/manifest.json"], first["w/manifest.json"]);
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "nothing is left beside it: {left:?}");
}

#[test]
fn systems_differ_and_facts_are_taken_first() {
    let folder = folder();
    let packages = |os: &str| {
        let run = kubespray(folder.path(), &["render", "-i", "hosts.yaml", "--os", os, "--out", "out"]);
        assert_eq!(run.code, 0, "{}", run.err);
        tree(&folder.path().join("out"))
    };
    let [debian12, debian13, jammy, noble] =
        ["debian-12", "debian-13", "ubuntu-22.04", "ubuntu-24.04"].map(packages);
    assert!(debian13.keys().eq(debian12.keys()));
    assert_ne!(debian13, noble, "systemd-resolved owns the resolvers of Ubuntu");
    assert!(noble.keys().eq(jammy.keys()));
    let wrong = kubespray(folder.path(), &["render", "-i", "hosts.yaml", "--out", "other"]);
    assert_eq!(wrong.code, 2);
    assert!(wrong.err.contains("no facts of these hosts: c, w and x"), "{}", wrong.err);
    assert!(!folder.path().join("other").exists());
    fs::write(folder.path().join("facts.json"), "{\"c\": {\"ansible_architecture\": \"x86_64\"}}").unwrap();
    let wrong = render(folder.path(), &["--facts", "facts.json"]);
    assert!(wrong.code == 2 && wrong.err.contains("`kubespray facts"), "{}", wrong.err);
}

#[test]
fn what_others_made_is_never_replaced() {
    let folder = folder();
    let out = folder.path().join("out");
    fs::create_dir(&out).unwrap();
    assert_eq!(render(folder.path(), &[]).code, 0, "an empty folder is nobody's");
    fs::write(out.join("manifest.json"), "{\"made_by\": \"somebody\"}").unwrap();
    let before = tree(&out);
    let run = render(folder.path(), &[]);
    assert_eq!(run.code, 2);
    assert!(run.err.contains("holds what `kubespray render` did not write"), "{}", run.err);
    assert_eq!(tree(&out), before);
    fs::remove_dir_all(&out).unwrap();
    fs::write(&out, "a file").unwrap();
    assert!(render(folder.path(), &[]).err.contains("`out` is no folder"));
    let run = kubespray(
        folder.path(),
        &["render", "-i", "hosts.yaml", "--os", "debian-13", "--host", "y", "--out", "z"],
    );
    assert!(run.code == 2 && run.err.contains("no host `y`"), "{}", run.err);
}

#[test]
fn every_assertion_is_in_the_guide_and_others_are_refused() {
    let folder = folder();
    let run = kubespray(folder.path(), &["verify", "api-answer", "-i", "hosts.yaml"]);
    assert_eq!(run.code, 2);
    assert!(run.err.contains("did you mean `api-answers`?"), "{}", run.err);
    let run = kubespray(folder.path(), &["verify", "nothing-of-ours", "-i", "hosts.yaml"]);
    let (_, names) = run.err.split_once("there are ").unwrap_or_else(|| panic!("{}", run.err));
    let guide =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/guides/verify.md")).unwrap();
    let names: Vec<&str> = names.split_whitespace().map(|name| name.trim_end_matches(',')).collect();
    assert!(names.len() > 30, "{names:?}");
    for name in names {
        assert!(guide.contains(&format!("| `{name}")), "the guide has no row of `{name}`");
    }
}
