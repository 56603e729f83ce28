//! How wide the screen is on which people read, printing for it, and whether anybody reads.
//!
//! Holds: a terminal gets lines that end between words; whoever reads elsewhere (a file, another
//! program) gets each sentence as one line, to be searched for.
//! Start at [`show`].

use crate::failure::Failure;
use console::Term;
use mailstorm_reports::{WIDTH, fold};

/// Narrower than this nothing can be laid out.
const WIDTH_MIN: usize = 40;

/// Whether whoever read standard output has gone (`| head`): what is printed reaches nobody.
pub(crate) fn is_unread() -> bool {
    #[cfg(unix)]
    {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let out = std::io::stdout();
        let mut asked = [PollFd::new(&out, PollFlags::empty())];
        // Whoever cannot be asked may be there.
        let told = poll(&mut asked, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }));
        told.is_ok() && asked[0].revents().intersects(PollFlags::ERR | PollFlags::HUP)
    }
    #[cfg(not(unix))]
    false
}

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

/// The text as standard error shows it.
pub(crate) fn for_stderr(text: &str) -> String {
    folded(text, &Term::stderr())
}

fn folded(text: &str, term: &Term) -> String {
    if term.is_term() { fold(text, width_of(term)) } else { text.to_owned() }
}
