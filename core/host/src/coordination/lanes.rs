//! The two lanes on which a server's disk is written.
//!
//! Owns: who waits for whom. Leaves: which files, to `mailstorm_coordination::storage`.
//! Holds: every acknowledgement waits for the log's lane and for nothing on the other, where our own
//! snapshots are written and old files are removed. What a command on that other lane asks for is begun when
//! everything before it is durable. A leader's snapshot begins on the log's lane when the other is idle,
//! and what waits there of a snapshot of our own is void.

use super::host::Host;
use crate::signal::Signal;
use crate::storage;
use mailstorm_coordination::io::{DiskCommand, DiskTicket, Input};
use mailstorm_coordination::storage::{FileOp, Writer};
use mailstorm_platform::Platform;
use mailstorm_shared::facts::EnsembleFact;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

/// A command on its way to the disk.
#[derive(Debug)]
pub(super) struct DiskWork {
    pub(super) lane: Lane,
    pub(super) ticket: DiskTicket,
    pub(super) command: DiskCommand,
}

/// For whom a command is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    /// Acknowledgements wait for it.
    Log,
    /// None does.
    Aside,
}

/// The second lane. The core asks for one piece of a snapshot at a time, so little waits here.
#[derive(Debug, Default)]
pub(super) struct Aside {
    waiting: RefCell<VecDeque<(DiskTicket, Vec<FileOp>)>>,
    busy: Cell<bool>,
    pub(super) work: Signal,
    pub(super) idle: Signal,
}

impl Aside {
    fn push(&self, ticket: DiskTicket, ops: Vec<FileOp>) {
        self.waiting.borrow_mut().push_back((ticket, ops));
        self.busy.set(true);
        self.work.raise();
    }
}

/// The log's lane: all commands that wait, one sync for them together, then the answer.
pub(super) async fn write_log<P: Platform>(host: Rc<Host<P>>, mut writer: Writer) {
    let mut batch = Vec::new();
    let mut ops = Vec::new();
    loop {
        std::mem::swap(&mut batch, &mut host.core.borrow_mut().disk_queue);
        if batch.is_empty() {
            if host.stopping.get() {
                host.ended.raise();
                return;
            }
            host.disk_work.wait().await;
            if host.stopped.get() {
                return;
            }
            continue;
        }
        if let Some(begins) = batch.iter().rposition(begins_a_leaders_snapshot) {
            while host.aside.busy.get() {
                host.aside.idle.wait().await;
                if host.stopped.get() {
                    return;
                }
            }
            let mut index = 0;
            batch.retain(|work| {
                index += 1;
                work.lane == Lane::Log || index > begins
            });
        }
        let mut last = None;
        let mut behind = Vec::new();
        for DiskWork { lane, ticket, command } in batch.drain(..) {
            match lane {
                Lane::Log => {
                    writer.command(&command, &mut ops);
                    last = Some(ticket);
                }
                Lane::Aside => {
                    let mut aside = Vec::new();
                    writer.aside(&command, &mut ops, &mut aside);
                    behind.push((ticket, aside));
                }
            }
        }
        let durable = writer.commit(&mut ops);
        if let Err(reason) = storage::carry_out(&host.disk, &mut ops).await {
            host.end(reason);
            return;
        }
        if host.stopped.get() {
            return;
        }
        // The other lane first, so that it does not wait for what the answer causes.
        behind.into_iter().for_each(|(ticket, ops)| host.aside.push(ticket, ops));
        if let Some(zxid) = durable {
            host.platform.observe(EnsembleFact::Durable { zxid });
        }
        if let Some(ticket) = last {
            host.turn(|turn| turn.step(Input::DiskDone { ticket }));
        }
    }
}

fn begins_a_leaders_snapshot(work: &DiskWork) -> bool {
    work.lane == Lane::Log && matches!(work.command, DiskCommand::SnapshotBegin { .. })
}

/// The second lane. A server that ends does not wait for it: half a snapshot is as good as none.
pub(super) async fn write_aside<P: Platform>(host: Rc<Host<P>>) {
    loop {
        let next = host.aside.waiting.borrow_mut().pop_front();
        let Some((ticket, mut ops)) = next else {
            host.aside.busy.set(false);
            host.aside.idle.raise();
            host.aside.work.wait().await;
            if host.stopped.get() {
                return;
            }
            continue;
        };
        if let Err(reason) = storage::carry_out(&host.disk, &mut ops).await {
            host.end(reason);
            return;
        }
        if host.stopped.get() {
            return;
        }
        host.turn(|turn| turn.step(Input::AsideDone { ticket }));
    }
}
