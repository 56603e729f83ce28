//! The tree of znodes as servers tell it, for all who show a part of it: which changes were
//! applied, whose each session is, and a panel of znodes.
//!
//! Holds: what a transaction changes counts once, when the first server applies it.
//! Start at [`changes`].

use crate::page::drawing::{Drawing, PanelId, Row};
use crate::page::projection::Seen;
use mailstorm_shared::facts::{ClientFact, EnsembleFact};
use mailstorm_shared::znodes::{Change, Owner};
use mailstorm_shared::{Observation, SessionId, Zxid};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The changes of each transaction, with the event in which the first server applied it.
pub(super) fn changes<'a>(seen: &Seen<'a>) -> impl Iterator<Item = (usize, &'a Change)> {
    let mut applied = Zxid::default();
    let firsts = seen.facts().filter_map(move |(at, _, fact)| match fact {
        Observation::Ensemble(EnsembleFact::Applied { zxid, changes, .. }) if *zxid > applied => {
            applied = *zxid;
            Some((at, changes))
        }
        _ => None,
    });
    firsts.flat_map(|(at, changes)| changes.iter().map(move |change| (at, change)))
}

/// The lane of each session's client, as far as one told.
pub(super) fn owners(seen: &Seen<'_>) -> BTreeMap<SessionId, usize> {
    let connected = seen.facts().filter_map(|(_, event, fact)| match fact {
        Observation::Client(ClientFact::ClientConnected { session, .. }) => {
            Some((*session, seen.lane(event)?))
        }
        _ => None,
    });
    connected.collect()
}

/// Who holds a session, in words.
pub(super) fn owner(seen: &Seen<'_>, owners: &BTreeMap<SessionId, usize>, of: SessionId) -> String {
    match owners.get(&of) {
        Some(lane) => seen.names[*lane].to_string(),
        None => "a client that never heard of it".to_owned(),
    }
}

/// Draws the znodes of these paths into a panel.
pub(super) fn draw(
    seen: &Seen<'_>,
    onto: &mut Drawing,
    panel: PanelId,
    is_shown: impl Fn(&str) -> bool,
) {
    let owners = owners(seen);
    // What stands behind the path of each ephemeral.
    let mut ephemerals: BTreeMap<&str, Arc<str>> = BTreeMap::new();
    for (at, change) in changes(seen) {
        match change {
            Change::Created { path, owner: of, .. } if is_shown(path) => {
                let mut row = Row { mark: "version 0".into(), ..Row::default() };
                if let Owner::Session(session) = of {
                    let owner = owner(seen, &owners, *session);
                    row.mark = "ephemeral".into();
                    row.value = format!("of {owner}, session {session}").into();
                    ephemerals.insert(path, Arc::clone(&row.value));
                }
                onto.set(panel, at, path, row);
            }
            Change::DataSet { path, version, .. } if is_shown(path) => {
                let row = match ephemerals.get(&**path) {
                    Some(value) => {
                        Row { mark: "ephemeral".into(), value: Arc::clone(value), class: 0 }
                    }
                    None => Row { mark: format!("version {version}").into(), ..Row::default() },
                };
                onto.set(panel, at, path, row);
            }
            Change::Deleted { path } if is_shown(path) => {
                ephemerals.remove(&**path);
                onto.remove(panel, at, path);
            }
            _ => {}
        }
    }
}
