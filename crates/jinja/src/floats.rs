//! Floats as texts in the forms `f`, `e` and `g`, which `%` and `str.format` have in common.

/// No float has more decimals that are not zero; Rust panics from 65536 on.
const MOST_DECIMALS: usize = 1100;

/// Whether Python writes a minus: before zero as well, never before what is no number.
pub(crate) fn is_negative(float: f64) -> bool {
    float.is_sign_negative() && !float.is_nan()
}

/// A float without its sign in the form `f`, `e` or `g`; in upper case where the form is.
pub(crate) fn text(form: char, float: f64, precision: usize) -> String {
    let float = float.abs();
    let text = if float.is_nan() {
        "nan".to_owned()
    } else if float.is_infinite() {
        "inf".to_owned()
    } else {
        match form.to_ascii_lowercase() {
            'f' => decimals(float, precision),
            'e' => exponent_form(float, precision),
            _ => general_form(float, precision.max(1)),
        }
    };
    if form.is_uppercase() { text.to_uppercase() } else { text }
}

/// The zeros that follow the first [`MOST_DECIMALS`] of so many decimals.
fn zeros(precision: usize) -> String {
    "0".repeat(precision.saturating_sub(MOST_DECIMALS))
}

fn decimals(float: f64, precision: usize) -> String {
    format!("{float:.*}{}", precision.min(MOST_DECIMALS), zeros(precision))
}

fn exponent_form(float: f64, precision: usize) -> String {
    let text = format!("{float:.*e}", precision.min(MOST_DECIMALS));
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |exponent| ('-', exponent));
    format!("{digits}{}e{sign}{exponent:0>2}", zeros(precision))
}

fn general_form(float: f64, precision: usize) -> String {
    let text = exponent_form(float, precision - 1);
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "+00"));
    let power: i64 = exponent.parse().unwrap_or(0);
    let precision = i64::try_from(precision).unwrap_or(i64::MAX);
    if power < -4 || power >= precision {
        return format!("{}e{exponent}", without_zeros(digits));
    }
    let places = usize::try_from(precision - 1 - power).unwrap_or(0);
    without_zeros(&decimals(float, places)).to_owned()
}

fn without_zeros(number: &str) -> &str {
    if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number }
}
