//! Exactly once: per mail an *equality* between what was to happen and what did.
//!
//! Definition. For every mail that was in the inbox, the sink accepts exactly one result: no second
//! one at any time (`doubled`), not none at the end (`lost`). It accepts nothing for a mail that
//! nobody sent (`invented`), and no other verdict than the right one (`wrong_verdict`), unless the
//! mail was set aside as `poison`: that happens after the third attempt and not before
//! (`set_aside_early`). Whatever else is accepted was attempted by the same worker under the same
//! token (`unattempted`). "At least" and "at most" are not asked one by one: each alone is easy to
//! keep.
//!
//! Attempts are counted over takeovers, in the order of the claim's tokens: the first is number
//! one, and a holder's is the one after its predecessor's, or the same once more, if that one could
//! not note it any more (`attempt_miscounted`). A holder attempts a mail once (`attempted_again`),
//! never when three attempts were made (`too_many_attempts`), nor when a predecessor's result was
//! accepted (`attempted_when_done`).
//!
//! Source: what the pipeline promises (the design's "The mail"); the effect that counts is the
//! sink's, since a worker that was paused, or whose answer was lost, cannot know what it did. An
//! attempt is told before it is noted in the claim, so every attempt that counts is told, and
//! perhaps one more.
//! Figure: how often each mail was attempted.

use crate::common::checker::violation;
use crate::{Checker, Figure, Interests};
use mailstorm_record::{Event, Happening, NodeName, Verdict, Violation};
use mailstorm_shared::Observation;
use mailstorm_shared::facts::MailFact;
use mailstorm_shared::time_in_words::moment;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

/// So many attempts are made before a mail is set aside, whatever is right: its workers may have
/// died of something else, but nobody could know.
const ATTEMPTS_MAX: u32 = 3;

/// Watches workers and the sink.
#[derive(Clone, Debug)]
pub struct ExactlyOnce {
    mails: BTreeMap<Arc<str>, Mail>,
    /// Whether it is asked how the sink came by a result.
    judges_attempts: bool,
    /// When the sink accepted the last result.
    last_accepted_ns: u64,
}

/// What is known of one mail.
#[derive(Clone, Debug)]
struct Mail {
    right_verdict: Arc<str>,
    /// By the token under which it was attempted: which attempt it was, and whose.
    attempts: BTreeMap<u64, (u32, Arc<str>)>,
    /// From whom its result was accepted, and under which token.
    accepted: Option<(Arc<str>, u64)>,
    /// How often it was attempted, as far as anybody told.
    tries: u32,
    /// The last of these attempts: whose, and when.
    last_try: Option<(Arc<str>, u64)>,
}

/// What is wrong, and which other worker has to do with it.
struct Wrong {
    kind: &'static str,
    other: Option<Arc<str>>,
    detail: String,
}

impl Wrong {
    fn new(kind: &'static str, detail: String) -> Self {
        Self { kind, other: None, detail }
    }
}

impl Mail {
    /// The number of the last attempt under a token below this one; 0 without any.
    fn attempted_before(&self, token: u64) -> u32 {
        self.attempts.range(..token).next_back().map_or(0, |(_, (attempt, _))| *attempt)
    }

    fn attempted(&mut self, worker: &Arc<str>, token: u64, attempt: u32) -> Result<(), Wrong> {
        if attempt > ATTEMPTS_MAX {
            let detail = format!("for the {attempt}th time; {ATTEMPTS_MAX} times are allowed");
            return Err(Wrong::new("too_many_attempts", detail));
        }
        let earlier = self.attempts.insert(token, (attempt, Arc::clone(worker)));
        if let Some((earlier, _)) = earlier {
            let detail =
                format!("for the {attempt}th time, under the same token as attempt {earlier}");
            return Err(Wrong::new("attempted_again", detail));
        }
        if let Some((first, accepted)) = &self.accepted
            && token > *accepted
        {
            let other = Some(Arc::clone(first));
            let detail = format!("when the sink had its result from {first} under {accepted}");
            return Err(Wrong { kind: "attempted_when_done", other, detail });
        }
        // Whoever was taken over from may tell of its attempt later than its successors.
        let later = (Bound::Excluded(token), Bound::Unbounded);
        let after = self.attempts.range(later).next().map(|(_, (after, _))| *after);
        let before = self.attempted_before(token);
        let follows = |this: u32, before: u32| this >= 1 && (this == before || this == before + 1);
        if follows(attempt, before) && after.is_none_or(|after| follows(after, attempt)) {
            return Ok(());
        }
        let detail =
            format!("for the {attempt}th time, where the attempt before was number {before}");
        Err(Wrong::new("attempt_miscounted", detail))
    }

    /// What became of it, for who misses it; empty if nobody has to tell of attempts.
    fn told(&self, judges_attempts: bool) -> String {
        let times = match self.tries {
            1 => String::new(),
            tries => format!("{tries} times, last "),
        };
        match &self.last_try {
            Some((worker, at_ns)) => {
                format!(" (tried {times}by {worker} at {})", moment(*at_ns))
            }
            None if judges_attempts => " (never tried)".into(),
            None => String::new(),
        }
    }

    /// A result is accepted, the first and the right one, however the sink came by it.
    fn accept_once(
        &mut self,
        worker: &Arc<str>,
        token: u64,
        verdict: &Arc<str>,
    ) -> Result<(), Wrong> {
        self.expect_none(worker, token)?;
        self.expect_right(verdict)
    }

    fn expect_none(&mut self, worker: &Arc<str>, token: u64) -> Result<(), Wrong> {
        if let Some((first, _)) = &self.accepted {
            let other = Some(Arc::clone(first));
            let detail = format!("after it had accepted it from {first}");
            return Err(Wrong { kind: "doubled", other, detail });
        }
        self.accepted = Some((Arc::clone(worker), token));
        Ok(())
    }

    fn expect_right(&self, verdict: &Arc<str>) -> Result<(), Wrong> {
        if *verdict == self.right_verdict {
            return Ok(());
        }
        let detail = format!("as {verdict}, but the right verdict is {}", self.right_verdict);
        Err(Wrong::new("wrong_verdict", detail))
    }

    fn accept(&mut self, worker: &Arc<str>, token: u64, verdict: &Arc<str>) -> Result<(), Wrong> {
        self.expect_none(worker, token)?;
        if &**verdict == "poison" {
            let attempts = self.attempted_before(token);
            if attempts == ATTEMPTS_MAX && !self.attempts.contains_key(&token) {
                return Ok(());
            }
            let detail = format!("as poison after {attempts} attempts instead of {ATTEMPTS_MAX}");
            return Err(Wrong::new("set_aside_early", detail));
        }
        self.expect_right(verdict)?;
        match self.attempts.get(&token) {
            Some((_, attempted)) if attempted == worker => Ok(()),
            _ => {
                let detail = format!("under token {token}, under which it has not attempted it");
                Err(Wrong::new("unattempted", detail))
            }
        }
    }
}

impl ExactlyOnce {
    /// Expects one result for each of these mails, with this verdict; or `poison`, once it was
    /// attempted three times in vain.
    pub fn new(mails: impl IntoIterator<Item = (Arc<str>, Arc<str>)>) -> Self {
        let expect = |right_verdict| Mail {
            right_verdict,
            attempts: BTreeMap::new(),
            accepted: None,
            tries: 0,
            last_try: None,
        };
        let mails = mails.into_iter().map(|(id, verdict)| (id, expect(verdict))).collect();
        Self { mails, judges_attempts: true, last_accepted_ns: 0 }
    }

    /// Expects one result for each of these mails, with this verdict, and asks nothing else: for
    /// designs that count no attempts.
    pub fn at_the_sink(mails: impl IntoIterator<Item = (Arc<str>, Arc<str>)>) -> Self {
        Self { judges_attempts: false, ..Self::new(mails) }
    }
}

impl Checker for ExactlyOnce {
    fn name(&self) -> &'static str {
        "exactly-once"
    }

    fn interests(&self) -> Interests {
        Interests::APPLICATION
    }

    fn observe(&mut self, event: &Event) -> Result<(), Violation> {
        let Happening::Observed { observation } = &event.happening else { return Ok(()) };
        match observation {
            Observation::Mail(MailFact::MailAttempted { worker, mail, .. }) => {
                if let Some(mail) = self.mails.get_mut(mail) {
                    mail.tries += 1;
                    mail.last_try = Some((Arc::clone(worker), event.at_ns));
                }
            }
            Observation::Mail(MailFact::SinkAccepted { .. }) => self.last_accepted_ns = event.at_ns,
            _ => {}
        }
        let invented = || Err(Wrong::new("invented", "but no such mail was in the inbox".into()));
        let (worker, told, result) = match observation {
            Observation::Mail(MailFact::MailAttempted { .. }) if !self.judges_attempts => {
                return Ok(());
            }
            Observation::Mail(MailFact::MailAttempted { worker, mail: id, token, attempt }) => {
                let mail = self.mails.get_mut(id);
                let result = mail.map_or_else(invented, |m| m.attempted(worker, *token, *attempt));
                (worker, format!("{worker} attempts {id}"), result)
            }
            Observation::Mail(MailFact::SinkAccepted {
                mail: id, worker, token, verdict, ..
            }) => {
                let mail = self.mails.get_mut(id);
                let accept = if self.judges_attempts { Mail::accept } else { Mail::accept_once };
                let result = mail.map_or_else(invented, |m| accept(m, worker, *token, verdict));
                (worker, format!("the sink accepted {id} from {worker}"), result)
            }
            _ => return Ok(()),
        };
        result.map_err(|Wrong { kind, other, detail }| {
            // One and the same, where a worker sends again what it had sent.
            let other = other.filter(|other| other != worker);
            let workers = [Some(Arc::clone(worker)), other].into_iter().flatten().map(NodeName);
            // A worker that tells of itself is named already.
            let teller = event.node.clone().filter(|node| node.0 != *worker);
            let nodes = workers.chain(teller);
            violation("exactly-once", kind, event.at_ns, nodes, format!("{told} {detail}"))
        })
    }

    fn finish(&mut self, at_ns: u64) -> Verdict {
        /// So many are named in the sentence.
        const NAMED_MAX: usize = 3;
        let lost: Vec<(&Arc<str>, &Mail)> =
            self.mails.iter().filter(|(_, mail)| mail.accepted.is_none()).collect();
        if lost.is_empty() {
            return Verdict::Pass;
        }
        let named = lost.iter().take(NAMED_MAX);
        let named: Vec<String> =
            named.map(|(id, mail)| format!("{id}{}", mail.told(self.judges_attempts))).collect();
        let more = match lost.len().saturating_sub(NAMED_MAX) {
            0 => String::new(),
            count => format!(" and {count} more"),
        };
        let detail = format!(
            "{} of {} mails {} not in the sink at the end: {}{more}",
            lost.len(),
            self.mails.len(),
            if lost.len() == 1 { "is" } else { "are" },
            named.join(", "),
        );
        // The first that nobody took up again; if none was ever tried, the last that came through.
        let tried = lost.iter().filter_map(|(_, mail)| Some(mail.last_try.as_ref()?.1));
        let since_ns = tried.min().unwrap_or(self.last_accepted_ns);
        let missing = lost.into_iter().map(|(id, _)| Arc::clone(id)).collect();
        let lost = violation(self.name(), "lost", at_ns, [], detail);
        Verdict::Violation(lost.stuck(since_ns, missing))
    }

    fn figures(&self) -> Vec<Figure> {
        let mut attempts =
            Figure::new("attempts_per_mail", "how often a worker began to process the same mail");
        for mail in self.mails.values() {
            attempts.add(mail.attempts.len() as u64);
        }
        vec![attempts]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::history::{History, mails};

    fn two_mails() -> ExactlyOnce {
        ExactlyOnce::new(mails(&["m-1", "m-2"]))
    }

    fn one_mail() -> ExactlyOnce {
        ExactlyOnce::new(mails(&["m-1"]))
    }

    /// Attempted so often, each time by another worker: `w1` under token 1, `w2` under token 2, ...
    fn tried(times: u32) -> History {
        (1..=times).fold(History::new(), |history, attempt| {
            history.attempted("m-1", &format!("w{attempt}"), attempt.into(), attempt)
        })
    }

    #[test]
    fn one_result_per_mail_passes_however_often_it_was_tried() {
        History::new()
            .attempted("m-1", "w1", 1, 1)
            .crashed("w1")
            .attempted("m-1", "w2", 2, 2)
            .accepted("m-1", "w2", 2)
            .refused("m-1", "w1", 1, 2)
            .processed("m-2", "w2", 2)
            .passes(two_mails());
    }

    #[test]
    fn a_second_result_is_doubled_even_if_it_is_the_same() {
        let violation = History::new()
            .processed("m-1", "w1", 1)
            .accepted("m-1", "w2", 2)
            .violates(two_mails(), "doubled");
        assert_eq!(violation.nodes, ["w2".into(), "w1".into(), "sink".into()]);
        let again = History::new().processed("m-1", "w1", 1).accepted("m-1", "w1", 2);
        let violation = again.violates(two_mails(), "doubled");
        assert_eq!(violation.nodes, ["w1".into(), "sink".into()]);
        assert_eq!(violation.fingerprint(), "exactly-once/doubled/sink+w");
    }

    #[test]
    fn a_mail_without_a_result_at_the_end_is_lost() {
        let violation = History::new()
            .processed("m-2", "w1", 1)
            .attempted("m-1", "w1", 1, 1)
            .violates(two_mails(), "lost");
        let detail = "1 of 2 mails is not in the sink at the end: m-1 (tried by w1 at 0.003 s)";
        assert_eq!(violation.detail, detail);
    }

    #[test]
    fn all_lost_mails_are_listed_and_the_first_few_named_with_who_tried_them_last() {
        let five = ExactlyOnce::new(mails(&["m-1", "m-2", "m-3", "m-4", "m-5"]));
        let violation = History::new()
            .processed("m-1", "w1", 1)
            .attempted("m-2", "w1", 2, 1)
            .attempted("m-2", "w2", 3, 2)
            .violates(five, "lost");
        let detail = "4 of 5 mails are not in the sink at the end: m-2 (tried 2 times, last by w2 at \
                      0.004 s), m-3 (never tried), m-4 (never tried) and 1 more";
        assert_eq!(violation.detail, detail);
        assert_eq!(violation.missing(), ["m-2", "m-3", "m-4", "m-5"].map(Arc::from));
        assert_eq!(violation.since_ns(), Some(4_000_000));
        let untried = History::new().processed("m-1", "w1", 1).violates(two_mails(), "lost");
        assert_eq!(untried.since_ns(), Some(2_000_000), "since the last that came through");
    }

    #[test]
    fn a_mail_that_nobody_sent_is_invented() {
        History::new().accepted("m-3", "w1", 1).violates(two_mails(), "invented");
        History::new().attempted("m-3", "w1", 1, 1).violates(two_mails(), "invented");
    }

    #[test]
    fn a_wrong_verdict_is_told() {
        tried(1).accepted_as("m-1", "w1", 1, "ham").passes(one_mail());
        tried(1).accepted_as("m-1", "w1", 1, "spam").violates(one_mail(), "wrong_verdict");
        let poison = || ExactlyOnce::new([("m-1".into(), "poison".into())]);
        tried(1).accepted_as("m-1", "w1", 1, "ham").violates(poison(), "wrong_verdict");
    }

    #[test]
    fn a_mail_is_set_aside_after_three_attempts_and_not_before() {
        let aside = |history: History, token| history.accepted_as("m-1", "w4", token, "poison");
        aside(tried(3), 4).passes(one_mail());
        aside(tried(2), 4).violates(one_mail(), "set_aside_early");
        // The third attempt is its own: it has not failed.
        aside(tried(3), 3).violates(one_mail(), "set_aside_early");
    }

    #[test]
    fn a_result_that_its_worker_has_not_worked_for_is_told() {
        tried(2).accepted("m-1", "w2", 2).passes(one_mail());
        tried(2).accepted("m-1", "w3", 3).violates(one_mail(), "unattempted");
        tried(2).accepted("m-1", "w1", 2).violates(one_mail(), "unattempted");
    }

    #[test]
    fn attempts_are_counted_over_takeovers() {
        let done = |history: History, token| history.accepted("m-1", "w9", token);
        // The first could not be noted any more, and is told late.
        let late = tried(2).attempted("m-1", "w8", 7, 2).attempted("m-1", "w7", 6, 2);
        done(late.attempted("m-1", "w9", 9, 3), 9).passes(one_mail());
        tried(1).attempted("m-1", "w9", 9, 3).violates(one_mail(), "attempt_miscounted");
        tried(2).attempted("m-1", "w9", 9, 1).violates(one_mail(), "attempt_miscounted");
        History::new().attempted("m-1", "w9", 9, 2).violates(one_mail(), "attempt_miscounted");
        History::new().attempted("m-1", "w9", 9, 0).violates(one_mail(), "attempt_miscounted");
        let between = History::new().attempted("m-1", "w9", 9, 1).attempted("m-1", "w8", 8, 2);
        between.violates(one_mail(), "attempt_miscounted");
    }

    #[test]
    fn an_attempt_too_many_is_told() {
        tried(4).violates(one_mail(), "too_many_attempts");
        tried(1).attempted("m-1", "w1", 1, 2).violates(one_mail(), "attempted_again");
        let done = || tried(2).accepted("m-1", "w2", 2);
        done().attempted("m-1", "w3", 3, 3).violates(one_mail(), "attempted_when_done");
        // A predecessor that wakes up late does no harm: it cannot note the attempt.
        let late = History::new().processed("m-1", "w2", 2).attempted("m-1", "w1", 1, 1);
        late.passes(one_mail());
    }

    #[test]
    fn at_the_sink_alone_nobody_asks_how_it_came_by_a_result() {
        let sink = || ExactlyOnce::at_the_sink(mails(&["m-1"]));
        let done = || tried(5).accepted("m-1", "w9", 77);
        done().passes(sink());
        done().accepted("m-1", "w9", 78).violates(sink(), "doubled");
        done().accepted("m-2", "w9", 78).violates(sink(), "invented");
        tried(1).accepted_as("m-1", "w1", 1, "poison").violates(sink(), "wrong_verdict");
        tried(1).violates(sink(), "lost");
    }

    #[test]
    fn attempts_are_measured_per_mail() {
        let mut checker = two_mails();
        let history = tried(3).accepted("m-1", "w3", 3).processed("m-2", "w3", 3);
        assert_eq!(history.feed(&mut checker), Verdict::Pass);
        let figures = checker.figures();
        assert_eq!((figures[0].count, figures[0].sum, figures[0].max), (2, 4, 3));
    }
}
