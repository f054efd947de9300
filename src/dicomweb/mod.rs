//! DICOMweb (PS3.18): URIs, parameters, media types and bodies, to and from calls of the archive.
//! This door decides nothing about instances: what is stored, found and seen is the archive's word.
//!
//! [`routes`] is the table of resources, [`path`] finds the one that is asked for. A request becomes a [`call::Call`], then [`qido`],
//! [`retrieve`], [`frames`], [`metadata`], [`bulkdata`], [`collection`], [`mod@zip`], [`stow`] or [`ups`] answers it. [`accept`] chooses
//! representations, [`notation`] writes data sets as JSON or XML; [`part_head`] and [`multipart_writer`] know `multipart/related`.

mod accept;
mod bulkdata;
mod byte_order;
mod call;
mod capabilities;
mod charset;
mod coding;
mod collection;
mod commitment;
mod commitment_answer;
mod document;
mod frames;
mod given;
mod media;
mod metadata;
mod methods;
mod multipart_body;
mod multipart_writer;
mod notation;
mod pace;
mod part_head;
mod parts;
mod path;
mod qido;
mod range;
mod removal;
mod rendered;
mod retrieve;
mod routes;
mod store_answer;
mod stow;
mod syntax_choice;
mod ups;
mod wado_uri;
mod whole_body;
mod zip;

pub use methods::{Resource, resources};
pub use routes::{PREFIX, configure};
pub use ups::{Channels, Ups};
