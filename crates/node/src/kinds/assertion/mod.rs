//! Whether a cluster works: each assertion is one look that changes nothing.

pub(crate) mod api;
mod etcd;
pub(crate) mod local;
pub(crate) mod names;
mod network;
mod pods;

use kubespray_resource::{Assertion, Failure};

use crate::kubernetes::{ApiError, Clients};
use crate::{Host, HostError};

/// How many lines of evidence one finding carries.
pub(crate) const MOST_LINES: usize = 20;

/// Why something is not true.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Finding {
    /// In one line.
    pub(crate) problem: String,
    /// What was seen of it.
    pub(crate) evidence: Vec<String>,
    /// What helps, most likely.
    pub(crate) hints: Vec<String>,
}

impl Finding {
    /// With nothing but the problem.
    pub(crate) fn new(problem: impl Into<String>) -> Self {
        Self { problem: problem.into(), ..Self::default() }
    }

    /// What also was seen of it.
    fn because(mut self, lines: impl IntoIterator<Item = String>) -> Self {
        let free = MOST_LINES.saturating_sub(self.evidence.len());
        self.evidence.extend(lines.into_iter().take(free));
        self
    }

    /// What helps.
    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Several of a kind: the first one tells what is wrong, all are evidence. None is no finding.
    fn of(problems: Vec<String>, many: impl Fn(usize) -> String) -> Option<Self> {
        let first = problems.first()?.clone();
        let problem = if problems.len() == 1 { first } else { format!("{}; {first}", many(problems.len())) };
        let lines = if problems.len() == 1 { Vec::new() } else { problems };
        Some(Self::new(problem).because(lines))
    }
}

/// What is wrong; nothing where the assertion is true. An error is the end of the helper, or a wish that cannot be.
pub(crate) fn look<'h>(
    host: &'h dyn Host,
    clients: &Clients<'h>,
    assertion: &Assertion,
) -> Result<Option<Finding>, Failure> {
    let client = |kubeconfig: &str| clients.get(host, kubeconfig);
    match assertion {
        Assertion::ApiServer { kubeconfig, server, version } => {
            told(client(kubeconfig).and_then(|client| api::server(&client, server.as_deref(), version)))
        }
        Assertion::Nodes { kubeconfig, nodes } => {
            told(client(kubeconfig).and_then(|client| api::nodes(&client, nodes)))
        }
        Assertion::Workload { kubeconfig, object, missing, images } => {
            told(client(kubeconfig).and_then(|client| api::workload(&client, object, *missing, images)))
        }
        Assertion::Requests { kubeconfig } => {
            told(client(kubeconfig).and_then(|client| api::requests(&client)))
        }
        Assertion::NoVolumes { kubeconfig, node } => {
            told(client(kubeconfig).and_then(|client| api::no_volumes(&client, node)))
        }
        Assertion::Lost { kubeconfig, node } => {
            told(client(kubeconfig).and_then(|client| api::lost(&client, node)))
        }
        Assertion::Metrics { kubeconfig, nodes } => {
            told(client(kubeconfig).and_then(|client| api::metrics(&client, nodes)))
        }
        Assertion::Pods { kubeconfig, of, expected } => {
            told(client(kubeconfig).and_then(|client| pods::run(&client, of, expected)))
        }
        Assertion::Logs { kubeconfig, nodes } => {
            told(client(kubeconfig).and_then(|client| pods::logs(&client, nodes)))
        }
        Assertion::Etcd { client, members, version, quota } => {
            etcd::look(host, client, members, version, *quota)
        }
        Assertion::Encrypted { client, prefix } => etcd::encrypted(host, client, prefix),
        Assertion::Answers(url) => local::answers(host, url),
        Assertion::Certificates { files, days } => local::certificates(host, files, *days),
        Assertion::Programs(programs) => local::programs(host, programs),
        Assertion::Names { server, names } => names::served(host, *server, names),
        Assertion::Resolves(names) => names::resolved(host, names),
        Assertion::Network { pod, trials } => network::look(host, pod.as_deref(), trials),
    }
}

/// What the API server does not answer is what is wrong; only the end of the helper stays an error.
pub(crate) fn told(result: Result<Option<Finding>, ApiError>) -> Result<Option<Finding>, Failure> {
    match result {
        Ok(found) => Ok(found),
        Err(ApiError::Host(error @ (HostError::Gone | HostError::Cancelled))) => Err(error.into()),
        Err(error) => {
            let problem = error.unknown();
            let Failure { message, evidence, hints, .. } = Failure::from(error);
            Ok(Some(Finding { problem: problem.unwrap_or(message), evidence, hints }))
        }
    }
}

/// What a host does not do, in words; only the end of the helper stays an error.
pub(crate) fn words<T>(result: Result<T, HostError>) -> Result<Result<T, String>, Failure> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(error @ (HostError::Gone | HostError::Cancelled)) => Err(error.into()),
        Err(error) => Ok(Err(error.to_string())),
    }
}
