//! A window into a running core, for onlookers in the same process (a nemesis that wants to know
//! who leads now, a test). Looking changes nothing.

use mailstorm_shared::machine::Core;
use std::cell::RefCell;
use std::rc::Rc;

/// A handle that shows the core it was given to, while that runs.
pub struct Probe<C>(Rc<RefCell<Window<C>>>);

struct Window<C> {
    core: Option<Rc<RefCell<C>>>,
    /// Which process it shows. A dead one may be dropped after the next has begun, and must not
    /// close the window then.
    incarnation: u64,
}

impl<C> Clone for Probe<C> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<C> Default for Probe<C> {
    fn default() -> Self {
        Self(Rc::new(RefCell::new(Window { core: None, incarnation: 0 })))
    }
}

impl<C: Core> Probe<C> {
    /// Looks at the core; `None` when it does not run.
    pub fn look<T>(&self, look: impl FnOnce(&C) -> T) -> Option<T> {
        self.0.borrow().core.as_ref().map(|core| look(&core.borrow()))
    }

    pub(crate) fn show(&self, core: Rc<RefCell<C>>) {
        self.0.borrow_mut().core = Some(core);
    }

    /// A process begins. The window closes when what is returned is dropped.
    pub(crate) fn while_running(&self) -> impl Drop + use<C> {
        let mut window = self.0.borrow_mut();
        window.incarnation += 1;
        window.core = None;
        Shown { probe: self.clone(), incarnation: window.incarnation }
    }
}

struct Shown<C> {
    probe: Probe<C>,
    incarnation: u64,
}

impl<C> Drop for Shown<C> {
    fn drop(&mut self) {
        let mut window = self.probe.0.borrow_mut();
        if window.incarnation == self.incarnation {
            window.core = None;
        }
    }
}
