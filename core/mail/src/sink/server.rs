//! The sink as a process.

use super::ledger::Ledger;
use super::protocol::{SINK_FRAME_BYTES_MAX, SinkOutcome, SinkReply, SinkRequest, encode};
use bytes::Bytes;
use mailstorm_platform::{Address, ConnectionId, Endpoint, NetworkEvent, Platform};
use mailstorm_shared::Defects;
use mailstorm_shared::facts::MailFact;
use mailstorm_wire::frame::FrameDecoder;
use std::collections::BTreeMap;
use std::io;

/// Workers connected at the same time; more are turned away.
const CONNECTIONS_MAX: usize = 1_000;

/// Serves a ledger on `address` until the process ends. `defects`: what the laboratory planted, if
/// anything.
///
/// # Errors
/// When the address cannot be listened on.
pub async fn serve_sink<P: Platform>(
    platform: P,
    address: Address,
    defects: Defects,
) -> io::Result<()> {
    let endpoint = platform.endpoint();
    endpoint.listen(&address)?;
    let mut ledger = Ledger::new(defects);
    let mut connections: BTreeMap<ConnectionId, FrameDecoder> = BTreeMap::new();
    loop {
        match endpoint.next().await {
            NetworkEvent::Accepted { connection, .. } => {
                if connections.len() == CONNECTIONS_MAX {
                    endpoint.close(connection);
                } else {
                    connections.insert(connection, FrameDecoder::new(SINK_FRAME_BYTES_MAX));
                }
            }
            NetworkEvent::Received { connection, bytes } => {
                let Some(decoder) = connections.get_mut(&connection) else { continue };
                decoder.push(bytes);
                if answer_all(&platform, &endpoint, &mut ledger, connection, decoder).is_err() {
                    tracing::warn!("a malformed frame reached the sink: connection closed");
                    endpoint.close(connection);
                    connections.remove(&connection);
                }
            }
            NetworkEvent::Closed { connection, .. } => {
                connections.remove(&connection);
            }
            NetworkEvent::Connected { .. } | NetworkEvent::Woken => {}
        }
    }
}

/// A frame that is no request.
struct Malformed;

fn answer_all<P: Platform>(
    platform: &P,
    endpoint: &P::Endpoint,
    ledger: &mut Ledger,
    connection: ConnectionId,
    decoder: &mut FrameDecoder,
) -> Result<(), Malformed> {
    while let Some(frame) = decoder.next_frame().map_err(|_| Malformed)? {
        let reply = answer(platform, ledger, &frame)?;
        endpoint.send(connection, encode(&reply));
    }
    Ok(())
}

fn answer<P: Platform>(
    platform: &P,
    ledger: &mut Ledger,
    frame: &Bytes,
) -> Result<SinkReply, Malformed> {
    use super::ledger::{Fenced, Put, Refusal};
    let SinkRequest { number, resource, token, result } =
        serde_json::from_slice(frame).map_err(|_| Malformed)?;
    let outcome = match result {
        None => match ledger.fence(&resource, token) {
            Ok(Fenced { is_raised, done }) => {
                if is_raised {
                    platform.observe(MailFact::FenceRaised { resource, token });
                }
                SinkOutcome::Fenced { done }
            }
            Err(Refusal { highest_token }) => SinkOutcome::Refused { highest_token },
        },
        Some(result) => match ledger.put(&resource, token, &result.mail) {
            Ok(put) => {
                if put == Put::Accepted {
                    platform.observe(MailFact::SinkAccepted {
                        resource,
                        mail: result.mail,
                        worker: result.worker,
                        token,
                        verdict: result.processed.judgement.word().into(),
                    });
                }
                SinkOutcome::Taken
            }
            Err(Refusal { highest_token }) => {
                platform.observe(MailFact::SinkRefused {
                    resource,
                    mail: result.mail,
                    worker: result.worker,
                    token,
                    highest: highest_token,
                });
                SinkOutcome::Refused { highest_token }
            }
        },
    };
    Ok(SinkReply { number, outcome })
}
