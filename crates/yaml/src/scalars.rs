//! Reading the text of scalars: plain, quoted and block ones.

use std::borrow::Cow;

use crate::cursor::{Cursor, Mark, Problem};

/// A tab where it may not stand.
pub(crate) fn tab(cursor: &Cursor<'_>) -> Problem {
    Problem::new("a tab stands where only blanks may", cursor.mark())
        .hint("indent with blanks: YAML allows no tabs there")
}

/// Line breaks between two parts of a scalar.
#[derive(Default)]
struct Breaks {
    first: &'static str,
    /// U+2028 or U+2029, which are not folded.
    odd_first: Option<String>,
    others: String,
}

impl Breaks {
    fn add(&mut self, taken: &str, is_first: bool) {
        match (is_first, taken) {
            (true, "\n") => self.first = "\n",
            (true, other) => self.odd_first = Some(other.to_owned()),
            (false, other) => self.others.push_str(other),
        }
    }

    /// Folds them: a single one becomes a blank, of several the first is dropped.
    fn fold_into(self, text: &mut String) {
        if self.first == "\n" {
            text.push_str(if self.others.is_empty() { " " } else { &self.others });
        } else {
            text.push_str(self.odd_first.as_deref().unwrap_or(""));
            text.push_str(&self.others);
        }
    }
}

/// Reads a plain scalar; also whether it was followed by a line break, and where its text ends.
///
/// `indent` is the indentation of the block that it stands in, -1 outside of all.
pub(crate) fn plain<'a>(
    cursor: &mut Cursor<'a>,
    indent: i64,
    in_flow: bool,
) -> Result<(Cow<'a, str>, bool, Mark), Problem> {
    let start = cursor.mark();
    let mut end = start;
    let mut text: Cow<'a, str> = Cow::Borrowed("");
    let mut blanks = "";
    let mut breaks: Option<Breaks> = None;
    loop {
        if cursor.is_document_mark() || cursor.byte(0) == b'#' {
            break;
        }
        let part = cursor.take_while(|cursor, byte| match byte {
            b' ' | b'\t' => false,
            b':' => {
                let next = cursor.byte(1);
                !(cursor.ends_word(1) || in_flow && b",?[]{}".contains(&next))
            }
            b',' | b'[' | b']' | b'{' | b'}' => !in_flow,
            _ => true,
        });
        if in_flow && cursor.byte(0) == b':' && b",?[]{}".contains(&cursor.byte(1)) {
            return Err(Problem::new("a colon in a plain text must be followed by a blank", cursor.mark())
                .within(start, "in this text"));
        }
        if !part.is_empty() {
            if let Some(breaks) = breaks.take() {
                breaks.fold_into(text.to_mut());
                text.to_mut().push_str(part);
            } else if text.is_empty() {
                text = Cow::Borrowed(part);
            } else {
                text.to_mut().push_str(blanks);
                text.to_mut().push_str(part);
            }
            blanks = "";
            end = cursor.mark();
        }
        if !cursor.is_blank() && !cursor.is_break() {
            break;
        }
        while cursor.is_blank() || cursor.is_break() {
            if cursor.is_break() {
                let is_first = breaks.is_none();
                let taken = cursor.take_break();
                breaks.get_or_insert_default().add(taken, is_first);
            } else if breaks.is_some() {
                if cursor.byte(0) == b'\t' && i64::from(cursor.column()) <= indent {
                    return Err(tab(cursor));
                }
                cursor.skip(1);
            } else {
                blanks = cursor.take_while(|_, byte| matches!(byte, b' ' | b'\t'));
            }
        }
        if !in_flow && i64::from(cursor.column()) <= indent {
            break;
        }
    }
    Ok((text, breaks.is_some(), end))
}

/// Reads a quoted scalar.
pub(crate) fn quoted<'a>(cursor: &mut Cursor<'a>) -> Result<Cow<'a, str>, Problem> {
    let quote = cursor.byte(0);
    let is_single = quote == b'\'';
    let start = cursor.mark();
    cursor.skip(1);
    // Most texts stand in one line and hold nothing special.
    let is_ordinary = |byte: u8| byte != quote && (is_single || byte != b'\\');
    let mut ahead = cursor.clone();
    let part = ahead.take_while(|_, byte| is_ordinary(byte));
    if ahead.byte(0) == quote && !(is_single && ahead.byte(1) == quote) {
        ahead.skip(1);
        *cursor = ahead;
        return Ok(Cow::Borrowed(part));
    }
    let mut text = String::new();
    loop {
        if cursor.is_document_mark() {
            return Err(Problem::new("the document ends within a quoted text", cursor.mark())
                .within(start, "the quote is opened here"));
        }
        if cursor.is_end() {
            return Err(Problem::new("the quote that opens this value is not closed", start)
                .hint("close the quote, or write the value without quotes"));
        }
        // A line break behind a backslash joins the lines without a blank.
        let mut joined = false;
        loop {
            let part = cursor.take_while(|_, byte| is_ordinary(byte) && !matches!(byte, b' ' | b'\t'));
            text.push_str(part);
            if is_single && cursor.byte(0) == b'\'' && cursor.byte(1) == b'\'' {
                text.push('\'');
                cursor.skip(2);
            } else if !is_single && cursor.byte(0) == b'\\' {
                if cursor.break_length(1) > 0 {
                    cursor.skip(1);
                    cursor.take_break();
                    joined = true;
                    break;
                }
                text.push(escape(cursor, start)?);
            } else {
                break;
            }
        }
        if cursor.byte(0) == quote {
            cursor.skip(1);
            return Ok(Cow::Owned(text));
        }
        let mut blanks = "";
        let mut breaks = joined.then(Breaks::default);
        while cursor.is_blank() || cursor.is_break() {
            if cursor.is_break() {
                let is_first = breaks.is_none();
                let taken = cursor.take_break();
                breaks.get_or_insert_default().add(taken, is_first);
            } else if breaks.is_some() {
                cursor.skip(1);
            } else {
                blanks = cursor.take_while(|_, byte| matches!(byte, b' ' | b'\t'));
            }
        }
        match breaks {
            Some(breaks) => breaks.fold_into(&mut text),
            None => text.push_str(blanks),
        }
    }
}

/// Reads the escape that starts with the backslash under the cursor.
fn escape(cursor: &mut Cursor<'_>, start: Mark) -> Result<char, Problem> {
    let problem = |message: &'static str| Problem::new(message, cursor.mark()).within(start, "in this text");
    let digits = match cursor.byte(1) {
        b'x' => 2,
        b'u' => 4,
        b'U' => 8,
        other => {
            let c = match other {
                b'0' => '\0',
                b'a' => '\u{7}',
                b'b' => '\u{8}',
                b't' | b'\t' => '\t',
                b'n' => '\n',
                b'v' => '\u{b}',
                b'f' => '\u{c}',
                b'r' => '\r',
                b'e' => '\u{1b}',
                b' ' => ' ',
                b'"' => '"',
                b'/' => '/',
                b'\\' => '\\',
                b'N' => '\u{85}',
                b'_' => '\u{a0}',
                b'L' => '\u{2028}',
                b'P' => '\u{2029}',
                _ => {
                    return Err(problem("no such escape in double quotes")
                        .hint("write `\\\\` for a backslash, or put the value in single quotes"));
                }
            };
            cursor.skip(2);
            return Ok(c);
        }
    };
    let code = cursor.rest().get(2..2 + digits).filter(|code| code.bytes().all(|b| b.is_ascii_hexdigit()));
    let Some(code) = code.and_then(|code| u32::from_str_radix(code, 16).ok()) else {
        return Err(problem("this escape wants hexadecimal digits"));
    };
    let Some(c) = char::from_u32(code) else {
        return Err(problem("this escape is no character"));
    };
    cursor.skip(2 + digits);
    Ok(c)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Chomping {
    Clip,
    Strip,
    Keep,
}

/// Reads a block scalar; also where its text ends.
///
/// `indent` is the indentation of the block that it stands in, -1 outside of all.
pub(crate) fn block(cursor: &mut Cursor<'_>, indent: i64) -> Result<(String, Mark), Problem> {
    let is_literal = cursor.byte(0) == b'|';
    let start = cursor.mark();
    cursor.skip(1);
    let (chomping, increment) = block_header(cursor, start)?;
    let mut columns = increment.map(|increment| (indent.max(0) + increment) as u32);
    let mut end = cursor.mark();
    let mut text = String::new();
    let mut first_break = "";
    let mut other_breaks = String::new();
    let mut after_blank = false;
    block_breaks(cursor, indent, &mut columns, &mut other_breaks)?;
    while Some(cursor.column()) == columns && !cursor.is_end() {
        let starts_blank = cursor.is_blank();
        if !is_literal && first_break == "\n" && !after_blank && !starts_blank {
            if other_breaks.is_empty() {
                text.push(' ');
            }
        } else {
            text.push_str(first_break);
        }
        text.push_str(&other_breaks);
        other_breaks.clear();
        after_blank = starts_blank;
        text.push_str(cursor.take_line());
        end = cursor.mark();
        first_break = cursor.take_break();
        block_breaks(cursor, indent, &mut columns, &mut other_breaks)?;
    }
    if chomping != Chomping::Strip {
        text.push_str(first_break);
    }
    if chomping == Chomping::Keep {
        text.push_str(&other_breaks);
    }
    Ok((text, end))
}

/// Reads what stands behind `|` or `>`, up to the next line.
fn block_header(cursor: &mut Cursor<'_>, start: Mark) -> Result<(Chomping, Option<i64>), Problem> {
    let mut chomping = None;
    let mut increment = None;
    loop {
        match cursor.byte(0) {
            b'+' if chomping.is_none() => chomping = Some(Chomping::Keep),
            b'-' if chomping.is_none() => chomping = Some(Chomping::Strip),
            digit @ b'1'..=b'9' if increment.is_none() => increment = Some(i64::from(digit - b'0')),
            _ => break,
        }
        cursor.skip(1);
    }
    cursor.skip_blanks(true);
    if cursor.byte(0) == b'#' {
        cursor.take_line();
    }
    if !cursor.is_end() && !cursor.is_break() {
        return Err(Problem::new("the text of a block scalar starts in the next line", cursor.mark())
            .within(start, "the block scalar"));
    }
    cursor.take_break();
    Ok((chomping.unwrap_or(Chomping::Clip), increment))
}

/// Reads indentation and empty lines; finds the indentation where it is not known yet.
fn block_breaks(
    cursor: &mut Cursor<'_>,
    indent: i64,
    columns: &mut Option<u32>,
    breaks: &mut String,
) -> Result<(), Problem> {
    let mut widest = 0;
    loop {
        while cursor.byte(0) == b' ' && columns.is_none_or(|columns| cursor.column() < columns) {
            cursor.skip(1);
        }
        widest = widest.max(cursor.column());
        if cursor.byte(0) == b'\t' && columns.is_none_or(|columns| cursor.column() < columns) {
            return Err(tab(cursor));
        }
        if !cursor.is_break() {
            break;
        }
        breaks.push_str(cursor.take_break());
    }
    if columns.is_none() {
        *columns = Some(widest.max((indent + 1).max(1) as u32));
    }
    Ok(())
}
