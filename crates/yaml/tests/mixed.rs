//! Texts put together at random and corner cases of the grammar, as PyYAML reads them.
//!
//! `data/mixed.json` was recorded from the filter `from_yaml` of Ansible 2.18: each row has a text and
//! Python's `repr` of its value, null where it fails. Left out is what differs on purpose: values that
//! contain themselves, sets, and the tags of Ansible, which the filter does not know.

#![allow(clippy::unwrap_used)]

use kubespray_value::json;
use kubespray_yaml::read;

#[test]
fn texts_read_as_pyyaml_reads_them() {
    let rows = json::read(include_str!("data/mixed.json")).unwrap().iterate().unwrap();
    let mut different = Vec::new();
    for row in &rows {
        let row = row.as_map().unwrap();
        let text = row.get("text").and_then(|text| text.as_str()).unwrap();
        let expected = row.get("value").and_then(|value| value.as_str());
        let got = read(text);
        if got.as_ref().ok().map(kubespray_value::Value::repr).as_deref() != expected {
            different.push(format!("{text:?}\n  expected {expected:?}\n  got      {got:?}"));
        }
    }
    assert!(rows.len() > 400);
    assert!(different.is_empty(), "{} differ\n{}", different.len(), different.join("\n"));
}
