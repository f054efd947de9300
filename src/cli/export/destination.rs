//! Where an export goes. It grows under a name that ends in `.part` and gets its own name when it
//! is whole; a folder gets its DICOMDIR last.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::archive::{Archive, Located};
use crate::dicom::dicomdir::{FILE_NAME, FOLDER_NAME};

/// How much is copied at a time. Bytes.
const CHUNK_BYTES: usize = 1 << 20;

/// A file of this size might, packed, not fit into the 32 bits of a ZIP archive's plain form.
const LARGE_BYTES: u64 = 1 << 31;

/// A folder or a ZIP archive.
pub(super) enum Destination {
    /// Files gather in `unfinished`, which is ours alone.
    Folder { to: PathBuf, unfinished: PathBuf },
    /// The archive gathers in the file `unfinished`.
    Zip {
        to: PathBuf,
        unfinished: PathBuf,
        zip: Box<ZipWriter<BufWriter<File>>>,
    },
}

impl Destination {
    /// Begins at `to`. A folder may hold other things, but no medium: two would mix.
    pub(super) fn begin(to: &Path) -> anyhow::Result<Self> {
        let is_zip = to
            .extension()
            .is_some_and(|extension| extension.eq_ignore_ascii_case("zip"));
        if is_zip {
            let unfinished = unfinished(to);
            let file = File::create(&unfinished)
                .with_context(|| format!("cannot write {}", unfinished.display()))?;
            return Ok(Self::Zip {
                to: to.to_owned(),
                unfinished,
                zip: Box::new(ZipWriter::new(BufWriter::new(file))),
            });
        }
        fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
        let unfinished = unfinished(&to.join(FOLDER_NAME));
        for taken in [to.join(FILE_NAME), to.join(FOLDER_NAME), unfinished.clone()] {
            if fs::symlink_metadata(&taken).is_ok() {
                bail!("{} exists: export to another folder", taken.display());
            }
        }
        fs::create_dir(&unfinished)
            .with_context(|| format!("cannot make {}", unfinished.display()))?;
        Ok(Self::Folder {
            to: to.to_owned(),
            unfinished,
        })
    }

    /// Writes an instance. `name` is the path that the directory gave it.
    pub(super) fn add(
        &mut self,
        archive: &Archive,
        located: &Located,
        name: &str,
    ) -> anyhow::Result<()> {
        match self {
            Self::Folder { unfinished, .. } => {
                let below = Path::new(name).strip_prefix(FOLDER_NAME)?;
                let path = unfinished.join(below);
                write_file(archive, located, &path)
                    .with_context(|| format!("cannot write {}", path.display()))
            }
            Self::Zip { zip, .. } => {
                let options = options().large_file(located.locator.length >= LARGE_BYTES);
                zip.start_file(name, options)?;
                copy(archive, located, &mut **zip)
            }
        }
    }

    /// Writes the directory and gives everything its name.
    pub(super) fn finish(self, directory: &[u8]) -> anyhow::Result<()> {
        match self {
            Self::Folder { to, unfinished } => {
                let (folder, file) = (to.join(FOLDER_NAME), to.join(FILE_NAME));
                let result =
                    fs::rename(&unfinished, &folder).and_then(|()| fs::write(&file, directory));
                if result.is_err() {
                    // As below: the failure is on its way out.
                    let _ = fs::remove_file(&file);
                    let _ = fs::remove_dir_all(&folder);
                    let _ = fs::remove_dir_all(&unfinished);
                }
                result.with_context(|| format!("cannot write {}", file.display()))
            }
            Self::Zip {
                to,
                unfinished,
                zip,
            } => {
                let result = finish_zip(zip, directory, &unfinished, &to);
                if result.is_err() {
                    // What is left of it is useless; the failure itself is already on its way out.
                    let _ = fs::remove_file(&unfinished);
                }
                result.with_context(|| format!("cannot write {}", to.display()))
            }
        }
    }

    /// Takes away what was written.
    pub(super) fn abandon(self) {
        // The failure that led here is what is told; a second one of the same disk is no news.
        let _ = match self {
            Self::Folder { unfinished, .. } => fs::remove_dir_all(unfinished),
            Self::Zip {
                zip, unfinished, ..
            } => {
                drop(zip);
                fs::remove_file(unfinished)
            }
        };
    }
}

fn options() -> SimpleFileOptions {
    SimpleFileOptions::default().unix_permissions(0o600)
}

fn finish_zip(
    mut zip: Box<ZipWriter<BufWriter<File>>>,
    directory: &[u8],
    unfinished: &Path,
    to: &Path,
) -> anyhow::Result<()> {
    zip.start_file(FILE_NAME, options())?;
    zip.write_all(directory)?;
    let file = zip
        .finish()?
        .into_inner()
        .map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    Ok(fs::rename(unfinished, to)?)
}

/// Where something grows until it is whole.
fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

fn write_file(archive: &Archive, located: &Located, path: &Path) -> anyhow::Result<()> {
    let folder = path.parent().context("it has no folder")?;
    fs::create_dir_all(folder)?;
    copy(archive, located, &mut File::create_new(path)?)
}

fn copy(archive: &Archive, located: &Located, to: &mut dyn Write) -> anyhow::Result<()> {
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut at = 0;
    while at < located.locator.length {
        let left = located.locator.length - at;
        let length = usize::try_from(left)
            .unwrap_or(CHUNK_BYTES)
            .min(CHUNK_BYTES);
        archive.read_at(located, at, &mut chunk[..length])?;
        to.write_all(&chunk[..length])?;
        at += length as u64;
    }
    Ok(())
}
