//! From text to pieces: plain text, and the tokens of expressions and statements.

use kubespray_value::{Value, parse_float, parse_int};

use crate::syntax::{Syntax, SyntaxError};

/// A part of a template.
#[derive(Debug)]
pub(crate) enum Piece {
    /// Text that is output as it is.
    Text(String),
    /// `{{ … }}`.
    Output(Vec<Token>, usize),
    /// `{% … %}`.
    Statement(Vec<Token>, usize),
}

/// A token with the offset of its first byte.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) at: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    Name(String),
    Text(String),
    Number(Value),
    Operator(&'static str),
}

const OPERATORS: &[&str] = &[
    "**", "//", "==", "!=", "<=", ">=", "+", "-", "*", "/", "%", "~", "[", "]", "(", ")", "{", "}", "<", ">",
    "=", ".", ":", "|", ",", ";",
];

pub(crate) fn lex(text: &str, syntax: Syntax) -> Result<Vec<Piece>, SyntaxError> {
    let mut lexer =
        Lexer { text, at: 0, syntax, pieces: Vec::new(), skip_blanks: false, skip_line_break: false };
    lexer.run()?;
    Ok(lexer.pieces)
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    syntax: Syntax,
    pieces: Vec<Piece>,
    /// The last tag ended with `-`.
    skip_blanks: bool,
    /// The last tag was a block or comment, whose line break is dropped.
    skip_line_break: bool,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn error(&self, at: usize, message: impl Into<String>) -> SyntaxError {
        SyntaxError::at(self.text, at, message)
    }

    fn run(&mut self) -> Result<(), SyntaxError> {
        loop {
            self.skip_after_tag();
            let Some(offset) = next_tag(self.rest()) else {
                let rest = self.rest();
                self.push_text(rest);
                return Ok(());
            };
            let tag_at = self.at + offset;
            let text = self.text.get(self.at..tag_at).unwrap_or("");
            self.at = tag_at + 2;
            let control = self.rest().bytes().next().filter(|b| matches!(b, b'-' | b'+'));
            let opener = self.text.as_bytes().get(tag_at + 1).copied().unwrap_or(b'{');
            // `{{ -1 }}` has a blank; `{{-1}}` strips, as in Jinja.
            if control.is_some() {
                self.at += 1;
            }
            self.push_before_tag(text, control, opener);
            match opener {
                b'#' => self.comment(tag_at)?,
                b'{' => {
                    let tokens = self.tokens("}}", tag_at, true)?;
                    self.pieces.push(Piece::Output(tokens, tag_at));
                }
                _ => self.statement(tag_at)?,
            }
        }
    }

    fn skip_after_tag(&mut self) {
        if self.skip_blanks {
            self.at = self.text.len() - self.rest().trim_start().len();
        } else if self.skip_line_break && self.rest().starts_with('\n') {
            self.at += 1;
        }
        self.skip_blanks = false;
        self.skip_line_break = false;
    }

    fn push_text(&mut self, text: &str) {
        if !text.is_empty() {
            self.pieces.push(Piece::Text(text.to_owned()));
        }
    }

    fn push_before_tag(&mut self, text: &str, control: Option<u8>, opener: u8) {
        let text = match control {
            Some(b'-') => text.trim_end(),
            Some(_) => text,
            None if self.syntax.lstrip_blocks && opener != b'{' => {
                let line = text.rfind('\n').map_or(0, |at| at + 1);
                let starts_line = line > 0 || self.pieces.is_empty();
                match text.split_at_checked(line) {
                    Some((before, blanks)) if starts_line && blanks.trim().is_empty() => before,
                    _ => text,
                }
            }
            None => text,
        };
        self.push_text(text);
    }

    fn comment(&mut self, tag_at: usize) -> Result<(), SyntaxError> {
        let Some(end) = self.rest().find("#}") else {
            return Err(self.error(tag_at, "missing end of comment tag"));
        };
        let control = self.rest().get(..end).and_then(|body| body.bytes().last());
        self.at += end + 2;
        self.end_of_block(control);
        Ok(())
    }

    fn end_of_block(&mut self, control: Option<u8>) {
        match control {
            Some(b'-') => self.skip_blanks = true,
            Some(b'+') => {}
            _ => self.skip_line_break = self.syntax.trim_blocks,
        }
    }

    fn statement(&mut self, tag_at: usize) -> Result<(), SyntaxError> {
        let trimmed = self.rest().trim_start();
        if let Some(after) = trimmed.strip_prefix("raw") {
            let after = after.trim_start();
            let control = after.bytes().next().filter(|b| matches!(b, b'-' | b'+'));
            let after = if control.is_some() { after.get(1..).unwrap_or("") } else { after };
            if let Some(body) = after.strip_prefix("%}") {
                self.at = self.text.len() - body.len();
                // The line break behind `raw` stays, unlike that behind any other block.
                self.skip_blanks = control == Some(b'-');
                self.skip_after_tag();
                return self.raw(tag_at);
            }
        }
        let tokens = self.tokens("%}", tag_at, false)?;
        self.pieces.push(Piece::Statement(tokens, tag_at));
        Ok(())
    }

    fn raw(&mut self, tag_at: usize) -> Result<(), SyntaxError> {
        let mut from = 0;
        while let Some(offset) = self.rest().get(from..).and_then(|rest| rest.find("{%")) {
            let open = from + offset;
            let inner = self.rest().get(open + 2..).unwrap_or("");
            let control = inner.bytes().next().filter(|b| matches!(b, b'-' | b'+'));
            let word = if control.is_some() { inner.get(1..).unwrap_or("") } else { inner };
            if let Some(after) = word.trim_start().strip_prefix("endraw") {
                let after = after.trim_start();
                let end_control = after.bytes().next().filter(|b| matches!(b, b'-' | b'+'));
                let after = if end_control.is_some() { after.get(1..).unwrap_or("") } else { after };
                if let Some(tail) = after.strip_prefix("%}") {
                    let body = self.rest().get(..open).unwrap_or("");
                    let body = if control == Some(b'-') { body.trim_end() } else { body };
                    self.push_text(body);
                    self.at = self.text.len() - tail.len();
                    self.end_of_block(end_control);
                    return Ok(());
                }
            }
            from = open + 2;
        }
        Err(self.error(tag_at, "missing end of raw block"))
    }

    /// Tokens up to the end of a tag. In `{{ }}` a backslash in a text stands for itself (ANS-034).
    fn tokens(
        &mut self,
        end: &str,
        tag_at: usize,
        literal_backslashes: bool,
    ) -> Result<Vec<Token>, SyntaxError> {
        let mut tokens = Vec::new();
        let mut open: Vec<char> = Vec::new();
        loop {
            self.at = self.text.len() - self.rest().trim_start().len();
            let at = self.at;
            let rest = self.rest();
            let Some(c) = rest.chars().next() else {
                return Err(self.error(tag_at, format!("unexpected end of template, `{end}` is missing")));
            };
            // A closing brace may belong to a map: `{{ {'a': {}} }}`.
            if open.is_empty() {
                let control = rest.bytes().next().filter(|b| matches!(b, b'-' | b'+'));
                let after = if control.is_some() { rest.get(1..).unwrap_or("") } else { rest };
                if after.starts_with(end) {
                    self.at += end.len() + usize::from(control.is_some());
                    if end == "%}" {
                        self.end_of_block(control);
                    } else {
                        self.skip_blanks = control == Some(b'-');
                    }
                    return Ok(tokens);
                }
            }
            let kind = if c == '\'' || c == '"' {
                Kind::Text(self.quoted(c, literal_backslashes)?)
            } else if c.is_ascii_digit() {
                Kind::Number(self.number()?)
            } else if c.is_alphabetic() || c == '_' {
                let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
                self.at += length;
                Kind::Name(rest.get(..length).unwrap_or("").to_owned())
            } else if let Some(operator) = OPERATORS.iter().find(|operator| rest.starts_with(**operator)) {
                self.at += operator.len();
                match *operator {
                    "(" => open.push(')'),
                    "[" => open.push(']'),
                    "{" => open.push('}'),
                    ")" | "]" | "}" if open.pop() != operator.chars().next() => {
                        return Err(self.error(at, format!("unexpected `{operator}`")));
                    }
                    _ => {}
                }
                Kind::Operator(operator)
            } else {
                return Err(self.error(at, format!("unexpected character `{c}`")));
            };
            tokens.push(Token { kind, at });
        }
    }

    fn number(&mut self) -> Result<Value, SyntaxError> {
        let at = self.at;
        let rest = self.rest();
        let prefix = rest.get(..2).map(str::to_ascii_lowercase);
        let digits = |text: &str, allowed: fn(char) -> bool| {
            text.find(|c: char| !allowed(c) && c != '_').unwrap_or(text.len())
        };
        let (length, value) = match prefix.as_deref() {
            Some("0x" | "0o" | "0b") => {
                let length = 2 + digits(rest.get(2..).unwrap_or(""), |c| c.is_ascii_hexdigit());
                (length, rest.get(..length).and_then(|text| parse_int(text, 0)))
            }
            _ => {
                let mut length = digits(rest, |c| c.is_ascii_digit());
                let mut float = false;
                let after = rest.get(length..).unwrap_or("");
                if let Some(fraction) = after.strip_prefix('.')
                    && fraction.starts_with(|c: char| c.is_ascii_digit())
                {
                    length += 1 + digits(fraction, |c| c.is_ascii_digit());
                    float = true;
                }
                let after = rest.get(length..).unwrap_or("");
                if let Some(exponent) = after.strip_prefix(['e', 'E']) {
                    let unsigned = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
                    if unsigned.starts_with(|c: char| c.is_ascii_digit()) {
                        length +=
                            1 + (exponent.len() - unsigned.len()) + digits(unsigned, |c| c.is_ascii_digit());
                        float = true;
                    }
                }
                let text = rest.get(..length).unwrap_or("");
                (length, if float { parse_float(text).map(Value::Float) } else { parse_int(text, 0) })
            }
        };
        self.at += length;
        value.ok_or_else(|| self.error(at, "not a number"))
    }

    fn quoted(&mut self, quote: char, literal_backslashes: bool) -> Result<String, SyntaxError> {
        let at = self.at;
        self.at += 1;
        let mut out = String::new();
        loop {
            let Some(c) = self.rest().chars().next() else {
                return Err(self.error(at, "unclosed quote"));
            };
            self.at += c.len_utf8();
            match c {
                c if c == quote => return Ok(out),
                '\\' if literal_backslashes => {
                    out.push('\\');
                    // The lexer of Jinja pairs a backslash with what follows before Ansible doubles it.
                    if let Some(next) = self.rest().chars().next().filter(|next| *next != quote) {
                        self.at += next.len_utf8();
                        out.push(next);
                    }
                }
                '\\' => self.escape(at, &mut out)?,
                c => out.push(c),
            }
        }
    }

    fn escape(&mut self, at: usize, out: &mut String) -> Result<(), SyntaxError> {
        let Some(c) = self.rest().chars().next() else { return Err(self.error(at, "unclosed quote")) };
        self.at += c.len_utf8();
        let code = |lexer: &mut Self, length: usize| {
            let digits = lexer.rest().get(..length)?;
            lexer.at += length;
            char::from_u32(u32::from_str_radix(digits, 16).ok()?)
        };
        let simple = match c {
            '\n' => return Ok(()),
            '\\' | '\'' | '"' => c,
            'a' => '\u{7}',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            'x' | 'u' | 'U' => {
                let length = match c {
                    'x' => 2,
                    'u' => 4,
                    _ => 8,
                };
                code(self, length).ok_or_else(|| self.error(at, "broken escape in a text"))?
            }
            '0'..='7' => {
                let mut number = c.to_digit(8).unwrap_or(0);
                for _ in 0..2 {
                    let Some(digit) = self.rest().chars().next().and_then(|c| c.to_digit(8)) else { break };
                    self.at += 1;
                    number = number * 8 + digit;
                }
                char::from_u32(number).ok_or_else(|| self.error(at, "broken escape in a text"))?
            }
            other => {
                out.push('\\');
                other
            }
        };
        out.push(simple);
        Ok(())
    }
}

fn next_tag(text: &str) -> Option<usize> {
    text.as_bytes().windows(2).position(|pair| matches!(pair, b"{{" | b"{%" | b"{#"))
}
