//! `overread find`: which studies another application entity has (C-FIND), as a table or as JSON.

use std::io::{self, Write};
use std::ops::ControlFlow;

use anyhow::{Context, bail};
use dicom_core::{Tag, VR};
use serde_json::{Map, Value};

use crate::app::stop::Stop;
use crate::cli::echo::Calling;
use crate::cli::keys::Keys;
use crate::cli::{Done, Place, table};
use crate::dicom::query::Identifier;
use crate::dimse::scu::{self, Question};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    place: Place,
    /// AE@HOST:PORT, or a name of dicom.peers.
    #[arg(value_name = "PEER")]
    peer: String,
    #[command(flatten)]
    keys: Keys,
    /// The most studies shown.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    /// One JSON array instead of a table.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    calling: Calling,
}

/// Columns of the table, and members of the JSON objects.
const COLUMNS: &[(&str, &str, Tag, VR)] = &[
    ("DATE", "StudyDate", Tag(0x0008, 0x0020), VR::DA),
    ("PATIENT ID", "PatientID", Tag(0x0010, 0x0020), VR::LO),
    ("NAME", "PatientName", Tag(0x0010, 0x0010), VR::PN),
    ("BORN", "PatientBirthDate", Tag(0x0010, 0x0030), VR::DA),
    ("ACCESSION", "AccessionNumber", Tag(0x0008, 0x0050), VR::SH),
    (
        "DESCRIPTION",
        "StudyDescription",
        Tag(0x0008, 0x1030),
        VR::LO,
    ),
    ("STUDY", "StudyInstanceUID", Tag(0x0020, 0x000D), VR::UI),
    (
        "MODALITIES",
        "ModalitiesInStudy",
        Tag(0x0008, 0x0061),
        VR::CS,
    ),
    (
        "SERIES",
        "NumberOfStudyRelatedSeries",
        Tag(0x0020, 0x1206),
        VR::IS,
    ),
    (
        "IMAGES",
        "NumberOfStudyRelatedInstances",
        Tag(0x0020, 0x1208),
        VR::IS,
    ),
];

pub(super) fn run(arguments: Arguments) -> anyhow::Result<Done> {
    let query = arguments.keys.query(arguments.limit)?;
    let settings = arguments.place.settings()?;
    let outgoing = arguments.calling.apply(settings.dicom.outgoing);
    let peer = outgoing.peers.resolve(&arguments.peer)?;
    let question = Question::of_query(&query).context("cannot be asked by C-FIND")?;
    let question = COLUMNS.iter().fold(question, |question, (.., tag, vr)| {
        question.tag(*tag, *vr, "")
    });
    let stop = Stop::on_signals(|| {})?;
    let (mut studies, mut has_more) = (Vec::new(), false);
    let mut each = |answer: &Identifier| {
        has_more = studies.len() == arguments.limit as usize;
        if has_more {
            return ControlFlow::Break(());
        }
        studies.push(values(answer));
        ControlFlow::Continue(())
    };
    let found = scu::find(&peer, &outgoing, &question, &mut each, &mut || {
        stop.is_asked()
    });
    let was_cut = has_more || stop.is_asked();
    let found = match found {
        // It does not heed C-CANCEL: what it has said so far is what was asked for.
        Err(scu::Failure::Cancelled) if was_cut => None,
        found => Some(found.with_context(|| peer.to_string())?),
    };
    if let Some(found) = found
        .as_ref()
        .filter(|found| found.said.status != 0 && !was_cut)
    {
        bail!("{peer} answers: {}", scu::RetrieveSaid(found.said.clone()));
    }
    print(&studies, arguments.json)?;
    if has_more {
        eprintln!("overread: there are more; see --limit");
    }
    let (is_by_all_keys, unreadable) =
        found.map_or((true, 0), |f| (f.is_by_all_keys, f.unreadable));
    if !is_by_all_keys {
        eprintln!("overread: {peer} does not know all that was asked for");
    }
    if unreadable > 0 {
        eprintln!("overread: {unreadable} answers are unreadable");
    }
    Ok(match stop.is_asked() || unreadable > 0 {
        true => Done::InPart,
        false => Done::Wholly,
    })
}

fn values(answer: &Identifier) -> Vec<String> {
    COLUMNS
        .iter()
        .map(|(.., tag, _)| answer.text(*tag).unwrap_or_default().to_owned())
        .collect()
}

fn print(studies: &[Vec<String>], as_json: bool) -> io::Result<()> {
    let out = &mut io::stdout().lock();
    if !as_json {
        let heading: Vec<&str> = COLUMNS.iter().map(|(heading, ..)| *heading).collect();
        return table::write(out, &heading, studies);
    }
    let object = |values: &Vec<String>| {
        let members = COLUMNS.iter().zip(values);
        let members =
            members.map(|((_, keyword, ..), value)| ((*keyword).into(), value.as_str().into()));
        Value::Object(members.collect::<Map<String, Value>>())
    };
    let studies: Vec<Value> = studies.iter().map(object).collect();
    serde_json::to_writer_pretty(&mut *out, &studies).map_err(io::Error::from)?;
    writeln!(out)
}
