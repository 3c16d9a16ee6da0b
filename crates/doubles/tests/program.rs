//! The program as hosts have it: under the names of others, with a stamp. Tests of other crates find it built with these.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

fn run(folder: &Path, name: &str, arguments: &[&str]) -> Output {
    Command::new(folder.join(name)).args(arguments).output().unwrap()
}

#[test]
fn it_is_what_it_is_called_and_of_the_version_of_its_stamp() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let program = fs::read(env!("CARGO_BIN_EXE_kubespray-doubles")).unwrap();
    for name in ["kubeadm", "kubelet", "crictl"] {
        let path = folder.join(name);
        fs::write(&path, kubespray_doubles::stamp(&program, "v1.36.2")).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    for (name, arguments, expected) in [
        ("kubeadm", &["version", "-o", "short"][..], "v1.36.2\n"),
        ("kubelet", &["--version"], "Kubernetes v1.36.2\n"),
    ] {
        let output = run(folder, name, arguments);
        assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{output:?}");
    }
    let output = run(folder, "kubeadm", &["init", "--no-such-flag"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("unknown flag: --no-such-flag"), "{output:?}");
    let output = run(folder, "crictl", &["no-such-command"]);
    assert!(!output.status.success(), "{output:?}");
}
