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
