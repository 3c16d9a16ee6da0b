//! Types of settings that are more than texts, numbers and lists.

use std::fmt;
use std::str::FromStr;

use ipnet::IpNet;
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The name by which deserializers know a [`FromFacts`].
pub(crate) const FROM_FACTS: &str = "$kubespray::FromFacts";

/// Anything that JSON can hold.
pub type Json = serde_json::Value;

/// A document or table whose keys are not the specification's business.
pub type JsonMap = indexmap::IndexMap<String, Json>;

/// A value that facts of the host decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromFacts<T> {
    /// The facts are known, or the value needs none.
    Known(T),
    /// It is decided when facts are known.
    NeedsFacts,
}

impl<T> FromFacts<T> {
    /// The value, where it is known.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::NeedsFacts => None,
        }
    }
}

impl<T: Serialize> Serialize for FromFacts<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Known(value) => value.serialize(serializer),
            Self::NeedsFacts => serializer.collect_map([("needs", "facts")]),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for FromFacts<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FromFactsVisitor<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for FromFactsVisitor<T> {
            type Value = FromFacts<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value, or none yet")
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(FromFacts::NeedsFacts)
            }

            fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<Self::Value, D::Error> {
                T::deserialize(inner).map(FromFacts::Known)
            }
        }
        deserializer.deserialize_newtype_struct(FROM_FACTS, FromFactsVisitor(std::marker::PhantomData))
    }
}

/// A value that is never shown.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret<T = String>(T);

impl<T> Secret<T> {
    /// Wraps a value.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// The value, for whoever has to write it to where it is needed.
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

impl<T> Serialize for Secret<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("(hidden)")
    }
}

/// Makes a type that is read from a text readable by serde.
macro_rules! from_text {
    ($type:ty, $wanted:literal) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct TextVisitor;
                impl Visitor<'_> for TextVisitor {
                    type Value = $type;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($wanted)
                    }

                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$type, E> {
                        text.parse().map_err(|()| E::invalid_value(de::Unexpected::Str(text), &self))
                    }
                }
                deserializer.deserialize_str(TextVisitor)
            }
        }
    };
}

/// A network such as `10.233.0.0/18`. An address alone is the network that holds just it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cidr(pub IpNet);

impl FromStr for Cidr {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let text = text.trim();
        let address = || text.parse::<std::net::IpAddr>().map(IpNet::from);
        text.parse::<IpNet>().or_else(|_| address()).map(Self).map_err(|_| ())
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Cidr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

from_text!(Cidr, "a network such as 10.233.0.0/18");

/// Networks that are written as one text with commas between them, IPv4 first (INV-131).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cidrs(pub Vec<Cidr>);

impl FromStr for Cidrs {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        text.split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(str::parse)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl Serialize for Cidrs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

from_text!(Cidrs, "networks such as 10.233.0.0/18,fd85::/64");

/// A duration as Go writes it, such as `1m30s`; a number alone counts seconds. Kept as it was written,
/// because that is what lands in configuration files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Duration {
    text: String,
    length: std::time::Duration,
}

impl Duration {
    /// The text as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// How long it is.
    pub fn length(&self) -> std::time::Duration {
        self.length
    }
}

/// Go's units with their nanoseconds, the longer of two that begin alike first.
const UNITS: &[(&str, f64)] =
    &[("ns", 1.0), ("us", 1e3), ("µs", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 6e10), ("h", 3.6e12)];

impl FromStr for Duration {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut rest = text.trim();
        let mut nanoseconds = 0.0;
        if rest.is_empty() {
            return Err(());
        }
        while !rest.is_empty() {
            let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
            let (number, after) = rest.split_at(end);
            let number: f64 = number.parse().map_err(|_| ())?;
            let unit = if after.is_empty() && number.fract() == 0.0 && nanoseconds == 0.0 {
                Some((after, 1e9))
            } else {
                UNITS.iter().find_map(|(unit, worth)| after.strip_prefix(unit).map(|after| (after, *worth)))
            };
            let (after, worth) = unit.ok_or(())?;
            nanoseconds += number * worth;
            rest = after;
        }
        let length = std::time::Duration::try_from_secs_f64(nanoseconds / 1e9).map_err(|_| ())?;
        Ok(Self { text: text.trim().to_owned(), length })
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

from_text!(Duration, "a duration such as 1m30s");

/// An amount as Kubernetes writes it, such as `500m` or `1.5Gi`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quantity(String);

impl Quantity {
    /// The text as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What may stand behind the number of a [`Quantity`]. Docker writes `M` and `G` as `m` and `g`.
const SUFFIXES: &[&str] = &[
    "", "n", "u", "m", "k", "K", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei", "g", "b", "B",
    "%",
];

impl FromStr for Quantity {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let text = text.trim();
        let end =
            text.find(|c: char| !c.is_ascii_digit() && !matches!(c, '.' | '+' | '-')).unwrap_or(text.len());
        let (number, suffix) = text.split_at(end);
        let fits = number.parse::<f64>().is_ok() && SUFFIXES.contains(&suffix);
        if fits { Ok(Self(text.to_owned())) } else { Err(()) }
    }
}

impl Serialize for Quantity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

from_text!(Quantity, "an amount such as 500m or 1Gi");

/// The effect of a taint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum TaintEffect {
    /// No new pods.
    NoSchedule,
    /// New pods only where nothing else has room.
    PreferNoSchedule,
    /// Running pods leave, too.
    NoExecute,
}

/// A taint, written as `key=value:Effect` or `key:Effect` (INV-079).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Taint {
    /// The key.
    pub key: String,
    /// The value; may be empty.
    pub value: String,
    /// What it does.
    pub effect: TaintEffect,
}

impl FromStr for Taint {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (label, effect) = text.trim().rsplit_once(':').ok_or(())?;
        let effect = match effect {
            "NoSchedule" => TaintEffect::NoSchedule,
            "PreferNoSchedule" => TaintEffect::PreferNoSchedule,
            "NoExecute" => TaintEffect::NoExecute,
            _ => return Err(()),
        };
        let (key, value) = label.split_once('=').unwrap_or((label, ""));
        if key.is_empty() {
            return Err(());
        }
        Ok(Self { key: key.to_owned(), value: value.to_owned(), effect })
    }
}

from_text!(Taint, "a taint such as key=value:NoSchedule");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_of_go() {
        let seconds = |text: &str| text.parse::<Duration>().map(|duration| duration.length().as_secs_f64());
        for (text, wanted) in
            [("1h0m0s", 3600.0), ("1m30s", 90.0), ("1.5h", 5400.0), ("300ms", 0.3), ("0s", 0.0), ("10", 10.0)]
        {
            assert_eq!(seconds(text), Ok(wanted), "{text}");
        }
        for text in ["", "s", "1x", "1h5", "-1s", "10 s", "1..s"] {
            assert_eq!(seconds(text), Err(()), "{text}");
        }
    }

    #[test]
    fn taints_have_an_effect() {
        let taint: Taint = "nvidia.com/gpu=:NoSchedule".parse().unwrap();
        assert_eq!((taint.key.as_str(), taint.value.as_str()), ("nvidia.com/gpu", ""));
        assert_eq!("a=b:NoExecute".parse::<Taint>().unwrap().value, "b");
        for text in ["a=b", "a=b:Never", "=b:NoSchedule", ""] {
            assert!(text.parse::<Taint>().is_err(), "{text}");
        }
    }

    #[test]
    fn networks_and_amounts() {
        assert_eq!("10.0.0.1".parse::<Cidr>().unwrap().to_string(), "10.0.0.1/32");
        assert_eq!("10.233.0.0/18, fd85::/64".parse::<Cidrs>().unwrap().0.len(), 2);
        assert!("10.233.0.0/33".parse::<Cidr>().is_err());
        for (text, fits) in
            [("500m", true), ("1.5Gi", true), ("0", true), ("64Mb", false), ("Gi", false), ("1 Gi", false)]
        {
            assert_eq!(text.parse::<Quantity>().is_ok(), fits, "{text}");
        }
    }

    #[test]
    fn secrets_are_hidden() {
        let secret = Secret::new("hunter2".to_owned());
        assert_eq!(format!("{secret:?}"), "(hidden)");
        assert_eq!(serde_json::to_string(&secret).unwrap(), "\"(hidden)\"");
        assert_eq!(secret.expose(), "hunter2");
    }
}
