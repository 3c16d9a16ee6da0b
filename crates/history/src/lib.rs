//! What earlier runs did, on the operator's machine.
//!
//! One SQLite file that holds events and nothing else. The truth about hosts is on the hosts; losing this
//! file loses history, so a file that cannot be read is put aside and a new one is begun.

use std::path::{Path, PathBuf};
use std::time::Duration;

use kubespray_resource::{Event, EventKind, RunId};
use rusqlite::{Connection, ErrorCode, OptionalExtension as _, params};
use serde::Serialize;

/// The layout of the file; one of another version is put aside.
const SCHEMA_VERSION: u32 = 1;

/// How long to wait for another run that writes to the same file.
const BUSY: Duration = Duration::from_secs(5);

const SCHEMA: &str = "
CREATE TABLE runs (
    run TEXT PRIMARY KEY,
    operation TEXT NOT NULL,
    cluster TEXT NOT NULL,
    hosts INTEGER NOT NULL,
    started_ms INTEGER NOT NULL,
    ended_ms INTEGER,
    done INTEGER,
    changed INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE events (
    run TEXT NOT NULL REFERENCES runs(run) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    event TEXT NOT NULL,
    PRIMARY KEY (run, number)
) STRICT, WITHOUT ROWID;
";

/// Why the history cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The folder or file cannot be made or moved.
    #[error("history at `{path}`: {error}")]
    Io {
        /// The file.
        path: String,
        /// The system's words.
        error: std::io::Error,
    },
    /// SQLite refuses.
    #[error("history: {0}")]
    Store(#[from] rusqlite::Error),
}

/// A run in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RunSummary {
    /// The run.
    pub run: RunId,
    /// The operation.
    pub operation: String,
    /// The cluster.
    pub cluster: String,
    /// How many hosts took part.
    pub hosts: usize,
    /// When it began, in milliseconds since 1970.
    pub started_ms: u64,
    /// When it ended; nothing while it runs, or when it was killed.
    pub ended_ms: Option<u64>,
    /// Whether all was done; nothing when it did not end.
    pub done: Option<bool>,
    /// Steps that changed something.
    pub changed: usize,
    /// Steps that failed for good.
    pub failed: usize,
}

/// The file.
#[derive(Debug)]
pub struct History {
    store: Connection,
    /// Where an unreadable file was put, to be told once.
    put_aside: Option<PathBuf>,
}

impl History {
    /// Where the history of a user is: `$XDG_STATE_HOME/kubespray/history.db`, else below
    /// `$HOME/.local/state`.
    pub fn default_path(environment: impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
        let state = environment("XDG_STATE_HOME").filter(|path| path.starts_with('/')).map(PathBuf::from);
        let state = state.or_else(|| Some(Path::new(&environment("HOME")?).join(".local/state")))?;
        Some(state.join("kubespray/history.db"))
    }

    /// Opens the file, or makes it. One that is damaged or of another version is put aside under another
    /// name.
    pub fn open(path: &Path) -> Result<Self, HistoryError> {
        let io = |error| HistoryError::Io { path: path.display().to_string(), error };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(io)?;
        }
        match Self::try_open(path) {
            Ok(store) => return Ok(Self { store, put_aside: None }),
            Err(error) if !is_damage(&error) => return Err(error.into()),
            Err(_) => {}
        }
        let aside = (1..1_000)
            .map(|number| path.with_extension(format!("unreadable-{number}")))
            .find(|aside| !aside.exists())
            .unwrap_or_else(|| path.with_extension("unreadable"));
        std::fs::rename(path, &aside).map_err(io)?;
        for companion in ["-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{companion}", path.display()));
        }
        Ok(Self { store: Self::try_open(path)?, put_aside: Some(aside) })
    }

    fn try_open(path: &Path) -> rusqlite::Result<Connection> {
        let store = Connection::open(path)?;
        store.busy_timeout(BUSY)?;
        let version: u32 = store.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if version == 0 {
            store.pragma_update(None, "journal_mode", "wal")?;
            store.execute_batch(&format!(
                "BEGIN IMMEDIATE; {SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
            ))?;
        } else if version != SCHEMA_VERSION {
            return Err(rusqlite::Error::SqliteFailure(
                rusqlite::ffi::Error { code: ErrorCode::NotADatabase, extended_code: 0 },
                Some(format!("version {version}")),
            ));
        }
        store.pragma_update(None, "foreign_keys", true)?;
        // The history may lose its last moments at a power loss; waiting for the disk at each step may not.
        store.pragma_update(None, "synchronous", "normal")?;
        Ok(store)
    }

    /// Where a file that could not be read was put.
    pub fn put_aside(&self) -> Option<&Path> {
        self.put_aside.as_deref()
    }

    /// Keeps events, all or none.
    pub fn record(&mut self, events: &[Event]) -> Result<(), HistoryError> {
        let transaction = self.store.transaction()?;
        for event in events {
            match &event.kind {
                EventKind::RunStarted { operation, cluster, hosts, resumed: false, .. } => {
                    transaction.execute(
                        "INSERT OR REPLACE INTO runs (run, operation, cluster, hosts, started_ms) VALUES (?1, ?2, ?3, ?4, ?5)",
                        params![event.run.as_str(), operation, cluster, *hosts as i64, event.at_ms as i64],
                    )?;
                }
                // Begun by another machine: its part is not known here.
                EventKind::RunStarted { operation, cluster, hosts, resumed: true, .. } => {
                    transaction.execute(
                        "INSERT INTO runs (run, operation, cluster, hosts, started_ms) VALUES (?1, ?2, ?3, ?4, ?5)
                         ON CONFLICT (run) DO UPDATE SET ended_ms = NULL, done = NULL, failed = 0",
                        params![event.run.as_str(), operation, cluster, *hosts as i64, event.at_ms as i64],
                    )?;
                }
                EventKind::StepDone { outcome, .. }
                    if outcome.kind != kubespray_resource::OutcomeKind::Unchanged =>
                {
                    transaction.execute(
                        "UPDATE runs SET changed = changed + 1 WHERE run = ?1",
                        [event.run.as_str()],
                    )?;
                }
                EventKind::StepFailed { retry_in_ms: None, .. } => {
                    transaction.execute(
                        "UPDATE runs SET failed = failed + 1 WHERE run = ?1",
                        [event.run.as_str()],
                    )?;
                }
                EventKind::RunFinished { done, .. } => {
                    transaction.execute(
                        "UPDATE runs SET ended_ms = ?2, done = ?3 WHERE run = ?1",
                        params![event.run.as_str(), event.at_ms as i64, done],
                    )?;
                }
                _ => {}
            }
            transaction.execute(
                "INSERT INTO events (run, number, event)
                 SELECT ?1, coalesce(max(number), 0) + 1, ?2 FROM events WHERE run = ?1",
                params![event.run.as_str(), serde_json::to_string(event).unwrap_or_default()],
            )?;
        }
        transaction.commit()?;
        Ok(())
    }

    /// All runs, the latest first.
    pub fn runs(&self) -> Result<Vec<RunSummary>, HistoryError> {
        self.select("ORDER BY started_ms DESC, run DESC", &[])
    }

    /// One run, by its id or the beginning of it; nothing where none or several begin like that.
    pub fn run(&self, id: &str) -> Result<Option<RunSummary>, HistoryError> {
        let exact = self.select("WHERE run = ?1", &[id])?;
        let mut found = if exact.is_empty() {
            self.select("WHERE substr(run, 1, length(?1)) = ?1", &[id])?
        } else {
            exact
        };
        Ok(if found.len() == 1 { found.pop() } else { None })
    }

    fn select(&self, condition: &str, values: &[&str]) -> Result<Vec<RunSummary>, HistoryError> {
        let mut statement = self.store.prepare(&format!(
            "SELECT run, operation, cluster, hosts, started_ms, ended_ms, done, changed, failed FROM runs {condition}"
        ))?;
        let rows = statement.query_map(rusqlite::params_from_iter(values), |row| {
            Ok(RunSummary {
                run: RunId(row.get(0)?),
                operation: row.get(1)?,
                cluster: row.get(2)?,
                hosts: row.get::<_, i64>(3)? as usize,
                started_ms: row.get::<_, i64>(4)? as u64,
                ended_ms: row.get::<_, Option<i64>>(5)?.map(|ms| ms as u64),
                done: row.get(6)?,
                changed: row.get::<_, i64>(7)? as usize,
                failed: row.get::<_, i64>(8)? as usize,
            })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// The events of a run, in order. Events that this version does not know are left out.
    pub fn events(&self, run: &RunId) -> Result<Vec<Event>, HistoryError> {
        let mut statement = self.store.prepare("SELECT event FROM events WHERE run = ?1 ORDER BY number")?;
        let rows = statement.query_map([run.as_str()], |row| row.get::<_, String>(0))?;
        let texts: Vec<String> = rows.collect::<rusqlite::Result<_>>()?;
        Ok(texts.iter().filter_map(|text| serde_json::from_str(text).ok()).collect())
    }

    /// Forgets all but the latest runs; gives how many went.
    pub fn keep(&mut self, latest: usize) -> Result<usize, HistoryError> {
        let kept: Option<(i64, String)> = self
            .store
            .query_row(
                "SELECT started_ms, run FROM runs ORDER BY started_ms DESC, run DESC LIMIT 1 OFFSET ?1",
                [latest as i64],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .optional()?;
        let Some((started, run)) = kept else { return Ok(0) };
        Ok(self.store.execute(
            "DELETE FROM runs WHERE started_ms < ?1 OR (started_ms = ?1 AND run <= ?2)",
            params![started, run],
        )?)
    }
}

fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt))
}

#[cfg(test)]
mod tests {
    use kubespray_resource::{ErrorClass, Failure, Outcome, OutcomeKind};

    use super::*;

    fn event(run: &str, at_ms: u64, kind: EventKind) -> Event {
        Event { run: run.into(), at_ms, kind }
    }

    fn started(resumed: bool) -> EventKind {
        EventKind::RunStarted {
            operation: "cluster".into(),
            cluster: "c".into(),
            hosts: 3,
            steps: 2,
            resumed,
        }
    }

    fn failed(retry_in_ms: Option<u64>) -> EventKind {
        EventKind::StepFailed {
            step: "a/x/y".into(),
            host: "a".into(),
            failure: Failure::new(ErrorClass::Host, "no space"),
            retry_in_ms,
        }
    }

    fn done() -> EventKind {
        EventKind::StepDone {
            step: "a/x/y".into(),
            host: "a".into(),
            outcome: Outcome {
                kind: OutcomeKind::Created,
                changes: Vec::new(),
                output: None,
                shortfall: None,
            },
            took_ms: 1,
        }
    }

    #[test]
    fn a_run_is_summed_up_and_its_events_come_back_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state/history.db");
        let finished = EventKind::RunFinished { done: true, recap: Vec::new() };
        let events = vec![
            event("r1", 1, started(false)),
            event("r1", 2, failed(Some(10))),
            event("r1", 3, done()),
            event("r1", 4, finished),
        ];
        History::open(&path).unwrap().record(&events).unwrap();
        let mut history = History::open(&path).unwrap();
        history.record(&[event("r2", 9, started(false)), event("r2", 10, failed(None))]).unwrap();
        let runs = history.runs().unwrap();
        assert_eq!((runs[0].run.as_str(), runs[0].done, runs[0].failed), ("r2", None, 1));
        assert_eq!((runs[1].changed, runs[1].failed, runs[1].ended_ms), (1, 0, Some(4)));
        assert_eq!(history.events(&"r1".into()).unwrap(), events);

        history.record(&[event("r2", 20, started(true)), event("r2", 21, done())]).unwrap();
        let resumed = history.run("r2").unwrap().unwrap();
        assert_eq!((resumed.started_ms, resumed.failed, resumed.changed), (9, 0, 1));
        assert_eq!(history.run("r").unwrap(), None, "two runs begin like that");
        assert_eq!(history.run("%").unwrap(), None);

        assert_eq!(history.keep(1).unwrap(), 1);
        assert_eq!(history.runs().unwrap().len(), 1);
        assert!(history.events(&"r1".into()).unwrap().is_empty());
    }

    #[test]
    fn a_damaged_file_is_put_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.db");
        for number in 1..=2 {
            std::fs::write(&path, "this is no database, and long enough to be looked at as one".repeat(40))
                .unwrap();
            let history = History::open(&path).unwrap();
            let aside = history.put_aside().unwrap();
            assert!(aside.ends_with(format!("history.unreadable-{number}")), "{aside:?}");
            assert!(aside.exists() && history.runs().unwrap().is_empty());
        }
        assert!(History::open(&path).unwrap().put_aside().is_none());
    }

    #[test]
    fn two_runs_write_at_the_same_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.db");
        drop(History::open(&path).unwrap());
        std::thread::scope(|scope| {
            for run in ["r1", "r2"] {
                let path = &path;
                scope.spawn(move || {
                    let mut history = History::open(path).unwrap();
                    history.record(&[event(run, 1, started(false))]).unwrap();
                    for at in 2..50 {
                        history.record(&[event(run, at, done())]).unwrap();
                    }
                });
            }
        });
        let changed: Vec<usize> =
            History::open(&path).unwrap().runs().unwrap().iter().map(|r| r.changed).collect();
        assert_eq!(changed, [48, 48]);
    }

    #[test]
    fn the_file_is_where_states_are() {
        let path = |set: &[(&str, &str)]| {
            let set: Vec<(String, String)> =
                set.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
            History::default_path(|name| set.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone()))
        };
        assert_eq!(path(&[("HOME", "/home/u")]), Some("/home/u/.local/state/kubespray/history.db".into()));
        assert_eq!(
            path(&[("HOME", "/home/u"), ("XDG_STATE_HOME", "/s")]),
            Some("/s/kubespray/history.db".into())
        );
        assert_eq!(path(&[]), None);
    }
}
