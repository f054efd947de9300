//! What a study is made of: its modalities and SOP classes, counted in tables of their own and
//! listed in the study's row, so that no search counts them (PS3.18 Table 10.6.3-3).

use rusqlite::params;

use crate::archive::Error;
use crate::db::sqlite::connection::error;
use crate::db::sqlite::write::{StudyRow, Write};
use crate::dicom::Uid;

/// A list that a study's row keeps of what is in it.
#[derive(Debug, Clone, Copy)]
pub(super) enum StudyList {
    Modalities,
    SopClasses,
}

impl Write<'_> {
    /// Whether the study had none of this modality before.
    pub(super) fn add_modality(&self, study: &StudyRow, modality: &str) -> Result<bool, Error> {
        let key = params![modality, study.sort_date, study.sort_time, study.id];
        let known = "UPDATE study_modality SET series = series + 1 \
             WHERE modality = ?1 AND sort_date = ?2 AND sort_time = ?3 AND study = ?4";
        let is_new = self.execute(known, key)? == 0;
        if is_new {
            self.execute("INSERT INTO study_modality VALUES (?1, ?2, ?3, ?4, 1)", key)?;
        }
        Ok(is_new)
    }

    pub(super) fn add_sop_class(&self, study: i64, sop_class_uid: &Uid) -> Result<(), Error> {
        let key = params![sop_class_uid.as_str(), study];
        let known = "UPDATE study_sop_class SET instances = instances + 1 WHERE sop_class_uid = ?1 AND study = ?2";
        if self.execute(known, key)? == 0 {
            self.execute("INSERT INTO study_sop_class VALUES (?1, ?2, 1)", key)?;
            self.rewrite_list(study, StudyList::SopClasses)?;
        }
        Ok(())
    }

    /// Writes the list in the study's row anew after its table has changed.
    pub(super) fn rewrite_list(&self, study: i64, list: StudyList) -> Result<(), Error> {
        let (select, update) = match list {
            StudyList::Modalities => (
                "SELECT DISTINCT modality FROM study_modality WHERE study = ?1 ORDER BY modality",
                "UPDATE study SET modalities_in_study = ?2 WHERE id = ?1",
            ),
            StudyList::SopClasses => (
                "SELECT sop_class_uid FROM study_sop_class WHERE study = ?1 ORDER BY sop_class_uid",
                "UPDATE study SET sop_classes_in_study = ?2 WHERE id = ?1",
            ),
        };
        let mut statement = self.connection.prepare_cached(select).map_err(error)?;
        let members = statement
            .query_map([study], |row| row.get::<_, String>(0))
            .map_err(error)?;
        let members: Vec<String> = members.collect::<Result<_, _>>().map_err(error)?;
        self.execute(update, params![study, members.join("\\")])?;
        Ok(())
    }
}
