//! A sweep's sum as JUnit XML: what CI systems show as tests.
//!
//! A case for each scenario, whatever came of it, so that its history has no holes. What went wrong
//! first is told in it; every further thing (another kind of violation, what could not be told,
//! goals that were missed) has a case of its own, since many readers look at one failure a case.
//! Holds: valid under the strict schema that readers check against (Jenkins' `junit-10.xsd`), in
//! which a case has no properties: seed, replay line and files are its output. Well formed whatever
//! the texts; no figure of real time, so that the same runs give the same bytes. Written by hand:
//! the library for it brings dates and random ids with it. Start at [`junit`].

use crate::ended::{Ended, headline, stopped, surprise_lines};
use crate::escape::{quoted_path, xml, xml_text};
use crate::markdown::{missed, not_the_same, times};
use crate::summary::Summary;
use crate::text::{counted, numbered, verb, violation_lines};
use std::fmt::Write;

/// The summaries as one file.
pub fn junit(summaries: &[Summary]) -> String {
    let suites: Vec<_> = summaries.iter().map(|s| (s, complaints(s))).collect();
    let mut out = String::new();
    write_all(&mut out, &suites).expect("writing to a string cannot fail");
    out
}

/// Something that went wrong.
struct Complaint {
    /// `failure` or `error`, as the format has it: what was tested is wrong, or it could not be
    /// tested.
    element: &'static str,
    /// What sort: a fingerprint, or a word.
    kind: String,
    /// In a line.
    message: String,
    /// At length.
    body: String,
    /// What a program looks for in it, a line each.
    facts: Vec<(&'static str, String)>,
}

fn complaints(s: &Summary) -> Vec<Complaint> {
    let mut all = Vec::new();
    let plain = |element, kind: &str, message: String| Complaint {
        element,
        kind: kind.to_owned(),
        body: message.clone(),
        message,
        facts: Vec::new(),
    };
    if let Some((word, rest)) = stopped(s) {
        let kind = if s.ended() == Ended::Failed { "failed" } else { "interrupted" };
        all.push(plain("error", kind, format!("{word} {rest}")));
    }
    if s.not_deterministic > 0 {
        let message = not_the_same(s);
        all.push(plain("error", "not-deterministic", message));
    }
    for (missed, surprise) in s.surprises_told() {
        let again = s.again_by_seed(surprise.first_seed);
        let facts = vec![
            ("seed", surprise.first_seed.to_string()),
            ("replay", format!("mailstorm replay {again}")),
            ("trace", surprise.first_trace.clone()),
        ];
        let are = verb(surprise.count, "is", "are");
        let runs = numbered(surprise.count, "run");
        let message = format!("{runs} {are} not as expected: {missed}");
        let (body, kind) = (surprise_lines(s, missed, surprise), format!("unexpected: {missed}"));
        all.push(Complaint { element: "failure", kind, message, body, facts });
    }
    // What a file expects is told by what is missing and what is too much.
    let is_judged_by_kind = s.expected().is_none();
    for (fingerprint, group) in s.groups_told().into_iter().filter(|_| is_judged_by_kind) {
        let again = s.again(group);
        let mut body = violation_lines(&group.first, group.first_seed, &again, &group.first_trace);
        body += &format!("  {}\n", times(group));
        let mut facts = vec![
            ("seed", group.first_seed.to_string()),
            ("replay", format!("mailstorm replay {again}")),
            ("trace", group.first_trace.clone()),
        ];
        if let Some(shrunk) = &group.shrunk {
            facts.push(("case", quoted_path(&shrunk.file)));
            let left = numbered(shrunk.faults as u64, "fault");
            body += &format!("  shrunk to {left}: {}\n", quoted_path(&shrunk.file));
            body.extend(shrunk.story.iter().map(|line| format!("    {line}\n")));
        }
        if let Some(report) = &group.report {
            facts.push(("report", quoted_path(report)));
            body += &format!("  report   {}\n", quoted_path(report));
        }
        let message = format!("seed {}: {}", group.first_seed, group.first.detail);
        let kind = fingerprint.to_owned();
        all.push(Complaint { element: "failure", kind, message, body, facts });
    }
    for (why, count) in &s.unknown_whys {
        let message = format!("{} could not be judged: {why}", numbered(*count, "seed"));
        all.push(plain("error", "unknown", message));
    }
    if s.ended() == Ended::Unknown && s.goals_count {
        let missed = missed(s);
        if !missed.is_empty() {
            let message = format!("the storms never came that far: {}", missed.join("; "));
            all.push(plain("failure", "not-reached", message));
        }
    }
    all
}

fn write_all(out: &mut String, suites: &[(&Summary, Vec<Complaint>)]) -> std::fmt::Result {
    let complaints = || suites.iter().flat_map(|(_, complaints)| complaints);
    let tests: usize = suites.iter().map(|(_, complaints)| complaints.len().max(1)).sum();
    writeln!(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>")?;
    write!(out, "<testsuites name=\"mailstorm\" tests=\"{tests}\"")?;
    write_counts(out, complaints())?;
    for (s, complaints) in suites {
        write_suite(out, s, complaints)?;
    }
    writeln!(out, "</testsuites>")
}

fn write_counts<'a>(
    out: &mut String,
    complaints: impl Iterator<Item = &'a Complaint> + Clone,
) -> std::fmt::Result {
    let count = |element| complaints.clone().filter(|c| c.element == element).count();
    writeln!(out, " failures=\"{}\" errors=\"{}\">", count("failure"), count("error"))
}

fn write_suite(out: &mut String, s: &Summary, complaints: &[Complaint]) -> std::fmt::Result {
    let name = &s.scenario;
    write!(out, "  <testsuite name=\"{}\" tests=\"{}\"", xml(name), complaints.len().max(1))?;
    write_counts(out, complaints.iter())?;
    let mut run = vec![
        ("seeds", s.range()),
        ("shard", s.shard.to_string()),
        ("pass", s.pass.to_string()),
        ("violation", s.violation.to_string()),
        ("unknown", s.unknown.to_string()),
        ("trace_hash", s.trace_hash.clone()),
        ("ended", headline(s)),
        ("exit_code", s.ended().exit_code().to_string()),
    ];
    run.extend(s.inbox_told().map(|told| ("inbox", told)));
    write_properties(out, &run)?;
    write_case(out, s, name, complaints.first())?;
    for complaint in complaints.iter().skip(1) {
        write_case(out, s, &format!("{name}: {}", complaint.kind), Some(complaint))?;
    }
    writeln!(out, "    <system-out>{}</system-out>", xml_text(&counted(s)))?;
    writeln!(out, "  </testsuite>")
}

fn write_case(
    out: &mut String,
    s: &Summary,
    name: &str,
    complaint: Option<&Complaint>,
) -> std::fmt::Result {
    // What stands before a variant is the scenario; readers take dots for folders.
    let class = s.scenario.split('/').next().unwrap_or_default();
    write!(out, "    <testcase classname=\"mailstorm.{}\" name=\"{}\"", xml(class), xml(name))?;
    let Some(complaint) = complaint else { return writeln!(out, "/>") };
    writeln!(out, ">")?;
    let (element, kind) = (complaint.element, xml(&complaint.kind));
    let (message, body) = (xml(&complaint.message), xml_text(&complaint.body));
    writeln!(out, "      <{element} type=\"{kind}\" message=\"{message}\">{body}</{element}>")?;
    if !complaint.facts.is_empty() {
        let facts = complaint.facts.iter().map(|(name, fact)| format!("{name}: {fact}\n"));
        let facts = xml_text(&facts.collect::<String>());
        writeln!(out, "      <system-out>{facts}</system-out>")?;
    }
    writeln!(out, "    </testcase>")
}

fn write_properties(out: &mut String, properties: &[(&'static str, String)]) -> std::fmt::Result {
    writeln!(out, "    <properties>")?;
    for (name, value) in properties {
        writeln!(out, "      <property name=\"{name}\" value=\"{}\"/>", xml(value))?;
    }
    writeln!(out, "    </properties>")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{failing, passing};

    /// What the strict schema allows: an element, those that may stand in it in any order, whether
    /// text may, attributes that it must have, and those that it may have.
    type Rule = (
        &'static str,
        &'static [&'static str],
        bool,
        &'static [&'static str],
        &'static [&'static str],
    );

    /// The part of Jenkins' `junit-10.xsd` from which anything is written here.
    const SCHEMA: &[Rule] = &[
        ("", &["testsuites"], false, &[], &[]),
        (
            "testsuites",
            &["testsuite"],
            false,
            &[],
            &["name", "time", "tests", "failures", "errors"],
        ),
        (
            "testsuite",
            &["testsuite", "properties", "testcase", "system-out", "system-err"],
            false,
            &["name", "tests", "failures", "errors"],
            &["group", "time", "skipped", "timestamp", "hostname", "id", "package", "file"],
        ),
        ("properties", &["property"], false, &[], &[]),
        ("property", &[], false, &["name", "value"], &[]),
        (
            "testcase",
            &["skipped", "error", "failure", "system-out", "system-err"],
            false,
            &["name"],
            &["time", "classname", "group"],
        ),
        ("failure", &[], true, &[], &["type", "message"]),
        ("error", &[], true, &[], &["type", "message"]),
        ("system-out", &[], true, &[], &[]),
    ];

    /// Fails unless the element may stand in the other with these attributes.
    fn is_valid(parent: &str, element: &str, attributes: &[(String, String)]) {
        let rule = |name| SCHEMA.iter().find(|rule| rule.0 == name).expect(name);
        assert!(rule(parent).1.contains(&element), "{element} in {parent}");
        let (_, _, _, required, optional) = rule(element);
        let has = |name: &&&str| attributes.iter().any(|(key, _)| key == **name);
        assert_eq!(required.iter().find(|name| !has(name)), None, "{element} needs it");
        for (key, _) in attributes {
            let is_known = required.iter().chain(*optional).any(|name| name == key);
            assert!(is_known, "{element} has no attribute {key}");
        }
    }

    fn may_hold_text(element: &str) -> bool {
        SCHEMA.iter().any(|rule| rule.0 == element && rule.2)
    }

    /// Reads XML as far as it is written here: no comments, no CDATA, no entities but numbers and
    /// the predefined. Fails on what is not well formed, or not valid; returns every element's name
    /// with its attributes, and with its text as the attribute `text`.
    fn elements(text: &str) -> Vec<(String, Vec<(String, String)>)> {
        let mut found = Vec::new();
        let mut open: Vec<String> = Vec::new();
        let mut rest =
            text.strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?>").expect("a head");
        let is_text = |text: &str| {
            let lawful = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}');
            assert!(text.chars().all(|c| lawful(c) && c != '<'), "{text:?}");
            for entity in text.split('&').skip(1) {
                let (name, _) = entity.split_once(';').expect("an entity ends");
                let known = ["amp", "lt", "gt", "quot", "#9", "#10", "#13"];
                assert!(known.contains(&name), "&{name};");
            }
        };
        while let Some((before, after)) = rest.split_once('<') {
            is_text(before);
            let parent = open.last().cloned().unwrap_or_default();
            assert!(before.trim().is_empty() || may_hold_text(&parent), "{before:?} in {parent}");
            if may_hold_text(&parent) {
                let (_, pairs) = found.last_mut().expect("its tag was read");
                let pairs: &mut Vec<(String, String)> = pairs;
                pairs.push(("text".to_owned(), before.to_owned()));
            }
            let (tag, after) = after.split_once('>').expect("a tag ends");
            rest = after;
            if let Some(name) = tag.strip_prefix('/') {
                assert_eq!(open.pop().as_deref(), Some(name));
                continue;
            }
            let inner = tag.trim_end_matches('/');
            let (name, mut attributes) = inner.split_once(' ').unwrap_or((inner, ""));
            let mut pairs = Vec::new();
            while let Some((key, value)) = attributes.split_once("=\"") {
                let (value, more) = value.split_once('"').expect("a value ends");
                is_text(value);
                pairs.push((key.trim().to_owned(), value.to_owned()));
                attributes = more;
            }
            assert_eq!(attributes.trim(), "", "{tag}");
            is_valid(&parent, name, &pairs);
            found.push((name.to_owned(), pairs));
            if inner.len() == tag.len() {
                open.push(name.to_owned());
            }
        }
        is_text(rest);
        assert!(open.is_empty(), "{open:?}");
        found
    }

    fn named<'a>(
        all: &'a [(String, Vec<(String, String)>)],
        element: &str,
        attribute: &str,
    ) -> Vec<&'a str> {
        let of = all.iter().filter(|(name, _)| name == element);
        let pairs = of.flat_map(|(_, pairs)| pairs);
        pairs.filter(|(key, _)| key == attribute).map(|(_, value)| &**value).collect()
    }

    #[test]
    fn every_scenario_has_a_case_and_every_further_complaint_one_of_its_own() {
        let mut two = failing("quorum-half/wrong");
        let mut other = two.groups.values().next().expect("one").clone();
        other.first_seed = 3;
        two.groups.insert("quorum/lost/s".into(), other);
        two.unknown_whys.insert("a bound".into(), 2);
        let text = junit(&[passing("ensemble"), two]);
        let all = elements(&text);
        assert_eq!(
            named(&all, "testcase", "name"),
            [
                "ensemble",
                "quorum-half/wrong",
                "quorum-half/wrong: split-brain/mutex/sink+w",
                "quorum-half/wrong: unknown"
            ]
        );
        assert_eq!(named(&all, "testcase", "classname")[1], "mailstorm.quorum-half");
        assert_eq!(
            named(&all, "failure", "type"),
            ["quorum/lost/s", "split-brain/mutex/sink+w"],
            "the first seed comes first"
        );
        assert_eq!(named(&all, "error", "type"), ["unknown"]);
        assert_eq!(named(&all, "testsuites", "tests"), ["4"]);
        assert_eq!(named(&all, "testsuites", "failures"), ["2"]);
        assert_eq!(named(&all, "testsuite", "errors"), ["0", "1"]);
        let facts = named(&all, "system-out", "text");
        assert!(facts[1].starts_with("seed: 3\n"), "{facts:?}");
        assert!(facts[1].contains("\nreplay: mailstorm replay quorum-half/wrong --seed 3\n"));
        assert!(facts[2].contains("\ncase: quorum-half/wrong/7/case.toml\n"), "{facts:?}");
    }

    #[test]
    fn a_goal_that_was_missed_is_a_failure_when_it_counts() {
        let mut summary = passing("ensemble");
        summary.reached.insert("leader_died".into(), 0);
        let all = elements(&junit(std::slice::from_ref(&summary)));
        assert_eq!(named(&all, "failure", "type"), ["not-reached"]);
        assert!(named(&all, "failure", "message")[0].contains("Never reached: leader died"));
        summary.goals_count = false;
        let all = elements(&junit(&[summary]));
        assert_eq!(named(&all, "failure", "type"), <[&str; 0]>::default());
    }

    #[test]
    fn it_is_well_formed_whatever_a_text_holds() {
        let nasty = "</failure>]]><!-- & \" ' \u{0}\u{8}\u{1b}\u{85}\u{ffff}\n\ttab <script>é😀";
        let mut summary = failing(nasty);
        let mut group = summary.groups.pop_first().expect("one").1;
        group.first.detail = nasty.into();
        summary.groups.insert(nasty.into(), group);
        summary.unknown_whys.insert(nasty.into(), 1);
        summary.reached.insert(nasty.into(), 1);
        let text = junit(&[summary]);
        // The walk above knows nothing beyond the first plane.
        let all = elements(&text.replace('😀', ""));
        assert_eq!(named(&all, "failure", "type").len(), 1);
        assert!(text.contains("&lt;/failure&gt;]]&gt;&lt;!-- &amp; &quot;"), "{text}");
    }
}
