//! The arguments of `ssh`.

use std::path::Path;

use crate::{Bastion, Disconnect, HostKeys, SshOptions, Target};

/// A dead peer is noticed after this many seconds times [`ALIVE_COUNT`].
const ALIVE_INTERVAL_S: u32 = 5;
const ALIVE_COUNT: u32 = 3;

/// A text that is no list of shell words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a quote is not closed in `{0}`")]
pub struct BadArguments(pub String);

/// Splits a text into words as a POSIX shell does, without expanding anything.
pub fn split_arguments(text: &str) -> Result<Vec<String>, BadArguments> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut rest = text.chars();
    let unclosed = || BadArguments(text.to_owned());
    while let Some(letter) = rest.next() {
        match letter {
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match rest.next().ok_or_else(unclosed)? {
                        '\'' => break,
                        other => word.push(other),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match rest.next().ok_or_else(unclosed)? {
                        '"' => break,
                        '\\' => match rest.next().ok_or_else(unclosed)? {
                            '\n' => {}
                            escaped @ ('"' | '\\' | '$' | '`') => word.push(escaped),
                            other => word.extend(['\\', other]),
                        },
                        other => word.push(other),
                    }
                }
            }
            '\\' => word.get_or_insert_default().push(rest.next().ok_or_else(unclosed)?),
            blank if blank.is_ascii_whitespace() => words.extend(word.take()),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    Ok(words)
}

/// What `ssh` is given, up to and with the address; the command follows.
///
/// ssh takes the first value of an option, so the arguments of the inventory come first and win. An address,
/// user or bastion that ssh could read as an option or that a shell would read as more than a word is
/// [`Disconnect::BadTarget`].
pub fn ssh_arguments(target: &Target, options: &SshOptions) -> Result<Vec<String>, Disconnect> {
    check("address", &target.address)?;
    target.user.iter().try_for_each(|user| check("user", user))?;
    let mut arguments = vec!["-T".to_owned()];
    arguments.extend(target.common_args.iter().chain(&target.extra_args).cloned());
    if let Some(bastion) = &target.bastion
        && !names_a_proxy(target)
    {
        arguments.extend(proxy(bastion, target, options)?);
    }
    arguments.extend(policy(options));
    let password = ["BatchMode=no", "NumberOfPasswordPrompts=1"];
    let no_password = ["BatchMode=yes"];
    let asking: &[&str] = if target.password.is_some() { &password } else { &no_password };
    for option in asking.iter().chain(&["ClearAllForwardings=yes", "EscapeChar=none", "LogLevel=INFO"]) {
        arguments.extend(["-o".to_owned(), (*option).to_owned()]);
    }
    if let Some(key) = &target.key_file {
        arguments.extend(["-i".to_owned(), text(key)]);
    }
    if let Some(port) = target.port {
        arguments.extend(["-p".to_owned(), port.to_string()]);
    }
    if let Some(user) = &target.user {
        arguments.extend(["-l".to_owned(), user.clone()]);
    }
    arguments.extend(["--".to_owned(), target.address.clone()]);
    Ok(arguments)
}

/// Time limits and host keys: the same for a host and the bastion before it.
fn policy(options: &SshOptions) -> Vec<String> {
    let (checking, file) = match &options.host_keys {
        HostKeys::Strict { file } => ("yes", file.as_deref()),
        HostKeys::AcceptNew { file } => ("accept-new", file.as_deref()),
    };
    let mut settings = vec![
        format!("ConnectTimeout={}", options.connect_timeout.as_secs().max(1)),
        format!("ServerAliveInterval={ALIVE_INTERVAL_S}"),
        format!("ServerAliveCountMax={ALIVE_COUNT}"),
        format!("StrictHostKeyChecking={checking}"),
    ];
    if let Some(file) = file {
        // New keys go to the first file; those that the operator knows count as well.
        let file = text(file).replace('%', "%%");
        settings.push(format!("UserKnownHostsFile=\"{file}\" ~/.ssh/known_hosts ~/.ssh/known_hosts2"));
    }
    settings.into_iter().flat_map(|setting| ["-o".to_owned(), setting]).collect()
}

/// `-J`, or a proxy command where key or known hosts must hold for the bastion too: `-J` does not pass them on.
fn proxy(bastion: &Bastion, target: &Target, options: &SshOptions) -> Result<Vec<String>, Disconnect> {
    check("address of the bastion", &bastion.address)?;
    bastion.user.iter().try_for_each(|user| check("user of the bastion", user))?;
    let plain = matches!(options.host_keys, HostKeys::Strict { file: None }) && target.key_file.is_none();
    if plain {
        let user = bastion.user.as_ref().map(|user| format!("{user}@")).unwrap_or_default();
        let port = bastion.port.map(|port| format!(":{port}")).unwrap_or_default();
        let is_v6 = bastion.address.contains(':');
        let address = if is_v6 { format!("[{}]", bastion.address) } else { bastion.address.clone() };
        return Ok(vec!["-J".to_owned(), format!("{user}{address}{port}")]);
    }
    let mut words = vec![text(&options.program), "-W".to_owned(), "[%h]:%p".to_owned()];
    words.extend(["-o".to_owned(), "BatchMode=yes".to_owned()]);
    words.extend(policy(options));
    if let Some(key) = &target.key_file {
        words.extend(["-i".to_owned(), text(key)]);
    }
    if let Some(port) = bastion.port {
        words.extend(["-p".to_owned(), port.to_string()]);
    }
    if let Some(user) = &bastion.user {
        words.extend(["-l".to_owned(), user.clone()]);
    }
    words.extend(["--".to_owned(), bastion.address.clone()]);
    let escape =
        |word: &String| if word == "[%h]:%p" { quote(word) } else { quote(&word.replace('%', "%%")) };
    let command = words.iter().map(escape).collect::<Vec<_>>().join(" ");
    Ok(vec!["-o".to_owned(), format!("ProxyCommand={command}")])
}

/// A word for a POSIX shell.
pub(crate) fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn names_a_proxy(target: &Target) -> bool {
    let words: Vec<&String> = target.common_args.iter().chain(&target.extra_args).collect();
    words.iter().any(|word| {
        let lower = word.to_ascii_lowercase();
        let setting = lower.strip_prefix("-o").unwrap_or(&lower).trim_start();
        word.starts_with("-J") || setting.starts_with("proxyjump") || setting.starts_with("proxycommand")
    })
}

fn check(what: &str, word: &str) -> Result<(), Disconnect> {
    let wrong = |reason: &str| Err(Disconnect::BadTarget { reason: format!("{what} `{word}` {reason}") });
    if word.is_empty() {
        return wrong("is empty");
    }
    if word.starts_with('-') {
        return wrong("begins with `-`");
    }
    if word
        .chars()
        .any(|letter| letter.is_whitespace() || letter.is_control() || "'\"`$\\;&|<>(){}".contains(letter))
    {
        return wrong("holds a letter that cannot be in it");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Password;

    const FIXED: &str = "-o ConnectTimeout=10 -o ServerAliveInterval=5 -o ServerAliveCountMax=3";
    const QUIET: &str = "-o ClearAllForwardings=yes -o EscapeChar=none -o LogLevel=INFO";

    fn joined(target: &Target, options: &SshOptions) -> String {
        ssh_arguments(target, options).unwrap().join(" ")
    }

    #[test]
    fn words_are_split_as_a_shell_does() {
        let cases: &[(&str, &[&str])] = &[
            ("", &[]),
            ("  -o A=b  -4 ", &["-o", "A=b", "-4"]),
            ("-o 'ProxyCommand=ssh -W %h:%p \"x y\"'", &["-o", "ProxyCommand=ssh -W %h:%p \"x y\""]),
            ("-o ProxyCommand=\"ssh \\\"a\\\" \\n\" ''", &["-o", "ProxyCommand=ssh \"a\" \\n", ""]),
            ("a\\ b'c'\"d\"", &["a bcd"]),
        ];
        for (text, words) in cases {
            assert_eq!(split_arguments(text).unwrap(), *words, "{text}");
        }
        for text in ["'a", "\"a", "a\\", "\"a\\"] {
            assert_eq!(split_arguments(text), Err(BadArguments(text.to_owned())));
        }
    }

    #[test]
    fn arguments_are_exactly_these() {
        let options = SshOptions::new("/bin/true");
        let mut target = Target::new("node1", "10.0.0.1");
        let strict = format!("{FIXED} -o StrictHostKeyChecking=yes");
        assert_eq!(joined(&target, &options), format!("-T {strict} -o BatchMode=yes {QUIET} -- 10.0.0.1"));

        target.port = Some(2222);
        target.user = Some("debian".into());
        target.password = Some(Password::new("s3cret"));
        target.common_args = vec!["-4".into()];
        target.extra_args = vec!["-o".into(), "Compression=yes".into()];
        target.bastion =
            Some(Bastion { address: "fe80::1".into(), port: Some(22), user: Some("jump".into()) });
        assert_eq!(
            joined(&target, &options),
            format!(
                "-T -4 -o Compression=yes -J jump@[fe80::1]:22 {strict} -o BatchMode=no \
                 -o NumberOfPasswordPrompts=1 {QUIET} -p 2222 -l debian -- 10.0.0.1"
            )
        );

        target.password = None;
        target.key_file = Some("/keys/a 1%".into());
        let with_key = joined(&target, &options);
        let command = format!(
            "-o ProxyCommand='ssh' '-W' '[%h]:%p' '-o' 'BatchMode=yes' {} '-i' '/keys/a 1%%' '-p' '22' '-l' \
             'jump' '--' 'fe80::1'",
            strict.split(' ').map(quote).collect::<Vec<_>>().join(" ")
        );
        assert!(with_key.contains(&command), "{with_key}");
        assert!(with_key.contains(" -i /keys/a 1% "), "{with_key}");

        for own in [&["-J", "x"][..], &["-o", "ProxyJump=x"], &["-oProxyCommand=nc %h %p"]] {
            target.common_args = own.iter().map(|&word| word.to_owned()).collect();
            let arguments = joined(&target, &options);
            assert!(!arguments.contains("fe80::1"), "{arguments}");
        }
    }

    #[test]
    fn host_keys_are_checked_as_told() {
        let target = Target::new("node1", "node1");
        let mut options = SshOptions::new("/bin/true");
        options.host_keys = HostKeys::AcceptNew { file: Some("/c/known hosts".into()) };
        let arguments = ssh_arguments(&target, &options).unwrap();
        assert!(arguments.contains(&"StrictHostKeyChecking=accept-new".to_owned()));
        let file = "UserKnownHostsFile=\"/c/known hosts\" ~/.ssh/known_hosts ~/.ssh/known_hosts2";
        assert!(arguments.contains(&file.to_owned()), "{arguments:?}");
    }

    #[test]
    fn what_ssh_could_misread_is_refused() {
        let options = SshOptions::new("/bin/true");
        for address in ["", "-oProxyCommand=reboot", "a b", "$(reboot)", "a;b", "a\n"] {
            let refused = ssh_arguments(&Target::new("x", address), &options);
            assert!(matches!(refused, Err(Disconnect::BadTarget { .. })), "{address}: {refused:?}");
        }
        let mut target = Target::new("x", "10.0.0.1");
        target.user = Some("-F/etc/shadow".into());
        assert!(ssh_arguments(&target, &options).is_err());
        target.user = None;
        target.bastion = Some(Bastion { address: "-x".into(), port: None, user: None });
        assert!(ssh_arguments(&target, &options).is_err());
    }
}
