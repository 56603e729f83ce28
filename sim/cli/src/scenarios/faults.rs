//! `mailstorm scenarios --faults`: what a plan can say.
//!
//! Leaves: the words to the catalogue in `record`. Start at [`list`].

use mailstorm_record::cast::{OTHERS, Target};
use mailstorm_record::catalogue::{Field, KINDS, Kind, Values, unless_said};
use mailstorm_record::{Fault, Plan};
use mailstorm_reports::layout::{beside, wrapped_after};

const HEAD: &str = "\
[[faults]]
at_ms = 5000           # when it begins, in virtual ms since the storm began
lasts_ms = 15000       # for how long; lasts = \"forever\" for the rest of the run
kind.crash = { nodes = [\"leader\"] }

Nodes are named as the scenario names them, or by a word for whoever it means
when the fault begins:
";

/// Every kind of fault, with all that it takes.
pub(super) fn list() -> String {
    let kinds: String = KINDS.iter().map(|kind| format!("\n{}", told(kind))).collect();
    format!("{HEAD}{}{kinds}", words())
}

/// The words that stand for nodes, a line for each: those of every system that some storm has, and
/// the world's.
fn words() -> String {
    let mut targets: Vec<Target> = Vec::new();
    for storm in mailstorm_scenarios::all(None) {
        let mut offered = storm.topology().names().targets;
        offered.retain(|target| !targets.contains(target));
        targets.extend(offered);
    }
    targets.push(Target::some(OTHERS, "all nodes that are in no other list of the fault"));
    let line = |target: &Target| beside(&format!("    {:15} ", target.word), &target.about);
    targets.iter().map(line).collect()
}

fn told(kind: &Kind) -> String {
    let mut out = format!("{}\n", kind.name);
    out += &indented(kind.about);
    if let Some(length) = unless_said(lasts_unless_said(kind)) {
        out += &indented(&format!("It {length}."));
    }
    for field in kind.fields {
        out += &line(field);
    }
    out + &format!("  kind.{}\n", kind.example)
}

/// How long the fault of the example lasts if nothing is said of it.
fn lasts_unless_said(kind: &Kind) -> Option<u64> {
    let text =
        format!("lifts_atlas = true\n[[faults]]\nat_ms = 0\nlasts_ms = 1\nkind.{}\n", kind.example);
    let plan: Plan = toml::from_str(&text).expect("every example is a fault");
    plan.faults.first().and_then(|fault: &Fault| fault.kind.lasts_unless_said())
}

fn line(field: &Field) -> String {
    let Field { name, about, values } = field;
    let values = match *values {
        Values::Nodes => "a list of nodes".to_owned(),
        Values::Sides => "lists of nodes".to_owned(),
        Values::Number { unit, min, max, default } => {
            let unless = default.map(|value| format!(", {value} if not said")).unwrap_or_default();
            format!("{min} to {max} {unit}{unless}")
        }
    };
    beside(&format!("    {name:15} "), &format!("{about} ({values})"))
}

/// A sentence in lines of their own, each indented.
fn indented(text: &str) -> String {
    wrapped_after(text, "  ") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use mailstorm_record::FaultKind;
    use mailstorm_reports::WIDTH;

    #[test]
    fn every_kind_is_listed_with_its_line_and_its_fields() {
        let list = list();
        for kind in KINDS {
            assert!(list.contains(&format!("\n\n{}\n", kind.name)), "{}", kind.name);
            assert!(list.contains(&format!("\n  kind.{}\n", kind.example)), "{}", kind.name);
        }
        assert_eq!(list.matches("\n  kind.").count(), FaultKind::NAMES.len());
        let words = list.split_whitespace().collect::<Vec<_>>().join(" ");
        for line in ["up_ms", "kib_per_second", "0 if not said", "-500000 to 500000 ppm"] {
            assert!(words.contains(line), "{line}");
        }
        // What is copied stays whole.
        let mut told = list.lines().filter(|line| !line.starts_with("  kind."));
        assert!(told.all(|line| line.chars().count() <= WIDTH), "{list}");
    }
}
