//! Clocks that run at another speed, or jump, and what is said of sessions then: an ensemble ends a
//! session by its leader's clock, so whoever judges must look at the same one.

use crate::find;
use mailstorm_record::Plan;
use mailstorm_world::{RunSpec, run};

#[test]
fn no_session_is_said_to_have_ended_unduly_whatever_the_clocks_do() {
    let mut wrong = Vec::new();
    for nodes in [r#""leader""#, r#""followers""#, r#""w1", "w2", "v1""#] {
        for kind in
            ["ppm = 150000", "ppm = 500000", "ppm = -500000", "by_ms = 3600000", "by_ms = -3600000"]
        {
            let name = if kind.starts_with("ppm") { "drift" } else { "jump" };
            let text = format!(
                "lasts_ms = 40000\n[[faults]]\nat_ms = 2000\nlasts_ms = 30000\nkind.{name} = {{ nodes = [{nodes}], {kind} }}\n"
            );
            let scenario = find("mail-claims", None).expect("it is there");
            let plan = Plan::parse(&text, name, &scenario.topology().names()).expect("a plan");
            for seed in 1..=3 {
                let spec =
                    RunSpec { plan: Some(plan.clone()), ..RunSpec::new(scenario.clone(), seed) };
                let run = run(&spec);
                let told = run.outcome.violations().map(|v| {
                    format!("seed {seed} {nodes} {kind}: {}/{} {}", v.checker, v.kind, v.detail)
                });
                wrong.extend(told);
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
