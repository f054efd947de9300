//! The promise that bytes at rest make to the archive. `store::Filesystem` keeps it on a local
//! disk, `store::Memory` in tests; an object store can keep it too: nothing here is a path.

use std::fmt;

use crate::archive::Error;

/// Where a blob lies: opaque numbers that the shelf gave out. `file` is never used again for
/// anything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Locator {
    /// Which file or object.
    pub file: u64,
    /// First byte in it.
    pub offset: u64,
    /// Number of bytes.
    pub length: u64,
}

/// What a start found and did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Whole blobs that no row named and that were given one.
    pub adopted: u64,
    /// Bytes of blobs that no row names, given back.
    pub orphan_bytes: u64,
    /// Staging files left by a killed process, removed.
    pub staged_files: u64,
}

/// Asks the index which blobs it names: the locators of `file`, sorted by offset.
pub type LiveBlobs<'a> = dyn FnMut(u64) -> Result<Vec<Locator>, Error> + 'a;

/// Hears of a blob without a row, and its note.
pub type FoundOrphan<'a> = dyn FnMut(Locator, &[u8]) -> Result<(), Error> + 'a;

/// Bytes at rest. A blob is whole, durable after [`BlobStore::sync`], and never changes.
///
/// All calls but [`BlobStore::read_at_hand`] block; callers run them off the async threads. Calls
/// may run concurrently.
pub trait BlobStore: Send + Sync + fmt::Display {
    /// Writes a small blob (`head` then `body`) in one go, and beside it a note (at most
    /// [`NOTE_BYTES_MAX`]) for [`BlobStore::orphans`]. It is readable at once, durable only after
    /// [`BlobStore::sync`]. On an error nothing remains.
    fn put(&self, head: &[u8], body: &[u8], note: &[u8]) -> Result<Locator, Error>;

    /// Opens private scratch space for a large blob whose head is not known yet.
    fn stage(&self) -> Result<Box<dyn Staged>, Error>;

    /// Makes these blobs durable, their directory entries too. One call for many blobs costs
    /// little more than for one.
    ///
    /// # Errors
    /// After an error none of them may be trusted: delete them and tell the senders.
    fn sync(&self, locators: &[Locator]) -> Result<(), Error>;

    /// Fills `buffer` from `offset` of the blob.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the blob is gone; `Broken` when the range is outside it.
    fn read_at(&self, locator: &Locator, offset: u64, buffer: &mut [u8]) -> Result<(), Error>;

    /// Fills the beginning of `buffer` from `offset` of the blob, as far as that takes no waiting: with
    /// what lies in memory. Gives the number of bytes; 0 when there are none, or when only
    /// [`BlobStore::read_at`] can tell what is the matter. The one call that does not block.
    fn read_at_hand(&self, _: &Locator, _: u64, _: &mut [u8]) -> usize {
        0
    }

    /// Called before the index forgets these blobs, durable on return: should the process die
    /// before [`BlobStore::delete`], the next [`BlobStore::recover`] looks at them again, and no
    /// [`BlobStore::orphans`] tells them.
    fn condemn(&self, locators: &[Locator]) -> Result<(), Error>;

    /// Forgets blobs and gives their space back. A blob already gone is no error.
    fn delete(&self, locators: &[Locator]) -> Result<(), Error>;

    /// Run once at start, before anything else: tells the blobs that are whole, in files that no
    /// earlier run has checked, and that neither a row names nor [`BlobStore::condemn`] has named, each
    /// with its note, file by file, those of a file in the order in which they were begun. Whoever makes rows of them makes those
    /// durable before [`BlobStore::recover`].
    fn orphans(&self, live: &mut LiveBlobs<'_>, found: &mut FoundOrphan<'_>) -> Result<(), Error>;

    /// Run once at start, after that: whatever a killed process left and no index row
    /// names is removed. May trust files that an earlier run has checked and no [`BlobStore::condemn`] named since.
    fn recover(&self, live: &mut LiveBlobs<'_>) -> Result<Swept, Error>;

    /// Every file or object with the bytes that it holds, named by a row or not, for `overread check`:
    /// the lengths of its blobs, and whatever else lies there. May read all of the shelf's own framing.
    fn files(&self) -> Result<Vec<(u64, u64)>, Error>;

    /// Bytes free for new blobs, `None` when the place has no such notion.
    fn free_bytes(&self) -> Result<Option<u64>, Error>;
}

/// A large blob on its way. Dropped without [`Staged::finish`], it leaves nothing.
pub trait Staged: Send {
    /// Appends to the body.
    fn write(&mut self, bytes: &[u8]) -> Result<(), Error>;

    /// Fills `buffer` from `offset` of what has been written.
    ///
    /// # Errors
    /// `Broken` when the range is outside it.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), Error>;

    /// Puts `head` (at most [`STAGED_HEAD_MAX`] bytes) before the body and makes it a blob with a note;
    /// durable only after [`BlobStore::sync`].
    fn finish(self: Box<Self>, head: &[u8], note: &[u8]) -> Result<Locator, Error>;
}

/// The longest note beside a blob, in bytes.
pub const NOTE_BYTES_MAX: usize = 224;

/// The longest head of a staged blob, in bytes.
pub const STAGED_HEAD_MAX: usize = 1024;
