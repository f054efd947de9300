//! The write transaction: what it may do is told here, and done by the files of its deeds.

use rusqlite::{OptionalExtension as _, params};

use crate::archive::forwarding::Bound;
use crate::archive::index::{
    AcceptedConflict, Answered, Difference, Held, NewInstance, OwedReport, QuarantineReason,
    Quarantined, StudyPatient, Target, ToldReport, Transaction,
};
use crate::archive::queue::{Ended, Part, Pause, Queued};
use crate::archive::{Error, Locator};
use crate::db::sqlite::connection::error;
use crate::db::sqlite::packing::{BODY, BODY_JOIN, Bodies};
use crate::db::sqlite::rows::text;
use crate::db::sqlite::writer::Held as HeldWriter;
use crate::db::sqlite::{commitment, forward, quarantine, read, report};
use crate::dicom::Uid;

/// The open transaction.
pub(super) struct Write<'a> {
    pub(super) connection: HeldWriter<'a>,
    pub(super) counters: Counters,
    /// Neither committed nor kept yet.
    is_open: bool,
}

/// The row of `counters`, read at the beginning and written after each change: a disk that is full
/// must not be noticed as late as in the commit, after which nobody knows what was kept.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counters {
    pub(super) patients: i64,
    pub(super) studies: i64,
    pub(super) series: i64,
    pub(super) instances: i64,
    pub(super) blob_bytes: i64,
    pub(super) quarantined: i64,
    pub(super) change: i64,
}

/// When the log of a transaction is synced.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sync {
    /// Before its commit returns.
    AtCommit,
    /// With that of the next transaction that is synced, or when it is folded in.
    Later,
}

/// A study's row, as far as writing needs it.
pub(super) struct StudyRow {
    pub(super) id: i64,
    pub(super) patient: i64,
    pub(super) sort_date: String,
    pub(super) sort_time: String,
}

impl<'a> Write<'a> {
    /// Begins a transaction, or goes on with the one that holds what was kept when nothing has to be
    /// synced. What was kept and undone since is inserted again first.
    pub(super) fn begin(mut writer: HeldWriter<'a>, sync: Sync) -> Result<Self, Error> {
        if sync == Sync::AtCommit {
            writer.settle()?;
        }
        if let Some(counters) = writer.open_counters() {
            return Ok(Self {
                connection: writer,
                counters,
                is_open: true,
            });
        }
        writer.roll_back();
        let begin = match sync {
            Sync::AtCommit => "PRAGMA synchronous = FULL; BEGIN IMMEDIATE",
            Sync::Later => "PRAGMA synchronous = NORMAL; BEGIN IMMEDIATE",
        };
        writer.execute_batch(begin).map_err(error)?;
        let mut write = Self {
            connection: writer,
            counters: Counters::default(),
            is_open: true,
        };
        write.counters = read::counters(&write.connection)?;
        if write.connection.has_kept() {
            write.insert_kept()?;
        }
        Ok(write)
    }

    fn insert_kept(&mut self) -> Result<(), Error> {
        let kept = self.connection.take_kept();
        let inserted = kept.iter().try_for_each(|new| self.insert(new));
        self.connection.give_kept(kept);
        inserted
    }

    /// Commits, and what was kept with it.
    pub(super) fn finish(mut self) -> Result<(), Error> {
        self.is_open = false;
        self.connection.commit()
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

    pub(super) fn write_counters(&self) -> Result<(), Error> {
        let c = &self.counters;
        self.execute(
            "UPDATE counters SET patients = ?1, studies = ?2, series = ?3, instances = ?4, blob_bytes = ?5, \
             quarantined = ?6, change = ?7",
            params![c.patients, c.studies, c.series, c.instances, c.blob_bytes, c.quarantined, c.change],
        )?;
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

impl Transaction for Write<'_> {
    fn held(&mut self, sop_instance_uid: &Uid) -> Result<Option<Held>, Error> {
        let sql = "SELECT study_instance_uid, series_instance_uid, digest, transfer_syntax_uid, \
             locator_file, locator_offset, locator_length, received_digest FROM instance JOIN series ON series.id = instance.series JOIN study ON study.id = series.study WHERE sop_instance_uid = ?1";
        let mut statement = self.connection.prepare_cached(sql).map_err(error)?;
        let mut rows = statement
            .query([sop_instance_uid.as_str()])
            .map_err(error)?;
        let Some(row) = rows.next().map_err(error)? else {
            return Ok(None);
        };
        let digest = row.get(2).map_err(error)?;
        let received: Option<_> = row.get(7).map_err(error)?;
        Ok(Some(Held {
            study_instance_uid: read::uid_at(row, 0)?,
            series_instance_uid: read::uid_at(row, 1)?,
            digest,
            received_digest: received.unwrap_or(digest),
            transfer_syntax_uid: read::uid_at(row, 3)?,
            locator: read::locator_at(row, 4)?,
        }))
    }

    fn held_metadata(&mut self, sop_instance_uid: &Uid) -> Result<Option<Vec<u8>>, Error> {
        let sql = format!("SELECT {BODY} FROM instance {BODY_JOIN} WHERE sop_instance_uid = ?1");
        let mut statement = self.connection.prepare_cached(&sql).map_err(error)?;
        let mut rows = statement
            .query([sop_instance_uid.as_str()])
            .map_err(error)?;
        let Some(row) = rows.next().map_err(error)? else {
            return Ok(None);
        };
        Bodies::default().metadata(row, 0).map(Some)
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

    fn keep(mut self: Box<Self>, inserted: Vec<NewInstance>) -> Result<(), Error> {
        let counters = self.counters;
        self.connection.keep(inserted, counters);
        if self.connection.is_full() {
            return self.finish();
        }
        self.is_open = false;
        Ok(())
    }

    fn commit(self: Box<Self>) -> Result<(), Error> {
        self.finish()
    }
}

impl Drop for Write<'_> {
    fn drop(&mut self) {
        if self.is_open {
            self.connection.roll_back();
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
