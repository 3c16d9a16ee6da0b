//! What filters, tests, lookups and functions get, and what they give.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kubespray_diagnostics::did_you_mean;
use kubespray_value::{Error, ErrorKind, Value};

/// Where the names of a template come from.
pub trait Scope: Send + Sync {
    /// The value of a variable, evaluated; `None` where nobody defines it. A variable whose own template
    /// names something undefined is a [`Value::Undefined`], not an error (ANS-028).
    fn resolve(&self, name: &str) -> Result<Option<Value>, Error>;

    /// All names that are defined, for `did you mean`.
    fn names(&self) -> Vec<String> {
        Vec::new()
    }

    /// Evaluates a value as a variable's value would be: templates in it are rendered. The lookups
    /// `vars` and `file` and the like need it.
    fn template(&self, value: &Value) -> Result<Value, Error>;
}

/// The world outside of the inventory, as far as templates may see it.
pub trait World: Send + Sync + fmt::Debug {
    /// An environment variable.
    fn environment(&self, name: &str) -> Option<String>;
    /// The bytes of a file; the error names the file.
    fn read_file(&self, path: &Path) -> Result<Vec<u8>, Error>;
    /// Files that match a glob pattern, sorted.
    fn glob(&self, pattern: &str) -> Vec<PathBuf>;
    /// Folders in which relative paths are looked for, in order.
    fn search_path(&self) -> Vec<PathBuf>;
    /// The home folder of a user, or of the caller.
    fn home(&self, user: Option<&str>) -> Option<PathBuf>;
    /// Follows links and makes a path absolute, as far as it exists.
    fn real_path(&self, path: &Path) -> PathBuf;
    /// Seconds and nanoseconds since 1970, UTC.
    fn now(&self) -> (i64, u32);
    /// Fresh random bits.
    fn random(&self) -> u64;
    /// Runs a shell command for the lookup `pipe` and gives its output; refused unless the user allows it.
    fn pipe(&self, command: &str) -> Result<String, Error>;
}

/// A filter: what stands before the bar, and the arguments.
pub type Filter = fn(&Context<'_>, Value, &Args) -> Result<Value, Error>;
/// A test: what stands before `is`, and the arguments.
pub type Test = fn(&Context<'_>, Value, &Args) -> Result<bool, Error>;
/// A function such as `lookup` or `range`.
pub type Function = fn(&Context<'_>, &Args) -> Result<Value, Error>;

/// All filters, tests and functions by name.
#[derive(Clone, Default)]
pub struct Library {
    /// Filters; names may be dotted (`ansible.utils.ipaddr`).
    pub filters: HashMap<&'static str, Filter>,
    /// Tests.
    pub tests: HashMap<&'static str, Test>,
    /// Functions.
    pub functions: HashMap<&'static str, Function>,
}

impl fmt::Debug for Library {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (filters, tests, functions) = (self.filters.len(), self.tests.len(), self.functions.len());
        write!(f, "Library({filters} filters, {tests} tests, {functions} functions)")
    }
}

/// What a call may use besides its arguments.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// Variables.
    pub scope: &'a dyn Scope,
    /// Filters, tests, functions.
    pub library: &'a Library,
    /// Files, environment, clock.
    pub world: &'a dyn World,
}

impl fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Context")
    }
}

impl Context<'_> {
    /// Calls a filter by name, as `map('upper')` does.
    pub fn filter(&self, name: &str, value: Value, args: &Args) -> Result<Value, Error> {
        match self.library.filters.get(name) {
            Some(filter) => filter(self, value, args),
            None => Err(unknown("filter", name, self.library.filters.keys().copied())),
        }
    }

    /// Calls a test by name, as `select('defined')` does.
    pub fn test(&self, name: &str, value: Value, args: &Args) -> Result<bool, Error> {
        match self.library.tests.get(name) {
            Some(test) => test(self, value, args),
            None => Err(unknown("test", name, self.library.tests.keys().copied())),
        }
    }
}

pub(crate) fn unknown(what: &str, name: &str, known: impl Iterator<Item = &'static str>) -> Error {
    let error = Error::new(ErrorKind::Unknown, format!("no {what} named `{name}`"));
    // In order, so that of two names that are equally near always the same is proposed.
    let known: BTreeSet<&str> = known.collect();
    match did_you_mean(name, known) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error,
    }
}

/// Arguments of a call.
#[derive(Clone, Debug, Default)]
pub struct Args {
    /// Those without a name.
    pub positional: Vec<Value>,
    /// Those with a name, in the order given.
    pub named: Vec<(Arc<str>, Value)>,
}

impl Args {
    /// Positional arguments only.
    pub fn of(positional: Vec<Value>) -> Self {
        Self { positional, named: Vec::new() }
    }

    /// A named argument.
    pub fn named(&self, name: &str) -> Option<&Value> {
        self.named.iter().find(|(key, _)| &**key == name).map(|(_, value)| value)
    }

    /// The argument of a parameter, given by position or by name.
    pub fn get(&self, position: usize, name: &str) -> Option<&Value> {
        self.positional.get(position).or_else(|| self.named(name))
    }

    /// Like [`Args::get`], but its absence is an error.
    pub fn require(&self, position: usize, name: &str) -> Result<&Value, Error> {
        self.get(position, name).ok_or_else(|| Error::of_type(format!("missing argument `{name}`")))
    }

    /// Refuses arguments that no parameter takes: `parameters` names all, in order.
    pub fn only(&self, parameters: &[&str]) -> Result<(), Error> {
        if self.positional.len() > parameters.len() {
            return Err(Error::of_type(format!(
                "takes at most {} arguments, {} given",
                parameters.len(),
                self.positional.len()
            )));
        }
        for (index, (name, _)) in self.named.iter().enumerate() {
            match parameters.iter().position(|parameter| *parameter == &**name) {
                None => return Err(Error::of_type(format!("unexpected argument `{name}`"))),
                Some(position) if position < self.positional.len() => {
                    return Err(Error::of_type(format!("argument `{name}` given twice")));
                }
                Some(_) if self.named.iter().take(index).any(|(other, _)| other == name) => {
                    return Err(Error::of_type(format!("argument `{name}` given twice")));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// The arguments behind the first `count` positional ones, names kept.
    pub fn skip(&self, count: usize) -> Self {
        Self { positional: self.positional.iter().skip(count).cloned().collect(), named: self.named.clone() }
    }
}
