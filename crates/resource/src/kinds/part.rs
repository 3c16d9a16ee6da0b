//! Parts of files that belong to others: blocks between markers, single lines.

use serde::{Deserialize, Serialize};

use crate::{Comparison, Mode, Owner};

/// Lines between two marker lines. The rest of the file is left alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// Absolute path.
    pub path: String,
    /// The whole first marker line.
    pub begin: String,
    /// The whole last marker line.
    pub end: String,
    /// The lines between; nothing removes the block with its markers.
    pub text: Option<String>,
    /// Whether a block that exists keeps its lines.
    #[serde(default)]
    pub keep: bool,
    /// Whether it stands at the head of the file; else a new one goes to its end.
    #[serde(default)]
    pub on_top: bool,
    /// Lines outside of it that begin with one of these words go, while the block is wished.
    #[serde(default)]
    pub replaces: Vec<String>,
    /// Mode of the file where it has to be made.
    pub mode: Mode,
    /// Owner of the file where it has to be made.
    pub owner: Owner,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Absolute path. A missing file is made, with mode 0644 and owner root, where a line is wished.
    pub path: String,
    /// Lines that begin like this, after blanks, are this line; the last one is replaced, others go.
    pub starts_with: String,
    /// The line; nothing removes it.
    pub line: Option<String>,
}

/// What a file has of a block or line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartState {
    /// The whole text of the file; nothing when there is none.
    pub text: Option<String>,
}

impl Block {
    /// The file with the block as wished.
    pub fn edit(&self, text: &str) -> String {
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        let is = |line: &str, marker: &str| line.trim_end_matches(['\n', '\r']) == marker;
        let begin = lines.iter().position(|line| is(line, &self.begin));
        let end = begin.and_then(|begin| {
            lines.iter().skip(begin).position(|line| is(line, &self.end)).map(|at| begin + at)
        });
        let block = self.text.as_ref().map(|text| {
            let inner = text.trim_end_matches('\n');
            let newline = if inner.is_empty() { "" } else { "\n" };
            format!("{}\n{inner}{newline}{}\n", self.begin, self.end)
        });
        let (before, after) = match (begin, end) {
            (Some(begin), Some(end)) => (
                lines.get(..begin).unwrap_or_default().concat(),
                lines.get(end + 1..).unwrap_or_default().concat(),
            ),
            // A marker without its partner: what follows it cannot be told from others' lines, so it stays.
            _ => (text.to_owned(), String::new()),
        };
        let Some(block) = block else { return before + &after };
        let (before, after) = (self.without_replaced(&before), self.without_replaced(&after));
        if self.on_top {
            return format!("{block}{before}{after}");
        }
        let newline = if before.is_empty() || before.ends_with('\n') { "" } else { "\n" };
        format!("{before}{newline}{block}{after}")
    }

    fn without_replaced(&self, text: &str) -> String {
        let goes = |line: &&str| {
            line.split_whitespace().next().is_some_and(|word| self.replaces.iter().any(|goes| goes == word))
        };
        text.split_inclusive('\n').filter(|line| !goes(line)).collect()
    }

    /// How the block differs.
    pub fn compare(&self, state: &PartState) -> Comparison {
        let is = state.text.as_deref().unwrap_or("");
        if self.keep && is.lines().any(|line| line == self.begin) {
            return Comparison::default();
        }
        let should = if state.text.is_none() && self.text.is_none() { String::new() } else { self.edit(is) };
        compare_texts("block", is, &should)
    }
}

impl Line {
    /// The file with the line as wished.
    pub fn edit(&self, text: &str) -> String {
        let matches = |line: &str| line.trim_start().starts_with(&self.starts_with);
        let lines: Vec<&str> = text.lines().collect();
        let last = lines.iter().rposition(|line| matches(line));
        let mut out = String::new();
        for (index, line) in lines.iter().enumerate() {
            let kept = match (&self.line, matches(line)) {
                (_, false) => Some(*line),
                (Some(wanted), true) if Some(index) == last => Some(wanted.as_str()),
                _ => None,
            };
            if let Some(line) = kept {
                out.push_str(line);
                out.push('\n');
            }
        }
        if let (Some(wanted), None) = (&self.line, last) {
            out.push_str(wanted);
            out.push('\n');
        }
        out
    }

    /// How the line differs.
    pub fn compare(&self, state: &PartState) -> Comparison {
        match (&state.text, &self.line) {
            (None, None) => Comparison::default(),
            (text, _) => {
                let is = text.as_deref().unwrap_or("");
                let should = self.edit(is);
                // A missing newline at the end of a foreign file is not ours to mend.
                if should.strip_suffix('\n') == Some(is) {
                    Comparison::default()
                } else {
                    compare_texts("line", is, &should)
                }
            }
        }
    }
}

/// Only the lines that differ are shown.
fn compare_texts(what: &str, is: &str, should: &str) -> Comparison {
    let mut out = Comparison::default();
    if is != should {
        let only = |text: &str, other: &str| {
            let lines: Vec<&str> = text.lines().filter(|line| !other.lines().any(|o| o == *line)).collect();
            (!lines.is_empty()).then(|| lines.join("\n"))
        };
        out.add(what, only(is, should), only(should, is));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(text: Option<&str>) -> Block {
        Block {
            path: "/etc/hosts".into(),
            begin: "# begin".into(),
            end: "# end".into(),
            text: text.map(str::to_owned),
            keep: false,
            on_top: false,
            replaces: Vec::new(),
            mode: Mode::PUBLIC,
            owner: Owner::root(),
        }
    }

    #[test]
    fn a_block_on_top_replaces_what_would_overrule_it() {
        let block = Block { on_top: true, replaces: vec!["search".into()], ..block(Some("search ours")) };
        let before = "# by hand\nsearch theirs\nsearching on\n";
        let after = "# begin\nsearch ours\n# end\n# by hand\nsearching on\n";
        assert_eq!(block.edit(before), after);
        assert_eq!(block.edit(after), after);
        let early = Block { keep: true, text: Some("search early".into()), ..block };
        let state = |text: &str| PartState { text: Some(text.to_owned()) };
        assert!(early.compare(&state(after)).is_same(), "what is there is kept");
        assert!(!early.compare(&state(before)).is_same());
    }

    #[test]
    fn blocks_are_added_replaced_and_removed() {
        for (before, text, after) in [
            ("", Some("a"), "# begin\na\n# end\n"),
            ("x", Some("a\nb\n"), "x\n# begin\na\nb\n# end\n"),
            ("x\n# begin\nold\n# end\ny\n", Some("a"), "x\n# begin\na\n# end\ny\n"),
            ("x\n# begin\nold\n# end\ny\n", None, "x\ny\n"),
            ("x\n", None, "x\n"),
            ("# begin\ncut", Some("a"), "# begin\ncut\n# begin\na\n# end\n"),
        ] {
            let block = block(text);
            assert_eq!(block.edit(before), after, "{before:?}");
            assert_eq!(block.compare(&PartState { text: Some(before.into()) }).is_same(), before == after);
            if before != "# begin\ncut" {
                assert_eq!(block.edit(after), after, "{before:?}");
            }
        }
        assert!(block(None).compare(&PartState { text: None }).is_same());
        assert!(!block(Some("a")).compare(&PartState { text: None }).is_same());
    }

    #[test]
    fn lines_are_added_replaced_and_removed() {
        let line = |line: Option<&str>| Line {
            path: "/etc/fstab".into(),
            starts_with: "a=".into(),
            line: line.map(str::to_owned),
        };
        for (before, wanted, after) in [
            ("", Some("a=1"), "a=1\n"),
            ("b=1\n", Some("a=1"), "b=1\na=1\n"),
            (" a=0\nb=1\na=2\nc", Some("a=1"), "b=1\na=1\nc\n"),
            ("a=1\nb=1\n", None, "b=1\n"),
        ] {
            assert_eq!(line(wanted).edit(before), after, "{before:?}");
            assert_eq!(line(wanted).edit(after), after, "{before:?}");
        }
        assert!(line(Some("a=1")).compare(&PartState { text: Some("b\na=1".into()) }).is_same());
        assert!(line(None).compare(&PartState { text: None }).is_same());
    }
}
