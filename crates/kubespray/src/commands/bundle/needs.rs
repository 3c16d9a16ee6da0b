//! From the command line to what a site needs.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use kubespray_bundle::{Needs, Problem, SiteMirror, Transfer};
use kubespray_diagnostics::Diagnostic;
use kubespray_interface::{list, plural};
use kubespray_resource::{Address, Facts, OperatingSystem};
use kubespray_spec::ClusterSpec;
use kubespray_variables::{UnknownFacts, Variables};

use super::diagnostic;
use crate::arguments::Common;
use crate::failure::{FOUND_ERRORS, Failure};
use crate::site::{Groups, Site};

/// What hosts are taken to be where nothing tells (DL-072 has the same default).
const USUAL: &str = "amd64";

/// Hosts that are named in a warning; a count stands for the rest.
const HOSTS_NAMED: usize = 8;

/// What an inventory needs.
pub(super) struct Wanted {
    pub(super) needs: Needs,
    pub(super) transfer: Transfer,
    /// Problems that stop nothing.
    pub(super) warnings: Vec<Diagnostic>,
}

/// Reads an inventory. Hosts are not asked; those of unknown architecture are taken to be of each of some.
pub(super) fn wanted(common: &Common, architectures: &[String]) -> Result<Wanted, Failure> {
    let mut site = Site::load(common, Groups::Kubespray)?;
    let hosts = site.hosts(common.limit.as_deref())?;
    let mut warnings = site.warnings.clone();
    let variables = site.variables(UnknownFacts::Pending);
    let mut unknown = Vec::new();
    let mut told = Vec::new();
    let all: Vec<String> = site.inventory.hosts().into_iter().map(str::to_owned).collect();
    for host in all.into_iter().filter(|host| !site.knows(host)) {
        match variables.get(&host, "image_arch") {
            Ok(architecture) => told.push((host, architecture.to_text())),
            Err(_) => unknown.push(host),
        }
    }
    let usual = [USUAL.to_owned()];
    let architectures = if architectures.is_empty() && !unknown.is_empty() {
        let of: Vec<&str> = unknown.iter().filter(|host| hosts.contains(host)).map(String::as_str).collect();
        if !of.is_empty() {
            let message = format!("taken to be {USUAL}: {}", list(&of, HOSTS_NAMED));
            warnings.push(
                Diagnostic::note("architecture", message)
                    .because("neither the inventory nor `--facts` tells what they are, and no host is asked")
                    .hint("give `--arch`, such as `--arch amd64,arm64`"),
            );
        }
        &usual[..]
    } else {
        architectures
    };
    let mut needs = Needs::default();
    let mut transfer = Transfer::default();
    // Once is enough where everything is known.
    let rounds = if unknown.is_empty() { 1 } else { architectures.len() };
    for round in 0..rounds {
        let assumed = architectures.get(round).map_or(USUAL, String::as_str);
        let of_unknown = unknown.iter().map(|host| (host, assumed));
        let of_told = told.iter().map(|(host, architecture)| (host, architecture.as_str()));
        let facts: Vec<(&String, Facts)> = of_unknown
            .chain(of_told)
            .enumerate()
            .map(|(number, (host, architecture))| (host, usual_facts(host, number, architecture)))
            .collect();
        site.learn(facts.iter().map(|(host, facts)| (*host, facts)));
        let variables = site.variables(UnknownFacts::Pending);
        let spec = kubespray_spec::build(&variables)
            .map_err(|diagnostics| Failure { diagnostics, code: FOUND_ERRORS })?;
        let mirror = site_mirror(&variables, &spec);
        let found = Needs::of(&spec, &mirror, |host| hosts.iter().any(|wanted| wanted == host));
        needs.join(found.map_err(unusable)?);
        transfer = Transfer::of(&spec);
    }
    let transfer = transfer.with_environment(|name| std::env::var(name).ok());
    let transfer = match docker_folder() {
        Some(folder) => transfer.with_docker_config(&folder).map_err(|problem| diagnostic(&problem))?,
        None => transfer,
    };
    Ok(Wanted { needs, transfer, warnings })
}

/// A host about which only its architecture counts: files and images depend on nothing else.
fn usual_facts(host: &str, number: usize, architecture: &str) -> Facts {
    let machine = match architecture {
        "amd64" => "x86_64",
        "arm64" => "aarch64",
        "arm" => "armv7l",
        other => other,
    };
    // Of the block for documentation and benchmarks, RFC 2544: no host of a site has it.
    let [.., high, low] = (number as u32).to_be_bytes();
    let address = Ipv4Addr::new(198, 18, high, low).into();
    let default = Address { address, prefix: 15, interface: "eth0".into(), gateway: None };
    Facts {
        hostname: host.to_owned(),
        fqdn: host.to_owned(),
        os: OperatingSystem {
            id: "debian".into(),
            name: "Debian GNU/Linux".into(),
            version: "13".into(),
            codename: "trixie".into(),
            ..OperatingSystem::default()
        },
        kernel: "6.12.0".into(),
        architecture: machine.to_owned(),
        cpus: 4,
        memory_mb: 8_192,
        service_manager: "systemd".into(),
        systemd_version: Some(257),
        default_ipv4: Some(default),
        cgroup_fs: Some("cgroup2fs".into()),
        ..Facts::default()
    }
}

/// The names that offline sites give to their mirrors (DL-098).
fn site_mirror(variables: &Variables, spec: &ClusterSpec) -> SiteMirror {
    let Some(host) = spec.hosts.first() else { return SiteMirror::default() };
    let text = |name: &str| {
        let value = variables.get_if_defined(&host.name, name).ok().flatten()?;
        Some(value.to_text()).filter(|text| !text.is_empty())
    };
    SiteMirror { files_repo: text("files_repo"), registry_host: text("registry_host") }
}

/// One for each that is different, with the first host that has it.
fn unusable(problems: Vec<(&str, Problem)>) -> Failure {
    let mut diagnostics: Vec<Diagnostic> = Vec::new();
    let mut seen: Vec<(&Problem, usize)> = Vec::new();
    for (host, problem) in &problems {
        if let Some((_, count)) = seen.iter_mut().find(|(known, _)| *known == problem) {
            *count += 1;
            continue;
        }
        seen.push((problem, 0));
        diagnostics.push(diagnostic(problem).on_host(*host));
    }
    let with_counts = diagnostics.into_iter().zip(seen).map(|(diagnostic, (_, more))| match more {
        0 => diagnostic,
        more => diagnostic.because(format!("the same on {}", plural(more, "other host"))),
    });
    Failure { diagnostics: with_counts.collect(), code: FOUND_ERRORS }
}

/// Where `docker login` keeps what it was told.
fn docker_folder() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    set("DOCKER_CONFIG").or_else(|| Some(set("HOME")?.join(".docker")))
}
