//! `overread export`: studies as a medium (PS3.10 §8), Part 10 files byte for byte as stored and the
//! DICOMDIR that leads to them, in a folder or a ZIP archive. Names tell nothing of anybody. What
//! fails or is interrupted leaves nothing behind.

mod destination;

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressStyle};

use crate::access::Scope;
use crate::access::audit::{ActionCode, AuditRecord, Event};
use crate::app::{self, stop::Stop};
use crate::archive::{Archive, Medium, Target};
use crate::cli::{Done, Place, shell};
use crate::dicom::Uid;
use destination::Destination;

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

pub(super) fn run(arguments: Arguments) -> anyhow::Result<Done> {
    let settings = arguments.place.settings()?;
    let opened = app::look(&settings)?;
    let archive = opened.archive();
    let stop = Stop::on_signals(|| {})?;
    let targets: Vec<_> = arguments.studies.into_iter().map(Target::Study).collect();
    let (medium, missing) = Medium::of(archive, &Scope::All, &targets)?;
    for target in &missing {
        if let Target::Study(study) = target {
            eprintln!("overread: there is no study {study}");
        }
    }
    if medium.is_empty() {
        bail!("nothing was exported");
    }
    let record = AuditRecord::new(
        Event::Export,
        ActionCode::Read,
        shell::actor(),
        shell::now_ms(),
    );
    let there = targets.iter().filter(|target| !missing.contains(target));
    let record = there.fold(record, |record, target| match target {
        Target::Study(study) => record.about(study),
        Target::Series(..) | Target::Instance(..) => record,
    });
    shell::tell(&settings, &record);
    let progress = ProgressBar::no_length().with_style(ProgressStyle::with_template(
        "{human_pos} images, {elapsed}, {per_sec}",
    )?);
    let mut destination = Destination::begin(&arguments.to)?;
    let written = write(archive, &stop, &progress, medium, &mut destination);
    progress.finish_and_clear();
    match written {
        Ok(directory) => destination.finish(&directory)?,
        Err(error) => {
            destination.abandon();
            return Err(error);
        }
    }
    writeln!(
        io::stdout(),
        "exported {} images to {}",
        progress.position(),
        arguments.to.display()
    )?;
    Ok(if missing.is_empty() {
        Done::Wholly
    } else {
        Done::InPart
    })
}

/// Writes every instance. Gives the DICOMDIR.
fn write(
    archive: &Archive,
    stop: &Stop,
    progress: &ProgressBar,
    mut medium: Medium,
    destination: &mut Destination,
) -> anyhow::Result<Vec<u8>> {
    while let Some((name, located)) = medium.next_file().context("an image cannot be exported")? {
        if stop.is_asked() {
            bail!("interrupted");
        }
        destination.add(archive, &located, &name)?;
        progress.inc(1);
    }
    Ok(medium.finish())
}
