//! Container images, against doubles of the programs of all engines.
#![allow(missing_docs, clippy::pedantic, clippy::unwrap_used, clippy::panic, clippy::get_unwrap)]

mod common;

use std::fs;

use common::World;
use kubespray_node::{Host, observe_all};
use kubespray_resource::*;

fn engines() -> [ImageEngine; 5] {
    let socket = || "/run/containerd/containerd.sock".to_owned();
    let namespace = || "k8s.io".to_owned();
    [
        ImageEngine::Containerd { socket: socket(), namespace: namespace() },
        ImageEngine::Nerdctl { socket: socket(), namespace: namespace() },
        ImageEngine::Crio { socket: "/run/crio/crio.sock".into() },
        ImageEngine::Docker,
        ImageEngine::Podman,
    ]
}

fn image(engine: &ImageEngine, reference: &str) -> Image {
    Image {
        reference: reference.into(),
        engine: engine.clone(),
        source: ImageSource::Pull,
        auth: None,
        environment: Default::default(),
        timeout_s: 60,
    }
}

fn world(registry: &[&str]) -> World {
    let world = World::new();
    fs::create_dir_all(world.dir.path().join("images")).unwrap();
    world.state("images/registry", &format!("{}\n", registry.join("\n")));
    world
}

#[test]
fn images_are_pulled_once_by_every_engine() {
    for engine in engines() {
        let world = world(&["flannel/flannel:v1"]);
        assert_eq!(world.converge(image(&engine, "flannel/flannel:v1")).kind, OutcomeKind::Created);
        // The same image under its whole name, and by its digest.
        assert!(world.compare(&image(&engine, "docker.io/flannel/flannel:v1").into()).is_same());
        let digest = Digest::of(b"flannel/flannel:v1");
        let by_digest = image(&engine, &format!("docker.io/flannel/flannel@sha256:{digest}"));
        assert!(world.compare(&by_digest.into()).is_same(), "{engine:?}");
        let failure = world.apply(image(&engine, "flannel/flannel:v2")).unwrap_err();
        assert_eq!(failure.class, ErrorClass::Wish, "{failure:?}");
        assert!(failure.message.contains("no such image"), "{failure:?}");
    }
}

#[test]
fn credentials_reach_every_engine_and_stay_nowhere() {
    for engine in engines() {
        for value in ["user:secret1", "dXNlcjpzZWNyZXQx"] {
            let world = world(&["private/x:1"]);
            let wish = Image { auth: Some("registry".into()), ..image(&engine, "private/x:1") };
            assert_eq!(Resource::from(wish.clone()).secret_names(), ["registry"]);
            let mut secrets = Secrets::default();
            secrets.insert("registry", value);
            kubespray_node::apply(&world.host, &wish.into(), &secrets, &mut |_| Ok(())).unwrap();
            assert!(!world.calls().iter().any(|call| call.contains(value) || call.contains("secret1")));
            assert!(!world.path("/var/lib/kubespray/registry").exists());
            let failure = self::world(&["private/x:1"]).apply(image(&engine, "private/x:1")).unwrap_err();
            assert!(failure.message.contains("refuses the credentials"), "{failure:?}");
        }
    }
}

#[test]
fn a_pull_gets_its_proxy() {
    let world = world(&["x:1"]);
    let [_, nerdctl, ..] = engines();
    let environment = [("HTTPS_PROXY".to_owned(), "http://proxy:3128".to_owned())].into();
    world.converge(Image { environment, ..image(&nerdctl, "x:1") });
    assert_eq!(fs::read_to_string(world.dir.path().join("images/proxy")).unwrap(), "http://proxy:3128\n");
}

#[test]
fn images_come_out_of_archives() {
    for engine in engines() {
        let world = world(&[]);
        let archive = |path: &str| ImageSource::Archive { path: path.into() };
        let wish = Image { source: archive("/opt/x.tar"), ..image(&engine, "x:1") };
        assert!(
            world.apply(wish.clone()).unwrap_err().message.contains("`/opt/x.tar` of `x:1` is not there")
        );
        world.put("/opt/x.tar", "x:1\ny:2\n");
        world.converge(wish);
        assert!(world.compare(&image(&engine, "y:2").into()).is_same());
    }
}

#[test]
fn forty_images_cost_one_listing() {
    for engine in engines() {
        let names: Vec<String> = (0..40).map(|number| format!("image{number}:1")).collect();
        let world = world(&[]);
        world.put("/opt/x.tar", &format!("{}\n", names[..39].join("\n")));
        world
            .apply(Image {
                source: ImageSource::Archive { path: "/opt/x.tar".into() },
                ..image(&engine, &names[38])
            })
            .unwrap();
        world.forget_calls();
        let items: Vec<(StepId, Resource)> =
            names.iter().map(|name| (StepId(name.clone()), image(&engine, name).into())).collect();
        let missing: Vec<String> = observe_all(&world.host, &items)
            .into_iter()
            .filter(|(_, state)| matches!(state, Ok(State::Image(ImageState { id: None, problem: None }))))
            .map(|(step, _)| step.0)
            .collect();
        assert_eq!(missing, ["image39:1"]);
        assert_eq!(world.calls().len(), 1, "{engine:?}");
    }
}

#[test]
fn more_images_than_a_listing_tells_are_asked_for_one_by_one() {
    let world = world(&["x:1"]);
    world.state("images/many", "");
    let [containerd, ..] = engines();
    world.converge(image(&containerd, "x:1"));
    assert!(!world.compare(&image(&containerd, "y:1").into()).is_same());
}

#[test]
fn an_engine_that_is_not_there_has_no_images() {
    let world = world(&[]);
    let [containerd, .., podman] = engines();
    world.state("images/down", "");
    let change = world.compare(&image(&containerd, "x:1").into()).changes.remove(0);
    assert!(change.from.unwrap().contains("status 1"));
    let failure = world.apply(image(&containerd, "x:1")).unwrap_err();
    assert_eq!(failure.message, "`x:1` could not be pulled: the container engine does not answer");
    fs::remove_file(world.dir.path().join("bin/podman")).unwrap();
    assert_eq!(world.compare(&image(&podman, "x:1").into()).changes.len(), 1);
    assert_eq!(world.apply(image(&podman, "--all x")).unwrap_err().class, ErrorClass::Wish);
    assert!(!world.host.list("/var/lib").unwrap().contains(&"kubespray".to_owned()));
}
