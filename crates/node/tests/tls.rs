//! Certificates of servers are checked against those that the host trusts.
#![allow(missing_docs, clippy::pedantic, clippy::unwrap_used, clippy::panic, clippy::get_unwrap)]

mod common;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;

use common::{World, root};
use kubespray_resource::*;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

fn serve() -> String {
    let certificate = CertificateDer::from_pem_slice(include_bytes!("certificates/server.crt")).unwrap();
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("certificates/server.key")).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/x", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = rustls::StreamOwned::new(connection, stream.unwrap());
            let mut head = [0; 2000];
            if stream.read(&mut head).is_ok() {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
                stream.conn.send_close_notify();
                let _ = stream.flush();
            }
        }
    });
    url
}

fn download(url: String) -> Download {
    Download {
        path: "/opt/x".into(),
        urls: vec![url],
        from_controller: false,
        digest: Digest::of(b"hi"),
        mode: Mode(0o644),
        owner: root(),
        proxy: None,
        no_proxy: String::new(),
        verify_tls: true,
        timeout_s: 5,
        only_as_source: false,
    }
}

#[test]
fn a_server_that_the_host_trusts_is_believed() {
    for bundle in
        ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem"]
    {
        let world = World::new();
        world.put(bundle, include_str!("certificates/ca.crt"));
        world.converge(download(serve()));
    }
}

#[test]
fn a_server_that_the_host_does_not_trust_is_refused_unless_told_otherwise() {
    let world = World::new();
    let url = serve();
    let failure = world.apply(download(url.clone())).unwrap_err();
    assert!(failure.evidence[0].to_lowercase().contains("certificate"), "{failure:?}");
    world.converge(Download { verify_tls: false, ..download(url) });
}
