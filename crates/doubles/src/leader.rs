//! Which of several processes acts: the one that holds a lease.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::{Client, path};
use crate::clock;

/// A lease of `kube-system`.
pub(crate) struct Leader {
    name: &'static str,
    identity: String,
    lasts: Duration,
    /// When it was held for certain.
    held: Option<Instant>,
}

impl Leader {
    pub(crate) fn new(name: &'static str, lasts: Duration) -> Self {
        Self { name, identity: format!("{}_{}", crate::hostname(), crate::uid()), lasts, held: None }
    }

    /// Takes or renews the lease. A holder that can renew it no more must end.
    pub(crate) fn holds(&mut self, client: &Client) -> Result<bool, String> {
        match self.try_hold(client) {
            Ok(true) => {
                self.held = Some(Instant::now());
                Ok(true)
            }
            Ok(false) if self.held.is_some() => Err("leaderelection lost".into()),
            Ok(false) => Ok(false),
            Err(error) => match self.held {
                Some(at) if at.elapsed() > self.lasts => Err(format!("leaderelection lost: {error}")),
                _ => {
                    crate::told(&format!("lease: {error}"));
                    Ok(false)
                }
            },
        }
    }

    fn try_hold(&self, client: &Client) -> Result<bool, String> {
        let at = path("coordination.k8s.io/v1", "leases", "kube-system", self.name);
        let spec = json!({"holderIdentity": self.identity, "leaseDurationSeconds": self.lasts.as_secs(),
            "renewTime": clock::now_micro(), "acquireTime": clock::now_micro()});
        let Some(mut live) = client.get(&at)? else {
            let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                "metadata": {"name": self.name, "namespace": "kube-system"}, "spec": spec});
            client.create(&path("coordination.k8s.io/v1", "leases", "kube-system", ""), &lease)?;
            return Ok(true);
        };
        let text =
            |key: &str| live.pointer(&format!("/spec/{key}")).and_then(Value::as_str).unwrap_or_default();
        let lasts = live.pointer("/spec/leaseDurationSeconds").and_then(Value::as_i64).unwrap_or(15);
        let is_over =
            clock::seconds(text("renewTime")).is_none_or(|renewed| renewed + lasts < clock::now_s());
        let is_ours = text("holderIdentity") == self.identity;
        if !is_ours && !is_over && !text("holderIdentity").is_empty() {
            return Ok(false);
        }
        if is_ours && clock::seconds(text("renewTime")).is_some_and(|renewed| renewed + 2 > clock::now_s()) {
            return Ok(true);
        }
        live["spec"] = spec;
        match client.update(&at, &live) {
            Ok(_) => Ok(true),
            Err(error) if error.code == 409 => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}
