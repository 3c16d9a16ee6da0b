//! Small templates that ask for much work or memory are answered at once, or refused.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::time::{Duration, Instant};

use kubespray_filters::{SystemWorld, library};
use kubespray_jinja::{Context, Scope, Syntax, Template};
use kubespray_value::{Error, ErrorKind, Value};

struct NoVariables;

impl Scope for NoVariables {
    fn resolve(&self, _: &str) -> Result<Option<Value>, Error> {
        Ok(None)
    }

    fn template(&self, value: &Value) -> Result<Value, Error> {
        Ok(value.clone())
    }
}

fn render(text: &str) -> Result<String, ErrorKind> {
    let library = library();
    let world = SystemWorld::new(Vec::new(), false);
    let context = Context { scope: &NoVariables, library: &library, world: &world };
    let template = Template::parse(text, Syntax::ANSIBLE).unwrap();
    template.render(&context).map(|value| value.to_text()).map_err(|error| error.kind)
}

/// Ten thousand times the same megabyte.
fn refuses_ten_gigabytes(filter: &str) {
    let template = format!("{{{{ (['x' * 1000000] * 10000) | {filter} }}}}");
    assert_eq!(render(&template), Err(ErrorKind::Limit), "{filter}");
}

#[test]
fn a_large_text_is_refused() {
    refuses_ten_gigabytes("join");
    refuses_ten_gigabytes("join(',') | length");
}

#[test]
fn large_json_is_refused() {
    refuses_ten_gigabytes("to_json | length");
}

#[test]
fn large_yaml_is_refused() {
    refuses_ten_gigabytes("to_yaml | length");
}

#[test]
fn many_rows_are_refused() {
    for filter in [
        "product(repeat=10000000)",
        "product(range(3000), range(3000))",
        "permutations",
        "permutations(3)",
        "combinations(1500)",
    ] {
        assert_eq!(render(&format!("{{{{ range(3000) | {filter} }}}}")), Err(ErrorKind::Limit), "{filter}");
    }
    assert_eq!(render("{{ [1] | product(repeat=10000000) }}"), Err(ErrorKind::Limit));
    assert_eq!(render("{{ range(1000) | permutations(2) | length }}").as_deref(), Ok("999000"));
}

#[test]
fn large_inputs_are_read_in_time() {
    for (template, expected) in [
        // As Python: more than 4300 digits are no number.
        ("{{ ('9' * 1000000) | int(7) }}", "7"),
        ("{{ ('9' * 4300) | int(7) > 7 }}", "True"),
        ("{{ ('f' * 1000000) | int(7, 16) > 7 }}", "True"),
        ("{{ ('x' * 100000) | wordwrap(1) | length }}", "199999"),
        ("{{ ('x ' * 100000) | wordwrap(1) | length }}", "199999"),
    ] {
        let start = Instant::now();
        assert_eq!(render(template).as_deref(), Ok(expected), "{template}");
        let took = start.elapsed();
        assert!(took < Duration::from_secs(30), "{template} took {took:?}");
    }
}
