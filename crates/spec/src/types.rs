//! Types of settings that are more than texts, numbers and lists.

use std::fmt;
use std::str::FromStr;

use ipnet::IpNet;
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The name by which deserializers know a [`FromFacts`].
pub(crate) const FROM_FACTS: &str = "$kubespray::FromFacts";

/// A map of texts to anything.
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
        text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

impl Serialize for Cidrs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

from_text!(Cidrs, "networks such as 10.233.0.0/18,fd85::/64");

/// A duration as Go writes it, such as `1m30s`. Kept as it was written, because that is what lands in
/// configuration files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Duration {
    text: String,
    seconds: f64_seconds::Seconds,
}

mod f64_seconds {
    /// Nanoseconds, so that durations have an equality.
    pub(super) type Seconds = u64;
}

impl Duration {
    /// The text as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// How long it is.
    pub fn length(&self) -> std::time::Duration {
        std::time::Duration::from_nanos(self.seconds)
    }
}
