//! Ansible vault: texts encrypted with a password.
//!
//! The format (1.1, and 1.2 with an id): a header line, then hexadecimal digits of three lines, each
//! hexadecimal again: salt, HMAC-SHA256, AES-256-CTR ciphertext. The keys come from PBKDF2-HMAC-SHA256.

mod cipher;
mod passwords;

use std::fmt;
use std::sync::Arc;

use kubespray_diagnostics::quoted_list;

use cipher::KeyCache;
pub use passwords::{Ask, VaultOptions};

/// How every encrypted text starts.
const HEADER: &str = "$ANSIBLE_VAULT";

/// The id of a password that was given without one.
pub(crate) const DEFAULT_ID: &str = "default";

/// A password. Never shown.
#[derive(Clone)]
pub struct Secret(Arc<[u8]>);

impl Secret {
    /// A password.
    pub fn new(password: &[u8]) -> Self {
        Self(password.into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Why a text could not be decrypted. Holds nothing secret; its text fits behind "is".
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VaultError {
    /// No password was given.
    NoPassword,
    /// None of the given passwords opens it: the id in its header and the ids that were tried.
    WrongPassword {
        /// The id in the header; `default` where there is none.
        id: String,
        /// The ids of the passwords that were tried, in order.
        tried: Vec<String>,
    },
    /// It is damaged or no vault text.
    Format(&'static str),
    /// Encrypted in a way that nobody reads any more.
    Cipher(String),
}

impl fmt::Display for VaultError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPassword => f.write_str("encrypted, and no vault password was given"),
            Self::WrongPassword { id, tried } => {
                let tried = quoted_list(tried, 10);
                write!(f, "encrypted with another password (its vault id is `{id}`; tried: {tried})")
            }
            Self::Format(what) => write!(f, "a damaged vault text: {what}"),
            Self::Cipher(name) => write!(f, "encrypted with `{name}`; only `AES256` is known"),
        }
    }
}

impl std::error::Error for VaultError {}

impl VaultError {
    /// What a user can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NoPassword => {
                "give the password with `--vault-password-file`, `--vault-id` or `--ask-vault-pass`"
            }
            Self::WrongPassword { .. } => "check the password; `--vault-id ID@FILE` gives one more",
            Self::Format(_) => "encrypt it again with `ansible-vault`, or restore the file",
            Self::Cipher(_) => "encrypt it again with a current `ansible-vault`",
        }
    }
}

/// The passwords of a run, and what they open.
#[derive(Debug, Default)]
pub struct Vault {
    secrets: Vec<(String, Secret)>,
    keys: KeyCache,
}

impl Vault {
    /// A vault with passwords by id, in the order in which they are tried.
    pub fn new(secrets: Vec<(String, Secret)>) -> Self {
        Self { secrets, keys: KeyCache::default() }
    }

    /// Whether no password was given.
    pub fn is_empty(&self) -> bool {
        self.secrets.is_empty()
    }

    /// Whether a text is encrypted: only ASCII, with the header at its very start.
    pub fn is_encrypted(text: &[u8]) -> bool {
        text.starts_with(HEADER.as_bytes()) && text.is_ascii()
    }

    /// Decrypts a text with its header. The password whose id stands in the header is tried first, then
    /// all others in the order given, as Ansible does by default.
    pub fn decrypt(&self, ciphertext: &str) -> Result<Vec<u8>, VaultError> {
        let envelope = Envelope::parse(ciphertext)?;
        if self.secrets.is_empty() {
            return Err(VaultError::NoPassword);
        }
        let first = self.secrets.iter().filter(|(id, _)| *id == envelope.id);
        let others = self.secrets.iter().filter(|(id, _)| *id != envelope.id);
        let mut tried: Vec<String> = Vec::new();
        for (id, secret) in first.chain(others) {
            let keys = self.keys.derive(&secret.0, &envelope.salt);
            if let Some(plain) = keys.open(&envelope.body, &envelope.hmac)? {
                return Ok(plain);
            }
            if !tried.contains(id) {
                tried.push(id.clone());
            }
        }
        Err(VaultError::WrongPassword { id: envelope.id, tried })
    }

    /// Encrypts a text with a password. `salt` must be fresh random bytes; format 1.2 where an id other
    /// than `default` is given.
    pub fn encrypt(plain: &[u8], secret: &Secret, id: Option<&str>, salt: &[u8; 32]) -> String {
        let (body, hmac) = KeyCache::default().derive(&secret.0, salt).seal(plain);
        let inner = format!("{}\n{}\n{}", hex(salt), hex(&hmac), hex(&body));
        let digits = hex(inner.as_bytes());
        let mut out = match id.filter(|id| *id != DEFAULT_ID) {
            Some(id) => format!("{HEADER};1.2;AES256;{id}\n"),
            None => format!("{HEADER};1.1;AES256\n"),
        };
        for line in digits.as_bytes().chunks(80) {
            out.push_str(&String::from_utf8_lossy(line));
            out.push('\n');
        }
        out
    }
}

/// The parts of an encrypted text.
struct Envelope {
    id: String,
    salt: Vec<u8>,
    hmac: Vec<u8>,
    body: Vec<u8>,
}

impl Envelope {
    fn parse(text: &str) -> Result<Self, VaultError> {
        if !Vault::is_encrypted(text.as_bytes()) {
            return Err(VaultError::Format("it does not start with `$ANSIBLE_VAULT`"));
        }
        let (header, digits) = text.split_once('\n').unwrap_or((text, ""));
        let fields: Vec<&str> = header.trim().split(';').map(str::trim).collect();
        let [_, _version, cipher, rest @ ..] = fields.as_slice() else {
            return Err(VaultError::Format("its header has too few fields"));
        };
        if *cipher != "AES256" {
            return Err(VaultError::Cipher((*cipher).to_owned()));
        }
        let inner = unhex(digits.as_bytes()).ok_or(VaultError::Format("its lines are not hexadecimal"))?;
        let mut parts = inner.splitn(3, |byte| *byte == b'\n');
        let mut part = || parts.next().and_then(unhex).filter(|bytes| !bytes.is_empty());
        match (part(), part(), part()) {
            (Some(salt), Some(hmac), Some(body)) => {
                let id = rest.first().copied().unwrap_or(DEFAULT_ID).to_owned();
                Ok(Self { id, salt, hmac, body })
            }
            _ => Err(VaultError::Format("it has lost a part of its contents")),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// Hexadecimal digits; blanks and line breaks between them do not count.
fn unhex(text: &[u8]) -> Option<Vec<u8>> {
    let digits = text.iter().filter(|b| !b.is_ascii_whitespace());
    let mut out = Vec::with_capacity(text.len() / 2);
    let mut high = None;
    for digit in digits {
        let digit = char::from(*digit).to_digit(16)? as u8;
        match high.take() {
            None => high = Some(digit),
            Some(high) => out.push(high << 4 | digit),
        }
    }
    high.is_none().then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALT: [u8; 32] = [7; 32];

    fn vault(passwords: &[(&str, &str)]) -> Vault {
        Vault::new(passwords.iter().map(|(id, p)| ((*id).to_owned(), Secret::new(p.as_bytes()))).collect())
    }

    /// Made by `ansible-vault encrypt_string` of Ansible 2.18 with the password `swordfish`.
    const BY_ANSIBLE: &str = include_str!("testdata/by-ansible.vault");

    #[test]
    fn opens_what_ansible_wrote() {
        let plain = vault(&[("default", "swordfish")]).decrypt(BY_ANSIBLE).unwrap();
        assert_eq!(String::from_utf8(plain).unwrap(), "한글 secret: 1\n");
    }

    #[test]
    fn round_trip() {
        for plain in [&b""[..], b"a", b"0123456789abcdef", &[0, 255, 10, 13]] {
            for id in [None, Some("default"), Some("prod")] {
                let text = Vault::encrypt(plain, &Secret::new(b"pw"), id, &SALT);
                assert!(Vault::is_encrypted(text.as_bytes()));
                assert_eq!(vault(&[("x", "no"), ("default", "pw")]).decrypt(&text).as_deref(), Ok(plain));
            }
        }
    }

    #[test]
    fn says_why_not() {
        let text = Vault::encrypt(b"a", &Secret::new(b"pw"), Some("prod"), &SALT);
        assert_eq!(vault(&[]).decrypt(&text), Err(VaultError::NoPassword));
        let wrong = vault(&[("dev", "x"), ("prod", "y")]).decrypt(&text);
        assert_eq!(
            wrong,
            Err(VaultError::WrongPassword { id: "prod".into(), tried: vec!["prod".into(), "dev".into()] })
        );
        let good = vault(&[("default", "pw")]);
        for (broken, part) in [
            ("", "does not start"),
            ("$ANSIBLE_VAULT", "too few fields"),
            ("$ANSIBLE_VAULT;1.1", "too few fields"),
            ("$ANSIBLE_VAULT;1.1;AES256", "lost a part"),
            ("$ANSIBLE_VAULT;1.1;AES256\nzz", "not hexadecimal"),
            ("$ANSIBLE_VAULT;1.1;AES256\n3131", "lost a part"),
            ("$ANSIBLE_VAULT;1.0;AES\n3131", "`AES`"),
        ] {
            let error = good.decrypt(broken).unwrap_err().to_string();
            assert!(error.contains(part), "{broken}: {error}");
        }
        let mut changed = text.clone().into_bytes();
        let at = changed.len() - 2;
        changed[at] = if changed[at] == b'1' { b'2' } else { b'1' };
        assert!(good.decrypt(&String::from_utf8(changed).unwrap()).is_err());
    }

    #[test]
    fn passwords_are_never_shown() {
        let shown = format!("{:?}", vault(&[("default", "swordfish")]));
        assert!(!shown.contains("swordfish") && !shown.contains("115, 119"), "{shown}");
    }

    proptest::proptest! {
        #[test]
        fn parsing_never_panics(text in "\\$ANSIBLE_VAULT(;[0-9A-Z.]{0,6}){0,4}\n[0-9a-f\n]{0,200}") {
            let _ = vault(&[("default", "pw")]).decrypt(&text);
        }
    }
}
