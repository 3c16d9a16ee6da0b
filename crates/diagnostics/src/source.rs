//! Texts that were read, and places in them.

use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};

/// A text that a value or a mistake came from: a file, the output of a script, the command line.
#[derive(PartialEq, Eq)]
pub struct Source {
    name: String,
    text: Option<String>,
}

impl Source {
    /// A source whose text may be shown in diagnostics.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Arc<Self> {
        Arc::new(Self { name: name.into(), text: Some(text.into()) })
    }

    /// A source whose text is unknown, or secret (a decrypted vault file): only its name is shown.
    pub fn without_text(name: impl Into<String>) -> Arc<Self> {
        Arc::new(Self { name: name.into(), text: None })
    }

    /// The path as the user would type it, or a name such as `extra vars`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text, where it may be shown.
    pub fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }
}

impl fmt::Debug for Source {
    // The text may be megabytes and may hold what a user would not want in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({})", self.name)
    }
}

/// A place in a source. Lines and columns count from 1, columns in characters; line 0 means the
/// source as a whole. `end` is exclusive.
#[derive(Clone, PartialEq, Eq)]
pub struct Span {
    source: Arc<Source>,
    line: u32,
    column: u32,
    end_line: u32,
    end_column: u32,
}

impl Span {
    /// The source as a whole.
    pub fn whole(source: Arc<Source>) -> Self {
        Self { source, line: 0, column: 0, end_line: 0, end_column: 0 }
    }

    /// A single place, one character wide.
    pub fn at(source: Arc<Source>, line: usize, column: usize) -> Self {
        Self::between(source, (line, column), (line, column + 1))
    }

    /// From `start` to `end` (exclusive), each `(line, column)`.
    pub fn between(source: Arc<Source>, start: (usize, usize), end: (usize, usize)) -> Self {
        let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Self {
            source,
            line: small(start.0),
            column: small(start.1),
            end_line: small(end.0),
            end_column: small(end.1),
        }
    }

    /// The source that this place lies in.
    pub fn source(&self) -> &Arc<Source> {
        &self.source
    }

    /// Line, from 1; 0 where only the source is known.
    pub fn line(&self) -> usize {
        self.line as usize
    }

    /// Column in characters, from 1; 0 where only the source is known.
    pub fn column(&self) -> usize {
        self.column as usize
    }

    /// `(line, column)` just behind the last character.
    pub fn end(&self) -> (usize, usize) {
        (self.end_line as usize, self.end_column as usize)
    }
}

impl fmt::Display for Span {
    /// `file:line:column`, or the name alone where no line is known.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            f.write_str(self.source.name())
        } else {
            write!(f, "{}:{}:{}", self.source.name(), self.line, self.column)
        }
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("file", self.source.name())?;
        if self.line > 0 {
            map.serialize_entry("line", &self.line)?;
            map.serialize_entry("column", &self.column)?;
        }
        map.end()
    }
}
