//! Values that are never shown.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

/// Secret values by name.
///
/// Resources and plans hold the names only. The values go from the controller to the helper that needs them,
/// inside the encrypted connection, and nowhere else; they are never printed.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secrets(BTreeMap<String, String>);

/// A secret that a step names and nobody gave.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("secret `{0}` is not known")]
pub struct MissingSecret(pub String);

impl Secrets {
    /// Adds a secret; a later one of the same name wins.
    pub fn insert(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.insert(name.into(), value.into());
    }

    /// Takes those of others too; theirs win.
    pub fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    /// The value of a secret.
    pub fn get(&self, name: &str) -> Result<&str, MissingSecret> {
        self.0.get(name).map(String::as_str).ok_or_else(|| MissingSecret(name.to_owned()))
    }

    /// Those of some names.
    pub fn only<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Result<Self, MissingSecret> {
        names
            .into_iter()
            .map(|name| Ok((name.to_owned(), self.get(name)?.to_owned())))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// A text with every secret in it blotted out, also where it stands in base64.
    pub fn blot(&self, text: &str) -> String {
        /// Shorter ones would blot out innocent parts of words.
        const SHORTEST: usize = 4;
        let plain = self.0.values().filter(|value| value.len() >= SHORTEST);
        let mut hidden: Vec<String> =
            plain.flat_map(|value| [value.clone(), STANDARD.encode(value)]).collect();
        // One may begin like another: the longer one goes whole.
        hidden.sort_by_key(|value| std::cmp::Reverse(value.len()));
        let mut out = text.to_owned();
        for value in hidden {
            if out.contains(&value) {
                out = out.replace(&value, "***");
            }
        }
        out
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_not_shown() {
        let mut secrets = Secrets::default();
        secrets.insert("registry", "hunter22");
        assert_eq!(format!("{secrets:?}"), "{\"registry\"}");
        assert_eq!(secrets.blot("password hunter22 refused"), "password *** refused");
        secrets.insert("longer", "hunter22-and-more");
        assert_eq!(secrets.blot("`hunter22-and-more` refused"), "`***` refused");
        assert_eq!(secrets.blot("Basic aHVudGVyMjI="), "Basic ***");
        assert_eq!(secrets.only(["nobody"]), Err(MissingSecret("nobody".into())));
    }
}
