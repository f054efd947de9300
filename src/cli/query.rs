//! `overread query`: what an administrator asks, as a table of studies or as JSON. Reads beside a
//! running server.

use std::io::{self, Write};

use serde_json::{Map, Value, json};

use crate::access::Scope;
use crate::app;
use crate::archive::{Remaining, Row};
use crate::cli::keys::Keys;
use crate::cli::{Done, Place, table};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    keys: Keys,
    /// The most studies shown.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    /// One JSON array instead of a table.
    #[arg(long)]
    json: bool,
}

/// Columns of the table and members of the JSON objects, by keyword.
const COLUMNS: &[(&str, &str)] = &[
    ("DATE", "StudyDate"),
    ("PATIENT ID", "PatientID"),
    ("NAME", "PatientName"),
    ("BORN", "PatientBirthDate"),
    ("ACCESSION", "AccessionNumber"),
    ("DESCRIPTION", "StudyDescription"),
    ("STUDY", "StudyInstanceUID"),
];

pub(super) fn run(arguments: Arguments) -> anyhow::Result<Done> {
    let query = arguments.keys.query(arguments.limit)?;
    let settings = arguments.place.settings()?;
    let page = app::look(&settings)?.archive().find(&query, &Scope::All)?;
    let out = &mut io::stdout().lock();
    if arguments.json {
        let studies: Vec<Value> = page.rows.iter().map(to_json).collect();
        serde_json::to_writer_pretty(&mut *out, &studies).map_err(io::Error::from)?;
        writeln!(out)?;
        return Ok(Done::Wholly);
    }
    let heading: Vec<&str> = COLUMNS
        .iter()
        .map(|column| column.0)
        .chain(["MODALITIES", "SERIES", "IMAGES"])
        .collect();
    table::write(
        out,
        &heading,
        &page.rows.iter().map(to_cells).collect::<Vec<_>>(),
    )?;
    match page.remaining {
        Remaining::Exactly(0) => {}
        Remaining::Exactly(more) => writeln!(out, "and {more} more; see --limit")?,
        Remaining::AtLeast(more) => writeln!(out, "and at least {more} more; see --limit")?,
    }
    Ok(Done::Wholly)
}

fn to_cells(row: &Row) -> Vec<String> {
    let values = COLUMNS.iter().map(|(_, keyword)| {
        row.attributes
            .by_keyword(keyword)
            .unwrap_or_default()
            .to_owned()
    });
    let counted = [
        row.modalities_in_study.join(" "),
        row.series_of_study.to_string(),
        row.instances_of_study.to_string(),
    ];
    values.chain(counted).collect()
}

fn to_json(row: &Row) -> Value {
    let mut study = Map::new();
    for (_, keyword) in COLUMNS {
        study.insert((*keyword).into(), row.attributes.by_keyword(keyword).into());
    }
    study.insert("ModalitiesInStudy".into(), json!(row.modalities_in_study));
    study.insert(
        "NumberOfStudyRelatedSeries".into(),
        json!(row.series_of_study),
    );
    study.insert(
        "NumberOfStudyRelatedInstances".into(),
        json!(row.instances_of_study),
    );
    Value::Object(study)
}
