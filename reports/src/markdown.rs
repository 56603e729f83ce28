//! A sweep's sum for the page of a CI job: failures first, and never too large for it.
//!
//! Holds: what comes out has less than a mebibyte, and says what was left out; no text from
//! outside is markup in it. Start at [`markdown`].

use crate::ended::{Grade, headline, resumption, share, surprise_lines};
use crate::escape;
use crate::summary::{Group, Summary};
use crate::text::{counted, grouped, numbered, verb, verdicts, violation_lines};
use mailstorm_record::spaced;

/// What GitHub takes as the summary of a step, less some room for the line that tells what was cut.
const BYTES_MAX: usize = 1024 * 1024 - 1024;
/// A single text that is longer is told in part: nobody reads it here.
const TEXT_BYTES_MAX: usize = 16 * 1024;

/// The summaries as Markdown.
pub fn markdown(summaries: &[Summary]) -> String {
    let mut page = Page::default();
    for s in summaries {
        page.add(head(s));
    }
    for s in summaries {
        for (why, count) in &s.unknown_whys {
            let text = format!("UNKNOWN    {why} ({})\n", numbered(*count, "seed"));
            page.add(escape::fenced("text", &short(&text)) + "\n");
        }
        for (missed, surprise) in s.surprises_told() {
            page.add(escape::fenced("text", &short(&surprise_lines(s, missed, surprise))) + "\n");
        }
        for (fingerprint, group) in s.groups_told() {
            page.add(violation(s, fingerprint, group));
        }
    }
    for s in summaries.iter().filter(|s| !s.was_not_begun()) {
        let (name, text) = (escape::markdown(&s.scenario), short(&counted(s)));
        page.add(format!(
            "<details><summary>figures of {name}</summary>\n\n{}\n</details>\n\n",
            escape::fenced("text", &text)
        ));
    }
    page.end()
}

/// A page that grows piece by piece, as long as there is room.
#[derive(Default)]
struct Page {
    text: String,
    cut: usize,
    cut_bytes: usize,
}

impl Page {
    fn add(&mut self, piece: String) {
        if self.cut == 0 && self.text.len() + piece.len() <= BYTES_MAX {
            self.text.push_str(&piece);
        } else {
            self.cut += 1;
            self.cut_bytes += piece.len();
        }
    }

    fn end(mut self) -> String {
        if self.cut > 0 {
            self.text.push_str(&format!(
                "**Cut here:** {}, {}. All of it is in `index.html` and `result.json` of \
                 the sweep's folder.\n",
                numbered(self.cut as u64, "more section"),
                numbered(self.cut_bytes as u64, "byte")
            ));
        }
        self.text
    }
}

fn head(s: &Summary) -> String {
    let mark = match s.ended().grade() {
        Grade::Good => "✅",
        Grade::Open => "⚠️",
        Grade::Bad => "❌",
    };
    let (name, ended) = (escape::markdown(&s.scenario), escape::markdown(&headline(s)));
    let again = resumption(s).map(|again| format!("{again}\n\n")).unwrap_or_default();
    if s.was_not_begun() {
        let code = s.ended().exit_code();
        return format!("## {mark} {name}: not begun\n\n{ended}. Exit code {code}.\n\n{again}");
    }
    let mut out = format!(
        "## {mark} {name}: {}\n\n{ended}. Exit code {}.\n\n{}; {}\n\n",
        share(s),
        s.ended().exit_code(),
        verdicts(s),
        s.seeds_told()
    );
    if let Some(inbox) = s.inbox_told() {
        out += &format!("{}.\n\n", escape::markdown(&inbox));
    }
    out += &again;
    if s.not_deterministic > 0 {
        out += &format!("**Not deterministic:** {}.\n\n", not_the_same(s));
    } else if s.verified > 0 {
        let were = verb(s.verified, "was", "were");
        let seeds = numbered(s.verified, "seed");
        out += &format!("{seeds} {were} the same in a second process.\n\n");
    }
    for line in missed(s) {
        out += &format!("**{}**\n\n", escape::markdown(&line));
    }
    out
}

/// What the sweep was to reach and did not, a line each.
pub(crate) fn missed(s: &Summary) -> Vec<String> {
    let goals = s.goals_to_tell().map(|goal| format!("Never reached: {}", spaced(goal)));
    let vain = s.vain_to_tell().map(|(kind, injected)| {
        let (kind, times) = (spaced(kind), numbered(injected, "time"));
        format!("In vain: {kind}, injected {times}, never changed anything")
    });
    goals.chain(vain).collect()
}

/// How many runs were another one in a second process.
pub(crate) fn not_the_same(s: &Summary) -> String {
    let were = verb(s.not_deterministic, "was", "were");
    let seeds = numbered(s.not_deterministic, "seed");
    format!("{seeds} {were} not the same in a second process")
}

fn violation(s: &Summary, fingerprint: &str, group: &Group) -> String {
    let again = s.again(group);
    let lines = violation_lines(&group.first, group.first_seed, &again, &group.first_trace);
    let mut out = format!(
        "### {}{}\n\n{}\n\n{}\n",
        escape::markdown(fingerprint),
        if s.expects(&group.first) { ", as expected" } else { "" },
        times(group),
        escape::fenced("text", &short(&lines))
    );
    out += &escape::fenced("sh", &format!("mailstorm replay {again}\n"));
    out.push('\n');
    if let Some(shrunk) = &group.shrunk {
        out += &format!(
            "<details><summary>the smallest case: {} of {} left</summary>\n\n{}\nSave it as \
             <code>case.toml</code>, and <code>mailstorm replay case.toml</code>.\n\n</details>\n\n",
            shrunk.faults,
            numbered(group.faults as u64, "fault"),
            escape::fenced("toml", &short(&shrunk.case))
        );
    }
    if let Some(report) = &group.report {
        out += &format!(
            "The page of the run, in the sweep's folder: `{}`\n\n",
            escape::address(report)
        );
    }
    out
}

/// How often it came, and the seeds that are named.
pub(crate) fn times(group: &Group) -> String {
    let named: Vec<_> = group.seeds.iter().map(u64::to_string).collect();
    match group.count {
        1 => format!("once, seed {}", named.join(", ")),
        count => {
            let more = if count > named.len() as u64 { ", …" } else { "" };
            let seeds = if named.len() == 1 && more.is_empty() { "seed" } else { "seeds" };
            format!("{} times, {seeds} {}{more}", grouped(count), named.join(", "))
        }
    }
}

/// A text, or its beginning with a line that says how much is missing.
fn short(text: &str) -> String {
    if text.len() <= TEXT_BYTES_MAX {
        return text.to_owned();
    }
    let mut end = TEXT_BYTES_MAX;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let more = numbered((text.len() - end) as u64, "more byte");
    format!("{}\n({more})\n", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{failing, passing};
    use crate::summary::RecordFile;

    #[test]
    fn failures_come_first_and_their_replay_lines_can_be_pasted() {
        let text = markdown(&[passing("ensemble"), failing("mail-claims")]);
        let (head, rest) = text.split_once("### ").expect("a violation");
        assert!(head.contains("✅ ensemble: 200 of 200 seeds pass"), "{head}");
        assert!(head.contains("❌ mail-claims: 187 of 200 seeds pass"), "{head}");
        assert!(rest.contains("\n```sh\nmailstorm replay mail-claims --seed 7\n```\n"), "{rest}");
        assert!(rest.contains("```toml\nseed = 7\n```"), "{rest}");
        assert!(rest.contains("`mail-claims/7/report.html`"), "{rest}");
        let figures = rest.find("<details><summary>figures").expect("figures");
        assert!(rest.find("mailstorm replay").expect("a line") < figures);
        assert!(!text.contains("real time"), "no figure of this machine: {text}");
    }

    #[test]
    fn what_was_left_out_of_the_inbox_stands_beside_the_mails() {
        let left_out = [("leading_dot".to_owned(), 2), ("twin".to_owned(), 1)].into();
        let doubts = crate::Doubts { from_lines_as_text: 1, mails_without_header: 2_000 };
        let summary = Summary { mails: Some(1), left_out, doubts, ..passing("mail-claims") };
        let told = "Inbox: 1 mail, 3 left out (2 leading dot, 1 twin); 1 line with 'From ' taken as text; \
                    2,000 lines with 'From ' taken as a mail's beginning without a header after it";
        let text = markdown(std::slice::from_ref(&summary));
        assert!(text.contains(&format!("\n{told}.\n")), "{text}");
        let page = crate::index(std::slice::from_ref(&summary));
        assert!(page.contains(&format!("<p class=\"quiet\">{told}</p>")), "{page}");
        assert!(!markdown(&[passing("ensemble")]).contains("Inbox"));
    }

    #[test]
    fn what_was_not_reached_is_said_and_marked() {
        let mut summary = passing("ensemble");
        summary.reached.insert("leader_died".into(), 0);
        let text = markdown(std::slice::from_ref(&summary));
        assert!(text.contains("⚠️ ensemble"), "{text}");
        assert!(text.contains("**Never reached: leader died**"), "{text}");
    }

    #[test]
    fn a_run_that_its_seed_does_not_make_again_is_replayed_from_its_record() {
        let mut summary = failing("mail-claims");
        summary.folder = "my runs".into();
        let group = summary.groups.values_mut().next().expect("one");
        let file = "mail-claims/7/run.json".to_owned();
        group.record = Some(RecordFile { file, options: " --inbox in".to_owned() });
        let text = markdown(&[summary]);
        let line = "\nmailstorm replay 'my runs/mail-claims/7/run.json' --inbox in\n";
        assert!(text.contains(line), "{text}");
        assert!(!text.contains("--seed 7"), "{text}");
    }

    #[test]
    fn no_text_from_outside_is_markup() {
        let mut summary = failing("mail-claims");
        let group = summary.groups.values_mut().next().expect("one");
        group.first.detail = "```\n# heading <script>alert(1)</script>\n````".to_owned();
        let text = markdown(&[summary]);
        let opened = text.find("`````text\n").expect("a longer fence");
        let closed = text[opened + 8..].find("\n`````\n").expect("its end") + opened;
        let at = text.find("<script>").expect("shown");
        assert!(opened < at && at < closed, "inside the fence: {text}");
    }

    #[test]
    fn it_is_never_too_large_and_says_what_is_missing() {
        let mut summary = failing("mail-claims");
        let group = summary.groups.values().next().expect("one").clone();
        for place in 0..3_000 {
            let mut other = group.clone();
            other.first.detail = "é".repeat(20_000);
            summary.groups.insert(format!("kind-{place}"), other);
        }
        let text = markdown(&[summary]);
        assert!((BYTES_MAX - 64 * 1024..1024 * 1024).contains(&text.len()), "{}", text.len());
        let last = text.lines().last().expect("lines");
        assert!(last.starts_with("**Cut here:** 2,9"), "{last}");
        assert!(text.contains(" more bytes)"));
    }
}
