//! The write transaction: adding an instance and everything above it that is new. Counts,
//! modalities, totals and versions are kept up here and in `remove`, and counted nowhere.

use std::sync::{LazyLock, MutexGuard};

use rusqlite::{Connection, OptionalExtension as _, ToSql, params, params_from_iter};

use crate::archive::forwarding::Bound;
use crate::archive::index::{
    AcceptedConflict, Answered, Difference, Held, NewInstance, Origin, OwedReport,
    QuarantineReason, Quarantined, StudyPatient, Target, ToldReport, Transaction,
};
use crate::archive::queue::{Ended, Part, Pause, Queued};
use crate::archive::{Error, Locator};
use crate::db::order::number_order;
use crate::db::record;
use crate::db::rules::{modalities, patient_identity, sort_date, sort_time, with_uids};
use crate::db::sqlite::connection::error;
use crate::db::sqlite::rows::{pack_sequences, table, text};
use crate::db::sqlite::study_lists::StudyList;
use crate::db::sqlite::{commitment, forward, quarantine, read, report, terms};
use crate::dicom::query::findable;
use crate::dicom::{AttributeValues, Header, Level, SEQUENCES, Uid};

/// The open transaction.
pub(super) struct Write<'a> {
    pub(super) connection: MutexGuard<'a, Connection>,
    pub(super) counters: Counters,
}

/// The row of `counters`, read at the beginning and written after each change: a disk that is full
/// must not be noticed as late as in the commit, after which nobody knows what was kept.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) patients: i64,
    pub(super) studies: i64,
    pub(super) series: i64,
    pub(super) instances: i64,
    pub(super) blob_bytes: i64,
    pub(super) quarantined: i64,
    pub(super) change: i64,
}

/// A study's row, as far as writing needs it.
pub(super) struct StudyRow {
    pub(super) id: i64,
    pub(super) patient: i64,
    pub(super) sort_date: String,
    pub(super) sort_time: String,
}

impl<'a> Write<'a> {
    pub(super) fn begin(connection: MutexGuard<'a, Connection>) -> Result<Self, Error> {
        if !connection.is_autocommit() {
            connection.execute_batch("ROLLBACK").map_err(error)?;
        }
        connection.execute_batch("BEGIN IMMEDIATE").map_err(error)?;
        let mut write = Self {
            connection,
            counters: Counters::default(),
        };
        write.counters = read::counters(&write.connection)?;
        Ok(write)
    }

    pub(super) fn execute(&self, sql: &str, values: impl rusqlite::Params) -> Result<usize, Error> {
        self.connection
            .prepare_cached(sql)
            .and_then(|mut s| s.execute(values))
            .map_err(error)
    }

    pub(super) fn id_of(
        &self,
        sql: &str,
        values: impl rusqlite::Params,
    ) -> Result<Option<i64>, Error> {
        let found = self
            .connection
            .prepare_cached(sql)
            .and_then(|mut s| s.query_row(values, |row| row.get(0)).optional());
        found.map_err(error)
    }

    fn write_counters(&self) -> Result<(), Error> {
        let c = &self.counters;
        self.execute(
            "UPDATE counters SET patients = ?1, studies = ?2, series = ?3, instances = ?4, blob_bytes = ?5, \
             quarantined = ?6, change = ?7",
            params![c.patients, c.studies, c.series, c.instances, c.blob_bytes, c.quarantined, c.change],
        )?;
        Ok(())
    }

    fn add(&mut self, new: &NewInstance) -> Result<(), Error> {
        self.counters.change += 1;
        let values = with_uids(&new.header);
        let study = match self.study(&new.header.study_instance_uid)? {
            Some(study) => study,
            None => {
                self.exhume(&new.header, Level::Study)?;
                self.add_study(new, &values)?
            }
        };
        let series = match self.id_of(
            "SELECT id FROM series WHERE series_instance_uid = ?1 AND study = ?2",
            params![new.header.series_instance_uid.as_str(), study.id],
        )? {
            Some(series) => series,
            None => {
                self.exhume(&new.header, Level::Series)?;
                self.add_series(new, &values, &study)?
            }
        };
        self.exhume(&new.header, Level::Instance)?;
        self.add_instance(new, &values, series)?;
        self.add_sop_class(study.id, &new.header.sop_class_uid)?;
        self.count_instance(new, series, &study)
    }

    pub(super) fn study(&self, uid: &Uid) -> Result<Option<StudyRow>, Error> {
        let sql =
            "SELECT id, patient, sort_date, sort_time FROM study WHERE study_instance_uid = ?1";
        let mut statement = self.connection.prepare_cached(sql).map_err(error)?;
        let found = statement.query_row([uid.as_str()], |row| {
            Ok(StudyRow {
                id: row.get(0)?,
                patient: row.get(1)?,
                sort_date: row.get(2)?,
                sort_time: row.get(3)?,
            })
        });
        found.optional().map_err(error)
    }

    fn add_study(
        &mut self,
        new: &NewInstance,
        values: &AttributeValues,
    ) -> Result<StudyRow, Error> {
        let patient = self.patient(new, values)?;
        let sort_date = sort_date(values.by_keyword("StudyDate"));
        let sort_time = sort_time(values.by_keyword("StudyTime"));
        let sequences = pack_sequences(Level::Study, &new.header.sequence_json)?;
        static SQL: LazyLock<String> = LazyLock::new(|| {
            insert_sql(
                Level::Study,
                "patient, sort_date, sort_time, received_at_ms, version, sequences",
                6,
            )
        });
        let own: [&dyn ToSql; 6] = [
            &patient,
            &sort_date,
            &sort_time,
            &new.received_at_ms,
            &self.counters.change,
            &sequences,
        ];
        let id = self.insert_row(&SQL, Level::Study, &own, values)?;
        self.add_search_values(Level::Study, id, values)?;
        self.add_grams(Level::Study, id, values)?;
        self.add_sequence_values(Level::Study, id, &new.header)?;
        self.execute(
            "UPDATE patient SET studies = studies + 1 WHERE id = ?1",
            [patient],
        )?;
        self.counters.studies += 1;
        Ok(StudyRow {
            id,
            patient,
            sort_date,
            sort_time,
        })
    }

    fn patient(&mut self, new: &NewInstance, values: &AttributeValues) -> Result<i64, Error> {
        let identity = patient_identity(values, &new.header.study_instance_uid);
        if let Some(id) = self.id_of("SELECT id FROM patient WHERE identity = ?1", [&identity])? {
            return Ok(id);
        }
        static SQL: LazyLock<String> =
            LazyLock::new(|| insert_sql(Level::Patient, "identity, received_at_ms", 2));
        let id = self.insert_row(
            &SQL,
            Level::Patient,
            &[&identity, &new.received_at_ms],
            values,
        )?;
        self.add_search_values(Level::Patient, id, values)?;
        self.add_grams(Level::Patient, id, values)?;
        self.counters.patients += 1;
        Ok(id)
    }

    fn add_series(
        &mut self,
        new: &NewInstance,
        values: &AttributeValues,
        study: &StudyRow,
    ) -> Result<i64, Error> {
        let order = number_order(values.by_keyword("SeriesNumber"));
        let sequences = pack_sequences(Level::Series, &new.header.sequence_json)?;
        static SQL: LazyLock<String> = LazyLock::new(|| {
            insert_sql(
                Level::Series,
                "study, series_order, received_at_ms, version, sequences",
                5,
            )
        });
        let own: [&dyn ToSql; 5] = [
            &study.id,
            &order,
            &new.received_at_ms,
            &self.counters.change,
            &sequences,
        ];
        let id = self.insert_row(&SQL, Level::Series, &own, values)?;
        self.add_search_values(Level::Series, id, values)?;
        self.add_sequence_values(Level::Series, id, &new.header)?;
        let mut is_new = false;
        for modality in modalities(values.by_keyword("Modality")) {
            is_new |= self.add_modality(study, modality)?;
        }
        if is_new {
            self.rewrite_list(study.id, StudyList::Modalities)?;
        }
        self.execute(
            "UPDATE study SET series = series + 1 WHERE id = ?1",
            [study.id],
        )?;
        self.counters.series += 1;
        Ok(id)
    }

    fn add_instance(
        &mut self,
        new: &NewInstance,
        values: &AttributeValues,
        series: i64,
    ) -> Result<(), Error> {
        static SQL: LazyLock<String> = LazyLock::new(|| {
            let own = "series, instance_order, version, transfer_syntax_uid, locator_file, locator_offset, locator_length, \
                 dataset_offset, digest, origin, received_at_ms, sequences, frames";
            insert_sql(Level::Instance, own, 13)
        });
        let order = number_order(values.by_keyword("InstanceNumber"));
        let [file, offset, length] = locator_numbers(&new.locator)?;
        let origin = self.origin(&new.origin)?;
        let sequences = pack_sequences(Level::Instance, &new.header.sequence_json)?;
        let frames = new.header.frames.encode();
        let own: [&dyn ToSql; 13] = [
            &series,
            &order,
            &self.counters.change,
            &new.transfer_syntax_uid.as_str(),
            &file,
            &offset,
            &length,
            &new.dataset_offset,
            &new.digest,
            &origin,
            &new.received_at_ms,
            &sequences,
            &frames,
        ];
        let id = self.insert_row(&SQL, Level::Instance, &own, values)?;
        self.add_search_values(Level::Instance, id, values)?;
        self.add_sequence_values(Level::Instance, id, &new.header)?;
        self.execute(
            "INSERT INTO metadata VALUES (?1, ?2)",
            params![id, record::pack_stored(new)?],
        )?;
        self.counters.instances += 1;
        self.counters.blob_bytes = self.counters.blob_bytes.saturating_add(length);
        Ok(())
    }

    fn origin(&self, origin: &Origin) -> Result<i64, Error> {
        let key = params![record::door_number(origin.door), origin.sender, origin.peer];
        if let Some(id) = self.id_of(
            "SELECT id FROM origin WHERE door = ?1 AND sender = ?2 AND peer = ?3",
            key,
        )? {
            return Ok(id);
        }
        self.execute(
            "INSERT INTO origin (door, sender, peer) VALUES (?1, ?2, ?3)",
            key,
        )?;
        Ok(self.connection.last_insert_rowid())
    }

    fn count_instance(
        &self,
        new: &NewInstance,
        series: i64,
        study: &StudyRow,
    ) -> Result<(), Error> {
        let (received, version) = (new.received_at_ms, self.counters.change);
        for (sql, id) in [
            (
                "UPDATE series SET instances = instances + 1, received_at_ms = max(received_at_ms, ?2), version = ?3 WHERE id = ?1",
                series,
            ),
            (
                "UPDATE study SET instances = instances + 1, received_at_ms = max(received_at_ms, ?2), version = ?3 WHERE id = ?1",
                study.id,
            ),
        ] {
            self.execute(sql, params![id, received, version])?;
        }
        let patient = "UPDATE patient SET received_at_ms = max(received_at_ms, ?2) WHERE id = ?1";
        self.execute(patient, params![study.patient, received])?;
        Ok(())
    }

    fn insert_row(
        &self,
        sql: &str,
        level: Level,
        own: &[&dyn ToSql],
        values: &AttributeValues,
    ) -> Result<i64, Error> {
        let attributes: Vec<Option<&str>> = table(level)
            .attributes
            .iter()
            .map(|id| values.get(*id))
            .collect();
        let all = own
            .iter()
            .copied()
            .chain(attributes.iter().map(|v| v as &dyn ToSql));
        self.execute(sql, params_from_iter(all))?;
        Ok(self.connection.last_insert_rowid())
    }

    fn add_search_values(
        &self,
        level: Level,
        owner: i64,
        values: &AttributeValues,
    ) -> Result<(), Error> {
        let table = table(level);
        for id in &table.attributes {
            let attribute = id.attribute();
            for value in terms::search_values(attribute, values.get(*id)) {
                let key = params![
                    table.number,
                    record::tag_number(attribute.tag),
                    value,
                    owner
                ];
                self.execute("INSERT INTO search_value VALUES (?1, ?2, ?3, ?4)", key)?;
            }
        }
        Ok(())
    }

    fn add_grams(&self, level: Level, id: i64, values: &AttributeValues) -> Result<(), Error> {
        let mut document = String::new();
        for attribute in &table(level).attributes {
            terms::push_grams(
                *attribute,
                values.get(*attribute).unwrap_or_default(),
                &mut document,
            );
        }
        let sql = match level {
            Level::Patient => "INSERT INTO patient_gram (rowid, gram) VALUES (?1, ?2)",
            _ => "INSERT INTO study_gram (rowid, gram) VALUES (?1, ?2)",
        };
        self.execute(sql, params![id, document])?;
        Ok(())
    }

    fn add_sequence_values(&self, level: Level, owner: i64, header: &Header) -> Result<(), Error> {
        for value in &header.sequences {
            let Some(sequence) = SEQUENCES
                .get(usize::from(value.sequence))
                .filter(|s| s.level == level)
            else {
                continue;
            };
            let Some((attribute, _, _)) = sequence.items.get(usize::from(value.attribute)) else {
                continue;
            };
            let (sequence, attribute) = (
                record::tag_number(sequence.tag),
                record::tag_number(*attribute),
            );
            for one in findable(&value.value).split('\\') {
                self.execute(
                    "INSERT OR IGNORE INTO sequence_value VALUES (?1, ?2, ?3, ?4, ?5)",
                    params![
                        sequence,
                        owner,
                        value.item,
                        attribute,
                        one.trim_matches(' ')
                    ],
                )?;
            }
        }
        Ok(())
    }
}

pub(super) fn locator_numbers(locator: &Locator) -> Result<[i64; 3], Error> {
    let number =
        |n| i64::try_from(n).map_err(|_| Error::broken("indexing", "a locator is out of range"));
    Ok([
        number(locator.file)?,
        number(locator.offset)?,
        number(locator.length)?,
    ])
}

fn insert_sql(level: Level, own: &str, count: usize) -> String {
    let table = table(level);
    let marks = vec!["?"; count + table.attributes.len()].join(", ");
    format!(
        "INSERT INTO {} ({own}, {}) VALUES ({marks})",
        table.name, table.columns
    )
}

impl Transaction for Write<'_> {
    fn held(&mut self, sop_instance_uid: &Uid) -> Result<Option<Held>, Error> {
        let sql = "SELECT study_instance_uid, series_instance_uid, digest, transfer_syntax_uid, \
             locator_file, locator_offset, locator_length, body FROM instance \
             JOIN metadata ON metadata.instance = instance.id JOIN series ON series.id = instance.series JOIN study ON study.id = series.study WHERE sop_instance_uid = ?1";
        let mut statement = self.connection.prepare_cached(sql).map_err(error)?;
        let mut rows = statement
            .query([sop_instance_uid.as_str()])
            .map_err(error)?;
        let Some(row) = rows.next().map_err(error)? else {
            return Ok(None);
        };
        let digest = row.get(2).map_err(error)?;
        let body = record::unpack(read::blob_at(row, 7)?)?;
        Ok(Some(Held {
            study_instance_uid: read::uid_at(row, 0)?,
            series_instance_uid: read::uid_at(row, 1)?,
            digest,
            received_digest: body.record.received_digest(digest),
            transfer_syntax_uid: read::uid_at(row, 3)?,
            locator: read::locator_at(row, 4)?,
        }))
    }

    fn held_metadata(&mut self, sop_instance_uid: &Uid) -> Result<Option<Vec<u8>>, Error> {
        let sql = "SELECT body FROM metadata WHERE instance = (SELECT id FROM instance WHERE sop_instance_uid = ?1)";
        let mut statement = self.connection.prepare_cached(sql).map_err(error)?;
        let mut rows = statement
            .query([sop_instance_uid.as_str()])
            .map_err(error)?;
        let Some(row) = rows.next().map_err(error)? else {
            return Ok(None);
        };
        record::metadata(read::blob_at(row, 0)?).map(Some)
    }

    fn study_patient(&mut self, study_instance_uid: &Uid) -> Result<Option<StudyPatient>, Error> {
        let sql = "SELECT patient_id, issuer_of_patient_id, patient_name, patient_birth_date FROM study \
             WHERE study_instance_uid = ?1";
        let mut statement = self.connection.prepare_cached(sql).map_err(error)?;
        let mut rows = statement
            .query([study_instance_uid.as_str()])
            .map_err(error)?;
        let Some(row) = rows.next().map_err(error)? else {
            return Ok(None);
        };
        Ok(Some(StudyPatient {
            patient_id: text(row, 0)?.unwrap_or_default().into(),
            issuer_of_patient_id: text(row, 1)?.unwrap_or_default().into(),
            patient_name: text(row, 2)?.unwrap_or_default().into(),
            patient_birth_date: text(row, 3)?.unwrap_or_default().into(),
        }))
    }

    fn insert(&mut self, new: &NewInstance) -> Result<(), Error> {
        self.add(new)?;
        self.write_counters()
    }

    fn remove(&mut self, sop_instance_uid: &Uid) -> Result<Option<NewInstance>, Error> {
        let gone = self.take_out(sop_instance_uid)?;
        self.write_counters()?;
        Ok(gone)
    }

    fn remove_all(&mut self, target: &Target, removed_at_ms: i64) -> Result<Vec<Locator>, Error> {
        let gone = self.take_out_all(target, removed_at_ms)?;
        self.write_counters()?;
        Ok(gone)
    }

    fn answer(&mut self, transaction_uid: &Uid, answered: &Answered) -> Result<bool, Error> {
        commitment::answer(self, transaction_uid, answered)
    }

    fn expire_answers(&mut self, expired_ms: i64, forgotten_ms: i64) -> Result<(), Error> {
        commitment::expire(self, expired_ms, forgotten_ms)
    }

    fn revise_answer(&mut self, transaction_uid: &Uid, answer: &str) -> Result<(), Error> {
        commitment::revise(self, transaction_uid, answer)
    }

    fn owe_report(&mut self, owed: &OwedReport) -> Result<(), Error> {
        report::owe(self, owed)
    }

    fn settle_report(&mut self, transaction_uid: &Uid) -> Result<(), Error> {
        report::settle(self, transaction_uid)
    }

    fn keep_told(&mut self, told: &ToldReport, keep_max: usize) -> Result<(), Error> {
        report::keep_told(self, told, keep_max)
    }

    fn quarantine(
        &mut self,
        new: &NewInstance,
        reason: QuarantineReason,
        differences: &[Difference],
    ) -> Result<(i64, bool), Error> {
        let held = quarantine::hold(self, new, reason, differences)?;
        self.write_counters()?;
        Ok(held)
    }

    fn release(&mut self, id: i64) -> Result<Option<Quarantined>, Error> {
        let released = quarantine::release(self, id)?;
        self.write_counters()?;
        Ok(released)
    }

    fn queue(
        &mut self,
        new: &NewInstance,
        bound: &[Bound<'_>],
        now_ms: i64,
        stable_at_ms: i64,
        is_replacement: bool,
    ) -> Result<(), Error> {
        forward::queue(self, new, bound, now_ms, stable_at_ms, is_replacement)
    }

    fn begin_attempt(&mut self, destination: &str, queued: &Queued) -> Result<(), Error> {
        forward::begin_attempt(self, destination, queued)
    }

    fn end_attempt(&mut self, destination: &str, ended: &Ended, now_ms: i64) -> Result<(), Error> {
        forward::end_attempt(self, destination, ended, now_ms)
    }

    fn settle(&mut self, destination: &str, study_instance_uid: &Uid) -> Result<(), Error> {
        forward::settle(self, destination, study_instance_uid)
    }

    fn set_pause(&mut self, destination: &str, pause: Option<&Pause>) -> Result<(), Error> {
        forward::set_pause(self, destination, pause)
    }

    fn give_up(
        &mut self,
        destination: &str,
        queued_before_ms: i64,
        reason: &str,
    ) -> Result<u64, Error> {
        forward::give_up(self, destination, queued_before_ms, reason)
    }

    fn retry(&mut self, part: Part<'_>, now_ms: i64) -> Result<u64, Error> {
        forward::retry(self, part, now_ms)
    }

    fn unqueue(&mut self, part: Part<'_>) -> Result<u64, Error> {
        forward::unqueue(self, part)
    }

    fn note_conflict(&mut self, conflict: &AcceptedConflict) -> Result<(), Error> {
        quarantine::note_conflict(self, conflict)
    }

    fn commit(self: Box<Self>) -> Result<(), Error> {
        self.connection.execute_batch("COMMIT").map_err(error)
    }
}

impl Drop for Write<'_> {
    fn drop(&mut self) {
        if !self.connection.is_autocommit() {
            // A rollback that fails leaves the transaction open; the next begin() tries again and reports.
            self.connection.execute_batch("ROLLBACK").ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::archive::Index as _;
    use crate::archive::index::QuarantineReason;
    use crate::db::Sqlite;
    use crate::db::contract::sample::{insert, remove, sample, uid};

    #[test]
    fn counters_that_cannot_be_written_fail_before_the_commit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("index.sqlite");
        let index = Sqlite::open(&path, 1).unwrap();
        insert(&index, &[sample(1, 1, 1)]);
        let mut transaction = index.begin().unwrap();
        let held = transaction
            .quarantine(&sample(1, 1, 2), QuarantineReason::Duplicate, &[])
            .unwrap();
        transaction.commit().unwrap();
        let before = index.totals().unwrap();
        let other = rusqlite::Connection::open(&path).unwrap();
        other
            .execute_batch(
                "CREATE TRIGGER full BEFORE UPDATE ON counters BEGIN SELECT RAISE(ABORT, 'full'); END",
            )
            .unwrap();
        let begin = || index.begin().unwrap();
        assert!(begin().insert(&sample(2, 1, 1)).is_err());
        assert!(begin().remove(&uid("1.1.1.1")).is_err());
        assert!(begin().release(held.0).is_err());
        let quarantined = begin().quarantine(&sample(2, 1, 1), QuarantineReason::Displaced, &[]);
        assert!(quarantined.is_err());
        // The commit itself counts nothing.
        begin().commit().unwrap();
        other.execute_batch("DROP TRIGGER full").unwrap();
        assert_eq!(index.totals().unwrap(), before);
        assert!(remove(&index, "1.1.1.1").is_some());
    }
}
