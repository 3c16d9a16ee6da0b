//! Authorities, requests, signatures and certificates: two hosts, every reason to renew, crashes, keys of others.
#![allow(missing_docs, clippy::pedantic, clippy::unwrap_used, clippy::panic, clippy::get_unwrap)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use common::mortal::Mortal;
use common::{World, applied, ask, root, step};
use kubespray_node::{Host, Session, View, observe};
use kubespray_resource::wire::Ask;
use kubespray_resource::*;

const CA: &str = "/etc/ssl/etcd/ssl/ca.pem";
const CA_KEY: &str = "/etc/ssl/etcd/ssl/ca-key.pem";
const LEAF: &str = "/etc/ssl/etcd/ssl/member-n1.pem";
const LEAF_KEY: &str = "/etc/ssl/etcd/ssl/member-n1-key.pem";
const STAGED: &str = "/etc/ssl/etcd/ssl/member-n1-key.pem.kubespray-next";

/// What an operation wishes of the two hosts.
#[derive(Clone)]
struct Wish {
    authority: Authority,
    request: CertificateRequest,
    signature: Signature,
    certificate: Certificate,
}

fn wish() -> Wish {
    let algorithm = KeyAlgorithm::EcdsaP256;
    let key = |path: &str, mode| KeyFile { path: path.into(), algorithm, mode: Mode(mode), owner: root() };
    let subject = Subject::named("etcd-member-n1");
    let names = [
        AlternativeName::Dns("localhost".into()),
        AlternativeName::Dns("N1".into()),
        AlternativeName::Address("10.0.0.1".parse().unwrap()),
        AlternativeName::Address("127.0.0.1".parse().unwrap()),
        AlternativeName::Address("::1".parse().unwrap()),
    ];
    let usages = [Usage::Client, Usage::Server];
    Wish {
        authority: Authority {
            certificate_path: CA.into(),
            certificate_mode: Mode(0o644),
            certificate_owner: root(),
            key: key(CA_KEY, 0o600),
            subject: Subject::named("etcd-ca"),
            days: 36_500,
        },
        request: CertificateRequest {
            key: key(LEAF_KEY, 0o640),
            subject: subject.clone(),
            names: names.clone().into(),
        },
        signature: Signature {
            ca_certificate_path: CA.into(),
            ca_key_path: CA_KEY.into(),
            request: Content::Output("leaf/etcd/request".into()),
            subject: subject.clone(),
            names: names.clone().into(),
            usages: usages.into(),
            days: 365,
        },
        certificate: Certificate {
            path: LEAF.into(),
            mode: Mode(0o640),
            owner: root(),
            key: key(LEAF_KEY, 0o640),
            from: Content::Output("holder/etcd/signature".into()),
            authority: Content::Output("holder/etcd/authority".into()),
            subject,
            names: names.into(),
            usages: usages.into(),
            renew_before_days: 30,
        },
    }
}

/// Everything that helpers said, to look for what must never be said.
type Said = Vec<String>;

fn apply(
    host: &dyn Host,
    id: &str,
    resource: impl Into<Resource>,
    inputs: &BTreeMap<StepId, String>,
    said: &mut Said,
) -> Option<Result<Outcome, Failure>> {
    let mut wish = step(resource, &[]);
    wish.step = id.into();
    wish.inputs = inputs.clone();
    let answers = ask(&mut Session::new("b"), host, Ask::Apply(Box::new(wish)));
    said.push(format!("{answers:?}"));
    // A host that died says nothing any more.
    matches!(answers.last(), Some(wire::Answer::Applied(..))).then(|| applied(answers))
}

/// What planner and controller do: the authority, a look at the certificate, and what follows from that. The
/// reasons for a new certificate; nothing where a host died.
fn run(
    holder: &dyn Host,
    leaf: &dyn Host,
    wish: &Wish,
    said: &mut Said,
) -> Option<Result<Vec<String>, Failure>> {
    let mut inputs = BTreeMap::new();
    macro_rules! apply {
        ($host:expr, $id:literal, $resource:expr) => {
            match apply($host, $id, $resource.clone(), &inputs, said)? {
                Ok(outcome) => _ = outcome.output.clone().map(|text| inputs.insert($id.into(), text)),
                Err(failure) => return Some(Err(failure)),
            }
        };
    }
    apply!(holder, "holder/etcd/authority", wish.authority);
    let known = Resource::from(wish.certificate.clone()).with_inputs(&inputs);
    let state = observe(&View::new(leaf, [&known]), &known).ok()?;
    said.push(format!("{state:?}"));
    let comparison = known.compare(&state, &Secrets::default()).unwrap();
    if !known.takes_for(&comparison).is_empty() {
        apply!(leaf, "leaf/etcd/request", wish.request);
        apply!(holder, "holder/etcd/signature", wish.signature);
    }
    apply!(leaf, "leaf/etcd/certificate", wish.certificate);
    let state = observe(&View::new(leaf, [&known]), &known).ok()?;
    assert!(known.compare(&state, &Secrets::default()).unwrap().is_same());
    Some(Ok(comparison.changes.into_iter().map(|change| change.what).collect()))
}

/// A run to its end.
fn reasons(holder: &dyn Host, leaf: &dyn Host, wish: &Wish) -> Vec<String> {
    run(holder, leaf, wish, &mut Vec::new()).unwrap().unwrap_or_else(|failure| panic!("{failure:?}"))
}

fn mode(world: &World, path: &str) -> u32 {
    fs::symlink_metadata(world.path(path)).unwrap().permissions().mode() & 0o7777
}

fn fixture(name: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/certificates");
    fs::read_to_string(format!("{folder}/{name}")).unwrap()
}

#[test]
fn a_certificate_crosses_two_hosts_and_the_second_run_changes_nothing() {
    let (holder, leaf) = (World::new(), World::new());
    let mut said = Vec::new();
    let first = run(&holder.host, &leaf.host, &wish(), &mut said).unwrap().unwrap();
    assert_eq!(first, ["certificate"]);
    assert_eq!([mode(&holder, CA), mode(&holder, CA_KEY)], [0o644, 0o600]);
    assert_eq!([mode(&leaf, LEAF), mode(&leaf, LEAF_KEY)], [0o640, 0o640]);
    assert!(!leaf.path(STAGED).exists());
    let before = [leaf.get(LEAF), leaf.get(LEAF_KEY), holder.get(CA), holder.get(CA_KEY)];
    assert!(run(&holder.host, &leaf.host, &wish(), &mut said).unwrap().unwrap().is_empty());
    assert_eq!(before, [leaf.get(LEAF), leaf.get(LEAF_KEY), holder.get(CA), holder.get(CA_KEY)]);

    // Keys stay where they were made: nothing that is said or written down has a line of them.
    for world in [&holder, &leaf] {
        said.push(world.get("/var/lib/kubespray/journal/run-1.jsonl"));
    }
    let said = said.concat();
    assert!(said.contains("BEGIN CERTIFICATE REQUEST") && said.contains("BEGIN CERTIFICATE-----"));
    assert!(!said.contains("PRIVATE KEY"));
    for key in [holder.get(CA_KEY), leaf.get(LEAF_KEY)] {
        assert!(key.lines().filter(|line| !line.starts_with('-')).all(|line| !said.contains(line)));
    }
    let journal = holder.get("/var/lib/kubespray/journal/run-1.jsonl");
    assert!(journal.contains("\"output\":\"-----BEGIN CERTIFICATE"), "a resumed run finds outputs there");
}

#[test]
fn a_command_is_done_when_a_certificate_is_good_for_all_names() {
    let (holder, leaf) = (World::new(), World::new());
    let wish = wish();
    let done = |names: &[AlternativeName]| {
        let command: Resource = Command {
            argv: vec!["renew".into()],
            environment: BTreeMap::new(),
            stdin: None,
            guards: vec![Guard::Names { certificate: LEAF.into(), names: names.iter().cloned().collect() }],
            timeout_s: 1,
        }
        .into();
        matches!(observe(&View::new(&leaf.host, [&command]), &command).unwrap(), State::Command(state) if state.done)
    };
    let own = [AlternativeName::Dns("n1".into()), AlternativeName::Address("::1".parse().unwrap())];
    assert!(!done(&own));
    reasons(&holder.host, &leaf.host, &wish);
    assert!(done(&own));
    let [dns, address] = own;
    assert!(!done(&[dns, address, AlternativeName::Dns("other".into())]));
    fs::write(leaf.path(LEAF), "torn").unwrap();
    assert!(!done(&[AlternativeName::Dns("n1".into())]));
}

#[test]
fn every_algorithm_of_keys_is_made_and_recognised() {
    use KeyAlgorithm::{EcdsaP256, EcdsaP384, Rsa2048, Rsa3072, Rsa4096};
    for (ca, leaf) in [(Rsa2048, Rsa2048), (Rsa2048, Rsa3072), (EcdsaP384, EcdsaP384), (EcdsaP256, Rsa4096)] {
        let worlds = (World::new(), World::new());
        let mut wish = wish();
        wish.authority.key.algorithm = ca;
        wish.request.key.algorithm = leaf;
        wish.certificate.key.algorithm = leaf;
        assert_eq!(reasons(&worlds.0.host, &worlds.1.host, &wish), ["certificate"]);
        assert!(reasons(&worlds.0.host, &worlds.1.host, &wish).is_empty(), "{ca} {leaf}");
    }
}

#[test]
fn every_reason_renews_and_nothing_else_does() {
    let (holder, leaf) = (World::new(), World::new());
    let clock = Mortal::new(&leaf.host);
    reasons(&holder.host, &leaf.host, &wish());
    let mut now = wish();
    let expect = |wish: &Wish, what: &str| {
        let before = fs::read_to_string(leaf.path(LEAF)).unwrap_or_default();
        assert_eq!(reasons(&holder.host, &clock, wish).join(" "), what);
        assert_eq!(before != leaf.get(LEAF), !what.is_empty() && !what.ends_with("mode"), "{what}");
        assert!(reasons(&holder.host, &clock, wish).is_empty(), "{what}: not twice");
    };
    now.certificate.subject = Subject { common_name: "n1".into(), organization: Some("system:nodes".into()) };
    now.signature.subject = now.certificate.subject.clone();
    expect(&now, "subject");
    now.certificate.names.insert(AlternativeName::Dns("lb.example".into()));
    now.signature.names = now.certificate.names.clone();
    expect(&now, "names");
    now.certificate.usages.remove(&Usage::Server);
    now.signature.usages = now.certificate.usages.clone();
    expect(&now, "usages");
    now.certificate.key.algorithm = KeyAlgorithm::EcdsaP384;
    now.request.key.algorithm = KeyAlgorithm::EcdsaP384;
    expect(&now, "key algorithm");
    fs::remove_file(leaf.path(LEAF)).unwrap();
    expect(&now, "certificate");
    leaf.put(LEAF, "torn");
    expect(&now, "certificate");
    fs::remove_file(leaf.path(LEAF_KEY)).unwrap();
    expect(&now, "key");
    leaf.put(LEAF_KEY, &fixture("theirs-member-key.pem"));
    fs::set_permissions(leaf.path(LEAF_KEY), fs::Permissions::from_mode(0o640)).unwrap();
    expect(&now, "key");
    fs::set_permissions(leaf.path(LEAF_KEY), fs::Permissions::from_mode(0o644)).unwrap();
    expect(&now, "key mode");
    fs::set_permissions(leaf.path(LEAF), fs::Permissions::from_mode(0o600)).unwrap();
    expect(&now, "mode");

    // 365 days were given: 30 whole days are left after 334.5, 28 after 336.5.
    clock.ahead_hours.set(334 * 24 + 12);
    expect(&now, "");
    clock.ahead_hours.set(336 * 24 + 12);
    let before = leaf.get(LEAF);
    assert_eq!(
        known(&clock, &now, &holder).changes[0].from.as_deref(),
        Some("in 28 days"),
        "the reason is told in words"
    );
    now.signature.days = 500;
    expect(&now, "expiry");
    assert_ne!(before, leaf.get(LEAF));
    clock.ahead_hours.set(600 * 24 + 12);
    assert_eq!(known(&clock, &now, &holder).changes[0].from.as_deref(), Some("over"));

    clock.ahead_hours.set(0);
    fs::remove_file(holder.path(CA)).unwrap();
    fs::remove_file(holder.path(CA_KEY)).unwrap();
    assert_eq!(reasons(&holder.host, &clock, &now), ["authority"]);
}

/// How the certificate differs while the authority is known.
fn known(leaf: &dyn Host, wish: &Wish, holder: &World) -> Comparison {
    let inputs = BTreeMap::from([("holder/etcd/authority".into(), holder.get(CA))]);
    let known = Resource::from(wish.certificate.clone()).with_inputs(&inputs);
    let state = observe(&View::new(leaf, [&known]), &known).unwrap();
    known.compare(&state, &Secrets::default()).unwrap()
}

#[test]
fn what_others_made_is_understood_and_left_alone() {
    let (holder, leaf) = (World::new(), World::new());
    for (name, path) in [("theirs-ca.pem", CA), ("theirs-ca-key.pem", CA_KEY)] {
        holder.put(path, &fixture(name));
        fs::set_permissions(holder.path(path), fs::Permissions::from_mode(0o640)).unwrap();
    }
    for (name, path) in [("theirs-member.pem", LEAF), ("theirs-member-key.pem", LEAF_KEY)] {
        leaf.put(path, &fixture(name));
        fs::set_permissions(leaf.path(path), fs::Permissions::from_mode(0o640)).unwrap();
    }
    let mut wish = wish();
    wish.authority.certificate_mode = Mode(0o640);
    wish.authority.key.mode = Mode(0o640);
    wish.certificate.key.algorithm = KeyAlgorithm::Rsa2048;
    wish.request.key.algorithm = KeyAlgorithm::Rsa2048;
    assert!(reasons(&holder.host, &leaf.host, &wish).is_empty());
    assert_eq!(leaf.get(LEAF), fixture("theirs-member.pem"));

    // Their authority signs ours, with the key that is there.
    wish.certificate.names.insert(AlternativeName::Dns("n9".into()));
    wish.signature.names = wish.certificate.names.clone();
    assert_eq!(reasons(&holder.host, &leaf.host, &wish), ["names"]);
    assert_eq!(leaf.get(LEAF_KEY), fixture("theirs-member-key.pem"));
    assert_eq!(holder.get(CA), fixture("theirs-ca.pem"));

    // A certificate of another authority with the same name is not taken for this one's.
    let other = World::new();
    reasons(&other.host, &World::new().host, &self::wish());
    let inputs = BTreeMap::from([("holder/etcd/authority".into(), other.get(CA))]);
    let resource = Resource::from(wish.certificate).with_inputs(&inputs);
    let changes = resource.compare(&leaf.observe(&resource).unwrap(), &Secrets::default()).unwrap().changes;
    assert_eq!((changes.len(), changes[0].what.as_str()), (1, "authority"));
}

#[test]
fn an_authority_of_many_words_on_another_curve_signs() {
    let (holder, leaf) = (World::new(), World::new());
    holder.put(CA, &format!("some words before it\n{}", fixture("curve-ca.pem")));
    holder.put("/etc/elsewhere/key.pem", &fixture("curve-ca-key.pem"));
    symlink(holder.path("/etc/elsewhere/key.pem"), holder.path(CA_KEY)).unwrap();
    // Paths in links are of the whole machine, not of the test's root.
    fs::remove_file(holder.path(CA_KEY)).unwrap();
    symlink("../../../elsewhere/key.pem", holder.path(CA_KEY)).unwrap();
    assert_eq!(reasons(&holder.host, &leaf.host, &wish()), ["certificate"]);
    assert!(reasons(&holder.host, &leaf.host, &wish()).is_empty());
    assert!(fs::symlink_metadata(holder.path(CA_KEY)).unwrap().is_symlink());
    assert_eq!(mode(&holder, "/etc/elsewhere/key.pem"), 0o600);
}

#[test]
fn a_part_of_an_authority_is_never_made_whole() {
    let made = World::new();
    made.converge(wish().authority);
    let other = World::new();
    other.converge(wish().authority);
    let (ca, key, other_key) = (made.get(CA), made.get(CA_KEY), other.get(CA_KEY));
    let leaf = World::new();
    reasons(&made.host, &leaf.host, &wish());
    let both = format!("{ca}{key}");
    for (certificate, key, words) in [
        (Some(&ca), None, "`/etc/ssl/etcd/ssl/ca-key.pem` is not"),
        (None, Some(&key), "certificate `/etc/ssl/etcd/ssl/ca.pem` is not"),
        (Some(&ca), Some(&other_key), "is not of the authority"),
        (Some(&ca), Some(&ca), "cannot be read"),
        (Some(&key), Some(&key), "holds a private key"),
        (Some(&both), Some(&key), "holds a private key"),
        (Some(&"words".to_owned()), Some(&key), "is no certificate"),
        (Some(&leaf.get(LEAF)), Some(&leaf.get(LEAF_KEY)), "of no authority"),
    ] {
        let world = World::new();
        certificate.iter().for_each(|text| world.put(CA, text));
        key.iter().for_each(|text| world.put(CA_KEY, text));
        let failure = world.apply(wish().authority).unwrap_err();
        assert!(failure.message.contains(words), "{failure}");
        assert!(!failure.hints.is_empty() && !format!("{failure:?}").contains("BEGIN"));
        assert_eq!(world.path(CA).exists(), certificate.is_some());
        assert_eq!(world.path(CA_KEY).exists(), key.is_some());
    }
    let old = Mortal::new(&made.host);
    old.ahead_hours.set(36_499 * 24 + 12);
    let resource = wish().authority.into();
    observe(&View::new(&old, [&resource]), &resource).unwrap();
    old.ahead_hours.set(36_500 * 24 + 12);
    let failure = observe(&View::new(&old, [&resource]), &resource).unwrap_err();
    assert!(failure.message.contains("is over"), "{failure}");
}

#[test]
fn a_changed_request_and_a_foreign_one_are_refused() {
    let holder = World::new();
    holder.converge(wish().authority);
    let leaf = World::new();
    let request = leaf.apply(wish().request).unwrap().output.unwrap();
    let sign = |request: &str| {
        holder.apply(Signature { request: Content::Text(request.into()), ..wish().signature })
    };
    sign(&request).unwrap();
    // One byte of the key that it is for.
    use rustls::pki_types::{CertificateSigningRequestDer, pem::PemObject};
    let mut der = CertificateSigningRequestDer::from_pem_slice(request.as_bytes()).unwrap().to_vec();
    let at = der.len() / 2 - 30;
    der[at] ^= 1;
    let changed = format!(
        "-----BEGIN CERTIFICATE REQUEST-----\n{}\n-----END CERTIFICATE REQUEST-----\n",
        serde_json::to_value(base64(&der)).unwrap().as_str().unwrap()
    );
    for (request, words) in [
        (changed.as_str(), "was not signed with its own key"),
        ("nothing", "is no request"),
        (&holder.get(CA), "is no request"),
        ("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n", "cannot be read"),
    ] {
        let failure = sign(request).unwrap_err();
        assert!(failure.message.contains(words), "{failure}");
    }
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let value =
            chunk.iter().fold(0_u32, |value, byte| value << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let digit = DIGITS[(value >> (18 - 6 * place) & 63) as usize];
            out.push(if place <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    out
}

#[test]
fn a_certificate_that_is_not_what_was_wished_is_not_written() {
    let (holder, leaf) = (World::new(), World::new());
    reasons(&holder.host, &leaf.host, &wish());
    let good = leaf.get(LEAF);
    let other = World::new();
    reasons(&holder.host, &other.host, &wish());
    let give = |from: &str, change: fn(&mut Certificate)| {
        let mut certificate = wish().certificate;
        certificate.from = Content::Text(from.into());
        certificate.authority = Content::Text(holder.get(CA));
        change(&mut certificate);
        leaf.apply(certificate)
    };
    for (from, change, words) in [
        (
            other.get(LEAF),
            (|wish| wish.subject.common_name = "x".into()) as fn(&mut Certificate),
            "another key",
        ),
        (good.clone(), |wish| wish.subject.common_name = "x".into(), "wrong subject"),
        (good.clone(), |wish| wish.renew_before_days = 400, "wrong expiry"),
        ("words".into(), |wish| wish.subject.common_name = "x".into(), "no certificate"),
        (good.clone(), |wish| wish.authority = Content::Text("words".into()), "no certificate"),
    ] {
        let failure = give(&from, change).unwrap_err();
        assert!(failure.message.contains(words), "{failure}");
        assert_eq!(leaf.get(LEAF), good);
    }
    let failure = leaf.apply(Certificate { path: "/etc/x.pem".into(), ..wish().certificate }).unwrap_err();
    assert!(failure.message.contains("the output of `holder/etcd/signature` is not there"), "{failure}");
    assert!(!leaf.path("/etc/x.pem").exists());
}

#[test]
fn a_running_service_keeps_its_key_until_the_certificate_is_there() {
    let (holder, leaf) = (World::new(), World::new());
    reasons(&holder.host, &leaf.host, &wish());
    let key = leaf.get(LEAF_KEY);
    let mut request = wish().request;
    request.key.algorithm = KeyAlgorithm::EcdsaP384;
    let first = leaf.apply(request.clone()).unwrap().output.unwrap();
    assert_eq!(leaf.get(LEAF_KEY), key);
    assert_eq!(mode(&leaf, STAGED), 0o640);
    let staged = leaf.get(STAGED);
    assert_ne!(leaf.apply(request).unwrap().output.unwrap(), "");
    assert_eq!(leaf.get(STAGED), staged, "the same key is asked for again");
    assert!(first.starts_with("-----BEGIN CERTIFICATE REQUEST-----"));
    // Nobody wants it any more: the next certificate takes it away.
    fs::remove_file(leaf.path(LEAF)).unwrap();
    reasons(&holder.host, &leaf.host, &wish());
    assert!(!leaf.path(STAGED).exists());
    assert_eq!(leaf.get(LEAF_KEY), key);
}

#[test]
fn whatever_a_crash_interrupts_heals() {
    let mut crashes = 0;
    for holder_dies in [true, false] {
        for effects in 0.. {
            let (holder, leaf) = (World::new(), World::new());
            let mut wish = wish();
            if !holder_dies {
                // There is something to be replaced, key included.
                reasons(&holder.host, &leaf.host, &wish);
                wish.request.key.algorithm = KeyAlgorithm::EcdsaP384;
                wish.certificate.key.algorithm = KeyAlgorithm::EcdsaP384;
            }
            let (mortal_holder, mortal_leaf) = (Mortal::new(&holder.host), Mortal::new(&leaf.host));
            let dies = if holder_dies { &mortal_holder } else { &mortal_leaf };
            dies.left.set(effects);
            let ended = run(&mortal_holder, &mortal_leaf, &wish, &mut Vec::new());
            for path in [CA_KEY, LEAF_KEY, STAGED] {
                for world in [&holder, &leaf] {
                    assert!(!world.path(path).exists() || mode(world, path) & 0o007 == 0);
                }
            }
            assert!(!holder.path(CA_KEY).exists() || holder.path(CA).exists());
            // It ends with a look that finds nothing to do.
            reasons(&holder.host, &leaf.host, &wish);
            assert!(!leaf.path(STAGED).exists());
            if ended.is_some() {
                break;
            }
            crashes += 1;
        }
    }
    assert!(crashes > 15, "{crashes}");
}

#[test]
fn a_linked_certificate_is_replaced_and_what_it_leads_to_stays() {
    let (holder, leaf) = (World::new(), World::new());
    leaf.put("/etc/ssl/etcd/ssl/node-n2.pem", "theirs");
    symlink("node-n2.pem", leaf.path(LEAF)).unwrap();
    let found = reasons(&holder.host, &leaf.host, &wish());
    assert_eq!(found, ["certificate", "mode", "key"]);
    assert_eq!(leaf.get("/etc/ssl/etcd/ssl/node-n2.pem"), "theirs");
    assert!(leaf.get(LEAF).contains("BEGIN CERTIFICATE"));
}
