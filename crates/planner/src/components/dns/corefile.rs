//! Corefiles: blocks of plugins for zones (spec APP-030, APP-035 to APP-037).

use kubespray_spec::dns::Dns;
use kubespray_spec::{Json, JsonMap};
use serde_json::Value;

/// Where answers of the hosts' own resolvers come from.
const OF_HOST: &str = "/etc/resolv.conf";

/// Zones that users forward to servers of theirs.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ExternalZone {
    zones: Vec<String>,
    servers: Vec<String>,
    cache: Option<String>,
    rewrites: Vec<String>,
}

impl ExternalZone {
    /// From an element of `coredns_external_zones` or `nodelocaldns_external_zones` (APP-506), or what is wrong.
    pub(crate) fn read(value: &Json) -> Result<Self, String> {
        let zone = Self {
            zones: texts(value, "zones"),
            servers: texts(value, "nameservers"),
            cache: texts(value, "cache").into_iter().next(),
            rewrites: texts(value, "rewrite"),
        };
        for (name, list) in [("zones", &zone.zones), ("nameservers", &zone.servers)] {
            if list.is_empty() {
                return Err(format!("an external zone has no `{name}`"));
            }
        }
        Ok(zone)
    }
}

/// A text, a number, or a list of them.
fn texts(value: &Json, key: &str) -> Vec<String> {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    match value.get(key) {
        Some(Value::Array(items)) => items.iter().filter_map(text).collect(),
        Some(other) => text(other).into_iter().collect(),
        None => Vec::new(),
    }
}

/// The Corefile of CoreDNS.
pub(crate) fn of_cluster(dns: &Dns, external: &[ExternalZone]) -> String {
    let mut out = Writer::default();
    let errors = |out: &mut Writer| match text(dns.coredns_additional_error_config.as_ref()) {
        Some(more) => out.block("errors", |out| out.lines(more)),
        None => out.line("errors"),
    };
    for zone in external {
        out.block(&zone.zones.join(" "), |out| {
            out.line("log");
            errors(out);
            out.each("rewrite", &zone.rewrites);
            out.line(&format!("forward . {}", zone.servers.join(" ")));
            out.line("loadbalance");
            out.line(&format!("cache {}", zone.cache.as_deref().unwrap_or("5")));
            out.line("reload");
            hosts(out, dns);
        });
    }
    out.block(".:53", |out| {
        out.option(dns.coredns_additional_configs.as_ref());
        errors(out);
        out.block("health", |out| out.line("lameduck 5s"));
        out.option(dns.coredns_rewrite_block.as_ref());
        for old in &dns.old_dns_domains {
            out.line(&format!("rewrite name suffix {old} {} answer auto", dns.dns_domain));
        }
        out.line("ready");
        kubernetes(out, dns);
        out.line("prometheus :9153");
        out.block(&format!("forward . {}", upstreams(dns)), |out| {
            out.line("prefer_udp");
            out.line("max_concurrent 1000");
            forward_options(out, dns);
        });
        if dns.enable_coredns_k8s_external {
            out.line(&format!("k8s_external {}", dns.coredns_k8s_external_zone));
        }
        out.option(Some(&dns.coredns_default_zone_cache_block));
        out.line("loop");
        out.line("reload");
        out.line("loadbalance");
        hosts(out, dns);
    });
    out.text
}

fn kubernetes(out: &mut Writer, dns: &Dns) {
    let mut zones = vec![dns.dns_domain.as_str()];
    zones.extend(text(dns.coredns_kubernetes_extra_domains.as_ref()));
    let reverse = "in-addr.arpa ip6.arpa";
    if dns.enable_coredns_reverse_dns_lookups {
        zones.push(reverse);
    }
    out.block(&format!("kubernetes {}", zones.join(" ")), |out| {
        out.line("pods insecure");
        if dns.enable_coredns_k8s_endpoint_pod_names {
            out.line("endpoint_pod_names");
        }
        if dns.enable_coredns_reverse_dns_lookups {
            out.line(&format!("fallthrough {reverse}"));
        }
        for option in dns.coredns_kubernetes_extra_opts.iter().flatten() {
            out.lines(option);
        }
    });
}

/// Which of the two caches on each node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NodeCache {
    /// The port of its metrics.
    pub(crate) metrics_port: u16,
    /// The port that says whether it is well.
    pub(crate) health_port: i64,
}

/// The Corefile of a cache on nodes. `servers` are those of the cluster; without any it only caches what is
/// outside (APP-036).
pub(crate) fn of_nodes(dns: &Dns, external: &[ExternalZone], servers: &[String], cache: NodeCache) -> String {
    let mut out = Writer::default();
    let address = dns.nodelocaldns_ip;
    let metrics_host = if dns.nodelocaldns_bind_metrics_host_ip { "{$MY_HOST_IP}" } else { "" };
    let metrics = format!("prometheus {metrics_host}:{}", cache.metrics_port);
    let health = match address {
        std::net::IpAddr::V4(address) => format!("health {address}:{}", cache.health_port),
        std::net::IpAddr::V6(address) => format!("health [{address}]:{}", cache.health_port),
    };
    let bind = format!("bind {address}");
    for zone in external {
        out.block(&zone.zones.join(" "), |out| {
            out.line("errors");
            out.line(&format!("cache {}", zone.cache.as_deref().unwrap_or("30")));
            out.line("reload");
            out.each("rewrite", &zone.rewrites);
            out.line("loop");
            out.line(&bind);
            out.line(&format!("forward . {}", zone.servers.join(" ")));
            out.line(&metrics);
            out.line("log");
            hosts(out, dns);
        });
    }
    let of_cluster = |out: &mut Writer| {
        out.line("reload");
        out.line("loop");
        out.line(&bind);
        out.block(&format!("forward . {}", servers.join(" ")), |out| out.line("force_tcp"));
        out.line(&metrics);
    };
    if !servers.is_empty() {
        let mut zones = vec![dns.dns_domain.as_str()];
        zones.extend(dns.old_dns_domains.iter().map(String::as_str));
        out.block(&format!("{}:53", zones.join(" ")), |out| {
            out.line("errors");
            out.block("cache", |out| {
                out.line("success 9984 30");
                out.line("denial 9984 5");
            });
            of_cluster(out);
            out.line(&health);
            hosts(out, dns);
        });
        for zone in ["in-addr.arpa:53", "ip6.arpa:53"] {
            out.block(zone, |out| {
                out.line("errors");
                out.line("cache 30");
                of_cluster(out);
            });
        }
    }
    out.block(".:53", |out| {
        out.option(dns.nodelocaldns_additional_configs.as_ref());
        out.line("errors");
        out.line("cache 30");
        out.line("reload");
        out.line("loop");
        out.line(&bind);
        let forward = format!("forward . {}", upstreams(dns));
        if dns.dns_upstream_forward_extra_opts.as_ref().is_some_and(|options| !options.is_empty()) {
            out.block(&forward, |out| forward_options(out, dns));
        } else {
            out.line(&forward);
        }
        out.line(&metrics);
        if servers.is_empty() {
            out.line(&health);
        }
        hosts(out, dns);
    });
    out.text
}

fn upstreams(dns: &Dns) -> String {
    if dns.upstream_dns_servers.is_empty() { OF_HOST.to_owned() } else { dns.upstream_dns_servers.join(" ") }
}

fn forward_options(out: &mut Writer, dns: &Dns) {
    let none = JsonMap::new();
    for (name, value) in dns.dns_upstream_forward_extra_opts.as_ref().unwrap_or(&none) {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        out.line(format!("{name} {value}").trim());
    }
}

/// The hosts of `dns_etchosts`, where there are any.
fn hosts(out: &mut Writer, dns: &Dns) {
    if etc_hosts(dns).is_some() {
        out.block("hosts /etc/coredns/hosts", |out| out.line("fallthrough"));
    }
}

/// What users serve as hosts (APP-511).
pub(crate) fn etc_hosts(dns: &Dns) -> Option<&str> {
    text(dns.dns_etchosts.as_ref())
}

fn text(text: Option<&String>) -> Option<&str> {
    text.map(String::as_str).filter(|text| !text.trim().is_empty())
}

/// Lines with their depth. No line ends in a space: YAML could not show the text as one block then.
#[derive(Default)]
struct Writer {
    text: String,
    depth: usize,
}

impl Writer {
    fn line(&mut self, line: &str) {
        let line = line.trim_end();
        if !line.is_empty() {
            self.text.extend(std::iter::repeat_n("    ", self.depth));
            self.text.push_str(line);
        }
        self.text.push('\n');
    }

    fn lines(&mut self, text: &str) {
        text.trim_end().lines().for_each(|line| self.line(line));
    }

    fn option(&mut self, option: Option<&String>) {
        if let Some(option) = text(option) {
            self.lines(option);
        }
    }

    fn each(&mut self, plugin: &str, arguments: &[String]) {
        arguments.iter().for_each(|argument| self.line(&format!("{plugin} {argument}")));
    }

    fn block(&mut self, head: &str, body: impl FnOnce(&mut Self)) {
        self.line(&format!("{head} {{"));
        self.depth += 1;
        body(self);
        self.depth -= 1;
        self.line("}");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn external_zones_have_zones_and_servers() {
        let zone = ExternalZone::read(&json!({
            "zones": ["example.com", "10.in-addr.arpa:1053"], "nameservers": ["1.1.1.1"], "cache": 5,
            "rewrite": ["name a b"],
        }))
        .unwrap();
        assert_eq!((zone.zones.len(), zone.cache.as_deref(), zone.rewrites.len()), (2, Some("5"), 1));
        assert_eq!(
            ExternalZone::read(&json!({"zones": "a.example", "nameservers": "::1"})).unwrap().zones.len(),
            1
        );
        for wrong in [json!({"zones": ["a"]}), json!({"nameservers": ["::1"], "zones": []}), json!("a")] {
            assert!(ExternalZone::read(&wrong).is_err(), "{wrong}");
        }
    }
}
