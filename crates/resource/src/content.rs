//! What files hold and who may read them.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::{Digest, MissingSecret, Secrets, StepId};

/// What a file holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// A text.
    Text(String),
    /// Bytes in base64.
    Base64(String),
    /// A text with `{secret:NAME}` where secrets go, `{secret:NAME|base64}` where they go in base64. Its
    /// differences are not shown.
    Secret(String),
    /// Only the digest of what should be there: enough to compare, too little to write.
    Digest(Digest),
    /// The same bytes as another file of the host, which must have this digest.
    CopyOf {
        /// The other file.
        path: String,
        /// Its digest.
        digest: Digest,
    },
    /// The text that another step gives, known when it is done.
    Output(StepId),
}

impl Content {
    /// The bytes, where they are known here.
    pub fn bytes(&self, secrets: &Secrets) -> Result<Option<Vec<u8>>, MissingSecret> {
        match self {
            Self::Text(text) => Ok(Some(text.clone().into_bytes())),
            Self::Base64(text) => Ok(Some(STANDARD.decode(text).unwrap_or_default())),
            Self::Secret(template) => fill(template, secrets).map(|text| Some(text.into_bytes())),
            Self::Digest(_) | Self::CopyOf { .. } | Self::Output(_) => Ok(None),
        }
    }

    /// The digest of the bytes; nothing for what another step has yet to give.
    pub fn digest(&self, secrets: &Secrets) -> Result<Option<Digest>, MissingSecret> {
        match self {
            Self::Output(_) => Ok(None),
            Self::Digest(digest) | Self::CopyOf { digest, .. } => Ok(Some(digest.clone())),
            other => Ok(Some(Digest::of(&other.bytes(secrets)?.unwrap_or_default()))),
        }
    }

    /// Whether differences must not be shown.
    pub fn is_secret(&self) -> bool {
        matches!(self, Self::Secret(_))
    }

    /// The names of the secrets in it.
    pub fn secret_names(&self) -> Vec<&str> {
        match self {
            Self::Secret(template) => {
                places(template).map(|(_, name, _)| name.strip_suffix(IN_BASE64).unwrap_or(name)).collect()
            }
            _ => Vec::new(),
        }
    }
}

/// The secrets that a text holds where a template has their names; nothing where the text is not of this template.
/// The opposite of putting them in, for texts that we wrote.
pub fn secrets_in(template: &str, text: &str) -> Option<Secrets> {
    let mut secrets = Secrets::default();
    let (mut rest, mut last) = (text, template);
    for (before, name, behind) in places(template) {
        rest = rest.strip_prefix(before)?;
        let stop = behind.split_once(OPEN).map_or(behind, |(stop, _)| stop);
        let end = if stop.is_empty() { rest.len() } else { rest.find(stop)? };
        let (value, tail) = rest.split_at(end);
        let (name, value) = match name.strip_suffix(IN_BASE64) {
            Some(name) => (name, String::from_utf8(STANDARD.decode(value).ok()?).ok()?),
            None => (name, value.to_owned()),
        };
        if secrets.get(name).is_ok_and(|other| other != value) {
            return None;
        }
        secrets.insert(name, value);
        (rest, last) = (tail, behind);
    }
    (rest == last).then_some(secrets)
}

const OPEN: &str = "{secret:";

/// Behind the name of a secret that goes in base64.
const IN_BASE64: &str = "|base64";

/// Text before, name and text behind of each place of a secret.
fn places(template: &str) -> impl Iterator<Item = (&str, &str, &str)> {
    let mut rest = template;
    std::iter::from_fn(move || {
        let (before, tail) = rest.split_once(OPEN)?;
        let (name, behind) = tail.split_once('}')?;
        rest = behind;
        Some((before, name, behind))
    })
}

/// Puts secrets into a text.
pub(crate) fn fill(template: &str, secrets: &Secrets) -> Result<String, MissingSecret> {
    let mut out = String::new();
    let mut rest = template;
    for (before, name, behind) in places(template) {
        out.push_str(before);
        match name.strip_suffix(IN_BASE64) {
            Some(name) => out.push_str(&STANDARD.encode(secrets.get(name)?)),
            None => out.push_str(secrets.get(name)?),
        }
        rest = behind;
    }
    out.push_str(rest);
    Ok(out)
}

/// Permission bits, written as `0644`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mode(pub u32);

impl Mode {
    /// A program or folder that all may read.
    pub const EXECUTABLE: Self = Self(0o755);
    /// A file that all may read.
    pub const PUBLIC: Self = Self(0o644);
    /// A file for its owner.
    pub const PRIVATE: Self = Self(0o600);
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

impl fmt::Debug for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Serialize for Mode {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Mode {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        u32::from_str_radix(&text, 8)
            .ok()
            .filter(|mode| *mode <= 0o7777)
            .map(Self)
            .ok_or_else(|| serde::de::Error::custom(format!("`{text}` is no mode such as `0644`")))
    }
}

/// Who owns a file. Numbers are allowed as texts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// Name or number of the user.
    pub user: String,
    /// Name or number of the group.
    pub group: String,
}

impl Owner {
    /// `root:root`.
    pub fn root() -> Self {
        Self { user: "root".into(), group: "root".into() }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.user, self.group)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_put_in_their_places() {
        let mut secrets = Secrets::default();
        secrets.insert("a", "1");
        secrets.insert("b", "2");
        let content = Content::Secret("x={secret:a} y={secret:b}; {other}".into());
        assert_eq!(content.secret_names(), ["a", "b"]);
        assert_eq!(content.bytes(&secrets).unwrap().unwrap(), b"x=1 y=2; {other}");
        assert!(Content::Secret("{secret:c}".into()).bytes(&secrets).is_err());
        let encoded = Content::Secret("k: {secret:a|base64}".into());
        assert_eq!(encoded.secret_names(), ["a"]);
        assert_eq!(encoded.bytes(&secrets).unwrap().unwrap(), b"k: MQ==");
    }

    #[test]
    fn modes_are_written_as_people_write_them() {
        assert_eq!(serde_json::to_string(&Mode(0o640)).unwrap(), "\"0640\"");
        assert_eq!(serde_json::from_str::<Mode>("\"0700\"").unwrap(), Mode(0o700));
        assert!(serde_json::from_str::<Mode>("\"99\"").is_err());
    }

    #[test]
    fn secrets_are_found_again_in_texts_of_their_template() {
        let template = "a: {secret:a}\nb: {secret:b|base64}\na again: {secret:a}\n";
        let found = |text: &str| {
            let secrets = secrets_in(template, text)?;
            Some((secrets.get("a").unwrap().to_owned(), secrets.get("b").unwrap().to_owned()))
        };
        assert_eq!(found("a: x y\nb: eQ==\na again: x y\n"), Some(("x y".into(), "y".into())));
        for other in [
            "",
            "a: x\nb: eQ==\na again: z\n",
            "a: x\nb: no base64!\na again: x\n",
            "b: x\n",
            "a: x\nb: eQ==\na again: x\nmore",
        ] {
            assert_eq!(found(other), None, "{other}");
        }
    }
}
