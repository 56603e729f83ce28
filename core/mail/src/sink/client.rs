//! A worker's connection to the sink.

use super::protocol::{
    SINK_FRAME_BYTES_MAX, SinkOutcome, SinkReply, SinkRequest, SinkResult, encode,
};
use mailstorm_platform::{Address, ConnectionId, Endpoint, NetworkEvent, Platform};
use mailstorm_shared::Millis;
use mailstorm_wire::frame::FrameDecoder;
use std::sync::Arc;

/// How long a connect or a request may take before the connection is given up.
const PATIENCE: Millis = Millis(1_000);
/// The pause before the next attempt.
const BACKOFF: Millis = Millis(200);
/// Attempts before the sink counts as unreachable: the worker then checks whether it still holds
/// its claim.
const TRIES_MAX: u32 = 10;

/// Why the sink did not take a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SinkError {
    /// Definite: nothing was taken, and nothing under this token will be.
    #[error("fencing token below {highest_token}, the highest seen: the claim was taken over")]
    Refused {
        /// The highest token the sink has seen.
        highest_token: u64,
    },
    /// Indefinite: it may have been taken. The same request may be repeated under the same token.
    #[error("no answer from the sink in {TRIES_MAX} tries; check the address and the network")]
    Unreachable,
}

/// One worker's connection, opened when needed and reopened when it breaks. One request at a time.
pub struct SinkClient<P: Platform> {
    platform: P,
    endpoint: P::Endpoint,
    address: Address,
    open: Option<(ConnectionId, FrameDecoder)>,
    number: u64,
}

impl<P: Platform> SinkClient<P> {
    /// A client of the sink at `address`; connects with the first request.
    pub fn new(platform: P, address: Address) -> Self {
        Self { endpoint: platform.endpoint(), platform, address, open: None, number: 0 }
    }

    /// Raises the claim's token at the sink, so that earlier holders can add nothing more, and
    /// returns the ids of the mails that have a result.
    ///
    /// # Errors
    /// [`SinkError`].
    pub async fn fence(
        &mut self,
        resource: &Arc<str>,
        token: u64,
    ) -> Result<Vec<Arc<str>>, SinkError> {
        match self.ask(resource, token, None).await? {
            SinkOutcome::Fenced { done } => Ok(done),
            SinkOutcome::Refused { highest_token } => Err(SinkError::Refused { highest_token }),
            // An answer to another request: not a sink that we know.
            SinkOutcome::Taken => Err(SinkError::Unreachable),
        }
    }

    /// Delivers a mail's result.
    ///
    /// # Errors
    /// [`SinkError`].
    pub async fn put(
        &mut self,
        resource: &Arc<str>,
        token: u64,
        result: SinkResult,
    ) -> Result<(), SinkError> {
        match self.ask(resource, token, Some(result)).await? {
            SinkOutcome::Taken => Ok(()),
            SinkOutcome::Refused { highest_token } => Err(SinkError::Refused { highest_token }),
            SinkOutcome::Fenced { .. } => Err(SinkError::Unreachable),
        }
    }

    async fn ask(
        &mut self,
        resource: &Arc<str>,
        token: u64,
        result: Option<SinkResult>,
    ) -> Result<SinkOutcome, SinkError> {
        self.number += 1;
        let request =
            SinkRequest { number: self.number, resource: resource.clone(), token, result };
        let frame = encode(&request);
        for tried in 0..TRIES_MAX {
            if tried > 0 {
                self.platform.sleep(BACKOFF).await;
            }
            if !self.connect().await {
                continue;
            }
            let Some((connection, _)) = &self.open else { continue };
            self.endpoint.send(*connection, frame.clone());
            if let Some(outcome) = self.answer().await {
                return Ok(outcome);
            }
            self.hang_up();
        }
        Err(SinkError::Unreachable)
    }

    fn deadline(&self) {
        self.endpoint.wake_at(Some(self.platform.now().monotonic + PATIENCE));
    }

    fn hang_up(&mut self) {
        if let Some((connection, _)) = self.open.take() {
            self.endpoint.close(connection);
        }
    }

    /// Whether a connection is open now.
    async fn connect(&mut self) -> bool {
        if self.open.is_some() {
            return true;
        }
        let wanted = self.endpoint.connect(&self.address);
        self.deadline();
        loop {
            match self.endpoint.next().await {
                NetworkEvent::Connected { connection } if connection == wanted => {
                    self.open = Some((wanted, FrameDecoder::new(SINK_FRAME_BYTES_MAX)));
                    return true;
                }
                NetworkEvent::Closed { connection, .. } if connection == wanted => return false,
                NetworkEvent::Woken => {
                    self.endpoint.close(wanted);
                    return false;
                }
                _ => {}
            }
        }
    }

    /// The answer to the latest request; `None` when the connection broke or nothing came in time.
    async fn answer(&mut self) -> Option<SinkOutcome> {
        self.deadline();
        loop {
            let event = self.endpoint.next().await;
            let (open, decoder) = self.open.as_mut()?;
            match event {
                NetworkEvent::Received { connection, bytes } if connection == *open => {
                    decoder.push(bytes);
                    while let Some(frame) = decoder.next_frame().ok()? {
                        let reply: SinkReply = serde_json::from_slice(&frame).ok()?;
                        if reply.number == self.number {
                            return Some(reply.outcome);
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
