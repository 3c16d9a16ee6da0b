//! Host names with an optional port, as inventories and patterns write them.

use kubespray_value::{Value, parse_int};

/// A host name (or a range of them, such as `node[1:3]`) and the port that was written behind it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Address<'a> {
    /// The name without port and without the brackets around it.
    pub(crate) host: &'a str,
    /// The port; Ansible does not check its size.
    pub(crate) port: Option<Value>,
}

/// Takes a text for a host name with an optional port. `None` where Ansible does not recognise it; the
/// text is then a name as it stands.
pub(crate) fn parse(text: &str) -> Option<Address<'_>> {
    let (mut host, mut port) = (text, None);
    if let Some((inner, digits)) = bracketed(host) {
        (host, port) = (inner, parse_int(digits, 10));
    }
    if let Some((inner, digits)) = with_port(host) {
        (host, port) = (inner, parse_int(digits, 10));
    }
    (is_ipv6_like(host) || is_host_name(host)).then_some(Address { host, port })
}

/// The variable `inventory_hostname_short`: the name up to its first dot; addresses stay whole.
pub fn short_name(host: &str) -> &str {
    match host.split_once('.') {
        Some((short, _)) if !is_ipv4(host) && !is_ipv6_like(host) => short,
        _ => host,
    }
}

fn is_ipv4(text: &str) -> bool {
    let parts: Vec<&str> = text.split('.').collect();
    parts.len() == 4
        && parts.iter().all(|part| {
            (1..=3).contains(&part.len())
                && part.bytes().all(|b| b.is_ascii_digit())
                && part.parse::<u16>().is_ok_and(|n| n <= 255)
        })
}

/// `[name]:22`.
fn bracketed(text: &str) -> Option<(&str, &str)> {
    let (before, digits) = text.rsplit_once(':')?;
    let inner = before.strip_prefix('[')?.strip_suffix(']')?;
    (!inner.is_empty() && is_digits(digits)).then_some((inner, digits))
}

/// `name:22`, where colons inside of brackets belong to the name.
fn with_port(text: &str) -> Option<(&str, &str)> {
    let (before, digits) = text.rsplit_once(':')?;
    if !is_digits(digits) {
        return None;
    }
    let mut inside = false;
    for c in before.chars() {
        match (inside, c) {
            (false, '[') => inside = true,
            (false, ':' | ']') => return None,
            (true, ']') => inside = false,
            _ => {}
        }
    }
    (!inside).then_some((before, digits))
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// Ansible's test for IPv6 looks at the start of the text only (its expression is anchored at the end
/// in one alternative of many), so `fe80::1%eth0` passes too.
fn is_ipv6_like(text: &str) -> bool {
    let mut rest = text;
    let mut count = 0;
    let mut all_zero = true;
    loop {
        if rest.starts_with("::") && count == 0 {
            return true;
        }
        let Some(length) = hex_component(rest) else { return false };
        let (component, after) = rest.split_at(length);
        if count == 7 {
            return true;
        }
        if count == 6 && all_zero && has_dotted_start(rest, 4) {
            return true;
        }
        if count == 6 && has_mapped_end(text) {
            return true;
        }
        let Some(after) = after.strip_prefix(':') else { return false };
        all_zero = all_zero && component == "0";
        count += 1;
        if after.starts_with(':') && (1..=6).contains(&count) {
            return true;
        }
        rest = after;
    }
}

/// `0:0:0:0:0:ffff:192.0.2.3`.
fn has_mapped_end(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let Some(dotted) = lower.strip_prefix("0:0:0:0:0:ffff:") else { return false };
    has_dotted_start(dotted, 4) && dotted.split('.').count() == 4
}

fn has_dotted_start(text: &str, parts: usize) -> bool {
    let mut rest = text;
    for part in 1..=parts {
        let Some(length) = hex_component(rest) else { return false };
        rest = rest.get(length..).unwrap_or("");
        if part < parts {
            let Some(after) = rest.strip_prefix('.') else { return false };
            rest = after;
        }
    }
    true
}

/// The length of `0..ffff` or of a range such as `[1:f]` at the start of a text.
fn hex_component(text: &str) -> Option<usize> {
    if text.starts_with('[') {
        let end = text.find(']')?;
        let bounds: Vec<&str> = text.get(1..end)?.split(':').collect();
        let hex = |t: &&str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_hexdigit());
        return match bounds.as_slice() {
            [a, b] if hex(a) && hex(b) => Some(end + 1),
            [a, b, step] if hex(a) && hex(b) && is_digits(step) => Some(end + 1),
            _ => None,
        };
    }
    let length = text.bytes().take(4).take_while(u8::is_ascii_hexdigit).count();
    (length > 0).then_some(length)
}

/// Labels of letters, digits, `_`, `-` and ranges, joined by dots; no label starts with `-` or ends with
/// `-` or `_`. Addresses of IPv4 are such names too.
fn is_host_name(text: &str) -> bool {
    let mut rest = text;
    let mut last = '.';
    while let Some(c) = rest.chars().next() {
        let length = match c {
            '[' => match alphanumeric_range(rest) {
                Some(length) => length,
                None => return false,
            },
            '.' if matches!(last, '.' | '-' | '_') => return false,
            '-' if last == '.' => return false,
            '.' | '-' | '_' => 1,
            c if c.is_alphanumeric() => c.len_utf8(),
            _ => return false,
        };
        last = c;
        rest = rest.get(length..).unwrap_or("");
    }
    !matches!(last, '.' | '-' | '_')
}

/// The length of `[a:f]`, `[1:3]` or `[1:9:2]` at the start of a text.
fn alphanumeric_range(text: &str) -> Option<usize> {
    let end = text.find(']')?;
    let bounds: Vec<&str> = text.get(1..end)?.split(':').collect();
    let letter = |t: &str| t.len() == 1 && t.bytes().all(|b| b.is_ascii_alphabetic());
    let (first, last) = match bounds.as_slice() {
        [first, last] => (first, last),
        [first, last, step] if is_digits(step) => (first, last),
        _ => return None,
    };
    let fits = (letter(first) && letter(last)) || (is_digits(first) && is_digits(last));
    fits.then_some(end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_ports() {
        for (text, expected) in [
            ("node1", Some(("node1", None))),
            ("node1:22", Some(("node1", Some(22)))),
            ("node1:0", Some(("node1", Some(0)))),
            ("10.0.0.1:2222", Some(("10.0.0.1", Some(2222)))),
            ("node[1:3]", Some(("node[1:3]", None))),
            ("node[1:3]:22", Some(("node[1:3]", Some(22)))),
            ("node[01:10:2].example.com", Some(("node[01:10:2].example.com", None))),
            ("[2001:db8::1]:22", Some(("2001:db8::1", Some(22)))),
            ("[node1]:22", Some(("node1", Some(22)))),
            ("2001:db8::1", Some(("2001:db8::1", None))),
            ("::1", Some(("::1", None))),
            ("1:2:3:4:5:6:7:8", Some(("1:2:3:4:5:6:7:8", None))),
            ("0:0:0:0:0:ffff:192.0.2.3", Some(("0:0:0:0:0:ffff:192.0.2.3", None))),
            ("fe80::[1:3]", Some(("fe80::[1:3]", None))),
            ("마스터1", Some(("마스터1", None))),
            ("a_b-c", Some(("a_b-c", None))),
            ("_a", Some(("_a", None))),
            ("[node1]", None),
            ("[2001:db8::1]", None),
            ("a-", None),
            ("-a", None),
            ("a..b", None),
            ("", None),
            (":22", None),
            ("a:b", None),
            ("a b", None),
            ("node[1:c]", None),
            ("node[1]", None),
            ("a:&b", None),
            ("*", None),
        ] {
            let found = parse(text).map(|a| (a.host, a.port.and_then(|p| p.as_i64())));
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn ipv4() {
        for (text, expected) in [
            ("10.0.0.1", true),
            ("255.255.255.255", true),
            ("256.1.1.1", false),
            ("1.2.3", false),
            ("a.b.c.d", false),
        ] {
            assert_eq!(is_ipv4(text), expected, "{text}");
        }
        assert_eq!(short_name("node1.example.com"), "node1");
        assert_eq!(short_name("10.0.0.1"), "10.0.0.1");
        assert_eq!(short_name("::ffff:10.0.0.1"), "::ffff:10.0.0.1");
    }
}
