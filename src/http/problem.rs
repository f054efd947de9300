//! An error as a response: a status and one short sentence in plain text (PS3.18 §8.5, §8.6.3).
//! The sentence is ours: it never repeats a value of the request or of a data set.

use std::borrow::Cow;
use std::fmt;

use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::{HttpResponse, ResponseError};

use crate::access::{
    AccessError, ChangeError, LedgerError, LedgerFlaw, RegisterError, SignInError,
};
use crate::archive::{self, PictureError, Refusal};
use crate::cases;

/// What went wrong, for the client.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    text: Cow<'static, str>,
    header: Option<(HeaderName, HeaderValue)>,
    /// The body of the request was not read to its end: the connection cannot be used again.
    is_last: bool,
}

impl Problem {
    /// A status with its sentence.
    pub fn new(status: StatusCode, text: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            text: text.into(),
            header: None,
            is_last: false,
        }
    }

    /// 400: the request is wrong in itself.
    pub fn bad_request(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, text)
    }

    /// 404: nothing there that the caller may see.
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not found")
    }

    /// 406: we have it, but not as asked for.
    pub fn not_acceptable(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_ACCEPTABLE, text)
    }

    /// 503, with the seconds after which to try again.
    pub fn busy(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, text)
            .with(header::RETRY_AFTER, HeaderValue::from_static("5"))
    }

    /// 405, with what is allowed (PS3.18 §8.5).
    #[must_use]
    pub fn method_not_allowed(allow: &str) -> Self {
        let problem = Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            format!("this resource answers to {allow}"),
        );
        match HeaderValue::from_str(allow) {
            Ok(value) => problem.with(header::ALLOW, value),
            Err(_) => problem,
        }
    }

    /// The same under another status.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.header = Some((name, value));
        self
    }

    /// Says that the connection ends with this response, because the request's body was left unread.
    #[must_use]
    pub fn and_close(mut self) -> Self {
        self.is_last = true;
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse<BoxBody> {
        let mut response = HttpResponse::build(self.status);
        response.content_type(mime::TEXT_PLAIN_UTF_8);
        if let Some((name, value)) = &self.header {
            response.insert_header((name.clone(), value.clone()));
        }
        if self.is_last {
            response.force_close();
        }
        response.body(format!("{}\n", self.text))
    }
}

impl From<archive::Error> for Problem {
    fn from(error: archive::Error) -> Self {
        match error {
            archive::Error::NotFound => Self::not_found(),
            archive::Error::Refused(Refusal::InboxFull) => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, error.to_string())
            }
            archive::Error::Refused(refusal) => {
                Self::new(StatusCode::CONFLICT, refusal.to_string())
            }
            archive::Error::TooLarge { .. } | archive::Error::TooBroad(_) => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, error.to_string())
            }
            archive::Error::Unmakable(text) => Self::not_acceptable(format!(
                "{text}; it is given as stored to multipart/related; type=\"application/dicom\"; \
                 transfer-syntax=*"
            )),
            archive::Error::Full => Self::new(StatusCode::INSUFFICIENT_STORAGE, error.to_string()),
            archive::Error::Busy(_) => Self::busy(error.to_string()),
            archive::Error::Broken(cause) => {
                tracing::error!(%cause, "request failed");
                Self::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "internal failure; the server's log has the cause",
                )
            }
        }
    }
}

impl From<cases::Error> for Problem {
    fn from(error: cases::Error) -> Self {
        match error {
            cases::Error::NotFound => Self::not_found(),
            cases::Error::Forbidden(_) => Self::new(StatusCode::FORBIDDEN, error.to_string()),
            cases::Error::Refused(_) | cases::Error::Changed | cases::Error::DraftChanged => {
                Self::new(StatusCode::CONFLICT, error.to_string())
            }
            cases::Error::Invalid(_) => Self::bad_request(error.to_string()),
            cases::Error::Archive(error) => error.into(),
            cases::Error::Worklist(_) => Self::new(StatusCode::CONFLICT, error.to_string()),
            cases::Error::Ledger(error) => error.into(),
        }
    }
}

impl From<LedgerError> for Problem {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::Full => archive::Error::Full.into(),
            LedgerError::Busy(what) => archive::Error::Busy(what).into(),
            LedgerError::Broken(cause) => archive::Error::Broken(cause).into(),
        }
    }
}

impl From<LedgerFlaw> for Problem {
    fn from(flaw: LedgerFlaw) -> Self {
        match flaw {
            LedgerFlaw::Ledger(error) => error.into(),
            // Who asks is an administrator, and has to know.
            LedgerFlaw::Trail(flaw) => {
                tracing::error!(%flaw, "the audit trail is not as it was written");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, flaw.to_string())
            }
        }
    }
}

impl From<AccessError> for Problem {
    fn from(error: AccessError) -> Self {
        match error {
            AccessError::NotFound(_) => Self::new(StatusCode::NOT_FOUND, error.to_string()),
            AccessError::Conflict | AccessError::LastAdministrator | AccessError::TooMany(_) => {
                Self::new(StatusCode::CONFLICT, error.to_string())
            }
            AccessError::Ledger(error) => error.into(),
        }
    }
}

impl From<RegisterError> for Problem {
    fn from(error: RegisterError) -> Self {
        match error {
            RegisterError::Invalid(_) | RegisterError::Passcode(_) | RegisterError::Beyond(_) => {
                Self::bad_request(error.to_string())
            }
            RegisterError::Access(error) => error.into(),
            RegisterError::NoRandomness(cause) => {
                archive::Error::broken("changing who may do what", cause).into()
            }
        }
    }
}

impl From<SignInError> for Problem {
    fn from(error: SignInError) -> Self {
        match error {
            SignInError::Wrong => Self::new(StatusCode::UNAUTHORIZED, error.to_string()).with(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer realm=\"Overread\""),
            ),
            SignInError::Throttled(wait_s) => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, error.to_string())
                    .with(header::RETRY_AFTER, HeaderValue::from(wait_s))
            }
            SignInError::Busy => Self::busy(error.to_string()),
            SignInError::Ledger(error) => error.into(),
            SignInError::NoRandomness(cause) => archive::Error::broken("signing in", cause).into(),
        }
    }
}

impl From<ChangeError> for Problem {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::NoSession | ChangeError::Wrong => {
                Self::new(StatusCode::FORBIDDEN, error.to_string())
            }
            ChangeError::Entry(error) => error.into(),
            ChangeError::New(error) => error.into(),
        }
    }
}

impl From<PictureError> for Problem {
    fn from(error: PictureError) -> Self {
        match error {
            PictureError::Archive(error) => error.into(),
            PictureError::Outside => Self::bad_request(error.to_string()),
            PictureError::TooLarge => Self::new(StatusCode::PAYLOAD_TOO_LARGE, error.to_string()),
            PictureError::NoSubject => Self::new(StatusCode::NOT_FOUND, error.to_string()),
            other => Self::not_acceptable(other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_archive_error_has_its_status() {
        let cases = [
            (archive::Error::NotFound, 404),
            (archive::Error::Refused(Refusal::NotDicom), 409),
            (archive::Error::Refused(Refusal::InboxFull), 413),
            (archive::Error::TooLarge { limit: "x", max: 1 }, 413),
            (archive::Error::TooBroad("x"), 413),
            (archive::Error::Full, 507),
            (archive::Error::Busy("x"), 503),
            (archive::Error::Broken("/secret/path".into()), 500),
        ];
        for (error, status) in cases {
            let problem = Problem::from(error);
            assert_eq!(problem.status.as_u16(), status);
            assert!(!problem.text.contains("secret"));
        }
    }

    #[test]
    fn a_problem_is_plain_text_with_its_header() {
        let response = Problem::method_not_allowed("GET, HEAD").error_response();
        assert_eq!(response.status(), 405);
        assert_eq!(response.headers().get(header::ALLOW).unwrap(), "GET, HEAD");
        assert_eq!(
            response.headers().get(header::CONTENT_TYPE).unwrap(),
            "text/plain; charset=utf-8"
        );
    }
}
