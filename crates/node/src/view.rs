//! One look at a host: what several resources ask for is asked once.

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use kubespray_resource::{Digest, Failure, ImageEngine, Packages, Resource, Token};

use crate::digests::Digests;
use crate::kinds::image::Images;
use crate::kinds::packages::Installed;
use crate::kinds::unit::Shown;
use crate::kubernetes::Clients;
use crate::{Host, HostError, tokens};

/// A look at a host. It remembers what it saw, so it must not outlive a change.
pub struct View<'h> {
    pub(crate) host: &'h dyn Host,
    /// Names of units that will be asked for.
    pub(crate) unit_names: Vec<&'h str>,
    /// Sets of packages that will be asked for.
    pub(crate) package_sets: Vec<&'h Packages>,
    pub(crate) units: OnceCell<Result<BTreeMap<String, Shown>, Failure>>,
    pub(crate) packages: RefCell<BTreeMap<String, Result<Installed, Failure>>>,
    pub(crate) images: RefCell<BTreeMap<ImageEngine, Result<Images, Failure>>>,
    texts: RefCell<BTreeMap<String, Option<String>>>,
    tokens: OnceCell<BTreeSet<Token>>,
    pub(crate) clients: Clients<'h>,
    digests: Digests,
}

impl std::fmt::Debug for View<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("View").field("units", &self.unit_names).finish_non_exhaustive()
    }
}

impl<'h> View<'h> {
    /// A look at a host for the sake of some resources.
    pub fn new(host: &'h dyn Host, resources: impl IntoIterator<Item = &'h Resource>) -> Self {
        let mut unit_names = BTreeSet::new();
        let mut package_sets = Vec::new();
        for resource in resources {
            match resource {
                Resource::Unit(unit) => {
                    unit_names.insert(unit.name.as_str());
                }
                Resource::Packages(packages) => package_sets.push(packages),
                _ => {}
            }
        }
        Self {
            host,
            unit_names: unit_names.into_iter().collect(),
            package_sets,
            units: OnceCell::new(),
            packages: RefCell::default(),
            images: RefCell::default(),
            texts: RefCell::default(),
            tokens: OnceCell::new(),
            clients: Clients::default(),
            digests: Digests::default(),
        }
    }

    /// The text of a file that several resources look at; nothing where there is none.
    pub(crate) fn text(&self, path: &str) -> Result<Option<String>, HostError> {
        if let Some(known) = self.texts.borrow().get(path) {
            return Ok(known.clone());
        }
        let text = self.host.read(path)?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        self.texts.borrow_mut().insert(path.to_owned(), text.clone());
        Ok(text)
    }

    /// The digest of a file, links followed; nothing where there is none. A large one that did not change since it
    /// was last read is not read again.
    pub(crate) fn digest(&self, path: &str) -> Result<Option<Digest>, HostError> {
        self.digests.of(self.host, path)
    }

    /// Keeps digests for the next look. That they cannot be kept is no failure: they are computed again.
    pub(crate) fn keep_digests(&self) {
        self.digests.keep(self.host);
    }

    /// Whether a token waits.
    pub(crate) fn is_pending(&self, token: &Token) -> Result<bool, HostError> {
        if let Some(tokens) = self.tokens.get() {
            return Ok(tokens.contains(token));
        }
        let tokens = tokens::all(self.host)?;
        Ok(self.tokens.get_or_init(|| tokens).contains(token))
    }
}
