//! How wide the screen is on which people read, and printing for it.
//!
//! Holds: a terminal gets lines that end between words; whoever reads elsewhere (a file, another program) gets
//! each sentence as one line, to be searched for.
//! Start at [`show`].

use crate::failure::Failure;
use console::Term;
use mailstorm_reports::{WIDTH, fold};

/// Narrower than this nothing can be laid out.
const WIDTH_MIN: usize = 40;

/// How wide lists may be on standard output: as the terminal, or as `COLUMNS` says, or the usual.
pub(crate) fn width() -> usize {
    width_of(&Term::stdout())
}

fn width_of(term: &Term) -> usize {
    let asked = || std::env::var("COLUMNS").ok()?.parse().ok();
    let own = term.size_checked().map(|(_, columns)| usize::from(columns));
    own.or_else(asked).unwrap_or(WIDTH).max(WIDTH_MIN)
}

/// Prints on standard output.
pub(crate) fn show(text: &str) -> Result<(), Failure> {
    crate::print(&folded(text, &Term::stdout()))
}

/// Tells on standard error.
pub(crate) fn mention(text: &str) {
    crate::tell(folded(text, &Term::stderr()).trim_end());
}

fn folded(text: &str, term: &Term) -> String {
    if term.is_term() { fold(text, width_of(term)) } else { text.to_owned() }
}
