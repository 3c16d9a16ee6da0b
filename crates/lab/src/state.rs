//! What a lab is made of, kept on disk so that another process can use it or clear it away.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use crate::LabError;
use crate::cgroup::{self, Layout};
use crate::files::{at, read, write};

/// A whole lab. Written before anything of it is made.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) name: String,
    pub(crate) bridge: String,
    pub(crate) gateway: Ipv4Addr,
    pub(crate) base: PathBuf,
    pub(crate) layout: Layout,
    pub(crate) hosts: Vec<HostState>,
}

/// One host: `cable` is the machine's end of its network cable.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct HostState {
    pub(crate) name: String,
    pub(crate) address: Ipv4Addr,
    pub(crate) namespace: String,
    pub(crate) cable: String,
    /// Its folder in every cgroup hierarchy.
    pub(crate) cgroups: Vec<PathBuf>,
    /// The root that it boots from, while it is mounted.
    pub(crate) root: PathBuf,
}

impl State {
    pub(crate) fn new(
        name: &str,
        hosts: u8,
        range: Ipv4Net,
        base: PathBuf,
        folder: &Path,
    ) -> Result<State, LabError> {
        let [first, second, third, _] = range.network().octets();
        // Names of links have at most 15 characters; the range is unique on this machine and short.
        let bridge = format!("kl{second}-{third}");
        let (layout, parents) = cgroup::hierarchies()?;
        let hosts = (1..=hosts)
            .map(|number| {
                // A lab's name has no dot, so no two labs share one of these.
                let unique = format!("kubespray-lab-{name}.{number}");
                HostState {
                    name: format!("{name}{number}"),
                    address: Ipv4Addr::new(first, second, third, 10 + number),
                    cable: format!("{bridge}h{number}"),
                    cgroups: parents.iter().map(|parent| parent.join(&unique)).collect(),
                    namespace: unique,
                    root: folder.join("hosts").join(format!("{name}{number}")).join("root"),
                }
            })
            .collect();
        let gateway = Ipv4Addr::new(first, second, third, 1);
        Ok(State { name: name.to_owned(), bridge, gateway, base, layout, hosts })
    }

    /// The addresses of the lab.
    pub(crate) fn range(&self) -> Ipv4Net {
        Ipv4Net::new_assert(self.gateway, 24).trunc()
    }

    pub(crate) fn save(&self, folder: &Path) -> Result<(), LabError> {
        let path = folder.join("state.json");
        let text = serde_json::to_string_pretty(self)
            .map_err(|error| LabError::File { path: path.clone(), problem: error.to_string() })?;
        let unfinished = folder.join("state.json.unfinished");
        write(&unfinished, &text, 0o600)?;
        fs::rename(&unfinished, &path).map_err(at(&path))
    }

    pub(crate) fn load(folder: &Path) -> Result<State, LabError> {
        let path = folder.join("state.json");
        serde_json::from_str(&read(&path)?)
            .map_err(|error| LabError::File { path: path.clone(), problem: error.to_string() })
    }

    /// The states of all labs below `labs`, by folder; one that cannot be read is passed over.
    pub(crate) fn all(labs: &Path) -> Vec<State> {
        let entries = fs::read_dir(labs).map(|entries| entries.flatten().collect::<Vec<_>>());
        let mut states: Vec<State> =
            entries.unwrap_or_default().iter().filter_map(|entry| State::load(&entry.path()).ok()).collect();
        states.sort_by(|one, other| one.name.cmp(&other.name));
        states
    }
}
