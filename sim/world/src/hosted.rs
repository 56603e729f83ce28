//! A core as the program of a node.
//!
//! Owns: driving it by the host's own loop, showing its state to onlookers, and its last words.
//! Start at [`Process::host`].

use crate::node::Window;
use crate::scenario::Process;
use mailstorm_host::{Probe, Settings, serve};
use mailstorm_shared::machine::{Core, Start};
use std::future::Future;
use std::pin::Pin;

/// The program of a node, from its start to its end.
pub type Program = Pin<Box<dyn Future<Output = ()>>>;

impl Process {
    /// Runs this core on the node, until it ends by itself: then its words are the node's last
    /// ones.
    pub fn host(self, core: impl Start) -> Program {
        let (platform, settings) = (self.platform, Settings::default());
        platform.show(settings.probe.clone());
        Box::pin(async move {
            if let Err(end) = serve(platform.clone(), core, settings).await {
                platform.last_words(&end.to_string());
            }
        })
    }
}

impl<C: Core> Window for Probe<C> {
    fn glance(&self) -> Option<u64> {
        self.look(Core::glance)
    }

    fn look(&self) -> Option<u64> {
        self.look(Core::state_hash)
    }
}
