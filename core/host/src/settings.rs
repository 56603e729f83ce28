//! What a host is told besides its core.

use crate::{Probe, StopRequest};
use mailstorm_shared::machine::{Address, Core};
use std::rc::Rc;

/// What is called when a core can be reached: with the addresses of its ports, in their order, as
/// the machine has given them; `None` for ports that are only dialled from.
pub type OnListening = Rc<dyn Fn(&[Option<Address>])>;

/// See the module's head.
pub struct Settings<C: Core> {
    /// Room on the disk that is set aside, so that a core whose disk is full can start again. None
    /// by default.
    pub reserve_bytes: u64,
    /// Called once, when the core can be reached.
    pub on_listening: Option<OnListening>,
    /// By which the core is asked to end in order; keep a clone of it.
    pub stop: StopRequest,
    /// A window for onlookers; keep a clone of it.
    pub probe: Probe<C>,
}

impl<C: Core> Default for Settings<C> {
    fn default() -> Self {
        Self {
            reserve_bytes: 0,
            on_listening: None,
            stop: StopRequest::default(),
            probe: Probe::default(),
        }
    }
}
