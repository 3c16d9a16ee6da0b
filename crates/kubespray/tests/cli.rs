//! The program as users run it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::path::Path;
use std::process::Command;

struct Run {
    code: i32,
    out: String,
    err: String,
}

fn kubespray(folder: &Path, arguments: &[&str]) -> Run {
    let output = Command::new(env!("CARGO_BIN_EXE_kubespray"))
        .args(arguments)
        .current_dir(folder)
        .env("NO_COLOR", "1")
        .output()
        .unwrap();
    Run {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

/// One control plane that is also a worker, three etcd members, four network segments.
const EIGHT_NODES: &str = "\
all:
  hosts:
    node10-2: {ansible_host: 10.10.1.2, ip: 10.10.1.2, access_ip: 10.10.1.2}
    node10-3: {ansible_host: 10.10.1.3, ip: 10.10.1.3, access_ip: 10.10.1.3}
    node20-2: {ansible_host: 10.20.1.2, ip: 10.20.1.2, access_ip: 10.20.1.2}
    master20-3: {ansible_host: 10.20.1.3, ip: 10.20.1.3, access_ip: 10.20.1.3}
    node20-4: {ansible_host: 10.20.1.4, ip: 10.20.1.4, access_ip: 10.20.1.4}
    node11-2: {ansible_host: 10.11.1.2, ip: 10.11.1.2, access_ip: 10.11.1.2}
    node11-3: {ansible_host: 10.11.1.3, ip: 10.11.1.3, access_ip: 10.11.1.3}
    node40-2: {ansible_host: 10.40.1.2, ip: 10.40.1.2, access_ip: 10.40.1.2}
  children:
    kube_control_plane: {hosts: {master20-3: }}
    kube_node:
      hosts: {node10-2: , node10-3: , node20-2: , master20-3: , node20-4: , node11-2: , node11-3: , node40-2: }
    etcd: {hosts: {node20-2: , master20-3: , node20-4: }}
    k8s_cluster: {children: {kube_control_plane: , kube_node: }}
    calico_rr: {hosts: {}}
";

#[test]
fn a_sound_inventory_is_valid() {
    let folder = folder(&[("hosts.yaml", EIGHT_NODES)]);
    let run = kubespray(folder.path(), &["validate", "-i", "hosts.yaml", "--strict"]);
    assert_eq!(
        (run.code, run.out.as_str(), run.err.as_str()),
        (0, "valid: 8 hosts, 0 errors, 0 warnings\n", "")
    );
}

#[test]
fn defaults_are_computed_across_hosts() {
    let folder = folder(&[("hosts.yaml", EIGHT_NODES)]);
    let get = |name: &str| {
        kubespray(folder.path(), &["vars", "get", name, "--host", "node10-2", "-i", "hosts.yaml"]).out
    };
    assert_eq!(
        get("etcd_access_addresses"),
        "https://10.20.1.2:2379,https://10.20.1.3:2379,https://10.20.1.4:2379\n"
    );
    assert_eq!(get("kube_apiserver_endpoint"), "https://localhost:6443\n");
    assert_eq!(get("kube_apiserver_ip"), "10.233.0.1\n");
    assert_eq!(get("kube_version"), "1.36.4\n");
}

#[test]
fn every_mistake_is_reported_at_once() {
    let folder = folder(&[
        ("hosts.yaml", EIGHT_NODES),
        (
            "group_vars/k8s_cluster/mistakes.yml",
            "kube_netwrok_plugin: cilium\n\
             dns_mode: corends\n\
             kubelet_max_pods: many\n\
             helm_enabled: \"true\"\n\
             etcd_kubeadm_enabled: true\n\
             my_api: \"{{ my_host }}:6443\"\n\
             my_host: \"{{ my_api }}\"\n\
             mine: \"{{ nobody_has_this }}\"\n\
             kube_oidc_auth: \"{{ broken\"\n",
        ),
    ]);
    let run = kubespray(folder.path(), &["validate", "-i", "hosts.yaml"]);
    assert_eq!(run.code, 1);
    insta::assert_snapshot!(format!("{}{}", run.err, run.out));
    let json = kubespray(folder.path(), &["validate", "-i", "hosts.yaml", "--output", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(json["valid"], serde_json::Value::Bool(false));
    assert!(json["problems"].as_array().unwrap().len() >= 8);
}

#[test]
fn queries_are_answered_in_order_with_values_and_errors() {
    let folder = folder(&[
        ("hosts.ini", "[kube_node]\na x=5\nb x='five'\n[all:vars]\ny=\"{{ x }}\"\nz=\"{{ nope }}\"\n"),
        (
            "queries.json",
            r#"[{"host":"a","var":"x"},{"host":"b","var":"y"},{"host":"a","var":"z"},{"host":"c","var":"x"}]"#,
        ),
    ]);
    let run = kubespray(folder.path(), &["vars", "get", "--queries", "queries.json", "-i", "hosts.ini"]);
    assert_eq!(run.code, 0, "{}", run.err);
    insta::assert_snapshot!(run.out);
}

#[test]
fn explain_tells_type_default_places_and_what_it_overrides() {
    let folder = folder(&[
        ("hosts.yaml", EIGHT_NODES),
        ("group_vars/all.yml", "kube_network_plugin: flannel\n"),
        ("host_vars/node40-2.yml", "kube_network_plugin: \"{{ rack_plugin }}\"\nrack_plugin: cilium\n"),
    ]);
    let run = kubespray(folder.path(), &["vars", "explain", "kube_network_plugin", "-i", "hosts.yaml"]);
    insta::assert_snapshot!(run.out);
}

#[test]
fn secrets_are_not_shown() {
    let folder = folder(&[
        ("hosts.yaml", EIGHT_NODES),
        ("group_vars/all.yml", "kube_encrypt_token: hunter2hunter2\nansible_become_password: hunter2\n"),
    ]);
    for arguments in [
        vec!["vars", "list", "--changed", "-i", "hosts.yaml"],
        vec!["vars", "list", "--changed", "-i", "hosts.yaml", "--output", "json"],
        vec!["vars", "explain", "kube_encrypt_token", "-i", "hosts.yaml"],
        vec!["vars", "explain", "ansible_become_password", "-i", "hosts.yaml", "--output", "json"],
    ] {
        let run = kubespray(folder.path(), &arguments);
        assert_eq!(run.code, 0, "{}", run.err);
        assert!(!run.out.contains("hunter2") && !run.err.contains("hunter2"), "{arguments:?}: {}", run.out);
    }
}

#[test]
fn a_new_inventory_is_valid_and_never_overwritten() {
    let folder = folder(&[]);
    let run = kubespray(
        folder.path(),
        &["inventory", "init", "10.0.0.1", "10.0.0.2", "cp=10.0.0.3", "--dir", "new"],
    );
    assert_eq!(run.code, 0, "{}", run.err);
    let valid = kubespray(folder.path(), &["validate", "-i", "new/hosts.yaml", "--strict"]);
    assert_eq!((valid.code, valid.err.as_str()), (0, ""));
    let again = kubespray(folder.path(), &["inventory", "init", "10.0.0.9", "--dir", "new"]);
    assert_eq!(again.code, 2);
    assert!(
        again.err.contains("exists already") && again.err.contains("nothing was written"),
        "{}",
        again.err
    );
    let even = kubespray(
        folder.path(),
        &["inventory", "init", "10.0.0.1", "10.0.0.2", "--dir", "two", "--etcd", "2"],
    );
    assert_eq!(even.code, 2);
    assert!(even.err.contains("--allow-even-etcd"), "{}", even.err);
    assert!(!folder.path().join("two").exists());
}

/// Every commented setting of a new inventory is one that YAML can read when the `#` goes away.
#[test]
fn the_comments_of_a_new_inventory_are_settings() {
    let folder = folder(&[]);
    kubespray(folder.path(), &["inventory", "init", "10.0.0.1", "--dir", "new"]);
    let mut settings = 0;
    for group in ["all", "k8s_cluster"] {
        for file in std::fs::read_dir(folder.path().join("new/group_vars").join(group)).unwrap() {
            let path = file.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            let open: Vec<&str> = text
                .lines()
                .filter_map(|line| line.strip_prefix("# "))
                .filter(|line| {
                    line.split_once(':').is_some_and(|(name, _)| !name.contains(' ') && name != "One of")
                })
                .collect();
            settings += open.len();
            std::fs::write(&path, open.join("\n") + "\n").unwrap();
        }
    }
    assert!(settings > 1_000, "only {settings} settings");
    let run = kubespray(folder.path(), &["inventory", "list", "-i", "new/hosts.yaml"]);
    assert_eq!(run.code, 0, "{}", run.err);
}

#[test]
fn unusable_input_is_one_clear_error() {
    let folder = folder(&[
        ("empty.yaml", ""),
        ("tabs.yaml", "all:\n\thosts: x\n"),
        ("braces.yaml", "all:\n  vars:\n    x: {{ y }}\n"),
        ("loop.yaml", "all: {children: {a: {children: {b: {children: {a: }}}}}}\n"),
        (
            "bomb.yaml",
            "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\ng: &g [*f,*f,*f,*f,*f,*f,*f,*f,*f]\nh: [*g,*g,*g,*g,*g,*g,*g,*g,*g]\n",
        ),
    ]);
    std::fs::write(folder.path().join("binary.yaml"), [0_u8, 159, 146, 150, 0, 1, 2]).unwrap();
    std::fs::write(folder.path().join("deep.yaml"), format!("a: {}", "[".repeat(100_000))).unwrap();
    let mut seen = String::new();
    for name in [
        "missing.yaml",
        "empty.yaml",
        "binary.yaml",
        "tabs.yaml",
        "braces.yaml",
        "loop.yaml",
        "deep.yaml",
        "bomb.yaml",
    ] {
        let run = kubespray(folder.path(), &["inventory", "list", "-i", name]);
        assert_eq!(run.code, 2, "{name}: {}", run.err);
        assert_eq!(run.out, "", "{name}");
        seen += &["$ kubespray inventory list -i ", name, "\n", &run.err].concat();
    }
    insta::assert_snapshot!(seen);
}

#[test]
fn templates_that_never_end_are_stopped() {
    let folder = folder(&[(
        "hosts.yaml",
        "all:\n  hosts:\n    h:\n      text: \"{{ 'x' * 10000000000 }}\"\n      rounds: \"{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}\"\n      power: \"{{ 9 ** 999999999 }}\"\n",
    )]);
    for name in ["text", "rounds", "power"] {
        let run = kubespray(folder.path(), &["vars", "get", name, "--host", "h", "-i", "hosts.yaml"]);
        assert_eq!(run.code, 1, "{name}: {}", run.out);
    }
}

#[test]
fn groups_that_kubespray_derives_bring_their_variables() {
    let folder = folder(&[
        ("hosts.ini", "[kube_control_plane]\na\n[etcd]\na\n[kube_node]\nb\n"),
        ("group_vars/k8s_cluster/k8s-cluster.yml", "kube_network_plugin: flannel\n"),
    ]);
    let run =
        kubespray(folder.path(), &["vars", "get", "kube_network_plugin", "--host", "b", "-i", "hosts.ini"]);
    assert_eq!(run.out, "flannel\n", "{}", run.err);
}

#[test]
fn the_specification_is_shown_whole_by_host_and_by_component() {
    let folder = folder(&[
        ("hosts.yaml", EIGHT_NODES),
        ("group_vars/all.yml", "kube_version: 1.35.2\netcd_data_dir: /data/etcd\n"),
    ]);
    let show = |more: &[&str]| {
        let run = kubespray(
            folder.path(),
            &[&["config", "show", "-i", "hosts.yaml", "--output", "json"], more].concat(),
        );
        assert_eq!(run.code, 0, "{}", run.err);
        serde_json::from_str::<serde_json::Value>(&run.out).unwrap()
    };
    let whole = show(&[]);
    assert_eq!(whole["kubernetes_version"], "1.35.2");
    assert_eq!(whole["groups"]["etcd"], serde_json::json!(["node20-2", "master20-3", "node20-4"]));
    assert_eq!(whole["hosts"].as_array().unwrap().len(), 8);
    assert_eq!(show(&["--host", "node40-2"])["connection"]["address"], "10.40.1.2");
    assert_eq!(show(&["--component", "etcd"])["etcd_data_dir"], "/data/etcd");
    let text = kubespray(folder.path(), &["config", "show", "-i", "hosts.yaml"]);
    assert!(text.out.starts_with("name: cluster.local\nkubernetes_version: 1.35.2\n"), "{}", text.out);
    let wrong = kubespray(folder.path(), &["config", "show", "-i", "hosts.yaml", "--component", "etdc"]);
    assert!(wrong.code == 2 && wrong.err.contains("did you mean `etcd`?"), "{}", wrong.err);
}

#[test]
fn a_cluster_without_a_control_plane_is_not_valid() {
    let folder = folder(&[("hosts.yaml", "all: {children: {kube_node: {hosts: {a: }}}}\n")]);
    let run = kubespray(folder.path(), &["validate", "-i", "hosts.yaml"]);
    assert!(run.code == 1 && run.err.contains("kube_control_plane"), "{}", run.err);
}

#[test]
fn a_mistyped_filter_or_test_is_pointed_out() {
    let vars = "a: \"{{ 'x' | uper }}\"\nb: \"{{ 1 is definde }}\"\n";
    let folder = folder(&[("hosts.yaml", EIGHT_NODES), ("group_vars/all.yml", vars)]);
    for (name, near) in [("a", "`upper`"), ("b", "`defined`")] {
        let run = kubespray(folder.path(), &["vars", "get", name, "-i", "hosts.yaml", "--host", "node10-2"]);
        assert!(run.err.contains(&format!("did you mean {near}?")), "{}", run.err);
    }
}

#[test]
fn a_very_long_name_of_a_host_is_no_panic() {
    let long = "h".repeat(70_000);
    let folder = folder(&[("hosts.ini", &[&long, " x=1\nb x=2\n"].concat())]);
    let run = kubespray(folder.path(), &["vars", "get", "x", "-i", "hosts.ini"]);
    assert_eq!(run.code, 0, "{}", run.err);
}

#[test]
fn ignored_checks_are_reported_and_only_those_are_ignored() {
    let hosts = "all: {children: {kube_control_plane: {hosts: {a: , b: }}, etcd: {hosts: {a: , b: }}}}\n";
    let folder = folder(&[("hosts.yaml", hosts), ("group_vars/all.yml", "dns_mode: bind\n")]);
    let found = |arguments: &[&str]| {
        let run = kubespray(
            folder.path(),
            &[&["validate", "-i", "hosts.yaml", "--output", "json"], arguments].concat(),
        );
        let json: serde_json::Value = serde_json::from_str(&run.out).unwrap();
        let problems = json["problems"].as_array().unwrap().clone();
        let ids: Vec<String> =
            problems.iter().map(|problem| problem["id"].as_str().unwrap().to_owned()).collect();
        (run.code, ids.join(" "))
    };
    assert_eq!(found(&[]), (1, "VAL-006 VAL-021".into()));
    assert_eq!(found(&["-e", "ignore_assert_errors=true"]), (1, "VAL-021 ignored-checks".into()));
    let right = ["-e", "ignore_assert_errors=true", "-e", "dns_mode=none"];
    assert_eq!(found(&right), (0, "ignored-checks".into()));
}

#[test]
fn completions_and_man_pages_are_made() {
    let folder = folder(&[]);
    for shell in ["bash", "zsh", "fish"] {
        let run = kubespray(folder.path(), &["completions", shell]);
        assert!(run.code == 0 && run.out.contains("kubespray"), "{shell}");
    }
    assert_eq!(kubespray(folder.path(), &["man", "pages"]).code, 0);
    assert!(folder.path().join("pages/kubespray-vars-explain.1").exists());
}
