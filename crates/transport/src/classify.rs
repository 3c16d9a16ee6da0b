//! What the complaints of ssh and sudo mean.

use crate::Disconnect;

/// What sudo's complaint means; nothing for other texts. Message texts: sudo 1.8 to 1.9, sudo-rs 0.2, dash, bash
/// and busybox.
pub(crate) fn classify_sudo(text: &str) -> Option<Disconnect> {
    let has = |part: &str| text.contains(part);
    let found = if has("is not in the sudoers file")
        || has("is not allowed to execute")
        || has("is not allowed to run sudo")
        || has("may not run sudo")
        || has("I'm afraid I can't do that")
    {
        Disconnect::NotInSudoers
    } else if has("you must have a tty to run sudo") {
        Disconnect::RequiresTty
    } else if has("incorrect password attempt")
        || has("Sorry, try again")
        || has("incorrect authentication attempt")
        || has("Authentication failed, try again")
    {
        Disconnect::SudoWrongPassword
    } else if has("sudo: a password is required")
        || has("interactive authentication is required")
        || has("sudo: no password was provided")
        || has("a terminal is required to read the password")
    {
        Disconnect::SudoNeedsPassword
    } else if has("sudo: not found") || has("sudo: command not found") {
        Disconnect::SudoMissing
    } else {
        return None;
    };
    Some(found)
}

/// What ssh's complaint means when the session never began; nothing for other texts. Message texts: OpenSSH 8
/// to 10.
pub(crate) fn classify_ssh(text: &str, connect_timeout_s: u64) -> Option<Disconnect> {
    let has = |part: &str| text.contains(part);
    let evidence = || lines(text);
    let found = if has("REMOTE HOST IDENTIFICATION HAS CHANGED")
        || has("has changed and you have requested strict")
    {
        let line = text.lines().find_map(|line| {
            let (before, file) = line.split_once("key in ")?;
            before.contains("Offending").then(|| file.trim().to_owned())
        });
        Disconnect::HostKeyChanged { line }
    } else if has("host key is known for") || has("Host key verification failed") {
        Disconnect::HostKeyUnknown
    } else if has("Could not resolve hostname") {
        if has("Temporary failure in name resolution") {
            Disconnect::Lost { reason: "the name servers do not answer".into(), evidence: evidence() }
        } else {
            Disconnect::Unresolved
        }
    } else if has("administratively prohibited") {
        Disconnect::ForwardingForbidden
    } else if has("Permission denied")
        || has("Too many authentication failures")
        || has("No supported authentication methods available")
        || has("password has expired")
        || has("account has expired")
    {
        Disconnect::AuthenticationFailed { evidence: evidence() }
    } else if has("Bad configuration option")
        || has("Bad owner or permissions on")
        || has("terminating, ")
        || has("no argument after keyword")
        || has("usage: ssh")
        || has("unknown option")
    {
        Disconnect::SshUnusable { reason: lines(text).pop().unwrap_or_default() }
    } else if has("Connection refused") {
        Disconnect::Refused
    } else if has("No route to host") || has("Network is unreachable") || has("Host is down") {
        Disconnect::Unreachable
    } else if has("timed out") {
        Disconnect::TimedOut { doing: "connecting", seconds: connect_timeout_s, evidence: evidence() }
    } else if has("kex_exchange_identification")
        || has("ssh_exchange_identification")
        || has("banner exchange")
        || has("Exceeded MaxStartups")
        || has("Not allowed at this time")
        || (has("Connection closed by ") && !has("[preauth]"))
        || has("Connection reset by ")
    {
        Disconnect::HungUp { evidence: evidence() }
    } else {
        return None;
    };
    Some(found)
}

/// Whether a complaint is about a disk without room.
pub(crate) fn is_full(text: &str) -> bool {
    text.contains("No space left on device") || text.contains("Disk quota exceeded")
}

/// The last lines of a text, for a person.
pub(crate) fn lines(text: &str) -> Vec<String> {
    /// More would bury the message.
    const MOST: usize = 20;
    let clean = |line: &str| line.chars().filter(|letter| !letter.is_control()).collect::<String>();
    let all: Vec<String> = text.lines().map(clean).filter(|line| !line.trim().is_empty()).collect();
    all[all.len().saturating_sub(MOST)..].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ssh_says() {
        let kind = |text: &str| {
            let found = classify_ssh(text, 10).map(|found| format!("{found:?}")).unwrap_or_default();
            found.split([' ', '{']).next().unwrap_or_default().to_owned()
        };
        for (text, expected) in [
            ("ssh: connect to host 10.0.0.1 port 22: Connection refused", "Refused"),
            ("ssh: connect to host 10.0.0.1 port 22: No route to host", "Unreachable"),
            ("ssh: connect to host ::1 port 22: Network is unreachable", "Unreachable"),
            ("ssh: connect to host 10.0.0.1 port 22: Connection timed out", "TimedOut"),
            ("ssh: connect to host 10.0.0.1 port 22: Operation timed out", "TimedOut"),
            ("Connection timed out during banner exchange", "TimedOut"),
            ("ssh: Could not resolve hostname nope: Name or service not known", "Unresolved"),
            (
                "ssh: Could not resolve hostname nope: nodename nor servname provided, or not known",
                "Unresolved",
            ),
            ("ssh: Could not resolve hostname nope: Temporary failure in name resolution", "Lost"),
            (
                "No ED25519 host key is known for [127.0.0.1]:2222 and you have requested strict checking.\r\n\
                 Host key verification failed.\r\n",
                "HostKeyUnknown",
            ),
            ("a@10.0.0.1: Permission denied (publickey,password).", "AuthenticationFailed"),
            (
                "Received disconnect from 10.0.0.1 port 22:2: Too many authentication failures",
                "AuthenticationFailed",
            ),
            ("kex_exchange_identification: Connection closed by remote host", "HungUp"),
            ("kex_exchange_identification: read: Connection reset by peer", "HungUp"),
            ("Connection closed by 10.0.0.1 port 22", "HungUp"),
            (
                "channel 0: open failed: connect failed: Connection refused\r\nstdio forwarding failed\r\n\
                 Connection closed by UNKNOWN port 65535",
                "Refused",
            ),
            (
                "channel 0: open failed: administratively prohibited: open failed\r\nstdio forwarding failed",
                "ForwardingForbidden",
            ),
            ("/home/me/.ssh/config: line 3: Bad configuration option: foo", "SshUnusable"),
            ("Bad owner or permissions on /home/me/.ssh/config", "SshUnusable"),
            ("Welcome to Debian", ""),
        ] {
            assert_eq!(kind(text), expected, "{text}");
        }
    }

    #[test]
    fn a_changed_key_names_its_line() {
        let text = "@@@@@@@@@@@\r\n@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\r\n\
            Add correct host key in /home/me/.ssh/known_hosts to get rid of this message.\r\n\
            Offending ECDSA key in /home/me/.ssh/known_hosts:12\r\n\
            Host key for 10.0.0.1 has changed and you have requested strict checking.\r\n\
            Host key verification failed.\r\n";
        let line = Some("/home/me/.ssh/known_hosts:12".to_owned());
        assert_eq!(classify_ssh(text, 10), Some(Disconnect::HostKeyChanged { line }));
    }

    #[test]
    fn what_sudo_says() {
        for (text, expected) in [
            ("sudo: a password is required", Disconnect::SudoNeedsPassword),
            ("sudo: interactive authentication is required", Disconnect::SudoNeedsPassword),
            (
                "Sorry, try again.\nsudo: no password was provided\nsudo: 1 incorrect password attempt",
                Disconnect::SudoWrongPassword,
            ),
            ("sudo: 3 incorrect password attempts", Disconnect::SudoWrongPassword),
            ("sudo: Authentication failed, try again.", Disconnect::SudoWrongPassword),
            ("sudo: sorry, you must have a tty to run sudo", Disconnect::RequiresTty),
            ("bob is not in the sudoers file.  This incident will be reported.", Disconnect::NotInSudoers),
            (
                "Sorry, user bob is not allowed to execute '/bin/sh -c x' as root on n1.",
                Disconnect::NotInSudoers,
            ),
            ("Sorry, user bob may not run sudo on n1.", Disconnect::NotInSudoers),
            ("sudo: I'm sorry bob. I'm afraid I can't do that", Disconnect::NotInSudoers),
            ("/bin/sh: 1: sudo: not found", Disconnect::SudoMissing),
            ("bash: line 1: sudo: command not found", Disconnect::SudoMissing),
        ] {
            assert_eq!(classify_sudo(text), Some(expected), "{text}");
        }
        assert_eq!(classify_sudo("We trust you have received the usual lecture"), None);
    }
}
