//! What goes wrong between us and an API server.

use kubespray_resource::{ErrorClass, Failure};
use serde_json::Value;

use crate::{HostError, HttpResponse};

/// Why an API server did not do what it was asked.
#[derive(Clone, Debug)]
pub(crate) enum ApiError {
    /// The kubeconfig is not there: there is no cluster yet, or none any more.
    NoCluster(String),
    /// The kubeconfig is not understood.
    Kubeconfig {
        /// Its path.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// The host could not ask.
    Host(HostError),
    /// The API server knows no such kind.
    NoKind {
        /// Group and version.
        api_version: String,
        /// The kind.
        kind: String,
    },
    /// What is wished cannot be asked for.
    Wish(String),
    /// The API server says no.
    Refused(Box<Status>),
    /// It answers in no way that we understand.
    Garbage(String),
}

/// A `Status` of an API server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Status {
    /// What was asked, such as `apply Deployment kube-system/coredns`.
    pub(crate) asked: String,
    /// The HTTP status.
    pub(crate) code: u16,
    /// One word, such as `Conflict`.
    pub(crate) reason: String,
    /// A sentence.
    pub(crate) message: String,
    /// Reason, field and message of each cause.
    pub(crate) causes: Vec<(String, String, String)>,
    /// After how many seconds it wants to be asked again.
    pub(crate) retry_after_s: Option<u64>,
    /// The day on which the client certificate expired.
    pub(crate) expired: Option<String>,
}

impl Status {
    /// Reads an answer that is not a success.
    pub(crate) fn read(asked: &str, response: &HttpResponse) -> Self {
        let body: Value = serde_json::from_slice(&response.body).unwrap_or_default();
        let text =
            |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let details = body.get("details").cloned().unwrap_or_default();
        let causes = details.get("causes").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let mut message = text(&body, "message");
        if message.is_empty() {
            message = String::from_utf8_lossy(&response.body).chars().take(200).collect();
        }
        Self {
            asked: asked.to_owned(),
            code: response.status,
            reason: text(&body, "reason"),
            message: message.trim().to_owned(),
            causes: causes
                .iter()
                .map(|cause| (text(cause, "reason"), text(cause, "field"), text(cause, "message")))
                .collect(),
            retry_after_s: response
                .retry_after_s
                .or_else(|| details.get("retryAfterSeconds").and_then(Value::as_u64).filter(|s| *s > 0)),
            expired: None,
        }
    }

    /// Fields that others own: `.spec.replicas` belongs to `someone`.
    pub(crate) fn conflicts(&self) -> Vec<String> {
        let of_managers = self.causes.iter().filter(|(reason, _, _)| reason == "FieldManagerConflict");
        of_managers
            .map(|(_, field, message)| {
                // `conflict with "someone" using apps/v1`, with more behind it for subresources.
                let manager = message.split('"').nth(1).unwrap_or(message);
                format!("`{field}` belongs to `{manager}`")
            })
            .collect()
    }

    /// Fields that cannot change while the object exists: `spec.selector: … field is immutable`.
    pub(crate) fn fixed(&self) -> Vec<String> {
        let is_fixed = |message: &str| {
            ["field is immutable", "cannot change roleRef", "may not change once set", "may not be changed"]
                .iter()
                .any(|words| message.contains(words))
        };
        let of_it = self.causes.iter().filter(|(_, _, message)| self.code == 422 && is_fixed(message));
        of_it.map(|(_, field, _)| field.clone()).collect()
    }

    /// What the server says of a budget that is in the way of an eviction.
    pub(crate) fn budgets(&self) -> Vec<String> {
        let of_budgets = self.causes.iter().filter(|(reason, _, _)| reason == "DisruptionBudget");
        of_budgets.map(|(_, _, message)| lower_first(message)).collect()
    }

    fn failure(&self) -> Failure {
        let Self { asked, code, message, .. } = self;
        let mut failure = match code {
            409 if !self.conflicts().is_empty() => Failure::new(
                ErrorClass::Wish,
                format!("{asked}: others own what is wished: {}", self.conflicts().join(", ")),
            )
            .hint("leave these fields to them, or take them over by force"),
            401 => match &self.expired {
                Some(day) => Failure::of_host(format!(
                    "{asked}: the client certificate of the kubeconfig expired on {day}"
                ))
                .hint("renew it: `kubeadm certs renew admin.conf` on a control plane"),
                None => Failure::of_host(format!("{asked}: the API server does not know who asks"))
                    .hint("another CA made the client certificate of the kubeconfig, or its token is old"),
            },
            403 if self.causes.iter().any(|(reason, _, _)| reason == "NamespaceTerminating") => {
                Failure::new(ErrorClass::Transient, format!("{asked}: {message}"))
                    .hint("the namespace is being deleted; finalizers of its objects may hold it")
            }
            403 => Failure::of_host(format!("{asked}: {message}"))
                .hint("the user of the kubeconfig may not do this: it needs `cluster-admin`"),
            404 => Failure::new(ErrorClass::Transient, format!("{asked}: {message}"))
                .hint("what it needs, such as its namespace, is not there yet"),
            400 | 405 | 406 | 413 | 415 | 422 => {
                Failure::new(ErrorClass::Wish, format!("{asked}: {message}"))
            }
            409 | 410 | 429 | 408 | 500..=599 => {
                Failure::new(ErrorClass::Transient, format!("{asked}: {message}"))
            }
            _ => Failure::of_host(format!("{asked}: status {code}: {message}")),
        };
        if *code != 409 {
            failure.evidence = self
                .causes
                .iter()
                .map(
                    |(_, field, message)| {
                        if field.is_empty() { message.clone() } else { format!("{field}: {message}") }
                    },
                )
                .collect();
        }
        match self.retry_after_s {
            Some(seconds) if failure.class == ErrorClass::Transient => {
                failure.hint(format!("the API server wants to be asked again in {seconds} s"))
            }
            _ => failure,
        }
    }
}

impl ApiError {
    /// Whether nobody can say what the cluster has: it is not there, or does not answer. Why, in words.
    pub(crate) fn unknown(&self) -> Option<String> {
        match self {
            Self::NoCluster(path) => Some(format!("there is no cluster yet: no `{path}`")),
            Self::Host(HostError::Unreachable { why, .. }) => {
                Some(format!("the API server does not answer: {why}"))
            }
            Self::Host(HostError::Timeout { seconds, .. }) => {
                Some(format!("the API server does not answer within {seconds} s"))
            }
            _ => None,
        }
    }

    /// Whether the same request may do later: servers restart, are busy, or wait for budgets.
    pub(crate) fn may_pass(&self) -> bool {
        self.code().is_some_and(|code| code == 429 || code >= 500)
            || matches!(self, Self::Host(HostError::Unreachable { .. } | HostError::Timeout { .. }))
    }

    /// After how many seconds the server wants to be asked again.
    pub(crate) fn retry_after_s(&self) -> Option<u64> {
        match self {
            Self::Refused(status) => status.retry_after_s,
            _ => None,
        }
    }

    /// The HTTP status of a refusal.
    pub(crate) fn code(&self) -> Option<u16> {
        match self {
            Self::Refused(status) => Some(status.code),
            _ => None,
        }
    }
}

impl From<HostError> for ApiError {
    fn from(error: HostError) -> Self {
        Self::Host(error)
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        match error {
            ApiError::NoCluster(path) => {
                Self::new(ErrorClass::Transient, format!("there is no cluster yet: no `{path}`"))
                    .hint("kubeadm writes it on control planes")
            }
            ApiError::Kubeconfig { path, why } => Self::of_host(format!("`{path}`: {why}")),
            ApiError::Host(error @ HostError::Refused { .. }) => {
                let is_tls = error.to_string().to_lowercase().contains("certificate");
                let failure = Self::from(error);
                if is_tls {
                    failure.hint("the certificate authority of the kubeconfig did not make the server's certificate, or one of both has expired")
                } else {
                    failure
                }
            }
            ApiError::Host(error) => error.into(),
            ApiError::NoKind { api_version, kind } => Self::new(
                ErrorClass::Transient,
                format!("the API server knows no `{kind}` of `{api_version}`"),
            )
            .hint("the definition (CRD) that brings the kind is missing or not served yet"),
            ApiError::Wish(message) => crate::failure::impossible(message),
            ApiError::Refused(status) => status.failure(),
            ApiError::Garbage(message) => Self::new(ErrorClass::Transient, message),
        }
    }
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn failure(code: u16, body: &Value) -> Failure {
        let response =
            HttpResponse { status: code, retry_after_s: None, body: body.to_string().into_bytes() };
        ApiError::Refused(Box::new(Status::read("apply ConfigMap n/c", &response))).into()
    }

    #[test]
    fn every_refusal_is_one_clear_failure() {
        use ErrorClass::{Host, Transient, Wish};
        for (code, body, class, message) in [
            (401, json!({"message": "Unauthorized"}), Host, "does not know who asks"),
            (403, json!({"message": "forbidden: User \"x\""}), Host, "forbidden: User"),
            (
                403,
                json!({"message": "m", "details": {"causes": [{"reason": "NamespaceTerminating"}]}}),
                Transient,
                "m",
            ),
            (404, json!({"message": "namespaces \"n\" not found"}), Transient, "namespaces \"n\" not found"),
            (422, json!({"message": "invalid"}), Wish, "apply ConfigMap n/c: invalid"),
            (409, json!({"reason": "Conflict", "message": "modified"}), Transient, "modified"),
            (429, json!({"message": "slow", "details": {"retryAfterSeconds": 7}}), Transient, "slow"),
            (503, json!(null), Transient, "null"),
            (302, json!({"message": "there"}), Host, "status 302: there"),
        ] {
            let failure = failure(code, &body);
            assert_eq!(failure.class, class, "{failure:?}");
            assert!(failure.message.contains(message), "{failure:?}");
            assert_eq!(failure.hints.iter().any(|hint| hint.contains("in 7 s")), code == 429);
        }
        let conflict = json!({"reason": "Conflict", "details": {"causes": [{
            "reason": "FieldManagerConflict", "field": ".data.a",
            "message": "conflict with \"kubectl-edit\" using v1",
        }]}});
        let failure = failure(409, &conflict);
        assert_eq!(failure.class, Wish);
        assert!(failure.message.ends_with("`.data.a` belongs to `kubectl-edit`"), "{failure:?}");
    }
}
