//! Kubernetes objects against a strict double of an API server.
#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::pedantic,
    clippy::unwrap_used,
    clippy::panic,
    clippy::get_unwrap
)]

#[path = "doubles/apiserver.rs"]
mod apiserver;
#[path = "common/cluster.rs"]
mod cluster;
mod common;
#[path = "doubles/fields.rs"]
mod fields;

use cluster::*;
use common::World;
use kubespray_resource::*;
use serde_json::{Value, json};

fn object(manifest: Value) -> Object {
    Object { kubeconfig: KUBECONFIG.into(), component: "dns".into(), manifest, force: false }
}

fn config_map(data: Value) -> Object {
    object(json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "coredns", "namespace": "kube-system"}, "data": data,
    }))
}

fn deployment(image: &str) -> Object {
    object(json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "coredns", "namespace": "kube-system"},
        "spec": {"replicas": 2, "template": {"spec": {"containers": [{"name": "coredns", "image": image}]}}},
    }))
}

#[test]
fn an_object_is_made_changed_and_then_left_alone() {
    let (world, server) = cluster();
    let made = world.converge(deployment("coredns:1"));
    assert_eq!(made.kind, OutcomeKind::Created);
    let live = server.get("apps/v1", "Deployment", "kube-system", "coredns").unwrap();
    assert_eq!(live["metadata"]["labels"]["app.kubernetes.io/managed-by"], "kubespray");
    assert_eq!(live["metadata"]["annotations"]["kubespray.rs/component"], "dns");
    assert_eq!(live["spec"]["revisionHistoryLimit"], 10, "what the server adds is no difference");
    let changed = world.converge(deployment("coredns:2"));
    assert_eq!(changed.kind, OutcomeKind::Updated);
    let expected = Change {
        what: ".spec.template.spec.containers[coredns].image".into(),
        from: Some("coredns:1".into()),
        to: Some("coredns:2".into()),
    };
    assert_eq!(changed.changes, [expected]);
    // Discovery, the object, a trial, and nothing that changes anything.
    server.requests();
    world.apply(deployment("coredns:2")).unwrap();
    let path = "/apis/apps/v1/namespaces/kube-system/deployments/coredns";
    let requests = ["GET /apis/apps/v1".to_owned(), format!("GET {path}"), format!("PATCH {path}")];
    assert_eq!(server.requests(), requests);
}

#[test]
fn fields_that_are_not_wished_any_more_go_and_those_of_others_stay() {
    let (world, server) = cluster();
    world.converge(config_map(json!({"a": "1", "b": "2"})));
    server.edit("v1", "ConfigMap", "kube-system", "coredns", json!({"data": {"theirs": "3"}}));
    assert!(differs(&world, &config_map(json!({"a": "1", "b": "2"})).into()).is_empty());
    world.converge(config_map(json!({"a": "1"})));
    let live = server.get("v1", "ConfigMap", "kube-system", "coredns").unwrap();
    assert_eq!(live["data"], json!({"a": "1", "theirs": "3"}));
}

#[test]
fn drift_is_found_and_mended_by_force_or_a_clear_conflict() {
    let (world, server) = cluster();
    let wish = config_map(json!({"Corefile": "ours\n"}));
    world.converge(wish.clone());
    server.edit("v1", "ConfigMap", "kube-system", "coredns", json!({"data": {"Corefile": "theirs\n"}}));
    assert_eq!(differs(&world, &wish.clone().into()), [".data.Corefile", "conflict"]);
    let failure = world.apply(wish.clone()).unwrap_err();
    assert_eq!(failure.class, ErrorClass::Wish);
    assert!(failure.message.contains("`.data.Corefile` belongs to `kubectl-edit`"), "{failure}");
    let forced = Object { force: true, ..wish };
    let State::Object(ObjectState::Present(seen)) = world.observe(&forced.clone().into()).unwrap() else {
        panic!("it is there")
    };
    assert!(seen.before.contains("  Corefile: |\n    theirs\n"), "{}", seen.before);
    assert!(seen.after.contains("  Corefile: |\n    ours\n"), "{}", seen.after);
    assert_eq!(world.converge(forced).changes.len(), 1);
}

#[test]
fn an_object_of_others_that_looks_alike_becomes_ours() {
    let (world, server) = cluster();
    let mut manifest = config_map(json!({"a": "1"}));
    server.put(manifest.filled(&Secrets::default()).unwrap());
    assert_eq!(world.converge(manifest.clone()).changes[0].what, "owner of fields");
    // Now a field that is dropped would be removed, were it not theirs too.
    manifest.manifest["data"] = json!({});
    world.converge(manifest);
}

#[test]
fn secrets_reach_the_object_and_nothing_else() {
    let (world, server) = cluster();
    let wish = object(json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "default"},
        "type": "Opaque", "stringData": {"password": "{secret:p}", "user": "me"},
    }));
    let with = |value: &str| {
        let mut secrets = Secrets::default();
        secrets.insert("p", value);
        secrets
    };
    converge_with(&world, wish.clone(), &with("hunter22"));
    let live = server.get("v1", "Secret", "default", "s").unwrap();
    assert_eq!(live["data"], json!({"password": "aHVudGVyMjI=", "user": "bWU="}));
    // Who observes needs no secret; who compares does.
    let state = world.observe(&wish.clone().into()).unwrap();
    let text = serde_json::to_string(&state).unwrap();
    assert!(!text.contains("hunter22") && !text.contains("aHVudGVyMjI="), "{text}");
    assert!(Resource::from(wish.clone()).compare(&state, &with("hunter22")).unwrap().is_same());
    let changed = converge_with(&world, wish.clone(), &with("other"));
    assert_eq!(changed.changes, [Change { what: ".data.password".into(), from: None, to: None }]);
    server.edit(
        "v1",
        "Secret",
        "default",
        "s",
        json!({"data": {"password": "bm90IHVz", "user": "dGhleQ=="}}),
    );
    let forced = Object { force: true, ..wish };
    let text = serde_json::to_string(&world.observe(&forced.clone().into()).unwrap()).unwrap();
    assert!(text.contains(".data.user"), "{text}");
    assert!(!text.contains("bm90IHVz") && !text.contains("dGhleQ=="), "{text}");
    let mended = converge_with(&world, forced, &with("other"));
    let text = serde_json::to_string(&mended).unwrap();
    assert!(!text.contains("bm90IHVz") && !text.contains("dGhleQ=="), "{text}");
    assert_eq!(server.get("v1", "Secret", "default", "s").unwrap()["data"]["password"], "b3RoZXI=");
}

#[test]
fn a_secret_leaves_no_trace_on_the_host() {
    let (world, server) = cluster();
    let mut wish = common::step(
        object(json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "default"},
            "stringData": {"password": "{secret:p}"},
        })),
        &[],
    );
    wish.secrets.insert("p", "hunter22");
    let apply = || {
        let ask = wire::Ask::Apply(Box::new(wish.clone()));
        let mut session = kubespray_node::Session::new("b");
        common::applied(common::ask(&mut session, &world.host, ask))
    };
    server.store().answers = vec![(503, "no"), (422, "the password hunter22 is too short")];
    assert_eq!(apply().unwrap_err().class, ErrorClass::Transient);
    let failure = apply().unwrap_err();
    assert!(failure.message.contains("the password *** is too short"), "{failure}");
    apply().unwrap();
    let journal = world.get("/var/lib/kubespray/journal/run-1.jsonl");
    assert!(journal.contains("Secret default/s") && !journal.contains("hunter22"), "{journal}");
    assert!(server.get("v1", "Secret", "default", "s").is_some());
}

#[test]
fn a_cluster_that_is_not_there_yet_is_unknown_and_no_failure() {
    let world = World::new();
    let wish = Resource::from(config_map(json!({})));
    let unknown = |world: &World| match world.observe(&wish).unwrap() {
        State::Object(ObjectState::Unknown(why)) => why,
        other => panic!("{other:?}"),
    };
    assert!(unknown(&world).contains("no `/etc/kubernetes/admin.conf`"));
    assert_eq!(differs(&world, &wish), ["object"]);
    assert_eq!(world.apply(wish.clone()).unwrap_err().class, ErrorClass::Transient);
    // Nothing listens on the port.
    world.put(KUBECONFIG, &kubeconfig("https://127.0.0.1:1", &user(ADMIN, ADMIN_KEY)));
    assert!(unknown(&world).contains("does not answer"));
    assert_eq!(world.apply(wish.clone()).unwrap_err().class, ErrorClass::Transient);

    let (world, server) = cluster();
    server.store().is_down = true;
    assert!(unknown(&world).contains("does not answer"));
    server.store().is_down = false;
    world.converge(wish.clone());
    // A connection that was kept is closed by a restart: the next look makes a new one.
    server.store().is_down = true;
    unknown(&world);
    server.store().is_down = false;
    assert!(differs(&world, &wish).is_empty());
}

#[test]
fn kinds_and_namespaces_that_are_not_there_yet_may_come() {
    let (world, server) = cluster();
    server.store().unserved.insert("Thing".into());
    let thing = object(json!({
        "apiVersion": "example.org/v1", "kind": "Thing", "metadata": {"name": "t", "namespace": "new"},
        "spec": {"a": 1},
    }));
    assert_eq!(differs(&world, &thing.clone().into()), ["object"]);
    let failure = world.apply(thing.clone()).unwrap_err();
    assert_eq!(failure.class, ErrorClass::Transient);
    assert!(failure.message.contains("knows no `Thing` of `example.org/v1`"), "{failure}");
    world.converge(object(json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.example.org"}, "spec": {"group": "example.org"},
    })));
    let failure = world.apply(thing.clone()).unwrap_err();
    assert_eq!(failure.class, ErrorClass::Transient);
    assert!(failure.message.contains("namespaces \"new\" not found"), "{failure}");
    world.converge(object(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "new"}})));
    world.converge(thing);
}

#[test]
fn manifests_that_cannot_be_are_refused() {
    let (world, _server) = cluster();
    for (manifest, problem) in [
        (json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}}), "names no namespace"),
        (
            json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "x", "namespace": "y"}}),
            "names a namespace",
        ),
        (json!({"apiVersion": "v1", "kind": "ConfigMap"}), "no `metadata.name`"),
        (
            json!({"apiVersion": "v1", "kind": "ConfigMap", "dta": {},
                "metadata": {"name": "x", "namespace": "default"}}),
            "unknown field \"dta\"",
        ),
    ] {
        let failure = world.apply(object(manifest)).unwrap_err();
        assert_eq!(failure.class, ErrorClass::Wish, "{failure:?}");
        assert!(failure.message.contains(problem), "{failure}");
    }
}

#[test]
fn who_may_not_ask_is_told_so() {
    let (world, server) = cluster();
    let wish = config_map(json!({}));
    for (user, message) in [
        (user(EXPIRED, ADMIN_KEY), "expired on 2021-01-01"),
        ("    token: wrong\n".to_owned(), "does not know who asks"),
    ] {
        world.put(KUBECONFIG, &kubeconfig(&server.url, &user));
        let failure = world.apply(wish.clone()).unwrap_err();
        assert_eq!(failure.class, ErrorClass::Host);
        assert!(failure.message.contains(message), "{failure:?}");
    }
    world.put(KUBECONFIG, &kubeconfig(&server.url, "    token: good-token\n"));
    world.converge(wish.clone());
    server.store().answers = vec![(403, "configmaps is forbidden")];
    assert_eq!(world.apply(wish).unwrap_err().class, ErrorClass::Host);
}

#[test]
fn kubeconfigs_name_files_too_and_bad_ones_are_refused() {
    let (world, server) = cluster();
    let wish = config_map(json!({}));
    world.put("/var/lib/kubelet/pki/client.pem", &format!("{ADMIN}{ADMIN_KEY}"));
    let by_path = "    client-certificate: /var/lib/kubelet/pki/client.pem\n    client-key: ../../var/lib/kubelet/pki/client.pem\n";
    world.put(KUBECONFIG, &kubeconfig(&server.url, by_path));
    world.converge(wish.clone());
    let server_key = include_str!("certificates/kubernetes/server.key");
    let good = kubeconfig(&server.url, &user(ADMIN, ADMIN_KEY));
    for (text, problem) in [
        (kubeconfig(&server.url, &user(ADMIN, server_key)), "cannot be used"),
        (kubeconfig(&server.url, &user("none", "none")), "cannot be"),
        (kubeconfig(&server.url, "    client-certificate: /none\n"), "`/none`, which it names, is not there"),
        (kubeconfig(&server.url, "    exec: {}\n"), "`exec` is not supported"),
        (good.replace("current-context", "contextless"), "no `current-context`"),
        (good.replace("    user: kubernetes-admin\n", "    user: nobody\n"), "no user `nobody`"),
        (good.replace("kind: Config", "kind: &anchor Config"), "this form of YAML"),
        (good.replace(&server.url, "nowhere"), "is no URL"),
        ("{".to_owned(), "line 1: no JSON"),
    ] {
        world.put(KUBECONFIG, &text);
        let failure = world.apply(wish.clone()).unwrap_err();
        assert_eq!(failure.class, ErrorClass::Host, "{failure:?}");
        assert!(failure.message.contains(problem), "{problem}: {failure}");
        assert!(!format!("{failure:?}").contains("PRIVATE KEY"));
    }
    // The server's certificate is not from this authority.
    world.put(
        KUBECONFIG,
        &kubeconfig(&server.url, &user(ADMIN, ADMIN_KEY))
            .replace(&base64(CA), &base64(include_str!("certificates/ca.crt"))),
    );
    let failure = world.apply(wish).unwrap_err();
    assert_eq!(failure.class, ErrorClass::Host);
    assert!(failure.message.to_lowercase().contains("certificate"), "{failure}");
}

fn base64(text: &str) -> String {
    use ::base64::Engine as _;
    ::base64::engine::general_purpose::STANDARD.encode(text)
}

#[test]
fn a_busy_server_is_asked_again() {
    let (world, server) = cluster();
    server.store().answers = vec![(429, "too many requests"), (429, "too many requests")];
    world.converge(config_map(json!({})));
    server.store().answers = vec![(503, "etcd is away")];
    let failure = world.observe(&config_map(json!({})).into()).unwrap_err();
    assert_eq!(failure.class, ErrorClass::Transient);
    assert!(failure.message.contains("etcd is away"), "{failure}");
}

fn absent(api_version: &str, kind: &str, namespace: Option<&str>, name: &str) -> ObjectAbsent {
    ObjectAbsent {
        kubeconfig: KUBECONFIG.into(),
        object: ObjectRef {
            api_version: api_version.into(),
            kind: kind.into(),
            namespace: namespace.map(str::to_owned),
            name: name.into(),
        },
        only_ours: false,
        timeout_s: 1,
    }
}

#[test]
fn objects_are_removed() {
    let (world, server) = cluster();
    server.put(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}}));
    let outcome = world.converge(absent("v1", "Node", None, "n1"));
    assert_eq!(outcome.kind, OutcomeKind::Removed);
    assert_eq!(server.get("v1", "Node", "", "n1"), None);

    let metadata = json!({"name": "t", "namespace": "default", "finalizers": ["example.org/hold"]});
    server.put(json!({"apiVersion": "example.org/v1", "kind": "Thing", "metadata": metadata}));
    let thing = absent("example.org/v1", "Thing", Some("default"), "t");
    let kept = ObjectAbsent { only_ours: true, ..thing.clone() };
    assert!(differs(&world, &kept.into()).is_empty());
    let failure = world.apply(thing.clone()).unwrap_err();
    assert!(failure.evidence[0].contains("example.org/hold"), "{failure:?}");
    // While it is ending it cannot be made.
    let made = object(json!({"apiVersion": "example.org/v1", "kind": "Thing",
        "metadata": {"name": "t", "namespace": "default"}, "spec": {}}));
    let failure = world.apply(made).unwrap_err();
    assert_eq!(failure.class, ErrorClass::Transient);
    assert!(failure.message.contains("is being deleted"), "{failure}");
    server.remove("example.org/v1", "Thing", "default", "t");
    assert!(differs(&world, &thing.clone().into()).is_empty());

    // Where the kind or the cluster is not there, nothing is.
    server.store().unserved.insert("Thing".into());
    assert!(differs(&world, &thing.clone().into()).is_empty());
    assert!(differs(&World::new(), &thing.into()).is_empty());
}

#[test]
fn only_our_objects_of_the_component_are_pruned() {
    let (world, server) = cluster();
    let named = |name: &str, component: &str| {
        let mut wish = config_map(json!({}));
        wish.manifest["metadata"]["name"] = name.into();
        Object { component: component.into(), ..wish }
    };
    for (name, component) in [("keep", "dns"), ("old1", "dns"), ("old2", "dns"), ("other", "metrics")] {
        world.converge(named(name, component));
    }
    let labelled = json!({"name": "foreign", "namespace": "default",
        "labels": {"app.kubernetes.io/managed-by": "kubespray"}});
    server.put(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": labelled}));
    let annotated = json!({"name": "copy", "namespace": "default",
        "annotations": {"kubespray.rs/component": "dns"}});
    server.put(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": annotated}));
    let owned = json!({"name": "owned", "namespace": "default",
        "labels": {"app.kubernetes.io/managed-by": "kubespray"},
        "annotations": {"kubespray.rs/component": "dns"}, "ownerReferences": [{"kind": "X", "name": "x"}]});
    server.put(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": owned}));

    let kind =
        |api_version: &str, kind: &str| ObjectKind { api_version: api_version.into(), kind: kind.into() };
    let prune = Prune {
        kubeconfig: KUBECONFIG.into(),
        component: "dns".into(),
        kinds: vec![kind("v1", "ConfigMap"), kind("none.example.org/v1", "None")],
        keep: vec![named("keep", "dns").reference().unwrap()],
        timeout_s: 5,
    };
    // The list comes in pages, and changes once while it is read.
    server.store().page = 2;
    server.store().is_expired = true;
    let outcome = world.converge(prune.clone());
    let gone: Vec<_> = outcome.changes.iter().map(|change| change.what.as_str()).collect();
    assert_eq!(gone, ["ConfigMap kube-system/old1", "ConfigMap kube-system/old2"]);
    assert_eq!(outcome.kind, OutcomeKind::Removed);
    for name in ["keep", "other"] {
        assert!(server.get("v1", "ConfigMap", "kube-system", name).is_some(), "{name}");
    }
    for name in ["foreign", "copy", "owned"] {
        assert!(server.get("v1", "ConfigMap", "default", name).is_some(), "{name}");
    }
    assert!(differs(&World::new(), &prune.into()).is_empty(), "no cluster, nothing to remove");
}

#[test]
fn what_cannot_change_is_made_anew_by_force_alone() {
    let (world, server) = cluster();
    let with_selector = |version: &str, force: bool| {
        let mut wish = Object { force, ..deployment("coredns:1") };
        wish.manifest["spec"]["selector"] = json!({"matchLabels": {"version": version}});
        wish
    };
    world.converge(with_selector("1", true));
    let first = server.get("apps/v1", "Deployment", "kube-system", "coredns").unwrap();
    let failure = world.observe(&with_selector("2", false).into()).unwrap_err();
    assert!(failure.message.contains("is invalid"), "{failure}");
    let wish = with_selector("2", true);
    let expected =
        Change { what: "object".into(), from: Some("spec.selector".into()), to: Some("made anew".into()) };
    assert_eq!(world.compare(&wish.clone().into()).changes, [expected]);
    world.converge(wish);
    let second = server.get("apps/v1", "Deployment", "kube-system", "coredns").unwrap();
    assert_ne!(first["metadata"]["uid"], second["metadata"]["uid"]);
    assert_eq!(second["spec"]["selector"]["matchLabels"]["version"], "2");
}

#[test]
fn checks_look_at_objects_and_nodes() {
    let (world, server) = cluster();
    let check = |probe| Check { name: "it is well".into(), probe, timeout_s: 0, interval_ms: 10 };
    let rollout = |name: &str| {
        check(Probe::Object {
            kubeconfig: KUBECONFIG.into(),
            object: deployment("x")
                .reference()
                .map(|found| ObjectRef { name: name.into(), ..found })
                .unwrap(),
            must: ObjectMust::RolledOut { missing: 0 },
        })
    };
    world.converge(deployment("coredns:1"));
    let failure = world.apply(rollout("other")).unwrap_err();
    assert!(failure.message.contains("Deployment kube-system/other: it is not there"), "{failure}");
    server.edit(
        "apps/v1",
        "Deployment",
        "kube-system",
        "coredns",
        json!({
            "spec": {"selector": {"matchLabels": {"k8s-app": "kube-dns"}}},
            "status": {"observedGeneration": 9, "updatedReplicas": 2, "availableReplicas": 1},
        }),
    );
    server.put(json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "coredns-x", "namespace": "kube-system", "labels": {"k8s-app": "kube-dns"}},
        "spec": {"nodeName": "n1"},
        "status": {"containerStatuses": [
            {"name": "coredns", "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}},
        ]},
    }));
    let failure = world.apply(rollout("coredns")).unwrap_err();
    assert!(failure.message.contains("1 of 2 pods are available"), "{failure}");
    assert_eq!(failure.evidence, ["pod `coredns-x` on `n1`: `coredns`: ImagePullBackOff no such image"]);
    server.edit(
        "apps/v1",
        "Deployment",
        "kube-system",
        "coredns",
        json!({"status": {"availableReplicas": 2}}),
    );
    assert_eq!(world.apply(rollout("coredns")).unwrap(), Outcome::unchanged());

    let nodes = |names: &[&str]| {
        let nodes = names.iter().map(|name| (*name).to_owned()).collect();
        check(Probe::NodesReady { kubeconfig: KUBECONFIG.into(), nodes })
    };
    for (name, status) in [("n1", "True"), ("n2", "False")] {
        server.put(json!({
            "apiVersion": "v1", "kind": "Node", "metadata": {"name": name},
            "status": {"conditions": [{"type": "Ready", "status": status, "message": "no network yet"}]},
        }));
    }
    assert_eq!(world.apply(nodes(&["n1"])).unwrap(), Outcome::unchanged());
    let failure = world.apply(nodes(&["n1", "n2", "n3"])).unwrap_err();
    assert_eq!(failure.evidence, ["`n2`: it is not `Ready`: no network yet", "`n3`: it is not there"]);
    // Without a cluster there is nothing to look at, and that is no failure of the look.
    let world = World::new();
    assert_eq!(differs(&world, &nodes(&["n1"]).into()), ["it is well"]);
}
