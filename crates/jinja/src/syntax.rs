//! How templates are written, and why one cannot be read.

use std::fmt;

/// Options of the language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Syntax {
    /// Whether the line break behind a block or comment is dropped.
    pub trim_blocks: bool,
    /// Whether blanks in front of a block or comment that starts a line are dropped.
    pub lstrip_blocks: bool,
}

impl Syntax {
    /// What Ansible uses for values of variables.
    pub const ANSIBLE: Self = Self { trim_blocks: true, lstrip_blocks: false };

    /// The options of a line `#jinja2: name: value, …` laid over these.
    pub(crate) fn with_header(mut self, header: &str) -> Result<Self, SyntaxError> {
        let refused = |message: String| SyntaxError { message, line: 1, column: 1 };
        for pair in header.split(',') {
            let Some((name, value)) = pair.split_once(':') else {
                return Err(refused(format!("`{}` in the line `#jinja2:` has no colon", pair.trim())));
            };
            let on = matches!(value.trim(), "True" | "1");
            match name.trim() {
                "trim_blocks" => self.trim_blocks = on,
                "lstrip_blocks" => self.lstrip_blocks = on,
                // Ansible puts line breaks at the end back anyway.
                "keep_trailing_newline" => {}
                name if name.ends_with("_string")
                    || name.ends_with("_prefix")
                    || name == "newline_sequence" =>
                {
                    return Err(refused(format!("option `{name}` of a line `#jinja2:` is not supported")));
                }
                // Ansible warns of options that Jinja does not have and goes on.
                _ => {}
            }
        }
        Ok(self)
    }
}

/// A template that cannot be read. Lines and columns count from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// What is wrong.
    pub message: String,
    /// Line in the template.
    pub line: usize,
    /// Column in characters.
    pub column: usize,
}

impl SyntaxError {
    pub(crate) fn at(text: &str, offset: usize, message: impl Into<String>) -> Self {
        let before = text.get(..offset.min(text.len())).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        Self { message: message.into(), line, column }
    }
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for SyntaxError {}

/// Whether a text holds anything that a template could be made of.
pub fn may_be_template(text: &str) -> bool {
    text.as_bytes().windows(2).any(|pair| matches!(pair, b"{{" | b"{%" | b"{#"))
}
