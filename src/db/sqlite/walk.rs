//! Walks through the studies in the order of the answers, by the index that narrows them most.

use dicom_core::VR;
use rusqlite::Connection;
use rusqlite::types::Value;

use crate::archive::Error;
use crate::db::sqlite::candidates::{Span, after_prefix, days, index, search_value_sql, span};
use crate::db::sqlite::groups::{self, Groups};
use crate::db::sqlite::keys::level_of;
use crate::db::sqlite::line::Line;
use crate::db::sqlite::plan::{Way, ids};
use crate::db::sqlite::source::{Course, Source};
use crate::dicom::query::{Key, Matching, OrderBy, normal_date};
use crate::dicom::{Attribute, Level, Query};

/// The columns by which an index holds studies by date, and the two ways to go through it.
pub(super) struct Moments {
    date: &'static str,
    time: &'static str,
    id: &'static str,
    pub(super) newest_first: &'static str,
    oldest_first: &'static str,
}

pub(super) static OF_STUDY: Moments = Moments {
    date: "study.sort_date",
    time: "study.sort_time",
    id: "study.id",
    newest_first: "ORDER BY study.sort_date DESC, study.sort_time DESC, study.id DESC",
    oldest_first: "ORDER BY study.sort_date, study.sort_time, study.id",
};

static OF_MODALITY: Moments = Moments {
    date: "m.sort_date",
    time: "m.sort_time",
    id: "m.study",
    newest_first: "ORDER BY m.sort_date DESC, m.sort_time DESC, m.study DESC",
    oldest_first: "ORDER BY m.sort_date, m.sort_time, m.study",
};

impl Moments {
    /// The condition on what stands behind a study when the newest comes first, after an AND.
    pub(super) fn behind(&self, line: &Line<'_>, values: &mut Vec<Value>) -> String {
        let Self { date, time, id, .. } = self;
        match &line.after {
            None => String::new(),
            Some(after) => {
                values.extend(after.moment());
                format!(" AND ({date}, {time}, {id}) < (?, ?, ?)")
            }
        }
    }
}

/// The walk through the studies in the order of the answers.
pub(super) struct Walk {
    pub(super) way: Way,
    /// How many keys narrow it.
    pub(super) keys: usize,
}

/// The narrowest walk in an order.
pub(super) fn walk(connection: &Connection, query: &Query, line: &Line<'_>) -> Result<Walk, Error> {
    let after = line.after.as_ref();
    let is_descending = line.order.is_descending;
    let course = match line.order.by {
        OrderBy::StudyDate => return by_date(connection, query, line),
        OrderBy::PatientName => Course::Groups(Groups::new(&groups::NAME, is_descending, after)),
        OrderBy::PatientId => {
            let groups = Groups::new(&groups::PATIENT_ID, is_descending, after);
            Course::Groups(match beginning(connection, query)? {
                Some((beginning, end)) => groups.within(beginning, end),
                None => groups,
            })
        }
        OrderBy::Arrival => by_arrival(line).into(),
    };
    let satisfied = Vec::new();
    Ok(Walk {
        way: Way { course, satisfied },
        keys: 0,
    })
}

/// How the Patient IDs that are asked for begin, and the first text after these.
fn beginning(
    connection: &Connection,
    query: &Query,
) -> Result<Option<(String, Option<String>)>, Error> {
    for key in &query.keys {
        let Key::Attribute(id, matching) = key else {
            continue;
        };
        let attribute = id.attribute();
        if attribute.column == "patient_id"
            && let Some(span @ Span::Prefix(_)) = &span(attribute, matching)
            && !is_in_search_values(connection, attribute, span)?
            && let Span::Prefix(beginning) = span
        {
            return Ok(Some((beginning.clone(), after_prefix(beginning))));
        }
    }
    Ok(None)
}

/// Studies are numbered as they arrive.
fn by_arrival(line: &Line<'_>) -> Source {
    let (order, behind) = match line.order.is_descending {
        true => ("ORDER BY study.id DESC", "study.id < ?"),
        false => ("ORDER BY study.id", "study.id > ?"),
    };
    match &line.after {
        None => Source::new("FROM study WHERE true", order, Vec::new()),
        Some(after) => {
            let values = vec![Value::Integer(after.id)];
            Source::new(format!("FROM study WHERE {behind}"), order, values)
        }
    }
}

/// The narrowest walk by date: by an attribute that equals, by a modality, or by date alone; each within
/// the dates asked for.
fn by_date(connection: &Connection, query: &Query, line: &Line<'_>) -> Result<Walk, Error> {
    let mut values = Vec::new();
    let mut dates = dates(connection, query)?;
    if let (Some(dates), Some(after)) = (&mut dates, &line.after) {
        dates.go_on(&after.sort_date, line.order.is_descending);
    }
    let mut satisfied: Vec<usize> = dates
        .iter()
        .filter(|dates| dates.is_exact)
        .map(|dates| dates.key)
        .collect();
    let mut keys = usize::from(dates.is_some());
    let moments;
    let (from, alone);
    if let Some((key, attribute, wanted)) = equal_key(connection, query)? {
        values.push(Value::Text(wanted.to_owned()));
        let between = within(&dates, "study.sort_date", &mut values);
        let (index, column) = (index(attribute, Level::Study), attribute.column);
        from = format!("FROM study INDEXED BY {index} WHERE study.\"{column}\" = ?{between}");
        (moments, alone) = (&OF_STUDY, None);
        satisfied.push(key);
        keys += 1;
    } else if let Some((key, modality)) = query.keys.iter().enumerate().find_map(one_modality) {
        values.push(Value::Text(modality.to_owned()));
        let between = within(&dates, "m.sort_date", &mut values);
        from = format!(
            "FROM study_modality m CROSS JOIN study ON study.id = m.study WHERE m.modality = ?{between}"
        );
        let modalities = format!("FROM study_modality m WHERE m.modality = ?{between}");
        (moments, alone) = (&OF_MODALITY, Some(modalities));
        satisfied.push(key);
        keys += 1;
    } else {
        let between = within(&dates, "study.sort_date", &mut values);
        from = format!("FROM study INDEXED BY study_by_study_date WHERE true{between}");
        (moments, alone) = (&OF_STUDY, None);
    }
    let part = |condition: &str, more: &[Value]| {
        let order = match line.order.is_descending {
            true => moments.newest_first,
            false => moments.oldest_first,
        };
        let mut values = values.clone();
        values.extend_from_slice(more);
        let source = Source::new(format!("{from}{condition}"), order, values);
        match &alone {
            Some(alone) => source.or_alone(moments.id, format!("{alone}{condition}")),
            None => source,
        }
    };
    let course = if line.order.is_descending {
        let mut values = Vec::new();
        let behind = moments.behind(line, &mut values);
        part(&behind, &values).into()
    } else {
        oldest_first(moments, line, dates.is_some(), part)
    };
    Ok(Walk {
        way: Way { course, satisfied },
        keys,
    })
}

/// The oldest first, then what has no date, which dates that are asked for leave out.
fn oldest_first(
    moments: &Moments,
    line: &Line<'_>,
    has_dates: bool,
    part: impl Fn(&str, &[Value]) -> Source,
) -> Course {
    let Moments { date, time, id, .. } = moments;
    let (dated, undated) = match &line.after {
        None => (
            Some(part(&format!(" AND {date} > ''"), &[])),
            part(&format!(" AND {date} = ''"), &[]),
        ),
        Some(after) if after.sort_date.is_empty() => {
            let [_, at_time, at_id] = after.moment();
            let behind = format!(" AND {date} = '' AND ({time}, {id}) > (?, ?)");
            (None, part(&behind, &[at_time, at_id]))
        }
        Some(after) => {
            let behind = format!(" AND ({date}, {time}, {id}) > (?, ?, ?)");
            (
                Some(part(&behind, &after.moment())),
                part(&format!(" AND {date} = ''"), &[]),
            )
        }
    };
    Course::of(dated.into_iter().chain((!has_dates).then_some(undated)))
}

fn within(dates: &Option<Dates>, column: &str, values: &mut Vec<Value>) -> String {
    dates.as_ref().map_or_else(String::new, |dates| {
        format!(" AND {}", dates.span.condition(column, values))
    })
}

fn one_modality((at, key): (usize, &Key)) -> Option<(usize, &str)> {
    match key {
        Key::ModalitiesInStudy(Matching::Single(modality)) => Some((at, modality)),
        _ => None,
    }
}

/// The Study Dates asked for.
struct Dates {
    span: Span,
    /// The key that asks.
    key: usize,
    /// Whether a date in the span is all the key asks.
    is_exact: bool,
}

impl Dates {
    /// A walk that goes on behind a study of this date looks at none before it.
    fn go_on(&mut self, date: &str, is_descending: bool) {
        let Span::Between(first, last) = &mut self.span else {
            return;
        };
        if is_descending && last.as_deref().is_none_or(|last| last > date) {
            *last = Some(date.to_owned());
        } else if !is_descending && first.as_deref().unwrap_or("\u{1}") < date {
            *first = Some(date.to_owned());
        }
    }
}

fn dates(connection: &Connection, query: &Query) -> Result<Option<Dates>, Error> {
    for (key, asked) in query.keys.iter().enumerate() {
        let (id, matching, is_exact) = match asked {
            Key::Attribute(id, matching @ (Matching::Single(_) | Matching::Range(..))) => {
                (*id, matching.clone(), true)
            }
            Key::DateTimeRange(id, _, low, high) => {
                (*id, days(low.as_deref(), high.as_deref()), false)
            }
            _ => continue,
        };
        let attribute = id.attribute();
        // The day of an unreadable date is unknown.
        let is_readable =
            !matches!(&matching, Matching::Single(wanted) if normal_date(wanted).is_none());
        if attribute.column == "study_date"
            && is_readable
            && let Some(span) = span(attribute, &matching)
            && !is_in_search_values(connection, attribute, &span)?
        {
            return Ok(Some(Dates {
                span,
                key,
                is_exact,
            }));
        }
    }
    Ok(None)
}

/// A key of a study that equals, whose index holds the studies in the order of the answers.
fn equal_key<'q>(
    connection: &Connection,
    query: &'q Query,
) -> Result<Option<(usize, &'static Attribute, &'q str)>, Error> {
    for (key, asked) in query.keys.iter().enumerate() {
        let Key::Attribute(id, Matching::Single(wanted)) = asked else {
            continue;
        };
        let attribute = id.attribute();
        let is_walkable = attribute.is_indexed
            && matches!(attribute.vr, VR::LO | VR::SH | VR::CS)
            && level_of(attribute.level, query) == Level::Study
            // Such a text is several values in the column and none of them.
            && !wanted.contains('\\')
            && !wanted.trim_matches(' ').is_empty();
        if is_walkable
            && !is_in_search_values(
                connection,
                attribute,
                &Span::OneOf(vec![wanted.to_string()]),
            )?
        {
            return Ok(Some((key, attribute, wanted)));
        }
    }
    Ok(None)
}

/// Whether studies have such a value in another form than the column's: then the column's index
/// alone would miss them.
fn is_in_search_values(
    connection: &Connection,
    attribute: &Attribute,
    span: &Span,
) -> Result<bool, Error> {
    let mut values = Vec::new();
    let sql = format!(
        "{} LIMIT 1",
        search_value_sql(attribute, Level::Study, span, &mut values)
    );
    Ok(!ids(connection, &sql, &values)?.is_empty())
}
