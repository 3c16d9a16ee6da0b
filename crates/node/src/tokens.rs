//! Things that wait to happen because an input of them changed; one file each, empty but for that of a reboot.

use std::collections::BTreeSet;

use kubespray_resource::{Mode, Owner, Token};

use crate::paths::{self, PENDING};
use crate::{Host, HostError};

/// All tokens that wait.
pub(crate) fn all(host: &dyn Host) -> Result<BTreeSet<Token>, HostError> {
    Ok(host.list(PENDING)?.iter().filter_map(|name| decode(name)).collect())
}

/// Keeps a token until [`clear`].
pub(crate) fn set(host: &dyn Host, token: &Token) -> Result<(), HostError> {
    let boot_id = if *token == Token::reboot() { host.boot_id()? } else { String::new() };
    // Many files of one service notify it: the first has kept the token, durably. That of an earlier boot is none.
    if host.read(&path(token))?.is_some_and(|kept| kept == boot_id.as_bytes()) {
        return Ok(());
    }
    paths::ensure(host, PENDING)?;
    host.write(&path(token), boot_id.as_bytes(), Mode::PRIVATE, &Owner::root())
}

/// Whether a token for a reboot was left since the host was booted last. One from before means nothing any more.
pub(crate) fn is_of_this_boot(host: &dyn Host, token: &Token) -> Result<bool, HostError> {
    let Some(left_in) = host.read(&path(token))? else { return Ok(false) };
    Ok(left_in == host.boot_id()?.into_bytes())
}

/// What waited has happened.
pub(crate) fn clear(host: &dyn Host, token: &Token) -> Result<(), HostError> {
    let path = path(token);
    if host.metadata(&path)?.is_some() { host.remove(&path, false) } else { Ok(()) }
}

fn path(token: &Token) -> String {
    let mut name = String::new();
    for byte in token.as_str().bytes() {
        if byte.is_ascii_alphanumeric() || b"-_:@".contains(&byte) || byte == b'.' && !name.is_empty() {
            name.push(char::from(byte));
        } else {
            name.push('%');
            for digit in [byte >> 4, byte & 15] {
                name.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
            }
        }
    }
    format!("{PENDING}/{name}")
}

/// The token of a file; nothing for files of others, such as leftovers of a write.
fn decode(name: &str) -> Option<Token> {
    if name.starts_with('.') {
        return None;
    }
    let mut bytes = Vec::new();
    let mut rest = name.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok().map(Token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_token_has_a_file_name_and_comes_back() {
        for text in ["unit:containerd.service", "unit:a/b\\x2d.service", "..", ".x", "a%b ü", "lists:apt"] {
            let token = Token(text.into());
            let path = path(&token);
            let name = path.strip_prefix("/var/lib/kubespray/pending/").unwrap();
            assert!(!name.contains('/') && !name.starts_with('.'), "{name}");
            assert_eq!(decode(name), Some(token));
        }
    }
}
