//! `/statistics`: what can be learned from all opinions, beside what others have published. Bars are drawn here, without
//! scripts: the point is the share, the band its 95 % interval.

use std::fmt::Write;

use actix_web::{HttpRequest, HttpResponse, web};

use crate::access::Action;
use crate::access::audit::{ActionCode, Event};
use crate::cases::Cases;
use crate::cases::statistics::{By, Figures, PUBLISHED, Rate, Statistics, Table};
use crate::dicom::text_form::escaped;
use crate::http::{Caller, Hall, Problem, now_ms, off_thread, told};
use crate::web::frame::{Frame, Part};

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
    let mut body = String::new();
    write(&mut body, &statistics);
    Ok(Frame::of(&request, &caller, Part::Statistics, "").page(
        HttpResponse::Ok(),
        "Statistics",
        &body,
    ))
}

fn write(html: &mut String, statistics: &Statistics) {
    html.push_str("<h1>Statistics</h1>\n");
    match &statistics.total {
        None => {
            let _ = writeln!(
                html,
                "<p class=\"empty\">There are fewer than {} signed opinions: nothing can be said of so few.</p>",
                statistics.group_min
            );
        }
        Some(figures) => {
            let _ = writeln!(
                html,
                "<section class=\"card\"><h2>All opinions <span class=\"also\">{} · <a \
                 href=\"api/v1/statistics?format=csv\">CSV</a> · <a href=\"api/v1/statistics\">JSON</a></span></h2>",
                figures.verdicts
            );
            write_all(html, figures);
            html.push_str("</section>\n");
        }
    }
    write_months(html, statistics);
    let is_told = |table: &&Table| !table.groups.is_empty() && table.by != By::Month;
    for table in statistics.tables.iter().filter(is_told) {
        let _ = writeln!(
            html,
            "<section class=\"card\"><h2>Discrepancies by {}</h2><table class=\"figures\"><thead><tr><th>Group</th>\
             <th>Share</th><th class=\"bar\">95 % interval</th><th>Median time</th></tr></thead><tbody>",
            table.by.word().replace('_', " ")
        );
        for (name, figures) in &table.groups {
            let name = if name.is_empty() { "not known" } else { name };
            write_row(
                html,
                &escaped(name).to_string(),
                &figures.discordant,
                &hours(figures),
            );
        }
        html.push_str("</tbody></table>");
        if table.suppressed > 0 {
            let _ = writeln!(
                html,
                "<p class=\"also\">{} small groups are not told of.</p>",
                table.suppressed
            );
        }
        html.push_str("</section>\n");
    }
    html.push_str(
        "<section class=\"card\"><h2>Published elsewhere</h2><table class=\"figures\"><thead><tr><th>Of what</th><th>Share</th>\
         <th>Source</th></tr></thead><tbody>\n",
    );
    for published in PUBLISHED {
        let _ = writeln!(
            html,
            "<tr><td>{}: {}</td><td>{} %</td><td><a href=\"{}\" rel=\"noreferrer\">{}</a></td></tr>",
            published.like.word().replace('_', " "),
            escaped(published.what),
            published.percent,
            escaped(published.url),
            escaped(published.source)
        );
    }
    html.push_str("</tbody></table></section>\n");
}

/// How long it took, month by month: the latest of those that may be told of.
fn write_months(html: &mut String, statistics: &Statistics) {
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
    html.push_str(
        "<section class=\"card\"><h2>Time to the answer by month</h2><table class=\"figures\"><thead><tr><th scope=\"col\">Month</th>\
         <th scope=\"col\">Median</th><th scope=\"col\" class=\"bar\">To the median and to nine of ten</th><th scope=\"col\">Nine of ten \
         within</th></tr></thead><tbody>\n",
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
            "<tr><th scope=\"row\">{} <span class=\"also\">{} answers</span></th><td>{}</td><td class=\"bar\"><svg viewBox=\"0 0 200 10\" \
             preserveAspectRatio=\"none\" aria-hidden=\"true\"><rect class=\"track\" y=\"4\" width=\"{ninth:.1}\" height=\"2\"/><rect \
             class=\"range\" y=\"2\" width=\"{median:.1}\" height=\"6\"/><rect class=\"point\" x=\"{end:.1}\" width=\"2\" \
             height=\"10\"/></svg></td><td>{}</td></tr>",
            escaped(month),
            time.verdicts,
            lasting(median_ms),
            lasting(ninth_ms),
            ninth = width(ninth_ms),
            median = width(median_ms),
            end = (width(ninth_ms) - 2.0).max(0.0),
        );
    }
    html.push_str("</tbody></table>");
    if table.suppressed > 0 {
        let _ = writeln!(
            html,
            "<p class=\"also\">{} months with few answers are not told of.</p>",
            table.suppressed
        );
    }
    html.push_str("</section>\n");
}

/// A span of time as people say it: hours, and days when there are many.
fn lasting(ms: f64) -> String {
    let hours = ms / HOUR_MS;
    match hours < 72.0 {
        true => format!("{hours:.1} h"),
        false => format!("{:.1} days", hours / 24.0),
    }
}

fn write_all(html: &mut String, figures: &Figures) {
    html.push_str("<table class=\"figures\"><tbody>\n");
    for (what, rate) in [
        ("Discrepancies", &figures.discordant),
        ("Major discrepancies", &figures.major),
        ("Likely to matter to the patient", &figures.significant),
        ("Change what is done", &figures.management_changed),
        ("Make it more conservative", &figures.more_conservative),
        ("Could not be judged", &figures.cannot_judge),
    ] {
        write_row(html, what, rate, "");
    }
    let _ = writeln!(
        html,
        "<tr><th scope=\"row\">Time to the answer</th><td colspan=\"3\">{}</td></tr></tbody></table>",
        hours(figures)
    );
}

fn write_row(html: &mut String, name: &str, rate: &Rate, also: &str) {
    let share = match rate.share() {
        Some(share) => format!(
            "{:.0} % <span class=\"also\">{} of {}</span>",
            share * 100.0,
            rate.count,
            rate.of
        ),
        None => "–".to_owned(),
    };
    let mut bar = String::new();
    if let (Some(share), Some((low, high))) = (rate.share(), rate.interval()) {
        let (low, high, share) = (low * 200.0, high * 200.0, share * 200.0);
        let _ = write!(
            bar,
            "<svg viewBox=\"0 0 200 10\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{:.0} to {:.0} percent\"><rect \
             class=\"track\" y=\"4\" width=\"200\" height=\"2\"/><rect class=\"range\" x=\"{low:.1}\" y=\"2\" width=\"{:.1}\" \
             height=\"6\"/><rect class=\"point\" x=\"{:.1}\" width=\"2\" height=\"10\"/></svg>",
            low / 2.0,
            high / 2.0,
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
fn hours(figures: &Figures) -> String {
    figures.turnaround.map_or_else(String::new, |time| {
        format!(
            "{:.1} h <span class=\"also\">nine of ten within {:.1} h</span>",
            time.median_ms / HOUR_MS,
            time.percentile_90_ms / HOUR_MS
        )
    })
}
