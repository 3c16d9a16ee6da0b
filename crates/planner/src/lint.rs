//! What no plan may do, whatever made it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use kubespray_resource::{
    Block, Disruption, File, KubeadmAction, Plan, PlannedStep, PutBack, Reboot, Resource, Secrets, Step,
    StepId, Token,
};

use crate::graph::{Edges, Graph};
use crate::{outputs, skew};

/// What the helper keeps for itself.
const HELPER_FOLDER: &str = "/var/lib/kubespray/";

/// A rule of plans.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// Ids are unique and begin with their host.
    Ids,
    /// Steps, gates and rollouts that are named exist; a gate has steps.
    Names,
    /// No step waits for itself.
    Cycle,
    /// Two steps that take a member away (etcd, control planes), reboots of their hosts too, never happen at the same
    /// time.
    Quorum,
    /// Who takes a member away in its turn proves that it is back before the turn ends.
    Proven,
    /// A reboot comes after a drain of the same host, or tells why there is none.
    DrainFirst,
    /// What drains or reboots takes turns in a rollout, and a rollout has at least one turn.
    Turns,
    /// No secret stands in a plan.
    Secret,
    /// A command says when it is done.
    Guard,
    /// What waits on a change comes behind it on the same host.
    Notified,
    /// Two steps of a host do not wish different things of one path, unit or key.
    Conflict,
    /// Paths are absolute, without `..`, and not the helper's own.
    Path,
    /// What a step takes from another one is given, before it, and what it needs.
    Outputs,
    /// A manifest says which object it is.
    Manifest,
    /// Versions of Kubernetes that do not fit are never beside each other.
    Skew,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ids => "ids",
            Self::Names => "names",
            Self::Cycle => "cycle",
            Self::Quorum => "quorum",
            Self::Proven => "proven",
            Self::DrainFirst => "drain-first",
            Self::Turns => "turns",
            Self::Secret => "secret",
            Self::Guard => "guard",
            Self::Notified => "notified",
            Self::Conflict => "conflict",
            Self::Path => "path",
            Self::Outputs => "outputs",
            Self::Manifest => "manifest",
            Self::Skew => "skew",
        })
    }
}

/// A rule that a plan breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The rule.
    pub rule: Rule,
    /// The step that breaks it, or the gate or rollout.
    pub at: String,
    /// How.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: `{}`: {}", self.rule, self.at, self.message)
    }
}

/// All rules that a plan breaks. A plan with any must not run.
pub fn lint(plan: &Plan, secrets: &Secrets) -> Vec<Problem> {
    let mut linter = Linter { plan, problems: Vec::new() };
    linter.ids();
    linter.names();
    linter.turns();
    linter.resources();
    linter.notified();
    for (step, message) in outputs::unkept(plan) {
        linter.add(Rule::Outputs, step, message);
    }
    linter.secrets(secrets);
    let possible = Graph::of(plan, Edges::Possible);
    if linter.has_no_cycle(&possible, &possible.order()) {
        let certain = Graph::of(plan, Edges::Certain);
        let order = certain.order();
        linter.quorum(&certain, &order);
        for (step, message) in skew::broken(plan, &certain, &order) {
            linter.add(Rule::Skew, step, message);
        }
    }
    linter.proven();
    linter.drain_first();
    linter.problems
}

struct Linter<'a> {
    plan: &'a Plan,
    problems: Vec<Problem>,
}

impl Linter<'_> {
    fn add(&mut self, rule: Rule, at: impl ToString, message: impl Into<String>) {
        self.problems.push(Problem { rule, at: at.to_string(), message: message.into() });
    }

    fn ids(&mut self) {
        let mut known = BTreeSet::new();
        for planned in &self.plan.steps {
            let step = &planned.step;
            if !known.insert(&step.id) {
                self.add(Rule::Ids, &step.id, "two steps have this id");
            }
            if !step.id.as_str().starts_with(&format!("{}/", step.host)) {
                self.add(Rule::Ids, &step.id, format!("does not begin with its host `{}`", step.host));
            }
        }
    }

    fn names(&mut self) {
        let plan = self.plan;
        let known: BTreeSet<&StepId> = plan.steps.iter().map(|planned| &planned.step.id).collect();
        for planned in &plan.steps {
            let step = &planned.step;
            for other in step.after.iter().filter(|other| !known.contains(other)) {
                self.add(Rule::Names, &step.id, format!("waits for `{other}`, which does not exist"));
            }
            for gate in step.gates.iter().filter(|gate| !plan.gates.contains_key(*gate)) {
                self.add(Rule::Names, &step.id, format!("waits for the gate `{gate}`, which does not exist"));
            }
            match step.rollout.as_ref().map(|name| (name, plan.policy.rollouts.get(name))) {
                Some((name, None)) => {
                    self.add(
                        Rule::Names,
                        &step.id,
                        format!("belongs to the rollout `{name}`, which does not exist"),
                    );
                }
                Some((name, Some(rollout))) if !rollout.hosts.contains(&step.host) => {
                    self.add(Rule::Names, &step.id, format!("its host has no turn in the rollout `{name}`"));
                }
                _ => {}
            }
        }
        for (name, gate) in &plan.gates {
            if gate.steps.is_empty() {
                self.add(Rule::Names, name, "a gate without steps never opens");
            }
            for other in gate.steps.iter().filter(|other| !known.contains(other)) {
                self.add(Rule::Names, name, format!("counts `{other}`, which does not exist"));
            }
        }
    }

    fn turns(&mut self) {
        let plan = self.plan;
        for (name, rollout) in &plan.policy.rollouts {
            if rollout.max_unavailable == 0 {
                self.add(Rule::Turns, name, "no host may be out of service, so none ever has its turn");
            }
        }
        for planned in &plan.steps {
            let step = &planned.step;
            if matches!(step.disruption, Disruption::Drain | Disruption::Reboot) && step.rollout.is_none() {
                self.add(Rule::Turns, &step.id, format!("costs a {} and is in no rollout", step.disruption));
            }
        }
    }

    fn resources(&mut self) {
        let plan = self.plan;
        let mut claims: HashMap<(&str, String), (&StepId, &Resource)> = HashMap::new();
        for planned in &plan.steps {
            let step = &planned.step;
            if let Resource::Command(command) = &step.resource
                && command.guards.is_empty()
            {
                self.add(Rule::Guard, &step.id, "the command does not say when it is done");
            }
            if let Resource::Kubeadm(kubeadm) = &step.resource
                && matches!(&kubeadm.action, KubeadmAction::Phase { guards, .. } if guards.is_empty())
            {
                self.add(Rule::Guard, &step.id, "the phase does not say when it is done");
            }
            if matches!(step.resource, Resource::Drain(_)) && step.disruption != Disruption::Drain {
                self.add(Rule::Turns, &step.id, "drains a node and does not say so");
            }
            if let Resource::Object(object) = &step.resource
                && let Err(problem) = object.reference()
            {
                self.add(Rule::Manifest, &step.id, problem);
            }
            for path in path_of(&step.resource).into_iter().chain(key_path_of(&step.resource)) {
                let is_plain = path.starts_with('/') && !path.split('/').any(|part| part == "..");
                if !is_plain || path.starts_with(HELPER_FOLDER) {
                    self.add(Rule::Path, &step.id, format!("must not touch `{path}`"));
                }
            }
            let Some(claim) = claim(&step.resource) else { continue };
            // What keeps what is there agrees with whatever is wished later.
            if matches!(
                &step.resource,
                Resource::File(File { keep_content: true, .. }) | Resource::Block(Block { keep: true, .. })
            ) {
                continue;
            }
            match claims.get(&(step.host.as_str(), claim.clone())) {
                Some((other, wish)) if **wish != step.resource => {
                    self.add(Rule::Conflict, &step.id, format!("wishes otherwise than `{other}`"));
                }
                Some(_) => {}
                None => _ = claims.insert((&step.host, claim), (&step.id, &step.resource)),
            }
        }
    }

    fn notified(&mut self) {
        let plan = self.plan;
        let mut last: BTreeMap<(&str, Token), usize> = BTreeMap::new();
        for (at, planned) in plan.steps.iter().enumerate() {
            if let Some(token) = planned.step.resource.awaits() {
                last.insert((&planned.step.host, token), at);
            }
        }
        for (at, planned) in plan.steps.iter().enumerate() {
            let step = &planned.step;
            for token in &step.notifies {
                if last.get(&(step.host.as_str(), token.clone())).is_none_or(|waits| *waits < at) {
                    self.add(Rule::Notified, &step.id, format!("nothing behind it waits for `{token}`"));
                }
            }
        }
    }

    fn secrets(&mut self, secrets: &Secrets) {
        for planned in &self.plan.steps {
            let text = serde_json::to_string(planned).unwrap_or_default();
            if secrets.blot(&text) != text {
                self.add(Rule::Secret, &planned.step.id, "holds a secret in its text");
            }
        }
    }

    fn has_no_cycle(&mut self, graph: &Graph, order: &[usize]) -> bool {
        if order.len() == graph.before.len() {
            return true;
        }
        let placed: BTreeSet<usize> = order.iter().copied().collect();
        let circle = self.plan.steps.iter().enumerate().find(|(at, _)| !placed.contains(at));
        if let Some((_, planned)) = circle {
            self.add(Rule::Cycle, &planned.step.id, "waits, through others, for itself");
        }
        false
    }

    /// Every two steps that take a member away are in one order, or in one rollout that lets only one host
    /// through.
    fn quorum(&mut self, graph: &Graph, order: &[usize]) {
        let plan = self.plan;
        let steps: Vec<usize> = (0..plan.steps.len())
            .filter(|at| plan.steps.get(*at).is_some_and(|planned| takes_member(plan, &planned.step)))
            .collect();
        let before = graph.marks_before(order, &steps);
        let has = |at: usize, bit: usize| {
            before.get(at).and_then(|set| set.get(bit / 64)).is_some_and(|word| word >> (bit % 64) & 1 == 1)
        };
        for (bit_a, a) in steps.iter().enumerate() {
            for (bit_b, b) in steps.iter().enumerate().skip(bit_a + 1) {
                let (Some(first), Some(second)) = (plan.steps.get(*a), plan.steps.get(*b)) else { continue };
                let (first, second) = (&first.step, &second.step);
                let alone = first.rollout.is_some()
                    && first.rollout == second.rollout
                    && first
                        .rollout
                        .as_ref()
                        .and_then(|name| plan.policy.rollouts.get(name))
                        .is_some_and(|rollout| rollout.max_unavailable == 1);
                if first.host != second.host && !alone && !has(*b, bit_a) && !has(*a, bit_b) {
                    self.add(
                        Rule::Quorum,
                        &second.id,
                        format!("may take a member away while `{}` does", first.id),
                    );
                }
            }
        }
    }

    /// A check that was true before proves nothing where it is not made again.
    fn proven(&mut self) {
        let plan = self.plan;
        for (at, planned) in plan.steps.iter().enumerate() {
            let step = &planned.step;
            if !takes_member(plan, step) || step.rollout.is_none() {
                continue;
            }
            let proves = |later: &&PlannedStep| {
                let is_look = matches!(&later.step.resource, Resource::Check(_) | Resource::EtcdHealth(_));
                let is_made = later.changes || !planned.changes;
                is_look && is_made && later.step.host == step.host && later.step.rollout == step.rollout
            };
            if !plan.steps.iter().skip(at + 1).any(|later| proves(&later)) {
                let message = "takes a member away, and no check in the same turn says that it is back";
                self.add(Rule::Proven, &step.id, message);
            }
        }
    }

    fn drain_first(&mut self) {
        let plan = self.plan;
        let mut drained: BTreeSet<&str> = BTreeSet::new();
        for planned in &plan.steps {
            let step = &planned.step;
            match step.disruption {
                Disruption::Drain => _ = drained.insert(&step.host),
                Disruption::Reboot if !drained.contains(step.host.as_str()) && !tells_why(step) => {
                    self.add(Rule::DrainFirst, &step.id, "reboots a host that was not drained before");
                }
                _ => {}
            }
        }
    }
}

/// Whether a reboot tells why pods stay on the node.
fn tells_why(step: &Step) -> bool {
    matches!(&step.resource, Resource::Reboot(Reboot { undrained: Some(_), .. }))
}

/// Whether it takes a member of etcd or a control plane away. Both hold locks of runs, and a reboot takes all of a host.
fn takes_member(plan: &Plan, step: &Step) -> bool {
    match step.disruption {
        Disruption::Quorum => true,
        Disruption::Reboot => plan.lock_hosts.contains(&step.host),
        _ => false,
    }
}

fn path_of(resource: &Resource) -> Option<&str> {
    Some(match resource {
        Resource::File(wish) => &wish.path,
        Resource::Directory(wish) => &wish.path,
        Resource::Link(wish) => &wish.path,
        Resource::Absent(wish) => &wish.path,
        Resource::Block(wish) => &wish.path,
        Resource::Line(wish) => &wish.path,
        Resource::Download(wish) => &wish.path,
        Resource::Authority(wish) => &wish.certificate_path,
        Resource::Certificate(wish) => &wish.path,
        Resource::KeyCopy(wish) => &wish.path,
        Resource::PutBack(PutBack::Nothing { path, .. }) => path,
        _ => return None,
    })
}

/// The path of a private key that it makes or whose owner it sets.
fn key_path_of(resource: &Resource) -> Option<&str> {
    match resource {
        Resource::Authority(wish) => Some(&wish.key.path),
        Resource::CertificateRequest(wish) => Some(&wish.key.path),
        Resource::Certificate(wish) => Some(&wish.key.path),
        Resource::KeyOffer(wish) => Some(&wish.path),
        _ => None,
    }
}

/// What a wish is the only word on. Parts of files may be several.
fn claim(resource: &Resource) -> Option<String> {
    match resource {
        Resource::File(_)
        | Resource::Directory(_)
        | Resource::Link(_)
        | Resource::Absent(_)
        | Resource::Download(_)
        | Resource::Authority(_)
        | Resource::Certificate(_)
        | Resource::KeyCopy(_)
        | Resource::PutBack(PutBack::Nothing { .. }) => path_of(resource).map(|path| format!("path {path}")),
        Resource::Sysctl(wish) => Some(format!("sysctl {}", wish.key)),
        Resource::Hostname(_) => Some("hostname".into()),
        Resource::Object(wish) => {
            wish.reference().ok().map(|object| format!("object {} {object}", object.api_version))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use kubespray_resource::{
        Check, Comparison, Content, File, Gate, Guard, Mode, Needs, Owner, PLAN_SCHEMA_VERSION, PlannedStep,
        Policy, Probe, Rollout, Running, Unit,
    };

    use super::*;

    fn unit(name: &str) -> Resource {
        Unit {
            name: name.into(),
            enabled: None,
            running: Some(Running::Started),
            masked: None,
            may_be_missing: false,
        }
        .into()
    }

    fn file(path: &str, text: &str) -> Resource {
        File {
            path: path.into(),
            content: Content::Text(text.into()),
            mode: Mode::PUBLIC,
            owner: Owner::root(),
            keep_content: false,
        }
        .into()
    }

    fn step(id: &str, resource: Resource, change: impl FnOnce(&mut Step)) -> PlannedStep {
        let mut step =
            Step { id: id.into(), ..Step::new(id.split('/').next().unwrap(), "c", "p", "x", resource) };
        change(&mut step);
        PlannedStep { step, seen: Comparison::default(), changes: true, diff: None }
    }

    fn plan(steps: Vec<PlannedStep>) -> Plan {
        Plan {
            schema_version: PLAN_SCHEMA_VERSION,
            operation: "test".into(),
            cluster: "c".into(),
            lock_hosts: Vec::new(),
            steps,
            gates: BTreeMap::new(),
            policy: Policy::default(),
        }
    }

    fn broken(plan: &Plan) -> Vec<Rule> {
        lint(plan, &Secrets::default()).into_iter().map(|problem| problem.rule).collect()
    }

    fn quorum(host: &str, change: impl FnOnce(&mut Step)) -> PlannedStep {
        step(&format!("{host}/etcd/unit"), unit("etcd.service"), |step| {
            step.disruption = Disruption::Quorum;
            change(step);
        })
    }

    #[test]
    fn members_never_go_at_the_same_time() {
        assert_eq!(broken(&plan(vec![quorum("a", |_| {}), quorum("b", |_| {})])), [Rule::Quorum]);
        let ordered = vec![quorum("a", |_| {}), quorum("b", |step| step.after = vec!["a/etcd/unit".into()])];
        assert!(broken(&plan(ordered)).is_empty());
        // Through a step of a third host.
        let through = vec![
            quorum("a", |_| {}),
            step("c/x/y", unit("x.service"), |step| step.after = vec!["a/etcd/unit".into()]),
            quorum("b", |step| step.after = vec!["c/x/y".into()]),
        ];
        assert!(broken(&plan(through)).is_empty());
        // A gate orders them only if it needs both.
        for (needs, expected) in [(Needs::All, vec![]), (Needs::Any, vec![Rule::Quorum])] {
            let other = step("c/x/y", unit("x.service"), |_| {});
            let gated = quorum("b", |step| step.gates = vec!["g".into()]);
            let mut plan = plan(vec![quorum("a", |_| {}), other, gated]);
            plan.gates.insert("g".into(), Gate { steps: vec!["a/etcd/unit".into(), "c/x/y".into()], needs });
            assert_eq!(broken(&plan), expected);
        }
        for (turns, expected) in [(1, vec![]), (2, vec![Rule::Quorum])] {
            let mut plan = plan(vec![member("a"), check("a"), member("b"), check("b")]);
            let rollout =
                Rollout { hosts: vec!["a".into(), "b".into()], max_unavailable: turns, canaries: 0 };
            plan.policy.rollouts.insert("etcd".into(), rollout);
            assert_eq!(broken(&plan), expected);
        }
    }

    /// A member in its turn, and the check that follows.
    fn member(host: &str) -> PlannedStep {
        quorum(host, |step| step.rollout = Some("etcd".into()))
    }

    fn check(host: &str) -> PlannedStep {
        let probe = Probe::Unit("etcd.service".into());
        let check = Check { name: "it runs".into(), probe, timeout_s: 1, interval_ms: 1 };
        step(&format!("{host}/etcd/check"), check.into(), |step| step.rollout = Some("etcd".into()))
    }

    #[test]
    fn members_prove_that_they_are_back() {
        let rollout = Rollout { hosts: vec!["a".into()], max_unavailable: 1, canaries: 0 };
        let of = |steps: Vec<PlannedStep>| {
            let mut plan = plan(steps);
            plan.policy.rollouts.insert("etcd".into(), rollout.clone());
            plan
        };
        assert_eq!(broken(&of(vec![member("a"), check("a")])), []);
        assert_eq!(broken(&of(vec![check("a"), member("a")])), [Rule::Proven]);
        // The check was true before and would not be made.
        let idle = |planned| PlannedStep { changes: false, ..planned };
        assert_eq!(broken(&of(vec![member("a"), idle(check("a"))])), [Rule::Proven]);
        assert_eq!(broken(&of(vec![idle(member("a")), idle(check("a"))])), []);
        // The turn ends before it.
        let mut late = check("a");
        late.step.rollout = None;
        assert_eq!(broken(&of(vec![member("a"), late])), [Rule::Proven]);
    }

    #[test]
    fn circles_are_found_through_hosts_and_gates() {
        let mut circle = plan(vec![
            step("a/x/1", unit("x.service"), |step| step.gates = vec!["g".into()]),
            step("a/x/2", unit("y.service"), |_| {}),
            step("b/x/1", unit("x.service"), |step| step.after = vec!["a/x/2".into()]),
        ]);
        circle.gates.insert("g".into(), Gate { steps: vec!["b/x/1".into()], needs: Needs::All });
        assert_eq!(broken(&circle), [Rule::Cycle]);
        circle.steps[2].step.after.clear();
        assert!(broken(&circle).is_empty());
    }

    #[test]
    fn names_lead_somewhere() {
        let wrong = plan(vec![step("a/x/1", unit("x.service"), |step| {
            step.after = vec!["nowhere".into()];
            step.gates = vec!["none".into()];
            step.rollout = Some("none".into());
        })]);
        assert_eq!(broken(&wrong), [Rule::Names; 3]);
        let twice = plan(vec![
            step("a/x/1", unit("x.service"), |_| {}),
            step("a/x/1", unit("y.service"), |step| step.host = "b".into()),
        ]);
        assert_eq!(broken(&twice), [Rule::Ids, Rule::Ids]);
    }

    #[test]
    fn hosts_are_drained_before_they_reboot_and_take_turns() {
        let reboot = |step: &mut Step| {
            step.disruption = Disruption::Reboot;
            step.rollout = Some("w".into());
        };
        let mut bad = plan(vec![step("a/x/reboot", unit("x.service"), reboot)]);
        let rollout = Rollout { hosts: vec!["a".into()], max_unavailable: 0, canaries: 0 };
        bad.policy.rollouts.insert("w".into(), rollout.clone());
        assert_eq!(broken(&bad), [Rule::Turns, Rule::DrainFirst]);
        let drain = step("a/x/drain", unit("y.service"), |step| step.disruption = Disruption::Drain);
        let mut good = plan(vec![drain, step("a/x/reboot", unit("x.service"), reboot)]);
        good.policy.rollouts.insert("w".into(), Rollout { max_unavailable: 1, ..rollout });
        assert_eq!(broken(&good), [Rule::Turns], "the drain itself is in no rollout");
        good.steps[0].step.rollout = Some("w".into());
        assert!(broken(&good).is_empty());
    }

    #[test]
    fn reboots_of_members_are_as_their_steps() {
        let boot = |host: &str, undrained: Option<&str>| {
            let reboot =
                Reboot { only_if_required: false, undrained: undrained.map(str::to_owned), timeout_s: 1 };
            step(&format!("{host}/x/reboot"), reboot.into(), |step| {
                step.disruption = Disruption::Reboot;
                step.rollout = Some("etcd".into());
            })
        };
        let why = Some("somebody else cordoned it");
        let of = |steps: Vec<PlannedStep>, max_unavailable: usize, locks: &[&str]| {
            let mut plan = plan(steps);
            let hosts = vec!["a".into(), "b".into()];
            plan.policy.rollouts.insert("etcd".into(), Rollout { hosts, max_unavailable, canaries: 0 });
            plan.lock_hosts = locks.iter().map(ToString::to_string).collect();
            broken(&plan)
        };
        let both = || vec![boot("a", why), check("a"), boot("b", why), check("b")];
        assert_eq!(of(both(), 1, &["a", "b"]), []);
        assert_eq!(of(both(), 2, &["a", "b"]), [Rule::Quorum]);
        assert_eq!(of(both(), 2, &["a"]), [], "a worker is no member");
        assert_eq!(of(vec![boot("a", why)], 1, &["a"]), [Rule::Proven]);
        assert_eq!(of(vec![boot("a", None)], 1, &[]), [Rule::DrainFirst]);
    }

    #[test]
    fn no_secret_stands_in_a_plan() {
        let mut secrets = Secrets::default();
        secrets.insert("token", "abcdef.0123");
        let plan = plan(vec![step("a/x/1", file("/etc/x", "token abcdef.0123"), |_| {})]);
        assert_eq!(lint(&plan, &secrets)[0].rule, Rule::Secret);
        assert!(!lint(&plan, &secrets)[0].to_string().contains("abcdef"));
    }

    #[test]
    fn kinds_of_kubernetes_keep_their_rules() {
        let object = |manifest: serde_json::Value| {
            Resource::from(kubespray_resource::Object {
                kubeconfig: "/k".into(),
                component: "c".into(),
                manifest,
                force: false,
            })
        };
        let nameless = object(serde_json::json!({"apiVersion": "v1", "kind": "Namespace"}));
        assert_eq!(broken(&plan(vec![step("a/x/1", nameless, |_| {})])), [Rule::Manifest]);
        let map = |value: &str| {
            let metadata = serde_json::json!({"name": "m", "namespace": "n"});
            let data = serde_json::json!({"k": value});
            object(
                serde_json::json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}),
            )
        };
        let twice = vec![step("a/x/1", map("1"), |_| {}), step("a/x/2", map("2"), |_| {})];
        assert_eq!(broken(&plan(twice)), [Rule::Conflict]);
        let phase = |guards| {
            Resource::from(kubespray_resource::Kubeadm {
                program: "/usr/local/bin/kubeadm".into(),
                action: KubeadmAction::Phase { of: "init".into(), phase: vec!["certs".into()], guards },
                config: None,
                certificates: None,
                ignore_preflight_errors: Vec::new(),
                skip_phases: Vec::new(),
                environment: BTreeMap::new(),
                timeout_s: 1,
            })
        };
        assert_eq!(broken(&plan(vec![step("a/x/1", phase(Vec::new()), |_| {})])), [Rule::Guard]);
        let guarded = phase(vec![Guard::Creates("/x".into())]);
        assert!(broken(&plan(vec![step("a/x/1", guarded, |_| {})])).is_empty());
        let drain = Resource::from(kubespray_resource::Drain {
            kubeconfig: "/k".into(),
            node: "n".into(),
            mark: None,
            grace_s: None,
            timeout_s: 1,
            ignore_daemonsets: true,
            delete_empty_dir: true,
            force: true,
            pod_selector: None,
            fallback: None,
            uncordon_on_failure: true,
            may_fail: false,
        });
        assert_eq!(broken(&plan(vec![step("a/x/1", drain, |_| {})])), [Rule::Turns]);
    }

    #[test]
    fn commands_restarts_conflicts_and_paths() {
        let command = kubespray_resource::Command {
            argv: vec!["true".into()],
            environment: BTreeMap::new(),
            stdin: None,
            guards: Vec::new(),
            timeout_s: 1,
        };
        let guarded =
            kubespray_resource::Command { guards: vec![Guard::Creates("/x".into())], ..command.clone() };
        assert_eq!(broken(&plan(vec![step("a/x/1", command.into(), |_| {})])), [Rule::Guard]);
        assert!(broken(&plan(vec![step("a/x/1", guarded.into(), |_| {})])).is_empty());

        let notify = |step: &mut Step| step.notifies = vec![Token::restart_of("x.service")];
        let config = step("a/x/1", file("/etc/x", ""), notify);
        let restart = step("a/x/2", unit("x.service"), |_| {});
        assert_eq!(broken(&plan(vec![config.clone()])), [Rule::Notified]);
        assert_eq!(broken(&plan(vec![restart.clone(), config.clone()])), [Rule::Notified]);
        assert!(broken(&plan(vec![config.clone(), restart])).is_empty());

        let other = step("a/x/3", file("/etc/x", "other"), |_| {});
        assert_eq!(broken(&plan(vec![step("a/x/1", file("/etc/x", ""), |_| {}), other])), [Rule::Conflict]);
        for path in ["etc/x", "/etc/../x", "/var/lib/kubespray/lock"] {
            assert_eq!(broken(&plan(vec![step("a/x/1", file(path, ""), |_| {})])), [Rule::Path], "{path}");
        }
    }
}
