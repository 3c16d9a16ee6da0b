//! The command line, declared once: help, completions and man pages are made from it.

pub(crate) mod bundle;
pub(crate) mod operations;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Installs, scales, upgrades, repairs and removes production Kubernetes clusters on machines reachable
/// over SSH, from the inventories and variables that Kubespray users have.
#[derive(Debug, Parser)]
#[command(name = "kubespray", version, max_term_width = 100, propagate_version = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Read inventories: list, draw, look at one host, or start a new one
    #[command(subcommand)]
    Inventory(Inventory),
    /// Ask what variables are worth, where they are set and what they mean
    #[command(subcommand)]
    Vars(Vars),
    /// Find every problem of an inventory and its variables, before any host is touched
    ///
    /// Checks the files, the names and types of all variables on all hosts, and everything that can be
    /// known of the cluster without asking a host. All problems are reported at once, each with its place
    /// and what to do.
    ///
    /// Exit code: 0 without errors, 1 with errors (with --strict also with warnings), 2 when the input
    /// cannot be read at all.
    #[command(
        after_help = "Examples:\n  kubespray validate -i inventory/mycluster/hosts.yaml\n  kubespray validate -i hosts.yaml -e kube_version=1.35.2 --strict\n  kubespray validate -i hosts.yaml --output json | jq '.problems[].id'"
    )]
    Validate(Validate),
    /// Show the typed cluster specification that an inventory amounts to
    #[command(subcommand)]
    Config(Config),
    /// Connect to every host, become root there and tell how that went
    ///
    /// Exit code: 0 when every host answers, 1 when one does not, 2 when the input cannot be read.
    #[command(
        after_help = "Examples:\n  kubespray ping -i inventory/mycluster/hosts.yaml\n  kubespray ping -i hosts.yaml -l etcd --host-keys accept-new"
    )]
    Ping(Ping),
    /// Ask hosts what they are: system, addresses, memory, disks
    ///
    /// As text a summary; with --output json everything, under the names of Ansible with --ansible. Such a file
    /// is what --facts of other commands takes.
    #[command(
        after_help = "Examples:\n  kubespray facts -i hosts.yaml\n  kubespray facts -i hosts.yaml --ansible --output json > facts.json"
    )]
    Facts(Facts),
    /// Run a command as root on many hosts at once; outputs come in the order of the hosts
    #[command(
        after_help = "Examples:\n  kubespray exec kube_node -i hosts.yaml -- uptime\n  kubespray exec 'etcd:!node3' -i hosts.yaml --timeout 10 -- systemctl is-active etcd"
    )]
    Exec(Exec),
    /// Look at hosts before anything is done to them; changes nothing
    ///
    /// Asks every host what it is and finds what a cluster could not live with: systems, kernels, memory, disks,
    /// clocks that disagree, copied machines, packets of different sizes, networks that are used twice, nameservers,
    /// hosts that cannot reach each other (by the port of SSH), slow disks under etcd (synced writes in a folder
    /// beside its data).
    ///
    /// Exit code: 0 without errors, 1 with errors (with --strict also with warnings), 2 when the input cannot be read.
    #[command(after_help = "Example:\n  kubespray preflight -i inventory/mycluster/hosts.yaml")]
    Preflight(Preflight),
    /// Make the cluster of an inventory: from bare hosts to nodes that are ready, and from there to what changed
    ///
    /// What `cluster.yml` of Kubespray does. Hosts that are there already get only what differs; the second run
    /// changes nothing. `kubespray plan cluster` shows every difference first. Ctrl-C ends in good order; `kubespray
    /// runs resume` goes on.
    ///
    /// Exit code: 0 when all is done, 1 when something failed, 2 when the input cannot be read.
    #[command(
        after_help = "Examples:\n  kubespray cluster -i inventory/mycluster/hosts.yaml\n  kubespray cluster -i hosts.yaml -K -u admin\n  kubespray cluster -i hosts.yaml --tags containerd"
    )]
    Cluster(operations::Cluster),
    /// Add hosts to a cluster: those that the inventory has and the cluster has not
    ///
    /// What `scale.yml` of Kubespray does, and for control planes and members of etcd too, wherever they stand in their
    /// groups. Connects to the new hosts and to those that must learn of them: control planes and etcd, and all nodes
    /// when a control plane is new. With `--limit` only the hosts that it names are added. The second run changes
    /// nothing.
    ///
    /// Exit code: 0 when all is done, 1 when something failed, 2 when the input cannot be read.
    #[command(
        after_help = "Examples:\n  kubespray scale -i inventory/mycluster/hosts.yaml\n  kubespray scale -i hosts.yaml -l node9\n  kubespray plan scale -i hosts.yaml"
    )]
    Scale(operations::Cluster),
    /// Take hosts out of a cluster: workers, control planes, members of etcd, the first ones and dead ones too
    ///
    /// What `remove-node.yml` of Kubespray does, and what it leaves to be done by hand: pods move away, local proxies
    /// and API servers forget the host, its member leaves etcd, it is wiped, its node is deleted. Refuses what would
    /// cost etcd its quorum or the cluster its last control plane. Says what to take out of the inventory.
    ///
    /// Exit code: 0 when all is done, 1 when something failed, 2 when the input cannot be read.
    #[command(
        after_help = "Examples:\n  kubespray remove-node node9 -i inventory/mycluster/hosts.yaml\n  kubespray remove-node node7 node8 --dead --yes -i hosts.yaml\n  kubespray plan remove-node node9 -i hosts.yaml"
    )]
    RemoveNode(operations::RemoveNode),
    /// Take everything of a cluster off its hosts, which then are what they were before
    ///
    /// What `reset.yml` of Kubespray does, and what it leaves behind. Asks for the cluster's name. Refuses hosts of another
    /// cluster, and single hosts (`--limit`) that the rest cannot spare. Foreign rules of packet filters, the network, and
    /// snapshots of etcd stay. `kubespray plan reset` shows everything first. All data of the cluster is lost.
    ///
    /// Exit code: 0 when all is done, 1 when something failed or was refused, 2 when the input cannot be read.
    #[command(
        after_help = "Examples:\n  kubespray reset -i inventory/mycluster/hosts.yaml\n  kubespray reset -i hosts.yaml --yes --cluster-id 5f70…\n  kubespray reset -i hosts.yaml --dead node3"
    )]
    Reset(operations::Reset),
    /// Bring a cluster to another version of Kubernetes, one node at a time
    ///
    /// All files and images first, then etcd, all API servers, kube-proxy, and behind these the nodes: each is
    /// cordoned, drained, changed, seen to be ready in the new version and given back.
    #[command(alias = "upgrade")]
    UpgradeCluster(operations::UpgradeCluster),
    /// Find out whether a cluster works; changes nothing
    ///
    /// Asks every host and the API servers for everything that must be true of the cluster of the inventory: etcd,
    /// control planes, nodes, pods, DNS, certificates, versions, clocks, and that `kubespray cluster` would change
    /// nothing. Waits for what is not true yet. Each failure comes with what was seen and what helps.
    ///
    /// Exit code: 0 when the cluster works, 1 when something is not as it must be, 2 when the input cannot be read.
    #[command(
        after_help = "Examples:\n  kubespray verify -i inventory/mycluster/hosts.yaml\n  kubespray verify nodes CHK-061 -i hosts.yaml --wait 0\n  kubespray verify -i hosts.yaml --output json | jq '.assertions[] | select(.holds | not)'"
    )]
    Verify(operations::Verify),
    /// Show how a cluster is: versions, health, what is cordoned, certificates that end soon; changes nothing
    ///
    /// One look, without waiting: who answers, which roles hosts have, versions of everything, nodes, API servers,
    /// members of etcd, cordoned nodes and who cordoned them, certificates, hosts that wait to be booted anew, and who
    /// holds the lock. Hosts that do not answer are told and hold up nothing. `kubespray verify` asserts much more.
    ///
    /// Exit code: 0 when all is well, 1 when something is wrong or there is no cluster, 2 when the input cannot be read.
    #[command(
        after_help = "Examples:\n  kubespray status -i inventory/mycluster/hosts.yaml\n  kubespray status -i hosts.yaml --connect-timeout 3\n  kubespray status -i hosts.yaml --output json | jq '.problems[].message'"
    )]
    Status(operations::Status),
    /// Give an administrator's kubeconfig for this machine, from any live control plane
    ///
    /// Whoever has it may do everything to the cluster: its key is that of `admin.conf`. It goes to a file (mode 0600)
    /// with --out. Without, it is printed where the output is a file or a pipe, and refused where it is a terminal;
    /// `--out -` prints it in any case. `kubespray kubeconfig > FILE` makes FILE as your umask says, mostly readable
    /// for all: --out does not.
    ///
    /// Its server is the external load balancer or kube-vip's address; without these the address of a control plane that
    /// answers (with `kubeconfig_localhost_ansible_host` the one of SSH), which is no longer good when that one is down.
    #[command(
        after_help = "Examples:\n  kubespray kubeconfig -i inventory/mycluster/hosts.yaml --out ~/.kube/mycluster\n  kubespray kubeconfig -i hosts.yaml --server https://127.0.0.1:6443 --out tunnel.conf\n\nTo put it into a file with others:\n  KUBECONFIG=~/.kube/config:~/.kube/mycluster kubectl config view --flatten > merged"
    )]
    Kubeconfig(operations::Kubeconfig),
    /// Write every file that `kubespray cluster` would put on bare hosts, without asking any host
    ///
    /// A folder for each host, with a manifest of all paths: mode, owner, the step that puts it there, and for
    /// downloads URL and checksum. Secrets stay names. The same input gives the same bytes, so two folders can be
    /// compared.
    ///
    /// Hosts are what `--facts` says (a file of `kubespray facts --output json`); others are imagined as `--os` says.
    #[command(
        after_help = "Examples:\n  kubespray render -i hosts.yaml --os debian-13 --out rendered\n  kubespray render -i hosts.yaml --facts facts.json --host node1 --out rendered"
    )]
    Render(operations::Render),
    /// Make hosts have what a document of resources says: files, packages, units, kernel parameters …
    ///
    /// What the engine offers by itself, for what a site needs beside Kubernetes. A document is a YAML or JSON file
    /// of steps, each with hosts and a resource; `{secret:NAME}` in a text is the variable NAME. The second run
    /// changes nothing. Ctrl-C ends in good order; `kubespray runs resume` goes on.
    ///
    /// Exit code: 0 when all is done, 1 when something failed, 2 when the input cannot be read.
    #[command(
        after_help = "Examples:\n  kubespray resources tuning.yaml -i hosts.yaml\n  kubespray resources tuning.yaml -i hosts.yaml -l kube_node --output json"
    )]
    Resources(operations::Resources),
    /// Show what an operation would do, with every difference and what it disrupts; changes nothing
    ///
    /// Exit code: 0, and 2 when the input cannot be read; with --detailed-exitcode 0 when nothing would change, 2 when
    /// something would, 1 on errors.
    #[command(
        after_help = "Examples:\n  kubespray plan cluster -i hosts.yaml\n  kubespray plan resources tuning.yaml -i hosts.yaml\n  kubespray plan resources tuning.yaml -i hosts.yaml --out tuning.plan && kubespray apply tuning.plan -i hosts.yaml"
    )]
    Plan(operations::Plan),
    /// Run a plan from a file, exactly; refuses where hosts are no longer as the plan saw them
    ///
    /// Exit code: 0 when all is done, 1 when something failed or changed since, 2 when the input cannot be read.
    #[command(after_help = "Example:\n  kubespray apply tuning.plan -i hosts.yaml")]
    Apply(operations::Apply),
    /// Runs: list, show what one did, go on with one that was cut off
    #[command(subcommand)]
    Runs(operations::Runs),
    /// Everything that a site without the internet needs, in one folder: list, fetch, verify, serve
    #[command(subcommand)]
    Bundle(bundle::Bundle),
    /// The helper on hosts: remove what it left
    Node(Node),
    /// Print a completion script for a shell
    #[command(after_help = "Example:\n  kubespray completions bash > /etc/bash_completion.d/kubespray")]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write a man page for every command into a folder
    Man {
        /// The folder; made if it does not exist
        #[arg(value_name = "DIR")]
        dir: PathBuf,
    },
    /// Write the reference of commands and variables, for docs/reference
    #[command(hide = true)]
    Reference {
        /// The folder; made if it does not exist
        #[arg(value_name = "DIR")]
        dir: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Ping {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Debug, Args)]
pub(crate) struct Facts {
    /// Name facts as Ansible does
    #[arg(long)]
    pub(crate) ansible: bool,
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Debug, Args)]
pub(crate) struct Exec {
    /// The hosts: a pattern such as `kube_node:!node3`
    pub(crate) pattern: String,
    /// How long the command may take on each host, in seconds
    #[arg(long, value_name = "S", default_value_t = 300)]
    pub(crate) timeout: u64,
    /// The command and its arguments; no shell is in between
    #[arg(last = true, required = true, value_name = "CMD")]
    pub(crate) command: Vec<String>,
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Debug, Args)]
pub(crate) struct Preflight {
    /// Exit with 1 on warnings too
    #[arg(long)]
    pub(crate) strict: bool,
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Node {
    /// Be the helper: speak its protocol on standard input and output
    #[arg(long, hide = true)]
    pub(crate) stdio: bool,
    #[command(subcommand)]
    pub(crate) command: Option<NodeCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum NodeCommand {
    /// Remove everything that helpers left on hosts: binaries, journals, records of runs
    ///
    /// A host that is locked by a run is left alone and told.
    #[command(after_help = "Example:\n  kubespray node clean -i inventory/mycluster/hosts.yaml")]
    Clean(NodeClean),
}

#[derive(Debug, Args)]
pub(crate) struct NodeClean {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

/// How hosts are reached, beyond what the inventory says.
#[derive(Clone, Debug, Args)]
pub(crate) struct Connection {
    /// User to log in as, where the inventory names none
    #[arg(short, long, value_name = "NAME", help_heading = "Connection")]
    pub(crate) user: Option<String>,
    /// Private key, where the inventory names none
    #[arg(long, alias = "key-file", value_name = "FILE", help_heading = "Connection")]
    pub(crate) private_key: Option<PathBuf>,
    /// Ask for the password of sudo
    #[arg(short = 'K', long, help_heading = "Connection")]
    pub(crate) ask_become_pass: bool,
    /// File that holds the password of sudo
    #[arg(
        long,
        alias = "become-pass-file",
        value_name = "FILE",
        conflicts_with = "ask_become_pass",
        help_heading = "Connection"
    )]
    pub(crate) become_password_file: Option<PathBuf>,
    /// Keys of hosts: only known ones, or also new ones, which are then recorded; never changed ones
    #[arg(long, value_enum, default_value_t, value_name = "WHICH", help_heading = "Connection")]
    pub(crate) host_keys: HostKeyRule,
    /// A known_hosts file of this cluster
    #[arg(long, value_name = "FILE", help_heading = "Connection")]
    pub(crate) known_hosts: Option<PathBuf>,
    /// How many logins at once
    #[arg(short, long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..), help_heading = "Connection")]
    pub(crate) forks: u16,
    /// How long to try to connect, in seconds
    #[arg(long, value_name = "S", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..), help_heading = "Connection")]
    pub(crate) connect_timeout: u16,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum HostKeyRule {
    /// Known ones
    #[default]
    Known,
    /// Also new ones
    AcceptNew,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Inventory {
    /// Print all groups, hosts and variables as `ansible-inventory --list` prints them
    #[command(after_help = "Example:\n  kubespray inventory list -i inventory/mycluster | jq '.etcd.hosts'")]
    List(InventoryList),
    /// Draw the groups and hosts as a tree, as `ansible-inventory --graph` does
    Graph(InventoryGraph),
    /// Print the variables of one host, as `ansible-inventory --host` does
    Host(InventoryHost),
    /// Write a new inventory with a commented tree of group_vars
    ///
    /// Hosts are addresses, or NAME=ADDRESS. Without --control-plane and --etcd, one host is both for up to
    /// two hosts, three hosts are from three on. Every host is a worker. Nothing that exists is overwritten.
    #[command(
        after_help = "Examples:\n  kubespray inventory init 10.20.1.3 10.10.1.2 10.10.1.3 --dir inventory/mycluster\n  kubespray inventory init cp=10.0.0.1 w1=10.0.0.2 w2=10.0.0.3 --dir lab --control-plane cp --etcd cp"
    )]
    Init(Init),
}

#[derive(Debug, Args)]
pub(crate) struct InventoryList {
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Debug, Args)]
pub(crate) struct InventoryGraph {
    /// The group to start from
    #[arg(default_value = "all")]
    pub(crate) group: String,
    /// Show variables too
    #[arg(long)]
    pub(crate) vars: bool,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Debug, Args)]
pub(crate) struct InventoryHost {
    /// The host
    pub(crate) host: String,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Debug, Args)]
pub(crate) struct Init {
    /// Addresses, or NAME=ADDRESS
    #[arg(required = true, value_name = "HOST")]
    pub(crate) hosts: Vec<String>,
    /// The folder to write; made if it does not exist
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// Control planes: how many of the first hosts, or their names with commas
    #[arg(long, value_name = "N|NAMES")]
    pub(crate) control_plane: Option<String>,
    /// etcd members: how many of the first hosts, or their names with commas
    #[arg(long, value_name = "N|NAMES")]
    pub(crate) etcd: Option<String>,
    /// Accept an even number of etcd members, which survives no more failures than one fewer
    #[arg(long)]
    pub(crate) allow_even_etcd: bool,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Vars {
    /// Print the value of a variable, evaluated as Ansible evaluates it
    #[command(
        after_help = "Examples:\n  kubespray vars get kube_version -i hosts.yaml\n  kubespray vars get etcd_access_addresses --host node1 -i hosts.yaml\n  kubespray vars get --queries queries.json -i hosts.yaml\n\nA queries file is a JSON list of {\"host\": …, \"var\": …}; the answer is a list of the same with \"value\" or \"error\"."
    )]
    Get(VarsGet),
    /// List variables with their values
    List(VarsList),
    /// Tell everything about a variable: type, default, documentation, value per host, where it is set and what it overrides
    Explain(VarsExplain),
}

#[derive(Debug, Args)]
pub(crate) struct VarsGet {
    /// The variable
    #[arg(required_unless_present = "queries", conflicts_with = "queries")]
    pub(crate) name: Option<String>,
    /// The host that asks; without it, every host
    #[arg(long)]
    pub(crate) host: Option<String>,
    /// A JSON file with many questions
    #[arg(long, value_name = "FILE")]
    pub(crate) queries: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Debug, Args)]
pub(crate) struct VarsList {
    /// Only variables that the inventory or the command line sets
    #[arg(long)]
    pub(crate) changed: bool,
    /// Only variables of a component, such as etcd or calico
    #[arg(long)]
    pub(crate) component: Option<String>,
    /// The host that asks; without it, the first control plane
    #[arg(long)]
    pub(crate) host: Option<String>,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Debug, Args)]
pub(crate) struct VarsExplain {
    /// The variable
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Debug, Args)]
pub(crate) struct Validate {
    /// Warnings count as errors
    #[arg(long)]
    pub(crate) strict: bool,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Print the specification, whole or one host or component of it
    #[command(
        after_help = "Examples:\n  kubespray config show -i hosts.yaml\n  kubespray config show --host node1 -i hosts.yaml\n  kubespray config show --component etcd -i hosts.yaml"
    )]
    Show(ConfigShow),
}

#[derive(Debug, Args)]
pub(crate) struct ConfigShow {
    /// Only this host
    #[arg(long, conflicts_with = "component")]
    pub(crate) host: Option<String>,
    /// Only this component
    #[arg(long)]
    pub(crate) component: Option<String>,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Options of all commands that read an inventory.
#[derive(Clone, Debug, Args)]
pub(crate) struct Common {
    /// Inventory: a file, a folder, an executable, or hosts with commas; several are merged in order
    #[arg(short, long, value_name = "PATH", required = true, help_heading = "Inventory")]
    pub(crate) inventory: Vec<String>,
    /// Variables above all others: NAME=VALUE, JSON, YAML or @FILE
    #[arg(short, long, value_name = "VARS", help_heading = "Inventory")]
    pub(crate) extra_vars: Vec<String>,
    /// Only hosts that match a pattern, such as `kube_node:!node3` or @FILE
    #[arg(short, long, value_name = "PATTERN", help_heading = "Inventory")]
    pub(crate) limit: Option<String>,
    /// Facts of hosts: a JSON file of host names to facts under their Ansible names
    #[arg(long, value_name = "FILE", help_heading = "Inventory")]
    pub(crate) facts: Option<PathBuf>,
    /// Let templates run shell commands through the lookup `pipe`
    #[arg(long, help_heading = "Inventory")]
    pub(crate) allow_lookup_pipe: bool,
    /// File that holds, or script that prints, the vault password
    #[arg(long, alias = "vault-pass-file", value_name = "FILE", help_heading = "Vault")]
    pub(crate) vault_password_file: Vec<PathBuf>,
    /// Vault password, of an id where one is given: FILE, SCRIPT or `prompt`, each also as ID@…
    #[arg(long, value_name = "ID@SOURCE", help_heading = "Vault")]
    pub(crate) vault_id: Vec<String>,
    /// Ask for the vault password
    #[arg(short = 'J', long, alias = "ask-vault-password", help_heading = "Vault")]
    pub(crate) ask_vault_pass: bool,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// Options of all commands that print.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Output {
    /// How results are printed
    #[arg(long, value_enum, default_value_t, help_heading = "Output")]
    pub(crate) output: Format,
    /// When to use colours
    #[arg(long, value_enum, default_value_t, value_name = "WHEN", help_heading = "Output")]
    pub(crate) color: Color,
    /// Say more
    #[arg(short, long, help_heading = "Output")]
    pub(crate) verbose: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless NO_COLOR is set
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

impl Arguments {
    /// How the command prints.
    pub(crate) fn output(&self) -> Output {
        match &self.command {
            Command::Inventory(Inventory::List(c)) => c.common.output.clone(),
            Command::Inventory(Inventory::Graph(c)) => c.common.output.clone(),
            Command::Inventory(Inventory::Host(c)) => c.common.output.clone(),
            Command::Inventory(Inventory::Init(c)) => c.output.clone(),
            Command::Vars(Vars::Get(c)) => c.common.output.clone(),
            Command::Vars(Vars::List(c)) => c.common.output.clone(),
            Command::Vars(Vars::Explain(c)) => c.common.output.clone(),
            Command::Validate(c) => c.common.output.clone(),
            Command::Config(Config::Show(c)) => c.common.output.clone(),
            Command::Ping(c) => c.common.output.clone(),
            Command::Facts(c) => c.common.output.clone(),
            Command::Exec(c) => c.common.output.clone(),
            Command::Preflight(c) => c.common.output.clone(),
            Command::RemoveNode(c) => c.operation.common.output.clone(),
            Command::Cluster(c) | Command::Scale(c) => c.operation.common.output.clone(),
            Command::Reset(c) => c.operation.common.output.clone(),
            Command::UpgradeCluster(c) => c.of.operation.common.output.clone(),
            Command::Render(c) => c.common.output.clone(),
            Command::Verify(c) => c.common.output.clone(),
            Command::Status(c) => c.common.output.clone(),
            Command::Kubeconfig(c) => c.common.output.clone(),
            Command::Resources(c) => c.operation.common.output.clone(),
            Command::Plan(c) => match &c.of {
                operations::PlanOf::Cluster(c) | operations::PlanOf::Scale(c) => {
                    c.operation.common.output.clone()
                }
                operations::PlanOf::RemoveNode(c) => c.operation.common.output.clone(),
                operations::PlanOf::Reset(c) => c.operation.common.output.clone(),
                operations::PlanOf::UpgradeCluster(c) => c.of.operation.common.output.clone(),
                operations::PlanOf::Resources(c) => c.operation.common.output.clone(),
                operations::PlanOf::Undo(c) => c.operation.common.output.clone(),
            },
            Command::Apply(c) => c.common.output.clone(),
            Command::Runs(operations::Runs::List(c)) => c.output.clone(),
            Command::Runs(operations::Runs::Show(c)) => c.output.clone(),
            Command::Runs(operations::Runs::Resume(c)) => c.common.output.clone(),
            Command::Runs(operations::Runs::Undo(c)) => c.operation.common.output.clone(),
            Command::Bundle(bundle::Bundle::List(c)) => c.common.output.clone(),
            Command::Bundle(bundle::Bundle::Create(c)) => c.common.output.clone(),
            Command::Bundle(bundle::Bundle::Verify(c)) => c.common.output.clone(),
            Command::Bundle(bundle::Bundle::Serve(c)) => c.output.clone(),
            Command::Node(Node { command: Some(NodeCommand::Clean(c)), .. }) => c.common.output.clone(),
            Command::Node(_)
            | Command::Completions { .. }
            | Command::Man { .. }
            | Command::Reference { .. } => Output::default(),
        }
    }
}
