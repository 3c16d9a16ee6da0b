//! Programs around a cluster.

pub(crate) mod coredns;
pub(crate) mod crictl;
pub(crate) mod helm;
pub(crate) mod kubectl;
pub(crate) mod nerdctl;
pub(crate) mod pause;
pub(crate) mod proxy;
