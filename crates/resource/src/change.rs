//! How a host differs from what it should be.

use serde::{Deserialize, Serialize};

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// What differs, such as `mode` or `content`.
    pub what: String,
    /// What is there; nothing where it is missing or must not be shown.
    pub from: Option<String>,
    /// What should be there; nothing where it must go or must not be shown.
    pub to: Option<String>,
}

/// All differences of one resource; none when it is as it should be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Comparison {
    /// The differences, in the order in which a kind names its fields.
    pub changes: Vec<Change>,
}

impl Comparison {
    /// Whether nothing differs.
    pub fn is_same(&self) -> bool {
        self.changes.is_empty()
    }

    /// Whether only those differences are in it that need no new content: who may do what, with the thing or
    /// with the key that belongs to it.
    pub fn is_of_attributes(&self) -> bool {
        const ATTRIBUTES: [&str; 4] = ["mode", "owner", "key mode", "key owner"];
        self.changes.iter().all(|change| ATTRIBUTES.contains(&change.what.as_str()))
    }

    /// Adds a difference.
    pub fn add(&mut self, what: &str, from: Option<String>, to: Option<String>) {
        self.changes.push(Change { what: what.to_owned(), from, to });
    }

    /// Adds a difference where two values are not equal.
    pub fn field<T: PartialEq + ToString>(&mut self, what: &str, is: &T, should: &T) {
        if is != should {
            self.add(what, Some(is.to_string()), Some(should.to_string()));
        }
    }
}
