//! Headers of HTTP/2 (RFC 7541) as far as calls of the CRI need them: written without compression; of what is read only
//! values count whose names stand beside them.

use super::huffman::CODES;

/// Entries of the table that every connection has.
const STATIC: u64 = 61;

fn integer(bytes: &[u8], at: &mut usize, bits: u8) -> Option<u64> {
    let most = (1u64 << bits) - 1;
    let mut out = u64::from(*bytes.get(*at)?) & most;
    *at += 1;
    if out < most {
        return Some(out);
    }
    for shift in (0..56).step_by(7) {
        let byte = *bytes.get(*at)?;
        *at += 1;
        out = out.checked_add(u64::from(byte & 0x7f) << shift)?;
        if byte & 0x80 == 0 {
            return Some(out);
        }
    }
    None
}

fn put_integer(out: &mut Vec<u8>, first: u8, bits: u8, mut value: u64) {
    let most = (1u64 << bits) - 1;
    if value < most {
        out.push(first | u8::try_from(value).unwrap_or_default());
        return;
    }
    out.push(first | u8::try_from(most).unwrap_or_default());
    value -= most;
    while value >= 0x80 {
        out.push(u8::try_from(value & 0x7f).unwrap_or_default() | 0x80);
        value >>= 7;
    }
    out.push(u8::try_from(value).unwrap_or_default());
}

fn text(bytes: &[u8], at: &mut usize) -> Option<String> {
    let is_huffman = bytes.get(*at)? & 0x80 != 0;
    let length = usize::try_from(integer(bytes, at, 7)?).ok()?;
    let end = at.checked_add(length)?;
    let raw = bytes.get(*at..end)?;
    *at = end;
    let raw = if is_huffman { expand(raw)? } else { raw.to_vec() };
    Some(String::from_utf8_lossy(&raw).into_owned())
}

fn expand(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let (mut code, mut length) = (0u32, 0u8);
    for byte in bytes {
        for bit in (0..8).rev() {
            code = (code << 1) | u32::from((byte >> bit) & 1);
            length += 1;
            if let Some(found) = CODES.iter().position(|known| *known == (code, length)) {
                out.push(u8::try_from(found).ok()?);
                (code, length) = (0, 0);
            }
            if length > 30 {
                return None;
            }
        }
    }
    Some(out)
}

/// Headers as they are sent.
pub(super) fn write(headers: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in headers {
        out.push(0);
        for text in [name, value] {
            put_integer(&mut out, 0, 7, text.len() as u64);
            out.extend(text.as_bytes());
        }
    }
    out
}

/// Headers whose names are written out. Our settings allow no table but the one that all have.
pub(super) fn read(bytes: &[u8]) -> Result<Vec<(String, String)>, String> {
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(first) = bytes.get(at) {
        let header = match first {
            // Known altogether, such as `:status: 200`.
            0x80.. => integer(bytes, &mut at, 7).filter(|index| *index <= STATIC).map(|_| None),
            // A table may be made smaller, but not larger.
            0x20..0x40 => integer(bytes, &mut at, 5).map(|_| None),
            _ => {
                let bits = if first & 0x40 != 0 { 6 } else { 4 };
                integer(bytes, &mut at, bits).and_then(|index| {
                    if index > STATIC {
                        return None;
                    }
                    let name = if index == 0 { text(bytes, &mut at)? } else { String::new() };
                    Some(Some((name, text(bytes, &mut at)?)))
                })
            }
        };
        out.extend(header.ok_or("headers that cannot be read")?);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_and_written() {
        let long = "x".repeat(300);
        let written = write(&[("te", "trailers"), ("grpc-message", &long)]);
        let read_again = read(&written).unwrap();
        assert_eq!(read_again, [("te".to_owned(), "trailers".to_owned()), ("grpc-message".to_owned(), long)]);
        // RFC 7541, C.4.3: a literal with both its parts compressed.
        let bytes = [
            0x82, 0x40, 0x88, 0x25, 0xa8, 0x49, 0xe9, 0x5b, 0xa9, 0x7d, 0x7f, 0x89, 0x25, 0xa8, 0x49, 0xe9,
            0x5b, 0xb8, 0xe8, 0xb4, 0xbf,
        ];
        assert_eq!(read(&bytes).unwrap(), [("custom-key".to_owned(), "custom-value".to_owned())]);
        for end in 1..bytes.len() {
            let _ = read(&bytes[..end]);
        }
        assert!(read(&[0xff, 0xff, 0xff]).is_err());
    }
}
