//! Names that must not be confused with other texts.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl $name {
            /// The text of the name.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name! {
    /// A step of a plan: `host/component/what`, the same in every plan for the same wish.
    StepId
}
name! {
    /// One execution of a plan.
    RunId
}
name! {
    /// Something on a host that waits to happen because an input of it changed, such as
    /// `unit:containerd.service`. It is kept on the host until it happened, so a crash between the change
    /// and the restart loses nothing.
    Token
}

impl Token {
    /// The restart of a systemd unit.
    pub fn restart_of(unit: &str) -> Self {
        Self(format!("unit:{unit}"))
    }

    /// The next boot of the host. It counts only in the boot in which it was left.
    pub fn reboot() -> Self {
        Self("reboot".into())
    }
}
