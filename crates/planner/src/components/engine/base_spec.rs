//! What every container begins with: the default OCI specification of containerd, with the limits that are wished
//! (CRI-034, CRI-035).
//!
//! It is written down here instead of asked of `ctr oci spec`, so that a plan knows it, and a new containerd changes
//! it only when we do (CRI-064). Facts: `pkg/oci/spec.go` and `mounts.go` of containerd, alike from 1.7 to 2.3 but for
//! the version of the specification and one masked path that came with 1.7.13.

use kubespray_spec::engine::Containerd;
use serde_json::{Map, Value, json};

/// How deep a patch may be merged; deeper tables replace what is there.
const DEEPEST: usize = 32;

/// The file's text.
pub(super) fn text(containerd: &Containerd) -> String {
    let mut spec = default_spec(containerd);
    let patch: Map<String, Value> = containerd
        .containerd_default_base_runtime_spec_patch
        .iter()
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    merge(&mut spec, &Value::Object(patch), 0);
    // Templates give texts where the specification has numbers.
    if let Some(Value::Array(limits)) = spec.pointer_mut("/process/rlimits") {
        for value in limits.iter_mut().filter_map(Value::as_object_mut).flat_map(|limit| limit.values_mut()) {
            if let Some(number) = value.as_str().and_then(|text| text.parse::<u64>().ok()) {
                *value = number.into();
            }
        }
    }
    let mut text = serde_json::to_string_pretty(&spec).unwrap_or_default();
    text.push('\n');
    text
}

/// Tables are merged, everything else is replaced (`combine(recursive=true)`).
fn merge(into: &mut Value, patch: &Value, depth: usize) {
    match (into, patch) {
        (Value::Object(into), Value::Object(patch)) if depth < DEEPEST => {
            for (key, value) in patch {
                match into.get_mut(key) {
                    Some(own) => merge(own, value, depth + 1),
                    None => _ = into.insert(key.clone(), value.clone()),
                }
            }
        }
        (into, patch) => *into = patch.clone(),
    }
}

fn default_spec(containerd: &Containerd) -> Value {
    let version = &containerd.containerd_version;
    let oci_version = match (version.major(), version.minor()) {
        (0 | 1, _) => "1.1.0",
        (2, 0) => "1.2.0",
        (2, 1 | 2) => "1.2.1",
        _ => "1.3.0",
    };
    let capabilities = [
        "CAP_CHOWN",
        "CAP_DAC_OVERRIDE",
        "CAP_FSETID",
        "CAP_FOWNER",
        "CAP_MKNOD",
        "CAP_NET_RAW",
        "CAP_SETGID",
        "CAP_SETUID",
        "CAP_SETFCAP",
        "CAP_SETPCAP",
        "CAP_NET_BIND_SERVICE",
        "CAP_SYS_CHROOT",
        "CAP_KILL",
        "CAP_AUDIT_WRITE",
    ];
    let mount = |to: &str, kind: &str, source: &str, options: &[&str]| json!({"destination": to, "type": kind, "source": source, "options": options});
    let namespaces: Vec<Value> =
        ["pid", "ipc", "uts", "mount", "network"].iter().map(|kind| json!({"type": kind})).collect();
    json!({
        "ociVersion": oci_version,
        "process": {
            "user": {"uid": 0, "gid": 0},
            "cwd": "/",
            "capabilities": {
                "bounding": capabilities, "effective": capabilities, "permitted": capabilities,
            },
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
            "noNewPrivileges": true,
        },
        "root": {"path": "rootfs"},
        "mounts": [
            mount("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]),
            mount("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
            mount(
                "/dev/pts",
                "devpts",
                "devpts",
                &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
            ),
            mount("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
            mount("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
            mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
            mount("/run", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        ],
        "linux": {
            "resources": {"devices": [{"allow": false, "access": "rwm"}]},
            "cgroupsPath": "/default",
            "namespaces": namespaces,
            "maskedPaths": [
                "/proc/acpi",
                "/proc/asound",
                "/proc/kcore",
                "/proc/keys",
                "/proc/latency_stats",
                "/proc/timer_list",
                "/proc/timer_stats",
                "/proc/sched_debug",
                "/sys/firmware",
                "/sys/devices/virtual/powercap",
                "/proc/scsi",
            ],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_merged_and_lists_replaced() {
        let mut value = json!({"a": {"b": 1, "c": [1, 2]}, "d": 1});
        merge(&mut value, &json!({"a": {"c": [3], "e": {"f": 1}}, "d": {"g": 1}}), 0);
        assert_eq!(value, json!({"a": {"b": 1, "c": [3], "e": {"f": 1}}, "d": {"g": 1}}));
    }
}
