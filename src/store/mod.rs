//! Shelves for blobs: [`Filesystem`] on a local disk ([`FilesystemReader`] beside its owner), [`Memory`] for tests. Both keep the promise
//! of [`archive::BlobStore`](crate::archive::BlobStore) and pass one contract suite, as every
//! later shelf must.

#[cfg(test)]
mod contract;
mod filesystem;
mod memory;

pub use filesystem::{Filesystem, FilesystemReader};
pub use memory::Memory;
