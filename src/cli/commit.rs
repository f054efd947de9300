//! `--commit` of `overread send`: the destination is asked whether it keeps what it has acknowledged
//! (storage commitment, PS3.4 Annex J). Its word counts for exactly the instances that it names.

use std::collections::{BTreeMap, HashSet};
use std::io::{self, Write};
use std::time::Duration;

use indicatif::ProgressBar;

use crate::app::stop::Stop;
use crate::archive::Archive;
use crate::archive::reports::Told;
use crate::dicom::Uid;
use crate::dimse::scu::{self, CommitRequest, Peer, Settings, Uncommitted};

/// Instances of one transaction: what every archive takes.
const INSTANCES_MAX: usize = 5000;
/// Instances told one by one; more are only counted.
const TOLD_MAX: usize = 10_000;

#[derive(Debug, clap::Args)]
pub(super) struct Commit {
    /// Ask the peer for storage commitment of what it got, and wait so many seconds for its word.
    ///
    /// It may report on the same association, or call the AE title that we go by: then it is our running
    /// server that listens.
    #[arg(long, value_name = "S", num_args = 0..=1, default_missing_value = "300", require_equals = true,
          value_parser = clap::value_parser!(u64).range(1..=86_400))]
    commit: Option<u64>,
}

impl Commit {
    pub(super) fn is_asked(&self) -> bool {
        self.commit.is_some()
    }
}

/// What the peer has said.
#[derive(Debug, Default)]
pub(super) struct Account {
    committed: u64,
    /// Instance and why not.
    uncommitted: Vec<(Uid, String)>,
}

impl Account {
    /// Asks about what was sent, one transaction after the other.
    pub(super) fn ask(
        arguments: &Commit,
        archive: &Archive,
        peer: &Peer,
        settings: &Settings,
        sent: &[(Uid, Uid)],
        stop: &Stop,
    ) -> Option<Self> {
        let patience = Duration::from_secs(arguments.commit?);
        let mut account = Self::default();
        let progress = ProgressBar::new_spinner();
        progress.enable_steady_tick(Duration::from_millis(200));
        progress.set_message("waiting for storage commitment");
        for references in sent.chunks(INSTANCES_MAX) {
            let transaction_uid = Uid::fresh();
            let request = CommitRequest {
                peer,
                transaction_uid: &transaction_uid,
                references,
                patience,
            };
            let title = peer.ae_title.as_str();
            let mut elsewhere = || archive.told(&transaction_uid, title).unwrap_or(None);
            let asked = scu::commit(&request, settings, &mut elsewhere, &|| stop.is_asked());
            account.add(references, asked);
        }
        progress.finish_and_clear();
        Some(account)
    }

    fn add(&mut self, references: &[(Uid, Uid)], asked: Result<Told, Uncommitted>) {
        let told = match asked {
            Ok(told) => told,
            Err(why) => {
                let why = why.to_string();
                let instances = references.iter().map(|(_, instance)| instance.clone());
                self.uncommitted
                    .extend(instances.map(|instance| (instance, why.clone())));
                return;
            }
        };
        let committed: HashSet<(&str, &str)> = told
            .committed
            .iter()
            .map(|(class, instance)| (&**class, &**instance))
            .collect();
        let failed: BTreeMap<&str, u16> = told
            .failed
            .iter()
            .map(|(_, instance, reason)| (&**instance, *reason))
            .collect();
        for (class, instance) in references {
            match failed.get(instance.as_str()) {
                Some(reason) => {
                    let why = format!("{reason:04X}H {}", words(*reason));
                    self.uncommitted.push((instance.clone(), why));
                }
                None if committed.contains(&(class.as_str(), instance.as_str())) => {
                    self.committed += 1;
                }
                None => {
                    let why = "the peer says nothing of it".into();
                    self.uncommitted.push((instance.clone(), why));
                }
            }
        }
    }

    pub(super) fn is_whole(&self) -> bool {
        self.uncommitted.is_empty()
    }

    pub(super) fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{:<20} {:>9}", "committed", self.committed)?;
        let uncommitted = self.uncommitted.len();
        if uncommitted > 0 {
            writeln!(out, "{:<20} {uncommitted:>9}", "not committed")?;
        }
        for (instance, why) in self.uncommitted.iter().take(TOLD_MAX) {
            writeln!(out, "not committed {instance}: {why}")?;
        }
        if uncommitted > TOLD_MAX {
            writeln!(out, "and {} more", uncommitted - TOLD_MAX)?;
        }
        out.flush()
    }
}

/// (0008,1197) in words (PS3.3 §C.14.1.1).
fn words(reason: u16) -> &'static str {
    match reason {
        0x0110 => "processing failure",
        0x0112 => "no such object instance",
        0x0119 => "class-instance conflict",
        0x0122 => "referenced SOP class not supported",
        0x0131 => "duplicate transaction UID",
        0x0213 => "resource limitation",
        _ => "a reason that the standard does not know",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_named_as_committed_is() {
        let uid = |text: &str| Uid::parse(text).unwrap();
        let references: Vec<_> = ["1.1", "1.2", "1.3", "1.4"]
            .map(|instance| (uid("1.9"), uid(instance)))
            .to_vec();
        let pair = |class: &str, instance: &str| (class.into(), instance.into());
        let told = Told {
            // Another class, and another instance, say nothing of ours.
            committed: vec![
                pair("1.9", "1.1"),
                pair("1.8", "1.2"),
                pair("1.9", "1.7"),
                pair("1.9", "1.4"),
            ],
            failed: vec![("1.9".into(), "1.4".into(), 0x0112)],
        };
        let mut account = Account::default();
        account.add(&references, Ok(told));
        assert_eq!(account.committed, 1);
        let named: Vec<_> = account
            .uncommitted
            .iter()
            .map(|(u, _)| u.as_str())
            .collect();
        assert_eq!(named, ["1.2", "1.3", "1.4"]);
        assert_eq!(account.uncommitted[2].1, "0112H no such object instance");
        account.add(&references, Err(Uncommitted::Refused(0x0213)));
        assert_eq!(account.uncommitted.len(), 7);
    }
}
