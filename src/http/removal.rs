//! Removal for good, as every web door does it: who may not is told why, and nothing is removed that the audit trail does
//! not know of.

use actix_web::http::StatusCode;
use actix_web::http::header::HeaderMap;

use super::{Problem, Settings, is_foreign};
use crate::access::audit::{AuditOutcome, AuditRecord};
use crate::access::{Desk, Scope};
use crate::archive::{self, Archive, Removal, Removed, Target};
use crate::dicom::query::{Key, Matching, Order};
use crate::dicom::{AttributeId, Level, Query, Uid};

/// Whether something may be removed here, and for this request.
///
/// # Errors
/// 403 when it is switched off, and for pages of other sites.
pub(crate) fn check(headers: &HeaderMap, settings: &Settings, base: &str) -> Result<(), Problem> {
    check_allowed(settings)?;
    if is_foreign(headers, settings, base) {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "pages of this origin may not remove (http.allowed_origins)",
        ));
    }
    Ok(())
}

/// Whether something may be removed here.
///
/// # Errors
/// 403 when it is switched off.
pub(crate) fn check_allowed(settings: &Settings) -> Result<(), Problem> {
    match settings.allow_delete {
        true => Ok(()),
        false => Err(Problem::new(
            StatusCode::FORBIDDEN,
            "removal is switched off here (http.allow_delete)",
        )),
    }
}

/// Nothing is removed that the audit trail does not know of: it is told before. The index and the ledger have no
/// transaction in common, so what failed afterwards has a row of its own.
///
/// # Errors
/// 404 when there is nothing of it in the scope.
pub(crate) fn remove_and_tell(
    archive: &Archive,
    removal: Removal,
    scope: &Scope,
    desk: &Desk,
    record: AuditRecord,
) -> Result<Removed, Problem> {
    let (Target::Study(study) | Target::Series(study, _) | Target::Instance(study, ..)) =
        &removal.target;
    let record = match patient_of(archive, study, scope)? {
        Some(patient_id) => record.of_patient(patient_id),
        None => record,
    };
    if archive.locate(&removal.target, scope, None, 1)?.is_empty() {
        desk.ledger()
            .record(&record.ended(AuditOutcome::MinorFailure))?;
        return Err(Problem::not_found());
    }
    desk.ledger().record(&record)?;
    match archive.remove(removal, scope) {
        Ok(removed) => Ok(removed),
        Err(error) => {
            desk.ledger()
                .record(&record.ended(AuditOutcome::SeriousFailure))?;
            Err(error.into())
        }
    }
}

/// Whose study it is: when it is gone, nothing else tells.
fn patient_of(
    archive: &Archive,
    study: &Uid,
    scope: &Scope,
) -> Result<Option<String>, archive::Error> {
    let Some(id) = AttributeId::of_keyword("StudyInstanceUID") else {
        return Ok(None);
    };
    let query = Query {
        level: Level::Study,
        keys: vec![Key::Attribute(id, Matching::Single(study.as_str().into()))],
        limit: 1,
        offset: 0,
        order: Order::NEWEST,
    };
    let found = archive.find(&query, scope)?;
    let row = found.rows.first();
    let patient_id = row.and_then(|row| row.attributes.by_keyword("PatientID"));
    Ok(patient_id.map(str::to_owned))
}
