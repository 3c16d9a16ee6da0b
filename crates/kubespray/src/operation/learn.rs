//! What is known of a cluster before anything is wished of it: its inventory, what hosts say of themselves, what they
//! already have.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use kubespray_diagnostics::Diagnostic;
use kubespray_interface::list;
use kubespray_planner::components::{Live, Site as PlannedSite, probes};
use kubespray_planner::{ClockSample, HostSeen, Wishes, clocks_agree, node_facts, operations};
use kubespray_resource::{Facts, StepId};
use kubespray_spec::ClusterSpec;
use kubespray_spec::checks::{self, node::check_node};
use kubespray_value::Value;
use kubespray_variables::{UnknownFacts, Variables};

use super::asked::Hosts;
use super::refused::unplannable;
use super::{Reach, Standing, Wanted, secrets_of, standing};
use crate::arguments::{Common, Connection};
use crate::failure::{FOUND_ERRORS, Failure, evaluation};
use crate::fleet;
use crate::site::{Groups, Site};

/// Hosts that are named in a message; a count stands for the rest.
pub(super) const HOSTS_NAMED: usize = 8;

/// The groups whose members are hosts of the cluster.
const GROUPS: [&str; 3] = ["kube_control_plane", "etcd", "k8s_cluster"];

/// What is known of a cluster before anything is wished of it.
pub(crate) struct Known {
    pub(super) facts: BTreeMap<String, Facts>,
    pub(super) spec: ClusterSpec,
    pub(super) live: Live,
    pub(super) manifests: BTreeMap<String, String>,
    /// With the facts.
    pub(super) variables: Variables,
}

/// What is known, and how.
pub(super) struct Learnt {
    pub(super) reach: Reach,
    pub(super) known: Known,
}

/// Which hosts must answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answering {
    /// Those that the operation is about, and they must be fit for it.
    Meant,
    /// None.
    Any,
}

/// Asks hosts what they are and what they already have; nothing is changed.
pub(super) fn learn(
    common: &Common,
    connection: &Connection,
    answering: Answering,
) -> Result<Learnt, Failure> {
    learn_from(reach(common, connection)?, common, answering)
}

/// The hosts of the cluster, where nothing is wrong with the inventory.
pub(super) fn reach(common: &Common, connection: &Connection) -> Result<Reach, Failure> {
    let mut site = Site::load(common, Groups::Kubespray)?;
    site.warnings = refuse_errors(site.problems(&site.variables(UnknownFacts::Pending)))?;
    let hosts = hosts(&site);
    Reach::new(site, &hosts, common, connection)
}

/// The same over hosts that were reached before.
pub(super) fn learn_from(mut reach: Reach, common: &Common, answering: Answering) -> Result<Learnt, Failure> {
    let (site, mut hosts) = reach.split();
    let known = learn_all(site, &mut hosts, common, answering)?;
    Ok(Learnt { reach, known })
}

/// The same of all hosts of a site, whoever asks them.
pub(super) fn learn_all(
    site: &mut Site,
    asked: &mut dyn Hosts,
    common: &Common,
    answering: Answering,
) -> Result<Known, Failure> {
    let limit = match (&common.limit, answering) {
        (_, Answering::Any) => Some(BTreeSet::new()),
        (Some(limit), _) => Some(site.hosts(Some(limit))?.into_iter().collect()),
        (None, _) => None,
    };
    let facts = ask_facts(site, asked, &hosts(site), limit.as_ref())?;
    let known = known(site, asked, facts, answering)?;
    if answering == Answering::Meant {
        refuse_without_leader(&known.spec, &known.facts, &known.live)?;
    }
    Ok(known)
}

/// What is known when hosts have said what they are: they are asked what they already have.
pub(super) fn known(
    site: &mut Site,
    asked: &mut dyn Hosts,
    facts: BTreeMap<String, Facts>,
    answering: Answering,
) -> Result<Known, Failure> {
    site.learn(&facts);
    let variables = site.variables(UnknownFacts::Pending);
    if answering == Answering::Meant {
        check_hosts(site, &variables, &facts)?;
    }
    let spec = specification(&variables, &facts)?;
    let with_facts = spec.hosts.iter().filter(|host| facts.contains_key(&host.name));
    let questions = with_facts.map(|host| (host.name.clone(), probes(host))).collect();
    let live = Live::of(&spec, &asked.states(questions)?);
    let manifests = manifests(&spec, &variables)?;
    Ok(Known { facts, spec, live, manifests, variables })
}

/// A host that joins is given what others hold: they must be part of the run.
pub(super) fn refuse_cut_off(wishes: &Wishes) -> Result<(), Failure> {
    let known: BTreeSet<&StepId> = wishes.steps.iter().map(|step| &step.id).collect();
    let mut needed: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for step in &wishes.steps {
        for giver in step.resource.takes_from().into_iter().filter(|giver| !known.contains(giver)) {
            let of = giver.as_str().split('/').next().unwrap_or_default().to_owned();
            needed.entry(&step.host).or_default().insert(of);
        }
    }
    let problems = needed.into_iter().map(|(host, of)| {
        let of: Vec<&str> = of.iter().map(String::as_str).collect();
        let message = format!("it needs what is left out: steps of {}", list(&of, HOSTS_NAMED));
        Diagnostic::error("limit", message)
            .on_host(host)
            .because("certificates are signed, and hosts let in, by those that hold the authorities")
            .hint(format!(
                "add them: `--limit '{host}:{}'`; or leave `--limit` and `--tags` out",
                of.join(":")
            ))
    });
    let diagnostics: Vec<Diagnostic> = problems.collect();
    if diagnostics.is_empty() { Ok(()) } else { Err(Failure { diagnostics, code: FOUND_ERRORS }) }
}

impl Known {
    /// As planners see it.
    pub(super) fn site(&self) -> PlannedSite<'_> {
        PlannedSite { spec: &self.spec, facts: &self.facts, live: &self.live }
    }

    /// What the cluster is to be.
    pub(super) fn wishes(&self) -> Result<Wishes, Failure> {
        operations::cluster(&self.site(), &self.manifests)
            .map_err(|refusals| unplannable(&refusals, &self.variables))
    }
}

impl Learnt {
    /// Wishes with the secrets that they name.
    pub(super) fn wanted(self, wishes: Wishes) -> Result<Wanted, Failure> {
        wanted(self.reach, &self.known, wishes)
    }
}

/// Wishes with the secrets that they name.
pub(super) fn wanted(reach: Reach, known: &Known, mut wishes: Wishes) -> Result<Wanted, Failure> {
    let retries = known.spec.settings.downloads.download_retries;
    wishes.policy.attempts = u32::try_from(retries).unwrap_or(wishes.policy.attempts).max(1);
    let standing = standing(&reach, wishes.steps.iter(), Standing::Kept)?;
    let secrets = secrets_of(wishes.steps.iter(), &reach.variables(), &standing)?;
    Ok(Wanted { reach, wishes, secrets, about: None })
}

/// The problems that are no errors; errors end the operation before a host is asked anything.
pub(super) fn refuse_errors(problems: Vec<Diagnostic>) -> Result<Vec<Diagnostic>, Failure> {
    if problems.iter().any(Diagnostic::is_error) {
        return Err(Failure { diagnostics: problems, code: FOUND_ERRORS });
    }
    Ok(problems)
}

pub(super) fn hosts(site: &Site) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let members = GROUPS.into_iter().flat_map(|group| site.inventory.hosts_of(group));
    members.filter(|host| seen.insert(*host)).map(str::to_owned).collect()
}

/// What hosts say of themselves. Those that are meant must answer, all where nobody says who is; of others a warning
/// says that they did not.
pub(super) fn ask_facts(
    site: &mut Site,
    asked: &mut dyn Hosts,
    hosts: &[String],
    meant: Option<&BTreeSet<String>>,
) -> Result<BTreeMap<String, Facts>, Failure> {
    let is_meant = |host: &str| meant.is_none_or(|hosts| hosts.contains(host));
    let (mut facts, mut clocks) = (BTreeMap::new(), BTreeMap::new());
    let (mut problems, mut silent) = (Vec::new(), Vec::new());
    for (host, result) in asked.facts(hosts) {
        match result {
            Ok((found, clock)) => {
                clocks.extend(clock.filter(|_| is_meant(&host)).map(|clock| (host.clone(), clock)));
                facts.insert(host, found);
            }
            Err(problem) if is_meant(&host) => problems.push(problem),
            Err(_) => silent.push(host),
        }
    }
    if !problems.is_empty() {
        let missing: Vec<String> = problems
            .iter()
            .filter_map(|problem| problem.host.clone())
            .map(|host| format!("!{host}"))
            .collect();
        let mut problems = fleet::told_once(problems);
        if missing.len() < hosts.len()
            && let Some(problem) = problems.pop()
        {
            problems
                .push(problem.hint(format!("to go on without, add `--limit 'all:{}'`", missing.join(":"))));
        }
        return Err(Failure { diagnostics: problems, code: FOUND_ERRORS });
    }
    site.warnings.extend(check_clocks(&facts, &clocks)?);
    if !silent.is_empty() {
        let names: Vec<&str> = silent.iter().map(String::as_str).collect();
        let message = format!("not asked for facts, as they do not answer: {}", list(&names, HOSTS_NAMED));
        site.warnings.push(Diagnostic::warning("connection", message));
    }
    Ok(facts)
}

/// Certificates that one host makes must be good on the others; a difference that does no harm is a warning.
fn check_clocks(
    facts: &BTreeMap<String, Facts>,
    clocks: &BTreeMap<String, ClockSample>,
) -> Result<Vec<Diagnostic>, Failure> {
    let facts: BTreeMap<&String, Facts> = clocks
        .iter()
        .filter_map(|(host, clock)| {
            Some((host, Facts { clock_ms: clock.host_ms, ..facts.get(host)?.clone() }))
        })
        .collect();
    let seen: Vec<HostSeen<'_>> = clocks
        .iter()
        .filter_map(|(host, clock)| {
            let (asked_ms, round_trip_ms) = (clock.halfway_ms(), clock.round_trip_ms());
            Some(HostSeen { host, facts: facts.get(host)?, asked_ms, round_trip_ms, syncs_us: None })
        })
        .collect();
    refuse_errors(clocks_agree(&seen).into_iter().collect())
}

/// VAL-200 and what follows: what must hold of each host.
pub(super) fn check_hosts(
    site: &mut Site,
    variables: &Variables,
    facts: &BTreeMap<String, Facts>,
) -> Result<(), Failure> {
    let checked = checks::Site { variables, inventory: &site.inventory };
    let problems =
        facts.iter().flat_map(|(host, facts)| check_node(&checked, host, &node_facts(facts)).diagnostics);
    let warnings = refuse_errors(problems.collect())?;
    site.warnings.extend(warnings);
    Ok(())
}

pub(super) fn specification(
    variables: &Variables,
    facts: &BTreeMap<String, Facts>,
) -> Result<ClusterSpec, Failure> {
    let spec = kubespray_spec::build(variables)?;
    let missing: BTreeMap<&str, Vec<&str>> = spec
        .needs_facts
        .iter()
        .map(|(variable, hosts)| {
            let hosts = hosts.iter().map(String::as_str).filter(|host| facts.contains_key(*host));
            (variable.as_str(), hosts.collect::<Vec<_>>())
        })
        .filter(|(_, hosts)| !hosts.is_empty())
        .collect();
    if missing.is_empty() {
        return Ok(spec);
    }
    let problems = missing.into_iter().map(|(variable, hosts)| {
        let message =
            format!("`{variable}` needs facts that hosts do not have: {}", list(&hosts, HOSTS_NAMED));
        Diagnostic::error("facts", message).hint(format!("set `{variable}`"))
    });
    Err(Failure { diagnostics: problems.collect(), code: FOUND_ERRORS })
}

/// Steps for the whole cluster are done on a control plane; where it is not known nothing can be.
fn refuse_without_leader(
    spec: &ClusterSpec,
    facts: &BTreeMap<String, Facts>,
    live: &Live,
) -> Result<(), Failure> {
    let Some(first) = spec.groups.control_plane.first() else { return Ok(()) };
    if !live.control_planes.is_empty() || facts.contains_key(first) {
        return Ok(());
    }
    let message = format!("`{first}` does not answer, and no other control plane is there yet");
    let problem = Diagnostic::error("connection", message).on_host(first);
    Err(problem.hint("bring it up, or place another one first in `kube_control_plane`").into())
}

/// The texts of users' own network plugin, as templates of the first control plane (NET-154).
pub(super) fn manifests(
    spec: &ClusterSpec,
    variables: &Variables,
) -> Result<BTreeMap<String, String>, Failure> {
    let mut texts = BTreeMap::new();
    let Some(host) = spec.groups.control_plane.first() else { return Ok(texts) };
    let Some(custom) = &spec.settings.custom_cni else { return Ok(texts) };
    let folder = variables.get(host, "playbook_dir").map(|folder| folder.to_text()).unwrap_or_default();
    for name in &custom.custom_cni_manifests {
        let places: [PathBuf; 2] = [Path::new(&folder).join(name), PathBuf::from(name)];
        let found = places.iter().find_map(|path| Some((path, fs::read_to_string(path).ok()?)));
        let Some((path, text)) = found else {
            let problem = Diagnostic::error("manifest", format!("cannot read `{name}`"))
                .because("it is named in `custom_cni_manifests`")
                .hint("name a file by its path from the inventory's folder, or by a whole path");
            return Err(problem.into());
        };
        let wrong = |error| evaluation(host, &path.display().to_string(), &error);
        let text = if variables.names_in(&text).map_err(wrong)?.is_empty() {
            text
        } else {
            let value = variables.template(host, &Value::from(text)).map_err(wrong)?;
            value.as_str().map(str::to_owned).ok_or_else(|| {
                let message = format!("`{}` is one value and no document", path.display());
                Diagnostic::error("manifest", message).hint("write it in lines, as YAML")
            })?
        };
        texts.insert(name.clone(), text);
    }
    Ok(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_off_by_a_day_ends_it_before_anything_is_done() {
        const DAY_MS: u64 = 24 * 60 * 60 * 1000;
        let check = |ahead_ms: u64| {
            let now_ms = 100 * DAY_MS;
            let clock = |host_ms| ClockSample { asked_ms: now_ms, answered_ms: now_ms + 10, host_ms };
            let clocks =
                BTreeMap::from([("a".to_owned(), clock(now_ms)), ("b".to_owned(), clock(now_ms + ahead_ms))]);
            let facts = clocks
                .iter()
                .map(|(host, clock)| (host.clone(), Facts { clock_ms: clock.host_ms, ..Facts::default() }));
            check_clocks(&facts.collect(), &clocks)
        };
        assert!(check(0).is_ok_and(|warnings| warnings.is_empty()));
        assert!(check(1_000).is_ok_and(|warnings| warnings.len() == 1));
        let failure = check(DAY_MS).err().map(|failure| (failure.code, failure.diagnostics));
        assert!(
            matches!(&failure, Some((FOUND_ERRORS, problems)) if matches!(&problems[..], [problem]
            if problem.message == "the clock of `b` is at least 86399 s ahead of that of `a`"
                && problem.hints[0].contains("time servers"))),
            "{failure:?}"
        );
    }
}
