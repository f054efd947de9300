//! `overread audit`: the trail of who did what to which study, beside a running server. Reading it is in it too
//! (PS3.15 §A.5.3.2).

use std::io::{self, BufWriter, Write};

use anyhow::ensure;

use crate::access::audit::{Event, Kept, Verifier};
use crate::access::found::FOUND_MAX;
use crate::access::trail::{self, Asked, Edge, STUDIES_MAX, Whose, instant};
use crate::access::{AccessLedger, AuditLedger, Scope, message};
use crate::app;
use crate::cli::{Done, Place, shell};
use crate::config::Settings;
use crate::dicom::Uid;

/// Rows read at a time.
const PAGE_ROWS: usize = 500;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    deed: Deed,
}

#[derive(Debug, clap::Subcommand)]
enum Deed {
    /// Follow the chain from the first row to the last, and print where it ends.
    ///
    /// Whoever can write the file can make a new chain: note what is printed elsewhere, and ask for it again with
    /// --holds.
    Verify {
        /// A row and its digest that were printed before, as ID:DIGEST.
        #[arg(long, value_name = "ID:DIGEST", value_parser = point)]
        holds: Option<Point>,
    },
    /// Write the whole trail to stdout.
    Export {
        /// DICOM audit messages (PS3.15 A.5) or CSV.
        #[arg(long, value_enum, default_value_t = Format::Xml)]
        format: Format,
        /// Only rows after this number.
        #[arg(long, value_name = "ID", default_value_t = 0)]
        after: u64,
    },
    /// List who was given, or tried to get, what of a patient or of studies, as CSV.
    Disclosures {
        /// Every study of a patient, those that were removed as far as the trail knows whose they were.
        #[arg(long, value_name = "ID", required_unless_present = "study")]
        patient_id: Option<String>,
        /// One study; may be said again and again.
        #[arg(long, value_name = "STUDY_UID")]
        study: Vec<Uid>,
    },
    /// Search the trail; rows as CSV, the latest first.
    Search(Search),
}

#[derive(Debug, clap::Args)]
struct Search {
    /// Rows about a patient's studies, those that were removed as far as the trail knows whose they were.
    #[arg(long, value_name = "ID")]
    patient_id: Option<String>,
    /// Rows about a study; may be said again and again.
    #[arg(long, value_name = "STUDY_UID")]
    study: Vec<Uid>,
    /// What somebody did, by the name that the trail has: of an account, an AE title.
    #[arg(long, value_name = "NAME")]
    who: Option<String>,
    /// What was done by one token, link or inbox, as the trail has it: "token 7".
    #[arg(long, value_name = "MEANS")]
    means: Option<String>,
    /// What happened, by its code or meaning in PS3.16 CID 400.
    #[arg(long, value_name = "EVENT", value_parser = event)]
    event: Option<Event>,
    /// Not before this day or instant (UTC).
    #[arg(long, value_name = "TIME", value_parser = from)]
    from: Option<i64>,
    /// Not after it.
    #[arg(long, value_name = "TIME", value_parser = to)]
    to: Option<i64>,
    /// How many rows at most.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Xml,
    Csv,
}

/// A row and its digest.
#[derive(Debug, Clone)]
struct Point {
    id: u64,
    digest: String,
}

fn point(text: &str) -> Result<Point, &'static str> {
    let wrong = "is no ID:DIGEST as `overread audit verify` prints it";
    let (id, digest) = text.split_once(':').ok_or(wrong)?;
    let is_digest = digest.len() == 64 && digest.bytes().all(|b| b.is_ascii_hexdigit());
    match id.parse() {
        Ok(id) if is_digest => Ok(Point {
            id,
            digest: digest.to_ascii_lowercase(),
        }),
        _ => Err(wrong),
    }
}

pub(super) fn run(arguments: Arguments) -> anyhow::Result<Done> {
    let settings = arguments.place.settings()?;
    match arguments.deed {
        Deed::Verify { holds } => {
            let ledger = app::look_at_ledger(&settings)?;
            verify(&*ledger, holds.as_ref())?;
        }
        Deed::Export { format, after } => {
            let ledger = app::ledger(&settings)?;
            used(&*ledger, "exported", None)?;
            export(&*ledger, &settings, format, after)?;
        }
        Deed::Disclosures { patient_id, study } => {
            let ledger = app::ledger(&settings)?;
            let whose = whose(&settings, &*ledger, patient_id.as_deref(), study)?;
            let whose = whose.unwrap_or_default();
            used(&*ledger, "disclosures listed", Some(&whose))?;
            disclosures(&*ledger, &whose)?;
        }
        Deed::Search(wanted) => {
            let ledger = app::ledger(&settings)?;
            let asked = Asked {
                whose: whose(
                    &settings,
                    &*ledger,
                    wanted.patient_id.as_deref(),
                    wanted.study,
                )?,
                who: wanted.who,
                means: wanted.means,
                event: wanted.event,
                from_ms: wanted.from,
                to_ms: wanted.to,
            };
            used(&*ledger, &asked.words(), asked.whose.as_ref())?;
            return search(&*ledger, &asked, wanted.limit as usize);
        }
    }
    Ok(Done::Wholly)
}

/// The trail was used, which is told in it.
fn used(ledger: &dyn AccessLedger, what: &str, whose: Option<&Whose>) -> anyhow::Result<()> {
    let record = trail::used(shell::actor(), shell::now_ms(), what, whose);
    Ok(ledger.record(&record)?)
}

fn verify(ledger: &dyn AccessLedger, holds: Option<&Point>) -> anyhow::Result<()> {
    // The end first: rows that come meanwhile stand after it.
    let head = ledger.audit_head()?;
    let mut verifier = Verifier::new(head);
    let mut is_held = false;
    let mut after = 0;
    loop {
        let page = ledger.audit_rows(after, PAGE_ROWS)?;
        let Some(last) = page.last() else { break };
        after = last.id;
        let until_head = page.iter().filter(|kept| kept.id <= head.id);
        for kept in until_head {
            verifier.next(kept)?;
            is_held |= holds.is_some_and(|point| is_at(point, kept));
        }
    }
    let head = verifier.end()?;
    // What stands after the end is either new, and chained to it, or was put there.
    let later = ledger.audit_head()?;
    ensure!(
        after <= later.id,
        "row {} of the audit trail stands after its end",
        later.id + 1
    );
    if let Some(point) = holds {
        ensure!(
            is_held,
            "row {} of the audit trail is not the one with that digest",
            point.id
        );
    }
    writeln!(
        io::stdout(),
        "{} rows, unbroken; the end is {}:{}",
        head.id,
        head.id,
        head.link
    )?;
    Ok(())
}

fn is_at(point: &Point, kept: &Kept) -> bool {
    point.id == kept.id && point.digest == kept.link.to_string()
}

fn export(
    ledger: &dyn AuditLedger,
    settings: &Settings,
    format: Format,
    mut after: u64,
) -> anyhow::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    let source = settings.dicom.ae_title.as_str();
    out.write_all(match format {
        Format::Xml => message::XML_HEAD.as_bytes(),
        Format::Csv => message::CSV_HEAD.as_bytes(),
    })?;
    loop {
        let page = ledger.audit_rows(after, PAGE_ROWS)?;
        let Some(last) = page.last() else { break };
        after = last.id;
        let mut text = String::new();
        for kept in &page {
            match format {
                Format::Xml => message::write_xml(&mut text, source, &kept.record)?,
                Format::Csv => message::write_csv(&mut text, kept)?,
            }
        }
        out.write_all(text.as_bytes())?;
    }
    if format == Format::Xml {
        out.write_all(message::XML_TAIL.as_bytes())?;
    }
    out.flush()?;
    Ok(())
}

fn disclosures(ledger: &dyn AuditLedger, whose: &Whose) -> anyhow::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    out.write_all(message::CSV_HEAD.as_bytes())?;
    let mut after = 0;
    while let Some((rows, last)) = whose.disclosures(ledger, after)? {
        after = last;
        let mut text = String::new();
        for kept in &rows {
            message::write_csv(&mut text, kept)?;
        }
        out.write_all(text.as_bytes())?;
    }
    out.flush()?;
    // Searches told of so many studies that the trail names none of them: any may have been among them.
    if let Some(broad) = ledger.audit_broad()? {
        writeln!(
            io::stderr(),
            "besides, {} rows of the trail, from {} to {}, tell of searches that found more than {FOUND_MAX} studies \
             each: whose, is not in it",
            broad.rows,
            message::time(broad.first_ms),
            message::time(broad.last_ms)
        )?;
    }
    Ok(())
}

fn search(ledger: &dyn AuditLedger, asked: &Asked, limit: usize) -> anyhow::Result<Done> {
    let mut out = BufWriter::new(io::stdout().lock());
    out.write_all(message::CSV_HEAD.as_bytes())?;
    let (mut written, mut before) = (0, None);
    loop {
        let found = ledger.audit_found(asked, before, PAGE_ROWS.min(limit - written))?;
        let mut text = String::new();
        for kept in &found.rows {
            message::write_csv(&mut text, kept)?;
        }
        out.write_all(text.as_bytes())?;
        written += found.rows.len();
        before = found.next;
        if before.is_none() || written >= limit {
            break;
        }
    }
    out.flush()?;
    Ok(match before {
        Some(_) => {
            eprintln!("there are further rows: --limit has as many as you like");
            Done::InPart
        }
        None => Done::Wholly,
    })
}

/// Whose rows are asked for: of studies, and of a patient, here or removed.
fn whose(
    settings: &Settings,
    ledger: &dyn AuditLedger,
    patient_id: Option<&str>,
    studies: Vec<Uid>,
) -> anyhow::Result<Option<Whose>> {
    let Some(patient_id) = patient_id else {
        return Ok((!studies.is_empty()).then_some(Whose {
            studies,
            patient_id: None,
        }));
    };
    ensure!(!patient_id.trim().is_empty(), "the Patient ID is empty");
    let opened = app::look(settings)?;
    let here = opened
        .archive()
        .studies_of_patient(patient_id, STUDIES_MAX, &Scope::All)?;
    let here = here.into_iter().chain(studies);
    Ok(Some(Whose::of_patient(ledger, patient_id, here)?))
}

fn event(text: &str) -> Result<Event, &'static str> {
    let known = Event::ALL.iter().copied();
    let mut named = known.filter(|event| event.meaning().eq_ignore_ascii_case(text));
    let event = named.next().or_else(|| Event::of_code(text));
    event.ok_or("is no event of PS3.16 CID 400, such as Query or 110112")
}

fn from(text: &str) -> Result<i64, &'static str> {
    instant(text, Edge::Begin).ok_or(NO_INSTANT)
}

fn to(text: &str) -> Result<i64, &'static str> {
    instant(text, Edge::End).ok_or(NO_INSTANT)
}

const NO_INSTANT: &str = "is no date or instant, such as 2026-11-28 or 2026-11-28T08:00:00Z";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_a_number_and_a_digest() {
        let digest = "A".repeat(64);
        let read = point(&format!("7:{digest}")).unwrap();
        assert_eq!((read.id, read.digest), (7, digest.to_lowercase()));
        for text in ["", "7", "x:aa", "7:aa", &format!("-1:{digest}")] {
            assert!(point(text).is_err(), "{text}");
        }
    }
}
