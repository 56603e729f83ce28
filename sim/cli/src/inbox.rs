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
use mailstorm_reports::layout::{broken, broken_between};
use mailstorm_reports::{Doubts, verb};
use mailstorm_world::Scenario;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// So many dead letters are named.
const DEAD_LETTERS_NAMED_MAX: usize = 3;

/// Tells what an inbox has.
pub(crate) fn inbox(arguments: &InboxArguments) -> Result<ExitCode, Failure> {
    let inbox = open_inbox(Some(&arguments.path))?.expect("a path is given");
    let mut out = told(&inbox.account().told_in_full());
    out += &line(&format!("digest {}", TraceHash(inbox.digest())));
    let dead: Vec<Vec<String>> = inbox.mails().iter().filter_map(dead_letter).collect();
    if !dead.is_empty() {
        let are = verb(dead.len() as u64, "is a dead letter", "are dead letters");
        let mut pieces = pieces_of(&format!("{} of the mails {are}:", dead.len()));
        let named = &dead[..dead.len().min(DEAD_LETTERS_NAMED_MAX)];
        for (place, one) in named.iter().enumerate() {
            pieces.extend_from_slice(one);
            if let Some(last) = pieces.last_mut().filter(|_| place + 1 < dead.len()) {
                last.push(';');
            }
        }
        if dead.len() > named.len() {
            pieces.push("...".to_owned());
        }
        out += &in_pieces(BELOW, &pieces);
    }
    crate::print(&out)?;
    Ok(ExitCode::Pass)
}

/// A dead letter and its reason, in pieces of which the name is one.
fn dead_letter(mail: &mailstorm_mail::inbox::Mail) -> Option<Vec<String>> {
    let Judgement::DeadLetter { reason } = process(mail).judgement else { return None };
    Some([vec![mail.id.to_string()], pieces_of(&format!("({reason})"))].concat())
}

fn pieces_of(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

/// What a storm of these scenarios tells of its inbox: nothing if none of them has one.
pub(crate) fn told_of_storm<'a>(
    inbox: &Inbox,
    scenarios: impl Iterator<Item = &'a Arc<dyn Scenario>>,
) -> Option<String> {
    let scenario = scenarios.into_iter().find(|scenario| scenario.inbox().is_some())?;
    let mut out = told(&inbox.account().told_in_short());
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

/// What of this scenario's inbox may have been read otherwise, as it stands in results.
pub(crate) fn doubts(scenario: &Arc<dyn Scenario>, inbox: Option<&Inbox>) -> Doubts {
    let account = inbox.filter(|_| scenario.inbox().is_some()).map(Inbox::account);
    account.map_or(Doubts::default(), |account| Doubts {
        from_lines_as_text: account.from_lines_as_text,
        mails_without_header: account.mails_without_header,
    })
}

/// Refuses what would read the inbox more than once, which a stream does not allow. `reads` says
/// who does.
pub(crate) fn expect_readable_twice(inbox: Option<&Path>, reads: &str) -> Result<(), Failure> {
    if !inbox.is_some_and(is_stream) {
        return Ok(());
    }
    Err(Failure::new(format!(
        "{reads} the inbox again, which standard input and pipes do not allow: save it to a file first"
    )))
}

/// What stands before each line but the first.
const BELOW: &str = "           ";

fn told(lines: &[Vec<String>]) -> String {
    let heads = std::iter::once("inbox      ").chain(std::iter::repeat(BELOW));
    heads.zip(lines).map(|(head, pieces)| in_pieces(head, pieces)).collect()
}

fn line(text: &str) -> String {
    wrapped(BELOW, text)
}

/// A text behind its head, in lines that go on a little to the right of its beginning.
fn wrapped(head: &str, text: &str) -> String {
    broken(head, head.chars().count() + 2, text) + "\n"
}

/// The same, broken between these pieces alone.
fn in_pieces(head: &str, pieces: &[String]) -> String {
    broken_between(head, head.chars().count() + 2, pieces.iter().map(String::as_str)) + "\n"
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
        let name = format!("a  {}", "b c ".repeat(30));
        let text = in_pieces("x ", &["one".to_owned(), name.clone(), "two".to_owned()]);
        assert_eq!(text, format!("x one\n    {name}\n    two\n"), "a name is not broken");
        let long = "x".repeat(200);
        assert_eq!(wrapped("", &format!("a {long} b")), format!("a\n  {long}\n  b\n"));
    }
}
