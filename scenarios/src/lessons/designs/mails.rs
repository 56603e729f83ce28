//! What there is to process: generated mails, what becomes of each, and what is told of them.

use mailstorm_checkers::{Checker, ExactlyOnce, Interests, Live};
use mailstorm_mail::inbox::Inbox;
use mailstorm_mail::processing::{Processed, process};
use mailstorm_mail::samples;
use mailstorm_record::{Event, Happening};
use mailstorm_shared::facts::MailFact;
use mailstorm_shared::{Millis, Observation};
use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use crate::lessons::stage::{Work, patience_with_sessions};
use crate::scale::Scale;

/// The seed of the generated mails: they are the same in every run.
const GENERATED_SEED: u64 = 1;

/// So many generated mails, made when they are first asked for.
pub(crate) struct Shelf {
    count: usize,
    mails: OnceLock<Arc<Mails>>,
}

/// Mails, and what processing makes of each.
pub(crate) struct Mails {
    pub(crate) inbox: Inbox,
    processed: Vec<Processed>,
}

impl Shelf {
    pub(crate) const fn of(count: usize) -> Self {
        Self { count, mails: OnceLock::new() }
    }

    pub(crate) fn mails(&self) -> Arc<Mails> {
        let make = || {
            let inbox = Inbox::new(samples::generate(self.count, GENERATED_SEED));
            let processed = inbox.mails().iter().map(process).collect();
            Arc::new(Mails { inbox, processed })
        };
        self.mails.get_or_init(make).clone()
    }

    /// Each mail once, at the sink; nothing else is asked of how it came there.
    pub(crate) fn exactly_once_at_the_sink(&self) -> impl Checker + use<> {
        ExactlyOnce::at_the_sink(self.mails().expected())
    }

    /// Each mail once, and its attempts counted.
    pub(crate) fn exactly_once(&self) -> impl Checker + use<> {
        ExactlyOnce::new(self.mails().expected())
    }

    /// Mail after mail gets its first result, with no longer than `gap` in between.
    pub(crate) fn live(&self, scale: &Scale, gap: Millis) -> Live {
        let gap = patience_with_sessions(scale, gap);
        Live::new("mail", self.count as u64, gap, Interests::APPLICATION, first_result())
    }

    /// The run is done when each mail has a result.
    pub(crate) fn work(&self) -> Work {
        Work::new("mails", self.count as u64, first_result())
    }
}

impl Mails {
    pub(crate) fn len(&self) -> usize {
        self.processed.len()
    }

    pub(crate) fn id(&self, index: usize) -> &Arc<str> {
        &self.inbox.mails()[index].id
    }

    pub(crate) fn processed(&self, index: usize) -> &Processed {
        &self.processed[index]
    }

    fn expected(&self) -> Vec<(Arc<str>, Arc<str>)> {
        let mails = self.inbox.mails().iter().zip(&self.processed);
        mails.map(|(mail, made)| (mail.id.clone(), made.judgement.word().into())).collect()
    }
}

/// Whether an event is the first result of a mail.
fn first_result() -> impl FnMut(&Event) -> bool + 'static {
    let mut seen = BTreeSet::new();
    move |event| match &event.happening {
        Happening::Observed {
            observation: Observation::Mail(MailFact::SinkAccepted { mail, .. }),
        } => seen.insert(mail.clone()),
        _ => false,
    }
}
