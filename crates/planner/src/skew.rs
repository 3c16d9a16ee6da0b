//! Which versions of Kubernetes may be beside each other, on the way forth and back (spec OPS-005).

use kubespray_resource::{Part, Plan, Raise, StepId};

use crate::graph::Graph;

/// Kubelets may be so many minor versions older than API servers, API servers than each other.
pub(crate) const KUBELET_BEHIND: u64 = 3;
const API_SERVER_BEHIND: u64 = 1;

pub(crate) type Numbers = (u64, u64, u64);

/// The numbers of `1.35.2`, `v1.35.2` or `1.36.0-rc.1`.
pub(crate) fn numbers(text: &str) -> Option<Numbers> {
    let text = text.trim_start_matches('v').split(['-', '+']).next()?;
    let mut parts = text.split('.').map(|part| part.parse::<u64>().ok());
    Some((parts.next()??, parts.next()??, parts.next().flatten().unwrap_or(0)))
}

/// Steps that may bring versions together that do not fit, and how: by what ran when the plan was made, and by what is
/// certainly done before.
pub(crate) fn broken(plan: &Plan, graph: &Graph, order: &[usize]) -> Vec<(StepId, String)> {
    let goes_back = plan.policy.goes_back;
    let raises: Vec<(usize, &str, &StepId, &Raise)> = plan
        .steps
        .iter()
        .enumerate()
        .filter(|(_, planned)| planned.changes)
        .filter_map(|(at, planned)| {
            let step = &planned.step;
            Some((at, step.host.as_str(), &step.id, step.raises.as_ref()?))
        })
        .collect();
    let marks: Vec<usize> = raises.iter().map(|(at, ..)| *at).collect();
    let before = graph.marks_before(order, &marks);
    let mut out = Vec::new();
    for (at, host, step, raise) in &raises {
        let Some(to) = numbers(&raise.to) else { continue };
        let is_before = |bit: usize| {
            before.get(*at).and_then(|set| set.get(bit / 64)).is_some_and(|word| word >> (bit % 64) & 1 == 1)
        };
        // What a part of a host is of for certain when the step is done.
        let version_then = |of: &str, part: Part, now: Numbers| {
            let done = raises
                .iter()
                .enumerate()
                .filter(|(bit, (_, host, _, other))| *host == of && other.part == part && is_before(*bit));
            let newest_or_oldest = if goes_back { Numbers::min } else { Numbers::max };
            done.filter_map(|(_, (_, _, _, other))| numbers(&other.to)).fold(now, newest_or_oldest)
        };
        for (other, versions) in &plan.policy.versions {
            let server = versions.api_server.as_deref().and_then(numbers);
            let kubelet = versions.kubelet.as_deref().and_then(numbers);
            let server_then = server.map(|now| version_then(other, Part::ApiServer, now));
            let kubelet_then = kubelet.map(|now| version_then(other, Part::Kubelet, now));
            let is_own = other == host;
            let mut problem = |why: String| out.push(((*step).clone(), why));
            match raise.part {
                Part::Kubelet | Part::KubeProxy => {
                    if let Some(server) = server_then.filter(|server| to > *server) {
                        let what = format!(
                            "brings {} {} beside the API server {} of `{other}`, which must not be older",
                            raise.part,
                            raise.to,
                            text(server)
                        );
                        problem(what);
                    }
                    if let Some(now) =
                        kubelet.filter(|now| is_own && raise.part == Part::Kubelet && to < *now && !goes_back)
                    {
                        problem(format!("brings kubelet {} in place of {}", raise.to, text(now)));
                    }
                    if let Some(now) = server.filter(|now| goes_back && now.1 > to.1 + KUBELET_BEHIND) {
                        let now = text(now);
                        problem(format!(
                            "brings kubelet {} beside the API server {now} of `{other}`, for which it is too old",
                            raise.to
                        ));
                    }
                }
                Part::ApiServer if goes_back => {
                    // What a newer minor version wrote, an older one may not read.
                    if let Some(now) = server.filter(|now| (to.0, to.1) != (now.0, now.1)) {
                        let now = text(now);
                        problem(format!("brings API server {} back behind the {now} of `{other}`", raise.to));
                    }
                    if let Some(now) = kubelet_then.filter(|now| *now > to) {
                        problem(format!(
                            "brings API server {} beside the kubelet {} of `{other}`, which must not be newer",
                            raise.to,
                            text(now)
                        ));
                    }
                }
                Part::ApiServer => {
                    if let Some(now) = server_then
                        && (to < now && is_own || to.0 != now.0 || to.1 > now.1 + API_SERVER_BEHIND)
                    {
                        let of = if is_own { "in place of its" } else { "beside the" };
                        problem(format!("brings API server {} {of} {} of `{other}`", raise.to, text(now)));
                    }
                    if let Some(now) = kubelet_then.filter(|now| to.1 > now.1 + KUBELET_BEHIND) {
                        problem(format!(
                            "brings API server {} beside the kubelet {} of `{other}`, which is too old",
                            raise.to,
                            text(now)
                        ));
                    }
                }
            }
        }
    }
    out
}

fn text((major, minor, patch): Numbers) -> String {
    format!("{major}.{minor}.{patch}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use kubespray_resource::{
        Comparison, Gate, Needs, PLAN_SCHEMA_VERSION, PlannedStep, Policy, Secrets, Step, Swap, Versions,
    };

    use crate::{Rule, lint};

    use super::*;

    fn step(host: &str, part: Part, to: &str, gates: &[&str]) -> PlannedStep {
        let step = Step {
            raises: Some(Raise { part, to: to.into() }),
            gates: gates.iter().map(ToString::to_string).collect(),
            ..Step::new(host, "c", "p", &format!("{part}-{to}"), Swap {})
        };
        PlannedStep { step, seen: Comparison::default(), changes: true, diff: None }
    }

    fn problems(steps: Vec<PlannedStep>, versions: &[(&str, Option<&str>, &str)]) -> Vec<String> {
        on_the_way(steps, versions, false)
    }

    fn on_the_way(
        steps: Vec<PlannedStep>,
        versions: &[(&str, Option<&str>, &str)],
        goes_back: bool,
    ) -> Vec<String> {
        let opened_by = |part: Part| {
            let of = steps.iter().filter(|planned| planned.step.raises.as_ref().unwrap().part == part);
            of.map(|planned| planned.step.id.clone()).collect::<Vec<_>>()
        };
        let gate = |part| Gate { steps: opened_by(part), needs: Needs::All };
        let gates = [("servers", gate(Part::ApiServer)), ("kubelets", gate(Part::Kubelet))]
            .map(|(name, gate)| (name.to_owned(), gate));
        let versions = versions.iter().map(|(host, server, kubelet)| {
            let versions =
                Versions { api_server: server.map(str::to_owned), kubelet: Some((*kubelet).to_owned()) };
            ((*host).to_owned(), versions)
        });
        let plan = Plan {
            schema_version: PLAN_SCHEMA_VERSION,
            operation: "test".into(),
            cluster: "c".into(),
            lock_hosts: Vec::new(),
            gates: BTreeMap::from(gates).into_iter().filter(|(_, gate)| !gate.steps.is_empty()).collect(),
            steps,
            policy: Policy { versions: versions.collect(), goes_back, ..Policy::default() },
        };
        let found = lint(&plan, &Secrets::default());
        assert!(found.iter().all(|problem| problem.rule == Rule::Skew), "{found:?}");
        found.into_iter().map(|problem| format!("{}: {}", problem.at, problem.message)).collect()
    }

    const OLD: [(&str, Option<&str>, &str); 3] =
        [("a", Some("1.35.2"), "1.35.2"), ("b", Some("1.35.2"), "1.35.2"), ("w", None, "1.35.2")];

    #[test]
    fn kubelets_wait_for_all_api_servers() {
        let server = |host| step(host, Part::ApiServer, "1.36.0", &[]);
        let kubelet = |gates: &[&str]| step("w", Part::Kubelet, "1.36.0", gates);
        assert!(problems(vec![server("a"), server("b"), kubelet(&["servers"])], &OLD).is_empty());
        let beside = |host: &str| {
            format!(
                "w/c/kubelet-1.36.0: brings kubelet 1.36.0 beside the API server 1.35.2 of `{host}`, which must not be older"
            )
        };
        assert_eq!(problems(vec![server("a"), server("b"), kubelet(&[])], &OLD), [beside("a"), beside("b")]);
        assert_eq!(problems(vec![server("a"), kubelet(&["servers"])], &OLD), [beside("b")]);
        // What runs already needs no step.
        let new = [("a", Some("1.36.0"), "1.35.2"), ("w", None, "1.35.2")];
        assert!(problems(vec![kubelet(&[])], &new).is_empty());
        let proxy = step("a", Part::KubeProxy, "1.36.0", &[]);
        assert_eq!(problems(vec![server("a"), server("b"), proxy], &OLD).len(), 1, "b may be older then");
    }

    #[test]
    fn on_the_way_back_kubelets_go_before_api_servers_and_minors_stay() {
        const NEW: [(&str, Option<&str>, &str); 2] = [("a", Some("1.36.3"), "1.36.3"), ("w", None, "1.36.3")];
        let back = |steps| on_the_way(steps, &NEW, true);
        let kubelet = |host: &str, to: &str| step(host, Part::Kubelet, to, &[]);
        let server = |to: &str, gates: &[&str]| step("a", Part::ApiServer, to, gates);
        let all =
            |gates: &[&str]| vec![kubelet("a", "1.36.2"), kubelet("w", "1.36.2"), server("1.36.2", gates)];
        assert!(back(all(&["kubelets"])).is_empty());
        assert_eq!(back(all(&[])).len(), 1, "`w` may be newer then");
        assert_eq!(
            back(vec![kubelet("a", "1.36.2"), server("1.36.2", &["kubelets"])]),
            [
                "a/c/API server-1.36.2: brings API server 1.36.2 beside the kubelet 1.36.3 of `w`, which must not be newer"
            ]
        );
        assert!(back(vec![kubelet("w", "1.35.9")]).is_empty());
        assert_eq!(
            back(vec![kubelet("w", "1.32.9")]),
            [
                "w/c/kubelet-1.32.9: brings kubelet 1.32.9 beside the API server 1.36.3 of `a`, for which it is too old"
            ]
        );
        let found =
            back(vec![kubelet("a", "1.35.2"), kubelet("w", "1.35.2"), server("1.35.2", &["kubelets"])]);
        assert_eq!(found, ["a/c/API server-1.35.2: brings API server 1.35.2 back behind the 1.36.3 of `a`"]);
    }

    #[test]
    fn api_servers_are_at_most_one_minor_apart_and_never_go_back() {
        for (to, expected) in [
            ("1.36.3", &[][..]),
            (
                "1.37.0",
                &[
                    "a/c/API server-1.37.0: brings API server 1.37.0 in place of its 1.35.2 of `a`",
                    "a/c/API server-1.37.0: brings API server 1.37.0 beside the 1.35.2 of `b`",
                ],
            ),
            ("1.35.1", &["a/c/API server-1.35.1: brings API server 1.35.1 in place of its 1.35.2 of `a`"]),
        ] {
            assert_eq!(problems(vec![step("a", Part::ApiServer, to, &[])], &OLD), expected);
        }
        let old = [("a", Some("1.35.2"), "1.35.2"), ("w", None, "1.32.9")];
        let found = problems(vec![step("a", Part::ApiServer, "1.36.0", &[])], &old);
        assert_eq!(
            found,
            [
                "a/c/API server-1.36.0: brings API server 1.36.0 beside the kubelet 1.32.9 of `w`, which is too old"
            ]
        );
        let back = [("a", Some("1.36.0"), "1.36.0")];
        assert_eq!(problems(vec![step("a", Part::Kubelet, "1.35.9", &[])], &back).len(), 1);
    }
}
