//! How the archive is, for administrators, by whichever door of the web they come: what is looked at, whether it is well,
//! and how it is in sentences. What is checked here is looked at when it is asked for, and nothing of it changes anything.

use std::error::Error;
use std::sync::Arc;

use actix_web::web;

use super::{Caller, Hall, Problem, now_ms, off_thread};
use crate::access::AccessLedger;
use crate::archive::index::Totals;
use crate::archive::queue::{DestinationState, StudyForward};
use crate::archive::{self, Archive};
use crate::cases::Cases;
use crate::cases::notices::{Listed, NoticeDestination};

/// Studies that are told of those that wait.
pub(crate) const STUDIES_MAX: usize = 100;
/// Notices that are looked at for why they wait.
const NOTICES_MAX: usize = 200;
/// So much the clock may go back before it is told.
const BACK_MS: i64 = 60_000;

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    Version,
    SignIn,
    Disk,
    Index,
    Ledger,
    Clock,
    Forwarding,
    Notices,
}

impl What {
    /// All of it, with the code and the name of each.
    const ALL: [(Self, &'static str, &'static str); 8] = [
        (Self::Version, "version", "Version"),
        (Self::SignIn, "sign-in", "Sign-in"),
        (Self::Disk, "disk", "Disk"),
        (Self::Index, "index", "Index"),
        (Self::Ledger, "ledger", "Ledger"),
        (Self::Clock, "clock", "Clock"),
        (Self::Forwarding, "forwarding", "Forwarding"),
        (Self::Notices, "notices", "Notices"),
    ];

    /// For programs.
    pub(crate) fn code(self) -> &'static str {
        let known = Self::ALL.iter().find(|(what, ..)| *what == self);
        known.map_or("", |(_, code, _)| code)
    }

    /// For people.
    pub(crate) fn name(self) -> &'static str {
        let known = Self::ALL.iter().find(|(what, ..)| *what == self);
        known.map_or("", |(.., name)| name)
    }
}

/// What stands in a sentence.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    /// A number, a moment, a size.
    Plain(String),
    /// What somebody has called something.
    Name(String),
    /// What another room says: a sentence of its own.
    Sentence(String),
}

impl Value {
    /// As it is written in English.
    pub(crate) fn text(&self) -> &str {
        let (Self::Plain(text) | Self::Name(text) | Self::Sentence(text)) = self;
        text
    }
}

/// One sentence, with its values in the place of `{name}`.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    /// What it says, for programs.
    pub(crate) code: &'static str,
    pub(crate) english: &'static str,
    pub(crate) values: Vec<(&'static str, Value)>,
}

impl Said {
    /// The sentence in English.
    pub(crate) fn sentence(&self) -> String {
        let mut sentence = self.english.to_owned();
        for (name, value) in &self.values {
            sentence = sentence.replace(&format!("{{{name}}}"), value.text());
        }
        sentence
    }
}

/// A sentence without values.
fn said(code: &'static str, english: &'static str) -> Said {
    Said {
        code,
        english,
        values: Vec::new(),
    }
}

impl Said {
    fn plain(self, name: &'static str, value: impl ToString) -> Self {
        self.with(name, Value::Plain(value.to_string()))
    }

    fn why(self, error: String) -> Self {
        self.with("why", Value::Sentence(error))
    }

    fn with(mut self, name: &'static str, value: Value) -> Self {
        self.values.push((name, value));
        self
    }
}

/// What was found of one thing.
#[derive(Debug, Clone)]
pub(crate) struct Finding {
    pub(crate) what: What,
    pub(crate) is_well: bool,
    pub(crate) said: Vec<Said>,
}

/// How the archive is.
pub(crate) struct Condition {
    pub(crate) at_ms: i64,
    pub(crate) findings: Vec<Finding>,
    /// `None` when the index does not answer.
    pub(crate) totals: Option<Totals>,
    /// What goes on to other archives, and the studies that wait for it, where that can be told.
    pub(crate) forwarding: Option<(Vec<DestinationState>, Vec<StudyForward>)>,
}

impl Condition {
    /// Looks. That the caller may know is the door's to see to.
    ///
    /// # Errors
    /// When there is no thread to look on.
    pub(crate) async fn look(
        hall: &web::Data<Hall>,
        cases: &web::Data<Cases>,
        caller: &Caller,
    ) -> Result<Self, Problem> {
        let (archive, desk) = (hall.archive().clone(), Arc::clone(hall.desk()));
        let (cases, is_anybody) = (cases.clone(), !caller.is_known());
        off_thread(move || Self::found(&archive, desk.ledger(), &cases, is_anybody)).await
    }

    /// Blocks.
    fn found(
        archive: &Archive,
        ledger: &dyn AccessLedger,
        cases: &Cases,
        is_anybody: bool,
    ) -> Self {
        let totals = archive.totals();
        let forwarding = archive.destinations().and_then(|found| {
            let waiting = archive.study_forwards(None, false, STUDIES_MAX)?;
            Ok((found, waiting))
        });
        let notices = cases.ledger().notice_destinations().and_then(|told| {
            let stuck = cases.ledger().deliveries(0, false, NOTICES_MAX)?;
            Ok((told, stuck))
        });
        let at_ms = now_ms();
        let mut findings = vec![version(), door(is_anybody), room(archive), index(&totals)];
        findings.extend(trail(ledger, at_ms));
        findings.extend(match &forwarding {
            Ok((found, waiting)) => {
                queue(What::Forwarding, found.is_empty(), forwards(found, waiting))
            }
            Err(error) => Some(unknown(What::Forwarding, error)),
        });
        findings.extend(match &notices {
            Ok((told, stuck)) => queue(What::Notices, told.is_empty(), undelivered(told, stuck)),
            Err(error) => Some(unknown(What::Notices, error)),
        });
        Self {
            at_ms,
            findings,
            totals: totals.ok(),
            forwarding: forwarding.ok(),
        }
    }

    /// Whether there is nothing to be looked at.
    pub(crate) fn is_well(&self) -> bool {
        self.findings.iter().all(|finding| finding.is_well)
    }
}

fn well(what: What, said: impl Into<Vec<Said>>) -> Finding {
    Finding {
        what,
        is_well: true,
        said: said.into(),
    }
}

fn look(what: What, said: impl Into<Vec<Said>>) -> Finding {
    Finding {
        what,
        is_well: false,
        said: said.into(),
    }
}

fn version() -> Finding {
    let version = said("version", "Overread {version}").plain("version", env!("CARGO_PKG_VERSION"));
    well(What::Version, [version])
}

/// Whether anybody has to sign in.
fn door(is_anybody: bool) -> Finding {
    match is_anybody {
        false => well(
            What::SignIn,
            [said("required", "Everybody has to sign in.")],
        ),
        true => look(
            What::SignIn,
            [said(
                "open",
                "Nobody has to sign in: whoever reaches this server sees and changes everything.",
            )],
        ),
    }
}

/// The disk, and whether anything is taken in. Blocks.
fn room(archive: &Archive) -> Finding {
    let free = match archive.free_bytes() {
        Ok(Some(free)) => Some(said("free", "{size} are free.").plain("size", bytes(free))),
        Ok(None) => None,
        Err(error) => {
            Some(said("free-unknown", "How much is free is not known: {why}.").why(told(&error)))
        }
    };
    let taken = archive.check_room();
    let (is_well, taken) = match taken {
        Ok(()) => (true, said("taken-in", "Studies are taken in.")),
        Err(error) => (
            false,
            said("not-taken-in", "Nothing is taken in: {why}.").why(told(&error)),
        ),
    };
    Finding {
        what: What::Disk,
        is_well,
        said: [Some(taken), free].into_iter().flatten().collect(),
    }
}

/// The index, by what it says of itself.
fn index(totals: &Result<Totals, archive::Error>) -> Finding {
    let answers = || said("answers", "It answers.");
    match totals {
        Ok(totals) if totals.quarantined > 0 => {
            let held = match totals.quarantined {
                1 => said(
                    "held-back",
                    "One instance is held back: decide what shall become of it.",
                ),
                many => said(
                    "held-back",
                    "{count} instances are held back: decide what shall become of them.",
                )
                .plain("count", many),
            };
            look(What::Index, [answers(), held])
        }
        Ok(_) => well(
            What::Index,
            [
                answers(),
                said("nothing-held-back", "Nothing is held back."),
            ],
        ),
        Err(error) => look(
            What::Index,
            [said("silent", "It does not answer: {why}.").why(told(error))],
        ),
    }
}

/// The ledger, and the clock by its last row. Blocks.
fn trail(ledger: &dyn AccessLedger, now_ms: i64) -> Vec<Finding> {
    let last = ledger.audit_head().map_err(|error| error.to_string());
    let last = last.and_then(|head| {
        let before = head.id.saturating_sub(1);
        let rows = ledger.audit_rows(before, 1);
        let rows = rows.map_err(|flaw| flaw.to_string())?;
        Ok((head.id, rows.first().map(|row| row.record.at_ms)))
    });
    let (count, last_ms) = match last {
        Ok(found) => found,
        Err(why) => {
            let wrong = said("wrong", "Something is wrong with it: {why}.").why(why);
            return vec![look(What::Ledger, [wrong])];
        }
    };
    let rows = said("rows", "The audit trail has {count} rows.").plain("count", count);
    let back = last_ms.filter(|last_ms| *last_ms > now_ms.saturating_add(BACK_MS));
    let clock = match back {
        None => well(
            What::Clock,
            [said("now", "It is {now} UTC.").plain("now", moment(now_ms))],
        ),
        Some(last_ms) => look(
            What::Clock,
            [said(
                "set-back",
                "It is {now} UTC here, and the last row of the audit trail is of {last} UTC: the clock was set back, or was wrong \
                 before.",
            )
            .plain("now", moment(now_ms))
            .plain("last", moment(last_ms))],
        ),
    };
    vec![
        well(What::Ledger, [said("answers", "It answers."), rows]),
        clock,
    ]
}

/// What goes on to other archives and is stuck; `waiting` says of studies why.
fn forwards(found: &[DestinationState], waiting: &[StudyForward]) -> Vec<Said> {
    let stuck = found.iter().filter_map(|to| {
        let pause = to.pause.as_ref().map(|pause| &*pause.reason);
        let of_it = waiting
            .iter()
            .filter(|study| study.destination == to.destination);
        let reason = of_it
            .filter_map(|study| study.reason.as_deref())
            .next_back();
        trouble(&to.destination, to.failed, pause, reason)
    });
    stuck.collect()
}

/// What is told of cases and is stuck; `waiting` says of notices why.
fn undelivered(found: &[NoticeDestination], waiting: &[Listed]) -> Vec<Said> {
    let stuck = found.iter().filter_map(|to| {
        let pause = to.pause.as_ref().map(|pause| &*pause.reason);
        let of_it = waiting
            .iter()
            .filter(|listed| listed.destination == to.name);
        let mut reasons = of_it.map(|listed| &*listed.reason);
        let reason = reasons.rfind(|reason| !reason.is_empty());
        trouble(&to.name, to.failed, pause, reason)
    });
    stuck.collect()
}

/// What is wrong with a destination, if anything is.
fn trouble(name: &str, failed: u64, pause: Option<&str>, reason: Option<&str>) -> Option<Said> {
    let said = match (failed, pause, reason) {
        (0, None, _) => return None,
        (0, Some(why), _) => said("waits", "{name}: It waits: {why}.").why(why.to_owned()),
        (_, Some(why), _) => {
            said("waits", "{name}: {failed} failed. It waits: {why}.").why(why.to_owned())
        }
        (_, None, Some(why)) => {
            said("failed", "{name}: {failed} failed. The last: {why}.").why(why.to_owned())
        }
        (_, None, None) => said("failed", "{name}: {failed} failed."),
    };
    let said = match failed {
        0 => said,
        failed => said.plain("failed", failed),
    };
    Some(said.with("name", Value::Name(name.to_owned())))
}

/// Who uses none of it need not hear of it.
fn queue(what: What, is_none: bool, stuck: Vec<Said>) -> Option<Finding> {
    match (is_none, stuck.is_empty()) {
        (true, _) => None,
        (false, true) => Some(well(what, [said("nothing-failed", "Nothing has failed.")])),
        (false, false) => Some(look(what, stuck)),
    }
}

/// Says that nobody can tell.
fn unknown(what: What, error: &dyn Error) -> Finding {
    tracing::warn!(%error, what = what.code(), "health is not known");
    look(
        what,
        [said(
            "unknown",
            "It cannot be told; the server's log has the cause.",
        )],
    )
}

/// An error for people; what only the log may have stays there.
fn told(error: &archive::Error) -> String {
    match error {
        archive::Error::Broken(cause) => {
            tracing::error!(%cause, "the archive is not well");
            "internal failure; the server's log has the cause".to_owned()
        }
        error => error.to_string(),
    }
}

/// A moment to the minute.
fn moment(at_ms: i64) -> String {
    let text = crate::access::message::time(at_ms);
    let (day, time) = text.split_once('T').unwrap_or((&text, ""));
    format!("{day} {}", time.get(..5).unwrap_or_default())
}

/// A size as people say it, in powers of 1000.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["bytes", "kB", "MB", "GB", "TB"];
    let (mut whole, mut tenth, mut unit) = (count, 0, 0);
    while whole >= 1000 && unit + 1 < UNITS.len() {
        (whole, tenth) = (whole / 1000, whole % 1000 / 100);
        unit += 1;
    }
    match unit {
        0 => format!("{whole} {}", UNITS[0]),
        _ => format!("{whole}.{tenth} {}", UNITS[unit]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_told_as_people_say_them() {
        for (count, text) in [
            (0, "0 bytes"),
            (999, "999 bytes"),
            (1_000, "1.0 kB"),
            (1_250_000, "1.2 MB"),
            (70_900_000_000, "70.9 GB"),
            (5_000_000_000_000_000, "5000.0 TB"),
        ] {
            assert_eq!(bytes(count), text);
        }
    }

    #[test]
    fn a_destination_in_trouble_is_told_of_with_the_reason_nearest_to_it() {
        let told = |failed, pause, reason| {
            trouble("away", failed, pause, reason).map(|said| said.sentence())
        };
        for (failed, pause, reason, sentence) in [
            (0, None, Some("odd"), None),
            (0, Some("down"), None, Some("away: It waits: down.")),
            (
                2,
                Some("down"),
                Some("odd"),
                Some("away: 2 failed. It waits: down."),
            ),
            (2, None, Some("odd"), Some("away: 2 failed. The last: odd.")),
            (1, None, None, Some("away: 1 failed.")),
        ] {
            assert_eq!(told(failed, pause, reason).as_deref(), sentence);
        }
    }
}
