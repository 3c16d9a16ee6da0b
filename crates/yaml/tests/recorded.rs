//! Every row in `tests/data` gives what Ansible 2.18 with PyYAML 6.0.3 and libyaml 0.2.5 gave.
//!
//! `scalars.json` and `texts.json` hold texts and Python's `repr` of what Ansible's loader makes of them,
//! null where it fails. `dumps.json` holds calls of `to_yaml` and `to_nice_yaml` on values that are written
//! as YAML, with aliases switched off.

#![allow(clippy::unwrap_used)]

use kubespray_diagnostics::Source;
use kubespray_value::{Map, Value, json};
use kubespray_yaml::{Layout, emit, parse};

fn rows(table: &str) -> Vec<Map> {
    let rows = json::read(table).unwrap();
    let rows: Vec<Map> =
        rows.as_sequence().unwrap().iter().map(|row| row.as_map().unwrap().clone()).collect();
    assert!(rows.len() > 200);
    rows
}

fn text<'a>(row: &'a Map, name: &str) -> &'a str {
    row.get(name).and_then(Value::as_str).unwrap()
}

/// Fails with all rows that differ, and not just the first.
fn compare(table: &str, ours: impl Fn(&Map) -> Option<String>, expected: &str) {
    let mut wrong = Vec::new();
    for row in rows(table) {
        let ours = ours(&row);
        let theirs = row.get(expected).and_then(Value::as_str);
        if ours.as_deref() != theirs {
            wrong.push(format!("{:?}\n  ours:   {ours:?}\n  theirs: {theirs:?}", Value::map(row.clone())));
        }
    }
    assert!(wrong.is_empty(), "{} rows differ:\n{}", wrong.len(), wrong.join("\n"));
}

fn read(row: &Map) -> Option<String> {
    let source = Source::new("recorded.yml", text(row, "text"));
    let document = parse(text(row, "text"), &source).ok()?;
    Some(document.root.map_or(Value::None, |node| node.value.clone()).repr())
}

#[test]
fn scalars() {
    compare(include_str!("data/scalars.json"), read, "value");
}

#[test]
fn texts() {
    compare(include_str!("data/texts.json"), read, "value");
}

#[test]
fn dumps() {
    let dump = |row: &Map| {
        let value = parse(text(row, "value"), &Source::without_text("value")).ok()?.root?;
        let mut layout = if text(row, "filter") == "to_yaml" { Layout::YAML } else { Layout::NICE };
        for (name, argument) in row.get("args").unwrap().as_map().unwrap() {
            layout = layout.with(name.as_str().unwrap(), argument).ok()?;
        }
        emit(&value.value, &layout).ok()
    };
    compare(include_str!("data/dumps.json"), dump, "out");
}

#[test]
fn places_are_those_of_the_text() {
    use kubespray_yaml::Children;
    let text = "# head\na: &x !!int '5'\nlist:\n- é\n- k: |\n    block\n\n# tail\nb: [1,\n  2]\n";
    let document = parse(text, &Source::new("places.yml", text)).unwrap();
    let mut places = Vec::new();
    fn walk(name: &str, node: &kubespray_yaml::Node, places: &mut Vec<String>) {
        let (line, column) = node.span.end();
        places.push(format!("{name} {}:{}-{line}:{column}", node.span.line(), node.span.column()));
        match &node.children {
            Children::None => {}
            Children::List(nodes) => nodes.iter().for_each(|node| walk("-", node, places)),
            Children::Map(entries) => {
                for (key, (span, node)) in entries {
                    places.push(format!("key {}:{}", span.line(), span.column()));
                    walk(&key.to_text(), node, places);
                }
            }
        }
    }
    walk("root", &document.root.unwrap(), &mut places);
    assert_eq!(
        places,
        [
            "root 2:1-10:5",
            "key 2:1",
            "a 2:4-2:16",
            "key 3:1",
            "list 4:1-6:10",
            "- 4:3-4:4",
            "- 5:3-6:10",
            "key 5:3",
            "k 5:6-6:10",
            "key 9:1",
            "b 9:4-10:5",
            "- 9:5-9:6",
            "- 10:3-10:4",
        ]
    );
}

#[test]
fn streams_as_the_filters_read_them() {
    // From `yaml.load_all` and `yaml.load` with the safe loader.
    for (text, all, one) in [
        ("", Some("[]"), Some("None")),
        ("---", Some("[None]"), Some("None")),
        ("a: 1\n---\n- 2\n", Some("[{'a': 1}, [2]]"), None),
        ("--- &x a\n--- &x b\n", Some("['a', 'b']"), None),
        ("--- &x a\n--- *x\n", None, None),
        ("a\n...\n---\n...\n", Some("['a', None]"), None),
        ("a\n...\nb\n", None, None),
        ("1e3", Some("['1e3']"), Some("'1e3'")),
        ("!vault x", None, None),
        ("[!unsafe x]", None, None),
        ("!!int '5'", Some("[5]"), Some("5")),
    ] {
        let read_all = kubespray_yaml::read_all(text).ok().map(|values| Value::list(values).repr());
        assert_eq!(read_all.as_deref(), all, "{text:?}");
        assert_eq!(kubespray_yaml::read(text).ok().map(|value| value.repr()).as_deref(), one, "{text:?}");
    }
}
