//! What a cluster leaves in a running host beside files and units.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Comparison, PackageManager, Token};

/// Something that must not be there any more. Each takes away only what it names: nothing foreign goes with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gone {
    /// All pods of a container engine that speaks CRI. An engine that does not answer has none here: its processes are
    /// [`Gone::Processes`].
    Pods {
        /// The program `crictl`.
        crictl: String,
        /// The engine's socket.
        endpoint: String,
        /// How long containers may take to end, in seconds.
        grace_s: u64,
    },
    /// All processes in control groups, by names as systemd gives them: `kubepods.slice`.
    Processes(Vec<String>),
    /// All that is mounted at or below paths, but not what is mounted at the paths of `kept`. What does not let go is
    /// taken out of the tree and ends when its last user does.
    Mounts {
        /// Absolute paths.
        below: Vec<String>,
        /// Mount points of others, such as disks.
        kept: Vec<String>,
    },
    /// Network namespaces with names that begin like this.
    Namespaces(String),
    /// Network interfaces.
    Interfaces {
        /// Whole names.
        names: Vec<String>,
        /// Beginnings of names of which there are many.
        prefixes: Vec<String>,
        /// A folder of CNI configurations: the bridges that they name go, too.
        configurations: String,
    },
    /// Routes to pods.
    Routes {
        /// Which programs made them (`proto`).
        protocols: Vec<String>,
        /// The networks of pods, as `10.233.64.0/18`.
        networks: Vec<String>,
    },
    /// Virtual servers of kube-proxy: those at addresses of an interface and at ports of a range.
    VirtualServers {
        /// The interface that holds the addresses of services.
        interface: String,
        /// The first and the last port of services on nodes.
        ports: (u16, u16),
    },
    /// Rules of packet filters.
    Filters {
        /// Beginnings of names of chains, which go with the rules that lead to them.
        chains: Vec<String>,
        /// Rules of other chains whose comment begins like this.
        comments: Vec<String>,
        /// Tables of nftables.
        tables: Vec<String>,
        /// Beginnings of names of sets.
        sets: Vec<String>,
    },
    /// A folder or file with all in it, also where files were made immutable. Nothing of other file systems.
    Tree {
        /// Absolute path.
        path: String,
        /// Whether the folder itself stays, empty: another file system is mounted there.
        keep_root: bool,
    },
    /// A folder, where nothing is in it.
    Folder {
        /// Absolute path.
        path: String,
        /// What is in it and goes before it.
        but: Vec<String>,
    },
    /// A user.
    User(String),
    /// A group.
    Group(String),
    /// Packages with their configuration. One that others need stays.
    Packages {
        /// Who removes them.
        manager: PackageManager,
        /// Their names.
        names: Vec<String>,
    },
}

/// What is still there, in words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoneState {
    /// One for each thing.
    pub found: Vec<String>,
}

impl Gone {
    /// What stopping a kubelet asks for: that whatever it made since the plan was made is looked for again.
    pub fn runs_on() -> Token {
        Token::from("reset:running")
    }

    /// Whether a running cluster makes such things at any time.
    pub fn is_made_by_clusters(&self) -> bool {
        match self {
            Self::Pods { .. }
            | Self::Processes(_)
            | Self::Mounts { .. }
            | Self::Namespaces(_)
            | Self::Interfaces { .. }
            | Self::Routes { .. }
            | Self::VirtualServers { .. }
            | Self::Filters { .. } => true,
            Self::Tree { .. }
            | Self::Folder { .. }
            | Self::User(_)
            | Self::Group(_)
            | Self::Packages { .. } => false,
        }
    }

    /// What is still there.
    pub fn compare(&self, state: &GoneState) -> Comparison {
        let mut out = Comparison::default();
        for found in &state.found {
            out.add(self.what(), Some(found.clone()), None);
        }
        out
    }

    fn what(&self) -> &'static str {
        match self {
            Self::Pods { .. } => "pod",
            Self::Processes(_) => "process",
            Self::Mounts { .. } => "mount",
            Self::Namespaces(_) => "network namespace",
            Self::Interfaces { .. } => "interface",
            Self::Routes { .. } => "route",
            Self::VirtualServers { .. } => "virtual server",
            Self::Filters { .. } => "rule",
            Self::Tree { .. } => "path",
            Self::Folder { .. } => "empty folder",
            Self::User(_) => "user",
            Self::Group(_) => "group",
            Self::Packages { .. } => "package",
        }
    }
}

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let about = match self {
            Self::Pods { .. } => return f.write_str("pods"),
            Self::Filters { chains, .. } => return write!(f, "rules {}", chains.join(" ")),
            Self::VirtualServers { interface, .. } => interface.clone(),
            Self::Routes { networks, .. } => networks.join(" "),
            Self::Processes(names) | Self::Packages { names, .. } => names.join(" "),
            Self::Mounts { below, .. } => below.join(" "),
            Self::Interfaces { names, .. } => names.join(" "),
            Self::Tree { path, .. } | Self::Folder { path, .. } => path.clone(),
            Self::Namespaces(name) | Self::User(name) | Self::Group(name) => name.clone(),
        };
        write!(f, "{} {about}", self.what())
    }
}
