//! Which of several helpers applies steps on a host.
//!
//! A connection that is lost leaves its helper alone for up to a minute, with steps in its queue, while the controller
//! has long connected again. The newer helper takes the host over with its first step; the older one begins no other.

use kubespray_resource::{ErrorClass, Failure, Mode, Owner};

use crate::Host;
use crate::paths::{self, BASE, HELPER};

/// What tells a helper from others of its host.
#[derive(Clone, Debug, Default)]
pub(crate) struct Takeover {
    own: Option<String>,
}

impl Takeover {
    /// Takes the host over, or fails where a newer helper has done so since.
    pub(crate) fn claim(&mut self, host: &dyn Host) -> Result<(), Failure> {
        let Some(own) = &self.own else {
            let own = format!("{} {} {}", host.boot_id()?, host.monotonic_us(), std::process::id());
            paths::ensure(host, BASE)?;
            host.write(HELPER, own.as_bytes(), Mode::PRIVATE, &Owner::root())?;
            self.own = Some(own);
            return Ok(());
        };
        match host.read(HELPER)? {
            Some(newest) if newest != own.as_bytes() => {
                Err(Failure::new(ErrorClass::Cancelled, "a newer connection works on this host"))
            }
            _ => Ok(()),
        }
    }
}
