//! What a document copies of its study, out of the prepared metadata of one of the study's instances.

use super::read::coded;
use super::{Code, Study};
use crate::dicom::Uid;
use crate::dicom::json::prepared::{items, members, text};

impl Study {
    /// The study of an instance, with the modality of that instance; `None` when it names no study. Target regions are left
    /// to the caller.
    #[must_use]
    pub fn of_metadata(metadata: &[u8]) -> Option<Self> {
        let mut study_instance_uid = None;
        let mut procedures: Vec<Code> = Vec::new();
        let mut modalities = Vec::new();
        let mut texts: [String; 11] = Default::default();
        for (tag, member) in members(metadata) {
            let at = match tag {
                b"00100010" => 0,
                b"00100020" => 1,
                b"00100021" => 2,
                b"00100030" => 3,
                b"00100040" => 4,
                b"00080020" => 5,
                b"00080030" => 6,
                b"00200010" => 7,
                b"00081030" => 8,
                b"00080050" => 9,
                b"00080090" => 10,
                b"0020000D" => {
                    study_instance_uid = text(member).and_then(|uid| Uid::parse(&uid).ok());
                    continue;
                }
                b"00080060" => {
                    modalities.extend(text(member));
                    continue;
                }
                b"00081032" => {
                    procedures.extend(items(member).into_iter().flatten().filter_map(coded));
                    continue;
                }
                _ => continue,
            };
            texts[at] = text(member).unwrap_or_default();
        }
        let [
            patient_name,
            patient_id,
            issuer_of_patient_id,
            patient_birth_date,
            patient_sex,
            study_date,
            study_time,
            study_id,
            study_description,
            accession_number,
            referring_physician_name,
        ] = texts;
        Some(Self {
            patient_name,
            patient_id,
            issuer_of_patient_id,
            patient_birth_date,
            patient_sex,
            study_instance_uid: study_instance_uid?,
            study_date,
            study_time,
            study_id,
            study_description,
            accession_number,
            referring_physician_name,
            modalities,
            procedures,
            target_regions: Vec::new(),
        })
    }
}
