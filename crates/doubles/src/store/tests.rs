//! Both stores keep the same promises; that of etcd where a real one is at hand.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::json;

use super::{Change, Etcd, Store};
use crate::net::tls::Identity;

struct Server(Child, #[expect(dead_code, reason = "it is removed in the end")] tempfile::TempDir);

impl Drop for Server {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

/// A real etcd on free ports, where the program is on the path.
fn etcd() -> Option<(Server, Store)> {
    let folder = tempfile::tempdir().unwrap();
    let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let [own, peer] = [free(), free()].map(|port| format!("http://127.0.0.1:{port}"));
    let process = Command::new("etcd")
        .args(["--name", "a", "--data-dir"])
        .arg(folder.path())
        .args(["--listen-client-urls", &own, "--advertise-client-urls", &own, "--listen-peer-urls", &peer])
        .args(["--initial-advertise-peer-urls", &peer, "--initial-cluster", &format!("a={peer}")])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let server = Server(process.ok()?, folder);
    let store = Store::etcd(Etcd::new(&[own], &Identity::default()).unwrap());
    assert!(store.wait_until_followed(Duration::from_secs(20)), "etcd does not answer");
    Some((server, store))
}

fn keeps_its_promises(store: &Store) {
    let (key, other) = ("/registry/core/pods/a/x", "/registry/core/pods/a/y");
    assert!(store.get(key).unwrap().is_none());
    let first = store.put(key, &json!({"n": 1}), 0).unwrap().unwrap();
    assert_eq!(store.put(key, &json!({"n": 9}), 0).unwrap(), None, "it is there");
    let second = store.put(key, &json!({"n": 2}), first).unwrap().unwrap();
    assert!(second > first);
    assert_eq!(store.put(key, &json!({"n": 9}), first).unwrap(), None, "it has changed");
    store.put(other, &json!({}), 0).unwrap().unwrap();
    store.put("/registry/core/podsbeside/z", &json!({}), 0).unwrap().unwrap();
    let (items, revision) = store.list("/registry/core/pods/").unwrap();
    let keys: Vec<&str> = items.iter().map(|item| item.key.as_str()).collect();
    assert_eq!(keys, [key, other]);
    assert!(revision > second);
    assert_eq!((items[0].revision, &items[0].value), (second, &json!({"n": 2})));
    assert_eq!(store.delete(key, first).unwrap(), None);
    assert!(store.delete(key, second).unwrap().is_some());
    let (mut seen, mut from) = (Vec::new(), first);
    while seen.len() < 3 {
        let (changes, last) =
            store.log.behind(from, "/registry/core/pods/", Duration::from_secs(10)).unwrap();
        assert!(!changes.is_empty(), "no more changes after {seen:?}");
        seen.extend(changes.into_iter().map(|one| (one.change, one.key, one.value)));
        from = last;
    }
    let expected = [
        (Change::Modified, key.to_owned(), json!({"n": 2})),
        (Change::Added, other.to_owned(), json!({})),
        (Change::Deleted, key.to_owned(), json!({"n": 2})),
    ];
    assert_eq!(seen, expected);
    store.log.begin(revision + 10);
    assert!(store.log.behind(first, "/", Duration::ZERO).is_none(), "that is too long ago");
}

#[test]
fn memory_keeps_its_promises() {
    keeps_its_promises(&Store::memory());
}

#[test]
fn etcd_keeps_its_promises() {
    if let Some((_server, store)) = etcd() {
        keeps_its_promises(&store);
    }
}
