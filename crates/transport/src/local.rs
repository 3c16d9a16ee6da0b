//! This machine as a host.

use std::path::PathBuf;
use std::process::Command;

use crate::session::{self, Recipe, Start};
use crate::{Connection, Disconnect, OnEvent, Target, Transport, bootstrap};

/// Starts `BINARY node --stdio` here, with sudo where this process is not root.
#[derive(Debug)]
pub struct Local {
    binary: PathBuf,
    sudo: PathBuf,
}

impl Local {
    /// With a binary of this program, usually the running one.
    pub fn new(binary: impl Into<PathBuf>) -> Self {
        Self { binary: binary.into(), sudo: "sudo".into() }
    }
}

impl Transport for Local {
    fn connect(&self, target: &Target, on_event: OnEvent) -> Box<dyn Connection> {
        let (binary, sudo) = (self.binary.clone(), self.sudo.clone());
        session::connect(target.clone(), on_event, None, move |target| {
            let nonce = bootstrap::nonce();
            let uid = rustix::process::geteuid();
            let mut command = if uid.is_root() {
                Command::new(binary)
            } else if !target.r#become.enabled {
                return Err(Disconnect::NotRoot { uid: uid.as_raw().to_string() });
            } else {
                let mut command = Command::new(sudo);
                match &target.r#become.password {
                    Some(_) => command.args(["-S", "-p", &format!("{nonce}-password")]),
                    None => command.arg("-n"),
                };
                command.arg("--").arg(binary);
                command
            };
            command.args(["node", "--stdio"]).env("LC_ALL", "C");
            Ok(Recipe { command, nonce, start: Start::Direct, connect_timeout_s: 0, askpass: None })
        })
    }
}
