//! What Calico is to do: objects of its own kinds (spec NET-016, NET-025, NET-027 to NET-030, NET-033, NET-070).

use std::collections::BTreeMap;

use kubespray_resource::{ObjectMust, ObjectRef};
use kubespray_spec::choices::EncapsulationMode;
use kubespray_spec::network::Calico;
use kubespray_spec::{Cidr, Json};
use serde_json::{Map, Value, json};

use super::super::super::objects::{apply, check_object, word};
use super::super::super::{Chain, Host};
use super::API;

/// The configuration of Felix, pools, BGP and the assignment of addresses.
pub(super) fn wish(chain: &mut Chain<'_>, settings: &Calico) {
    apply(chain, felix(settings));
    pools(chain, settings);
    let Some(number) = as_number(&settings.global_as_num) else {
        let hint = "set `global_as_num` to a number such as `64512`";
        chain.refuse(format!("`{}` is no AS number", settings.global_as_num), hint);
        return;
    };
    let host = chain.host;
    apply(chain, bgp(&host, settings, number));
    apply(
        chain,
        of_kind(
            "IPAMConfig",
            "default",
            json!({
                "autoAllocateBlocks": settings.calico_ipam_autoallocateblocks,
                "strictAffinity": settings.calico_ipam_strictaffinity,
                "maxBlocksPerHost": settings.calico_ipam_maxblocksperhost,
            }),
        ),
    );
    if settings.peer_with_router == Some(true) {
        peers(chain);
    }
}

fn of_kind(kind: &str, name: &str, spec: Value) -> Value {
    json!({"apiVersion": API, "kind": kind, "metadata": {"name": name}, "spec": spec})
}

fn felix(settings: &Calico) -> Value {
    let set = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    of_kind(
        "FelixConfiguration",
        "default",
        json!({
            "ipipEnabled": settings.calico_ipip_mode != EncapsulationMode::Never,
            "vxlanEnabled": settings.calico_vxlan_mode != EncapsulationMode::Never,
            "wireguardEnabled": settings.calico_wireguard_enabled,
            "bpfEnabled": settings.calico_bpf_enabled,
            "bpfLogLevel": set(&settings.calico_bpf_log_level),
            "bpfExternalServiceMode": word(settings.calico_bpf_service_mode),
            "reportingInterval": settings.calico_felix_reporting_interval.as_str(),
            "logSeverityScreen": settings.calico_felix_log_severity_screen,
            "featureDetectOverride": set(&settings.calico_feature_detect_override),
            "floatingIPs": word(settings.calico_felix_floating_ips),
        }),
    )
}

/// A pool of addresses.
struct Pool {
    name: String,
    network: Cidr,
    block: i64,
    ipip: Value,
    vxlan: Value,
    nat: bool,
}

fn pools(chain: &mut Chain<'_>, settings: &Calico) {
    let host = chain.host;
    let network = &host.settings().network;
    let name = &settings.calico_pool_name;
    if network.ipv4_stack {
        let (own, pods) = (settings.calico_pool_cidr, network.kube_pods_subnet);
        pool(
            chain,
            pods,
            "calico_pool_cidr",
            Pool {
                name: name.clone(),
                network: own.unwrap_or(pods),
                block: settings.calico_pool_blocksize,
                ipip: word(settings.calico_ipip_mode),
                vxlan: word(settings.calico_vxlan_mode),
                nat: settings.nat_outgoing,
            },
        );
    }
    if network.ipv6_stack {
        let (own, pods) = (settings.calico_pool_cidr_ipv6, network.kube_pods_subnet_ipv6);
        pool(
            chain,
            pods,
            "calico_pool_cidr_ipv6",
            Pool {
                name: format!("{name}-ipv6"),
                network: own.unwrap_or(pods),
                block: settings.calico_pool_blocksize_ipv6,
                ipip: word(settings.calico_ipip_mode_ipv6),
                vxlan: word(settings.calico_vxlan_mode_ipv6),
                nat: settings.nat_outgoing_ipv6,
            },
        );
    }
}

/// Addresses of pods come from it: what it is made of cannot change while there are any.
fn pool(chain: &mut Chain<'_>, pods: Cidr, variable: &str, pool: Pool) {
    let (name, network) = (&pool.name, pool.network);
    if !pods.0.contains(&network.0) {
        let message = format!("the pool `{network}` is not inside of the network of pods `{pods}`");
        chain.refuse(message, format!("choose a part of it in `{variable}`"));
        return;
    }
    let kept = json!({
        "cidr": network.to_string(),
        "blockSize": pool.block,
        "ipipMode": pool.ipip,
        "vxlanMode": pool.vxlan,
    });
    let object =
        ObjectRef { api_version: API.into(), kind: "IPPool".into(), namespace: None, name: name.clone() };
    let fields: BTreeMap<String, Value> = kept
        .as_object()
        .map(|map| map.iter().map(|(key, value)| (format!("/spec/{key}"), value.clone())).collect())
        .unwrap_or_default();
    let title = format!("the pool `{name}` can stay as it is");
    let check = check_object(chain, title, object, ObjectMust::Keep(fields), 10);
    chain.add(format!("keep-pool-{name}"), check);
    let spec = super::super::super::objects::with(kept, json!({"natOutgoing": pool.nat}));
    apply(chain, of_kind("IPPool", name, spec));
}

fn bgp(host: &Host<'_>, settings: &Calico, number: u32) -> Value {
    let network = &host.settings().network;
    let networks = |list: &[String]| -> Value {
        if list.is_empty() {
            return Value::Null;
        }
        list.iter().map(|network| json!({"cidr": network})).collect::<Vec<_>>().into()
    };
    let mut services = Vec::new();
    if settings.calico_advertise_cluster_ips == Some(true) {
        services.extend(network.ipv4_stack.then(|| network.kube_service_addresses.to_string()));
        services.extend(network.ipv6_stack.then(|| network.kube_service_addresses_ipv6.to_string()));
    }
    let has_mesh = settings.peer_with_router != Some(true) && !settings.peer_with_calico_rr;
    of_kind(
        "BGPConfiguration",
        "default",
        json!({
            "listenPort": settings.calico_bgp_listen_port,
            "logSeverityScreen": "Info",
            "asNumber": (settings.calico_no_global_as_num != Some(true)).then_some(number),
            "nodeToNodeMeshEnabled": has_mesh,
            "serviceClusterIPs": networks(&services),
            "serviceLoadBalancerIPs": networks(&settings.calico_advertise_service_loadbalancer_ips),
            "serviceExternalIPs": networks(&settings.calico_advertise_service_external_ips),
        }),
    )
}

/// `64512`, or `1.10` for what does not fit into 16 bits.
fn as_number(text: &str) -> Option<u32> {
    match text.split_once('.') {
        None => text.parse().ok(),
        Some((high, low)) => {
            let part = |text: &str| text.parse::<u16>().ok().map(u32::from);
            Some((part(high)? << 16) | part(low)?)
        }
    }
}

/// Routers outside of the cluster: those of all nodes, and those of single ones.
fn peers(chain: &mut Chain<'_>) {
    let host = chain.host;
    let list = |host: Host<'_>| host.spec.own.peers.clone().unwrap_or_default();
    let scope = |peer: &Json| peer.get("scope").and_then(Value::as_str).unwrap_or("node").to_owned();
    let mut wishes: Vec<(String, Option<String>, Json)> = Vec::new();
    for peer in list(host).into_iter().filter(|peer| scope(peer) == "global") {
        wishes.push(("global".into(), None, peer));
    }
    for node in host.site.hosts().filter(Host::is_node) {
        for peer in list(node).into_iter().filter(|peer| scope(peer) == "node") {
            wishes.push((node.spec.name.clone(), Some(node.spec.node_name.clone()), peer));
        }
    }
    for (owner, node, peer) in wishes {
        match peer_of(&owner, node.as_deref(), &peer) {
            Some(manifest) => drop(apply(chain, manifest)),
            None => chain.refuse(
                format!("a router of `{owner}` is not described"),
                "every element of `peers` needs `router_id` and a number `as`",
            ),
        }
    }
}

fn peer_of(owner: &str, node: Option<&str>, peer: &Json) -> Option<Value> {
    let text = |key: &str| match peer.get(key)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let router = text("router_id")?;
    let name = text("name").unwrap_or_else(|| router.clone()).replace(':', "-");
    let mut spec = Map::new();
    spec.insert("asNumber".into(), as_number(&text("as")?)?.into());
    spec.insert("peerIP".into(), router.into());
    if let Some(node) = node {
        spec.insert("node".into(), node.into());
        spec.insert(
            "sourceAddress".into(),
            text("sourceaddress").unwrap_or_else(|| "UseNodeIP".into()).into(),
        );
        if let Some(filters) =
            peer.get("filters").filter(|list| list.as_array().is_some_and(|list| !list.is_empty()))
        {
            spec.insert("filters".into(), filters.clone());
        }
        let own = text("numallowedlocalasnumbers").and_then(|number| number.parse::<u32>().ok());
        if let Some(own) = own.filter(|number| *number > 0) {
            spec.insert("numAllowedLocalASNumbers".into(), own.into());
        }
    }
    Some(of_kind("BGPPeer", &format!("{owner}-{name}").to_lowercase(), spec.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_numbers_have_two_forms() {
        for (text, expected) in [
            ("64512", Some(64512)),
            ("1.10", Some(65546)),
            ("4294967295", Some(u32::MAX)),
            ("4294967296", None),
            ("1.65536", None),
            ("", None),
            ("as1", None),
        ] {
            assert_eq!(as_number(text), expected, "{text}");
        }
    }

    #[test]
    fn routers_are_named_after_who_knows_them() {
        let peer =
            json!({"router_id": "fd00::1", "as": "65000", "filters": [], "numallowedlocalasnumbers": 1});
        let manifest = peer_of("Node1", Some("node1"), &peer).unwrap();
        assert_eq!(manifest["metadata"]["name"], "node1-fd00--1");
        let spec = json!({
            "asNumber": 65000, "peerIP": "fd00::1", "node": "node1", "sourceAddress": "UseNodeIP",
            "numAllowedLocalASNumbers": 1,
        });
        assert_eq!(manifest["spec"], spec);
        let global =
            peer_of("global", None, &json!({"router_id": "10.0.0.1", "as": 1, "name": "edge"})).unwrap();
        assert_eq!(global["metadata"]["name"], "global-edge");
        assert_eq!(global["spec"], json!({"asNumber": 1, "peerIP": "10.0.0.1"}));
        assert_eq!(peer_of("global", None, &json!({"router_id": "10.0.0.1"})), None);
    }
}
