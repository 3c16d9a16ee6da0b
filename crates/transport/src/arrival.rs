//! What is known of a connection once its helper answers.

use std::time::Duration;

use kubespray_resource::wire::Hello;
use serde::Serialize;

use crate::Target;

/// A helper that answers, and how it came to that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Its first line.
    pub hello: Hello,
    /// From the start of `ssh` to its first word, an upload included; a round trip is what `Ask::Ping` takes.
    pub took: Duration,
    /// Where the helper came from.
    pub helper: HelperFrom,
    /// How it became root.
    pub root: Root,
    /// What is known of the host's key.
    pub host_key: HostKey,
}

/// Where a helper came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HelperFrom {
    /// It was on the host.
    Host,
    /// It was uploaded.
    Upload,
    /// It is the running program.
    Here,
}

/// How a helper became root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Root {
    /// The login is root's.
    Login,
    /// By sudo, without a password.
    Sudo,
    /// By sudo, with a password.
    SudoPassword,
}

/// What is known of a host's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HostKey {
    /// It is the known one.
    Known,
    /// It was new and was recorded.
    Recorded,
    /// Arguments of the inventory turn the check off.
    Unchecked,
    /// There is none: this machine.
    None,
}

/// Whether the arguments of a target leave the check of the host's key on.
pub fn checks_host_key(target: &Target) -> bool {
    let turns_off = |word: &String| {
        let word = word.trim_start_matches("-o").to_ascii_lowercase().replace([' ', '\t'], "=");
        word == "stricthostkeychecking=no"
            || word == "stricthostkeychecking=off"
            || word.starts_with("userknownhostsfile=/dev/null")
    };
    !target.common_args.iter().chain(&target.extra_args).any(turns_off)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_that_turn_the_check_off_are_seen() {
        let checks = |words: &[&str]| {
            let mut target = Target::new("a", "a");
            target.common_args = words.iter().map(ToString::to_string).collect();
            checks_host_key(&target)
        };
        assert!(checks(&[]) && checks(&["-o", "StrictHostKeyChecking=yes"]));
        assert!(!checks(&["-o", "StrictHostKeyChecking=no"]) && !checks(&["-oStrictHostKeyChecking=off"]));
        assert!(
            !checks(&["-o", "UserKnownHostsFile=/dev/null"]) && !checks(&["-o", "stricthostkeychecking no"])
        );
    }
}
