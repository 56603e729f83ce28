//! What plans can say: every kind of fault with its fields, their units and bounds, and a line to
//! copy.
//!
//! Owns: the words about faults for people who write plans. Leaves: what a fault is to `fault`,
//! printing the list to the command line.
//! Holds: every kind stands here once, with exactly the fields that files spell; every line is a
//! fault that can be read, and every bound is the one that plans are held to.
//! Start at [`KINDS`].

use crate::fault::{
    CONNECTIONS_MAX, DRIFT_PPM_MAX, FACTOR_MAX, FOREVER_MS, KIB_PER_SECOND_MAX, PLAN_MS_MAX,
    SECTORS_MAX,
};

/// One kind of fault, for whoever writes a plan.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// The kind as plans spell it.
    pub name: &'static str,
    /// What it does, in a sentence.
    pub about: &'static str,
    /// Its fields, in the order in which files have them.
    pub fields: &'static [Field],
    /// How a plan says it, with values that make sense.
    pub example: &'static str,
}

/// One field of a fault.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub about: &'static str,
    /// Which values it may have.
    pub values: Values,
}

/// The values of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
    /// A list of nodes.
    Nodes,
    /// Several lists of nodes.
    Sides,
    /// A number.
    Number {
        /// The unit.
        unit: &'static str,
        /// The least it may be.
        min: i64,
        /// The most it may be.
        max: i64,
        /// The value if none is given; `None` if one must be given.
        default: Option<i64>,
    },
}

const NODES: Field = Field { name: "nodes", about: "whom it strikes", values: Values::Nodes };
const UP_MS: Field = ms("up_ms", "for how long all is well in between", 1);
const DOWN_MS: Field = ms("down_ms", "for how long it strikes each time", 1);

const fn nodes(name: &'static str, about: &'static str) -> Field {
    Field { name, about, values: Values::Nodes }
}

const fn ms(name: &'static str, about: &'static str, min: i64) -> Field {
    number(name, about, "ms", (min, PLAN_MS_MAX as i64), None)
}

const fn number(
    name: &'static str,
    about: &'static str,
    unit: &'static str,
    (min, max): (i64, i64),
    default: Option<i64>,
) -> Field {
    Field { name, about, values: Values::Number { unit, min, max, default } }
}

const fn kind(
    name: &'static str,
    about: &'static str,
    fields: &'static [Field],
    example: &'static str,
) -> Kind {
    Kind { name, about, fields, example }
}

/// Every kind of fault, in the order of [`FaultKind::NAMES`](crate::FaultKind::NAMES).
pub const KINDS: &[Kind] = &[
    kind(
        "partition",
        "Nodes on different sides do not hear each other. A node on no side hears everybody, and everybody \
         hears it.",
        &[Field { name: "sides", about: "two sides or more", values: Values::Sides }],
        r#"partition = { sides = [["leader", "a1"], ["others"]] }"#,
    ),
    kind(
        "bridge",
        "The two sides do not hear each other; both hear whoever is on neither side.",
        &[nodes("left", "one side"), nodes("right", "the other side")],
        r#"bridge = { left = ["s1", "s2"], right = ["s4", "s5"] }"#,
    ),
    kind(
        "ring",
        "Each node of the ring hears its two neighbours in it, and whoever is not in the ring.",
        &[nodes("nodes", "the ring, in order")],
        r#"ring = { nodes = ["s1", "s2", "s3", "s4", "s5"] }"#,
    ),
    kind(
        "one_way",
        "One side hears nothing of the other; the other direction works.",
        &[nodes("from", "who is not heard"), nodes("to", "who does not hear")],
        r#"one_way = { from = ["leader"], to = ["followers"] }"#,
    ),
    kind(
        "isolate",
        "Each node is cut off from every other node.",
        &[NODES],
        r#"isolate = { nodes = ["s4", "s5"] }"#,
    ),
    kind(
        "flap",
        "Each node is cut off from every other node, again and again.",
        &[NODES, DOWN_MS, UP_MS],
        r#"flap = { nodes = ["leader"], down_ms = 500, up_ms = 2000 }"#,
    ),
    kind(
        "slow",
        "Everything to and from these nodes takes longer.",
        &[
            NODES,
            ms("delay_ms", "how much longer, at the most", 0),
            number(
                "kib_per_second",
                "the bandwidth that is left; 0 leaves it as it is",
                "KiB/s",
                (0, KIB_PER_SECOND_MAX as i64),
                Some(0),
            ),
        ],
        r#"slow = { nodes = ["s1"], delay_ms = 300 }"#,
    ),
    kind(
        "corrupt",
        "Bytes between these servers and other servers change on the way.",
        &[
            NODES,
            number(
                "per_million",
                "how many of a million messages",
                "messages",
                (0, 1_000_000),
                None,
            ),
        ],
        r#"corrupt = { nodes = ["s1"], per_million = 10000 }"#,
    ),
    kind(
        "reset",
        "Every connection of these nodes breaks, at once and then again and again.",
        &[
            NODES,
            number(
                "every_ms",
                "how often; 0 for only once",
                "ms",
                (0, PLAN_MS_MAX as i64),
                Some(0),
            ),
        ],
        r#"reset = { nodes = ["s1"] }"#,
    ),
    kind(
        "flood",
        "Strangers open connections to every address of these nodes, send invalid messages and stay.",
        &[
            NODES,
            number(
                "connections",
                "how many to each address",
                "connections",
                (1, CONNECTIONS_MAX as i64),
                None,
            ),
        ],
        r#"flood = { nodes = ["s1"], connections = 200 }"#,
    ),
    kind(
        "kill_sessions",
        "These workers or clients are cut off from all servers, and from nobody else: for longer than the \
         session timeout, it ends their sessions.",
        &[NODES],
        r#"kill_sessions = { nodes = ["a1"] }"#,
    ),
    kind(
        "kill",
        "The processes die, and are started again at the end; peers see their connections break. The machines \
         go on: what was written can be read by the next process, and is lost if the machine crashes before a \
         sync.",
        &[NODES],
        r#"kill = { nodes = ["leader"] }"#,
    ),
    kind(
        "crash",
        "The machines crash, and are up again at the end; peers see their connections break. What was not \
         synced is kept, lost or torn.",
        &[NODES],
        r#"crash = { nodes = ["leader"] }"#,
    ),
    kind(
        "crash_loop",
        "The machines crash again and again.",
        &[NODES, UP_MS, DOWN_MS],
        r#"crash_loop = { nodes = ["s1"], up_ms = 3000, down_ms = 500 }"#,
    ),
    kind(
        "power_cut",
        "The machines lose power, and have it again at the end. Peers see nothing but silence. What was not \
         synced is kept, lost or torn.",
        &[NODES],
        r#"power_cut = { nodes = ["s1", "s2"] }"#,
    ),
    kind(
        "pause",
        "The processes stop, and go on at the end with their memory and their beliefs intact.",
        &[NODES],
        r#"pause = { nodes = ["leader"] }"#,
    ),
    kind(
        "drift",
        "The clocks run at another speed.",
        &[
            NODES,
            number(
                "ppm",
                "how much faster, in parts per million; negative for slower",
                "ppm",
                (-(DRIFT_PPM_MAX as i64), DRIFT_PPM_MAX as i64),
                None,
            ),
        ],
        r#"drift = { nodes = ["leader"], ppm = 20000 }"#,
    ),
    kind(
        "jump",
        "The wall clocks jump, and jump back at the end, if there is one.",
        &[
            NODES,
            number(
                "by_ms",
                "by how much; negative for back",
                "ms",
                (-(PLAN_MS_MAX as i64), PLAN_MS_MAX as i64),
                None,
            ),
        ],
        r#"jump = { nodes = ["s1"], by_ms = 60000 }"#,
    ),
    kind(
        "disk_stall",
        "The disk answers nothing.",
        &[NODES],
        r#"disk_stall = { nodes = ["leader"] }"#,
    ),
    kind(
        "disk_slow",
        "The disk takes longer for everything.",
        &[NODES, number("factor", "how many times as long", "times", (1, FACTOR_MAX as i64), None)],
        r#"disk_slow = { nodes = ["s1"], factor = 20 }"#,
    ),
    kind(
        "disk_full",
        "The disk has no room for anything new.",
        &[NODES],
        r#"disk_full = { nodes = ["s1"] }"#,
    ),
    kind("sync_fails", "Syncs fail.", &[NODES], r#"sync_fails = { nodes = ["s1"] }"#),
    kind(
        "read_fails",
        "Reads fail with an I/O error. Servers read when they start.",
        &[NODES],
        r#"read_fails = { nodes = ["s1"] }"#,
    ),
    kind(
        "write_fails",
        "Writes fail with an I/O error, half done.",
        &[NODES],
        r#"write_fails = { nodes = ["s1"] }"#,
    ),
    kind(
        "sync_lies",
        "Syncs say that they are done and are not. The plan must say `lifts_atlas = true`, since no ensemble \
         survives it.",
        &[NODES],
        r#"sync_lies = { nodes = ["s1"] }"#,
    ),
    kind(
        "torn_writes",
        "The processes die in the middle of a write, and are started again at the end.",
        &[NODES],
        r#"torn_writes = { nodes = ["s1"] }"#,
    ),
    kind(
        "bit_rot",
        "The processes die, and some of what their disks held has changed when they are started again at the end.",
        &[
            NODES,
            number("sectors", "how many sectors change", "sectors", (1, SECTORS_MAX as i64), None),
        ],
        r#"bit_rot = { nodes = ["s1"], sectors = 1 }"#,
    ),
    kind(
        "misdirected_write",
        "The processes die, and a sector of their disks lies over another one when they are started again at the \
         end.",
        &[NODES],
        r#"misdirected_write = { nodes = ["s1"] }"#,
    ),
    kind(
        "unreadable_sectors",
        "The machines crash, and sectors of what their disks held cannot be read when they are up again: an I/O \
         error, until they are written again.",
        &[NODES, number("sectors", "how many", "sectors", (1, SECTORS_MAX as i64), None)],
        r#"unreadable_sectors = { nodes = ["s1"], sectors = 1 }"#,
    ),
    kind(
        "disk_lost",
        "The machines die, and have new, empty disks when they are started again at the end.",
        &[NODES],
        r#"disk_lost = { nodes = ["s1"] }"#,
    ),
];

/// What to say about the length of a fault for which none is given; nothing where one must be
/// given.
pub fn unless_said(lasts_ms: Option<u64>) -> Option<&'static str> {
    match lasts_ms? {
        0 => Some("happens at once; `lasts_ms` may be left out"),
        FOREVER_MS => Some("lasts for the rest of the run without `lasts_ms`"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cast::Target;
    use crate::{Fault, FaultKind, Names, NodeName, Plan};

    fn names() -> Names {
        let nodes = ["s1", "s2", "s3", "s4", "s5", "a1"].map(NodeName::from).to_vec();
        let targets = vec![Target::one("leader", ""), Target::some("followers", "")];
        Names { nodes, targets }
    }

    fn plan(lasts: &str, kind: &str) -> Result<Plan, String> {
        let head = "lifts_atlas = true\nlasts_ms = 60000\n[[faults]]\nat_ms = 1\n";
        let text = format!("{head}{lasts}\nkind.{kind}\n");
        Plan::parse(&text, "p", &names()).map_err(|error| error.to_string())
    }

    fn fault(lasts: &str, kind: &str) -> Fault {
        plan(lasts, kind).unwrap_or_else(|error| panic!("{error}")).faults.remove(0)
    }

    /// The kind as a table of its fields.
    fn written(kind: &FaultKind) -> toml::Table {
        let table = toml::Value::try_from(kind).expect("plain data");
        table[kind.name()].as_table().expect("it has fields").clone()
    }

    #[test]
    fn every_kind_of_fault_is_told_with_exactly_the_fields_that_files_spell() {
        let told: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
        assert_eq!(told, FaultKind::NAMES);
        for kind in KINDS {
            let example = fault("lasts_ms = 1000", kind.example).kind;
            assert_eq!(example.name(), kind.name);
            let spelt: Vec<String> = written(&example).keys().cloned().collect();
            let mut fields: Vec<&str> = kind.fields.iter().map(|field| field.name).collect();
            fields.sort_unstable();
            assert_eq!(spelt, fields, "{}", kind.name);
        }
    }

    #[test]
    fn every_number_is_held_to_the_bounds_that_are_told() {
        for kind in KINDS {
            for field in kind.fields {
                let Values::Number { min, max, default, .. } = field.values else { continue };
                let with = |value: Option<i64>| {
                    let example = fault("lasts_ms = 1000", kind.example).kind;
                    let mut body = written(&example);
                    body.remove(field.name);
                    if let Some(value) = value {
                        body.insert(field.name.to_owned(), value.into());
                    }
                    plan("lasts_ms = 1000", &format!("{} = {}", kind.name, toml::Value::from(body)))
                };
                let what = format!("{}: {}", kind.name, field.name);
                assert!(with(Some(min)).is_ok() && with(Some(max)).is_ok(), "{what}");
                assert!(with(Some(min - 1)).is_err() && with(Some(max + 1)).is_err(), "{what}");
                assert_eq!(with(None).is_ok(), default.is_some(), "{what}");
                if default.is_some() {
                    assert_eq!(with(None), with(default), "{what}");
                }
            }
        }
    }

    #[test]
    fn a_fault_says_its_end_unless_it_happens_at_a_moment() {
        const MOMENTARY: [(&str, u64); 6] = [
            ("reset", 0),
            ("jump", FOREVER_MS),
            ("bit_rot", 0),
            ("misdirected_write", 0),
            ("unreadable_sectors", 0),
            ("disk_lost", 0),
        ];
        for kind in KINDS {
            let forever = fault("lasts = \"forever\"", kind.example);
            assert!(forever.is_forever(), "{}", kind.name);
            assert_eq!(fault("lasts_ms = 1000", kind.example).lasts_ms, 1_000, "{}", kind.name);
            assert_eq!(fault("lasts_ms = 0", kind.example).lasts_ms, 0, "{}", kind.name);
            let momentary = MOMENTARY.iter().find(|(name, _)| *name == kind.name);
            assert_eq!(forever.kind.lasts_unless_said(), momentary.map(|(_, ms)| *ms));
            match (momentary, plan("", kind.example)) {
                (Some((_, ms)), Ok(plan)) => assert_eq!(plan.faults[0].lasts_ms, *ms),
                (None, Err(error)) => {
                    for word in ["has no end", kind.name, "lasts_ms = 15000", "lasts = \"forever\""]
                    {
                        assert!(error.contains(word), "{}: {error}", kind.name);
                    }
                }
                (_, plan) => panic!("{}: {plan:?}", kind.name),
            }
            let both =
                plan("lasts_ms = 5\nlasts = \"forever\"", kind.example).expect_err("two ends");
            assert!(both.contains("has two ends"), "{both}");
        }
        let repeated = plan("", r#"reset = { nodes = ["s1"], every_ms = 500 }"#);
        assert!(repeated.expect_err("again and again has an end").contains("has no end"));
    }
}
