//! How programs talk that have no protocol of their own: a question, an answer, as JSON in frames.
//!
//! Owns: a [`Desk`] at which questions arrive, and a [`Caller`] who asks one at a time and waits
//! only so long; a core that has frames already reads and writes them with [`encode`] and
//! [`decode`]. Leaves: what is asked to whoever talks.
//! Holds: an answer is given to the question it was asked for; whoever got none cannot know whether
//! the question was heard.

use bytes::Bytes;
use mailstorm_platform::{Address, ConnectionId, Endpoint, NetworkEvent, Platform};
use mailstorm_shared::Millis;
use mailstorm_wire::frame::{FrameDecoder, framed};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::marker::PhantomData;

const FRAME_BYTES_MAX: usize = 1 << 20;

/// A message, with the number of its question.
#[derive(Serialize, Deserialize)]
struct Numbered<T> {
    number: u64,
    body: T,
}

/// A frame with a message, and the number of the question that it is or answers.
pub fn encode<T: Serialize>(number: u64, body: T) -> Bytes {
    framed(&serde_json::to_vec(&Numbered { number, body }).expect("plain data serialises"))
}

/// The number and the message of a frame, whose length was taken off; `None` for nonsense.
pub fn decode<T: DeserializeOwned>(frame: &[u8]) -> Option<(u64, T)> {
    let Numbered { number, body } = serde_json::from_slice(frame).ok()?;
    Some((number, body))
}

/// Where questions of type `Q` arrive.
pub struct Desk<P: Platform, Q> {
    endpoint: P::Endpoint,
    callers: BTreeMap<ConnectionId, FrameDecoder>,
    heard: VecDeque<(Asker, Q)>,
}

/// Who asked, and which question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Asker {
    connection: ConnectionId,
    number: u64,
}

impl<P: Platform, Q: DeserializeOwned> Desk<P, Q> {
    /// Opens it.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub fn open(platform: &P, address: &Address) -> io::Result<Self> {
        let endpoint = platform.endpoint();
        endpoint.listen(address)?;
        Ok(Self { endpoint, callers: BTreeMap::new(), heard: VecDeque::new() })
    }

    /// The next question.
    pub async fn next(&mut self) -> (Asker, Q) {
        loop {
            if let Some(heard) = self.heard.pop_front() {
                return heard;
            }
            match self.endpoint.next().await {
                NetworkEvent::Accepted { connection, .. } => {
                    self.callers.insert(connection, FrameDecoder::new(FRAME_BYTES_MAX));
                }
                NetworkEvent::Received { connection, bytes } => self.hear(connection, bytes),
                NetworkEvent::Closed { connection, .. } => _ = self.callers.remove(&connection),
                NetworkEvent::Connected { .. } | NetworkEvent::Woken => {}
            }
        }
    }

    fn hear(&mut self, connection: ConnectionId, bytes: Bytes) {
        let Some(decoder) = self.callers.get_mut(&connection) else { return };
        decoder.push(bytes);
        loop {
            let frame = decoder.next_frame();
            let message = match &frame {
                Ok(None) => return,
                Ok(Some(frame)) => decode(frame),
                Err(_) => None,
            };
            let Some((number, body)) = message else {
                // Nonsense: a stranger.
                self.endpoint.close(connection);
                self.callers.remove(&connection);
                return;
            };
            self.heard.push_back((Asker { connection, number }, body));
        }
    }

    /// Answers a question; nobody is there to hear it if the connection is gone.
    pub fn answer(&self, asker: Asker, answer: impl Serialize) {
        self.endpoint.send(asker.connection, encode(asker.number, answer));
    }
}

/// No answer came in time. The question may have been heard, or may yet be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoAnswer;

/// Asks questions of type `Q`, and gets answers of type `A`.
pub struct Caller<P: Platform, Q, A> {
    platform: P,
    endpoint: P::Endpoint,
    address: Address,
    patience: Millis,
    open: Option<(ConnectionId, FrameDecoder)>,
    number: u64,
    talk: PhantomData<fn(Q) -> A>,
}

impl<P: Platform, Q: Serialize, A: DeserializeOwned> Caller<P, Q, A> {
    /// Will ask at this address, and wait for so long for each answer.
    pub fn new(platform: &P, address: Address, patience: Millis) -> Self {
        let endpoint = platform.endpoint();
        let platform = platform.clone();
        Self { platform, endpoint, address, patience, open: None, number: 0, talk: PhantomData }
    }

    /// Asks once.
    ///
    /// # Errors
    /// [`NoAnswer`] when none came in time; the next question opens a new connection.
    pub async fn ask(&mut self, question: Q) -> Result<A, NoAnswer> {
        self.number += 1;
        self.endpoint.wake_at(Some(self.platform.now().monotonic + self.patience));
        let answer = self.exchange(question).await;
        self.endpoint.wake_at(None);
        if answer.is_none()
            && let Some((connection, _)) = self.open.take()
        {
            self.endpoint.close(connection);
        }
        answer.ok_or(NoAnswer)
    }

    async fn exchange(&mut self, question: Q) -> Option<A> {
        if self.open.is_none() {
            let wanted = self.endpoint.connect(&self.address);
            self.open = Some((wanted, FrameDecoder::new(FRAME_BYTES_MAX)));
            loop {
                match self.endpoint.next().await {
                    NetworkEvent::Connected { connection } if connection == wanted => break,
                    NetworkEvent::Closed { connection, .. } if connection == wanted => {
                        self.open = None;
                        return None;
                    }
                    NetworkEvent::Woken => return None,
                    _ => {}
                }
            }
        }
        let (open, decoder) = self.open.as_mut()?;
        self.endpoint.send(*open, encode(self.number, question));
        loop {
            match self.endpoint.next().await {
                NetworkEvent::Received { connection, bytes } if connection == *open => {
                    decoder.push(bytes);
                    while let Some(frame) = decoder.next_frame().ok()? {
                        let (number, answer) = decode(&frame)?;
                        if number == self.number {
                            return Some(answer);
                        }
                    }
                }
                NetworkEvent::Closed { connection, .. } if connection == *open => {
                    self.open = None;
                    return None;
                }
                NetworkEvent::Woken => return None,
                _ => {}
            }
        }
    }
}
