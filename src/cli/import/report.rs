//! The account that `import` gives at its end.

use std::io::{self, Write};

use crate::archive::Outcome;
use crate::cli::import::Fate;
use crate::cli::table::printable;

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
            Fate::Received(Outcome::Stored) => self.stored += 1,
            Fate::Received(Outcome::AlreadyStored) => self.already_stored += 1,
            Fate::Received(Outcome::Replaced) => self.replaced += 1,
            Fate::Received(Outcome::StoredInConflict) => self.in_conflict += 1,
            Fate::Received(Outcome::Quarantined { .. }) => self.quarantined += 1,
            Fate::Received(Outcome::KeptFirst) => self.kept_first += 1,
            Fate::Refused(reason) => self.refuse(name, reason),
            Fate::NotDicom => self.not_dicom += 1,
            Fate::Directory => self.directories += 1,
            Fate::Abandoned => {}
            Fate::Full => self.is_full = true,
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
        report.add("a".into(), Fate::Received(Outcome::Stored));
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
}
