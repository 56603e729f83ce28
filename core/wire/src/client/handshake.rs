//! The first frame in each direction, and the four-letter words that may come in its stead.
//!
//! ```text
//! request:  int 0 | long last zxid seen
//!           | int timeout | long session | buffer password | [bool read-only]
//! response: int 0
//!           | int timeout | long session | buffer password | [bool read-only]
//! ```
//! With a password of 16 bytes that is 44 (45 with the bool) and 36 (37) bytes. The bool was added
//! in 3.4; a server echoes it only to those who sent it, since old clients cannot read it.

use super::record::{read_zxid, write_zxid};
use super::types::{ConnectRequest, ConnectResponse, FourLetterWord};
use crate::jute::{Malformed, Reader, Writer};
use crate::raw::{Encode, Sink, to_bytes};
use bytes::Bytes;
use mailstorm_shared::SessionId;

/// The only version there ever was.
const PROTOCOL_VERSION: i32 = 0;

/// The body of a client's first frame.
pub fn encode_connect_request(request: &ConnectRequest) -> Bytes {
    to_bytes(request)
}

impl Encode for ConnectRequest {
    fn encode(&self, out: &mut impl Sink) {
        out.int(PROTOCOL_VERSION);
        write_zxid(out, self.last_zxid_seen);
        out.int(self.timeout);
        out.long(self.session.0);
        out.buffer(&self.password);
        write_read_only(out, self.read_only);
    }
}

/// Reads a client's first frame. The version is ignored, as in ZooKeeper.
///
/// # Errors
/// [`Malformed`] when it is not a handshake: close the connection.
pub fn decode_connect_request(frame: Bytes) -> Result<ConnectRequest, Malformed> {
    let mut reader = Reader::new(&frame);
    let _version = reader.int()?;
    Ok(ConnectRequest {
        last_zxid_seen: read_zxid(&mut reader)?,
        timeout: reader.int()?,
        session: SessionId(reader.long()?),
        password: reader.buffer()?.unwrap_or_default(),
        read_only: read_read_only(&mut reader)?,
    })
}

/// The body of a server's first frame.
pub fn encode_connect_response(response: &ConnectResponse) -> Bytes {
    to_bytes(response)
}

impl Encode for ConnectResponse {
    fn encode(&self, out: &mut impl Sink) {
        out.int(PROTOCOL_VERSION);
        out.int(self.timeout);
        out.long(self.session.0);
        out.buffer(&self.password);
        write_read_only(out, self.read_only);
    }
}

/// Reads a server's first frame.
///
/// # Errors
/// [`Malformed`] when it is not a handshake.
pub fn decode_connect_response(frame: Bytes) -> Result<ConnectResponse, Malformed> {
    let mut reader = Reader::new(&frame);
    let _version = reader.int()?;
    Ok(ConnectResponse {
        timeout: reader.int()?,
        session: SessionId(reader.long()?),
        password: reader.buffer()?.unwrap_or_default(),
        read_only: read_read_only(&mut reader)?,
    })
}

fn write_read_only(out: &mut impl Sink, read_only: Option<bool>) {
    if let Some(read_only) = read_only {
        out.bool(read_only);
    }
}

fn read_read_only(reader: &mut Reader<'_>) -> Result<Option<bool>, Malformed> {
    if reader.left() == 0 { Ok(None) } else { reader.bool().map(Some) }
}

impl FourLetterWord {
    /// All that are answered.
    pub const ALL: [Self; 10] = [
        Self::Ruok,
        Self::Srvr,
        Self::Isro,
        Self::Mntr,
        Self::Stat,
        Self::Conf,
        Self::Cons,
        Self::Envi,
        Self::Dump,
        Self::Wchs,
    ];

    /// The word that these first bytes of a connection are, if it is one that is answered. As a
    /// frame's length each word lies far above every limit, so the two cannot be confused.
    pub fn parse(bytes: &[u8; 4]) -> Option<Self> {
        Self::ALL.into_iter().find(|word| word.as_bytes() == bytes)
    }

    /// The four bytes that travel.
    pub fn as_bytes(self) -> &'static [u8; 4] {
        match self {
            Self::Ruok => b"ruok",
            Self::Srvr => b"srvr",
            Self::Isro => b"isro",
            Self::Mntr => b"mntr",
            Self::Stat => b"stat",
            Self::Conf => b"conf",
            Self::Cons => b"cons",
            Self::Envi => b"envi",
            Self::Dump => b"dump",
            Self::Wchs => b"wchs",
        }
    }
}
