//! Messages in words, as the field writes them: `PROPOSAL 1:28 create /a`, `create /a ->
//! NODEEXISTS`.
//!
//! Owns: what a message is called in full recordings. Leaves: the bytes to `wire`; what became of a
//! message to whoever shows it.
//! Holds: every kind of message has words of its own (each `match` is exhaustive), and none of them
//! is a type's debug form. A connection is listened to from its beginning, so that a reply knows
//! what it answers and a message that was cut into pieces is told when it is whole.
//! Start at [`interpreter`].

mod client;
mod json;
mod peer;
#[cfg(test)]
mod tests;

use crate::nodes::{CLIENT_PORT, PEER_PORT};
use mailstorm_world::Interpreter;
use std::iter::from_fn;

/// A longer label says nothing more.
const LABEL_CHARS_MAX: usize = 100;
/// So many messages that were sent at once are told, and how many more there are.
const TOLD_MAX: usize = 3;
/// More things than these are counted, not listed.
const LISTED_MAX: usize = 3;

/// Who puts the messages of a connection to this address into words.
pub(crate) fn interpreter(listener: &str) -> Option<Box<dyn Interpreter>> {
    let port: u16 = listener.rsplit(':').next()?.parse().ok()?;
    Some(match port {
        CLIENT_PORT => Box::new(client::Conversation::default()),
        PEER_PORT => Box::new(peer::Link::default()),
        _ => Box::new(json::Conversation::default()),
    })
}

/// What is no message, and ends the understanding of all that follows it.
struct NoMessage;

/// What was sent at once, from what each message of it says.
fn label(mut next: impl FnMut() -> Result<Option<String>, NoMessage>) -> String {
    let mut is_over = false;
    let mut all = from_fn(|| match next() {
        _ if is_over => None,
        Ok(told) => told,
        Err(NoMessage) => {
            is_over = true;
            Some(nonsense())
        }
    });
    let mut told: Vec<String> = all.by_ref().take(TOLD_MAX).collect();
    let more = all.count();
    match (told.len(), more) {
        (0, _) => return "part of a message".to_owned(),
        (_, 0) => {}
        (_, more) => told.push(format!("and {more} more")),
    }
    short(&told.join("; "))
}

fn nonsense() -> String {
    "bytes that are no message".to_owned()
}

/// A text from outside as one short line.
fn short(text: &str) -> String {
    let visible = |c: char| if c.is_control() { '?' } else { c };
    let short: String = text.chars().take(LABEL_CHARS_MAX).map(visible).collect();
    if text.chars().nth(LABEL_CHARS_MAX).is_some() { short + "..." } else { short }
}

/// The first few of a list, and how many more there are.
fn list(mut all: impl Iterator<Item = String>) -> String {
    let mut told: Vec<String> = all.by_ref().take(LISTED_MAX).collect();
    let more = all.count();
    if more > 0 {
        told.push(format!("and {more} more"));
    }
    told.join(", ")
}

fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
