//! Keys from passwords, sealing and opening.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use aes::Aes256;
use ctr::Ctr128BE;
use ctr::cipher::{KeyIvInit, StreamCipher};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use super::VaultError;

/// Rounds of PBKDF2, fixed by the format.
const ROUNDS: u32 = 10_000;

/// AES block size; plain texts are padded to it (PKCS 7).
const BLOCK: usize = 16;

/// The keys that a password and a salt give.
#[derive(Clone)]
pub(crate) struct Keys {
    encryption: [u8; 32],
    authentication: [u8; 32],
    counter: [u8; 16],
}

impl Keys {
    fn derive(password: &[u8], salt: &[u8]) -> Self {
        let mut bytes = [0; 80];
        pbkdf2::pbkdf2_hmac::<Sha256>(password, salt, ROUNDS, &mut bytes);
        let mut keys = Self { encryption: [0; 32], authentication: [0; 32], counter: [0; 16] };
        let (encryption, rest) = bytes.split_at(32);
        let (authentication, counter) = rest.split_at(32);
        keys.encryption.copy_from_slice(encryption);
        keys.authentication.copy_from_slice(authentication);
        keys.counter.copy_from_slice(counter);
        keys
    }

    fn hmac(&self) -> Hmac<Sha256> {
        // HMAC takes keys of any length.
        #[expect(clippy::expect_used, reason = "32 bytes are a valid key")]
        Hmac::<Sha256>::new_from_slice(&self.authentication).expect("32 bytes are a valid key")
    }

    fn stream(&self) -> Ctr128BE<Aes256> {
        Ctr128BE::<Aes256>::new(&self.encryption.into(), &self.counter.into())
    }

    /// The plain text; `None` where these are not the keys (compared in constant time).
    pub(crate) fn open(&self, body: &[u8], hmac: &[u8]) -> Result<Option<Vec<u8>>, VaultError> {
        let mut check = self.hmac();
        check.update(body);
        if check.verify_slice(hmac).is_err() {
            return Ok(None);
        }
        let mut plain = body.to_vec();
        self.stream().apply_keystream(&mut plain);
        let padding = plain.last().map_or(0, |byte| usize::from(*byte));
        let kept = plain.len().checked_sub(padding).filter(|_| (1..=BLOCK).contains(&padding));
        match kept {
            Some(kept) if plain.iter().skip(kept).all(|byte| usize::from(*byte) == padding) => {
                plain.truncate(kept);
                Ok(Some(plain))
            }
            _ => Err(VaultError::Format("its padding is wrong")),
        }
    }

    /// Ciphertext and HMAC.
    pub(crate) fn seal(&self, plain: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let padding = BLOCK - plain.len() % BLOCK;
        let mut body = plain.to_vec();
        body.extend(std::iter::repeat_n(padding as u8, padding));
        self.stream().apply_keystream(&mut body);
        let mut check = self.hmac();
        check.update(&body);
        (body, check.finalize().into_bytes().to_vec())
    }
}

/// Keys that were derived already: one group variable may be asked for by thousands of hosts.
#[derive(Default)]
pub(crate) struct KeyCache(Mutex<HashMap<KeyId, Keys>>);

/// Digest of the password, and salt.
type KeyId = ([u8; 32], Vec<u8>);

impl KeyCache {
    pub(crate) fn derive(&self, password: &[u8], salt: &[u8]) -> Keys {
        // The password itself need not be kept once more.
        let id = (Sha256::digest(password).into(), salt.to_vec());
        if let Some(keys) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&id) {
            return keys.clone();
        }
        let keys = Keys::derive(password, salt);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id, keys.clone());
        keys
    }
}

impl fmt::Debug for KeyCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyCache(…)")
    }
}
