//! What CI runs, here and by the documentation: every storm of the workflow and of `docs/ci.md`,
//! with few seeds.
//!
//! In place of the optimised program stands a script that deals each sweep eight seeds, and starts
//! the one that was built for this test. Everything else is as it is written there.

#![cfg(unix)]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

const WORKFLOW: &str = include_str!("../.github/workflows/storm.yml");
const PAGE: &str = include_str!("../docs/ci.md");

/// Starts the program with eight seeds, and one storm of each lesson, instead of those that are
/// asked for.
const FEW_SEEDS: &str = r#"#!/bin/bash
set -euo pipefail
words=()
for word in "$@"; do
  if [ "${words[*]: -1}" = --seeds ]; then
    [[ "$word" =~ ^([0-9]+)\.\.([0-9]+)$ ]] && [ "${BASH_REMATCH[1]}" -lt "${BASH_REMATCH[2]}" ]
    word="${BASH_REMATCH[1]}..$((BASH_REMATCH[1] + 7))"
  fi
  if [ "${words[*]: -1}" = --storms ]; then
    word=1
  fi
  words+=("$word")
done
echo "mailstorm ${words[*]}" >> "$TOLD"
exec "$MAILSTORM" "${words[@]}"
"#;

/// A folder like a clone, with the script where the program is built.
fn clone() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("target/release/mailstorm");
    fs::create_dir_all(program.parent().unwrap()).unwrap();
    fs::write(&program, FEW_SEEDS).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    symlink(root.canonicalize().unwrap().join("regressions"), folder.path().join("regressions"))
        .unwrap();
    folder
}

/// Runs lines as a CI does, in this folder; all must pass. Nothing is built here.
#[track_caller]
fn runs(folder: &Path, lines: &str, variables: &[(&str, &str)]) {
    let lines: String = lines
        .lines()
        .filter(|line| !line.starts_with("cargo "))
        .map(|l| format!("{l}\n"))
        .collect();
    let ended = Command::new("bash")
        .args(["-e", "-o", "pipefail", "-c", &lines])
        .current_dir(folder)
        .envs(variables.iter().copied())
        .env("MAILSTORM", env!("CARGO_BIN_EXE_mailstorm"))
        .env("TOLD", folder.join("told"))
        .env("GITHUB_STEP_SUMMARY", folder.join("step-summary.md"))
        .output()
        .expect("there is a bash");
    let err = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{lines}\n{ended:?}\n{err}");
}

/// The commands that were run, without the seeds.
fn told(folder: &Path) -> String {
    fs::read_to_string(folder.join("told")).unwrap()
}

/// The script of the step with this name.
#[track_caller]
fn step(name: &str) -> String {
    let (_, rest) = WORKFLOW.split_once(&format!("- name: {name}\n")).expect(name);
    let (_, rest) = rest.split_once("run: ").expect("it runs something");
    let (first, rest) = rest.split_once('\n').expect("a line");
    if first != "|" {
        return first.to_owned();
    }
    let indent = rest.len() - rest.trim_start().len();
    let within = |line: &&str| line.trim().is_empty() || line.starts_with(&" ".repeat(indent));
    rest.lines().take_while(within).map(|line| format!("{}\n", line.trim_start())).collect()
}

#[test]
fn the_steps_of_a_pull_request_run_as_they_are_written() {
    let folder = clone();
    let at = folder.path();
    assert_eq!(step("Build"), "cargo build --release --locked");
    runs(at, &step("Storms that once found something"), &[]);
    assert!(told(at).lines().all(|line| line.starts_with("mailstorm replay regressions/")));
    runs(at, &step("Lessons show what they say"), &[]);
    runs(at, &step("Storms of fixed seeds"), &[]);
    runs(at, &step("Storms of fresh seeds"), &[("RUN_NUMBER", "7")]);
    assert!(told(at).contains("--seeds 1007000..1007007 --verify 20"), "{}", told(at));
    let summary = fs::read_to_string(at.join("step-summary.md")).unwrap();
    assert_eq!(summary.matches("✅ mail-claims: 8 of 8 seeds pass").count(), 2, "{summary}");
    for out in ["runs/fixed", "runs/fresh"] {
        assert!(at.join(out).join("junit.xml").is_file());
    }
}

#[test]
fn a_step_whose_storm_finds_something_fails_and_still_leaves_its_summary() {
    let folder = clone();
    let at = folder.path();
    let broken = step("Storms of fixed seeds")
        .replace(" --out", " --defect ack-before-sync --no-shrink --out");
    let failing = format!("if ( {broken} ); then exit 1; fi");
    runs(at, &failing, &[]);
    let summary = fs::read_to_string(at.join("step-summary.md")).unwrap();
    assert!(summary.contains("❌ mail-claims"), "{summary}");
}

#[test]
fn the_lessons_of_a_night_are_stormed() {
    let folder = clone();
    runs(folder.path(), &step("Lessons in storms of their own"), &[]);
    assert_eq!(told(folder.path()), "mailstorm scenarios --check --storms 1\n");
}

#[test]
fn the_shards_of_a_night_are_joined_in_the_morning() {
    let folder = clone();
    let at = folder.path();
    for shard in ["1", "2", "3", "4"] {
        runs(at, &step("A quarter of the night's seeds"), &[("RUN_NUMBER", "7"), ("SHARD", shard)]);
        // As the artifacts are unpacked.
        fs::create_dir_all(at.join("shards")).unwrap();
        fs::rename(at.join("runs/shard"), at.join("shards").join(format!("shard-{shard}")))
            .unwrap();
    }
    runs(at, &step("The whole night"), &[]);
    let summary = fs::read_to_string(at.join("step-summary.md")).unwrap();
    assert!(summary.contains("✅ ensemble: 8 of 8 seeds pass"), "{summary}");
    assert!(summary.contains("seeds 1000700000..1000700007"), "{summary}");
}

#[test]
fn the_workflow_may_read_ends_in_time_and_trusts_only_what_is_pinned() {
    assert!(WORKFLOW.contains("\npermissions:\n  contents: read\n"));
    let jobs = WORKFLOW.split_once("\njobs:\n").unwrap().1;
    let heads = jobs.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let heads = heads.filter(|line| !line.trim().is_empty()).count();
    assert_eq!(jobs.matches("\n    timeout-minutes: ").count(), heads);
    let uses = WORKFLOW.lines().filter_map(|line| line.split_once("uses: ")).map(|(_, what)| what);
    for what in uses {
        let (_, rest) = what.split_once('@').expect("a version");
        let (commit, version) = rest.split_once(" # v").expect("a commit, and its version");
        assert!(commit.len() == 40 && commit.bytes().all(|b| b.is_ascii_hexdigit()), "{what}");
        assert!(!version.is_empty());
    }
    // What comes from outside reaches a shell as a variable and in no other way.
    let mut steps = WORKFLOW.split("- name: ").skip(1);
    assert!(steps.all(|part| !step(part.lines().next().unwrap()).contains("${{")));
}

/// The blocks of the page in this language.
fn blocks(language: &str) -> Vec<&'static str> {
    let mark = format!("```{language}\n");
    PAGE.split(&*mark).skip(1).filter_map(|part| part.split("```").next()).collect()
}

#[test]
fn the_commands_of_the_documentation_run_as_they_are_written() {
    let blocks = blocks("sh");
    assert_eq!(blocks.len(), 2);
    let folder = clone();
    for block in blocks {
        runs(folder.path(), block, &[("BUILD_NUMBER", "7")]);
    }
    assert!(folder.path().join("whole/index.html").is_file());
}

#[test]
fn the_jobs_for_gitlab_run_as_they_are_written() {
    let [jobs] = blocks("yaml")[..] else { panic!("one block") };
    let folder = clone();
    let at = folder.path();
    let script = |job: &str| -> String {
        let (_, rest) = jobs.split_once(&format!("{job}:\n")).expect(job);
        let (_, rest) = rest.split_once("  script:\n").expect("a script");
        let lines = rest.lines().map_while(|line| line.strip_prefix("    - "));
        lines.map(|line| format!("{line}\n")).collect()
    };
    runs(at, &script("storm"), &[]);
    let junit = PathBuf::from("runs/junit.xml");
    assert!(jobs.contains(&format!("junit: {}", junit.display())) && at.join(junit).is_file());
    for shard in ["1", "2", "3", "4"] {
        let variables =
            [("CI_PIPELINE_IID", "3"), ("CI_NODE_INDEX", shard), ("CI_NODE_TOTAL", "4")];
        runs(at, &script("night"), &variables);
    }
    runs(at, &script("morning"), &[]);
}
