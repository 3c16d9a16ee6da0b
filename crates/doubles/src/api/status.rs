//! What API servers answer when they do not do what is asked.

use serde_json::{Value, json};

/// A refusal: its status, reason and message, with causes.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) code: u16,
    reason: &'static str,
    pub(crate) message: String,
    causes: Value,
}

impl Refusal {
    pub(crate) fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), causes: json!([]) }
    }

    pub(crate) fn causes(self, causes: Value) -> Self {
        Self { causes, ..self }
    }

    pub(crate) fn bad(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    pub(crate) fn missing(qualified: &str, name: &str) -> Self {
        Self::new(404, "NotFound", format!("{qualified} \"{name}\" not found"))
    }

    pub(crate) fn no_path() -> Self {
        Self::new(404, "NotFound", "the server could not find the requested resource")
    }

    pub(crate) fn conflict(qualified: &str, name: &str, why: &str) -> Self {
        Self::new(409, "Conflict", format!("Operation cannot be fulfilled on {qualified} \"{name}\": {why}"))
    }

    pub(crate) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(403, "Forbidden", message)
    }

    /// Fields whose values cannot be.
    pub(crate) fn invalid(qualified: &str, name: &str, problems: &[(String, String)]) -> Self {
        let causes: Vec<Value> = problems
            .iter()
            .map(
                |(field, message)| json!({"reason": "FieldValueInvalid", "field": field, "message": message}),
            )
            .collect();
        let told: Vec<String> =
            problems.iter().map(|(field, message)| format!("{field}: {message}")).collect();
        let message = format!("{qualified} \"{name}\" is invalid: {}", told.join(", "));
        Self::new(422, "Invalid", message).causes(causes.into())
    }

    /// The store does not answer.
    pub(crate) fn store(error: String) -> Self {
        Self::new(500, "InternalError", error)
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": self.code,
            "reason": self.reason, "message": self.message, "details": {"causes": self.causes}})
    }
}
