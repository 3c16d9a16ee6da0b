//! The password for `ssh`, which asks a program for it.
//!
//! ssh runs `SSH_ASKPASS PROMPT`. The program is our own binary: it finds the name of a private file in
//! [`ASKPASS_FILE`] and calls [`answer_askpass`]. The password itself is neither argument nor environment.

use std::ffi::OsStr;
use std::io::{self, Write};
use std::path::Path;

use tempfile::NamedTempFile;

use crate::Password;

/// The variable of the environment that makes our binary answer ssh; its value is the file's path.
pub const ASKPASS_FILE: &str = "KUBESPRAY_ASKPASS_FILE";

/// A file, readable for us alone, with the address and the password. It is removed when dropped.
pub(crate) fn hand_over(address: &str, password: &Password) -> io::Result<NamedTempFile> {
    // Such files are made with mode 0600.
    let mut file = tempfile::Builder::new().prefix("kubespray-").tempfile()?;
    write!(file, "{address}\n{}\n", password.reveal())?;
    file.flush()?;
    Ok(file)
}

/// The line to print for ssh's question; an error for anything but a password of that very host.
///
/// A jump host is asked about by another `ssh` in the same environment, and must not get the password.
pub fn answer_askpass(file: &OsStr, prompt: &str) -> io::Result<String> {
    let text = std::fs::read_to_string(Path::new(file))?;
    let mut lines = text.lines();
    let (address, password) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let prompt = prompt.to_lowercase();
    let host = format!("@{}", address.to_lowercase());
    // `user@host's password:` or `(user@host) Password:`
    let ours = [format!("{host}'s"), format!("{host})")].iter().any(|host| prompt.contains(host));
    if ours && prompt.contains("password") && !prompt.contains("passphrase") {
        Ok(password.to_owned())
    } else {
        Err(io::Error::other("this is not the password that was given"))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn only_the_right_question_is_answered() {
        let file = hand_over("10.0.0.1", &Password::new("pa ss")).unwrap();
        assert_eq!(file.as_file().metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let ask = |prompt: &str| answer_askpass(file.path().as_os_str(), prompt).ok();
        for (prompt, answered) in [
            ("debian@10.0.0.1's password: ", true),
            ("(debian@10.0.0.1) Password: ", true),
            ("jump@10.0.0.11's password: ", false),
            ("jump@bastion's password: ", false),
            ("Enter passphrase for key '/home/me@10.0.0.1's password': ", false),
            ("Are you sure you want to continue connecting (yes/no/[fingerprint])? ", false),
        ] {
            assert_eq!(ask(prompt).as_deref(), answered.then_some("pa ss"), "{prompt}");
        }
    }
}
