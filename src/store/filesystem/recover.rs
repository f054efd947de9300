//! The start after whatever end: whole blobs that no index row names are told, what none names in the end is
//! removed, and what was checked is trusted from then on. The reasoning is in the parent module.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::disk::{failure, first_data, for_each_file, punch, sync_folder, widen};
use super::layout::{self, ALIGN, BLOCK, Kind, RECORD_HEADER};
use super::open_files::{OpenFile, OpenFiles};
use crate::archive::blob::{FoundOrphan, LiveBlobs, Swept};
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
        let (orphan_bytes, has_changed) = if keep.is_empty() {
            (
                unlink(root, number, length).map_err(failure("removing a blob file"))?,
                true,
            )
        } else if layout::kind(number) == Kind::Segment {
            sweep_segment(root, number, length, &keep).map_err(failure("sweeping a segment"))?
        } else {
            (0, false)
        };
        if has_changed {
            changed(number);
        }
        swept.orphan_bytes += orphan_bytes;
    }
    Ok(swept)
}

/// Tells the whole blobs of a file that begin where a record may begin, outside of those that rows
/// name and those that `is_doubted`. In what is torn nothing is looked for.
pub(super) fn find_orphans(
    root: &Path,
    number: u64,
    length: u64,
    mut named: Vec<Locator>,
    is_doubted: &dyn Fn(u64) -> bool,
    found: &mut FoundOrphan<'_>,
) -> Result<(), Error> {
    let reading = || failure("looking for blobs without a row");
    named.sort_unstable();
    let file = fs::File::open(layout::path(root, number)).map_err(reading())?;
    let file = OpenFile::new(number, file);
    if layout::kind(number) == Kind::Whole {
        if named.is_empty() {
            let mut field = [0; 8];
            file.file
                .read_exact_at(&mut field, layout::FIRST_RECORD_AT)
                .or_else(missing_is_zero)
                .map_err(reading())?;
            let start = u64::from_le_bytes(field);
            if (1..BLOCK).contains(&start) {
                tell_orphan(&file, start, length, is_doubted, found)?;
            }
        }
        return Ok(());
    }
    let mut position = BLOCK;
    let ends = named.iter().map(|locator| {
        let end = layout::record_end(locator.offset, locator.length).unwrap_or(u64::MAX);
        (layout::record_start(locator.offset), end)
    });
    for (gap_end, next) in ends.chain([(length, length)]) {
        while let Some(data) =
            first_data(&file.file, position, gap_end.min(length)).map_err(reading())?
        {
            let start = data - data % ALIGN;
            match tell_orphan(&file, start, gap_end.min(length), is_doubted, found)? {
                Some(end) => position = end,
                None => break,
            }
        }
        position = position.max(next.min(length));
    }
    Ok(())
}

/// The end of the record that begins at `start`, if there is one; told when it is whole.
fn tell_orphan(
    file: &OpenFile,
    start: u64,
    limit: u64,
    is_doubted: &dyn Fn(u64) -> bool,
    found: &mut FoundOrphan<'_>,
) -> Result<Option<u64>, Error> {
    let reading = || failure("looking for blobs without a row");
    let mut header = [0; RECORD_HEADER as usize];
    file.file
        .read_exact_at(&mut header, start)
        .or_else(missing_is_zero)
        .map_err(reading())?;
    let offset = start + RECORD_HEADER;
    let parsed = layout::blob_length(&header, file.number).zip(layout::note(&header));
    let Some((length, (note, mut sum, expected))) = parsed else {
        return Ok(None);
    };
    let Some(end) = layout::record_end(offset, length).filter(|_| offset + length <= limit) else {
        return Ok(None);
    };
    if !is_doubted(offset) {
        let mut piece = vec![0; 1 << 18];
        let mut at = offset;
        while at < offset + length {
            let left = usize::try_from(offset + length - at).unwrap_or(piece.len());
            let wanted = left.min(piece.len());
            let piece = &mut piece[..wanted];
            file.file.read_exact_at(piece, at).map_err(reading())?;
            sum.update(piece);
            at += piece.len() as u64;
        }
        if sum.sum() == expected {
            let locator = Locator {
                file: file.number,
                offset,
                length,
            };
            found(locator, note)?;
        }
    }
    Ok(Some(end))
}

/// Every file with the bytes that it holds.
pub(super) fn held_files(root: &Path, files: &OpenFiles) -> Result<Vec<(u64, u64)>, Error> {
    let mut found = Vec::new();
    for_each_file(root, 0, &mut |number, length| found.push((number, length)))
        .map_err(failure("listing blob files"))?;
    found.sort_unstable();
    let mut held = Vec::with_capacity(found.len());
    for (number, length) in found {
        match files.get(root, number) {
            // Deleted in between.
            Err(Error::NotFound) => {}
            file => held.push((
                number,
                held_bytes(&*file?, length).map_err(failure("reading a blob file"))?,
            )),
        }
    }
    Ok(held)
}

/// The bytes of the blobs in a file, read from one record header to the next. What is neither
/// record nor zero counts as well: somebody should look at it.
fn held_bytes(file: &OpenFile, file_length: u64) -> io::Result<u64> {
    if layout::kind(file.number) == Kind::Whole {
        let mut field = [0; 8];
        file.file
            .read_exact_at(&mut field, layout::FIRST_RECORD_AT)
            .or_else(missing_is_zero)?;
        let blob = u64::from_le_bytes(field).saturating_add(RECORD_HEADER);
        return Ok(file_length.saturating_sub(blob));
    }
    held_between(file, BLOCK, file_length)
}

/// Likewise of a part of a segment that begins where a record may begin.
fn held_between(file: &OpenFile, mut position: u64, end_of_part: u64) -> io::Result<u64> {
    let mut held = 0_u64;
    while position < end_of_part {
        let mut header = [0; RECORD_HEADER as usize];
        file.file
            .read_exact_at(&mut header, position)
            .or_else(missing_is_zero)?;
        let length = layout::blob_length(&header, file.number);
        let end = length.and_then(|length| layout::record_end(position + RECORD_HEADER, length));
        position = match (length.zip(end), first_word(&header)) {
            (Some((length, end)), _) => {
                held = held.saturating_add(length);
                end
            }
            (None, 0) => match first_data(&file.file, position, end_of_part)? {
                Some(data) => data - data % ALIGN,
                None => break,
            },
            (None, _) => {
                held = held.saturating_add(ALIGN);
                position + ALIGN
            }
        };
    }
    Ok(held)
}

fn first_word(header: &[u8; RECORD_HEADER as usize]) -> u64 {
    header[..8]
        .iter()
        .fold(0, |word, byte| word << 8 | u64::from(*byte))
}

/// A file that ends early reads as zeros.
fn missing_is_zero(e: io::Error) -> io::Result<()> {
    if e.kind() == io::ErrorKind::UnexpectedEof {
        Ok(())
    } else {
        Err(e)
    }
}

/// Removes a file; gives what it held.
fn unlink(root: &Path, number: u64, length: u64) -> io::Result<u64> {
    let path = layout::path(root, number);
    let held = held_bytes(&OpenFile::new(number, fs::File::open(&path)?), length)?;
    fs::remove_file(&path)?;
    sync_folder(&layout::folder(root, number))?;
    Ok(held)
}

/// Punches what lies between the blobs to keep, cuts off what lies after them. Does nothing to a
/// segment that is clean already. Tells the bytes that went, and whether anything did.
fn sweep_segment(
    root: &Path,
    number: u64,
    length: u64,
    keep: &[Locator],
) -> io::Result<(u64, bool)> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(layout::path(root, number))?;
    let file = OpenFile::new(number, file);
    let (mut orphan_bytes, mut has_changed) = (0, false);
    let mut position = BLOCK;
    for locator in keep {
        let start = layout::record_start(locator.offset).min(length);
        if let Some(first) = first_data(&file.file, position, start)? {
            orphan_bytes += held_between(&file, position, start)?;
            let (from, to) = widen(&file.file, first, start)?;
            punch(&file.file, from, to)?;
            has_changed = true;
        }
        let end = layout::record_end(locator.offset, locator.length).unwrap_or(u64::MAX);
        position = position.max(end.min(length));
    }
    if position < length {
        orphan_bytes += held_between(&file, position, length)?;
        file.file.set_len(position)?;
        has_changed = true;
    }
    if has_changed {
        file.file.sync_all()?;
    }
    Ok((orphan_bytes, has_changed))
}
