//! Base64 and UUIDs.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use kubespray_jinja::{Args, Context, Library};
use kubespray_value::{Error, Value};
use sha1::{Digest, Sha1};

use crate::support::{decoded, filters, str_or, text};

pub(crate) fn add(library: &mut Library) {
    filters!(library, "ansible.builtin.";
        "b64decode" => b64decode,
        "b64encode" => b64encode,
        "to_uuid" => to_uuid,
    );
}

/// Python neither minds the unused bits of the last character nor what follows the padding.
const ENGINE: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone)
        .with_encode_padding(true),
);

/// The encodings that Python knows under several names.
#[derive(Clone, Copy)]
enum Encoding {
    Utf8,
    Ascii,
    Latin1,
    Utf16Le,
    Utf16Be,
}

fn encoding(args: &Args) -> Result<Encoding, Error> {
    let name = str_or(args, 0, "encoding", "utf-8")?;
    Ok(match name.to_lowercase().replace(['_', '-', ' '], "").as_str() {
        "utf8" => Encoding::Utf8,
        "ascii" | "usascii" => Encoding::Ascii,
        "latin1" | "iso88591" => Encoding::Latin1,
        "utf16le" => Encoding::Utf16Le,
        "utf16be" => Encoding::Utf16Be,
        _ => return Err(Error::of_value(format!("unknown encoding: {name}"))),
    })
}

fn b64encode(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&["encoding"])?;
    let encoding = encoding(args)?;
    let bytes = match &value {
        Value::Bytes(bytes) => bytes.to_vec(),
        value => {
            let text = text(value)?;
            let outside = |limit: u32| {
                text.chars()
                    .find(|c| u32::from(*c) > limit)
                    .map_or(Ok(()), |c| Err(Error::of_value(format!("cannot encode character `{c}`"))))
            };
            match encoding {
                Encoding::Utf8 => text.into_bytes(),
                Encoding::Ascii => outside(0x7f).map(|()| text.into_bytes())?,
                Encoding::Latin1 => {
                    outside(0xff)?;
                    text.chars().filter_map(|c| u8::try_from(u32::from(c)).ok()).collect()
                }
                Encoding::Utf16Le => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
                Encoding::Utf16Be => text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
            }
        }
    };
    Ok(Value::str(ENGINE.encode(bytes)))
}

/// Python's lenient `b64decode`: foreign characters are skipped, padding must be complete.
fn decode(text: &str) -> Result<Vec<u8>, Error> {
    let mut digits = String::new();
    let mut padding = 0;
    for c in text.chars() {
        match c {
            '=' if digits.len() % 4 >= 2 => {
                padding += 1;
                if digits.len() % 4 + padding == 4 {
                    break;
                }
            }
            'A'..='Z' | 'a'..='z' | '0'..='9' | '+' | '/' => {
                padding = 0;
                digits.push(c);
            }
            _ => {}
        }
    }
    let rest = digits.len() % 4;
    if rest == 1 {
        return Err(Error::of_value(
            "invalid base64-encoded string: number of data characters cannot be 1 more than a multiple of 4",
        ));
    }
    if rest > 0 && rest + padding != 4 {
        return Err(Error::of_value("incorrect padding"));
    }
    ENGINE.decode(digits).map_err(|error| Error::of_value(format!("invalid base64: {error}")))
}

fn b64decode(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&["encoding"])?;
    let encoding = encoding(args)?;
    let bytes = decode(&decoded(&value)?)?;
    let wide = |unit: fn([u8; 2]) -> u16| {
        let (pairs, rest) = bytes.as_chunks::<2>();
        let text = char::decode_utf16(pairs.iter().map(|pair| unit(*pair))).collect::<Result<String, _>>();
        text.ok().filter(|_| rest.is_empty())
    };
    let text = match encoding {
        Encoding::Utf8 => String::from_utf8(bytes.clone()).ok(),
        Encoding::Ascii => String::from_utf8(bytes.clone()).ok().filter(|text| text.is_ascii()),
        Encoding::Latin1 => Some(bytes.iter().copied().map(char::from).collect()),
        Encoding::Utf16Le => wide(u16::from_le_bytes),
        Encoding::Utf16Be => wide(u16::from_be_bytes),
    };
    match (text, encoding) {
        (Some(text), _) => Ok(Value::str(text)),
        (None, Encoding::Utf16Le | Encoding::Utf16Be) => {
            Err(Error::of_value("cannot decode bytes as UTF-16"))
        }
        // What is no text stays bytes, where Python would smuggle them through a text.
        (None, _) => Ok(Value::Bytes(bytes.into())),
    }
}

/// The namespace that Ansible gives its UUIDs.
const NAMESPACE: &str = "361E6D51-FAEC-444A-9079-341386DA8E2E";

fn to_uuid(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&["namespace"])?;
    let namespace = str_or(args, 0, "namespace", NAMESPACE)?;
    let cleaned = namespace.replace("urn:", "").replace("uuid:", "");
    let digits = cleaned.trim_matches(['{', '}']).replace('-', "");
    let wrong = || Error::of_value(format!("invalid value `{namespace}` for `namespace`"));
    if digits.len() != 32 {
        return Err(wrong());
    }
    let namespace = u128::from_str_radix(&digits, 16).map_err(|_| wrong())?;
    let hash = Sha1::new().chain_update(namespace.to_be_bytes()).chain_update(decoded(&value)?).finalize();
    let head = hash.first_chunk::<16>().copied().unwrap_or_default();
    let uuid = u128::from_be_bytes(head);
    // RFC 4122: version 5, variant 1.
    let uuid = (uuid & !(0xf << 76) & !(0b11 << 62)) | (5 << 76) | (0b10 << 62);
    let hex = format!("{uuid:032x}");
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    Ok(Value::str(format!(
        "{}-{}-{}-{}-{}",
        part(0, 8),
        part(8, 12),
        part(12, 16),
        part(16, 20),
        part(20, 32)
    )))
}
