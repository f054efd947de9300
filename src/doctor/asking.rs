//! How one request of an examination goes out and its answer comes in: what is the same for all of
//! them, whatever they ask for, and how findings are noted.

use std::time::Duration;

use super::checks::{Found, Place, came};
use super::client::{ANSWER_BYTES_MAX, Answer, Ask, BEGINNING_BYTES_MAX, Ending, Trouble, header};
use super::examination::Examination;
use super::faults::{self, Fault};
use super::replay::{self, Expect, OTHER_ORIGINS, On, Request};
use super::report::{Finding, Step, Viewer};
use super::template::{Filled, fill};

/// A search must begin to answer within this time, anything else within the other.
const SEARCH_SLOW: Duration = Duration::from_secs(3);
const SLOW: Duration = Duration::from_secs(5);

/// A request that is ready to be sent.
pub(super) struct Ready<'a> {
    pub(super) title: &'static str,
    pub(super) chapter: &'static str,
    pub(super) viewers: &'static [Viewer],
    /// Method and path, to be shown.
    pub(super) shown: String,
    pub(super) ask: Ask<'a>,
    /// What an answer without success means.
    pub(super) refused: &'static Fault,
}

/// An answer that is worth judging, and its request.
pub(super) struct Asked {
    pub(super) request: &'static Request,
    pub(super) shown: String,
    pub(super) answer: Answer,
}

impl Examination<'_> {
    /// Sends a request of the table.
    pub(super) fn ask(&mut self, request: &'static Request, place: Place<'_>) -> Option<Asked> {
        let base = match request.on {
            On::WadoUri => &self.uri_root,
            _ => &self.root,
        };
        let filled = fill(request.path, place)?;
        let url = format!("{}{}", base.url(), filled.sent);
        let filled = Filled {
            shown: format!("{}{}", base.path(), filled.shown),
            ..filled
        };
        let asks_for_pixels = matches!(request.on, On::Image | On::MultiFrame | On::WadoUri);
        let refused = match place.instance {
            Some(instance) if asks_for_pixels && !instance.has_pixels => &faults::NO_PIXELS,
            _ => request.refused,
        };
        self.send(request, refused, &filled.shown, &url)
    }

    /// Sends a request of the table to a URL.
    pub(super) fn send(
        &mut self,
        request: &'static Request,
        refused: &'static Fault,
        shown: &str,
        url: &str,
    ) -> Option<Asked> {
        let mut headers = Vec::new();
        if !request.accept.is_empty() {
            headers.push(("accept", request.accept.to_owned()));
        }
        if request.accept.contains(replay::JSON) {
            headers.push(("accept-encoding", "gzip".into()));
        }
        if request.expect == Expect::Range {
            headers.push(("range", "bytes=0-1023".into()));
        }
        let bytes_max = match request.expect {
            Expect::File | Expect::Media | Expect::Range | Expect::Bulk | Expect::Status => {
                BEGINNING_BYTES_MAX
            }
            _ => ANSWER_BYTES_MAX,
        };
        let shown = format!("{} {shown}", request.method);
        let answer = self.dispatch(&Ready {
            title: request.title,
            chapter: request.chapter,
            viewers: request.viewers,
            shown: shown.clone(),
            ask: Ask {
                method: request.method,
                url,
                headers,
                body: None,
                is_anonymous: false,
                bytes_max,
            },
            refused,
        })?;
        Some(Asked {
            request,
            shown,
            answer,
        })
    }

    /// Sends, and looks at what matters of any answer; one with success comes back.
    pub(super) fn dispatch(&mut self, ready: &Ready<'_>) -> Option<Answer> {
        if self.is_over {
            return None;
        }
        (self.progress)(ready.title);
        let mut ask = ready.ask.clone();
        // What we clean up is no viewer's doing.
        if let Some(origin) = self.page_origin.as_ref().filter(|_| ask.method != "DELETE") {
            ask.headers.push(("origin", origin.clone()));
        }
        let asked = self.client.ask(&ask);
        self.is_over |= self.client.is_given_up();
        let is_first = ready.title == replay::STUDY_LIST.title;
        let step = self.step(ready.title, ready.chapter, ready.viewers);
        step.asked += 1;
        let mut found = Found::new();
        let answer = match asked {
            Ok(answer) => {
                step.first_byte_ms = step.first_byte_ms.max(answer.first_byte.as_millis() as u64);
                if is_first {
                    self.meet(&answer, &mut found);
                }
                if !ready.ask.is_anonymous && ready.viewers.contains(&Viewer::Ohif) {
                    self.look_at_origin(ready, &answer);
                }
                look_at_pace(ready, &answer, &mut found);
                is_success(ready, &answer, &mut found).then_some(answer)
            }
            Err(trouble) => {
                found.push((fault_of(&trouble), trouble.to_string()));
                None
            }
        };
        // Without the study list there is nothing to ask about, unless a study was named and the server is there.
        let is_there = !found.iter().any(|(fault, _)| {
            [
                &faults::UNREACHABLE,
                &faults::REDIRECTED,
                &faults::UNAUTHORIZED,
            ]
            .contains(fault)
        });
        self.is_over |= is_first && answer.is_none() && (self.study.is_none() || !is_there);
        self.record(ready, found);
        answer
    }

    /// What the first answer tells of the server.
    fn meet(&mut self, answer: &Answer, found: &mut Found) {
        self.server = header(&answer.headers, "server").map(|text| text.chars().take(60).collect());
        if answer.closes {
            found.push((
                &faults::NO_KEEP_ALIVE,
                "the server closes the connection after its answer".into(),
            ));
        }
    }

    /// Whether a browser would hand the answer to a viewer of another origin.
    fn look_at_origin(&mut self, ready: &Ready<'_>, answer: &Answer) {
        let Some(origin) = self.page_origin.clone() else {
            return;
        };
        let allowed = header(&answer.headers, "access-control-allow-origin");
        let is_allowed = allowed == Some(&origin) || allowed == Some("*");
        let shown = ready.shown.clone();
        let step = self.step("answers to another origin", OTHER_ORIGINS, &[Viewer::Ohif]);
        step.asked += 1;
        if !is_allowed {
            step.find(Finding {
                fault: &faults::CORS_ANSWER,
                asked: shown,
                accept: String::new(),
                came: format!(
                    "{}, no Access-Control-Allow-Origin for this origin",
                    came(answer)
                ),
                times: 1,
            });
        }
    }

    /// Looks closer at an answer and notes what is found.
    pub(super) fn judge<T>(
        &mut self,
        asked: &Asked,
        place: Place<'_>,
        check: impl FnOnce(&Answer, Place<'_>, &mut Found) -> T,
    ) -> T {
        let mut found = Found::new();
        let origin = self.root.origin().to_owned();
        let place = Place {
            origin: &origin,
            ..place
        };
        let seen = check(&asked.answer, place, &mut found);
        for (fault, came) in found {
            self.say(asked.request, fault, &asked.shown, came);
        }
        seen
    }

    /// Notes what was found about a request of the table.
    pub(super) fn say(
        &mut self,
        request: &'static Request,
        fault: &'static Fault,
        shown: &str,
        came: String,
    ) {
        let step = self.step(request.title, request.chapter, request.viewers);
        step.find(Finding {
            fault,
            asked: shown.to_owned(),
            accept: request.accept.into(),
            came,
            times: 1,
        });
    }

    /// Notes what was found about any request.
    pub(super) fn record(&mut self, ready: &Ready<'_>, found: Found) {
        let accept = ready.ask.headers.iter().find(|(name, _)| *name == "accept");
        let accept = accept.map(|(_, value)| value.clone()).unwrap_or_default();
        let step = self.step(ready.title, ready.chapter, ready.viewers);
        for (fault, came) in found {
            step.find(Finding {
                fault,
                asked: ready.shown.clone(),
                accept: accept.clone(),
                came,
                times: 1,
            });
        }
    }

    fn step(
        &mut self,
        title: &'static str,
        chapter: &'static str,
        viewers: &'static [Viewer],
    ) -> &mut Step {
        let at = match self.steps.iter().position(|step| step.title == title) {
            Some(at) => at,
            None => {
                self.steps.push(Step {
                    title,
                    chapter,
                    viewers,
                    asked: 0,
                    first_byte_ms: 0,
                    findings: Vec::new(),
                });
                self.steps.len() - 1
            }
        };
        &mut self.steps[at]
    }
}

fn look_at_pace(ready: &Ready<'_>, answer: &Answer, found: &mut Found) {
    let is_search = ready.shown.contains("/studies?");
    let limit = if is_search { SEARCH_SLOW } else { SLOW };
    if answer.first_byte > limit {
        let seconds = answer.first_byte.as_secs_f64();
        found.push((&faults::SLOW, format!("{seconds:.1} s to the first byte")));
    }
}

/// Whether the status is one of success and the body came as it should.
fn is_success(ready: &Ready<'_>, answer: &Answer, found: &mut Found) -> bool {
    let fault = match answer.status {
        200..=299 => return is_whole(ready, answer, found),
        401 | 407 => &faults::UNAUTHORIZED,
        // Storing and removing may be forbidden by themselves.
        403 if ready.ask.body.is_none() && ready.ask.method != "DELETE" => &faults::UNAUTHORIZED,
        429 | 500 | 502..=504 if ready.refused.level == faults::SERVER_ERROR.level => {
            &faults::SERVER_ERROR
        }
        _ => ready.refused,
    };
    found.push((fault, came(answer)));
    false
}

fn is_whole(ready: &Ready<'_>, answer: &Answer, found: &mut Found) -> bool {
    let is_limit = ready.ask.bytes_max == ANSWER_BYTES_MAX;
    let (fault, words) = match answer.ending {
        Ending::Late => (&faults::TIMED_OUT, "not at its end when the time was over"),
        Ending::Broken => (&faults::BROKE_OFF, "broken off before its end"),
        Ending::Coded => (
            &faults::UNASKED_CODING,
            "a Content-Encoding that was not asked for",
        ),
        Ending::Enough if is_limit => (&faults::TOO_LONG, "longer than 64 MiB"),
        Ending::Enough | Ending::Whole => return true,
    };
    let bytes = answer.body.len();
    found.push((
        fault,
        format!("{}, {words} ({bytes} bytes read)", came(answer)),
    ));
    false
}

fn fault_of(trouble: &Trouble) -> &'static Fault {
    match trouble {
        Trouble::Late(_) => &faults::TIMED_OUT,
        Trouble::Redirected(_) | Trouble::Circle | Trouble::Elsewhere => &faults::REDIRECTED,
        Trouble::Spent => &faults::SPENT,
        Trouble::UnknownHost | Trouble::Unreachable(_) | Trouble::Tls(_) | Trouble::NotHttp => {
            &faults::UNREACHABLE
        }
    }
}
