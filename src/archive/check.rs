//! Index against blobs: `overread check`. Reads only; `repair` gives orphan space back.

use std::collections::BTreeMap;

use crate::archive::blob::{BlobStore, Locator, Swept};
use crate::archive::{Archive, Error};
use crate::dicom::Uid;

/// Rows looked at between two calls of the index.
const PAGE_ROWS: usize = 1000;

/// Bytes read at a time while hashing.
const CHUNK_BYTES: usize = 1 << 20;

/// What is wrong with a stored instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// Its blob, or a part of it, is not there.
    Missing,
    /// What is there is no Part 10 file.
    NoDicom,
    /// The data set is not the one that was received.
    Damaged,
}

/// The result of a check.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Blobs looked at, quarantine included.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Instances with a problem.
    pub problems: Vec<(Uid, Problem)>,
    /// Bytes in blob files that no row names.
    pub unnamed_bytes: u64,
}

impl Archive {
    /// Looks at every blob that the index names; `is_deep` re-reads each one's digest.
    /// `progress` is told the number of blobs done.
    ///
    /// # Errors
    /// When the index fails. What is wrong with blobs is in the report.
    pub fn check(&self, is_deep: bool, progress: &mut dyn FnMut(u64)) -> Result<Report, Error> {
        let extents: BTreeMap<u64, u64> = self.inner.blobs.files()?.into_iter().collect();
        let mut report = Report::default();
        let mut named: BTreeMap<u64, u64> = BTreeMap::new();
        let mut after = None;
        loop {
            let page = self.inner.index.blobs(after, PAGE_ROWS)?;
            let Some(last) = page.last() else {
                break;
            };
            after = Some(last.locator);
            for blob in page {
                let locator = blob.locator;
                report.blobs += 1;
                report.bytes += locator.length;
                *named.entry(locator.file).or_default() += locator.length;
                let digest = is_deep.then_some(&blob.digest);
                let problem = self.problem(&locator, blob.dataset_offset, digest);
                report
                    .problems
                    .extend(problem.map(|problem| (blob.sop_instance_uid, problem)));
                progress(report.blobs);
            }
        }
        report.unnamed_bytes = extents
            .iter()
            .map(|(file, extent)| extent.saturating_sub(named.get(file).copied().unwrap_or(0)))
            .sum();
        Ok(report)
    }

    /// Gives back whatever no row names. The caller owns the data directory.
    ///
    /// # Errors
    /// When index or shelf fail; nothing that a row names is touched.
    pub fn repair(&self) -> Result<Swept, Error> {
        let blobs = &self.inner.blobs;
        let files = blobs.files()?.into_iter();
        let doubted: Vec<Locator> = files
            .map(|(file, _)| Locator {
                file,
                offset: 0,
                length: 0,
            })
            .collect();
        // All files, those that an earlier start has checked too.
        blobs.condemn(&doubted)?;
        blobs.recover(&mut |file| self.inner.index.live_blobs(file))
    }

    fn problem(
        &self,
        locator: &Locator,
        dataset_offset: u32,
        digest: Option<&[u8; 32]>,
    ) -> Option<Problem> {
        let blobs = &*self.inner.blobs;
        glance(blobs, locator).or_else(|| damage(blobs, locator, dataset_offset, digest?))
    }
}

/// Looks at a blob's first bytes and its last: one that is cut short has no last.
pub(super) fn glance(blobs: &dyn BlobStore, locator: &Locator) -> Option<Problem> {
    let mut head = [0; 132];
    let last = locator.length.saturating_sub(1);
    if blobs.read_at(locator, 0, &mut head).is_err()
        || blobs.read_at(locator, last, &mut [0]).is_err()
    {
        return Some(Problem::Missing);
    }
    (&head[128..] != b"DICM").then_some(Problem::NoDicom)
}

/// Reads a blob's data set and compares its digest.
pub(super) fn damage(
    blobs: &dyn BlobStore,
    locator: &Locator,
    dataset_offset: u32,
    digest: &[u8; 32],
) -> Option<Problem> {
    let mut hasher = blake3::Hasher::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut at = u64::from(dataset_offset);
    while at < locator.length {
        let length = usize::try_from(locator.length - at)
            .unwrap_or(CHUNK_BYTES)
            .min(CHUNK_BYTES);
        if blobs.read_at(locator, at, &mut chunk[..length]).is_err() {
            return Some(Problem::Missing);
        }
        hasher.update(&chunk[..length]);
        at += length as u64;
    }
    (hasher.finalize().as_bytes() != digest).then_some(Problem::Damaged)
}
