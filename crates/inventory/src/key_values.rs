//! `key=value` texts as Ansible's command line splits them.

/// Splits a text at blanks, but not inside quotes or template blocks. Blanks inside are kept.
pub(crate) fn split(text: &str) -> Result<Vec<String>, &'static str> {
    let mut words: Vec<String> = Vec::new();
    let mut quote = None;
    let mut blocks = [0_usize; 3];
    let lines: Vec<&str> = text.split('\n').collect();
    for (line_index, line) in lines.iter().enumerate() {
        let mut continued = false;
        for (index, token) in line.split(' ').enumerate() {
            if token.is_empty() && index != 0 {
                last(&mut words).push(' ');
                continue;
            }
            let was_quoted = quote.is_some();
            if token == "\\" && !was_quoted {
                continued = true;
                continue;
            }
            quote = quote_after(token, quote);
            let in_block = blocks.iter().any(|depth| *depth > 0);
            let mut appended = false;
            if quote.is_some() && !was_quoted && !in_block {
                words.push(token.to_owned());
                appended = true;
            } else if in_block || quote.is_some() || was_quoted {
                let word = last(&mut words);
                if index > 0 {
                    word.push(' ');
                }
                word.push_str(token);
                appended = true;
            }
            for (depth, (open, close)) in blocks.iter_mut().zip([("{{", "}}"), ("{%", "%}"), ("{#", "#}")]) {
                let before = *depth;
                let (opened, closed) = (token.matches(open).count(), token.matches(close).count());
                *depth = (*depth + opened).saturating_sub(closed);
                if *depth != before && !appended {
                    words.push(token.to_owned());
                    appended = true;
                }
            }
            if blocks.iter().all(|depth| *depth == 0) && quote.is_none() && !appended && !token.is_empty() {
                words.push(token.to_owned());
            }
        }
        if line_index + 1 < lines.len() && !continued {
            last(&mut words).push('\n');
        }
    }
    if quote.is_some() {
        return Err("a quotation mark is not closed");
    }
    if blocks.iter().any(|depth| *depth > 0) {
        return Err("a template block is not closed");
    }
    Ok(words)
}

fn last(words: &mut Vec<String>) -> &mut String {
    if words.is_empty() {
        words.push(String::new());
    }
    // There is one now.
    let index = words.len() - 1;
    &mut words[index]
}

fn quote_after(token: &str, mut quote: Option<char>) -> Option<char> {
    let mut previous = None;
    for c in token.chars() {
        if matches!(c, '"' | '\'') && previous != Some('\\') {
            quote = match quote {
                Some(open) if open == c => None,
                Some(open) => Some(open),
                None => Some(c),
            };
        }
        previous = Some(c);
    }
    quote
}

/// Name and value of a word; `None` where it holds no `=` that counts.
pub(crate) fn assignment(word: &str) -> Option<(String, String)> {
    let word = decode_escapes(word);
    // An `=` at the very start does not count, nor one behind a backslash.
    let at = word
        .match_indices('=')
        .map(|(at, _)| at)
        .find(|at| *at > 0 && !word.get(..*at).is_some_and(|before| before.ends_with('\\')))?;
    let (name, value) = (word.get(..at)?, word.get(at + 1..)?);
    Some((name.trim().to_owned(), unquote(value.trim()).to_owned()))
}

fn unquote(text: &str) -> &str {
    for quote in ['"', '\''] {
        if let Some(inner) = text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote)) {
            return if inner.ends_with('\\') { text } else { inner };
        }
    }
    text
}

fn decode_escapes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let (before, after) = rest.split_at(at);
        out.push_str(before);
        let kind = after.chars().nth(1);
        let digits = match kind {
            Some('U') => 8,
            Some('u') => 4,
            Some('x') => 2,
            _ => 0,
        };
        let simple = match kind {
            Some(c @ ('\\' | '\'' | '"')) => Some(c),
            Some('a') => Some('\u{7}'),
            Some('b') => Some('\u{8}'),
            Some('f') => Some('\u{c}'),
            Some('n') => Some('\n'),
            Some('r') => Some('\r'),
            Some('t') => Some('\t'),
            Some('v') => Some('\u{b}'),
            _ => None,
        };
        let coded = after
            .get(2..2 + digits)
            .filter(|hex| digits > 0 && hex.bytes().all(|b| b.is_ascii_hexdigit()))
            .and_then(|hex| char::from_u32(u32::from_str_radix(hex, 16).ok()?));
        let (c, length) = match (simple, coded) {
            (Some(c), _) => (c, 2),
            (None, Some(c)) => (c, 2 + digits),
            (None, None) => ('\\', 1),
        };
        out.push(c);
        rest = after.get(length..).unwrap_or("");
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_as_ansible_splits() {
        for (text, expected) in [
            ("a=1 b=2", "a=1|b=2"),
            ("a='1 2' b=\"x y\"", "a='1 2'|b=\"x y\""),
            ("a={{ b + 1 }} c=3", "a={{ b + 1 }}|c=3"),
            ("a='x' 'y'", "a='x'|'y'"),
            ("a=1  b=2", "a=1 |b=2"),
            ("", ""),
        ] {
            assert_eq!(split(text).map(|words| words.join("|")).as_deref(), Ok(expected), "{text}");
        }
        assert!(split("a='1").is_err());
        assert!(split("a={{ 1").is_err());
    }

    #[test]
    fn assignments() {
        for (word, expected) in [
            ("a=1", Some(("a", "1"))),
            ("a='1 2'", Some(("a", "1 2"))),
            ("a=b=c", Some(("a", "b=c"))),
            ("a=", Some(("a", ""))),
            ("a=x\\ty\\x41", Some(("a", "x\tyA"))),
            ("a\\=b", None),
            ("=b", None),
            ("word", None),
            ("a=\"it's\"", Some(("a", "it's"))),
        ] {
            let found = assignment(word);
            assert_eq!(found.as_ref().map(|(a, b)| (a.as_str(), b.as_str())), expected, "{word}");
        }
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in "[a-c='\" \\\\{}%#\nxuU0-9é]{0,40}") {
            for word in split(&text).unwrap_or_default() {
                let _ = assignment(&word);
            }
        }
    }
}
