//! Time as Kubernetes writes it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Seconds since 1970.
pub(crate) fn now_s() -> i64 {
    i64::try_from(since().as_secs()).unwrap_or(i64::MAX)
}

fn since() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Now, in whole seconds: `2026-01-31T10:00:00Z`.
pub(crate) fn now() -> String {
    text(now_s())
}

/// Now, in microseconds.
pub(crate) fn now_micro() -> String {
    let now = since();
    let whole = text(i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
    format!("{}.{:06}Z", whole.trim_end_matches('Z'), now.subsec_micros())
}

/// A time in seconds since 1970 as text.
pub(crate) fn text(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map_or_else(|_| "1970-01-01T00:00:00Z".into(), |at| at.to_string())
}

/// The seconds since 1970 of a text.
pub(crate) fn seconds(text: &str) -> Option<i64> {
    text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_second)
}

/// Year, month, day, and seconds of the day.
pub(crate) fn date(seconds: i64) -> (i32, u8, u8, u64) {
    let text = text(seconds);
    let mut parts = text.get(..10).unwrap_or_default().split('-');
    let mut next = || parts.next().and_then(|part| part.parse::<i32>().ok()).unwrap_or(1);
    let (year, month, day) = (next(), next(), next());
    let rest = u64::try_from(seconds.rem_euclid(86_400)).unwrap_or_default();
    (year, u8::try_from(month).unwrap_or(1), u8::try_from(day).unwrap_or(1), rest)
}

/// A duration as Go writes it: `1h30m`, `10s`, `250ms`.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let mut total = 0.0;
    let mut rest = text.trim();
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at_checked(end)?;
        let unit = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at_checked(unit)?;
        let scale = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 0.001,
            "us" | "µs" => 0.000_001,
            "ns" => 0.000_000_001,
            _ => return None,
        };
        total += number.parse::<f64>().ok()? * scale;
        rest = after;
    }
    Duration::try_from_secs_f64(total).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_of_go() {
        for (text, millis) in [
            ("1h30m", Some(5_400_000)),
            ("250ms", Some(250)),
            ("0", Some(0)),
            ("1.5s", Some(1500)),
            ("5", None),
            ("", None),
            ("1d", None),
            ("-1s", None),
        ] {
            assert_eq!(duration(text).map(|found| found.as_millis()), millis, "{text}");
        }
        assert_eq!(date(951_786_000), (2000, 2, 29, 3600));
        assert_eq!(seconds(&text(951_786_000)), Some(951_786_000));
    }
}
