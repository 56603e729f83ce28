//! Other applications on a page: who believes to be master, and facts that bring their own looks.
//!
//! Start at [`Application`].

use crate::page::drawing::{Drawing, Order, PanelId, Row};
use crate::page::projection::{Cast, Look, Projection, Seen};
use mailstorm_shared::Observation;
use mailstorm_shared::facts::{ApplicationFact, Fact, Sign, Tone};
use std::collections::BTreeMap;

/// Nothing is kept of them.
#[derive(Default)]
pub(super) struct Application;

impl Projection for Application {
    fn topic(&self) -> &'static str {
        ApplicationFact::TOPIC
    }

    fn project(&mut self, seen: &Seen<'_>, onto: &mut Drawing) {
        let mut panels: BTreeMap<&str, PanelId> = BTreeMap::new();
        for (at, _, fact) in seen.facts() {
            let Observation::Application(ApplicationFact::Told(told)) = fact else { continue };
            let Some(row) = told.row() else { continue };
            let panel = *panels.entry(&row.panel).or_insert_with(|| {
                let panel = onto.panel(&row.panel, &[""], Order::ByName);
                onto.tell_stories(panel);
                panel
            });
            match &row.value {
                Some(value) => {
                    let (mark, value) = (row.mark.clone(), value.clone());
                    onto.set(panel, at, &row.name, Row { mark, value, class: 0 });
                }
                None => onto.remove(panel, at, &row.name),
            }
        }
    }

    fn cast(&self) -> Cast {
        Cast { work: &["candidate", "writer"], outside: &["witness"], ..Cast::default() }
    }

    fn look(&self, fact: &Observation) -> Look {
        match fact {
            Observation::Application(ApplicationFact::Told(told)) => {
                Look { tone: told.tone().unwrap_or(Tone::Plain), words: "" }
            }
            _ => Look { tone: Tone::Strong, words: "believes to be master" },
        }
    }

    fn sign(&self, fact: &Observation) -> Option<Sign> {
        let Observation::Application(fact) = fact else { return None };
        match fact {
            ApplicationFact::MasterBelieves { .. } => Some(Sign::Star),
            ApplicationFact::MasterResigns { .. } => Some(Sign::Ring),
            ApplicationFact::Milestone { .. } => Some(Sign::Dot),
            ApplicationFact::Measured { .. } => None,
            ApplicationFact::Told(told) => told.sign(),
        }
    }
}
