//! `overread quarantine`: what was held back, and an administrator's word on it. `show` prints
//! patient data on stdout, which is what deciding needs; none of it goes to the log.

use std::io::{self, Write};

use anyhow::bail;
use clap::Subcommand;

use crate::access::Scope;
use crate::app;
use crate::archive::index::{Difference, Door, Quarantined};
use crate::archive::{Archive, Error, Outcome};
use crate::cli::{Done, Place, table};
use crate::dicom::brief;

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
                held.reason.sentence().to_owned(),
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
    let beside = match archive.quarantined_beside(&Scope::All, id) {
        Err(Error::NotFound) => bail!("there is no number {id} in quarantine"),
        other => other?,
    };
    let held = &beside.held;
    heading(out, held)?;
    if held.differences.is_empty() {
        writeln!(out, "\n{}", beside.sameness())?;
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
    writeln!(out, "reason     {}", held.reason.sentence())?;
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
    let value = |json: &Option<Box<str>>| {
        json.as_deref()
            .map_or_else(|| "absent".into(), brief::value)
    };
    vec![
        difference.path.to_string(),
        brief::keyword(&difference.path),
        value(&difference.held),
        value(&difference.newcomer),
    ]
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

fn door(door: Door) -> &'static str {
    match door {
        Door::Dimse => "C-STORE",
        Door::Stow => "STOW-RS",
        Door::Import => "import",
        Door::Case => "a signed opinion",
    }
}

/// Universal time: the clocks of senders and readers may be anywhere.
fn moment(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(
        |_| ms.to_string(),
        |at| at.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
    )
}
