//! A large blob on its way: written to `staging/` behind a first block that is left free, into
//! which the head is put in the end, right before the body; then renamed to where it stays.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::Crc;

use super::disk::{create_file, failure, write_all_at};
use super::layout::{self, BLOCK, RECORD_HEADER};
use super::open_files::{OpenFile, OpenFiles};
use crate::archive::blob::{STAGED_HEAD_MAX, Staged};
use crate::archive::{Error, Locator};

pub(super) struct Scratch {
    root: PathBuf,
    files: Arc<OpenFiles>,
    number: u64,
    /// `None` once it is published.
    file: Option<File>,
    path: PathBuf,
    body: Crc,
    body_bytes: u64,
}

impl Scratch {
    pub(super) fn begin(root: &Path, files: &Arc<OpenFiles>, number: u64) -> Result<Self, Error> {
        let path = root.join("staging").join(format!("{number:016x}"));
        let file = create_file(
            &path,
            OpenOptions::new().read(true).write(true).create_new(true),
        )
        .map_err(failure("staging a blob"))?;
        let files = Arc::clone(files);
        Ok(Self {
            root: root.to_owned(),
            files,
            number,
            file: Some(file),
            path,
            body: Crc::new(),
            body_bytes: 0,
        })
    }
}

impl Staged for Scratch {
    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let file = self
            .file
            .as_ref()
            .ok_or_else(|| Error::broken("staging a blob", "it is published"))?;
        let end = self
            .body_bytes
            .checked_add(bytes.len() as u64)
            .filter(|end| *end < i64::MAX as u64 - BLOCK);
        let end =
            end.ok_or_else(|| Error::broken("staging a blob", "its length is beyond all files"))?;
        write_all_at(file, &[bytes], BLOCK + self.body_bytes).map_err(failure("staging a blob"))?;
        self.body.update(bytes);
        self.body_bytes = end;
        Ok(())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), Error> {
        let is_inside = offset
            .checked_add(buffer.len() as u64)
            .is_some_and(|end| end <= self.body_bytes);
        match &self.file {
            Some(file) if is_inside => file
                .read_exact_at(buffer, BLOCK + offset)
                .map_err(failure("reading a staged blob")),
            _ => Err(Error::broken("reading a staged blob", "outside of it")),
        }
    }

    fn finish(mut self: Box<Self>, head: &[u8], note: &[u8]) -> Result<Locator, Error> {
        if head.len() > STAGED_HEAD_MAX {
            return Err(Error::broken(
                "finish of a staged blob",
                "its head is too long",
            ));
        }
        let length = head.len() as u64 + self.body_bytes;
        let offset = BLOCK - head.len() as u64;
        let first_record = offset - RECORD_HEADER;
        let too_long = || Error::broken("finish of a staged blob", "its note is too long");
        let (mut header, mut sum) = layout::begin_record(note).ok_or_else(too_long)?;
        sum.update(head);
        sum.combine(&self.body);
        layout::end_record(&mut header, self.number, length, &sum);
        let file = self
            .file
            .take()
            .ok_or_else(|| Error::broken("finish of a staged blob", "it is published"))?;
        let publish = || {
            write_all_at(&file, &[&layout::file_header(self.number, first_record)], 0)?;
            write_all_at(&file, &[&header, head], first_record)?;
            fs::rename(&self.path, layout::path(&self.root, self.number))
        };
        if let Err(e) = publish() {
            self.file = Some(file);
            return Err(failure("publishing a blob")(e));
        }
        self.files.add(OpenFile::new(self.number, file));
        Ok(Locator {
            file: self.number,
            offset,
            length,
        })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.file.is_some() {
            // Should this fail, the next start empties the folder.
            fs::remove_file(&self.path).ok();
        }
    }
}
