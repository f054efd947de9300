//! What a page of 50 studies costs in each order, straight from the index: the first, the one behind a study in
//! the middle, one by its offset there, and the first of what a filter leaves.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use overread::access::Scope;
use overread::archive::index::Index;
use overread::db::Sqlite;
use overread::dicom::asked::Asked;
use overread::dicom::query::{Order, OrderBy};
use overread::dicom::{Query, Uid};

/// The median of so many is told.
const TIMES: usize = 21;
const ROWS: u32 = 50;

const ORDERS: &[(&str, OrderBy, bool)] = &[
    ("-date", OrderBy::StudyDate, true),
    ("date", OrderBy::StudyDate, false),
    ("name", OrderBy::PatientName, false),
    ("-name", OrderBy::PatientName, true),
    ("id", OrderBy::PatientId, false),
    ("-id", OrderBy::PatientId, true),
    ("arrived", OrderBy::Arrival, false),
    ("-arrived", OrderBy::Arrival, true),
];

const FILTERS: &[(&str, Asked<'static>)] = &[
    ("name=smith", asked("smith", "", "")),
    ("name=yilmaz", asked("yilmaz", "", "")),
    ("modality=CT", asked("", "CT", "")),
    ("three months", asked("", "", "20240101-20240331")),
];

const fn asked(
    patient_name: &'static str,
    modality: &'static str,
    study_date: &'static str,
) -> Asked<'static> {
    Asked {
        patient_name,
        patient_id: "",
        study_date,
        modality,
        accession_number: "",
    }
}

/// The milliseconds of a search, and its last study.
fn timed(index: &Sqlite, query: &Query) -> Result<(f64, Option<Uid>)> {
    let mut found = Vec::new();
    let mut last = None;
    for _ in 0..TIMES {
        let begin = Instant::now();
        let page = index.find(query, &Scope::All)?;
        found.push(begin.elapsed().as_secs_f64() * 1000.0);
        let uid = page.rows.last();
        last = uid.and_then(|row| {
            row.attributes
                .by_keyword("StudyInstanceUID")
                .map(Uid::parse)
        });
    }
    found.sort_by(f64::total_cmp);
    Ok((found[TIMES / 2], last.transpose()?))
}

/// Prints a line for each order.
pub(crate) fn measure(dir: &Path) -> Result<()> {
    let index = Sqlite::open(&dir.join("index.sqlite"), 2)?;
    let studies = index.totals()?.studies;
    println!("{studies} studies; milliseconds of a page of {ROWS}, the median of {TIMES}");
    let filters: Vec<_> = FILTERS.iter().map(|(name, _)| *name).collect();
    println!(
        "order: first, behind the middle, by offset there; {}",
        filters.join(", ")
    );
    for &(name, by, is_descending) in ORDERS {
        let ordered = |asked: &Asked<'_>, offset, after| -> Result<Query> {
            let mut query = asked.query(ROWS, offset)?;
            query.order = Order {
                by,
                is_descending,
                after,
            };
            Ok(query)
        };
        let all = Asked::default();
        let (first, _) = timed(&index, &ordered(&all, 0, None)?)?;
        let (by_offset, middle) = timed(&index, &ordered(&all, studies / 2, None)?)?;
        let middle = middle.context("an index with studies")?;
        let (behind, _) = timed(&index, &ordered(&all, 0, Some(middle))?)?;
        print!("{name}: {first:.2}, {behind:.2}, {by_offset:.2};");
        for (_, asked) in FILTERS {
            match timed(&index, &ordered(asked, 0, None)?) {
                Ok((ms, _)) => print!(" {ms:.2}"),
                Err(error) => print!(" {error}"),
            }
        }
        println!();
    }
    Ok(())
}
