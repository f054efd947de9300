//! `/statistics`: what can be learned from all opinions, beside what others have published. Bars are drawn here, without
//! scripts: the point is the share, the band its 95 % interval.

use std::fmt::Write;

use actix_web::{HttpRequest, HttpResponse, web};

use crate::access::Action;
use crate::access::audit::{ActionCode, Event};
use crate::cases::Cases;
use crate::cases::statistics::{By, Figures, Like, PUBLISHED, Rate, Statistics, Table};
use crate::dicom::text_form::escaped;
use crate::http::{Caller, Hall, Problem, now_ms, off_thread, told};
use crate::web::frame::{Frame, Part};
use crate::web::language::Language;

const HOUR_MS: f64 = 3_600_000.0;

/// Months that are shown; JSON and CSV have all.
const MONTHS_MAX: usize = 24;

/// `GET /statistics`
pub(super) async fn page(
    request: HttpRequest,
    hall: web::Data<Hall>,
    cases: web::Data<Cases>,
) -> Result<HttpResponse, Problem> {
    let caller = Caller::of(&request)?;
    caller.admit(&hall, Action::Administer).await?;
    let statistics = off_thread(move || cases.statistics(now_ms())).await??;
    if caller.is_known() {
        let record = caller.record(Event::Query, ActionCode::Execute);
        told(&hall, record.on("statistics")).await?;
    }
    let language = Language::of(&request);
    let mut body = String::new();
    write(&mut body, language, &statistics);
    let title = language.say("Statistics");
    let frame = Frame::of(&request, &caller, Part::Statistics, "");
    Ok(frame.page(HttpResponse::Ok(), title, &body))
}

fn write(html: &mut String, language: Language, statistics: &Statistics) {
    let say = |english| language.say(english);
    let _ = writeln!(html, "<h1>{}</h1>", say("Statistics"));
    match &statistics.total {
        None => {
            let few =
                "There are fewer than {count} signed opinions: nothing can be said of so few.";
            let few = language.fill(few, &[("count", &statistics.group_min)]);
            let _ = writeln!(html, "<p class=\"empty\">{few}</p>");
        }
        Some(figures) => {
            let _ = writeln!(
                html,
                "<section class=\"card\"><h2>{} <span class=\"also\">{} · <a \
                 href=\"api/v1/statistics?format=csv\">CSV</a> · <a href=\"api/v1/statistics\">JSON</a></span></h2>",
                say("All opinions"),
                figures.verdicts
            );
            write_all(html, language, figures);
            html.push_str("</section>\n");
        }
    }
    write_months(html, language, statistics);
    for table in &statistics.tables {
        if !table.groups.is_empty() && table.by != By::Month {
            write_table(html, language, table);
        }
    }
    write_published(html, language);
}

fn write_table(html: &mut String, language: Language, table: &Table) {
    let say = |english| language.say(english);
    let title = match table.by {
        By::Modality => "Discrepancies by modality",
        By::BodyPart => "Discrepancies by body part",
        By::Subspecialty => "Discrepancies by subspecialty",
        By::Reader => "Discrepancies by reader",
        By::Sender => "Discrepancies by sender",
        By::Month => "Discrepancies by month",
    };
    let _ = writeln!(
        html,
        "<section class=\"card\"><h2>{}</h2><table class=\"figures\"><thead><tr><th>{}</th><th>{}</th><th \
         class=\"bar\">{}</th><th>{}</th></tr></thead><tbody>",
        say(title),
        say("Group"),
        say("Share"),
        say("95 % interval"),
        say("Median time")
    );
    for (name, figures) in &table.groups {
        let name = match name.is_empty() {
            true => say("not known").to_owned(),
            false => escaped(name).to_string(),
        };
        write_row(
            html,
            language,
            &name,
            &figures.discordant,
            &hours(language, figures),
        );
    }
    html.push_str("</tbody></table>");
    if table.suppressed > 0 {
        let few = "{count} small groups are not told of.";
        let few = language.fill(few, &[("count", &table.suppressed)]);
        let _ = writeln!(html, "<p class=\"also\">{few}</p>");
    }
    html.push_str("</section>\n");
}

fn write_published(html: &mut String, language: Language) {
    let say = |english| language.say(english);
    let _ = writeln!(
        html,
        "<section class=\"card\"><h2>{}</h2><table class=\"figures\"><thead><tr><th>{}</th><th>{}</th><th>{}</th></tr></thead><tbody>",
        say("Published elsewhere"),
        say("Of what"),
        say("Share"),
        say("Source")
    );
    for published in PUBLISHED {
        let like = match published.like {
            Like::Discordant => "discordant: {what}",
            Like::Major => "major: {what}",
            Like::ManagementChanged => "management changed: {what}",
            Like::MoreConservative => "more conservative: {what}",
        };
        let _ = writeln!(
            html,
            "<tr><td>{}</td><td>{} %</td><td><a href=\"{}\" rel=\"noreferrer\" lang=\"en\">{}</a></td></tr>",
            language.fill(like, &[("what", &escaped(say(published.what)))]),
            published.percent,
            escaped(published.url),
            escaped(published.source)
        );
    }
    html.push_str("</tbody></table></section>\n");
}

/// How long it took, month by month: the latest of those that may be told of.
fn write_months(html: &mut String, language: Language, statistics: &Statistics) {
    let say = |english| language.say(english);
    let tables = &statistics.tables;
    let Some(table) = tables.iter().find(|table| table.by == By::Month) else {
        return;
    };
    let told = table.groups.iter().filter_map(|(month, figures)| {
        let time = figures.turnaround?;
        (!month.is_empty()).then_some((month, time))
    });
    let told: Vec<_> = told.collect();
    let shown = &told[told.len().saturating_sub(MONTHS_MAX)..];
    let longest_ms = shown
        .iter()
        .map(|(_, time)| time.percentile_90_ms)
        .fold(0.0, f64::max);
    if shown.is_empty() {
        return;
    }
    let _ = writeln!(
        html,
        "<section class=\"card\"><h2>{}</h2><table class=\"figures\"><thead><tr><th scope=\"col\">{}</th><th \
         scope=\"col\">{}</th><th scope=\"col\" class=\"bar\">{}</th><th scope=\"col\">{}</th></tr></thead><tbody>",
        say("Time to the answer by month"),
        say("Month"),
        say("Median"),
        say("To the median and to nine of ten"),
        say("Nine of ten within")
    );
    for (month, time) in shown {
        let (median_ms, ninth_ms) = (time.median_ms, time.percentile_90_ms);
        // Where every answer came at once there is no length to draw.
        let width = |ms: f64| match longest_ms > 0.0 {
            true => (ms / longest_ms * 200.0).clamp(0.5, 200.0),
            false => 0.5,
        };
        let _ = writeln!(
            html,
            "<tr><th scope=\"row\">{} <span class=\"also\">{}</span></th><td>{}</td><td class=\"bar\"><svg viewBox=\"0 0 200 10\" \
             preserveAspectRatio=\"none\" aria-hidden=\"true\"><rect class=\"track\" y=\"4\" width=\"{ninth:.1}\" height=\"2\"/><rect \
             class=\"range\" y=\"2\" width=\"{median:.1}\" height=\"6\"/><rect class=\"point\" x=\"{end:.1}\" width=\"2\" \
             height=\"10\"/></svg></td><td>{}</td></tr>",
            escaped(month),
            language.fill("{count} answers", &[("count", &time.verdicts)]),
            lasting(language, median_ms),
            lasting(language, ninth_ms),
            ninth = width(ninth_ms),
            median = width(median_ms),
            end = (width(ninth_ms) - 2.0).max(0.0),
        );
    }
    html.push_str("</tbody></table>");
    if table.suppressed > 0 {
        let few = "{count} months with few answers are not told of.";
        let few = language.fill(few, &[("count", &table.suppressed)]);
        let _ = writeln!(html, "<p class=\"also\">{few}</p>");
    }
    html.push_str("</section>\n");
}

/// A span of time as people say it: hours, and days when there are many.
fn lasting(language: Language, ms: f64) -> String {
    let hours = ms / HOUR_MS;
    match hours < 72.0 {
        true => format!("{hours:.1} h"),
        false => {
            let days = format!("{:.1}", hours / 24.0);
            language.fill("{count} days", &[("count", &days)])
        }
    }
}

fn write_all(html: &mut String, language: Language, figures: &Figures) {
    html.push_str("<table class=\"figures\"><tbody>\n");
    for (what, rate) in [
        ("Discrepancies", &figures.discordant),
        ("Major discrepancies", &figures.major),
        ("Likely to matter to the patient", &figures.significant),
        ("Change what is done", &figures.management_changed),
        ("Make it more conservative", &figures.more_conservative),
        ("Could not be judged", &figures.cannot_judge),
    ] {
        write_row(html, language, language.say(what), rate, "");
    }
    let _ = writeln!(
        html,
        "<tr><th scope=\"row\">{}</th><td colspan=\"3\">{}</td></tr></tbody></table>",
        language.say("Time to the answer"),
        hours(language, figures)
    );
}

fn write_row(html: &mut String, language: Language, name: &str, rate: &Rate, also: &str) {
    let share = match rate.share() {
        Some(share) => format!(
            "{:.0} % <span class=\"also\">{}</span>",
            share * 100.0,
            language.fill(
                "{count} of {all}",
                &[("count", &rate.count), ("all", &rate.of)]
            )
        ),
        None => "–".to_owned(),
    };
    let mut bar = String::new();
    if let (Some(share), Some((low, high))) = (rate.share(), rate.interval()) {
        let ends = language.fill(
            "{low} to {high} percent",
            &[
                ("low", &format!("{:.0}", low * 100.0)),
                ("high", &format!("{:.0}", high * 100.0)),
            ],
        );
        let (low, high, share) = (low * 200.0, high * 200.0, share * 200.0);
        let _ = write!(
            bar,
            "<svg viewBox=\"0 0 200 10\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{ends}\"><rect \
             class=\"track\" y=\"4\" width=\"200\" height=\"2\"/><rect class=\"range\" x=\"{low:.1}\" y=\"2\" width=\"{:.1}\" \
             height=\"6\"/><rect class=\"point\" x=\"{:.1}\" width=\"2\" height=\"10\"/></svg>",
            (high - low).max(0.5),
            (share - 1.0).clamp(0.0, 198.0),
        );
    }
    let _ = writeln!(
        html,
        "<tr><th scope=\"row\">{name}</th><td>{share}</td><td class=\"bar\">{bar}</td><td>{also}</td></tr>"
    );
}

/// Median and ninth tenth of the time to an answer.
fn hours(language: Language, figures: &Figures) -> String {
    figures.turnaround.map_or_else(String::new, |time| {
        let ninth = format!("{:.1}", time.percentile_90_ms / HOUR_MS);
        format!(
            "{:.1} h <span class=\"also\">{}</span>",
            time.median_ms / HOUR_MS,
            language.fill("nine of ten within {count} h", &[("count", &ninth)])
        )
    })
}
