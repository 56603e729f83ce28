//! What can be observed in a run: the facts that servers, clients and applications report to an
//! onlooker.
//!
//! The cores emit facts among their outputs, the laboratory stamps them with time and node and
//! judges them; real servers can write the same lines, so that a checker can judge their history
//! too. Reporting a fact never influences whoever reports it.
//!
//! Each system has its facts in a file of its own, and whatever there is to say of a fact stands
//! there in one place ([`Fact::told`]): its name, its sentence, what it is about, at which level a
//! real server logs it, how it changes its node's lane. Who reports it is the event's node, not a
//! field.
//! Start at [`Observation`]; a new fact is one variant and one arm in the file of its system.

mod application;
mod client;
mod ensemble;
mod looks;
mod mail;
mod memory;

pub use application::{ApplicationFact, Told, TooLong, Value};
pub use client::{Asked, Call, CallKind, ClientFact, Outcome, Shown, Step};
pub use ensemble::EnsembleFact;
pub use looks::{Looks, Row, Sign, Tone};
pub use mail::MailFact;
pub use memory::MemoryFact;

use serde::{Deserialize, Serialize};
use std::fmt;

/// One fact, reported by the party it concerns, at the moment it became true there.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "topic", rename_all = "snake_case")]
pub enum Observation {
    /// Of a server of an ensemble.
    Ensemble(EnsembleFact),
    /// Of a client of the coordination service.
    Client(ClientFact),
    /// Of the mail pipeline.
    Mail(MailFact),
    /// Of any other application.
    Application(ApplicationFact),
    /// Of what any core keeps in memory.
    Memory(MemoryFact),
}

/// The facts of one system.
pub trait Fact: Into<Observation> {
    /// The system, as records spell it.
    const TOPIC: &'static str;

    /// Passes the fact's account and its sentence on; the time and the node stand before the
    /// sentence.
    fn told<'a, T>(&'a self, to: impl FnOnce(Account<'a>, fmt::Arguments<'_>) -> T) -> T;
}

/// What describes a fact besides its sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account<'a> {
    /// Its name, in `snake_case`, as records spell it.
    pub name: &'a str,
    /// What it is about.
    pub subject: Subject,
    /// The level at which a real server logs it.
    pub level: Level,
    /// What it makes of its node's lane on the page.
    pub band: RoleBand<'a>,
    /// Whether a diagram that leaves nearly everything out shows it.
    pub is_turn: bool,
    /// The kind of node that reports it, where a record does not say.
    pub teller: Option<&'static str>,
}

/// What facts are about: checkers ask for what they follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Who looks, follows, leads, steps down; epochs accepted.
    Leadership,
    /// What servers log, cut, make durable and commit.
    Log,
    /// Transactions applied.
    Applied,
    /// Writes acknowledged by servers.
    Acknowledged,
    /// Sessions seen and expired, as servers report them.
    Sessions,
    /// Operations of clients: invoked and returned.
    Operations,
    /// Connections and sessions, as clients see them.
    Connections,
    /// Watch events delivered.
    Watches,
    /// What applications do: mails, masters, measures, milestones, and facts of their own.
    Application,
    /// How much the cores keep in memory.
    Memory,
}

/// The level at which a real server logs a fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// What an operator sees by default; few facts are.
    Info,
    /// Everything else.
    Debug,
}

/// How a fact changes its node's lane on the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoleBand<'a> {
    /// Nothing: the node's role stays what it was.
    Stays,
    /// The node has no role from here on.
    Ends,
    /// The node has this role from here on, in this epoch; 0 where roles have none.
    Shows(&'a str, u32),
}

impl<'a> Account<'a> {
    /// The account of a fact with this name, logged at debug level.
    fn of(name: &'a str, subject: Subject) -> Self {
        let (level, band) = (Level::Debug, RoleBand::Stays);
        Self { name, subject, level, band, is_turn: false, teller: None }
    }

    /// Logged at info level.
    fn info(self) -> Self {
        Self { level: Level::Info, ..self }
    }

    /// It gives its node this role.
    fn shows(self, role: &'a str, epoch: u32) -> Self {
        Self { band: RoleBand::Shows(role, epoch), ..self }
    }

    /// It ends its node's role.
    fn ends_role(self) -> Self {
        Self { band: RoleBand::Ends, ..self }
    }

    /// It is a turning point.
    fn turn(self) -> Self {
        Self { is_turn: true, ..self }
    }

    /// Reported by a node of this kind.
    fn by(self, teller: &'static str) -> Self {
        Self { teller: Some(teller), ..self }
    }
}

macro_rules! systems {
    ($($system:ident($fact:ident)),* $(,)?) => {
        $(impl From<$fact> for Observation {
            fn from(fact: $fact) -> Self {
                Self::$system(fact)
            }
        })*

        impl Observation {
            fn told<'a, T>(&'a self, to: impl FnOnce(Account<'a>, fmt::Arguments<'_>) -> T) -> T {
                match self {
                    $(Self::$system(fact) => fact.told(to)),*
                }
            }

            /// The system whose fact it is, as records spell it.
            pub fn topic(&self) -> &'static str {
                match self {
                    $(Self::$system(_) => $fact::TOPIC),*
                }
            }
        }
    };
}

systems!(
    Ensemble(EnsembleFact),
    Client(ClientFact),
    Mail(MailFact),
    Application(ApplicationFact),
    Memory(MemoryFact),
);

impl Observation {
    /// What describes it besides its sentence.
    #[inline]
    pub fn account(&self) -> Account<'_> {
        self.told(|account, _| account)
    }

    /// Its name, in `snake_case`, as records spell it.
    pub fn name(&self) -> &str {
        self.told(|account, _| account.name)
    }

    /// What it is about.
    #[inline]
    pub fn subject(&self) -> Subject {
        self.told(|account, _| account.subject)
    }

    /// What happened, in a few words.
    pub fn words(&self) -> String {
        self.told(|_, words| words.to_string())
    }
}
