//! A node's disk: its files, its pace, and what is wrong with it.
//!
//! Owns: how long things take, faults that come and go, operations in progress. Leaves: contents
//! and crashes to [`files`].
//! Holds: one device does one thing at a time, in the order of the requests; an operation that a
//! dead process requested is never reported as done.

pub(crate) mod files;

use crate::queue::{Control, Due};
use crate::scenario::DiskSpeed;
use crate::slab::Id;
use crate::stream::Stream;
use crate::world::World;
use bytes::Bytes;
use files::{Files, SyncMark};
use std::collections::VecDeque;
use std::io;
use std::task::{Poll, Waker};

/// One node's disk.
pub(crate) struct Device {
    pub(crate) files: Files,
    pub(crate) faults: DiskFaults,
    /// A sync was begun that a fault tears.
    pub(crate) is_torn: bool,
    stream: Stream,
    free_at: u64,
    /// Operations in progress, in the order of the requests, each with what it takes on a healthy
    /// disk.
    under_way: VecDeque<(Id, u64)>,
    /// Operations that wait for a stalled disk, in the order of the requests.
    stalled: Vec<Id>,
}

/// The faults that a disk has at the moment, by their place in the plan.
#[derive(Debug, Default)]
pub(crate) struct DiskFaults {
    pub(crate) stalled: Vec<usize>,
    pub(crate) slow: Vec<(usize, u32)>,
    pub(crate) full: Vec<usize>,
    pub(crate) sync_fails: Vec<usize>,
    pub(crate) read_fails: Vec<usize>,
    pub(crate) write_fails: Vec<usize>,
    pub(crate) sync_lies: Vec<usize>,
    pub(crate) tears: Vec<usize>,
}

/// An operation that takes time.
#[derive(Debug)]
pub(crate) struct DiskWork {
    node: usize,
    what: DiskTask,
    waker: Option<Waker>,
    done: Option<io::Result<()>>,
}

/// What takes time.
#[derive(Debug)]
pub(crate) enum DiskTask {
    /// A sync.
    Sync(SyncMark),
    /// Anything else: a read, or a command to a disk that does not answer.
    Wait,
}

/// What a disk returns for an operation that it cannot do.
pub(crate) fn io_error() -> io::Error {
    io::Error::other("I/O error")
}

impl Device {
    pub(crate) fn new(seed: u64, node: &str) -> Self {
        Self {
            files: Files::new(Stream::new(seed, &format!("disk {node} crashes"))),
            faults: DiskFaults::default(),
            is_torn: false,
            stream: Stream::new(seed, &format!("disk {node} pace")),
            free_at: 0,
            under_way: VecDeque::new(),
            stalled: Vec::new(),
        }
    }

    /// Fingerprints of all that was drawn for it.
    pub(crate) fn drawn(&self) -> [u64; 2] {
        [self.stream.drawn(), self.files.drawn()]
    }

    /// How long a sync takes on a healthy disk.
    fn sync_ns(&mut self, speed: &DiskSpeed) -> u64 {
        let us = self.stream.between(speed.sync_us_min, speed.sync_us_max.max(speed.sync_us_min));
        let late = self.stream.chance(speed.late_per_million);
        let late_us = if late { self.stream.below(speed.late_us) } else { 0 };
        (us + late_us) * 1_000
    }

    /// When something is done that is begun now, after all that is in progress.
    fn done_at(&self, now: u64, healthy_ns: u64) -> u64 {
        let factor = self.faults.slow.iter().map(|(_, by)| u64::from(*by)).max().unwrap_or(1);
        self.free_at.max(now).saturating_add(healthy_ns.saturating_mul(factor))
    }

    /// Nothing is in progress any longer: the process died.
    pub(crate) fn forget_work(&mut self, now: u64) {
        self.under_way.clear();
        self.stalled.clear();
        self.is_torn = false;
        self.free_at = now;
    }
}

impl World {
    /// Whether a command to this disk takes effect at once, as a write to the cache of a healthy
    /// disk.
    pub(crate) fn disk_is_prompt(&mut self, node: usize) -> bool {
        let Self { nodes, faults, .. } = self;
        let device = &nodes[node].disk;
        for fault in &device.faults.stalled {
            faults.effective(*fault);
        }
        device.faults.stalled.is_empty()
    }

    /// Whether there is room for a file to reach up to `end`.
    pub(crate) fn disk_room(&mut self, node: usize, name: &str, end: u64) -> io::Result<()> {
        let Self { nodes, faults, .. } = self;
        let device = &nodes[node].disk;
        if device.faults.full.is_empty() || !device.files.grows(name, end) {
            return Ok(());
        }
        device.faults.full.iter().for_each(|fault| faults.effective(*fault));
        Err(io::ErrorKind::StorageFull.into())
    }

    /// A file's whole content, unless reads fail at the moment.
    pub(crate) fn disk_content(&mut self, node: usize, name: &str) -> io::Result<Bytes> {
        let Self { nodes, faults, .. } = self;
        let device = &nodes[node].disk;
        device.faults.read_fails.iter().for_each(|fault| faults.effective(*fault));
        if device.faults.read_fails.is_empty() { device.files.read(name) } else { Err(io_error()) }
    }

    /// Writes to the page cache; half of it and an error where writes fail at the moment.
    pub(crate) fn disk_write(
        &mut self,
        node: usize,
        name: &str,
        offset: u64,
        bytes: &[u8],
    ) -> io::Result<()> {
        self.disk_room(node, name, offset.saturating_add(bytes.len() as u64))?;
        let Self { nodes, faults, .. } = self;
        let device = &mut nodes[node].disk;
        if device.faults.write_fails.is_empty() {
            return device.files.write(name, offset, bytes);
        }
        device.faults.write_fails.iter().for_each(|fault| faults.effective(*fault));
        device.files.write(name, offset, &bytes[..bytes.len() / 2])?;
        Err(io_error())
    }

    /// Begins an operation that takes `healthy_ns` on a healthy disk.
    fn disk_begin(&mut self, node: usize, what: DiskTask, healthy_ns: u64) -> Id {
        let Self { nodes, faults, queue, disk_work, now, .. } = self;
        let device = &mut nodes[node].disk;
        let id = disk_work.insert(DiskWork { node, what, waker: None, done: None });
        device.under_way.push_back((id, healthy_ns));
        for (fault, factor) in &device.faults.slow {
            if *factor > 1 && healthy_ns > 0 {
                faults.effective(*fault);
            }
        }
        device.free_at = device.done_at(*now, healthy_ns);
        queue.push(device.free_at, Due::Disk(id));
        id
    }

    /// Begins a sync of a file, or of the folder.
    pub(crate) fn disk_sync(&mut self, node: usize, file: Option<&str>) -> io::Result<Id> {
        let speed = self.disk_speed;
        let device = &mut self.nodes[node].disk;
        let mark = match file {
            Some(name) => device.files.sync_begins(name)?,
            None => device.files.sync_folder_begins(),
        };
        let ns = device.sync_ns(&speed);
        if !device.faults.tears.is_empty() && device.files.is_endangered() {
            device.is_torn = true;
            for fault in device.faults.tears.clone() {
                self.control(Control::FaultSteps(fault));
            }
        }
        Ok(self.disk_begin(node, DiskTask::Sync(mark), ns))
    }

    /// Begins a read of so many bytes.
    pub(crate) fn disk_read(&mut self, node: usize, bytes: usize) -> Id {
        let speed = self.disk_speed;
        let ns = speed.read_us * 1_000
            + (bytes as u64).saturating_mul(1_000_000_000) / speed.read_bytes_per_second.max(1);
        self.disk_begin(node, DiskTask::Wait, ns)
    }

    /// Lets an operation wait for as long as the disk does not answer.
    pub(crate) fn disk_wait(&mut self, node: usize) -> Id {
        self.disk_begin(node, DiskTask::Wait, 0)
    }

    /// An operation's time is over.
    pub(crate) fn disk_due(&mut self, id: Id) {
        let Some(work) = self.disk_work.get_mut(id).filter(|work| work.done.is_none()) else {
            return;
        };
        let Self { nodes, faults, now, .. } = self;
        let device = &mut nodes[work.node].disk;
        device.under_way.retain(|(other, _)| *other != id);
        if device.under_way.is_empty() {
            // It may have been done before its time, where the pace changed.
            device.free_at = *now;
        }
        if !device.faults.stalled.is_empty() {
            device.faults.stalled.iter().for_each(|fault| faults.effective(*fault));
            device.stalled.push(id);
            return;
        }
        let result = match &work.what {
            DiskTask::Wait => Ok(()),
            DiskTask::Sync(mark) => {
                let (fails, lies) = (&device.faults.sync_fails, &device.faults.sync_lies);
                if fails.is_empty() && lies.is_empty() {
                    device.files.sync_done(mark);
                    Ok(())
                } else {
                    let is_endangered = device.files.sync_failed(mark);
                    // A process whose sync failed has lost something, be it only its trust.
                    fails.iter().for_each(|fault| faults.effective(*fault));
                    if is_endangered {
                        lies.iter().for_each(|fault| faults.effective(*fault));
                    }
                    if fails.is_empty() {
                        device.files.note_lie();
                        Ok(())
                    } else {
                        Err(io_error())
                    }
                }
            }
        };
        work.done = Some(result);
        let (node, waker) = (work.node, work.waker.take());
        if let Some(waker) = waker {
            self.wake(node, waker);
        }
    }

    /// Whether an operation is done.
    pub(crate) fn disk_poll(&mut self, id: Id, waker: &Waker) -> Poll<io::Result<()>> {
        let Some(work) = self.disk_work.get_mut(id) else { return Poll::Pending };
        match work.done.take() {
            Some(result) => {
                self.disk_work.remove(id);
                Poll::Ready(result)
            }
            None => {
                work.waker = Some(waker.clone());
                Poll::Pending
            }
        }
    }

    /// The disk answers again: what waited continues, in the order of the requests.
    pub(crate) fn disk_answers(&mut self, node: usize) {
        for id in std::mem::take(&mut self.nodes[node].disk.stalled) {
            self.queue.push(self.now, Due::Disk(id));
        }
    }

    /// The disk has another pace: what is in progress begins again at that pace.
    pub(crate) fn disk_pace_changed(&mut self, node: usize) {
        let Self { nodes, queue, now, .. } = self;
        let device = &mut nodes[node].disk;
        device.free_at = *now;
        for place in 0..device.under_way.len() {
            let (id, healthy_ns) = device.under_way[place];
            device.free_at = device.done_at(*now, healthy_ns);
            // The queue may know of a later time as well, at which there is then nothing to do.
            queue.push(device.free_at, Due::Disk(id));
        }
    }

    /// Forgets everything a dead process requested of its disk.
    pub(crate) fn disk_abandon(&mut self, node: usize) {
        for id in self.disk_work.ids(|work| work.node == node) {
            self.disk_work.remove(id);
        }
        self.nodes[node].disk.forget_work(self.now);
    }
}
