//! One request to the Studies Service, its common parts read and checked.

use std::collections::BTreeSet;

use actix_web::http::header::HeaderMap;
use actix_web::http::header::HeaderValue;
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, web};

use super::accept::Accept;
use super::charset;
use super::path::Named;
use super::routes::PREFIX;
use super::ups::Ups;
use crate::access::audit::{ActionCode, AuditOutcome, AuditRecord, Event};
use crate::access::{Action, Found, Scope};
use crate::archive::{Archive, Located, Target};
use crate::dicom::Uid;
use crate::http::{self, Caller, Hall, Problem, Telling, off_thread};

/// A frame map that is unpacked on an async thread: some thousands of frames. Bytes.
const FRAMES_AT_HAND_BYTES: usize = 16 * 1024;

/// A request and what every handler needs of it.
pub(super) struct Call {
    hall: web::Data<Hall>,
    request: HttpRequest,
    pieces: Named,
    caller: Caller,
    /// Nothing until [`Call::admit`].
    scope: Scope,
    /// Query parameters in order, decoded.
    pub(super) parameters: Vec<(String, String)>,
    /// Where our resources begin for this caller: `scheme://host[:port][/prefix]/dicom-web`.
    pub(super) base: String,
}

impl Call {
    /// Reads the query and the address. Nothing can be done with it before it is admitted.
    ///
    /// # Errors
    /// 400 when either is malformed.
    pub(super) fn new(
        hall: web::Data<Hall>,
        request: HttpRequest,
        pieces: Named,
    ) -> Result<Self, Problem> {
        let parameters = http::parameters(request.query_string())?;
        let base = http::base_url(&request, hall.settings())? + PREFIX;
        let caller = Caller::of(&request)?;
        Ok(Self {
            hall,
            request,
            pieces,
            caller,
            scope: Scope::Nothing,
            parameters,
            base,
        })
    }

    /// Lets the caller do `action` to what they may.
    ///
    /// # Errors
    /// 403 when that is nothing.
    pub(super) async fn admit(mut self, action: Action) -> Result<Self, Problem> {
        self.scope = self.caller.admit(&self.hall, action).await?;
        Ok(self)
    }

    /// Who asks.
    pub(super) fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Tells the audit trail what somebody whom we know has found, got, or not got of a study, before the answer goes out.
    ///
    /// # Errors
    /// When it cannot be told: then there is no other answer.
    pub(super) async fn tell(
        &self,
        action: Action,
        study: Option<&Uid>,
        outcome: AuditOutcome,
    ) -> Result<(), Problem> {
        if !self.caller.is_known() {
            return Ok(());
        }
        let (event, code) = match action {
            Action::Find => (Event::Query, ActionCode::Execute),
            Action::Retrieve => (Event::InstancesAccessed, ActionCode::Read),
            Action::Store if outcome != AuditOutcome::Success => {
                (Event::InstancesTransferred, ActionCode::Create)
            }
            // Told where it is done.
            Action::Store
            | Action::Remove
            | Action::Send
            | Action::Request
            | Action::Cancel
            | Action::Work
            | Action::Watch
            | Action::Administer => return Ok(()),
        };
        let mut record = self.caller.record(event, code).ended(outcome);
        if let Some(study) = study {
            record = record.about(study);
        }
        if action == Action::Find {
            let asked = format!("{}?{}", self.path(), self.query());
            record = record.on("search").saying(asked);
        }
        http::told(&self.hall, record).await
    }

    /// Whether what is done is told to the audit trail: whoever asks is known.
    pub(super) fn is_told(&self) -> bool {
        self.caller.is_known()
    }

    /// Tells the audit trail that somebody whom we know has searched, and of which studies the answer tells.
    ///
    /// # Errors
    /// When it cannot be told: then there is no other answer.
    pub(super) async fn tell_found(&self, found: &Found) -> Result<(), Problem> {
        let record = self.caller.record(Event::Query, ActionCode::Execute);
        let asked = format!("{}?{}", self.path(), self.query());
        let record = found.told_in(record.on("search").saying(asked));
        self.tell_as(record).await
    }

    /// Tells the audit trail, in a record of a deed, what somebody whom we know has got.
    ///
    /// # Errors
    /// When it cannot be told: then there is no other answer.
    pub(super) async fn tell_as(&self, record: AuditRecord) -> Result<(), Problem> {
        match self.caller.is_known() {
            true => http::told(&self.hall, record).await,
            false => Ok(()),
        }
    }

    /// Tells the audit trail what somebody whom we know has stored.
    ///
    /// # Errors
    /// When it cannot be told.
    pub(super) async fn tell_stored(&self, studies: &BTreeSet<&Uid>) -> Result<(), Problem> {
        http::tell_stored(&self.hall, &self.caller, studies).await
    }

    /// Lets through who may have whole objects of a study, and who may not see it at all: they get 404 later.
    ///
    /// # Errors
    /// 403 for who was given it to look at.
    pub(super) fn check_download(&self, study: &Uid) -> Result<(), Problem> {
        let principal = self.caller.principal();
        let may = principal.is_some_and(|principal| principal.may_download(study));
        if may || !self.scope.holds(study) {
            return Ok(());
        }
        Err(Problem::new(
            StatusCode::FORBIDDEN,
            "this study was given to be looked at: its frames, pictures and metadata, not whole objects",
        ))
    }

    /// The archive, to be taken along to a blocking thread.
    pub(super) fn archive(&self) -> Archive {
        self.hall.archive().clone()
    }

    /// What the caller may see.
    pub(super) fn scope(&self) -> Scope {
        self.scope.clone()
    }

    /// What the web doors share.
    pub(super) fn hall(&self) -> &Hall {
        &self.hall
    }

    /// The same, to be taken along by a body that is made while it is sent.
    pub(super) fn hall_handle(&self) -> web::Data<Hall> {
        self.hall.clone()
    }

    /// What telling the pieces of a body takes that calls the archive for them.
    pub(super) fn telling(&self, is_work: bool) -> Telling {
        if is_work {
            Telling::Work(self.hall_handle())
        } else {
            Telling::Blocking
        }
    }

    /// The worklist and its event channels.
    ///
    /// # Errors
    /// 404 when this server keeps none.
    pub(super) fn ups(&self) -> Result<web::Data<Ups>, Problem> {
        let ups = self.request.app_data::<web::Data<Ups>>();
        ups.cloned().ok_or_else(Problem::not_found)
    }

    /// The query as it came.
    pub(super) fn query(&self) -> &str {
        self.request.query_string()
    }

    /// The request's headers.
    pub(super) fn headers(&self) -> &HeaderMap {
        self.request.headers()
    }

    /// Whether the answer has a body: not so for HEAD.
    pub(super) fn is_get(&self) -> bool {
        self.request.method() == Method::GET
    }

    /// The caller's address, for the origin of what it sends.
    pub(super) fn peer(&self) -> String {
        self.caller.address().to_owned()
    }

    /// The path of the request as it came.
    pub(super) fn path(&self) -> &str {
        self.request.path()
    }

    /// The URL of the request, as the caller would write it.
    pub(super) fn url(&self) -> String {
        let path = self.request.path();
        format!("{}{}", self.base, path.strip_prefix(PREFIX).unwrap_or(path))
    }

    /// A piece of the path, empty when the route has none of that name.
    pub(super) fn path_piece(&self, name: &str) -> &str {
        self.named_piece(name).unwrap_or_default()
    }

    fn named_piece(&self, name: &str) -> Option<&str> {
        let (_, at) = self.pieces.iter().find(|(known, _)| *known == name)?;
        // As it was matched: percent-encoded characters decoded.
        self.request.match_info().as_str().get(at.clone())
    }

    /// A UID in the path; `None` when the route has none of that name.
    ///
    /// # Errors
    /// 400 when it is no UID.
    pub(super) fn path_uid(&self, name: &str) -> Result<Option<Uid>, Problem> {
        let Some(text) = self.named_piece(name) else {
            return Ok(None);
        };
        match Uid::parse(text) {
            Ok(uid) => Ok(Some(uid)),
            Err(error) => Err(Problem::bad_request(format!(
                "the {name} in the path is no UID: {error}"
            ))),
        }
    }

    /// The study, series or instance that the path names.
    ///
    /// # Errors
    /// 400 when a UID is malformed, 404 when the path names none.
    pub(super) fn target(&self) -> Result<Target, Problem> {
        let uids = (
            self.path_uid("study")?,
            self.path_uid("series")?,
            self.path_uid("instance")?,
        );
        match uids {
            (Some(study), Some(series), Some(instance)) => {
                Ok(Target::Instance(study, series, instance))
            }
            (Some(study), Some(series), None) => Ok(Target::Series(study, series)),
            (Some(study), None, None) => Ok(Target::Study(study)),
            _ => Err(Problem::not_found()),
        }
    }

    /// Once this has returned, what is read at hand has all that was stored when the call came.
    ///
    /// # Errors
    /// When the index fails.
    pub(super) async fn committed(&self) -> Result<(), Problem> {
        if self.hall().archive().has_kept() {
            let archive = self.archive();
            off_thread(move || archive.commit_kept()).await??;
        }
        Ok(())
    }

    /// The instance that a target names, read at once when its row is short.
    ///
    /// # Errors
    /// 404 when there is none.
    pub(super) async fn locate(&self, instance: &Target) -> Result<Located, Problem> {
        let Target::Instance(study, series, uid) = instance else {
            return Err(Problem::not_found());
        };
        self.committed().await?;
        let (archive, scope) = (self.archive(), self.scope());
        let found = archive.locate_at_hand((study, series, uid), &scope, FRAMES_AT_HAND_BYTES)?;
        if let Some(located) = found.ok_or_else(Problem::not_found)? {
            return Ok(located);
        }
        let instance = instance.clone();
        let found = off_thread(move || archive.locate(&instance, &scope, None, 1)).await??;
        found.into_iter().next().ok_or_else(Problem::not_found)
    }

    /// The value of a query parameter.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }

    /// What the caller accepts.
    ///
    /// # Errors
    /// See [`Accept::of`].
    pub(super) fn accept(&self) -> Result<Accept, Problem> {
        Accept::of(self.request.headers(), self.parameter("accept"))
    }

    /// Looks whether the caller can read the text we answer with.
    ///
    /// # Errors
    /// See [`charset::check`].
    pub(super) fn check_charset(&self) -> Result<(), Problem> {
        charset::check(self.request.headers(), self.parameter("charset"))
    }

    /// A `Warning` header (PS3.18 §8.3.4.4: `299 <service>: text`).
    pub(super) fn warning(&self, text: &str) -> Option<HeaderValue> {
        HeaderValue::from_str(&format!("299 {}: {text}", self.base)).ok()
    }
}

/// The URL of a study, series or instance.
pub(super) fn url_of(base: &str, target: &Target) -> String {
    match target {
        Target::Study(study) => format!("{base}/studies/{study}"),
        Target::Series(study, series) => format!("{base}/studies/{study}/series/{series}"),
        Target::Instance(study, series, instance) => {
            format!("{base}/studies/{study}/series/{series}/instances/{instance}")
        }
    }
}

/// The target that a located instance is.
pub(super) fn target_of(located: &Located) -> Target {
    Target::Instance(
        located.study_instance_uid.clone(),
        located.series_instance_uid.clone(),
        located.sop_instance_uid.clone(),
    )
}
