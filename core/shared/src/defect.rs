//! The museum: historical bugs that the laboratory can put back, by name, when it makes a server, a client
//! or a worker.
//!
//! Owns: their names and stories, and the value that says which one is planted. Leaves: each mistake to
//! the place where it was made, one branch that asks [`planted!`](crate::planted).
//! Holds: without the feature `defects` there is no [`Defect`] to name, [`Defects`] has no size, and every
//! branch is the constant `false`; no configuration file reaches it in either build.
//! Start at [`Defects`].

/// Which defect something is made with: none, or one.
///
/// A part of every configuration that a defect can be planted in; without the feature `defects` it is
/// empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Defects {
    #[cfg(feature = "defects")]
    planted: Option<Defect>,
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

/// Whether a defect is planted: `planted!(self.defects, AckBeforeSync)`. The constant `false` in a build
/// without the feature `defects`, in which the defect's name does not exist.
#[cfg(feature = "defects")]
#[macro_export]
macro_rules! planted {
    ($defects:expr, $defect:ident) => {
        $defects.has($crate::defect::Defect::$defect)
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

#[cfg(feature = "defects")]
mod exhibits;
#[cfg(feature = "defects")]
pub use exhibits::Defect;

#[cfg(feature = "defects")]
impl Defects {
    /// Whether this one is planted.
    #[inline]
    pub fn has(self, defect: Defect) -> bool {
        self.planted == Some(defect)
    }

    /// The one that is planted.
    pub fn planted(self) -> Option<Defect> {
        self.planted
    }
}

#[cfg(feature = "defects")]
impl From<Option<Defect>> for Defects {
    fn from(planted: Option<Defect>) -> Self {
        Self { planted }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(not(feature = "defects"))]
    #[test]
    fn without_the_feature_nothing_can_be_planted() {
        const NEVER: bool = planted!(Defects::NONE, NoSuchDefectIsNamedAnywhere);
        assert_eq!(size_of::<Defects>(), 0);
        const { assert!(!NEVER) };
    }

    #[cfg(feature = "defects")]
    #[test]
    fn a_defect_is_planted_alone() {
        let defects = Defects::from(Some(Defect::AckBeforeSync));
        assert!(planted!(defects, AckBeforeSync));
        assert!(!planted!(defects, MinorityQuorum));
        assert!(!planted!(Defects::NONE, AckBeforeSync));
    }
}
