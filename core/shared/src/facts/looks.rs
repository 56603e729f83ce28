//! How facts look on a page: the signs of the time line, how bands of roles are drawn, and what a
//! fact that describes itself makes of its node's lane and of a panel.
//!
//! Owns: the vocabulary. Leaves: which fact of a system looks how to that system's projection in
//! `reports`, drawing to the page. Start at [`Looks`].

use super::RoleBand;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The sign of a fact on the time line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sign {
    /// Something broke or was refused.
    Cross,
    /// Something begins or goes on.
    Triangle,
    /// Something stands still.
    Bars,
    /// Somebody has come to the top.
    Star,
    /// Something is over.
    Ring,
    /// Something was cut.
    Wedge,
    /// Something was replaced as a whole.
    Square,
    /// Something is done.
    Dot,
    /// Something was tried.
    Circle,
}

/// How the band of a role is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tone {
    /// Filled: who decides.
    Strong,
    /// Lightly filled: who takes part.
    Plain,
    /// Dashed: who waits or looks.
    Faint,
}

/// What a fact that describes itself makes of its node's lane and of a panel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Looks {
    /// The role of its node from here on.
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<Role>,
    /// What a row of a panel says from here on.
    #[serde(skip_serializing_if = "Option::is_none")]
    row: Option<Row>,
    /// Its sign on the time line.
    #[serde(skip_serializing_if = "Option::is_none")]
    sign: Option<Sign>,
}

/// A role as a fact gives it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Role {
    /// In a word; empty when the node has none any longer.
    name: Arc<str>,
    epoch: u32,
    tone: Tone,
}

/// A row of a panel, in which a page shows what holds at an instant.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Row {
    /// The title of the panel.
    pub panel: Arc<str>,
    /// What the row is about: another fact with the same name replaces it.
    pub name: Arc<str>,
    /// What stands before the name, in a word or two.
    pub mark: Arc<str>,
    /// What stands behind it. Without a value the row is gone.
    pub value: Option<Arc<str>>,
}

impl Looks {
    /// The same, and its node has this role from here on, in this epoch (0 where roles have none).
    #[must_use]
    pub fn role(self, name: &str, epoch: u32, tone: Tone) -> Self {
        Self { role: Some(Role { name: name.into(), epoch, tone }), ..self }
    }

    /// The same, and its node has no role from here on.
    #[must_use]
    pub fn ends_role(self) -> Self {
        self.role("", 0, Tone::Faint)
    }

    /// The same, and the panel of this title has a row that says this from here on.
    #[must_use]
    pub fn row(self, panel: &str, name: &str, mark: &str, value: &str) -> Self {
        let (panel, name) = (panel.into(), name.into());
        Self {
            row: Some(Row { panel, name, mark: mark.into(), value: Some(value.into()) }),
            ..self
        }
    }

    /// The same, and the panel of this title has no such row from here on.
    #[must_use]
    pub fn removes(self, panel: &str, name: &str) -> Self {
        let row = Row { panel: panel.into(), name: name.into(), mark: "".into(), value: None };
        Self { row: Some(row), ..self }
    }

    /// The same, with a sign on the time line.
    #[must_use]
    pub fn sign(self, sign: Sign) -> Self {
        Self { sign: Some(sign), ..self }
    }

    pub(super) fn band(&self) -> RoleBand<'_> {
        match &self.role {
            None => RoleBand::Stays,
            Some(role) if role.name.is_empty() => RoleBand::Ends,
            Some(role) => RoleBand::Shows(&role.name, role.epoch),
        }
    }

    pub(super) fn texts(&self) -> impl Iterator<Item = &Arc<str>> {
        let row = self.row.iter();
        let row =
            row.flat_map(|row| [&row.panel, &row.name, &row.mark].into_iter().chain(&row.value));
        self.role.iter().map(|role| &role.name).chain(row)
    }

    pub(super) fn tone(&self) -> Option<Tone> {
        self.role.as_ref().map(|role| role.tone)
    }

    pub(super) fn shown_row(&self) -> Option<&Row> {
        self.row.as_ref()
    }

    pub(super) fn shown_sign(&self) -> Option<Sign> {
        self.sign
    }
}
