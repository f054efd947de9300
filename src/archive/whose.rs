//! The studies of a patient that are here: for whoever has to name them all, as a list of disclosures has.

use super::{Archive, Error};
use crate::access::Scope;
use crate::dicom::query::{Key, Matching, Order};
use crate::dicom::{AttributeId, Level, Query, Uid};

/// Studies found at a time.
const PAGE_ROWS: u32 = 500;

impl Archive {
    /// The studies under a Patient ID, as it is: `*` and `?` stand for themselves.
    ///
    /// # Errors
    /// [`Error::TooBroad`] when there are more than `most`.
    pub fn studies_of_patient(
        &self,
        patient_id: &str,
        most: usize,
        scope: &Scope,
    ) -> Result<Vec<Uid>, Error> {
        let mut studies = Vec::new();
        let Some(id) = AttributeId::of_keyword("PatientID") else {
            return Ok(studies);
        };
        if patient_id.trim().is_empty() {
            return Ok(studies);
        }
        let mut offset = 0;
        loop {
            let query = Query {
                level: Level::Study,
                keys: vec![Key::Attribute(id, Matching::Single(patient_id.into()))],
                limit: PAGE_ROWS,
                offset,
                order: Order::NEWEST,
            };
            let page = self.find(&query, scope)?;
            if page.rows.is_empty() {
                return Ok(studies);
            }
            offset += page.rows.len() as u64;
            let uids = page.rows.iter().filter_map(|row| {
                let uid = row.attributes.by_keyword("StudyInstanceUID")?;
                Uid::parse(uid).ok()
            });
            studies.extend(uids);
            if studies.len() > most {
                return Err(Error::TooBroad("this patient has too many studies"));
            }
        }
    }
}
