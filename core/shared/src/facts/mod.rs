//! What can be observed in a run: the facts that servers, clients and applications tell an
//! onlooker.
//!
//! The cores emit facts among their outputs, the laboratory stamps them with time and node and
//! judges them; real servers can write the same lines, so that a checker can judge their history
//! too. A fact never influences the one who tells it.
//!
//! Each system has its facts in a file of its own, and whatever there is to say of a fact stands
//! there in one place ([`Fact::told`]): its name, its sentence, what it is about, how loud a real
//! server logs it, what it makes of its node's lane. Who tells it is the node of the event, not a
//! field.
//! Start at [`Observation`]; a new fact is one variant and one arm in the file of its system.

mod application;
mod client;
mod ensemble;
mod mail;

pub use application::{ApplicationFact, Told, TooLong, Value};
pub use client::{Call, CallKind, ClientFact, Outcome};
pub use ensemble::EnsembleFact;
pub use mail::MailFact;

use serde::{Deserialize, Serialize};
use std::fmt;

/// One fact, told by the party it concerns, at the moment it became true there.
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
}

/// The facts of one system.
pub trait Fact: Into<Observation> {
    /// The system, as records spell it.
    const TOPIC: &'static str;

    /// Hands over all that there is to say of the fact, and its sentence: the time and the node
    /// stand before it.
    fn told<'a, T>(&'a self, to: impl FnOnce(Account<'a>, fmt::Arguments<'_>) -> T) -> T;
}

/// What there is to say of a fact beside its sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account<'a> {
    /// Its name, in `snake_case`, as records spell it.
    pub name: &'a str,
    /// What it is about.
    pub subject: Subject,
    /// How loud a real server logs it.
    pub level: Level,
    /// What it makes of its node's lane on the page.
    pub band: RoleBand,
    /// Whether a diagram that leaves nearly everything out shows it.
    pub is_turn: bool,
    /// What whoever tells it shows itself to be, where a record does not say it.
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
    /// Sessions heard of and expired, as servers see them.
    Sessions,
    /// Operations of clients: invoked and returned.
    Operations,
    /// Connections and sessions, as clients see them.
    Connections,
    /// Watch events delivered.
    Watches,
    /// What applications do: mails, masters, measures, milestones, and what only they know.
    Application,
}

/// How loud a real server logs a fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// What an operator wants to read without asking; there are few of them.
    Info,
    /// Everything else.
    Debug,
}

/// What a fact makes of its node's lane on the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoleBand {
    /// Nothing: the node's role stays what it was.
    Stays,
    /// The node has no role from here on.
    Ends,
    /// The node has this role from here on, in this epoch; 0 where roles have none.
    Shows(&'static str, u32),
}

impl<'a> Account<'a> {
    /// Of a fact with this name: logged for those who ask for it, and no more.
    fn of(name: &'a str, subject: Subject) -> Self {
        let (level, band) = (Level::Debug, RoleBand::Stays);
        Self { name, subject, level, band, is_turn: false, teller: None }
    }

    /// An operator reads it without asking.
    fn info(self) -> Self {
        Self { level: Level::Info, ..self }
    }

    /// It gives its node this role.
    fn shows(self, role: &'static str, epoch: u32) -> Self {
        Self { band: RoleBand::Shows(role, epoch), ..self }
    }

    /// It ends its node's role.
    fn ends_role(self) -> Self {
        Self { band: RoleBand::Ends, ..self }
    }

    /// A diagram that leaves nearly everything out shows it.
    fn turn(self) -> Self {
        Self { is_turn: true, ..self }
    }

    /// Whoever tells it is one of these.
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

systems!(Ensemble(EnsembleFact), Client(ClientFact), Mail(MailFact), Application(ApplicationFact),);

impl Observation {
    /// All that there is to say of it beside its sentence.
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
