//! What Ansible refuses is refused, with a message and a hint of use.

#![allow(clippy::unwrap_used)]

use std::fmt::Write;

use kubespray_diagnostics::{Source, Style, render};

/// The mistakes of the corpus that are mistakes of YAML itself, and not of an inventory.
const CASES: [&str; 17] = [
    "at-sign",
    "bad-date",
    "bad-int-tag",
    "braces-unquoted",
    "broken",
    "colon-value",
    "control-char",
    "duplicate-anchor",
    "lone-dash",
    "lone-equals",
    "map-key",
    "merge-scalar",
    "tabs",
    "two-documents",
    "unclosed-quote",
    "unknown-alias",
    "unknown-tag",
];

/// The rendered diagnostics of a text: its error, or its warnings.
fn shown(text: &str) -> String {
    let source = Source::new("hosts.yaml", text);
    match kubespray_yaml::parse(text, &source) {
        Err(error) => render(&error, Style::default()),
        Ok(document) => {
            let mut out = String::from("accepted\n");
            for warning in &document.warnings {
                out.push_str(&render(warning, Style::default()));
            }
            out
        }
    }
}

#[test]
fn mistakes_of_the_corpus_are_refused() {
    let mut out = String::new();
    for case in CASES {
        let path = format!("{}/../../tests/corpus/bad-yaml-{case}/hosts.yaml", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).unwrap();
        let shown = shown(&text);
        assert!(shown.starts_with("error"), "{case}: {shown}");
        writeln!(out, "== {case}\n{shown}").unwrap();
    }
    insta::assert_snapshot!(out);
}

#[test]
fn common_mistakes_are_explained() {
    let mut out = String::new();
    for text in [
        "a:\n\tb: 1\n",
        "a:\n  b: 1\n\tc: 2\n",
        "a: {{ name }}\n",
        "a: {{ name }}/bin\n",
        "a: {% if x %}y{% endif %}\n",
        "a: b: c\n",
        "- a: b: c\n",
        "a:b\nc: 1\n",
        "a:1\n",
        "a:\n  b:1\n  c: 2\n",
        "a: \"open\nb: 1\n",
        "a: 'it's'\n",
        "a: 'open\n",
        "a: `x`\n",
        "a: %x\n",
        "a: *.example.com\n",
        "a: [1, 2\nb: 3\n",
        "a: {b: 1\nc: 2\n",
        "a: 1\n b: 2\n",
        "a:\n  b: 1\n c: 2\n",
        "a:\n  - 1\n  b: 2\n",
        "a: 1\nb: 2\na: 3\n",
        "a: !vault |\n$ANSIBLE_VAULT;1.1;AES256\n  3961\n",
        "a: \"C:\\dir\"\n",
        "a: 1\n- b\n",
    ] {
        writeln!(out, "== {text:?}\n{}", shown(text)).unwrap();
    }
    insta::assert_snapshot!(out);
}
