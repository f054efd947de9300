//! Adding an instance and everything above it that is new. Counts, modalities, totals and versions
//! are kept up here and in `remove`, and counted nowhere.

use std::sync::LazyLock;

use rusqlite::{OptionalExtension as _, ToSql, params, params_from_iter};

use crate::archive::Error;
use crate::archive::index::{NewInstance, Origin};
use crate::db::order::number_order;
use crate::db::record;
use crate::db::rules::{modalities, patient_identity, sort_date, sort_name, sort_time, with_uids};
use crate::db::sqlite::connection::error;
use crate::db::sqlite::rows::{pack_sequences, table};
use crate::db::sqlite::study_lists::StudyList;
use crate::db::sqlite::terms;
use crate::db::sqlite::write::{StudyRow, Write, locator_numbers};
use crate::dicom::query::findable;
use crate::dicom::{AttributeValues, Header, Level, SEQUENCES, Uid};

impl Write<'_> {
    pub(super) fn add(&mut self, new: &NewInstance) -> Result<(), Error> {
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
        self.execute(
            "INSERT INTO study_name VALUES (?1, ?2, ?3, ?4)",
            params![
                sort_name(values.by_keyword("PatientName")),
                sort_date,
                sort_time,
                id
            ],
        )?;
        self.add_search_values(Level::Study, id, values)?;
        self.add_grams(Level::Study, id, values)?;
        self.add_sequence_values(Level::Study, id, &new.header)?;
        self.execute(
            "UPDATE patient SET studies = studies + 1 WHERE id = ?1",
            [patient],
        )?;
        self.execute(
            "INSERT INTO study_month VALUES (?1, 1) ON CONFLICT (month) DO UPDATE SET studies = studies + 1",
            [month(&sort_date)],
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
                 dataset_offset, digest, received_digest, origin, received_at_ms, sequences, frames, pattern, body";
            insert_sql(Level::Instance, own, 16)
        });
        let order = number_order(values.by_keyword("InstanceNumber"));
        let [file, offset, length] = locator_numbers(&new.locator)?;
        let origin = self.origin(&new.origin)?;
        let sequences = pack_sequences(Level::Instance, &new.header.sequence_json)?;
        let frames = new.header.frames.encode();
        let received_digest = (new.received_digest != new.digest).then_some(&new.received_digest);
        let (pattern, body) = self.body(new, series)?;
        let own: [&dyn ToSql; 16] = [
            &series,
            &order,
            &self.counters.change,
            &new.transfer_syntax_uid.as_str(),
            &file,
            &offset,
            &length,
            &new.dataset_offset,
            &new.digest,
            &received_digest,
            &origin,
            &new.received_at_ms,
            &sequences,
            &frames,
            &pattern,
            &body,
        ];
        let id = self.insert_row(&SQL, Level::Instance, &own, values)?;
        self.add_search_values(Level::Instance, id, values)?;
        self.add_sequence_values(Level::Instance, id, &new.header)?;
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

    pub(super) fn add_search_values(
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

    pub(super) fn add_grams(
        &self,
        level: Level,
        id: i64,
        values: &AttributeValues,
    ) -> Result<(), Error> {
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

/// The month of a `sort_date`, empty when that is.
pub(super) fn month(sort_date: &str) -> &str {
    sort_date.get(..6).unwrap_or_default()
}

fn insert_sql(level: Level, own: &str, count: usize) -> String {
    let table = table(level);
    let marks = vec!["?"; count + table.attributes.len()].join(", ");
    format!(
        "INSERT INTO {} ({own}, {}) VALUES ({marks})",
        table.name, table.columns
    )
}
