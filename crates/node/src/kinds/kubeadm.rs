//! kubeadm.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kubespray_resource::{
    ErrorClass, Failure, Guard, KUBEADM_BEGUN, Kubeadm, KubeadmAction, KubeadmProgress, KubeadmState, Mode,
    Owner,
};

use super::{kubeadm_torn, unit};
use crate::failure::{is_gone, last_lines};
use crate::{Host, HostError, Output, Spawn, View, paths};

/// Where programs are that kubeadm needs, behind its own folder.
const FOLDERS: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Words of kubeadm after which all is done nevertheless (CP-026): an object of the cluster that is there already.
const HARMLESS: &str = "field is immutable";

/// Checks that fail only because an earlier attempt got further.
const LEFT_BY_ATTEMPTS: [&str; 3] = ["DirAvailable-", "FileAvailable-", "Port-"];

/// It checks files of nodes, of control planes, ports and images one after the other.
const ROUNDS_OF_CHECKS: usize = 5;

/// What `kubeadm join` says of a node of this name that is ready: here, of the one that it made itself.
const JOINED: &str = "already exists in the cluster";

/// How far kubeadm got.
pub(crate) fn observe(view: &View<'_>, wish: &Kubeadm) -> Result<KubeadmState, Failure> {
    let mut there = BTreeMap::new();
    for path in wish.witnesses() {
        let is_there = view.host.metadata(&path)?.is_some();
        there.insert(path, is_there);
    }
    let mut versions = BTreeMap::new();
    for (component, path) in wish.manifests() {
        if let Some(version) = view.text(&path)?.as_deref().and_then(|text| version_of(text, &component)) {
            versions.insert(component, version);
        }
    }
    let begun = view.text(KUBEADM_BEGUN)?.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    let done = match &wish.action {
        KubeadmAction::Phase { guards, .. } => {
            let command = as_command(wish, guards);
            super::command::observe(view, &command)?.done
        }
        _ => false,
    };
    Ok(KubeadmState { there, begun, versions, done })
}

/// Runs kubeadm, taking up what was begun.
pub(crate) fn apply(host: &dyn Host, wish: &Kubeadm, state: &KubeadmState) -> Result<(), Failure> {
    let progress = wish.progress(state);
    if let KubeadmProgress::Half(why) = &progress {
        return Err(half(wish, why));
    }
    let is_making = matches!(wish.action, KubeadmAction::Init { .. } | KubeadmAction::Join { .. });
    if is_making {
        paths::ensure(host, paths::BASE)?;
        host.write(KUBEADM_BEGUN, wish.command().as_bytes(), Mode::PRIVATE, &Owner::root())?;
    }
    if is_making && progress == KubeadmProgress::Begun {
        kubeadm_torn::clear(host, wish)?;
    }
    let mut ignored: BTreeSet<String> = wish.ignore_preflight_errors.iter().cloned().collect();
    let mut output = run(host, wish, &ignored)?;
    if progress == KubeadmProgress::Begun {
        output = take_up(host, wish, &mut ignored, output)?;
    }
    if !output.is_success() && !all_text(&output).contains(HARMLESS) {
        let failure = failure(wish, &output);
        let is_first_check = progress == KubeadmProgress::Fresh && !checks(&output).is_empty();
        if is_making && is_first_check {
            // Checks come before the first effect.
            host.remove(KUBEADM_BEGUN, false)?;
        }
        return Err(if checks(&output).is_empty() {
            unit::with_evidence(host, "kubelet.service", failure)
        } else {
            failure
        });
    }
    if let KubeadmAction::Phase { guards, .. } = &wish.action {
        if super::command::is_proved(host, &as_command(wish, guards))? {
            return Ok(());
        }
        let message = format!("`kubeadm {}` succeeded, but nothing says that it is done", wish.command());
        return Err(Failure::of_host(message));
    }
    let is_resetting = matches!(wish.action, KubeadmAction::Reset { .. });
    if (is_making || is_resetting) && host.metadata(KUBEADM_BEGUN)?.is_some() {
        host.remove(KUBEADM_BEGUN, false)?;
    }
    Ok(())
}

/// Goes on where an earlier attempt stopped. kubeadm knows no such thing: what it left fails its checks, which it makes
/// in several rounds, and a node that it made already is somebody else's to it.
fn take_up(
    host: &dyn Host,
    wish: &Kubeadm,
    ignored: &mut BTreeSet<String>,
    mut output: Output,
) -> Result<Output, Failure> {
    for _ in 0..ROUNDS_OF_CHECKS {
        let failed = checks(&output);
        let is_left = |name: &str| LEFT_BY_ATTEMPTS.iter().any(|start| name.starts_with(start));
        if output.is_success() || failed.is_empty() || !failed.iter().all(|(name, _)| is_left(name)) {
            break;
        }
        ignored.extend(failed.into_iter().map(|(name, _)| name));
        output = run(host, wish, ignored)?;
    }
    if output.is_success() || !all_text(&output).contains(JOINED) {
        return Ok(output);
    }
    match wish.action {
        // Nothing follows the registration of a node.
        KubeadmAction::Join { control_plane: false } => Ok(Output { status: Some(0), ..output }),
        KubeadmAction::Join { control_plane: true } => {
            let phase = vec!["control-plane-join".to_owned(), "all".to_owned()];
            let action = KubeadmAction::Phase { of: "join".into(), phase, guards: Vec::new() };
            let rest = Kubeadm { action, skip_phases: Vec::new(), ..wish.clone() };
            run(host, &rest, &BTreeSet::new())
        }
        _ => Ok(output),
    }
}

fn half(wish: &Kubeadm, why: &str) -> Failure {
    let message = format!("`kubeadm {}` is not run: {why}", wish.command());
    let failure = Failure::of_host(message);
    match wish.action {
        KubeadmAction::Init { .. } | KubeadmAction::Join { .. } => failure
            .hint("a control plane or node that was begun by others is never begun anew over what is there")
            .hint("restore what is missing, or `kubeadm reset` this host if nothing on it is needed, then go on"),
        _ => failure,
    }
}

fn run(host: &dyn Host, wish: &Kubeadm, ignored: &BTreeSet<String>) -> Result<Output, Failure> {
    let mut environment = wish.environment.clone();
    // kubeadm looks for programs such as `crictl`, which are where it is.
    if wish.program.contains('/') {
        let path = format!("{}:{FOLDERS}", paths::parent(&wish.program));
        environment.entry("PATH".into()).or_insert(path);
    }
    let spawn = Spawn {
        argv: argv(wish, ignored),
        environment,
        stdin: None,
        timeout: Duration::from_secs(wish.timeout_s),
    };
    match host.run(&spawn) {
        Ok(output) => Ok(output),
        Err(error @ HostError::Timeout { .. }) => {
            let failure = Failure::new(
                ErrorClass::Host,
                format!("`kubeadm {}` is not done after {} s", wish.command(), wish.timeout_s),
            );
            let failure = unit::with_evidence(host, "kubelet.service", failure);
            Err(if is_gone(&failure) { failure } else { failure.evidence(error.to_string()) })
        }
        Err(error) => Err(error.into()),
    }
}

/// The program with its arguments. Secrets stand in the configuration file.
fn argv(wish: &Kubeadm, ignored: &BTreeSet<String>) -> Vec<String> {
    let mut argv = vec![wish.program.clone()];
    let mut add = |words: &[&str]| argv.extend(words.iter().map(|word| (*word).to_owned()));
    match &wish.action {
        KubeadmAction::Init { upload_certs } => {
            add(&["init"]);
            if *upload_certs {
                add(&["--upload-certs"]);
            }
        }
        KubeadmAction::Join { .. } => add(&["join"]),
        KubeadmAction::UpgradeApply { version } => {
            let version = format!("v{}", version.strip_prefix('v').unwrap_or(version));
            add(&["upgrade", "apply", "--yes", &version]);
        }
        KubeadmAction::UpgradeNode { .. } => add(&["upgrade", "node"]),
        KubeadmAction::Reset { certificates, cri_socket } => {
            add(&["reset", "--force", "--cert-dir", certificates]);
            if let Some(socket) = cri_socket {
                add(&["--cri-socket", socket]);
            }
        }
        KubeadmAction::Phase { of, phase, .. } => {
            add(&of.split_whitespace().collect::<Vec<_>>());
            add(&["phase"]);
            add(&phase.iter().map(String::as_str).collect::<Vec<_>>());
            if phase.first().is_some_and(|name| name == "upload-certs") {
                add(&["--upload-certs"]);
            }
        }
    }
    if let (Some(config), false) = (&wish.config, matches!(wish.action, KubeadmAction::Reset { .. })) {
        add(&["--config", config]);
    }
    if !ignored.is_empty() {
        let names = if ignored.contains("all") {
            "all".to_owned()
        } else {
            ignored.iter().cloned().collect::<Vec<_>>().join(",")
        };
        add(&["--ignore-preflight-errors", &names]);
    }
    if !wish.skip_phases.is_empty() {
        add(&["--skip-phases", &wish.skip_phases.join(",")]);
    }
    argv
}

/// What went wrong, in kubeadm's words where it has some.
fn failure(wish: &Kubeadm, output: &Output) -> Failure {
    let command = format!("`kubeadm {}`", wish.command());
    let failed = checks(output);
    if !failed.is_empty() {
        let names: Vec<&str> = failed.iter().map(|(name, _)| name.as_str()).collect();
        let mut failure = Failure::of_host(format!("{command} refuses this host: {}", names.join(", ")));
        failure.evidence = failed.iter().map(|(name, message)| format!("{name}: {message}")).collect();
        let hints: BTreeSet<&str> = failed.iter().filter_map(|(name, _)| advice(name)).collect();
        failure.hints = hints.into_iter().map(str::to_owned).collect();
        return failure;
    }
    let text = without_tokens(&all_text(output));
    let how = output
        .status
        .map_or("was ended by a signal".to_owned(), |status| format!("ended with status {status}"));
    // `error execution phase wait-control-plane: …`, behind `error: ` in newer versions.
    let message = text.lines().rev().find_map(|line| {
        let (_, rest) = line.split_once("error execution phase ")?;
        let (phase, why) = rest.split_once(": ").unwrap_or((rest, "it does not say why"));
        Some(format!("{command} failed in its phase `{phase}`: {why}"))
    });
    let mut failure = Failure::of_host(message.unwrap_or_else(|| format!("{command} {how}")));
    failure.evidence = last_lines(&text);
    failure
}

/// Checks that failed, with what was found: `[ERROR Port-6443]: Port 6443 is in use`.
fn checks(output: &Output) -> Vec<(String, String)> {
    let text = all_text(output);
    let found = text.lines().filter_map(|line| {
        let (_, rest) = line.split_once("[ERROR ")?;
        let (name, message) = rest.split_once("]: ")?;
        Some((name.to_owned(), message.trim().to_owned()))
    });
    found.collect()
}

/// What to do about a check.
fn advice(check: &str) -> Option<&'static str> {
    Some(match check.split(['-', '_']).next().unwrap_or(check) {
        "Port" => "another program has the port: `ss -ltnp` tells which",
        "Swap" => "switch swap off, or let the kubelet bear it with `kubelet_fail_swap_on: false`",
        "NumCPU" | "Mem" => "the host is smaller than Kubernetes wants",
        "FileAvailable" | "DirAvailable" => {
            "an earlier cluster left files: look whether they are needed before `kubeadm reset`"
        }
        "CRI" => "the container engine does not answer on its socket",
        "ImagePull" => "the image cannot be had: check registry, mirror, proxy and credentials",
        "FileContent" => "a kernel parameter is not set: the steps of the component `preinstall` set it",
        "FileExisting" => "a program is missing that a package brings",
        "Hostname" => "the host's name cannot be resolved or is no valid name",
        "SystemVerification" => "the kernel or its settings are not what this version wants",
        "KubeletVersion" | "KubernetesVersion" => {
            "kubeadm, kubelet and the wished version do not fit together"
        }
        "ExternalEtcdVersion" | "ExternalEtcdClientCertificates" => {
            "etcd does not answer, or not to this certificate"
        }
        _ => return None,
    })
}

fn all_text(output: &Output) -> String {
    format!("{}\n{}", output.stdout, output.stderr)
}

/// The version in the tag of a component's image: `image: registry.k8s.io/kube-apiserver:v1.35.2`.
fn version_of(manifest: &str, component: &str) -> Option<String> {
    manifest.lines().find_map(|line| {
        let image =
            line.trim().trim_start_matches("- ").strip_prefix("image:")?.trim().trim_matches(['"', '\'']);
        let image = image.split('@').next().unwrap_or(image);
        let (name, tag) = image.rsplit_once('/').map_or(image, |(_, name)| name).split_once(':')?;
        (name == component || name.starts_with(&format!("{component}-"))).then(|| tag.to_owned())
    })
}

/// A text without bootstrap tokens, certificate keys and digests, which kubeadm prints for people to copy.
fn without_tokens(text: &str) -> String {
    let is_token = |word: &str| {
        let part = |part: &str, length| {
            part.len() == length && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        };
        word.split_once('.').is_some_and(|(id, secret)| part(id, 6) && part(secret, 16))
    };
    let is_key = |word: &str| word.len() >= 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mut out = String::new();
    for line in text.split_inclusive('\n') {
        for piece in line.split_inclusive([' ', '\t', '\n', '"', '\'', '=', ',', ':', '[', ']', '(', ')']) {
            let word =
                piece.trim_end_matches([' ', '\t', '\n', '"', '\'', '=', ',', ':', '[', ']', '(', ')']);
            if is_token(word) || is_key(word) {
                out.push_str("***");
                out.push_str(piece.get(word.len()..).unwrap_or_default());
            } else {
                out.push_str(piece);
            }
        }
    }
    out
}

/// The guards of a phase are those of commands.
fn as_command(wish: &Kubeadm, guards: &[Guard]) -> kubespray_resource::Command {
    kubespray_resource::Command {
        argv: Vec::new(),
        environment: wish.environment.clone(),
        stdin: None,
        guards: guards.to_vec(),
        timeout_s: wish.timeout_s,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_tell_versions() {
        for (line, version) in [
            ("    image: registry.k8s.io/kube-apiserver:v1.35.2", Some("v1.35.2")),
            ("  - image: \"10.0.0.1:5000/k8s/kube-apiserver:v1.36.0@sha256:ab\"", Some("v1.36.0")),
            ("    image: mirror/kube-apiserver-amd64:v1.34.1", Some("v1.34.1")),
            ("    image: mirror/kube-apiserver", None),
            ("    image: mirror/kube-scheduler:v1.34.1", None),
            ("    imagePullPolicy: IfNotPresent", None),
        ] {
            assert_eq!(version_of(line, "kube-apiserver").as_deref(), version, "{line}");
        }
    }

    #[test]
    fn tokens_and_keys_are_not_told() {
        let key = "0123456789abcdef".repeat(4);
        let text = format!(
            "kubeadm join --token abcdef.0123456789abcdef --certificate-key {key}\nhash sha256:{key} v1.35.2\n"
        );
        assert_eq!(
            without_tokens(&text),
            "kubeadm join --token *** --certificate-key ***\nhash sha256:*** v1.35.2\n"
        );
    }
}
