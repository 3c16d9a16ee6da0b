//! Tasks of developers: `cargo xtask lab …` makes real test hosts by hand, `cargo xtask docs` pages of the documentation.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program that people start")]

mod docs;

use std::error::Error;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::{Parser, Subcommand};
use kubespray_lab::{Lab, LabOptions, NETWORK_MANIFEST, Site, Supply};

#[derive(Parser)]
#[command(name = "cargo xtask")]
enum Task {
    /// Real test hosts on this machine
    #[command(subcommand)]
    Lab(LabTask),
    /// Make the pages of docs that come from data: the reference and the coverage
    Docs,
}

#[derive(Subcommand)]
enum LabTask {
    /// Make and boot hosts, and keep them
    Up {
        #[arg(long, default_value_t = 3)]
        hosts: u8,
        #[arg(long, default_value = "host")]
        name: String,
        /// Where to write an inventory of the hosts
        #[arg(long, default_value = "target/lab/hosts.yaml")]
        inventory: PathBuf,
    },
    /// Make what an air-gapped site of built programs holds, and the variables that a lab's hosts use it by
    Supply {
        /// A folder of programs; the first that has one counts
        #[arg(long = "binaries", env = "KUBESPRAY_LAB_BINARIES", value_delimiter = ':')]
        folders: Vec<PathBuf>,
        #[arg(long, default_value = "host")]
        name: String,
        /// Where to write variables and manifest
        #[arg(long, default_value = "target/lab")]
        out: PathBuf,
        /// Where files are served on this machine
        #[arg(long, default_value_t = 8080)]
        files_port: u16,
        /// Where images are served on this machine
        #[arg(long, default_value_t = 5000)]
        registry_port: u16,
    },
    /// End hosts and remove everything of them
    Down {
        #[arg(long, default_value = "host")]
        name: String,
    },
    /// Say why tests with hosts are left out on this machine, if they are
    Missing,
    /// All labs and their hosts
    List,
    /// A shell or a command on a host
    Ssh {
        host: String,
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Power loss
    Kill { host: String },
    /// Start a host that was killed
    Boot { host: String },
    /// Shut down cleanly, then start
    Reboot { host: String },
    /// Pull the network cable
    Partition { host: String },
    /// Plug it in again
    Heal { host: String },
    /// Make what a host receives late and lossy; zeros end that
    Delay { host: String, milliseconds: u32, loss_percent: u8 },
}

fn main() -> ExitCode {
    let done = match Task::parse() {
        Task::Lab(task) => lab(task),
        Task::Docs => docs::write(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn lab(task: LabTask) -> Result<(), Box<dyn Error>> {
    let missing = Lab::missing();
    match (&task, &missing) {
        (LabTask::Missing, Some(reason)) => println!("left out: tests with real hosts ({reason})"),
        (LabTask::Missing, None) => {}
        (_, Some(reason)) => return Err(reason.clone().into()),
        (_, None) => {}
    }
    match task {
        LabTask::Missing => {}
        LabTask::Up { hosts, name, inventory } => up(hosts, name, inventory)?,
        LabTask::Supply { folders, name, out, files_port, registry_port } => {
            let gateway = Lab::open(&name)?.gateway();
            fs::create_dir_all(&out)?;
            let registry = format!("{gateway}:{registry_port}");
            let site = Site {
                files: format!("http://{gateway}:{files_port}"),
                registry_url: format!("http://{registry}"),
                registry,
                nameserver: gateway,
                manifest: out.canonicalize()?.join(NETWORK_MANIFEST).display().to_string(),
            };
            supply(&Supply::make(&folders)?, &site, &out)?;
        }
        LabTask::Down { name } => Lab::clear(&name)?,
        LabTask::List => {
            for name in Lab::list() {
                let lab = Lab::open(&name)?;
                println!("{name}");
                for host in lab.hosts() {
                    let state = if lab.is_running(&host.name)? { "running" } else { "off" };
                    println!("  {} {} {state}", host.name, host.address);
                }
            }
        }
        LabTask::Ssh { host, command } => {
            let lab = lab_of(&host)?;
            let failed = Command::new("ssh").arg("-F").arg(lab.ssh_config()).arg(host).args(command).exec();
            return Err(failed.into());
        }
        LabTask::Kill { host } => lab_of(&host)?.kill(&host)?,
        LabTask::Boot { host } => lab_of(&host)?.boot(&host)?,
        LabTask::Reboot { host } => lab_of(&host)?.reboot(&host)?,
        LabTask::Partition { host } => lab_of(&host)?.partition(&host)?,
        LabTask::Heal { host } => lab_of(&host)?.heal(&host)?,
        LabTask::Delay { host, milliseconds, loss_percent } => {
            lab_of(&host)?.delay(&host, milliseconds, loss_percent)?;
        }
    }
    Ok(())
}

fn up(hosts: u8, name: String, inventory: PathBuf) -> Result<(), Box<dyn Error>> {
    if let Ok(lab) = Lab::open(&name) {
        for host in lab.hosts() {
            if lab.is_running(&host.name)? {
                return Err(format!(
                    "the lab `{name}` is up, maybe in use: `cargo xtask lab down --name {name}` ends it"
                )
                .into());
            }
        }
    }
    let mut lab = Lab::up(&LabOptions { name, hosts })?;
    lab.keep();
    if let Some(folder) = inventory.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(&inventory, inventory_of(&lab))?;
    for host in lab.hosts() {
        println!("{} {}", host.name, host.address);
    }
    println!("ssh: cargo xtask lab ssh HOST, or ssh -F {} HOST", lab.ssh_config().display());
    println!("inventory: {}", inventory.display());
    Ok(())
}

fn supply(supply: &Supply, site: &Site, out: &Path) -> Result<(), Box<dyn Error>> {
    for file in &supply.files {
        println!("{} {} {}", file.url, file.sha256, file.path.display());
    }
    for image in &supply.images {
        println!("{} {}", image.reference, image.archive.display());
    }
    fs::write(&site.manifest, site.network_manifest())?;
    let variables = out.join("supply.yaml");
    // JSON is YAML.
    fs::write(&variables, format!("{:#}\n", serde_json::Value::Object(supply.variables(site)?)))?;
    println!("variables: -e @{}", variables.display());
    Ok(())
}

/// All hosts in all roles; the first three at most hold etcd and control plane.
fn inventory_of(lab: &Lab) -> String {
    let hosts = lab.hosts();
    let mut text = vec!["all:\n  hosts:\n".to_owned()];
    for host in &hosts {
        text.push(format!("    {}:\n      ansible_host: {}\n", host.name, host.address));
    }
    text.push(format!(
        "  vars:\n    ansible_user: lab\n    ansible_become: true\n    ansible_ssh_private_key_file: {}\n    \
         ansible_ssh_common_args: -F {}\n  children:\n",
        lab.key().display(),
        lab.ssh_config().display()
    ));
    // A member count that is even is no better than one less.
    let leaders = if hosts.len() < 3 { 1 } else { 3 };
    for (group, count) in [("kube_control_plane", leaders), ("etcd", leaders), ("kube_node", hosts.len())] {
        text.push(format!("    {group}:\n      hosts:\n"));
        text.extend(hosts.iter().take(count).map(|host| format!("        {}:\n", host.name)));
    }
    text.concat()
}

fn lab_of(host: &str) -> Result<Lab, Box<dyn Error>> {
    for name in Lab::list() {
        let lab = Lab::open(&name)?;
        if lab.hosts().iter().any(|found| found.name == host) {
            return Ok(lab);
        }
    }
    Err(format!("no lab has a host `{host}`; `cargo xtask lab list` shows all").into())
}
