//! Ranges in host names: `node[1:3]`, `[01:10]`, `[a:f]`, `[0:10:2]`, several in one name.

use kubespray_value::parse_int;

/// More hosts than any cluster has; a slip such as `[1:99999999]` must not eat the memory.
pub(crate) const MOST_HOSTS: usize = 100_000;

/// More ranges than any name has; bounds the depth of the expansion.
const MOST_RANGES: usize = 32;

const LETTERS: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// Whether a name holds something that Ansible takes for a range.
pub(crate) fn is_range(name: &str) -> bool {
    name.contains('[')
}

/// All names of a range, the last range running fastest. Errors say what is wrong with the range.
pub(crate) fn expand(name: &str) -> Result<Vec<String>, String> {
    if !is_range(name) {
        return Ok(vec![name.to_owned()]);
    }
    let mut out = Vec::new();
    expand_into(name, 1, &mut out)?;
    Ok(out)
}

fn expand_into(name: &str, depth: usize, out: &mut Vec<String>) -> Result<(), String> {
    if depth > MOST_RANGES {
        return Err(format!("a name cannot hold more than {MOST_RANGES} ranges"));
    }
    let (head, range, tail) = split(name)?;
    for text in sequence(range)? {
        let expanded = format!("{head}{text}{tail}");
        if is_range(&expanded) {
            expand_into(&expanded, depth + 1, out)?;
        } else {
            out.push(expanded);
        }
        if out.len() > MOST_HOSTS {
            return Err(format!("the range stands for more than {MOST_HOSTS} hosts"));
        }
    }
    Ok(())
}

fn split(name: &str) -> Result<(&str, &str, &str), String> {
    let unclear = || "the brackets of the range do not pair up".to_owned();
    let (head, rest) = name.split_once('[').ok_or_else(unclear)?;
    let (range, tail) = rest.split_once(']').ok_or_else(unclear)?;
    // Ansible replaces the brackets by bars and splits at bars.
    if head.contains(']') || name.contains('|') {
        return Err(unclear());
    }
    Ok((head, range, tail))
}

fn sequence(range: &str) -> Result<Vec<String>, String> {
    let bounds: Vec<&str> = range.split(':').collect();
    let (first, last, step) = match bounds.as_slice() {
        [first, last] => (*first, *last, "1"),
        [first, last, step] => (*first, *last, *step),
        _ => return Err("a range is written `[first:last]` or `[first:last:step]`".to_owned()),
    };
    let first = if first.is_empty() { "0" } else { first };
    if last.is_empty() {
        return Err("the range has no last value".to_owned());
    }
    let padded = first.len() > 1 && first.starts_with('0');
    if padded && first.chars().count() != last.chars().count() {
        return Err(format!("`{first}` and `{last}` must have the same number of digits"));
    }
    let width = if padded { first.len() } else { 0 };
    let step = whole_number(step).ok_or_else(|| format!("the step `{step}` is no whole number"))?;
    if step <= 0 {
        return Err(format!("the step `{step}` must be 1 or more"));
    }
    let step = usize::try_from(step).unwrap_or(usize::MAX);
    if let (Some(from), Some(to)) = (LETTERS.find(first), LETTERS.find(last)) {
        if from > to {
            return Err(format!("`{first}` comes after `{last}`"));
        }
        let letters = LETTERS.chars().skip(from).take(to - from + 1).step_by(step);
        return Ok(letters.map(String::from).collect());
    }
    let (Some(from), Some(to)) = (whole_number(first), whole_number(last)) else {
        return Err(format!("`{first}` and `{last}` must be two numbers or two letters"));
    };
    if from > to {
        return Err(format!("`{first}` is larger than `{last}`: the range stands for no host"));
    }
    // Bounded before anything is built.
    let count = to.abs_diff(from) / u64::try_from(step).unwrap_or(u64::MAX);
    if count >= MOST_HOSTS as u64 {
        return Err(format!("the range stands for more than {MOST_HOSTS} hosts"));
    }
    Ok((from..=to).step_by(step).map(|n| format!("{n:0width$}")).collect())
}

fn whole_number(text: &str) -> Option<i64> {
    parse_int(text, 10)?.as_i64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expands_as_ansible_expands() {
        for (name, expected) in [
            ("node", "node"),
            ("node[1:3]", "node1 node2 node3"),
            ("n[01:03]x", "n01x n02x n03x"),
            ("n[8:10]", "n8 n9 n10"),
            ("n[08:10]", "n08 n09 n10"),
            ("n[:2]", "n0 n1 n2"),
            ("n[a:c]", "na nb nc"),
            ("n[x:B]", "nx ny nz nA nB"),
            ("n[0:10:4]", "n0 n4 n8"),
            ("n[a:e:2]", "na nc ne"),
            ("r[1:2]n[a:b]", "r1na r1nb r2na r2nb"),
            ("n[5:5]", "n5"),
            ("2001:db8::[9:11]", "2001:db8::9 2001:db8::10 2001:db8::11"),
        ] {
            assert_eq!(expand(name).map(|names| names.join(" ")).as_deref(), Ok(expected), "{name}");
        }
    }

    #[test]
    fn refuses_broken_ranges() {
        for name in [
            "n[",
            "n[]",
            "n[1]",
            "n[1:]",
            "n]1[",
            "n[1:2",
            "n[3:1]",
            "n[c:a]",
            "n[1:c]",
            "n[01:1]",
            "n[1:2:0]",
            "n[1:2:x]",
            "n[1:2:3:4]",
            "n[0:99999999999]",
            "n[0:999][0:999]",
            "a|b[1:2]",
            "n[1:99999999999999999999]",
        ] {
            assert!(expand(name).is_err(), "{name}");
        }
        assert!(expand(&"[1:1]".repeat(1000)).is_err());
    }

    proptest::proptest! {
        #[test]
        fn never_panics(name in "[a-c0-3:\\[\\]|é-]{0,24}") {
            let _ = expand(&name);
        }

        #[test]
        fn gives_as_many_as_it_says(from in 0_usize..500, count in 0_usize..500, step in 1_usize..9) {
            let names = expand(&format!("n[{from}:{}:{step}]", from + count)).unwrap();
            proptest::prop_assert_eq!(names.len(), count / step + 1);
            proptest::prop_assert_eq!(names.first().cloned(), Some(format!("n{from}")));
        }
    }
}
