//! `/studies/{study}/evidence`: what the series of a study hold, and what seems to be missing, for whoever has to say that it
//! is complete enough to be read. Where slices lie is drawn: a line each, gaps between them as bands.

use std::fmt::Write;

use actix_web::{HttpRequest, HttpResponse, web};

use crate::access::Action;
use crate::cases::Cases;
use crate::cases::evidence::{Finding, SeriesLooked, Severity, Stack, StudyEvidence};
use crate::dicom::Uid;
use crate::dicom::text_form::escaped;
use crate::http::{Caller, Hall, Problem, off_thread};
use crate::web::cases::moment;
use crate::web::frame::{Frame, Part};
use crate::web::tell_accessed;

/// So many lines are drawn of a stack; of more every n-th.
const LINES_MAX: usize = 400;

/// `GET /studies/{study}/evidence`
pub(super) async fn page(
    request: HttpRequest,
    study: web::Path<String>,
    hall: web::Data<Hall>,
    cases: web::Data<Cases>,
) -> Result<HttpResponse, Problem> {
    let study = Uid::parse(&study).map_err(|_| Problem::not_found())?;
    let caller = Caller::of(&request)?;
    let scope = caller.admit(&hall, Action::Find).await?;
    tell_accessed(&hall, &caller, &scope, &study).await?;
    let found = off_thread(move || cases.evidence(&study, &scope)).await??;
    let found = found.ok_or_else(Problem::not_found)?;
    let mut body = String::new();
    write(&mut body, &found);
    Ok(Frame::of(&request, &caller, Part::Studies, "../../").page(
        HttpResponse::Ok(),
        "Is it complete?",
        &body,
    ))
}

/// The same beside the form of a case, where who asks has to say that it is complete enough.
pub(super) fn write_beside(html: &mut String, found: &StudyEvidence) {
    html.push_str("<h2>What has arrived</h2>\n");
    write_findings(html, &found.findings);
    for series in &found.series {
        write_series(html, series);
    }
    if found.series.is_empty() {
        html.push_str("<p class=\"empty\">No series of it can be looked at.</p>\n");
    }
}

fn write(html: &mut String, found: &StudyEvidence) {
    let _ = writeln!(
        html,
        "<p class=\"back\"><a href=\"../{study}\">← Study</a></p>\n<h1>Is it complete? <span class=\"also\">{count} instances in \
         {series} series{declared}</span></h1>",
        study = found.study_instance_uid,
        count = found.instances,
        series = found.series.len() as u64 + found.series_not_looked_at,
        declared = found.declared.map_or_else(String::new, |declared| {
            format!("; its objects speak of {declared}")
        }),
    );
    write_findings(html, &found.findings);
    for series in &found.series {
        write_series(html, series);
    }
    html.push_str(
        "<p class=\"also\">This is what the objects say of themselves. Whether it is enough for the question, somebody has to \
         say who has looked.</p>\n",
    );
}

fn write_findings(html: &mut String, findings: &[Finding]) {
    if findings.is_empty() {
        return;
    }
    html.push_str("<ul class=\"findings\">");
    for finding in findings {
        let class = match finding.kind.severity() {
            Severity::Warning => "chip warn",
            Severity::Note => "chip",
        };
        let _ = write!(
            html,
            "<li><span class=\"{class}\">{}</span> {}</li>",
            finding.count,
            escaped(finding.kind.sentence())
        );
    }
    html.push_str("</ul>\n");
}

fn write_series(html: &mut String, series: &SeriesLooked) {
    let evidence = &series.evidence;
    let number = match &*series.number {
        "" => String::new(),
        number => format!("series {} · ", escaped(number)),
    };
    let _ = writeln!(
        html,
        "<section class=\"card\"><h2><span class=\"modality\">{}</span> <bdi>{}</bdi> <span class=\"also\">{number}{} instances, {} \
         frames</span></h2>",
        escaped(&series.modality),
        escaped(&series.description),
        series.instances,
        evidence.frames,
    );
    for arrival in &series.arrivals {
        let sender = match &*arrival.sender {
            "" => "others",
            sender => sender,
        };
        let _ = writeln!(
            html,
            "<p class=\"also\">{} received {} from <bdi>{}</bdi></p>",
            arrival.instances,
            moment(arrival.last_ms),
            escaped(sender)
        );
    }
    write_findings(html, &evidence.findings);
    if !evidence.numbers.gaps.is_empty() {
        let gaps = evidence.numbers.gaps.iter();
        let gaps = gaps.map(|(first, last)| match first == last {
            true => first.to_string(),
            false => format!("{first}–{last}"),
        });
        let _ = writeln!(
            html,
            "<p>Missing Instance Numbers: {}</p>",
            gaps.collect::<Vec<_>>().join(", ")
        );
    }
    if evidence.findings.is_empty() {
        html.push_str("<p><span class=\"chip good\">nothing conspicuous</span></p>\n");
    }
    for stack in &evidence.stacks {
        write_stack(html, stack);
    }
    html.push_str("</section>\n");
}

fn write_stack(html: &mut String, stack: &Stack) {
    let (Some(first), Some(last)) = (stack.positions.first(), stack.positions.last()) else {
        return;
    };
    let length = last.at_mm - first.at_mm;
    if stack.positions.len() < 2 || !length.is_finite() || length <= 0.0 {
        return;
    }
    let place = |at_mm: f64| ((at_mm - first.at_mm) / length * 1000.0).clamp(0.0, 1000.0);
    let _ = write!(
        html,
        "<svg class=\"strip\" viewBox=\"0 0 1004 12\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{} slices over {length:.0} \
         mm, {} missing\">",
        stack.slices, stack.missing
    );
    for gap in &stack.gaps {
        let (from, to) = (place(gap.from_mm), place(gap.to_mm));
        let _ = write!(
            html,
            "<rect class=\"gap\" x=\"{from:.1}\" width=\"{:.1}\" height=\"12\"/>",
            (to - from).max(1.0)
        );
    }
    let step = stack.positions.len().div_ceil(LINES_MAX);
    html.push_str("<path class=\"slice\" d=\"");
    for position in stack.positions.iter().step_by(step) {
        let _ = write!(html, "M{:.1} 0h1.2v12h-1.2z", place(position.at_mm));
    }
    html.push_str("\"/>");
    let spacing = stack
        .spacing_mm
        .map_or_else(String::new, |mm| format!(", every {mm:.2} mm"));
    let thickness = stack
        .thickness_mm
        .map_or_else(String::new, |mm| format!(", {mm:.2} mm thick"));
    let _ = writeln!(
        html,
        "</svg>\n<p class=\"also\">{}{} slices over {length:.0} mm{spacing}{thickness}</p>",
        if stack.is_localizer {
            "Localizer: "
        } else {
            ""
        },
        stack.slices
    );
}
