//! Did-you-mean.

use std::collections::BTreeSet;

/// Names further away than this share of their length are no help.
const FARTHEST: f64 = 0.34;

/// The candidate that `name` was most likely meant to be.
///
/// Long variable names are mistyped in two ways: a slip of the finger (found by edit distance) and
/// the right words in a wrong order or with one left out (found by comparing words).
pub fn did_you_mean<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = name.to_lowercase();
    let words = words_of(&wanted);
    let length = wanted.chars().count().max(1);
    let mut best: Option<(f64, &str)> = None;
    for candidate in candidates {
        if candidate == name {
            continue;
        }
        let lower = candidate.to_lowercase();
        let other_length = lower.chars().count();
        let mut score = f64::INFINITY;
        if length.abs_diff(other_length) as f64 <= FARTHEST * length as f64 + 1.0 {
            let distance = strsim::damerau_levenshtein(&wanted, &lower);
            if distance as f64 <= (FARTHEST * length as f64).max(1.0) {
                score = distance as f64 / length as f64;
            }
        }
        if words.len() > 1 {
            let other = words_of(&lower);
            let shared = words.intersection(&other).count();
            let different = words.len().max(other.len()) - shared;
            if different == 0 {
                score = score.min(0.05);
            } else if shared >= 2 && different == 1 {
                score = score.min(0.3);
            }
        }
        // Ties go to the name that sorts first, so that the same input gives the same advice.
        if score.is_finite() && best.is_none_or(|(s, n)| score.total_cmp(&s).then(candidate.cmp(n)).is_lt()) {
            best = Some((score, candidate));
        }
    }
    best.map(|(_, name)| name)
}

fn words_of(name: &str) -> BTreeSet<&str> {
    name.split(['_', '-', '.']).filter(|word| !word.is_empty()).collect()
}

/// `a`, `b` and `c`: names in backticks for a message, at most `limit` of them.
pub fn quoted_list<I: IntoIterator<Item: AsRef<str>>>(names: I, limit: usize) -> String {
    let names: Vec<String> = names.into_iter().map(|name| format!("`{}`", name.as_ref())).collect();
    let shown = &names[..names.len().min(limit)];
    let hidden = names.len() - shown.len();
    match shown {
        [] => String::new(),
        _ if hidden > 0 => format!("{} and {hidden} more", shown.join(", ")),
        [only] => only.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 4] =
        ["kube_network_plugin", "kube_network_plugin_multus", "calico_ipip_mode", "dns_mode"];

    #[test]
    fn finds_slips_and_swapped_words() {
        assert_eq!(did_you_mean("kube_netwrok_plugin", NAMES), Some("kube_network_plugin"));
        assert_eq!(did_you_mean("network_kube_plugin", NAMES), Some("kube_network_plugin"));
        assert_eq!(did_you_mean("dns_mod", NAMES), Some("dns_mode"));
    }

    #[test]
    fn stays_silent_where_nothing_is_near() {
        assert_eq!(did_you_mean("my_company_rack", NAMES), None);
        assert_eq!(did_you_mean("", NAMES), None);
    }

    #[test]
    fn lists_read_as_prose() {
        assert_eq!(quoted_list(["a", "b", "c"], 5), "`a`, `b` and `c`");
        assert_eq!(quoted_list(["a", "b", "c"], 2), "`a`, `b` and 1 more");
        assert_eq!(quoted_list(["a"], 2), "`a`");
    }
}
