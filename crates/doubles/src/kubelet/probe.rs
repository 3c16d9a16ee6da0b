//! Probes of containers.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::text;
use crate::cri::Cri;
use crate::net::client::{Http, resolve};
use crate::net::tls::Identity;

/// What was found of one container so far.
#[derive(Debug, Default)]
pub(super) struct Record {
    last: BTreeMap<&'static str, Instant>,
    /// Successes or failures in a row.
    successes: BTreeMap<&'static str, u64>,
    failures: BTreeMap<&'static str, u64>,
    pub(super) has_started: bool,
    pub(super) is_ready: bool,
}

fn number(probe: &Value, key: &str, default: u64) -> u64 {
    probe.get(key).and_then(Value::as_u64).unwrap_or(default)
}

impl Record {
    /// Looks at a container that runs since so long; `true` when it must be restarted.
    pub(super) fn look(&mut self, cri: &Cri, container: &Value, id: &str, ip: &str, age: Duration) -> bool {
        let mut must_restart = false;
        if container.get("startupProbe").is_none() {
            self.has_started = true;
        }
        for kind in ["startupProbe", "livenessProbe", "readinessProbe"] {
            let Some(probe) = container.get(kind) else {
                if kind == "readinessProbe" {
                    self.is_ready = self.has_started;
                }
                continue;
            };
            // Others wait until it has started.
            if (kind == "startupProbe") == self.has_started {
                continue;
            }
            let period = Duration::from_secs(number(probe, "periodSeconds", 10));
            let is_due = self.last.get(kind).is_none_or(|at| at.elapsed() >= period);
            if age < Duration::from_secs(number(probe, "initialDelaySeconds", 0)) || !is_due {
                continue;
            }
            self.last.insert(kind, Instant::now());
            let result = once(cri, container, probe, id, ip);
            if let Err(error) = &result
                && self.failures.get(kind).copied().unwrap_or_default() == 0
            {
                crate::told(&format!("{kind} of {}: {error}", text(container, "/name")));
            }
            let (up, down) = if result.is_ok() {
                (&mut self.successes, &mut self.failures)
            } else {
                (&mut self.failures, &mut self.successes)
            };
            down.insert(kind, 0);
            let count = up.entry(kind).or_default();
            *count += 1;
            let (is_good, is_bad) = (
                result.is_ok() && *count >= number(probe, "successThreshold", 1),
                result.is_err() && *count >= number(probe, "failureThreshold", 3),
            );
            match kind {
                "startupProbe" if is_good => self.has_started = true,
                "readinessProbe" if is_good => self.is_ready = true,
                "readinessProbe" if is_bad => self.is_ready = false,
                _ if is_bad => must_restart = true,
                _ => {}
            }
        }
        must_restart
    }
}

fn port(container: &Value, probe: &Value) -> Option<u16> {
    match probe.get("port")? {
        Value::Number(number) => number.as_u64().and_then(|port| u16::try_from(port).ok()),
        Value::String(name) => {
            let ports = container.get("ports").and_then(Value::as_array)?;
            let found = ports.iter().find(|port| port["name"] == name[..])?;
            found["containerPort"].as_u64().and_then(|port| u16::try_from(port).ok())
        }
        _ => None,
    }
}

fn once(cri: &Cri, container: &Value, probe: &Value, id: &str, ip: &str) -> Result<(), String> {
    let timeout = Duration::from_secs(number(probe, "timeoutSeconds", 1));
    if let Some(action) = probe.get("httpGet") {
        let port = port(container, action).ok_or("no such port")?;
        let host = match text(action, "/host") {
            "" => ip,
            host => host,
        };
        let scheme = if text(action, "/scheme") == "HTTPS" { "https" } else { "http" };
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let http = Http::new(&[format!("{scheme}://{host}:{port}")], &Identity::default())?;
        let path = match text(action, "/path") {
            "" => "/",
            path => path,
        };
        let response = http.request(
            "GET",
            path,
            &[("User-Agent", "kube-probe"), ("Connection", "close")],
            None,
            timeout,
        )?;
        return if (200..400).contains(&response.status) {
            Ok(())
        } else {
            Err(format!("status {}", response.status))
        };
    }
    if let Some(action) = probe.get("tcpSocket") {
        let port = port(container, action).ok_or("no such port")?;
        let host = match text(action, "/host") {
            "" => ip,
            host => host,
        };
        let address = resolve(host).ok_or("no such host")?;
        return TcpStream::connect_timeout(&SocketAddr::new(address, port), timeout)
            .map(drop)
            .map_err(|error| error.to_string());
    }
    let command: Vec<String> = super::list(probe, "/exec/command")
        .iter()
        .filter_map(|word| word.as_str().map(str::to_owned))
        .collect();
    if command.is_empty() {
        return Err("a probe of a kind that this double does not know".into());
    }
    match cri.exec(id, &command, timeout)? {
        (0, _) => Ok(()),
        (status, text) => Err(format!("status {status}: {text}")),
    }
}
