//! One picture as a response, and as a part of one.

use std::fmt;
use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header;
use bytes::Bytes;

use super::super::call::{Call, target_of, url_of};
use super::super::metadata::is_known;
use super::parameters::Parameters;
use crate::access::Scope;
use crate::archive::{Archive, Drawing, Error, Located, MadeKey, PictureError, pictures};
use crate::http::{Problem, off_thread};
use crate::imaging::{Fit, Format, film};

/// A part of every entity tag: another version may draw another picture. The number after it is that of
/// the bytes that the same picture becomes, to be raised when they change within a version.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " 2");

/// Media types of pictures, best first (PS3.18 Table 8.7.4-1).
pub(in super::super) const TYPES: &[&str] = &["image/jpeg", "image/png", "image/gif"];

/// Which frame of an instance is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Which {
    /// By its number.
    Number(u32),
    /// The one that the instance names to stand for all (0028,6010), else the first.
    RepresentativeOrFirst,
    /// The same, else the one in the middle.
    RepresentativeOrMiddle,
}

impl Which {
    fn of(self, drawing: &Drawing) -> u32 {
        match self {
            Self::Number(number) => number,
            Self::RepresentativeOrFirst => drawing.representative_frame(1),
            Self::RepresentativeOrMiddle => {
                drawing.representative_frame((pictures(drawing.located()) / 2).max(1))
            }
        }
    }
}

/// How pictures are made for one request.
#[derive(Debug, Clone)]
pub(super) struct Making {
    pub(super) parameters: Parameters,
    pub(super) format: Format,
    /// The presentation state that decides how pictures look.
    pub(super) state: Option<ByState>,
}

/// A presentation state by its instance: it is read where there is a place to draw, for each picture,
/// since what it becomes in memory must not wait with a request.
#[derive(Clone)]
pub(super) struct ByState(pub(super) Arc<Located>);

impl fmt::Debug for ByState {
    /// What tells it from all others: pictures are known by it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "State({:?})", self.0.digest)
    }
}

impl Making {
    /// # Errors
    /// 400 for a GIF with a color profile (PS3.18 §8.3.5.1.5).
    pub(super) fn new(parameters: Parameters, essence: &str) -> Result<Self, Problem> {
        let format = match essence {
            "image/png" => Format::Png,
            "image/gif" if parameters.has_profile => {
                return Err(Problem::bad_request(
                    "a GIF holds no color profile; ask for image/jpeg or image/png, or iccprofile=no",
                ));
            }
            "image/gif" => Format::Gif,
            _ => Format::Jpeg {
                quality: parameters.quality,
            },
        };
        Ok(Self {
            parameters,
            format,
            state: None,
        })
    }

    pub(super) fn essence(&self) -> &'static str {
        match self.format {
            Format::Jpeg { .. } => "image/jpeg",
            Format::Png => "image/png",
            Format::Gif => "image/gif",
        }
    }

    /// What a picture is known by when it was made.
    fn key(&self, located: &Located, number: u32) -> MadeKey {
        key_of(located, &format!("{number} {self:?}"))
    }

    /// The picture and its number, when it was made lately: nothing is read for it.
    fn made_lately(
        &self,
        archive: &Archive,
        located: &Located,
        which: Which,
    ) -> Option<(u32, Bytes)> {
        let number = match which {
            Which::Number(number) => number,
            Which::RepresentativeOrFirst | Which::RepresentativeOrMiddle => {
                let number = archive.made_lately(&number_key(located, which))?;
                u32::from_le_bytes(number.as_ref().try_into().ok()?)
            }
        };
        let picture = archive.made_lately(&self.key(located, number))?;
        Some((number, picture))
    }

    /// Draws the frame that is meant.
    fn make_one(
        &self,
        archive: &Archive,
        located: &Located,
        which: Which,
        scope: &Scope,
    ) -> Result<(u32, Bytes), Problem> {
        let mut drawing = open(archive, located, scope)?;
        let number = which.of(&drawing);
        let picture = self.make(archive, &mut drawing, number, scope)?;
        let told = || Ok::<_, Problem>(Bytes::copy_from_slice(&number.to_le_bytes()));
        archive.made(number_key(located, which), told)?;
        Ok((number, picture))
    }

    /// Draws a frame and encodes it, or takes it as it was made lately.
    pub(super) fn make(
        &self,
        archive: &Archive,
        drawing: &mut Drawing,
        number: u32,
        scope: &Scope,
    ) -> Result<Bytes, Problem> {
        archive.made(self.key(drawing.located(), number), || {
            let view = &self.parameters.view;
            let picture = match &self.state {
                Some(ByState(located)) => {
                    let state = archive.state(located, scope);
                    let state = state.map_err(|error| undrawable(error, located))?;
                    drawing.presented(number, view, &state)
                }
                None => drawing.picture(number, view),
            };
            let picture = picture.map_err(|error| undrawable(error, drawing.located()))?;
            let encoded = picture.encode(self.format, self.parameters.has_profile);
            encoded
                .map(Bytes::from)
                .map_err(|error| Problem::not_acceptable(error.to_string()))
        })
    }

    /// The URL of the presentation state, whose pictures these are then.
    pub(super) fn state_url(&self, base: &str) -> Option<String> {
        let state = self.state.as_ref()?;
        Some(url_of(base, &target_of(&state.0)))
    }

    /// The sign that stands for a video.
    fn film(&self) -> Result<Bytes, Problem> {
        let (width, height) = match self.parameters.view.fit {
            Fit::Within(width, height) | Fit::Fill(width, height) => (width, height),
            Fit::Natural => (u32::MAX, u32::MAX),
        };
        let encoded = film(width, height).encode(self.format, self.parameters.has_profile);
        encoded
            .map(Bytes::from)
            .map_err(|error| Problem::not_acceptable(error.to_string()))
    }

    fn entity_tag(&self, located: &Located, which: Which) -> String {
        let key = key_of(located, &format!("{VERSION} {which:?} {self:?}"));
        let hash = blake3::Hash::from_bytes(key).to_hex();
        format!("\"{}\"", &hash[..32])
    }
}

/// What the number of the frame that is meant is known by.
fn number_key(located: &Located, which: Which) -> MadeKey {
    key_of(located, &format!("{which:?}"))
}

/// What something made of an instance is known by.
fn key_of(located: &Located, how: &str) -> MadeKey {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&located.digest).update(how.as_bytes());
    *hasher.finalize().as_bytes()
}

/// Why an instance has no picture, with what there is instead.
pub(super) fn undrawable(error: PictureError, located: &Located) -> Problem {
    match error {
        PictureError::Compressed(_) | PictureError::Broken(_) => Problem::not_acceptable(format!(
            "{error}; its frames are given as stored to \
             multipart/related; type=\"application/octet-stream\"; transfer-syntax=*"
        )),
        PictureError::Archive(Error::NotFound) => no_frame(located),
        other => other.into(),
    }
}

/// Why there is no frame of a number.
pub(super) fn no_frame(located: &Located) -> Problem {
    let text = match pictures(located) {
        1 if located.frames.is_empty() => "the instance is one picture".to_owned(),
        count => format!("the instance has {count} frames"),
    };
    Problem::new(StatusCode::NOT_FOUND, text)
}

/// Gets an instance ready.
pub(super) fn open(
    archive: &Archive,
    located: &Located,
    scope: &Scope,
) -> Result<Drawing, Problem> {
    archive
        .drawing(located, scope)
        .map_err(|error| undrawable(error, located))
}

/// Answers with the sign that stands for a video.
pub(super) fn sign(
    call: &Call,
    located: &Located,
    making: &Making,
) -> Result<HttpResponse, Problem> {
    let tag = making.entity_tag(located, Which::Number(1));
    let mut response = HttpResponse::build(StatusCode::OK);
    response.insert_header((header::ETAG, tag.as_str()));
    response.insert_header((header::VARY, "Accept"));
    response.insert_header((header::CACHE_CONTROL, "private, no-cache"));
    if is_known(call.headers(), &tag) {
        return Ok(response.status(StatusCode::NOT_MODIFIED).finish());
    }
    let bytes = making.film()?;
    let url = url_of(&call.base, &target_of(located));
    response.insert_header((
        header::CONTENT_LOCATION,
        format!("{url}/thumbnail{}", query(call)),
    ));
    Ok(response.content_type(making.essence()).body(bytes))
}

/// Answers with one picture.
pub(super) async fn single(
    call: &Call,
    located: Located,
    which: Which,
    making: Making,
) -> Result<HttpResponse, Problem> {
    let tag = making.entity_tag(&located, which);
    let mut response = HttpResponse::build(StatusCode::OK);
    response.insert_header((header::ETAG, tag.as_str()));
    response.insert_header((header::VARY, "Accept"));
    response.insert_header((header::CACHE_CONTROL, "private, no-cache"));
    if let Some(warning) = making
        .parameters
        .warning
        .as_deref()
        .and_then(|text| call.warning(text))
    {
        response.insert_header((header::WARNING, warning));
    }
    if is_known(call.headers(), &tag) {
        return Ok(response.status(StatusCode::NOT_MODIFIED).finish());
    }
    let essence = making.essence();
    let state_url = making.state_url(&call.base);
    let url = url_of(&call.base, &target_of(&located));
    let lately = making.made_lately(call.hall().archive(), &located, which);
    let (number, bytes) = if let Some(made) = lately {
        made
    } else {
        let place = call.hall().begin_drawing().await?;
        let (archive, scope) = (call.archive(), call.scope());
        off_thread(move || {
            // Held until the work ends, even when the client has left.
            let _place = place;
            making.make_one(&archive, &located, which, &scope)
        })
        .await??
    };
    let resource = call
        .path()
        .rsplit('/')
        .next()
        .unwrap_or_default()
        .to_owned();
    let url = state_url.unwrap_or_else(|| format!("{url}/frames/{number}"));
    response.insert_header((
        header::CONTENT_LOCATION,
        format!("{url}/{resource}{}", query(call)),
    ));
    Ok(response.content_type(essence).body(bytes))
}

/// The query as it came, with its question mark: it is a part of what a picture is known by.
pub(super) fn query(call: &Call) -> String {
    match call.query() {
        "" => String::new(),
        query => format!("?{query}"),
    }
}
