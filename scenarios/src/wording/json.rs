//! What the sink and the lessons' own designs say to each other, which is JSON in frames.

use super::{NoMessage, label, list, nonsense};
use bytes::Bytes;
use mailstorm_wire::frame::FrameDecoder;
use mailstorm_world::Interpreter;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

const FRAME_BYTES_MAX: usize = 1 << 20;
/// The fields that name the kind of a message: their value stands first, without their name.
const TAGS: &[&str] = &["ask", "answer", "outcome"];
/// The number of a question, and what there is around a message.
const ENVELOPE: &[&str] = &["number", "body"];

/// Both directions of a connection.
pub(super) struct Conversation {
    asked: FrameDecoder,
    answered: FrameDecoder,
    /// What the sink was asked and has not answered, by number.
    pending: BTreeMap<u64, String>,
}

impl Default for Conversation {
    fn default() -> Self {
        let decoder = || FrameDecoder::new(FRAME_BYTES_MAX);
        Self { asked: decoder(), answered: decoder(), pending: BTreeMap::new() }
    }
}

impl Interpreter for Conversation {
    fn words(&mut self, caller: bool, bytes: &[u8]) -> Option<String> {
        let decoder = if caller { &mut self.asked } else { &mut self.answered };
        decoder.push(Bytes::copy_from_slice(bytes));
        Some(label(|| {
            let frame = decoder.next_frame().map_err(|_| NoMessage)?;
            Ok(frame.map(|frame| message(&frame, &mut self.pending)))
        }))
    }
}

fn message(frame: &[u8], pending: &mut BTreeMap<u64, String>) -> String {
    let Ok(value) = serde_json::from_slice(frame) else { return nonsense() };
    let told = sink_request(&value).or_else(|| sink_reply(&value, pending));
    let number = value.get("number").and_then(Value::as_u64);
    match (told, number) {
        (Some(Sink::Request(told)), Some(number)) => {
            pending.insert(number, told.clone());
            told
        }
        (Some(Sink::Request(told) | Sink::Reply(told)), _) => told,
        (None, _) => words(&value),
    }
}

/// A message between a worker and the sink.
enum Sink {
    Request(String),
    Reply(String),
}

/// `fence claim-2, token 4`, `put a#1 of claim-2, token 4`.
fn sink_request(value: &Value) -> Option<Sink> {
    let (resource, token) = (value.get("resource")?.as_str()?, value.get("token")?.as_u64()?);
    let mail = value.get("result").and_then(|result| result.get("mail")).and_then(Value::as_str);
    Some(Sink::Request(match mail {
        Some(mail) => format!("put {mail} of {resource}, token {token}"),
        None => format!("fence {resource}, token {token}"),
    }))
}

/// `put a#1 of claim-2, token 4 -> accepted`.
fn sink_reply(value: &Value, pending: &mut BTreeMap<u64, String>) -> Option<Sink> {
    let (number, outcome) = (value.get("number")?.as_u64()?, value.get("outcome")?);
    let told = match outcome.get("outcome")?.as_str()? {
        "fenced" => match outcome.get("done")?.as_array()? {
            done if done.is_empty() => "ok, nothing done".to_owned(),
            done => format!("ok, done {}", list(done.iter().map(words))),
        },
        "taken" => "accepted".to_owned(),
        "refused" => format!("refused, highest token {}", outcome.get("highest_token")?),
        _ => return None,
    };
    let asked = pending.remove(&number).unwrap_or_else(|| "a request".to_owned());
    Some(Sink::Reply(format!("{asked} -> {told}")))
}

/// A value in words: kinds first, then fields with their names.
fn words(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => spaced(text),
        Value::Array(all) if all.is_empty() => "none".to_owned(),
        Value::Array(all) => list(all.iter().map(words)),
        Value::Object(fields) => object(fields),
    }
}

fn object(fields: &Map<String, Value>) -> String {
    if let Some(body) = fields.get("body") {
        return words(body);
    }
    // A kind with what it holds: `{"Write": {...}}`.
    if let (1, Some((kind, value))) = (fields.len(), fields.iter().next())
        && kind.starts_with(|c: char| c.is_ascii_uppercase())
    {
        return format!("{} {}", spaced(kind), words(value));
    }
    let tags = TAGS.iter().filter_map(|tag| fields.get(*tag)).map(words);
    let is_told = |name: &str, value: &Value| {
        !TAGS.contains(&name) && !ENVELOPE.contains(&name) && !value.is_null()
    };
    let told = fields.iter().filter(|(name, value)| is_told(name, value));
    let told: Vec<String> =
        told.map(|(name, value)| format!("{} {}", spaced(name), words(value))).collect();
    let parts = tags.chain([told.join(", ")].into_iter().filter(|told| !told.is_empty()));
    parts.collect::<Vec<_>>().join(" ")
}

/// `TookOver` and `took_over` are `took over`; what is no name stays as it is.
fn spaced(name: &str) -> String {
    let is_name = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !is_name {
        return name.to_owned();
    }
    let mut out = String::new();
    let mut before = '_';
    for c in name.chars() {
        if c.is_ascii_uppercase() && before.is_ascii_lowercase() {
            out.push(' ');
        }
        let is_shout = name.len() > 1 && name.chars().all(|c| !c.is_ascii_lowercase());
        out.push(match c {
            '_' => ' ',
            c if is_shout => c,
            c => c.to_ascii_lowercase(),
        });
        before = c;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use mailstorm_wire::frame::framed;

    #[track_caller]
    fn check(json: &str, expected: &str) {
        let told = Conversation::default().words(true, &framed(json.as_bytes()));
        assert_eq!(told.as_deref(), Some(expected), "{json}");
    }

    #[test]
    fn a_request_to_the_sink_and_its_reply_are_told_as_those_of_a_server() {
        let mut conversation = Conversation::default();
        let mut check = |caller, json: &str, expected: &str| {
            let told = conversation.words(caller, &framed(json.as_bytes()));
            assert_eq!(told.as_deref(), Some(expected), "{json}");
        };
        let fence = r#"{"number":7,"resource":"claim-2","token":4,"result":null}"#;
        check(true, fence, "fence claim-2, token 4");
        check(
            false,
            r#"{"number":7,"outcome":{"outcome":"fenced","done":["a#1","a#2"]}}"#,
            "fence claim-2, token 4 -> ok, done a#1, a#2",
        );
        let put = r#"{"number":8,"resource":"claim-2","token":4,"result":{"mail":"a#3","worker":"w1","processed":{}}}"#;
        check(true, put, "put a#3 of claim-2, token 4");
        check(
            false,
            r#"{"number":8,"outcome":{"outcome":"taken"}}"#,
            "put a#3 of claim-2, token 4 -> accepted",
        );
        check(true, put, "put a#3 of claim-2, token 4");
        check(
            false,
            r#"{"number":8,"outcome":{"outcome":"refused","highest_token":9}}"#,
            "put a#3 of claim-2, token 4 -> refused, highest token 9",
        );
        check(
            false,
            r#"{"number":9,"outcome":{"outcome":"fenced","done":[]}}"#,
            "a request -> ok, nothing done",
        );
    }

    #[test]
    fn a_message_of_a_design_is_told_with_its_kind_and_its_fields() {
        check(r#"{"number":1,"body":{"ask":"take","worker":"w1"}}"#, "take worker w1");
        check(r#"{"number":1,"body":{"Write":{"id":"x","epoch":3}}}"#, "write epoch 3, id x");
        check(r#"{"number":1,"body":"NotMaster"}"#, "not master");
        check("nonsense", "bytes that are no message");
    }

    #[test]
    fn a_message_in_pieces_is_told_with_its_last_piece() {
        let frame = framed(br#"{"number":1,"body":"Stored"}"#);
        let mut conversation = Conversation::default();
        assert_eq!(conversation.words(false, &frame[..9]).as_deref(), Some("part of a message"));
        assert_eq!(conversation.words(false, &frame[9..]).as_deref(), Some("stored"));
        let several = [frame.as_ref(); 5].concat();
        let told = "stored; stored; stored; and 2 more";
        assert_eq!(conversation.words(true, &several).as_deref(), Some(told));
    }
}
