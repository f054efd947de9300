//! `overread export`: studies as Part 10 files, byte for byte as stored. Names are made of UIDs,
//! which hold digits and dots only. A file appears under its name when it is whole.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressStyle};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::access::Scope;
use crate::app::{self, stop::Stop};
use crate::archive::{Archive, Located, Target};
use crate::cli::{Done, Place};
use crate::dicom::Uid;

/// Instances located at a time.
const PAGE_ROWS: usize = 256;

/// How much is copied at a time. Bytes.
const CHUNK_BYTES: usize = 1 << 20;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    place: Place,
    /// Study Instance UIDs.
    #[arg(required = true, value_name = "STUDY_UID")]
    studies: Vec<Uid>,
    /// A folder, made when it is not there, or a file that ends in .zip.
    #[arg(long, value_name = "DIR|FILE.zip")]
    to: PathBuf,
}

/// Where files go.
enum Destination {
    Folder(PathBuf),
    Zip(Box<ZipWriter<BufWriter<File>>>),
}

pub(super) fn run(arguments: Arguments) -> anyhow::Result<Done> {
    let settings = arguments.place.settings()?;
    let opened = app::look(&settings)?;
    let stop = Stop::on_signals(|| {})?;
    let progress = ProgressBar::no_length().with_style(ProgressStyle::with_template(
        "{human_pos} images, {elapsed}, {per_sec}",
    )?);
    let is_zip = arguments
        .to
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("zip"));
    let unfinished = unfinished(&arguments.to);
    let mut destination = if is_zip {
        let file = File::create(&unfinished)
            .with_context(|| format!("cannot write {}", unfinished.display()))?;
        Destination::Zip(Box::new(ZipWriter::new(BufWriter::new(file))))
    } else {
        Destination::Folder(arguments.to.clone())
    };
    let mut missing = 0;
    let result = arguments.studies.iter().try_for_each(|study| {
        if export_study(opened.archive(), study, &mut destination, &stop, &progress)? == 0 {
            eprintln!("overread: there is no study {study}");
            missing += 1;
        }
        Ok(())
    });
    progress.finish_and_clear();
    let result = result.and_then(|()| match progress.position() {
        0 => bail!("nothing was exported"),
        _ => destination.finish(&unfinished, &arguments.to),
    });
    if is_zip && result.is_err() {
        // What is left of it is useless; the failure itself is already on its way out.
        let _ = fs::remove_file(&unfinished);
    }
    result?;
    writeln!(
        io::stdout(),
        "exported {} images to {}",
        progress.position(),
        arguments.to.display()
    )?;
    Ok(if missing == 0 {
        Done::Wholly
    } else {
        Done::InPart
    })
}

/// Gives the number of instances written.
fn export_study(
    archive: &Archive,
    study: &Uid,
    destination: &mut Destination,
    stop: &Stop,
    progress: &ProgressBar,
) -> anyhow::Result<u64> {
    let target = Target::Study(study.clone());
    let mut after = None;
    let mut written = 0;
    loop {
        let page = archive.locate(&target, &Scope::All, after, PAGE_ROWS)?;
        let Some(last) = page.last() else {
            return Ok(written);
        };
        after = Some(last.cursor);
        for located in &page {
            if stop.is_asked() {
                bail!("interrupted");
            }
            destination.add(archive, located)?;
            written += 1;
            progress.inc(1);
        }
    }
}

impl Destination {
    fn add(&mut self, archive: &Archive, located: &Located) -> anyhow::Result<()> {
        let folder = format!(
            "{}/{}",
            located.study_instance_uid, located.series_instance_uid
        );
        let name = format!("{}.dcm", located.sop_instance_uid);
        match self {
            Self::Folder(to) => {
                let folder = to.join(folder);
                fs::create_dir_all(&folder)
                    .with_context(|| format!("cannot make {}", folder.display()))?;
                let path = folder.join(name);
                let unfinished = unfinished(&path);
                let result = File::create(&unfinished)
                    .map_err(anyhow::Error::from)
                    .and_then(|mut file| copy(archive, located, &mut file))
                    .and_then(|()| Ok(fs::rename(&unfinished, &path)?));
                if result.is_err() {
                    // As above: the failure is on its way out.
                    let _ = fs::remove_file(&unfinished);
                }
                return result.with_context(|| format!("cannot write {}", path.display()));
            }
            Self::Zip(zip) => {
                let options = SimpleFileOptions::default()
                    .large_file(located.locator.length >= u64::from(u32::MAX))
                    .unix_permissions(0o600);
                zip.start_file(format!("{folder}/{name}"), options)?;
                copy(archive, located, &mut **zip)?;
            }
        }
        Ok(())
    }

    fn finish(self, unfinished: &Path, path: &Path) -> anyhow::Result<()> {
        match self {
            Self::Folder(_) => Ok(()),
            Self::Zip(zip) => {
                let file = zip
                    .finish()?
                    .into_inner()
                    .map_err(io::IntoInnerError::into_error)?;
                file.sync_all()?;
                Ok(fs::rename(unfinished, path)?)
            }
        }
    }
}

/// Where a file grows until it is whole.
fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    name.into()
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
