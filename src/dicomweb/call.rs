//! One request to the Studies Service, its common parts read and checked.

use actix_web::http::Method;
use actix_web::http::header::HeaderMap;
use actix_web::http::header::HeaderValue;
use actix_web::{HttpRequest, web};

use super::accept::Accept;
use super::charset;
use super::path::Named;
use super::routes::PREFIX;
use crate::access::Scope;
use crate::archive::{Archive, Located, Target};
use crate::dicom::Uid;
use crate::http::{self, Hall, Problem, Telling, off_thread};

/// A frame map that is unpacked on an async thread: some thousands of frames. Bytes.
const FRAMES_AT_HAND_BYTES: usize = 16 * 1024;

/// A request and what every handler needs of it.
pub(super) struct Call {
    hall: web::Data<Hall>,
    request: HttpRequest,
    pieces: Named,
    /// Query parameters in order, decoded.
    pub(super) parameters: Vec<(String, String)>,
    /// Where our resources begin for this caller: `scheme://host[:port][/prefix]/dicom-web`.
    pub(super) base: String,
}

impl Call {
    /// Reads the query and the address.
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
        Ok(Self {
            hall,
            request,
            pieces,
            parameters,
            base,
        })
    }

    /// The archive, to be taken along to a blocking thread.
    pub(super) fn archive(&self) -> Archive {
        self.hall.archive().clone()
    }

    /// What the caller may see.
    pub(super) fn scope(&self) -> Scope {
        self.hall.scope()
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

    /// The peer's address, for the origin of what it sends.
    pub(super) fn peer(&self) -> String {
        self.request
            .peer_addr()
            .map(|address| address.ip().to_string())
            .unwrap_or_default()
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
