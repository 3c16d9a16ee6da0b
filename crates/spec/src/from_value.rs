//! One value of a variable as a Rust type.

use std::fmt;

use kubespray_value::literal::{self, Names};
use kubespray_value::{Value, json, parse_float, parse_int};
use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{self, Deserializer, EnumAccess, IntoDeserializer, VariantAccess, Visitor};

/// Values nested deeper are refused; no setting needs as much.
const DEEPEST: usize = 64;

/// Longer values are cut in messages.
const LONGEST_SHOWN: usize = 60;

/// Why a value does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mismatch {
    /// What is wanted, such as `an integer`; or the whole reason.
    wanted: String,
    /// Whether `wanted` says what was wanted.
    is_type: bool,
    /// The value that does not fit.
    got: Option<Value>,
}

impl Mismatch {
    fn new(wanted: &str, got: &Value) -> Self {
        Self { wanted: wanted.to_owned(), is_type: true, got: Some(got.clone()) }
    }

    /// Says which value it was, where that is not known better.
    pub(crate) fn of(mut self, value: &Value) -> Self {
        self.got.get_or_insert_with(|| value.clone());
        self
    }

    /// The rest of a sentence that begins with the variable; hides the value where it is secret.
    pub(crate) fn describe(&self, secret: bool) -> String {
        let got = self.got.as_ref().map_or_else(|| "nothing".to_owned(), |value| shown(value, secret));
        if self.is_type {
            format!("must be {}, not {got}", self.wanted)
        } else if secret {
            format!("does not fit: {got}")
        } else {
            format!("does not fit: {} ({got})", self.wanted)
        }
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.describe(true))
    }
}

impl std::error::Error for Mismatch {}

impl de::Error for Mismatch {
    fn custom<T: fmt::Display>(message: T) -> Self {
        let message = message.to_string();
        if message == "invalid IP address syntax" {
            return Self { wanted: "an IP address".to_owned(), is_type: true, got: None };
        }
        Self { wanted: message, is_type: false, got: None }
    }

    fn invalid_type(_: de::Unexpected<'_>, wanted: &dyn de::Expected) -> Self {
        Self { wanted: in_words(&wanted.to_string()).to_owned(), is_type: true, got: None }
    }

    fn invalid_value(unexpected: de::Unexpected<'_>, wanted: &dyn de::Expected) -> Self {
        Self::invalid_type(unexpected, wanted)
    }

    fn unknown_variant(_: &str, allowed: &'static [&'static str]) -> Self {
        let allowed: Vec<String> = allowed.iter().map(|word| format!("`{word}`")).collect();
        Self { wanted: format!("one of {}", allowed.join(", ")), is_type: true, got: None }
    }
}

/// What serde calls a type, as users call it.
fn in_words(wanted: &str) -> &str {
    match wanted {
        "u16" => "a port (0 to 65535)",
        "i64" => "an integer",
        "u8" | "u32" | "u64" => "an integer of 0 or more",
        "IP address" => "an IP address",
        "a string" => "a text",
        "a boolean" => "a boolean (true or false)",
        "a sequence" => "a list",
        other => other,
    }
}

fn shown(value: &Value, secret: bool) -> String {
    let kind = match value {
        Value::None => return "null".to_owned(),
        Value::Str(_) => "the text",
        Value::Bool(_) => "the boolean",
        Value::Int(_) | Value::BigInt(_) => "the integer",
        Value::Float(_) => "the number",
        Value::List(_) | Value::Tuple(_) | Value::View(_) => "the list",
        Value::Map(_) | Value::Object(_) => "the map",
        _ => "the value",
    };
    if secret {
        return format!("{kind} (hidden)");
    }
    let text = value.to_text();
    let mut short: String = text.chars().take(LONGEST_SHOWN).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    format!("{kind} `{short}`")
}

/// Reads one value.
#[derive(Clone, Copy)]
pub(crate) struct FromValue<'a> {
    value: &'a Value,
    depth: usize,
}

impl<'a> FromValue<'a> {
    pub(crate) fn new(value: &'a Value) -> Self {
        Self { value, depth: 0 }
    }

    fn wrong<T>(self, wanted: &str) -> Result<T, Mismatch> {
        Err(Mismatch::new(wanted, self.value))
    }

    fn is_nothing(self) -> bool {
        self.value.is_none() || self.value.as_str() == Some("")
    }

    fn boolean(self) -> Result<bool, Mismatch> {
        let word = match self.value {
            Value::Bool(value) => return Ok(*value),
            Value::Int(0) => return Ok(false),
            Value::Int(1) => return Ok(true),
            Value::Str(text) => text.trim().to_lowercase(),
            _ => String::new(),
        };
        match word.as_str() {
            "true" | "yes" | "on" | "1" | "y" | "t" => Ok(true),
            "false" | "no" | "off" | "0" | "n" | "f" => Ok(false),
            _ => self.wrong("a boolean (true or false)"),
        }
    }

    fn integer(self) -> Result<i64, Mismatch> {
        let int = match self.value {
            Value::Int(int) => Some(*int),
            Value::Float(float) if float.fract() == 0.0 && float.abs() < 9e15 => Some(*float as i64),
            Value::Str(text) => parse_int(text.trim(), 10).and_then(|int| int.as_i64()),
            _ => None,
        };
        int.map_or_else(|| self.wrong("an integer"), Ok)
    }

    fn number(self) -> Result<f64, Mismatch> {
        let number = match self.value {
            Value::Int(int) => Some(*int as f64),
            Value::Float(float) => Some(*float),
            Value::Str(text) => parse_float(text.trim()),
            _ => None,
        };
        number.map_or_else(|| self.wrong("a number"), Ok)
    }

    fn text(self) -> Result<String, Mismatch> {
        match self.value {
            Value::Str(_)
            | Value::Bool(_)
            | Value::Int(_)
            | Value::BigInt(_)
            | Value::Float(_)
            | Value::Date(_)
            | Value::DateTime(_) => Ok(self.value.to_text()),
            _ => self.wrong("a text"),
        }
    }
}

/// A list or map that was written as a text.
fn literal_of(value: &Value) -> Option<Value> {
    let text = value.as_str()?.trim();
    if text.starts_with(['[', '{']) { literal::parse(text, Names::PythonAndJson).ok() } else { None }
}

impl<'de> Deserializer<'de> for FromValue<'_> {
    type Error = Mismatch;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match self.value {
            Value::None => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Int(value) => visitor.visit_i64(*value),
            Value::Float(value) => visitor.visit_f64(*value),
            Value::BigInt(_) => match self.value.to_text().parse::<u64>() {
                Ok(value) => visitor.visit_u64(value),
                Err(_) => visitor.visit_string(self.value.to_text()),
            },
            Value::Str(_) | Value::Bytes(_) | Value::Date(_) | Value::DateTime(_) => {
                visitor.visit_string(self.value.to_text())
            }
            Value::List(_) | Value::Tuple(_) | Value::View(_) => self.deserialize_seq(visitor),
            Value::Map(_) | Value::Object(_) => self.deserialize_map(visitor),
            Value::Vault(_) | Value::Undefined(_) => self.wrong("a value"),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        visitor.visit_bool(self.boolean()?)
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        visitor.visit_i64(self.integer()?)
    }

    fn deserialize_i32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        self.deserialize_i64(visitor)
    }

    fn deserialize_u8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        self.deserialize_i64(visitor)
    }

    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        self.deserialize_i64(visitor)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        self.deserialize_i64(visitor)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        self.deserialize_i64(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        visitor.visit_f64(self.number()?)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        visitor.visit_string(self.text()?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        if self.is_nothing() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        if self.depth > DEEPEST {
            return self.wrong("a value that is nested less deep");
        }
        let literal = literal_of(self.value);
        let items = match literal.as_ref().unwrap_or(self.value).as_sequence() {
            Some(items) => items,
            None if self.is_nothing() => &[],
            None => return self.wrong("a list"),
        };
        let depth = self.depth + 1;
        visitor.visit_seq(SeqDeserializer::new(items.iter().map(|value| FromValue { value, depth })))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        if self.depth > DEEPEST {
            return self.wrong("a value that is nested less deep");
        }
        let depth = self.depth + 1;
        let entry = |key: &Value, value: Value| {
            (json::key_text(key).unwrap_or_else(|_| key.to_text()), Owned { value, depth })
        };
        let literal = literal_of(self.value);
        let entries: Vec<(String, Owned)> = match literal.as_ref().unwrap_or(self.value) {
            Value::Map(map) => map.iter().map(|(key, value)| entry(key, value.clone())).collect(),
            Value::Object(object) => {
                let get = |key: Value| Some(entry(&key, object.get(&key).ok().flatten()?));
                object.keys().into_iter().filter_map(get).collect()
            }
            _ if self.is_nothing() => Vec::new(),
            _ => return self.wrong("a map"),
        };
        visitor.visit_map(MapDeserializer::new(entries.into_iter()))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        visitor.visit_enum(Word(self.text()?)).map_err(|error| error.of(self.value))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i128 u128 f32 char bytes byte_buf unit unit_struct tuple tuple_struct identifier
    }
}

impl<'de, 'a> IntoDeserializer<'de, Mismatch> for FromValue<'a> {
    type Deserializer = FromValue<'a>;

    fn into_deserializer(self) -> Self::Deserializer {
        self
    }
}

/// A value of a map.
struct Owned {
    value: Value,
    depth: usize,
}

impl<'de> IntoDeserializer<'de, Mismatch> for Owned {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

macro_rules! as_borrowed {
    ($($method:ident($($name:ident: $type:ty),*);)*) => {
        impl<'de> Deserializer<'de> for Owned {
            type Error = Mismatch;
            $(
                fn $method<V: Visitor<'de>>(self, $($name: $type,)* visitor: V) -> Result<V::Value, Mismatch> {
                    let borrowed = FromValue { value: &self.value, depth: self.depth };
                    borrowed.$method($($name,)* visitor).map_err(|error| error.of(&self.value))
                }
            )*
        }
    };
}

as_borrowed! {
    deserialize_any();
    deserialize_bool();
    deserialize_i8();
    deserialize_i16();
    deserialize_i32();
    deserialize_i64();
    deserialize_i128();
    deserialize_u8();
    deserialize_u16();
    deserialize_u32();
    deserialize_u64();
    deserialize_u128();
    deserialize_f32();
    deserialize_f64();
    deserialize_char();
    deserialize_str();
    deserialize_string();
    deserialize_bytes();
    deserialize_byte_buf();
    deserialize_option();
    deserialize_unit();
    deserialize_unit_struct(name: &'static str);
    deserialize_newtype_struct(name: &'static str);
    deserialize_seq();
    deserialize_tuple(len: usize);
    deserialize_tuple_struct(name: &'static str, len: usize);
    deserialize_map();
    deserialize_struct(name: &'static str, fields: &'static [&'static str]);
    deserialize_enum(name: &'static str, variants: &'static [&'static str]);
    deserialize_identifier();
    deserialize_ignored_any();
}

/// A word that stands for a variant.
struct Word(String);

impl<'de> EnumAccess<'de> for Word {
    type Error = Mismatch;
    type Variant = OnlyAWord;

    fn variant_seed<V: de::DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, OnlyAWord), Mismatch> {
        Ok((seed.deserialize(self.0.into_deserializer())?, OnlyAWord))
    }
}

/// Variants of settings hold nothing.
struct OnlyAWord;

impl<'de> VariantAccess<'de> for OnlyAWord {
    type Error = Mismatch;

    fn unit_variant(self) -> Result<(), Mismatch> {
        Ok(())
    }

    fn newtype_variant_seed<T: de::DeserializeSeed<'de>>(self, _: T) -> Result<T::Value, Mismatch> {
        Err(de::Error::custom("is one word"))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Mismatch> {
        Err(de::Error::custom("is one word"))
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], _: V) -> Result<V::Value, Mismatch> {
        Err(de::Error::custom("is one word"))
    }
}
