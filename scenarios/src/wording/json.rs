//! What the sink and the lessons' own designs say to each other, which is JSON in frames.

use super::{NoMessage, label, list, nonsense};
use bytes::Bytes;
use mailstorm_wire::frame::FrameDecoder;
use mailstorm_world::Interpreter;
use serde_json::{Map, Value};

const FRAME_BYTES_MAX: usize = 1 << 20;
/// The fields that name the kind of a message: their value stands first, without their name.
const TAGS: &[&str] = &["ask", "answer", "outcome"];
/// The number of a question, and what there is around a message.
const ENVELOPE: &[&str] = &["number", "body"];

/// Both directions of a connection.
pub(super) struct Conversation {
    asked: FrameDecoder,
    answered: FrameDecoder,
}

impl Default for Conversation {
    fn default() -> Self {
        let decoder = || FrameDecoder::new(FRAME_BYTES_MAX);
        Self { asked: decoder(), answered: decoder() }
    }
}

impl Interpreter for Conversation {
    fn words(&mut self, caller: bool, bytes: &[u8]) -> Option<String> {
        let decoder = if caller { &mut self.asked } else { &mut self.answered };
        decoder.push(Bytes::copy_from_slice(bytes));
        Some(label(|| {
            let frame = decoder.next_frame().map_err(|_| NoMessage)?;
            Ok(frame.map(|frame| message(&frame)))
        }))
    }
}

fn message(frame: &[u8]) -> String {
    match serde_json::from_slice(frame) {
        Ok(value) => words(&value),
        Err(_) => nonsense(),
    }
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
    fn a_message_of_the_sink_or_of_a_design_is_told_with_its_kind_and_its_fields() {
        check(
            r#"{"number":7,"resource":"claim-2","token":4,"result":null}"#,
            "resource claim-2, token 4",
        );
        check(
            r#"{"number":7,"resource":"claim-2","token":4,"result":{"mail":"a#1","worker":"w1"}}"#,
            "resource claim-2, result mail a#1, worker w1, token 4",
        );
        check(
            r#"{"number":7,"outcome":{"outcome":"fenced","done":["a","b"]}}"#,
            "fenced done a, b",
        );
        check(r#"{"number":7,"outcome":{"outcome":"taken"}}"#, "taken");
        check(
            r#"{"number":7,"outcome":{"outcome":"refused","highest_token":9}}"#,
            "refused highest token 9",
        );
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
