//! What applications report: who believes to be master, what goals count and bounds measure, and
//! facts of programs that this project does not know.
//!
//! Holds: a fact of such a program ([`Told`]) describes itself, and is bounded wherever it comes
//! from.

use super::{Account, Fact, Looks, RoleBand, Row, Sign, Subject, Tone};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// One fact of an application.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum ApplicationFact {
    /// A candidate believes that it is master from now on.
    MasterBelieves {
        /// Who.
        candidate: Arc<str>,
        /// Its fencing token.
        token: u64,
    },
    /// A candidate knows that it is no longer master.
    MasterResigns {
        /// Who.
        candidate: Arc<str>,
        /// The token it held.
        token: u64,
    },
    /// Something that a scenario's goals count, and nothing else: `claim_taken_over`,
    /// `worker_replaced`.
    Milestone {
        /// Its name, in `snake_case`.
        name: Arc<str>,
    },
    /// A quantity of an application as it is now: `queue_mails`. A scenario's bounds look at it.
    Measured {
        /// Its name, in `snake_case`, with its unit.
        name: Arc<str>,
        /// How much it is.
        value: u64,
    },
    /// A fact of a program that this project does not know.
    Told(Told),
}

impl Fact for ApplicationFact {
    const TOPIC: &'static str = "application";

    fn told<'a, T>(&'a self, to: impl FnOnce(Account<'a>, fmt::Arguments<'_>) -> T) -> T {
        let fact = |name: &'a str| Account::of(name, Subject::Application);
        match self {
            Self::MasterBelieves { candidate, token } => to(
                fact("master_believes").by("candidate").turn().shows("master", 0),
                format_args!("{candidate} believes that it is master, token {token}"),
            ),
            Self::MasterResigns { candidate, token } => to(
                fact("master_resigns").turn().ends_role(),
                format_args!("{candidate} knows that it is no longer master, token {token}"),
            ),
            Self::Milestone { name } => {
                to(fact("milestone"), format_args!("milestone {}", Spaced(name)))
            }
            Self::Measured { name, value } => {
                to(fact("measured"), format_args!("has {} {value}", Spaced(name)))
            }
            Self::Told(told) => to(
                Account { band: told.band(), ..fact(&told.name) },
                format_args!("{}", told.words),
            ),
        }
    }
}

/// A name in `snake_case` as people read it.
pub(super) struct Spaced<'a>(pub(super) &'a str);

impl fmt::Display for Spaced<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = self.0.split('_');
        f.write_str(words.next().unwrap_or_default())?;
        words.try_for_each(|word| write!(f, " {word}"))
    }
}

/// A fact that describes itself: a checker of its system matches on its name and its values.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Told {
    name: Arc<str>,
    values: BTreeMap<Arc<str>, Value>,
    words: Arc<str>,
    /// What a page makes of it, if anything: most facts are words alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    looks: Option<Box<Looks>>,
}

impl Told {
    /// The longest name of a fact, and of one of its values, in bytes.
    pub const NAME_BYTES_MAX: usize = 64;
    /// The longest text among the values, and the longest sentence, in bytes.
    pub const TEXT_BYTES_MAX: usize = 256;
    /// How many values a fact may have.
    pub const VALUES_MAX: usize = 8;

    /// A fact with its name in `snake_case`, what it says in numbers and names, and the sentence
    /// that stands behind the node in a trace: `backup_promoted`, `token` 7, `is the primary from
    /// now on`.
    ///
    /// # Errors
    /// When one of them is longer than a fact may be.
    pub fn new<'a>(
        name: &str,
        values: impl IntoIterator<Item = (&'a str, Value)>,
        words: &str,
    ) -> Result<Self, TooLong> {
        let values = values.into_iter().map(|(name, value)| (name.into(), value)).collect();
        Unchecked { name: name.into(), values, words: words.into(), looks: None }.try_into()
    }

    /// The same fact, with what a page makes of it.
    ///
    /// # Errors
    /// When one of its texts is longer than a text of a fact may be.
    pub fn looking(self, looks: Looks) -> Result<Self, TooLong> {
        let Self { name, values, words, .. } = self;
        Unchecked { name, values, words, looks: Some(Box::new(looks)) }.try_into()
    }

    /// The row of a panel that it changes.
    pub fn row(&self) -> Option<&Row> {
        self.looks.as_deref()?.shown_row()
    }

    /// Its sign on the time line.
    pub fn sign(&self) -> Option<Sign> {
        self.looks.as_deref()?.shown_sign()
    }

    /// How the role is drawn that it gives its node.
    pub fn tone(&self) -> Option<Tone> {
        self.looks.as_deref()?.tone()
    }

    fn band(&self) -> RoleBand<'_> {
        self.looks.as_deref().map_or(RoleBand::Stays, Looks::band)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value of this name.
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.values.get(name)
    }

    /// The value of this name, if it is a number.
    pub fn number(&self, name: &str) -> Option<u64> {
        match self.values.get(name)? {
            Value::Number(number) => Some(*number),
            Value::Text(_) => None,
        }
    }

    /// The value of this name, if it is a text.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.values.get(name)? {
            Value::Number(_) => None,
            Value::Text(text) => Some(text),
        }
    }
}

/// One value of a fact that describes itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// A count, a position, a token.
    Number(u64),
    /// A name.
    Text(Arc<str>),
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

/// A fact says more than a fact may.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a fact may have a name of {} bytes, {} values and texts of {} bytes: shorten {what}",
    Told::NAME_BYTES_MAX,
    Told::VALUES_MAX,
    Told::TEXT_BYTES_MAX
)]
pub struct TooLong {
    /// What is too long.
    what: &'static str,
}

/// A fact as it comes from a program or a record.
#[derive(Deserialize)]
struct Unchecked {
    name: Arc<str>,
    values: BTreeMap<Arc<str>, Value>,
    words: Arc<str>,
    #[serde(default)]
    looks: Option<Box<Looks>>,
}

impl TryFrom<Unchecked> for Told {
    type Error = TooLong;
    fn try_from(unchecked: Unchecked) -> Result<Self, TooLong> {
        let Unchecked { name, values, words, looks } = unchecked;
        let is_long_text = |text: &Arc<str>| text.len() > Self::TEXT_BYTES_MAX;
        let is_long = |(name, value): (&Arc<str>, &Value)| {
            let text = if let Value::Text(text) = value { text.len() } else { 0 };
            name.len() > Self::NAME_BYTES_MAX || text > Self::TEXT_BYTES_MAX
        };
        let what = if name.len() > Self::NAME_BYTES_MAX {
            "its name"
        } else if words.len() > Self::TEXT_BYTES_MAX {
            "its words"
        } else if values.len() > Self::VALUES_MAX || values.iter().any(is_long) {
            "its values"
        } else if looks.iter().any(|looks| looks.texts().any(is_long_text)) {
            "its looks"
        } else {
            return Ok(Self { name, values, words, looks });
        };
        Err(TooLong { what })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fact_that_describes_itself_is_bounded() {
        let (name, text) = ("n".repeat(Told::NAME_BYTES_MAX), "t".repeat(Told::TEXT_BYTES_MAX));
        let numbers = |count: u64| (0..count).map(|at| (at.to_string(), Value::from(at)));
        let check = |name: &str, count: usize, value: &str, words: &str| {
            let numbers: Vec<_> = numbers(count as u64).collect();
            let values = numbers.iter().map(|(name, value)| (&**name, value.clone()));
            Told::new(name, values.chain([("text", Value::from(value))]), words).map(drop)
        };
        let longer = |text: &str| format!("{text}x");
        assert_eq!(check(&name, Told::VALUES_MAX - 1, &text, &text), Ok(()));
        let refused = |what| Err(TooLong { what });
        assert_eq!(check(&longer(&name), 0, "", ""), refused("its name"));
        assert_eq!(check("n", Told::VALUES_MAX, "", ""), refused("its values"));
        assert_eq!(check("n", 0, &longer(&text), ""), refused("its values"));
        assert_eq!(check("n", 0, "", &longer(&text)), refused("its words"));
        let looks = |role: &str, panel: &str, value: &str| {
            let looks = Looks::default().role(role, 1, Tone::Strong).row(panel, "", "", value);
            Told::new("n", [], "").unwrap().looking(looks).map(drop)
        };
        assert_eq!(looks(&text, &text, &text), Ok(()));
        for (role, panel, value) in [(&*longer(&text), "", ""), ("", &*longer(&text), "")] {
            assert_eq!(looks(role, panel, value), refused("its looks"));
        }
        assert_eq!(looks("", "", &longer(&text)), refused("its looks"));
    }

    #[test]
    fn a_fact_that_describes_itself_is_read_as_it_was_told_with_its_looks_or_without() {
        let plain = Told::new("n", [("a", 1.into())], "w").unwrap();
        let text = r#"{"name":"n","values":{"a":1},"words":"w"}"#;
        assert_eq!(serde_json::to_string(&plain).unwrap(), text);
        assert_eq!(serde_json::from_str::<Told>(text).unwrap(), plain);
        let looks = Looks::default().role("leads", 3, Tone::Strong).sign(Sign::Star);
        let shown = plain.looking(looks.row("Replicas", "r1", "up", "value 5")).unwrap();
        let text = serde_json::to_string(&shown).unwrap();
        assert_eq!(serde_json::from_str::<Told>(&text).unwrap(), shown);
        let fact = super::super::Observation::from(ApplicationFact::Told(shown.clone()));
        assert_eq!(fact.account().band, RoleBand::Shows("leads", 3));
        let long = text.replace("value 5", &"v".repeat(Told::TEXT_BYTES_MAX + 1));
        assert!(serde_json::from_str::<Told>(&long).is_err());
        let ended = shown.looking(Looks::default().ends_role().removes("Replicas", "r1")).unwrap();
        assert_eq!((ended.sign(), ended.row().unwrap().value.as_deref()), (None, None));
        let fact = super::super::Observation::from(ApplicationFact::Told(ended));
        assert_eq!(fact.account().band, RoleBand::Ends);
    }
}
