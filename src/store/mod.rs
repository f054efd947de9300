//! Shelves for blobs: [`Filesystem`] on a local disk, [`Memory`] for tests. Both keep the promise
//! of [`archive::BlobStore`](crate::archive::BlobStore) and pass one contract suite, as every
//! later shelf must.

#[cfg(test)]
mod contract;
mod filesystem;
mod memory;

pub use filesystem::Filesystem;
pub use memory::Memory;
