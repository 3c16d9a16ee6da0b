//! The machine that templates run on.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use kubespray_jinja::World;
use kubespray_value::{Error, ErrorKind};

use crate::glob;

/// Files larger than this are not read into a variable.
const LARGEST_FILE: u64 = 64 * 1024 * 1024;

/// How long a command of the lookup `pipe` may run.
const PIPE_TIMEOUT: Duration = Duration::from_mins(1);

/// The real machine: its environment, files and clock.
#[derive(Clone)]
pub struct SystemWorld {
    search_path: Vec<PathBuf>,
    allow_pipe: bool,
}

impl fmt::Debug for SystemWorld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SystemWorld")
            .field("search_path", &self.search_path)
            .field("allow_pipe", &self.allow_pipe)
            .finish()
    }
}

impl SystemWorld {
    /// `search_path`: folders in which lookups find relative paths, in order. `allow_pipe`: whether
    /// the lookup `pipe` may run commands.
    pub fn new(search_path: Vec<PathBuf>, allow_pipe: bool) -> Self {
        Self { search_path, allow_pipe }
    }
}

impl World for SystemWorld {
    fn environment(&self, name: &str) -> Option<String> {
        // `var_os` may panic on such names.
        if name.is_empty() || name.contains(['=', '\0']) {
            return None;
        }
        std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
    }

    fn read_file(&self, path: &Path) -> Result<Vec<u8>, Error> {
        let failed =
            |error: std::io::Error| Error::of_value(format!("cannot read `{}`: {error}", path.display()));
        let file = std::fs::File::open(path).map_err(failed)?;
        let mut bytes = Vec::new();
        file.take(LARGEST_FILE + 1).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 > LARGEST_FILE {
            let message = format!("`{}` is larger than {} MiB", path.display(), LARGEST_FILE >> 20);
            return Err(Error::new(ErrorKind::Limit, message));
        }
        Ok(bytes)
    }

    fn glob(&self, pattern: &str) -> Vec<PathBuf> {
        glob::find(pattern)
    }

    fn search_path(&self) -> Vec<PathBuf> {
        self.search_path.clone()
    }

    fn home(&self, user: Option<&str>) -> Option<PathBuf> {
        let passwd = || std::fs::read_to_string("/etc/passwd").ok();
        match user {
            Some(user) => home_of(&passwd()?, |fields| fields.first() == Some(&user)),
            None => self.environment("HOME").map(PathBuf::from).or_else(|| {
                use std::os::unix::fs::MetadataExt;
                let id = std::fs::metadata("/proc/self").ok()?.uid().to_string();
                home_of(&passwd()?, |fields| fields.get(2) == Some(&id.as_str()))
            }),
        }
    }

    fn real_path(&self, path: &Path) -> PathBuf {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        // As far as it exists, links are followed; the rest is taken by its words.
        let mut existing = path.as_path();
        let mut missing = Vec::new();
        loop {
            if let Ok(real) = existing.canonicalize() {
                let mut real = real;
                for part in missing.iter().rev() {
                    real.push(part);
                }
                return PathBuf::from(crate::path::normal(&real.to_string_lossy()));
            }
            match (existing.parent(), existing.components().next_back()) {
                (Some(parent), Some(last)) => {
                    missing.push(last.as_os_str().to_owned());
                    existing = parent;
                }
                _ => return PathBuf::from(crate::path::normal(&path.to_string_lossy())),
            }
        }
    }

    fn now(&self) -> (i64, u32) {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => (i64::try_from(since.as_secs()).unwrap_or(i64::MAX), since.subsec_nanos()),
            Err(_) => (0, 0),
        }
    }

    fn random(&self) -> u64 {
        let mut bytes = [0; 8];
        let read = std::fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
        if read.is_ok() {
            return u64::from_ne_bytes(bytes);
        }
        // A keyed hash of nothing: the keys are random for each of them.
        use std::hash::BuildHasher;
        std::hash::RandomState::new().hash_one(Instant::now())
    }

    fn pipe(&self, command: &str) -> Result<String, Error> {
        if !self.allow_pipe {
            let message = "the lookup `pipe` runs a command on this machine and is not allowed";
            return Err(Error::new(ErrorKind::Refused, message)
                .hint("add `--allow-lookup-pipe` if you trust this inventory"));
        }
        let failed =
            |error: std::io::Error| Error::of_value(format!("the lookup `pipe` could not run: {error}"));
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", command]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        if let Some(folder) = self.search_path.first() {
            shell.current_dir(folder);
        }
        let mut child = shell.spawn().map_err(failed)?;
        let output = child.stdout.take();
        let reader = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let read = output.map(|output| output.take(LARGEST_FILE).read_to_end(&mut bytes));
            read.transpose().map(|_| bytes)
        });
        let started = Instant::now();
        let status = loop {
            match child.try_wait().map_err(failed)? {
                Some(status) => break status,
                None if started.elapsed() > PIPE_TIMEOUT => {
                    let _ = child.kill();
                    let _ = child.wait();
                    let seconds = PIPE_TIMEOUT.as_secs();
                    return Err(Error::of_value(format!(
                        "the command of a lookup `pipe` ran for more than {seconds} s"
                    )));
                }
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        let bytes = reader.join().map_err(|_| Error::of_value("the output of a lookup `pipe` was lost"))?;
        let bytes = bytes.map_err(failed)?;
        if !status.success() {
            return Err(Error::of_value(format!("the command of a lookup `pipe` failed: {status}")));
        }
        String::from_utf8(bytes)
            .map_err(|_| Error::of_value("the output of a lookup `pipe` is no UTF-8 text"))
    }
}

fn home_of(passwd: &str, wanted: impl Fn(&[&str]) -> bool) -> Option<PathBuf> {
    passwd.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        if wanted(&fields) { fields.get(5).map(PathBuf::from) } else { None }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pipe_is_refused_unless_allowed() {
        let error = SystemWorld::new(Vec::new(), false).pipe("echo hi").unwrap_err();
        assert_eq!(error.kind, ErrorKind::Refused);
        assert!(error.hint.unwrap().contains("--allow-lookup-pipe"));
        assert_eq!(SystemWorld::new(Vec::new(), true).pipe("echo hi").unwrap(), "hi\n");
        assert!(SystemWorld::new(Vec::new(), true).pipe("exit 3").is_err());
    }

    #[test]
    fn homes_come_from_passwd() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\nann:x:1000:1000::/home/ann:/bin/sh\nbroken\n";
        assert_eq!(home_of(passwd, |fields| fields.first() == Some(&"ann")), Some("/home/ann".into()));
        assert_eq!(home_of(passwd, |fields| fields.get(2) == Some(&"0")), Some("/root".into()));
        assert_eq!(home_of(passwd, |fields| fields.first() == Some(&"broken")), None);
    }

    #[test]
    fn chance_differs() {
        let world = SystemWorld::new(Vec::new(), false);
        assert_ne!(world.random(), world.random());
        assert_eq!(world.environment("A=B"), None);
    }

    #[test]
    fn real_paths_keep_what_does_not_exist() {
        let world = SystemWorld::new(Vec::new(), false);
        assert_eq!(world.real_path(Path::new("/proc/self/../nowhere/x")), PathBuf::from("/proc/nowhere/x"));
    }
}
