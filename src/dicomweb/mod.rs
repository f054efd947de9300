//! DICOMweb (PS3.18): URIs, parameters, media types and bodies, to and from calls of the archive.
//! This door decides nothing about instances: what is stored, found and seen is the archive's word.
//!
//! [`routes`] is the table of resources. A request becomes a [`call::Call`], then [`qido`],
//! [`retrieve`], [`frames`], [`metadata`], [`bulkdata`] or [`stow`] answers it. [`media`] chooses
//! representations; [`multipart_reader`] and [`multipart_writer`] know `multipart/related`.

mod bulkdata;
mod call;
mod coding;
mod frames;
mod media;
mod metadata;
mod multipart_reader;
mod multipart_writer;
mod qido;
mod retrieve;
mod routes;
mod store_answer;
mod stow;

pub use routes::{PREFIX, configure};
