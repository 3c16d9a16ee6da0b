//! A site without the internet, by the commands and the settings of `docs/guides/air-gapped.md`.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test that cannot go on fails")]

mod support;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use kubespray_bundle::{Options, serve};
use kubespray_lab::{Lab, LabOptions, NETWORK_MANIFEST, Site, Supply};
use serde_json::Value as Json;
use support::site::{Programs, bundled};
use support::{has, kubespray, left_out, write_inventory};

const GUIDE: &str = include_str!("../../../docs/guides/air-gapped.md");

/// The oldest minor version that there is a catalogue of; other tests make the others.
const OLDEST: &str = "v1.34.8";

/// Where the guide's site is.
const ADDRESS: &str = "10.0.0.5:8080";

/// What the guide says that the site sets.
fn offline(address: &str) -> String {
    let block = GUIDE.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    assert!(block.contains(ADDRESS), "{block}");
    block.replace(ADDRESS, address)
}

fn bundle(folder: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubespray"));
    command.arg("bundle").args(words).current_dir(folder).env("HOME", folder).env("NO_COLOR", "1");
    // The real internet is not there, whatever this machine has.
    command.env("https_proxy", "http://127.0.0.1:9").env("no_proxy", "127.0.0.1").env_remove("http_proxy");
    command
}

fn succeeds(mut command: Command) -> String {
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (out, err) = (text(output.stdout), text(output.stderr));
    assert!(output.status.success(), "{out}{err}");
    out
}

#[test]
fn lab_a_site_without_the_internet_is_made_as_the_guide_says() {
    if left_out() {
        return;
    }
    let supply = Supply::make(&Programs::or_doubles_of(OLDEST).folders()).unwrap();
    let lab = Lab::up(&LabOptions { name: "fair".into(), hosts: 1 }).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_inventory(&lab, folder, "lab");

    // The internet is a server of this machine, which hosts do not reach.
    let internet = serve(
        &bundled(&supply, &folder.join("internet")),
        Options { listen: Some(SocketAddr::from(([127, 0, 0, 1], 0))), ..Options::default() },
    )
    .unwrap();
    let manifest = folder.join(NETWORK_MANIFEST);
    let names = Site {
        files: String::new(),
        registry: "docker.io".into(),
        registry_url: String::new(),
        nameserver: lab.gateway(),
        manifest: manifest.display().to_string(),
    };
    fs::write(manifest, names.network_manifest()).unwrap();
    // Versions and checksums of what is at hand; where it is from is said by others.
    let mut variables = supply.variables(&names).unwrap();
    variables.retain(|name, _| {
        !["files_repo", "registry_host", "containerd_registries_mirrors"].contains(&name.as_str())
            && !name.ends_with("_url")
            && !name.ends_with("_image_repo")
    });
    let all = folder.join("group_vars/all");
    fs::create_dir_all(&all).unwrap();
    fs::write(all.join("supply.yml"), Json::Object(variables).to_string()).unwrap();

    // One inventory serves both sides: first it names where the internet is.
    fs::write(all.join("offline.yml"), offline(&internet.address().to_string())).unwrap();
    let create = ["create", "-i", "hosts.yaml", "--out", "bundle", "--image", "docker.io/lab/network:1"];
    succeeds(bundle(folder, &create));
    internet.stop();

    let listen = format!("{}:0", lab.gateway());
    let mut serving =
        bundle(folder, &["serve", "bundle", "--listen", &listen]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(serving.stdout.take().unwrap()).lines();
    let line = lines.next().unwrap().unwrap();
    let url = line.split(" at http://").nth(1).and_then(|rest| rest.split(';').next()).unwrap();
    fs::write(all.join("offline.yml"), offline(url)).unwrap();
    let verified = succeeds(bundle(folder, &["verify", "bundle", "-i", "hosts.yaml"]));
    assert!(verified.starts_with("whole: "), "{verified}");

    let made = kubespray(folder, &lab, &["cluster"]);
    let again = kubespray(folder, &lab, &["cluster"]);
    serving.kill().unwrap();
    serving.wait().unwrap();
    has(&made, 0, "the cluster works: ");
    has(&again, 0, "Nothing to do: 1 host as wished.");
}
