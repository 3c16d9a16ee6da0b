//! No bytes open a vault but those that were locked with its password.
#![no_main]

use kubespray_inventory::{Secret, Vault};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let password = Secret::new(b"a password");
    let vault = Vault::new(vec![("id".to_owned(), Secret::new(b"a password"))]);
    let Some((mode, rest)) = bytes.split_first() else { return };
    match mode % 3 {
        0 => {
            let _ = Vault::is_encrypted(rest);
            let _ = vault.decrypt(&String::from_utf8_lossy(rest));
        }
        1 => {
            let id = (mode % 2 == 0).then_some("id");
            let locked = Vault::encrypt(rest, &password, id, &[*mode; 32]);
            assert_eq!(vault.decrypt(&locked).expect("what was locked opens"), rest);
        }
        _ => {
            let Some((at, plain)) = rest.split_first() else { return };
            let mut locked = Vault::encrypt(plain, &password, None, &[7; 32]).into_bytes();
            let at = usize::from(*at) * 7 % locked.len();
            // Another digit: a change of case or of a line break may mean the same.
            locked[at] = if locked[at] == b'3' { b'4' } else { b'3' };
            if let Ok(opened) = vault.decrypt(&String::from_utf8_lossy(&locked)) {
                assert_eq!(opened, plain, "byte {at} was changed");
            }
        }
    }
});
