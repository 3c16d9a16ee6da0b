//! How etcd comes to hosts: a new cluster, members more, other versions and settings.
#![allow(clippy::unwrap_used, clippy::panic, clippy::format_push_string, unreachable_pub, reason = "tests")]

#[allow(dead_code, reason = "other tests need the rest")]
mod support;

use std::collections::BTreeMap;

use kubespray_planner::components::{Live, LiveEtcd, Site};
use kubespray_planner::operations::cluster;
use kubespray_planner::{Seen, Wishes, lint, plan};
use kubespray_resource::{
    Content, Disruption, EtcdListed, EtcdMember, EtcdSeen, EtcdStatus, Facts, Failure, Mode, NodesState,
    Plan, Resource, Secrets, Step,
};
use support::absent::absent;
use support::{debian, shown, spec};

/// Hosts `a` to `e` at 10.0.0.11 to 10.0.0.15; those of etcd and the control planes by their letters.
fn hosts(etcd: &str, control_planes: &str) -> String {
    let group = |letters: &str| {
        let members: Vec<String> = letters.chars().map(|letter| format!("{letter}: ")).collect();
        members.join(", ")
    };
    let all = ["a", "b", "c", "d", "e"].iter().zip(11..);
    let all: Vec<String> = all.map(|(name, last)| format!("{name}: {{ip: 10.0.0.{last}}}")).collect();
    let all = all.join(", ");
    format!(
        "all: {{hosts: {{{all}}}, children: {{kube_control_plane: {{hosts: {{{}}}}}, \
         kube_node: {{hosts: {{e: }}}}, etcd: {{hosts: {{{}}}}}}}}}",
        group(control_planes),
        group(etcd)
    )
}

fn facts() -> BTreeMap<String, Facts> {
    let one = |(name, last): (&str, u8)| (name.to_owned(), debian(&format!("10.0.0.{last}")));
    ["a", "b", "c", "d", "e"].into_iter().zip(11..).chain([("a.x.org", 11)]).map(one).collect()
}

fn try_wishes(hosts: &str, vars: &str, live: &Live) -> Result<Wishes, String> {
    let facts = facts();
    let spec = spec(hosts, vars, &facts);
    cluster(&Site { spec: &spec, facts: &facts, live }, &BTreeMap::new())
        .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

fn wishes(hosts: &str, vars: &str, live: &Live) -> Wishes {
    let wishes = try_wishes(hosts, vars, live).unwrap();
    let planned = plan_of(wishes.clone());
    assert_eq!(lint(&planned, &secrets()), []);
    wishes
}

/// The plan for hosts that have nothing.
fn plan_of(wishes: Wishes) -> Plan {
    let states = wishes.steps.iter().map(|step| (step.id.clone(), Ok(absent(&step.resource)))).collect();
    plan(wishes, &Seen { states, ..Seen::default() }, &secrets()).unwrap()
}

/// The steps of a host that belong to etcd.
fn of(wishes: &Wishes, host: &str) -> Vec<Step> {
    wishes.steps.iter().filter(|step| step.host == host && step.phase == "etcd").cloned().collect()
}

fn names(steps: &[Step]) -> Vec<&str> {
    steps.iter().map(|step| step.id.as_str().rsplit('/').next().unwrap()).collect()
}

fn step<'a>(wishes: &'a Wishes, id: &str) -> &'a Step {
    wishes.steps.iter().find(|step| step.id.as_str() == id).unwrap_or_else(|| panic!("no {id}"))
}

fn text(wishes: &Wishes, id: &str) -> String {
    match &step(wishes, id).resource {
        Resource::File(file) => match &file.content {
            Content::Text(text) => text.clone(),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

fn value(text: &str, key: &str) -> String {
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{key}=")));
    line.unwrap_or_else(|| panic!("no {key} in {text}")).to_owned()
}

fn set(letters: &str) -> std::collections::BTreeSet<String> {
    letters.chars().map(String::from).collect()
}

/// A cluster that hosts have, as a run before left it; `answers` says who of it is listed: name and host.
fn live(vars: &str, members: &str, answers: &[(&str, &str)]) -> Live {
    let before = wishes(&hosts(members, &members[..1]), vars, &Live::default());
    let settings = members.chars().map(|host| {
        let text = text(&before, &format!("{host}/etcd/settings")).replace("STATE=new", "STATE=existing");
        (host.to_string(), text)
    });
    let seen = answers.iter().map(|(name, host)| {
        let last = 11 + (host.as_bytes()[0] - b'a');
        EtcdSeen {
            listed: EtcdListed {
                id: format!("id-{host}"),
                name: (*name).into(),
                peer_urls: vec![format!("https://10.0.0.{last}:2380")],
                client_urls: vec![format!("https://10.0.0.{last}:2379")],
                learner: false,
            },
            status: Some(EtcdStatus {
                version: "3.6.14".into(),
                cluster: "c1".into(),
                leader: Some("id-a".into()),
                raft_index: 4711,
                db_size: 1,
                errors: Vec::new(),
            }),
            problem: None,
        }
    });
    let etcd = LiveEtcd {
        members: set(members),
        settings: settings.collect(),
        answer: Some(seen.collect()).filter(|seen: &Vec<_>| !seen.is_empty()),
    };
    Live { control_planes: set(&members[..1]), etcd, etcd_authorities: set(&members[..1]), ..Live::default() }
}

const THREE: [(&str, &str); 3] = [("etcd1", "a"), ("etcd2", "b"), ("etcd3", "c")];

/// Those that the rest of the operation names.
fn secrets() -> Secrets {
    let mut secrets = Secrets::default();
    secrets.insert("generated/kubeadm_token", "abcdef.0123456789abcdef");
    secrets.insert("generated/kubeadm_certificate_key", "0123456789abcdef".repeat(4));
    secrets
}

#[test]
fn a_member_of_a_new_cluster() {
    insta::assert_snapshot!(shown(&of(&wishes(&hosts("abc", "abd"), "", &Live::default()), "b")));
}

#[test]
fn a_control_plane_outside_of_etcd() {
    insta::assert_snapshot!(shown(&of(&wishes(&hosts("abc", "abd"), "", &Live::default()), "d")));
}

#[test]
fn a_fourth_and_a_fifth_member_join() {
    let live = live("", "abc", &THREE);
    let wishes = wishes(&hosts("abcde", "abd"), "", &live);
    insta::assert_snapshot!(shown(&of(&wishes, "d").split_off(15)));
    let last = |text: String| value(&text, "ETCD_INITIAL_CLUSTER");
    let four = last(text(&wishes, "d/etcd/settings"));
    let five = last(text(&wishes, "e/etcd/settings"));
    assert_eq!(five, format!("{four},etcd5=https://10.0.0.15:2380"));
    let after =
        |id: &str| -> Vec<String> { step(&wishes, id).after.iter().map(ToString::to_string).collect() };
    assert_eq!(after("d/etcd/member"), ["a/etcd/healthy", "b/etcd/healthy", "c/etcd/healthy"]);
    assert_eq!(after("e/etcd/member"), ["d/etcd/healthy"]);
    // The members that are there keep their files.
    assert_eq!(text(&wishes, "a/etcd/settings"), live.etcd.settings["a"]);
    assert!(step(&wishes, "a/etcd/settings").notifies.is_empty());
}

#[test]
fn new_members_start_together_and_old_ones_take_turns() {
    let new = wishes(&hosts("abc", "a"), "", &Live::default());
    let running = step(&new, "a/etcd/running");
    assert_eq!((&running.gates, running.disruption), (&vec!["etcd-start".to_owned()], Disruption::None));
    assert_eq!(new.gates["etcd-start"].steps.len(), 3);
    let old = wishes(&hosts("abc", "a"), "", &live("", "abc", &THREE));
    let own = of(&old, "b");
    let turns: Vec<&str> = own
        .iter()
        .filter(|step| step.rollout.as_deref() == Some("etcd"))
        .map(|step| step.id.as_str())
        .collect();
    let expected = ["running-others-healthy", "snapshot", "running", "healthy"];
    assert_eq!(turns, expected.map(|name| format!("b/etcd/{name}")));
    assert_eq!(step(&old, "b/etcd/running").disruption, Disruption::Quorum);
    assert_eq!(old.policy.rollouts["etcd"].hosts, ["b", "c", "a"], "who leads goes last");
    // Nobody answers: nobody can be asked, and nothing is lost by a common start.
    let silent = wishes(&hosts("abc", "a"), "", &live("", "abc", &[]));
    let running = step(&silent, "b/etcd/running");
    assert_eq!((&running.gates, &running.rollout), (&vec!["etcd-start".to_owned()], &None));
    assert!(!names(&of(&silent, "b")).contains(&"snapshot"));
}

#[test]
fn a_second_run_finds_its_files() {
    let live = live("", "abc", &THREE);
    let again = wishes(&hosts("abc", "a"), "", &live);
    for host in ["a", "b", "c"] {
        assert_eq!(text(&again, &format!("{host}/etcd/settings")), live.etcd.settings[host]);
        assert!(!names(&of(&again, host)).contains(&"state"));
        for name in ["settings", "install-etcd"] {
            let step = step(&again, &format!("{host}/etcd/{name}"));
            assert!(step.notifies.is_empty(), "{} has no reason to restart", step.id);
        }
    }
}

#[test]
fn a_first_start_that_was_cut_off_goes_on_as_one() {
    let mut live = live("", "abc", &[]);
    live.etcd.members = set("a");
    live.etcd.settings.retain(|host, _| host == "a");
    live.etcd.settings.iter_mut().for_each(|(_, text)| *text = text.replace("STATE=existing", "STATE=new"));
    let wishes = wishes(&hosts("abc", "a"), "", &live);
    for host in ["a", "b", "c"] {
        assert_eq!(
            value(&text(&wishes, &format!("{host}/etcd/settings")), "ETCD_INITIAL_CLUSTER_STATE"),
            "new"
        );
    }
    assert!(!wishes.steps.iter().any(|step| matches!(step.resource, Resource::EtcdMember(_))));
}

#[test]
fn other_settings_and_versions_are_reasons_to_restart() {
    let restarts = |vars: &str, version: &str, id: &str| {
        let mut live = live("", "abc", &THREE);
        for seen in live.etcd.answer.iter_mut().flatten() {
            seen.status.as_mut().unwrap().version = version.into();
        }
        let wishes = wishes(&hosts("abc", "a"), vars, &live);
        !step(&wishes, &format!("b/etcd/{id}")).notifies.is_empty()
    };
    for (vars, version, id, expected) in [
        ("", "3.6.14", "settings", false),
        ("etcd_election_timeout: 9000", "3.6.14", "settings", true),
        ("etcd_extra_vars: {ETCD_AUTO_TLS: 'false'}", "3.6.14", "settings", true),
        ("", "3.6.14", "install-etcd", false),
        ("", "3.6.13", "install-etcd", true),
    ] {
        assert_eq!(restarts(vars, version, id), expected, "{vars} {version} {id}");
    }
}

#[test]
fn members_keep_their_names() {
    let name =
        |wishes: &Wishes, host: &str| value(&text(wishes, &format!("{host}/etcd/settings")), "ETCD_NAME");
    let mut seen = live("", "abc", &THREE);
    // `a` is gone, `d` is new: by their places they would be etcd1, etcd2 and etcd3.
    seen.etcd.members = set("bc");
    seen.etcd_authorities = set("b");
    seen.etcd.answer.as_mut().unwrap().remove(0);
    let after = wishes(&hosts("bcd", "b"), "", &seen);
    let names = ["b", "c", "d"].map(|host| name(&after, host));
    assert_eq!(names, ["etcd2", "etcd3", "etcd1"]);
    let initial = value(&text(&after, "d/etcd/settings"), "ETCD_INITIAL_CLUSTER");
    assert_eq!(
        initial,
        "etcd2=https://10.0.0.12:2380,etcd3=https://10.0.0.13:2380,etcd1=https://10.0.0.14:2380"
    );
    let named = hosts("abc", "a").replace("10.0.0.12}", "10.0.0.12, etcd_member_name: berlin}");
    assert_eq!(name(&wishes(&named, "", &Live::default()), "b"), "berlin");
    assert_eq!(name(&wishes(&named, "", &live("", "abc", &THREE)), "b"), "berlin", "who names it renames it");
}

#[test]
fn a_listed_member_that_never_started_joins_where_it_is_listed() {
    let mut seen = live("", "ab", &[("etcd1", "a"), ("etcd2", "b"), ("", "c")]);
    let unstarted = seen.etcd.answer.as_mut().unwrap().last_mut().unwrap();
    unstarted.listed.learner = true;
    unstarted.status = None;
    let wishes = wishes(&hosts("abc", "a"), "", &seen);
    let initial = value(&text(&wishes, "c/etcd/settings"), "ETCD_INITIAL_CLUSTER");
    assert_eq!(initial.matches("10.0.0.13").count(), 1, "{initial}");
    let own = of(&wishes, "c");
    let at = |name: &str| names(&own).iter().position(|own| *own == name).unwrap();
    assert!(at("member") < at("running") && at("running") < at("voter") && at("voter") < at("healthy"));
    let learner = |id: &str| match &step(&wishes, id).resource {
        Resource::EtcdMember(EtcdMember { learner, .. }) => *learner,
        other => panic!("{other:?}"),
    };
    assert_eq!((learner("c/etcd/member"), learner("c/etcd/voter")), (true, false));
}

#[test]
fn the_store_of_api_2_goes_before_version_3_6() {
    let mut seen = live("", "abc", &THREE);
    for seen in seen.etcd.answer.iter_mut().flatten() {
        seen.status.as_mut().unwrap().version = "3.5.33".into();
    }
    let own = of(&wishes(&hosts("abc", "a"), "", &seen), "a");
    let order = [
        "without-v2-snapshot-count",
        "without-v2-max-wals",
        "without-v2-max-snapshots",
        "without-v2-enable-v2",
        "without-v2-others-healthy",
        "snapshot",
        "without-v2",
        "install-etcd",
        "settings",
        "service",
        "running-others-healthy",
        "running",
        "healthy",
    ];
    let found = own.iter().filter_map(|step| step.id.as_str().strip_prefix("a/etcd/"));
    assert_eq!(found.filter(|name| order.contains(name)).collect::<Vec<_>>(), order);
}

#[test]
fn the_cluster_of_events_stands_beside_the_other() {
    let wishes = wishes(&hosts("abc", "a"), "etcd_events_cluster_enabled: true", &Live::default());
    insta::assert_snapshot!(text(&wishes, "b/etcd/events-settings"));
    let own = of(&wishes, "b");
    let at = |name: &str| names(&own).iter().position(|own| *own == name).unwrap();
    assert!(at("events-service") < at("service") && at("events-healthy") < at("healthy"));
}

#[test]
fn settings_of_all_kinds_are_written() {
    let vars = "
etcd_metrics_port: 2381
etcd_metrics: extensive
etcd_secure_client: false
etcd_peer_client_auth: false
etcd_tls_cipher_suites: [TLS_A, TLS_B]
etcd_extra_vars: {ETCD_AUTO_TLS: 'false', ETCD_STRICT_RECONFIG_CHECK: 'true'}
etcd_experimental_enable_distributed_tracing: true
etcd_log_level: warn
";
    insta::assert_snapshot!(text(&wishes(&hosts("a", "a"), vars, &Live::default()), "a/etcd/settings"));
}

#[test]
fn certificates_name_all_members() {
    let vars = "{certificates_key_size: 4096, certificates_duration: 60, etcd_cert_alt_ips: [10.9.9.9]}";
    let wishes = wishes(&hosts("abc", "ad").replace("a:", "a.x.org:"), vars, &Live::default());
    let Resource::Certificate(wish) = &step(&wishes, "a.x.org/etcd-secrets/certificate-member").resource
    else {
        panic!("no certificate")
    };
    let names: Vec<String> = wish.names.iter().map(ToString::to_string).collect();
    assert_eq!(
        names.join(" "),
        "DNS:a.x.org DNS:b DNS:c DNS:etcd DNS:etcd.kube-system DNS:etcd.kube-system.svc \
         DNS:etcd.kube-system.svc.cluster.local DNS:localhost IP:10.0.0.11 IP:10.0.0.12 IP:10.0.0.13 \
         IP:10.9.9.9 IP:127.0.0.1 IP:::1"
    );
    assert_eq!(wish.subject.to_string(), "CN=etcd-member-a");
    assert_eq!((wish.key.algorithm.to_string().as_str(), wish.renew_before_days), ("RSA 4096", 20));
    let links: Vec<&str> = wishes
        .steps
        .iter()
        .filter_map(|step| match &step.resource {
            Resource::Link(link) if step.host == "d" && step.phase == "etcd" => Some(link.path.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(links, ["/etc/ssl/etcd/ssl/node-a.x.org.pem", "/etc/ssl/etcd/ssl/node-a.x.org-key.pem"]);
}

#[test]
fn members_may_be_reached_by_names() {
    let named = hosts("ab", "a").replace("10.0.0.12}", "10.0.0.12, etcd_access_address: two.etcd.example}");
    let wishes = wishes(&named, "", &Live::default());
    let text = text(&wishes, "b/etcd/settings");
    assert_eq!(value(&text, "ETCD_ADVERTISE_CLIENT_URLS"), "https://two.etcd.example:2379");
    assert_eq!(
        value(&text, "ETCD_INITIAL_CLUSTER"),
        "etcd1=https://10.0.0.11:2380,etcd2=https://two.etcd.example:2380"
    );
    assert_eq!(value(&text, "ETCD_LISTEN_PEER_URLS"), "https://10.0.0.12:2380");
    let Resource::Certificate(wish) = &step(&wishes, "a/etcd-secrets/certificate-admin").resource else {
        panic!("no certificate")
    };
    assert!(wish.names.iter().any(|name| name.to_string() == "DNS:two.etcd.example"), "{:?}", wish.names);
}

#[test]
fn workers_have_certificates_only_where_their_plugin_asks_etcd() {
    for vars in ["", "kube_network_plugin: flannel"] {
        let steps = of(&wishes(&hosts("abc", "a"), vars, &Live::default()), "e");
        assert!(steps.is_empty(), "{vars}: {:?}", names(&steps));
    }
    // Those that do ask it cannot be installed yet.
    for vars in
        ["calico_datastore: etcd", "{kube_network_plugin: cilium, cilium_identity_allocation_mode: kvstore}"]
    {
        let refused = try_wishes(&hosts("abc", "a"), vars, &Live::default()).unwrap_err();
        assert!(refused.contains("yet; set `"), "{vars}: {refused}");
    }
}

#[test]
fn the_holder_of_the_authority_stays_the_same() {
    let mut seen = live("", "bc", &[("etcd1", "b"), ("etcd2", "c")]);
    seen.etcd_authorities = set("c");
    let old = wishes(&hosts("abc", "a"), "", &seen);
    let is_authority = |step: &&Step| step.phase == "etcd" && matches!(step.resource, Resource::Authority(_));
    let holders: Vec<&str> = old.steps.iter().filter(is_authority).map(|step| step.host.as_str()).collect();
    assert_eq!(holders, ["c"]);
    // A worker by now, but nobody else has the key.
    seen.etcd_authorities = set("e");
    let moved = of(&wishes(&hosts("abc", "a"), "", &seen), "e");
    assert_eq!(names(&moved)[..4], ["group-etcd", "user-etcd", "folder", "authority"]);
    assert!(names(&moved).contains(&"sign-member-a") && !names(&moved).contains(&"certificate-node"));
    seen.etcd_authorities.clear();
    let refused = try_wishes(&hosts("abc", "a"), "", &seen).unwrap_err();
    assert!(refused.contains("the key of etcd's certificate authority is on no host"), "{refused}");
    let foreign = wishes(&hosts("abc", "a"), "cert_management: none", &Live::default());
    assert!(foreign.steps.iter().all(|step| step.component != "etcd-secrets"));
}

#[test]
fn members_have_copies_of_the_authoritys_key() {
    let copies = |wishes: &Wishes| -> String {
        let copies = wishes.steps.iter().filter(|step| matches!(step.resource, Resource::KeyCopy(_)));
        let copies = copies.inspect(|step| {
            let Resource::KeyCopy(wish) = &step.resource else { return };
            let found = (wish.path.as_str(), wish.mode, wish.owner.to_string());
            assert_eq!(found, ("/etc/ssl/etcd/ssl/ca-key.pem", Mode::PRIVATE, "root:root".into()));
        });
        copies.map(|step| step.host.as_str()).collect()
    };
    let new = wishes(&hosts("abc", "abd"), "", &Live::default());
    assert_eq!(copies(&new), "bc", "neither its holder nor a control plane");
    // It delays nobody: offered early, sealed when the holder's member runs, the last that is done.
    let own = of(&new, "b");
    let at = |own: &[Step], name: &str| names(own).iter().position(|own| *own == name).unwrap();
    assert!(at(&own, "offer-authority-key") < at(&own, "running"));
    let holder = of(&new, "a");
    assert!(at(&holder, "seal-authority-key-b") > at(&holder, "healthy"));
    let last = new.steps.iter().rfind(|step| step.host == "b").unwrap();
    assert_eq!(last.id.as_str(), "b/etcd-secrets/authority-key");
    // Who has it signs, whoever that is; everybody else is given it.
    for (have_it, expected) in [("c", "ab"), ("abc", "bc"), ("bc", "ac"), ("e", "abc")] {
        let mut seen = live("", "abc", &THREE);
        seen.etcd_authorities = set(have_it);
        assert_eq!(copies(&wishes(&hosts("abc", "a"), "", &seen)), expected, "{have_it}");
    }
    assert_eq!(copies(&wishes(&hosts("abc", "a"), "cert_management: none", &Live::default())), "");
    // Who is away is waited for by nobody.
    let (all, seen) = (facts(), live("", "abc", &THREE));
    let spec = spec(&hosts("abc", "a"), "", &all);
    let some: BTreeMap<String, Facts> = all.into_iter().filter(|(host, _)| host != "c").collect();
    let some = cluster(&Site { spec: &spec, facts: &some, live: &seen }, &BTreeMap::new()).unwrap();
    assert_eq!(copies(&some), "b");
    assert!(some.steps.iter().all(|step| !step.id.as_str().ends_with("seal-authority-key-c")));
}

#[test]
fn a_holder_that_joins_signs_first_for_who_joins_before() {
    let mut seen = live("", "bc", &[("etcd2", "b"), ("etcd3", "c")]);
    seen.etcd_authorities = set("a");
    // The linter finds who waits for whom in a circle.
    let wishes = wishes(&hosts("dabc", "b"), "", &seen);
    let own = of(&wishes, "a");
    let at = |name: &str| names(&own).iter().position(|own| *own == name).unwrap();
    assert!(at("sign-member-d") < at("member") && at("healthy") < at("seal-authority-key-d"));
    assert_eq!(
        at("healthy") + 6,
        own.len(),
        "it seals for three when it runs, and nobody waits for the rest"
    );
    assert_eq!(step(&wishes, "a/etcd/member").after, ["d/etcd/healthy".into()]);
}

#[test]
fn what_cannot_be_planned_is_told_once() {
    let lost = || {
        let mut seen = live("", "abc", &THREE);
        seen.etcd.answer.as_mut().unwrap().remove(1);
        seen
    };
    let newer = || {
        let mut seen = live("", "abc", &THREE);
        seen.etcd.answer.iter_mut().flatten().for_each(|seen| {
            seen.status.as_mut().unwrap().version = "3.7.0".into();
        });
        seen
    };
    for (vars, live, expected) in [
        (
            "etcd_deployment_type: kubeadm",
            Live::default(),
            "`etcd_deployment_type: kubeadm` cannot be done yet",
        ),
        ("certificates_key_size: 1024", Live::default(), "`certificates_key_size` is 1024"),
        ("certificates_duration: 0", Live::default(), "`certificates_duration` is 0 days"),
        ("etcd_cert_alt_ips: [etcd.example]", Live::default(), "`etcd.example` of `etcd_cert_alt_ips` is no"),
        ("", lost(), "`b` has data of etcd, and the cluster has no member at `https://10.0.0.12:2380`"),
        ("", newer(), "etcd of `a` is `3.7.0`, and `3.6.14` is wished"),
    ] {
        let refused = try_wishes(&hosts("abc", "a"), vars, &live).unwrap_err();
        assert!(refused.starts_with(&format!("`a`, etcd: {expected}")), "{refused}");
        assert_eq!(refused.lines().count(), 1, "{refused}");
    }
    let (known, spec_facts) = (facts(), facts());
    let spec = spec(&hosts("abc", "a"), "", &spec_facts);
    let some: BTreeMap<String, Facts> = known.into_iter().filter(|(host, _)| host != "c").collect();
    let refused =
        cluster(&Site { spec: &spec, facts: &some, live: &Live::default() }, &BTreeMap::new()).unwrap_err();
    assert!(refused[0].message.contains("`c` is not known: the cluster may be there already"), "{refused:?}");
}

#[test]
fn what_is_there_is_learned_from_its_hosts() {
    use kubespray_planner::components::probes;
    use kubespray_resource::{AbsentState, EtcdHealthState, PartState, PathKind, State};
    let spec = spec(&hosts("ab", "a"), "", &facts());
    let answers = |resource: &Resource, host: &str| match resource {
        Resource::Absent(wish) if wish.path == "/var/lib/etcd/member/wal" => {
            Ok(State::Absent(AbsentState { kind: (host == "b").then_some(PathKind::Directory) }))
        }
        Resource::Absent(_) => Ok(State::Absent(AbsentState { kind: None })),
        Resource::Line(wish) if wish.path != "/etc/etcd.env" => Ok(State::Line(PartState { text: None })),
        Resource::Line(_) => {
            Ok(State::Line(PartState { text: (host == "b").then(|| "ETCD_NAME=x\n".into()) }))
        }
        Resource::EtcdHealth(wish) => {
            assert_eq!(wish.client.endpoints, ["https://127.0.0.1:2379"]);
            let mut live = live("", "abc", &THREE);
            let members = live.etcd.answer.take().unwrap();
            if host == "a" {
                return Err(Failure::of_host("no program"));
            }
            Ok(State::EtcdHealth(EtcdHealthState { wanted: true, members, problem: None }))
        }
        Resource::Kubeadm(_) | Resource::Check(_) => Err(Failure::of_host("no program")),
        Resource::Nodes(_) => Ok(State::Nodes(NodesState::Unknown("nobody answers".into()))),
        other => panic!("{other:?}"),
    };
    let asked = spec.hosts.iter().flat_map(|host| probes(host).into_iter().map(|probe| (&host.name, probe)));
    let seen = asked.map(|(host, (id, resource))| (id, answers(&resource, host))).collect();
    let live = Live::of(&spec, &seen);
    assert_eq!(live.etcd.members, set("b"));
    assert_eq!(live.etcd.settings, BTreeMap::from([("b".to_owned(), "ETCD_NAME=x\n".to_owned())]));
    assert_eq!(live.etcd.answer.map(|seen| seen.len()), Some(3));
    assert_eq!(live.etcd_events, LiveEtcd::default());
}
