//! `overread send`: studies, series or instances to another application entity (C-STORE). Reads the
//! archive beside a running server. Interrupted, it is simply run again: who has an object already
//! says so.

use std::io::{self, Write};

use anyhow::bail;
use indicatif::{ProgressBar, ProgressStyle};

use crate::access::Scope;
use crate::app::{self, stop::Stop};
use crate::archive::{Located, Target};
use crate::cli::commit::{Account, Commit};
use crate::cli::echo::Calling;
use crate::cli::{Done, Place};
use crate::dicom::Uid;
use crate::dimse::scu::{self, Fate, Observer, Report};

/// Instances told one by one; more are only counted.
const TOLD_MAX: usize = 100_000;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    place: Place,
    /// AE@HOST:PORT, or a name of dicom.peers.
    #[arg(value_name = "PEER")]
    peer: String,
    /// Study Instance UIDs.
    #[arg(required = true, value_name = "STUDY_UID")]
    studies: Vec<Uid>,
    /// Only this series of the one study; may be given more than once.
    #[arg(long, value_name = "UID")]
    series: Vec<Uid>,
    /// Only this instance of the one series; may be given more than once.
    #[arg(long, value_name = "UID", requires = "series")]
    instance: Vec<Uid>,
    #[command(flatten)]
    commit: Commit,
    #[command(flatten)]
    calling: Calling,
    /// Associations at once, at the most (dicom.send_associations).
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=32))]
    associations: Option<u64>,
    /// How often to try again what got lost on the way (dicom.send_retries).
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=100))]
    retries: Option<u32>,
}

pub(super) fn run(arguments: Arguments) -> anyhow::Result<Done> {
    let targets = targets(arguments.studies, arguments.series, arguments.instance)?;
    let settings = arguments.place.settings()?;
    let mut outgoing = arguments.calling.apply(settings.dicom.outgoing.clone());
    if let Some(associations) = arguments.associations {
        outgoing.associations = usize::try_from(associations)?;
    }
    outgoing.retries = arguments.retries.unwrap_or(outgoing.retries);
    let peer = outgoing.peers.resolve(&arguments.peer)?;
    let opened = app::look(&settings)?;
    let progress = ProgressBar::new(0).with_style(ProgressStyle::with_template(
        "{bar:30} {human_pos}/{human_len} {per_sec} {msg}",
    )?);
    let shown = progress.clone();
    let stop = Stop::on_signals(move || shown.set_message("stopping"))?;
    let mut watch = Watch {
        stop,
        progress,
        told: Vec::new(),
        sent: Vec::new(),
        is_sent_noted: arguments.commit.is_asked(),
    };
    let request = scu::Request {
        targets: &targets,
        scope: &Scope::All,
        peer: &peer,
        originator: None,
    };
    let sent = scu::send(opened.archive(), &request, &outgoing, &mut watch);
    watch.progress.finish_and_clear();
    let (report, missing) = sent?;
    for target in &missing {
        eprintln!("overread: there is no {}", name(target));
    }
    if report.total == 0 {
        bail!("nothing was sent");
    }
    watch.print(&report, &mut io::stdout().lock())?;
    let asked = Account::ask(
        &arguments.commit,
        opened.archive(),
        &peer,
        &outgoing,
        &watch.sent,
        &watch.stop,
    );
    if let Some(account) = &asked {
        account.print(&mut io::stdout().lock())?;
    }
    let is_whole = asked.is_none_or(|account| account.is_whole())
        && report.failed == 0
        && report.left() == 0
        && missing.is_empty();
    Ok(match report.stored + report.warned {
        0 => Done::Broken,
        _ if is_whole => Done::Wholly,
        _ => Done::InPart,
    })
}

/// What the words on the command line name; nothing twice.
fn targets(
    mut studies: Vec<Uid>,
    mut series: Vec<Uid>,
    mut instances: Vec<Uid>,
) -> anyhow::Result<Vec<Target>> {
    for uids in [&mut studies, &mut series, &mut instances] {
        uids.sort_unstable();
        uids.dedup();
    }
    if series.is_empty() {
        return Ok(studies.into_iter().map(Target::Study).collect());
    }
    let [study] = &studies[..] else {
        bail!(WrongUsage("--series narrows one study: give one STUDY_UID"));
    };
    if instances.is_empty() {
        let target = |series| Target::Series(study.clone(), series);
        return Ok(series.into_iter().map(target).collect());
    }
    let [series] = &series[..] else {
        bail!(WrongUsage(
            "--instance narrows one series: give one --series"
        ));
    };
    let target = |instance| Target::Instance(study.clone(), series.clone(), instance);
    Ok(instances.into_iter().map(target).collect())
}

/// Words that do not go together.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct WrongUsage(pub(super) &'static str);

fn name(target: &Target) -> String {
    match target {
        Target::Study(study) => format!("study {study}"),
        Target::Series(study, series) => format!("series {series} of study {study}"),
        Target::Instance(_, series, instance) => format!("instance {instance} of series {series}"),
    }
}

/// Shows how far it has come, and keeps what is to be told at the end.
struct Watch {
    stop: Stop,
    progress: ProgressBar,
    told: Vec<String>,
    /// Class and instance of what the peer has, where it will be asked about it.
    sent: Vec<(Uid, Uid)>,
    is_sent_noted: bool,
}

impl Observer for Watch {
    fn planned(&mut self, total: u64) {
        self.progress.set_length(total);
    }

    fn ended(&mut self, instance: &Located, fate: &Fate) {
        self.progress.inc(1);
        let uid = &instance.sop_instance_uid;
        if self.is_sent_noted && !matches!(fate, Fate::Failed(_)) {
            self.sent
                .push((instance.sop_class_uid.clone(), uid.clone()));
        }
        let line = match fate {
            Fate::Stored => return,
            Fate::Warned(said) => format!("warning {uid}: {said}"),
            Fate::Failed(reason) => format!("failed {uid}: {reason}"),
        };
        if self.told.len() < TOLD_MAX {
            self.told.push(line);
        }
    }

    fn is_cancelled(&mut self) -> bool {
        self.stop.is_asked()
    }
}

impl Watch {
    fn print(&self, report: &Report, out: &mut dyn Write) -> io::Result<()> {
        let left = report.left();
        for (what, count, is_shown) in [
            ("sent", report.stored, true),
            ("sent, with a warning", report.warned, report.warned > 0),
            ("failed", report.failed, true),
            ("not sent", left, left > 0),
        ] {
            if is_shown {
                writeln!(out, "{what:<20} {count:>9}")?;
            }
        }
        for line in &self.told {
            writeln!(out, "{line}")?;
        }
        let untold = (report.warned + report.failed).saturating_sub(self.told.len() as u64);
        if untold > 0 {
            writeln!(out, "and {untold} more")?;
        }
        if left > 0 && self.stop.is_asked() {
            writeln!(out, "interrupted; run the same send again to go on")?;
        }
        out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uids(texts: &[&str]) -> Vec<Uid> {
        texts.iter().map(|text| Uid::parse(text).unwrap()).collect()
    }

    #[test]
    fn words_name_targets_once() {
        let named =
            |studies: &[&str], series: &[&str], instances: &[&str]| -> Option<Vec<String>> {
                let targets = targets(uids(studies), uids(series), uids(instances)).ok()?;
                Some(targets.iter().map(name).collect())
            };
        assert_eq!(
            named(&["1.2", "1.1", "1.2"], &[], &[]).unwrap(),
            ["study 1.1", "study 1.2"]
        );
        assert_eq!(
            named(&["1.2"], &["1.3", "1.4"], &[]).unwrap(),
            ["series 1.3 of study 1.2", "series 1.4 of study 1.2"]
        );
        assert_eq!(
            named(&["1.2"], &["1.3"], &["1.5"]).unwrap(),
            ["instance 1.5 of series 1.3"]
        );
        assert_eq!(named(&["1.1", "1.2"], &["1.3"], &[]), None);
        assert_eq!(named(&["1.1"], &["1.3", "1.4"], &["1.5"]), None);
    }
}
