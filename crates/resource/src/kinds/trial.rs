//! What is tried of the network of pods (spec CHK-031 to CHK-036, CHK-066 to CHK-068, CHK-081).

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// One try.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// Who or what is tried, for people.
    pub what: String,
    /// What must succeed.
    pub target: TrialTarget,
}

/// What a try must reach.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrialTarget {
    /// `address:port` takes a connection.
    Connection(String),
    /// `address:port` of a probe sends so much that packets of all sizes are needed.
    Stream(String),
    /// `address:port` of a probe sends a datagram back.
    Datagram(String),
    /// A name leads to an address, by the resolvers and search domains of whoever tries.
    Name {
        /// The name.
        name: String,
        /// An address that it must lead to.
        address: IpAddr,
    },
}

/// Pods and services of one namespace, as the API server knows them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodsSeen {
    /// The pods that run and have addresses, by the names of their nodes.
    pub pods: BTreeMap<String, PodSeen>,
    /// The services that have addresses, by name.
    pub services: BTreeMap<String, ServiceSeen>,
}

/// A pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodSeen {
    /// What it is known by on its node.
    pub uid: String,
    /// One of each family.
    pub addresses: Vec<IpAddr>,
}

/// A service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceSeen {
    /// One of each family.
    pub addresses: Vec<IpAddr>,
    /// The ports of nodes that lead to it, by the names of its own ports.
    pub node_ports: BTreeMap<String, u16>,
}
