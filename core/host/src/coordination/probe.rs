//! A window into a running server, for onlookers in the same process (a nemesis that wants to know who
//! leads now, a test). Looking changes nothing.

use mailstorm_coordination::replica::Role;
use mailstorm_coordination::server::Server;
use mailstorm_shared::{Epoch, ServerId, Zxid};
use std::cell::RefCell;
use std::rc::Rc;

/// A handle that shows the server it was given to, while that runs.
#[derive(Clone, Default)]
pub struct ServerProbe(Rc<RefCell<Window>>);

#[derive(Default)]
struct Window {
    server: Option<Rc<RefCell<Server>>>,
    /// Which process it shows. A dead one may be dropped after the next has begun, and must not close
    /// the window then.
    incarnation: u64,
}

/// What a server is at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ServerReport {
    /// Who.
    pub server: ServerId,
    /// What it is to the ensemble.
    pub role: Role,
    /// Whether clients are served.
    pub serving: bool,
    /// The leader, while clients are served.
    pub leader: Option<ServerId>,
    /// The epoch it serves in, or the last one it took part in.
    pub epoch: Epoch,
    /// The last transaction its clients can see.
    pub last_applied: Zxid,
}

impl ServerProbe {
    /// What the server is now; `None` when it does not run.
    pub fn report(&self) -> Option<ServerReport> {
        self.look(|server| ServerReport {
            server: server.me(),
            role: server.role(),
            serving: server.is_serving(),
            leader: server.replica().leader(),
            epoch: server.replica().epoch(),
            last_applied: server.last_applied(),
        })
    }

    /// A hash of everything the server knows; costs as much as the server is large.
    pub fn state_hash(&self) -> Option<u64> {
        self.look(Server::state_hash)
    }

    fn look<T>(&self, look: impl FnOnce(&Server) -> T) -> Option<T> {
        self.0.borrow().server.as_ref().map(|server| look(&server.borrow()))
    }

    pub(super) fn show(&self, server: Rc<RefCell<Server>>) {
        self.0.borrow_mut().server = Some(server);
    }

    /// A process begins. The window closes when what is returned is dropped.
    pub(super) fn while_running(&self) -> impl Drop + use<> {
        let mut window = self.0.borrow_mut();
        window.incarnation += 1;
        window.server = None;
        Shown { probe: self.clone(), incarnation: window.incarnation }
    }
}

struct Shown {
    probe: ServerProbe,
    incarnation: u64,
}

impl Drop for Shown {
    fn drop(&mut self) {
        let mut window = self.probe.0.borrow_mut();
        if window.incarnation == self.incarnation {
            window.server = None;
        }
    }
}
