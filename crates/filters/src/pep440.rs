//! The order of Python's package versions (PEP 440).

use std::cmp::Ordering;

use kubespray_value::Error;

/// A sort key made so that the derived order is PEP 440's.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    epoch: u64,
    release: Vec<u64>,
    pre: Pre,
    /// A version without post-release comes before one with.
    post: Option<u64>,
    dev: Dev,
    local: Option<Vec<Local>>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Pre {
    /// `1.0.dev1`: before every pre-release.
    OnlyDev,
    Phase(u8, u64),
    Final,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Dev {
    Number(u64),
    None,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Local {
    Text(String),
    Number(u64),
}

struct Reader<'a>(&'a str);

impl<'a> Reader<'a> {
    fn eat(&mut self, words: &[&str]) -> Option<usize> {
        for (index, word) in words.iter().enumerate() {
            if let Some(rest) = self.0.strip_prefix(word) {
                self.0 = rest;
                return Some(index);
            }
        }
        None
    }

    fn number(&mut self) -> Option<u64> {
        let end = self.0.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.0.len());
        let (digits, rest) = self.0.split_at(end);
        let number = digits.parse().ok()?;
        self.0 = rest;
        Some(number)
    }

    /// A word with separators around it and an optional number behind it.
    fn tagged(&mut self, words: &[&str]) -> Option<(usize, u64)> {
        let before = self.0;
        self.eat(&[".", "-", "_"]);
        let Some(word) = self.eat(words) else {
            self.0 = before;
            return None;
        };
        let behind: &'a str = self.0;
        self.eat(&[".", "-", "_"]);
        let number = self.number();
        if number.is_none() {
            self.0 = behind;
        }
        Some((word, number.unwrap_or(0)))
    }
}

fn key(text: &str) -> Option<Key> {
    let lower = text.trim().to_lowercase();
    let mut reader = Reader(lower.strip_prefix('v').unwrap_or(&lower));
    let mut first = reader.number()?;
    let mut epoch = 0;
    if reader.eat(&["!"]).is_some() {
        epoch = first;
        first = reader.number()?;
    }
    let mut release = vec![first];
    loop {
        let before = reader.0;
        let next = reader.eat(&["."]).and_then(|_| reader.number());
        if let Some(number) = next {
            release.push(number);
        } else {
            reader.0 = before;
            break;
        }
    }
    while release.last() == Some(&0) {
        release.pop();
    }
    let words = ["alpha", "a", "beta", "b", "preview", "pre", "c", "rc"];
    let pre = reader.tagged(&words).map(|(word, number)| {
        let phase = match word {
            0 | 1 => 0,
            2 | 3 => 1,
            _ => 2,
        };
        Pre::Phase(phase, number)
    });
    let before = reader.0;
    let implicit = reader.eat(&["-"]).and_then(|_| reader.number());
    let post = if implicit.is_some() {
        implicit
    } else {
        reader.0 = before;
        reader.tagged(&["post", "rev", "r"]).map(|(_, number)| number)
    };
    let dev = reader.tagged(&["dev"]).map(|(_, number)| number);
    let local = if reader.eat(&["+"]).is_some() {
        let mut parts = Vec::new();
        for part in reader.0.split(['.', '-', '_']) {
            if part.is_empty() || !part.chars().all(|c| c.is_ascii_alphanumeric()) {
                return None;
            }
            parts.push(part.parse().map_or_else(|_| Local::Text(part.to_owned()), Local::Number));
        }
        reader.0 = "";
        Some(parts)
    } else {
        None
    };
    if !reader.0.is_empty() {
        return None;
    }
    let pre = match (pre, post, dev) {
        (Some(pre), ..) => pre,
        (None, None, Some(_)) => Pre::OnlyDev,
        _ => Pre::Final,
    };
    Some(Key { epoch, release, pre, post, dev: dev.map_or(Dev::None, Dev::Number), local })
}

/// The order of two versions; an error for a text that is none.
pub(crate) fn order(a: &str, b: &str) -> Result<Ordering, Error> {
    let key = |text: &str| {
        key(text)
            .ok_or_else(|| Error::of_value(format!("version comparison failed: invalid version `{text}`")))
    };
    Ok(key(a)?.cmp(&key(b)?))
}
