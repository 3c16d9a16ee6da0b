//! `kubespray inventory …`

pub(crate) mod graph;
pub(crate) mod host;
pub(crate) mod init;
pub(crate) mod list;
