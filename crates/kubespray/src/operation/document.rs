//! Documents of resources.
//!
//! ```yaml
//! name: tuning
//! steps:
//!   - name: forwarding
//!     hosts: kube_node
//!     resource: {sysctl: {key: net.ipv4.ip_forward, value: "1"}}
//! rollouts:
//!   nodes: {hosts: kube_node, max_unavailable: 25%}
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use kubespray_diagnostics::{Diagnostic, Source, Span, did_you_mean};
use kubespray_inventory::Inventory;
use kubespray_planner::Wishes;
use kubespray_resource::{Disruption, Gate, Needs, Policy, Resource, Rollout, Step, StepId, Token};
use kubespray_value::{Value, json};
use kubespray_yaml::{Children, Node};
use serde::Deserialize;
use serde_json::Value as Json;

use crate::failure::Failure;

/// What all steps belong to that name nothing else.
const DEFAULT: &str = "resources";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    /// The name under which locks, runs and events know it.
    name: String,
    #[serde(default)]
    steps: Vec<Json>,
    #[serde(default)]
    rollouts: BTreeMap<String, RolloutWish>,
    #[serde(default)]
    gates: BTreeMap<String, GateWish>,
    #[serde(default)]
    failure_budget: usize,
    /// The hosts that hold the lock; all hosts of the steps where nothing is said.
    lock_hosts: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StepWish {
    name: String,
    hosts: String,
    #[serde(default = "default_name")]
    component: String,
    #[serde(default = "default_name")]
    phase: String,
    resource: Json,
    /// Steps of this document, on the same host; those of other hosts wait by gates.
    #[serde(default)]
    after: Vec<String>,
    #[serde(default)]
    gates: Vec<String>,
    #[serde(default)]
    notifies: Vec<Token>,
    #[serde(default)]
    disruption: Disruption,
    rollout: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RolloutWish {
    hosts: String,
    #[serde(default = "one")]
    max_unavailable: Amount,
    #[serde(default)]
    canaries: usize,
}

/// All hosts of a step open it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GateWish {
    step: String,
    needs: Needs,
}

/// A number of hosts, or a percentage of them.
#[derive(Deserialize)]
#[serde(untagged)]
enum Amount {
    Number(usize),
    Text(String),
}

fn default_name() -> String {
    DEFAULT.to_owned()
}

fn one() -> Amount {
    Amount::Number(1)
}

impl Amount {
    /// Of so many hosts; a percentage is rounded down, and is at least one.
    fn of(&self, hosts: usize) -> Result<usize, String> {
        match self {
            Self::Number(0) => Err("`max_unavailable` is 0: nothing could ever happen".to_owned()),
            Self::Number(number) => Ok(*number),
            Self::Text(text) => {
                let percent = text.strip_suffix('%').and_then(|digits| digits.trim().parse::<usize>().ok());
                match percent {
                    Some(percent @ 1..=100) => Ok((hosts * percent / 100).max(1)),
                    _ => Err(format!("`max_unavailable` is `{text}`, neither a number nor a percentage")),
                }
            }
        }
    }
}

/// The wishes of a document.
pub(crate) fn read(path: &Path, inventory: &Inventory) -> Result<Wishes, Failure> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|error| Diagnostic::error("document", format!("cannot read `{name}`: {error}")))?;
    let source = Source::new(name, text.clone());
    let document = kubespray_yaml::parse(&text, &source)?;
    let root = document
        .root
        .ok_or_else(|| Diagnostic::error("document", "it is empty").at(Span::whole(source.clone())))?;
    let value = json_of(&root.value).map_err(|why| at(&root, why))?;
    let wish: Document = serde_json::from_value(value).map_err(|error| at(&root, error.to_string()))?;
    Reader { root: &root, inventory, problems: Vec::new() }.wishes(wish)
}

fn at(node: &Node, message: impl Into<String>) -> Diagnostic {
    Diagnostic::error("document", message).at(node.span.clone())
}

pub(super) fn json_of(value: &Value) -> Result<Json, String> {
    let text = json::write(value, json::Layout { ascii: false, ..json::Layout::COMPACT })
        .map_err(|error| error.message)?;
    serde_json::from_str(&text).map_err(|error| error.to_string())
}

struct Reader<'a> {
    root: &'a Arc<Node>,
    inventory: &'a Inventory,
    problems: Vec<Diagnostic>,
}

impl Reader<'_> {
    fn wishes(mut self, document: Document) -> Result<Wishes, Failure> {
        let mut wishes = Wishes {
            operation: DEFAULT.to_owned(),
            cluster: document.name,
            policy: Policy { failure_budget: document.failure_budget, ..Policy::default() },
            ..Wishes::default()
        };
        let steps: Vec<Option<(StepWish, Resource)>> = document
            .steps
            .into_iter()
            .enumerate()
            .map(|(number, step)| match read_step(step) {
                Ok(step) => Some(step),
                Err(why) => {
                    self.wrong("steps", number, why);
                    None
                }
            })
            .collect();
        let mut by_name: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (number, step) in steps.iter().enumerate() {
            let Some((step, resource)) = step else { continue };
            let hosts = match self.inventory.limit(&step.hosts) {
                Ok(hosts) => hosts,
                Err(diagnostics) => {
                    self.problems.push(*diagnostics);
                    continue;
                }
            };
            if step.name.is_empty() || step.name.chars().any(char::is_whitespace) {
                self.wrong("steps", number, format!("`{}` is no name of a step", step.name));
            }
            if by_name.insert(step.name.clone(), hosts.clone()).is_some() {
                self.wrong("steps", number, format!("two steps are called `{}`", step.name));
            }
            for after in &step.after {
                if !by_name.contains_key(after) {
                    let near = did_you_mean(after, by_name.keys().map(String::as_str));
                    let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
                    let why =
                        format!("`{}` waits for `{after}`, which is no step before it{near}", step.name);
                    self.wrong("steps", number, why);
                }
            }
            for host in hosts {
                wishes.steps.push(place(step, resource, &host));
            }
        }
        for (name, rollout) in &document.rollouts {
            match self.inventory.limit(&rollout.hosts).map_err(|d| *d) {
                Ok(hosts) => match rollout.max_unavailable.of(hosts.len()) {
                    Ok(max_unavailable) => {
                        let rollout = Rollout { hosts, max_unavailable, canaries: rollout.canaries };
                        wishes.policy.rollouts.insert(name.clone(), rollout);
                    }
                    Err(why) => self.problems.push(at(self.root, format!("rollout `{name}`: {why}"))),
                },
                Err(problem) => self.problems.push(problem),
            }
        }
        for (name, gate) in document.gates {
            match by_name.get(&gate.step) {
                Some(hosts) => {
                    let steps = hosts.iter().map(|host| id(host, &gate.step)).collect();
                    wishes.gates.insert(name, Gate { steps, needs: gate.needs });
                }
                None => {
                    self.problems
                        .push(at(self.root, format!("gate `{name}`: there is no step `{}`", gate.step)));
                }
            }
        }
        let hosts: BTreeSet<String> = wishes.steps.iter().map(|step| step.host.clone()).collect();
        wishes.lock_hosts = match &document.lock_hosts {
            None => hosts.into_iter().collect(),
            Some(pattern) => self.inventory.limit(pattern).map_err(|problem| vec![*problem])?,
        };
        wishes.lock_hosts.sort();
        if self.problems.is_empty() { Ok(wishes) } else { Err(self.problems.into()) }
    }

    fn wrong(&mut self, list: &str, number: usize, why: String) {
        let node = element(self.root, list, number).unwrap_or_else(|| Arc::clone(self.root));
        self.problems.push(at(&node, why));
    }
}

fn element(root: &Node, list: &str, number: usize) -> Option<Arc<Node>> {
    let Children::Map(entries) = &root.children else { return None };
    let (_, (_, node)) = entries.iter().find(|(key, _)| key.as_str() == Some(list))?;
    match &node.children {
        Children::List(items) => items.get(number).cloned(),
        _ => None,
    }
}

/// A step with its resource; fields that nobody knows are refused, so that a typo is no silent default.
fn read_step(step: Json) -> Result<(StepWish, Resource), String> {
    let wish: StepWish = serde_json::from_value(step).map_err(|error| error.to_string())?;
    let resource: Resource = serde_json::from_value(wish.resource.clone())
        .map_err(|error| format!("the resource of `{}`: {error}", wish.name))?;
    let understood = serde_json::to_value(&resource).map_err(|error| error.to_string())?;
    match unknown(&wish.resource, &understood) {
        Some(field) => Err(format!("the resource of `{}` has a field `{field}` that is unknown", wish.name)),
        None => Ok((wish, resource)),
    }
}

/// A field that was written and not understood.
fn unknown(written: &Json, understood: &Json) -> Option<String> {
    match (written, understood) {
        (Json::Object(written), Json::Object(understood)) => {
            written.iter().find_map(|(name, value)| match understood.get(name) {
                Some(other) => unknown(value, other),
                // Nothing says the same as no field.
                None => (!value.is_null()).then(|| name.clone()),
            })
        }
        (Json::Array(written), Json::Array(understood)) => {
            written.iter().zip(understood).find_map(|(written, understood)| unknown(written, understood))
        }
        _ => None,
    }
}

fn id(host: &str, name: &str) -> StepId {
    StepId(format!("{host}/{name}"))
}

fn place(wish: &StepWish, resource: &Resource, host: &str) -> Step {
    Step {
        id: id(host, &wish.name),
        host: host.to_owned(),
        component: wish.component.clone(),
        phase: wish.phase.clone(),
        resource: with_secrets_of(resource, host),
        after: wish.after.iter().map(|name| id(host, name)).collect(),
        gates: wish.gates.clone(),
        notifies: wish.notifies.clone(),
        disruption: wish.disruption,
        rollout: wish.rollout.clone(),
        remember: false,
        keep: None,
        raises: None,
        hold: None,
    }
}

/// `{secret:NAME}` in a document is the variable `NAME` as the host has it.
fn with_secrets_of(resource: &Resource, host: &str) -> Resource {
    let names = resource.secret_names();
    if names.is_empty() {
        return resource.clone();
    }
    let mut json = serde_json::to_value(resource).unwrap_or_default();
    prefix_secrets(&mut json, host);
    serde_json::from_value(json).unwrap_or_else(|_| resource.clone())
}

fn prefix_secrets(json: &mut Json, host: &str) {
    match json {
        Json::String(text) if text.contains("{secret:") => {
            *text = text.replace("{secret:", &format!("{{secret:{host}/"));
        }
        Json::Array(items) => items.iter_mut().for_each(|item| prefix_secrets(item, host)),
        Json::Object(entries) => entries.iter_mut().for_each(|(_, item)| prefix_secrets(item, host)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use kubespray_inventory::Options;

    use super::*;

    fn wishes(text: &str) -> Result<Wishes, Vec<String>> {
        let inventory = Inventory::load(&["a,b,c,d,".to_owned()], &Options::default()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("d.yaml");
        std::fs::write(&path, text).unwrap();
        read(&path, &inventory).map_err(|failure| {
            let place = |problem: &Diagnostic| problem.span().map_or(0, Span::line);
            failure
                .diagnostics
                .iter()
                .map(|problem| format!("{}: {}", place(problem), problem.message))
                .collect()
        })
    }

    #[test]
    fn steps_are_placed_on_their_hosts() {
        let wishes = wishes(
            "name: x\nsteps:\n- {name: one, hosts: 'a,b', resource: {swap: {}}}\n- name: two\n  hosts: b\n  after: [one]\n  \
             gates: [ones]\n  rollout: r\n  resource: {file: {path: /x, content: {secret: 'p={secret:pw}'}, mode: '0600', \
             owner: {user: root, group: root}}}\ngates: {ones: {step: one, needs: all}}\nrollouts: {r: {hosts: all, \
             max_unavailable: 50%}}\n",
        )
        .unwrap();
        let ids: Vec<&str> = wishes.steps.iter().map(|step| step.id.as_str()).collect();
        assert_eq!(ids, ["a/one", "b/one", "b/two"]);
        assert_eq!(wishes.steps[2].after, [StepId::from("b/one")]);
        assert_eq!(wishes.steps[2].resource.secret_names(), ["b/pw"], "the variable is that of the host");
        assert_eq!(wishes.gates["ones"].steps.len(), 2);
        assert_eq!(wishes.policy.rollouts["r"].max_unavailable, 2);
        assert_eq!(wishes.lock_hosts, ["a", "b"]);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place_and_all_at_once() {
        let problems = wishes(
            "name: x\nsteps:\n- {name: one, hosts: a, resource: {swap: {}}}\n- {name: one, hosts: a, resource: {swap: {}}}\n- \
             {name: two, hosts: a, after: [noe], resource: {swap: {}}}\n- {name: three, hosts: zz, resource: {swap: {}}}\n- \
             {name: four, hosts: a, resource: {link: {path: /a, target: /b, targte: /c}}}\n- {name: five, hosts: a, resource: \
             {lnik: {}}}\n- {name: six, host: a, resource: {swap: {}}}\nrollouts: {r: {hosts: all, max_unavailable: 0}}\n",
        )
        .unwrap_err();
        let expected = [
            (4, "two steps are called `one`"),
            (5, "`two` waits for `noe`, which is no step before it; did you mean `one`?"),
            (0, "zz"),
            (7, "the resource of `four` has a field `targte` that is unknown"),
            (8, "the resource of `five`: unknown variant `lnik`"),
            (9, "unknown field `host`"),
            (1, "rollout `r`: `max_unavailable` is 0"),
        ];
        for (line, text) in expected {
            let found = problems.iter().find(|problem| problem.contains(text));
            let found = found.unwrap_or_else(|| panic!("{text}: {problems:#?}"));
            assert!(found.starts_with(&format!("{line}: ")), "{found}");
        }
        assert_eq!(problems.len(), expected.len(), "{problems:#?}");
    }
}
