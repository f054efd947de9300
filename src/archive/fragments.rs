//! Encapsulated pixel data that the frame map does not tell of: those inside a sequence.

use crate::archive::{Archive, Error, Located};
use crate::dicom::TransferSyntax;
use crate::dicom::fragments::FragmentFinder;
use crate::dicom::frame_map::Span;
use crate::dicom::transfer_syntax::Form;

/// How much of a data set is looked through at a time. Bytes.
const CHUNK_BYTES: usize = 256 << 10;

impl Archive {
    /// The fragments of the bulk value under `path`, found by reading the data set as far as they
    /// reach.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there are none.
    pub fn fragments(&self, located: &Located, path: &str) -> Result<Vec<Span>, Error> {
        let syntax = TransferSyntax::of_uid(located.transfer_syntax_uid.as_str());
        // Where the data set is deflated, nothing is encapsulated (PS3.5 §A.5).
        let syntax = syntax
            .filter(|syntax| syntax.form != Form::Deflated)
            .ok_or(Error::NotFound)?;
        let limits = &self.inner.settings.limits;
        let mut finder =
            FragmentFinder::new(syntax.encoding, limits, path).ok_or(Error::NotFound)?;
        let mut dataset = self.dataset(located);
        let head = u64::from(located.dataset_offset);
        let length = located.locator.length.saturating_sub(head);
        let mut at = 0;
        let mut chunk = vec![0; CHUNK_BYTES];
        while at < length {
            let left = usize::try_from(length - at).unwrap_or(CHUNK_BYTES);
            let chunk = &mut chunk[..left.min(CHUNK_BYTES)];
            dataset.read_at(at, chunk)?;
            at += chunk.len() as u64;
            let found = finder
                .feed(chunk)
                .map_err(|fault| Error::broken("reading a stored object", fault))?;
            if let Some(spans) = found {
                return Ok(spans.to_vec());
            }
        }
        Err(Error::NotFound)
    }
}
