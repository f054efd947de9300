//! `overread evidence`: whether a study is complete enough to be read. Reads beside a running server. Ends with 0
//! whatever was found: what it means is for a human to say.

use std::io::{self, Write};

use anyhow::anyhow;

use crate::access::Scope;
use crate::access::message::time;
use crate::app;
use crate::archive::Door;
use crate::cases::evidence::{self, Finding, SeriesLooked, Severity, Stack};
use crate::cli::table::{self, printable};
use crate::cli::{Done, Place};
use crate::dicom::Uid;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    place: Place,
    /// Study Instance UID.
    #[arg(value_name = "STUDY_UID")]
    study: String,
}

pub(super) fn run(arguments: Arguments) -> anyhow::Result<Done> {
    let study = Uid::parse(&arguments.study)?;
    let settings = arguments.place.settings()?;
    let opened = app::look(&settings)?;
    let found = evidence::of_study(opened.archive(), &study, &Scope::All)?;
    let found = found.ok_or_else(|| anyhow!("no such study"))?;
    let out = &mut io::stdout().lock();
    writeln!(
        out,
        "{} series, {} instances, the last received {}",
        found.series.len() as u64 + found.series_not_looked_at,
        found.instances,
        found
            .last_received_ms
            .map_or_else(|| "at no known time".into(), time),
    )?;
    if let Some(declared) = found.declared {
        writeln!(out, "its objects declare {declared} instances")?;
    }
    write_findings(out, &found.findings)?;
    for series in &found.series {
        write_series(out, series)?;
    }
    Ok(Done::Wholly)
}

fn write_series(out: &mut dyn Write, series: &SeriesLooked) -> io::Result<()> {
    let evidence = &series.evidence;
    let texts = [&series.modality, &series.body_part, &series.description];
    let texts: Vec<String> = texts
        .into_iter()
        .filter(|text| !text.is_empty())
        .map(|text| printable(text))
        .collect();
    writeln!(out)?;
    writeln!(
        out,
        "series {} {}",
        printable(&series.number),
        texts.join(", ")
    )?;
    writeln!(out, "  {}", series.series_instance_uid)?;
    writeln!(
        out,
        "  {} instances, {} images, {} frames",
        series.instances, evidence.images, evidence.frames
    )?;
    for arrival in &series.arrivals {
        let door = match arrival.door {
            Door::Dimse => "C-STORE",
            Door::Stow => "STOW-RS",
            Door::Import => "import",
            Door::Case => "a signed opinion",
        };
        let sender = match &*arrival.sender {
            "" => "others".to_owned(),
            sender => printable(sender),
        };
        writeln!(
            out,
            "  {} by {door} from {sender}, the last {}",
            arrival.instances,
            time(arrival.last_ms)
        )?;
    }
    let numbers = &evidence.numbers;
    if let (Some(first), Some(last)) = (numbers.first, numbers.last) {
        let missing = numbers.gaps.iter().map(|(from, to)| match from == to {
            true => from.to_string(),
            false => format!("{from} to {to}"),
        });
        let missing: Vec<String> = missing.collect();
        let missing = match missing.is_empty() {
            true => String::new(),
            false => format!(", missing {}", missing.join(", ")),
        };
        writeln!(out, "  Instance Numbers {first} to {last}{missing}")?;
    }
    let stacks: Vec<Vec<String>> = evidence.stacks.iter().map(cells).collect();
    if !stacks.is_empty() {
        table::write(out, &COLUMNS, &stacks)?;
    }
    for stack in &evidence.stacks {
        for gap in &stack.gaps {
            let (from, to) = (gap.from_mm, gap.to_mm);
            writeln!(
                out,
                "  {} missing between {from:.2} and {to:.2} mm",
                gap.missing
            )?;
        }
    }
    write_findings(out, &evidence.findings)
}

/// The columns of a table of stacks; lengths in millimetres.
const COLUMNS: [&str; 9] = [
    "  NORMAL",
    "SLICES",
    "POSITIONS",
    "FROM",
    "TO",
    "SPACING",
    "THICKNESS",
    "MISSING",
    "LEAN",
];

fn cells(stack: &Stack) -> Vec<String> {
    let length = |length: Option<f64>| length.map_or_else(|| "-".into(), |mm| format!("{mm:.2}"));
    let ends = (stack.positions.first(), stack.positions.last());
    let [x, y, z] = stack.normal;
    let kind = if stack.is_localizer { " localizer" } else { "" };
    vec![
        format!("  {x:.2} {y:.2} {z:.2}{kind}"),
        stack.slices.to_string(),
        stack.positions.len().to_string(),
        length(ends.0.map(|position| position.at_mm)),
        length(ends.1.map(|position| position.at_mm)),
        length(stack.spacing_mm),
        length(stack.thickness_mm),
        stack.missing.to_string(),
        length(stack.lean_degrees),
    ]
}

fn write_findings(out: &mut dyn Write, findings: &[Finding]) -> io::Result<()> {
    for finding in findings {
        let sign = match finding.kind.severity() {
            Severity::Note => "note",
            Severity::Warning => "WARNING",
        };
        writeln!(
            out,
            "  {sign}: {} {}",
            finding.count,
            finding.kind.sentence()
        )?;
    }
    Ok(())
}
