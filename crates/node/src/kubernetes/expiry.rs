//! When a client certificate expires: API servers refuse an expired one without saying why.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// The day on which the first certificate of a PEM text expired, as `2021-01-01`; nothing where it did not, or
/// where it cannot be read. `now_ms` is in milliseconds since 1970.
pub(crate) fn expired(pem: &str, now_ms: u64) -> Option<String> {
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
    let end = not_after(&der)?;
    let is_over = end < timestamp(now_ms / 1000);
    is_over.then(|| {
        let part = |from: usize, to: usize| end.get(from..to).unwrap_or_default();
        format!("{}-{}-{}", part(0, 4), part(4, 6), part(6, 8))
    })
}

/// The end of the validity, as `20210101000000`.
fn not_after(der: &[u8]) -> Option<String> {
    const SEQUENCE: u8 = 0x30;
    const VERSION: u8 = 0xa0;
    const UTC_TIME: u8 = 0x17;
    const GENERALIZED_TIME: u8 = 0x18;
    let (_, certificate, _) = element(der)?;
    let (_, mut rest, _) = element(certificate)?;
    let (tag, _, behind) = element(rest)?;
    if tag == VERSION {
        rest = behind;
    }
    // Serial number, algorithm, issuer; then the validity.
    for _ in 0..3 {
        rest = element(rest)?.2;
    }
    let (tag, validity, _) = element(rest)?;
    if tag != SEQUENCE {
        return None;
    }
    let (tag, time, _) = element(element(validity)?.2)?;
    let digits = std::str::from_utf8(time).ok()?.strip_suffix('Z')?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    match (tag, digits.len()) {
        // Two digits of the year stand for 1950 to 2049.
        (UTC_TIME, 12) => Some(format!("{}{digits}", if digits < "50" { "20" } else { "19" })),
        (GENERALIZED_TIME, 14) => Some(digits.to_owned()),
        _ => None,
    }
}

/// Tag, contents and what is behind an element of DER.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = der.split_first()?;
    let (first, mut rest) = rest.split_first()?;
    let mut length = usize::from(*first);
    if *first >= 0x80 {
        let count = length - 0x80;
        let (bytes, behind) = rest.split_at_checked(count)?;
        if count > 4 {
            return None;
        }
        length = bytes.iter().fold(0, |length, byte| (length << 8) | usize::from(*byte));
        rest = behind;
    }
    let (contents, behind) = rest.split_at_checked(length)?;
    Some((*tag, contents, behind))
}

/// Seconds since 1970 as `20210101000000`.
fn timestamp(seconds: u64) -> String {
    let (mut days, second) = (seconds / 86_400, seconds % 86_400);
    let mut year = 1970;
    let is_leap =
        |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    while days >= 365 + u64::from(is_leap(year)) && year < 9999 {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + u64::from(is_leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length || month == 12 {
            break;
        }
        days -= length;
        month += 1;
    }
    format!("{year:04}{month:02}{:02}{:02}{:02}{:02}", days + 1, second / 3600, second / 60 % 60, second % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPIRED: &str = include_str!("../../tests/certificates/kubernetes/expired.crt");
    const GOOD: &str = include_str!("../../tests/certificates/kubernetes/admin.crt");

    #[test]
    fn times_are_told() {
        for (seconds, text) in [
            (0, "19700101000000"),
            (951_782_399, "20000228235959"),
            (951_782_400, "20000229000000"),
            (1_609_459_199, "20201231235959"),
            (1_609_459_200, "20210101000000"),
            (4_107_542_400, "21000301000000"),
        ] {
            assert_eq!(timestamp(seconds), text);
        }
    }

    #[test]
    fn expired_certificates_are_known() {
        let at = 1_609_459_200_000;
        assert_eq!(expired(EXPIRED, at), None);
        assert_eq!(expired(EXPIRED, at + 1000).as_deref(), Some("2021-01-01"));
        assert_eq!(expired(GOOD, at + 1000), None);
        assert_eq!(expired("no certificate", at), None);
    }

    #[test]
    fn broken_certificates_are_no_panic() {
        let der = CertificateDer::from_pem_slice(EXPIRED.as_bytes()).unwrap();
        for end in 0..der.len() {
            assert_eq!(not_after(der.get(..end).unwrap()), None);
        }
        for at in 0..200 {
            let mut bytes = der.to_vec();
            bytes[at] ^= 0x55;
            let _ = not_after(&bytes);
        }
    }
}
