//! The Native DICOM Model (PS3.19 §A.1) as PS3.18 §F.3 uses it: DICOM JSON of ours as XML, and XML
//! of others as a [`Dataset`](crate::dicom::Dataset).
//!
//! Choices where the standard leaves one, as DCMTK makes them too: private creators stand among the
//! attributes like any other, so that every block keeps its number; an empty value among others
//! stands as an empty `Value`.

mod parse;
#[cfg(test)]
mod tests;
mod write;

pub use parse::parse;
pub use write::write;

/// The groups of a person name and the components of each, by PS3.19 Table A.1.5-2.
const GROUPS: [&str; 3] = ["Alphabetic", "Ideographic", "Phonetic"];
const COMPONENTS: [&str; 5] = [
    "FamilyName",
    "GivenName",
    "MiddleName",
    "NamePrefix",
    "NameSuffix",
];
