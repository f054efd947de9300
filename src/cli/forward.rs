//! `overread forward`: what goes on to other archives by rule, beside a running server, which goes on
//! with what is changed here within a second.

use std::io::{self, Write};

use clap::Subcommand;
use serde_json::{Value, json};

use crate::app;
use crate::archive::Archive;
use crate::archive::queue::{DestinationState, Part, Queued, StudyForward};
use crate::cli::{Done, Place, table};
use crate::dicom::Uid;

/// Studies read at a time.
const PAGE_ROWS: usize = 500;
/// Instances of one study told one by one.
const INSTANCES_MAX: usize = 100_000;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Destinations, and the studies that wait for one or have failed.
    List {
        /// Studies that have gone, too.
        #[arg(long)]
        all: bool,
        /// One JSON object instead of tables, with every instance that waits or has failed.
        #[arg(long)]
        json: bool,
    },
    /// Try again at once what has failed or waits for another attempt.
    Retry(Which),
    /// Take out of the queue; what comes for the study later goes all the same.
    Drop(Which),
}

/// Which part of the queue.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = true)]
struct Which {
    /// Everything.
    #[arg(long, conflicts_with_all = ["to", "study"])]
    all: bool,
    /// What goes to this destination.
    #[arg(long, value_name = "DESTINATION")]
    to: Option<String>,
    /// What is of this study.
    #[arg(long, value_name = "STUDY_UID")]
    study: Option<Uid>,
}

impl Which {
    fn part(&self) -> Part<'_> {
        Part {
            destination: self.to.as_deref(),
            study_instance_uid: self.study.as_ref(),
        }
    }
}

pub(super) fn run(arguments: Arguments) -> anyhow::Result<Done> {
    let settings = arguments.place.settings()?;
    let out = &mut io::stdout().lock();
    match arguments.command {
        Command::List { all, json } => {
            let opened = app::look(&settings)?;
            let archive = opened.archive();
            let destinations = archive.destinations()?;
            let studies = studies(archive, all)?;
            if json {
                let whole = json!({
                    "destinations": destinations.iter().map(destination_json).collect::<Vec<_>>(),
                    "studies": studies_json(archive, &studies)?,
                });
                serde_json::to_writer_pretty(&mut *out, &whole).map_err(io::Error::from)?;
                writeln!(out)?;
            } else {
                let is_known =
                    |name: &str| settings.forward.routes.iter().any(|r| *r.name == *name);
                write_tables(out, &destinations, &studies, &is_known)?;
            }
        }
        Command::Retry(which) => {
            let count = app::beside(&settings)?.archive().retry(which.part())?;
            writeln!(out, "{count} instances are tried again")?;
        }
        Command::Drop(which) => {
            let count = app::beside(&settings)?.archive().unqueue(which.part())?;
            writeln!(out, "{count} instances are not sent any more")?;
        }
    }
    Ok(Done::Wholly)
}

fn studies(archive: &Archive, is_all: bool) -> anyhow::Result<Vec<StudyForward>> {
    let mut studies: Vec<StudyForward> = Vec::new();
    loop {
        let after = studies
            .last()
            .map(|last| (&*last.destination, &last.study_instance_uid));
        let page = archive.study_forwards(after, is_all, PAGE_ROWS)?;
        if page.is_empty() {
            return Ok(studies);
        }
        studies.extend(page);
    }
}

fn write_tables(
    out: &mut dyn Write,
    destinations: &[DestinationState],
    studies: &[StudyForward],
    is_known: &dyn Fn(&str) -> bool,
) -> io::Result<()> {
    let now_ms = jiff::Timestamp::now().as_millisecond();
    let rows: Vec<Vec<String>> = destinations
        .iter()
        .map(|d| {
            let reason = d.pause.as_ref().map_or("", |pause| &pause.reason);
            let state = match &d.pause {
                _ if !is_known(&d.destination) => "no rule names it".into(),
                Some(pause) if pause.until_ms > now_ms => {
                    format!("not before {}", table::moment(pause.until_ms))
                }
                Some(_) => "tried again".into(),
                None => "open".into(),
            };
            let counts = [d.unstable, d.due, d.failed, d.sent].map(|n| n.to_string());
            [d.destination.to_string(), state]
                .into_iter()
                .chain(counts)
                .chain([reason.to_owned()])
                .collect()
        })
        .collect();
    let heading = [
        "DESTINATION",
        "STATE",
        "NOT STABLE",
        "DUE",
        "FAILED",
        "SENT",
        "WHY",
    ];
    table::write(out, &heading, &rows)?;
    if studies.is_empty() {
        return Ok(());
    }
    let rows: Vec<Vec<String>> = studies
        .iter()
        .map(|s| {
            vec![
                s.study_instance_uid.to_string(),
                s.destination.to_string(),
                state(s).to_owned(),
                s.due_at_ms.map_or_else(String::new, table::moment),
                s.waiting.to_string(),
                s.failed.to_string(),
                s.sent.to_string(),
                s.reason.as_deref().unwrap_or_default().to_owned(),
            ]
        })
        .collect();
    writeln!(out)?;
    let heading = [
        "STUDY", "TO", "STATE", "NEXT", "WAITING", "FAILED", "SENT", "WHY",
    ];
    table::write(out, &heading, &rows)
}

/// One word for a study.
fn state(study: &StudyForward) -> &'static str {
    let is_unstable = study.stable_at_ms > jiff::Timestamp::now().as_millisecond();
    match (study.waiting, study.failed, &study.reason) {
        (0, 0, _) => "sent",
        (0, _, _) => "failed",
        _ if is_unstable => "not stable",
        (_, _, Some(_)) => "tried again",
        _ => "due",
    }
}

fn destination_json(d: &DestinationState) -> Value {
    json!({
        "destination": d.destination,
        "notStable": d.unstable,
        "due": d.due,
        "failed": d.failed,
        "sent": d.sent,
        "pause": d.pause.as_ref().map(|pause| json!({
            "reason": pause.reason,
            "failures": pause.failures,
            "until": table::moment(pause.until_ms),
        })),
    })
}

fn studies_json(archive: &Archive, studies: &[StudyForward]) -> anyhow::Result<Vec<Value>> {
    let mut told = Vec::with_capacity(studies.len());
    for s in studies {
        let queued = archive.queued(&s.destination, &s.study_instance_uid, INSTANCES_MAX)?;
        told.push(json!({
            "StudyInstanceUID": s.study_instance_uid.as_str(),
            "destination": s.destination,
            "state": state(s),
            "waiting": s.waiting,
            "failed": s.failed,
            "sent": s.sent,
            "lastSent": s.sent_at_ms.map(table::moment),
            "stable": table::moment(s.stable_at_ms),
            "next": s.due_at_ms.map(table::moment),
            "instances": queued.iter().map(instance_json).collect::<Vec<_>>(),
        }));
    }
    Ok(told)
}

fn instance_json(q: &Queued) -> Value {
    json!({
        "SeriesInstanceUID": q.series_instance_uid.as_str(),
        "SOPInstanceUID": q.sop_instance_uid.as_str(),
        "state": if q.is_failed { "failed" } else { "waiting" },
        "attempts": q.attempts,
        "reason": q.reason,
        "queued": table::moment(q.queued_at_ms),
        "notBefore": (q.not_before_ms > 0).then(|| table::moment(q.not_before_ms)),
    })
}
