//! The host's container engine, by the CRI (`runtime.v1`).

mod grpc;
mod hpack;
mod huffman;
pub(crate) mod proto;

use std::collections::BTreeMap;
use std::time::Duration;

use proto::{Fields, Message};

const TIMEOUT: Duration = Duration::from_mins(2);
const PULL: Duration = Duration::from_mins(30);

/// Label of a pod's name, and so on, as kubelets write them.
pub(crate) const POD_NAME: &str = "io.kubernetes.pod.name";
pub(crate) const POD_NAMESPACE: &str = "io.kubernetes.pod.namespace";
pub(crate) const POD_UID: &str = "io.kubernetes.pod.uid";
pub(crate) const CONTAINER_NAME: &str = "io.kubernetes.container.name";

/// An engine.
#[derive(Clone, Debug)]
pub(crate) struct Cri {
    socket: String,
}

/// A pod as the engine has it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sandbox {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) uid: String,
    pub(crate) attempt: i64,
    pub(crate) is_ready: bool,
    /// In nanoseconds since 1970.
    pub(crate) created: i64,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) annotations: BTreeMap<String, String>,
}

/// A container as the engine has it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Container {
    pub(crate) id: String,
    pub(crate) sandbox: String,
    pub(crate) name: String,
    pub(crate) attempt: i64,
    pub(crate) image: String,
    /// 0 created, 1 running, 2 exited.
    pub(crate) state: i64,
    pub(crate) created: i64,
    pub(crate) labels: BTreeMap<String, String>,
}

/// How a container is or ended.
#[derive(Clone, Debug, Default)]
pub(crate) struct Status {
    pub(crate) started: i64,
    pub(crate) finished: i64,
    pub(crate) exit_code: i64,
    pub(crate) reason: String,
    pub(crate) message: String,
    pub(crate) image_ref: String,
}

/// An image.
#[derive(Clone, Debug, Default)]
pub(crate) struct Image {
    pub(crate) id: String,
    pub(crate) tags: Vec<String>,
    pub(crate) digests: Vec<String>,
    pub(crate) size: i64,
    pub(crate) is_pinned: bool,
}

impl Cri {
    /// The engine at a socket `unix:///…`; nothing is asked yet.
    pub(crate) fn open(socket: &str) -> Result<Self, String> {
        let path = socket.strip_prefix("unix://").unwrap_or(socket);
        if path.starts_with('/') {
            Ok(Self { socket: path.to_owned() })
        } else {
            Err(format!("{socket:?} is no socket"))
        }
    }

    fn ask<T>(
        &self,
        method: &str,
        message: &Message,
        timeout: Duration,
        read: impl FnOnce(&Fields<'_>) -> T,
    ) -> Result<T, String> {
        let service = if method.contains("Image") { "ImageService" } else { "RuntimeService" };
        let answer =
            grpc::call(&self.socket, &format!("/runtime.v1.{service}/{method}"), &message.0, timeout)?;
        Fields::read(&answer)
            .map(|fields| read(&fields))
            .ok_or_else(|| format!("{method}: an answer that cannot be read"))
    }

    /// Name and version of the engine.
    pub(crate) fn version(&self) -> Result<(String, String), String> {
        self.ask("Version", &Message::default().text(1, "v1"), TIMEOUT, |fields| {
            (fields.text(2), fields.text(3))
        })
    }

    /// Conditions by type: whether they hold, and why not.
    pub(crate) fn status(&self) -> Result<BTreeMap<String, (bool, String)>, String> {
        self.ask("Status", &Message::default(), TIMEOUT, |fields| {
            let conditions = fields.message(1).messages(1);
            conditions.iter().map(|one| (one.text(1), (one.number(2) != 0, one.text(4)))).collect()
        })
    }

    pub(crate) fn sandboxes(&self) -> Result<Vec<Sandbox>, String> {
        self.sandboxes_with(&BTreeMap::new())
    }

    pub(crate) fn sandboxes_with(&self, labels: &BTreeMap<String, String>) -> Result<Vec<Sandbox>, String> {
        let filter = Message::default().map(3, labels);
        self.ask("ListPodSandbox", &Message::default().message(1, &filter), TIMEOUT, |fields| {
            let sandbox = |one: &Fields<'_>| {
                let metadata = one.message(2);
                Sandbox {
                    id: one.text(1),
                    name: metadata.text(1),
                    uid: metadata.text(2),
                    namespace: metadata.text(3),
                    attempt: metadata.number(4),
                    is_ready: one.number(3) == 0,
                    created: one.number(4),
                    labels: one.map(5),
                    annotations: one.map(6),
                }
            };
            fields.messages(1).iter().map(sandbox).collect()
        })
    }

    pub(crate) fn containers_with(
        &self,
        labels: &BTreeMap<String, String>,
    ) -> Result<Vec<Container>, String> {
        let filter = Message::default().map(4, labels);
        self.ask("ListContainers", &Message::default().message(1, &filter), TIMEOUT, |fields| {
            let container = |one: &Fields<'_>| Container {
                id: one.text(1),
                sandbox: one.text(2),
                name: one.message(3).text(1),
                attempt: one.message(3).number(2),
                image: one.message(4).text(1),
                state: one.number(6),
                created: one.number(7),
                labels: one.map(8),
            };
            fields.messages(1).iter().map(container).collect()
        })
    }

    pub(crate) fn run_sandbox(&self, config: &Message) -> Result<String, String> {
        self.ask("RunPodSandbox", &Message::default().message(1, config), TIMEOUT, |fields| fields.text(1))
    }

    /// The addresses of a pod.
    pub(crate) fn sandbox_addresses(&self, id: &str) -> Result<Vec<String>, String> {
        self.ask("PodSandboxStatus", &Message::default().text(1, id), TIMEOUT, |fields| {
            let network = fields.message(1).message(5);
            let more = network.messages(2).into_iter().map(|ip| ip.text(1)).collect::<Vec<_>>();
            let mut out = vec![network.text(1)];
            out.extend(more);
            out.retain(|ip| !ip.is_empty());
            out
        })
    }

    pub(crate) fn stop_sandbox(&self, id: &str) -> Result<(), String> {
        self.ask("StopPodSandbox", &Message::default().text(1, id), TIMEOUT, |_| ())
    }

    /// Stops and removes a pod with its containers.
    pub(crate) fn remove_sandbox(&self, id: &str) -> Result<(), String> {
        self.stop_sandbox(id)?;
        self.ask("RemovePodSandbox", &Message::default().text(1, id), TIMEOUT, |_| ())
    }

    pub(crate) fn create(
        &self,
        sandbox: &str,
        config: &Message,
        sandbox_config: &Message,
    ) -> Result<String, String> {
        let message = Message::default().text(1, sandbox).message(2, config).message(3, sandbox_config);
        self.ask("CreateContainer", &message, TIMEOUT, |fields| fields.text(1))
    }

    pub(crate) fn start(&self, id: &str) -> Result<(), String> {
        self.ask("StartContainer", &Message::default().text(1, id), TIMEOUT, |_| ())
    }

    pub(crate) fn stop(&self, id: &str, grace_s: i64) -> Result<(), String> {
        self.ask("StopContainer", &Message::default().text(1, id).number(2, grace_s), TIMEOUT, |_| ())
    }

    pub(crate) fn remove(&self, id: &str) -> Result<(), String> {
        self.ask("RemoveContainer", &Message::default().text(1, id), TIMEOUT, |_| ())
    }

    pub(crate) fn container_status(&self, id: &str) -> Result<Status, String> {
        self.ask("ContainerStatus", &Message::default().text(1, id), TIMEOUT, |fields| {
            let one = fields.message(1);
            Status {
                started: one.number(5),
                finished: one.number(6),
                exit_code: one.number(7),
                reason: one.text(10),
                message: one.text(11),
                image_ref: one.text(9),
            }
        })
    }

    /// Runs a command in a container: its status and what it printed.
    pub(crate) fn exec(
        &self,
        id: &str,
        command: &[String],
        timeout: Duration,
    ) -> Result<(i64, String), String> {
        let seconds = i64::try_from(timeout.as_secs().max(1)).unwrap_or(1);
        let message = Message::default().text(1, id).texts(2, command).number(3, seconds);
        self.ask("ExecSync", &message, timeout + Duration::from_secs(5), |fields| {
            (fields.number(3), format!("{}{}", fields.text(1), fields.text(2)))
        })
    }

    pub(crate) fn images(&self) -> Result<Vec<Image>, String> {
        self.ask("ListImages", &Message::default(), TIMEOUT, |fields| {
            fields.messages(1).iter().map(image).collect()
        })
    }

    /// An image by a reference.
    pub(crate) fn image(&self, reference: &str) -> Result<Option<Image>, String> {
        let spec = Message::default().text(1, reference);
        self.ask("ImageStatus", &Message::default().message(1, &spec), TIMEOUT, |fields| {
            fields.messages(1).first().map(image).filter(|image| !image.id.is_empty())
        })
    }

    pub(crate) fn has_image(&self, reference: &str) -> Result<bool, String> {
        self.image(reference).map(|found| found.is_some())
    }

    /// Pulls an image; `user` is a name with a password.
    pub(crate) fn pull(&self, reference: &str, user: Option<(&str, &str)>) -> Result<String, String> {
        let mut message = Message::default().message(1, &Message::default().text(1, reference));
        if let Some((name, password)) = user {
            message = message.message(2, &Message::default().text(1, name).text(2, password));
        }
        self.ask("PullImage", &message, PULL, |fields| fields.text(1))
    }

    pub(crate) fn remove_image(&self, reference: &str) -> Result<(), String> {
        let spec = Message::default().text(1, reference);
        self.ask("RemoveImage", &Message::default().message(1, &spec), TIMEOUT, |_| ())
    }
}

fn image(fields: &Fields<'_>) -> Image {
    Image {
        id: fields.text(1),
        tags: fields.texts(2),
        digests: fields.texts(3),
        size: fields.number(4),
        is_pinned: fields.number(8) != 0,
    }
}
