//! URLs as Python's `urllib` reads and writes them.

use kubespray_jinja::{Args, Context, Library};
use kubespray_value::{Error, Map, Value};

use crate::support::{entries, filters, is_mapping, lenient_tests, need_str, str_or, text};

pub(crate) fn add(library: &mut Library) {
    filters!(library, "";
        "urlencode" => url_encode,
    );
    filters!(library, "ansible.builtin.";
        "urldecode" => url_decode,
        "urlsplit" => url_split,
    );
    lenient_tests!(library, "ansible.builtin.";
        "uri" => is_uri,
        "url" => is_url,
        "urn" => is_urn,
    );
}

fn percent_encoded(text: &str, is_query: bool) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'.' | b'-' | b'~' => out.push(char::from(byte)),
            b'/' if !is_query => out.push('/'),
            b' ' if is_query => out.push('+'),
            byte => {
                use std::fmt::Write;
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

/// `key=value` pairs with `&` between them, of a map or of a list of pairs.
fn joined_pairs(value: &Value, quote: &dyn Fn(&Value) -> Result<String, Error>) -> Result<String, Error> {
    let pairs = if let Some(pairs) = entries(value)? {
        pairs
    } else {
        let mut pairs = Vec::new();
        for pair in value.iterate()? {
            match pair.iterate()?.as_slice() {
                [key, value] => pairs.push((key.clone(), value.clone())),
                _ => return Err(Error::of_value("expected pairs of key and value")),
            }
        }
        pairs
    };
    let mut parts = Vec::with_capacity(pairs.len());
    for (key, value) in &pairs {
        parts.push(format!("{}={}", quote(key)?, quote(value)?));
    }
    Ok(parts.join("&"))
}

fn url_encode(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&[])?;
    let is_iterable = is_mapping(&value) || value.as_sequence().is_some();
    if is_iterable {
        return joined_pairs(&value, &|part| Ok(percent_encoded(&text(part)?, true))).map(Value::str);
    }
    Ok(Value::str(percent_encoded(&text(&value)?, false)))
}

/// Decodes `%XX` sequences; what is no UTF-8 becomes the replacement character.
fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let digits = text.get(at + 1..at + 3).filter(|_| *byte == b'%');
        if let Some(decoded) = digits
            .filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()))
            .and_then(|d| u8::from_str_radix(d, 16).ok())
        {
            out.push(decoded);
            at += 3;
        } else {
            out.push(*byte);
            at += 1;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn url_decode(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&["encoding", "errors"])?;
    let text = need_str(&value, "the input")?;
    Ok(Value::str(percent_decoded(&text.replace('+', " "))))
}

/// The parts of a URL.
struct Url {
    scheme: String,
    netloc: String,
    path: String,
    query: String,
    fragment: String,
}

impl Url {
    fn parse(text: &str) -> Result<Self, Error> {
        let text = text.trim_start_matches(|c: char| u32::from(c) <= 0x20);
        let mut rest: String = text.chars().filter(|c| !matches!(c, '\t' | '\n' | '\r')).collect();
        let mut scheme = String::new();
        if let Some((head, tail)) = rest.split_once(':') {
            let valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
            if head.starts_with(|c: char| c.is_ascii_alphabetic()) && head.chars().all(valid) {
                scheme = head.to_ascii_lowercase();
                rest = tail.to_owned();
            }
        }
        let mut netloc = String::new();
        if let Some(behind) = rest.strip_prefix("//") {
            let end = behind.find(['/', '?', '#']).unwrap_or(behind.len());
            let (head, tail) = behind.split_at(end);
            head.clone_into(&mut netloc);
            rest = tail.to_owned();
            if netloc.contains('[') != netloc.contains(']') {
                return Err(Error::of_value("invalid IPv6 URL"));
            }
            if let Some((_, inside)) = netloc.split_once('[') {
                let address = inside.split(']').next().unwrap_or("");
                let address = address.split('%').next().unwrap_or("");
                let future = address.starts_with('v');
                if !future && address.parse::<std::net::Ipv6Addr>().is_err() {
                    return Err(Error::of_value(format!("`{address}` is no IPv6 address")));
                }
            }
        }
        let (rest, fragment) = rest.split_once('#').unwrap_or((&rest, ""));
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        Ok(Self { scheme, netloc, path: path.into(), query: query.into(), fragment: fragment.into() })
    }

    fn user_and_password(&self) -> (Option<&str>, Option<&str>) {
        let Some((user_info, _)) = self.netloc.rsplit_once('@') else { return (None, None) };
        match user_info.split_once(':') {
            Some((user, password)) => (Some(user), Some(password)),
            None => (Some(user_info), None),
        }
    }

    fn host_and_port(&self) -> (Option<String>, Option<&str>) {
        let host_info = self.netloc.rsplit_once('@').map_or(self.netloc.as_str(), |(_, host)| host);
        let (host, port) = match host_info.split_once('[') {
            Some((_, bracketed)) => {
                let (host, behind) = bracketed.split_once(']').unwrap_or((bracketed, ""));
                (host, behind.split_once(':').map(|(_, port)| port))
            }
            None => host_info.split_once(':').map_or((host_info, None), |(host, port)| (host, Some(port))),
        };
        let host = match host.split_once('%') {
            Some((host, zone)) => format!("{}%{zone}", host.to_lowercase()),
            None => host.to_lowercase(),
        };
        (Some(host).filter(|host| !host.is_empty()), port.filter(|port| !port.is_empty()))
    }
}

fn url_split(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&["query", "alias"])?;
    let url = Url::parse(need_str(&value, "the URL")?)?;
    let (user, password) = url.user_and_password();
    let (host, port) = url.host_and_port();
    let port = match port {
        None => Value::None,
        Some(digits) => {
            let port =
                if digits.bytes().all(|b| b.is_ascii_digit()) { digits.parse::<u16>().ok() } else { None };
            let port =
                port.ok_or_else(|| Error::of_value(format!("port `{digits}` is no number up to 65535")))?;
            Value::Int(i64::from(port))
        }
    };
    let or_none = |part: Option<&str>| part.map_or(Value::None, Value::from);
    let parts = [
        ("fragment", Value::from(url.fragment.as_str())),
        ("hostname", or_none(host.as_deref())),
        ("netloc", Value::from(url.netloc.as_str())),
        ("password", or_none(password)),
        ("path", Value::from(url.path.as_str())),
        ("port", port),
        ("query", Value::from(url.query.as_str())),
        ("scheme", Value::from(url.scheme.as_str())),
        ("username", or_none(user)),
    ];
    let parts: Map = parts.into_iter().map(|(name, part)| (Value::from(name), part)).collect();
    match str_or(args, 0, "query", "")? {
        "" => Ok(Value::map(parts)),
        wanted => parts
            .get(wanted)
            .cloned()
            .ok_or_else(|| Error::of_value(format!("urlsplit: unknown URL component: {wanted}"))),
    }
}

fn uri(value: &Value, schemes: Option<&Value>) -> Option<Url> {
    let url = Url::parse(value.as_str()?).ok()?;
    match schemes {
        Some(schemes) if schemes.truthy().ok()? => {
            let scheme = Value::from(url.scheme.as_str());
            crate::support::contains(schemes, &scheme).ok()?.then_some(url)
        }
        _ => Some(url),
    }
}

fn is_uri(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    args.only(&["schemes"])?;
    // Python reads `None` as an empty URL.
    Ok(uri(&value, args.get(0, "schemes")).is_some() || (value.is_none() && args.get(0, "schemes").is_none()))
}

fn is_url(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    args.only(&["schemes"])?;
    let url = uri(&value, args.get(0, "schemes"));
    Ok(url.is_some_and(|url| !url.netloc.is_empty() || url.scheme == "file"))
}

fn is_urn(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    args.only(&[])?;
    Ok(uri(&value, Some(&Value::list(vec!["urn".into()]))).is_some())
}
