//! SHA-256 digests.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// A SHA-256 digest in lower-case hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Digest(String);

impl Digest {
    /// The digest of bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self::from_hash(&Sha256::digest(bytes))
    }

    /// A digest that was computed elsewhere, from its 32 bytes.
    pub fn from_hash(hash: &[u8]) -> Self {
        let digits = hash.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        Self(digits.map(|digit| char::from_digit(u32::from(digit), 16).unwrap_or('0')).collect())
    }

    /// Reads 64 hexadecimal digits, with or without `sha256:` before them.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.trim().strip_prefix("sha256:").unwrap_or(text.trim()).to_ascii_lowercase();
        (digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(Self(digits))
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_read_with_and_without_prefix() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Digest::of(b"").as_str(), empty);
        assert_eq!(Digest::parse(&format!("sha256:{empty}")), Some(Digest::of(b"")));
        assert_eq!(Digest::parse(&empty.to_uppercase()), Some(Digest::of(b"")));
        assert_eq!(Digest::parse("sha256:"), None);
        assert_eq!(Digest::parse(&"g".repeat(64)), None);
    }
}
