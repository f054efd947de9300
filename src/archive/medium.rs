//! What goes on a medium (PS3.10 §8): the instances of some studies, series or instances in the
//! order of its DICOMDIR, each with the name that its file gets, and at the end the DICOMDIR.
//! Writing files, packing and sending is left to who asks.
//!
//! Held in memory are a page of instances and the directory: about half a kilobyte for each
//! instance given so far.

use std::collections::{HashSet, VecDeque};

use crate::access::Scope;
use crate::archive::index::Cursor;
use crate::archive::patient::is_same_patient;
use crate::archive::{Archive, Error, Located, Row, Target};
use crate::dicom::dicomdir::{Directory, DirectoryError, Referenced};
use crate::dicom::query::{self, Matching, Order};
use crate::dicom::{AttributeId, Level, Query, Uid};

/// Instances located at a time.
const PAGE_ROWS: usize = 16;

/// A medium in the making.
pub struct Medium {
    archive: Archive,
    scope: Scope,
    directory: Directory,
    /// What is to come, each with the row of its study, those of a patient together.
    targets: VecDeque<(Target, Row)>,
    /// The study begun last; says whose it is.
    study: Option<Row>,
    /// The target whose instances are being given, and how far.
    open: Option<(Target, Option<Cursor>)>,
    page: VecDeque<Located>,
    series: Option<Uid>,
}

impl Medium {
    /// A medium of these, each once; and those that are not there.
    ///
    /// # Errors
    /// When the index fails.
    pub fn of(
        archive: &Archive,
        scope: &Scope,
        targets: &[Target],
    ) -> Result<(Self, Vec<Target>), Error> {
        let mut seen = HashSet::new();
        let mut patients: Vec<Vec<(Target, Row)>> = Vec::new();
        let mut missing = Vec::new();
        for target in targets.iter().filter(|target| seen.insert(*target)) {
            let uids = [("StudyInstanceUID", study_of(target))];
            let row = match archive.version(target, scope)? {
                Some(_) => row_of(archive, scope, Level::Study, &uids)?,
                None => None,
            };
            let Some(row) = row else {
                missing.push(target.clone());
                continue;
            };
            let same = patients
                .iter_mut()
                .find(|targets| is_same_patient(&targets[0].1, &row));
            match same {
                Some(targets) => targets.push((target.clone(), row)),
                None => patients.push(vec![(target.clone(), row)]),
            }
        }
        let medium = Self {
            archive: archive.clone(),
            scope: scope.clone(),
            directory: Directory::new(&Uid::fresh()).map_err(error)?,
            targets: patients.into_iter().flatten().collect(),
            study: None,
            open: None,
            page: VecDeque::new(),
            series: None,
        };
        Ok((medium, missing))
    }

    /// Whether there is nothing to put on it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty() && self.open.is_none() && self.page.is_empty()
    }

    /// The next instance and the name of its file: a path from the root of the medium, components
    /// joined by slashes. `None` after the last.
    ///
    /// # Errors
    /// When the index fails, something was removed meanwhile, or there are too many for a DICOMDIR.
    pub fn next_file(&mut self) -> Result<Option<(String, Located)>, Error> {
        loop {
            if let Some(located) = self.page.pop_front() {
                return Ok(Some((self.add(&located)?, located)));
            }
            if let Some((target, after)) = self.open.take() {
                let page = self
                    .archive
                    .locate(&target, &self.scope, after, PAGE_ROWS)?;
                if let Some(last) = page.last() {
                    self.open = Some((target, Some(last.cursor)));
                }
                self.page = page.into();
            } else if let Some((target, row)) = self.targets.pop_front() {
                self.begin_study(row)?;
                self.open = Some((target, None));
            } else {
                return Ok(None);
            }
        }
    }

    /// The file DICOMDIR, when every instance was given.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.directory.finish()
    }

    fn begin_study(&mut self, row: Row) -> Result<(), Error> {
        let before = self.study.as_ref();
        if !before.is_some_and(|before| is_same_patient(before, &row)) {
            self.directory.add_patient(&row.attributes).map_err(error)?;
        }
        self.directory.add_study(&row.attributes).map_err(error)?;
        self.study = Some(row);
        self.series = None;
        Ok(())
    }

    /// Adds an instance to the directory, its series before it: they come series by series.
    fn add(&mut self, located: &Located) -> Result<String, Error> {
        let uid = &located.series_instance_uid;
        if self.series.as_ref() != Some(uid) {
            let uids = [
                ("StudyInstanceUID", &located.study_instance_uid),
                ("SeriesInstanceUID", uid),
            ];
            let row = row_of(&self.archive, &self.scope, Level::Series, &uids)?;
            let row = row.ok_or(Error::NotFound)?;
            self.directory.add_series(&row.attributes).map_err(error)?;
            self.series = Some(uid.clone());
        }
        let target = Target::Instance(
            located.study_instance_uid.clone(),
            located.series_instance_uid.clone(),
            located.sop_instance_uid.clone(),
        );
        let prepared = self
            .archive
            .metadata(&target, &self.scope, None, 1)?
            .pop()
            .ok_or(Error::NotFound)?;
        let referenced = Referenced {
            sop_class_uid: &located.sop_class_uid,
            sop_instance_uid: &located.sop_instance_uid,
            transfer_syntax_uid: &located.transfer_syntax_uid,
            metadata: &prepared.metadata,
        };
        self.directory.add_instance(referenced).map_err(error)
    }
}

fn error(error: DirectoryError) -> Error {
    Error::broken("making a DICOMDIR", error)
}

const fn study_of(target: &Target) -> &Uid {
    match target {
        Target::Study(study) | Target::Series(study, _) | Target::Instance(study, ..) => study,
    }
}

/// What the index tells of the one object under these UIDs.
fn row_of(
    archive: &Archive,
    scope: &Scope,
    level: Level,
    uids: &[(&str, &Uid)],
) -> Result<Option<Row>, Error> {
    let keys = uids.iter().map(|(keyword, uid)| {
        let id = AttributeId::of_keyword(keyword).expect("the table has every identifying UID");
        query::Key::Attribute(id, Matching::Single(uid.as_str().into()))
    });
    let query = Query {
        level,
        keys: keys.collect(),
        limit: 1,
        offset: 0,
        order: Order::NEWEST,
    };
    Ok(archive.find(&query, scope)?.rows.pop())
}
