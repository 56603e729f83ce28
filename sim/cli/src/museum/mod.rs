//! `mailstorm museum`: the defects that can be planted, and how well the laboratory finds them.
//!
//! Owns: defects on the command line. Leaves: the defects themselves to `mailstorm_shared::defect`.
//! Start at [`museum`].

use crate::args::MuseumArguments;
use crate::failure::{ExitCode, Failure};
use crate::given::meant;
use mailstorm_shared::defect::Defect;
use std::fmt::Write;

/// Prints the exhibits.
pub(crate) fn museum(arguments: &MuseumArguments) -> Result<ExitCode, Failure> {
    let MuseumArguments { list: _ } = arguments;
    crate::print(&exhibits())?;
    Ok(ExitCode::Pass)
}

/// The defect of this name.
pub(crate) fn find_defect(name: &str) -> Result<Defect, Failure> {
    Defect::named(name).ok_or_else(|| {
        let meant = meant(name, Defect::ALL.into_iter().map(Defect::name));
        Failure::new(format!(
            "unknown defect '{name}': {meant}'mailstorm museum --list' lists them"
        ))
    })
}

/// Every exhibit: its name, its report, its sentence.
fn exhibits() -> String {
    let width = Defect::ALL.iter().map(|defect| defect.name().len()).max().unwrap_or(0);
    let mut out = String::new();
    for defect in Defect::ALL {
        writeln!(
            out,
            "{:width$}  {}\n{:width$}  {}",
            defect.name(),
            defect.report(),
            "",
            defect.about()
        )
        .expect("writing to a string cannot fail");
    }
    out
}
