//! `mailstorm inbox`, and what a storm tells of the inbox that it was given.
//!
//! Holds: what was left out is told before the first run, and stands in the results.
//! Start at [`inbox`].

use crate::args::InboxArguments;
use crate::failure::{ExitCode, Failure};
use crate::given::open_inbox;
use mailstorm_mail::inbox::{Inbox, is_stream};
use mailstorm_mail::processing::{Judgement, process};
use mailstorm_record::TraceHash;
use mailstorm_reports::layout::broken;
use mailstorm_world::Scenario;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// So many dead letters are named.
const DEAD_LETTERS_NAMED_MAX: usize = 3;

/// Tells what an inbox has.
pub(crate) fn inbox(arguments: &InboxArguments) -> Result<ExitCode, Failure> {
    let inbox = open_inbox(Some(&arguments.path))?.expect("a path is given");
    let mut out = told(&inbox);
    out += &line(&format!("digest {}", TraceHash(inbox.digest())));
    let dead: Vec<String> = inbox.mails().iter().filter_map(dead_letter).collect();
    if !dead.is_empty() {
        let more = if dead.len() > DEAD_LETTERS_NAMED_MAX { "; ..." } else { "" };
        let named = dead[..dead.len().min(DEAD_LETTERS_NAMED_MAX)].join("; ");
        let are = if dead.len() == 1 { "is a dead letter" } else { "are dead letters" };
        out += &line(&format!("{} of the mails {are}: {named}{more}", dead.len()));
    }
    crate::print(&out)?;
    Ok(ExitCode::Pass)
}

fn dead_letter(mail: &mailstorm_mail::inbox::Mail) -> Option<String> {
    match process(mail).judgement {
        Judgement::DeadLetter { reason } => Some(format!("{} ({reason})", mail.id)),
        _ => None,
    }
}

/// What a storm of these scenarios tells of its inbox: nothing if none of them has one.
pub(crate) fn told_of_storm<'a>(
    inbox: &Inbox,
    scenarios: impl Iterator<Item = &'a Arc<dyn Scenario>>,
) -> Option<String> {
    let scenario = scenarios.into_iter().find(|scenario| scenario.inbox().is_some())?;
    let mut out = told(inbox);
    let poison = scenario.settings().into_iter().find(|setting| setting.name == "poison");
    out += &match poison.map(|setting| setting.value) {
        Some(0) => line("no mail plays the poison, so each is processed (--set poison=1 for one)"),
        Some(_) => line(
            "one mail, another for each seed, plays the poison and is set aside (--set poison=0 for none)",
        ),
        None => String::new(),
    };
    Some(out)
}

/// What was left out of this scenario's inbox, as it stands in results.
pub(crate) fn left_out(
    scenario: &Arc<dyn Scenario>,
    inbox: Option<&Inbox>,
) -> BTreeMap<String, u64> {
    let inbox = inbox.filter(|_| scenario.inbox().is_some());
    inbox.map(|inbox| inbox.account().left_out_by_name()).unwrap_or_default()
}

/// Refuses what would read the inbox more than once, which a stream does not allow. `reads` says who does.
pub(crate) fn expect_readable_twice(inbox: Option<&Path>, reads: &str) -> Result<(), Failure> {
    if !inbox.is_some_and(is_stream) {
        return Ok(());
    }
    Err(Failure::new(format!(
        "{reads} the inbox again, which standard input and pipes do not allow: save it to a file first"
    )))
}

fn told(inbox: &Inbox) -> String {
    let lines = inbox.account().told();
    let (first, rest) = lines.split_first().expect("the sum is told");
    let rest: String = rest.iter().map(|text| line(text)).collect();
    wrapped("inbox      ", first) + &rest
}

fn line(text: &str) -> String {
    wrapped("           ", text)
}

/// A text behind its head, in lines that go on a little to the right of its beginning.
fn wrapped(head: &str, text: &str) -> String {
    broken(head, head.chars().count() + 2, text) + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use mailstorm_reports::WIDTH;

    #[test]
    fn a_line_breaks_between_words_and_goes_on_under_its_own_beginning() {
        let word = "word ".repeat(30);
        let text = wrapped("inbox      ", word.trim_end());
        assert!(text.lines().all(|line| line.len() <= WIDTH && !line.ends_with(' ')), "{text}");
        assert!(text.lines().skip(1).all(|line| line.starts_with("             word")), "{text}");
        let long = "x".repeat(200);
        assert_eq!(wrapped("", &format!("a {long} b")), format!("a\n  {long}\n  b\n"));
    }
}
