//! Copies of an authority's key: from its holder to another host, past everybody in between.
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
const KEY: &str = "/etc/ssl/etcd/ssl/ca-key.pem";
const OFFER: &str = "/etc/ssl/etcd/ssl/ca-key.pem.kubespray-offer";

fn authority() -> Authority {
    let (path, algorithm) = (KEY.to_owned(), KeyAlgorithm::EcdsaP256);
    Authority {
        certificate_path: CA.into(),
        certificate_mode: Mode(0o644),
        certificate_owner: root(),
        key: KeyFile { path, algorithm, mode: Mode::PRIVATE, owner: root() },
        subject: Subject::named("etcd-ca"),
        days: 36_500,
    }
}

fn offer() -> KeyOffer {
    KeyOffer { path: KEY.into() }
}

fn sealing(offer: &str) -> KeySealing {
    KeySealing { key_path: KEY.into(), offer: Content::Text(offer.into()), copy_path: KEY.into() }
}

fn copy(from: &str, authority: &str) -> KeyCopy {
    KeyCopy {
        path: KEY.into(),
        mode: Mode::PRIVATE,
        owner: root(),
        from: Content::Text(from.into()),
        authority: Content::Text(authority.into()),
    }
}

/// A host with an authority.
fn holder() -> World {
    let holder = World::new();
    holder.converge(authority());
    holder
}

fn given(world: &World, wish: impl Into<Resource>) -> String {
    world.apply(wish).unwrap_or_else(|failure| panic!("{failure:?}")).output.unwrap()
}

/// What the holder seals for a host, which offers.
fn sealed(holder: &World, other: &World) -> String {
    given(holder, sealing(&given(other, offer())))
}

fn mode(world: &World, path: &str) -> u32 {
    fs::symlink_metadata(world.path(path)).unwrap().permissions().mode() & 0o7777
}

/// Everything that helpers said.
type Said = Vec<String>;

/// What planner and controller do: a look, and what follows from it. What differed; nothing where the host died.
fn run(holder: &World, other: &dyn Host, said: &mut Said) -> Option<Result<Vec<String>, Failure>> {
    let mut inputs = BTreeMap::from([(StepId::from("holder/etcd/authority"), holder.get(CA))]);
    let mut apply = |host: &dyn Host, id: &str, resource: Resource| {
        let mut wish = step(resource, &[]);
        wish.step = id.into();
        wish.inputs = inputs.clone();
        let answers = ask(&mut Session::new("b"), host, Ask::Apply(Box::new(wish)));
        said.push(format!("{answers:?}"));
        // A host that died says nothing any more.
        let outcome = matches!(answers.last(), Some(wire::Answer::Applied(..))).then(|| applied(answers))?;
        if let Ok(Outcome { output: Some(text), .. }) = &outcome {
            inputs.insert(id.into(), text.clone());
        }
        Some(outcome)
    };
    let wish: Resource = KeyCopy {
        from: Content::Output("holder/etcd/seal".into()),
        authority: Content::Text(holder.get(CA)),
        ..copy("", "")
    }
    .into();
    let state = observe(&View::new(other, [&wish]), &wish).ok()?;
    let comparison = wish.compare(&state, &Secrets::default()).unwrap();
    if !wish.takes_for(&comparison).is_empty() {
        let sealing = KeySealing { offer: Content::Output("other/etcd/offer".into()), ..sealing("") };
        for (host, id, resource) in [
            (other, "other/etcd/offer", offer().into()),
            (&holder.host as &dyn Host, "holder/etcd/seal", sealing.into()),
        ] {
            if let Err(failure) = apply(host, id, resource)? {
                return Some(Err(failure));
            }
        }
    }
    let ended = apply(other, "other/etcd/copy", wish)?;
    Some(ended.map(|_| comparison.changes.into_iter().map(|change| change.what).collect()))
}

#[test]
fn a_key_crosses_two_hosts_and_nobody_in_between_has_it() {
    let (holder, other) = (holder(), World::new());
    let mut said = Said::new();
    assert_eq!(run(&holder, &other.host, &mut said).unwrap().unwrap(), ["key"]);
    assert_eq!((other.get(KEY), mode(&other, KEY)), (holder.get(KEY), 0o600));
    assert!(!other.path(OFFER).exists());
    assert!(run(&holder, &other.host, &mut said).unwrap().unwrap().is_empty());

    let journals = [&holder, &other].map(|world| world.get("/var/lib/kubespray/journal/run-1.jsonl"));
    assert!(journals[0].contains("holder/etcd/seal") && journals[0].contains("\"output\":\""));
    let said = [said.concat(), journals.concat()].concat();
    assert!(said.contains("other/etcd/copy"));
    let key = holder.get(KEY);
    assert!(!said.contains("PRIVATE KEY"));
    assert!(key.lines().filter(|line| !line.starts_with('-')).all(|line| !said.contains(line)));
}

#[test]
fn keys_that_openssl_made_arrive_as_they_are() {
    let fixture = |name: &str| {
        fs::read_to_string(format!("{}/tests/certificates/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
    };
    for name in ["theirs-ca", "curve-ca"] {
        let (holder, other) = (World::new(), World::new());
        holder.put(CA, &fixture(&format!("{name}.pem")));
        holder.put(KEY, &fixture(&format!("{name}-key.pem")));
        let wish = copy(&sealed(&holder, &other), &holder.get(CA));
        // Where a link leads is not written to; one to the key stays.
        symlink("../../../elsewhere.pem", other.path(KEY)).unwrap();
        other.converge(wish.clone());
        assert_eq!(other.get(KEY), holder.get(KEY));
        assert!(!other.path("/etc/elsewhere.pem").exists());
        fs::rename(other.path(KEY), other.path("/etc/elsewhere.pem")).unwrap();
        symlink("../../../elsewhere.pem", other.path(KEY)).unwrap();
        assert!(other.compare(&wish.into()).is_same());
    }
}

#[test]
fn nobody_but_who_offered_opens_it_and_nowhere_else() {
    let (holder, other, third) = (holder(), World::new(), World::new());
    let ca = holder.get(CA);
    let sealed = sealed(&holder, &other);
    given(&third, offer());
    let failure = third.apply(copy(&sealed, &ca)).unwrap_err();
    assert!(failure.message.contains("sealed for somebody else"), "{failure}");
    assert!(!third.path(KEY).exists() && third.path(OFFER).exists());
    // The same offer, at another path.
    let elsewhere = "/etc/ssl/elsewhere-key.pem";
    fs::copy(other.path(OFFER), other.path(&format!("{elsewhere}.kubespray-offer"))).unwrap();
    let failure = other.apply(KeyCopy { path: elsewhere.into(), ..copy(&sealed, &ca) }).unwrap_err();
    assert!(failure.message.contains("sealed for somebody else"), "{failure}");
    other.apply(copy(&sealed, &ca)).unwrap();
    // It was opened once; what opens it is gone.
    fs::remove_file(other.path(KEY)).unwrap();
    let failure = other.apply(copy(&sealed, &ca)).unwrap_err();
    assert!(failure.message.contains("is not there any more"), "{failure}");
    assert!(failure.hints.iter().any(|hint| hint.contains("run it again")));
}

#[test]
fn a_text_that_was_changed_is_refused() {
    let (holder, other) = (holder(), World::new());
    let ca = holder.get(CA);
    let sealed = sealed(&holder, &other);
    for at in [0, 20, 43, 45, sealed.len() / 2, sealed.len() - 6] {
        let mut changed = sealed.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        let failure = other.apply(copy(&changed, &ca)).unwrap_err();
        assert!(failure.message.contains("cannot be opened"), "{at}: {failure}");
    }
    for text in ["", ".", "words", "AAAA.AAAA", &sealed[..sealed.len() - 8], &sealed[1..]] {
        let failure = other.apply(copy(text, &ca)).unwrap_err();
        assert!(failure.message.contains("cannot be opened"), "{text}: {failure}");
    }
    for text in ["", "AAAA", "words", &ca, &format!("{}A", given(&other, offer()))] {
        let failure = holder.apply(sealing(text)).unwrap_err();
        assert!(failure.message.contains("is no offer"), "{text}: {failure}");
    }
    assert!(!other.path(KEY).exists());
    other.converge(copy(&sealed, &ca));
}

#[test]
fn what_is_no_key_of_the_authority_is_never_copied() {
    let (holder, other, foreign) = (holder(), World::new(), self::holder());
    let ca = holder.get(CA);
    let failure = other.apply(copy(&sealed(&foreign, &other), &ca)).unwrap_err();
    assert!(failure.message.contains("is not of its authority"), "{failure}");
    assert!(!other.path(KEY).exists());
    for text in ["", "words", &ca] {
        foreign.put(KEY, text);
        let failure = foreign.apply(sealing(&given(&other, offer()))).unwrap_err();
        assert!(failure.message.contains("`/etc/ssl/etcd/ssl/ca-key.pem` cannot be read"), "{failure}");
    }
}

#[test]
fn a_key_that_is_there_is_never_replaced() {
    let (holder, foreign) = (holder(), self::holder());
    let ca = holder.get(CA);
    for (text, words) in [
        (foreign.get(KEY), "is not of the authority of this cluster"),
        ("words".to_owned(), "cannot be read"),
        (String::new(), "cannot be read"),
    ] {
        let other = World::new();
        let sealed = sealed(&holder, &other);
        other.put(KEY, &text);
        let wish = copy(&sealed, &ca);
        for failure in
            [other.observe(&wish.clone().into()).unwrap_err(), other.apply(wish.clone()).unwrap_err()]
        {
            assert!(failure.message.contains(words), "{failure}");
            assert!(!failure.hints.is_empty() && !format!("{failure:?}").contains("BEGIN"));
        }
        assert_eq!(other.get(KEY), text);
    }
    // As other tools leave it: nothing is asked of the holder.
    let other = World::new();
    other.put(KEY, &holder.get(KEY));
    fs::set_permissions(other.path(KEY), fs::Permissions::from_mode(0o640)).unwrap();
    let wish: Resource = copy("never opened", &ca).into();
    let comparison = other.compare(&wish);
    assert_eq!(comparison.changes.iter().map(|change| change.what.as_str()).collect::<Vec<_>>(), ["mode"]);
    assert!(comparison.is_of_attributes());
    other.converge(wish);
    assert_eq!((other.get(KEY), mode(&other, KEY)), (holder.get(KEY), 0o600));
    // Nobody knows the authority yet.
    let unknown = KeyCopy { authority: Content::Output("holder/etcd/authority".into()), ..copy("", "") };
    assert_eq!(other.compare(&unknown.into()).changes[0].from.as_deref(), Some("not checked"));
}

#[test]
fn an_offer_is_kept_for_root_alone_until_it_is_taken() {
    let other = World::new();
    let first = given(&other, offer());
    assert_eq!(mode(&other, OFFER), 0o600);
    assert_eq!(given(&other, offer()), first, "what was sealed for it before can still be opened");
    // Not what somebody else may have put there, or read.
    fs::set_permissions(other.path(OFFER), fs::Permissions::from_mode(0o640)).unwrap();
    let second = given(&other, offer());
    assert_ne!(second, first);
    assert_eq!(mode(&other, OFFER), 0o600);
    let elsewhere = other.path("/etc/elsewhere");
    fs::rename(other.path(OFFER), &elsewhere).unwrap();
    symlink(&elsewhere, other.path(OFFER)).unwrap();
    let third = given(&other, offer());
    assert_ne!(third, second);
    for torn in ["", "words", &third] {
        other.put(OFFER, torn);
        assert_ne!(given(&other, offer()), third);
    }
}

#[test]
fn whatever_a_crash_interrupts_heals() {
    let holder = holder();
    for effects in 0.. {
        let other = World::new();
        let mortal = Mortal::new(&other.host);
        mortal.left.set(effects);
        let ended = run(&holder, &mortal, &mut Said::new());
        for path in [KEY, OFFER] {
            assert!(!other.path(path).exists() || mode(&other, path) == 0o600);
        }
        let left = other.path(KEY).exists() && other.path(OFFER).exists();
        let found = run(&holder, &other.host, &mut Said::new()).unwrap().unwrap();
        match (&ended, left) {
            (Some(_), _) => assert!(found.is_empty(), "{found:?}"),
            (None, true) => assert_eq!(found, ["offer"]),
            (None, false) => assert!(found.is_empty() || found == ["key"], "{found:?}"),
        }
        assert_eq!(other.get(KEY), holder.get(KEY));
        assert!(!other.path(OFFER).exists());
        assert!(run(&holder, &other.host, &mut Said::new()).unwrap().unwrap().is_empty());
        if ended.is_some() {
            assert!(effects > 4, "{effects}");
            return;
        }
    }
}
