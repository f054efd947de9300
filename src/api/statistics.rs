//! Statistics of second opinions as JSON and as CSV. Shares are between 0 and 1, turnaround is in hours.
//!
//! CSV (RFC 4180) is opened with spreadsheets: a cell that these would take for a formula gets an apostrophe before it.

use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::access::Action;
use crate::access::audit::{ActionCode, Event};
use crate::cases::Cases;
use crate::cases::statistics::{Figures, PUBLISHED, Rate, Statistics};
use crate::http::{self, Caller, Hall, Problem, now_ms, off_thread, parameters};

const MS_OF_HOUR: f64 = 3_600_000.0;

/// GET and HEAD of `/api/v1/statistics`, with `?format=csv` as CSV. Whoever asks again and again can subtract, so it is for
/// those who may know how each reader reads: administrators.
pub(super) async fn show(
    request: HttpRequest,
    hall: web::Data<Hall>,
    cases: web::Data<Cases>,
) -> Result<HttpResponse, Problem> {
    let caller = Caller::of(&request)?;
    caller.admit(&hall, Action::Administer).await?;
    let mut is_csv = false;
    for (name, value) in parameters(request.query_string())? {
        is_csv = match (name.as_str(), value.as_str()) {
            ("format", "csv") => true,
            ("format", "json") => false,
            _ => {
                return Err(Problem::bad_request(
                    "knows format=json and format=csv only",
                ));
            }
        };
    }
    let statistics = off_thread(move || cases.statistics(now_ms())).await??;
    if caller.is_known() {
        let record = caller.record(Event::Query, ActionCode::Execute);
        http::told(&hall, record.on("statistics")).await?;
    }
    let mut response = HttpResponse::Ok();
    response.insert_header((header::CACHE_CONTROL, "private, no-store"));
    if is_csv {
        let name = HeaderValue::from_static("attachment; filename=\"overread-statistics.csv\"");
        response.insert_header((header::CONTENT_DISPOSITION, name));
        response.content_type("text/csv; charset=utf-8");
        return Ok(response.body(to_csv(&statistics)));
    }
    Ok(response.json(to_json(&statistics)))
}

/// A share, with how it came about.
#[derive(Serialize)]
struct Share {
    count: u64,
    of: u64,
    share: Option<f64>,
    /// Wilson, 95 %.
    low: Option<f64>,
    high: Option<f64>,
}

impl From<&Rate> for Share {
    fn from(rate: &Rate) -> Self {
        let interval = rate.interval();
        Self {
            count: rate.count,
            of: rate.of,
            share: rate.share(),
            low: interval.map(|(low, _)| low),
            high: interval.map(|(_, high)| high),
        }
    }
}

/// The rates of a group, with their words.
fn rates(figures: &Figures) -> [(&'static str, &Rate); 6] {
    [
        ("cannot_judge", &figures.cannot_judge),
        ("discordant", &figures.discordant),
        ("major", &figures.major),
        ("significant", &figures.significant),
        ("management_changed", &figures.management_changed),
        ("more_conservative", &figures.more_conservative),
    ]
}

/// The counts of a group by grade, with the word of what is graded.
fn counts(figures: &Figures) -> Vec<(&'static str, &'static str, u64)> {
    let agreement = figures.agreement.iter();
    let significance = figures.significance.iter();
    let management = figures.management.iter();
    agreement
        .map(|(grade, count)| ("agreement", grade.word(), *count))
        .chain(significance.map(|(grade, count)| ("significance", grade.word(), *count)))
        .chain(management.map(|(grade, count)| ("management", grade.word(), *count)))
        .collect()
}

/// `{"group_min", "total", "by": {"modality": {"suppressed", "groups": [{"name", …}]}, …}, "published": […]}`.
#[must_use]
fn to_json(statistics: &Statistics) -> Value {
    let mut by = Map::new();
    for table in &statistics.tables {
        let groups = table.groups.iter().map(|(name, figures)| {
            let mut group = Map::new();
            group.insert("name".into(), json!(name));
            group.extend(told(figures));
            Value::Object(group)
        });
        let groups: Vec<Value> = groups.collect();
        let told = json!({"suppressed": table.suppressed, "groups": groups});
        by.insert(table.by.word().into(), told);
    }
    let published = PUBLISHED.iter().map(|published| {
        json!({
            "like": published.like.word(),
            "what": published.what,
            "share": published.percent / 100.0,
            "count": published.counts.map(|(count, _)| count),
            "of": published.counts.map(|(_, of)| of),
            "source": published.source,
            "url": published.url,
        })
    });
    json!({
        "group_min": statistics.group_min,
        "total": statistics.total.as_ref().map(told),
        "by": by,
        "published": published.collect::<Vec<_>>(),
    })
}

fn told(figures: &Figures) -> Map<String, Value> {
    let mut told = Map::new();
    told.insert("verdicts".into(), json!(figures.verdicts));
    for (graded, grade, count) in counts(figures) {
        let counts = told.entry(graded).or_insert_with(|| json!({}));
        counts[grade] = json!(count);
    }
    for (word, rate) in rates(figures) {
        told.insert(word.into(), json!(Share::from(rate)));
    }
    let turnaround = figures.turnaround.map(|turnaround| {
        json!({
            "verdicts": turnaround.verdicts,
            "median_h": turnaround.median_ms / MS_OF_HOUR,
            "percentile_90_h": turnaround.percentile_90_ms / MS_OF_HOUR,
        })
    });
    told.insert("turnaround".into(), json!(turnaround));
    told
}

/// A line for all, then one for each group that may be told of; the first line names the columns.
#[must_use]
fn to_csv(statistics: &Statistics) -> String {
    let mut csv = String::new();
    let total = statistics.total.iter().map(|figures| ("all", "", figures));
    let groups = statistics.tables.iter().flat_map(|table| {
        let groups = table.groups.iter();
        groups.map(|(name, figures)| (table.by.word(), &**name, figures))
    });
    for (by, name, figures) in total.chain(groups) {
        if csv.is_empty() {
            let columns = ["by".to_owned(), "group".to_owned()];
            line(&mut csv, columns.into_iter().chain(columns_of(figures)));
        }
        let cells = [by.to_owned(), name.to_owned()];
        line(&mut csv, cells.into_iter().chain(cells_of(figures)));
    }
    csv
}

fn columns_of(figures: &Figures) -> Vec<String> {
    let mut columns = vec!["verdicts".to_owned()];
    let counts = counts(figures).into_iter();
    columns.extend(counts.map(|(graded, grade, _)| format!("{graded} {grade}")));
    for (word, _) in rates(figures) {
        let parts = ["", "_of", "_share", "_low", "_high"];
        columns.extend(parts.map(|part| format!("{word}{part}")));
    }
    columns.extend(["turnaround_median_h", "turnaround_percentile_90_h"].map(str::to_owned));
    columns
}

fn cells_of(figures: &Figures) -> Vec<String> {
    let number = |number: Option<f64>| number.map_or_else(String::new, |number| number.to_string());
    let mut cells = vec![figures.verdicts.to_string()];
    cells.extend(
        counts(figures)
            .into_iter()
            .map(|(.., count)| count.to_string()),
    );
    for (_, rate) in rates(figures) {
        let share = Share::from(rate);
        cells.extend([share.count, share.of].map(|count| count.to_string()));
        cells.extend([share.share, share.low, share.high].map(number));
    }
    let turnaround = figures.turnaround;
    let hours = |ms: f64| ms / MS_OF_HOUR;
    cells.push(number(turnaround.map(|took| hours(took.median_ms))));
    cells.push(number(turnaround.map(|took| hours(took.percentile_90_ms))));
    cells
}

fn line(csv: &mut String, cells: impl Iterator<Item = String>) {
    for (place, cell) in cells.enumerate() {
        if place > 0 {
            csv.push(',');
        }
        let is_formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']);
        let guard = if is_formula { "'" } else { "" };
        if is_formula || cell.contains(['"', ',', '\r', '\n', '\'']) {
            csv.push_str(&format!("\"{guard}{}\"", cell.replace('"', "\"\"")));
        } else {
            csv.push_str(&cell);
        }
    }
    csv.push_str("\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::grade::{Agreement, Management, Significance};
    use crate::cases::statistics::{Gathering, Verdict};

    fn statistics(names: &[&str]) -> Statistics {
        let mut gathering = Gathering::default();
        for name in names {
            let mut verdict = Verdict {
                modality: "CT".into(),
                body_part: String::new(),
                subspecialty: String::new(),
                reader: (*name).into(),
                sender: String::new(),
                agreement: Some(Agreement::Major),
                significance: Some(Significance::Likely),
                management: Some(Management::MoreConservative),
                asked_ms: 0,
                answered_ms: 5_400_000,
            };
            gathering.add(&verdict);
            verdict.agreement = Some(Agreement::Agree);
            gathering.add(&verdict);
        }
        gathering.statistics(1)
    }

    #[test]
    fn json_has_shares_and_their_intervals() {
        let told = to_json(&statistics(&["anna"]));
        assert_eq!(told["total"]["verdicts"], 2);
        assert_eq!(told["total"]["agreement"]["major-discrepancy"], 1);
        assert_eq!(told["total"]["discordant"]["share"], 0.5);
        assert_eq!(told["total"]["discordant"]["of"], 2);
        assert_eq!(told["total"]["turnaround"]["median_h"], 1.5);
        assert_eq!(told["by"]["reader"]["groups"][0]["name"], "anna");
        assert_eq!(
            told["by"]["reader"]["groups"][0]["cannot_judge"]["count"],
            0
        );
        assert!(
            told["published"]
                .as_array()
                .unwrap()
                .iter()
                .all(|rate| rate["source"].is_string())
        );
        let nothing = to_json(&Gathering::default().statistics(1));
        assert!(nothing["total"].is_null());
        assert_eq!(nothing["by"]["reader"]["groups"], json!([]));
    }

    #[test]
    fn csv_is_no_formula() {
        let csv = to_csv(&statistics(&["=1+2", "@x", "a\"b,c", "plain"]));
        let lines: Vec<&str> = csv.split("\r\n").collect();
        // Columns, all, one of each key but readers, four readers, and nothing behind the last.
        assert_eq!(lines.len(), 1 + 1 + 5 + 4 + 1);
        let columns = lines[0].split(',').count();
        assert_eq!(columns, 2 + 1 + 11 + 6 * 5 + 2);
        assert_eq!(lines[1].split(',').count(), columns);
        assert!(lines[1].starts_with("all,,8,4,0,4,0,"));
        for start in [
            "reader,\"'=1+2\",2,",
            "reader,\"'@x\",",
            "reader,\"a\"\"b,c\",",
            "reader,plain,",
        ] {
            assert!(
                lines.iter().any(|line| line.starts_with(start)),
                "{start}\n{csv}"
            );
        }
        assert_eq!(to_csv(&Gathering::default().statistics(1)), "");
    }
}
