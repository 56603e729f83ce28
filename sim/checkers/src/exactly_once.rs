//! Exactly once: per mail an *equality* between what was to happen and what did.
//!
//! Definition. For every mail that was in the inbox, the sink accepts exactly one result: no second one
//! at any time (`doubled`), not none at the end (`lost`). It accepts nothing for a mail that nobody sent
//! (`invented`), and, where the right answers are known, no other verdict than the right one
//! (`wrong_verdict`), unless it was set aside as `poison` after three vain attempts. "At least" and "at
//! most" are not asked one by one: each alone is easy to keep.
//! Source: what the pipeline promises (the design's "The mail"); the effect that counts is the sink's,
//! since a worker that was paused, or whose answer was lost, cannot know what it did.
//! Figure: how often each mail was attempted. Attempts may repeat as often as the storm demands.

use crate::{Checker, Figure, Interests};
use mailstorm_record::{Event, Happening, NodeName, Verdict, Violation};
use mailstorm_shared::Observation;
use std::collections::BTreeMap;
use std::sync::Arc;

/// After so many attempts a mail may be set aside, whatever is right: its workers may have died of
/// something else, but nobody could know.
const POISON_ATTEMPTS: u64 = 3;

/// Watches the sink.
#[derive(Clone, Debug)]
pub struct ExactlyOnce {
    mails: BTreeMap<Arc<str>, Mail>,
}

/// What is known of one mail.
#[derive(Clone, Debug, Default)]
struct Mail {
    right_verdict: Option<Arc<str>>,
    attempts: u64,
    accepted_from: Option<Arc<str>>,
}

impl ExactlyOnce {
    /// Expects one result for each of these mails, whatever its verdict.
    pub fn new(mails: impl IntoIterator<Item = Arc<str>>) -> Self {
        Self { mails: mails.into_iter().map(|id| (id, Mail::default())).collect() }
    }

    /// Expects one result for each of these mails, with this verdict; or `poison`, once it was attempted
    /// three times in vain.
    pub fn with_verdicts(mails: impl IntoIterator<Item = (Arc<str>, Arc<str>)>) -> Self {
        let expect = |verdict| Mail { right_verdict: Some(verdict), ..Mail::default() };
        Self { mails: mails.into_iter().map(|(id, verdict)| (id, expect(verdict))).collect() }
    }

    /// How many mails have their result.
    pub fn accepted(&self) -> usize {
        self.mails.values().filter(|mail| mail.accepted_from.is_some()).count()
    }

    fn accept(
        &mut self,
        event: &Event,
        id: &Arc<str>,
        worker: &Arc<str>,
        verdict: &Arc<str>,
    ) -> Result<(), Violation> {
        let violation = |kind: &str, other: Option<&Arc<str>>, detail: String| Violation {
            checker: "exactly-once".to_owned(),
            kind: kind.to_owned(),
            at_ns: event.at_ns,
            nodes: [Some(worker), other]
                .into_iter()
                .flatten()
                .map(|name| NodeName(Arc::clone(name)))
                .chain(event.node.clone())
                .collect(),
            detail,
        };
        let Some(mail) = self.mails.get_mut(id) else {
            let detail = format!(
                "the sink accepted {verdict} for {id} from {worker}, but no such mail was in the inbox"
            );
            return Err(violation("invented", None, detail));
        };
        if let Some(first) = &mail.accepted_from {
            let detail = format!(
                "the sink accepted {id} from {worker} after it had accepted it from {first}"
            );
            return Err(violation("doubled", Some(first), detail));
        }
        let is_set_aside = &**verdict == "poison" && mail.attempts >= POISON_ATTEMPTS;
        if let Some(right) = &mail.right_verdict
            && right != verdict
            && !is_set_aside
        {
            let detail = format!(
                "the sink accepted {verdict} for {id} from {worker}, but the right verdict is {right}"
            );
            return Err(violation("wrong_verdict", None, detail));
        }
        mail.accepted_from = Some(Arc::clone(worker));
        Ok(())
    }
}

impl Checker for ExactlyOnce {
    fn name(&self) -> &'static str {
        "exactly-once"
    }

    fn interests(&self) -> Interests {
        Interests::MAIL
    }

    fn observe(&mut self, event: &Event) -> Result<(), Violation> {
        let Happening::Observed { observation } = &event.happening else { return Ok(()) };
        match observation {
            Observation::MailAttempted { mail, .. } => {
                if let Some(mail) = self.mails.get_mut(mail) {
                    mail.attempts += 1;
                }
                Ok(())
            }
            Observation::SinkAccepted { mail, worker, verdict, .. } => {
                self.accept(event, mail, worker, verdict)
            }
            _ => Ok(()),
        }
    }

    fn finish(&mut self, at_ns: u64) -> Verdict {
        let mut lost = self.mails.iter().filter(|(_, mail)| mail.accepted_from.is_none());
        let Some((first, mail)) = lost.next() else { return Verdict::Pass };
        let attempts = mail.attempts;
        let others = match lost.count() {
            0 => String::new(),
            count => format!("; so are {count} others"),
        };
        Verdict::Violation(Violation {
            checker: self.name().to_owned(),
            kind: "lost".to_owned(),
            at_ns,
            nodes: Vec::new(),
            detail: format!(
                "{first} is not in the sink at the end, after {attempts} attempts{others} (of {} mails)",
                self.mails.len()
            ),
        })
    }

    fn figures(&self) -> Vec<Figure> {
        let mut attempts =
            Figure::new("attempts_per_mail", "how often a worker began to process the same mail");
        for mail in self.mails.values() {
            attempts.add(mail.attempts);
        }
        vec![attempts]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{History, mails};

    fn two_mails() -> ExactlyOnce {
        ExactlyOnce::new(mails(&["m-1", "m-2"]))
    }

    #[test]
    fn one_result_per_mail_passes_however_often_it_was_tried() {
        History::new()
            .attempted("m-1", "w1", 1, 1)
            .crashed("w1")
            .attempted("m-1", "w2", 2, 2)
            .accepted("m-1", "w2", 2)
            .refused("m-1", "w1", 1, 2)
            .attempted("m-2", "w2", 2, 1)
            .accepted("m-2", "w2", 2)
            .passes(two_mails());
    }

    #[test]
    fn a_second_result_is_doubled_even_if_it_is_the_same() {
        let violation = History::new()
            .accepted("m-1", "w1", 1)
            .accepted("m-1", "w2", 2)
            .accepted("m-2", "w2", 2)
            .violates(two_mails(), "doubled");
        assert_eq!(violation.nodes, ["w2".into(), "w1".into(), "sink".into()]);
        assert_eq!(violation.fingerprint(), "exactly-once/doubled/sink+w");
    }

    #[test]
    fn a_mail_without_a_result_at_the_end_is_lost() {
        let violation = History::new()
            .accepted("m-2", "w1", 1)
            .attempted("m-1", "w1", 1, 1)
            .violates(two_mails(), "lost");
        assert!(violation.detail.starts_with("m-1 is not in the sink"), "{}", violation.detail);
    }

    #[test]
    fn a_result_for_a_mail_that_nobody_sent_is_invented() {
        History::new().accepted("m-3", "w1", 1).violates(two_mails(), "invented");
    }

    #[test]
    fn a_wrong_verdict_is_told_when_the_right_one_is_known() {
        let expecting = || ExactlyOnce::with_verdicts([("m-1".into(), "spam".into())]);
        History::new().accepted_as("m-1", "w1", 1, "spam").passes(expecting());
        History::new().accepted_as("m-1", "w1", 1, "ham").violates(expecting(), "wrong_verdict");
    }

    #[test]
    fn a_mail_is_set_aside_after_three_attempts_and_not_before() {
        let expecting = || ExactlyOnce::with_verdicts([("m-1".into(), "ham".into())]);
        let tried = |times: u32| {
            (1..=times).fold(History::new(), |h, attempt| h.attempted("m-1", "w1", 1, attempt))
        };
        tried(3).accepted_as("m-1", "w2", 2, "poison").passes(expecting());
        tried(2).accepted_as("m-1", "w2", 2, "poison").violates(expecting(), "wrong_verdict");
    }

    #[test]
    fn attempts_are_measured_per_mail() {
        let mut checker = two_mails();
        let _ = History::new()
            .attempted("m-1", "w1", 1, 1)
            .attempted("m-1", "w2", 2, 2)
            .attempted("m-1", "w3", 3, 3)
            .accepted("m-1", "w3", 3)
            .attempted("m-2", "w3", 3, 1)
            .accepted("m-2", "w3", 3)
            .feed(&mut checker);
        let figures = checker.figures();
        assert_eq!((figures[0].count, figures[0].sum, figures[0].max), (2, 4, 3));
        assert_eq!(figures[0].histogram, BTreeMap::from([(1, 1), (3, 1)]));
    }
}
