//! One controller's requests, answered one by one.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kubespray_resource::wire::{Answer, Apply, Ask, Hello, JournalEntry, PROTOCOL, Reply, Request};
use kubespray_resource::{ErrorClass, Failure, Mode, Outcome, Owner, Resource, RunId, Secrets, StepId};

use crate::before::Memory;
use crate::failure::is_gone;
use crate::journal::Lasting;
use crate::keep::Keeper;
use crate::matrix;
use crate::paths::BASE;
use crate::takeover::Takeover;
use crate::{Host, HostError, Spawn, apply, journal, lock, observe_all, paths, runs, status, tokens};

/// More would only fill the disk that is measured.
const MOST_SYNCS: u32 = 10_000;

/// A controller's session on a host.
#[derive(Clone, Debug)]
pub struct Session {
    build: String,
    /// Why no step is applied any more.
    stopped: Option<&'static str>,
    /// Runs whose journal this session has written to.
    journalled: BTreeSet<RunId>,
    takeover: Takeover,
    memory: Memory,
    keeper: Keeper,
}

impl Session {
    /// A session of a helper whose binary has this digest.
    pub fn new(build: impl Into<String>) -> Self {
        Self {
            build: build.into(),
            stopped: None,
            journalled: BTreeSet::new(),
            takeover: Takeover::default(),
            memory: Memory::default(),
            keeper: Keeper::default(),
        }
    }

    /// The first line that the helper prints.
    pub fn hello(&self, host: &dyn Host) -> Result<Hello, HostError> {
        let name = host.read("/proc/sys/kernel/hostname")?.unwrap_or_default();
        Ok(Hello {
            protocol: PROTOCOL,
            build: self.build.clone(),
            hostname: String::from_utf8_lossy(&name).trim().to_owned(),
            boot_id: host.boot_id()?,
        })
    }

    /// Answers a request. A dead host (simulated ones only) is answered by nothing.
    pub fn answer(&mut self, host: &dyn Host, request: Request, out: &mut dyn FnMut(Reply)) {
        let id = request.id;
        let mut send = |body| out(Reply { id, body });
        match request.body {
            Ask::Apply(wish) => self.apply(host, *wish, &mut send),
            // Nobody asked for them, or no longer.
            Ask::Bytes { .. } | Ask::NoBytes { .. } => {}
            other => match self.simple(host, other) {
                Ok(answer) => send(answer),
                Err(failure) if is_gone(&failure) => {}
                Err(failure) => send(Answer::Failed(failure)),
            },
        }
    }

    /// Takes the host over from helpers of older connections, which then begin no other step; fails where a newer one
    /// has done so since. To be called before the step of an older one is waited for.
    pub fn take_over(&mut self, host: &dyn Host) -> Result<(), Failure> {
        self.takeover.claim(host)
    }

    /// No step is applied any more until the controller says to go on.
    pub(crate) fn stop(&mut self, why: &'static str) {
        self.stopped = Some(why);
    }

    fn simple(&mut self, host: &dyn Host, ask: Ask) -> Result<Answer, Failure> {
        Ok(match ask {
            Ask::Ping => Answer::Ok,
            Ask::Facts => Answer::Facts(Box::new(host.facts()?)),
            Ask::Observe { items } => {
                let observed = observe_all(host, &items);
                let gone = observed.iter().find_map(|(_, state)| state.as_ref().err().filter(|f| is_gone(f)));
                if let Some(failure) = gone {
                    return Err(failure.clone());
                }
                Answer::Observed(observed)
            }
            Ask::Read { path, limit } => Answer::Text(read(host, &path, limit)?),
            // Answered by `apply`, which also tells that a step has begun, or by nothing.
            Ask::Apply(_) | Ask::Bytes { .. } | Ask::NoBytes { .. } => Answer::Ok,
            Ask::GoOn => {
                self.stopped = None;
                Answer::Ok
            }
            Ask::Cancel => {
                self.stopped = Some("the run was stopped");
                Answer::Ok
            }
            Ask::Exec { argv, timeout_s } => {
                if host.is_cancelled() {
                    return Err(HostError::Cancelled.into());
                }
                let timeout = Duration::from_secs(timeout_s);
                let output = host.run(&Spawn { timeout, ..Spawn::new(argv) })?;
                Answer::Exit { status: output.status, stdout: output.stdout, stderr: output.stderr }
            }
            Ask::Lock(holder) => {
                let other = lock::take(host, &holder)?;
                if other.is_none() {
                    // Another controller with the same run, which somebody took up, does nothing here any more.
                    self.takeover.claim(host)?;
                }
                Answer::Held(other)
            }
            Ask::TakeOver => {
                self.take_over(host)?;
                Answer::Ok
            }
            Ask::Unlock { run } => {
                lock::give_back(host, &run)?;
                Answer::Ok
            }
            Ask::LockHolder => Answer::Held(lock::holder(host)?),
            Ask::BreakLock => {
                lock::break_it(host)?;
                Answer::Ok
            }
            Ask::StoreRun { run, record } => {
                runs::store(host, &run, &record)?;
                Answer::Ok
            }
            Ask::LoadRun { run } => Answer::Record(runs::load(host, run.as_ref())?),
            Ask::Journal { run } => Answer::Journal(journal::read(host, &run)?),
            Ask::Reach { addresses, timeout_ms } => {
                Answer::Reached(reach(host, addresses, Duration::from_millis(timeout_ms))?)
            }
            Ask::Listen { ports, seconds } => {
                Answer::Listening(host.listen(&ports, Duration::from_secs(seconds).min(matrix::LONGEST))?)
            }
            Ask::Packets { addresses, largest } => {
                Answer::Packets(matrix::packets(host, &addresses, largest)?)
            }
            Ask::Resolve { names } => Answer::Resolved(matrix::resolve(host, &names)?),
            Ask::Clock => Answer::Clock(host.now_ms()),
            Ask::Fsync { path, count } => Answer::Synced(sync_times(host, &path, count)?),
            Ask::CertificateEnds { files } => {
                Answer::CertificateEnds(status::certificate_ends(host, &files)?)
            }
            Ask::ApiServer { kubeconfig, server } => {
                Answer::ApiServer(status::api_server(host, &kubeconfig, &server)?)
            }
            Ask::Kubernetes { kubeconfig, server } => {
                Answer::Kubernetes(Box::new(status::kubernetes(host, &kubeconfig, &server)?))
            }
            Ask::Clean => {
                clean(host)?;
                self.journalled.clear();
                self.takeover = Takeover::default();
                self.memory = Memory::default();
                self.keeper = Keeper::default();
                Answer::Ok
            }
        })
    }

    fn apply(&mut self, host: &dyn Host, wish: Apply, send: &mut dyn FnMut(Answer)) {
        let step = wish.step.clone();
        if let Err(failure) = self.may_apply(host, &wish.run) {
            if !is_gone(&failure) {
                send(Answer::Applied(step, Err(failure)));
            }
            return;
        }
        send(Answer::Started(step.clone()));
        let result = self.apply_journalled(host, &wish).map_err(|failure| blot(failure, &wish.secrets));
        match result {
            Err(failure) if is_gone(&failure) => {}
            result => {
                if result.is_err() {
                    self.stopped = Some("an earlier step failed");
                }
                send(Answer::Applied(step, result));
            }
        }
    }

    fn may_apply(&mut self, host: &dyn Host, run: &RunId) -> Result<(), Failure> {
        if let Some(why) = self.stopped {
            return Err(Failure::new(ErrorClass::Cancelled, why));
        }
        if host.is_cancelled() {
            return Err(HostError::Cancelled.into());
        }
        match lock::holder(host)? {
            Some(holder) if holder.run != *run => Err(Failure::new(
                ErrorClass::Cancelled,
                format!("`{}` works here: run `{}`, {}", holder.owner, holder.run, holder.operation),
            )
            .hint("wait for it, or take its lock away with `--break-lock`")),
            _ => self.take_over(host),
        }
    }

    /// Intent, tokens, effect, proof, end.
    fn apply_journalled(&mut self, host: &dyn Host, wish: &Apply) -> Result<Outcome, Failure> {
        let mut began = false;
        let resource = wish.resource.with_inputs(&wish.inputs);
        let result = apply(host, &resource, &wish.secrets, &mut |state| {
            began = true;
            self.write(host, wish, None, Lasting::Synced)?;
            if let Some(keep) = &wish.keep {
                self.keeper.keep(host, wish, keep)?;
            }
            if wish.remember {
                self.memory.keep(host, &resource, state)?;
            }
            for token in &wish.notifies {
                tokens::set(host, token)?;
            }
            Ok(())
        });
        let result = result.map_err(|failure| blot(failure, &wish.secrets));
        if result.as_ref().is_err_and(is_gone) {
            return result;
        }
        let result = match result {
            Ok(outcome) if began => self.left(host, wish, &resource).map(|()| outcome),
            result => result,
        };
        let lasting = match &result {
            Ok(_) if !wish.awaited && (!began || apply::lasts_at_once(&resource)) => Lasting::Noted,
            _ => Lasting::Synced,
        };
        match self.write(host, wish, Some(result.clone()), lasting) {
            Err(failure) if result.is_ok() => Err(failure),
            // What went wrong first says more than that it could not be written down.
            _ => result,
        }
    }

    /// Keeps how a step left what it changed.
    fn left(&mut self, host: &dyn Host, wish: &Apply, resource: &Resource) -> Result<(), Failure> {
        if wish.remember {
            self.memory.keep_left(host, resource)?;
        }
        match &wish.keep {
            Some(keep) => self.keeper.keep_left(host, &wish.run, keep),
            None => Ok(()),
        }
    }

    fn write(
        &mut self,
        host: &dyn Host,
        wish: &Apply,
        ended: Option<Result<Outcome, Failure>>,
        lasting: Lasting,
    ) -> Result<(), Failure> {
        let entry = JournalEntry { step: wish.step.clone(), at_ms: host.now_ms(), ended };
        let is_fresh = !self.journalled.contains(&wish.run);
        journal::append(host, &wish.run, &entry, is_fresh, lasting)?;
        self.journalled.insert(wish.run.clone());
        Ok(())
    }
}

/// The step that a request is about.
pub(crate) fn step_of(request: &Request) -> Option<StepId> {
    match &request.body {
        Ask::Apply(wish) => Some(wish.step.clone()),
        _ => None,
    }
}

fn blot(mut failure: Failure, secrets: &Secrets) -> Failure {
    failure.message = secrets.blot(&failure.message);
    for line in failure.evidence.iter_mut().chain(&mut failure.hints) {
        *line = secrets.blot(line);
    }
    failure
}

/// Where else the binary may have been put, on hosts where nothing below [`BASE`] may be executed.
const OTHER_FOLDERS: [&str; 3] = ["/usr/local/lib/kubespray", "/opt/kubespray", "/run/kubespray"];

/// Removes all that helpers left. Elsewhere only binaries of ours go, named by their digests.
fn clean(host: &dyn Host) -> Result<(), Failure> {
    for folder in OTHER_FOLDERS {
        let is_ours = |name: &str| name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        let names = host.list(folder)?;
        for name in names.iter().filter(|name| is_ours(name)) {
            host.remove(&format!("{folder}/{name}"), false)?;
        }
        if !names.is_empty() && names.iter().all(|name| is_ours(name)) {
            host.remove(folder, false)?;
        }
    }
    Ok(host.remove(BASE, true)?)
}

/// A text to show; nothing for what is too long or no text.
fn read(host: &dyn Host, path: &str, limit: u64) -> Result<Option<String>, Failure> {
    match host.metadata(path)? {
        Some(is) if is.size <= limit => {}
        _ => return Ok(None),
    }
    // A link may lead to more than its own few bytes.
    let bytes = host.read(path)?.filter(|bytes| bytes.len() as u64 <= limit && !bytes.contains(&0));
    Ok(bytes.and_then(|bytes| String::from_utf8(bytes).ok()))
}

fn reach(
    host: &dyn Host,
    addresses: Vec<String>,
    timeout: Duration,
) -> Result<BTreeMap<String, Result<u64, String>>, Failure> {
    let mut out = BTreeMap::new();
    for address in addresses {
        if host.is_cancelled() {
            return Err(HostError::Cancelled.into());
        }
        let found = match host.connect(&address, timeout) {
            Ok(time) => Ok(time.as_millis() as u64),
            Err(HostError::Gone) => return Err(HostError::Gone.into()),
            Err(error) => Err(error.to_string()),
        };
        out.insert(address, found);
    }
    Ok(out)
}

/// How long small synced writes take. As etcd's log does it: append and sync.
fn sync_times(host: &dyn Host, folder: &str, count: u32) -> Result<Vec<u64>, Failure> {
    /// What `fio` is told to write when etcd's disks are measured.
    const BYTES: [u8; 2300] = [b'0'; 2300];
    let file = format!("{}/.kubespray-fsync", folder.trim_end_matches('/'));
    let made = host.metadata(folder)?.is_none();
    if made {
        paths::make_parents(host, folder)?;
        host.make_dir(folder, Mode(0o700), &Owner::root())?;
    }
    let mut times = Vec::new();
    let mut result = Ok(());
    for _ in 0..count.min(MOST_SYNCS) {
        let before = host.monotonic_us();
        result = host.append(&file, &BYTES);
        if result.is_err() || host.is_cancelled() {
            break;
        }
        times.push(host.monotonic_us().saturating_sub(before));
    }
    host.remove(&file, false)?;
    if made {
        host.remove(folder, false)?;
    }
    result?;
    times.sort_unstable();
    Ok(times)
}
