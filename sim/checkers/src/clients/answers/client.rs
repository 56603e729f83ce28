//! What is known of one client: what it has asked for, in which session, and whom it has proved to
//! be.
//!
//! Holds: credentials are shown to a server before anything else on every connection, so whoever
//! was accepted before an operation began is accepted when it is carried out; whoever was named
//! before it returned may be.

use super::model::Identity;
use crate::clients::followed::Wrong;
use mailstorm_shared::SessionId;
use mailstorm_shared::facts::{Asked, Call, CallKind, Outcome};
use std::collections::BTreeMap;
use std::sync::Arc;

/// One client.
#[derive(Clone, Debug, Default)]
pub(super) struct Client {
    pub(super) session: SessionId,
    /// By the operation's number: with how many of the proofs accepted by then.
    asked: BTreeMap<u64, (Call, usize)>,
    last_asked: u64,
    /// Who it said to be in this session, in that order: by the operation that said so, and whether
    /// it was accepted.
    proofs: Vec<(u64, Identity, bool)>,
    /// Its address as a server knows it, once that was told.
    address: Option<Arc<str>>,
}

impl Client {
    pub(super) fn invoked(&mut self, operation: u64, call: &Call) {
        if operation <= self.last_asked {
            // Another session, or another process, counts from the beginning.
            self.proofs.clear();
            self.asked.clear();
        }
        self.last_asked = operation;
        if let (CallKind::Auth, Some(Asked::Identity { scheme, id })) =
            (call.kind, call.asked.as_deref())
        {
            self.proofs.push((operation, (Arc::clone(scheme), Arc::clone(id)), false));
        }
        let proved = self.proofs.iter().filter(|(.., is_accepted)| *is_accepted).count();
        self.asked.insert(operation, (call.clone(), proved));
    }

    /// What had been asked for, and with how many proofs accepted.
    pub(super) fn returned(&mut self, operation: u64, outcome: &Outcome) -> Option<(Call, usize)> {
        let (call, proved) = self.asked.remove(&operation)?;
        if call.kind == CallKind::Auth {
            match outcome {
                Outcome::Ok { .. } => {
                    let mut proofs = self.proofs.iter_mut();
                    if let Some(proof) = proofs.find(|(asked, ..)| *asked == operation) {
                        proof.2 = true;
                    }
                }
                Outcome::Failed { .. } => self.proofs.retain(|(asked, ..)| *asked != operation),
                Outcome::Unknown => {}
            }
        }
        Some((call, proved))
    }

    /// Whom it may have been taken for, by somebody who had accepted at least so many proofs.
    pub(super) fn possible_identities(&self, proved: usize) -> Vec<Vec<Identity>> {
        let with = |count: usize| {
            let address = self.address.clone().map(|address| (Arc::from("ip"), address));
            let mut identities: Vec<Identity> = address.into_iter().collect();
            for (_, identity, _) in &self.proofs[..count] {
                if !identities.contains(identity) {
                    identities.push(identity.clone());
                }
            }
            identities
        };
        let mut possible: Vec<_> =
            (proved.min(self.proofs.len())..=self.proofs.len()).map(with).collect();
        possible.dedup();
        possible
    }

    /// A server named whom it takes the client for: of a digest the user alone.
    pub(super) fn is_named(
        &mut self,
        proved: usize,
        named: &[(Arc<str>, Arc<str>)],
    ) -> Result<(), Wrong> {
        let address = named.iter().find(|(scheme, _)| &**scheme == "ip").map(|(_, ip)| ip.clone());
        if self.address.is_none() {
            self.address = address;
        }
        let shown = |(scheme, id): &Identity| match id.split_once(':') {
            Some((user, _)) if &**scheme == "digest" => (Arc::clone(scheme), Arc::from(user)),
            _ => (Arc::clone(scheme), Arc::clone(id)),
        };
        let mut named = named.to_vec();
        named.sort();
        let possible = self.possible_identities(proved);
        let is_right = possible.iter().any(|identities| {
            let mut identities: Vec<_> = identities.iter().map(shown).collect();
            identities.sort();
            identities == named
        });
        if is_right {
            return Ok(());
        }
        let names: Vec<String> =
            named.iter().map(|(scheme, id)| format!("{scheme}:{id}")).collect();
        let detail = format!(
            "is taken for {}, which is not whom it has proved to be",
            if names.is_empty() { "nobody".into() } else { names.join(" and ") }
        );
        Err(Wrong { kind: "identity_differs", detail })
    }
}
