//! Why something could not be done.

use std::path::Path;
use std::{error, fmt, io};

/// What went wrong, why, and what to do. Texts hold no secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// In one line.
    pub message: String,
    /// What led to it.
    pub because: Vec<String>,
    /// What to do next.
    pub hint: Option<String>,
}

impl Problem {
    /// A problem.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), because: Vec::new(), hint: None }
    }

    /// With something that led to it.
    pub fn because(mut self, why: impl Into<String>) -> Self {
        self.because.push(why.into());
        self
    }

    /// With what to do.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.because.iter().try_for_each(|why| write!(f, "; {why}"))
    }
}

impl error::Error for Problem {}

/// What a system call refused, such as `cannot write` a path.
pub(crate) fn cannot(verb: &str, path: &Path) -> impl Fn(io::Error) -> Problem {
    let what = format!("cannot {verb} `{}`", path.display());
    move |error| Problem::new(format!("{what}: {error}"))
}

/// A URL as it may be shown: without user and password.
pub(crate) fn shown(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let server = authority.rsplit_once('@').map_or(authority, |(_, server)| server);
    format!("{scheme}://{server}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_in_urls_are_not_shown() {
        assert_eq!(shown("https://me:secret@h:1/a@b/c"), "https://h:1/a@b/c");
        assert_eq!(shown("https://h/a@b"), "https://h/a@b");
        assert_eq!(shown("https://me:se@cret@h"), "https://h");
        assert_eq!(shown("no url"), "no url");
    }
}
