//! Plans: lists of faults in virtual time, as data that people write, store, replay and cut down.
//!
//! Owns: the file format of plans, and the errors for files that break it. Leaves: the vocabulary
//! of faults to `fault`; drawing a plan from a seed and carrying it out to `world`.
//! Holds: `Plan::parse(plan.to_toml())` gives the same plan, and a plan that parsed names only
//! nodes that exist and numbers that make sense.
//! Start at [`Plan`]; every kind of fault is a variant of [`FaultKind`].
//!
//! ```toml
//! lasts_ms = 60000
//!
//! [[faults]]
//! at_ms = 4000
//! lasts_ms = 3000
//! kind.crash = { nodes = ["leader"] }
//! ```

use crate::fault::{FOREVER_MS, PLAN_MS_MAX};
use crate::{Fault, FaultKind, Names};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

/// What is to go wrong, and when.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// True when disks may lie and lose more than a correct ensemble can survive: for lessons only.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lifts_atlas: bool,
    /// How long the storm lasts; without it, until the last fault has ended, which one that lasts
    /// for ever never does: then it must be given. A plan drawn from a seed has it, so that the
    /// plan alone makes the same storm again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lasts_ms: Option<u64>,
    /// The faults, in any order.
    #[serde(default)]
    pub faults: Vec<Fault>,
}

/// Why a plan file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {problem}")]
pub struct PlanError {
    /// The file, as it was named.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong there, and what was expected.
    pub problem: String,
}

/// A plan whose faults know where they stand in the file, which may be that of a
/// [`Case`](crate::Case), or of a scenario without Rust.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SpannedPlan {
    #[serde(default, rename = "mailstorm")]
    _version: IgnoredAny,
    #[serde(default, rename = "scenario")]
    _scenario: IgnoredAny,
    #[serde(default, rename = "seed")]
    _seed: IgnoredAny,
    #[serde(default, rename = "defect")]
    _defect: IgnoredAny,
    #[serde(default, rename = "fingerprint")]
    _fingerprint: IgnoredAny,
    #[serde(default, rename = "trace")]
    _trace: IgnoredAny,
    #[serde(default, rename = "inbox")]
    _inbox: IgnoredAny,
    #[serde(default, rename = "settings")]
    _settings: IgnoredAny,
    #[serde(default, rename = "about")]
    _about: IgnoredAny,
    #[serde(default, rename = "workload")]
    _workload: IgnoredAny,
    #[serde(default, rename = "topology")]
    _topology: IgnoredAny,
    #[serde(default, rename = "expect")]
    _expect: IgnoredAny,
    #[serde(default)]
    lifts_atlas: bool,
    #[serde(default)]
    lasts_ms: Option<toml::Spanned<u64>>,
    #[serde(default)]
    faults: Vec<toml::Spanned<Fault>>,
}

/// The line, from 1, in which a place of a text lies.
pub(crate) fn line_at(text: &str, at: usize) -> usize {
    1 + text.as_bytes()[..at.min(text.len())].iter().filter(|byte| **byte == b'\n').count()
}

impl Plan {
    /// Reads a plan file, or the plan of a case file. `file` is its name for errors, `names` is
    /// what it may name.
    ///
    /// # Errors
    /// [`PlanError`] for what is not TOML, has unknown or missing keys, names nodes that do not
    /// exist, or gives numbers that make no sense.
    pub fn parse(text: &str, file: &str, names: &Names) -> Result<Self, PlanError> {
        let error = |at: usize, problem: String| PlanError {
            file: file.to_owned(),
            line: line_at(text, at),
            problem,
        };
        let parsed: SpannedPlan = toml::from_str(text).map_err(|e| {
            let at = e.span().map_or(0, |span| span.start);
            error(at, e.message().replace('\n', ", "))
        })?;
        let lasts_at = parsed.lasts_ms.as_ref().map_or(0, |lasts| lasts.span().start);
        let lasts_ms = parsed.lasts_ms.map(toml::Spanned::into_inner);
        let mut plan = Self { lifts_atlas: parsed.lifts_atlas, lasts_ms, faults: Vec::new() };
        for fault in parsed.faults {
            let at = fault.span().start;
            let fault = fault.into_inner();
            fault.check(names, plan.lifts_atlas).map_err(|problem| error(at, problem))?;
            plan.faults.push(fault);
        }
        plan.check_length().map_err(|problem| error(lasts_at, problem))?;
        Ok(plan)
    }

    /// Reads a plan for other nodes than it was written for: nodes that are not among these are
    /// left out of the faults, and a fault that then makes no sense is dropped.
    ///
    /// # Errors
    /// What is wrong with it as TOML.
    pub fn among(text: &str, names: &Names) -> Result<Self, toml::de::Error> {
        let mut plan: Self = toml::from_str(text)?;
        for fault in &mut plan.faults {
            for list in fault.kind.node_lists_mut() {
                list.retain(|node| names.has(node));
            }
            if let FaultKind::Partition { sides } = &mut fault.kind {
                sides.retain(|side| !side.is_empty());
            }
        }
        let lifts_atlas = plan.lifts_atlas;
        plan.faults.retain(|fault| fault.check(names, lifts_atlas).is_ok());
        Ok(plan)
    }

    /// Whether the plan makes sense among these names, as [`Plan::parse`] demands it of files.
    ///
    /// # Errors
    /// The first problem, and the place in the plan of the fault that has it (the number of faults
    /// when it is the storm's length).
    pub fn check(&self, names: &Names) -> Result<(), (usize, String)> {
        for (index, fault) in self.faults.iter().enumerate() {
            fault.check(names, self.lifts_atlas).map_err(|problem| (index, problem))?;
        }
        self.check_length().map_err(|problem| (self.faults.len(), problem))
    }

    /// Whether the storm can be as long as the plan says.
    fn check_length(&self) -> Result<(), String> {
        match (self.lasts_ms, self.ends_ms()) {
            (Some(lasts_ms), _) if lasts_ms > PLAN_MS_MAX => {
                Err(format!("lasts_ms must be at most {PLAN_MS_MAX}, a day"))
            }
            (Some(lasts_ms), ends_ms) if lasts_ms < ends_ms => Err(format!(
                "the storm lasts {lasts_ms} ms and its last fault ends at {ends_ms} ms; expected \
                 lasts_ms to be at least that, or left out"
            )),
            (None, _) if self.needs_length() => Err(
                "a fault lasts for ever, so the plan must say how long the storm lasts: expected \
                     `lasts_ms = 30000` before the first fault"
                    .to_owned(),
            ),
            _ => Ok(()),
        }
    }

    /// The plan as a file that [`Plan::parse`] reads back as the same plan.
    pub fn to_toml(&self) -> String {
        use std::fmt::Write as _;
        let mut text = String::new();
        if self.lifts_atlas {
            text.push_str("lifts_atlas = true\n");
        }
        if let Some(lasts_ms) = self.lasts_ms {
            writeln!(text, "lasts_ms = {lasts_ms}").expect("a String takes everything");
        }
        if !text.is_empty() {
            text.push('\n');
        }
        for (index, fault) in self.faults.iter().enumerate() {
            if index > 0 {
                text.push('\n');
            }
            let kind = toml::Value::try_from(&fault.kind).expect("a fault's kind is plain data");
            let (name, body) = kind
                .as_table()
                .and_then(|table| table.iter().next())
                .expect("a fault's kind is a table of one entry");
            let lasts = match fault.lasts_ms {
                FOREVER_MS => "lasts = \"forever\"".to_owned(),
                ms => format!("lasts_ms = {ms}"),
            };
            writeln!(text, "[[faults]]\nat_ms = {}\n{lasts}", fault.at_ms)
                .and_then(|()| writeln!(text, "kind.{name} = {body}"))
                .expect("a String takes everything");
        }
        if self.faults.is_empty() {
            text.push_str("faults = []\n");
        }
        text
    }

    /// How long the storm lasts, in virtual milliseconds.
    pub fn storm_ms(&self) -> u64 {
        self.lasts_ms.unwrap_or(0).max(self.ends_ms())
    }

    /// Whether it must say how long its storm lasts: a fault that lasts for ever has no end by
    /// which the storm could end.
    pub fn needs_length(&self) -> bool {
        let is_said = |fault: &Fault| fault.kind.lasts_unless_said() != Some(FOREVER_MS);
        self.faults.iter().any(|fault| fault.is_forever() && is_said(fault))
    }

    /// When the last fault ends, in virtual milliseconds of the storm.
    pub fn ends_ms(&self) -> u64 {
        self.faults.iter().map(Fault::ends_ms).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NodeName;
    use crate::cast::Target;
    use crate::fault::{
        CONNECTIONS_MAX, DRIFT_PPM_MAX, FACTOR_MAX, KIB_PER_SECOND_MAX, SECTORS_MAX,
    };
    use proptest::collection::vec;
    use proptest::prelude::*;

    const LEADER: &str = "leader";

    fn nodes() -> Vec<NodeName> {
        ["s1", "s2", "s3", "w1"].map(NodeName::from).to_vec()
    }

    fn names() -> Names {
        let targets = vec![
            Target::one(LEADER, "the server that leads"),
            Target::some("followers", "the others"),
        ];
        Names { nodes: nodes(), targets }
    }

    #[test]
    fn a_plan_for_other_nodes_leaves_out_whoever_is_not_there() {
        let fault = |kind: &str| format!("[[faults]]\nat_ms = 1\nlasts_ms = 9\nkind.{kind}\n");
        let text = [
            fault(r#"partition = { sides = [["s1", "s9"], ["s8"], ["s2", "s3"]] }"#),
            fault(r#"pause = { nodes = ["w9", "w1"] }"#),
            fault(r#"crash = { nodes = ["w9"] }"#),
            fault(r#"crash = { nodes = ["leader"] }"#),
        ];
        let plan = Plan::among(&text.concat(), &names()).unwrap();
        assert_eq!(plan.check(&names()), Ok(()));
        let lists: Vec<String> = plan
            .faults
            .iter()
            .map(|fault| format!("{} {:?}", fault.kind.name(), fault.kind.node_lists()))
            .collect();
        let name = |name: &str| format!("NodeName({name:?})");
        let (s1, s2, s3) = (name("s1"), name("s2"), name("s3"));
        assert_eq!(
            lists,
            [
                format!("partition [[{s1}], [{s2}, {s3}]]"),
                format!("pause [[{}]]", name("w1")),
                format!("crash [[{}]]", name("leader")),
            ]
        );
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let error = Plan::parse(text, "plan.toml", &names()).expect_err("the plan is broken");
        assert_eq!(error.to_string(), expected);
    }

    const HEAD: &str = "[[faults]]\nat_ms = 1\nlasts_ms = 2\n";

    #[test]
    fn a_plan_is_written_as_people_write_it() {
        let plan = Plan {
            lifts_atlas: false,
            lasts_ms: Some(60_000),
            faults: vec![
                Fault {
                    at_ms: 4_000,
                    lasts_ms: 3_000,
                    kind: FaultKind::Crash { nodes: vec![LEADER.into()] },
                },
                Fault {
                    at_ms: 5_000,
                    lasts_ms: 0,
                    kind: FaultKind::Partition {
                        sides: vec![vec!["s1".into()], vec!["s2".into(), "s3".into()]],
                    },
                },
            ],
        };
        assert_eq!(
            plan.to_toml(),
            "lasts_ms = 60000\n\n[[faults]]\nat_ms = 4000\nlasts_ms = 3000\nkind.crash = { nodes = [\"leader\"] }\n\n\
             [[faults]]\nat_ms = 5000\nlasts_ms = 0\nkind.partition = { sides = [[\"s1\"], [\"s2\", \"s3\"]] }\n"
        );
        assert_eq!(Plan::parse(&plan.to_toml(), "p", &names()), Ok(plan));
    }

    #[test]
    fn a_plan_whose_faults_have_no_end_says_how_long_its_storm_lasts() {
        let forever =
            "[[faults]]\nat_ms = 5000\nlasts = \"forever\"\nkind.crash = { nodes = [\"s1\"] }\n";
        check(
            forever,
            "plan.toml:1: a fault lasts for ever, so the plan must say how long the storm lasts: expected \
             `lasts_ms = 30000` before the first fault",
        );
        let plan = Plan::parse(&format!("lasts_ms = 30000\n\n{forever}"), "p", &names()).unwrap();
        assert_eq!((plan.storm_ms(), plan.ends_ms()), (30_000, 5_000));
        assert!(plan.faults[0].is_forever());
        assert_eq!(plan.to_toml(), format!("lasts_ms = 30000\n\n{forever}"));
        let never = forever.replace("forever", "never");
        let error = Plan::parse(&never, "plan.toml", &names()).expect_err("no such length");
        assert!(
            error.to_string().contains("unknown variant `never`, expected `forever`"),
            "{error}"
        );
    }

    #[test]
    fn the_others_stand_in_one_of_several_lists() {
        check(
            &format!("{HEAD}kind.crash = {{ nodes = [\"others\"] }}"),
            "plan.toml:1: `crash` has only one list, so nobody is among the `others`; expected `followers`, or \
             nodes by name",
        );
        check(
            &format!("{HEAD}kind.bridge = {{ left = [\"others\"], right = [\"others\"] }}"),
            "plan.toml:1: `bridge` says `others` in two lists; expected it in one",
        );
    }

    #[test]
    fn an_empty_plan_is_a_plan() {
        assert_eq!(Plan::parse("", "p", &names()), Ok(Plan::default()));
        assert_eq!(Plan::parse(&Plan::default().to_toml(), "p", &names()), Ok(Plan::default()));
    }

    #[test]
    fn a_broken_plan_says_file_line_and_what_was_expected() {
        check(
            &format!("{HEAD}kind.crash = {{ nodes = [\"s9\"] }}"),
            "plan.toml:1: `crash` names node `s9`, which does not exist; expected `leader`, `followers`, or \
             one of s1, s2, s3, w1",
        );
        check(
            &format!("{HEAD}kind.crash = {{ nodes = [] }}"),
            "plan.toml:1: `crash` needs at least one node in each of its lists",
        );
        check(
            &format!("{HEAD}kind.crash = {{ nodes = [\"s1\"], hard = true }}"),
            "plan.toml:4: unexpected keys in table: hard, available keys: nodes",
        );
        check(
            &format!("{HEAD}color = 1\nkind.crash = {{ nodes = [\"s1\"] }}"),
            "plan.toml:4: unknown field `color`, expected one of `at_ms`, `lasts_ms`, `lasts`, `kind`",
        );
        check(
            &format!(
                "{HEAD}kind.pause = {{ nodes = [\"s1\"] }}\n\n{HEAD}kind.partition = {{ sides = [[\"s1\"], [\"s1\"]] }}"
            ),
            "plan.toml:6: `partition` names node `s1` twice; expected once",
        );
        check(
            &format!("{HEAD}kind.sync_lies = {{ nodes = [\"s1\"] }}"),
            "plan.toml:1: `sync_lies` loses acknowledged writes whatever the servers do; \
             expected `lifts_atlas = true` in the plan",
        );
        check(
            &format!("lasts_ms = 2\n{HEAD}kind.pause = {{ nodes = [\"s1\"] }}"),
            "plan.toml:1: the storm lasts 2 ms and its last fault ends at 3 ms; expected \
             lasts_ms to be at least that, or left out",
        );
        for (kind, expected) in [
            (
                "slow = { nodes = [\"s1\"], delay_ms = 9223372036854775807, kib_per_second = 0 }",
                "`slow`: delay_ms must lie within 0 and 86400000",
            ),
            (
                "slow = { nodes = [\"s1\"], delay_ms = 0, kib_per_second = 18014398509481984 }",
                "`slow`: kib_per_second must lie within 0 and 100000000",
            ),
            (
                "flood = { nodes = [\"s1\"], connections = 4294967295 }",
                "`flood`: connections must lie within 1 and 10000",
            ),
            (
                "bit_rot = { nodes = [\"s1\"], sectors = 4294967295 }",
                "`bit_rot`: sectors must lie within 1 and 100000",
            ),
            (
                "reset = { nodes = [\"s1\"], every_ms = 86400001 }",
                "`reset`: every_ms must lie within 0 and 86400000",
            ),
            (
                "disk_slow = { nodes = [\"s1\"], factor = 0 }",
                "`disk_slow`: factor must lie within 1 and 100000",
            ),
        ] {
            check(&format!("{HEAD}kind.{kind}"), &format!("plan.toml:1: {expected}"));
        }
        check(
            "[[faults]]\nat_ms = 86400000\nlasts_ms = 1\nkind.pause = { nodes = [\"s1\"] }",
            "plan.toml:1: `pause`: at_ms and lasts_ms together must be at most 86400000, a day",
        );
        check("lasts_ms = 86400001", "plan.toml:1: lasts_ms must be at most 86400000, a day");
        let text = format!("{HEAD}kind.crsh = {{ nodes = [\"s1\"] }}");
        let error = Plan::parse(&text, "plan.toml", &names()).expect_err("no such kind");
        assert!(
            error.to_string().starts_with("plan.toml:4: unknown variant `crsh`, expected"),
            "{error}"
        );
        let error = Plan::parse("faults = 3", "plan.toml", &names()).expect_err("no list");
        assert_eq!(error.line, 1);
        let error = Plan::parse("a = 'b", "plan.toml", &names()).expect_err("no TOML");
        assert_eq!(error.line, 1);
    }

    fn some_nodes() -> impl Strategy<Value = Vec<NodeName>> {
        vec(
            prop::sample::select(vec!["s1", "s2", "s3", "w1", LEADER]).prop_map(NodeName::from),
            1..4,
        )
    }

    fn some_length() -> impl Strategy<Value = u64> {
        prop_oneof![9 => 0..=PLAN_MS_MAX / 2, 1 => Just(FOREVER_MS)]
    }

    fn some_kind() -> impl Strategy<Value = FaultKind> {
        let sides =
            Just(vec![vec!["s1".into(), "w1".into()], vec!["s2".into()], vec!["s3".into()]]);
        prop_oneof![
            sides.prop_map(|sides| FaultKind::Partition { sides }),
            Just(FaultKind::Bridge { left: vec!["s1".into()], right: vec![LEADER.into()] }),
            Just(FaultKind::OneWay { from: vec!["w1".into()], to: vec!["s3".into()] }),
            Just(FaultKind::Ring { nodes: nodes() }),
            some_nodes().prop_map(|nodes| FaultKind::Isolate { nodes }),
            (some_nodes(), 1..9_999u64, 1..9_999u64)
                .prop_map(|(nodes, down_ms, up_ms)| FaultKind::Flap { nodes, down_ms, up_ms }),
            (some_nodes(), 0..=PLAN_MS_MAX, 0..=KIB_PER_SECOND_MAX).prop_map(
                |(nodes, delay_ms, kib_per_second)| {
                    FaultKind::Slow { nodes, delay_ms, kib_per_second }
                }
            ),
            (some_nodes(), 0..=1_000_000u32)
                .prop_map(|(nodes, per_million)| FaultKind::Corrupt { nodes, per_million }),
            (some_nodes(), 0..=PLAN_MS_MAX)
                .prop_map(|(nodes, every_ms)| FaultKind::Reset { nodes, every_ms }),
            (some_nodes(), 1..=CONNECTIONS_MAX as u32)
                .prop_map(|(nodes, connections)| FaultKind::Flood { nodes, connections }),
            some_nodes().prop_map(|nodes| FaultKind::KillSessions { nodes }),
            some_nodes().prop_map(|nodes| FaultKind::Kill { nodes }),
            some_nodes().prop_map(|nodes| FaultKind::Crash { nodes }),
            (some_nodes(), 1..9_999u64, 1..9_999u64)
                .prop_map(|(nodes, up_ms, down_ms)| FaultKind::CrashLoop { nodes, up_ms, down_ms }),
            some_nodes().prop_map(|nodes| FaultKind::PowerCut { nodes }),
            some_nodes().prop_map(|nodes| FaultKind::Pause { nodes }),
            (some_nodes(), -DRIFT_PPM_MAX..=DRIFT_PPM_MAX)
                .prop_map(|(nodes, ppm)| FaultKind::Drift { nodes, ppm }),
            (some_nodes(), -86_400_000..=86_400_000i64)
                .prop_map(|(nodes, by_ms)| FaultKind::Jump { nodes, by_ms }),
            some_nodes().prop_map(|nodes| FaultKind::DiskStall { nodes }),
            (some_nodes(), 1..=FACTOR_MAX as u32)
                .prop_map(|(nodes, factor)| FaultKind::DiskSlow { nodes, factor }),
            some_nodes().prop_map(|nodes| FaultKind::DiskFull { nodes }),
            some_nodes().prop_map(|nodes| FaultKind::SyncFails { nodes }),
            some_nodes().prop_map(|nodes| FaultKind::ReadFails { nodes }),
            some_nodes().prop_map(|nodes| FaultKind::WriteFails { nodes }),
            some_nodes().prop_map(|nodes| FaultKind::SyncLies { nodes }),
            some_nodes().prop_map(|nodes| FaultKind::TornWrites { nodes }),
            (some_nodes(), 1..=SECTORS_MAX as u32)
                .prop_map(|(nodes, sectors)| FaultKind::BitRot { nodes, sectors }),
            some_nodes().prop_map(|nodes| FaultKind::MisdirectedWrite { nodes }),
            some_nodes().prop_map(|nodes| FaultKind::DiskLost { nodes }),
        ]
    }

    proptest! {
        #[test]
        fn a_plan_read_back_is_the_same_plan(
            faults in vec((0..=PLAN_MS_MAX / 2, some_length(), some_kind()), 0..20),
            has_length: bool,
        ) {
            let faults = faults
                .into_iter()
                .map(|(at_ms, lasts_ms, kind)| Fault { at_ms, lasts_ms, kind })
                .collect();
            let mut plan = Plan { lifts_atlas: true, lasts_ms: None, faults };
            let storm_ms = plan.storm_ms();
            plan.lasts_ms = (plan.needs_length() || has_length).then_some(storm_ms);
            prop_assert_eq!(Plan::parse(&plan.to_toml(), "p", &names()), Ok(plan.clone()));
            let json = serde_json::to_string(&plan).expect("plain data");
            prop_assert_eq!(serde_json::from_str::<Plan>(&json).expect("our own words"), plan);
        }

        #[test]
        fn a_kind_is_called_as_its_file_spells_it(kind in some_kind()) {
            let written = toml::Value::try_from(&kind).expect("plain data");
            let key = written.as_table().and_then(|table| table.keys().next());
            prop_assert_eq!(key.map(String::as_str), Some(kind.name()));
            prop_assert!(FaultKind::NAMES.contains(&kind.name()));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in ".{0,200}") {
            let _ = Plan::parse(&text, "p", &names());
        }
    }
}
