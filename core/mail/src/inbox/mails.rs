//! The mails of an inbox, in memory.

use super::Account;
use bytes::Bytes;
use mailstorm_shared::StateHasher;
use std::collections::BTreeSet;
use std::sync::Arc;

/// One mail, unparsed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mail {
    /// Unique in its inbox and stable: where it lies below the inbox, or `name.mbox#0001`. It has
    /// no control character, whatever the name of the file has.
    pub id: Arc<str>,
    /// As it lies in the inbox.
    pub raw: Bytes,
}

/// Mails in a fixed order, with unique ids, and what was left out. Clones share them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inbox {
    mails: Arc<[Mail]>,
    account: Arc<Account>,
}

impl Inbox {
    /// The inbox of these mails, in this order, with nothing left out.
    ///
    /// A mail whose id was taken already gets a number appended, so that ids are unique.
    pub fn new(mails: impl IntoIterator<Item = Mail>) -> Self {
        Self::with_account(mails, Account::default())
    }

    pub(super) fn with_account(mails: impl IntoIterator<Item = Mail>, account: Account) -> Self {
        let mut taken = BTreeSet::new();
        let mails = mails
            .into_iter()
            .map(|mut mail| {
                let mut copy = 1;
                while !taken.insert(mail.id.clone()) {
                    copy += 1;
                    let base = mail.id.split('~').next().unwrap_or_default();
                    mail.id = format!("{base}~{copy}").into();
                }
                mail
            })
            .collect();
        Self { mails, account: Arc::new(account) }
    }

    /// All mails, in order.
    pub fn mails(&self) -> &[Mail] {
        &self.mails
    }

    /// What was read, and what was left out.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.mails.len()
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.mails.is_empty()
    }

    /// A hash of all ids and bytes, equal for equal inboxes on every machine.
    pub fn digest(&self) -> u64 {
        StateHasher::of(&self.mails)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail(id: &str, raw: &'static str) -> Mail {
        Mail { id: id.into(), raw: raw.into() }
    }

    #[test]
    fn a_digest_tells_inboxes_apart_by_ids_bytes_and_order() {
        let digest = |mails: &[Mail]| Inbox::new(mails.to_vec()).digest();
        let (a, b) = (mail("a", "x"), mail("b", "y"));
        let both = digest(&[a.clone(), b.clone()]);
        assert_eq!(both, digest(&[a.clone(), b.clone()]));
        for other in [
            &[b.clone(), a.clone()][..],
            &[mail("a", "x")],
            &[a, mail("b", "z")],
            &[mail("a", "xby")],
        ] {
            assert_ne!(both, digest(other));
        }
    }

    #[test]
    fn two_mails_never_share_an_id() {
        let inbox = Inbox::new(["a", "a", "a~2", "a"].map(|id| mail(id, "")));
        let ids: Vec<&str> = inbox.mails().iter().map(|m| &*m.id).collect();
        assert_eq!(ids, ["a", "a~2", "a~3", "a~4"]);
    }
}
