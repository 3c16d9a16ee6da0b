//! Which value wins, and where it comes from.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::path::Path;
use std::sync::Arc;

use kubespray_inventory::{Inventory, Level, Options, Secret, Vault};
use kubespray_value::Value;

fn write(root: &Path, files: &[(&str, &str)]) {
    for (path, text) in files {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    }
}

fn load(root: &Path, sources: &[&str], extra: &[&str]) -> Inventory {
    let full = |s: &&str| if s.contains(',') { (*s).to_owned() } else { root.join(s).display().to_string() };
    let sources: Vec<String> = sources.iter().map(full).collect();
    let vault = Vault::new(vec![("default".into(), Secret::new(b"pw"))]);
    let options = Options {
        vault: Arc::new(vault),
        extra_vars: extra.iter().map(|e| (*e).to_owned()).collect(),
        ..Options::default()
    };
    Inventory::load(&sources, &options).unwrap()
}

/// The value that a host sees, and the file and line that it comes from.
fn value(inventory: &Inventory, root: &Path, host: &str, name: &str) -> String {
    let layers = inventory.layers(host);
    let Some(found) = layers.iter().rev().find_map(|layer| layer.vars.get(name)) else { return "-".into() };
    format!("{} {}", found.value.to_text(), found.origin).replace(&format!("{}/", root.display()), "")
}

#[test]
fn every_level_in_its_order() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let names =
        ["all_inline", "group_inline", "all_files", "group_files", "host_inline", "host_files", "extra"];
    // Every level sets the names of its own and all lower levels.
    let vars = |level: usize, indent: &str| -> String {
        let lines = names.iter().skip(level).map(|name| format!("{indent}{name}: {level}"));
        lines.collect::<Vec<_>>().join("\n") + "\n"
    };
    let hosts = format!(
        "all:\n  vars:\n{}  children:\n    g:\n      vars:\n{}      hosts:\n        h:\n{}",
        vars(0, "    "),
        vars(1, "        "),
        vars(4, "          ")
    );
    write(
        root,
        &[
            ("hosts.yaml", &hosts),
            ("group_vars/all.yml", &vars(2, "")),
            ("group_vars/g/x.yml", &vars(3, "")),
            ("host_vars/h.yml", &vars(5, "")),
        ],
    );
    let inventory = load(root, &["hosts.yaml"], &["extra=6"]);
    for (level, name) in names.iter().enumerate() {
        let seen = value(&inventory, root, "h", name);
        assert!(seen.starts_with(&level.to_string()), "{name}: {seen}");
    }
    let levels: Vec<Level> = inventory.layers("h").iter().map(|layer| layer.level).collect();
    assert_eq!(
        levels,
        [
            Level::AllInline,
            Level::GroupInline,
            Level::AllFiles,
            Level::GroupFiles,
            Level::HostInline,
            Level::HostFiles,
            Level::ExtraVars
        ]
    );
}

#[test]
fn places_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write(
        root,
        &[
            ("h.ini", "[g]\nn1 a=1  b='x y'\n[g:vars]\nc = 2\n"),
            ("group_vars/all/b.json", "{\n  \"j\": {\"k\": 1e3}\n}\n"),
            ("host_vars/n1", "\n한글: 1\n"),
        ],
    );
    let inventory = load(root, &["h.ini"], &["e=1"]);
    for (name, expected) in [
        ("a", "1 h.ini:2:4"),
        ("b", "x y h.ini:2:9"),
        ("c", "2 h.ini:4:1"),
        ("j", "{'k': 1000.0} group_vars/all/b.json:2:3"),
        ("한글", "1 host_vars/n1:2:1"),
        ("e", "1 extra vars"),
    ] {
        assert_eq!(value(&inventory, root, "n1", name), expected);
    }
    assert_eq!(inventory.origin_of_host("n1").unwrap().line(), 2);
    assert_eq!(inventory.inventory_file("n1"), Some(root.join("h.ini").to_str().unwrap()));
    assert_eq!(inventory.inventory_dir("n1"), root.to_str());
}

#[test]
fn several_sources() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write(
        root,
        &[
            ("one/hosts.yaml", "g:\n  hosts: {n: }\n  vars: {inline: one}\n"),
            ("two/hosts.yaml", "g:\n  hosts: {n: , m: }\n  vars: {inline: two}\n"),
            ("one/group_vars/g.yml", "x: group one\ny: group one\n"),
            ("two/group_vars/all.yml", "x: all two\nz: all two\n"),
            ("two/group_vars/g.yml", "y: group two\n"),
            ("one/group_vars/all.yml", "z: all one\n"),
        ],
    );
    let inventory = load(root, &["one/hosts.yaml", "two/hosts.yaml", "n,extra1"], &[]);
    let seen = |name: &str| value(&inventory, root, "n", name).split(" one/").next().unwrap().to_owned();
    // ANS-002: a group file of any source beats the `all` file of a later one.
    assert_eq!(seen("x"), "group one");
    assert!(seen("y").starts_with("group two") && seen("z").starts_with("all two"));
    assert!(seen("inline").starts_with("two"));
    assert!(inventory.inventory_file("n").unwrap().ends_with("one/hosts.yaml"));
    assert_eq!(
        (inventory.inventory_file("extra1"), inventory.inventory_dir("extra1")),
        (Some("n,extra1"), None)
    );
    assert_eq!(inventory.hosts(), ["extra1", "n", "m"]);
    // The order of sources is the order of merging; a place named again counts where it stands last.
    let again = load(root, &["one/hosts.yaml", "two/hosts.yaml", "one/hosts.yaml"], &[]);
    assert!(value(&again, root, "n", "y").starts_with("group one"));
}

#[test]
fn folders_of_variables() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let secret = Vault::encrypt(b"v: secret\n", &Secret::new(b"pw"), None, &[3; 32]);
    write(
        root,
        &[
            ("hosts", "[g]\nn\n"),
            ("group_vars/all.yml", "hidden: 1\n"),
            ("group_vars/all/10.yml", "a: 1\nb: 1\n"),
            ("group_vars/all/20.yaml", "b: 2\n"),
            ("group_vars/all/sub/30", "b: 3\nsub: 1\n"),
            ("group_vars/all/sub.d/40.yml", "no: 1\n"),
            ("group_vars/all/x.md", "no: 1\n"),
            ("group_vars/all/x.ini", "no: 1\n"),
            ("group_vars/all/.x.yml", "no: 1\n"),
            ("group_vars/all/x.yml~", "no: 1\n"),
            ("group_vars/all/vault.yml", &secret),
            ("group_vars/g", "first: bare\n"),
            ("group_vars/g.yml", "first: yml\n"),
            ("host_vars/n.yaml", "f: yaml\n"),
            ("host_vars/n.json", "{\"f\": \"json\"}"),
        ],
    );
    let inventory = load(root, &["hosts"], &[]);
    for (name, expected) in [
        ("a", "1"),
        ("b", "3"),
        ("sub", "1"),
        ("no", "-"),
        ("hidden", "-"),
        ("first", "bare"),
        ("f", "yaml"),
        ("v", "secret"),
    ] {
        let seen = value(&inventory, root, "n", name);
        assert_eq!(seen.split(' ').next(), Some(expected), "{name}");
    }
    let secret = inventory.layers("n").iter().find_map(|layer| layer.vars.get("v").cloned()).unwrap();
    assert_eq!(secret.origin.source().text(), None);
}

#[test]
fn localhost_exists_without_being_written() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write(
        root,
        &[("hosts", "n\n[all:vars]\na=1\n[ungrouped:vars]\nb=1\n"), ("host_vars/localhost.yml", "c: 1\n")],
    );
    let inventory = load(root, &["hosts"], &[]);
    let seen = |name: &str| value(&inventory, root, "localhost", name).split(' ').next().unwrap().to_owned();
    assert_eq!((seen("a"), seen("b"), seen("c")), ("1".into(), "-".into(), "1".into()));
    assert_eq!(seen("ansible_connection"), "local");
    assert!(inventory.layers("nobody").is_empty() && !inventory.has_host("localhost"));
    write(root, &[("hosts", "127.0.0.1 x=5\n")]);
    let inventory = load(root, &["hosts"], &[]);
    assert_eq!(inventory.known_name("localhost"), Some("127.0.0.1"));
    assert_eq!(value(&inventory, root, "localhost", "x").split(' ').next(), Some("5"));
}

#[test]
fn groups_made_during_a_run_bring_their_variables() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write(root, &[("hosts", "[kube-node]\nn1\nn2\n"), ("group_vars/k8s_cluster/x.yml", "x: 1\n")]);
    let mut inventory = load(root, &["hosts"], &[]);
    assert_eq!(value(&inventory, root, "n1", "x"), "-");
    inventory.add_members("k8s_cluster", &["n1"]).unwrap();
    assert_eq!(value(&inventory, root, "n1", "x"), "1 group_vars/k8s_cluster/x.yml:1:1");
    assert_eq!(value(&inventory, root, "n2", "x"), "-");
    assert_eq!(inventory.group_names("n1"), ["k8s_cluster", "kube-node"]);
    assert_eq!(inventory.hosts_of("k8s_cluster"), ["n1"]);
    assert_eq!(inventory.add_members("k8s_cluster", &["n9"]).unwrap_err()[0].id, "unknown-host");
}

#[test]
fn inline_vault_stays_closed() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let secret = Vault::encrypt(b"hidden", &Secret::new(b"pw"), None, &[3; 32]).replace('\n', "\n      ");
    write(
        root,
        &[("hosts.yaml", &format!("all:\n  hosts: {{n: }}\n  vars:\n    s: !vault |\n      {secret}\n"))],
    );
    let inventory = load(root, &["hosts.yaml"], &[]);
    let layers = inventory.layers("n");
    let Some(Value::Vault(text)) =
        layers.iter().find_map(|layer| layer.vars.get("s")).map(|d| d.value.clone())
    else {
        panic!("no vault value")
    };
    assert_eq!(inventory.vault().decrypt(&text).as_deref(), Ok(&b"hidden"[..]));
}

#[test]
fn tree_with_variables() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write(
        root,
        &[
            ("hosts", "[g]\nn a=\"[1,'x']\"\n[g:vars]\nb=2\nansible_group_priority=5\n"),
            ("group_vars/all.yml", "c: null\n"),
        ],
    );
    let text = load(root, &["hosts"], &[]).graph_text("all", true).unwrap();
    let expected = "@all:\n  |--@ungrouped:\n  |--@g:\n  |  |--n\n  |  |  |--{a = [1, 'x']}\n  |  |  |--{b = 2}\n  \
                    |  |  |--{c = None}\n  |  |--{ansible_group_priority = 5}\n  |  |--{b = 2}\n  |--{c = None}";
    assert_eq!(text, expected);
    assert!(load(root, &["hosts"], &[]).graph_text("gg", false).unwrap_err().hints[0].contains("`g`"));
    let host = load(root, &["hosts"], &["a=9"]).host_text("n");
    assert_eq!(host, "{\n    \"a\": \"9\",\n    \"b\": 2,\n    \"c\": null\n}");
}

#[test]
fn hosts_that_are_left_out_leave_no_trace() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let text = |hosts: &[&str]| {
        let of = |names: &[&str]| {
            let kept = names.iter().filter(|host| hosts.contains(host));
            kept.map(|host| format!("{host}: ")).collect::<Vec<_>>().join(", ")
        };
        format!(
            "all:\n  hosts: {{{}}}\n  children:\n    g: {{hosts: {{{}}}, vars: {{x: 1}}}}\n    h: {{children: {{g: }}, hosts: {{{}}}}}\n",
            of(&["a", "b", "c", "localhost", "d"]),
            of(&["b", "c", "d"]),
            of(&["a"])
        )
    };
    write(
        root,
        &[("all.yaml", &text(&["a", "b", "c", "localhost", "d"])), ("less.yaml", &text(&["a", "c", "d"]))],
    );
    write(root, &[("host_vars/d.yml", "y: 2"), ("host_vars/b.yml", "y: 3")]);
    let gone = ["b", "localhost", "unknown"].map(str::to_owned).into();
    let (left, less) = (load(root, &["all.yaml"], &[]).without(&gone), load(root, &["less.yaml"], &[]));
    let picture = |inventory: &Inventory| {
        let mut out = Vec::new();
        inventory.write_list(None, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    };
    assert_eq!(picture(&left), picture(&less));
    assert_eq!(left.hosts_by_appearance().collect::<Vec<_>>(), ["a", "c", "d"]);
    assert_eq!((left.known_name("localhost"), left.has_host("b")), (None, false));
    for host in left.hosts() {
        assert_eq!(left.groups_of(host), less.groups_of(host), "{host}");
        for name in ["x", "y"] {
            let first = |text: String| text.split(' ').next().map(str::to_owned);
            assert_eq!(first(value(&left, root, host, name)), first(value(&less, root, host, name)));
        }
    }
}
