//! No text exhausts stack, time or memory, and what is written is read back as the same.

#![allow(clippy::unwrap_used)]

use std::fmt::Write;
use std::time::{Duration, Instant};

use kubespray_diagnostics::{Severity, Source};
use kubespray_value::{Map, Value};
use kubespray_yaml::{Layout, emit, parse, read, read_all};
use proptest::prelude::*;

/// Far more than any of the texts here takes, and far less than a machine under load stumbles over.
const ENOUGH: Duration = Duration::from_secs(20);

fn in_time<T>(name: &str, run: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = run();
    assert!(start.elapsed() < ENOUGH, "{name} took {:?}", start.elapsed());
    result
}

/// The id of the error that a text is refused with.
fn refusal(name: &str, text: &str) -> String {
    let source = Source::new("bomb.yaml", text);
    let error = in_time(name, || parse(text, &source)).err();
    assert!(error.is_some(), "{name} is accepted");
    let error = error.unwrap();
    assert_eq!(error.severity, Severity::Error, "{name}");
    assert!(in_time(name, || read_all(text)).is_err(), "{name}");
    error.id
}

#[test]
fn deep_nesting_is_refused() {
    let many = 100_000;
    let ladder: String = (0..2_000).fold(String::new(), |mut out, level| {
        writeln!(out, "{}a:", " ".repeat(level)).unwrap();
        out
    });
    for (name, text) in [
        ("brackets", "[".repeat(many)),
        ("closed brackets", format!("{}{}", "[".repeat(many), "]".repeat(many))),
        ("brackets on lines", "[\n".repeat(many)),
        ("braces", "{a: ".repeat(many)),
        ("bare braces", "{".repeat(many)),
        ("dashes", "- ".repeat(many)),
        ("dashes with a value", format!("{}x", "- ".repeat(many))),
        ("question marks", "? ".repeat(500_000)),
        ("indented keys", ladder),
        ("brackets in a value", format!("a: {}", "[".repeat(many))),
        ("mixed", format!("{}{}", "- ".repeat(50), "[{a: ".repeat(many))),
    ] {
        assert_eq!(refusal(name, &text), "yaml-depth", "{name}");
    }
}

#[test]
fn depth_behind_aliases_counts() {
    let mut text = String::from("a0: &a0 [x]\n");
    for level in 1..200 {
        writeln!(text, "a{level}: &a{level} [*a{}]", level - 1).unwrap();
    }
    assert_eq!(refusal("chain of aliases", &text), "yaml-depth");
}

#[test]
fn bombs_of_aliases_are_refused() {
    let mut laughs = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    let mut merges = String::from("a0: &a0 {x: 1}\n");
    for level in 1..40 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        writeln!(laughs, "a{level}: &a{level} [{aliases}]").unwrap();
        writeln!(merges, "a{level}: &a{level} {{k{level}: 1, <<: [{aliases}]}}").unwrap();
    }
    assert_eq!(refusal("billion laughs", &laughs), "yaml-size");
    // Merged maps are small, but each is made of many.
    in_time("merged laughs", || drop(read(&merges)));
    let mut wide = String::from("big: &big {");
    for key in 0..10_000 {
        write!(wide, "k{key}: 1, ").unwrap();
    }
    wide.push_str("}\n");
    for copy in 0..500 {
        writeln!(wide, "c{copy}: {{<<: *big}}").unwrap();
    }
    assert_eq!(refusal("wide merges", &wide), "yaml-size");
    assert_eq!(refusal("alias of itself", "a: &a [*a]\n"), "yaml-alias");
}

#[test]
fn long_texts_are_read_in_time() {
    let many = 100_000;
    let anchors: String = (0..many / 4).fold(String::from("# 한글\n"), |mut out, n| {
        writeln!(out, "- &a{n} 한글\n- *a{n}").unwrap();
        out
    });
    let keys: String = (0..many).fold(String::new(), |mut out, n| {
        writeln!(out, "k{n}: {n}").unwrap();
        out
    });
    for (name, text) in [
        ("one long text", format!("a: {}", "x".repeat(5 * many))),
        ("one long quoted text", format!("a: \"{}\"", "x y ".repeat(many))),
        ("one long key", format!("{}: 1", "x".repeat(900))),
        ("many keys", keys),
        ("many elements", format!("[{}]", "1, ".repeat(many))),
        ("many lines of a text", format!("a: |\n{}", "  line\n".repeat(many))),
        ("many empty lines", format!("a: 1{}b: 2", "\n".repeat(many))),
        ("many anchors", anchors),
    ] {
        let source = Source::new("long.yaml", text.as_str());
        assert!(in_time(name, || parse(&text, &source)).is_ok(), "{name}");
    }
    // Texts that may be refused, as long as they are so soon.
    for (name, text) in [
        ("quotes", "\"".repeat(many)),
        ("ampersands", "&".repeat(many)),
        ("anchors", "&a ".repeat(many)),
        ("stars", "* ".repeat(many)),
        ("exclamation marks", "!".repeat(many)),
        ("tags", "!a ".repeat(many)),
        ("colons", ": ".repeat(many)),
        ("commas", format!("[{}", ",".repeat(many))),
        ("hashes", "#".repeat(many)),
        ("documents", "---\n".repeat(many)),
        ("directives", "%A\n".repeat(many)),
        ("tabs", "\t".repeat(many)),
        ("bars", "|\n".repeat(many)),
        ("digits", "1".repeat(many)),
        ("groups of digits", format!("1{}", ":1".repeat(many))),
        ("digits and a dot", format!("{}.5", "1".repeat(many))),
    ] {
        let source = Source::new("long.yaml", text.as_str());
        in_time(name, || drop(parse(&text, &source)));
    }
}

/// Pieces that make up YAML, so that random texts reach deep into the reader.
fn yamlish() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "a",
        "b",
        "1",
        "1.5",
        "0x",
        "2024-13-01",
        ": ",
        ":",
        "- ",
        "-",
        "\n",
        "\n  ",
        "\n    ",
        "\t",
        "[",
        "]",
        "{",
        "}",
        ", ",
        ",",
        "&a ",
        "&a",
        "*a",
        "!!int ",
        "!vault ",
        "!unsafe ",
        "!",
        "!!set ",
        "!!omap ",
        "<<",
        "<<: *a",
        "=",
        "? ",
        "|",
        "|2",
        ">-",
        "\"",
        "'",
        "#",
        " # c",
        "---\n",
        "...\n",
        "%YAML 1.1\n",
        "\\",
        "{{",
        "\u{feff}",
        "한",
        "\u{1f600}",
        "\r\n",
        "\u{85}",
        "\u{0}",
        "~",
        "null",
        "\"\\x\"",
        "@",
    ]);
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

fn scalar() -> impl Strategy<Value = Value> {
    let word = prop::sample::select(vec![
        "",
        "yes",
        "null",
        "~",
        "1",
        "1.0",
        "1e3",
        "0x1f",
        "0o7",
        "012",
        "1_0",
        "1:30",
        "=",
        "<<",
        "-",
        "- a",
        "a: b",
        "a #b",
        "#a",
        "&a",
        "*a",
        "!a",
        "%a",
        "@a",
        "`a",
        "{{ a }}",
        "[a]",
        "a,b",
        "?",
        "? a",
        ":",
        "a:",
        "---",
        "...",
        " a",
        "a ",
        "a\nb",
        "a\n",
        "\na",
        "a\n\n",
        " a\nb",
        "a\n b",
        "a \nb",
        "\t",
        "2024-01-02",
        "'",
        "\"",
        "it's",
        "\u{1f600}",
        "한글",
        "\u{7f}",
        "\u{85}",
        "a\u{2028}b",
        "\u{2029}",
        "\u{feff}",
        "a\\b",
    ]);
    prop_oneof![
        Just(Value::None),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        (-1e300..1e300f64).prop_map(Value::Float),
        (-10.0..10.0f64).prop_map(Value::Float),
        word.prop_map(Value::str),
        "[a-zㄱ-힣 :#'\"{},]{0,40}".prop_map(Value::str),
        "[ -~\n]{0,120}".prop_map(Value::str),
        any::<String>().prop_map(Value::str),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(4, 24, 5, |inner| {
        let key = prop_oneof![scalar(), "[a-z]{1,5}".prop_map(Value::str)];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::list),
            prop::collection::vec((key, inner), 0..5)
                .prop_map(|entries| Value::map(entries.into_iter().collect::<Map>())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        let source = Source::new("any.yaml", text.as_str());
        drop(parse(&text, &source));
        drop(read_all(&text));
    }

    #[test]
    fn text_like_yaml_is_read_or_refused(text in yamlish()) {
        let source = Source::new("any.yaml", text.as_str());
        if let Err(error) = parse(&text, &source) {
            prop_assert!(!error.message.is_empty());
            prop_assert!(error.span().is_some());
        }
        drop(read_all(&text));
    }

    #[test]
    fn what_is_written_is_read_back(value in value()) {
        for layout in [Layout::YAML, Layout::NICE] {
            let text = emit(&value, &layout).unwrap();
            let back = read(&text);
            prop_assert_eq!(back.as_ref(), Ok(&value), "{}", text);
            // Numbers of different types may be equal, but are not written alike.
            let again = back.and_then(|value| emit(&value, &layout));
            prop_assert_eq!(again.as_ref(), Ok(&text));
        }
    }
}

#[test]
fn keys_that_cannot_be_compared_are_written_in_their_order() {
    let keys: Vec<String> = (0..40)
        .map(|number| if number == 17 { "5".to_owned() } else { format!("k{}", number * 7 % 40) })
        .collect();
    let text: String = keys.iter().map(|key| [key, ": 1\n"].concat()).collect();
    let value = kubespray_yaml::read(&text).unwrap();
    let written = kubespray_yaml::emit(&value, &kubespray_yaml::Layout::YAML).unwrap();
    assert_eq!(kubespray_yaml::read(&written).unwrap().repr(), value.repr());
}
