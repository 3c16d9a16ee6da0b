//! Versions that are supported.

use std::collections::BTreeSet;

use kubespray_catalog::Version;
use kubespray_diagnostics::Diagnostic;
use kubespray_value::Value;

use super::site::{alternatives, shown};
use super::{Look, Report};

pub(super) fn check(look: &Look<'_>, report: &mut Report) {
    val_031_containerd_is_new_enough(look, report);
}

/// What may differ between hosts.
pub(super) fn check_host(look: &Look<'_>, report: &mut Report) {
    if val_008_kubernetes_is_new_enough(look, report) {
        val_033_kubernetes_has_checksums(look, report);
    }
}

/// Whether it is.
fn val_008_kubernetes_is_new_enough(look: &Look<'_>, report: &mut Report) -> bool {
    let Some(text) = look.text("kube_version") else { return false };
    let Ok(version) = text.parse::<Version>() else {
        report.add(not_a_version(look, "VAL-008", "kube_version", &text));
        return false;
    };
    let Some(minimum) = look.version("kube_version_min_required") else { return true };
    if version >= minimum {
        return true;
    }
    report.add(
        look.error("VAL-008", "kube_version", format!("`kube_version` `{text}` is older than `{minimum}`"))
            .because(format!("`{minimum}` is the oldest supported version of Kubernetes"))
            .hint(format!("set `kube_version` to `{minimum}` or newer")),
    );
    false
}

fn val_031_containerd_is_new_enough(look: &Look<'_>, report: &mut Report) {
    if !look.is("container_manager", "containerd") {
        return;
    }
    let Some(text) = look.text("containerd_version") else { return };
    let Some(minimum) = look.version("containerd_min_version_required") else { return };
    if ["latest", "edge", "stable"].contains(&text.as_str()) {
        return;
    }
    match text.parse::<Version>() {
        Err(_) => report.add(not_a_version(look, "VAL-031", "containerd_version", &text)),
        Ok(version) if version < minimum => report.add(
            look.error(
                "VAL-031",
                "containerd_version",
                format!("`containerd_version` `{text}` is older than `{minimum}`"),
            )
            .hint(format!("set `containerd_version` to `{minimum}` or newer")),
        ),
        Ok(_) => {}
    }
}

/// While the architecture is not known, `amd64` stands for it.
fn val_033_kubernetes_has_checksums(look: &Look<'_>, report: &mut Report) {
    let Some(version) = look.text("kube_version") else { return };
    let architecture = look.text("image_arch").unwrap_or_else(|| "amd64".to_owned());
    for table in ["kubeadm_checksums", "kubelet_checksums", "kubectl_checksums"] {
        let Some(value) = look.value(table) else { continue };
        let known = value.as_map().and_then(|map| map.get(architecture.as_str())).and_then(Value::as_map);
        let versions: Vec<String> =
            known.into_iter().flat_map(|map| map.keys()).map(Value::to_text).collect();
        if versions.contains(&version) {
            continue;
        }
        let problem = look.error(
            "VAL-033",
            "kube_version",
            format!("`kube_version` `{version}` is not supported on `{architecture}`"),
        );
        let plain = version.trim_start_matches('v');
        report.add(if versions.iter().any(|known| known == plain) {
            problem.hint(format!("write `kube_version: {plain}`"))
        } else if versions.is_empty() {
            problem.hint(format!("add checksums of `{architecture}` to `{table}`"))
        } else {
            let newest = newest_of_each_minor(&versions);
            problem
                .because(format!("the newest supported ones are {}", alternatives(&newest)))
                .hint(format!("choose one of them, or add the checksums of yours to `{table}`"))
        });
        return;
    }
}

fn newest_of_each_minor(versions: &[String]) -> Vec<&str> {
    let mut parsed: Vec<(Version, &str)> =
        versions.iter().filter_map(|text| Some((text.parse().ok()?, text.as_str()))).collect();
    parsed.sort_by(|a, b| b.0.cmp(&a.0));
    let mut minors = BTreeSet::new();
    parsed
        .into_iter()
        .filter(|(version, _)| minors.insert(version.minor_text()))
        .map(|(_, text)| text)
        .collect()
}

pub(super) fn not_a_version(look: &Look<'_>, id: &str, name: &str, text: &str) -> Diagnostic {
    look.error(id, name, format!("`{name}` is {}, which is no version", shown(text)))
        .hint("write numbers with dots, such as `1.34.2`")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{expect, outcome};

    #[test]
    fn versions() {
        expect(&[
            ("kube_version: 1.34.0", ""),
            ("kube_version: 1.33.9", "VAL-008"),
            ("kube_version: newest", "VAL-008"),
            ("kube_version: 1.34.999", "VAL-033"),
            ("kube_version: v1.36.4", "VAL-033"),
            ("{kube_version: 1.34.0, kubectl_checksums: {amd64: {1.35.0: 'sha256:0'}}}", "VAL-033"),
            ("containerd_version: 1.3.7", ""),
            ("containerd_version: latest", ""),
            ("containerd_version: 1.3.6", "VAL-031"),
            ("containerd_version: newest", "VAL-031"),
            ("{containerd_version: 1.3.6, container_manager: crio}", ""),
        ]);
    }

    #[test]
    fn remedies() {
        assert_eq!(outcome("kube_version: v1.36.4").diagnostics[0].hints, ["write `kube_version: 1.36.4`"]);
        assert!(outcome("kube_version: 1.34.999").diagnostics[0].notes[0].contains("`1.36.4`"));
        assert_eq!(
            newest_of_each_minor(&["1.9.0".into(), "1.10.1".into(), "1.10.11".into(), "1.10.2".into()]),
            ["1.10.11", "1.9.0"]
        );
    }
}
