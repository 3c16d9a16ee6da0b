//! Numbers and lists as people read them.

/// Longer names do not make a column wider: `format!` cannot pad beyond 65,535, and nobody reads such a line.
pub const WIDEST_COLUMN: usize = 255;

/// `1 host`, `2 hosts`.
pub fn plural(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// `340 ms`, `2.1 s`, `3 min 20 s`.
pub fn duration(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        _ => format!("{} min {} s", ms / 60_000, ms % 60_000 / 1_000),
    }
}

/// `a`, `a and b`, `a, b, c and 4 more`: at most `most` are named.
pub fn list(items: &[&str], most: usize) -> String {
    let shown = if items.len() > most { items.get(..most).unwrap_or(items) } else { items };
    match (shown.split_last(), items.len() - shown.len()) {
        (None, _) => String::new(),
        (Some(_), more @ 1..) => format!("{} and {more} more", shown.join(", ")),
        (Some((last, [])), 0) => (*last).to_owned(),
        (Some((last, rest)), 0) => format!("{} and {last}", rest.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts() {
        assert_eq!((plural(1, "host"), plural(0, "host")), ("1 host".into(), "0 hosts".into()));
        assert_eq!(duration(999), "999 ms");
        assert_eq!(duration(2_190), "2.1 s");
        assert_eq!(duration(200_000), "3 min 20 s");
        assert_eq!(list(&[], 3), "");
        assert_eq!(list(&["a"], 3), "a");
        assert_eq!(list(&["a", "b", "c"], 3), "a, b and c");
        assert_eq!(list(&["a", "b", "c", "d"], 2), "a, b and 2 more");
    }
}
