//! The account that `import` gives at its end.

use std::collections::BTreeSet;
use std::io::{self, Write};

use crate::access::AuditRecord;
use crate::access::audit::{ActionCode, AuditOutcome, Event, STUDIES_MAX};
use crate::archive::Outcome;
use crate::cli::import::Fate;
use crate::cli::shell;
use crate::cli::table::printable;
use crate::dicom::Uid;

/// Refusals told one by one; more are only counted.
const REFUSALS_MAX: usize = 100_000;

/// Counts by fate.
#[derive(Debug, Default)]
pub(super) struct Report {
    stored: u64,
    already_stored: u64,
    replaced: u64,
    in_conflict: u64,
    quarantined: u64,
    /// Not kept, because `duplicate = "keep-first"`.
    kept_first: u64,
    refused: u64,
    refusals: Vec<(String, String)>,
    /// Something was added to these; one more than a record names when they are too many.
    studies: BTreeSet<Uid>,
    not_dicom: u64,
    directories: u64,
    /// Neither file nor folder.
    pub(super) other: u64,
    /// The archive takes nothing more.
    pub(super) is_full: bool,
}

impl Report {
    pub(super) fn add(&mut self, name: String, fate: Fate) {
        match fate {
            Fate::Received(outcome, study) => self.receive(&outcome, study),
            Fate::Refused(reason) => self.refuse(name, reason),
            Fate::NotDicom => self.not_dicom += 1,
            Fate::Directory => self.directories += 1,
            Fate::Abandoned => {}
            Fate::Full => self.is_full = true,
        }
    }

    fn receive(&mut self, outcome: &Outcome, study: Uid) {
        let count = match outcome {
            Outcome::Stored => &mut self.stored,
            Outcome::AlreadyStored => &mut self.already_stored,
            Outcome::Replaced => &mut self.replaced,
            Outcome::StoredInConflict => &mut self.in_conflict,
            Outcome::Quarantined { .. } => &mut self.quarantined,
            Outcome::KeptFirst => &mut self.kept_first,
        };
        *count += 1;
        let is_kept = matches!(
            outcome,
            Outcome::Stored | Outcome::Replaced | Outcome::StoredInConflict
        );
        if is_kept && self.studies.len() <= STUDIES_MAX {
            self.studies.insert(study);
        }
    }

    /// The run as the audit trail has it (PS3.15 §A.5.3.8): its counts, and the studies that something was added to,
    /// unless they are too many to be named.
    pub(super) fn record(&self, is_interrupted: bool) -> AuditRecord {
        let counts = [
            ("stored", self.stored),
            ("already there", self.already_stored),
            ("replaced", self.replaced),
            ("stored in conflict", self.in_conflict),
            ("quarantined", self.quarantined),
            ("not kept", self.kept_first),
            ("refused", self.refused),
        ];
        let counts = counts
            .iter()
            .filter(|(what, count)| *count > 0 || *what == "stored");
        let mut said: Vec<String> = counts
            .map(|(what, count)| format!("{count} {what}"))
            .collect();
        let is_too_many = self.studies.len() > STUDIES_MAX;
        if is_too_many {
            said.push(format!("more than {STUDIES_MAX} studies"));
        }
        if is_interrupted {
            said.push("interrupted".into());
        }
        let outcome = match (self.is_full, self.is_complete()) {
            (true, _) => AuditOutcome::SeriousFailure,
            (false, false) => AuditOutcome::MinorFailure,
            (false, true) => AuditOutcome::Success,
        };
        let who = shell::actor();
        let record = AuditRecord::new(Event::Import, ActionCode::Create, who, shell::now_ms())
            .ended(outcome)
            .saying(said.join(", "));
        match is_too_many {
            true => record,
            false => self.studies.iter().fold(record, AuditRecord::about),
        }
    }

    pub(super) fn refuse(&mut self, name: String, reason: String) {
        self.refused += 1;
        if self.refusals.len() < REFUSALS_MAX {
            self.refusals.push((name, reason));
        }
    }

    /// Whether everything that is DICOM was taken.
    pub(super) fn is_complete(&self) -> bool {
        self.refused == 0 && !self.is_full
    }

    pub(super) fn print(&mut self, out: &mut dyn Write, is_interrupted: bool) -> io::Result<()> {
        let skipped = self.not_dicom + self.directories + self.other;
        let always = [
            ("stored", self.stored, ""),
            ("already there", self.already_stored, ""),
        ];
        let sometimes = [
            (
                "replaced",
                self.replaced,
                "other bytes took their place, as ingest.duplicate says",
            ),
            (
                "stored in conflict",
                self.in_conflict,
                "their study belongs to another patient",
            ),
            (
                "quarantined",
                self.quarantined,
                "see: overread quarantine list",
            ),
            (
                "not kept",
                self.kept_first,
                "other bytes were first, as ingest.duplicate says",
            ),
        ];
        for (what, count, remark) in always
            .into_iter()
            .chain(sometimes.into_iter().filter(|line| line.1 > 0))
        {
            line(out, what, count, remark)?;
        }
        line(out, "refused", self.refused, "")?;
        let parts = [
            ("not DICOM", self.not_dicom),
            ("DICOMDIR", self.directories),
            ("not a file", self.other),
        ];
        let parts: Vec<String> = parts
            .iter()
            .filter(|part| part.1 > 0)
            .map(|(what, count)| format!("{what}: {count}"))
            .collect();
        line(out, "skipped", skipped, &parts.join(", "))?;
        self.refusals.sort_unstable();
        for (name, reason) in &self.refusals {
            writeln!(out, "refused {}: {}", printable(name), printable(reason))?;
        }
        let untold = self.refused.saturating_sub(self.refusals.len() as u64);
        if untold > 0 {
            writeln!(out, "and {untold} more refused")?;
        }
        if is_interrupted {
            writeln!(out, "interrupted; run the same import again to go on")?;
        }
        out.flush()
    }
}

fn line(out: &mut dyn Write, what: &str, count: u64, remark: &str) -> io::Result<()> {
    let text = format!("{what:<18} {count:>9}  {remark}");
    writeln!(out, "{}", text.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_is_told_with_its_reason() {
        let mut report = Report::default();
        let study = |number: usize| Uid::parse(&format!("1.2.{number}")).unwrap();
        report.add("a".into(), Fate::Received(Outcome::Stored, study(1)));
        report.add("b".into(), Fate::NotDicom);
        report.add("c".into(), Fate::Directory);
        assert!(report.is_complete());
        report.add("d\u{1b}".into(), Fate::Refused("cut off".into()));
        assert!(!report.is_complete());
        let mut out = Vec::new();
        report.print(&mut out, false).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(
            text,
            "stored                     1\n\
             already there              0\n\
             refused                    1\n\
             skipped                    2  not DICOM: 1, DICOMDIR: 1\n\
             refused d·: cut off\n"
        );
    }

    #[test]
    fn a_run_is_one_row_and_names_few_studies() {
        let mut report = Report::default();
        let mut add = |outcome: Outcome, number: usize| {
            let study = Uid::parse(&format!("1.2.{number}")).unwrap();
            report.add(String::new(), Fate::Received(outcome, study));
        };
        add(Outcome::Stored, 1);
        add(Outcome::Stored, 1);
        add(Outcome::AlreadyStored, 2);
        add(Outcome::Replaced, 3);
        let row = report.record(false);
        assert_eq!(row.detail, "2 stored, 1 already there, 1 replaced");
        let studies: Vec<_> = row.studies.iter().map(Uid::as_str).collect();
        assert_eq!(
            (studies, row.outcome),
            (vec!["1.2.1", "1.2.3"], AuditOutcome::Success)
        );
        for number in 0..=STUDIES_MAX {
            report.add(
                String::new(),
                Fate::Received(
                    Outcome::Stored,
                    Uid::parse(&format!("1.3.{number}")).unwrap(),
                ),
            );
        }
        report.refuse("x".into(), "cut off".into());
        let row = report.record(true);
        assert!(row.studies.is_empty() && row.outcome == AuditOutcome::MinorFailure);
        assert!(
            row.detail
                .ends_with("1 refused, more than 1000 studies, interrupted"),
            "{}",
            row.detail
        );
    }
}
