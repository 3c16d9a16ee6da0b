//! What a plan would put on hosts, as a list of files and what belongs to them. No host is asked.

use std::collections::BTreeMap;

use kubespray_resource::{Certificate, Content, KeyFile, Mode, Owner, Resource, Secrets, Step};
use serde::Serialize;

use crate::Wishes;

/// What is put on a host, or is made there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Item {
    /// The path; of a unit its name, of a kernel parameter its key.
    pub path: String,
    /// What it is.
    pub kind: ItemKind,
    /// The step that puts it there.
    pub step: String,
    /// The component that wishes it.
    pub component: String,
    /// Permission bits, such as `0644`, where they are set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// The user that owns it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The group that owns it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The secrets in it, by name: where they go the text has `{secret:NAME}`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
    /// More of it, by name.
    #[serde(flatten)]
    pub more: BTreeMap<&'static str, serde_json::Value>,
    /// The bytes of a file, where they are known.
    #[serde(skip)]
    pub bytes: Option<Vec<u8>>,
}

/// What an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ItemKind {
    /// A file of ours.
    File,
    /// A folder.
    Directory,
    /// A symbolic link.
    Link,
    /// Nothing is at the path afterwards.
    Absent,
    /// A block in a file of others.
    Block,
    /// A line in a file of others.
    Line,
    /// A systemd unit.
    Unit,
    /// A file from elsewhere.
    Download,
    /// A file out of an archive.
    Unpacked,
    /// A certificate that is made on hosts.
    Certificate,
    /// A private key that is made on the host.
    Key,
    /// A kernel parameter.
    Sysctl,
    /// A kernel module.
    Module,
}

impl Item {
    fn new(step: &Step, kind: ItemKind, path: &str) -> Self {
        Self {
            path: path.to_owned(),
            kind,
            step: step.id.as_str().to_owned(),
            component: step.component.clone(),
            mode: None,
            owner: None,
            group: None,
            secrets: Vec::new(),
            more: BTreeMap::new(),
            bytes: None,
        }
    }

    fn with(mut self, mode: Mode, owner: &Owner) -> Self {
        self.mode = Some(mode);
        (self.owner, self.group) = (Some(owner.user.clone()), Some(owner.group.clone()));
        self
    }

    fn and(mut self, name: &'static str, value: impl Into<serde_json::Value>) -> Self {
        let value = value.into();
        if !value.is_null() {
            self.more.insert(name, value);
        }
        self
    }
}

/// Everything that wishes put on each host, by host and path. Steps whose work is no file, such as commands, runs of
/// kubeadm, packages and objects of the API server, are left out; so are contents that are only known when it is done.
/// Secrets stay names.
pub fn render(wishes: &Wishes) -> BTreeMap<String, Vec<Item>> {
    let mut hosts: BTreeMap<String, Vec<Item>> = BTreeMap::new();
    for step in &wishes.steps {
        let items = hosts.entry(step.host.clone()).or_default();
        for item in items_of(step) {
            // Steps that wish the same of a path, such as a folder that several components need, are one item.
            let is_same =
                |known: &Item| known.kind == item.kind && known.path == item.path && known.more == item.more;
            if !items.iter().any(is_same) {
                items.push(item);
            }
        }
    }
    for items in hosts.values_mut() {
        // Steps of one path stay in their order.
        items.sort_by(|one, other| one.path.cmp(&other.path));
    }
    hosts
}

fn items_of(step: &Step) -> Vec<Item> {
    let item = |kind, path: &str| Item::new(step, kind, path);
    match &step.resource {
        Resource::File(file) => {
            let mut found = item(ItemKind::File, &file.path).with(file.mode, &file.owner);
            if file.keep_content {
                found = found.and("only_where_missing", true);
            }
            found.secrets = file.content.secret_names().into_iter().map(str::to_owned).collect();
            found.secrets.sort_unstable();
            found.secrets.dedup();
            vec![with_content(found, &file.content)]
        }
        Resource::Directory(wish) => vec![item(ItemKind::Directory, &wish.path).with(wish.mode, &wish.owner)],
        Resource::Link(wish) => vec![item(ItemKind::Link, &wish.path).and("target", wish.target.as_str())],
        Resource::Absent(wish) => vec![item(ItemKind::Absent, &wish.path)],
        Resource::Block(wish) => vec![match &wish.text {
            Some(text) => item(ItemKind::Block, &wish.path).and("text", text.as_str()),
            None => item(ItemKind::Block, &wish.path).and("removed", wish.begin.as_str()),
        }],
        Resource::Line(wish) => vec![match &wish.line {
            Some(line) => item(ItemKind::Line, &wish.path).and("text", line.as_str()),
            None => item(ItemKind::Line, &wish.path).and("removed", wish.starts_with.as_str()),
        }],
        Resource::Unit(wish) => vec![
            item(ItemKind::Unit, &wish.name)
                .and("enabled", wish.enabled)
                .and("masked", wish.masked)
                .and("state", serde_json::to_value(wish.running).unwrap_or_default()),
        ],
        Resource::Download(wish) => {
            let urls: Vec<String> = wish.urls.iter().map(|url| without_password(url)).collect();
            let found = item(ItemKind::Download, &wish.path).with(wish.mode, &wish.owner);
            vec![found.and("urls", urls).and("sha256", wish.digest.as_str())]
        }
        Resource::Archive(wish) => wish
            .members
            .iter()
            .map(|member| {
                item(ItemKind::Unpacked, &member.path)
                    .with(member.mode, &wish.owner)
                    .and("archive", wish.path.as_str())
                    .and("member", member.name.as_str())
            })
            .collect(),
        Resource::Authority(wish) => vec![
            item(ItemKind::Certificate, &wish.certificate_path)
                .with(wish.certificate_mode, &wish.certificate_owner)
                .and("subject", wish.subject.to_string())
                .and("days", wish.days),
            key(step, &wish.key),
        ],
        Resource::Certificate(wish) => vec![certificate(step, wish), key(step, &wish.key)],
        Resource::KeyCopy(wish) => {
            let found = item(ItemKind::Key, &wish.path).with(wish.mode, &wish.owner);
            vec![with_content(found, &wish.from)]
        }
        Resource::Sysctl(wish) => vec![
            item(ItemKind::Sysctl, &wish.key)
                .and("value", wish.value.as_str())
                .and("file", wish.file.as_str()),
        ],
        Resource::Module(wish) => vec![item(ItemKind::Module, &wish.name).and("file", wish.file.clone())],
        _ => Vec::new(),
    }
}

fn with_content(mut item: Item, content: &Content) -> Item {
    match content {
        // Without their values secrets stay as the template has them.
        Content::Secret(template) => item.bytes = Some(template.clone().into_bytes()),
        Content::CopyOf { path, digest } => {
            return item.and("copy_of", path.as_str()).and("sha256", digest.as_str());
        }
        Content::Output(step) => return item.and("output_of", step.as_str()),
        Content::Digest(digest) => return item.and("sha256", digest.as_str()),
        known => item.bytes = known.bytes(&Secrets::default()).ok().flatten(),
    }
    let digest = item.bytes.as_ref().map(|bytes| kubespray_resource::Digest::of(bytes).as_str().to_owned());
    let size = item.bytes.as_ref().map(Vec::len);
    // The digest of a template is not that of what the host gets.
    let digest = digest.filter(|_| item.secrets.is_empty());
    item.and("size", size.filter(|_| digest.is_some())).and("sha256", digest)
}

fn certificate(step: &Step, wish: &Certificate) -> Item {
    let names: Vec<String> = wish.names.iter().map(ToString::to_string).collect();
    let usages: Vec<String> = wish.usages.iter().map(ToString::to_string).collect();
    Item::new(step, ItemKind::Certificate, &wish.path)
        .with(wish.mode, &wish.owner)
        .and("subject", wish.subject.to_string())
        .and("names", names)
        .and("usages", usages)
}

fn key(step: &Step, key: &KeyFile) -> Item {
    Item::new(step, ItemKind::Key, &key.path)
        .with(key.mode, &key.owner)
        .and("algorithm", key.algorithm.to_string())
}

/// A URL whose user and password are not told.
fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let end = rest.find('/').unwrap_or(rest.len());
    let (place, path) = rest.split_at(end);
    match place.rsplit_once('@') {
        Some((_, place)) => format!("{scheme}://{{secret}}@{place}{path}"),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_in_urls_are_not_told() {
        for (url, expected) in [
            ("https://dl.k8s.io/v1/kubelet", "https://dl.k8s.io/v1/kubelet"),
            ("https://me:pa@ss@mirror.local:8443/a@b", "https://{secret}@mirror.local:8443/a@b"),
            ("http://token@mirror.local", "http://{secret}@mirror.local"),
            ("file:///srv/mirror/x", "file:///srv/mirror/x"),
        ] {
            assert_eq!(without_password(url), expected);
        }
    }
}
