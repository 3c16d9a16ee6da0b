//! A store, asked by clients.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use kubespray_bundle::{Identity, Options, Server, Store, serve};
use kubespray_resource::Digest;
use support::{ask, docker_archive, entry, get, hex, layer, noise, oci_archive, write};

const KUBEADM: &str = "dl.k8s.io/release/v1.36.2/bin/linux/amd64/kubeadm";

struct Site {
    folder: tempfile::TempDir,
    store: Store,
    server: Server,
}

/// A file, an image with two architectures and one with one, served.
fn site() -> Site {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("store")).unwrap();
    store.add_file(entry(KUBEADM), noise(1, 100_000).as_slice()).unwrap();
    store.add_file(entry("github.com/a/b/x.tar.gz"), b"gzip".as_slice()).unwrap();
    let archive = oci_archive("registry.k8s.io/coredns/coredns:v1.12.4", &["amd64", "arm64"], |_| true);
    let path = write(folder.path(), "coredns.tar", &archive);
    store.add_image_archive("registry.k8s.io/coredns/coredns:v1.12.4", &path).unwrap();
    for (name, seed) in [("docker.io/library/pause:3", 5), ("registry.k8s.io/library/pause:3", 6)] {
        let path = write(folder.path(), "pause.tar", &docker_archive(name, &[layer(seed, 1_000)]));
        store.add_image_archive(name, &path).unwrap();
    }
    let server = serve(&store, Options::default()).unwrap();
    Site { folder, store, server }
}

#[test]
fn files_are_given_below_the_names_of_their_servers_and_without() {
    let site = site();
    let address = site.server.address();
    let bytes = noise(1, 100_000);
    let got = get(address, &format!("/{KUBEADM}"), "");
    assert_eq!((got.status, &got.body), (200, &bytes));
    assert_eq!(got.header("Content-Type"), "application/octet-stream");
    assert_eq!(got.header("Accept-Ranges"), "bytes");
    let tag = got.header("ETag").to_owned();
    assert_eq!(tag, format!("\"sha256:{}\"", hex(&bytes)));
    assert_eq!(get(address, "/release/v1.36.2/bin/linux/amd64/kubeadm", "").body, bytes);
    assert_eq!(get(address, "/github.com/a/b/x.tar.gz", "").header("Content-Type"), "application/gzip");
    assert_eq!(get(address, "/github.com/a/%62/x.tar.gz", "").body, b"gzip");
    let same = get(address, &format!("/{KUBEADM}"), &format!("If-None-Match: W/\"x\", {tag}\r\n"));
    assert_eq!((same.status, same.body.len()), (304, 0));
    for (headers, status, range, part) in [
        ("Range: bytes=10-19\r\n".to_owned(), 206, "bytes 10-19/100000", &bytes[10..20]),
        ("Range: bytes=99990-\r\n".to_owned(), 206, "bytes 99990-99999/100000", &bytes[99_990..]),
        ("Range: bytes=-5\r\n".to_owned(), 206, "bytes 99995-99999/100000", &bytes[99_995..]),
        (format!("Range: bytes=0-0\r\nIf-Range: {tag}\r\n"), 206, "bytes 0-0/100000", &bytes[..1]),
        ("Range: bytes=0-0\r\nIf-Range: \"old\"\r\n".to_owned(), 200, "", &bytes[..]),
        ("Range: bytes=100000-\r\n".to_owned(), 416, "bytes */100000", &[][..]),
    ] {
        let got = get(address, &format!("/{KUBEADM}"), &headers);
        assert_eq!((got.status, got.header("Content-Range")), (status, range), "{headers}");
        assert_eq!(got.body, part, "{headers}");
    }
    assert_eq!(get(address, "/dl.k8s.io/none", "").status, 404);
    let listing = String::from_utf8(get(address, "/", "").body).unwrap();
    assert!(listing.contains(KUBEADM) && listing.contains("coredns/coredns:v1.12.4"), "{listing}");
}

#[test]
fn a_connection_serves_many_requests_and_heads_have_no_bodies() {
    let site = site();
    let mut stream = TcpStream::connect(site.server.address()).unwrap();
    for _ in 0..3 {
        let head = ask(&mut stream, &format!("HEAD /{KUBEADM}"), "");
        assert_eq!((head.status, head.header("Content-Length")), (200, "100000"));
        assert_eq!(ask(&mut stream, &format!("GET /{KUBEADM}"), "").body.len(), 100_000);
        assert_eq!(ask(&mut stream, "GET /none", "").status, 404);
    }
    let last = ask(&mut stream, "GET /none", "Connection: close\r\n");
    assert_eq!(last.header("Connection"), "close");
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
}

#[test]
fn nothing_outside_of_the_list_is_given() {
    let site = site();
    write(site.folder.path(), "secret", b"secret");
    let address = site.server.address();
    for path in [
        "/../secret",
        "/%2e%2e/secret",
        "/..%2fsecret",
        "/dl.k8s.io/../../secret",
        "//etc/passwd",
        "/blobs/../../secret",
        "/bundle.json",
        "/index.json",
        "/partial/lock",
        "/v2/../secret",
        "/v2/library/pause/blobs/../../../secret",
        "/v2/library/pause/blobs/sha256:../../../secret",
        "/v2/library/pause/manifests/..%2f..%2fsecret",
    ] {
        let got = get(address, path, "");
        assert!([400, 404].contains(&got.status), "{path}: {}", got.status);
        assert!(!String::from_utf8_lossy(&got.body).contains("root:"), "{path}");
    }
    // A blob that belongs to no image is none of the registry, though it is in the folder.
    let file = hex(&noise(1, 100_000));
    assert_eq!(get(address, &format!("/v2/library/pause/blobs/sha256:{file}"), "").code(), "BLOB_UNKNOWN");
}

#[test]
fn requests_that_are_none_are_refused_and_the_server_lives() {
    let site = site();
    let address = site.server.address();
    for (bytes, status) in [
        (&b"nonsense\r\n\r\n"[..], "400"),
        (b"GET / HTTP/9\r\n\r\n", "505"),
        (b"\xff\xfe / HTTP/1.1\r\n\r\n", "400"),
        (b"\x16\x03\x01\x02\x00\n\n", "400"),
    ] {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(bytes).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{bytes:?}: {text}");
    }
    let mut long = TcpStream::connect(address).unwrap();
    let _ = long.write_all(format!("GET /{} HTTP/1.1\r\n", "a".repeat(20_000)).as_bytes());
    let mut text = Vec::new();
    let _ = long.read_to_end(&mut text);
    assert!(text.is_empty() || text.starts_with(b"HTTP/1.1 431 "));
    let put = {
        let mut stream = TcpStream::connect(address).unwrap();
        ask(&mut stream, &format!("PUT /{KUBEADM}"), "Content-Length: 0\r\n")
    };
    assert_eq!((put.status, put.header("Allow")), (405, "GET, HEAD"));
    assert_eq!(get(address, &format!("/{KUBEADM}"), "").status, 200);
}

#[test]
fn the_registry_speaks_the_distribution_protocol() {
    let site = site();
    let address = site.server.address();
    let base = get(address, "/v2/", "");
    assert_eq!((base.status, base.header("Docker-Distribution-Api-Version")), (200, "registry/2.0"));
    let index = "application/vnd.oci.image.index.v1+json";
    for name in ["coredns/coredns", "registry.k8s.io/coredns/coredns"] {
        let accept = format!("Accept: {index}, */*;q=0.1\r\n");
        let top = get(address, &format!("/v2/{name}/manifests/v1.12.4?ns=registry.k8s.io"), &accept);
        assert_eq!((top.status, top.header("Content-Type")), (200, index), "{name}");
        let digest = top.header("Docker-Content-Digest").to_owned();
        assert_eq!(digest, format!("sha256:{}", hex(&top.body)));
        let by_digest = get(address, &format!("/v2/{name}/manifests/{digest}"), &accept);
        assert_eq!(by_digest.body, top.body);
        for child in top.json()["manifests"].as_array().unwrap() {
            let digest = child["digest"].as_str().unwrap();
            let manifest = get(address, &format!("/v2/{name}/manifests/{digest}"), "");
            assert_eq!(manifest.header("Content-Type"), "application/vnd.oci.image.manifest.v1+json");
            for layer in manifest.json()["layers"].as_array().unwrap() {
                let digest = layer["digest"].as_str().unwrap();
                let path = format!("/v2/{name}/blobs/{digest}");
                let blob = get(address, &path, "");
                assert_eq!(format!("sha256:{}", hex(&blob.body)), digest);
                let part = get(address, &path, "Range: bytes=100-\r\n");
                assert_eq!((part.status, &part.body[..]), (206, &blob.body[100..]));
                let mut stream = TcpStream::connect(address).unwrap();
                let head = ask(&mut stream, &format!("HEAD {path}"), "");
                assert_eq!(head.header("Content-Length"), layer["size"].to_string());
            }
        }
    }
    let tags = get(address, "/v2/coredns/coredns/tags/list", "").json();
    assert_eq!(tags, serde_json::json!({"name": "coredns/coredns", "tags": ["v1.12.4"]}));
    let page = get(address, "/v2/_catalog?n=2", "");
    assert_eq!(page.json()["repositories"].as_array().unwrap().len(), 2);
    assert_eq!(page.header("Link"), "</v2/_catalog?n=2&last=docker.io/library/pause>; rel=\"next\"");
    let rest = get(address, "/v2/_catalog?n=9&last=docker.io/library/pause", "");
    assert_eq!(rest.json()["repositories"].as_array().unwrap().len(), 3);
    assert_eq!(rest.header("Link"), "");
    for (path, status, code) in [
        ("/v2/none/manifests/1", 404, "NAME_UNKNOWN"),
        ("/v2/none/tags/list", 404, "NAME_UNKNOWN"),
        ("/v2/None/tags/list", 400, "NAME_INVALID"),
        ("/v2/library/pause/manifests/9", 404, "MANIFEST_UNKNOWN"),
        ("/v2/library/pause/manifests/sha256:12", 400, "DIGEST_INVALID"),
        ("/v2/library/pause/blobs/md5:12", 400, "DIGEST_INVALID"),
        ("/v2/library/pause", 404, "NAME_UNKNOWN"),
    ] {
        let got = get(address, path, "");
        assert_eq!((got.status, got.code().as_str()), (status, code), "{path}");
    }
    let mut stream = TcpStream::connect(address).unwrap();
    let post = ask(&mut stream, "POST /v2/library/pause/blobs/uploads/", "Content-Length: 0\r\n");
    assert_eq!((post.status, post.code().as_str()), (405, "UNSUPPORTED"));
}

#[test]
fn two_registries_may_have_a_repository_of_one_name() {
    let site = site();
    let address = site.server.address();
    let of = |path: &str| get(address, path, "").header("Docker-Content-Digest").to_owned();
    let docker = of("/v2/docker.io/library/pause/manifests/3");
    let k8s = of("/v2/registry.k8s.io/library/pause/manifests/3");
    assert_ne!(docker, k8s);
    assert_eq!(of("/v2/library/pause/manifests/3?ns=docker.io"), docker);
    assert_eq!(of("/v2/library/pause/manifests/3?ns=registry.k8s.io"), k8s);
    assert_eq!(of("/v2/library/pause/manifests/3"), docker);
}

#[test]
fn who_takes_no_index_gets_the_usual_image() {
    let site = site();
    let accept = "Accept: application/vnd.oci.image.manifest.v1+json\r\n";
    let got = get(site.server.address(), "/v2/coredns/coredns/manifests/v1.12.4", accept);
    assert_eq!(got.header("Content-Type"), "application/vnd.oci.image.manifest.v1+json");
    let config = got.json()["config"]["digest"].as_str().unwrap().to_owned();
    let config = get(site.server.address(), &format!("/v2/coredns/coredns/blobs/{config}"), "").json();
    assert_eq!(config["architecture"], "amd64");
    let none = "Accept: application/vnd.docker.distribution.manifest.v1+json\r\n";
    let got = get(site.server.address(), "/v2/coredns/coredns/manifests/v1.12.4", none);
    assert_eq!((got.status, got.code().as_str()), (404, "MANIFEST_UNKNOWN"));
}

#[test]
fn what_is_added_is_served_and_what_is_broken_is_not() {
    let site = site();
    let address = site.server.address();
    assert_eq!(get(address, "/h/new", "").status, 404);
    site.store.add_file(entry("h/new"), b"new".as_slice()).unwrap();
    assert_eq!(get(address, "/h/new", "").body, b"new");
    std::fs::write(site.store.blob_path(&Digest::of(b"new")), b"longer").unwrap();
    assert_eq!(get(address, "/h/new", "").status, 500);
}

#[test]
fn a_hundred_clients_are_served_at_once() {
    let site = site();
    let address = site.server.address();
    let bytes = noise(9, 3_000_000);
    site.store.add_file(entry("h/large"), bytes.as_slice()).unwrap();
    // All begin before any goes on.
    let mut streams: Vec<TcpStream> = (0..100).map(|_| TcpStream::connect(address).unwrap()).collect();
    for stream in &mut streams {
        stream.write_all(b"GET /h/large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    }
    for stream in &mut streams {
        let mut got = Vec::new();
        stream.read_to_end(&mut got).unwrap();
        assert!(got.ends_with(&bytes));
    }
}

#[test]
fn a_server_ends_with_its_connections() {
    let told: Arc<std::sync::Mutex<Vec<String>>> = Arc::default();
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    store.add_file(entry("h/a"), b"abc".as_slice()).unwrap();
    let listener = Arc::clone(&told);
    let on_answer: Arc<dyn Fn(&kubespray_bundle::Served) + Send + Sync> = Arc::new(move |served| {
        let line = format!("{} {} {} {}", served.method, served.target, served.status, served.bytes);
        listener.lock().unwrap().push(line);
    });
    let server = serve(&store, Options { on_answer: Some(on_answer), ..Options::default() }).unwrap();
    let address = server.address();
    assert_eq!(server.url(), format!("http://{address}"));
    let mut idle = TcpStream::connect(address).unwrap();
    ask(&mut idle, "GET /h/a?x", "");
    let mut silent = TcpStream::connect(address).unwrap();
    std::thread::sleep(Duration::from_millis(50));
    server.stop();
    assert_eq!(idle.read(&mut [0]).unwrap_or(0), 0);
    assert_eq!(silent.read(&mut [0]).unwrap_or(0), 0);
    assert!(TcpStream::connect(address).is_err());
    assert_eq!(*told.lock().unwrap(), ["GET /h/a?x 200 3"]);
    let problem =
        serve(&store, Options { listen: Some("192.0.2.1:1".parse().unwrap()), ..Options::default() });
    assert!(problem.unwrap_err().message.starts_with("cannot listen on"));
}

#[test]
fn tls_is_spoken_with_the_certificate_given() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("store")).unwrap();
    let bytes = noise(3, 200_000);
    store.add_file(entry("h/a"), bytes.as_slice()).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate =
        rcgen::CertificateParams::new(vec!["mirror.lan".to_owned()]).unwrap().self_signed(&key).unwrap();
    let identity = Identity {
        certificate: write(folder.path(), "tls.crt", certificate.pem().as_bytes()),
        key: write(folder.path(), "tls.key", key.serialize_pem().as_bytes()),
    };
    let options = Options { tls: Some(identity.clone()), ..Options::default() };
    let server = serve(&store, options).unwrap();
    assert!(server.url().starts_with("https://"));
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate.der().clone()).unwrap();
    let config =
        rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
    let session =
        rustls::ClientConnection::new(Arc::new(config), "mirror.lan".to_owned().try_into().unwrap()).unwrap();
    let mut stream = rustls::StreamOwned::new(session, TcpStream::connect(server.address()).unwrap());
    assert_eq!(ask(&mut stream, "GET /h/a", "").body, bytes);
    assert_eq!(ask(&mut stream, "GET /h/a", "Range: bytes=5-9\r\n").body, bytes[5..10]);
    // A client that speaks without TLS does no harm.
    let mut plain = TcpStream::connect(server.address()).unwrap();
    plain.write_all(b"GET /h/a HTTP/1.1\r\n\r\n").unwrap();
    let _ = plain.shutdown(Shutdown::Write);
    let mut got = Vec::new();
    let _ = plain.read_to_end(&mut got);
    assert!(!got.starts_with(b"HTTP/1.1 200"));
    for wrong in [
        Identity { key: identity.certificate.clone(), ..identity.clone() },
        Identity { certificate: folder.path().join("none"), ..identity.clone() },
    ] {
        assert!(serve(&store, Options { tls: Some(wrong), ..Options::default() }).is_err());
    }
}
