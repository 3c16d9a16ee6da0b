//! From variables to the ways to hosts.

use std::path::PathBuf;

use kubespray_diagnostics::Diagnostic;
use kubespray_interface::list;
use kubespray_inventory::Inventory;
use kubespray_transport::{
    Bastion, Become, Handshakes, HostKeys, Link, Local, Password, Pool, Ssh, SshOptions, System, Target,
    checks_host_key, split_arguments,
};
use kubespray_value::{ErrorKind, Value};
use kubespray_variables::{UnknownFacts, Variables};

use crate::arguments::{Connection, HostKeyRule};
use crate::failure::{Failure, evaluation};
use crate::site::Site;

/// The group, and the name of a host, that stand in front of all others (INV-006, INV-080).
const BASTION: &str = "bastion";

/// Hosts that are named in a warning; a count stands for the rest.
const HOSTS_NAMED: usize = 8;

/// The ways to some hosts, as the inventory and the command line say (INV-060 to INV-066).
pub(crate) fn targets(
    site: &mut Site,
    hosts: &[String],
    options: &Connection,
) -> Result<Vec<Target>, Failure> {
    let variables = site.variables(UnknownFacts::Pending);
    let password = become_password(options)?;
    let bastion = bastion_host(&site.inventory).map(|host| (host, bastion(&variables, host)));
    let mut targets = Vec::with_capacity(hosts.len());
    let mut problems = Vec::new();
    for host in hosts {
        let asked = Asked { variables: &variables, host };
        match asked.target(options, password.as_ref()) {
            Ok(mut target) => {
                if let Some((name, found)) = &bastion
                    && name != host
                {
                    match found {
                        Ok(found) => target.bastion = Some(found.clone()),
                        Err(problem) => problems.push((**problem).clone()),
                    }
                }
                targets.push(target);
            }
            Err(problem) => problems.push(*problem),
        }
    }
    problems.dedup();
    if !problems.is_empty() {
        return Err(problems.into());
    }
    let unchecked: Vec<&str> =
        targets.iter().filter(|target| !checks_host_key(target)).map(|target| target.host.as_str()).collect();
    if !unchecked.is_empty() {
        let message = format!("host keys are not checked: {}", list(&unchecked, HOSTS_NAMED));
        let warning = Diagnostic::warning("host-keys", message)
            .because("`ansible_ssh_common_args` or `ansible_ssh_extra_args` turn the check off")
            .hint("take that out; `--host-keys accept-new` records keys that are not known yet");
        site.warnings.push(warning);
    }
    Ok(targets)
}

/// What connects to them.
pub(crate) fn transport(options: &Connection) -> Result<Pool<System>, Failure> {
    let mut ssh = SshOptions::of_this_program()?;
    let file = options.known_hosts.clone();
    ssh.host_keys = match options.host_keys {
        HostKeyRule::Known => HostKeys::Strict { file },
        HostKeyRule::AcceptNew => HostKeys::AcceptNew { file },
    };
    ssh.connect_timeout = std::time::Duration::from_secs(options.connect_timeout.into());
    ssh.handshakes = Handshakes::new(options.forks.into());
    let local = Local::new(std::env::current_exe()?);
    Ok(Pool::new(System { ssh: Ssh::new(ssh), local }))
}

fn become_password(options: &Connection) -> Result<Option<Password>, Failure> {
    if options.ask_become_pass {
        return Ok(Some(Password::new(rpassword::prompt_password("sudo password: ")?)));
    }
    let Some(path) = &options.become_password_file else { return Ok(None) };
    let text = std::fs::read_to_string(path).map_err(|error| {
        Diagnostic::error("become-password-file", format!("cannot read `{}`: {error}", path.display()))
    })?;
    Ok(Some(Password::new(text.trim_end_matches(['\n', '\r']))))
}

fn bastion_host(inventory: &Inventory) -> Option<&str> {
    inventory.hosts_of(BASTION).first().copied().or_else(|| inventory.has_host(BASTION).then_some(BASTION))
}

fn bastion(variables: &Variables, host: &str) -> Result<Bastion, Box<Diagnostic>> {
    let asked = Asked { variables, host };
    Ok(Bastion {
        address: asked.text(&["ansible_host", "ansible_ssh_host"])?.unwrap_or_else(|| host.to_owned()),
        port: asked.port()?,
        user: asked.text(&["ansible_user", "ansible_ssh_user"])?,
    })
}

/// The connection variables of one host.
struct Asked<'a> {
    variables: &'a Variables,
    host: &'a str,
}

impl Asked<'_> {
    /// The first of several names that has a value.
    fn value(&self, names: &[&str]) -> Result<Option<(Value, String)>, Box<Diagnostic>> {
        for name in names {
            match self.variables.get(self.host, name) {
                Ok(value) if value.is_undefined() || value.is_none() => {}
                Ok(value) => return Ok(Some((value, (*name).to_owned()))),
                Err(error)
                    if error.kind == ErrorKind::Undefined
                        && self.variables.raw(self.host, name).is_none() => {}
                Err(error) => return Err(Box::new(evaluation(self.host, name, &error))),
            }
        }
        Ok(None)
    }

    fn text(&self, names: &[&str]) -> Result<Option<String>, Box<Diagnostic>> {
        let found = self.value(names)?.map(|(value, _)| value.to_text());
        Ok(found.filter(|text| !text.is_empty()))
    }

    fn port(&self) -> Result<Option<u16>, Box<Diagnostic>> {
        let Some((value, name)) = self.value(&["ansible_port", "ansible_ssh_port"])? else { return Ok(None) };
        value.to_text().trim().parse().ok().filter(|port| *port > 0).map(Some).ok_or_else(|| {
            let message = format!("`{name}` is `{}`, which is no port", value.to_text());
            Box::new(self.wrong(&name, message).hint("set it to a number from 1 to 65535"))
        })
    }

    fn arguments(&self, name: &str) -> Result<Vec<String>, Box<Diagnostic>> {
        let Some(text) = self.text(&[name])? else { return Ok(Vec::new()) };
        split_arguments(&text).map_err(|error| {
            let message = format!("`{name}` cannot be split into arguments: {error}");
            Box::new(self.wrong(name, message).hint("close every quote"))
        })
    }

    fn wrong(&self, name: &str, message: String) -> Diagnostic {
        let origin = self.variables.raw(self.host, name).and_then(|definition| definition.origin);
        Diagnostic::error("connection", message).on_host(self.host).at_maybe(origin.as_ref())
    }

    fn target(&self, options: &Connection, password: Option<&Password>) -> Result<Target, Box<Diagnostic>> {
        let address = self.text(&["ansible_host", "ansible_ssh_host"])?;
        let mut target = Target::new(self.host, address.unwrap_or_else(|| self.host.to_owned()));
        target.port = self.port()?;
        target.user = self.text(&["ansible_user", "ansible_ssh_user"])?.or_else(|| options.user.clone());
        let key = self.text(&["ansible_ssh_private_key_file", "ansible_private_key_file"])?;
        target.key_file = key.map(|path| expand_home(&path)).or_else(|| options.private_key.clone());
        target.common_args = self.arguments("ansible_ssh_common_args")?;
        target.extra_args = self.arguments("ansible_ssh_extra_args")?;
        target.password =
            self.text(&["ansible_ssh_password", "ansible_ssh_pass", "ansible_password"])?.map(Password::new);
        let connection = self.value(&["ansible_connection"])?;
        target.link = match connection.as_ref().map(|(value, _)| value.to_text()).as_deref() {
            None | Some("ssh" | "smart" | "paramiko" | "paramiko_ssh" | "") => Link::Ssh,
            Some("local") => Link::Local,
            Some(other) => {
                return Err(Box::new(
                    self.wrong(
                        "ansible_connection",
                        format!("`ansible_connection` is `{other}`, which is not supported"),
                    )
                    .hint("set it to `ssh` or `local`"),
                ));
            }
        };
        target.r#become = self.root(password)?;
        Ok(target)
    }

    /// Everything is done as root; only sudo is known as a way to it.
    fn root(&self, given: Option<&Password>) -> Result<Become, Box<Diagnostic>> {
        let method = self.text(&["ansible_become_method"])?;
        if let Some(method) = method.filter(|method| method != "sudo") {
            return Err(Box::new(
                self.wrong(
                    "ansible_become_method",
                    format!("`ansible_become_method` is `{method}`, which is not supported"),
                )
                .hint("set it to `sudo`, or log in as root with `ansible_become: false`"),
            ));
        }
        let enabled = match self.value(&["ansible_become"])? {
            Some((value, _)) => {
                !matches!(value.to_text().to_lowercase().as_str(), "false" | "no" | "off" | "0" | "n" | "f")
            }
            None => true,
        };
        let names = ["ansible_become_password", "ansible_become_pass", "ansible_sudo_pass"];
        let password = self.text(&names)?.map(Password::new).or_else(|| given.cloned());
        Ok(Become { enabled, password })
    }
}

fn expand_home(path: &str) -> PathBuf {
    match (path.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => PathBuf::from(home).join(rest),
        _ => PathBuf::from(path),
    }
}
