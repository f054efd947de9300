//! `/studies/{study}/look`: the quick look, our own small viewer. This page says which series there are, of the study
//! and of one to compare it with, and shows the picture in the middle of each; the modules below `/web/look` make a
//! viewer of it in browsers with scripts, and ask DICOMweb for all else.
//!
//! What the caller may not see is in no list here: the archive is asked under their scope, as everywhere.

mod document;

use std::fmt::Write;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};

use crate::access::{Action, Scope};
use crate::archive::{self, Page, Row};
use crate::cases::Cases;
use crate::dicom::query::{Key, Matching, Order};
use crate::dicom::{AttributeId, Level, Query, Uid};
use crate::http::{Caller, Hall, Problem, off_thread, parameters};
use crate::web::language::Language;
use crate::web::{cases, html, study, tell_accessed, tell_found, viewer};

/// Series of a study that are listed.
const SERIES_MAX: u32 = 100;

/// Other studies of the patient that are offered to compare with.
const OTHERS_MAX: u32 = 20;

/// Our own scripts and styles, what they fetch from where they came, and the pictures that they make of it.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; \
    connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// What is looked at.
#[derive(Debug)]
struct Asked {
    study: Uid,
    /// A study beside it.
    prior: Option<Uid>,
    /// The series to begin with, and the image of it.
    series: Option<Uid>,
    instance: Option<Uid>,
    /// The case from which somebody came.
    case: Option<u64>,
}

/// A study and what is in it.
struct Found {
    study: Row,
    series: Page,
    /// The first image of each series.
    first: Vec<Option<Row>>,
}

/// What the page shows.
struct Shown {
    asked: Asked,
    found: Found,
    prior: Option<Found>,
    /// Other studies of the patient.
    others: Vec<Row>,
    has_viewer: bool,
    /// Whether key images are marked for the case.
    may_mark: bool,
    language: Language,
    /// The path of the page, where it can be had in other languages.
    path: String,
}

/// `GET /studies/{study}/look?prior=&series=&instance=&case=`
pub(super) async fn page(
    request: HttpRequest,
    study: web::Path<String>,
    hall: web::Data<Hall>,
    cases: web::Data<Cases>,
) -> Result<HttpResponse, Problem> {
    let asked = Asked::read(&study, request.query_string())?;
    let caller = Caller::of(&request)?;
    let scope = caller.admit(&hall, Action::Retrieve).await?;
    for uid in std::iter::once(&asked.study).chain(&asked.prior) {
        tell_accessed(&hall, &caller, &scope, uid).await?;
    }
    let may_mark = match asked.case {
        Some(case) => cases::may_mark(&caller, &cases, case, &asked.study).await?,
        None => false,
    };
    let shared = hall.clone();
    let shown = off_thread(move || find(&shared, &scope, asked)).await??;
    let path = request.uri().path_and_query();
    let shown = Shown {
        may_mark,
        language: Language::of(&request),
        path: path.map_or_else(String::new, ToString::to_string),
        ..shown
    };
    let place = format!("/studies/{}/look", shown.asked.study);
    tell_found(&hall, &caller, place, &shown.others).await?;
    Ok(HttpResponse::Ok()
        .content_type(mime::TEXT_HTML_UTF_8)
        .insert_header((header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::REFERRER_POLICY, "same-origin"))
        .insert_header((header::CACHE_CONTROL, "private, no-store"))
        .body(document::written(&shown)))
}

impl Asked {
    fn read(study: &str, query: &str) -> Result<Self, Problem> {
        let uid = |text: &str| Uid::parse(text).map_err(|_| Problem::not_found());
        let mut asked = Self {
            study: uid(study)?,
            prior: None,
            series: None,
            instance: None,
            case: None,
        };
        for (name, value) in parameters(query)? {
            match name.as_str() {
                _ if value.is_empty() => {}
                "prior" => asked.prior = Some(uid(&value)?),
                "series" => asked.series = Some(uid(&value)?),
                "instance" => asked.instance = Some(uid(&value)?),
                "case" => asked.case = value.parse().ok(),
                _ => {}
            }
        }
        Ok(asked)
    }

    /// A link to the same page with another prior and series, as HTML.
    fn link(&self, prior: Option<&str>, series: Option<&str>) -> String {
        let mut link = String::from("look");
        let case = self.case.map(|case| case.to_string());
        let parts = [
            ("prior", prior),
            ("series", series),
            ("case", case.as_deref()),
        ];
        let parts = parts
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)));
        for (place, (name, value)) in parts.enumerate() {
            let mark = if place == 0 { "?" } else { "&amp;" };
            let _ = write!(link, "{mark}{name}={}", html::InQuery(value));
        }
        link
    }
}

fn find(hall: &Hall, scope: &Scope, asked: Asked) -> Result<Shown, archive::Error> {
    let found = found(hall, scope, &asked.study)?;
    let prior = asked
        .prior
        .as_ref()
        .map(|uid| self::found(hall, scope, uid));
    let others = study::others(hall, scope, &found.study, OTHERS_MAX)?;
    Ok(Shown {
        prior: prior.transpose()?,
        found,
        others,
        has_viewer: viewer::is_there(hall),
        may_mark: false,
        language: Language::default(),
        path: String::new(),
        asked,
    })
}

fn found(hall: &Hall, scope: &Scope, uid: &Uid) -> Result<Found, archive::Error> {
    let of_study = ("StudyInstanceUID", uid.as_str());
    let study = study::row(hall, scope, uid)?;
    let series = rows(hall, scope, Level::Series, &[of_study], SERIES_MAX)?;
    let mut first = Vec::with_capacity(series.rows.len());
    for row in &series.rows {
        let of_series = ("SeriesInstanceUID", value(row, "SeriesInstanceUID"));
        let found = rows(hall, scope, Level::Instance, &[of_study, of_series], 1)?;
        first.push(found.rows.into_iter().next());
    }
    Ok(Found {
        study,
        series,
        first,
    })
}

fn rows(
    hall: &Hall,
    scope: &Scope,
    level: Level,
    asked: &[(&str, &str)],
    limit: u32,
) -> Result<Page, archive::Error> {
    let keys = asked.iter().filter_map(|(keyword, value)| {
        let value = Matching::Single((*value).into());
        Some(Key::Attribute(AttributeId::of_keyword(keyword)?, value))
    });
    let query = Query {
        level,
        keys: keys.collect(),
        limit,
        offset: 0,
        order: Order::NEWEST,
    };
    hall.archive().find(&query, scope)
}

fn value<'r>(row: &'r Row, keyword: &str) -> &'r str {
    row.attributes.by_keyword(keyword).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_uids_are_looked_for() {
        for (study, query) in [
            ("../etc", ""),
            ("1.2.3", "prior=x"),
            ("1.2.3", "series=%22"),
            ("1.2.3", "instance=-"),
        ] {
            assert!(Asked::read(study, query).is_err(), "{study} {query}");
        }
        let asked = Asked::read("1.2.3", "prior=&series=1.2.3.4&case=x").unwrap();
        assert!(asked.prior.is_none() && asked.case.is_none());
        assert_eq!(
            asked.link(Some("1.9"), Some("1.2.3.4")),
            "look?prior=1.9&amp;series=1.2.3.4"
        );
    }
}
