//! `kubespray bundle`, from an inventory to a site that is served.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};

use kubespray_bundle::{FileEntry, Options, Store, serve};
use kubespray_resource::Digest;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value as Json, json};

struct Run {
    code: i32,
    out: String,
    err: String,
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubespray"));
    command.args(arguments).current_dir(folder).env("NO_COLOR", "1").env("HOME", folder);
    for name in ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "DOCKER_CONFIG"] {
        command.env_remove(name);
    }
    command
}

fn kubespray(folder: &Path, arguments: &[&str]) -> Run {
    let output = command(folder, arguments).output().unwrap();
    Run {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

const CONTENT: &[u8] = b"#!/bin/sh\n";

/// Files of the path that this inventory takes, all of which are the same here.
const CHECKSUMS: [&str; 9] = [
    "kubeadm_binary_checksum",
    "kubelet_binary_checksum",
    "kubectl_binary_checksum",
    "etcd_binary_checksum",
    "cni_binary_checksum",
    "crictl_binary_checksum",
    "containerd_archive_checksum",
    "runc_binary_checksum",
    "nerdctl_archive_checksum",
];

/// An inventory whose internet is a server of this machine.
fn write_inventory(folder: &Path, server: &str) {
    let mut variables = json!({
        "kube_network_plugin": "cni",
        "image_arch": "amd64",
        "github_url": format!("http://{server}/github.com"),
        "dl_k8s_io_url": format!("http://{server}/dl.k8s.io"),
        "kube_image_repo": format!("{server}/registry.k8s.io"),
        "docker_image_repo": format!("{server}/docker.io"),
        "quay_image_repo": format!("{server}/quay.io"),
    });
    for name in CHECKSUMS {
        variables[name] = format!("sha256:{}", Digest::of(CONTENT)).into();
    }
    let inventory = json!({"all": {
        "vars": variables,
        "hosts": {"n1": {"ansible_host": "10.0.0.1"}, "n2": {"ansible_host": "10.0.0.2"}},
        "children": {
            "kube_control_plane": {"hosts": {"n1": {}}},
            "etcd": {"hosts": {"n1": {}}},
            "kube_node": {"hosts": {"n1": {}, "n2": {}}},
        },
    }});
    std::fs::write(folder.join("hosts.yaml"), inventory.to_string()).unwrap();
}

/// What `verify` calls missing: paths of files and references of images.
fn missing(verified: &str) -> (Vec<String>, Vec<String>) {
    let verified: Json = serde_json::from_str(verified).unwrap();
    let (mut files, mut images) = (Vec::new(), Vec::new());
    for problem in verified["problems"].as_array().unwrap() {
        let message = problem["message"].as_str().unwrap();
        let name = message.split('`').nth(1).unwrap().to_owned();
        if message.starts_with("the file") { files.push(name) } else { images.push(name) }
    }
    (files, images)
}

/// An archive of an image without layers.
fn write_archive(path: &Path) {
    let config =
        json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}});
    let manifest = json!([{"Config": "config.json", "RepoTags": [], "Layers": []}]);
    let folder = path.parent().unwrap();
    for (name, value) in [("config.json", config), ("manifest.json", manifest)] {
        std::fs::write(folder.join(name), value.to_string()).unwrap();
    }
    let mut tar = Command::new("tar");
    tar.arg("-cf").arg(path).args(["config.json", "manifest.json"]).current_dir(folder);
    assert!(tar.status().unwrap().success());
}

fn body(url: &str, path: &str) -> (String, Vec<u8>) {
    let mut stream = TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    (head, answer[end..].to_vec())
}

#[test]
fn a_site_is_fetched_once_verified_and_served() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let upstream = Store::open(folder.join("upstream")).unwrap();
    let server = serve(&upstream, Options::default()).unwrap();
    let name = server.address().to_string();
    write_inventory(folder, &name);

    // What the site needs is what is missing in a bundle without anything.
    drop(Store::open(folder.join("bundle")).unwrap());
    let verify = ["bundle", "verify", "bundle", "-i", "hosts.yaml", "--output", "json"];
    let nothing = kubespray(folder, &verify);
    assert_eq!(nothing.code, 1, "{}", nothing.err);
    let (files, images) = missing(&nothing.out);
    assert_eq!(files.len(), CHECKSUMS.len(), "{files:?}");
    assert!(images.iter().any(|image| image.contains("/registry.k8s.io/kube-apiserver:v1.")), "{images:?}");
    assert!(images.iter().any(|image| image.contains("/docker.io/library/nginx:")), "{images:?}");
    let list = kubespray(folder, &["bundle", "list", "-i", "hosts.yaml", "--output", "json"]);
    let list: Json = serde_json::from_str(&list.out).unwrap();
    assert_eq!(list["files"].as_array().unwrap().len(), files.len());
    assert_eq!(list["images"].as_array().unwrap().len(), images.len());
    assert_eq!(list["files"][0]["urls"][0], format!("http://{}", files[0]));
    let archive = folder.join("image.tar");
    write_archive(&archive);
    for path in &files {
        let path = path.strip_prefix(&format!("{name}/")).unwrap().to_owned();
        let entry =
            FileEntry { path, name: String::new(), version: String::new(), architecture: None, sha256: None };
        upstream.add_file(entry, CONTENT).unwrap();
    }
    for image in &images {
        let there = image.strip_prefix(&format!("{name}/")).unwrap();
        upstream.add_image_archive(there, &archive).unwrap();
    }

    upstream.add_image_archive("own/tool:1", &archive).unwrap();
    let own = format!("{name}/own/tool:1");
    let create =
        ["bundle", "create", "-i", "hosts.yaml", "--out", "bundle", "--output", "json", "--image", &own];
    let first = kubespray(folder, &create);
    assert_eq!(first.code, 0, "{}{}", first.out, first.err);
    let last = |run: &Run| serde_json::from_str::<Json>(run.out.lines().last().unwrap()).unwrap();
    let count = files.len() + images.len() + 1;
    let end = last(&first);
    assert_eq!((&end["event"], &end["failed"]), (&json!("end"), &json!(0)));
    assert_eq!(end["fetched"].as_u64().unwrap() + end["here"].as_u64().unwrap(), count as u64);
    server.stop();
    let second = last(&kubespray(folder, &create));
    assert_eq!(
        (&second["fetched"], &second["here"], &second["bytes"]),
        (&json!(0), &json!(count), &json!(0))
    );
    let whole = kubespray(folder, &["bundle", "verify", "bundle", "-i", "hosts.yaml"]);
    assert_eq!(whole.code, 0, "{}", whole.err);
    assert!(whole.out.starts_with(&format!("whole: {} files", files.len())), "{}", whole.out);

    let mut serving = command(folder, &["bundle", "serve", "bundle", "--listen", "127.0.0.1:0", "-v"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(serving.stdout.take().unwrap()).lines();
    let line = lines.next().unwrap().unwrap();
    let url = line.split(" at ").nth(1).and_then(|rest| rest.split(';').next()).unwrap().to_owned();
    for path in &files {
        let path = path.strip_prefix(&name).unwrap();
        assert_eq!(body(&url, path).1, CONTENT, "{path}");
    }
    for image in &images {
        let (repository, tag) = image.rsplit_once(':').unwrap();
        let repository = repository.strip_prefix(&format!("{name}/")).unwrap();
        let (head, _) = body(&url, &format!("/v2/{repository}/manifests/{tag}"));
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    }
    assert!(body(&url, "/v2/own/tool/manifests/1").0.starts_with("HTTP/1.1 200 "));
    assert!(lines.next().unwrap().unwrap().contains(" GET /"));
    let id = Pid::from_raw(i32::try_from(serving.id()).unwrap()).unwrap();
    kill_process(id, Signal::TERM).unwrap();
    assert_eq!(serving.wait().unwrap().code(), Some(0));

    let blob = folder.join("bundle/blobs/sha256").join(Digest::of(CONTENT).as_str());
    std::fs::write(blob, "#!/bin/rm\n").unwrap();
    let broken = kubespray(folder, &["bundle", "verify", "bundle"]);
    assert_eq!(broken.code, 1);
    assert!(broken.out.starts_with("not whole"), "{}", broken.out);
    assert!(broken.err.contains("is broken: its digest is"), "{}", broken.err);
}

#[test]
fn what_cannot_be_used_is_one_clear_error() {
    let folder = tempfile::tempdir().unwrap();
    write_inventory(folder.path(), "127.0.0.1:9");
    for (arguments, code, said) in [
        (&["bundle", "verify", "none"][..], 2, "`none` is no bundle"),
        (&["bundle", "serve", "none"], 2, "`none` is no bundle"),
        (&["bundle", "create", "--out", "b"], 2, "--inventory"),
        (
            &["bundle", "create", "-i", "hosts.yaml", "--out", "b", "--image-archive", "pause.tar"],
            2,
            "is no reference and file",
        ),
        (
            &["bundle", "create", "-i", "hosts.yaml", "--out", "b", "-e", "runc_binary_checksum=sha512:12"],
            1,
            "has no checksum of the kind sha256: `sha512:12`",
        ),
        (&["bundle", "serve", ".", "--tls-cert", "x"], 2, "--tls-key"),
    ] {
        let run = kubespray(folder.path(), arguments);
        assert_eq!(run.code, code, "{arguments:?}: {}", run.err);
        assert!(run.err.contains(said), "{arguments:?}: {}", run.err);
    }
    // Two hosts that want the same are one problem.
    let run = kubespray(
        folder.path(),
        &["bundle", "create", "-i", "hosts.yaml", "--out", "b", "-e", "runc_binary_checksum=none"],
    );
    assert_eq!(run.err.matches("has no checksum").count(), 1, "{}", run.err);
    assert!(run.err.contains("the same on 1 other host"), "{}", run.err);
}

#[test]
fn architectures_come_from_the_inventory_the_command_line_or_are_said_to_be_taken() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    drop(Store::open(folder.join("empty")).unwrap());
    let hosts = |variables: &str| {
        let text = format!(
            "all:\n  vars: {{kube_network_plugin: cni}}\n  hosts:\n    n1: {variables}\n  children:\n    \
             kube_control_plane: {{hosts: {{n1: }}}}\n    etcd: {{hosts: {{n1: }}}}\n    kube_node: {{hosts: {{n1: }}}}\n"
        );
        std::fs::write(folder.join("hosts.yaml"), text).unwrap();
    };
    let kubeadms = |more: &[&str]| {
        let mut arguments = vec!["bundle", "verify", "empty", "-i", "hosts.yaml", "--output", "json"];
        arguments.extend(more);
        let run = kubespray(folder, &arguments);
        let (files, _) = missing(&run.out);
        let of: Vec<String> = files
            .iter()
            .filter(|path| path.ends_with("/kubeadm"))
            .map(|path| path.split('/').rev().nth(1).unwrap().to_owned())
            .collect();
        (of, run.err.contains("taken to be amd64: n1"))
    };
    let only = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    hosts("{}");
    assert_eq!(kubeadms(&[]), (only(&["amd64"]), true));
    assert_eq!(kubeadms(&["--arch", "arm64"]), (only(&["arm64"]), false));
    assert_eq!(kubeadms(&["--arch", "amd64,arm64"]), (only(&["amd64", "arm64"]), false));
    hosts("{image_arch: arm64}");
    assert_eq!(kubeadms(&[]), (only(&["arm64"]), false));
}

/// What an offline site sets, once as our guide says and once in the ways of Kubespray's sample.
const OFFLINE: [&str; 2] = [
    "files_repo: http://10.0.0.9:8080/
github_url: '{{ files_repo }}github.com'
dl_k8s_io_url: '{{ files_repo }}dl.k8s.io'
get_helm_url: '{{ files_repo }}get.helm.sh'
",
    "files_repo: http://files.lan
registry_host: registry.lan:5000
kube_image_repo: '{{ registry_host }}'
docker_image_repo: '{{ registry_host }}/docker.io'
quay_image_repo: '{{ registry_host }}'
github_image_repo: '{{ registry_host }}'
kubeadm_download_url: '{{ files_repo }}/dl.k8s.io/release/v{{ kube_version }}/bin/linux/{{ image_arch }}/kubeadm'
kubectl_download_url: '{{ files_repo }}/dl.k8s.io/release/v{{ kube_version }}/bin/linux/{{ image_arch }}/kubectl'
kubelet_download_url: '{{ files_repo }}/dl.k8s.io/release/v{{ kube_version }}/bin/linux/{{ image_arch }}/kubelet'
github_url: '{{ files_repo }}/github.com'
get_helm_url: '{{ files_repo }}/get.helm.sh'
",
];

#[test]
fn an_offline_site_needs_what_it_would_need_online() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let hosts = "all:\n  hosts: {n1: {ansible_host: 10.0.0.1}}\n  children:\n    kube_control_plane: {hosts: {n1: }}\n    \
                 etcd: {hosts: {n1: }}\n    kube_node: {hosts: {n1: }}\n";
    std::fs::write(folder.join("hosts.yaml"), hosts).unwrap();
    std::fs::create_dir(folder.join("group_vars")).unwrap();
    let needs = |variables: &str| {
        let common = "image_arch: amd64\nhelm_enabled: true\nmetrics_server_enabled: true\ncert_manager_enabled: true\n\
                      kube_network_plugin_multus: true\n";
        std::fs::write(folder.join("group_vars/all.yml"), format!("{common}{variables}")).unwrap();
        let run = kubespray(folder, &["bundle", "list", "-i", "hosts.yaml", "--output", "json"]);
        assert_eq!(run.code, 0, "{}", run.err);
        let list: Json = serde_json::from_str(&run.out).unwrap();
        let of = |key: &str, name: &str| {
            let mut names: Vec<String> =
                list[key].as_array().unwrap().iter().map(|one| one[name].to_string()).collect();
            names.sort();
            names
        };
        (of("files", "path"), of("images", "names"), list["files"][0]["urls"].clone())
    };
    let (files, images, _) = needs("");
    assert!(files.len() > 10 && images.len() > 15, "{files:?} {images:?}");
    for variables in OFFLINE {
        let (offline_files, offline_images, urls) = needs(variables);
        assert_eq!(offline_files, files, "{variables}");
        assert_eq!(offline_images, images, "{variables}");
        assert!(urls[0].as_str().unwrap().starts_with("https://dl.k8s.io/"), "{urls}");
        assert!(urls[1].as_str().unwrap().contains("/dl.k8s.io/release/"), "{urls}");
    }
}
