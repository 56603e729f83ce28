//! The two lanes on which a core's disk is written.
//!
//! Owns: when each is free. Leaves: what is written on which, to the core.
//! Holds: what waits while a lane is busy is taken together, so that one sync serves all of it.

use crate::disk;
use crate::host::Host;
use mailstorm_platform::Platform;
use mailstorm_shared::machine::{Core, FileOp, Input, Lane, Writes};
use std::rc::Rc;

/// The lane for which acknowledgements wait. A core that was asked to end does so when nothing
/// waits for this lane.
pub(crate) async fn write_log<P: Platform, C: Core>(host: Rc<Host<P, C>>) {
    let mut ops = Vec::new();
    while !host.stopped.get() {
        match host.take_writes(Lane::Log, &mut ops) {
            Writes::Some => {
                if !write(&host, Lane::Log, &mut ops).await {
                    return;
                }
            }
            Writes::None if host.stopping.get() => {
                host.ended.raise();
                return;
            }
            Writes::None => host.log_work.wait().await,
            Writes::AfterOtherLane => host.aside_idle.wait().await,
        }
    }
}

/// The other lane. A core that ends does not wait for it.
pub(crate) async fn write_aside<P: Platform, C: Core>(host: Rc<Host<P, C>>) {
    let mut ops = Vec::new();
    while !host.stopped.get() {
        match host.take_writes(Lane::Aside, &mut ops) {
            Writes::Some => {
                if !write(&host, Lane::Aside, &mut ops).await {
                    return;
                }
            }
            Writes::None | Writes::AfterOtherLane => {
                host.aside_idle.raise();
                host.aside_work.wait().await;
            }
        }
    }
}

/// Carries out what a lane was given; whether the lane goes on.
async fn write<P: Platform, C: Core>(host: &Host<P, C>, lane: Lane, ops: &mut Vec<FileOp>) -> bool {
    if let Err(reason) = disk::carry_out(&host.disk, ops).await {
        host.end(reason);
        return false;
    }
    if host.stopped.get() {
        return false;
    }
    host.turn(|turn| turn.step(Input::DiskDone { lane }));
    true
}
