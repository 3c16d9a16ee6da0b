//! Images, files and clients for tests.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "tests, of which not every file uses all of it"
)]

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::mpsc::channel;
use std::time::Duration;

use kubespray_bundle::{Event, FileEntry, FileNeed, ImageNeed, Needs, Reference, Store, Transfer, fill};
use kubespray_resource::Digest;
use serde_json::{Value, json};

/// Bytes that no compression and no luck makes equal.
pub fn noise(seed: u64, count: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    std::iter::repeat_with(next).take(count).collect()
}

pub fn hex(bytes: &[u8]) -> String {
    Digest::of(bytes).to_string()
}

/// An archive of members.
pub fn tar(members: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, bytes.as_slice()).unwrap();
    }
    builder.into_inner().unwrap()
}

/// A layer with one file.
pub fn layer(seed: u64, count: usize) -> Vec<u8> {
    tar(&[("etc/noise", noise(seed, count))])
}

fn config(architecture: &str, layers: &[Vec<u8>]) -> Vec<u8> {
    let diff_ids: Vec<String> = layers.iter().map(|layer| format!("sha256:{}", hex(layer))).collect();
    let config = json!({
        "architecture": architecture, "os": "linux", "config": {"Cmd": ["/x"]},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    });
    config.to_string().into_bytes()
}

/// What `docker save` writes.
pub fn docker_archive(name: &str, layers: &[Vec<u8>]) -> Vec<u8> {
    let mut members = Vec::new();
    let names: Vec<String> = (0..layers.len()).map(|number| format!("l{number}/layer.tar")).collect();
    for (name, layer) in names.iter().zip(layers) {
        members.push((name.as_str(), layer.clone()));
    }
    members.push(("config.json", config("amd64", layers)));
    let list = json!([{"Config": "config.json", "RepoTags": [name], "Layers": names}]);
    members.push(("manifest.json", list.to_string().into_bytes()));
    tar(&members)
}

/// A layout with an index of several architectures, each with one layer of its own and one that all share.
pub fn oci_archive(name: &str, architectures: &[&str], with: impl Fn(&str) -> bool) -> Vec<u8> {
    let mut members: Vec<(String, Vec<u8>)> = Vec::new();
    let mut add = |bytes: Vec<u8>, media_type: &str, keep: bool| {
        let digest = hex(&bytes);
        let descriptor =
            json!({"mediaType": media_type, "digest": format!("sha256:{digest}"), "size": bytes.len()});
        let path = format!("blobs/sha256/{digest}");
        if keep && !members.iter().any(|(known, _)| *known == path) {
            members.push((path, bytes));
        }
        descriptor
    };
    const OCI: &str = "application/vnd.oci.image";
    let mut manifests = Vec::new();
    for (number, architecture) in architectures.iter().enumerate() {
        let keep = with(architecture);
        let layers = [layer(900, 5_000), layer(number as u64, 300_000)];
        let configuration = add(config(architecture, &layers), &format!("{OCI}.config.v1+json"), keep);
        let layers = layers.map(|layer| add(layer, &format!("{OCI}.layer.v1.tar"), keep));
        let manifest = json!({"schemaVersion": 2, "mediaType": format!("{OCI}.manifest.v1+json"), "config": configuration, "layers": layers});
        let mut descriptor = add(manifest.to_string().into_bytes(), &format!("{OCI}.manifest.v1+json"), keep);
        descriptor["platform"] = json!({"architecture": architecture, "os": "linux"});
        manifests.push(descriptor);
    }
    let index =
        json!({"schemaVersion": 2, "mediaType": format!("{OCI}.index.v1+json"), "manifests": manifests});
    let mut top = add(index.to_string().into_bytes(), &format!("{OCI}.index.v1+json"), true);
    top["annotations"] = json!({"io.containerd.image.name": name});
    let layout = json!({"schemaVersion": 2, "manifests": [top]});
    members.push(("index.json".to_owned(), layout.to_string().into_bytes()));
    members.push(("oci-layout".to_owned(), b"{\"imageLayoutVersion\":\"1.0.0\"}".to_vec()));
    let members: Vec<(&str, Vec<u8>)> =
        members.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())).collect();
    tar(&members)
}

/// A file's entry.
pub fn entry(path: &str) -> FileEntry {
    FileEntry {
        path: path.to_owned(),
        name: "thing".to_owned(),
        version: "1".to_owned(),
        architecture: None,
        sha256: None,
    }
}

pub fn file_need(urls: &[String], bytes: &[u8]) -> FileNeed {
    FileNeed {
        name: "thing".to_owned(),
        version: "1".to_owned(),
        architecture: Some("amd64".to_owned()),
        sha256: Digest::of(bytes),
        urls: urls.to_vec(),
    }
}

pub fn image_need(reference: &str, platforms: &[&str]) -> ImageNeed {
    let reference = Reference::parse(reference).unwrap();
    ImageNeed {
        names: BTreeSet::from([reference.to_string()]),
        sources: vec![reference],
        platforms: platforms.iter().map(|platform| (*platform).to_owned()).collect(),
    }
}

/// Nobody waits in tests.
pub fn transfer() -> Transfer {
    Transfer {
        attempts: 3,
        pause: Duration::from_millis(1),
        timeout: Duration::from_secs(5),
        ..Transfer::default()
    }
}

/// Fills a store and gives what was told, sorted.
pub fn filled(store: &Store, needs: &Needs, transfer: &Transfer) -> Vec<Event> {
    let (sender, events) = channel();
    fill(store, needs, transfer, &std::collections::BTreeMap::new(), &sender);
    drop(sender);
    let mut events: Vec<Event> = events.into_iter().collect();
    events.sort_by_key(|event| format!("{event:?}"));
    events
}

/// An answer as it came.
#[derive(Debug)]
pub struct Got {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Got {
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .iter()
            .find(|(is, _)| is.eq_ignore_ascii_case(name))
            .map_or("", |(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The code of an error of the distribution protocol.
    pub fn code(&self) -> String {
        self.json()["errors"][0]["code"].as_str().unwrap().to_owned()
    }
}

/// Sends a request as it stands, with headers after its first line, and reads one answer.
pub fn ask(stream: &mut (impl Read + Write), first: &str, headers: &str) -> Got {
    write!(stream, "{first} HTTP/1.1\r\nHost: mirror.lan\r\n{headers}\r\n").unwrap();
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let mut got = Got { status, headers, body: Vec::new() };
    let length: usize = got.header("Content-Length").parse().unwrap_or(0);
    if !first.starts_with("HEAD") {
        got.body = vec![0; length];
        stream.read_exact(&mut got.body).unwrap();
    }
    got
}

pub fn get(address: SocketAddr, path: &str, headers: &str) -> Got {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    ask(&mut stream, &format!("GET {path}"), headers)
}

pub fn write(folder: &Path, name: &str, bytes: &[u8]) -> std::path::PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}
