//! What each key of a query lets an index answer: statements that give the ids of all rows the key
//! can match, and perhaps of some more. Rows are tested exactly afterwards (`keys`), so these spans
//! must never be too narrow.

use std::fmt::Write as _;

use dicom_core::VR;
use rusqlite::types::Value;

use crate::access::Scope;
use crate::db::record::tag_number;
use crate::db::sqlite::find::Bounds;
use crate::db::sqlite::keys::level_of;
use crate::db::sqlite::rows::table;
use crate::db::sqlite::terms;
use crate::dicom::query::{Key, Matching, moments, normal_date};
use crate::dicom::{Attribute, AttributeId, Level, Query, SEQUENCES, Uid, person_name};

/// A way to find the rows that a key can match: at least those.
pub(super) struct Candidate {
    /// The level of the rows whose ids it gives.
    pub(super) level: Level,
    pub(super) sql: String,
    pub(super) values: Vec<Value>,
    /// Whether it can take long even when it finds little.
    pub(super) is_last_resort: bool,
}

pub(super) fn candidates(bounds: &Bounds, query: &Query, scope: &Scope) -> Vec<Candidate> {
    let mut found = Vec::new();
    if let Scope::Studies(studies) = scope
        && studies.len() <= bounds.listed_max
    {
        found.push(scope_candidate(studies.keys()));
    }
    for key in &query.keys {
        match key {
            Key::Attribute(id, matching) => attribute_candidates(*id, matching, query, &mut found),
            Key::DateTimeRange(date, _, low, high) => {
                attribute_candidates(
                    *date,
                    &days(low.as_deref(), high.as_deref()),
                    query,
                    &mut found,
                );
            }
            Key::ModalitiesInStudy(matching) => modality_candidate(matching, &mut found),
            Key::SopClassesInStudy(uids) => {
                let wanted = uids.iter().map(ToString::to_string).collect();
                found.push(sop_class_candidate(&Span::OneOf(wanted)));
            }
            Key::Sequence(position, items) => sequence_candidates(*position, items, &mut found),
            Key::Data(..) => {}
        }
    }
    found
}

/// The studies of a scope.
pub(super) fn scope_candidate<'u>(studies: impl Iterator<Item = &'u Uid>) -> Candidate {
    Candidate {
        level: Level::Study,
        sql: "SELECT id FROM study INDEXED BY study_by_study_instance_uid \
              WHERE study_instance_uid IN (SELECT value FROM json_each(?))"
            .into(),
        values: vec![json(studies.map(Uid::as_str))],
        is_last_resort: false,
    }
}

/// Whether a key asks for one identifying value, of which there are few as a rule.
pub(super) fn is_exact(key: &Key) -> bool {
    matches!(key, Key::Attribute(id, Matching::Single(_))
        if id.attribute().is_indexed && matches!(id.attribute().vr, VR::UI | VR::LO | VR::SH))
}

/// The candidates of the keys that ask for one identifying value.
pub(super) fn exact_candidates(query: &Query) -> Vec<Candidate> {
    let mut found = Vec::new();
    for key in query.keys.iter().filter(|key| is_exact(key)) {
        if let Key::Attribute(id, matching) = key {
            attribute_candidates(*id, matching, query, &mut found);
        }
    }
    found
}

/// The days of a combined date-time range.
pub(super) fn days(first: Option<&str>, last: Option<&str>) -> Matching {
    let day = |end: Option<&str>| end.and_then(|end| end.get(..8)).map(Into::into);
    Matching::Range(day(first), day(last))
}

/// The values that a key can match, in the form an index holds them.
pub(super) enum Span {
    /// One of these.
    OneOf(Vec<String>),
    /// From, up to and including.
    Between(Option<String>, Option<String>),
    /// All that begin with this.
    Prefix(String),
}

impl Span {
    /// The condition on a column.
    pub(super) fn condition(&self, column: &str, values: &mut Vec<Value>) -> String {
        let mut sql = String::new();
        match self {
            Self::OneOf(wanted) => match wanted.as_slice() {
                [one] => {
                    values.push(Value::Text(one.clone()));
                    sql = format!("{column} = ?");
                }
                many => {
                    values.push(json(many));
                    sql = format!("{column} IN (SELECT value FROM json_each(?))");
                }
            },
            Self::Between(low, high) => {
                // What is open below still leaves out what is empty.
                values.push(Value::Text(
                    low.clone().unwrap_or_else(|| "\u{1}".to_owned()),
                ));
                write!(sql, "{column} >= ?").expect("writing to a string");
                if let Some(high) = high {
                    values.push(Value::Text(high.clone()));
                    write!(sql, " AND {column} <= ?").expect("writing to a string");
                }
            }
            Self::Prefix(prefix) => {
                values.push(Value::Text(prefix.clone()));
                write!(sql, "{column} >= ?").expect("writing to a string");
                if let Some(end) = after_prefix(prefix) {
                    values.push(Value::Text(end));
                    write!(sql, " AND {column} < ?").expect("writing to a string");
                }
            }
        }
        sql
    }
}

/// The first text after all that begin with `prefix`; `None` when there is none.
pub(super) fn after_prefix(prefix: &str) -> Option<String> {
    let mut chars: Vec<char> = prefix.chars().collect();
    while let Some(last) = chars.pop() {
        // Stepping over the surrogates, which are no characters.
        let next = if last == '\u{D7FF}' {
            Some('\u{E000}')
        } else {
            char::from_u32(u32::from(last) + 1)
        };
        if let Some(next) = next {
            chars.push(next);
            return Some(chars.into_iter().collect());
        }
    }
    None
}

/// What a matching spans among the values of an indexed attribute; `None` when no range holds it.
pub(super) fn span(attribute: &Attribute, matching: &Matching) -> Option<Span> {
    match matching {
        Matching::Universal | Matching::All(_) | Matching::Sounds(_) => None,
        Matching::Empty => Some(Span::OneOf(vec![String::new()])),
        Matching::Single(wanted) => single_span(attribute.vr, wanted),
        Matching::List(_) if attribute.vr == VR::TM => None,
        Matching::List(wanted) => Some(Span::OneOf(
            wanted
                .iter()
                .flat_map(|w| equal_forms(attribute.vr, w))
                .collect(),
        )),
        Matching::Wildcard(pattern) => {
            let prefix = match attribute.vr {
                VR::PN => prefix(person_name::folded(pattern).first()?)
                    .trim_end_matches(['^', ' '])
                    .to_owned(),
                VR::LO | VR::SH | VR::CS | VR::UI => prefix(pattern).to_owned(),
                _ => return None,
            };
            (!prefix.is_empty()).then_some(Span::Prefix(prefix))
        }
        Matching::Range(low, high) if matches!(attribute.vr, VR::DA | VR::TM) => {
            Some(Span::Between(
                low.as_deref().map(Into::into),
                high.as_deref().map(Into::into),
            ))
        }
        Matching::Range(..) => None,
    }
}

fn single_span(vr: VR, wanted: &str) -> Option<Span> {
    match vr {
        VR::TM => match moments(vr, wanted) {
            Some((first, last)) => Some(Span::Between(Some(first), Some(last))),
            None => Some(Span::OneOf(vec![wanted.to_owned()])),
        },
        _ => Some(Span::OneOf(equal_forms(vr, wanted))),
    }
}

/// The forms in which the index may hold a value that equals this one.
fn equal_forms(vr: VR, wanted: &str) -> Vec<String> {
    let mut forms = match vr {
        // A name has each group of the key; the first will do.
        VR::PN => person_name::folded(wanted).into_iter().take(1).collect(),
        VR::DA => vec![normal_date(wanted).unwrap_or_else(|| wanted.to_owned())],
        _ => vec![wanted.to_owned()],
    };
    forms.dedup();
    forms
}

fn prefix(pattern: &str) -> &str {
    pattern.split(['*', '?']).next().unwrap_or_default()
}

fn attribute_candidates(
    id: AttributeId,
    matching: &Matching,
    query: &Query,
    found: &mut Vec<Candidate>,
) {
    let attribute = id.attribute();
    if !attribute.is_indexed {
        return;
    }
    let level = level_of(attribute.level, query);
    match matching {
        Matching::All(values) => {
            for value in values {
                attribute_candidates(id, &Matching::Single(value.clone()), query, found);
            }
        }
        Matching::Sounds(keys) => sound_candidates(attribute, level, keys, found),
        _ => {}
    }
    if attribute.column == "sop_class_uid" {
        found.extend(span(attribute, matching).map(|span| sop_class_candidate(&span)));
        return;
    }
    if let Some(span) = span(attribute, matching) {
        let mut values = Vec::new();
        let mut sql = String::new();
        if !terms::is_by_search_value(attribute.vr) {
            let column = driving_column(attribute);
            for from in rows_of(attribute, level) {
                let condition = span.condition(&column, &mut values);
                write!(sql, "{from} {condition} UNION ALL ").expect("writing to a string");
                if matches!(matching, Matching::Empty) && column != "sort_date" {
                    write!(sql, "{from} {column} IS NULL UNION ALL ").expect("writing to a string");
                }
            }
        }
        sql.push_str(&search_value_sql(attribute, level, &span, &mut values));
        found.push(Candidate {
            level,
            sql,
            values,
            is_last_resort: false,
        });
    }
    if let Matching::Wildcard(pattern) = matching {
        // Grams find no less than the range of a beginning that is all the pattern says.
        let is_beginning = pattern
            .find(['*', '?'])
            .is_some_and(|at| at > 0 && pattern[at..].bytes().all(|b| b == b'*'));
        let grams = if is_beginning {
            Vec::new()
        } else {
            terms::gram_queries(attribute, pattern)
        };
        for grams in grams {
            // No token has a blank in it.
            let is_last_resort = grams.contains(" AND ");
            let mut values = vec![Value::Text(grams)];
            let sql = if level == Level::Patient {
                values.push(values[0].clone());
                "SELECT patient FROM study_gram CROSS JOIN study ON study.id = study_gram.rowid \
                 WHERE study_gram MATCH ? UNION ALL SELECT rowid FROM patient_gram WHERE patient_gram MATCH ?"
            } else {
                "SELECT rowid FROM study_gram WHERE study_gram MATCH ?"
            };
            found.push(Candidate {
                level,
                sql: sql.into(),
                values,
                is_last_resort,
            });
        }
    }
}

/// The studies that have instances of a class know it: an index of all instances by it would find
/// too many of any.
fn sop_class_candidate(span: &Span) -> Candidate {
    let mut values = Vec::new();
    let condition = span.condition("sop_class_uid", &mut values);
    Candidate {
        level: Level::Study,
        sql: format!("SELECT study FROM study_sop_class WHERE {condition}"),
        values,
        is_last_resort: false,
    }
}

/// One for each key of a name; last, because it walks through all of them, one for all together.
fn sound_candidates(
    attribute: &Attribute,
    level: Level,
    keys: &[Box<str>],
    found: &mut Vec<Candidate>,
) {
    let mut all = (Vec::new(), Vec::new());
    for key in keys {
        let span = Span::OneOf(vec![terms::sound_value(key)]);
        let mut values = Vec::new();
        let sql = search_value_sql(attribute, level, &span, &mut values);
        all.0.push(format!("SELECT * FROM ({sql})"));
        all.1.extend(values.iter().cloned());
        found.push(Candidate {
            level,
            sql,
            values,
            is_last_resort: false,
        });
    }
    if keys.len() > 1 {
        found.push(Candidate {
            level,
            sql: all.0.join(" INTERSECT "),
            values: all.1,
            is_last_resort: true,
        });
    }
}

pub(super) fn search_value_sql(
    attribute: &Attribute,
    level: Level,
    span: &Span,
    values: &mut Vec<Value>,
) -> String {
    let mut of_level = |select: &str, level: Level| {
        values.push(Value::Integer(table(level).number));
        values.push(Value::Integer(i64::from(tag_number(attribute.tag))));
        let condition = span.condition("value", values);
        format!("{select} WHERE level = ? AND attribute = ? AND {condition}")
    };
    let owners = "SELECT owner FROM search_value";
    if level != Level::Patient {
        return of_level(owners, level);
    }
    let of_studies = "SELECT patient FROM search_value CROSS JOIN study ON study.id = owner";
    format!(
        "{} UNION ALL {}",
        of_level(of_studies, Level::Study),
        of_level(owners, level)
    )
}

/// Where the rows of a level are found by an attribute's column: the beginnings of statements that
/// want a condition. A patient is found by its studies, and by itself once it is set apart.
fn rows_of(attribute: &Attribute, level: Level) -> Vec<String> {
    let by = |level| index(attribute, level);
    match level {
        Level::Patient => vec![
            format!(
                "SELECT patient FROM study INDEXED BY {} WHERE",
                by(Level::Study)
            ),
            format!(
                "SELECT id FROM patient INDEXED BY {} WHERE is_apart = 1 AND",
                by(level)
            ),
        ],
        _ => vec![format!(
            "SELECT id FROM {} INDEXED BY {} WHERE",
            table(level).name,
            by(level)
        )],
    }
}

fn driving_column(attribute: &Attribute) -> String {
    if attribute.column == "study_date" {
        "sort_date".into()
    } else {
        format!("\"{}\"", attribute.column)
    }
}

pub(super) fn index(attribute: &Attribute, level: Level) -> String {
    format!("{}_by_{}", table(level).name, attribute.column)
}

fn modality_candidate(matching: &Matching, found: &mut Vec<Candidate>) {
    let span = match matching {
        Matching::Single(modality) => Span::OneOf(vec![modality.to_string()]),
        Matching::List(modalities) => {
            Span::OneOf(modalities.iter().map(ToString::to_string).collect())
        }
        Matching::Wildcard(pattern) => Span::Prefix(prefix(pattern).to_owned()),
        Matching::All(modalities) => {
            for modality in modalities {
                modality_candidate(&Matching::Single(modality.clone()), found);
            }
            return;
        }
        Matching::Universal | Matching::Range(..) | Matching::Empty | Matching::Sounds(_) => return,
    };
    let mut values = Vec::new();
    let condition = span.condition("modality", &mut values);
    found.push(Candidate {
        level: Level::Study,
        sql: format!("SELECT study FROM study_modality WHERE {condition}"),
        values,
        is_last_resort: false,
    });
}

fn sequence_candidates(position: u8, items: &[(u8, Matching)], found: &mut Vec<Candidate>) {
    let Some(sequence) = SEQUENCES.get(usize::from(position)) else {
        return;
    };
    for (at, matching) in items {
        let Some((tag, _, _)) = sequence.items.get(usize::from(*at)) else {
            continue;
        };
        let span = match matching {
            Matching::Single(wanted) => Span::OneOf(vec![wanted.to_string()]),
            Matching::List(wanted) => Span::OneOf(wanted.iter().map(ToString::to_string).collect()),
            _ => continue,
        };
        let mut values = vec![tag_number(sequence.tag), tag_number(*tag)]
            .into_iter()
            .map(|n| Value::Integer(n.into()))
            .collect();
        let condition = span.condition("value", &mut values);
        let sql = format!(
            "SELECT owner FROM sequence_value WHERE sequence = ? AND attribute = ? AND {condition}"
        );
        found.push(Candidate {
            level: sequence.level,
            sql,
            values,
            is_last_resort: false,
        });
    }
}

/// A list as one bound value, for `json_each`.
pub(super) fn json<T: serde::Serialize>(list: impl IntoIterator<Item = T>) -> Value {
    let list: Vec<T> = list.into_iter().collect();
    Value::Text(serde_json::to_string(&list).expect("numbers and texts are JSON"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_prefix_comes_the_next_text() {
        for (prefix, end) in [
            ("ab", Some("ac")),
            ("a\u{10FFFF}", Some("b")),
            ("\u{10FFFF}", None),
            ("\u{D7FF}", Some("\u{E000}")),
        ] {
            assert_eq!(after_prefix(prefix).as_deref(), end);
        }
    }
}
