//! Taking instances out, and whatever they were the last of.

use rusqlite::{params, params_from_iter};

use crate::archive::index::{Made, NewInstance, Origin, Target};
use crate::archive::{Error, Locator};
use crate::db::record::{self, Identity};
use crate::db::rules::{modalities, sort_date, sort_name, sort_time};
use crate::db::sqlite::connection::error;
use crate::db::sqlite::insert::month;
use crate::db::sqlite::packing::{BODY, BODY_JOIN, Bodies};
use crate::db::sqlite::rows::{self, table, text};
use crate::db::sqlite::study_lists::StudyList;
use crate::db::sqlite::write::Write;
use crate::db::sqlite::{forward, read, terms};
use crate::dicom::{AttributeValues, Level, SEQUENCES, Uid};

/// Instances that [`Write::take_out_all`] reads before it takes them out.
const PAGE_ROWS: usize = 500;

/// The rows an instance belongs to.
struct Place {
    instance: i64,
    series: i64,
    study: i64,
}

/// What goes, as far as the rows above must know.
struct Leaving {
    place: Place,
    identity: Identity,
    locator: Locator,
}

/// What went besides the instance.
struct Emptied {
    is_series: bool,
    is_study: bool,
}

impl Write<'_> {
    pub(super) fn take_out(
        &mut self,
        sop_instance_uid: &Uid,
    ) -> Result<Option<NewInstance>, Error> {
        let Some((place, whole)) = self.whole(sop_instance_uid)? else {
            return Ok(None);
        };
        self.drop_instance(
            &place,
            &whole.header.sop_class_uid,
            sop_instance_uid,
            &whole.locator,
        )?;
        Ok(Some(whole))
    }

    /// See [`crate::archive::index::Transaction::remove_all`].
    pub(super) fn take_out_all(
        &mut self,
        target: &Target,
        removed_at_ms: i64,
    ) -> Result<Vec<Locator>, Error> {
        let mut gone = Vec::new();
        loop {
            let page = self.some_of(target)?;
            if page.is_empty() {
                return Ok(gone);
            }
            for Leaving {
                place,
                identity,
                locator,
            } in page
            {
                let emptied = self.drop_instance(
                    &place,
                    &identity.sop_class_uid,
                    &identity.sop_instance_uid,
                    &locator,
                )?;
                self.bury(&identity, Level::Instance, removed_at_ms)?;
                forward::forget_instance(self, &identity.sop_instance_uid)?;
                if emptied.is_series {
                    self.bury(&identity, Level::Series, removed_at_ms)?;
                }
                if emptied.is_study {
                    self.bury(&identity, Level::Study, removed_at_ms)?;
                    forward::forget_study(self, &identity.study_instance_uid)?;
                }
                gone.push(locator);
            }
        }
    }

    /// Instances of a target, at most [`PAGE_ROWS`].
    fn some_of(&self, target: &Target) -> Result<Vec<Leaving>, Error> {
        let (study, series, instance) = match target {
            Target::Study(study) => (study, None, None),
            Target::Series(study, series) => (study, Some(series), None),
            Target::Instance(study, series, instance) => (study, Some(series), Some(instance)),
        };
        let mut sql = String::from(
            "SELECT instance.id, instance.series, series.study, study_instance_uid, series_instance_uid, \
             sop_instance_uid, sop_class_uid, locator_file, locator_offset, locator_length \
             FROM study JOIN series ON series.study = study.id JOIN instance ON instance.series = series.id \
             WHERE study_instance_uid = ?1",
        );
        let mut uids = vec![study.as_str()];
        if let Some(series) = series {
            sql += " AND series_instance_uid = ?2";
            uids.push(series.as_str());
        }
        if let Some(instance) = instance {
            sql += " AND sop_instance_uid = ?3";
            uids.push(instance.as_str());
        }
        sql += &format!(" LIMIT {PAGE_ROWS}");
        let mut statement = self.connection.prepare_cached(&sql).map_err(error)?;
        let mut rows = statement.query(params_from_iter(uids)).map_err(error)?;
        let mut found = Vec::new();
        while let Some(row) = rows.next().map_err(error)? {
            let id = |at| row.get::<_, i64>(at).map_err(error);
            found.push(Leaving {
                place: Place {
                    instance: id(0)?,
                    series: id(1)?,
                    study: id(2)?,
                },
                identity: Identity {
                    study_instance_uid: read::uid_at(row, 3)?,
                    series_instance_uid: read::uid_at(row, 4)?,
                    sop_instance_uid: read::uid_at(row, 5)?,
                    sop_class_uid: read::uid_at(row, 6)?,
                },
                locator: read::locator_at(row, 7)?,
            });
        }
        Ok(found)
    }

    fn drop_instance(
        &mut self,
        place: &Place,
        sop_class_uid: &Uid,
        sop_instance_uid: &Uid,
        locator: &Locator,
    ) -> Result<Emptied, Error> {
        self.counters.change += 1;
        self.forget(Level::Instance, place.instance)?;
        self.execute(
            "DELETE FROM accepted_conflict WHERE sop_instance_uid = ?1",
            [sop_instance_uid.as_str()],
        )?;
        self.counters.instances -= 1;
        let length = i64::try_from(locator.length).unwrap_or(i64::MAX);
        self.counters.blob_bytes = self.counters.blob_bytes.saturating_sub(length);
        self.count_down_sop_class(place.study, sop_class_uid)?;
        let emptied = Emptied {
            is_series: self.count_down("series", place.series)? == 0,
            is_study: self.count_down("study", place.study)? == 0,
        };
        if emptied.is_series {
            self.take_out_series(place)?;
        }
        if emptied.is_study {
            self.take_out_study(place.study)?;
        }
        Ok(emptied)
    }

    /// The instance as it was inserted.
    fn whole(&self, sop_instance_uid: &Uid) -> Result<Option<(Place, NewInstance)>, Error> {
        let sql = format!(
            "SELECT instance.id, instance.series, series.study, study_instance_uid, series_instance_uid, \
             sop_class_uid, transfer_syntax_uid, locator_file, locator_offset, locator_length, dataset_offset, digest, \
             door, sender, peer, instance.received_at_ms, frames, received_digest, {BODY} \
             FROM instance JOIN series ON series.id = instance.series JOIN study ON study.id = series.study \
             JOIN origin ON origin.id = instance.origin {BODY_JOIN} WHERE sop_instance_uid = ?1"
        );
        let mut statement = self.connection.prepare_cached(&sql).map_err(error)?;
        let mut rows = statement
            .query([sop_instance_uid.as_str()])
            .map_err(error)?;
        let Some(row) = rows.next().map_err(error)? else {
            return Ok(None);
        };
        let id = |at| row.get::<_, i64>(at).map_err(error);
        let place = Place {
            instance: id(0)?,
            series: id(1)?,
            study: id(2)?,
        };
        let identity = Identity {
            sop_class_uid: read::uid_at(row, 5)?,
            sop_instance_uid: sop_instance_uid.clone(),
            study_instance_uid: read::uid_at(row, 3)?,
            series_instance_uid: read::uid_at(row, 4)?,
        };
        let frames = record::decode_frames(read::blob_at(row, 16)?)?;
        let origin = Origin {
            door: record::door_of(row.get(12).map_err(error)?)?,
            sender: text(row, 13)?.unwrap_or_default().into(),
            peer: text(row, 14)?.unwrap_or_default().into(),
        };
        let parts = Bodies::default().parts(row, 18)?;
        let digest = row.get(11).map_err(error)?;
        let whole = NewInstance {
            received_digest: row
                .get::<_, Option<_>>(17)
                .map_err(error)?
                .unwrap_or(digest),
            header: record::header(parts, identity, frames)?,
            transfer_syntax_uid: read::uid_at(row, 6)?,
            locator: read::locator_at(row, 7)?,
            dataset_offset: row.get(10).map_err(error)?,
            digest,
            origin,
            received_at_ms: id(15)?,
            made: Made::default(),
        };
        Ok(Some((place, whole)))
    }

    /// Counts one instance less; gives how many are left.
    fn count_down(&self, table: &str, id: i64) -> Result<i64, Error> {
        let sql = format!(
            "UPDATE {table} SET instances = instances - 1, version = ?2 WHERE id = ?1 RETURNING instances"
        );
        let left = self.id_of(&sql, params![id, self.counters.change])?;
        left.ok_or_else(|| Error::broken("removing", "a row above the instance is missing"))
    }

    fn count_down_sop_class(&self, study: i64, sop_class_uid: &Uid) -> Result<(), Error> {
        let key = params![sop_class_uid.as_str(), study];
        let sql = "UPDATE study_sop_class SET instances = instances - 1 WHERE sop_class_uid = ?1 AND study = ?2 RETURNING instances";
        if self.id_of(sql, key)? == Some(0) {
            self.execute(
                "DELETE FROM study_sop_class WHERE sop_class_uid = ?1 AND study = ?2",
                key,
            )?;
            self.rewrite_list(study, StudyList::SopClasses)?;
        }
        Ok(())
    }

    fn take_out_series(&mut self, place: &Place) -> Result<(), Error> {
        let values = self.forget(Level::Series, place.series)?;
        for modality in modalities(values.by_keyword("Modality")) {
            let key = params![modality, place.study];
            let sql = "UPDATE study_modality SET series = series - 1 WHERE modality = ?1 AND study = ?2 RETURNING series";
            if self.id_of(sql, key)? == Some(0) {
                self.execute(
                    "DELETE FROM study_modality WHERE modality = ?1 AND study = ?2",
                    key,
                )?;
                self.rewrite_list(place.study, StudyList::Modalities)?;
            }
        }
        self.execute(
            "UPDATE study SET series = series - 1 WHERE id = ?1",
            [place.study],
        )?;
        self.counters.series -= 1;
        Ok(())
    }

    fn take_out_study(&mut self, study: i64) -> Result<(), Error> {
        let patient = self.id_of("SELECT patient FROM study WHERE id = ?1", [study])?;
        let patient = patient.ok_or_else(|| Error::broken("removing", "a study is missing"))?;
        let values = self.forget(Level::Study, study)?;
        let date = sort_date(values.by_keyword("StudyDate"));
        self.execute(
            "DELETE FROM study_name WHERE sort_name = ?1 AND sort_date = ?2 AND sort_time = ?3 AND study = ?4",
            params![
                sort_name(values.by_keyword("PatientName")),
                date,
                sort_time(values.by_keyword("StudyTime")),
                study
            ],
        )?;
        let sql = "UPDATE study_month SET studies = studies - 1 WHERE month = ?1 RETURNING studies";
        if self.id_of(sql, [month(&date)])? == Some(0) {
            self.execute("DELETE FROM study_month WHERE month = ?1", [month(&date)])?;
        }
        self.counters.studies -= 1;
        let sql = "UPDATE patient SET studies = studies - 1 WHERE id = ?1 RETURNING studies";
        if self.id_of(sql, [patient])? == Some(0) {
            self.forget(Level::Patient, patient)?;
            self.counters.patients -= 1;
            return Ok(());
        }
        self.set_apart(patient)
    }

    /// A study of a patient that stays has gone, perhaps the one that said what the patient says.
    fn set_apart(&self, patient: i64) -> Result<(), Error> {
        let sql = "UPDATE patient SET is_apart = 1 WHERE id = ?1 AND is_apart = 0";
        if self.execute(sql, [patient])? == 0 {
            return Ok(());
        }
        let values = self.values(Level::Patient, patient)?;
        self.add_search_values(Level::Patient, patient, &values)?;
        self.add_grams(Level::Patient, patient, &values)
    }

    /// The attributes of a row.
    fn values(&self, level: Level, id: i64) -> Result<AttributeValues, Error> {
        let table = table(level);
        let sql = format!("SELECT {} FROM {} WHERE id = ?1", table.columns, table.name);
        let mut statement = self.connection.prepare_cached(&sql).map_err(error)?;
        let mut found = statement.query([id]).map_err(error)?;
        let row = found
            .next()
            .map_err(error)?
            .ok_or_else(|| Error::broken("removing", "a row is missing"))?;
        rows::attributes(row, level, 0)
    }

    /// Deletes a row of a level and what searches find it by; gives the attributes it had.
    fn forget(&self, level: Level, id: i64) -> Result<AttributeValues, Error> {
        let table = table(level);
        let values = self.values(level, id)?;
        for attribute in &table.attributes {
            let tag = record::tag_number(attribute.attribute().tag);
            for value in terms::search_values(attribute.attribute(), values.get(*attribute)) {
                let sql = "DELETE FROM search_value WHERE level = ?1 AND attribute = ?2 AND value = ?3 AND owner = ?4";
                self.execute(sql, params![table.number, tag, value, id])?;
            }
        }
        for sequence in SEQUENCES.iter().filter(|s| s.level == level) {
            let key = params![record::tag_number(sequence.tag), id];
            self.execute(
                "DELETE FROM sequence_value WHERE sequence = ?1 AND owner = ?2",
                key,
            )?;
        }
        match level {
            Level::Patient => self.execute(
                "DELETE FROM patient_gram WHERE rowid = (SELECT id FROM patient WHERE id = ?1 AND is_apart = 1)",
                [id],
            )?,
            Level::Study => self.execute("DELETE FROM study_gram WHERE rowid = ?1", [id])?,
            Level::Series => self.execute("DELETE FROM pattern WHERE series = ?1", [id])?,
            Level::Instance => 0,
        };
        self.execute(&format!("DELETE FROM {} WHERE id = ?1", table.name), [id])?;
        Ok(values)
    }
}
