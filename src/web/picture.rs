//! `/picture/…/frames/{frame}`: a frame, or what an object without frames is drawn as, as a PNG of a bounded size.
//! Drawing is work for the processor, so few are drawn at once, away from the async threads.

use actix_web::http::StatusCode;
use actix_web::http::header::{self, EntityTag, Header, IfNoneMatch};
use actix_web::{HttpRequest, HttpResponse, web};

use crate::access::{Action, Scope};
use crate::archive::{Archive, Located, Row, Target, drawable, is_decodable, is_drawn_whole};
use crate::dicom::{TransferSyntax, Uid, sop_class};
use crate::http::{Caller, Hall, Problem, off_thread, parameters};
use crate::imaging::{Fit, Format, View};
use crate::web::tell_accessed;

/// The longest side of a picture. Pixels.
const SIDE_MAX: u32 = 4096;

/// The longest side when nothing is asked for. Pixels.
const SIDE_DEFAULT: u32 = 512;

/// What is asked for.
#[derive(Debug, Clone)]
struct Asked {
    target: Target,
    frame: u32,
    side: u32,
}

/// `GET /picture/studies/{study}/series/{series}/instances/{instance}/frames/{frame}?size=`
pub(super) async fn picture(
    request: HttpRequest,
    path: web::Path<(String, String, String, String)>,
    hall: web::Data<Hall>,
) -> Result<HttpResponse, Problem> {
    let asked = Asked::read(&path, request.query_string())?;
    let caller = Caller::of(&request)?;
    let scope = caller.admit(&hall, Action::Retrieve).await?;
    let (Target::Study(study) | Target::Series(study, _) | Target::Instance(study, ..)) =
        &asked.target;
    tell_accessed(&hall, &caller, &scope, study).await?;
    let place = hall.begin_drawing().await?;
    let known = IfNoneMatch::parse(&request).unwrap_or(IfNoneMatch::Items(Vec::new()));
    let drawn = off_thread(move || {
        // Held until the work ends, even when the client has left.
        let _place = place;
        let located = located(hall.archive(), &scope, &asked)?;
        let tag = asked.entity_tag(&located);
        if matches!(&known, IfNoneMatch::Items(tags) if tags.iter().any(|one| one.weak_eq(&tag))) {
            return Ok((tag, None));
        }
        Ok::<_, Problem>((tag, Some(draw(hall.archive(), &scope, &asked, located)?)))
    });
    let (tag, png) = drawn.await??;
    let mut response = HttpResponse::build(if png.is_some() {
        StatusCode::OK
    } else {
        StatusCode::NOT_MODIFIED
    });
    response
        .insert_header((header::ETAG, tag.to_string()))
        .insert_header((header::CACHE_CONTROL, "private, max-age=300"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"));
    Ok(match png {
        Some(png) => response.content_type(mime::IMAGE_PNG).body(png),
        None => response.finish(),
    })
}

/// Why there is no picture of this image, or `None` when there should be one.
pub(super) fn missing(row: &Row) -> Option<String> {
    let value = |keyword| row.attributes.by_keyword(keyword).unwrap_or_default();
    if is_drawn_whole(value("SOPClassUID")) {
        return None;
    }
    if value("Rows").is_empty() || value("Columns").is_empty() {
        let class =
            sop_class::storage(value("SOPClassUID")).map_or("This object", |class| class.name);
        return Some(format!("{}: no pixels", class.trim_end_matches(" Storage")));
    }
    let syntax = row
        .transfer_syntax_uid
        .as_ref()
        .and_then(|uid| TransferSyntax::of_uid(uid.as_str()));
    match syntax {
        Some(syntax) if is_decodable(syntax) => None,
        Some(syntax) => Some(format!("{}: no picture in this version", syntax.name)),
        None => Some("no picture in this version".into()),
    }
}

impl Asked {
    fn read(path: &(String, String, String, String), query: &str) -> Result<Self, Problem> {
        let uid = |text: &str| Uid::parse(text).map_err(|_| Problem::not_found());
        let target = Target::Instance(uid(&path.0)?, uid(&path.1)?, uid(&path.2)?);
        let frame = path
            .3
            .parse()
            .map_err(|_| Problem::bad_request("frames are numbered from 1"))?;
        let mut side = SIDE_DEFAULT;
        for (name, value) in parameters(query)? {
            if name == "size" {
                side = value
                    .parse()
                    .ok()
                    .filter(|side| (1..=SIDE_MAX).contains(side))
                    .ok_or_else(|| {
                        Problem::bad_request(format!(
                            "size is a number of pixels from 1 to {SIDE_MAX}"
                        ))
                    })?;
            }
        }
        Ok(Self {
            target,
            frame,
            side,
        })
    }

    fn entity_tag(&self, located: &Located) -> EntityTag {
        let digest: String = located
            .digest
            .iter()
            .take(16)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        EntityTag::new_strong(format!("{digest}-{}-{}", self.frame, self.side))
    }
}

fn located(archive: &Archive, scope: &Scope, asked: &Asked) -> Result<Located, Problem> {
    let located = archive
        .locate(&asked.target, scope, None, 1)?
        .pop()
        .ok_or_else(Problem::not_found)?;
    drawable(&located)?;
    Ok(located)
}

fn draw(
    archive: &Archive,
    scope: &Scope,
    asked: &Asked,
    located: Located,
) -> Result<Vec<u8>, Problem> {
    let view = View {
        fit: Fit::Within(asked.side, asked.side),
        is_glance: true,
        ..View::default()
    };
    let mut drawing = archive.drawing(&located, scope)?;
    let picture = drawing.picture(asked.frame, &view)?;
    picture
        .encode(Format::Png, false)
        .map_err(|error| Problem::not_acceptable(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(frame: &str, query: &str) -> Result<Asked, Problem> {
        Asked::read(
            &("1.2".into(), "1.3".into(), "1.4".into(), frame.into()),
            query,
        )
    }

    #[test]
    fn sizes_are_bounded() {
        assert_eq!(read("1", "").unwrap().side, SIDE_DEFAULT);
        assert_eq!(read("1", "size=4096").unwrap().side, 4096);
        for bad in ["size=0", "size=4097", "size=-1", "size=x", "size=1e9"] {
            assert!(read("1", bad).is_err(), "{bad}");
        }
        assert!(read("x", "").is_err());
    }

    #[test]
    fn an_image_that_cannot_be_drawn_says_why() {
        let mut row = Row::default();
        assert_eq!(missing(&row).unwrap(), "This object: no pixels");
        for keyword in ["Rows", "Columns"] {
            row.attributes.set(
                crate::dicom::AttributeId::of_keyword(keyword).unwrap(),
                "512",
            );
        }
        row.transfer_syntax_uid = Some(Uid::parse("1.2.840.10008.1.2.4.102").unwrap());
        assert!(missing(&row).unwrap().contains("MPEG-4"));
        for drawn in ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.90"] {
            row.transfer_syntax_uid = Some(Uid::parse(drawn).unwrap());
            assert_eq!(missing(&row), None);
        }
    }
}
