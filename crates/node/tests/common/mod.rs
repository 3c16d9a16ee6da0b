//! A host in a folder, with doubles of the programs that it would have.
#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    clippy::pedantic,
    clippy::unwrap_used,
    clippy::panic,
    clippy::get_unwrap
)]

pub mod mortal;

use std::fs;
use std::path::PathBuf;

use kubespray_node::{Host, LinuxHost, Session, View};
use kubespray_resource::wire::{Answer, Apply, Ask, Reply, Request};
use kubespray_resource::{
    Comparison, Failure, Outcome, Owner, Resource, RunId, Secrets, State, StepId, Token,
};
use tempfile::TempDir;

pub struct World {
    pub dir: TempDir,
    pub host: LinuxHost,
}

impl World {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path();
        for folder in [
            "bin",
            "units",
            "packages",
            "held",
            "lists",
            "mirror",
            "fail",
            "dies",
            "root/etc/systemd/system",
            "root/proc/self",
            "root/proc/sys/kernel/random",
            "root/proc/sys/net/ipv4",
            "root/sys/fs/selinux",
            "root/var/lib",
            "root/tmp",
            "root/lib/modules/6.1.0",
        ] {
            fs::create_dir_all(base.join(folder)).unwrap();
        }
        for entry in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doubles")).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), base.join("bin").join(entry.file_name())).unwrap();
        }
        let host = LinuxHost::at(base.join("root"), vec![base.join("bin")]);
        let world = Self { dir, host };
        // Files belong to whoever runs the tests.
        let me = fs::metadata(world.dir.path()).unwrap();
        use std::os::unix::fs::MetadataExt;
        world.put("/etc/passwd", &format!("root:x:{}:{}:root:/root:/bin/sh\n", me.uid(), me.gid()));
        world.put("/etc/group", &format!("root:x:{}:\n", me.gid()));
        world.put("/proc/sys/kernel/hostname", "n1\n");
        world.put("/proc/sys/kernel/osrelease", "6.1.0\n");
        world.put("/proc/sys/kernel/random/boot_id", "b00t\n");
        world.put("/proc/modules", "");
        world.put("/proc/self/mounts", "");
        world
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join("root").join(path.trim_start_matches('/'))
    }

    pub fn put(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub fn get(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// A file beside the root: a unit, a package, a list.
    pub fn state(&self, path: &str, text: &str) {
        fs::write(self.dir.path().join(path), text).unwrap();
    }

    pub fn unit(&self, name: &str, active: &str, file: &str) {
        self.state(
            &format!("units/{name}"),
            &format!("load=loaded\nactive={active}\nfile={file}\nreload=no\n"),
        );
    }

    pub fn calls(&self) -> Vec<String> {
        let text = fs::read_to_string(self.dir.path().join("calls")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    pub fn forget_calls(&self) {
        let _ = fs::remove_file(self.dir.path().join("calls"));
    }

    pub fn observe(&self, resource: &Resource) -> Result<State, Failure> {
        kubespray_node::observe(&View::new(&self.host, [resource]), resource)
    }

    pub fn compare(&self, resource: &Resource) -> Comparison {
        resource.compare(&self.observe(resource).unwrap(), &Secrets::default()).unwrap()
    }

    pub fn apply(&self, resource: impl Into<Resource>) -> Result<Outcome, Failure> {
        kubespray_node::apply(&self.host, &resource.into(), &Secrets::default(), &mut |_| Ok(()))
    }

    /// Applies twice: the first time changes, the second time nothing.
    pub fn converge(&self, resource: impl Into<Resource>) -> Outcome {
        let resource = resource.into();
        let first = self.apply(resource.clone()).unwrap_or_else(|failure| panic!("{failure:?}"));
        assert!(!first.changes.is_empty(), "{} changed nothing", resource.title());
        assert!(self.compare(&resource).is_same());
        let second = self.apply(resource).unwrap();
        assert_eq!(Outcome { output: None, ..second }, Outcome::unchanged());
        first
    }

    pub fn pending(&self) -> Vec<String> {
        self.host.list("/var/lib/kubespray/pending").unwrap()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let violations = fs::read_to_string(self.dir.path().join("violations")).unwrap_or_default();
        if !std::thread::panicking() {
            assert_eq!(violations, "", "doubles refused arguments");
        }
    }
}

pub fn root() -> Owner {
    Owner::root()
}

pub fn step(resource: impl Into<Resource>, notifies: &[&str]) -> Apply {
    let resource = resource.into();
    Apply {
        run: RunId("run-1".into()),
        step: StepId(format!("n1/test/{}", resource.title())),
        resource,
        notifies: notifies.iter().map(|token| Token((*token).into())).collect(),
        secrets: Secrets::default(),
        inputs: Default::default(),
        remember: false,
        awaited: false,
        keep: None,
    }
}

pub fn ask(session: &mut Session, host: &dyn Host, body: Ask) -> Vec<Answer> {
    let mut out = Vec::new();
    session.answer(host, Request { id: 7, body }, &mut |reply: Reply| {
        assert_eq!(reply.id, 7);
        out.push(reply.body);
    });
    out
}

pub fn applied(answers: Vec<Answer>) -> Result<Outcome, Failure> {
    match answers.into_iter().next_back() {
        Some(Answer::Applied(_, result)) => result,
        other => panic!("{other:?}"),
    }
}
