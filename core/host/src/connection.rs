//! What a host knows of each connection: how its bytes are cut, and why it is held.

use bytes::Bytes;
use mailstorm_shared::machine::{Bounds, DialId, Framing, Port};
use mailstorm_wire::checked::CheckedDecoder;
use mailstorm_wire::frame::FrameDecoder;

/// How many bytes are sent on a connection before its backlog is looked at again.
const BACKLOG_LOOK_BYTES: usize = 64 << 10;

/// One open (or opening) connection.
#[derive(Debug)]
pub(crate) struct Connection {
    decoder: Decoder,
    pub(crate) bounds: Bounds,
    /// The core's attempt, until it is open.
    pub(crate) dial: Option<DialId>,
    /// The core wants no more of it for now.
    pub(crate) held_by_core: bool,
    /// It does not take what was sent.
    pub(crate) held_for_backlog: bool,
    /// What was sent since the backlog was looked at.
    sent_bytes: usize,
}

#[derive(Debug)]
enum Decoder {
    Length(FrameDecoder),
    Checked(CheckedDecoder),
}

impl Connection {
    pub(crate) fn new(port: &Port, dial: Option<DialId>) -> Self {
        let decoder = match port.framing {
            Framing::Length { bytes_max } => Decoder::Length(FrameDecoder::new(bytes_max)),
            Framing::Checked => Decoder::Checked(CheckedDecoder::new()),
        };
        Self {
            decoder,
            bounds: port.bounds,
            dial,
            held_by_core: false,
            held_for_backlog: false,
            sent_bytes: 0,
        }
    }

    pub(crate) fn is_held(&self) -> bool {
        self.held_by_core || self.held_for_backlog
    }

    /// Takes bytes that arrived. Ask for all frames in them before the next.
    pub(crate) fn push(&mut self, bytes: Bytes) {
        match &mut self.decoder {
            Decoder::Length(decoder) => decoder.push(bytes),
            Decoder::Checked(decoder) => decoder.push(bytes),
        }
    }

    /// The next whole frame, if it is there.
    ///
    /// # Errors
    /// What is wrong with the bytes, which stay.
    pub(crate) fn next_frame(&mut self) -> Result<Option<Bytes>, String> {
        match &mut self.decoder {
            Decoder::Length(decoder) => decoder.next_frame().map_err(|error| error.to_string()),
            Decoder::Checked(decoder) => decoder.next_frame().map_err(|error| error.to_string()),
        }
    }

    /// The first bytes of what cannot be cut.
    pub(crate) fn prefix(&self) -> [u8; 4] {
        let prefix = match &self.decoder {
            Decoder::Length(decoder) => decoder.prefix(),
            Decoder::Checked(decoder) => decoder.prefix(),
        };
        prefix.unwrap_or_default()
    }

    /// Counts what is sent; true when it is time to look at the backlog.
    pub(crate) fn sent(&mut self, bytes: usize) -> bool {
        self.sent_bytes += bytes;
        let look = self.sent_bytes >= BACKLOG_LOOK_BYTES;
        if look {
            self.sent_bytes = 0;
        }
        look
    }
}
