//! Dates and times: `strftime`, `to_datetime`, `now`.

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil;
use jiff::tz::TimeZone;
use kubespray_jinja::{Args, Context, Function, Library, World};
use kubespray_value::{DateTime, Error, Value, parse_float};

use crate::support::{filters, flag, need_float, need_str, optional, str_or};

pub(crate) fn add(library: &mut Library) {
    filters!(library, "ansible.builtin.";
        "strftime" => strftime,
        "to_datetime" => to_datetime,
    );
    let functions: [(&'static str, Function); 1] = [("now", now)];
    library.functions.extend(functions);
}

/// The zone of the caller: `TZ`, else `/etc/localtime`, else UTC.
fn local_zone(world: &dyn World) -> TimeZone {
    let path = match world.environment("TZ").as_deref() {
        None => "/etc/localtime".to_owned(),
        Some(name) => {
            let name = name.trim_start_matches(':');
            if name.is_empty() || name == "UTC" {
                return TimeZone::UTC;
            }
            if name.starts_with('/') { name.to_owned() } else { format!("/usr/share/zoneinfo/{name}") }
        }
    };
    let data = world.read_file(Path::new(&path)).ok();
    data.and_then(|data| TimeZone::tzif("local", &data).ok()).unwrap_or(TimeZone::UTC)
}

/// A time as it is shown.
struct Moment {
    civil: civil::DateTime,
    /// Seconds since 1970.
    second: i64,
    /// The zone's offset and name; Python's dates without a zone show neither.
    zone: Option<(i32, String)>,
    /// Whether `%f` is known: C's times have no fractions.
    fractions: bool,
}

impl Moment {
    fn new(second: i64, nanosecond: i32, zone: &TimeZone) -> Result<Self, Error> {
        let timestamp = Timestamp::new(second, nanosecond)
            .map_err(|_| Error::of_value(format!("time {second} is out of range")))?;
        let info = zone.to_offset_info(timestamp);
        let zone = Some((info.offset().seconds(), info.abbreviation().to_owned()));
        Ok(Self { civil: info.offset().to_datetime(timestamp), second, zone, fractions: false })
    }
}

const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

fn short(names: &[&'static str], index: i8) -> &'static str {
    long(names, index).get(..3).unwrap_or("")
}

fn long(names: &[&'static str], index: i8) -> &'static str {
    usize::try_from(index - 1).ok().and_then(|index| names.get(index)).copied().unwrap_or("")
}

/// C's `strftime` in the C locale. What it does not know stays as it is.
fn formatted(format: &str, moment: &Moment) -> String {
    let (date, time) = (moment.civil.date(), moment.civil.time());
    let weekday = date.weekday();
    let (monday_one, sunday_zero) = (weekday.to_monday_one_offset(), weekday.to_sunday_zero_offset());
    let day_of_year = date.day_of_year();
    let hour12 = (time.hour() + 11).rem_euclid(12) + 1;
    let iso = date.iso_week_date();
    let mut out = String::new();
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut directive = chars.next();
        let unpadded = directive == Some('-');
        if unpadded {
            directive = chars.next();
        }
        let Some(directive) = directive else {
            out.push('%');
            break;
        };
        let nested = |format: &str| formatted(format, moment);
        let mut number = |value: i64, width: usize| {
            let _ = if unpadded { write!(out, "{value}") } else { write!(out, "{value:0width$}") };
        };
        match directive {
            'Y' => number(i64::from(date.year()), if unpadded { 1 } else { 4 }),
            'C' => number(i64::from(date.year() / 100), 2),
            'y' => number(i64::from(date.year().rem_euclid(100)), 2),
            'm' => number(i64::from(date.month()), 2),
            'd' => number(i64::from(date.day()), 2),
            'H' => number(i64::from(time.hour()), 2),
            'I' => number(i64::from(hour12), 2),
            'M' => number(i64::from(time.minute()), 2),
            'S' => number(i64::from(time.second()), 2),
            'j' => number(i64::from(day_of_year), 3),
            'u' => number(i64::from(monday_one), 1),
            'w' => number(i64::from(sunday_zero), 1),
            'U' => number(i64::from((day_of_year + 6 - i16::from(sunday_zero)) / 7), 2),
            'W' => number(i64::from((day_of_year + 6 - i16::from(monday_one - 1)) / 7), 2),
            'V' => number(i64::from(iso.week()), 2),
            'G' => number(i64::from(iso.year()), 4),
            'g' => number(i64::from(iso.year().rem_euclid(100)), 2),
            'f' if moment.fractions => number(i64::from(time.subsec_nanosecond() / 1000), 6),
            'e' => {
                let _ =
                    if unpadded { write!(out, "{}", date.day()) } else { write!(out, "{:2}", date.day()) };
            }
            'k' => {
                let _ = write!(out, "{:2}", time.hour());
            }
            'l' => {
                let _ = write!(out, "{hour12:2}");
            }
            'a' => out.push_str(short(&DAYS, monday_one)),
            'A' => out.push_str(long(&DAYS, monday_one)),
            'b' | 'h' => out.push_str(short(&MONTHS, date.month())),
            'B' => out.push_str(long(&MONTHS, date.month())),
            'p' => out.push_str(if time.hour() < 12 { "AM" } else { "PM" }),
            'P' => out.push_str(if time.hour() < 12 { "am" } else { "pm" }),
            'D' | 'x' => out.push_str(&nested("%m/%d/%y")),
            'F' => out.push_str(&nested("%Y-%m-%d")),
            'T' | 'X' => out.push_str(&nested("%H:%M:%S")),
            'R' => out.push_str(&nested("%H:%M")),
            'r' => out.push_str(&nested("%I:%M:%S %p")),
            'c' => out.push_str(&nested("%a %b %e %H:%M:%S %Y")),
            's' => {
                let _ = write!(out, "{}", moment.second);
            }
            'z' => {
                if let Some((offset, _)) = &moment.zone {
                    let sign = if *offset < 0 { '-' } else { '+' };
                    let offset = offset.abs();
                    let _ = write!(out, "{sign}{:02}{:02}", offset / 3600, offset / 60 % 60);
                }
            }
            'Z' => out.push_str(moment.zone.as_ref().map_or("", |(_, name)| name)),
            'n' => out.push('\n'),
            't' => out.push('\t'),
            '%' => out.push('%'),
            other => {
                out.push('%');
                if unpadded {
                    out.push('-');
                }
                out.push(other);
            }
        }
    }
    out
}

fn strftime(context: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&["second", "utc"])?;
    let format = need_str(&value, "the format")?;
    let utc = flag(args, 1, "utc")?;
    let second = match optional(args, 0, "second") {
        None => context.world.now().0,
        Some(second) => {
            let wrong = || Error::of_value(format!("invalid value for epoch value ({})", second.to_text()));
            let second = match second {
                Value::Str(text) => parse_float(text).ok_or_else(wrong)?,
                other => need_float(other, "`second`").map_err(|_| wrong())?,
            };
            if !second.is_finite() {
                return Err(wrong());
            }
            second.floor() as i64
        }
    };
    let zone = if utc { TimeZone::UTC } else { local_zone(context.world) };
    let mut moment = Moment::new(second, 0, &zone)?;
    if let (true, Some((_, name))) = (utc, &mut moment.zone) {
        // C's name for the zone of `gmtime`.
        *name = "GMT".into();
    }
    Ok(Value::str(formatted(format, &moment)))
}

fn now(context: &Context<'_>, args: &Args) -> Result<Value, Error> {
    args.only(&["utc", "fmt"])?;
    let zone = if flag(args, 0, "utc")? { TimeZone::UTC } else { local_zone(context.world) };
    let (second, nanosecond) = context.world.now();
    let nanosecond = i32::try_from(nanosecond / 1000 * 1000).unwrap_or(0);
    let mut moment = Moment::new(second, nanosecond, &zone)?;
    let Some(fmt) = optional(args, 1, "fmt").filter(|fmt| fmt.as_str() != Some("")) else {
        return Ok(Value::DateTime(Arc::new(DateTime { civil: moment.civil, offset_seconds: None })));
    };
    // Python's dates name no zone, and take themselves for local ones when they count seconds.
    let local = local_zone(context.world).to_zoned(moment.civil);
    moment.second = local.map_or(second, |local| local.timestamp().as_second());
    (moment.zone, moment.fractions) = (None, true);
    Ok(Value::str(formatted(need_str(fmt, "`fmt`")?, &moment)))
}

/// What a text said about a time so far.
struct Parsed {
    year: i16,
    month: i8,
    day: i8,
    hour: i8,
    minute: i8,
    second: i8,
    nanosecond: i32,
    afternoon: Option<bool>,
    day_of_year: Option<i16>,
    offset: Option<i32>,
}

struct Reader<'a>(&'a str);

impl Reader<'_> {
    /// Between one and `most` digits.
    fn number(&mut self, most: usize) -> Option<i32> {
        let length = self.0.bytes().take(most).take_while(u8::is_ascii_digit).count();
        let (digits, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        digits.parse().ok()
    }

    fn within<T: TryFrom<i32>>(&mut self, most: usize, range: std::ops::RangeInclusive<i32>) -> Option<T> {
        // Python takes as many digits as stay in range.
        for digits in (1..=most).rev() {
            let before = self.0;
            if let Some(number) = self.number(digits).filter(|number| range.contains(number)) {
                return T::try_from(number).ok();
            }
            self.0 = before;
        }
        None
    }

    /// The position of the name that comes next, counted from 1; case does not matter.
    fn name(&mut self, names: &[&str], length: usize) -> Option<i8> {
        for (index, name) in names.iter().enumerate() {
            let name = name.get(..length).unwrap_or(name);
            if let Some((head, rest)) = self.0.split_at_checked(name.len())
                && head.eq_ignore_ascii_case(name)
            {
                self.0 = rest;
                return i8::try_from(index + 1).ok();
            }
        }
        None
    }

    fn offset(&mut self) -> Option<i32> {
        if let Some(rest) = self.0.strip_prefix('Z') {
            self.0 = rest;
            return Some(0);
        }
        let sign = match self.0.chars().next()? {
            '+' => 1,
            '-' => -1,
            _ => return None,
        };
        self.0 = self.0.get(1..)?;
        let hours = self.number(2)?;
        self.0 = self.0.strip_prefix(':').unwrap_or(self.0);
        let minutes = self.number(2)?;
        Some(sign * (hours * 3600 + minutes * 60))
    }
}

fn directive(directive: char, reader: &mut Reader<'_>, parsed: &mut Parsed) -> Option<()> {
    match directive {
        'Y' => parsed.year = reader.number(4).filter(|year| *year > 0)?.try_into().ok()?,
        'y' => {
            let year: i16 = reader.within(2, 0..=99)?;
            parsed.year = if year <= 68 { 2000 + year } else { 1900 + year };
        }
        'm' => parsed.month = reader.within(2, 1..=12)?,
        'd' => {
            reader.0 = reader.0.strip_prefix(' ').unwrap_or(reader.0);
            parsed.day = reader.within(2, 1..=31)?;
        }
        'H' => parsed.hour = reader.within(2, 0..=23)?,
        'I' => parsed.hour = reader.within(2, 1..=12)?,
        'M' => parsed.minute = reader.within(2, 0..=59)?,
        'S' => parsed.second = reader.within(2, 0..=59)?,
        'j' => parsed.day_of_year = Some(reader.within(3, 1..=366)?),
        'f' => {
            let length = reader.0.bytes().take(6).take_while(u8::is_ascii_digit).count();
            let micros = reader.number(6)? * 10_i32.pow(u32::try_from(6 - length).ok()?);
            parsed.nanosecond = micros * 1000;
        }
        'p' => parsed.afternoon = Some(reader.name(&["AM", "PM"], 2)? == 2),
        'B' => parsed.month = reader.name(&MONTHS, 9)?,
        'b' | 'h' => parsed.month = reader.name(&MONTHS, 3)?,
        'A' => reader.name(&DAYS, 9).map(|_| ())?,
        'a' => reader.name(&DAYS, 3).map(|_| ())?,
        'z' => parsed.offset = Some(reader.offset()?),
        'Z' => reader.name(&["UTC", "GMT"], 3).map(|_| ())?,
        'D' | 'x' => return all("%m/%d/%y", reader, parsed),
        'T' | 'X' => return all("%H:%M:%S", reader, parsed),
        'F' => return all("%Y-%m-%d", reader, parsed),
        'R' => return all("%H:%M", reader, parsed),
        'c' => return all("%a %b %d %H:%M:%S %Y", reader, parsed),
        '%' => reader.0 = reader.0.strip_prefix('%')?,
        _ => return None,
    }
    Some(())
}

fn all(format: &str, reader: &mut Reader<'_>, parsed: &mut Parsed) -> Option<()> {
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '%' {
            directive(chars.next()?, reader, parsed)?;
        } else if c.is_whitespace() {
            while chars.next_if(|c| c.is_whitespace()).is_some() {}
            let trimmed = reader.0.trim_start();
            if trimmed.len() == reader.0.len() {
                return None;
            }
            reader.0 = trimmed;
        } else {
            let found = reader.0.chars().next()?;
            if !found.to_lowercase().eq(c.to_lowercase()) {
                return None;
            }
            reader.0 = reader.0.get(found.len_utf8()..)?;
        }
    }
    Some(())
}

fn read(text: &str, format: &str) -> Option<DateTime> {
    let mut parsed = Parsed {
        year: 1900,
        month: 1,
        day: 1,
        hour: 0,
        minute: 0,
        second: 0,
        nanosecond: 0,
        afternoon: None,
        day_of_year: None,
        offset: None,
    };
    let mut reader = Reader(text);
    all(format, &mut reader, &mut parsed)?;
    if !reader.0.is_empty() {
        return None;
    }
    if let Some(afternoon) = parsed.afternoon.filter(|_| format.contains("%I")) {
        parsed.hour = parsed.hour % 12 + if afternoon { 12 } else { 0 };
    }
    let date = match parsed.day_of_year {
        Some(day) => civil::Date::new(parsed.year, 1, 1).ok()?.with().day_of_year(day).build().ok()?,
        None => civil::Date::new(parsed.year, parsed.month, parsed.day).ok()?,
    };
    let time = civil::Time::new(parsed.hour, parsed.minute, parsed.second, parsed.nanosecond).ok()?;
    Some(DateTime { civil: date.to_datetime(time), offset_seconds: parsed.offset })
}

fn to_datetime(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&["format"])?;
    let text = need_str(&value, "the time")?;
    let format = str_or(args, 0, "format", "%Y-%m-%d %H:%M:%S")?;
    match read(text, format) {
        Some(datetime) => Ok(Value::DateTime(Arc::new(datetime))),
        None => Err(Error::of_value(format!("time data `{text}` does not match format `{format}`"))),
    }
}
