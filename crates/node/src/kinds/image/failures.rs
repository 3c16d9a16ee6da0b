//! Why an image could not be pulled: in words of engines, registries and networks.

use kubespray_resource::{ErrorClass, Failure, Image};

use crate::Output;
use crate::failure::last_lines;

/// What is recognised: words of which one must be there (in lower case), what they mean for trying again, what
/// went wrong, what to do. The first that fits counts, so the order is part of it.
const KNOWN: [(&[&str], ErrorClass, &str, &str); 9] = [
    (
        &["no space left on device", "disk quota exceeded"],
        ErrorClass::Host,
        "there is no space for it",
        "free some space where the engine keeps images, or mount a larger disk",
    ),
    (
        &["toomanyrequests", "too many requests", "rate limit"],
        ErrorClass::Transient,
        "the registry allows no more pulls for now",
        "give credentials of the registry, or pull through a mirror",
    ),
    (
        &[
            "tls handshake timeout",
            "i/o timeout",
            "deadline exceeded",
            "timeout exceeded",
            "client.timeout",
            "connection timed out",
            "connection refused",
            "connection reset",
            "network is unreachable",
            "no route to host",
            "no such host",
            "temporary failure",
            "unexpected eof",
            "server misbehaving",
        ],
        ErrorClass::Transient,
        "the registry cannot be reached",
        "check name resolution, routes and the engine's proxy on the host",
    ),
    (
        &[
            "500 internal",
            "502 bad gateway",
            "503 service",
            "504 gateway",
            "internal server error",
            "bad gateway",
            "service unavailable",
            "gateway timeout",
        ],
        ErrorClass::Transient,
        "the registry fails",
        "try again; a mirror makes you independent of it",
    ),
    (
        &["server gave http response to https client", "does not look like a tls handshake"],
        ErrorClass::Host,
        "the registry speaks plain http",
        "set the registry up in the engine as one without TLS (`containerd_registries_mirrors`)",
    ),
    (
        &["x509:", "certificate signed by unknown authority", "certificate is not valid", "tls:"],
        ErrorClass::Host,
        "the certificate of the registry is not trusted",
        "add its CA to the host's trusted certificates, and check the host's clock",
    ),
    (
        &[
            "unauthorized",
            "authentication required",
            "insufficient_scope",
            "pull access denied",
            "access denied",
            "denied:",
            "403 forbidden",
        ],
        ErrorClass::Wish,
        "the registry refuses the credentials, or has no such image for them",
        "check the registry's credentials and the image's name",
    ),
    (
        &[
            "manifest unknown",
            "name unknown",
            "manifest_unknown",
            "name_unknown",
            "not found",
            "does not exist",
        ],
        ErrorClass::Wish,
        "the registry has no such image",
        "check repository and tag; a mirror must hold the image too",
    ),
    (
        &[
            "cannot connect to the docker daemon",
            "is the docker daemon running",
            "connect: no such file or directory",
            "validate cri v1 image api",
            "unable to determine image api version",
        ],
        ErrorClass::Host,
        "the container engine does not answer",
        "look at the engine's unit: `systemctl status`, `journalctl -u`",
    ),
];

/// The failure of a pull.
pub(super) fn of_pull(wish: &Image, output: &Output) -> Failure {
    let said = if output.stderr.trim().is_empty() { &output.stdout } else { &output.stderr };
    let lower = said.to_lowercase();
    let is_engine = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    // A socket that is not there is the engine's, whatever else is said of connections.
    let engine = KNOWN.last().filter(|(words, ..)| is_engine(words));
    let found = engine.or_else(|| KNOWN.iter().find(|(words, ..)| is_engine(words)));
    let mut failure = match found {
        Some((_, class, what, hint)) => {
            Failure::new(*class, format!("`{}` could not be pulled: {what}", wish.reference)).hint(*hint)
        }
        None => {
            let how = match output.status {
                Some(status) => format!("`{}` could not be pulled: status {status}", wish.reference),
                None => {
                    format!("`{}` could not be pulled: the program was ended by a signal", wish.reference)
                }
            };
            Failure::of_host(how)
        }
    };
    failure.evidence = last_lines(said);
    failure
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use kubespray_resource::{ImageEngine, ImageSource};

    use super::*;

    #[test]
    fn failures_say_what_is_wrong_and_whether_to_try_again() {
        use ErrorClass::{Host, Transient, Wish};
        let wish = Image {
            reference: "quay.io/x:1".into(),
            engine: ImageEngine::Docker,
            source: ImageSource::Pull,
            auth: None,
            environment: BTreeMap::new(),
            timeout_s: 1,
        };
        for (said, class, words) in [
            ("failed to resolve reference \"quay.io/x:1\": quay.io/x:1: not found", Wish, "no such image"),
            ("manifest for quay.io/x:1 not found: manifest unknown", Wish, "no such image"),
            (
                "pull access denied, repository does not exist or may require authorization: server message: \
                 insufficient_scope: authorization failed",
                Wish,
                "credentials",
            ),
            ("unexpected status code 401 Unauthorized", Wish, "credentials"),
            (
                "toomanyrequests: You have reached your unauthenticated pull rate limit",
                Transient,
                "no more pulls",
            ),
            ("received unexpected HTTP status: 503 Service Unavailable", Transient, "the registry fails"),
            ("dial tcp 1.2.3.4:443: i/o timeout", Transient, "cannot be reached"),
            ("net/http: TLS handshake timeout", Transient, "cannot be reached"),
            ("dial tcp: lookup quay.io: no such host", Transient, "cannot be reached"),
            (
                "tls: failed to verify certificate: x509: certificate signed by unknown authority",
                Host,
                "not trusted",
            ),
            ("http: server gave HTTP response to HTTPS client", Host, "plain http"),
            ("tls: first record does not look like a TLS handshake", Host, "plain http"),
            ("write /var/lib/containerd/x: no space left on device", Host, "no space"),
            (
                "validate CRI v1 image API for endpoint \"unix:///run/x.sock\": rpc error: code = Unavailable \
                 desc = connection error: dial unix /run/x.sock: connect: connection refused",
                Host,
                "engine does not answer",
            ),
            ("something else", Host, "status 1"),
        ] {
            let output = Output { status: Some(1), stdout: String::new(), stderr: said.into() };
            let failure = of_pull(&wish, &output);
            assert!(failure.message.contains(words), "{said}: {failure:?}");
            assert_eq!(failure.class, class, "{said}");
            assert_eq!(failure.evidence, [said]);
        }
    }
}
