//! Filling a store by hand: files, archives of images, what is refused.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod support;

use flate2::write::GzEncoder;
use kubespray_bundle::{Store, verify};
use kubespray_resource::Digest;
use std::io::Write as _;
use support::{docker_archive, entry, hex, layer, noise, oci_archive, write};

#[test]
fn files_are_blobs_and_stay_when_the_store_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = noise(1, 10_000);
    {
        let store = Store::open(folder.path()).unwrap();
        let file = store.add_file(entry("dl.k8s.io/v1/kubeadm"), bytes.as_slice()).unwrap();
        assert_eq!((file.size, file.sha256.as_str()), (10_000, hex(&bytes).as_str()));
        let mut wrong = entry("dl.k8s.io/v1/other");
        wrong.sha256 = Some(Digest::of(b"something else"));
        let problem = store.add_file(wrong, bytes.as_slice()).unwrap_err();
        assert!(problem.message.contains("should have"), "{problem}");
        for path in ["", "/a", "a/../b", "a//b", "./a", "a/", "a\nb", "a\\b"] {
            assert!(store.add_file(entry(path), bytes.as_slice()).is_err(), "{path}");
        }
        let problem = Store::open(folder.path()).unwrap_err();
        assert!(problem.message.contains("another process"), "{problem}");
    }
    let store = Store::open(folder.path()).unwrap();
    let index = store.index();
    assert_eq!(index.files.keys().collect::<Vec<_>>(), ["dl.k8s.io/v1/kubeadm"]);
    assert_eq!(std::fs::read(store.blob_path(&Digest::of(&bytes))).unwrap(), bytes);
    // Only the lock is left of what was refused.
    let left: Vec<_> = std::fs::read_dir(folder.path().join("partial")).unwrap().collect();
    assert_eq!(left.len(), 1);
    let found = verify(&store, None);
    assert_eq!((found.files, found.blobs, found.bytes, found.problems.len()), (1, 1, 10_000, 0));
}

#[test]
fn a_list_of_another_schema_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "bundle.json", br#"{"schema_version": 2, "files": [], "images": []}"#);
    let problem = Store::open(folder.path()).unwrap_err();
    assert!(problem.message.contains("it has the schema 2"), "{problem}");
    write(folder.path(), "bundle.json", b"{");
    assert!(Store::open_to_read(folder.path()).is_err());
    assert!(Store::open_to_read(folder.path().join("none")).unwrap_err().hint.is_some());
}

#[test]
fn archives_of_docker_become_images() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("store")).unwrap();
    let layers = [layer(1, 4_000), layer(2, 3_000)];
    let archive = docker_archive("registry.k8s.io/pause:3.10", &layers);
    let path = write(folder.path(), "pause.tar", &archive);
    let image = store.add_image_archive("registry.k8s.io/pause:3.10", &path).unwrap();
    assert_eq!(image.platforms, ["linux/amd64"]);
    for layer in &layers {
        assert_eq!(std::fs::read(store.blob_path(&Digest::of(layer))).unwrap(), *layer);
    }
    // The same, compressed as a whole, is the same image.
    let mut gzip = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&archive).unwrap();
    let path = write(folder.path(), "pause.tar.gz", &gzip.finish().unwrap());
    let again = store.add_image_archive("quay.io/other/pause:1", &path).unwrap();
    assert_eq!((again.sha256, again.reference.as_str()), (image.sha256, "quay.io/other/pause:1"));
    assert_eq!(verify(&store, None).problems, []);
}

#[test]
fn layouts_become_images_of_the_platforms_that_are_whole() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("store")).unwrap();
    let archive = oci_archive("docker.io/library/nginx:1", &["amd64", "arm64"], |is| is == "arm64");
    let path = write(folder.path(), "nginx.tar", &archive);
    let image = store.add_image_archive("nginx:1", &path).unwrap();
    assert_eq!(image.reference, "docker.io/library/nginx:1");
    assert_eq!(image.platforms, ["linux/arm64"]);
    assert_eq!(verify(&store, None).problems, []);
    let layout: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.path().join("store/index.json")).unwrap()).unwrap();
    let names = &layout["manifests"][0]["annotations"];
    assert_eq!(names["org.opencontainers.image.ref.name"], "docker.io/library/nginx:1");
}

#[test]
fn archives_that_are_wrong_are_refused_and_leave_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("store")).unwrap();
    let list = |text: &str| text.as_bytes().to_vec();
    let two = r#"[{"Config": "c", "RepoTags": ["a:1"], "Layers": []}, {"Config": "c", "RepoTags": ["b:1"], "Layers": []}]"#;
    let swapped = {
        // A layer that is not the one that the configuration names.
        let good = docker_archive("a:1", &[layer(1, 100)]);
        let mut archive = tar::Archive::new(good.as_slice());
        let mut members = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().display().to_string();
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut entry, &mut bytes).unwrap();
            members.push((name.clone(), if name.ends_with("layer.tar") { layer(2, 100) } else { bytes }));
        }
        let members: Vec<_> = members.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())).collect();
        support::tar(&members)
    };
    let broken_blob = {
        let name = format!("blobs/sha256/{}", "ab".repeat(32));
        let index = format!(
            r#"{{"schemaVersion": 2, "manifests": [{{"mediaType": "", "digest": "sha256:{}", "size": 1}}]}}"#,
            "ab".repeat(32)
        );
        support::tar(&[(name.as_str(), list("x")), ("index.json", index.into_bytes())])
    };
    let incomplete = oci_archive("a:1", &["amd64"], |_| false);
    for (bytes, why) in [
        (b"no tar at all, however long the text may be".repeat(100), "no tar archive"),
        (support::tar(&[]), "it holds no files"),
        (support::tar(&[("x", list("y"))]), "neither `index.json` nor `manifest.json`"),
        (support::tar(&[("manifest.json", list(two)), ("c", list("{}"))]), "none is called"),
        (support::tar(&[("manifest.json", list("[{}]"))]), "`manifest.json` is broken"),
        (swapped, "is not the layer"),
        (broken_blob, "has the digest"),
        (incomplete, "no platform of the image is in it"),
    ] {
        let path = write(folder.path(), "archive.tar", &bytes);
        let problem = store.add_image_archive("docker.io/library/c:1", &path).unwrap_err();
        assert!(problem.message.contains(why), "{why}: {problem}");
        assert!(problem.because.iter().any(|line| line.contains("archive.tar")), "{problem}");
    }
    assert!(store.index().images.is_empty());
    let left = std::fs::read_dir(folder.path().join("store/partial")).unwrap().count();
    assert_eq!(left, 1, "only the lock");
}

#[test]
fn what_is_broken_or_missing_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("store")).unwrap();
    for (path, seed) in [("h/a", 1), ("h/b", 2), ("h/c", 3)] {
        store.add_file(entry(path), noise(seed, 1_000).as_slice()).unwrap();
    }
    let path = write(folder.path(), "a.tar", &docker_archive("r.lan/a:1", &[layer(7, 100)]));
    let image = store.add_image_archive("r.lan/a:1", &path).unwrap();
    let blob = |seed| store.blob_path(&Digest::of(&noise(seed, 1_000)));
    std::fs::write(blob(1), noise(9, 1_000)).unwrap();
    std::fs::write(blob(2), b"short").unwrap();
    std::fs::remove_file(blob(3)).unwrap();
    std::fs::remove_file(store.blob_path(&image.sha256)).unwrap();
    let problems = verify(&store, None).problems;
    let said: Vec<String> = problems.iter().map(ToString::to_string).collect();
    let said = said.join("\n");
    for part in [
        "is broken: its digest is",
        "has 5 bytes and should have 1000",
        "is missing; it belongs to `h/c`",
        "r.lan/a:1",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
}
