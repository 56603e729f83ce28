//! What runs are made from, as options of the command line: variant, settings, defect, plan and
//! inbox.
//!
//! Leaves: which run it is, of a seed or a file, to `one_run`.
//! Holds: what is printed for a replay makes the same run again. Start at [`Given`].

use crate::failure::{Failure, nearest};
use crate::museum::find_defect;
use clap::{Args, ValueHint};
use mailstorm_mail::inbox::Inbox;
use mailstorm_record::fault::FOREVER_MS;
use mailstorm_record::{
    Fault, FaultKind, InboxMark, NodeName, Plan, SettingError, Settings, TraceHash,
};
pub(crate) use mailstorm_reports::{quoted, quoted_path};
use mailstorm_scenarios::lessons;
use mailstorm_shared::defect::DefectId;
use mailstorm_world::{Scenario, rest_told, with_settings};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

/// The options that say what is run, other than scenario and seed.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Given {
    /// Run this design of a lesson: `wrong`, `right`, or its name [default: right]. `LESSON/DESIGN`
    /// says the same.
    #[arg(long, value_name = "DESIGN")]
    pub variant: Option<String>,
    /// Plant this defect in every server, client and worker; `mailstorm museum --list` lists them.
    #[arg(long, value_name = "NAME")]
    pub defect: Option<String>,
    /// Give the scenario another number: `servers=9`; `mailstorm scenarios` lists them.
    #[arg(long, value_name = "NAME=VALUE")]
    pub set: Vec<Set>,
    /// Run the faults of this plan (or case) instead of those made from the seed.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub plan: Option<PathBuf>,
    /// Cut the network in these parts at this time, instead of the faults made from the seed or the
    /// lesson's own: `"5.0-20.0 s1,s2 | s3,s4,s5"`, in virtual seconds; `5.0-` is a cut that never
    /// ends. A node on no side hears everybody. May be given several times.
    #[arg(long, value_name = "TIME PARTS", conflicts_with_all = ["plan", "all_faults"])]
    pub partition: Vec<Cut>,
    /// Give every storm every kind of fault, instead of the kinds that each seed draws.
    #[arg(long, conflicts_with = "plan")]
    pub all_faults: bool,
    /// The inbox: an mbox file, a mail, a Maildir, or a folder of these; `-` for an mbox or a mail
    /// on standard input [default: a sample inbox].
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub inbox: Option<PathBuf>,
    /// Run only if the inbox has this digest: with other mails, the same seed is another run. Lines
    /// that replay a seed have it.
    #[arg(long, value_name = "DIGEST", value_parser = parse_digest, requires = "inbox")]
    pub inbox_digest: Option<TraceHash>,
}

fn parse_digest(text: &str) -> Result<TraceHash, String> {
    let digest = u64::from_str_radix(text, 16).ok().filter(|_| text.len() == 16);
    digest.map(TraceHash).ok_or_else(|| {
        format!("'{text}' is no digest: expected 16 digits, as 'mailstorm inbox PATH' tells them")
    })
}

impl Given {
    /// As a person types them: each with a space before it, quoted where a shell would not take it
    /// for one word. The variant is part of the scenario's name there.
    pub(crate) fn line(&self) -> String {
        let path = |path: &Option<PathBuf>| path.as_ref().map(quoted_path);
        let set = |set: &Set| ("--set", Some(quoted(format!("{}={}", set.name, set.value))));
        let digest = self.inbox_digest.map(|digest| digest.to_string());
        let named = [
            ("--plan", path(&self.plan)),
            ("--inbox", path(&self.inbox)),
            ("--inbox-digest", digest),
        ];
        let cuts = self.partition.iter().map(|cut| ("--partition", Some(quoted(&cut.text))));
        [("--defect", self.defect.as_ref().map(quoted))]
            .into_iter()
            .chain(self.set.iter().map(set))
            .chain(named)
            .chain(cuts)
            .filter_map(|(option, value)| Some(format!(" {option} {}", value?)))
            .chain(self.all_faults.then(|| " --all-faults".to_owned()))
            .collect()
    }

    /// Whether nothing is given that makes another run of a record or a case; its inbox must be
    /// given again.
    pub(crate) fn is_nothing_but_inbox(&self) -> bool {
        let Self { variant, defect, set, plan, partition, all_faults, inbox: _, inbox_digest: _ } =
            self;
        let is_run_as_it_was = variant.is_none() && defect.is_none() && set.is_empty();
        is_run_as_it_was && plan.is_none() && partition.is_empty() && !all_faults
    }

    /// The inbox that is given, if one is, and if it is the one that it is to be.
    pub(crate) fn open_inbox(&self) -> Result<Option<Inbox>, Failure> {
        let inbox = open_inbox(self.inbox.as_deref())?;
        let (Some(found), Some(then)) = (&inbox, self.inbox_digest) else { return Ok(inbox) };
        let now = TraceHash(found.digest());
        if now == then {
            return Ok(inbox);
        }
        let path = self.inbox.as_deref().unwrap_or(Path::new("")).display();
        Err(Failure::new(format!(
            "the inbox {path} has changed: its digest was {then} and is {now} (mails {}), so this would be another \
             run; give the inbox as it was, or run on this one without --inbox-digest",
            found.len()
        )))
    }

    /// The same for a line that replays a seed: with the digest of the inbox, which a seed does not
    /// know.
    pub(crate) fn with_digest(&self, inbox: Option<InboxMark>) -> Self {
        let digest = inbox.filter(|_| self.inbox.is_some()).map(|mark| mark.digest);
        Self { inbox_digest: digest, ..self.clone() }
    }

    /// The scenario's numbers that are asked for; where one is asked for twice, the last counts.
    pub(crate) fn settings(&self) -> Settings {
        Settings(self.set.iter().map(|set| (set.name.clone(), set.value)).collect())
    }

    /// The name of the scenario with the variant that is asked for.
    pub(crate) fn full_name(&self, name: &str) -> String {
        match &self.variant {
            Some(variant) => format!("{name}/{variant}"),
            None => name.to_owned(),
        }
    }

    /// The plan that is asked for; `None` for the scenario's own, or what the seed draws. Says what
    /// nodes on no side of a cut hear, since somebody may have forgotten them.
    pub(crate) fn plan_for(&self, scenario: &Arc<dyn Scenario>) -> Result<Option<Plan>, Failure> {
        if self.partition.is_empty() {
            let plan = self.plan.as_deref().map(|file| read_plan(file, scenario)).transpose()?;
            plan.iter().for_each(|plan| note_rest(plan, scenario));
            return Ok(plan);
        }
        /// What is left to be seen after the last cut.
        const AFTERWARDS_MS: u64 = 10_000;
        let faults: Vec<Fault> = self.partition.iter().map(|cut| cut.fault.clone()).collect();
        let ends_ms = faults.iter().map(Fault::ends_ms).max().unwrap_or(0);
        let own_ms = scenario.plan().map_or(0, |plan| plan.storm_ms());
        let plan =
            Plan { lasts_ms: Some(own_ms.max(ends_ms + AFTERWARDS_MS)), faults, ..Plan::default() };
        plan.check(&scenario.topology().names()).map_err(|(index, problem)| {
            let cut = self.partition.get(index).map(|cut| &*cut.text).unwrap_or_default();
            Failure::new(format!("--partition '{cut}': {problem}"))
        })?;
        note_rest(&plan, scenario);
        Ok(Some(plan))
    }

    pub(crate) fn planted(&self) -> Result<Option<DefectId>, Failure> {
        self.defect.as_deref().map(find_defect).transpose()
    }
}

/// Says what nodes hear that are on no side of the cuts of a plan that somebody has given, once for
/// each set of nodes.
pub(crate) fn note_rest(plan: &Plan, scenario: &Arc<dyn Scenario>) {
    let topology = scenario.topology();
    let told: BTreeSet<String> =
        plan.faults.iter().filter_map(|fault| rest_told(&topology, &fault.kind)).collect();
    for told in told {
        crate::tell(&format!("note: {told}"));
    }
}

/// A number for a scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Set {
    pub name: String,
    pub value: u64,
}

impl FromStr for Set {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('=').map(|(name, value)| (name.trim(), value.trim().parse()));
        match parts {
            Some((name, Ok(value))) => Ok(Self { name: name.to_owned(), value }),
            _ => Err(format!("'{text}' is no setting: expected something like servers=9")),
        }
    }
}

/// A cut of the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    /// As it was given.
    text: String,
    fault: Fault,
}

impl FromStr for Cut {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            |what: &str| format!("{what}: expected something like \"5.0-20.0 s1,s2 | s3,s4,s5\"");
        let text = text.trim();
        let (time, parts) =
            text.split_once(char::is_whitespace).ok_or_else(|| wrong("no parts"))?;
        let (from, to) = time.split_once('-').ok_or_else(|| wrong("no end of the time"))?;
        let ms = |text: &str| {
            let seconds = text.parse::<f64>().ok().filter(|s| (0.0..=86_400.0).contains(s));
            let ms = seconds.map(|seconds| (seconds * 1e3).round() as u64);
            ms.ok_or_else(|| wrong(&format!("'{text}' is no time")))
        };
        let at_ms = ms(from)?;
        let lasts_ms = if to.is_empty() {
            FOREVER_MS
        } else {
            let lasts_ms = ms(to)?.checked_sub(at_ms).filter(|lasts_ms| *lasts_ms > 0);
            lasts_ms.ok_or_else(|| wrong("the end is not after the beginning"))?
        };
        let side = |part: &str| -> Vec<NodeName> {
            part.split(',').map(str::trim).filter(|n| !n.is_empty()).map(NodeName::from).collect()
        };
        let sides: Vec<Vec<NodeName>> = parts.split('|').map(side).collect();
        if sides.len() < 2 || sides.iter().any(Vec::is_empty) {
            return Err(wrong("a cut has two parts or more, and somebody in each"));
        }
        let kind = FaultKind::Partition { sides };
        let fault = Fault { at_ms, lasts_ms, kind };
        Ok(Self { text: text.to_owned(), fault })
    }
}

/// The scenario of this name, with these numbers.
pub(crate) fn find(
    name: &str,
    inbox: Option<&Inbox>,
    settings: &Settings,
) -> Result<Arc<dyn Scenario>, Failure> {
    let scenario = mailstorm_scenarios::find(name, inbox).ok_or_else(|| unknown(name))?;
    with_settings(&scenario, settings).map_err(|error| {
        let meant = match &error {
            SettingError::Unknown { name, known } => meant(name, known.iter().copied()),
            SettingError::OutOfRange { .. } | SettingError::Together(_) => String::new(),
        };
        Failure::new(format!("{meant}{error} for the scenario '{name}'"))
    })
}

/// Nothing has this name: what does.
pub(crate) fn unknown(name: &str) -> Failure {
    if let Some((lesson, design)) = name.split_once('/')
        && let Some(lesson) = lessons::lesson(lesson)
    {
        let designs: Vec<&str> = lesson.designs.iter().map(|design| design.name).collect();
        let (meant, designs) = (meant(design, designs.iter().copied()), designs.join(", "));
        return Failure::new(format!(
            "'{}' has no design '{design}': {meant}it has {designs}",
            lesson.name
        ));
    }
    let all = mailstorm_scenarios::all(None);
    let lessons = lessons::all();
    let names = all.iter().map(|scenario| scenario.name());
    let meant = meant(name, names.chain(lessons.iter().map(|lesson| lesson.name)));
    Failure::new(format!("unknown scenario '{name}': {meant}'mailstorm scenarios' lists them"))
}

/// The question whether the nearest of these names was meant, if one is near.
pub(crate) fn meant<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let near = nearest(name, known);
    near.map(|near| format!("did you mean '{near}'? ")).unwrap_or_default()
}

/// The inbox at this path, `-` for that on standard input; `None` stands for the embedded one.
pub(crate) fn open_inbox(path: Option<&Path>) -> Result<Option<Inbox>, Failure> {
    let open = |path: &Path| {
        if path == Path::new("-") {
            return Inbox::read(std::io::stdin().lock(), Path::new("stdin"));
        }
        Inbox::open(path)
    };
    path.map(open).transpose().map_err(|error| Failure::new(error.to_string()))
}

/// A plan for this scenario, read from a file.
pub(crate) fn read_plan(file: &Path, scenario: &Arc<dyn Scenario>) -> Result<Plan, Failure> {
    let text = fs::read_to_string(file).map_err(|error| {
        Failure::new(format!("cannot read the plan {}: {error}; check the path", file.display()))
    })?;
    Plan::parse(&text, &file.display().to_string(), &scenario.topology().names())
        .map_err(|error| Failure::new(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_a_name_and_a_number() {
        let set = Set { name: "servers".to_owned(), value: 9 };
        assert_eq!("servers=9".parse(), Ok(set.clone()));
        assert_eq!(" servers = 9 ".parse(), Ok(set));
        for wrong in ["servers", "servers=", "servers=many", "servers=-1", "=", ""] {
            let error = wrong.parse::<Set>().expect_err(wrong);
            assert!(error.contains("expected something like servers=9"), "{error}");
        }
    }

    #[test]
    fn a_cut_is_a_time_and_parts() {
        let cut: Cut = " 5.0-20.25  s1,s2 | s3 , s4 ".parse().expect("well formed");
        assert_eq!((cut.fault.at_ms, cut.fault.lasts_ms), (5_000, 15_250));
        let side = |names: &[&str]| names.iter().map(|name| NodeName::from(*name)).collect();
        let sides = vec![side(&["s1", "s2"]), side(&["s3", "s4"])];
        assert_eq!(cut.fault.kind, FaultKind::Partition { sides });
        let open: Cut = "5- leader | others".parse().expect("well formed");
        assert!(open.fault.is_forever());
        for wrong in [
            "",
            "- s1 | s2",
            "5-20",
            "5 s1 | s2",
            "20-5 s1 | s2",
            "a-5 s1 | s2",
            "5-20 s1,s2",
            "5-20 s1 | ",
            "-1-5 s1 | s2",
        ] {
            let error = wrong.parse::<Cut>().expect_err(wrong);
            assert!(error.contains("expected something like"), "{error}");
        }
    }

    #[test]
    fn what_is_given_is_given_again_as_a_shell_takes_it() {
        let given = Given {
            defect: Some("minority-quorum".to_owned()),
            set: vec!["servers=9".parse().expect("well formed")],
            plan: Some("it's here.toml".into()),
            all_faults: true,
            ..Given::default()
        };
        let line =
            r" --defect minority-quorum --set servers=9 --plan 'it'\''s here.toml' --all-faults";
        assert_eq!(given.line(), line);
        assert_eq!(Given::default().line(), "");
        let odd = Given { inbox: Some("-in".into()), ..Given::default() };
        assert_eq!(odd.line(), " --inbox ./-in");
    }

    #[cfg(unix)]
    #[test]
    fn a_path_that_is_no_text_is_given_again_byte_for_byte() {
        use std::os::unix::ffi::OsStringExt;
        let path = std::ffi::OsString::from_vec(b"in\xe4box".to_vec()).into();
        let given = Given { inbox: Some(path), ..Given::default() };
        assert_eq!(given.line(), r" --inbox $'in\344box'");
    }
}
