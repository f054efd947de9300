//! The study of an inbox that papers belong to. Nothing is read of what its instances say but of the one that is found, so
//! that a request of papers costs little, however much has come.

use std::ops::ControlFlow;

use crate::access::account::AccountName;
use crate::access::{Grant, Scope};
use crate::archive::{Archive, Error, Target};
use crate::dicom::opinion::Study;
use crate::dicom::{Uid, brought, sop_class};

/// Instances that are passed on the way, those that others brought too.
pub(super) const INSTANCES_MAX: u64 = 200_000;

/// Where papers belong.
#[derive(Debug)]
pub(super) enum Belonging {
    /// To a study, as the first image that came of it has it, else the first paper.
    Study(Box<Study>),
    /// To none: nothing has come.
    Nothing,
    /// There is too much to tell.
    TooMuch,
}

/// Whether an object is no image of a scanner: a report, a document, a photograph that was brought.
pub(super) fn is_paper(sop_class_uid: &str) -> bool {
    sop_class::is_report(sop_class_uid) || sop_class_uid == brought::PICTURE_SOP_CLASS_UID
}

/// The study that was chosen, if anything of it came by the inbox; else the one that came last. Blocks.
///
/// # Errors
/// When the index fails.
pub(super) fn belonging(
    archive: &Archive,
    grant: &Grant,
    chosen: Option<&Uid>,
    mut left: u64,
) -> Result<Belonging, Error> {
    archive.commit_kept()?;
    let sender = AccountName::of_link(grant.id);
    let only = || {
        grant
            .studies
            .keys()
            .next()
            .filter(|_| grant.studies.len() == 1)
    };
    let chosen = chosen.filter(|study| grant.studies.contains_key(study));
    if let Some(study) = chosen.or_else(only) {
        let found = came(archive, study, sender.as_str(), &mut left, true)?;
        match (found.first, found.is_cut) {
            (Some(first), _) => return read(archive, &first),
            (None, true) => return Ok(Belonging::TooMuch),
            (None, false) => {}
        }
    }
    let mut last = None;
    for study in grant.studies.keys() {
        let found = came(archive, study, sender.as_str(), &mut left, false)?;
        if found.is_cut {
            return Ok(Belonging::TooMuch);
        }
        if let Some(first) = found.first
            && last
                .as_ref()
                .is_none_or(|(_, at_ms)| found.last_ms > *at_ms)
        {
            last = Some((first, found.last_ms));
        }
    }
    last.map_or(Ok(Belonging::Nothing), |(first, _)| read(archive, &first))
}

/// What came of a study.
#[derive(Default)]
struct Came {
    /// The first image, else the first paper.
    first: Option<Target>,
    is_of_image: bool,
    last_ms: i64,
    is_cut: bool,
}

fn came(
    archive: &Archive,
    study: &Uid,
    sender: &str,
    left: &mut u64,
    ends_at_image: bool,
) -> Result<Came, Error> {
    let mut found = Came::default();
    let scope = Scope::of([study.clone()]);
    archive.each_arrived(&Target::Study(study.clone()), &scope, &mut |one| {
        let Some(after) = left.checked_sub(1) else {
            found.is_cut = true;
            return Ok(ControlFlow::Break(()));
        };
        *left = after;
        if one.sender != sender {
            return Ok(ControlFlow::Continue(()));
        }
        found.last_ms = found.last_ms.max(one.at_ms);
        let is_image = !is_paper(one.sop_class_uid);
        if (found.first.is_none() || (is_image && !found.is_of_image))
            && let Ok(series) = Uid::parse(one.series_instance_uid)
            && let Ok(instance) = Uid::parse(one.sop_instance_uid)
        {
            found.first = Some(Target::Instance(study.clone(), series, instance));
            found.is_of_image = is_image;
        }
        Ok(match ends_at_image && found.is_of_image {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        })
    })?;
    Ok(found)
}

fn read(archive: &Archive, first: &Target) -> Result<Belonging, Error> {
    let metadata = archive.metadata(first, &Scope::All, None, 1)?;
    let study = metadata.first();
    let study = study.and_then(|prepared| Study::of_metadata(&prepared.metadata));
    Ok(study.map_or(Belonging::Nothing, |study| {
        Belonging::Study(Box::new(study))
    }))
}
