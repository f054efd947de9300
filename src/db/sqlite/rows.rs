//! Rows of the four level tables: which attributes each has as columns, and how an answer of a
//! search is put together from them. All column lists are made from `dicom::ATTRIBUTES`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use rusqlite::{Connection, OptionalExtension as _, Row as SqlRow};

use crate::archive::{Error, Row};
use crate::db::record::{sequence_position, tag_number, uid};
use crate::db::sqlite::connection::error;
use crate::db::sqlite::seen::{Seen, Sight};
use crate::dicom::{ATTRIBUTES, AttributeId, AttributeValues, Level, SEQUENCES};

/// The table of a level and the attributes it has as columns.
pub(super) struct Table {
    pub(super) name: &'static str,
    /// The level's number in `search_value`.
    pub(super) number: i64,
    pub(super) attributes: Vec<AttributeId>,
    /// Their columns, quoted, joined by commas.
    pub(super) columns: String,
}

static TABLES: LazyLock<[Table; 4]> = LazyLock::new(|| {
    // A study has the columns of its patient too.
    let table = |name, number, levels: &[Level]| {
        let is_here = |id: &AttributeId| levels.contains(&id.attribute().level);
        let attributes: Vec<_> = (0..ATTRIBUTES.len())
            .filter_map(|i| u8::try_from(i).ok())
            .map(AttributeId)
            .filter(is_here)
            .collect();
        let columns: Vec<_> = attributes
            .iter()
            .map(|id| format!("\"{}\"", id.attribute().column))
            .collect();
        Table {
            name,
            number,
            attributes,
            columns: columns.join(", "),
        }
    };
    [
        table("patient", 0, &[Level::Patient]),
        table("study", 1, &[Level::Patient, Level::Study]),
        table("series", 2, &[Level::Series]),
        table("instance", 3, &[Level::Instance]),
    ]
});

/// The table of a level.
pub(super) fn table(level: Level) -> &'static Table {
    &TABLES[level as usize]
}

/// The attributes of a level's row, which begin at column `first`.
pub(super) fn attributes(
    row: &SqlRow<'_>,
    level: Level,
    first: usize,
) -> Result<AttributeValues, Error> {
    let mut values = AttributeValues::default();
    add_attributes(row, level, first, &mut values)?;
    Ok(values)
}

fn add_attributes(
    row: &SqlRow<'_>,
    level: Level,
    first: usize,
    values: &mut AttributeValues,
) -> Result<(), Error> {
    for (at, id) in (first..).zip(&table(level).attributes) {
        if let Some(value) = text(row, at)? {
            values.set(*id, value);
        }
    }
    Ok(())
}

/// A text of a row, without a copy.
pub(super) fn text<'r>(row: &'r SqlRow<'_>, at: usize) -> Result<Option<&'r str>, Error> {
    row.get_ref(at)
        .map_err(error)?
        .as_str_or_null()
        .map_err(|e| Error::broken("reading the index", e))
}

/// The sequences of a level as one JSON object, `None` when there is none: each by its tag as a
/// string, for with its base marks it is no JSON yet.
pub(super) fn pack_sequences(
    level: Level,
    sequences: &[(u8, Box<str>)],
) -> Result<Option<String>, Error> {
    let mut members = BTreeMap::new();
    for (at, json) in sequences {
        let sequence = SEQUENCES.get(usize::from(*at)).filter(|s| s.level == level);
        if let Some(sequence) = sequence {
            members.insert(format!("{:08X}", tag_number(sequence.tag)), json);
        }
    }
    if members.is_empty() {
        return Ok(None);
    }
    serde_json::to_string(&members)
        .map(Some)
        .map_err(|_| Error::broken("indexing a sequence", "not JSON"))
}

fn add_sequences(packed: Option<&str>, row: &mut Row) -> Result<(), Error> {
    let Some(packed) = packed else { return Ok(()) };
    let members: BTreeMap<&str, Box<str>> = serde_json::from_str(packed)
        .map_err(|_| Error::broken("reading a sequence", "not JSON"))?;
    for (tag, json) in members {
        let position = u32::from_str_radix(tag, 16)
            .ok()
            .and_then(sequence_position);
        row.sequence_json.extend(position.map(|at| (at, json)));
    }
    row.sequence_json.sort_unstable_by_key(|(at, _)| *at);
    Ok(())
}

/// The ids of an answer and of what it belongs to; 0 below its level.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Hit {
    pub(super) patient: i64,
    pub(super) study: i64,
    pub(super) series: i64,
    pub(super) instance: i64,
}

/// Puts answers together. What neighbours share is read once.
pub(super) struct Assembler<'a> {
    sight: Option<&'a Sight<'a>>,
    study: (i64, Row),
    series: (i64, Row),
}

impl<'a> Assembler<'a> {
    pub(super) fn new(sight: Option<&'a Sight<'a>>) -> Self {
        Self {
            sight,
            study: Default::default(),
            series: Default::default(),
        }
    }

    /// The answer for a hit of a level.
    pub(super) fn row(
        &mut self,
        connection: &Connection,
        level: Level,
        hit: Hit,
    ) -> Result<Row, Error> {
        if level == Level::Patient {
            return self.patient(connection, hit.patient);
        }
        // The answers of a level are rows of it, each once: only what stands above them is shared.
        if level == Level::Study {
            return self.study(connection, hit.study);
        }
        if self.study.0 != hit.study {
            self.study = (hit.study, self.study(connection, hit.study)?);
        }
        if level == Level::Series {
            return self.series(connection, hit.series);
        }
        if self.series.0 != hit.series {
            self.series = (hit.series, self.series(connection, hit.series)?);
        }
        instance(connection, hit.instance, self.series.1.clone())
    }

    fn patient(&self, connection: &Connection, id: i64) -> Result<Row, Error> {
        let Some(sight) = self.sight else {
            return patient(connection, id);
        };
        let mut row = Row::default();
        (row.studies_of_patient, row.received_at_ms) = seen_of_patient(connection, sight, id)?;
        if let Seen::Part(part) = sight.patient(connection, id)? {
            part.says.put(&mut row, &[Level::Patient]);
        }
        Ok(row)
    }

    fn study(&self, connection: &Connection, id: i64) -> Result<Row, Error> {
        let Some(sight) = self.sight else {
            return Ok(study(connection, id)?.1);
        };
        let (patient, mut row) = match sight.part(Level::Study, id) {
            None => study(connection, id)?,
            Some(part) => {
                let mut row = Row {
                    series_of_study: part.series,
                    instances_of_study: part.instances,
                    received_at_ms: part.received_at_ms,
                    modalities_in_study: part.modalities.clone(),
                    sop_classes_in_study: part.sop_classes.clone(),
                    ..Row::default()
                };
                part.says.put(&mut row, &[Level::Patient, Level::Study]);
                (part.patient, row)
            }
        };
        row.studies_of_patient = seen_of_patient(connection, sight, patient)?.0;
        Ok(row)
    }

    /// The series' answer, below the study at hand.
    fn series(&self, connection: &Connection, id: i64) -> Result<Row, Error> {
        let mut row = self.study.1.clone();
        let Some(part) = self.sight.and_then(|sight| sight.part(Level::Series, id)) else {
            return series(connection, id, row);
        };
        row.instances_of_series = part.instances;
        row.received_at_ms = part.received_at_ms;
        part.says.put(&mut row, &[Level::Series]);
        Ok(row)
    }
}

/// How many studies of a patient are seen, and when the newest instance of them was received.
fn seen_of_patient(
    connection: &Connection,
    sight: &Sight<'_>,
    patient: i64,
) -> Result<(u64, i64), Error> {
    let sql = "SELECT id, study_instance_uid, received_at_ms FROM study INDEXED BY study_by_patient WHERE patient = ?1";
    let mut statement = connection.prepare_cached(sql).map_err(error)?;
    let mut rows = statement.query([patient]).map_err(error)?;
    let mut seen = (0, i64::MIN);
    while let Some(row) = rows.next().map_err(error)? {
        let (id, uid) = (row.get(0).map_err(error)?, text(row, 1)?);
        let received_at_ms = match sight.study(connection, id, uid.unwrap_or_default())? {
            Seen::Nothing => continue,
            Seen::AsItIs => row.get(2).map_err(error)?,
            Seen::Part(part) => part.received_at_ms,
        };
        seen = (seen.0 + 1, seen.1.max(received_at_ms));
    }
    Ok(seen)
}

fn patient(connection: &Connection, id: i64) -> Result<Row, Error> {
    static SQL: LazyLock<String> = LazyLock::new(|| {
        format!(
            "SELECT studies, received_at_ms, {} FROM patient WHERE id = ?1",
            table(Level::Patient).columns
        )
    });
    one(connection, &SQL, id, |found| {
        let mut row = Row {
            studies_of_patient: count(found, 0)?,
            received_at_ms: found.get(1).map_err(error)?,
            ..Row::default()
        };
        add_attributes(found, Level::Patient, 2, &mut row.attributes)?;
        Ok(row)
    })
}

/// The study's answer, and whose it is.
fn study(connection: &Connection, id: i64) -> Result<(i64, Row), Error> {
    static SQL: LazyLock<String> = LazyLock::new(|| {
        format!(
            "SELECT (SELECT studies FROM patient WHERE patient.id = study.patient), series, instances, received_at_ms, \
             modalities_in_study, sop_classes_in_study, sequences, patient, {} FROM study WHERE id = ?1",
            table(Level::Study).columns
        )
    });
    one(connection, &SQL, id, |found| {
        let mut row = Row {
            studies_of_patient: count(found, 0)?,
            series_of_study: count(found, 1)?,
            instances_of_study: count(found, 2)?,
            received_at_ms: found.get(3).map_err(error)?,
            modalities_in_study: members(text(found, 4)?).map(Into::into).collect(),
            sop_classes_in_study: members(text(found, 5)?).map(Into::into).collect(),
            ..Row::default()
        };
        add_sequences(text(found, 6)?, &mut row)?;
        add_attributes(found, Level::Study, 8, &mut row.attributes)?;
        Ok((found.get(7).map_err(error)?, row))
    })
}

fn series(connection: &Connection, id: i64, mut row: Row) -> Result<Row, Error> {
    static SQL: LazyLock<String> = LazyLock::new(|| {
        format!(
            "SELECT instances, received_at_ms, sequences, {} FROM series WHERE id = ?1",
            table(Level::Series).columns
        )
    });
    one(connection, &SQL, id, |found| {
        row.instances_of_series = count(found, 0)?;
        row.received_at_ms = found.get(1).map_err(error)?;
        add_sequences(text(found, 2)?, &mut row)?;
        add_attributes(found, Level::Series, 3, &mut row.attributes)?;
        Ok(row)
    })
}

fn instance(connection: &Connection, id: i64, mut row: Row) -> Result<Row, Error> {
    static SQL: LazyLock<String> = LazyLock::new(|| {
        let columns = &table(Level::Instance).columns;
        format!(
            "SELECT transfer_syntax_uid, received_at_ms, sequences, {columns} FROM instance WHERE id = ?1"
        )
    });
    one(connection, &SQL, id, |found| {
        row.transfer_syntax_uid = text(found, 0)?.map(uid).transpose()?;
        row.received_at_ms = found.get(1).map_err(error)?;
        add_sequences(text(found, 2)?, &mut row)?;
        add_attributes(found, Level::Instance, 3, &mut row.attributes)?;
        Ok(row)
    })
}

/// The members of a list joined by backslashes; none when it is empty.
pub(super) fn members(list: Option<&str>) -> impl Iterator<Item = &str> {
    list.unwrap_or_default()
        .split('\\')
        .filter(|member| !member.is_empty())
}

fn count(row: &SqlRow<'_>, at: usize) -> Result<u64, Error> {
    row.get::<_, i64>(at).map(i64::unsigned_abs).map_err(error)
}

fn one<T>(
    connection: &Connection,
    sql: &str,
    id: i64,
    read: impl FnOnce(&SqlRow<'_>) -> Result<T, Error>,
) -> Result<T, Error> {
    let mut statement = connection.prepare_cached(sql).map_err(error)?;
    statement
        .query_row([id], |row| Ok(read(row)))
        .optional()
        .map_err(error)?
        .unwrap_or(Err(Error::NotFound))
}
