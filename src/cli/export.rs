//! `overread export`: studies as a medium (PS3.10 §8), Part 10 files byte for byte as stored and the
//! DICOMDIR that leads to them, in a folder or a ZIP archive. Names tell nothing of anybody. What
//! fails or is interrupted leaves nothing behind.

mod destination;

use std::collections::HashSet;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process;
use std::time::SystemTime;

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressStyle};

use crate::access::Scope;
use crate::app::{self, stop::Stop};
use crate::archive::{Archive, Located, Row, Target};
use crate::cli::{Done, Place};
use crate::dicom::dicomdir::{Directory, Referenced};
use crate::dicom::query::Matching;
use crate::dicom::{AttributeId, Level, Query, Uid, query};
use destination::Destination;

/// Instances located at a time.
const PAGE_ROWS: usize = 256;

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
    let (studies, missing) = found(archive, &arguments.studies)?;
    if studies.is_empty() {
        bail!("nothing was exported");
    }
    let directory = Directory::new(&file_set_uid(&arguments.studies)?)?;
    let progress = ProgressBar::no_length().with_style(ProgressStyle::with_template(
        "{human_pos} images, {elapsed}, {per_sec}",
    )?);
    let mut export = Export {
        archive,
        stop: &stop,
        progress: &progress,
        destination: Destination::begin(&arguments.to)?,
        directory,
    };
    let result = export.add_studies(&studies);
    progress.finish_and_clear();
    let Export {
        destination,
        directory,
        ..
    } = export;
    match result {
        Ok(()) => destination.finish(&directory.finish())?,
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
    Ok(if missing == 0 {
        Done::Wholly
    } else {
        Done::InPart
    })
}

/// The rows of the studies that are there, those of a patient together, each once; and how many
/// are not there.
fn found(archive: &Archive, studies: &[Uid]) -> anyhow::Result<(Vec<(Uid, Row)>, usize)> {
    let mut seen = HashSet::new();
    let mut patients: Vec<Vec<(Uid, Row)>> = Vec::new();
    let mut missing = 0;
    for study in studies {
        if !seen.insert(study) {
            continue;
        }
        let Some(row) = row_of(archive, Level::Study, &[("StudyInstanceUID", study)])? else {
            eprintln!("overread: there is no study {study}");
            missing += 1;
            continue;
        };
        let entry = (study.clone(), row);
        match patients
            .iter_mut()
            .find(|studies| is_same_patient(&studies[0].1, &entry.1))
        {
            Some(studies) => studies.push(entry),
            None => patients.push(vec![entry]),
        }
    }
    Ok((patients.into_iter().flatten().collect(), missing))
}

/// As the index sees it: without an ID nobody knows.
fn is_same_patient(one: &Row, other: &Row) -> bool {
    let value = |row: &Row, keyword| {
        let value = row.attributes.by_keyword(keyword).unwrap_or_default();
        value.to_owned()
    };
    !value(one, "PatientID").is_empty()
        && ["PatientID", "IssuerOfPatientID"]
            .iter()
            .all(|keyword| value(one, keyword) == value(other, keyword))
}

/// What the index tells of the one object under these UIDs.
fn row_of(archive: &Archive, level: Level, uids: &[(&str, &Uid)]) -> anyhow::Result<Option<Row>> {
    let keys = uids.iter().map(|(keyword, uid)| {
        let id = AttributeId::of_keyword(keyword).expect("the table has every identifying UID");
        query::Key::Attribute(id, Matching::Single(uid.as_str().into()))
    });
    let query = Query {
        level,
        keys: keys.collect(),
        is_fuzzy: false,
        limit: 1,
        offset: 0,
    };
    Ok(archive.find(&query, &Scope::All)?.rows.pop())
}

/// A name for this export and no other (PS3.5 §B.2).
fn file_set_uid(studies: &[Uid]) -> anyhow::Result<Uid> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let name = format!("{studies:?} {} {}", now.as_nanos(), process::id());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&blake3::hash(name.as_bytes()).as_bytes()[..16]);
    // RFC 9562 version 8, "of our own making".
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    Ok(Uid::parse(&format!("2.25.{}", u128::from_be_bytes(bytes)))?)
}

/// An export on its way.
struct Export<'a> {
    archive: &'a Archive,
    stop: &'a Stop,
    progress: &'a ProgressBar,
    destination: Destination,
    directory: Directory,
}

impl Export<'_> {
    fn add_studies(&mut self, studies: &[(Uid, Row)]) -> anyhow::Result<()> {
        let mut patient: Option<&Row> = None;
        for (study, row) in studies {
            if !patient.is_some_and(|patient| is_same_patient(patient, row)) {
                self.directory.add_patient(&row.attributes)?;
                patient = Some(row);
            }
            self.directory.add_study(&row.attributes)?;
            self.add_series(study)?;
        }
        Ok(())
    }

    /// All series of a study: its instances come series by series.
    fn add_series(&mut self, study: &Uid) -> anyhow::Result<()> {
        let target = Target::Study(study.clone());
        let mut after = None;
        let mut series: Option<Uid> = None;
        loop {
            let page = self
                .archive
                .locate(&target, &Scope::All, after, PAGE_ROWS)?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = Some(last.cursor);
            for located in &page {
                if self.stop.is_asked() {
                    bail!("interrupted");
                }
                let uid = &located.series_instance_uid;
                if series.as_ref() != Some(uid) {
                    let uids = [("StudyInstanceUID", study), ("SeriesInstanceUID", uid)];
                    let row = row_of(self.archive, Level::Series, &uids)?;
                    self.directory
                        .add_series(&row.context("a series was removed meanwhile")?.attributes)?;
                    series = Some(uid.clone());
                }
                self.add_instance(located)?;
            }
        }
    }

    fn add_instance(&mut self, located: &Located) -> anyhow::Result<()> {
        let target = Target::Instance(
            located.study_instance_uid.clone(),
            located.series_instance_uid.clone(),
            located.sop_instance_uid.clone(),
        );
        let prepared = self
            .archive
            .metadata(&target, &Scope::All, None, 1)?
            .pop()
            .context("an instance was removed meanwhile")?;
        let name = self.directory.add_instance(Referenced {
            sop_class_uid: &located.sop_class_uid,
            sop_instance_uid: &located.sop_instance_uid,
            transfer_syntax_uid: &located.transfer_syntax_uid,
            metadata: &prepared.metadata,
        })?;
        self.destination.add(self.archive, located, &name)?;
        self.progress.inc(1);
        Ok(())
    }
}
