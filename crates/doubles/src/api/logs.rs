//! Logs of pods: the server asks the kubelet of their node, as itself.

use std::time::Duration;

use serde_json::Value;

use super::status::Refusal;
use super::{Api, Result, Target, kinds, text};
use crate::net::client::Http;
use crate::net::server::{Answer, Request};

/// What may be asked of a log.
pub(super) const QUERY: [&str; 3] = ["container", "limitBytes", "tailLines"];

const PORT: u64 = 10250;
const TIMEOUT: Duration = Duration::from_secs(10);

impl Api {
    /// The end of the log of a pod's container; of its first one where none is named.
    pub(super) fn log(&self, request: &Request, target: &Target) -> Result<Answer> {
        let failed = |why: String| Refusal::new(500, "InternalError", why);
        let identity = self.to_kubelets.as_ref();
        let identity = identity.ok_or_else(|| failed("no --kubelet-client-certificate".into()))?;
        let pod = self.item(target)?.value;
        let container = match request.query("container") {
            "" => text(&pod, "/spec/containers/0/name"),
            name => name,
        };
        let node = text(&pod, "/spec/nodeName");
        let kind = kinds::known("Node").ok_or_else(Refusal::no_path)?;
        let found = self.store.get(&kind.key("", node)).map_err(Refusal::store)?;
        let node = found.ok_or_else(|| failed(format!("pod {} is on no node", target.name)))?.value;
        let addresses = node.pointer("/status/addresses").and_then(Value::as_array);
        let is_internal = |address: &&Value| text(address, "/type") == "InternalIP";
        let address = addresses.into_iter().flatten().find(is_internal);
        let address = address.map(|address| text(address, "/address")).unwrap_or_default();
        let port = node.pointer("/status/daemonEndpoints/kubeletEndpoint/Port").and_then(Value::as_u64);
        let url = format!("https://{address}:{}", port.unwrap_or(PORT));
        let path = format!("/containerLogs/{}/{}/{container}", target.namespace, target.name);
        let response = Http::new(&[url], identity)
            .and_then(|kubelet| kubelet.request("GET", &path, &[], None, TIMEOUT))
            .map_err(failed)?;
        let body = String::from_utf8_lossy(&response.body).into_owned();
        if response.status != 200 {
            return Err(failed(format!("the kubelet says {}: {body}", response.status)));
        }
        Ok(Answer::Text(200, end_of(&body, request)))
    }
}

fn end_of(log: &str, request: &Request) -> String {
    let number = |name: &str| request.query(name).parse::<usize>().ok();
    let lines: Vec<&str> = log.split_inclusive('\n').collect();
    let skipped = number("tailLines").map_or(0, |wanted| lines.len().saturating_sub(wanted));
    let end = lines.into_iter().skip(skipped).collect::<String>();
    match number("limitBytes") {
        Some(limit) => {
            String::from_utf8_lossy(end.as_bytes().get(..limit).unwrap_or(end.as_bytes())).into_owned()
        }
        None => end,
    }
}
