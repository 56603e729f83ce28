//! What a system makes of its events on a page: the one thing that the page asks of a system.
//!
//! Owns: the questions. Leaves: the answers to `projections`, one file per system; drawing to the
//! page, which knows no system by name. Holds: a projection sees facts and nothing else.
//! Start at [`Projection`]; a new system is one file there and its line in the list.

use super::drawing::Drawing;
use super::stuck::{Behind, Missing, Standstill};
use mailstorm_record::{Event, Happening, NodeName};
use mailstorm_shared::Observation;
use mailstorm_shared::facts::{Sign, Tone};

/// One system on a page. Made anew for each run; it keeps what it needs to say what is stuck.
pub(crate) trait Projection {
    /// The system, as facts spell it.
    fn topic(&self) -> &'static str;

    /// Draws its panels, rows and operations.
    fn project(&mut self, seen: &Seen<'_>, onto: &mut Drawing);

    /// What its nodes are called, and where they stand on the page.
    fn cast(&self) -> Cast {
        Cast::default()
    }

    /// How the role looks that this fact of the system gives its node.
    fn look(&self, fact: &Observation) -> Look {
        let _ = fact;
        Look { tone: Tone::Plain, words: "" }
    }

    /// The sign on the time line of this fact of the system.
    fn sign(&self, fact: &Observation) -> Option<Sign> {
        let _ = fact;
        None
    }

    /// What is missing while work stands still, if it is this system's work.
    fn missing(&self, still: &Standstill<'_>) -> Option<Missing> {
        let _ = still;
        None
    }

    /// Who holds the work that stands still, the most likely ones first.
    fn holders(&self, still: &Standstill<'_>, missing: &Missing) -> Vec<Behind> {
        let _ = (still, missing);
        Vec::new()
    }

    /// What the system lacks while work stands still, in a sentence.
    fn lacks(&self, still: &Standstill<'_>) -> Option<String> {
        let _ = still;
        None
    }
}

/// A run as a projection sees it.
pub(crate) struct Seen<'a> {
    /// The events that the page is told: an event is known by its place here.
    pub(crate) events: &'a [&'a Event],
    /// The lane of each node.
    pub(crate) place: &'a dyn Fn(&NodeName) -> Option<usize>,
    /// What each node is called, lane by lane.
    pub(crate) names: &'a [NodeName],
}

impl<'a> Seen<'a> {
    /// All that was told, each with its event's place.
    pub(crate) fn facts(&self) -> impl Iterator<Item = (usize, &'a Event, &'a Observation)> {
        let events = self.events;
        events.iter().enumerate().filter_map(|(at, event)| match &event.happening {
            Happening::Observed { observation } => Some((at, *event, observation)),
            _ => None,
        })
    }

    /// The lane of an event's node.
    pub(crate) fn lane(&self, event: &Event) -> Option<usize> {
        event.node.as_ref().and_then(self.place)
    }
}

/// How a role looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    pub(crate) tone: Tone,
    /// What it means, for the legend; empty where its name says it.
    pub(crate) words: &'static str,
}

/// What a system's nodes are called, each list from top to bottom.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cast {
    /// Who serves: above all others.
    pub(crate) serve: &'static [&'static str],
    /// Who does the work.
    pub(crate) work: &'static [&'static str],
    /// Who stands outside: below all others.
    pub(crate) outside: &'static [&'static str],
}

/// All systems that tell facts, from what is built on top down to what it stands on.
pub(crate) struct Systems(pub(crate) Vec<Box<dyn Projection>>);

impl Systems {
    fn of(&self, fact: &Observation) -> Option<&dyn Projection> {
        let topic = fact.topic();
        self.0.iter().find(|system| system.topic() == topic).map(|system| &**system)
    }

    pub(super) fn project(&mut self, seen: &Seen<'_>) -> Drawing {
        let mut drawing = Drawing::default();
        for system in &mut self.0 {
            system.project(seen, &mut drawing);
        }
        drawing
    }

    pub(super) fn sign(&self, fact: &Observation) -> Option<Sign> {
        self.of(fact)?.sign(fact)
    }

    pub(super) fn look(&self, fact: &Observation) -> Look {
        self.of(fact).map_or(Look { tone: Tone::Plain, words: "" }, |system| system.look(fact))
    }

    /// How much the word of this fact says of its node: a worker is a client as well, so that the
    /// word of what is built on top counts.
    pub(super) fn weight(&self, fact: &Observation) -> usize {
        let topic = fact.topic();
        self.0.iter().rev().position(|system| system.topic() == topic).map_or(0, |at| at + 1)
    }

    /// Where nodes that are called this stand on the page, from top to bottom: who serves, who
    /// serves in a system that told no names (it is known by its roles), who does the work, who
    /// stands outside.
    pub(super) fn stand(&self, called: &str, has_roles: bool) -> (u8, usize) {
        let find = |list: fn(&Cast) -> &'static [&'static str]| {
            let casts = self.0.iter().map(|system| system.cast());
            casts.flat_map(|cast| list(&cast)).position(|known| *known == called)
        };
        if let Some(at) = find(|cast| cast.serve) {
            (0, at)
        } else if let Some(at) = find(|cast| cast.work) {
            (2, at)
        } else if let Some(at) = find(|cast| cast.outside) {
            (4, at)
        } else if has_roles {
            (1, 0)
        } else {
            (3, 0)
        }
    }
}
