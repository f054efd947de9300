//! `overread remove`: a study out of the archive for good, as DELETE does.

use std::io::{self, Write};

use anyhow::{Context, bail};

use crate::access::Scope;
use crate::access::audit::{ActionCode, AuditOutcome, AuditRecord, Event};
use crate::app;
use crate::archive::{Error, Removal, Target};
use crate::cli::{Done, Place, shell};
use crate::dicom::Uid;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    place: Place,
    /// The study.
    #[arg(value_name = "STUDY_UID", value_parser = study)]
    study: Uid,
}

fn study(text: &str) -> Result<Uid, String> {
    Uid::parse(text).map_err(|error| error.to_string())
}

pub(super) fn run(arguments: Arguments) -> anyhow::Result<Done> {
    let settings = arguments.place.settings()?;
    let opened = app::own(&settings)?;
    let study = arguments.study;
    let ledger = opened.ledger().context("the ledger is not open")?;
    let record = AuditRecord::new(
        Event::StudyDeleted,
        ActionCode::Delete,
        shell::actor(),
        shell::now_ms(),
    );
    let record = record.about(&study).saying("overread remove");
    // Told before it is done: the index and the ledger have no transaction in common.
    let is_here = !opened
        .archive()
        .locate(&Target::Study(study.clone()), &Scope::All, None, 1)?
        .is_empty();
    if is_here {
        ledger.record(&record)?;
    }
    let removal = Removal {
        target: Target::Study(study.clone()),
        reason: "overread remove",
        sender: shell::actor().name.into(),
        peer: "".into(),
    };
    match opened.archive().remove(removal, &Scope::All) {
        Ok(removed) => {
            writeln!(
                io::stdout().lock(),
                "removed {} instances, {} bytes",
                removed.instances,
                removed.bytes
            )?;
            Ok(Done::Wholly)
        }
        Err(Error::NotFound) => {
            let target = Target::Study(study.clone());
            match opened.archive().removed_at(&target, &Scope::All)? {
                Some(_) => bail!("study {study} was removed before"),
                None => bail!("there is no study {study}"),
            }
        }
        Err(error) => {
            ledger.record(&record.ended(AuditOutcome::SeriousFailure))?;
            Err(error.into())
        }
    }
}
