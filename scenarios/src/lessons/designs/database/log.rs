//! The log on the disk: changes one behind the other, each with its length and a checksum.
//!
//! Holds: what is read back is a beginning of what was written; a torn end is cut off.

use super::table::Change;
use bytes::Bytes;
use mailstorm_platform::Disk;
use mailstorm_shared::checksum::crc32c;
use std::io;
use std::rc::Rc;

const FILE: &str = "mails.log";
/// Length and checksum.
const HEAD_BYTES: usize = 8;

/// The log, open for more.
pub(super) struct Log<D> {
    file: Rc<LogFile<D>>,
    recovered: Vec<Change>,
    end: u64,
}

/// The file, for whoever syncs it.
pub(super) struct LogFile<D>(D);

impl<D: Disk> LogFile<D> {
    pub(super) async fn sync(&self) -> io::Result<()> {
        self.0.sync(FILE).await
    }
}

impl<D: Disk> Log<D> {
    /// Reads what the disk has, and cuts off what is no whole change.
    pub(super) async fn open(disk: D) -> io::Result<Self> {
        let bytes = match disk.read(FILE).await {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Bytes::new(),
            Err(error) => return Err(error),
        };
        let (recovered, end) = recover(&bytes);
        disk.truncate(FILE, end).await?;
        disk.sync(FILE).await?;
        Ok(Self { file: Rc::new(LogFile(disk)), recovered, end })
    }

    /// What it had when it was opened, once.
    pub(super) fn recovered(&mut self) -> impl Iterator<Item = Change> {
        std::mem::take(&mut self.recovered).into_iter()
    }

    pub(super) fn file(&self) -> Rc<LogFile<D>> {
        self.file.clone()
    }

    /// Writes a change behind the others; durable after a sync.
    pub(super) async fn append(&mut self, change: &Change) -> io::Result<()> {
        let bytes = encode(change);
        let length = bytes.len() as u64;
        self.file.0.write(FILE, self.end, bytes).await?;
        self.end += length;
        Ok(())
    }
}

fn encode(change: &Change) -> Bytes {
    let body = serde_json::to_vec(change).expect("plain data serialises");
    let mut bytes = Vec::with_capacity(HEAD_BYTES + body.len());
    bytes.extend((body.len() as u32).to_be_bytes());
    bytes.extend(crc32c(&body).to_be_bytes());
    bytes.extend(body);
    bytes.into()
}

/// The changes up to the first that is not whole, and where they end.
fn recover(bytes: &[u8]) -> (Vec<Change>, u64) {
    let mut changes = Vec::new();
    let mut end = 0;
    while let Some((change, length)) = decode(&bytes[end..]) {
        changes.push(change);
        end += length;
    }
    (changes, end as u64)
}

fn decode(bytes: &[u8]) -> Option<(Change, usize)> {
    let number = |at: usize| Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let end = HEAD_BYTES.checked_add(usize::try_from(number(0)?).ok()?)?;
    let body = bytes.get(HEAD_BYTES..end)?;
    if crc32c(body) != number(4)? {
        return None;
    }
    Some((serde_json::from_slice(body).ok()?, end))
}

#[cfg(test)]
mod tests {
    use super::super::table::{Ask, Table};
    use super::*;
    use mailstorm_shared::Instant;

    #[test]
    fn what_is_read_back_ends_before_the_first_change_that_is_not_whole() {
        let mut table = Table::of(3, None);
        let mut change = || {
            let ask = Ask::Take { worker: "w1".into() };
            let (_, change) = table.answer(Instant(0), &ask);
            change.expect("a row is taken")
        };
        let changes = [change(), change(), change()];
        let whole: Vec<Bytes> = changes.iter().map(encode).collect();
        let bytes = whole.concat();
        assert_eq!(recover(&bytes), (changes.to_vec(), bytes.len() as u64));
        let two = whole[0].len() + whole[1].len();
        for cut in two..bytes.len() {
            assert_eq!(recover(&bytes[..cut]), (changes[..2].to_vec(), two as u64));
        }
        let mut damaged = bytes.clone();
        damaged[whole[0].len() + HEAD_BYTES] ^= 1;
        assert_eq!(recover(&damaged), (changes[..1].to_vec(), whole[0].len() as u64));
        // A sector that was never written reads as zeros.
        assert_eq!(recover(&[0; 64]), (vec![], 0));
    }
}
