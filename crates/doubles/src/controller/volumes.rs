//! Volumes: attached to nodes whose pods use them, detached when none does.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::nodes::is_out_of_service;
use super::{Manager, condition, list, text};
use crate::client::path;
use crate::pki::hex;

const ATTACHMENTS: (&str, &str) = ("storage.k8s.io/v1", "volumeattachments");

/// A volume and the node that has it.
type Attached = (String, String);

impl Manager {
    /// A node whose kubelet is silent keeps its volumes, as it may have them mounted, unless it is out of service. The
    /// real one takes them from it after six minutes.
    pub(super) fn volumes(&self) -> Result<(), String> {
        let pods = self.client.list("/api/v1/pods")?;
        let claims: BTreeMap<(String, String), Value> =
            of(self.client.list("/api/v1/persistentvolumeclaims")?);
        let volumes: BTreeMap<(String, String), Value> = of(self.client.list("/api/v1/persistentvolumes")?);
        let mut wanted: BTreeMap<Attached, &str> = BTreeMap::new();
        for (pod, claim) in pods.iter().flat_map(used) {
            let claim = claims.get(&(text(pod, "/metadata/namespace").to_owned(), claim.to_owned()));
            let name = claim.map_or("", |claim| text(claim, "/spec/volumeName")).to_owned();
            let Some(volume) = volumes.get(&(String::new(), name.clone())) else { continue };
            let driver = text(volume, "/spec/csi/driver");
            if !driver.is_empty() {
                wanted.insert((name, text(pod, "/spec/nodeName").to_owned()), driver);
            }
        }
        let (group, plural) = ATTACHMENTS;
        let attached = self.client.list(&path(group, plural, "", ""))?;
        let found: BTreeSet<Attached> = attached.iter().map(of_attachment).collect();
        for ((volume, node), driver) in wanted.iter().filter(|(key, _)| !found.contains(*key)) {
            let name = format!("csi-{}", hex(&Sha256::digest(format!("{volume}{driver}{node}"))));
            let source = json!({"persistentVolumeName": volume});
            let attachment = json!({"apiVersion": group, "kind": "VolumeAttachment", "metadata": {"name": name},
                "spec": {"attacher": driver, "nodeName": node, "source": source}});
            self.client.create(&path(group, plural, "", ""), &attachment)?;
        }
        let nodes: BTreeMap<(String, String), Value> = of(self.client.list("/api/v1/nodes")?);
        for attachment in attached.iter().filter(|one| !wanted.contains_key(&of_attachment(one))) {
            let node = nodes.get(&(String::new(), text(attachment, "/spec/nodeName").to_owned()));
            if node.is_some_and(|node| condition(node, "Ready") == "True" || is_out_of_service(node)) {
                let at = path(group, plural, "", text(attachment, "/metadata/name"));
                self.client.delete(&at, &json!({}))?;
            }
        }
        Ok(())
    }
}

/// Objects by namespace and name.
fn of(objects: Vec<Value>) -> BTreeMap<(String, String), Value> {
    let key = |object: &Value| {
        (text(object, "/metadata/namespace").to_owned(), text(object, "/metadata/name").to_owned())
    };
    objects.into_iter().map(|object| (key(&object), object)).collect()
}

fn of_attachment(attachment: &Value) -> Attached {
    let name = text(attachment, "/spec/source/persistentVolumeName");
    (name.to_owned(), text(attachment, "/spec/nodeName").to_owned())
}

/// The claims of a pod that is on a node and not done.
fn used(pod: &Value) -> impl Iterator<Item = (&Value, &str)> {
    let is_there = !text(pod, "/spec/nodeName").is_empty()
        && !["Succeeded", "Failed"].contains(&text(pod, "/status/phase"));
    let claims =
        list(pod, "/spec/volumes").iter().map(|volume| text(volume, "/persistentVolumeClaim/claimName"));
    claims.filter(move |claim| is_there && !claim.is_empty()).map(move |claim| (pod, claim))
}
