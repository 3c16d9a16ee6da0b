//! Small sites, from inventories as users write them.

pub mod absent;

use std::collections::BTreeMap;
use std::sync::Arc;

use kubespray_catalog::Catalog;
use kubespray_filters::SystemWorld;
use kubespray_inventory::{Inventory, Options};
use kubespray_planner::Wishes;
use kubespray_planner::components::{PlanningError, Site};
use kubespray_planner::operations::cluster;
use kubespray_resource::{Address, Content, Facts, OperatingSystem, Resource, Secrets, Step};
use kubespray_spec::ClusterSpec;
use kubespray_value::{Map, json};
use kubespray_variables::{UnknownFacts, Variables};

/// A host as Debian 13 is after its installation.
pub fn debian(address: &str) -> Facts {
    let address = Address {
        address: address.parse().unwrap(),
        prefix: 24,
        interface: "eth0".into(),
        gateway: Some("10.0.0.1".parse().unwrap()),
    };
    Facts {
        hostname: "debian".into(),
        os: OperatingSystem {
            id: "debian".into(),
            name: "Debian GNU/Linux".into(),
            version: "13".into(),
            codename: "trixie".into(),
            ..OperatingSystem::default()
        },
        architecture: "x86_64".into(),
        service_manager: "systemd".into(),
        default_ipv4: Some(address),
        memory_mb: 8000,
        resolv_conf: Some("nameserver 10.0.0.53\n".into()),
        ..Facts::default()
    }
}

/// A host as Rocky 9 is, with NetworkManager and SELinux.
pub fn rocky(address: &str) -> Facts {
    let mut facts = debian(address);
    facts.os = OperatingSystem {
        id: "rocky".into(),
        like: vec!["rhel".into(), "centos".into(), "fedora".into()],
        name: "Rocky Linux".into(),
        version: "9.6".into(),
        ..OperatingSystem::default()
    };
    facts.units = [("NetworkManager.service".to_owned(), "active".to_owned())].into();
    facts.paths = ["/etc/selinux/config".to_owned()].into();
    facts
}

/// The specification of an inventory with variables for all, and the facts of its hosts.
pub fn spec(hosts: &str, vars: &str, facts: &BTreeMap<String, Facts>) -> ClusterSpec {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hosts.yaml");
    std::fs::write(&file, hosts).unwrap();
    std::fs::create_dir(folder.path().join("group_vars")).unwrap();
    std::fs::write(folder.path().join("group_vars/all.yml"), vars).unwrap();
    let mut inventory = Inventory::load(&[file.to_string_lossy().into_owned()], &Options::default()).unwrap();
    kubespray_spec::derive_groups(&mut inventory).unwrap();
    let to_map = |facts: &Facts| -> Map {
        let text = serde_json::to_string(&facts.to_ansible()).unwrap();
        json::read(&text).unwrap().as_map().unwrap().clone()
    };
    let variables = Variables::new(
        Arc::new(inventory),
        kubespray_variables::Options {
            world: Arc::new(SystemWorld::new(Vec::new(), false)),
            facts: facts.iter().map(|(host, facts)| (host.clone(), to_map(facts))).collect(),
            tables: Catalog::get().tables(),
            sources: Vec::new(),
            playbook_dir: String::new(),
            unknown_facts: UnknownFacts::Pending,
        },
    );
    let spec = kubespray_spec::build(&variables).unwrap_or_else(|problems| panic!("{problems:#?}"));
    assert!(spec.needs_facts.is_empty(), "{:?}", spec.needs_facts);
    spec
}

/// What the operation `cluster` wishes, of the steps of some phases and components; else why it cannot be planned.
pub fn part(
    site: &Site<'_>,
    manifests: &BTreeMap<String, String>,
    is_part: impl Fn(&str, &str) -> bool,
) -> Result<Wishes, Vec<PlanningError>> {
    let mut wishes = cluster(site, manifests)?;
    wishes.steps.retain(|step| is_part(&step.phase, &step.component));
    Ok(wishes)
}

/// Steps as people review them: names, what they are about, and texts of files.
pub fn shown(steps: &[Step]) -> String {
    let mut out = String::new();
    for step in steps {
        let notifies: Vec<&str> = step.notifies.iter().map(kubespray_resource::Token::as_str).collect();
        let notifies =
            if notifies.is_empty() { String::new() } else { format!(" -> {}", notifies.join(" ")) };
        out.push_str(&format!("{} [{}]{notifies}\n", step.id, step.phase));
        let json = serde_json::to_value(&step.resource).unwrap();
        match &step.resource {
            Resource::File(file) => {
                out.push_str(&format!("    {} {} {}\n", file.path, file.mode, file.owner));
                let text = match &file.content {
                    Content::Secret(template) => template.clone().into_bytes(),
                    other => other.bytes(&Secrets::default()).ok().flatten().unwrap_or_default(),
                };
                for line in String::from_utf8_lossy(&text).lines() {
                    out.push_str(&format!("    | {line}\n"));
                }
            }
            _ => out.push_str(&format!("    {json}\n")),
        }
    }
    out
}
