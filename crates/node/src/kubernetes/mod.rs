//! A small client of Kubernetes' API server: what our kinds need, one request at a time.

pub(crate) mod client;
pub(crate) mod diff;
pub(crate) mod drain;
mod error;
mod expiry;
mod flat_yaml;
pub(crate) mod health;
pub(crate) mod kubeconfig;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

pub(crate) use client::{Client, Delete};
pub(crate) use error::ApiError;

use crate::Host;

/// The API servers that were asked during one look at a host. One that does not answer is not asked again.
#[derive(Default)]
pub(crate) struct Clients<'h>(RefCell<BTreeMap<String, Rc<Client<'h>>>>);

impl<'h> Clients<'h> {
    /// The API server of a kubeconfig.
    pub(crate) fn get(&self, host: &'h dyn Host, kubeconfig: &str) -> Result<Rc<Client<'h>>, ApiError> {
        if let Some(client) = self.0.borrow().get(kubeconfig) {
            return Ok(Rc::clone(client));
        }
        let client = Rc::new(Client::open_for_look(host, kubeconfig)?);
        self.0.borrow_mut().insert(kubeconfig.to_owned(), Rc::clone(&client));
        Ok(client)
    }
}
