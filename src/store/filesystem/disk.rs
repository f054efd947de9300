//! What we ask of the operating system: files and folders made private and durable, bytes written
//! at a place, space given back, and the few errors that mean something to a sender.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, IoSlice, IoSliceMut};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{FallocateFlags, SeekFrom, fallocate, seek};
use rustix::io::{Errno, ReadWriteFlags};

use super::layout::{self, BLOCK};
use crate::archive::Error;

/// Opens or makes a file that only we may read.
pub(super) fn create_file(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    options.mode(0o600).open(path)
}

/// Makes a folder that only we may enter, and its parents, each durable. One that exists is fine.
pub(super) fn create_folder(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => return Ok(()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            create_folder(path.parent().ok_or(e)?)?;
            return create_folder(path);
        }
        made => made?,
    }
    path.parent().map_or(Ok(()), sync_folder)
}

/// Makes the entries of a folder durable.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    let path = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    File::open(path)?.sync_all()
}

/// Writes all of `parts`, one after the other, from `offset`.
pub(super) fn write_all_at(file: &File, parts: &[&[u8]], mut offset: u64) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> = parts.iter().map(|part| IoSlice::new(part)).collect();
    let mut rest = &mut slices[..];
    IoSlice::advance_slices(&mut rest, 0);
    while !rest.is_empty() {
        match rustix::io::pwritev(file, rest, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                IoSlice::advance_slices(&mut rest, written);
                offset += written as u64;
            }
            Err(Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(())
}

/// Reads what the system has in memory from `offset`, and waits for nothing. Gives the number of bytes,
/// 0 also where the file system cannot tell.
pub(super) fn read_cached(file: &File, offset: u64, buffer: &mut [u8]) -> usize {
    let mut parts = [IoSliceMut::new(buffer)];
    rustix::io::preadv2(file, &mut parts, offset, ReadWriteFlags::NOWAIT).unwrap_or(0)
}

/// Turns a range into zeros that take no space.
pub(super) fn punch(file: &File, start: u64, end: u64) -> io::Result<()> {
    if start >= end {
        return Ok(());
    }
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    loop {
        match fallocate(file, flags, start, end - start) {
            Err(Errno::INTR) => {}
            // A file system without holes: at least the bytes go.
            Err(Errno::OPNOTSUPP) => {
                return zero(file, start, end.min(file.metadata()?.len()));
            }
            done => return Ok(done?),
        }
    }
}

/// Allocates a range, which reads as zeros.
pub(super) fn allocate(file: &File, start: u64, end: u64) -> io::Result<()> {
    Ok(fallocate(
        file,
        FallocateFlags::empty(),
        start,
        end - start,
    )?)
}

/// Writes zeros to a range.
pub(super) fn zero(file: &File, mut start: u64, end: u64) -> io::Result<()> {
    let zeros = [0; 1 << 16];
    while start < end {
        let piece = (end - start).min(zeros.len() as u64);
        file.write_all_at(
            &zeros[..usize::try_from(piece).unwrap_or(zeros.len())],
            start,
        )?;
        start += piece;
    }
    Ok(())
}

/// The first byte in the range that is not zero. Holes are skipped without reading.
pub(super) fn first_data(file: &File, mut start: u64, end: u64) -> io::Result<Option<u64>> {
    let mut buffer = vec![0; 1 << 16];
    while start < end {
        start = match seek(file, SeekFrom::Data(start)) {
            Ok(data) if data < end => data,
            Ok(_) | Err(Errno::NXIO) => return Ok(None),
            Err(Errno::INVAL) => start,
            Err(e) => return Err(e.into()),
        };
        let wanted = usize::try_from(end - start)
            .unwrap_or(buffer.len())
            .min(buffer.len());
        let read = file.read_at(&mut buffer[..wanted], start)?;
        if let Some(place) = buffer[..read].iter().position(|b| *b != 0) {
            return Ok(Some(start + place as u64));
        }
        if read == 0 {
            return Ok(None);
        }
        start += read as u64;
    }
    Ok(None)
}

/// Widens a range of zeros to whole blocks where the rest of its first and last block is zero too:
/// only whole blocks give space back. What is zero stays zero, whosever it is, so this is right
/// wherever nobody is writing.
pub(super) fn widen(file: &File, start: u64, end: u64) -> io::Result<(u64, u64)> {
    let block_start = (start - start % BLOCK).max(BLOCK);
    let block_end = end.checked_next_multiple_of(BLOCK).unwrap_or(end);
    let start = if first_data(file, block_start, start)?.is_none() {
        block_start.min(start)
    } else {
        start
    };
    let end = if first_data(file, end, block_end)?.is_none() {
        block_end
    } else {
        end
    };
    Ok((start, end))
}

/// Calls with the number and length of each file of ours whose number may be `from` or more.
/// Names that are not ours are passed over.
pub(super) fn for_each_file(
    root: &Path,
    from: u64,
    found: &mut dyn FnMut(u64, u64),
) -> io::Result<()> {
    for upper in folders(&root.join("files"), 5, from >> 24)? {
        let least = if upper == from >> 24 {
            from >> 12 & 0xfff
        } else {
            0
        };
        let parent = root.join("files").join(format!("{upper:05x}"));
        for lower in folders(&parent, 3, least)? {
            for entry in fs::read_dir(parent.join(format!("{lower:03x}")))? {
                let entry = entry?;
                let Some(number) = entry.file_name().to_str().and_then(layout::parse_name) else {
                    continue;
                };
                let metadata = entry.metadata()?;
                if number >= from && metadata.is_file() {
                    found(number, metadata.len());
                }
            }
        }
    }
    Ok(())
}

/// The folders whose names are hexadecimal numbers of this width, `least` or more, in order.
fn folders(parent: &Path, width: usize, least: u64) -> io::Result<Vec<u64>> {
    let entries = match fs::read_dir(parent) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let Some(number) = name
            .to_str()
            .and_then(|name| u64::from_str_radix(name, 16).ok())
        else {
            continue;
        };
        let is_ours = name.to_str() == Some(&format!("{number:0width$x}"));
        if is_ours && number >= least && entry.file_type()?.is_dir() {
            found.push(number);
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// What a failure means to the archive: no room, or broken while doing `what`.
pub(super) fn failure(what: &'static str) -> impl FnOnce(io::Error) -> Error {
    move |e| match e.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::Full,
        _ => Error::broken(what, e),
    }
}
