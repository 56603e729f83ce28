//! What the README shows is what happens: a reader who types it off sees the same.

use crate::command::folder_with;
use crate::support::run;
use std::path::Path;

/// In the README, the line under a violation that says how to run it again.
const REPLAY: &str = "  replay   mailstorm ";

#[test]
fn the_violations_of_the_readme_are_those_that_its_replay_shows() {
    let readme = include_str!("../README.md");
    let lines: Vec<_> = readme.lines().collect();
    let is_told = |pair: &&[&str]| pair[0].starts_with("VIOLATION ") && pair[1].starts_with(REPLAY);
    let shown = lines.windows(2).filter(is_told);
    let mut violations = 0;
    for pair in shown {
        let command = pair[1].strip_prefix(REPLAY).expect("as it was filtered");
        let (command, trace) = command.split_once(" # trace ").expect("a replay names its trace");
        let arguments: Vec<_> = command.split_whitespace().collect();
        let replay = run(Path::new("."), &arguments);
        assert!(replay.out.contains(pair[0]), "README: {}\n{}", pair[0], replay.out);
        assert!(replay.out.contains(trace), "README: trace {trace}\n{}", replay.out);
        violations += 1;
    }
    assert!(violations > 0, "the README shows a violation");
}

#[test]
fn the_case_of_the_readme_shows_the_violation_of_its_story() {
    let readme = include_str!("../README.md");
    let mut blocks = readme.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let case = blocks.find(|block| block.contains("scenario = ")).expect("the README shows a case");
    let folder = folder_with(&[("case.toml", case)]);
    let replay = run(folder.path(), &["replay", "case.toml"]);
    assert_eq!(replay.code, Some(1), "{replay:?}");
    let story = readme.split("SHRUNK ").nth(1).expect("the README shows a story");
    let ends = story.lines().find(|line| line.contains("]: the sink accepted ")).expect("its end");
    let (_, detail) = ends.split_once("]: ").expect("who, and what");
    assert!(replay.out.contains(detail), "README: {detail}\n{}", replay.out);
}
