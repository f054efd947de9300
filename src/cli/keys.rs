//! What an administrator asks for, as flags: the same for our own archive (`query`) and for another
//! (`find`, `move`).

use crate::dicom::Query;
use crate::dicom::asked::{Asked, AskedError};

#[derive(Debug, clap::Args)]
pub(super) struct Keys {
    /// Patient ID; * and ? stand for any characters.
    #[arg(long)]
    patient_id: Option<String>,
    /// Patient's name, or a part of it; * and ? stand for any characters.
    #[arg(long)]
    patient_name: Option<String>,
    /// A day (YYYYMMDD or YYYY-MM-DD), or a range: A-B, A-, -B.
    #[arg(long, value_name = "A-B", allow_hyphen_values = true)]
    study_date: Option<String>,
    /// A modality of the study, such as CT.
    #[arg(long)]
    modality: Option<String>,
    /// Accession number; * and ? stand for any characters.
    #[arg(long)]
    accession: Option<String>,
}

impl Keys {
    /// The query for studies.
    pub(super) fn query(&self, limit: u32) -> Result<Query, AskedError> {
        let asked = Asked {
            patient_name: self.patient_name.as_deref().unwrap_or_default(),
            patient_id: self.patient_id.as_deref().unwrap_or_default(),
            study_date: self.study_date.as_deref().unwrap_or_default(),
            modality: self.modality.as_deref().unwrap_or_default(),
            accession_number: self.accession.as_deref().unwrap_or_default(),
        };
        asked.query(limit, 0)
    }
}
