//! `overread check`: the index against the blobs. Looking needs no ownership and works beside a
//! running server; repairing does.

use std::io::{self, Write};

use indicatif::{ProgressBar, ProgressStyle};

use crate::app;
use crate::archive::check::{Problem, Report};
use crate::cli::{Done, Place};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    place: Place,
    /// Read every blob again and compare its digest.
    #[arg(long)]
    deep: bool,
    /// Give back the space of blobs that no instance names. Nothing stored is touched.
    #[arg(long)]
    repair: bool,
}

pub(super) fn run(arguments: Arguments) -> anyhow::Result<Done> {
    let settings = arguments.place.settings()?;
    let opened = if arguments.repair {
        app::own(&settings)?
    } else {
        app::look(&settings)?
    };
    let out = &mut io::stdout().lock();
    if arguments.repair {
        // The start has swept what it had reason to doubt; this looks at the rest too.
        let (first, swept) = (opened.swept(), opened.archive().repair()?);
        writeln!(
            out,
            "given back         {:>12} bytes, {} staging files",
            first.orphan_bytes + swept.orphan_bytes,
            first.staged_files + swept.staged_files
        )?;
    }
    let total = opened.archive().totals()?;
    let progress = ProgressBar::new(total.instances.saturating_add(total.quarantined)).with_style(
        ProgressStyle::with_template("{bar:30} {human_pos}/{human_len} {per_sec}")?,
    );
    let report = opened
        .archive()
        .check(arguments.deep, &mut |done| progress.set_position(done))?;
    progress.finish_and_clear();
    print(out, &report)?;
    Ok(if report.problems.is_empty() {
        Done::Wholly
    } else {
        Done::InPart
    })
}

fn print(out: &mut dyn Write, report: &Report) -> io::Result<()> {
    writeln!(out, "blobs              {:>12}", report.blobs)?;
    writeln!(out, "bytes              {:>12}", report.bytes)?;
    writeln!(
        out,
        "bytes of no one    {:>12}  that no instance names: --repair gives them back",
        report.unnamed_bytes
    )?;
    writeln!(out, "problems           {:>12}", report.problems.len())?;
    for (sop_instance_uid, problem) in &report.problems {
        let words = match problem {
            Problem::Missing => "its bytes are missing",
            Problem::NoDicom => "what is there is no DICOM file",
            Problem::Damaged => "its bytes are not those that were received",
        };
        writeln!(out, "instance {sop_instance_uid}: {words}")?;
    }
    Ok(())
}
