//! Filling a store from servers, which are stores that are served.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

#[path = "support/front.rs"]
mod front;
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

use front::{Deed, empty, front};
use kubespray_bundle::{
    Event, ImageNeed, Mirror, Needs, Options, Reference, Served, Server, Store, fill, serve, verify,
};
use kubespray_resource::Digest;
use kubespray_spec::Secret;
use support::{
    docker_archive, entry, file_need, filled, get, image_need, layer, noise, oci_archive, transfer, write,
};

const COREDNS: &str = "registry.k8s.io/coredns/coredns:v1.12.4";
const KUBEADM: &str = "dl.k8s.io/release/v1.36.2/bin/linux/amd64/kubeadm";

/// What the internet is in these tests.
struct Upstream {
    folder: tempfile::TempDir,
    store: Store,
    server: Server,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Upstream {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("upstream")).unwrap();
        store.add_file(entry(KUBEADM), noise(1, 400_000).as_slice()).unwrap();
        let path = write(folder.path(), "coredns.tar", &oci_archive(COREDNS, &["amd64", "arm64"], |_| true));
        store.add_image_archive(COREDNS, &path).unwrap();
        let path = write(
            folder.path(),
            "pause.tar",
            &docker_archive("registry.k8s.io/pause:3.10", &[layer(3, 500_000)]),
        );
        store.add_image_archive("registry.k8s.io/pause:3.10", &path).unwrap();
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let told = Arc::clone(&asked);
        let on_answer: Arc<dyn Fn(&Served) + Send + Sync> =
            Arc::new(move |served| told.lock().unwrap().push(served.target.clone()));
        let server = serve(&store, Options { on_answer: Some(on_answer), ..Options::default() }).unwrap();
        Self { folder, store, server, asked }
    }

    /// An empty store beside it.
    fn bundle(&self) -> Store {
        Store::open(self.folder.path().join("bundle")).unwrap()
    }

    /// How often it was asked since the last time.
    fn questions(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

fn at(address: SocketAddr, image: &str) -> String {
    format!("{address}/{image}")
}

fn one_file(address: SocketAddr, bytes: &[u8]) -> Needs {
    let urls = [format!("http://{address}/{KUBEADM}")];
    Needs { files: BTreeMap::from([(KUBEADM.to_owned(), file_need(&urls, bytes))]), ..Needs::default() }
}

fn one_image(reference: &str, platforms: &[&str]) -> Needs {
    let images = BTreeMap::from([(reference.to_owned(), image_need(reference, platforms))]);
    Needs { images, ..Needs::default() }
}

fn problem(events: &[Event]) -> String {
    match events {
        [Event::Failed { problem, .. }] => problem.to_string(),
        other => panic!("no failure but {other:?}"),
    }
}

fn fetched(events: &[Event]) -> u64 {
    match events {
        [Event::Fetched { bytes, .. }] => *bytes,
        other => panic!("nothing fetched but {other:?}"),
    }
}

#[test]
fn everything_is_fetched_once_and_a_second_run_asks_nobody() {
    let upstream = Upstream::new();
    let address = upstream.server.address();
    let coredns = at(address, "coredns/coredns:v1.12.4");
    let mut needs = one_file(address, &noise(1, 400_000));
    needs.join(one_image(&coredns, &["linux/amd64"]));
    needs.join(one_image(&at(address, "registry.k8s.io/pause:3.10"), &["linux/amd64"]));
    let store = upstream.bundle();
    let events = filled(&store, &needs, &transfer());
    assert_eq!(events.len(), 3, "{events:?}");
    assert!(events.iter().all(|event| matches!(event, Event::Fetched { .. })), "{events:?}");
    let asked = upstream.questions();
    let unique: BTreeSet<&String> = asked.iter().collect();
    assert_eq!(asked.len(), unique.len(), "nothing is fetched twice: {asked:?}");
    let found = verify(&store, Some(&needs));
    assert_eq!((found.files, found.images, found.problems), (1, 2, vec![]));
    assert_eq!(store.index().images[&coredns].platforms, ["linux/amd64"]);

    let events = filled(&store, &needs, &transfer());
    assert!(events.iter().all(|event| matches!(event, Event::Here { .. })), "{events:?}");
    assert!(upstream.questions().is_empty());

    // A host of another architecture needs what only that has, and the layer that both share is here.
    needs.images.get_mut(&coredns).unwrap().platforms.insert("linux/arm64".to_owned());
    assert_eq!(verify(&store, Some(&needs)).problems.len(), 1);
    let events = filled(&store, &needs, &transfer());
    assert_eq!(events.iter().filter(|event| matches!(event, Event::Fetched { .. })).count(), 1);
    let blobs = upstream.questions().iter().filter(|target| target.contains("/blobs/")).count();
    assert_eq!(blobs, 2, "its configuration and its own layer");
    assert_eq!(verify(&store, Some(&needs)).problems, []);

    // What was lost comes again, and nothing else.
    let lost = Digest::of(&layer(3, 500_000));
    std::fs::remove_file(store.blob_path(&lost)).unwrap();
    std::fs::write(store.blob_path(&Digest::of(&noise(1, 400_000))), b"").unwrap();
    assert_eq!(verify(&store, None).problems.len(), 2);
    filled(&store, &needs, &transfer());
    assert_eq!(verify(&store, Some(&needs)).problems, []);
    let asked = upstream.questions();
    assert_eq!(asked.len(), 3, "{asked:?}");

    // The bundle serves what it was made from.
    let server = serve(&store, Options::default()).unwrap();
    assert_eq!(get(server.address(), &format!("/{KUBEADM}"), "").body, noise(1, 400_000));
    let one = get(server.address(), "/v2/coredns/coredns/manifests/v1.12.4", "");
    let other = get(address, "/v2/coredns/coredns/manifests/v1.12.4", "");
    assert_eq!((one.status, one.body), (200, other.body));
}

#[test]
fn what_has_another_digest_is_refused() {
    let upstream = Upstream::new();
    let store = upstream.bundle();
    let needs = one_file(upstream.server.address(), b"something else");
    let said = problem(&filled(&store, &needs, &transfer()));
    assert!(said.contains("in place of"), "{said}");
    // Somebody changed a layer on its way; its size is right.
    let path = upstream.store.blob_path(&Digest::of(&layer(3, 500_000)));
    std::fs::write(&path, layer(4, 500_000)).unwrap();
    let needs = one_image(&at(upstream.server.address(), "pause:3.10"), &["linux/amd64"]);
    let said = problem(&filled(&store, &needs, &transfer()));
    assert!(said.contains("gave "), "{said}");
    // And a manifest.
    let image = &upstream.store.index().images[COREDNS];
    let size = usize::try_from(image.size).unwrap();
    std::fs::write(upstream.store.blob_path(&image.sha256), noise(1, size)).unwrap();
    let reference = format!("coredns/coredns@sha256:{}", image.sha256);
    let needs = one_image(&at(upstream.server.address(), &reference), &["linux/amd64"]);
    let said = problem(&filled(&store, &needs, &transfer()));
    assert!(said.contains("gave "), "{said}");
    let index = store.index();
    assert!(index.files.is_empty() && index.images.is_empty());
    assert_eq!(verify(&store, None).problems, []);
}

#[test]
fn what_was_cut_goes_on_where_it_ended() {
    let upstream = Upstream::new();
    let store = upstream.bundle();
    let layer = layer(3, 500_000);
    let digest = Digest::of(&layer);
    let cuts = Arc::new(AtomicUsize::new(0));
    let (count, of_layer, of_file) = (Arc::clone(&cuts), digest.to_string(), "/kubeadm ".to_owned());
    let (address, heads) = front(upstream.server.address(), move |head| {
        let is_large = head.contains(&of_layer) || head.contains(&of_file);
        if is_large && count.fetch_add(1, Ordering::SeqCst) < 2 { Deed::Cut(100_000) } else { Deed::Pass }
    });
    let needs = one_image(&at(address, "pause:3.10"), &["linux/amd64"]);
    // One attempt: the process is as good as killed.
    let once = kubespray_bundle::Transfer { attempts: 1, ..transfer() };
    problem(&filled(&store, &needs, &once));
    drop(store);
    let store = upstream.bundle();
    assert!(store.index().images.is_empty());
    // Cut once more, and then whole.
    filled(&store, &needs, &transfer());
    assert_eq!(verify(&store, Some(&needs)).problems, []);
    assert_eq!(std::fs::read(store.blob_path(&digest)).unwrap(), layer);
    let ranges = |path: &str| {
        let heads = heads.lock().unwrap();
        let of_path = heads.iter().filter(|head| head.contains(path));
        let range = |head: &String| {
            head.lines().find_map(|line| line.to_lowercase().strip_prefix("range: ").map(str::to_owned))
        };
        of_path.map(range).collect::<Vec<_>>()
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(ranges(digest.as_str()), [None, some("bytes=100000-"), some("bytes=200000-")]);
    // Files as well.
    cuts.store(0, Ordering::SeqCst);
    let bytes = noise(1, 400_000);
    assert_eq!(fetched(&filled(&store, &one_file(address, &bytes), &transfer())), 400_000);
    assert_eq!(ranges("/kubeadm "), [None, some("bytes=100000-"), some("bytes=200000-")]);
    // What cannot be taken up begins again: the part is of something else.
    let part = upstream.folder.path().join("bundle/partial").join(digest.as_str());
    std::fs::remove_file(store.blob_path(&digest)).unwrap();
    std::fs::write(&part, noise(5, 50_000)).unwrap();
    filled(&store, &needs, &transfer());
    assert_eq!(std::fs::read(store.blob_path(&digest)).unwrap(), layer);
    assert!(!part.exists());
}

#[test]
fn mirrors_are_asked_first_and_the_next_when_one_is_dead() {
    let upstream = Upstream::new();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mirror = |url: String, override_path: bool| Mirror {
        url,
        override_path,
        verify_tls: true,
        headers: vec![("X-Key".to_owned(), Secret::new("of-the-mirror".to_owned()))],
    };
    let (address, heads) = front(upstream.server.address(), |_| Deed::Pass);
    for (number, good) in [
        mirror(format!("http://{address}/"), false),
        mirror(format!("http://{address}/v2/registry.k8s.io"), true),
    ]
    .into_iter()
    .enumerate()
    {
        let mut transfer = transfer();
        let dead = mirror(format!("http://{closed}"), false);
        transfer.mirrors.insert("registry.k8s.io".to_owned(), vec![dead, good]);
        let store = Store::open(upstream.folder.path().join(format!("bundle{number}"))).unwrap();
        let needs = one_image(COREDNS, &["linux/amd64"]);
        fetched(&filled(&store, &needs, &transfer));
        assert_eq!(store.index().images.keys().collect::<Vec<_>>(), [COREDNS]);
    }
    let heads = heads.lock().unwrap();
    assert!(heads.iter().all(|head| head.contains("?ns=registry.k8s.io")), "{heads:?}");
    assert!(heads.iter().all(|head| head.to_lowercase().contains("x-key: of-the-mirror")), "{heads:?}");
    assert!(heads.iter().any(|head| head.starts_with("GET /v2/coredns/coredns/manifests/v1.12.4?")));
}

#[test]
fn registries_that_want_tokens_or_passwords_get_them() {
    let upstream = Upstream::new();
    let own = Arc::new(Mutex::new(String::new()));
    let realm = Arc::clone(&own);
    let (address, heads) = front(upstream.server.address(), move |head| {
        let lower = head.to_lowercase();
        if head.starts_with("GET /token?") {
            let body = r#"{"token": "abc", "access_token": "abc"}"#;
            let length = body.len();
            return if lower.contains("authorization: basic bwu6c2vjcmv0") {
                Deed::Answer(format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
                ))
            } else {
                empty("403 Forbidden", "")
            };
        }
        if lower.contains("authorization: bearer abc") {
            return Deed::Pass;
        }
        let realm = realm.lock().unwrap();
        let challenge = format!(
            "WWW-Authenticate: Bearer realm=\"http://{realm}/token\",service=\"r.lan\",scope=\"repository:pause:pull\"\r\n"
        );
        empty("401 Unauthorized", &challenge)
    });
    *own.lock().unwrap() = address.to_string();
    let needs = one_image(&at(address, "pause:3.10"), &["linux/amd64"]);
    let store = upstream.bundle();
    let said = problem(&filled(&store, &needs, &transfer()));
    assert!(said.contains("403 forbidden") && said.contains("docker login"), "{said}");
    let mut with = transfer();
    // `me:secret`
    with.credentials.insert(address.to_string(), Secret::new("bWU6c2VjcmV0".to_owned()));
    fetched(&filled(&store, &needs, &with));
    let tokens: Vec<String> =
        heads.lock().unwrap().iter().filter(|head| head.starts_with("GET /token?")).cloned().collect();
    assert_eq!(tokens.len(), 2, "one for each run: {tokens:?}");
    assert!(
        tokens[1].contains("scope=repository%3Apause%3Apull")
            || tokens[1].contains("scope=repository:pause:pull")
    );
    assert!(tokens[1].contains("service=r.lan"));

    // Passwords without tokens.
    let (address, _) = front(upstream.server.address(), |head| {
        if head.to_lowercase().contains("authorization: basic bwu6c2vjcmv0") {
            Deed::Pass
        } else {
            empty("401 Unauthorized", "WWW-Authenticate: Basic realm=\"r\"\r\n")
        }
    });
    let needs = one_image(&at(address, "pause:3.10"), &["linux/amd64"]);
    let said = problem(&filled(&store, &needs, &transfer()));
    assert!(said.contains("401 unauthorized"), "{said}");
    with.credentials.insert(address.to_string(), Secret::new("bWU6c2VjcmV0".to_owned()));
    fetched(&filled(&store, &needs, &with));
}

#[test]
fn servers_that_are_busy_are_asked_again_and_others_are_not() {
    let upstream = Upstream::new();
    let store = upstream.bundle();
    let tries = AtomicUsize::new(0);
    let (address, heads) = front(upstream.server.address(), move |head| {
        if head.contains("/none/") {
            return Deed::Pass;
        }
        if tries.fetch_add(1, Ordering::SeqCst).is_multiple_of(2) {
            empty("503 Busy", "")
        } else {
            Deed::Pass
        }
    });
    fetched(&filled(&store, &one_image(&at(address, "pause:3.10"), &["linux/amd64"]), &transfer()));
    let before = heads.lock().unwrap().len();
    let said = problem(&filled(&store, &one_image(&at(address, "none/none:1"), &[]), &transfer()));
    assert!(said.contains("404 not found"), "{said}");
    assert_eq!(heads.lock().unwrap().len() - before, 1);
}

#[test]
fn a_platform_that_no_image_is_for_is_told() {
    let upstream = Upstream::new();
    let store = upstream.bundle();
    let address = upstream.server.address();
    let needs = one_image(&at(address, "coredns/coredns:v1.12.4"), &["linux/amd64", "linux/ppc64le"]);
    let said = problem(&filled(&store, &needs, &transfer()));
    assert!(
        said.contains("has no image for linux/ppc64le; it has images for linux/amd64, linux/arm64"),
        "{said}"
    );
    // One image for all is taken, and said to be.
    let needs = one_image(&at(address, "pause:3.10"), &["linux/amd64", "linux/arm64"]);
    let events = filled(&store, &needs, &transfer());
    let notes = events
        .iter()
        .filter(|event| matches!(event, Event::Note { text, .. } if text.contains("linux/arm64")));
    assert_eq!(notes.count(), 1, "{events:?}");
    let events = filled(&store, &needs, &transfer());
    assert!(matches!(events.as_slice(), [Event::Here { .. }]), "{events:?}");
    assert_eq!(verify(&store, Some(&needs)).problems, []);
}

#[test]
fn images_have_all_their_names_and_come_from_the_second_place_where_the_first_has_none() {
    let upstream = Upstream::new();
    let store = upstream.bundle();
    let address = upstream.server.address();
    let reference = |text: &str| Reference::parse(text).unwrap();
    let names = ["registry.k8s.io/pause:3.10", "r.lan/k8s/pause:3.10"];
    let need = ImageNeed {
        names: names.map(str::to_owned).into(),
        sources: vec![reference(&at(address, "nothing/pause:3.10")), reference(&at(address, "pause:3.10"))],
        platforms: BTreeSet::from(["linux/amd64".to_owned()]),
    };
    let needs =
        Needs { images: BTreeMap::from([("r.lan/k8s/pause:3.10".to_owned(), need)]), ..Needs::default() };
    fetched(&filled(&store, &needs, &transfer()));
    let index = store.index();
    assert_eq!(
        index.images.keys().collect::<Vec<_>>(),
        ["r.lan/k8s/pause:3.10", "registry.k8s.io/pause:3.10"]
    );
    let server = serve(&store, Options::default()).unwrap();
    for name in ["pause", "k8s/pause", "registry.k8s.io/pause", "r.lan/k8s/pause"] {
        assert_eq!(get(server.address(), &format!("/v2/{name}/manifests/3.10"), "").status, 200, "{name}");
    }
}

#[test]
fn archives_stand_in_for_registries() {
    let upstream = Upstream::new();
    let store = upstream.bundle();
    let pause = upstream.folder.path().join("pause.tar");
    let archives = BTreeMap::from([
        ("registry.k8s.io/pause:3.10".to_owned(), pause.clone()),
        ("own/tool".to_owned(), pause),
        ("broken:1".to_owned(), upstream.folder.path().join("none.tar")),
    ]);
    let needs = one_image("registry.k8s.io/pause:3.10", &["linux/amd64"]);
    let (sender, events) = channel();
    fill(&store, &needs, &transfer(), &archives, &sender);
    drop(sender);
    let failed: Vec<String> = events
        .into_iter()
        .filter_map(|event| match event {
            Event::Failed { name, .. } => Some(name),
            _ => None,
        })
        .collect();
    assert_eq!(failed, ["docker.io/library/broken:1"]);
    let index = store.index();
    assert_eq!(
        index.images.keys().collect::<Vec<_>>(),
        ["docker.io/own/tool:latest", "registry.k8s.io/pause:3.10"]
    );
    assert_eq!(verify(&store, Some(&needs)).problems, []);
}
