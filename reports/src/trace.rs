//! Events, one a line: when, where, what.

use crate::words::words;
use mailstorm_record::{Event, Happening};

/// The event's line, with its end.
pub fn event_line(event: &Event) -> String {
    let (s, us) = (event.at_ns / 1_000_000_000, event.at_ns / 1_000 % 1_000_000);
    if let Happening::Phase { name } = &event.happening {
        return format!("{s:>5}.{us:06}  ---- {name} ----\n");
    }
    let node = event.node.as_ref().map_or("-", |node| &*node.0);
    format!("{s:>5}.{us:06}  {node:<5} {}\n", words(&event.happening))
}
