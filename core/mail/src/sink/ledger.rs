//! The ledger itself: what was accepted, under which token.

use mailstorm_shared::{Defects, planted};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Results by resource and mail. A resource is what tokens are compared within: one claim.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ledger {
    resources: BTreeMap<Arc<str>, Resource>,
    defects: Defects,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Resource {
    highest_token: u64,
    /// Per mail the token under which its latest result came.
    accepted: BTreeMap<Arc<str>, u64>,
}

/// What became of a fence that was not refused.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Fenced {
    /// False if this holder had raised it before.
    pub is_raised: bool,
    /// The mails that have a result, in order.
    pub done: Vec<Arc<str>>,
}

/// What became of a result that was not refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Put {
    /// It is an effect now.
    Accepted,
    /// The same holder had sent it before: no second effect.
    Repeated,
}

/// The token is below one that was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("fencing token below {highest_token}, the highest seen: the claim was taken over")]
pub struct Refusal {
    /// The highest token seen for the resource.
    pub highest_token: u64,
}

impl Ledger {
    /// An empty ledger.
    pub fn new(defects: Defects) -> Self {
        Self { resources: BTreeMap::new(), defects }
    }

    /// Raises the resource's token and lists the mails that have a result, in order.
    ///
    /// # Errors
    /// [`Refusal`] when a higher token was seen.
    pub fn fence(&mut self, resource: &Arc<str>, token: u64) -> Result<Fenced, Refusal> {
        let before = self.resources.get(resource).map_or(0, |resource| resource.highest_token);
        let is_forgotten = planted!(self.defects, FenceRaisedByResultsAlone);
        let resource = self.admit(resource, token)?;
        if is_forgotten {
            resource.highest_token = before;
        }
        let done = resource.accepted.keys().cloned().collect();
        Ok(Fenced { is_raised: token > before, done })
    }

    /// Takes a mail's result.
    ///
    /// # Errors
    /// [`Refusal`] when a higher token was seen; nothing has changed then.
    pub fn put(
        &mut self,
        resource: &Arc<str>,
        token: u64,
        mail: &Arc<str>,
    ) -> Result<Put, Refusal> {
        let accepted = &mut self.admit(resource, token)?.accepted;
        match accepted.insert(mail.clone(), token) {
            Some(earlier) if earlier == token => Ok(Put::Repeated),
            _ => Ok(Put::Accepted),
        }
    }

    fn admit(&mut self, resource: &Arc<str>, token: u64) -> Result<&mut Resource, Refusal> {
        let entry = self.resources.entry(resource.clone()).or_default();
        if planted!(self.defects, LockWithoutFencing) {
            return Ok(entry);
        }
        if token < entry.highest_token {
            return Err(Refusal { highest_token: entry.highest_token });
        }
        entry.highest_token = token;
        Ok(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_below_the_highest_seen_changes_nothing() {
        let (claim, mail) = ("claim".into(), "m".into());
        let mut ledger = Ledger::new(Defects::NONE);
        assert_eq!(ledger.put(&claim, 3, &mail), Ok(Put::Accepted));
        let fenced = |is_raised| Ok(Fenced { is_raised, done: vec![mail.clone()] });
        assert_eq!(ledger.fence(&claim, 5), fenced(true));
        assert_eq!(ledger.fence(&claim, 5), fenced(false));
        let before = ledger.clone();
        assert_eq!(ledger.put(&claim, 3, &"n".into()), Err(Refusal { highest_token: 5 }));
        assert_eq!(ledger.fence(&claim, 4), Err(Refusal { highest_token: 5 }));
        assert_eq!(ledger, before);
    }

    #[test]
    fn a_repeated_request_of_one_holder_is_one_effect_and_of_two_holders_two() {
        let (claim, mail) = ("claim".into(), "m".into());
        let mut ledger = Ledger::new(Defects::NONE);
        assert_eq!(ledger.put(&claim, 3, &mail), Ok(Put::Accepted));
        assert_eq!(ledger.put(&claim, 3, &mail), Ok(Put::Repeated));
        assert_eq!(ledger.put(&claim, 4, &mail), Ok(Put::Accepted), "the ledger takes no sides");
    }

    #[test]
    fn resources_have_tokens_of_their_own() {
        let mut ledger = Ledger::new(Defects::NONE);
        ledger.fence(&"a".into(), 9).unwrap();
        assert_eq!(ledger.put(&"b".into(), 1, &"m".into()), Ok(Put::Accepted));
    }
}
