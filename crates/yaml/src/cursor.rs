//! A place in the text that moves forward, and what stands there.

use std::borrow::Cow;

/// A place: line and column count from 0, columns in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) line: u32,
    pub(crate) column: u32,
}

/// Why a text is no YAML.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) id: &'static str,
    pub(crate) message: Cow<'static, str>,
    pub(crate) at: Mark,
    /// Where the construct starts that is broken, and what it is.
    pub(crate) context: Option<(Mark, &'static str)>,
    /// What to do about it.
    pub(crate) hint: Option<&'static str>,
}

impl Problem {
    pub(crate) fn new(message: impl Into<Cow<'static, str>>, at: Mark) -> Self {
        Self { id: "yaml-syntax", message: message.into(), at, context: None, hint: None }
    }

    pub(crate) fn hint(mut self, hint: &'static str) -> Self {
        self.hint = Some(hint);
        self
    }

    pub(crate) fn within(mut self, start: Mark, what: &'static str) -> Self {
        self.context = Some((start, what));
        self
    }
}

const BYTE_ORDER_MARK: char = '\u{feff}';

/// A place that moves through a text.
#[derive(Clone)]
pub(crate) struct Cursor<'a> {
    text: &'a str,
    /// In bytes, always between two characters.
    at: usize,
    mark: Mark,
}

impl<'a> Cursor<'a> {
    /// At the start of a text; a byte order mark there does not count.
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text: text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text), at: 0, mark: Mark::default() }
    }

    /// Skips a byte order mark that starts a line; it counts for a column.
    pub(crate) fn skip_byte_order_mark(&mut self) {
        if self.mark.column == 0 && self.rest().starts_with(BYTE_ORDER_MARK) {
            self.at += BYTE_ORDER_MARK.len_utf8();
            self.mark.column = 1;
        }
    }

    pub(crate) fn mark(&self) -> Mark {
        self.mark
    }

    pub(crate) fn column(&self) -> u32 {
        self.mark.column
    }

    /// The byte that stands `offset` bytes ahead; 0, which no text holds, behind the end.
    pub(crate) fn byte(&self, offset: usize) -> u8 {
        self.text.as_bytes().get(self.at + offset).copied().unwrap_or(0)
    }

    pub(crate) fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or("")
    }

    pub(crate) fn is_end(&self) -> bool {
        self.at >= self.text.len()
    }

    /// The bytes of the line break that stands `offset` bytes ahead; 0 where there is none.
    pub(crate) fn break_length(&self, offset: usize) -> usize {
        match self.byte(offset) {
            b'\n' => 1,
            b'\r' if self.byte(offset + 1) == b'\n' => 2,
            b'\r' => 1,
            // U+0085, U+2028, U+2029.
            0xc2 if self.byte(offset + 1) == 0x85 => 2,
            0xe2 if self.byte(offset + 1) == 0x80 && matches!(self.byte(offset + 2), 0xa8 | 0xa9) => 3,
            _ => 0,
        }
    }

    pub(crate) fn is_break(&self) -> bool {
        self.break_length(0) > 0
    }

    pub(crate) fn is_blank(&self) -> bool {
        matches!(self.byte(0), b' ' | b'\t')
    }

    /// Whether a blank, a line break or the end stands `offset` bytes ahead.
    pub(crate) fn ends_word(&self, offset: usize) -> bool {
        matches!(self.byte(offset), b' ' | b'\t' | 0) || self.break_length(offset) > 0
    }

    /// Whether a line starts here with `---` or `...`.
    pub(crate) fn is_document_mark(&self) -> bool {
        self.mark.column == 0
            && (self.rest().starts_with("---") || self.rest().starts_with("..."))
            && self.ends_word(3)
    }

    /// Skips characters of one byte that are no line breaks.
    pub(crate) fn skip(&mut self, bytes: usize) {
        self.at += bytes;
        self.mark.column += bytes as u32;
    }

    /// Skips blanks; tabs too where they are allowed.
    pub(crate) fn skip_blanks(&mut self, tabs: bool) {
        while self.byte(0) == b' ' || (tabs && self.byte(0) == b'\t') {
            self.skip(1);
        }
    }

    /// Takes characters while `wanted` holds for their first byte, and stops at line breaks and the end.
    pub(crate) fn take_while(&mut self, wanted: impl Fn(&Self, u8) -> bool) -> &'a str {
        let start = self.at;
        let mut characters = 0;
        while let Some(&byte) = self.text.as_bytes().get(self.at) {
            if self.break_length(0) > 0 || !wanted(self, byte) {
                break;
            }
            self.at += 1;
            characters += 1;
            if byte >= 0x80 {
                while self.text.as_bytes().get(self.at).is_some_and(|byte| byte & 0xc0 == 0x80) {
                    self.at += 1;
                }
            }
        }
        self.mark.column += characters;
        self.text.get(start..self.at).unwrap_or("")
    }

    /// Takes what is left of the line.
    pub(crate) fn take_line(&mut self) -> &'a str {
        self.take_while(|_, _| true)
    }

    /// Takes a line break, if there is one: as `\n`, but for U+2028 and U+2029, which stay as they are.
    pub(crate) fn take_break(&mut self) -> &'a str {
        let length = self.break_length(0);
        if length == 0 {
            return "";
        }
        let taken = self.text.get(self.at..self.at + length).unwrap_or("");
        self.at += length;
        self.mark = Mark { line: self.mark.line + 1, column: 0 };
        if length == 3 { taken } else { "\n" }
    }

    /// Goes to a new line where the text ends without a line break.
    pub(crate) fn end_line(&mut self) {
        if self.mark.column > 0 {
            self.mark = Mark { line: self.mark.line + 1, column: 0 };
        }
    }
}
