//! Whole files that we own.

use serde::{Deserialize, Serialize};

use super::PathKind;
use crate::{Comparison, Content, Digest, MissingSecret, Mode, Owner, Secrets};

/// A file with its bytes, mode and owner. It is written beside, synced and renamed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Absolute path.
    pub path: String,
    /// What it holds.
    pub content: Content,
    /// Who may do what.
    pub mode: Mode,
    /// Who owns it.
    pub owner: Owner,
    /// Whether a file that exists keeps its bytes; mode and owner still count.
    #[serde(default)]
    pub keep_content: bool,
}

/// What is at the path of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileState {
    /// What it is. Anything but a file is replaced, but for a folder, which is an error.
    pub kind: PathKind,
    /// The digest of its bytes; of the file that a link leads to, nothing.
    pub digest: Option<Digest>,
    /// Its size in bytes.
    pub size: u64,
    /// Its mode.
    pub mode: Mode,
    /// Its owner, by names where they have any.
    pub owner: Owner,
}

impl File {
    /// How the file differs; `None` is a missing file.
    pub fn compare(&self, state: Option<&FileState>, secrets: &Secrets) -> Result<Comparison, MissingSecret> {
        let mut out = Comparison::default();
        let wanted = self.content.digest(secrets)?;
        let Some(state) = state else {
            out.add("file", None, Some(format!("{} {}", self.mode, self.owner)));
            return Ok(out);
        };
        out.field("kind", &state.kind, &PathKind::File);
        if !self.keep_content && state.kind == PathKind::File && (wanted.is_none() || state.digest != wanted)
        {
            let short = |digest: &Digest| format!("sha256 {}", digest.as_str().get(..12).unwrap_or_default());
            if self.content.is_secret() {
                out.add("content", None, None);
            } else {
                let to = wanted.as_ref().map_or_else(|| "not known yet".to_owned(), short);
                out.add("content", state.digest.as_ref().map(short), Some(to));
            }
        }
        out.field("mode", &state.mode, &self.mode);
        out.field("owner", &state.owner, &self.owner);
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> File {
        File {
            path: "/etc/x".into(),
            content: Content::Text("a\n".into()),
            mode: Mode::PUBLIC,
            owner: Owner::root(),
            keep_content: false,
        }
    }

    fn state(text: &str) -> FileState {
        FileState {
            kind: PathKind::File,
            digest: Some(Digest::of(text.as_bytes())),
            size: text.len() as u64,
            mode: Mode::PUBLIC,
            owner: Owner::root(),
        }
    }

    fn differs(file: &File, state: Option<&FileState>) -> Vec<String> {
        let compared = file.compare(state, &Secrets::default()).unwrap();
        compared.changes.into_iter().map(|change| change.what).collect()
    }

    #[test]
    fn every_field_counts() {
        assert!(differs(&file(), Some(&state("a\n"))).is_empty());
        assert_eq!(differs(&file(), None), ["file"]);
        assert_eq!(differs(&file(), Some(&state("b\n"))), ["content"]);
        assert_eq!(differs(&file(), Some(&FileState { mode: Mode(0o600), ..state("a\n") })), ["mode"]);
        let other = Owner { user: "etcd".into(), group: "root".into() };
        assert_eq!(differs(&file(), Some(&FileState { owner: other, ..state("a\n") })), ["owner"]);
        let link = FileState { kind: PathKind::Link, digest: None, ..state("a\n") };
        assert_eq!(differs(&file(), Some(&link)), ["kind"]);
        assert!(differs(&File { keep_content: true, ..file() }, Some(&state("b\n"))).is_empty());
        let unknown = File { content: Content::Output("h/x/y".into()), ..file() };
        assert_eq!(differs(&unknown, Some(&state("a\n"))), ["content"]);
        assert_eq!(differs(&unknown, Some(&FileState { digest: None, ..state("a\n") })), ["content"]);
    }

    #[test]
    fn secrets_are_compared_and_not_shown() {
        let mut secrets = Secrets::default();
        secrets.insert("p", "hunter22");
        let file = File { content: Content::Secret("p={secret:p}".into()), ..file() };
        assert!(file.compare(Some(&state("p=hunter22")), &secrets).unwrap().is_same());
        let changed = file.compare(Some(&state("p=old")), &secrets).unwrap();
        assert_eq!((&changed.changes[0].from, &changed.changes[0].to), (&None, &None));
        assert!(file.compare(None, &Secrets::default()).is_err());
    }
}
