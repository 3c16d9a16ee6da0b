//! Host patterns, as in `--limit`: `all`, `a:b`, `a:&b`, `a:!b`, `web*`, `~regex`, `group[0]`, `@file`.

use std::collections::HashSet;
use std::path::Path;

use fancy_regex::Regex;
use kubespray_diagnostics::{Diagnostic, did_you_mean};

use crate::graph::LOCALHOST;
use crate::inventory::Inventory;
use crate::{address, glob, paths};

/// Characters after which a pattern may mean hosts as well as groups.
const SPECIAL: [char; 4] = ['.', '?', '*', '['];

/// A list of hosts for `@file` is small.
const LARGEST_LIST: usize = 16 << 20;

type Outcome<T> = Result<T, Box<Diagnostic>>;

impl Inventory {
    /// The hosts that a pattern means, in Ansible's order. May be empty (an empty group, an exclusion of
    /// everything): whether that is a mistake is for the caller to say. `localhost` is found even where
    /// it is not written.
    ///
    /// # Errors
    /// A part of the pattern that matches no group and no host (Ansible only warns), a broken regular
    /// expression, an index beyond the hosts of its group.
    pub fn select(&self, pattern: &str) -> Result<Vec<String>, Box<Diagnostic>> {
        let parts = split(pattern);
        let found = self.evaluate(&parts)?;
        Ok(found.into_iter().map(str::to_owned).collect())
    }

    /// The hosts that a `--limit` leaves, in inventory order. `@file` reads one pattern per line.
    ///
    /// # Errors
    /// As [`Inventory::select`]; files that cannot be read.
    pub fn limit(&self, limit: &str) -> Result<Vec<String>, Box<Diagnostic>> {
        self.select_within("all", limit)
    }

    /// The hosts of a pattern that a `--limit` leaves, in the order of the pattern.
    ///
    /// # Errors
    /// As [`Inventory::select`] and [`Inventory::limit`].
    pub fn select_within(&self, pattern: &str, limit: &str) -> Result<Vec<String>, Box<Diagnostic>> {
        let mut parts = Vec::new();
        for part in split(limit) {
            match part.strip_prefix('@') {
                Some(file) => parts.extend(read_list(file)?),
                None => parts.push(part),
            }
        }
        let allowed: HashSet<&str> = self.evaluate(&parts)?.into_iter().collect();
        let mut found = self.select(pattern)?;
        found.retain(|host| allowed.contains(host.as_str()));
        Ok(found)
    }

    /// Regular parts first, then intersections, then exclusions; `all` where there is no regular part.
    fn evaluate<'a>(&'a self, parts: &'a [String]) -> Outcome<Vec<&'a str>> {
        let of_kind = |kind: Option<char>| {
            parts.iter().map(String::as_str).filter(move |part| match part.chars().next() {
                Some(c @ ('!' | '&')) => kind == Some(c),
                Some(_) => kind.is_none(),
                None => false,
            })
        };
        let mut regular: Vec<&str> = of_kind(None).collect();
        if regular.is_empty() {
            regular.push("all");
        }
        let mut hosts: Vec<&str> = Vec::new();
        let mut known: HashSet<&str> = HashSet::new();
        for part in regular {
            let found = match self.graph.hosts.get_key_value(part) {
                Some((name, _)) => vec![name.as_str()],
                None => self.one(part)?,
            };
            hosts.extend(found.into_iter().filter(|host| known.insert(host)));
        }
        for kind in ['&', '!'] {
            for part in of_kind(Some(kind)) {
                let found: HashSet<&str> = self.one(part.get(1..).unwrap_or(""))?.into_iter().collect();
                hosts.retain(|host| found.contains(host) == (kind == '&'));
            }
        }
        Ok(hosts)
    }

    /// One part without its sign. May name hosts more than once, which an index behind it counts.
    fn one<'a>(&'a self, part: &'a str) -> Outcome<Vec<&'a str>> {
        if part.is_empty() {
            return Err(Box::new(problem("the host pattern has an empty part".into())));
        }
        let (pattern, subscript) = match subscript(part) {
            Some((pattern, subscript)) => (pattern, Some(subscript)),
            None => (part, None),
        };
        let hosts = self.matching(pattern)?;
        match subscript {
            Some(subscript) if !hosts.is_empty() => subscript.apply(&hosts).ok_or_else(|| {
                Box::new(problem(format!(
                    "`{part}` asks for a host that is not there: `{pattern}` has {}",
                    hosts.len()
                )))
            }),
            _ => Ok(hosts),
        }
    }

    fn matching<'a>(&'a self, pattern: &'a str) -> Outcome<Vec<&'a str>> {
        let matcher = Matcher::new(pattern)?;
        let mut hosts = Vec::new();
        let mut any_group = false;
        for (index, name) in self.graph.groups.keys().enumerate() {
            if matcher.matches(name)? {
                any_group = true;
                hosts
                    .extend(self.graph.hosts_under(index).into_iter().map(|host| self.graph.host_name(host)));
            }
        }
        if !any_group || pattern.starts_with('~') || pattern.contains(SPECIAL) {
            for name in self.graph.hosts.keys() {
                if matcher.matches(name)? {
                    hosts.push(name);
                }
            }
        }
        if hosts.is_empty() && LOCALHOST.contains(&pattern) {
            hosts.push(self.known_name(pattern).unwrap_or("localhost"));
        }
        if hosts.is_empty() && !any_group {
            return Err(Box::new(self.unknown(pattern)));
        }
        Ok(hosts)
    }

    fn unknown(&self, pattern: &str) -> Diagnostic {
        let problem = problem(format!("`{pattern}` matches no host and no group"));
        match did_you_mean(pattern, self.groups().chain(self.hosts_by_appearance())) {
            Some(meant) => problem.hint(format!("did you mean `{meant}`?")),
            None => problem.hint("`kubespray inventory graph` shows all groups and hosts"),
        }
    }
}

fn problem(message: String) -> Diagnostic {
    Diagnostic::error("host-pattern", message)
}

fn read_list(file: &str) -> Outcome<Vec<String>> {
    let bytes = paths::read_bounded(&paths::expand(Path::new(file)), LARGEST_LIST)
        .map_err(|why| problem(format!("cannot read the list of hosts `{file}`: {why}")))?;
    let text =
        String::from_utf8(bytes).map_err(|_| problem(format!("the list of hosts `{file}` is not UTF-8")))?;
    Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

enum Matcher<'a> {
    Glob(&'a str),
    Regex(Regex, &'a str),
}

impl<'a> Matcher<'a> {
    fn new(pattern: &'a str) -> Outcome<Self> {
        let Some(expression) = pattern.strip_prefix('~') else { return Ok(Self::Glob(pattern)) };
        // Python's `match` looks at the start only.
        let regex = Regex::new(&format!("\\A(?:{expression})")).map_err(|error| {
            problem(format!("`{expression}` is no regular expression: {}", error.to_string().to_lowercase()))
        })?;
        Ok(Self::Regex(regex, expression))
    }

    fn matches(&self, name: &str) -> Outcome<bool> {
        match self {
            Self::Glob(pattern) => Ok(glob::matches(pattern, name)),
            Self::Regex(regex, expression) => regex.is_match(name).map_err(|_| {
                Box::new(problem(format!("the regular expression `{expression}` takes too long on `{name}`")))
            }),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subscript {
    Index(i64),
    /// From, to (inclusive); to the end without a second number.
    Range(usize, Option<usize>),
}

impl Subscript {
    fn apply<'a>(self, hosts: &[&'a str]) -> Option<Vec<&'a str>> {
        match self {
            Self::Index(index) if index < 0 => {
                let back = usize::try_from(index.unsigned_abs()).ok()?;
                Some(vec![hosts.get(hosts.len().checked_sub(back)?)?])
            }
            Self::Index(index) => Some(vec![hosts.get(usize::try_from(index).ok()?)?]),
            // Ansible takes a second number 0 for none.
            Self::Range(from, Some(0)) => Some(vec![hosts.get(from)?]),
            Self::Range(from, to) => {
                let end = to.map_or(hosts.len(), |to| to.saturating_add(1).min(hosts.len()));
                Some(hosts.get(from..end).unwrap_or_default().to_vec())
            }
        }
    }
}

/// `pattern[0]`, `pattern[-1]`, `pattern[0:2]`, `pattern[1:]`.
fn subscript(part: &str) -> Option<(&str, Subscript)> {
    if part.starts_with('~') {
        return None;
    }
    let (pattern, inner) = part.strip_suffix(']')?.rsplit_once('[')?;
    let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    if pattern.is_empty() {
        return None;
    }
    if digits(inner.strip_prefix('-').unwrap_or(inner)) {
        return Some((pattern, Subscript::Index(inner.parse().unwrap_or(i64::MAX))));
    }
    let (from, to) = inner.split_once([':', '-'])?;
    if !digits(from) || !(to.is_empty() || digits(to)) {
        return None;
    }
    let number = |t: &str| t.parse().unwrap_or(usize::MAX);
    Some((pattern, Subscript::Range(number(from), (!to.is_empty()).then(|| number(to)))))
}

/// The parts of a pattern: separated by commas, else by colons, where these belong to no address, port
/// or range.
fn split(pattern: &str) -> Vec<String> {
    let trimmed = |part: &str| Some(part.trim().to_owned()).filter(|part| !part.is_empty());
    if pattern.contains(',') {
        return pattern.split(',').filter_map(trimmed).collect();
    }
    if address::parse(pattern).is_some() {
        return trimmed(pattern).into_iter().collect();
    }
    let mut parts = Vec::new();
    let mut part = String::new();
    let mut rest = pattern;
    while let Some(c) = rest.chars().next() {
        let closed = (c == '[').then(|| rest.find(']')).flatten();
        let length = closed.map_or(c.len_utf8(), |end| end + 1);
        if closed.is_none() && (matches!(c, ':' | '[' | ']') || c.is_whitespace()) {
            parts.push(std::mem::take(&mut part));
        } else {
            part.push_str(rest.get(..length).unwrap_or(""));
        }
        rest = rest.get(length..).unwrap_or("");
    }
    parts.push(part);
    parts.retain(|part| !part.is_empty());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Options;

    #[test]
    fn parts() {
        for (pattern, expected) in [
            ("a,b[1], c[2:3] , d", "a|b[1]|c[2:3]|d"),
            ("a:b", "a|b"),
            ("a:&b:!c", "a|&b|!c"),
            ("a[0:2]:b", "a[0:2]|b"),
            ("a:22", "a:22"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]:22", "[2001:db8::1]:22"),
            ("!a", "!a"),
            ("", ""),
            (" , ", ""),
            ("a b", "a|b"),
            ("~web(1|2)", "~web(1|2)"),
            ("a[", "a"),
        ] {
            assert_eq!(split(pattern).join("|"), expected, "{pattern}");
        }
    }

    #[test]
    fn subscripts() {
        for (part, expected) in [
            ("a[0]", Some(("a", Subscript::Index(0)))),
            ("a[-1]", Some(("a", Subscript::Index(-1)))),
            ("a[1:2]", Some(("a", Subscript::Range(1, Some(2))))),
            ("a[1-2]", Some(("a", Subscript::Range(1, Some(2))))),
            ("a[1:]", Some(("a", Subscript::Range(1, None)))),
            ("a[:1]", None),
            ("a[x]", None),
            ("[0]", None),
            ("~a[0]", None),
        ] {
            assert_eq!(subscript(part), expected, "{part}");
        }
        assert_eq!(Subscript::Index(99).apply(&["a"]), None);
        assert_eq!(Subscript::Range(5, Some(9)).apply(&["a"]), Some(vec![]));
    }

    fn inventory() -> Inventory {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hosts.ini");
        std::fs::write(&file, "[web]\nweb[1:3]\n[db]\ndb1\nweb3\n[empty]\n[dc:children]\ndb\n").unwrap();
        Inventory::load(&[file.to_string_lossy().into_owned()], &Options::default()).unwrap()
    }

    #[test]
    fn selects() {
        let inventory = inventory();
        for (pattern, expected) in [
            ("all", "web1 web2 web3 db1"),
            ("*", "web1 web2 web3 db1"),
            ("db:web", "db1 web3 web1 web2"),
            ("web:&db", "web3"),
            ("web:!db", "web1 web2"),
            ("!db:web", "web1 web2"),
            ("!web", "db1"),
            ("web[0]", "web1"),
            ("web[-1]", "web3"),
            ("web[0:1]", "web1 web2"),
            ("web[1:]", "web2 web3"),
            ("web[5:6]", ""),
            ("~web(1|3)$", "web1 web3"),
            ("w?b2", "web2"),
            ("empty", ""),
            ("ungrouped", ""),
            ("web3", "web3"),
            ("localhost", "localhost"),
            ("127.0.0.1", "localhost"),
            ("dc", "db1 web3"),
        ] {
            assert_eq!(
                inventory.select(pattern).map(|hosts| hosts.join(" ")).as_deref(),
                Ok(expected),
                "{pattern}"
            );
        }
        assert_eq!(inventory.select_within("db", "web").unwrap(), ["web3"]);
        assert_eq!(inventory.limit("db:web1").unwrap(), ["web1", "web3", "db1"]);
    }

    #[test]
    fn mistakes_are_told() {
        let inventory = inventory();
        for (pattern, expected) in [
            ("wbe", "matches no host and no group"),
            ("web:!wbe", "matches no host and no group"),
            ("web[9]", "is not there"),
            ("~web(", "no regular expression"),
            ("!", "empty part"),
        ] {
            let problem = inventory.select(pattern).unwrap_err();
            assert!(problem.message.contains(expected), "{pattern}: {problem:?}");
        }
        assert_eq!(inventory.select("wbe").unwrap_err().hints, ["did you mean `web`?"]);
        assert!(inventory.limit("@/nonexistent").unwrap_err().message.contains("no such file"));
    }

    proptest::proptest! {
        #[test]
        fn laws(a in "(web|db|dc|all|web1|w\\*)", b in "(web|db|empty|web2|\\*3)") {
            let inventory = inventory();
            let set = |pattern: &str| -> HashSet<String> { inventory.select(pattern).unwrap().into_iter().collect() };
            let (first, second) = (set(&a), set(&b));
            proptest::prop_assert_eq!(set(&format!("{a}:{b}")), &first | &second);
            proptest::prop_assert_eq!(set(&format!("{a}:&{b}")), &first & &second);
            proptest::prop_assert_eq!(set(&format!("{a}:!{b}")), &first - &second);
            proptest::prop_assert_eq!(set(&format!("!{b}:{a}")), &first - &second);
            proptest::prop_assert_eq!(inventory.select(&format!("{a},{a}")).unwrap().len(), first.len());
        }

        #[test]
        fn never_panics(pattern in "[a-bw*?\\[\\]0-9:,!&~()é -]{0,16}") {
            let _ = inventory().select(&pattern);
        }
    }
}
