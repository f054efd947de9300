//! The start after whatever end: what no index row names is removed, and what was checked is
//! trusted from then on. The reasoning is in the parent module.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io;
use std::path::Path;

use super::disk::{failure, first_data, for_each_file, punch, sync_folder, widen};
use super::layout::{self, BLOCK, Kind};
use crate::archive::blob::{LiveBlobs, Swept};
use crate::archive::{Error, Locator};

/// Files to look at, with their lengths: all that are not verified, and those that are doubted.
pub(super) fn suspects(
    root: &Path,
    verified: u64,
    doubted: impl Iterator<Item = u64>,
) -> io::Result<BTreeMap<u64, u64>> {
    let mut suspects = BTreeMap::new();
    for_each_file(
        root,
        layout::number(verified, Kind::Segment),
        &mut |number, length| {
            suspects.insert(number, length);
        },
    )?;
    for number in doubted {
        match fs::metadata(layout::path(root, number)) {
            Ok(metadata) if metadata.is_file() => {
                suspects.insert(number, metadata.len());
            }
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
    }
    Ok(suspects)
}

/// Empties `staging/`.
pub(super) fn empty_staging(root: &Path) -> io::Result<u64> {
    let mut removed = 0;
    for entry in fs::read_dir(root.join("staging"))? {
        let entry = entry?;
        if !entry.file_type()?.is_dir() {
            fs::remove_file(entry.path())?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// Removes from each suspect what `live` does not name; tells the files it `changed`. All of it is
/// durable on return.
pub(super) fn sweep(
    root: &Path,
    suspects: BTreeMap<u64, u64>,
    live: &mut LiveBlobs<'_>,
    changed: &mut dyn FnMut(u64),
) -> Result<Swept, Error> {
    let mut swept = Swept::default();
    for (number, length) in suspects {
        let mut keep: Vec<Locator> = live(number)?
            .into_iter()
            .filter(|locator| locator.file == number)
            .collect();
        keep.sort_unstable();
        let orphan_bytes = if keep.is_empty() {
            changed(number);
            unlink(root, number, length).map_err(failure("removing a blob file"))?
        } else if layout::kind(number) == Kind::Segment {
            sweep_segment(root, number, length, &keep).map_err(failure("sweeping a segment"))?
        } else {
            0
        };
        if orphan_bytes > 0 {
            changed(number);
        }
        swept.orphan_bytes += orphan_bytes;
    }
    Ok(swept)
}

/// Removes a file; gives what it held.
fn unlink(root: &Path, number: u64, length: u64) -> io::Result<u64> {
    let path = layout::path(root, number);
    let held = match layout::kind(number) {
        Kind::Whole => length.saturating_sub(BLOCK),
        Kind::Segment => {
            let file = fs::File::open(&path)?;
            first_data(&file, BLOCK, length)?.map_or(0, |first| length - first)
        }
    };
    fs::remove_file(&path)?;
    sync_folder(&layout::folder(root, number))?;
    Ok(held)
}

/// Punches what lies between the blobs to keep, cuts off what lies after them. Does nothing to a
/// segment that is clean already.
fn sweep_segment(root: &Path, number: u64, length: u64, keep: &[Locator]) -> io::Result<u64> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(layout::path(root, number))?;
    let mut orphan_bytes = 0;
    let mut position = BLOCK;
    for locator in keep {
        let start = layout::record_start(locator.offset).min(length);
        if let Some(first) = first_data(&file, position, start)? {
            let (from, to) = widen(&file, first, start)?;
            punch(&file, from, to)?;
            orphan_bytes += start - first;
        }
        let end = layout::record_end(locator.offset, locator.length).unwrap_or(u64::MAX);
        position = position.max(end.min(length));
    }
    if position < length {
        orphan_bytes += first_data(&file, position, length)?.map_or(0, |first| length - first);
        file.set_len(position)?;
        file.sync_all()?;
    } else if orphan_bytes > 0 {
        file.sync_all()?;
    }
    Ok(orphan_bytes)
}
