//! An operation that touches every kind of resource and matters to nobody.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kubespray_planner::Wishes;
use kubespray_resource::{
    Absent, Archive, Block, Check, Command, Content, Digest, Directory, Disruption, Download, File, Gate,
    Group, Guard, Hostname, Line, Link, Member, Mode, Module, Mount, Needs, Owner, PackageManager,
    PackageWish, Packages, Policy, Probe, Resource, Rollout, Running, Secrets, Selinux, SelinuxMode, Step,
    StepId, Swap, Sysctl, Token, Unit, User,
};

/// The folder of all sample files.
const FOLDER: &str = "/opt/sample";

/// What a sample may touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// What every Debian host can do and nobody misses: files below `/opt/sample`, units, users and groups called
    /// `sample…`, a kernel parameter that is namespaced, packages of a few KiB from the distribution.
    Small,
    /// Also kernel modules, mounts, swap, SELinux and the host's name.
    All,
}

/// An operation and the secrets that it names.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The operation. The first three hosts keep locks.
    pub wishes: Wishes,
    /// Values of its secrets.
    pub secrets: Secrets,
}

/// An operation of about so many resources on each host (at least 37), in three phases: `prepare` on all hosts at
/// once; `member`, one host at a time, with a restart that takes a member away and a check behind it; `worker`, two
/// thirds of the hosts at a time behind a canary, once most members are there. At the end every host waits for all.
pub fn sample(hosts: &[&str], resources: usize, reach: Reach) -> Sample {
    let mut secrets = Secrets::default();
    secrets.insert("sample-token", "s3cr3t-t0k3n-0f-th3-s4mpl3");
    secrets.insert("sample-password", "c0rr3ct-h0rs3-b4tt3ry");
    let names: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let mut lock_hosts: Vec<String> = names.iter().take(3).cloned().collect();
    lock_hosts.sort();
    let rollouts = BTreeMap::from([
        ("member".to_owned(), Rollout { hosts: names.clone(), max_unavailable: 1, canaries: 0 }),
        (
            "worker".to_owned(),
            Rollout { hosts: names.clone(), max_unavailable: (names.len() * 2 / 3).max(1), canaries: 1 },
        ),
    ]);
    let all = |what: &str| names.iter().map(|host| id(host, what)).collect::<Vec<StepId>>();
    let gates = BTreeMap::from([
        ("most-members".to_owned(), Gate { steps: all("member/check"), needs: Needs::Majority }),
        ("all-workers".to_owned(), Gate { steps: all("worker/check"), needs: Needs::All }),
    ]);
    let mut steps = Vec::new();
    for host in &names {
        let mut maker = Maker { host, steps: Vec::new(), component: "", phase: "", rollout: None };
        maker.prepare(reach);
        maker.member(names.first().filter(|first| *first != host));
        maker.worker();
        maker.finish();
        let missing = resources.saturating_sub(maker.steps.len());
        let before: Vec<Step> = maker.filling(missing);
        // Behind the folders, before all that may be restarted.
        let at = maker.steps.iter().position(|step| step.phase != "prepare").unwrap_or(0);
        maker.steps.splice(at..at, before);
        steps.extend(maker.steps);
    }
    let wishes = Wishes {
        operation: "sample".into(),
        cluster: "sample".into(),
        lock_hosts,
        steps,
        gates,
        policy: Policy { rollouts, ..Policy::default() },
    };
    Sample { wishes, secrets }
}

fn id(host: &str, what: &str) -> StepId {
    format!("{host}/{what}").into()
}

/// Makes the steps of a host.
struct Maker<'a> {
    host: &'a str,
    steps: Vec<Step>,
    component: &'static str,
    phase: &'static str,
    rollout: Option<&'static str>,
}

impl Maker<'_> {
    fn step(&self, what: &str, resource: Resource) -> Step {
        Step {
            id: id(self.host, &format!("{}/{what}", self.component)),
            host: self.host.to_owned(),
            component: self.component.into(),
            phase: self.phase.into(),
            resource,
            after: Vec::new(),
            gates: Vec::new(),
            notifies: Vec::new(),
            disruption: Disruption::None,
            rollout: self.rollout.map(str::to_owned),
            remember: false,
            keep: None,
            raises: None,
            hold: None,
        }
    }

    fn add(&mut self, what: &str, resource: impl Into<Resource>) -> Option<&mut Step> {
        self.steps.push(self.step(what, resource.into()));
        self.steps.last_mut()
    }

    fn prepare(&mut self, reach: Reach) {
        self.phase = "prepare";
        self.component = "folders";
        for path in [FOLDER, "/opt/sample/etc", "/opt/sample/parts", "/opt/sample/bin"] {
            let name = path.rsplit('/').next().unwrap_or_default().to_owned();
            self.add(&name, directory(path));
        }
        self.component = "accounts";
        self.add("group", Group { name: "sample".into(), gid: None, system: true });
        let user = User {
            name: "sample".into(),
            uid: None,
            group: Some("sample".into()),
            groups: Vec::new(),
            home: Some(FOLDER.into()),
            create_home: false,
            shell: Some("/usr/sbin/nologin".into()),
            comment: Some("sample".into()),
            system: true,
        };
        self.add("user", user);
        self.component = "files";
        self.add(
            "private",
            File {
                mode: Mode::PRIVATE,
                content: Content::Secret("token={secret:sample-token}\n".into()),
                ..file("/opt/sample/etc/private.conf", "")
            },
        );
        self.add("foreign", File { keep_content: true, ..file("/opt/sample/foreign.conf", "theirs\n") });
        self.add(
            "block",
            Block {
                path: "/opt/sample/foreign.conf".into(),
                begin: "# sample begins".into(),
                end: "# sample ends".into(),
                text: Some("ours\n".into()),
                keep: false,
                on_top: false,
                replaces: Vec::new(),
                mode: Mode::PUBLIC,
                owner: Owner::root(),
            },
        );
        self.add(
            "line",
            Line {
                path: "/opt/sample/foreign.conf".into(),
                starts_with: "colour=".into(),
                line: Some("colour=blue".into()),
            },
        );
        self.add("link", Link { path: "/opt/sample/current".into(), target: "etc".into() });
        self.add("old", Absent { path: "/opt/sample/old".into(), recursive: true });
        self.sources();
        self.component = "kernel";
        self.add(
            "keepalive",
            Sysctl {
                key: "net.ipv4.tcp_keepalive_time".into(),
                value: "7100".into(),
                file: "/etc/sysctl.d/99-sample.conf".into(),
                may_be_missing: true,
                at_least: false,
            },
        );
        self.component = "packages";
        let wish = |name: &str, wish| BTreeMap::from([(name.to_owned(), wish)]);
        let packages = Packages {
            manager: PackageManager::Apt,
            wishes: wish("hello", PackageWish::Installed),
            held: vec!["hello".into()],
            lock_timeout_s: 120,
        };
        self.add("packages", packages);
        let gone = Packages {
            manager: PackageManager::Apt,
            wishes: wish("sl", PackageWish::Absent),
            held: Vec::new(),
            lock_timeout_s: 120,
        };
        self.add("gone", gone);
        if reach == Reach::All {
            self.host_wide();
        }
    }

    /// A file and an archive that others are made from.
    fn sources(&mut self) {
        let (source, digest) = ("/opt/sample/parts/source", Digest::of(SOURCE.as_bytes()));
        self.add("source", file(source, SOURCE));
        self.add(
            "download",
            Download {
                path: "/opt/sample/bin/fetched".into(),
                urls: vec![format!("file://{source}")],
                from_controller: false,
                digest: digest.clone(),
                mode: Mode::EXECUTABLE,
                owner: Owner::root(),
                proxy: None,
                no_proxy: String::new(),
                verify_tls: true,
                timeout_s: 30,
                only_as_source: false,
            },
        );
        let copy = Content::CopyOf { path: source.into(), digest };
        self.add("copy", File { content: copy, ..file("/opt/sample/bin/copied", "") });
        let bytes = archive();
        let path = "/opt/sample/parts/tools.tar".to_owned();
        let content = Content::Base64(STANDARD.encode(&bytes));
        self.add("archive", File { content, ..file(&path, "") });
        let member = |name: &str| Member {
            name: format!("tools/{name}"),
            path: format!("/opt/sample/bin/{name}"),
            mode: Mode::EXECUTABLE,
        };
        self.add(
            "members",
            Archive {
                path,
                digest: Digest::of(&bytes),
                members: vec![member("first"), member("second")],
                owner: Owner::root(),
            },
        );
    }

    fn host_wide(&mut self) {
        self.component = "host";
        self.add("hostname", Hostname { name: self.host.to_owned() });
        self.add("swap", Swap {});
        self.add("selinux", Selinux { mode: SelinuxMode::Permissive });
        let keep = Some("/etc/modules-load.d/sample.conf".to_owned());
        self.add("module", Module { name: "dummy".into(), file: keep, may_be_missing: false });
        self.add(
            "mount",
            Mount {
                source: "tmpfs".into(),
                path: "/opt/sample/mnt".into(),
                fstype: "tmpfs".into(),
                options: "size=1m".into(),
                kept: true,
            },
        );
    }

    /// A service of which only one may be away at a time.
    fn member(&mut self, first: Option<&String>) {
        (self.phase, self.component, self.rollout) = ("member", "member", Some("member"));
        self.service("sample-member.service", Disruption::Quorum);
        if let Some(step) = self.steps.last_mut() {
            // The first host leads, as the first control plane does.
            step.after = first.map(|first| id(first, "member/check")).into_iter().collect();
        }
        self.check("sample-member.service");
    }

    fn worker(&mut self) {
        (self.phase, self.component, self.rollout) = ("worker", "worker", Some("worker"));
        let at = self.steps.len();
        self.service("sample-worker.service", Disruption::Restart);
        if let Some(step) = self.steps.get_mut(at) {
            step.gates = vec!["most-members".into()];
        }
        let token = Token("sample:reload".into());
        if let Some(step) = self.add("input", file("/opt/sample/etc/input.conf", "input=1\n")) {
            step.notifies = vec![token.clone()];
        }
        self.add(
            "reload",
            Command {
                argv: vec!["touch".into(), "/opt/sample/reloaded".into()],
                environment: BTreeMap::new(),
                stdin: None,
                guards: vec![Guard::Pending(token)],
                timeout_s: 30,
            },
        );
        self.check("sample-worker.service");
    }

    /// A unit file and its configuration, which restart the unit behind them.
    fn service(&mut self, name: &str, disruption: Disruption) {
        let restart = vec![Token::restart_of(name)];
        let short = name.trim_end_matches(".service");
        let unit = format!(
            "[Unit]\nDescription={short}\n[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n\
             [Install]\nWantedBy=multi-user.target\n"
        );
        if let Some(step) = self.add("unit-file", file(&format!("/etc/systemd/system/{name}"), &unit)) {
            step.notifies.clone_from(&restart);
        }
        let config = File {
            content: Content::Secret("password={secret:sample-password}\n".into()),
            mode: Mode(0o640),
            owner: Owner { user: "root".into(), group: "sample".into() },
            ..file(&format!("/opt/sample/etc/{short}.conf"), "")
        };
        if let Some(step) = self.add("config", config) {
            step.notifies = restart;
        }
        let unit = Unit {
            name: name.to_owned(),
            enabled: Some(true),
            running: Some(Running::Started),
            masked: None,
            may_be_missing: false,
        };
        if let Some(step) = self.add("unit", unit) {
            step.disruption = disruption;
        }
    }

    fn check(&mut self, unit: &str) {
        let probe = Probe::Unit(unit.to_owned());
        let name = format!("`{unit}` runs");
        self.add("check", Check { name, probe, timeout_s: 30, interval_ms: 200 });
    }

    fn finish(&mut self) {
        (self.phase, self.component, self.rollout) = ("finish", "finish", None);
        let done = Command {
            argv: vec!["tee".into(), "/opt/sample/done".into()],
            environment: BTreeMap::new(),
            stdin: Some("{secret:sample-token}".into()),
            guards: vec![Guard::Creates("/opt/sample/done".into())],
            timeout_s: 30,
        };
        if let Some(step) = self.add("done", done) {
            step.gates = vec!["all-workers".into()];
        }
        let path = Probe::Path("/opt/sample/done".into());
        self.add(
            "check",
            Check { name: "the sample is done".into(), probe: path, timeout_s: 5, interval_ms: 200 },
        );
    }

    /// Files, folders and links, in the proportions of a cluster's nodes.
    fn filling(&mut self, count: usize) -> Vec<Step> {
        (self.phase, self.component, self.rollout) = ("prepare", "filling", None);
        let mut folder = "/opt/sample/parts".to_owned();
        let mut out = Vec::with_capacity(count);
        for number in 0..count {
            let resource: Resource = match number % 10 {
                0 => {
                    folder = format!("/opt/sample/parts/{number:03}");
                    directory(&folder).into()
                }
                3 => Link { path: format!("{folder}/link{number:03}"), target: folder.clone() }.into(),
                5 => File {
                    content: Content::Secret(format!("{number} {{secret:sample-token}}\n")),
                    mode: Mode::PRIVATE,
                    ..file(&format!("{folder}/private{number:03}"), "")
                }
                .into(),
                7 => Absent { path: format!("{folder}/gone{number:03}"), recursive: false }.into(),
                _ => file(&format!("{folder}/file{number:03}"), &format!("{number}\n").repeat(20)).into(),
            };
            out.push(self.step(&format!("{number:03}"), resource));
        }
        out
    }
}

const SOURCE: &str = "#!/bin/sh\necho sample\n";

fn directory(path: &str) -> Directory {
    Directory { path: path.to_owned(), mode: Mode::EXECUTABLE, owner: Owner::root() }
}

fn file(path: &str, text: &str) -> File {
    File {
        path: path.to_owned(),
        content: Content::Text(text.to_owned()),
        mode: Mode::PUBLIC,
        owner: Owner::root(),
        keep_content: false,
    }
}

/// A small archive, the same bytes each time.
fn archive() -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for name in ["tools/first", "tools/second"] {
        let text = format!("#!/bin/sh\necho {name}\n");
        let mut header = tar::Header::new_ustar();
        header.set_size(text.len() as u64);
        header.set_mode(0o755);
        // Memory takes all that is written to it.
        let _ = builder.append_data(&mut header, name, text.as_bytes());
    }
    builder.into_inner().unwrap_or_default()
}
