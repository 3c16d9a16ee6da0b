//! Shell patterns as Python's `fnmatch` understands them: `*`, `?`, `[abc]`, `[a-c]`, `[!a-c]`.

/// Whether a whole text matches.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let pattern = parse(pattern);
    let text: Vec<char> = text.chars().collect();
    let (mut p, mut t) = (0, 0);
    // Where the last `*` stood, and how far it reached.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(Part::Any) => {
                star = Some((p, t));
                p += 1;
                continue;
            }
            Some(part) if text.get(t).is_some_and(|c| part.takes(*c)) => {
                p += 1;
                t += 1;
                continue;
            }
            _ => {}
        }
        let Some((at, reached)) = star else { return false };
        star = Some((at, reached + 1));
        p = at + 1;
        t = reached + 1;
    }
    pattern.iter().skip(p).all(|part| matches!(part, Part::Any))
}

enum Part {
    Any,
    One,
    Char(char),
    Set { negated: bool, ranges: Vec<(char, char)> },
}

impl Part {
    fn takes(&self, c: char) -> bool {
        match self {
            Self::Any => false,
            Self::One => true,
            Self::Char(own) => *own == c,
            Self::Set { negated, ranges } => ranges.iter().any(|(a, b)| (*a..=*b).contains(&c)) != *negated,
        }
    }
}

fn parse(pattern: &str) -> Vec<Part> {
    let chars: Vec<char> = pattern.chars().collect();
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(c) = chars.get(at).copied() {
        at += 1;
        out.push(match c {
            '*' => Part::Any,
            '?' => Part::One,
            '[' => match set(chars.get(at..).unwrap_or_default()) {
                Some((part, length)) => {
                    at += length;
                    part
                }
                None => Part::Char('['),
            },
            c => Part::Char(c),
        });
    }
    out
}

/// What stands behind a `[`, and its length with the `]`; `None` where it is not closed.
fn set(rest: &[char]) -> Option<(Part, usize)> {
    let negated = rest.first() == Some(&'!');
    let start = usize::from(negated);
    // A `]` at the start belongs to the set.
    let end = start + 1 + rest.iter().skip(start + 1).position(|c| *c == ']')?;
    let inner = rest.get(start..end)?;
    let mut ranges = Vec::new();
    let mut at = 0;
    while let Some(first) = inner.get(at).copied() {
        if let (Some('-'), Some(last)) = (inner.get(at + 1), inner.get(at + 2)) {
            ranges.push((first, *last));
            at += 3;
        } else {
            ranges.push((first, first));
            at += 1;
        }
    }
    Some((Part::Set { negated, ranges }, end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_as_fnmatch_matches() {
        for (pattern, text, expected) in [
            ("node1", "node1", true),
            ("node1", "node11", false),
            ("node*", "node11", true),
            ("*", "", true),
            ("n?de*", "node", true),
            ("*.example.com", "a.example.com", true),
            ("*a*b", "xaaybb", true),
            ("n[0-2]", "n1", true),
            ("n[!0-2]", "n1", false),
            ("n[]x]", "n]", true),
            ("n[1", "n[1", true),
            ("[a-", "[a-", true),
            ("N1", "n1", false),
            ("노드?", "노드1", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn never_panics(pattern in "[a-b*?\\[\\]!-]{0,12}", text in "[a-b\\[\\]-]{0,12}") {
            let _ = matches(&pattern, &text);
        }

        #[test]
        fn plain_texts_match_themselves(text in "[a-z0-9.-]{0,12}") {
            proptest::prop_assert!(matches(&text, &text));
            proptest::prop_assert!(matches("*", &text));
        }
    }
}
