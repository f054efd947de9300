//! `/cases`: the cases that somebody opened or reads, the newest or what is due first, with how many there are in each view.
//! Whoever sends the tag of a list that they have (`web/worklist.js`) gets it again only when it has changed.

use std::fmt::Write;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};

use super::{from_now, moment, named, words};
use crate::access::Action;
use crate::cases::{Asked, Case, Cases, Listed, Order, Question, State, Urgency};
use crate::dicom::text_form::escaped;
use crate::http::{Caller, Hall, Problem, now_ms, off_thread, parameters};
use crate::web::frame::{Frame, Part};
use crate::web::language::Language;

/// Cases on a page.
const PAGE_ROWS: usize = 50;
/// So far the cases of a view are counted.
const COUNTED_MAX: usize = 999;
/// What is due within so long stands out.
const SOON_MS: i64 = 48 * 3_600_000;
/// When it is due later than that, the date says more than days.
const NEAR_MS: i64 = 60 * 24 * 3_600_000;

/// Which cases a list has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum View {
    Current,
    Mine,
    Pool,
    Due,
    Overdue,
    All,
}

impl View {
    /// With the word in the address, and the words for people.
    const ALL: [(Self, &'static str, &'static str); 6] = [
        (Self::Current, "", "Current"),
        (Self::Mine, "mine", "Mine"),
        (Self::Pool, "pool", "My pools"),
        (Self::Due, "due", "Due"),
        (Self::Overdue, "overdue", "Overdue"),
        (Self::All, "all", "All"),
    ];

    fn word(self) -> &'static str {
        let known = Self::ALL.iter().find(|(view, ..)| *view == self);
        known.map_or("", |(_, word, _)| word)
    }

    /// What it asks for, in no order yet.
    fn question(self, now_ms: i64) -> Question {
        let current = vec![State::Open, State::InReview, State::Answered];
        Question {
            states: match self {
                Self::Current | Self::Mine | Self::Pool => current,
                // Of those that are due only what waits for an answer.
                Self::Due | Self::Overdue | Self::All => Vec::new(),
            },
            mine: self == Self::Mine,
            pool: self == Self::Pool,
            due_before_ms: match self {
                Self::Due => Some(Order::NEVER),
                Self::Overdue => Some(now_ms),
                _ => None,
            },
            ..Question::default()
        }
    }
}

/// What an address asks for.
struct Wanted {
    view: View,
    order: Order,
}

impl Wanted {
    fn read(query: &str) -> Result<Self, Problem> {
        let (mut view, mut before, mut after) = (View::Current, None, None);
        let mut is_by_due = None;
        for (name, value) in parameters(query)? {
            match name.as_str() {
                "view" => {
                    let known = View::ALL.iter().find(|(_, word, _)| *word == value);
                    view = known.map_or(View::Current, |(view, ..)| *view);
                }
                "sort" => is_by_due = Some(value == "due"),
                "before" => before = value.parse().ok(),
                "after" => after = place(&value),
                _ => {}
            }
        }
        let is_by_due = is_by_due.unwrap_or(matches!(view, View::Due | View::Overdue));
        let order = match is_by_due {
            true => Order::Due(after),
            false => Order::Newest(before),
        };
        Ok(Self { view, order })
    }

    fn is_by_due(&self) -> bool {
        matches!(self.order, Order::Due(_))
    }

    /// The way to the same view, in one of the orders.
    fn address(&self, is_by_due: bool) -> String {
        let sort = if is_by_due { "due" } else { "newest" };
        format!("cases?view={}&amp;sort={sort}", self.view.word())
    }
}

/// Where a page by due date has ended: `due.number`.
fn place(text: &str) -> Option<(i64, u64)> {
    let (due_ms, number) = text.split_once('.')?;
    Some((due_ms.parse().ok()?, number.parse().ok()?))
}

/// `GET /cases`: 304 to who has it as it is.
pub(super) async fn page(
    request: HttpRequest,
    hall: web::Data<Hall>,
    cases: web::Data<Cases>,
) -> Result<HttpResponse, Problem> {
    let caller = Caller::of(&request)?;
    let who = super::asking(&caller, &hall).await?;
    let wanted = Wanted::read(request.query_string())?;
    let now_ms = now_ms();
    let question = Question {
        order: wanted.order,
        limit: PAGE_ROWS + 1,
        ..wanted.view.question(now_ms)
    };
    let counted = View::ALL.map(|(view, ..)| Question {
        limit: COUNTED_MAX + 1,
        ..view.question(now_ms)
    });
    let found = off_thread(move || {
        let counts = cases.count(counted.into(), &who)?;
        Ok::<_, crate::cases::Error>((cases.list(question, &who)?, counts))
    });
    let (listed, counts) = found.await??;
    let language = Language::of(&request);
    let mut body = format!(
        "<h1>{}</h1>\n<p id=\"news\" role=\"status\" class=\"also\"></p>\n<div id=\"worklist\">\n",
        language.say("Cases")
    );
    let may_ask = caller.may(Action::Request);
    write_views(&mut body, language, &wanted, &counts, may_ask);
    write_list(&mut body, language, &wanted, &listed, now_ms);
    body.push_str("</div>\n");
    // The same list in another language is another one.
    let of = [language.tag(), &body].concat();
    let tag = format!("\"{}\"", &blake3::hash(of.as_bytes()).to_hex()[..32]);
    let known = request.headers().get(header::IF_NONE_MATCH);
    if known.is_some_and(|known| known.as_bytes() == tag.as_bytes()) {
        let mut response = HttpResponse::NotModified();
        let kept_by_nobody = (header::CACHE_CONTROL, "private, no-store");
        return Ok(response
            .insert_header((header::ETAG, tag))
            .insert_header(kept_by_nobody)
            .finish());
    }
    let mut response = HttpResponse::Ok();
    response.insert_header((header::ETAG, tag));
    let frame = Frame::of(&request, &caller, Part::Cases, "").with_module("worklist.js");
    Ok(frame.page(response, language.say("Cases"), &body))
}

fn write_views(
    html: &mut String,
    language: Language,
    wanted: &Wanted,
    counts: &[usize],
    has_inboxes: bool,
) {
    let which = language.say("Which cases");
    let _ = write!(html, "<nav class=\"views\" aria-label=\"{which}\">");
    for ((view, word, name), count) in View::ALL.iter().zip(counts) {
        let current = match *view == wanted.view {
            true => " aria-current=\"true\"",
            false => "",
        };
        let shown = match *count {
            count if count > COUNTED_MAX => format!("{COUNTED_MAX}+"),
            count => count.to_string(),
        };
        let warns = match view {
            View::Overdue if *count > 0 => " warn",
            _ => "",
        };
        let name = language.say(name);
        let _ = write!(
            html,
            "<a href=\"cases?view={word}\"{current}>{name} <span class=\"chip{warns}\">{shown}</span></a>"
        );
    }
    if has_inboxes {
        let inboxes = language.say("Inboxes");
        let _ = write!(html, "<a href=\"inboxes\">{inboxes}</a>");
    }
    html.push_str("</nav>\n");
}

fn write_list(
    html: &mut String,
    language: Language,
    wanted: &Wanted,
    listed: &[Listed],
    now_ms: i64,
) {
    let shown = &listed[..listed.len().min(PAGE_ROWS)];
    if shown.is_empty() {
        let none = language.say("No cases here. A case is opened on the page of a study.");
        let _ = writeln!(html, "<p class=\"empty\">{none}</p>");
        return;
    }
    let sortable = |name: &str, is_by_due: bool, sorted: &str| match wanted.is_by_due() == is_by_due
    {
        true => format!(
            "<th aria-sort=\"{sorted}\">{name} <span aria-hidden=\"true\">{}</span></th>",
            if is_by_due { "↑" } else { "↓" }
        ),
        false => format!(
            "<th><a href=\"{}\">{name}</a></th>",
            wanted.address(is_by_due)
        ),
    };
    let _ = writeln!(
        html,
        "<table class=\"studies cases\">\n<thead><tr>{case}<th>{question}</th><th>{state}</th>{due}<th>{readers}</th>\
         <th>{by}</th></tr></thead>\n<tbody>",
        case = sortable(language.say("Case"), false, "descending"),
        question = language.say("Question"),
        state = language.say("State"),
        due = sortable(language.say("Due"), true, "ascending"),
        readers = language.say("Readers"),
        by = language.say("Asked by"),
    );
    for listed in shown {
        write_row(html, language, listed, now_ms);
    }
    html.push_str("</tbody>\n</table>\n");
    if let (true, Some(last)) = (listed.len() > PAGE_ROWS, shown.last()) {
        let case = &last.case;
        let (from, words) = match wanted.is_by_due() {
            true => {
                let due_ms = case.request.due_ms.unwrap_or(Order::NEVER);
                (
                    format!("after={due_ms}.{}", case.number),
                    language.say("Later"),
                )
            }
            false => (format!("before={}", case.number), language.say("Older")),
        };
        let _ = writeln!(
            html,
            "<nav class=\"paging\" aria-label=\"{}\"><a rel=\"next\" href=\"{}&amp;{from}\">{words} →</a></nav>",
            language.say("Pages"),
            wanted.address(wanted.is_by_due()),
        );
    }
}

/// When an answer is wanted: in words of a clock, and the date.
fn due(language: Language, case: &Case, now_ms: i64) -> String {
    let Some(due_ms) = case.request.due_ms else {
        return String::new();
    };
    let is_waiting = matches!(case.state, State::Open | State::InReview);
    let when = from_now(language, due_ms, now_ms);
    let overdue = || language.fill("overdue: {when}", &[("when", &when)]);
    let due = || language.fill("due {when}", &[("when", &when)]);
    let words = match is_waiting {
        true if due_ms < now_ms => format!("<span class=\"chip warn\">{}</span> ", overdue()),
        true if due_ms - now_ms < SOON_MS => format!("<span class=\"chip good\">{}</span> ", due()),
        true if due_ms - now_ms < NEAR_MS => format!("<span class=\"chip\">{}</span> ", due()),
        _ => String::new(),
    };
    format!("{words}<span class=\"also\">{}</span>", moment(due_ms))
}

fn write_row(html: &mut String, language: Language, listed: &Listed, now_ms: i64) {
    let (case, request) = (&listed.case, &listed.case.request);
    let word = language.say(words::state(case.state));
    let mut state = format!("<span class=\"chip\">{word}</span>");
    let mut warn = |word: &str| {
        let _ = write!(state, " <span class=\"chip warn\">{word}</span>");
    };
    if request.urgency != Urgency::Routine {
        warn(language.say(words::urgency(request.urgency)));
    }
    if !case.has_gone_out() {
        warn(language.say("not sent out"));
    }
    if listed.growth.is_some() {
        warn(language.say("not as it was"));
    }
    if listed.have_images_changed {
        warn(language.say("images changed"));
    }
    let readers = case.tasks.iter().map(|task| {
        let asked = match (&task.held_by, &task.asked) {
            (Some(holder), _) => named(language, holder),
            (None, Asked::Reader(name)) => named(language, name.as_str()),
            (None, Asked::Pool(pool)) => language.fill("any {pool}", &[("pool", pool)]),
        };
        let state = language.say(words::task(task.state));
        format!("{} ({state})", escaped(&asked))
    });
    let about = [request.body_part.as_str(), request.subspecialty.as_str()];
    let about = about.into_iter().filter(|text| !text.is_empty());
    let cells = [
        escaped(&shortened(&request.question)).to_string(),
        escaped(&about.collect::<Vec<_>>().join(" · ")).to_string(),
        state,
        readers.collect::<Vec<_>>().join("<br>"),
        escaped(&case.requester).to_string(),
    ];
    // What somebody may not see changes nothing here: else who reads blind would hear of others at work.
    let revision = &blake3::hash(cells.concat().as_bytes()).to_hex()[..12];
    let [question, about, state, readers, requester] = &cells;
    let _ = writeln!(
        html,
        "<tr data-case=\"{number}\" data-revision=\"{revision}\"{class}><td class=\"date\"><a href=\"cases/{number}\"><b>{number}</b></a></td><td class=\"patient\"><a \
         href=\"cases/{number}\">{question}</a><span class=\"also\">{about}</span></td><td>{state}</td><td class=\"due\">\
         {due}</td><td data-label=\"{of_readers}\">{readers}</td><td data-label=\"{by}\">{requester}</td></tr>",
        number = case.number,
        class = match case.is_overdue(now_ms) {
            true => " class=\"overdue\"",
            false => "",
        },
        by = language.say("asked by"),
        of_readers = language.say("readers"),
        due = due(language, case, now_ms),
    );
}

/// The first line, or as much of it as a row holds.
fn shortened(text: &str) -> String {
    const CHARACTERS_MAX: usize = 120;
    let line = text.lines().next().unwrap_or_default();
    if line.chars().count() <= CHARACTERS_MAX && line.len() == text.len() {
        return line.to_owned();
    }
    let start: String = line.chars().take(CHARACTERS_MAX).collect();
    format!("{start} …")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        let read = |query: &str| {
            let wanted = Wanted::read(query).unwrap();
            (wanted.view, wanted.order)
        };
        for (query, view, order) in [
            ("", View::Current, Order::Newest(None)),
            ("view=mine&before=7", View::Mine, Order::Newest(Some(7))),
            ("view=due", View::Due, Order::Due(None)),
            (
                "view=overdue&sort=newest",
                View::Overdue,
                Order::Newest(None),
            ),
            (
                "view=pool&sort=due&after=-5.7",
                View::Pool,
                Order::Due(Some((-5, 7))),
            ),
            ("view=all&sort=due&after=7", View::All, Order::Due(None)),
            (
                "view=%22&sort=%22&before=x",
                View::Current,
                Order::Newest(None),
            ),
        ] {
            assert_eq!(read(query), (view, order), "{query}");
        }
    }

    #[test]
    fn what_is_due_is_seen() {
        assert!(place("1.2.3").is_none() && place(".1").is_none());
        assert_eq!(place("9223372036854775807.3"), Some((Order::NEVER, 3)));
    }
}
