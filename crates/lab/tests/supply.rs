//! A supply, and what it is made for on a host. Left out, with the reason, where a machine cannot have one; a failure
//! there when `KUBESPRAY_REQUIRE_LAB` is 1.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use kubespray_lab::{Lab, LabError, LabOptions, Supply};

/// A program to run and a score that such a host cannot give; `ctr` has limits of its own.
const TOO_MUCH: &str = r#""oomScoreAdj": -998, "args": ["/usr/sbin/nginx", "-t", "-g", "load_module /usr/lib/nginx/modules/ngx_stream_module.so;"],"#;

fn left_out() -> bool {
    let Some(reason) = Lab::missing().or_else(Supply::missing) else { return false };
    assert!(std::env::var_os("KUBESPRAY_REQUIRE_LAB").is_none_or(|value| value != "1"), "{reason}");
    eprintln!("left out: {reason}");
    true
}

/// Folders of programs, when the machine has any.
fn folders() -> Vec<PathBuf> {
    std::env::var_os("KUBESPRAY_LAB_BINARIES")
        .map(|folders| std::env::split_paths(&folders).collect())
        .unwrap_or_default()
}

fn output(lab: &Lab, host: &str, command: &str) -> String {
    let output = lab.exec(host, &["sudo", "sh", "-c", command]).unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command} on {host}: {} {said}", output.status);
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn send(lab: &Lab, host: &str, file: &Path, target: &str) {
    let status = Command::new("ssh")
        .args([OsStr::new("-F"), lab.ssh_config().as_os_str()])
        .args([host, "--", &format!("sudo sh -c 'cat > {target}'")])
        .stdin(Stdio::from(File::open(file).unwrap()))
        .status()
        .unwrap();
    assert!(status.success());
}

#[test]
fn a_host_runs_containers_of_a_supply() {
    if left_out() {
        return;
    }
    let start = Instant::now();
    let supply = Supply::make(&folders()).unwrap();
    eprintln!("the supply was there after {:?}", start.elapsed());
    let start = Instant::now();
    assert_eq!(Supply::make(&folders()).unwrap(), supply);
    eprintln!("and again after {:?}", start.elapsed());
    for file in &supply.files {
        let sum = Command::new("sha256sum").arg(&file.path).output().unwrap();
        assert!(String::from_utf8_lossy(&sum.stdout).starts_with(&file.sha256), "{}", file.name);
    }
    let names: BTreeSet<&str> = supply.files.iter().map(|file| file.name.as_str()).collect();
    assert!(names.is_superset(&["cni_plugins", "containerd", "etcd", "runc"].into()), "{names:?}");

    let lab = Lab::up(&LabOptions { name: "supply".into(), hosts: 1 }).unwrap();
    let host = "supply1";
    let run = |command: &str| output(&lab, host, command);
    for (name, unpack) in [
        ("containerd", "tar -C /usr/local -xzf /root/containerd"),
        ("cni_plugins", "mkdir -p /opt/cni/bin && tar -C /opt/cni/bin -xzf /root/cni_plugins"),
        ("etcd", "tar -C /usr/local/bin --strip-components=1 -xzf /root/etcd"),
        ("runc", "install -m 0755 /root/runc /usr/local/bin/runc"),
    ] {
        let file = supply.files.iter().find(|file| file.name == name).unwrap();
        send(&lab, host, &file.path, &format!("/root/{name}"));
        run(unpack);
        assert!(file.url.contains(&file.version), "{}", file.url);
    }
    let version = |name: &str| supply.version(name).unwrap().to_owned();
    for (command, name) in [
        ("containerd --version", "containerd"),
        ("runc --version", "runc"),
        ("etcd --version; etcdctl version; etcdutl version", "etcd"),
    ] {
        let said = run(command);
        assert!(said.contains(&version(name)), "{said}");
    }
    assert!(run("CNI_COMMAND=VERSION /opt/cni/bin/bridge").contains("supportedVersions"));
    run("systemd-run --unit=containerd containerd && until ctr version > /dev/null; do sleep 0.1; done");
    for image in &supply.images {
        send(&lab, host, &image.archive, "/root/image.tar");
        run("ctr images import /root/image.tar");
        run(&format!("ctr images ls -q | grep -Fx {}", image.reference));
    }

    // Programs find what they need in their images; rules can be read in the one that has to write them.
    for image in &supply.images {
        let name = image.reference.rsplit('/').next().unwrap().split(':').next().unwrap();
        if let Some(version) = supply.version("kubelet").filter(|_| name.starts_with("kube-")) {
            let said =
                run(&format!("ctr run --rm {} {name} /usr/local/bin/{name} --version", image.reference));
            assert!(said.contains(version), "{name}: {said}");
        }
        if name == "kube-proxy" {
            run(&format!("ctr run --rm --privileged --net-host {} rules iptables-save", image.reference));
        }
    }

    // The load balancer's image, asked for more than this host can give: fewer files than that and no such score.
    let nginx = supply.images.iter().find(|image| image.reference.contains("/nginx:")).unwrap();
    run(&format!("mkdir /mnt/root && ctr images mount --rw {} /mnt/root", nginx.reference));
    run(
        "mkdir /mnt/root/etc/nginx && echo 'events {} stream { server { listen 127.0.0.1:6443; proxy_pass 127.0.0.1:22; } }' \
         > /mnt/root/etc/nginx/nginx.conf",
    );
    let wanted = format!("s|\"process\": {{|& {TOO_MUCH}|");
    run(&format!(
        "ctr oci spec | sed -e 's/1024/1048576/' -e 's|\"rootfs\"|\"/mnt/root\"|' -e '{wanted}' > /root/spec.json"
    ));
    let said = run("ctr run --rm --config /root/spec.json probe 2>&1");
    assert!(said.contains("test is successful"), "{said}");
    // The engine asked for it, so the wrapper is what took it out.
    let real = "install -m 0755 /var/cache/lab-runc/* /usr/local/bin/runc; ctr run --rm --config /root/spec.json bare 2>&1 || true";
    let said = run(real);
    assert!(said.contains("create failed"), "{said}");
}

#[test]
fn a_missing_program_is_named() {
    if left_out() {
        return;
    }
    let empty = std::env::temp_dir();
    match Supply::make(&[empty.join("no-such-folder")]) {
        Err(LabError::NoProgram { program }) => assert_eq!(program, "kubeadm"),
        other => panic!("{other:?}"),
    }
}
