//! What DICOM says, as pure functions: no I/O, no clock, no async.
//!
//! Identity ([`Uid`], [`Level`]), the table of indexed attributes ([`ATTRIBUTES`]), matching
//! ([`query`]), the bounded walk over encoded data sets ([`walk`]) and its visitors: DICOM JSON
//! ([`json`]), frame map ([`frame_map`]), header for the index ([`header`]).
//! What arrives as JSON or XML ([`xml`]) becomes a [`Dataset`], which [`encode`](mod@encode) writes.

pub mod ae_title;
pub mod asked;
pub mod attributes;
pub mod brief;
pub mod brought;
pub mod charset;
pub mod dataset;
pub mod dicomdir;
pub mod difference;
pub mod encode;
pub mod fragments;
pub mod frame_map;
pub mod header;
pub mod json;
pub mod level;
pub mod listed;
pub mod modules;
pub mod opinion;
pub mod part10;
pub mod person_name;
pub mod query;
pub mod report;
pub mod rewrite;
pub mod sop_class;
pub mod sound;
pub mod text_form;
pub mod transfer_syntax;
pub mod uid;
pub mod walk;
pub mod xml;

pub use ae_title::{AeTitle, AeTitles};
pub use attributes::{ATTRIBUTES, Attribute, AttributeId, AttributeValues, SEQUENCES};
pub use dataset::Dataset;
pub use frame_map::FrameMap;
pub use header::Header;
pub use level::Level;
pub use query::Query;
pub use transfer_syntax::TransferSyntax;
pub use uid::Uid;
