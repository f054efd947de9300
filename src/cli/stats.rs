//! `overread stats`: what can be learned from all opinions, beside a running server. Groups that are too small are not told of.

use std::io::{self, Write};

use crate::app;
use crate::cases::Cases;
use crate::cases::statistics::{Figures, Rate};
use crate::cli::table::printable;
use crate::cli::{Done, Place, shell};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    place: Place,
}

pub(super) fn run(arguments: Arguments) -> anyhow::Result<Done> {
    let settings = arguments.place.settings()?;
    let ledger = app::case_ledger(&settings)?;
    let opened = app::look(&settings)?;
    let our_ae = settings.dicom.ae_title.clone();
    let cases = Cases::beside(ledger, opened.archive().clone(), our_ae);
    let cases = cases.telling_of(settings.statistics.group_size_min);
    let statistics = cases.statistics(shell::now_ms())?;
    let out = &mut io::stdout().lock();
    match &statistics.total {
        Some(figures) => write_figures(out, "all opinions", figures)?,
        None => writeln!(
            out,
            "fewer than {} signed opinions: nothing can be said of so few",
            statistics.group_min
        )?,
    }
    for table in &statistics.tables {
        for (name, figures) in &table.groups {
            let name = match name.as_str() {
                "" => "not known".to_owned(),
                name => printable(name),
            };
            write_figures(out, &format!("{} {name}", table.by.word()), figures)?;
        }
        if table.suppressed > 0 && !table.groups.is_empty() {
            writeln!(
                out,
                "{}: {} small groups are not told of",
                table.by.word(),
                table.suppressed
            )?;
        }
    }
    Ok(Done::Wholly)
}

fn write_figures(out: &mut dyn Write, of: &str, figures: &Figures) -> io::Result<()> {
    writeln!(out, "{of}: {}", figures.verdicts)?;
    for (what, rate) in [
        ("discrepancies", &figures.discordant),
        ("major discrepancies", &figures.major),
        ("likely significant", &figures.significant),
        ("management changed", &figures.management_changed),
        ("more conservative", &figures.more_conservative),
        ("could not be judged", &figures.cannot_judge),
    ] {
        writeln!(out, "  {what}: {}", told(rate))?;
    }
    if let Some(time) = figures.turnaround {
        const HOUR_MS: f64 = 3_600_000.0;
        writeln!(
            out,
            "  time to the answer: median {:.1} h, nine of ten within {:.1} h",
            time.median_ms / HOUR_MS,
            time.percentile_90_ms / HOUR_MS
        )?;
    }
    Ok(())
}

/// A share with its 95 % interval (Wilson).
fn told(rate: &Rate) -> String {
    match (rate.share(), rate.interval()) {
        (Some(share), Some((low, high))) => format!(
            "{:.0} % ({} of {}, {:.0} to {:.0} %)",
            share * 100.0,
            rate.count,
            rate.of,
            low * 100.0,
            high * 100.0
        ),
        _ => "none to speak of".to_owned(),
    }
}
