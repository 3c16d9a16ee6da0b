//! The recorded table and properties of all filters and tests.
//!
//! `table.json` holds calls of the real collection: `value` stands before the bar or `is`, and each of the
//! `cases` is the arguments, what came out, and the arguments with names if there were any. An outcome
//! `{"$error": …}` is an error, `undefined` where Ansible calls it an undefined variable. Other values that
//! JSON lacks are `{"$tuple": […]}`, `{"$bytes": …}` and `{"$undefined": true}`.

use std::path::{Path, PathBuf};

use kubespray_jinja::{Args, Context, Library, Scope, World};
use kubespray_value::{Error, ErrorKind, Value, json};
use proptest::prelude::*;

const TABLE: &str = include_str!("table.json");

#[derive(Debug)]
struct Nothing;

impl Scope for Nothing {
    fn resolve(&self, _: &str) -> Result<Option<Value>, Error> {
        Ok(None)
    }

    fn template(&self, value: &Value) -> Result<Value, Error> {
        Ok(value.clone())
    }
}

impl World for Nothing {
    fn environment(&self, _: &str) -> Option<String> {
        None
    }

    fn read_file(&self, _: &Path) -> Result<Vec<u8>, Error> {
        Err(Error::of_value("no files"))
    }

    fn glob(&self, _: &str) -> Vec<PathBuf> {
        Vec::new()
    }

    fn search_path(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    fn home(&self, _: Option<&str>) -> Option<PathBuf> {
        None
    }

    fn real_path(&self, path: &Path) -> PathBuf {
        path.to_owned()
    }

    fn now(&self) -> (i64, u32) {
        (0, 0)
    }

    fn random(&self) -> u64 {
        0
    }

    fn pipe(&self, _: &str) -> Result<String, Error> {
        Err(Error::of_value("no commands"))
    }
}

fn library() -> Library {
    let mut library = Library::default();
    super::add(&mut library);
    library
}

fn call(library: &Library, kind: &str, name: &str, value: Value, args: &Args) -> Result<Value, Error> {
    let context = Context { scope: &Nothing, library, world: &Nothing };
    match kind {
        "filter" => context.filter(name, value, args),
        _ => context.test(name, value, args).map(Value::Bool),
    }
}

/// A value of the table, with those that JSON lacks.
fn value_of(recorded: &Value) -> Value {
    match recorded {
        Value::List(items) => Value::list(items.iter().map(value_of).collect()),
        Value::Map(map) => match map.first().map(|(key, value)| (key.to_text(), value)) {
            Some((key, _)) if key == "$undefined" => Value::undefined("`u` is undefined"),
            Some((key, text)) if key == "$bytes" => Value::Bytes(text.to_text().into_bytes().into()),
            Some((key, items)) if key == "$tuple" => {
                Value::tuple(items.iterate().unwrap().iter().map(value_of).collect())
            }
            _ => recorded.clone(),
        },
        other => other.clone(),
    }
}

fn arguments(positional: &Value, named: Option<&Value>) -> Args {
    let named = named.and_then(Value::as_map).into_iter().flatten();
    Args {
        positional: positional.iterate().unwrap().iter().map(value_of).collect(),
        named: named.map(|(name, value)| (name.to_text().into(), value_of(value))).collect(),
    }
}

/// An outcome as text: Python's equality does not tell `1` from `True`.
fn shown(outcome: &Result<Value, Error>) -> String {
    match outcome {
        Ok(value) => value.repr(),
        Err(error) if error.kind == ErrorKind::Undefined => "error: undefined".into(),
        Err(_) => "error: error".into(),
    }
}

#[test]
fn all_recorded_calls_agree() {
    let library = library();
    let (mut count, mut differences) = (0, Vec::new());
    for group in json::read(TABLE).unwrap().iterate().unwrap() {
        let group = group.as_map().unwrap();
        let (called, value) = (group.get("call").unwrap().to_text(), value_of(group.get("value").unwrap()));
        let (kind, name) = called.split_once(' ').unwrap();
        let name = format!("ansible.utils.{name}");
        assert!(library.filters.contains_key(&*name) || library.tests.contains_key(&*name), "{name}");
        for case in group.get("cases").unwrap().iterate().unwrap() {
            count += 1;
            let case = case.iterate().unwrap();
            let args = arguments(&case[0], case.get(2));
            let found = shown(&call(&library, kind, &name, value.clone(), &args));
            let expected = match case[1].as_map().and_then(|map| map.get("$error")) {
                Some(error) => format!("error: {}", error.to_text()),
                None => value_of(&case[1]).repr(),
            };
            if found != expected {
                differences.push(format!("{called}: {value:?} {args:?}: {expected}, found {found}"));
            }
        }
    }
    assert!(count >= 600, "only {count} calls");
    let some = differences.iter().take(40).cloned().collect::<Vec<_>>().join("\n");
    assert!(differences.is_empty(), "{} of {count} differ:\n{some}", differences.len());
}

#[test]
fn old_names_are_the_same_filters() {
    let library = library();
    for name in ["ipaddr", "ansible.netcommon.ipaddr", "ansible.utils.ipaddr"] {
        let args = Args::of(vec!["network".into()]);
        assert_eq!(call(&library, "filter", name, "10.1.2.3/8".into(), &args), Ok("10.0.0.0".into()));
    }
    assert!(!library.filters.contains_key("usable_range"));
    assert!(!library.tests.contains_key("ip"));
}

#[test]
fn texts_that_are_no_templates_stay_so() {
    let found = call(&library(), "filter", "ipwrap", Value::unsafe_str("host"), &Args::default());
    assert!(matches!(found, Ok(Value::Str(text)) if text.is_unsafe()));
}

#[test]
fn facts_that_are_not_known_yet_stay_so() {
    let library = library();
    for name in library.filters.keys() {
        let value = Value::undefined_because(Error::new(ErrorKind::NeedsFacts, "no facts"));
        let found = call(&library, "filter", name, value, &Args::default());
        assert_eq!(found.map_err(|error| error.kind), Err(ErrorKind::NeedsFacts), "{name}");
    }
}

#[test]
fn large_work_is_refused() {
    let library = library();
    for network in ["10.0.0.0/8", "::/0"] {
        let found = call(&library, "filter", "ansible.utils.usable_range", network.into(), &Args::default());
        assert_eq!(found.map_err(|error| error.kind), Err(ErrorKind::Limit));
    }
    let mut nested = Value::from("10.0.0.1");
    for _ in 0..1000 {
        nested = Value::list(vec![nested]);
    }
    let found = call(&library, "filter", "ipaddr", nested, &Args::default());
    assert_eq!(found.map_err(|error| error.kind), Err(ErrorKind::Limit));
}

#[test]
fn the_network_is_not_asked() {
    let found = call(&library(), "test", "ansible.utils.resolvable", "localhost".into(), &Args::default());
    assert_eq!(found.map_err(|error| error.kind), Err(ErrorKind::Refused));
}

fn address_text() -> impl Strategy<Value = String> {
    prop_oneof![
        (any::<u32>(), 0..=40_u8)
            .prop_map(|(ip, prefix)| { format!("{}/{prefix}", std::net::Ipv4Addr::from(ip)) }),
        (any::<u128>(), 0..=140_u8)
            .prop_map(|(ip, prefix)| { format!("{}/{prefix}", std::net::Ipv6Addr::from(ip)) }),
        any::<u32>().prop_map(|ip| std::net::Ipv4Addr::from(ip).to_string()),
        any::<u128>().prop_map(|ip| std::net::Ipv6Addr::from(ip).to_string()),
        (any::<u128>(), any::<u8>()).prop_map(|(ip, prefix)| format!("{ip}/{prefix}")),
        "[0-9a-f:./%-]{0,24}",
        any::<String>(),
    ]
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        address_text().prop_map(Value::from),
        any::<i64>().prop_map(Value::Int),
        any::<u128>().prop_map(super::ipaddr::number),
        any::<bool>().prop_map(Value::Bool),
        any::<f64>().prop_map(Value::Float),
        Just(Value::None),
        Just(Value::undefined("u")),
        proptest::sample::select(vec![
            "next_usable",
            "previous_usable",
            "peer",
            "range_usable",
            "ipv4",
            "ipv6",
            "6to4",
            "size_usable",
            "span",
            "x509",
            "expand",
            "linux",
            "-1",
            "1e999",
            "128",
            "0",
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| proptest::collection::vec(inner, 0..4).prop_map(Value::list))
}

proptest! {
    #[test]
    fn nothing_panics(
        value in any_value(),
        args in proptest::collection::vec(any_value(), 0..3),
        named in any_value(),
    ) {
        let library = library();
        let plain = Args::of(args.clone());
        let with_name = Args { positional: args, named: vec![("query".into(), named)] };
        for (kind, names) in [
            ("filter", library.filters.keys().collect::<Vec<_>>()),
            ("test", library.tests.keys().collect()),
        ] {
            for name in names {
                if *name == "ansible.utils.usable_range" {
                    continue;
                }
                let _ = call(&library, kind, name, value.clone(), &plain);
                let _ = call(&library, kind, name, value.clone(), &with_name);
            }
        }
    }

    #[test]
    fn what_is_shown_reads_back(text in address_text()) {
        if let Some(network) = super::address::Network::parse(&text) {
            prop_assert_eq!(super::address::Network::parse(&network.to_string()), Some(network));
            prop_assert!(network.contains(network.without_host()));
            prop_assert!(network.contains(super::address::Network::single(network.ip())));
        }
    }
}
