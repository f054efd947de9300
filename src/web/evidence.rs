//! `/studies/{study}/evidence`: what the series of a study hold, and what seems to be missing, for whoever has to say that it
//! is complete enough to be read. Where slices lie is drawn: a line each, gaps between them as bands.

use std::fmt::{Display, Write};

use actix_web::{HttpRequest, HttpResponse, web};

use crate::access::Action;
use crate::cases::Cases;
use crate::cases::evidence::{Finding, SeriesLooked, Severity, Stack, StudyEvidence};
use crate::dicom::Uid;
use crate::dicom::text_form::escaped;
use crate::http::{Caller, Hall, Problem, off_thread};
use crate::web::cases::moment;
use crate::web::frame::{Frame, Part};
use crate::web::language::Language;
use crate::web::tell_accessed;

/// So many lines are drawn of a stack; of more every n-th.
const LINES_MAX: usize = 400;

const OF_THEMSELVES: &str = "This is what the objects say of themselves. Whether it is enough for the question, somebody has to say \
    who has looked.";

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
    let language = Language::of(&request);
    let mut body = String::new();
    write(&mut body, language, &found);
    let frame = Frame::of(&request, &caller, Part::Studies, "../../");
    let title = language.say("Is it complete?");
    Ok(frame.page(HttpResponse::Ok(), title, &body))
}

/// The same beside the form of a case, where who asks has to say that it is complete enough.
pub(super) fn write_beside(html: &mut String, language: Language, found: &StudyEvidence) {
    let _ = writeln!(html, "<h2>{}</h2>", language.say("What has arrived"));
    write_findings(html, language, &found.findings);
    for series in &found.series {
        write_series(html, language, series);
    }
    if found.series.is_empty() {
        let none = language.say("No series of it can be looked at.");
        let _ = writeln!(html, "<p class=\"empty\">{none}</p>");
    }
}

fn write(html: &mut String, language: Language, found: &StudyEvidence) {
    let series = found.series.len() as u64 + found.series_not_looked_at;
    let count = ("count", &found.instances as &dyn Display);
    let series = ("series", &series as &dyn Display);
    let held = match &found.declared {
        None => language.fill("{count} instances in {series} series", &[count, series]),
        Some(declared) => language.fill(
            "{count} instances in {series} series; its objects speak of {declared}",
            &[count, series, ("declared", declared)],
        ),
    };
    let _ = writeln!(
        html,
        "<p class=\"back\"><a href=\"../{study}\">← {back}</a></p>\n<h1>{title} <span class=\"also\">{held}</span></h1>",
        study = found.study_instance_uid,
        back = language.say("Study"),
        title = language.say("Is it complete?"),
    );
    write_findings(html, language, &found.findings);
    for series in &found.series {
        write_series(html, language, series);
    }
    let _ = writeln!(
        html,
        "<p class=\"also\">{}</p>",
        language.say(OF_THEMSELVES)
    );
}

fn write_findings(html: &mut String, language: Language, findings: &[Finding]) {
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
            escaped(language.say(finding.kind.sentence()))
        );
    }
    html.push_str("</ul>\n");
}

fn write_series(html: &mut String, language: Language, series: &SeriesLooked) {
    let evidence = &series.evidence;
    let number = match &*series.number {
        "" => String::new(),
        number => {
            let number = escaped(number);
            language.fill("series {number}", &[("number", &number)]) + " · "
        }
    };
    let held = language.fill(
        "{instances} instances, {frames} frames",
        &[
            ("instances", &series.instances),
            ("frames", &evidence.frames),
        ],
    );
    let _ = writeln!(
        html,
        "<section class=\"card\"><h2><span class=\"modality\">{}</span> <bdi>{}</bdi> <span class=\"also\">{number}{held}</span></h2>",
        escaped(&series.modality),
        escaped(&series.description),
    );
    for arrival in &series.arrivals {
        let sender = match &*arrival.sender {
            "" => language.say("others").to_owned(),
            sender => format!("<bdi>{}</bdi>", escaped(sender)),
        };
        let last = moment(arrival.last_ms);
        let received = language.fill(
            "{count} received {moment} from {sender}",
            &[
                ("count", &arrival.instances),
                ("moment", &last),
                ("sender", &sender),
            ],
        );
        let _ = writeln!(html, "<p class=\"also\">{received}</p>");
    }
    write_findings(html, language, &evidence.findings);
    if !evidence.numbers.gaps.is_empty() {
        let gaps = evidence.numbers.gaps.iter();
        let gaps = gaps.map(|(first, last)| match first == last {
            true => first.to_string(),
            false => format!("{first}–{last}"),
        });
        let gaps = gaps.collect::<Vec<_>>().join(", ");
        let missing = language.fill("Missing Instance Numbers: {numbers}", &[("numbers", &gaps)]);
        let _ = writeln!(html, "<p>{missing}</p>");
    }
    if evidence.findings.is_empty() {
        let nothing = language.say("nothing conspicuous");
        let _ = writeln!(html, "<p><span class=\"chip good\">{nothing}</span></p>");
    }
    for stack in &evidence.stacks {
        write_stack(html, language, stack);
    }
    html.push_str("</section>\n");
}

fn write_stack(html: &mut String, language: Language, stack: &Stack) {
    let (Some(first), Some(last)) = (stack.positions.first(), stack.positions.last()) else {
        return;
    };
    let length = last.at_mm - first.at_mm;
    if stack.positions.len() < 2 || !length.is_finite() || length <= 0.0 {
        return;
    }
    let place = |at_mm: f64| ((at_mm - first.at_mm) / length * 1000.0).clamp(0.0, 1000.0);
    let length_mm = format!("{length:.0}");
    let label = language.fill(
        "{slices} slices over {length} mm, {missing} missing",
        &[
            ("slices", &stack.slices),
            ("length", &length_mm),
            ("missing", &stack.missing),
        ],
    );
    let _ = write!(
        html,
        "<svg class=\"strip\" viewBox=\"0 0 1004 12\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{label}\">"
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
    let mut facts = vec![language.fill(
        "{slices} slices over {length} mm",
        &[("slices", &stack.slices), ("length", &length_mm)],
    )];
    if let Some(mm) = stack.spacing_mm {
        facts.push(language.fill("every {mm} mm", &[("mm", &format!("{mm:.2}"))]));
    }
    if let Some(mm) = stack.thickness_mm {
        facts.push(language.fill("{mm} mm thick", &[("mm", &format!("{mm:.2}"))]));
    }
    let mut facts = facts.join(", ");
    if stack.is_localizer {
        facts = language.fill("Localizer: {facts}", &[("facts", &facts)]);
    }
    let _ = writeln!(html, "</svg>\n<p class=\"also\">{facts}</p>");
}
