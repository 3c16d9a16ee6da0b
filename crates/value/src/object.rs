//! Values that are computed when they are asked for.

use std::fmt;

use crate::{Error, Value};

/// A mapping whose entries are made on demand, such as `hostvars`.
pub trait Object: fmt::Debug + Send + Sync {
    /// The Python class that users would see, such as `HostVars`.
    fn type_name(&self) -> &'static str;

    /// The entry of a key; `None` where there is none.
    fn get(&self, key: &Value) -> Result<Option<Value>, Error>;

    /// All keys, in order.
    fn keys(&self) -> Vec<Value>;
}
