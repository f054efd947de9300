//! `overread quarantine`: what was held back, and an administrator's word on it. `show` prints
//! patient data on stdout, which is what deciding needs; none of it goes to the log.

use std::io::{self, Write};

use anyhow::bail;
use clap::Subcommand;
use dicom_core::Tag;
use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry};
use dicom_dictionary_std::StandardDataDictionary;

use crate::access::Scope;
use crate::app;
use crate::archive::index::{Difference, Door, QuarantineReason, Quarantined};
use crate::archive::{Archive, Error, Outcome};
use crate::cli::{Done, Place, table};

/// How many are read at a time.
const PAGE_ROWS: usize = 500;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Everything held back, oldest first.
    List,
    /// One of them, with what differs from what is stored.
    Show {
        /// Its number in the list.
        id: i64,
    },
    /// Store it. What holds its UID goes into quarantine in its place.
    Accept {
        /// Its number in the list.
        #[arg(required = true)]
        ids: Vec<i64>,
    },
    /// Remove it for good.
    Reject {
        /// Its number in the list.
        #[arg(required = true)]
        ids: Vec<i64>,
    },
}

pub(super) fn run(arguments: Arguments) -> anyhow::Result<Done> {
    let settings = arguments.place.settings()?;
    let out = &mut io::stdout().lock();
    match arguments.command {
        Command::List => list(out, app::look(&settings)?.archive()),
        Command::Show { id } => show(out, app::look(&settings)?.archive(), id),
        Command::Accept { ids } => {
            let opened = app::own(&settings)?;
            resolve(out, &ids, |id| {
                match opened.archive().accept(&Scope::All, id)? {
                    Outcome::Replaced => Ok("stored; what was there before is in quarantine now"),
                    _ => Ok("stored"),
                }
            })
        }
        Command::Reject { ids } => {
            let opened = app::own(&settings)?;
            resolve(out, &ids, |id| {
                opened.archive().reject(&Scope::All, id).map(|()| "removed")
            })
        }
    }
}

fn list(out: &mut dyn Write, archive: &Archive) -> anyhow::Result<Done> {
    let mut rows = Vec::new();
    let mut after = 0;
    loop {
        let page = archive.quarantined(&Scope::All, after, PAGE_ROWS)?;
        let Some(last) = page.last() else { break };
        after = last.id;
        rows.extend(page.iter().map(|held| {
            let instance = &held.instance;
            vec![
                held.id.to_string(),
                moment(instance.received_at_ms),
                reason(held.reason).to_owned(),
                door(instance.origin.door).to_owned(),
                instance.origin.sender.to_string(),
                instance.header.sop_instance_uid.to_string(),
            ]
        }));
    }
    table::write(
        out,
        &["NUMBER", "RECEIVED", "REASON", "BY", "FROM", "INSTANCE"],
        &rows,
    )?;
    list_let_through(out, archive)?;
    Ok(Done::Wholly)
}

/// What `[ingest] patient_conflict = "accept"` or an administrator stored against the study's patient.
fn list_let_through(out: &mut dyn Write, archive: &Archive) -> anyhow::Result<()> {
    let conflicts = archive.accepted_conflicts(&Scope::All, PAGE_ROWS)?;
    if conflicts.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> = conflicts
        .iter()
        .map(|conflict| {
            let differing: Vec<_> = conflict.differences.iter().map(|d| &*d.path).collect();
            vec![
                moment(conflict.received_at_ms),
                conflict.study_instance_uid.to_string(),
                conflict.sop_instance_uid.to_string(),
                differing.join(" "),
            ]
        })
        .collect();
    writeln!(
        out,
        "\nStored although the study belongs to another patient (the newest {PAGE_ROWS} at most):"
    )?;
    table::write(out, &["RECEIVED", "STUDY", "INSTANCE", "DIFFERING"], &rows)?;
    Ok(())
}

fn show(out: &mut dyn Write, archive: &Archive, id: i64) -> anyhow::Result<Done> {
    let held = match archive.quarantined_one(&Scope::All, id) {
        Err(Error::NotFound) => bail!("there is no number {id} in quarantine"),
        other => other?,
    };
    heading(out, &held)?;
    if held.differences.is_empty() {
        writeln!(
            out,
            "\nNo attribute of the metadata differs: the difference is in the pixels or the encoding."
        )?;
        return Ok(Done::Wholly);
    }
    writeln!(out)?;
    let rows: Vec<_> = held.differences.iter().map(difference).collect();
    table::write(out, &["TAG", "ATTRIBUTE", "STORED", "HELD BACK"], &rows)?;
    Ok(Done::Wholly)
}

fn heading(out: &mut dyn Write, held: &Quarantined) -> io::Result<()> {
    let instance = &held.instance;
    let origin = &instance.origin;
    writeln!(out, "number     {}", held.id)?;
    writeln!(out, "reason     {}", reason(held.reason))?;
    writeln!(out, "received   {}", moment(instance.received_at_ms))?;
    writeln!(
        out,
        "from       {}",
        table::printable(&format!(
            "{} {} {}",
            door(origin.door),
            origin.sender,
            origin.peer
        ))
        .trim_end()
    )?;
    writeln!(out, "study      {}", instance.header.study_instance_uid)?;
    writeln!(out, "series     {}", instance.header.series_instance_uid)?;
    writeln!(out, "instance   {}", instance.header.sop_instance_uid)
}

fn difference(difference: &Difference) -> Vec<String> {
    let value = |json: &Option<Box<str>>| json.as_deref().map_or_else(|| "absent".into(), shown);
    vec![
        difference.path.to_string(),
        keyword(&difference.path),
        value(&difference.held),
        value(&difference.newcomer),
    ]
}

/// The value of an attribute in DICOM JSON, as short as it can be told.
fn shown(json: &str) -> String {
    const CHARACTERS_MAX: usize = 60;
    let value = match serde_json::from_str::<serde_json::Value>(json) {
        Ok(value) => brief(&value),
        Err(_) => json.to_owned(),
    };
    match value.char_indices().nth(CHARACTERS_MAX) {
        Some((end, _)) => format!("{}…", &value[..end]),
        None => value,
    }
}

fn brief(attribute: &serde_json::Value) -> String {
    let Some(values) = attribute.get("Value").and_then(|values| values.as_array()) else {
        return attribute
            .get("BulkDataURI")
            .map_or_else(|| "empty".into(), |_| "bulk data".into());
    };
    let texts = values.iter().map(|value| match value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Object(name) if name.values().all(serde_json::Value::is_string) => name
            .values()
            .filter_map(|group| group.as_str())
            .collect::<Vec<_>>()
            .join("="),
        other => other.to_string(),
    });
    texts.collect::<Vec<_>>().join("\\")
}

/// The keyword of the last tag in a path.
fn keyword(path: &str) -> String {
    let last = path
        .rsplit('/')
        .find(|part| part.len() == 8)
        .unwrap_or(path);
    let tag = u32::from_str_radix(last, 16).ok();
    // The two halves of a tag.
    let tag = tag.map(|number| Tag((number >> 16) as u16, number as u16));
    let entry = tag.and_then(|tag| StandardDataDictionary.by_tag(tag));
    entry.map_or_else(|| "private".into(), |entry| entry.alias().to_owned())
}

fn resolve(
    out: &mut dyn Write,
    ids: &[i64],
    one: impl Fn(i64) -> Result<&'static str, Error>,
) -> anyhow::Result<Done> {
    let mut is_whole = true;
    for &id in ids {
        match one(id) {
            Ok(what) => writeln!(out, "{id}: {what}")?,
            Err(Error::NotFound) => {
                is_whole = false;
                writeln!(out, "{id}: there is no such number in quarantine")?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    match (is_whole, ids.len()) {
        (true, _) => Ok(Done::Wholly),
        (false, 1) => bail!("nothing was done"),
        (false, _) => Ok(Done::InPart),
    }
}

fn reason(reason: QuarantineReason) -> &'static str {
    match reason {
        QuarantineReason::Duplicate => "other bytes under the same UID",
        QuarantineReason::PatientConflict => "its study belongs to another patient",
        QuarantineReason::Displaced => "was stored until another was accepted",
    }
}

fn door(door: Door) -> &'static str {
    match door {
        Door::Dimse => "C-STORE",
        Door::Stow => "STOW-RS",
        Door::Import => "import",
    }
}

/// Universal time: the clocks of senders and readers may be anywhere.
fn moment(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(
        |_| ms.to_string(),
        |at| at.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_told_briefly() {
        for (json, text) in [
            (r#"{"vr":"LO","Value":["A","B"]}"#, "A\\B"),
            (
                r#"{"vr":"PN","Value":[{"Alphabetic":"Doe^John"}]}"#,
                "Doe^John",
            ),
            (r#"{"vr":"US","Value":[512]}"#, "512"),
            (r#"{"vr":"OW","BulkDataURI":"x"}"#, "bulk data"),
            (r#"{"vr":"LO"}"#, "empty"),
            ("not json", "not json"),
        ] {
            assert_eq!(shown(json), text);
        }
        assert_eq!(
            shown(&format!(r#"{{"Value":["{}"]}}"#, "é".repeat(80)))
                .chars()
                .count(),
            61
        );
    }

    #[test]
    fn tags_are_named() {
        assert_eq!(keyword("00100010"), "PatientName");
        assert_eq!(keyword("00400275/0/00400009"), "ScheduledProcedureStepID");
        assert_eq!(keyword("00091001"), "private");
    }
}
