//! A recorded run, or two on one time axis, as one page that opens from disk.
//!
//! Owns: what the page is told (`columns`), which nodes there are (`nodes`), what their lanes show
//! (`lanes`), who hears whom (`sides`), what follows from what (`causes`), what a violation shows
//! (`moments`, `stuck`), what a system may draw (`drawing`, `projection`), and putting it together
//! with the program that draws it (`assets/`).
//! Leaves: what each system's facts become to `projections`, reading records to their owner,
//! opening the page to the command line.
//! Holds: the same runs give the same bytes; nothing is fetched from anywhere; whatever comes from
//! outside reaches the page as data inside an archive, and the document as text nodes alone.
//! Start at [`page`]; in the browser at `assets/app.js`.

pub(crate) mod causes;
pub(crate) mod columns;
pub(crate) mod drawing;
pub(crate) mod lanes;
mod moments;
pub(crate) mod nodes;
pub(crate) mod projection;
#[cfg(test)]
mod samples;
mod sides;
pub(crate) mod stuck;
#[cfg(test)]
mod tests;

use crate::escape;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use columns::Columns;
use flate2::{Compression, GzBuilder};
use mailstorm_record::Run;
use sha2::{Digest, Sha256};
use std::io::Write;

const DOCUMENT: &str = include_str!("assets/page.html");
const STYLE: &str = include_str!("assets/page.css");
/// In the order in which they need each other.
const PROGRAM: [&str; 6] = [
    include_str!("assets/model.js"),
    include_str!("assets/state.js"),
    include_str!("assets/causes.js"),
    include_str!("assets/plot.js"),
    include_str!("assets/panels.js"),
    include_str!("assets/app.js"),
];

/// A run as it is shown.
pub struct Shown<'a> {
    /// The record. One without events shows its verdicts and its faults.
    pub run: &'a Run,
    /// What it shows, for a reader who has not seen its scenario.
    pub about: Option<&'a str>,
    /// The command that runs it again.
    pub replay: &'a str,
    /// What of the record is missing, in a sentence for the reader.
    pub missing: Option<&'a str>,
}

/// The fragment of an address that opens the page of these runs where it opens without one.
pub fn fragment(runs: &[Shown<'_>]) -> String {
    let columns: Vec<Columns> = runs.iter().map(Columns::of).collect();
    let first = columns.iter().find(|run| run.opens_on >= 0).or(columns.first());
    first.map_or_else(String::new, |run| run.opens.fragment())
}

/// The page of these runs, stacked in this order.
pub fn page(runs: &[Shown<'_>]) -> String {
    let columns: Vec<Columns> = runs.iter().map(Columns::of).collect();
    let json = serde_json::to_vec(&columns).expect("columns are plain data");
    // No name and no time in the archive's head: the same run gives the same bytes.
    let mut archive = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
    archive.write_all(&json).expect("writing to memory cannot fail");
    let archive = archive.finish().expect("writing to memory cannot fail");
    let program = format!("\"use strict\";\n(() => {{\n{}}})();\n", PROGRAM.concat());
    let title = runs.iter().map(|shown| format!("{} seed {}", shown.run.scenario, shown.run.seed));
    let title = title.collect::<Vec<_>>().join(" and ");
    let hash = |text: &str| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)));
    let policy = format!(
        "default-src 'none'; script-src {}; style-src {}; base-uri 'none'; form-action 'none'",
        hash(&program),
        hash(STYLE)
    );
    // Cut at its marks rather than replaced in place, so that no filling is searched for marks.
    let mut page = String::with_capacity(DOCUMENT.len() + program.len() + archive.len() * 4 / 3);
    let mut rest = DOCUMENT;
    let fillings = [
        ("{{policy}}", &*policy),
        ("{{title}}", &*escape::html(&title)),
        ("{{style}}", STYLE),
        ("{{data}}", &*STANDARD.encode(&archive)),
        ("{{program}}", &*program),
    ];
    for (mark, filling) in fillings {
        let (before, after) = rest.split_once(mark).expect("the document has every mark, in order");
        page.push_str(before);
        page.push_str(filling);
        rest = after;
    }
    page.push_str(rest);
    page
}
