//! Settings: the numbers of a scenario that a run may change, as `servers` or `mails`.
//!
//! Owns: what a setting is, and which values it may have. Leaves: what a number does to the
//! scenario.
//! Holds: a record keeps only the settings that differ from the scenario's own, so that a record of
//! an unchanged scenario has none.
//! Start at [`Setting`].

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Numbers of a scenario that differ from its own, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Settings(pub BTreeMap<String, u64>);

impl Settings {
    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those of a scenario's settings whose values are not its own.
    pub fn of(all: &[Setting]) -> Self {
        let changed = all.iter().filter(|setting| setting.value != setting.default);
        Self(changed.map(|setting| (setting.name.to_owned(), setting.value)).collect())
    }

    /// Gives each of a scenario's settings its value from here, and its own to every other.
    ///
    /// # Errors
    /// [`SettingError`] for a name that the scenario does not have and for a value out of its
    /// range.
    pub fn apply(&self, all: &mut [Setting]) -> Result<(), SettingError> {
        all.iter_mut().for_each(|setting| setting.value = setting.default);
        for (name, &value) in &self.0 {
            let Some(setting) = all.iter_mut().find(|setting| setting.name == name) else {
                let known = all.iter().map(|setting| setting.name).collect();
                return Err(SettingError::Unknown { name: name.clone(), known });
            };
            let Setting { name, min, max, .. } = *setting;
            if !(min..=max).contains(&value) {
                return Err(SettingError::OutOfRange { name, value, min, max });
            }
            setting.value = value;
        }
        Ok(())
    }
}

/// One number of a scenario that a run may change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its name, in `snake_case`.
    pub name: &'static str,
    /// What it is, in a few words.
    pub about: &'static str,
    /// What it is now.
    pub value: u64,
    /// The scenario's own value.
    pub default: u64,
    /// The least it may be.
    pub min: u64,
    /// The most it may be.
    pub max: u64,
    /// The value with which a run is easiest to follow: what a shrink aims at.
    pub simplest: u64,
}

impl Setting {
    /// A count, which is the simpler the smaller it is.
    pub fn count(
        name: &'static str,
        about: &'static str,
        default: u64,
        range: std::ops::RangeInclusive<u64>,
    ) -> Self {
        let (min, max) = range.into_inner();
        assert!((min..=max).contains(&default), "{name}: the default lies in the range");
        Self { name, about, value: default, default, min, max, simplest: min }
    }

    /// Something that is as in life by default (0), and plain when it is 1.
    pub fn plain(name: &'static str, about: &'static str) -> Self {
        Self { name, about, value: 0, default: 0, min: 0, max: 1, simplest: 1 }
    }
}

/// Why a scenario cannot have a setting.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// It has none of this name.
    #[error("unknown setting `{name}`; expected {}", one_of(known))]
    Unknown {
        /// The name requested.
        name: String,
        /// The names there are.
        known: Vec<&'static str>,
    },
    /// Each value is valid, but not all of them together.
    #[error("{0}")]
    Together(String),
    /// The value is out of range.
    #[error("setting `{name}` cannot be {value}; expected {min} to {max}")]
    OutOfRange {
        /// The setting.
        name: &'static str,
        /// The value requested.
        value: u64,
        /// The least it may be.
        min: u64,
        /// The most it may be.
        max: u64,
    },
}

fn one_of(known: &[&str]) -> String {
    if known.is_empty() {
        return "none: the scenario has no settings".to_owned();
    }
    format!("one of {}", known.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Setting> {
        vec![
            Setting::count("servers", "servers that vote", 5, 1..=9),
            Setting::plain("plain_latencies", "equal latencies"),
        ]
    }

    fn settings(pairs: &[(&str, u64)]) -> Settings {
        Settings(pairs.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect())
    }

    #[track_caller]
    fn refused(pairs: &[(&str, u64)], expected: &str) {
        let error = settings(pairs).apply(&mut all()).expect_err("it must be refused");
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn only_what_differs_is_kept_and_gives_the_same_numbers_again() {
        let mut changed = all();
        settings(&[("servers", 9), ("plain_latencies", 0)]).apply(&mut changed).expect("in range");
        assert_eq!(Settings::of(&changed), settings(&[("servers", 9)]));
        Settings::default().apply(&mut changed).expect("nothing to refuse");
        assert_eq!(changed, all());
    }

    #[test]
    fn what_a_scenario_does_not_have_is_refused() {
        refused(
            &[("server", 3)],
            "unknown setting `server`; expected one of servers, plain_latencies",
        );
        refused(&[("servers", 10)], "setting `servers` cannot be 10; expected 1 to 9");
        refused(&[("servers", 0)], "setting `servers` cannot be 0; expected 1 to 9");
        let error = settings(&[("x", 1)]).apply(&mut []).expect_err("it has none");
        assert_eq!(
            error.to_string(),
            "unknown setting `x`; expected none: the scenario has no settings"
        );
    }
}
