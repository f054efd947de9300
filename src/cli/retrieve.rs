//! `overread move`: has another application entity send studies to somebody, us unless told otherwise
//! (C-MOVE), or fetches them from it (`--get`, C-GET). Which ones: by UID, or by what `overread query`
//! takes, asked of it beforehand.

use std::io::{self, Write};
use std::ops::ControlFlow;

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressStyle};

use crate::app::{self, stop::Stop};
use crate::cli::echo::Calling;
use crate::cli::keys::Keys;
use crate::cli::send::WrongUsage;
use crate::cli::{Done, Place};
use crate::config::Settings;
use crate::dicom::query::Identifier;
use crate::dicom::{AeTitle, AttributeId, Uid};
use crate::dimse::scu::{self, Counted, Outcome, Question, Retrieved, Watcher};

/// The most studies that keys may name.
const STUDIES_MAX: u32 = 10_000;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    place: Place,
    /// AE@HOST:PORT, or a name of dicom.peers.
    #[arg(value_name = "PEER")]
    peer: String,
    /// Study Instance UIDs; without any, the flags say which studies.
    #[arg(value_name = "STUDY_UID")]
    studies: Vec<Uid>,
    /// Only this series of the one study; may be given more than once.
    #[arg(long, value_name = "UID", requires = "studies")]
    series: Vec<Uid>,
    /// Where to: an AE title that the peer knows. Ours (dicom.ae_title) unless given.
    #[arg(long, value_name = "TITLE", conflicts_with = "get")]
    to: Option<AeTitle>,
    /// Fetch into the archive here, on one association (C-GET). The server must be stopped.
    #[arg(long)]
    get: bool,
    #[command(flatten)]
    keys: Keys,
    #[command(flatten)]
    calling: Calling,
}

pub(super) fn run(arguments: Arguments) -> anyhow::Result<Done> {
    let query = arguments.keys.query(STUDIES_MAX)?;
    match (arguments.studies.is_empty(), query.keys.is_empty()) {
        (true, true) => bail!(WrongUsage(
            "say which studies: STUDY_UID, or a flag such as --patient-id"
        )),
        (false, false) => bail!(WrongUsage(
            "give either STUDY_UIDs or flags that find studies"
        )),
        _ => {}
    }
    if !arguments.series.is_empty() && arguments.studies.len() != 1 {
        bail!(WrongUsage("--series narrows one study: give one STUDY_UID"));
    }
    let settings = arguments.place.settings()?;
    let outgoing = arguments.calling.apply(settings.dicom.outgoing.clone());
    let peer = outgoing.peers.resolve(&arguments.peer)?;
    let progress = ProgressBar::new(0).with_style(ProgressStyle::with_template(
        "{bar:30} {human_pos}/{human_len} {per_sec} {msg}",
    )?);
    let shown = progress.clone();
    let stop = Stop::on_signals(move || shown.set_message("stopping"))?;
    let mut studies = arguments.studies;
    if studies.is_empty() {
        let question = Question::of_query(&query).context("cannot be asked by C-FIND")?;
        studies = find(&peer, &outgoing, question, &stop).with_context(|| peer.to_string())?;
    }
    studies.sort_unstable();
    studies.dedup();
    let (names, questions): (Vec<String>, Vec<Question>) = match &arguments.series[..] {
        [] => studies
            .iter()
            .map(|study| (format!("study {study}"), Question::study(study)))
            .unzip(),
        series => series
            .iter()
            .map(|uid| (format!("series {uid}"), Question::series(&studies[0], uid)))
            .unzip(),
    };
    let mut watch = Watch {
        stop,
        progress,
        before: 0,
        question: 0,
        now: 0,
        whole: 0,
    };
    let retrieved = match arguments.get {
        true => fetch(&settings, &peer, &outgoing, &questions, &mut watch),
        false => {
            let to = arguments.to.unwrap_or(settings.dicom.ae_title);
            Ok(scu::move_to(&peer, &outgoing, &questions, &to, &mut watch))
        }
    };
    watch.progress.finish_and_clear();
    let retrieved = retrieved?.with_context(|| peer.to_string())?;
    print(&names, &retrieved)
}

/// Into our own archive.
fn fetch(
    settings: &Settings,
    peer: &scu::Peer,
    outgoing: &scu::Settings,
    questions: &[Question],
    watch: &mut Watch,
) -> anyhow::Result<Result<Retrieved, scu::Failure>> {
    let opened = app::own(settings)?;
    Ok(scu::get(opened.archive(), peer, outgoing, questions, watch))
}

/// The studies that the peer finds. Only if it looks at every key: it would send what was not meant.
fn find(
    peer: &scu::Peer,
    outgoing: &scu::Settings,
    question: Question,
    stop: &Stop,
) -> anyhow::Result<Vec<Uid>> {
    let question = question.key("StudyInstanceUID", "");
    let uid = AttributeId::of_keyword("StudyInstanceUID").context("the table has it")?;
    let (mut studies, mut strange) = (Vec::new(), 0_usize);
    let mut each = |answer: &Identifier| {
        match answer.text(uid.attribute().tag).map(Uid::parse) {
            Some(Ok(study)) => studies.push(study),
            Some(Err(_)) | None => strange += 1,
        }
        match studies.len() + strange > STUDIES_MAX as usize {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    };
    let found = scu::find(peer, outgoing, &question, &mut each, &mut || {
        stop.is_asked()
    });
    if stop.is_asked() {
        bail!("interrupted");
    }
    if studies.len() + strange > STUDIES_MAX as usize {
        bail!("more than {STUDIES_MAX} studies have these keys");
    }
    let found = found?;
    if found.said.status != 0 {
        bail!("C-FIND: {}", scu::RetrieveSaid(found.said));
    }
    if !found.is_by_all_keys {
        bail!("it does not search by all of these keys; name studies by UID (see overread find)");
    }
    if strange > 0 || found.unreadable > 0 {
        eprintln!("overread: answers without a UID are left out");
    }
    if studies.is_empty() {
        bail!("no study has these keys");
    }
    Ok(studies)
}

/// What is told of each, and how it went with all.
fn print(names: &[String], retrieved: &Retrieved) -> anyhow::Result<Done> {
    let out = &mut io::stdout().lock();
    let (mut whole, mut moved) = (0, 0_u64);
    let (mut failed, mut warned) = (0_u64, 0_u64);
    for (name, outcome) in names.iter().zip(&retrieved.outcomes) {
        let Outcome {
            said,
            counted,
            failed_uids,
        } = outcome;
        let number = |count: Option<u16>| u64::from(count.unwrap_or(0));
        let (done, warnings) = (number(counted.completed), number(counted.warning));
        moved += done + warnings;
        warned += warnings;
        failed += number(counted.failed);
        let is_done = said.0.status == 0 || said.0.status == 0xB000;
        if is_done && counted.completed == Some(0) && number(counted.failed) + warnings == 0 {
            writeln!(out, "there is no {name}")?;
            continue;
        }
        // B000 without a count says that some failed, not how many.
        let is_whole = match said.0.status {
            0 => number(counted.failed) == 0,
            0xB000 => counted.failed == Some(0),
            _ => false,
        };
        if is_whole && failed_uids.is_empty() {
            whole += 1;
        } else {
            writeln!(out, "failed {name}: {said}")?;
        }
        for uid in failed_uids {
            writeln!(out, "failed {uid}")?;
        }
    }
    writeln!(out, "{:<20} {moved:>9}", "moved")?;
    if warned > 0 {
        writeln!(out, "{:<20} {warned:>9}", "with a warning")?;
    }
    writeln!(out, "{:<20} {failed:>9}", "failed")?;
    out.flush()?;
    if let Some(failure) = &retrieved.failure {
        let left = names.len() - retrieved.outcomes.len();
        eprintln!("overread: {failure}; not asked for, or not to the end: {left}");
    }
    Ok(match whole {
        _ if whole == names.len() => Done::Wholly,
        0 if moved == 0 => Done::Broken,
        _ => Done::InPart,
    })
}

/// Shows how far it has come.
struct Watch {
    stop: Stop,
    progress: ProgressBar,
    /// What the questions before this one have brought.
    before: u64,
    question: usize,
    now: u64,
    whole: u64,
}

impl Watcher for Watch {
    fn counted(&mut self, question: usize, counted: Counted) {
        if question != self.question {
            (self.question, self.before) = (question, self.before + self.whole);
        }
        let number = |count: Option<u16>| u64::from(count.unwrap_or(0));
        self.now = number(counted.completed) + number(counted.failed) + number(counted.warning);
        self.whole = self.now + number(counted.remaining);
        self.progress.set_length(self.before + self.whole);
        self.progress.set_position(self.before + self.now);
    }

    fn is_cancelled(&mut self) -> bool {
        self.stop.is_asked()
    }
}
