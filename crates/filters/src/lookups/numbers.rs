//! The lookup `sequence`.

use kubespray_jinja::{Args, Context};
use kubespray_value::{Error, Value};

use crate::support::{need_str, within_limit};

#[derive(Default)]
struct Options {
    start: Option<i64>,
    end: Option<i64>,
    stride: Option<i64>,
    count: Option<i64>,
    format: Option<String>,
}

impl Options {
    fn set(&mut self, name: &str, value: &str) -> Result<(), Error> {
        let number = || {
            number(value).ok_or_else(|| {
                Error::of_value(format!("`{name}` of the lookup `sequence` is no integer: {value}"))
            })
        };
        match name {
            "start" => self.start = Some(number()?),
            "end" => self.end = Some(number()?),
            "stride" => self.stride = Some(number()?),
            "count" => self.count = Some(number()?),
            "format" => self.format = Some(value.to_owned()),
            other => {
                return Err(Error::of_value(format!(
                    "unrecognized argument `{other}` to the lookup `sequence`"
                )));
            }
        }
        Ok(())
    }
}

/// Ansible reads these as decimal numbers only.
fn number(text: &str) -> Option<i64> {
    kubespray_value::parse_int(text, 10).and_then(|number| number.as_i64())
}

/// The digits at the start of a text, as `0x1f` or `12`, and the rest.
fn digits(text: &str) -> Option<(&str, &str)> {
    let prefix = if text.get(..2).is_some_and(|p| p.eq_ignore_ascii_case("0x")) { 2 } else { 0 };
    let length = text.bytes().skip(prefix).take_while(u8::is_ascii_hexdigit).count();
    if length == 0 && prefix == 0 { None } else { text.split_at_checked(prefix + length) }
}

/// `[start-]end[/stride][:format]`.
fn shortcut(term: &str, options: &mut Options) -> Option<Result<(), Error>> {
    let (first, mut rest) = digits(term)?;
    let mut end = first;
    let mut start = None;
    if let Some((second, behind)) = rest.strip_prefix('-').and_then(digits) {
        start = Some(first);
        (end, rest) = (second, behind);
    }
    let mut stride = None;
    if let Some((found, behind)) = rest.strip_prefix('/').and_then(digits) {
        stride = Some(found);
        rest = behind;
    }
    let format = rest.strip_prefix(':').filter(|format| !format.is_empty());
    if format.is_none() && !rest.is_empty() {
        return None;
    }
    let given = [("start", start), ("end", Some(end)), ("stride", stride), ("format", format)];
    Some(
        given
            .into_iter()
            .try_for_each(|(name, value)| value.map_or(Ok(()), |value| options.set(name, value))),
    )
}

/// Splits at blanks that stand outside of quotes.
fn words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for c in text.chars() {
        match quote {
            Some(open) if open == c => quote = None,
            None if matches!(c, '\'' | '"') => quote = Some(c),
            None if c.is_whitespace() => {
                words.push(String::new());
                continue;
            }
            _ => {}
        }
        words.last_mut().into_iter().for_each(|word| word.push(c));
    }
    words.retain(|word| !word.is_empty());
    words
}

pub(super) fn sequence(_: &Context<'_>, terms: &[Value], named: &Args) -> Result<Vec<Value>, Error> {
    let mut all = Vec::new();
    for term in terms {
        let mut options = Options::default();
        let known = |name: &str| matches!(name, "start" | "end" | "stride" | "count" | "format");
        for (name, value) in named.named.iter().filter(|(name, _)| known(name)) {
            options.set(name, &crate::support::text(value)?)?;
        }
        let term = need_str(term, "a sequence")?;
        match shortcut(term, &mut options) {
            Some(done) => done?,
            None => {
                for word in words(term) {
                    let (name, value) = word.split_once('=').ok_or_else(|| {
                        Error::of_value(format!("unrecognized arguments to the lookup `sequence`: {word}"))
                    })?;
                    let quoted = ['\'', '"'].into_iter().find_map(|quote| {
                        value.strip_prefix(quote).and_then(|value| value.strip_suffix(quote))
                    });
                    options.set(name, quoted.unwrap_or(value))?;
                }
            }
        }
        all.extend(numbers(options)?);
        within_limit(all.len())?;
    }
    Ok(all)
}

fn numbers(options: Options) -> Result<Vec<Value>, Error> {
    let (mut start, mut stride) = (options.start.unwrap_or(1), options.stride.unwrap_or(1));
    let format = options.format.unwrap_or_else(|| "%d".into());
    let end = match (options.count, options.end) {
        (None, None) => return Err(Error::of_value("must specify count or end in the lookup `sequence`")),
        (Some(_), Some(_)) => {
            return Err(Error::of_value("can't specify both count and end in the lookup `sequence`"));
        }
        (Some(0), None) => {
            (start, stride) = (0, 0);
            0
        }
        (Some(count), None) => count
            .checked_mul(stride)
            .and_then(|length| length.checked_add(start))
            .and_then(|end| end.checked_sub(1))
            .ok_or_else(|| Error::of_value("the sequence is too long"))?,
        (None, Some(end)) => end,
    };
    if stride > 0 && end < start {
        return Err(Error::of_value("to count backwards make stride negative"));
    }
    if stride < 0 && end > start {
        return Err(Error::of_value("to count forward don't make stride negative"));
    }
    if format.matches('%').count() != 1 {
        return Err(Error::of_value(format!("bad formatting string: {format}")));
    }
    if stride == 0 {
        return Ok(Vec::new());
    }
    let count = start.abs_diff(end) / stride.unsigned_abs() + 1;
    within_limit(usize::try_from(count).unwrap_or(usize::MAX))?;
    let mut all = Vec::new();
    let mut number = start;
    for _ in 0..count {
        all.push(Value::str(kubespray_jinja::printf(&format, &Value::Int(number))?));
        number = number.saturating_add(stride);
    }
    Ok(all)
}
