//! Python's pattern syntax in the terms of our engine.
//!
//! Both come from the same family; what differs: `$` and `\Z`, a literal `{`, sets that hold `[` or
//! `&&`, escapes that one side lacks, and flags at the start of a pattern.

use std::fmt::Write;
use std::iter::Peekable;
use std::str::Chars;

use kubespray_value::Error;

/// How a pattern is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Flags {
    /// `re.IGNORECASE`.
    pub(crate) ignore_case: bool,
    /// `re.MULTILINE`.
    pub(crate) multiline: bool,
    /// `re.DOTALL`.
    pub(crate) dot_all: bool,
    /// `re.VERBOSE`.
    pub(crate) verbose: bool,
    /// `re.ASCII`.
    pub(crate) ascii: bool,
}

impl Flags {
    fn set(&mut self, flag: char) -> bool {
        match flag {
            'i' => self.ignore_case = true,
            'm' => self.multiline = true,
            's' => self.dot_all = true,
            'x' => self.verbose = true,
            'a' => self.ascii = true,
            'u' | 'L' => {}
            _ => return false,
        }
        true
    }

    fn prefix(self) -> String {
        let letters =
            [(self.ignore_case, 'i'), (self.multiline, 'm'), (self.dot_all, 's'), (self.verbose, 'x')];
        let set: String = letters.iter().filter(|(set, _)| *set).map(|(_, letter)| letter).collect();
        if set.is_empty() { set } else { format!("(?{set})") }
    }
}

/// A Python pattern in our engine's syntax.
pub(crate) fn translate(pattern: &str, flags: Flags) -> Result<String, Error> {
    let (flags, rest) = global_flags(pattern, flags);
    let mut translator =
        Translator { pattern, chars: rest.chars().peekable(), flags, out: flags.prefix(), repeats: 0 };
    translator.run()?;
    Ok(translator.out)
}

/// Takes `(?im)` off the start.
fn global_flags(pattern: &str, mut flags: Flags) -> (Flags, &str) {
    let Some((letters, rest)) = pattern.strip_prefix("(?").and_then(|rest| rest.split_once(')')) else {
        return (flags, pattern);
    };
    let before = flags;
    if !letters.is_empty() && letters.chars().all(|letter| flags.set(letter)) {
        (flags, rest)
    } else {
        (before, pattern)
    }
}

struct Translator<'a> {
    pattern: &'a str,
    chars: Peekable<Chars<'a>>,
    flags: Flags,
    out: String,
    /// 1 behind a repetition, 2 behind one that is lazy or possessive.
    repeats: u8,
}

/// What a Python escape stands for.
enum Escape {
    /// One character.
    Char(char),
    /// Something both syntaxes write alike.
    Same(char),
}

impl Translator<'_> {
    fn wrong(&self, what: &str) -> Error {
        Error::of_value(format!("invalid regular expression `{}`: {what}", self.pattern))
    }

    fn literal(&mut self, c: char) {
        match c {
            c if c.is_whitespace() || c.is_control() => {
                let _ = write!(self.out, r"\x{{{:x}}}", u32::from(c));
            }
            c if c.is_ascii_punctuation() && !matches!(c, '<' | '>' | '_') => {
                self.out.push('\\');
                self.out.push(c);
            }
            c => self.out.push(c),
        }
    }

    fn run(&mut self) -> Result<(), Error> {
        while let Some(c) = self.chars.next() {
            let repeats = std::mem::take(&mut self.repeats);
            match c {
                '*' | '+' | '?' => {
                    let modifies = repeats == 1 && c != '*';
                    if repeats > 0 && !modifies {
                        return Err(self.wrong("multiple repeat"));
                    }
                    self.repeats = repeats + 1;
                    self.out.push(c);
                }
                '\\' => self.escape()?,
                '[' => self.set()?,
                '$' if self.flags.multiline => self.out.push('$'),
                '$' => self.out.push_str(r"(?=\n?\z)"),
                '{' => self.braces(repeats)?,
                '}' => self.out.push_str(r"\}"),
                '(' => self.group()?,
                '#' if self.flags.verbose => while self.chars.next_if(|c| *c != '\n').is_some() {},
                c if self.flags.verbose && c.is_ascii_whitespace() => {}
                '.' | '^' | '|' | ')' => self.out.push(c),
                c => self.literal(c),
            }
        }
        Ok(())
    }

    /// `{2,3}` repeats; any other brace is itself.
    fn braces(&mut self, repeats: u8) -> Result<(), Error> {
        let mut ahead = self.chars.clone();
        let inside: String = ahead.by_ref().take_while(|c| *c != '}').collect();
        let closed = self.chars.clone().any(|c| c == '}');
        let (low, high) =
            inside.split_once(',').map_or((inside.as_str(), None), |(low, high)| (low, Some(high)));
        let digits = |text: &str| text.chars().all(|c| c.is_ascii_digit());
        let is_repetition =
            closed && digits(low) && high.is_none_or(digits) && inside.len() > usize::from(high.is_some());
        if is_repetition {
            if repeats > 0 {
                return Err(self.wrong("multiple repeat"));
            }
            self.repeats = 1;
            self.chars = ahead;
            let low = if low.is_empty() { "0" } else { low };
            let _ = match high {
                Some(high) => write!(self.out, "{{{low},{high}}}"),
                None => write!(self.out, "{{{low}}}"),
            };
        } else {
            self.out.push_str(r"\{");
        }
        Ok(())
    }

    fn group(&mut self) -> Result<(), Error> {
        self.out.push('(');
        if self.chars.next_if_eq(&'?').is_none() {
            return Ok(());
        }
        match self.chars.peek().copied() {
            Some('#') => {
                self.out.pop();
                if !self.chars.by_ref().any(|c| c == ')') {
                    return Err(self.wrong("missing ), unterminated comment"));
                }
            }
            Some('(') => {
                self.chars.next();
                let name: String = self.chars.by_ref().take_while(|c| *c != ')').collect();
                let _ = if name.chars().all(|c| c.is_ascii_digit()) {
                    write!(self.out, "?({name})")
                } else {
                    write!(self.out, "?(<{name}>)")
                };
            }
            Some('P') => {
                self.chars.next();
                self.out.push_str("?P");
                let close = match self.chars.next() {
                    Some('<') => '>',
                    Some('=') => ')',
                    _ => return Err(self.wrong("unknown extension ?P")),
                };
                let name: String = self.chars.by_ref().take_while(|c| *c != close).collect();
                let is_name = name.chars().all(|c| c.is_alphanumeric() || c == '_');
                if !is_name || name.starts_with(|c: char| c.is_numeric()) || name.is_empty() {
                    return Err(self.wrong(&format!("bad group name `{name}`")));
                }
                self.out.push(if close == '>' { '<' } else { '=' });
                self.out.push_str(&name);
                self.out.push(close);
            }
            Some('<') => {
                self.chars.next();
                match self.chars.next() {
                    Some(c @ ('=' | '!')) => {
                        self.out.push_str("?<");
                        self.out.push(c);
                    }
                    _ => return Err(self.wrong("unknown extension ?<")),
                }
            }
            Some(c @ (':' | '=' | '!' | '>')) => {
                self.chars.next();
                self.out.push('?');
                self.out.push(c);
            }
            Some(_) => {
                self.out.push('?');
                loop {
                    match self.chars.next() {
                        Some(':') => {
                            self.out.push(':');
                            break;
                        }
                        Some(c @ ('i' | 'm' | 's' | 'x' | '-')) => self.out.push(c),
                        Some('a' | 'u' | 'L') => {}
                        Some(')') => {
                            return Err(self.wrong("global flags not at the start of the expression"));
                        }
                        _ => return Err(self.wrong("unknown extension")),
                    }
                }
            }
            None => return Err(self.wrong("unexpected end of pattern")),
        }
        Ok(())
    }

    /// `\d` and its like.
    fn class(&mut self, c: char) {
        if self.flags.ascii {
            self.out.push_str(match c {
                'd' => "[0-9]",
                'D' => "[^0-9]",
                'w' => "[a-zA-Z0-9_]",
                'W' => "[^a-zA-Z0-9_]",
                's' => r"[ \t\n\r\x0b\x0c]",
                _ => r"[^ \t\n\r\x0b\x0c]",
            });
        } else {
            self.out.push('\\');
            self.out.push(c);
        }
    }

    fn hex(&mut self, digits: usize) -> Result<char, Error> {
        let mut code = 0;
        for _ in 0..digits {
            let digit = self.chars.next().and_then(|c| c.to_digit(16));
            code = code * 16 + digit.ok_or_else(|| self.wrong("incomplete escape"))?;
        }
        char::from_u32(code).ok_or_else(|| self.wrong("bad escape"))
    }

    /// The escapes that mean the same inside and outside of sets.
    fn common_escape(&mut self, c: char) -> Result<Option<Escape>, Error> {
        Ok(Some(match c {
            'd' | 'D' | 'w' | 'W' | 's' | 'S' => Escape::Same(c),
            'n' => Escape::Char('\n'),
            't' => Escape::Char('\t'),
            'r' => Escape::Char('\r'),
            'f' => Escape::Char('\u{c}'),
            'v' => Escape::Char('\u{b}'),
            'a' => Escape::Char('\u{7}'),
            'x' => Escape::Char(self.hex(2)?),
            'u' => Escape::Char(self.hex(4)?),
            'U' => Escape::Char(self.hex(8)?),
            '0' => {
                let mut code = 0;
                for _ in 0..2 {
                    if let Some(digit) = self.chars.peek().and_then(|c| c.to_digit(8)) {
                        self.chars.next();
                        code = code * 8 + digit;
                    }
                }
                Escape::Char(char::from_u32(code).unwrap_or('\0'))
            }
            c if c.is_ascii_alphanumeric() => return Ok(None),
            c => Escape::Char(c),
        }))
    }

    fn escape(&mut self) -> Result<(), Error> {
        let Some(c) = self.chars.next() else { return Err(self.wrong("bad escape (end of pattern)")) };
        match c {
            'A' | 'b' => {
                self.out.push('\\');
                self.out.push(c);
            }
            // Python finds no boundary in an empty text, and no lack of one either.
            'B' => self.out.push_str(r"(?!\A\z)\B"),
            'Z' => self.out.push_str(r"\z"),
            '1'..='9' => {
                self.out.push('\\');
                self.out.push(c);
                if let Some(second) = self.chars.next_if(char::is_ascii_digit) {
                    self.out.push(second);
                }
            }
            c => match self.common_escape(c)? {
                Some(Escape::Same(c)) => self.class(c),
                Some(Escape::Char(c)) => self.literal(c),
                None => return Err(self.wrong(&format!("bad escape \\{c}"))),
            },
        }
        Ok(())
    }

    fn set(&mut self) -> Result<(), Error> {
        self.out.push('[');
        if self.chars.next_if_eq(&'^').is_some() {
            self.out.push('^');
        }
        let mut first = true;
        loop {
            let Some(c) = self.chars.next() else { return Err(self.wrong("unterminated character set")) };
            match c {
                ']' if !first => break,
                '\\' => {
                    let Some(c) = self.chars.next() else {
                        return Err(self.wrong("unterminated character set"));
                    };
                    if c == 'b' {
                        self.out.push_str(r"\x{8}");
                    } else {
                        match self.common_escape(c)? {
                            Some(Escape::Same(c)) => self.class(c),
                            Some(Escape::Char(c)) => self.literal(c),
                            None => return Err(self.wrong(&format!("bad escape \\{c}"))),
                        }
                    }
                }
                '-' if first || self.chars.peek() == Some(&']') => self.out.push_str(r"\-"),
                '-' => self.out.push('-'),
                c => self.literal(c),
            }
            first = false;
        }
        self.out.push(']');
        Ok(())
    }
}
