//! Lessons: what people believe about shared work, each as a program that fails and one that holds.
//!
//! A lesson has designs, which are scenarios like any other: real programs over the same machines,
//! under the same seed and the same faults. Each says what it must show: the wrong ones which
//! properties they break, the right ones that they break none. So every lesson is a test of the
//! checkers, too.
//!
//! Owns: which lessons there are, what they expect and ask. Leaves: running them to `world`, asking
//! people to the command line.
//! Holds: a design is called `LESSON/DESIGN`, as `quorum-half/wrong`; a lesson's name alone, or
//! with `/right`, means its first right design, and `/wrong` its first wrong one.
//! Start at [`Lesson`]; a short one to read is `quorum_half`.

mod derivation;
mod designs;
#[cfg(test)]
mod fairness;
#[cfg(test)]
mod hampered;
mod lock_herd;
mod mail_central_store;
mod mail_claims;
mod mail_database;
mod mail_flag;
mod mail_ghost_claim;
mod mail_manager;
mod mail_pause_no_fence;
mod mail_tracker;
mod master_ephemeral;
mod master_hop;
mod master_stale_cache;
mod question;
mod quorum_bridge;
mod quorum_even;
mod quorum_half;
mod quorum_leader_dies;
mod quorum_lying_disk;
mod records;
#[cfg(test)]
mod sayable;
mod stage;
#[cfg(test)]
mod tests;

pub use question::{Answer, AnswerError, Question, Truth, Unit};
pub use records::{Held, Records};
pub use stage::DRAWN_FAULTS;

use mailstorm_world::Scenario;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

/// The seed under which a lesson is looked at.
pub const SEED: u64 = 1;

/// One lesson.
pub struct Lesson {
    /// Its place on the path, from 1.
    pub number: u8,
    /// Its name, in `kebab-case`.
    pub name: &'static str,
    /// What many believe, in their words.
    pub title: &'static str,
    /// What happens in it, in a few sentences.
    pub story: &'static str,
    /// The designs, in the order in which to look at them: wrong ones first.
    pub designs: Vec<Design>,
    /// What to ask before anybody has looked.
    pub questions: Vec<Question>,
}

/// One design of a lesson.
pub struct Design {
    /// Its name within the lesson, in `kebab-case`: `wrong`, `right`, or what makes it different.
    pub name: &'static str,
    /// Whether it is one to build.
    pub is_right: bool,
    /// The properties that it breaks under the lesson's seed and plan, each as `checker/kind`:
    /// exactly these, the one that the lesson is about first. A right design may have some: what it
    /// cannot have is told there.
    pub breaks: &'static [&'static str],
    /// What runs.
    pub scenario: Arc<dyn Scenario>,
}

impl Lesson {
    /// The design of this name; `right` and `wrong` stand for the first of their sort.
    pub fn design(&self, name: &str) -> Option<&Design> {
        let called = self.designs.iter().find(|design| design.name == name);
        let sort = |is_right| self.designs.iter().find(move |design| design.is_right == is_right);
        called.or_else(|| match name {
            "right" => sort(true),
            "wrong" => sort(false),
            _ => None,
        })
    }
}

/// All lessons, in the order of the path.
pub fn all() -> Vec<Lesson> {
    vec![
        mail_flag::lesson(),
        mail_manager::lesson(),
        mail_central_store::lesson(),
        mail_claims::lesson(),
        mail_ghost_claim::lesson(),
        mail_pause_no_fence::lesson(),
        mail_tracker::lesson(),
        quorum_half::lesson(),
        quorum_even::lesson(),
        quorum_leader_dies::lesson(),
        quorum_lying_disk::lesson(),
        master_ephemeral::lesson(),
        master_stale_cache::lesson(),
        lock_herd::lesson(),
        mail_database::lesson(),
        master_hop::lesson(),
        quorum_bridge::lesson(),
    ]
}

/// The lesson of this name.
pub fn lesson(name: &str) -> Option<Lesson> {
    all().into_iter().find(|lesson| lesson.name == name)
}

/// What the design breaks that this scenario is, as its lesson has it; nothing for what is no
/// design.
fn broken_by(scenario: &str) -> &'static [&'static str] {
    static ALL: OnceLock<BTreeMap<String, &'static [&'static str]>> = OnceLock::new();
    let all = ALL.get_or_init(|| {
        let designs = all().into_iter().flat_map(|lesson| lesson.designs);
        designs.map(|design| (design.scenario.name().to_owned(), design.breaks)).collect()
    });
    all.get(scenario).copied().unwrap_or_default()
}

/// The scenario of a design, by `LESSON`, which means its right one, or by `LESSON/DESIGN`.
pub fn find(name: &str) -> Option<Arc<dyn Scenario>> {
    let (name, design) = name.split_once('/').unwrap_or((name, "right"));
    Some(lesson(name)?.design(design)?.scenario.clone())
}
