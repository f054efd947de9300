//! DICOM JSON (PS3.18 Annex F), written straight from encoded values: no object tree, no parse
//! of what was once written.
//!
//! [`parse`](parse()) reads what arrives as JSON into a [`Dataset`](crate::dicom::Dataset), [`write_dataset`] writes one.
//! [`Builder`] makes the metadata of an instance while it streams in; [`mod@write`] knows how each VR
//! looks; [`prepared`] takes prepared metadata apart and sets the base URL in.

pub mod builder;
mod dataset;
mod kept;
mod parse;
pub mod prepared;
pub(in crate::dicom) mod reader;
#[cfg(test)]
mod tests;
pub mod write;

pub use builder::{Builder, Built};
pub use dataset::write_dataset;
pub use parse::parse;
pub(crate) use prepared::add_member;
pub use prepared::{splice_base, top_level_member};
pub use write::{write_attribute, write_string};
