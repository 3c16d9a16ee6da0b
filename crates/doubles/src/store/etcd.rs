//! Objects in etcd, by its gateway for JSON.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{Change, Event, Item, Log};
use crate::net::client::Http;
use crate::net::tls::Identity;

const TIMEOUT: Duration = Duration::from_secs(10);

/// Nothing for so long, not even a sign of life, and the watch begins anew.
const SILENCE: Duration = Duration::from_secs(30);

/// Everything that is ours.
const ROOT: &str = "/registry/";

/// A cluster of etcd.
pub(crate) struct Etcd {
    http: Http,
}

fn encoded(text: &str) -> String {
    STANDARD.encode(text)
}

/// The end of all keys that begin so.
fn end(prefix: &str) -> String {
    let mut bytes = prefix.as_bytes().to_vec();
    if let Some(last) = bytes.last_mut() {
        *last = last.saturating_add(1);
    }
    STANDARD.encode(bytes)
}

/// Numbers are texts there, and zeros are left out.
fn number(value: Option<&Value>) -> u64 {
    match value {
        Some(Value::String(text)) => text.parse().unwrap_or_default(),
        Some(other) => other.as_u64().unwrap_or_default(),
        None => 0,
    }
}

fn text(value: &Value, key: &str) -> Option<String> {
    let bytes = STANDARD.decode(value.get(key)?.as_str()?).ok()?;
    String::from_utf8(bytes).ok()
}

fn item(kv: &Value) -> Option<Item> {
    let value = serde_json::from_str(&text(kv, "value")?).ok()?;
    Some(Item { key: text(kv, "key")?, value, revision: number(kv.get("mod_revision")) })
}

impl Etcd {
    pub(crate) fn new(urls: &[String], identity: &Identity) -> Result<Self, String> {
        Ok(Self { http: Http::new(urls, identity)? })
    }

    fn ask(&self, path: &str, body: &Value) -> Result<Value, String> {
        let mut last = String::new();
        // Another member is asked when one is gone or has no leader.
        for _ in 0..3 {
            match self.http.request(
                "POST",
                path,
                &[("Content-Type", "application/json")],
                Some(body.to_string().as_bytes()),
                TIMEOUT,
            ) {
                Ok(response) if response.status == 200 => {
                    return serde_json::from_slice(&response.body).map_err(|error| format!("etcd: {error}"));
                }
                Ok(response) => {
                    last = format!("etcd: {} {}", response.status, String::from_utf8_lossy(&response.body));
                }
                Err(error) => last = format!("etcd: {error}"),
            }
        }
        Err(last)
    }

    /// The version of the member that answers.
    pub(crate) fn version(&self) -> Result<String, String> {
        let response = self.http.request("GET", "/version", &[], None, TIMEOUT)?;
        let answer: Value = serde_json::from_slice(&response.body).map_err(|error| error.to_string())?;
        answer
            .get("etcdserver")
            .and_then(Value::as_str)
            .map(str::to_owned)
            .ok_or_else(|| "etcd tells no version".into())
    }

    pub(crate) fn get(&self, key: &str) -> Result<Option<Item>, String> {
        let answer = self.ask("/v3/kv/range", &json!({"key": encoded(key)}))?;
        Ok(answer.pointer("/kvs/0").and_then(item))
    }

    pub(crate) fn list(&self, prefix: &str) -> Result<(Vec<Item>, u64), String> {
        let answer = self.ask("/v3/kv/range", &json!({"key": encoded(prefix), "range_end": end(prefix)}))?;
        let kvs = answer.get("kvs").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        Ok((kvs.iter().filter_map(item).collect(), number(answer.pointer("/header/revision"))))
    }

    fn change(&self, key: &str, expected: u64, operation: Value) -> Result<Option<u64>, String> {
        let compare = json!({"key": encoded(key), "result": "EQUAL", "target": "MOD", "mod_revision": expected.to_string()});
        let answer = self.ask("/v3/kv/txn", &json!({"compare": [compare], "success": [operation]}))?;
        let succeeded = answer.get("succeeded").and_then(Value::as_bool).unwrap_or_default();
        Ok(succeeded.then(|| number(answer.pointer("/header/revision"))))
    }

    pub(crate) fn put(&self, key: &str, value: &Value, expected: u64) -> Result<Option<u64>, String> {
        let put = json!({"request_put": {"key": encoded(key), "value": encoded(&value.to_string())}});
        self.change(key, expected, put)
    }

    pub(crate) fn delete(&self, key: &str, expected: u64) -> Result<Option<u64>, String> {
        self.change(key, expected, json!({"request_delete_range": {"key": encoded(key)}}))
    }

    /// Writes all changes down, for ever.
    pub(crate) fn follow(&self, log: &Log) {
        let mut next = None;
        loop {
            if let Err(error) = self.follow_from(&mut next, log) {
                crate::told(&format!("watch of etcd: {error}"));
            }
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    fn follow_from(&self, next: &mut Option<u64>, log: &Log) -> Result<(), String> {
        let from = if let Some(from) = *next {
            from
        } else {
            let (_, revision) = self.list("/registry/none/")?;
            log.begin(revision);
            revision + 1
        };
        *next = Some(from);
        let body = json!({"create_request": {"key": encoded(ROOT), "range_end": end(ROOT), "prev_kv": true,
            "progress_notify": true, "start_revision": from.to_string()}});
        let (status, mut lines) = self.http.lines(
            "POST",
            "/v3/watch",
            &[("Content-Type", "application/json")],
            Some(body.to_string().as_bytes()),
            SILENCE,
        )?;
        if status != 200 {
            return Err(format!("status {status}"));
        }
        // A member that lost its cluster goes on in silence: the watch begins anew at times.
        while let Ok(Some(line)) = lines.next() {
            let answer: Value = serde_json::from_slice(&line).map_err(|error| error.to_string())?;
            let Some(result) = answer.get("result") else { return Err(answer.to_string()) };
            if number(result.get("compact_revision")) > 0 || result.get("canceled").is_some() {
                *next = None;
                return Err("changes were compacted".into());
            }
            for event in result.get("events").and_then(Value::as_array).into_iter().flatten() {
                let Some(kv) = event.get("kv") else { continue };
                let revision = number(kv.get("mod_revision"));
                *next = Some(revision + 1);
                let before = event.get("prev_kv").and_then(item).map(|item| item.value);
                let Some(key) = text(kv, "key") else { continue };
                let (change, value, before) = if event.get("type").and_then(Value::as_str) == Some("DELETE") {
                    (Change::Deleted, before, None)
                } else {
                    let change = if before.is_some() { Change::Modified } else { Change::Added };
                    (change, item(kv).map(|item| item.value), before)
                };
                if let Some(value) = value {
                    log.add(Event { revision, key, change, value, before });
                }
            }
        }
        Ok(())
    }
}
