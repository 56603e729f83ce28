//! Records that end too early: a disk was full, a copy was interrupted.
//!
//! Holds: what is read is what was written; an incomplete event is left out.
//! Start at [`Run::parse_beginning`].

use crate::run::RunError;
use crate::{Event, Run};

/// Where a record's events begin; everything else stands before them.
const EVENTS: &str = "\"events\": [";

impl Run {
    /// Reads as much of a record as there is. The flag says whether it is cut short.
    ///
    /// # Errors
    /// As of [`Run::parse`]; also when it ends before its events begin.
    pub fn parse_beginning(text: &str) -> Result<(Self, bool), RunError> {
        match Self::parse(text) {
            Err(RunError::Unreadable(error)) if error.is_eof() => {
                let Some((head, events)) = text.split_once(EVENTS) else {
                    return Err(RunError::Unreadable(error));
                };
                let mut run = Self::parse(&format!("{head}\"events\": []}}"))?;
                run.events = Some(whole_events(events));
                Ok((run, true))
            }
            read => Ok((read?, false)),
        }
    }
}

/// The events of a list, up to the first that is incomplete.
fn whole_events(mut list: &str) -> Vec<Event> {
    let mut events = Vec::new();
    loop {
        list = list.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == ',');
        let mut values = serde_json::Deserializer::from_str(list).into_iter();
        let Some(Ok(event)) = values.next() else { return events };
        events.push(event);
        list = &list[values.byte_offset()..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::{Outcome, RUN_FORMAT};
    use crate::{Happening, Plan, Settings};

    fn run() -> Run {
        let event = |at_ns| Event {
            at_ns,
            node: Some("s1".into()),
            happening: Happening::Phase { name: "\"events\": [{}, ".into() },
        };
        Run {
            format: RUN_FORMAT,
            mailstorm: String::new(),
            scenario: "ensemble".into(),
            seed: 7,
            inbox: None,
            defect: None,
            settings: Settings::default(),
            roles: Default::default(),
            plan: Plan::default(),
            outcome: Outcome::default(),
            events: Some((0..20).map(event).collect()),
        }
    }

    #[test]
    fn a_record_that_is_cut_shows_every_event_that_is_whole() {
        let (whole, text) = (run(), run().to_json());
        assert_eq!(Run::parse_beginning(&text).expect("whole"), (whole.clone(), false));
        let begins = text.find(EVENTS).expect("it has events") + EVENTS.len();
        let mut shown = 0;
        for end in begins..text.len() {
            let (read, is_cut) = Run::parse_beginning(&text[..end]).expect("a beginning");
            assert!(is_cut);
            let events = read.events.expect("some");
            assert_eq!(events, whole.events.as_ref().expect("all")[..events.len()]);
            assert!(events.len() >= shown, "nothing is lost by reading more");
            shown = events.len();
        }
        assert_eq!(shown, 20);
    }

    #[test]
    fn what_is_cut_before_its_events_or_is_no_record_is_refused() {
        let text = run().to_json();
        let begins = text.find(EVENTS).expect("it has events");
        for end in 0..begins {
            assert!(Run::parse_beginning(&text[..end]).is_err());
        }
        assert!(Run::parse_beginning("{ \"events\": [").is_err());
        assert!(Run::parse_beginning(&format!("{text},")).is_err());
    }
}
