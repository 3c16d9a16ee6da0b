//! Pods and containers as the engine is told them.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::super::{Kubelet, list, text, volumes};
use crate::client::path;
use crate::cri::proto::Message;
use crate::cri::{CONTAINER_NAME, POD_NAME, POD_NAMESPACE, POD_UID};

/// Namespaces of the host.
const OF_NODE: i64 = 2;
/// Namespaces of the container alone.
const OF_CONTAINER: i64 = 1;

const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

const MASKED: [&str; 9] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
];
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

fn is(value: &Value, pointer: &str) -> bool {
    value.pointer(pointer) == Some(&Value::Bool(true))
}

fn number(value: &Value, pointer: &str) -> Option<i64> {
    value.pointer(pointer).and_then(Value::as_i64)
}

fn labels(pod: &Value) -> BTreeMap<String, String> {
    let own = pod.pointer("/metadata/labels").and_then(Value::as_object);
    let own =
        own.into_iter().flatten().filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())));
    let mut out: BTreeMap<String, String> = own.collect();
    for (key, at) in [(POD_NAME, "name"), (POD_NAMESPACE, "namespace"), (POD_UID, "uid")] {
        out.insert(key.to_owned(), text(pod, &format!("/metadata/{at}")).to_owned());
    }
    out
}

fn annotations(pod: &Value) -> BTreeMap<String, String> {
    let own = pod.pointer("/metadata/annotations").and_then(Value::as_object);
    own.into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}

fn namespaces(pod: &Value) -> Message {
    let of = |pointer: &str, other: i64| if is(pod, pointer) { OF_NODE } else { other };
    let pid = if is(pod, "/spec/shareProcessNamespace") { 0 } else { OF_CONTAINER };
    Message::default()
        .number(1, of("/spec/hostNetwork", 0))
        .number(2, of("/spec/hostPID", pid))
        .number(3, of("/spec/hostIPC", 0))
}

fn is_privileged(container: &Value) -> bool {
    is(container, "/securityContext/privileged")
}

/// Resolvers of a pod.
fn dns(kubelet: &Kubelet, pod: &Value) -> Option<Message> {
    let texts = |value: &Value, pointer: &str| -> Vec<String> {
        list(value, pointer).iter().filter_map(|item| item.as_str().map(str::to_owned)).collect()
    };
    let policy = match text(pod, "/spec/dnsPolicy") {
        "" => "ClusterFirst",
        policy => policy,
    };
    let (mut servers, mut searches, mut options) = (Vec::new(), Vec::new(), Vec::new());
    let is_host_network = is(pod, "/spec/hostNetwork");
    if policy == "ClusterFirstWithHostNet" || policy == "ClusterFirst" && !is_host_network {
        let domain = text(&kubelet.config, "/clusterDomain");
        servers = texts(&kubelet.config, "/clusterDNS");
        let namespace = text(pod, "/metadata/namespace");
        searches = vec![format!("{namespace}.svc.{domain}"), format!("svc.{domain}"), domain.to_owned()];
        options = vec!["ndots:5".to_owned()];
    } else if policy != "None" {
        let file = text(&kubelet.config, "/resolvConf");
        let content = std::fs::read_to_string(if file.is_empty() { "/etc/resolv.conf" } else { file })
            .unwrap_or_default();
        for line in content.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => servers.extend(words.next().map(str::to_owned)),
                Some("search") => searches = words.map(str::to_owned).collect(),
                Some("options") => options = words.map(str::to_owned).collect(),
                _ => {}
            }
        }
    }
    servers.extend(texts(pod, "/spec/dnsConfig/nameservers"));
    searches.extend(texts(pod, "/spec/dnsConfig/searches"));
    (!servers.is_empty())
        .then(|| Message::default().texts(1, &servers).texts(2, &searches).texts(3, &options))
}

/// The cgroup of a pod.
fn cgroup(kubelet: &Kubelet, pod: &Value) -> String {
    let uid = text(pod, "/metadata/uid");
    if text(&kubelet.config, "/cgroupDriver") == "systemd" {
        format!("kubepods-pod{}.slice", uid.replace('-', "_"))
    } else {
        format!("/kubepods/pod{uid}")
    }
}

/// A sandbox.
pub(super) fn sandbox(kubelet: &Kubelet, pod: &Value, attempt: i64) -> Result<Message, String> {
    let of = |at: &str| text(pod, &format!("/metadata/{at}")).to_owned();
    let metadata = Message::default()
        .text(1, &of("name"))
        .text(2, &of("uid"))
        .text(3, &of("namespace"))
        .number(4, attempt);
    let is_any_privileged =
        list(pod, "/spec/containers").iter().chain(list(pod, "/spec/initContainers")).any(is_privileged);
    // The engine's own profile, as kubelets wish it for sandboxes.
    let security = Message::default()
        .message(1, &namespaces(pod))
        .boolean(6, is_any_privileged)
        .message(9, &Message::default());
    let linux = Message::default().text(1, &cgroup(kubelet, pod)).message(2, &security);
    let hostname = match text(pod, "/spec/hostname") {
        "" => of("name"),
        name => name.to_owned(),
    };
    let logs = format!("/var/log/pods/{}_{}_{}", of("namespace"), of("name"), of("uid"));
    std::fs::create_dir_all(&logs).map_err(|error| format!("{logs}: {error}"))?;
    let mut out = Message::default().message(1, &metadata);
    if !is(pod, "/spec/hostNetwork") {
        out = out.text(2, hostname.get(..63).unwrap_or(&hostname));
    }
    out = out.text(3, &logs);
    if let Some(dns) = dns(kubelet, pod) {
        out = out.message(4, &dns);
    }
    for container in list(pod, "/spec/containers") {
        for port in list(container, "/ports") {
            if is(pod, "/spec/hostNetwork") {
                continue;
            }
            let Some(host) = number(port, "/hostPort").filter(|port| *port > 0) else { continue };
            let protocol = match text(port, "/protocol") {
                "UDP" => 1,
                "SCTP" => 2,
                _ => 0,
            };
            let inner = number(port, "/containerPort").unwrap_or_default();
            let mapping = Message::default()
                .number(1, protocol)
                .number(2, inner)
                .number(3, host)
                .text(4, text(port, "/hostIP"));
            out = out.message(5, &mapping);
        }
    }
    Ok(out.map(6, &labels(pod)).map(7, &annotations(pod)).message(8, &linux))
}

/// A container of a pod.
pub(super) fn container(
    kubelet: &Kubelet,
    pod: &Value,
    container: &Value,
    volumes: &BTreeMap<String, String>,
    ip: &str,
    attempt: i64,
) -> Result<Message, String> {
    let name = text(container, "/name");
    let environment = environment(kubelet, pod, container, ip)?;
    let words = |pointer: &str| -> Vec<String> {
        list(container, pointer)
            .iter()
            .filter_map(Value::as_str)
            .map(|word| expanded(word, &environment))
            .collect()
    };
    let image = Message::default().text(1, text(container, "/image")).text(18, text(container, "/image"));
    let mut out = Message::default()
        .message(1, &Message::default().text(1, name).number(2, attempt))
        .message(2, &image)
        .texts(3, &words("/command"))
        .texts(4, &words("/args"))
        .text(5, text(container, "/workingDir"));
    for (key, value) in &environment {
        out = out.message(6, &Message::default().text(1, key).text(2, value));
    }
    for mount in list(container, "/volumeMounts") {
        let volume = text(mount, "/name");
        let Some(path) = volumes.get(volume) else { return Err(format!("volume {volume:?} is not there")) };
        let path = match text(mount, "/subPath") {
            "" => path.clone(),
            part => format!("{path}/{part}"),
        };
        let propagation = match text(mount, "/mountPropagation") {
            "HostToContainer" => 1,
            "Bidirectional" => 2,
            _ => 0,
        };
        out = out.message(
            7,
            &Message::default()
                .text(1, text(mount, "/mountPath"))
                .text(2, &path)
                .boolean(3, is(mount, "/readOnly"))
                .number(5, propagation),
        );
    }
    if let Some(hosts) = hosts_file(kubelet, pod, ip)? {
        out = out.message(7, &Message::default().text(1, "/etc/hosts").text(2, &hosts));
    }
    let mut labels = labels(pod);
    labels.insert(CONTAINER_NAME.to_owned(), name.to_owned());
    Ok(out
        .map(9, &labels)
        .map(10, &annotations(pod))
        .text(11, &format!("{name}/{attempt}.log"))
        .message(15, &linux(pod, container)))
}

/// The file of hosts of a pod with a network of its own, or with aliases.
fn hosts_file(kubelet: &Kubelet, pod: &Value, ip: &str) -> Result<Option<String>, String> {
    let is_host_network = is(pod, "/spec/hostNetwork");
    let aliases = list(pod, "/spec/hostAliases");
    let mut text_of_file = if is_host_network {
        std::fs::read_to_string("/etc/hosts").unwrap_or_default()
    } else {
        let name = text(pod, "/metadata/name");
        format!(
            "127.0.0.1\tlocalhost\n::1\tlocalhost\n{}\t{name}\n",
            if ip.is_empty() { &kubelet.ip } else { ip }
        )
    };
    for alias in aliases {
        let names: Vec<&str> = list(alias, "/hostnames").iter().filter_map(Value::as_str).collect();
        text_of_file.extend([text(alias, "/ip"), "\t", &names.join("\t"), "\n"]);
    }
    let path = format!("{}/etc-hosts", volumes::folder(pod));
    crate::files::write(std::path::Path::new(&path), text_of_file.as_bytes(), 0o644)?;
    Ok(Some(path))
}

fn linux(pod: &Value, container: &Value) -> Message {
    let own = |key: &str| {
        let of_container = container.pointer(&format!("/securityContext/{key}"));
        of_container.or_else(|| pod.pointer(&format!("/spec/securityContext/{key}"))).cloned()
    };
    let privileged = is_privileged(container);
    let names = |pointer: &str| -> Vec<String> {
        list(container, pointer).iter().filter_map(|name| name.as_str().map(str::to_owned)).collect()
    };
    let capabilities = Message::default()
        .texts(1, &names("/securityContext/capabilities/add"))
        .texts(2, &names("/securityContext/capabilities/drop"));
    let mut security =
        Message::default().message(1, &capabilities).boolean(2, privileged).message(3, &namespaces(pod));
    for (field, key) in [(5, "runAsUser"), (12, "runAsGroup")] {
        if let Some(id) = own(key).and_then(|id| id.as_i64()) {
            security = security.message(field, &Message::default().number(1, id));
        }
    }
    security = security.boolean(7, is(container, "/securityContext/readOnlyRootFilesystem"));
    security = security.boolean(
        11,
        container.pointer("/securityContext/allowPrivilegeEscalation") == Some(&Value::Bool(false)),
    );
    if !privileged {
        security = security.texts(13, &MASKED).texts(14, &READ_ONLY);
    }
    let profile =
        match own("seccompProfile").as_ref().map(|profile| text(profile, "/type").to_owned()).as_deref() {
            Some("RuntimeDefault") if !privileged => 0,
            _ => 1,
        };
    security = security.message(15, &Message::default().number(1, profile));
    let requests =
        container.pointer("/resources/requests/cpu").and_then(Value::as_str).and_then(milli).unwrap_or(2);
    let mut resources = Message::default().number(3, (requests * 1024 / 1000).max(2));
    if let Some(bytes) = container.pointer("/resources/limits/memory").and_then(Value::as_str).and_then(bytes)
    {
        resources = resources.number(4, bytes);
    }
    Message::default().message(1, &resources).message(2, &security)
}

/// Thousandths of a processor.
fn milli(text: &str) -> Option<i64> {
    match text.strip_suffix('m') {
        Some(number) => number.parse().ok(),
        None => text.parse::<i64>().ok().map(|number| number * 1000),
    }
}

fn bytes(text: &str) -> Option<i64> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let scale = match unit {
        "" => 1,
        "k" => 1000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        _ => return None,
    };
    number.parse::<i64>().ok()?.checked_mul(scale)
}

/// The environment of a container, in its order.
fn environment(
    kubelet: &Kubelet,
    pod: &Value,
    container: &Value,
    ip: &str,
) -> Result<Vec<(String, String)>, String> {
    let mut out: Vec<(String, String)> = Vec::new();
    if let Some((key, value)) = PATH.split_once('=') {
        out.push((key.to_owned(), value.to_owned()));
    }
    if let Some(client) = kubelet.client()
        && let Ok(Some(service)) = client.get(&path("v1", "services", "default", "kubernetes"))
    {
        let address = text(&service, "/spec/clusterIP").to_owned();
        out.push(("KUBERNETES_SERVICE_HOST".into(), address));
        out.push(("KUBERNETES_SERVICE_PORT".into(), "443".into()));
    }
    for entry in list(container, "/env") {
        let name = text(entry, "/name").to_owned();
        let value = match entry.get("valueFrom") {
            None => expanded(text(entry, "/value"), &out),
            Some(from) => match of_source(kubelet, pod, from, ip)? {
                Some(value) => value,
                None => continue,
            },
        };
        out.retain(|(known, _)| *known != name);
        out.push((name, value));
    }
    Ok(out)
}

fn of_source(kubelet: &Kubelet, pod: &Value, from: &Value, ip: &str) -> Result<Option<String>, String> {
    if let Some(field) = from.get("fieldRef") {
        return Ok(Some(volumes::field(kubelet, pod, text(field, "/fieldPath"), ip)));
    }
    for (key, plural) in [("configMapKeyRef", "configmaps"), ("secretKeyRef", "secrets")] {
        let Some(reference) = from.get(key) else { continue };
        let client = kubelet.client().ok_or("no API server")?;
        let (name, entry) = (text(reference, "/name"), text(reference, "/key"));
        let found = client.get(&path("v1", plural, text(pod, "/metadata/namespace"), name))?;
        let value = found.as_ref().and_then(|found| found["data"].get(entry)).and_then(Value::as_str);
        return match value {
            Some(value) if plural == "secrets" => {
                Ok(STANDARD.decode(value).ok().and_then(|bytes| String::from_utf8(bytes).ok()))
            }
            Some(value) => Ok(Some(value.to_owned())),
            None if is(reference, "/optional") => Ok(None),
            None => Err(format!("couldn't find key {entry} in {plural} {name}")),
        };
    }
    // The sizes of a container are known to nobody here.
    if from.get("resourceFieldRef").is_some() {
        Ok(None)
    } else {
        Err("a value from an unknown source".into())
    }
}

/// A text with `$(NAME)` replaced; `$$` is one dollar.
fn expanded(text: &str, environment: &[(String, String)]) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(rest.get(..at).unwrap_or_default());
        rest = rest.get(at..).unwrap_or_default();
        if let Some(after) = rest.strip_prefix("$$") {
            out.push('$');
            rest = after;
            continue;
        }
        let name = rest.strip_prefix("$(").and_then(|after| after.split_once(')'));
        match name
            .and_then(|(name, after)| Some((environment.iter().find(|(known, _)| known == name)?, after)))
        {
            Some(((_, value), after)) => {
                out.push_str(value);
                rest = after;
            }
            None => {
                out.push('$');
                rest = rest.get(1..).unwrap_or_default();
            }
        }
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_replaced() {
        let environment = [("NODE".to_owned(), "a".to_owned())];
        for (text, expected) in
            [("--name=$(NODE)", "--name=a"), ("$$(NODE)", "$(NODE)"), ("$(OTHER)$", "$(OTHER)$"), ("", "")]
        {
            assert_eq!(expanded(text, &environment), expected, "{text}");
        }
        assert_eq!(
            (milli("250m"), milli("2"), bytes("300Mi"), bytes("1x")),
            (Some(250), Some(2000), Some(300 << 20), None)
        );
    }
}
