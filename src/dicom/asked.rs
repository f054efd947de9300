//! What people type into a search form or after a flag, as the keys of a query. Programs have
//! QIDO-RS and C-FIND, with the exact rules of the standard; people have this, which is kinder:
//! a part of a name is enough, dates may be written in two ways.

use jiff::civil::Date;

use crate::dicom::query::{Key, Matching, Order};
use crate::dicom::{AttributeId, Level, Query};

/// A search for studies in people's words. What is empty is not asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Asked<'a> {
    /// Any part of a name, whatever its case and accents; words in order.
    pub patient_name: &'a str,
    /// A patient ID, with `*` and `?` if wanted.
    pub patient_id: &'a str,
    /// A day or a range of days: `20260131`, `2026-01-31`, `A-B`, `A-`, `-B`.
    pub study_date: &'a str,
    /// A modality of the study.
    pub modality: &'a str,
    /// An accession number, with `*` and `?` if wanted.
    pub accession_number: &'a str,
}

/// Why it cannot be searched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AskedError {
    /// Neither a day nor a range of days.
    #[error("not a day (YYYYMMDD or YYYY-MM-DD) or a range of days (A-B, A-, -B)")]
    StudyDate,
    /// Longer than any value can be.
    #[error("longer than {TEXT_BYTES_MAX} bytes")]
    TooLong,
}

/// The longest text taken. Bytes.
const TEXT_BYTES_MAX: usize = 256;

impl Asked<'_> {
    /// The query for studies.
    ///
    /// # Errors
    /// When something typed makes no sense.
    pub fn query(&self, limit: u32, offset: u64) -> Result<Query, AskedError> {
        let texts = [
            self.patient_name,
            self.patient_id,
            self.study_date,
            self.modality,
            self.accession_number,
        ];
        if texts.iter().any(|text| text.len() > TEXT_BYTES_MAX) {
            return Err(AskedError::TooLong);
        }
        let mut keys = Vec::new();
        let mut ask = |keyword, matching| {
            keys.extend(attribute(keyword).map(|id| Key::Attribute(id, matching)))
        };
        if let Some(matching) = part_of_name(self.patient_name) {
            ask("PatientName", matching);
        }
        if let Some(matching) = text(self.patient_id) {
            ask("PatientID", matching);
        }
        if let Some(matching) = days(self.study_date)? {
            ask("StudyDate", matching);
        }
        if let Some(matching) = text(self.accession_number) {
            ask("AccessionNumber", matching);
        }
        if let Some(matching) = text(&self.modality.to_ascii_uppercase()) {
            keys.push(Key::ModalitiesInStudy(matching));
        }
        Ok(Query {
            level: Level::Study,
            keys,
            limit,
            offset,
            order: Order::NEWEST,
        })
    }
}

fn attribute(keyword: &str) -> Option<AttributeId> {
    AttributeId::of_keyword(keyword)
}

fn text(typed: &str) -> Option<Matching> {
    let typed = typed.trim();
    match typed {
        "" => None,
        _ if typed.contains(['*', '?']) => Some(Matching::Wildcard(typed.into())),
        _ => Some(Matching::Single(typed.into())),
    }
}

/// `doe j` finds Doe^John: between the words of a name stand carets, which nobody types.
fn part_of_name(typed: &str) -> Option<Matching> {
    let words: Vec<&str> = typed
        .split([' ', ',', '^', '*', '\u{3000}'])
        .filter(|word| !word.is_empty())
        .collect();
    if words.is_empty() {
        None
    } else {
        Some(Matching::Wildcard(format!("*{}*", words.join("*")).into()))
    }
}

/// Hyphens stand both inside a day and between two; the number of pieces tells which.
fn days(typed: &str) -> Result<Option<Matching>, AskedError> {
    let pieces: Vec<&str> = typed.trim().split('-').map(str::trim).collect();
    let (from, to) = match pieces.as_slice() {
        [""] => return Ok(None),
        [_] | [_, _, _] => {
            return Ok(Some(Matching::Single(
                day(&pieces)?.ok_or(AskedError::StudyDate)?,
            )));
        }
        ["", to @ ..] => (None, day(to)?),
        [from @ .., ""] => (day(from)?, None),
        _ => (
            day(&pieces[..pieces.len() / 2])?,
            day(&pieces[pieces.len() / 2..])?,
        ),
    };
    match (&from, &to) {
        (None, None) => Err(AskedError::StudyDate),
        (Some(from), Some(to)) if from > to => Err(AskedError::StudyDate),
        _ => Ok(Some(Matching::Range(from, to))),
    }
}

fn day(pieces: &[&str]) -> Result<Option<Box<str>>, AskedError> {
    let digits = match pieces {
        [""] => return Ok(None),
        [whole] => (*whole).to_owned(),
        [year, month, day] if (year.len(), month.len(), day.len()) == (4, 2, 2) => pieces.concat(),
        _ => return Err(AskedError::StudyDate),
    };
    if digits.len() != 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(AskedError::StudyDate);
    }
    let number = |text: &str| text.parse::<i16>().map_err(|_| AskedError::StudyDate);
    let (month, of_month) = (number(&digits[4..6])?, number(&digits[6..8])?);
    // Two digits each: they fit.
    Date::new(number(&digits[..4])?, month as i8, of_month as i8)
        .map_err(|_| AskedError::StudyDate)?;
    Ok(Some(digits.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_read_as_people_write_them() {
        let single = |day: &str| Ok(Some(Matching::Single(day.into())));
        let range = |from: &str, to: &str| {
            let end = |text: &str| (!text.is_empty()).then(|| text.into());
            Ok(Some(Matching::Range(end(from), end(to))))
        };
        for (typed, meant) in [
            ("", Ok(None)),
            ("20260131", single("20260131")),
            ("2026-01-31", single("20260131")),
            ("20260101-20260131", range("20260101", "20260131")),
            ("2026-01-01 - 2026-01-31", range("20260101", "20260131")),
            ("20260101-", range("20260101", "")),
            ("2026-01-01-", range("20260101", "")),
            ("-20260131", range("", "20260131")),
            ("-2026-01-31", range("", "20260131")),
            ("20260230", Err(AskedError::StudyDate)),
            ("2026-1-1", Err(AskedError::StudyDate)),
            ("2026", Err(AskedError::StudyDate)),
            ("20260131-20260101", Err(AskedError::StudyDate)),
            ("-", Err(AskedError::StudyDate)),
            ("--", Err(AskedError::StudyDate)),
            ("today", Err(AskedError::StudyDate)),
            ("２０２６0131", Err(AskedError::StudyDate)),
        ] {
            assert_eq!(days(typed), meant, "{typed}");
        }
    }

    #[test]
    fn a_part_of_a_name_is_enough() {
        for (typed, pattern) in [
            ("doe", "*doe*"),
            ("Doe, John", "*Doe*John*"),
            ("doe^j*", "*doe*j*"),
            ("山田", "*山田*"),
        ] {
            assert_eq!(
                part_of_name(typed),
                Some(Matching::Wildcard(pattern.into()))
            );
        }
        assert_eq!(part_of_name(" * "), None);
    }

    #[test]
    fn only_what_was_typed_is_asked() {
        assert!(Asked::default().query(10, 0).unwrap().keys.is_empty());
        let asked = Asked {
            patient_id: "A*",
            modality: "ct",
            study_date: "20260131",
            ..Asked::default()
        };
        assert_eq!(asked.query(10, 20).unwrap().keys.len(), 3);
        let long = "x".repeat(TEXT_BYTES_MAX + 1);
        assert_eq!(
            Asked {
                patient_id: &long,
                ..Asked::default()
            }
            .query(1, 0)
            .unwrap_err(),
            AskedError::TooLong
        );
    }
}
