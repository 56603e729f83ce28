//! What a learner can say of a lesson without Rust: who leads first, how many decide, how long a
//! session is, who never comes back, whom a fault strikes by a word.

use super::find;
use mailstorm_record::{Event, Happening, Plan, Run, Settings, Violation};
use mailstorm_shared::Observation;
use mailstorm_shared::facts::EnsembleFact;
use mailstorm_world::{Recording, RunSpec, run, with_settings};

/// The run of a design with these settings and this plan, if there is one, fully recorded.
fn recorded(design: &str, settings: &[(&str, u64)], plan: Option<&str>) -> Run {
    let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), *value));
    let scenario = find(design).expect("a design");
    let scenario = with_settings(&scenario, &Settings(settings.collect())).expect("its settings");
    let plan = plan.map(|text| {
        Plan::parse(text, design, &scenario.topology().names()).unwrap_or_else(|e| panic!("{e}"))
    });
    run(&RunSpec { plan, recording: Recording::Full, ..RunSpec::new(scenario, 1) })
}

fn events(run: &Run) -> impl Iterator<Item = &Event> {
    run.events.iter().flatten()
}

fn first_leader(run: &Run) -> Option<String> {
    events(run).find_map(|event| match &event.happening {
        Happening::Observed { observation: Observation::Ensemble(EnsembleFact::Leads { .. }) } => {
            event.node.as_ref().map(ToString::to_string)
        }
        _ => None,
    })
}

fn broken(run: &Run) -> Vec<String> {
    run.outcome.violations().map(Violation::name).collect()
}

const NOTHING: &str = "lasts_ms = 12000\n";

#[test]
fn whoever_is_to_lead_first_does_and_everybody_follows() {
    for servers in 1..=6 {
        for leader in servers / 2 + 1..=servers {
            let settings = [("servers", servers), ("leader", leader)];
            let run = recorded("quorum-half/right", &settings, Some(NOTHING));
            let wanted = Some(format!("s{leader}"));
            assert_eq!(first_leader(&run), wanted, "{servers} servers");
            assert_eq!(broken(&run), [""; 0], "{servers} servers, s{leader} leads");
            let follow = |event: &Event| match &event.happening {
                Happening::Observed {
                    observation: Observation::Ensemble(EnsembleFact::Follows { .. }),
                } => event.node.as_ref().map(ToString::to_string),
                _ => None,
            };
            let mut followers: Vec<String> = events(&run).filter_map(follow).collect();
            followers.sort_unstable();
            followers.dedup();
            assert_eq!(followers.len() as u64, servers - 1, "{followers:?}");
        }
    }
}

#[test]
fn a_bridge_has_an_effect_when_one_of_its_ends_leads() {
    let bridge = "lasts_ms = 30000\n[[faults]]\nat_ms = 5000\nlasts_ms = 15000\n\
                  kind.bridge = { left = [\"s1\", \"a1\"], right = [\"s2\", \"b1\"] }\n";
    let leaders = |leader: u64| {
        let settings = [("servers", 3), ("leader", leader)];
        let run = recorded("quorum-half/right", &settings, Some(bridge));
        assert_eq!(broken(&run), [""; 0]);
        let at_5_s = |event: &&Event| (5_000_000_000..20_000_000_000).contains(&event.at_ns);
        let stopped = events(&run).filter(at_5_s).filter(|event| {
            matches!(
                &event.happening,
                Happening::Observed {
                    observation: Observation::Ensemble(
                        EnsembleFact::Looking | EnsembleFact::SteppedDown { .. }
                    )
                }
            )
        });
        (first_leader(&run), stopped.count())
    };
    assert_eq!(leaders(3), (Some("s3".to_owned()), 0), "both ends hear it");
    let (leader, stopped) = leaders(2);
    assert_eq!(leader.as_deref(), Some("s2"));
    assert!(stopped > 0, "s1 hears its leader no more");
}

#[test]
fn the_leader_can_be_cut_off_from_the_others() {
    let cut = "lasts_ms = 40000\n[[faults]]\nat_ms = 5000\nlasts_ms = 20000\n\
               kind.partition = { sides = [[\"leader\", \"a1\"], [\"others\"]] }\n";
    let run = recorded("quorum-half/right", &[("leader", 4)], Some(cut));
    assert_eq!(broken(&run), [""; 0]);
    let leaders = events(&run).filter_map(|event| match &event.happening {
        Happening::Observed { observation: Observation::Ensemble(EnsembleFact::Leads { .. }) } => {
            event.node.as_ref().map(ToString::to_string)
        }
        _ => None,
    });
    assert_eq!(leaders.collect::<Vec<_>>(), ["s4", "s5"]);
    let stopped = |word: &str, observers: u64| {
        let pause = format!(
            "lasts_ms = 9000\n[[faults]]\nat_ms = 4000\nlasts_ms = 3000\nkind.pause = {{ nodes = [\"{word}\"] }}\n"
        );
        let settings = [("servers", 3), ("observers", observers)];
        let run = recorded("quorum-half/right", &settings, Some(&pause));
        let is_paused = |event: &&Event| matches!(event.happening, Happening::Paused);
        let nodes = events(&run).filter(is_paused).filter_map(|event| event.node.clone());
        nodes.map(|node| node.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(stopped("followers", 2), ["s1", "s2"]);
    assert_eq!(stopped("leader", 2), ["s3"]);
    assert_eq!(stopped("observers", 2), ["s4", "s5"]);
    assert_eq!(stopped("observers", 0), [""; 0]);
}

#[test]
fn servers_that_die_for_good_are_not_started_again_and_what_cannot_go_on_is_not_judged() {
    let text =
        "lasts_ms = 30000\n[[faults]]\nat_ms = 5000\nlasts = \"forever\"\nkind.crash = { nodes = [";
    for (dead, goes_on) in [("\"s1\", \"s2\"", true), ("\"s1\", \"s2\", \"s3\"", false)] {
        let run = recorded("quorum-half/right", &[], Some(&format!("{text}{dead}] }}\n")));
        assert_eq!(broken(&run), [""; 0], "{dead}");
        let again = |event: &&Event| matches!(event.happening, Happening::Started { incarnation } if incarnation > 0);
        assert_eq!(events(&run).filter(again).count(), 0, "{dead}");
        let gap_ms = run.outcome.figures["gap_ms_max"];
        assert_eq!(gap_ms < 10_000, goes_on, "{dead}: {gap_ms} ms");
    }
}

#[test]
fn three_of_nine_can_pass_for_a_majority() {
    let thirds = "lasts_ms = 30000\n[[faults]]\nat_ms = 5000\nlasts_ms = 20000\nkind.partition = { sides = [\
                  [\"s1\", \"s2\", \"s3\", \"a1\"], [\"s4\", \"s5\", \"s6\"], [\"s7\", \"s8\", \"s9\", \"b1\"]] }\n";
    let leaders = |quorum: u64| {
        let settings = [("servers", 9), ("quorum", quorum)];
        let run = recorded("quorum-half/wrong", &settings, Some(thirds));
        let during = |event: &&Event| (5_000_000_000..25_000_000_000).contains(&event.at_ns);
        let leads =
            |event: &&Event| matches!(event.of_server(), Some((_, EnsembleFact::Leads { .. })));
        (events(&run).filter(during).filter(leads).count(), broken(&run))
    };
    let (led, broke) = leaders(3);
    assert!(led >= 2, "the parts without the old leader have one of their own: {led}");
    assert!(broke.contains(&"quorum/minority".to_owned()), "{broke:?}");
    // Half of nine is four, which no third has; five is a majority, and the design is right.
    assert_eq!(leaders(0).0, 0);
    assert_eq!(leaders(5).1, [""; 0]);
}

#[test]
fn a_session_is_as_long_as_it_is_said() {
    let gap_ms = |session_ms: u64| {
        let settings = if session_ms == 0 { vec![] } else { vec![("session_ms", session_ms)] };
        let run = recorded("master-ephemeral/right", &settings, None);
        assert_eq!(broken(&run), [""; 0], "{session_ms} ms");
        run.outcome.figures["gap_ms_max"]
    };
    let (short, usual, long) = (gap_ms(4_000), gap_ms(0), gap_ms(12_000));
    assert!(short < usual && usual < long, "{short} {usual} {long}");
    assert!(long >= 9_000, "{long}");
    assert_eq!(gap_ms(6_000), usual);
}

#[test]
fn a_plain_read_is_measured_for_how_stale_it_is() {
    let run = |settings: &[(&str, u64)]| recorded("quorum-half/right", settings, None);
    assert!(!run(&[]).outcome.figures.contains_key("staleness_ms_count"));
    let majority_goes_on = "lasts_ms = 30000\n[[faults]]\nat_ms = 5000\nlasts_ms = 15000\n\
                            kind.partition = { sides = [[\"s1\", \"s2\", \"a1\"], [\"s3\", \"s4\", \"s5\", \"b1\"]] }\n";
    let run = recorded("quorum-half/right", &[("reads", 1)], Some(majority_goes_on));
    let figures = &run.outcome.figures;
    assert!(figures["staleness_ms_count"] > 100, "{figures:?}");
    // The minority's followers believe in their leader for ten seconds, and answer.
    let most_ms = figures["staleness_ms_max"];
    assert!((5_000..12_000).contains(&most_ms), "{most_ms}");
}
