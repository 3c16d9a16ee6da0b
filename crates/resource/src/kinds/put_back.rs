//! What was there before us, where no other kind says it.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::shown;
use crate::{Comparison, Digest, Mode, Owner};

/// Something of a host as it was before it was changed for a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PutBack {
    /// A text that was changed in part. What others changed in it since stays.
    Text {
        /// Absolute path.
        path: String,
        /// The text before; nothing where there was no file.
        before: Option<String>,
        /// The text as it was left; nothing where that is not known, so that the file is taken as it was left.
        left: Option<String>,
        /// Mode of a file that has to be made again.
        mode: Mode,
        /// Owner of a file that has to be made again.
        owner: Owner,
    },
    /// The value of a kernel parameter. A kernel that lacks it is as good.
    Sysctl {
        /// The key.
        key: String,
        /// The value.
        value: String,
    },
    /// Swap that was in use. What is not there any more is left out.
    Swap {
        /// Devices and files.
        active: Vec<String>,
        /// Units that were masked.
        units: Vec<String>,
    },
    /// No file where there was none. What others made of it since stays.
    Nothing {
        /// Absolute path.
        path: String,
        /// The digest of the file as it was left.
        left: Digest,
    },
}

/// What is there: the text, the value, the swap in use and the units that nothing masks, the digest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutBackState {
    /// Each thing.
    pub is: Vec<String>,
}

impl PutBack {
    /// How the host differs from what it was.
    pub fn compare(&self, state: &PutBackState) -> Comparison {
        let mut out = Comparison::default();
        let is = state.is.first();
        match self {
            Self::Text { .. } => {
                let should = self.text(is.map(String::as_str));
                if is != should.as_ref() {
                    let lines = |text: Option<&String>, other: Option<&String>| {
                        let other: Vec<&str> = other.map(|text| text.lines().collect()).unwrap_or_default();
                        let text = text?;
                        let only = text.lines().filter(|line| !other.contains(line));
                        Some(only.collect::<Vec<_>>().join("\n"))
                    };
                    out.add("text", lines(is, should.as_ref()), lines(should.as_ref(), is));
                }
            }
            Self::Sysctl { value, .. } => {
                let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
                if is.is_some_and(|is| words(is) != words(value)) {
                    out.add("live", shown(is), Some(value.clone()));
                }
            }
            Self::Swap { active, units } => {
                for item in active.iter().chain(units).filter(|item| !state.is.contains(item)) {
                    out.add("swap", None, Some(item.clone()));
                }
            }
            Self::Nothing { left, .. } => {
                if is.is_some_and(|is| is == left.as_str()) {
                    out.add("path", Some("file".into()), None);
                }
            }
        }
        out
    }

    /// The text that should be there, given the one that is; nothing is no file.
    pub fn text(&self, is: Option<&str>) -> Option<String> {
        let Self::Text { before, left, .. } = self else { return None };
        // Who removed the file did not want it.
        let is = is?;
        let left = left.as_deref().unwrap_or(is);
        if is == left || before.as_deref() == Some(is) {
            return before.clone();
        }
        let merged = without_ours(before.as_deref().unwrap_or_default(), left, is);
        if before.is_none() && merged.trim().is_empty() { None } else { Some(merged) }
    }
}

/// A text that others changed, without the lines that were added between `before` and `left`, and with those that were
/// taken away: each behind the line that it followed before.
fn without_ours(before: &str, left: &str, is: &str) -> String {
    let mut added = counts(left);
    for line in before.lines() {
        if let Some(count) = added.get_mut(line) {
            *count = count.saturating_sub(1);
        }
    }
    let mut out: Vec<&str> = Vec::new();
    for line in is.lines() {
        match added.get_mut(line) {
            Some(count) if *count > 0 => *count -= 1,
            _ => out.push(line),
        }
    }
    let mut kept = counts(left);
    let mut above: Option<&str> = None;
    for line in before.lines() {
        match kept.get_mut(line) {
            Some(count) if *count > 0 => *count -= 1,
            _ => {
                let place = above.and_then(|above| out.iter().rposition(|line| *line == above));
                out.insert(place.map_or(0, |at| at + 1), line);
            }
        }
        above = Some(line);
    }
    out.iter().flat_map(|line| [*line, "\n"]).collect()
}

fn counts(text: &str) -> BTreeMap<&str, usize> {
    let mut out = BTreeMap::new();
    for line in text.lines() {
        *out.entry(line).or_default() += 1;
    }
    out
}

impl fmt::Display for PutBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text { path, .. } => write!(f, "{path} as before"),
            Self::Sysctl { key, .. } => write!(f, "sysctl {key} as before"),
            Self::Swap { .. } => f.write_str("swap as before"),
            Self::Nothing { path, .. } => write!(f, "nothing at {path} as before"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(before: Option<&str>, left: Option<&str>) -> PutBack {
        PutBack::Text {
            path: "/etc/fstab".into(),
            before: before.map(str::to_owned),
            left: left.map(str::to_owned),
            mode: Mode::PUBLIC,
            owner: Owner::root(),
        }
    }

    #[test]
    fn what_nobody_else_touched_is_as_before_byte_for_byte() {
        for before in [None, Some(""), Some("a\nb"), Some("a\n\nb\n")] {
            let put_back = text(before, Some("a\nours\n"));
            assert_eq!(put_back.text(Some("a\nours\n")).as_deref(), before);
            let unknown = text(before, None);
            assert_eq!(unknown.text(Some("anything\n")).as_deref(), before, "cut off before it was told");
            if before.is_some() {
                assert_eq!(put_back.text(before).as_deref(), before, "a second time changes nothing");
            }
        }
    }

    #[test]
    fn what_others_changed_since_stays() {
        let put_back = text(
            Some("root / ext4\nswap none swap\nhome /home ext4\n"),
            Some("root / ext4\nhome /home ext4\nours\n"),
        );
        for (is, should) in [
            (
                "root / ext4\nhome /home ext4\nours\ndata /data xfs\n",
                "root / ext4\nswap none swap\nhome /home ext4\ndata /data xfs\n",
            ),
            ("home /home ext4\nours\n", "swap none swap\nhome /home ext4\n"),
        ] {
            assert_eq!(put_back.text(Some(is)).as_deref(), Some(should));
        }
        let made = text(None, Some("# begin\nours\n# end\n"));
        assert_eq!(made.text(Some("theirs\n# begin\nours\n# end\n")).as_deref(), Some("theirs\n"));
        assert_eq!(made.text(Some("\n# begin\nours\n# end\n")), None, "an empty file was none");
        assert_eq!(made.text(None), None);
    }

    #[test]
    fn values_and_swap_are_compared_by_what_is_there() {
        let is = |is: &[&str]| PutBackState { is: is.iter().map(ToString::to_string).collect() };
        let sysctl = PutBack::Sysctl { key: "net.ipv4.ip_forward".into(), value: "0".into() };
        assert!(sysctl.compare(&is(&["0"])).is_same());
        assert!(sysctl.compare(&is(&[])).is_same(), "a kernel without it");
        assert!(!sysctl.compare(&is(&["1"])).is_same());
        let (left, theirs) = (Digest::of(b"ours"), Digest::of(b"theirs"));
        let nothing = PutBack::Nothing { path: "/etc/x".into(), left: left.clone() };
        assert!(nothing.compare(&is(&[])).is_same());
        assert!(nothing.compare(&is(&[theirs.as_str()])).is_same(), "it is not ours any more");
        assert!(!nothing.compare(&is(&[left.as_str()])).is_same());
        let swap = PutBack::Swap { active: vec!["/dev/sda2".into()], units: vec!["dev-x.swap".into()] };
        assert!(swap.compare(&is(&["/dev/sda2", "dev-x.swap"])).is_same());
        assert_eq!(swap.compare(&is(&["/dev/sda2"])).changes.len(), 1);
    }
}
