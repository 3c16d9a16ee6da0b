//! Which styles a text may be written in, by the rules of the library behind PyYAML (libyaml 0.2.5).

use crate::typing;

/// What is to be known of a text before it is written.
pub(crate) struct Scalar {
    pub(crate) chars: Vec<char>,
    pub(crate) is_multiline: bool,
    /// Whether it may stand without quotes in a block collection.
    pub(crate) plain_in_block: bool,
    /// Whether it may stand without quotes inside brackets and braces.
    pub(crate) plain_in_flow: bool,
    pub(crate) single_quoted: bool,
    /// Whether it may be a block scalar (`|`).
    pub(crate) literal: bool,
    /// Whether it would be read as a text without quotes.
    pub(crate) reads_as_text: bool,
}

pub(crate) fn is_break(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

fn is_blank_or_end(c: Option<&char>) -> bool {
    c.is_none_or(|c| matches!(c, ' ' | '\t' | '\0') || is_break(*c))
}

/// The library counts neither tabs nor anything beyond the 16-bit plane among the printable characters.
pub(crate) fn is_printable(c: char) -> bool {
    matches!(c, '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}') && c != '\u{feff}'
}

impl Scalar {
    pub(crate) fn of(text: &str) -> Self {
        let chars: Vec<char> = text.chars().collect();
        let mut indicator_in_flow = text.starts_with("---") || text.starts_with("...");
        let mut indicator_in_block = indicator_in_flow;
        let (mut is_multiline, mut is_special) = (false, false);
        let (mut break_then_space, mut space_then_break) = (false, false);
        for (at, &c) in chars.iter().enumerate() {
            let before = at.checked_sub(1).and_then(|at| chars.get(at)).copied();
            let blank_follows = is_blank_or_end(chars.get(at + 1));
            match c {
                ',' | '[' | ']' | '{' | '}' => {
                    indicator_in_flow = true;
                    indicator_in_block |= at == 0;
                }
                '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`' if at == 0 => {
                    indicator_in_flow = true;
                    indicator_in_block = true;
                }
                '#' if before.is_none() || is_blank_or_end(before.as_ref()) => {
                    indicator_in_flow = true;
                    indicator_in_block = true;
                }
                ':' => {
                    indicator_in_flow = true;
                    indicator_in_block |= blank_follows;
                }
                '?' => {
                    indicator_in_flow = true;
                    indicator_in_block |= at == 0 && blank_follows;
                }
                '-' if at == 0 && blank_follows => {
                    indicator_in_flow = true;
                    indicator_in_block = true;
                }
                _ => {}
            }
            is_special |= !is_printable(c);
            is_multiline |= is_break(c);
            break_then_space |= c == ' ' && before.is_some_and(is_break);
            space_then_break |= is_break(c) && before == Some(' ');
        }
        let blank_at_end = |c: Option<&char>| c.is_some_and(|c| *c == ' ' || is_break(*c));
        let blank_around = blank_at_end(chars.first()) || blank_at_end(chars.last());
        let never_plain = blank_around || break_then_space || space_then_break || is_special || is_multiline;
        let unquotable = space_then_break || is_special;
        Self {
            is_multiline,
            plain_in_block: !never_plain && !indicator_in_block,
            plain_in_flow: !never_plain && !indicator_in_flow && !chars.is_empty(),
            single_quoted: !break_then_space && !unquotable,
            literal: !chars.is_empty() && !unquotable && chars.last() != Some(&' '),
            reads_as_text: typing::is_text(text),
            chars,
        }
    }
}
