//! Versions of components.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A version such as `1.34.2`, `v0.28.4` or `1.30.1-alpine`.
///
/// Ordered by its numbers; a version with a suffix behind `-` is older than the same one without, as
/// semantic versions order release candidates. Written as it was read.
#[derive(Clone, Debug)]
pub struct Version {
    text: String,
    numbers: Vec<u64>,
    suffix: String,
}

/// A text that is no version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotAVersion(pub String);

impl fmt::Display for NotAVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not a version such as `1.34.2`", self.0)
    }
}

impl std::error::Error for NotAVersion {}

impl Version {
    /// The text as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The first number.
    pub fn major(&self) -> u64 {
        self.numbers.first().copied().unwrap_or(0)
    }

    /// The second number; 0 where there is none.
    pub fn minor(&self) -> u64 {
        self.numbers.get(1).copied().unwrap_or(0)
    }

    /// The third number; 0 where there is none.
    pub fn patch(&self) -> u64 {
        self.numbers.get(2).copied().unwrap_or(0)
    }

    /// `major.minor`.
    pub fn minor_text(&self) -> String {
        format!("{}.{}", self.major(), self.minor())
    }

    fn key(&self) -> (&[u64], bool, &str) {
        // Trailing zeros mean nothing: `1.34` and `1.34.0` are one version.
        let significant = self.numbers.iter().rposition(|n| *n != 0).map_or(0, |last| last + 1);
        (&self.numbers[..significant], self.suffix.is_empty(), &self.suffix)
    }
}

impl FromStr for Version {
    type Err = NotAVersion;

    fn from_str(text: &str) -> Result<Self, NotAVersion> {
        let wrong = || NotAVersion(text.to_owned());
        let plain = text.strip_prefix('v').unwrap_or(text);
        let end = plain.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(plain.len());
        let (numbers, suffix) = plain.split_at(end);
        let numbers: Result<Vec<u64>, _> = numbers.trim_end_matches('.').split('.').map(str::parse).collect();
        Ok(Self { text: text.to_owned(), numbers: numbers.map_err(|_| wrong())?, suffix: suffix.to_owned() })
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Version {}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_order_by_number() {
        let ordered = ["1.2", "1.9.9", "1.34.0-rc.1", "1.34.0", "1.34.2", "v1.34.10", "1.35", "2"];
        for pair in ordered.windows(2) {
            let [a, b]: [Version; 2] = [pair[0].parse().unwrap(), pair[1].parse().unwrap()];
            assert!(a < b, "{a} < {b}");
        }
        assert_eq!("1.34".parse::<Version>(), "v1.34.0".parse());
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "v", "latest", "x1.2", "1..2", "99999999999999999999999"] {
            assert!(text.parse::<Version>().is_err(), "{text}");
        }
    }
}
