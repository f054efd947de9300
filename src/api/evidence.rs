//! `GET /api/v1/studies/{study}/evidence`: whether a study is complete enough to be read, as far as the caller may see
//! it. Lengths are in millimetres, angles in degrees, times RFC 3339 in UTC. Positions of slices are given all, so that
//! a page can draw them.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;

use crate::access::Action;
use crate::access::audit::{ActionCode, AuditOutcome, Event};
use crate::access::message::time;
use crate::archive::Door;
use crate::cases::Cases;
use crate::cases::evidence::{
    Arrival, Finding, Gap, Numbers, Position, Quality, SeriesLooked, Severity, Stack, StudyEvidence,
};
use crate::dicom::Uid;
use crate::http::{Caller, Hall, Problem, off_thread, told};

/// GET and HEAD.
pub(super) async fn show(
    request: HttpRequest,
    hall: web::Data<Hall>,
    cases: web::Data<Cases>,
    study: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let caller = Caller::of(&request)?;
    let scope = caller.admit(&hall, Action::Find).await?;
    let study = Uid::parse(&study).map_err(|error| {
        Problem::bad_request(format!("the study in the path is no UID: {error}"))
    })?;
    let asked = study.clone();
    let found = off_thread(move || cases.evidence(&asked, &scope)).await??;
    if caller.is_known() {
        let outcome = match found {
            Some(_) => AuditOutcome::Success,
            None => AuditOutcome::MinorFailure,
        };
        let record = caller
            .record(Event::Query, ActionCode::Execute)
            .about(&study)
            .ended(outcome);
        told(&hall, record.on("evidence")).await?;
    }
    let found = found.ok_or_else(Problem::not_found)?;
    let body = serde_json::to_string(&Study::from(&*found)).map_err(|_| {
        Problem::new(
            actix_web::http::StatusCode::INTERNAL_SERVER_ERROR,
            "the evidence cannot be written down",
        )
    })?;
    Ok(HttpResponse::Ok()
        .content_type(mime::APPLICATION_JSON)
        .insert_header((header::CACHE_CONTROL, "private, no-store"))
        .body(body))
}

#[derive(Serialize)]
struct Study<'a> {
    study_instance_uid: &'a str,
    instances: u64,
    declared_instances: Option<u64>,
    last_received: Option<String>,
    findings: Vec<Told>,
    series: Vec<Series<'a>>,
}

#[derive(Serialize)]
struct Told {
    kind: &'static str,
    severity: &'static str,
    count: u64,
    sentence: &'static str,
}

#[derive(Serialize)]
struct Series<'a> {
    series_instance_uid: &'a str,
    modality: &'a str,
    series_number: &'a str,
    series_description: &'a str,
    body_part_examined: &'a str,
    instances: u64,
    looked_at: u64,
    images: u64,
    frames: u64,
    localizers: u64,
    received: Vec<Sender<'a>>,
    instance_numbers: InstanceNumbers<'a>,
    stacks: Vec<Slices<'a>>,
    slices_elsewhere: u64,
    frames_without_geometry: u64,
    frames_with_malformed_geometry: u64,
    quality: Made,
    findings: Vec<Told>,
}

#[derive(Serialize)]
struct Sender<'a> {
    by: &'static str,
    sender: &'a str,
    instances: u64,
    first: String,
    last: String,
}

#[derive(Serialize)]
struct InstanceNumbers<'a> {
    first: Option<i64>,
    last: Option<i64>,
    without: u64,
    missing: u64,
    /// Both ends belong to it.
    missing_ranges: &'a [(i64, i64)],
    duplicates: u64,
    /// A number, and how often it comes.
    repeated: &'a [(i64, u64)],
}

#[derive(Serialize)]
struct Slices<'a> {
    is_localizer: bool,
    orientation: &'a [f64; 6],
    normal: &'a [f64; 3],
    slices: u64,
    slices_per_position: u64,
    /// Where, and how many there.
    positions: Vec<(f64, u64)>,
    uneven: u64,
    uneven_positions: Vec<(f64, u64)>,
    spacing_mm: Option<f64>,
    spacing_range_mm: Option<(f64, f64)>,
    missing: u64,
    /// From, to, and how many would fit between.
    gaps: Vec<(f64, f64, u64)>,
    irregular: u64,
    thickness_mm: Option<f64>,
    between_slices_mm: Option<f64>,
    lean_degrees: Option<f64>,
}

#[derive(Serialize)]
struct Made {
    lossy: u64,
    lossy_undeclared: u64,
    perhaps_lossy: u64,
    lossy_ratio: Option<f64>,
    secondary_captures: u64,
    burned_in: u64,
    bits_stored: Option<u32>,
    thickness_range_mm: Option<(f64, f64)>,
}

impl<'a> From<&'a StudyEvidence> for Study<'a> {
    fn from(study: &'a StudyEvidence) -> Self {
        Self {
            study_instance_uid: study.study_instance_uid.as_str(),
            instances: study.instances,
            declared_instances: study.declared,
            last_received: study.last_received_ms.map(time),
            findings: findings(&study.findings),
            series: study.series.iter().map(Series::from).collect(),
        }
    }
}

impl<'a> From<&'a SeriesLooked> for Series<'a> {
    fn from(series: &'a SeriesLooked) -> Self {
        let evidence = &series.evidence;
        Self {
            series_instance_uid: series.series_instance_uid.as_str(),
            modality: &series.modality,
            series_number: &series.number,
            series_description: &series.description,
            body_part_examined: &series.body_part,
            instances: series.instances,
            looked_at: evidence.instances,
            images: evidence.images,
            frames: evidence.frames,
            localizers: evidence.localizers,
            received: series.arrivals.iter().map(Sender::from).collect(),
            instance_numbers: InstanceNumbers::from(&evidence.numbers),
            stacks: evidence.stacks.iter().map(Slices::from).collect(),
            slices_elsewhere: evidence.slices_elsewhere,
            frames_without_geometry: evidence.without_geometry,
            frames_with_malformed_geometry: evidence.malformed_geometry,
            quality: Made::from(&evidence.quality),
            findings: findings(&evidence.findings),
        }
    }
}

impl<'a> From<&'a Arrival> for Sender<'a> {
    fn from(arrival: &'a Arrival) -> Self {
        Self {
            by: match arrival.door {
                Door::Dimse => "dimse",
                Door::Stow => "stow",
                Door::Import => "import",
                Door::Case => "case",
            },
            sender: &arrival.sender,
            instances: arrival.instances,
            first: time(arrival.first_ms),
            last: time(arrival.last_ms),
        }
    }
}

impl<'a> From<&'a Numbers> for InstanceNumbers<'a> {
    fn from(numbers: &'a Numbers) -> Self {
        Self {
            first: numbers.first,
            last: numbers.last,
            without: numbers.without,
            missing: numbers.missing,
            missing_ranges: &numbers.gaps,
            duplicates: numbers.duplicates,
            repeated: &numbers.repeated,
        }
    }
}

impl<'a> From<&'a Stack> for Slices<'a> {
    fn from(stack: &'a Stack) -> Self {
        let gap = |gap: &Gap| (gap.from_mm, gap.to_mm, gap.missing);
        Self {
            is_localizer: stack.is_localizer,
            orientation: &stack.orientation,
            normal: &stack.normal,
            slices: stack.slices,
            slices_per_position: stack.slices_per_position,
            positions: positions(&stack.positions),
            uneven: stack.uneven,
            uneven_positions: positions(&stack.uneven_positions),
            spacing_mm: stack.spacing_mm,
            spacing_range_mm: stack.spacing_range_mm,
            missing: stack.missing,
            gaps: stack.gaps.iter().map(gap).collect(),
            irregular: stack.irregular,
            thickness_mm: stack.thickness_mm,
            between_slices_mm: stack.between_slices_mm(),
            lean_degrees: stack.lean_degrees,
        }
    }
}

impl From<&Quality> for Made {
    fn from(quality: &Quality) -> Self {
        Self {
            lossy: quality.lossy,
            lossy_undeclared: quality.lossy_undeclared,
            perhaps_lossy: quality.perhaps_lossy,
            lossy_ratio: quality.lossy_ratio,
            secondary_captures: quality.secondary_captures,
            burned_in: quality.burned_in,
            bits_stored: quality.bits_stored,
            thickness_range_mm: quality.thickness_range_mm,
        }
    }
}

fn positions(positions: &[Position]) -> Vec<(f64, u64)> {
    let pairs = positions.iter();
    pairs
        .map(|position| (position.at_mm, position.slices))
        .collect()
}

fn findings(findings: &[Finding]) -> Vec<Told> {
    let told = |finding: &Finding| Told {
        kind: finding.kind.word(),
        severity: match finding.kind.severity() {
            Severity::Note => "note",
            Severity::Warning => "warning",
        },
        count: finding.count,
        sentence: finding.kind.sentence(),
    };
    findings.iter().map(told).collect()
}
