//! Nothing that stands in a template makes the program panic, overflow its stack or run for ever.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::path::{Path, PathBuf};

use kubespray_jinja::{Context, Library, Scope, Syntax, Template, World};
use kubespray_value::{Error, ErrorKind, Map, Value};
use proptest::prelude::*;

struct Names;

impl Scope for Names {
    fn resolve(&self, name: &str) -> Result<Option<Value>, Error> {
        let mut map = Map::new();
        map.insert("k".into(), Value::list(vec![Value::Int(1), "two".into(), Value::None]));
        Ok(match name {
            "a" => Some(Value::Int(5)),
            "b" => Some("text".into()),
            "m" => Some(Value::map(map)),
            "l" => Some(Value::list(vec![Value::Int(3), Value::Int(1)])),
            "u" => Some(Value::undefined("u is undefined")),
            _ => None,
        })
    }

    fn template(&self, value: &Value) -> Result<Value, Error> {
        Ok(value.clone())
    }
}

#[derive(Debug)]
struct Nothing;

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
        path.to_path_buf()
    }
    fn now(&self) -> (i64, u32) {
        (0, 0)
    }
    fn random(&self) -> u64 {
        4
    }
    fn pipe(&self, _: &str) -> Result<String, Error> {
        Err(Error::new(ErrorKind::Refused, "no"))
    }
}

fn render(text: &str) -> Result<Value, Error> {
    let template =
        Template::parse(text, Syntax::ANSIBLE).map_err(|e| Error::new(ErrorKind::Syntax, e.message))?;
    let library = Library::default();
    template.render(&Context { scope: &Names, library: &library, world: &Nothing })
}

/// Pieces that templates are made of, so that most texts get past the lexer.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "{{",
            "}}",
            "{%",
            "%}",
            "{#",
            "#}",
            "{%-",
            "-%}",
            "if",
            "else",
            "elif",
            "endif",
            "for",
            "in",
            "endfor",
            "set",
            "endset",
            "macro",
            "endmacro",
            "call",
            "raw",
            "endraw",
            "not",
            "and",
            "or",
            "is",
            "a",
            "b",
            "m",
            "l",
            "u",
            "x",
            "loop",
            ".",
            ".k",
            ".append",
            ".items",
            ".format",
            "(",
            ")",
            "[",
            "]",
            "{",
            "}",
            ",",
            ":",
            "|",
            "~",
            "+",
            "-",
            "*",
            "**",
            "/",
            "//",
            "%",
            "==",
            "<",
            ">=",
            "=",
            "'t'",
            "\"{}\"",
            "'%s'",
            "1",
            "0",
            "2.5",
            "99999999999999999999",
            "range",
            "dict",
            "namespace",
            " ",
            "\n",
            "true",
            "none",
            "한",
        ])
        .prop_map(str::to_owned),
        "[ -~]{1,4}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_texts_never_panic(text in "\\PC{0,60}") {
        let _ = render(&text);
    }

    #[test]
    fn texts_of_template_pieces_never_panic(pieces in prop::collection::vec(piece(), 0..24)) {
        let _ = render(&pieces.join(" "));
        let _ = render(&format!("{{{{ {} }}}}", pieces.join(" ")));
    }

    #[test]
    fn text_without_tags_is_itself(text in "[^{}#%\r\n]{0,40}") {
        let value = render(&text).unwrap();
        let same = value.as_str() == Some(text.as_str());
        prop_assert!(same || text.starts_with('[') || text == "True" || text == "False");
    }
}

#[test]
fn deep_nesting_is_refused() {
    for text in [
        format!("{{{{ {}1{} }}}}", "(".repeat(50_000), ")".repeat(50_000)),
        format!("{{{{ {}1 }}}}", "not ".repeat(50_000)),
        format!("{{{{ {}1 }}}}", "-".repeat(50_000)),
        format!("{{{{ {}1{} }}}}", "[".repeat(50_000), "]".repeat(50_000)),
        "{% if a %}".repeat(10_000),
        format!("{{{{ 1 {} }}}}", "if 1 else 1 ".repeat(50_000)),
    ] {
        assert!(render(&text).is_err());
    }
}

#[test]
fn long_chains_are_refused_before_they_exhaust_the_stack() {
    let sum = |count: usize| render(&format!("{{{{ {}1 }}}}", "1 + ".repeat(count)));
    assert_eq!(sum(100).unwrap().to_text(), "101");
    let filters = format!("{{{{ a{} }}}}", " | f".repeat(100_000));
    let keys = format!("{{{{ m{} }}}}", ".k".repeat(100_000));
    assert!(sum(100_000).is_err() && render(&filters).is_err() && render(&keys).is_err());
    let list = format!("{{{{ [{}] | first }}}}", "a + 1, ".repeat(2_000));
    assert!(!matches!(render(&list), Err(error) if error.kind == ErrorKind::Syntax));
    // Concatenation is one level, however long.
    let concat = format!("{{{{ {}'a' }}}}", "'a' ~ ".repeat(200));
    assert_eq!(render(&concat).unwrap().to_text().len(), 201);
}

/// A float has no more than 1074 decimals, and Rust formats no more than 65535.
#[test]
fn decimals_beyond_those_of_floats_are_zeros() {
    for (form, length) in [("f", 70002), ("e", 70006), ("g", 3)] {
        for text in
            [format!("{{{{ '%.70000{form}' % 1.5 }}}}"), format!("{{{{ '{{:.70000{form}}}'.format(1.5) }}}}")]
        {
            assert_eq!(render(&text).unwrap().to_text().len(), length, "{text}");
        }
    }
}

#[test]
fn what_never_ends_is_stopped() {
    for text in [
        "{% for i in range(1000000) %}{% for j in range(1000000) %}{% endfor %}{% endfor %}",
        "{{ 'x' * 100000000000 }}",
        "{{ 9 ** 999999999 }}",
        "{{ range(100000000000) }}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{{ '{:>1000000000000}'.format(1) }}",
    ] {
        assert!(render(text).is_err(), "{text}");
    }
}

#[test]
fn large_results_of_methods_and_powers_are_refused() {
    for text in [
        "{{ ('x' * 1000000).replace('x', 'y' * 1000000) }}",
        "{{ ('x' * 1000000).replace('', 'y' * 1000000) }}",
        "{{ ('x' * 1000000).join(['a'] * 1000000) }}",
        "{{ 2999999999 ** 299999 }}",
        "{% set n = namespace(x=3) %}{% for i in range(30) %}{% set n.x = n.x * n.x %}{% endfor %}{{ n.x }}",
    ] {
        assert_eq!(render(text).map_err(|error| error.kind), Err(ErrorKind::Limit), "{text}");
    }
    assert_eq!(
        render("{{ 'aXbX'.replace('X', '-') ~ 'aXbX'.replace('X', '-', 1) }}").unwrap().to_text(),
        "a-b-a-bX"
    );
    assert_eq!(render("{{ 10 ** 4000 > 5 }}").unwrap().to_text(), "True");
}
