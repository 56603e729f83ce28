//! How a package describes its defects, and the id by which all others refer to one.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// No name is longer.
const NAME_BYTES_MAX: usize = 40;

/// A defect, known by its name: small letters, digits and hyphens.
///
/// The bytes are here, not behind a reference, since names come out of records, too.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DefectId {
    /// Padded with zeros.
    name: [u8; NAME_BYTES_MAX],
}

impl DefectId {
    /// The defect of this name, or none if no defect can have it.
    pub const fn parse(name: &str) -> Option<Self> {
        let bytes = name.as_bytes();
        if bytes.is_empty() || bytes.len() > NAME_BYTES_MAX {
            return None;
        }
        let mut padded = [0; NAME_BYTES_MAX];
        let mut index = 0;
        while index < bytes.len() {
            if !matches!(bytes[index], b'a'..=b'z' | b'0'..=b'9' | b'-') {
                return None;
            }
            padded[index] = bytes[index];
            index += 1;
        }
        Some(Self { name: padded })
    }

    /// Its name, as commands and records spell it.
    pub fn name(&self) -> &str {
        let length = self.name.iter().position(|byte| *byte == 0).unwrap_or(NAME_BYTES_MAX);
        std::str::from_utf8(&self.name[..length]).expect("a name has letters, digits and hyphens")
    }
}

impl fmt::Debug for DefectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for DefectId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for DefectId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::parse(&name)
            .ok_or_else(|| serde::de::Error::custom(format!("no defect is named `{name}`")))
    }
}

/// How a package describes one of its defects.
#[derive(Debug)]
pub struct Description {
    /// Its id.
    pub id: DefectId,
    /// Its name, as commands and records spell it.
    pub name: &'static str,
    /// What goes wrong, in a sentence.
    pub line: &'static str,
    /// Where it was reported, or what it breaks.
    pub report: &'static str,
}

/// Declares a package's table of defects: `enum Defect` with the description of each.
///
/// Above each stands its story, how it came about and what a user sees, without which there is
/// none: it is read here and in the documentation. The table lies in the package's module `defect`,
/// where [`planted!`](crate::planted) looks for it. In a build without the feature `defects` it
/// expands to nothing.
#[macro_export]
macro_rules! defects {
    (
        $(#[$about:meta])*
        pub enum $Defect:ident;
        $(
            $(#[doc = $story:literal])+
            $defect:ident = $name:literal { line: $line:literal, report: $report:literal, }
        )+
    ) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $Defect {
            $(
                #[doc = $line]
                #[doc = ""]
                $(#[doc = $story])+
                #[doc = ""]
                #[doc = concat!("Report: ", $report, ".")]
                $defect,
            )+
        }

        impl $Defect {
            /// All of them, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$defect),+];

            /// Its description.
            pub const fn description(self) -> &'static $crate::defect::Description {
                match self {
                    $(Self::$defect => {
                        static DESCRIPTION: $crate::defect::Description =
                            $crate::defect::Description {
                                id: $crate::defect::DefectId::parse($name)
                                    .expect("a defect's name has letters, digits and hyphens"),
                                name: $name,
                                line: $line,
                                report: $report,
                            };
                        &DESCRIPTION
                    })+
                }
            }

            /// Its id, by which other packages refer to it.
            #[inline]
            pub const fn id(self) -> $crate::defect::DefectId {
                self.description().id
            }
        }

        impl From<$Defect> for $crate::Defects {
            fn from(defect: $Defect) -> Self {
                Some(defect.id()).into()
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_small_letters_digits_and_hyphens_and_is_not_long() {
        let longest = "z".repeat(NAME_BYTES_MAX);
        for name in ["a", "ack-before-sync", "http-2", &longest] {
            assert_eq!(DefectId::parse(name).expect("a name").name(), name);
        }
        let long = "z".repeat(NAME_BYTES_MAX + 1);
        for name in ["", "Ack", "a b", "a\0", "ö", &long] {
            assert_eq!(DefectId::parse(name), None, "{name:?}");
        }
    }
}
