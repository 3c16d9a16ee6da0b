//! Flags as Go programs read them. Unknown ones are refused.

use std::collections::BTreeMap;

/// Flags and words of a command line.
#[derive(Debug, Default)]
pub(crate) struct Flags {
    values: BTreeMap<String, Vec<String>>,
    /// What is no flag.
    pub(crate) words: Vec<String>,
}

/// Flags that have no value behind a space.
const SWITCHES: &str = "yes force upload-certs dry-run help print-join-command skip-token-print control-plane allow-missing-template-keys \
    server-side force-conflicts ignore-not-found all quiet no-trunc digests all-namespaces q f o-none dry-run-none watch recursive no-headers \
    force-cleanup etcd-upgrade certificate-renewal allow-experimental-upgrades print-manifest discovery-token-unsafe-skip-ca-verification version tty interactive client";

impl Flags {
    /// Reads arguments; `known` names the flags with spaces between them, short ones with their long name: `o=output`.
    pub(crate) fn parse(arguments: &[String], known: &str) -> Result<Self, String> {
        let long: BTreeMap<&str, &str> =
            known.split_whitespace().map(|word| word.split_once('=').unwrap_or((word, word))).collect();
        let mut out = Self::default();
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            if argument == "--" {
                out.words.extend(arguments.by_ref().cloned());
                break;
            }
            let name = argument
                .strip_prefix("--")
                .or_else(|| argument.strip_prefix('-'))
                .filter(|name| !name.is_empty());
            let Some(name) = name else {
                out.words.push(argument.clone());
                continue;
            };
            let (name, mut value) = match name.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (name, None),
            };
            let name = *long.get(name).ok_or_else(|| {
                if argument.starts_with("--") {
                    format!("unknown flag: --{name}")
                } else {
                    format!("unknown shorthand flag: {name:?} in {argument}")
                }
            })?;
            if value.is_none() {
                value = if SWITCHES.split_whitespace().any(|switch| switch == name) {
                    Some("true".into())
                } else {
                    Some(
                        arguments
                            .next()
                            .cloned()
                            .ok_or_else(|| format!("flag needs an argument: --{name}"))?,
                    )
                };
            }
            out.values.entry(name.to_owned()).or_default().extend(value);
        }
        Ok(out)
    }

    /// The last value.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name)?.last().map(String::as_str)
    }

    pub(crate) fn text(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }

    /// The last value, which must be there.
    pub(crate) fn required(&self, name: &str) -> Result<&str, String> {
        self.get(name).filter(|value| !value.is_empty()).ok_or_else(|| format!("--{name} must be specified"))
    }

    pub(crate) fn is(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// All values, with commas between them too.
    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        let all = self.values.get(name).into_iter().flatten().flat_map(|value| value.split(','));
        all.filter(|value| !value.is_empty()).map(str::to_owned).collect()
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values
            .iter()
            .flat_map(|(name, values)| values.iter().map(move |value| (name.as_str(), value.as_str())))
    }

    /// Refuses values that cannot be: durations, numbers and booleans by the names of their flags, and files that
    /// are not there.
    pub(crate) fn check(&self, files: &[&str], durations: &[&str]) -> Result<(), String> {
        for (name, value) in self.names() {
            if durations.contains(&name) && crate::clock::duration(value).is_none() {
                return Err(format!(
                    "invalid argument {value:?} for \"--{name}\" flag: time: invalid duration"
                ));
            }
            if files.contains(&name) && !value.is_empty() && std::fs::metadata(value).is_err() {
                return Err(format!("--{name}: open {value}: no such file or directory"));
            }
        }
        Ok(())
    }
}

/// Flags that every daemon of Kubernetes has.
pub(crate) const COMMON: &str = "v=v vmodule logging-format log-text-split-stream log-json-split-stream feature-gates profiling \
    contention-profiling tls-min-version tls-cipher-suites bind-address secure-port kubeconfig authentication-kubeconfig \
    authorization-kubeconfig client-ca-file requestheader-client-ca-file leader-elect leader-elect-lease-duration \
    leader-elect-renew-deadline leader-elect-retry-period leader-elect-resource-lock leader-elect-resource-name \
    leader-elect-resource-namespace kube-api-qps kube-api-burst tls-cert-file tls-private-key-file cert-dir version \
    authorization-always-allow-paths emulated-version show-hidden-metrics-for-version permit-port-sharing permit-address-sharing";

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Flags, String> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Flags::parse(&words, "config o=output output yes name")
    }

    #[test]
    fn flags_are_known_or_refused() {
        let flags = parse("upgrade apply --yes v1 --config=/a -o json --name a,b --name c").unwrap();
        assert_eq!(flags.words, ["upgrade", "apply", "v1"]);
        assert_eq!((flags.text("config"), flags.text("output"), flags.is("yes")), ("/a", "json", true));
        assert_eq!(flags.list("name"), ["a", "b", "c"]);
        assert_eq!(parse("--conf /a").unwrap_err(), "unknown flag: --conf");
        assert_eq!(parse("-x").unwrap_err(), "unknown shorthand flag: \"x\" in -x");
        assert_eq!(parse("--config").unwrap_err(), "flag needs an argument: --config");
        assert!(flags.required("nothing").is_err());
    }
}
