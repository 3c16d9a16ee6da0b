//! `config.toml` of containerd (CRI-040 to CRI-061).
//!
//! Version 4 of the format, from 2.3 on, no longer reads addresses, sizes and histograms from `[grpc]`, `[debug]` and
//! `[metrics]`, where Kubespray writes them still: they go to the plugins that replace these tables.

use kubespray_spec::choices::ContainerdTracingProtocol;
use kubespray_spec::engine::Containerd;
use serde_json::{Map, Value, json};

use super::super::{Chain, Host, toml};
use super::registries;

/// The layout of the file, by the version of containerd.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Layout {
    /// 1.x.
    V2,
    /// 2.0 to 2.2.
    V3,
    /// 2.3 and later.
    V4,
}

impl Layout {
    fn of(containerd: &Containerd) -> Self {
        let version = &containerd.containerd_version;
        match (version.major(), version.minor()) {
            (0 | 1, _) => Self::V2,
            (2, 0..=2) => Self::V3,
            _ => Self::V4,
        }
    }

    fn number(self) -> u32 {
        match self {
            Self::V2 => 2,
            Self::V3 => 3,
            Self::V4 => 4,
        }
    }
}

/// The file's text.
pub(super) fn text(chain: &mut Chain<'_>, containerd: &Containerd) -> String {
    let layout = Layout::of(containerd);
    let top = table(json!({
        "version": layout.number(),
        "root": containerd.containerd_storage_dir,
        "state": containerd.containerd_state_dir,
        "oom_score": containerd.containerd_oom_score,
    }));
    let mut text = toml::document(&top);
    // It may begin with keys of the top, so it stands before all tables (CRI-042).
    if let Some(extra) = containerd.containerd_extra_args.as_deref().filter(|extra| !extra.trim().is_empty())
    {
        text.push('\n');
        text.push_str(extra.trim_end());
        text.push('\n');
    }
    let mut plugins = Map::new();
    let mut tables = Map::new();
    servers(&mut tables, &mut plugins, layout, containerd);
    cri(&mut plugins, layout, chain, containerd);
    plugins.insert(
        "io.containerd.nri.v1.nri".into(),
        json!({"disable": !chain.host.settings().engine.nri_enabled}),
    );
    tracing(&mut plugins, containerd);
    tables.insert("plugins".into(), plugins.into());
    text.push('\n');
    text.push_str(&toml::document(&tables));
    text
}

fn table(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(table) => table,
        _ => Map::new(),
    }
}

/// CRI-043 to CRI-045.
fn servers(
    tables: &mut Map<String, Value>,
    plugins: &mut Map<String, Value>,
    layout: Layout,
    containerd: &Containerd,
) {
    let sizes = json!({
        "max_recv_message_size": containerd.containerd_grpc_max_recv_message_size,
        "max_send_message_size": containerd.containerd_grpc_max_send_message_size,
    });
    let set = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let debug_socket = set(&containerd.containerd_debug_address).map(|address| {
        json!({
            "address": address,
            "uid": containerd.containerd_debug_uid,
            "gid": containerd.containerd_debug_gid,
        })
    });
    let metrics_address = set(&containerd.containerd_metrics_address);
    let histogram = containerd.containerd_metrics_grpc_histogram;
    let mut debug = table(json!({
        "level": containerd.containerd_debug_level,
        "format": containerd.containerd_debug_format,
    }));
    if layout < Layout::V4 {
        debug.extend(table(debug_socket.unwrap_or_default()));
        tables.insert("grpc".into(), sizes);
        tables.insert("debug".into(), debug.into());
        tables.insert("metrics".into(), json!({"address": metrics_address, "grpc_histogram": histogram}));
        return;
    }
    tables.insert("debug".into(), debug.into());
    plugins.insert("io.containerd.server.v1.grpc".into(), sizes);
    if let Some(socket) = debug_socket {
        plugins.insert("io.containerd.server.v1.debug".into(), socket);
    }
    if let Some(address) = metrics_address {
        plugins.insert("io.containerd.server.v1.metrics".into(), json!({"address": address}));
    }
    if histogram {
        plugins.insert("io.containerd.metrics.v1.grpc-prometheus".into(), json!({"grpc_histogram": true}));
    }
}

/// CRI-046 to CRI-059.
fn cri(plugins: &mut Map<String, Value>, layout: Layout, chain: &mut Chain<'_>, containerd: &Containerd) {
    let host = chain.host;
    let engine = &host.settings().engine;
    let mut runtime = table(json!({
        "max_container_log_line_size": containerd.containerd_max_container_log_line_size,
        "enable_unprivileged_ports": containerd.containerd_enable_unprivileged_ports,
        "enable_unprivileged_icmp": containerd.containerd_enable_unprivileged_icmp,
        "enable_selinux": containerd.containerd_enable_selinux,
        "disable_apparmor": containerd.containerd_disable_apparmor,
        "tolerate_missing_hugetlb_controller": containerd.containerd_tolerate_missing_hugetlb_controller,
        "disable_hugetlb_controller": containerd.containerd_disable_hugetlb_controller,
    }));
    if containerd.enable_cdi {
        runtime.insert("enable_cdi".into(), true.into());
        runtime.insert("cdi_spec_dirs".into(), json!(["/etc/cdi", "/var/run/cdi"]));
    }
    for (key, value) in &containerd.containerd_extra_runtime_args {
        runtime.insert(key.clone(), value.clone());
    }
    let mut runtimes_table = table(json!({
        "default_runtime_name": containerd.containerd_default_runtime,
        "runtimes": runtimes(&host, layout, containerd),
    }));
    let known = runtimes_table.get("runtimes").and_then(Value::as_object);
    if known.is_none_or(|known| !known.contains_key(&containerd.containerd_default_runtime)) {
        chain.refuse(
            format!(
                "`containerd_default_runtime` is `{}`, which no runtime is called",
                containerd.containerd_default_runtime
            ),
            "name one of `containerd_runc_runtime` and `containerd_additional_runtimes`",
        );
    }
    let sandbox = format!("{}:{}", engine.pod_infra_image_repo, engine.pod_infra_image_tag);
    let timeout = containerd.containerd_image_pull_progress_timeout.as_str();
    let credentials = registries::credentials_table(&host.spec.name, containerd);
    let registry = json!({
        "config_path": format!("{}/certs.d", containerd.containerd_cfg_dir),
        "configs": if credentials.is_empty() { Value::Null } else { credentials.into() },
    });
    if layout == Layout::V2 {
        runtimes_table.insert("snapshotter".into(), containerd.containerd_snapshotter.clone().into());
        runtimes_table
            .insert("discard_unpacked_layers".into(), containerd.containerd_discard_unpacked_layers.into());
        runtime.insert("sandbox_image".into(), sandbox.into());
        runtime.insert("image_pull_progress_timeout".into(), timeout.into());
        runtime.insert("containerd".into(), runtimes_table.into());
        runtime.insert("registry".into(), registry);
        plugins.insert("io.containerd.grpc.v1.cri".into(), runtime.into());
        return;
    }
    runtime.insert("containerd".into(), runtimes_table.into());
    plugins.insert("io.containerd.cri.v1.runtime".into(), runtime.into());
    let version = &containerd.containerd_version;
    let discards =
        containerd.containerd_discard_unpacked_layers && (version.major(), version.minor()) < (2, 1);
    let images = json!({
        "snapshotter": containerd.containerd_snapshotter,
        "discard_unpacked_layers": if discards { Value::Bool(true) } else { Value::Null },
        "image_pull_progress_timeout": timeout,
        "pinned_images": {"sandbox": sandbox},
        "registry": registry,
    });
    plugins.insert("io.containerd.cri.v1.images".into(), images);
}

/// CRI-054 to CRI-057.
fn runtimes(host: &Host<'_>, layout: Layout, containerd: &Containerd) -> Map<String, Value> {
    let runc: Map<String, Value> =
        containerd.containerd_runc_runtime.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    let additional = containerd.containerd_additional_runtimes.iter().filter_map(Value::as_object);
    let mut out = Map::new();
    for wish in std::iter::once(&runc).chain(additional) {
        if let Some(name) = wish.get("name").and_then(Value::as_str) {
            out.insert(name.to_owned(), runtime(wish, layout, containerd).into());
        }
    }
    if host.settings().gvisor.is_some() {
        out.insert("runsc".into(), json!({"runtime_type": "io.containerd.runsc.v1"}));
    }
    out
}

/// Keys that Kubespray has other names for than containerd; all others are containerd's own.
fn runtime(wish: &Map<String, Value>, layout: Layout, containerd: &Containerd) -> Map<String, Value> {
    let mut out = Map::new();
    for (key, value) in wish {
        match key.as_str() {
            "name" => {}
            "type" => _ = out.insert("runtime_type".into(), value.clone()),
            // CRI-063: only where they are set; 2.x has neither.
            "engine" | "root" if layout == Layout::V2 => {
                out.insert(format!("runtime_{key}"), value.clone());
            }
            "engine" | "root" => {}
            "base_runtime_spec" => {
                let path = value.as_str().map(|name| format!("{}/{name}", containerd.containerd_cfg_dir));
                out.insert("base_runtime_spec".into(), json!(path));
            }
            "options" => {
                let options = value.as_object().cloned().unwrap_or_default();
                let options: Map<String, Value> =
                    options.into_iter().map(|(key, value)| (key, truth(value))).collect();
                out.insert("options".into(), options.into());
            }
            _ => _ = out.insert(key.clone(), value.clone()),
        }
    }
    out
}

/// Templates give texts where containerd wants booleans.
fn truth(value: Value) -> Value {
    match value.as_str() {
        Some("true") => true.into(),
        Some("false") => false.into(),
        _ => value,
    }
}

/// CRI-061.
fn tracing(plugins: &mut Map<String, Value>, containerd: &Containerd) {
    if !containerd.containerd_tracing_enabled {
        return;
    }
    let is_grpc = containerd.containerd_tracing_protocol == ContainerdTracingProtocol::Grpc;
    plugins.insert(
        "io.containerd.tracing.processor.v1.otlp".into(),
        json!({
            "endpoint": containerd.containerd_tracing_endpoint,
            "protocol": containerd.containerd_tracing_protocol,
            "insecure": if is_grpc { Value::Bool(false) } else { Value::Null },
        }),
    );
    plugins.insert(
        "io.containerd.internal.v1.tracing".into(),
        json!({
            "sampling_ratio": containerd.containerd_tracing_sampling_ratio,
            "service_name": containerd.containerd_tracing_service_name,
        }),
    );
}
