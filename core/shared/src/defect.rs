//! Historical bugs that the laboratory can put back, by name, when it makes a server, a client or a
//! worker.
//!
//! Owns: the value that says which one is planted, and the form of a package's table of its bugs
//! ([`defects!`](crate::defects)). Leaves: the tables to the packages, each mistake to the place
//! where it was made, one branch that asks [`planted!`](crate::planted).
//! Holds: this package knows none of the defects; without the feature `defects` no package has a
//! table, [`Defects`] has no size, and every branch is the constant `false`; no configuration file
//! reaches it in either build.
//! Start at [`Defects`].

/// Which defect something is made with: none, or one.
///
/// A part of every configuration that a defect can be planted in; without the feature `defects` it
/// is empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Defects {
    #[cfg(feature = "defects")]
    planted: Option<DefectId>,
}

impl Defects {
    /// The sound build.
    pub const NONE: Self = Self {
        #[cfg(feature = "defects")]
        planted: None,
    };
}

#[cfg(not(feature = "defects"))]
impl Defects {
    /// False, in words that no lint takes for a slip.
    #[inline]
    #[must_use]
    pub const fn has_none(self) -> bool {
        false
    }
}

/// Whether a defect of this package is planted: `planted!(self.defects, AckBeforeSync)`. The
/// constant `false` in a build without the feature `defects`, in which the defect's name does not
/// exist.
#[cfg(feature = "defects")]
#[macro_export]
#[expect(clippy::crate_in_macro_def, reason = "each package has a table of its own")]
macro_rules! planted {
    ($defects:expr, $defect:ident) => {
        $defects.has(crate::defect::Defect::$defect.id())
    };
}

/// Whether a defect is planted: never, in this build.
#[cfg(not(feature = "defects"))]
#[macro_export]
macro_rules! planted {
    ($defects:expr, $defect:ident) => {
        $crate::Defects::has_none($defects)
    };
}

/// No table, in this build.
#[cfg(not(feature = "defects"))]
#[macro_export]
macro_rules! defects {
    ($($table:tt)*) => {};
}

#[cfg(feature = "defects")]
mod table;
#[cfg(feature = "defects")]
pub use table::{DefectId, Description};

#[cfg(feature = "defects")]
impl Defects {
    /// Whether this one is planted.
    #[inline]
    pub fn has(self, defect: DefectId) -> bool {
        self.planted == Some(defect)
    }
}

#[cfg(feature = "defects")]
impl From<Option<DefectId>> for Defects {
    fn from(planted: Option<DefectId>) -> Self {
        Self { planted }
    }
}

#[cfg(all(test, feature = "defects"))]
crate::defects! {
    /// What a package's table is like.
    pub enum Defect;

    /// The loop went on while the index was at most the length.
    /// A user sees one row too many.
    OffByOne = "off-by-one" {
        line: "A loop takes one step too many.",
        report: "every textbook",
    }

    /// Somebody else's clock was taken for one's own.
    ClockTrusted = "clock-trusted" {
        line: "A node believes the time that another tells.",
        report: "Lamport, 1978",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(not(feature = "defects"))]
    #[test]
    fn without_the_feature_nothing_can_be_planted() {
        crate::defects! { this is no table, and nobody minds }
        const NEVER: bool = planted!(Defects::NONE, NoSuchDefectIsNamedAnywhere);
        assert_eq!(size_of::<Defects>(), 0);
        const { assert!(!NEVER) };
    }

    #[cfg(feature = "defects")]
    #[test]
    fn a_defect_is_planted_alone() {
        let defects = Defects::from(Defect::OffByOne);
        assert!(planted!(defects, OffByOne));
        assert!(!planted!(defects, ClockTrusted));
        assert!(!planted!(Defects::NONE, OffByOne));
    }

    #[cfg(feature = "defects")]
    #[test]
    fn a_table_tells_everything_of_its_defects_in_its_order() {
        assert_eq!(Defect::ALL, [Defect::OffByOne, Defect::ClockTrusted]);
        let told = Defect::OffByOne.description();
        assert_eq!((told.name, told.line), ("off-by-one", "A loop takes one step too many."));
        assert_eq!(told.report, "every textbook");
        assert_eq!(Defect::ClockTrusted.id().name(), "clock-trusted");
    }
}
