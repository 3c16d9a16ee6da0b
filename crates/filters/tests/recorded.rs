//! Every call in `tests/data` gives what Ansible gave when the tables were recorded.
//!
//! A row names a filter, test or function, its input and arguments, and the result or the error. JSON
//! has no tuples and the like, so a map with one key that starts with `$` stands for them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a table that cannot be read fails its test")]

use std::path::{Path, PathBuf};

use kubespray_filters::{SystemWorld, library};
use kubespray_jinja::{Args, Context, Scope, World};
use kubespray_value::{DateTime, Error, ErrorKind, Map, Value, json};
use proptest::prelude::*;

#[derive(Debug)]
struct Variables;

impl Scope for Variables {
    fn resolve(&self, name: &str) -> Result<Option<Value>, Error> {
        Ok(match name {
            "myvar" => Some("myvalue".into()),
            "mylist" => Some(Value::list(vec![Value::Int(1), Value::Int(2)])),
            "templated" => Some("myvalue!".into()),
            "inventory_hostname" => Some("h1".into()),
            _ => None,
        })
    }

    fn names(&self) -> Vec<String> {
        ["myvar", "mylist", "templated", "inventory_hostname"].map(str::to_owned).to_vec()
    }

    fn template(&self, value: &Value) -> Result<Value, Error> {
        if let Value::List(items) = value {
            return Ok(Value::list(items.iter().map(|item| self.template(item)).collect::<Result<_, _>>()?));
        }
        Ok(match value.as_str() {
            Some(text) if text.contains("{{ nope }}") => Value::undefined("`nope` is undefined"),
            Some(text) => text.replace("{{ myvar }}", "myvalue").into(),
            None => value.clone(),
        })
    }
}

/// The machine of the recording, as far as results depend on it.
#[derive(Debug)]
struct Recorded(SystemWorld);

impl World for Recorded {
    fn environment(&self, name: &str) -> Option<String> {
        match name {
            "HOME" => Some("/root".into()),
            "TZ" => Some("UTC".into()),
            _ => None,
        }
    }

    fn read_file(&self, path: &Path) -> Result<Vec<u8>, Error> {
        self.0.read_file(path)
    }

    fn glob(&self, pattern: &str) -> Vec<PathBuf> {
        self.0.glob(pattern)
    }

    fn search_path(&self) -> Vec<PathBuf> {
        self.0.search_path()
    }

    fn home(&self, user: Option<&str>) -> Option<PathBuf> {
        matches!(user, None | Some("root")).then(|| "/root".into())
    }

    fn real_path(&self, path: &Path) -> PathBuf {
        self.0.real_path(path)
    }

    fn now(&self) -> (i64, u32) {
        (1_700_000_000, 123_456_789)
    }

    fn random(&self) -> u64 {
        self.0.random()
    }

    fn pipe(&self, command: &str) -> Result<String, Error> {
        self.0.pipe(command)
    }
}

fn decoded(value: &Value) -> Value {
    match value {
        Value::List(items) => Value::list(items.iter().map(decoded).collect()),
        Value::Map(map) => match map.first() {
            Some((Value::Str(tag), value)) if tag.starts_with('$') => tagged(tag, value),
            _ => Value::map(map.iter().map(|(k, v)| (k.clone(), decoded(v))).collect()),
        },
        other => other.clone(),
    }
}

fn tagged(tag: &str, value: &Value) -> Value {
    let text = value.as_str().unwrap_or_default();
    match tag {
        "$undefined" => Value::undefined("`nope` is undefined"),
        "$float" => Value::Float(text.parse().unwrap()),
        "$tuple" => Value::tuple(value.iterate().unwrap().iter().map(decoded).collect()),
        "$bytes" => {
            let digits: Vec<char> = text.chars().collect();
            let byte = |pair: &[char]| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap();
            Value::Bytes(digits.chunks(2).map(byte).collect())
        }
        "$date" => Value::Date(text.parse().unwrap()),
        "$datetime" => {
            let (local, offset) = match text.split_once('+') {
                Some((local, offset)) => {
                    let (hours, minutes) = offset.split_once(':').unwrap();
                    let (hours, minutes): (i32, i32) = (hours.parse().unwrap(), minutes.parse().unwrap());
                    (local, Some(hours * 3600 + minutes * 60))
                }
                None => (text, None),
            };
            Value::DateTime(DateTime { civil: local.parse().unwrap(), offset_seconds: offset }.into())
        }
        "$map" => {
            let pairs = value.iterate().unwrap();
            let pair = |pair: &Value| {
                let pair = pair.iterate().unwrap();
                (decoded(&pair[0]), decoded(&pair[1]))
            };
            Value::map(pairs.iter().map(pair).collect())
        }
        other => panic!("unknown tag {other}"),
    }
}

/// A text form that tells types apart: `1`, `1.0` and `True` are equal otherwise.
fn shown(value: &Value) -> String {
    match value {
        Value::Undefined(_) => "undefined".into(),
        Value::List(items) => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(", ")),
        Value::Tuple(items) => format!("({})", items.iter().map(shown).collect::<Vec<_>>().join(", ")),
        Value::Map(map) => {
            let entries = map.iter().map(|(key, value)| format!("{}: {}", shown(key), shown(value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
        other => other.repr(),
    }
}

fn arguments(row: &Map) -> Args {
    let named = row.get("kwargs").and_then(Value::as_map).map(|map| {
        map.iter().map(|(name, value)| (name.to_text().into(), decoded(value))).collect::<Vec<_>>()
    });
    let positional = row.get("args").map(|args| args.iterate().unwrap().iter().map(decoded).collect());
    Args { positional: positional.unwrap_or_default(), named: named.unwrap_or_default() }
}

/// Runs a table; gives the number of rows and those that disagree.
fn disagreements(table: &str) -> (usize, Vec<String>) {
    let library = library();
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let world = Recorded(SystemWorld::new(vec![files], false));
    let context = Context { scope: &Variables, library: &library, world: &world };
    let rows = json::read(table).unwrap().iterate().unwrap();
    let mut wrong = Vec::new();
    for row in &rows {
        let map = row.as_map().unwrap();
        let input = map.get("in").map_or(Value::None, decoded);
        let args = arguments(map);
        let result = match map.first() {
            Some((kind, Value::Str(name))) => match kind.as_str() {
                Some("filter") => context.filter(name, input, &args),
                Some("test") => context.test(name, input, &args).map(Value::Bool),
                _ => library.functions[name.as_str()](&context, &args),
            },
            _ => panic!("a row names its call first"),
        };
        let expected = map.get("out").map(|out| shown(&decoded(out)));
        let got = result.as_ref().ok().map(shown);
        if got != expected {
            wrong.push(format!(
                "{}\n   got {:?}",
                json::write(row, json::Layout { ascii: false, ..json::Layout::COMPACT }).unwrap(),
                result
            ));
        }
    }
    (rows.len(), wrong)
}

/// Calls a function of the library with named arguments.
fn call(name: &str, named: &[(&str, Value)]) -> Result<Value, Error> {
    let library = library();
    let world = Recorded(SystemWorld::new(Vec::new(), false));
    let context = Context { scope: &Variables, library: &library, world: &world };
    let named = named.iter().map(|(name, value)| ((*name).into(), value.clone())).collect();
    library.functions[name](&context, &Args { positional: Vec::new(), named })
}

#[test]
fn now_shows_the_clock_of_the_world() {
    let formatted = call("now", &[("utc", true.into()), ("fmt", "%Y-%m-%d %H:%M:%S.%f %s%z%Z %%f".into())]);
    assert_eq!(formatted.unwrap(), "2023-11-14 22:13:20.123456 1700000000 %f".into());
    let plain = call("now", &[]).unwrap();
    assert_eq!(plain.to_text(), "2023-11-14 22:13:20.123456");
}

#[test]
fn refused_calls_say_what_to_do() {
    let library = library();
    let world = Recorded(SystemWorld::new(Vec::new(), false));
    let context = Context { scope: &Variables, library: &library, world: &world };
    for name in ["password", "url", "template", "pipe", "ansible.builtin.password"] {
        let error =
            library.functions["lookup"](&context, &Args::of(vec![name.into(), "x".into()])).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Refused, "{name}");
        assert!(error.hint.is_some(), "{name}");
    }
    for name in ["vault", "unvault", "community.general.json_query"] {
        let error = context.filter(name, "x".into(), &Args::of(vec!["y".into()])).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Refused, "{name}");
    }
    let error = library.functions["lookup"](&context, &Args::of(vec!["flie".into()])).unwrap_err();
    assert_eq!((error.kind, error.hint.as_deref()), (ErrorKind::Unknown, Some("did you mean `file`?")));
}

#[test]
fn what_needs_facts_is_not_defaulted_away() {
    let library = library();
    let world = Recorded(SystemWorld::new(Vec::new(), false));
    let context = Context { scope: &Variables, library: &library, world: &world };
    let needs_facts = || Value::undefined_because(Error::new(ErrorKind::NeedsFacts, "needs facts"));
    let args = Args::of(vec!["x".into()]);
    for name in ["default", "d"] {
        let kept = context.filter(name, needs_facts(), &args).unwrap();
        assert!(matches!(kept, Value::Undefined(kept) if kept.error.kind == ErrorKind::NeedsFacts), "{name}");
    }
    for name in ["mandatory", "upper", "join"] {
        let error = context.filter(name, needs_facts(), &Args::default()).unwrap_err();
        assert_eq!(error.kind, ErrorKind::NeedsFacts, "{name}");
    }
    assert_eq!(
        context.test("defined", needs_facts(), &Args::default()).unwrap_err().kind,
        ErrorKind::NeedsFacts
    );
}

#[test]
fn lookups_are_never_templates() {
    for name in ["lookup", "query"] {
        let library = library();
        let world = Recorded(SystemWorld::new(Vec::new(), false));
        let context = Context { scope: &Variables, library: &library, world: &world };
        let found = library.functions[name](&context, &Args::of(vec!["env".into(), "HOME".into()])).unwrap();
        let text = if name == "query" { found.iterate().unwrap().remove(0) } else { found };
        assert!(matches!(text, Value::Str(text) if text.is_unsafe()), "{name}");
    }
}

/// Texts that look like patterns, templates and numbers.
fn odd_text() -> impl Strategy<Value = String> {
    let characters: Vec<char> = r#"()[]{}*+?.^$|\<>=!,:;%#~&'"/_ abPx019-한"#.chars().chain(['\n']).collect();
    proptest::collection::vec(proptest::sample::select(characters), 0..12)
        .prop_map(|characters| characters.into_iter().collect())
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::None),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        (-3_i64..5).prop_map(Value::Int),
        any::<f64>().prop_map(Value::Float),
        odd_text().prop_map(Value::from),
        Just(Value::undefined("nope")),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::list),
            proptest::collection::vec((odd_text(), inner), 0..3)
                .prop_map(|pairs| Value::map(pairs.into_iter().map(|(k, v)| (k.into(), v)).collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// No call panics, whatever it is given.
    #[test]
    fn nothing_panics(input in any_value(), first in any_value(), second in any_value(), count in 0_usize..3) {
        let library = library();
        let world = Recorded(SystemWorld::new(Vec::new(), false));
        let context = Context { scope: &Variables, library: &library, world: &world };
        let args = Args::of([first, second].into_iter().take(count).collect());
        for (name, filter) in &library.filters {
            // Hashes of passwords only cost time here.
            if !name.ends_with("password_hash") {
                let _ = filter(&context, input.clone(), &args);
            }
        }
        for test in library.tests.values() {
            let _ = test(&context, input.clone(), &args);
        }
        for function in library.functions.values() {
            let _ = function(&context, &args);
        }
    }
}

macro_rules! tables {
    ($($name:ident)*) => {$(
        #[test]
        fn $name() {
            let (rows, wrong) = disagreements(include_str!(concat!("data/", stringify!($name), ".json")));
            assert!(rows > 10);
            assert!(wrong.is_empty(), "{} of {rows} rows disagree:\n{}", wrong.len(), wrong.join("\n"));
        }
    )*};
}

tables!(text numbers lists regex path encode checks lookups yaml yaml_read);
