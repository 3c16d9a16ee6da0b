//! File patterns as Python's `glob` reads them: `*`, `?`, `[…]`; hidden files need a dot.

use std::path::PathBuf;

/// Existing paths that match, sorted. Without pattern characters: the path itself, if it exists.
pub(crate) fn find(pattern: &str) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::from(if pattern.starts_with('/') { "/" } else { "" })];
    let parts: Vec<&str> = pattern.split('/').filter(|part| !part.is_empty()).collect();
    for part in &parts {
        let mut next = Vec::new();
        for folder in &found {
            if part.contains(['*', '?', '[']) {
                let listed = if folder.as_os_str().is_empty() { ".".as_ref() } else { folder.as_path() };
                let Ok(entries) = std::fs::read_dir(listed) else { continue };
                for entry in entries.flatten() {
                    let name = entry.file_name().to_string_lossy().into_owned();
                    let hidden = name.starts_with('.') && !part.starts_with('.');
                    if !hidden && matches(part, &name) {
                        next.push(folder.join(name));
                    }
                }
            } else {
                let path = folder.join(part);
                if path.symlink_metadata().is_ok() {
                    next.push(path);
                }
            }
        }
        next.sort();
        found = next;
    }
    if parts.is_empty() && !pattern.starts_with('/') {
        found.clear();
    }
    found
}

/// Whether a name fits a pattern.
fn matches(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    let (mut p, mut n) = (0, 0);
    // Where the last star stood, and how much of the name it has taken so far.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        let step = match (pattern.get(p), name.get(n)) {
            (Some('*'), _) => {
                star = Some((p, n));
                p += 1;
                continue;
            }
            (Some('?'), _) => Some(1),
            (Some('['), Some(c)) => match set(pattern.get(p + 1..).unwrap_or_default(), *c) {
                Some((true, length)) => Some(length + 1),
                Some((false, _)) => None,
                None => (*c == '[').then_some(1),
            },
            (Some(wanted), Some(c)) => (wanted == c).then_some(1),
            _ => None,
        };
        match (step, star) {
            (Some(step), _) => {
                p += step;
                n += 1;
            }
            (None, Some((at, taken))) => {
                star = Some((at, taken + 1));
                p = at + 1;
                n = taken + 1;
            }
            (None, None) => return false,
        }
    }
    pattern.iter().skip(p).all(|c| *c == '*')
}

/// Whether a character is in the set behind a `[`, and the length of the set with its bracket.
fn set(pattern: &[char], c: char) -> Option<(bool, usize)> {
    let negated = pattern.first() == Some(&'!');
    let start = usize::from(negated);
    let end = pattern.iter().skip(start + 1).position(|c| *c == ']')? + start + 1;
    let members = pattern.get(start..end)?;
    let mut found = false;
    let mut at = 0;
    while let Some(low) = members.get(at) {
        if let (Some('-'), Some(high)) = (members.get(at + 1), members.get(at + 2)) {
            found |= (*low..=*high).contains(&c);
            at += 3;
        } else {
            found |= *low == c;
            at += 1;
        }
    }
    Some((found != negated, end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_python() {
        for (pattern, name, fits) in [
            ("*.yml", "a.yml", true),
            ("*.yml", "a.yaml", false),
            ("a?c", "abc", true),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxbyy", false),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[]]x", "]x", true),
            ("[x", "[x", true),
            ("*", "", true),
        ] {
            assert_eq!(matches(pattern, name), fits, "{pattern} {name}");
        }
    }
}
