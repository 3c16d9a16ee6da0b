//! JSON: `to_json`, `to_nice_json`, `from_json`, `tojson`.

use kubespray_jinja::{Args, Context, Library};
use kubespray_value::json::{self, Layout};
use kubespray_value::{Error, Map, Value};

use crate::support::{decoded, entries, filters, need_str, optional, within_limit};

pub(crate) fn add(library: &mut Library) {
    filters!(library, "";
        "tojson" => html_json,
    );
    filters!(library, "ansible.builtin.";
        "from_json" => from_json,
        "to_json" => to_json,
        "to_nice_json" => to_nice_json,
    );
}

/// The arguments of Python's `json.dumps` that can be given in a template.
struct Options {
    indent: Option<String>,
    sort_keys: bool,
    ascii: bool,
    allow_nan: bool,
    skip_keys: bool,
    separators: Option<(String, String)>,
    /// Whether dates may become texts.
    dates: bool,
}

impl Options {
    fn read(args: &Args, nice: bool) -> Result<Self, Error> {
        // Only `to_nice_json` has parameters by position.
        let position = |index: usize| if nice { index } else { usize::MAX };
        if !nice && !args.positional.is_empty() {
            return Err(Error::of_type("to_json takes named arguments only"));
        }
        if args.positional.len() > 2 {
            return Err(Error::of_type("takes at most 2 arguments without a name"));
        }
        for (name, _) in &args.named {
            if !matches!(
                &**name,
                "indent"
                    | "sort_keys"
                    | "ensure_ascii"
                    | "separators"
                    | "skipkeys"
                    | "allow_nan"
                    | "check_circular"
                    | "default"
                    | "vault_to_text"
                    | "preprocess_unsafe"
            ) {
                return Err(Error::of_type(format!("unexpected argument `{name}`")));
            }
        }
        let named_flag = |name: &str, default: bool| args.named(name).map_or(Ok(default), Value::truthy);
        let indent = match args.get(position(0), "indent") {
            None if nice => Some(" ".repeat(4)),
            None | Some(Value::None) => None,
            Some(Value::Str(indent)) => Some(indent.as_str().to_owned()),
            Some(indent) => {
                let indent =
                    indent.as_i64().ok_or_else(|| Error::of_type("`indent` must be an integer or text"))?;
                let indent = usize::try_from(indent).unwrap_or(0);
                within_limit(indent.saturating_mul(1000))?;
                Some(" ".repeat(indent))
            }
        };
        let separators = match optional(args, usize::MAX, "separators") {
            Some(given) if !nice => match given.iterate()?.as_slice() {
                [item, key] => Some((
                    need_str(item, "a separator")?.to_owned(),
                    need_str(key, "a separator")?.to_owned(),
                )),
                _ => return Err(Error::of_value("`separators` must be two texts")),
            },
            _ if nice && indent.is_none() => Some((",".to_owned(), ": ".to_owned())),
            _ => None,
        };
        Ok(Self {
            dates: true,
            indent,
            sort_keys: args.get(position(1), "sort_keys").map_or(Ok(nice), Value::truthy)?,
            ascii: named_flag("ensure_ascii", true)?,
            allow_nan: named_flag("allow_nan", true)?,
            skip_keys: named_flag("skipkeys", false)?,
            separators,
        })
    }
}

const DEEPEST: usize = 500;

/// Without the keys that JSON cannot hold, and without numbers that are none where those are refused.
fn checked(value: &Value, options: &Options, depth: usize) -> Result<Value, Error> {
    if depth > DEEPEST {
        return Err(Error::of_value("value is nested too deeply for JSON"));
    }
    if let Value::Float(f) = value
        && !f.is_finite()
        && !options.allow_nan
    {
        return Err(Error::of_value("out of range float values are not JSON compliant"));
    }
    if matches!(value, Value::Date(_) | Value::DateTime(_)) && !options.dates {
        return Err(Error::of_type(format!("`{}` is not JSON serializable", value.type_name())));
    }
    if let Value::Bytes(bytes) = value {
        return match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Value::str(text)),
            Err(_) => Err(Error::of_value("bytes that are no UTF-8 cannot become JSON")),
        };
    }
    if let Some(items) = value.as_sequence() {
        let items: Result<_, _> = items.iter().map(|item| checked(item, options, depth + 1)).collect();
        return Ok(Value::list(items?));
    }
    let Some(entries) = entries(value)? else { return Ok(value.clone()) };
    let mut map = Map::new();
    for (key, value) in entries {
        let fits = json::key_text(&key).is_ok();
        if fits || !options.skip_keys {
            map.insert(key, checked(&value, options, depth + 1)?);
        }
    }
    Ok(Value::map(map))
}

/// Keys that have no order among each other cannot be sorted.
fn sortable(value: &Value) -> Result<(), Error> {
    if let Some(items) = value.as_sequence() {
        return items.iter().try_for_each(sortable);
    }
    let Some(map) = value.as_map() else { return Ok(()) };
    if let Some(first) = map.keys().next() {
        for key in map.keys() {
            key.compare(first)?;
        }
    }
    map.values().try_for_each(sortable)
}

fn written(value: &Value, options: &Options) -> Result<String, Error> {
    let value = checked(value, options, 0)?;
    if options.sort_keys {
        sortable(&value)?;
    }
    let layout = Layout {
        indent: options.indent.as_ref().map(|_| 1),
        sort_keys: options.sort_keys,
        ascii: options.ascii,
    };
    let text = json::write(&value, layout)?;
    let indent = options.indent.as_deref().unwrap_or(" ");
    if indent == " " && options.separators.is_none() {
        return Ok(text);
    }
    Ok(laid_out(&text, options.indent.as_deref(), options.separators.as_ref()))
}

/// Replaces separators and the single blanks of indentation in JSON.
fn laid_out(text: &str, indent: Option<&str>, separators: Option<&(String, String)>) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    let mut in_text = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' => {
                in_text = !in_text;
                out.push(c);
            }
            '\\' if in_text => {
                out.push(c);
                out.extend(chars.next());
            }
            ',' | ':' if !in_text => match separators {
                Some((item, key)) => {
                    chars.next_if_eq(&' ');
                    out.push_str(if c == ',' { item } else { key });
                }
                None => out.push(c),
            },
            '\n' => {
                out.push(c);
                while chars.next_if_eq(&' ').is_some() {
                    out.push_str(indent.unwrap_or(""));
                }
            }
            c => out.push(c),
        }
    }
    out
}

fn to_json(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    written(&value, &Options::read(args, false)?).map(Value::str)
}

fn to_nice_json(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    written(&value, &Options::read(args, true)?).map(Value::str)
}

fn from_json(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&[])?;
    if !matches!(value, Value::Str(_) | Value::Bytes(_)) {
        return Err(Error::of_type(format!("the JSON object must be a text, not `{}`", value.type_name())));
    }
    json::read(&decoded(&value)?)
}

/// JSON that may stand in HTML.
fn html_json(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&["indent"])?;
    let mut options = Options::read(&Args::default(), false)?;
    (options.sort_keys, options.dates) = (true, false);
    options.indent = match optional(args, 0, "indent") {
        None => None,
        Some(indent) => Options::read(&Args::of(vec![indent.clone()]), true)?.indent,
    };
    let text = written(&value, &options)?;
    Ok(Value::str(
        text.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026").replace('\'', "\\u0027"),
    ))
}
