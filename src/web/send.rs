//! "Send to": a study on its way to another application entity (C-STORE, PS3.4 Annex B), begun on the
//! page of the study, watched and stopped on `/sending`.
//!
//! What `overread send` does in the shell: as many attempts, nothing that was acknowledged sent again.
//! The list is in memory; what must survive a restart is the business of `[forward]`.

use std::collections::VecDeque;
use std::fmt::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};

use crate::access::audit::{ActionCode, Event};
use crate::access::{Action, Scope};
use crate::archive::{Archive, Located, Row, Target};
use crate::dicom::Uid;
use crate::dicom::text_form::{self, escaped};
use crate::dimse::scu::{self, Fate, Observer, Reason};
use crate::http::{Caller, Hall, Problem, base_url, is_foreign, off_thread, parameters, written};
use crate::web::frame::{Frame, Part};
use crate::web::html;
use crate::web::language::Language;
use crate::web::study;

/// Studies sent at once.
const RUNNING_MAX: usize = 4;
/// Studies on the list, the latest.
const LISTED_MAX: usize = 100;
/// How often the list is looked at again while something is on its way. Seconds.
const REFRESH: &str = "2";

/// What was sent from the pages since the start, and how others are called.
pub struct Sending {
    settings: scu::Settings,
    list: Mutex<List>,
    is_stopping: AtomicBool,
}

#[derive(Default)]
struct List {
    latest: u64,
    /// The newest first.
    jobs: VecDeque<Arc<Job>>,
}

/// A study on its way.
struct Job {
    number: u64,
    study: Uid,
    /// As the study had them when it was sent: PatientName, StudyDate.
    patient: Box<str>,
    date: Box<str>,
    peer: Box<str>,
    is_cancelled: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    total: u64,
    stored: u64,
    warned: u64,
    failed: u64,
    /// Why the first that failed has failed.
    reason: Option<Why>,
    is_ended: bool,
}

/// Why something was not sent.
enum Why {
    /// The peer has not got an instance.
    Failed(Reason),
    /// Nothing could be sent at all.
    Ours(&'static str),
}

impl Why {
    fn said(&self, language: Language) -> String {
        let in_words = |text: &str| language.sentence(text);
        match self {
            Self::Ours(text) => in_words(text),
            Self::Failed(Reason::Unreadable(cause)) => {
                language.fill("cannot be given: {cause}", &[("cause", &in_words(cause))])
            }
            Self::Failed(Reason::Lost(failure)) => language.fill(
                "lost on the way: {failure}",
                &[("failure", &in_words(failure))],
            ),
            Self::Failed(Reason::Unreachable(failure)) => {
                language.fill("not sent: {failure}", &[("failure", &in_words(failure))])
            }
            Self::Failed(Reason::Refused(said)) => {
                let status = format!("{:04X}H {}", said.status, in_words(said.words()));
                match &said.comment {
                    Some(comment) => format!("{status}: {comment}"),
                    None => status,
                }
            }
            Self::Failed(Reason::NoContext(why)) => language.fill(
                "the peer takes no such objects ({why})",
                &[("why", &in_words(why))],
            ),
            Self::Failed(Reason::Unsuitable(stored)) => language.fill(
                "the peer does not take {stored}, and what it takes cannot be made of it",
                &[("stored", stored)],
            ),
        }
    }
}

fn lock<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sending {
    /// Nothing yet.
    #[must_use]
    pub fn new(settings: scu::Settings) -> Self {
        Self {
            settings,
            list: Mutex::default(),
            is_stopping: AtomicBool::new(false),
        }
    }

    /// Ends what is on its way; what has begun may take a few seconds.
    pub fn ask_to_stop(&self) {
        self.is_stopping.store(true, Ordering::SeqCst);
    }

    /// The names of whom a study can be sent to.
    pub(super) fn peers(&self) -> impl Iterator<Item = &str> {
        self.settings.peers.names()
    }

    /// A new job on the list; `None` when as many run as may.
    fn add(&self, study: Uid, row: &Row, peer: &str) -> Option<Arc<Job>> {
        let mut list = lock(&self.list);
        let is_running = |job: &&Arc<Job>| !lock(&job.state).is_ended;
        if list.jobs.iter().filter(is_running).count() >= RUNNING_MAX {
            return None;
        }
        list.latest += 1;
        let value = |keyword| row.attributes.by_keyword(keyword).unwrap_or_default();
        let job = Arc::new(Job {
            number: list.latest,
            study,
            patient: value("PatientName").into(),
            date: value("StudyDate").into(),
            peer: peer.into(),
            is_cancelled: AtomicBool::new(false),
            state: Mutex::default(),
        });
        list.jobs.push_front(Arc::clone(&job));
        // Those that run are among the latest: there are fewer of them.
        while list.jobs.len() > LISTED_MAX {
            let ended = list.jobs.iter().rposition(|job| lock(&job.state).is_ended);
            list.jobs.remove(ended.unwrap_or(LISTED_MAX));
        }
        Some(job)
    }

    /// Sends, on a thread of its own.
    fn run(&self, job: &Arc<Job>, peer: &scu::Peer, archive: &Archive, scope: &Scope) {
        let (study_instance_uid, destination) = (&job.study, &*job.peer);
        tracing::info!(%study_instance_uid, destination, "sending to it was asked for on the pages");
        let request = scu::Request {
            targets: &[Target::Study(job.study.clone())],
            scope,
            peer,
            originator: None,
        };
        let mut watch = Watch { sending: self, job };
        let sent = scu::send(archive, &request, &self.settings, &mut watch);
        let mut state = lock(&job.state);
        match sent {
            Ok((report, _)) if report.total == 0 => {
                state.reason = Some(Why::Ours("the study is not here any more"));
            }
            Ok(_) => {}
            Err(cause) => {
                tracing::error!(%study_instance_uid, destination, %cause, "not sent");
                state.reason = Some(Why::Ours(
                    "the archive could not be read; the server's log has the cause",
                ));
            }
        }
        let State {
            total,
            stored,
            warned,
            failed,
            ..
        } = *state;
        tracing::info!(%study_instance_uid, destination, total, stored, warned, failed, "sending has ended");
    }
}

/// Notes how far it has come.
struct Watch<'a> {
    sending: &'a Sending,
    job: &'a Job,
}

impl Observer for Watch<'_> {
    fn planned(&mut self, total: u64) {
        lock(&self.job.state).total = total;
    }

    fn ended(&mut self, _: &Located, fate: &Fate) {
        let mut state = lock(&self.job.state);
        match fate {
            Fate::Stored => state.stored += 1,
            Fate::Warned(_) => state.warned += 1,
            Fate::Failed(reason) => {
                state.failed += 1;
                state
                    .reason
                    .get_or_insert_with(|| Why::Failed(reason.clone()));
            }
        }
    }

    fn is_cancelled(&mut self) -> bool {
        self.job.is_cancelled.load(Ordering::SeqCst)
            || self.sending.is_stopping.load(Ordering::SeqCst)
    }
}

/// Whatever becomes of the thread, its job has ended with it.
struct End(Arc<Job>);

impl Drop for End {
    fn drop(&mut self) {
        lock(&self.0.state).is_ended = true;
    }
}

/// `POST /studies/{study}/send` with `peer=NAME`: 303 to the list.
pub(super) async fn begin(
    request: HttpRequest,
    study: web::Path<String>,
    form: web::Bytes,
    hall: web::Data<Hall>,
    sending: web::Data<Sending>,
) -> Result<HttpResponse, Problem> {
    refuse_foreign(&request, &hall)?;
    let caller = Caller::of(&request)?;
    let scope = caller.admit(&hall, Action::Send).await?;
    let study = Uid::parse(&study).map_err(|_| Problem::not_found())?;
    let form =
        std::str::from_utf8(&form).map_err(|_| Problem::bad_request("the form is no text"))?;
    let (_, name) = parameters(form)?
        .into_iter()
        .find(|(name, _)| name == "peer")
        .ok_or_else(|| Problem::bad_request("the form names no peer"))?;
    let peer = sending
        .settings
        .peers
        .named(&name)
        .cloned()
        .ok_or_else(|| Problem::bad_request("the peer is none of dicom.peers"))?;
    let archive = hall.archive().clone();
    let (wanted, within, shared) = (study.clone(), scope.clone(), hall.clone());
    let row = off_thread(move || study::row(&shared, &within, &wanted)).await??;
    if caller.is_known() {
        let record = caller
            .record(Event::InstancesTransferred, ActionCode::Read)
            .about(&study)
            .on(format!("peer {name}"));
        // A deed of its own each time, which looking at the study again is not.
        written(&hall, record).await?;
    }
    let job = sending
        .add(study, &row, &name)
        .ok_or_else(|| Problem::busy("as many studies are being sent as may be at once"))?;
    let (sending, end) = (sending.into_inner(), End(Arc::clone(&job)));
    let run = move || {
        let _end = end;
        sending.run(&job, &peer, &archive, &scope);
    };
    thread::Builder::new()
        .name("web-send".into())
        .spawn(run)
        .map_err(|_| Problem::busy("the system has no thread left"))?;
    Ok(to_the_list())
}

/// `POST /sending/{number}/stop`: 303 to the list.
pub(super) async fn stop(
    request: HttpRequest,
    number: web::Path<u64>,
    hall: web::Data<Hall>,
    sending: web::Data<Sending>,
) -> Result<HttpResponse, Problem> {
    refuse_foreign(&request, &hall)?;
    let scope = Caller::of(&request)?.admit(&hall, Action::Send).await?;
    let list = lock(&sending.list);
    let is_asked = |job: &&Arc<Job>| job.number == *number && scope.holds(&job.study);
    let job = list.jobs.iter().find(is_asked);
    let job = job.ok_or_else(Problem::not_found)?;
    job.is_cancelled.store(true, Ordering::SeqCst);
    Ok(to_the_list())
}

/// `GET /sending`: what is on its way, and what was.
pub(super) async fn page(
    request: HttpRequest,
    hall: web::Data<Hall>,
    sending: web::Data<Sending>,
) -> Result<HttpResponse, Problem> {
    let caller = Caller::of(&request)?;
    let scope = caller.admit(&hall, Action::Send).await?;
    let language = Language::of(&request);
    let say = |english| language.say(english);
    let title = language.say("Sending");
    let mut body = format!(
        "<p class=\"back\"><a href=\"./\">← {}</a></p>\n<h1>{title}</h1>\n",
        say("Studies")
    );
    let mut is_any_running = false;
    let list = lock(&sending.list);
    let mut jobs = list
        .jobs
        .iter()
        .filter(|job| scope.holds(&job.study))
        .peekable();
    if jobs.peek().is_none() {
        let nothing = say("Nothing has been sent from these pages since the server started.");
        let _ = writeln!(body, "<p class=\"empty\">{nothing}</p>");
    } else {
        let _ = write!(
            body,
            "<table class=\"studies\">\n<thead><tr><th>{}</th><th>{}</th><th>{}</th><th></th></tr></thead>\n<tbody>\n",
            say("Study"),
            say("Destination"),
            say("How far")
        );
        for job in jobs {
            is_any_running |= write_job(&mut body, language, job);
        }
        body.push_str("</tbody>\n</table>\n");
    }
    let mut response = HttpResponse::Ok();
    if is_any_running {
        response.insert_header((header::REFRESH, REFRESH));
    }
    Ok(Frame::of(&request, &caller, Part::Studies, "").page(response, title, &body))
}

/// Writes a row; whether it is on its way.
fn write_job(body: &mut String, language: Language, job: &Job) -> bool {
    let state = lock(&job.state);
    let done = state.stored + state.warned;
    let how_far = match (state.is_ended, state.failed) {
        (false, _) if job.is_cancelled.load(Ordering::SeqCst) => "stopping: {done} of {total}",
        (false, _) => "on its way: {done} of {total}",
        (true, 0) if done == state.total && done > 0 => "sent: {done} of {total}",
        (true, _) if done > 0 => "sent in part: {done} of {total}",
        (true, _) => "not sent: {done} of {total}",
    };
    let _ = write!(
        body,
        "<tr><td><a href=\"studies/{study}\">{name} {date}</a></td><td><bdi>{peer}</bdi></td><td>{how_far}",
        study = job.study,
        name = html::person_or_none(language, &job.patient),
        date = escaped(&text_form::date(&job.date)),
        peer = escaped(&job.peer),
        how_far = language.fill(how_far, &[("done", &done), ("total", &state.total)]),
    );
    for (count, words) in [
        (state.warned, "{count} with a warning"),
        (state.failed, "{count} failed"),
    ] {
        if count > 0 {
            let _ = write!(body, ", {}", language.fill(words, &[("count", &count)]));
        }
    }
    if let Some(reason) = &state.reason {
        let _ = write!(
            body,
            "<br><span class=\"also\">{}</span>",
            escaped(&reason.said(language))
        );
    }
    body.push_str("</td><td>");
    if !state.is_ended {
        let _ = write!(
            body,
            "<form method=\"post\" action=\"sending/{}/stop\"><button>{}</button></form>",
            job.number,
            language.say("Stop")
        );
    }
    body.push_str("</td></tr>\n");
    !state.is_ended
}

/// The form on the page of a study; nothing without anybody to send to.
pub(super) fn write_form(body: &mut String, language: Language, study: &Uid, sending: &Sending) {
    let mut peers = sending.peers().peekable();
    if peers.peek().is_none() {
        return;
    }
    let _ = write!(
        body,
        "<form class=\"send\" method=\"post\" action=\"{study}/send\"><label>{} <select name=\"peer\">",
        language.say("Send to")
    );
    for name in peers {
        let name = escaped(name);
        let _ = write!(body, "<option value=\"{name}\">{name}</option>");
    }
    let _ = writeln!(
        body,
        "</select></label> <button>{}</button> <a href=\"../sending\">{}</a></form>",
        language.say("Send"),
        language.say("What was sent")
    );
}

/// A page of another site must not have somebody's browser send studies away.
fn refuse_foreign(request: &HttpRequest, hall: &Hall) -> Result<(), Problem> {
    let base = base_url(request, hall.settings())?;
    if is_foreign(request.headers(), hall.settings(), &base) {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "pages of this origin may not send (http.allowed_origins)",
        ));
    }
    Ok(())
}

fn to_the_list() -> HttpResponse {
    // From two levels below, whatever stands before them.
    HttpResponse::SeeOther()
        .insert_header((header::LOCATION, "../../sending"))
        .finish()
}
