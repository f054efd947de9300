//! `/studies/{study}`: the series of a study, and for each image a picture, or a word on why not.

use std::fmt::Write;

use actix_web::{HttpRequest, HttpResponse, web};

use crate::access::{Action, Scope};
use crate::archive::{self, Page, Remaining, Row, is_same_patient};
use crate::dicom::query::{Key, Matching, Order};
use crate::dicom::text_form::{self, escaped};
use crate::dicom::{AttributeId, Level, Query, Uid};
use crate::http::{Caller, Hall, Problem, off_thread, parameters};
use crate::web::frame::{Frame, Part};
use crate::web::html;
use crate::web::language::Language;
use crate::web::picture;
use crate::web::send::{self, Sending};
use crate::web::{cases, tags, tell_accessed, viewer};

/// Series on a page.
const SERIES_ROWS: u32 = 20;

/// Images of a series shown among others.
const IMAGES_FIRST: u32 = 12;

/// Images on a page of one series.
const IMAGES_ROWS: u32 = 60;

/// Side of a picture in the page, and of the one behind it. Pixels.
const SIDES: (u32, u32) = (240, 1600);

/// Words for one, and for many.
const IMAGES: [&str; 2] = ["{count} image", "{count} images"];

/// What is looked at: all series, or one.
struct Asked {
    study: Uid,
    series: Option<Uid>,
    offset: u64,
    /// The case for which its reader marks key images.
    case: Option<u64>,
}

/// What is there.
struct Found {
    study: Row,
    series: Page,
    /// For each series, its images.
    images: Vec<Page>,
    has_viewer: bool,
}

/// `GET /studies/{study}`, of one series with `?series=`.
pub(super) async fn page(
    request: HttpRequest,
    study: web::Path<String>,
    hall: web::Data<Hall>,
    sending: web::Data<Sending>,
) -> Result<HttpResponse, Problem> {
    let asked = Asked::read(&study, request.query_string())?;
    let caller = Caller::of(&request)?;
    let scope = caller.admit(&hall, Action::Retrieve).await?;
    let may_remove = caller.may(Action::Remove) && hall.settings().allow_delete;
    tell_accessed(&hall, &caller, &scope, &asked.study).await?;
    let (asked, found) =
        off_thread(move || find(&hall, &scope, &asked).map(|found| (asked, found))).await??;
    let value = |keyword| {
        found
            .study
            .attributes
            .by_keyword(keyword)
            .unwrap_or_default()
    };
    let title = format!(
        "{} {}",
        text_form::person(value("PatientName")),
        text_form::date(value("StudyDate"))
    );
    let language = Language::of(&request);
    let say = |english| language.say(english);
    let mut body = String::new();
    if let Some(case) = asked.case {
        let _ = writeln!(
            body,
            "<p class=\"back\"><a href=\"../cases/{case}\">← {}</a></p>",
            language.fill("Case {number}", &[("number", &case)])
        );
    }
    write_study(&mut body, language, &found.study);
    let _ = write!(
        body,
        "<p class=\"open\"><a href=\"{}/look{}\">{}</a>",
        asked.study,
        asked.look_part(None),
        say("Quick look")
    );
    if found.has_viewer {
        let _ = write!(
            body,
            " <a href=\"../{}{}\">{}</a>",
            viewer::STUDY_LINK,
            asked.study,
            say("Open in viewer")
        );
    }
    let principal = caller.principal();
    if principal.is_some_and(|principal| principal.may_download(&asked.study)) {
        let _ = write!(
            body,
            " <a class=\"plain\" href=\"../dicom-web/studies/{}?accept=application/zip\" download>{}</a>",
            asked.study,
            say("Download (ZIP)")
        );
    }
    if may_remove {
        let _ = write!(
            body,
            " <a class=\"plain\" href=\"{}/remove\">{}</a>",
            asked.study,
            say("Remove…")
        );
    }
    body.push_str("</p>\n");
    if caller.may(Action::Request) {
        cases::write_way(
            &mut body,
            crate::web::language::Language::of(&request),
            &asked.study,
        );
    }
    if caller.may(Action::Send) {
        send::write_form(&mut body, language, &asked.study, &sending);
    }
    for (series, images) in found.series.rows.iter().zip(&found.images) {
        write_series(&mut body, language, &asked, series, images);
    }
    if asked.series.is_none() {
        write_more(
            &mut body,
            language,
            &format!("{}?{}", asked.study, asked.case_part()),
            &asked,
            &found.series,
        );
    }
    Ok(Frame::of(&request, &caller, Part::Studies, "../").page(
        HttpResponse::Ok(),
        title.trim(),
        &body,
    ))
}

impl Asked {
    fn read(study: &str, query: &str) -> Result<Self, Problem> {
        let uid = |text: &str| Uid::parse(text).map_err(|_| Problem::not_found());
        let mut asked = Self {
            study: uid(study)?,
            series: None,
            offset: 0,
            case: None,
        };
        for (name, value) in parameters(query)? {
            match name.as_str() {
                "series" => asked.series = Some(uid(&value)?),
                "case" => asked.case = value.parse().ok(),
                "offset" => asked.offset = value.parse().unwrap_or(0),
                _ => {}
            }
        }
        Ok(asked)
    }

    /// What links of the page say of the case.
    fn case_part(&self) -> String {
        let part = |case| format!("case={case}&amp;");
        self.case.map_or_else(String::new, part)
    }

    /// The query of a quick look at a series, or at all of them.
    fn look_part(&self, series: Option<&str>) -> String {
        let case = self.case.map(|case| format!("case={case}"));
        let series = series.map(|uid| format!("series={}", escaped(uid)));
        let parts: Vec<String> = case.into_iter().chain(series).collect();
        match parts.is_empty() {
            true => String::new(),
            false => format!("?{}", parts.join("&amp;")),
        }
    }
}

/// The row of a study.
pub(super) fn row(hall: &Hall, scope: &Scope, study: &Uid) -> Result<Row, archive::Error> {
    let asked = Key::Attribute(
        AttributeId::of_keyword("StudyInstanceUID").ok_or(archive::Error::NotFound)?,
        Matching::Single(study.as_str().into()),
    );
    let query = Query {
        level: Level::Study,
        keys: vec![asked],
        limit: 1,
        offset: 0,
        order: Order::NEWEST,
    };
    let found = hall.archive().find(&query, scope)?;
    found
        .rows
        .into_iter()
        .next()
        .ok_or(archive::Error::NotFound)
}

/// The newest other studies of the patient of a study.
pub(super) fn others(
    hall: &Hall,
    scope: &Scope,
    study: &Row,
    limit: u32,
) -> Result<Vec<Row>, archive::Error> {
    let value = |row: &'_ Row, keyword| {
        let value = row.attributes.by_keyword(keyword).unwrap_or_default();
        value.to_owned()
    };
    let patient = value(study, "PatientID");
    if patient.is_empty() || patient.contains(['*', '?', '\\']) {
        return Ok(Vec::new());
    }
    let issuer = match value(study, "IssuerOfPatientID") {
        issuer if issuer.is_empty() => Matching::Empty,
        issuer => Matching::Single(issuer.into()),
    };
    let keys = [
        ("PatientID", Matching::Single(patient.into())),
        ("IssuerOfPatientID", issuer),
    ];
    let keys = keys.into_iter().filter_map(|(keyword, value)| {
        Some(Key::Attribute(AttributeId::of_keyword(keyword)?, value))
    });
    let query = Query {
        level: Level::Study,
        keys: keys.collect(),
        limit,
        offset: 0,
        order: Order::NEWEST,
    };
    let mut found = hall.archive().find(&query, scope)?.rows;
    let uid = value(study, "StudyInstanceUID");
    found.retain(|row| value(row, "StudyInstanceUID") != uid && is_same_patient(row, study));
    Ok(found)
}

fn find(hall: &Hall, scope: &Scope, asked: &Asked) -> Result<Found, archive::Error> {
    let archive = hall.archive();
    let find = |level, uids: &[(&str, &Uid)], limit, offset| {
        let keys = uids.iter().filter_map(|(keyword, uid)| {
            Some(Key::Attribute(
                AttributeId::of_keyword(keyword)?,
                Matching::Single(uid.as_str().into()),
            ))
        });
        archive.find(
            &Query {
                level,
                keys: keys.collect(),
                limit,
                offset,
                order: Order::NEWEST,
            },
            scope,
        )
    };
    let of_study = ("StudyInstanceUID", &asked.study);
    let study = row(hall, scope, &asked.study)?;
    let series = match &asked.series {
        Some(series) => find(
            Level::Series,
            &[of_study, ("SeriesInstanceUID", series)],
            1,
            0,
        )?,
        None => find(Level::Series, &[of_study], SERIES_ROWS, asked.offset)?,
    };
    if asked.series.is_some() && series.rows.is_empty() {
        return Err(archive::Error::NotFound);
    }
    let (rows, offset) = if asked.series.is_some() {
        (IMAGES_ROWS, asked.offset)
    } else {
        (IMAGES_FIRST, 0)
    };
    let mut images = Vec::with_capacity(series.rows.len());
    for row in &series.rows {
        let uid = row
            .attributes
            .by_keyword("SeriesInstanceUID")
            .and_then(|text| Uid::parse(text).ok());
        images.push(match uid {
            Some(uid) => find(
                Level::Instance,
                &[of_study, ("SeriesInstanceUID", &uid)],
                rows,
                offset,
            )?,
            None => Page::default(),
        });
    }
    Ok(Found {
        study,
        series,
        images,
        has_viewer: viewer::is_there(hall),
    })
}

fn write_study(html: &mut String, language: Language, row: &Row) {
    let value = |keyword| row.attributes.by_keyword(keyword).unwrap_or_default();
    let name = html::patient(language, row);
    let _ = writeln!(
        html,
        "<p class=\"back\"><a href=\"../\">← {}</a></p>\n<h1>{name}</h1>\n<dl class=\"facts\">",
        language.say("Studies")
    );
    let when = format!(
        "{} {}",
        text_form::date(value("StudyDate")),
        text_form::time(value("StudyTime"))
    );
    let images = match row.series_of_study {
        1 => "{images} in 1 series",
        _ => "{images} in {series} series",
    };
    let facts = [
        ("Patient ID", value("PatientID").to_owned()),
        ("Born", text_form::date(value("PatientBirthDate"))),
        ("Sex", value("PatientSex").to_owned()),
        ("Study date", when.trim().to_owned()),
        ("Description", value("StudyDescription").to_owned()),
        ("Accession", value("AccessionNumber").to_owned()),
        (
            "Referred by",
            text_form::person(value("ReferringPhysicianName")),
        ),
        ("Modalities", row.modalities_in_study.join(" ")),
        (
            "Images",
            language.fill(
                images,
                &[
                    ("images", &row.instances_of_study),
                    ("series", &row.series_of_study),
                ],
            ),
        ),
    ];
    for (what, text) in facts.iter().filter(|fact| !fact.1.is_empty()) {
        let _ = writeln!(
            html,
            "<div><dt>{}</dt><dd><bdi>{}</bdi></dd></div>",
            language.say(what),
            escaped(text)
        );
    }
    html.push_str("</dl>\n");
}

fn write_series(html: &mut String, language: Language, asked: &Asked, row: &Row, images: &Page) {
    let value = |keyword| row.attributes.by_keyword(keyword).unwrap_or_default();
    let series_uid = value("SeriesInstanceUID");
    let _ = writeln!(
        html,
        "<section class=\"series\">\n<h2><span class=\"modality\">{modality}</span> <bdi>{description}</bdi> \
         <span class=\"also\">{number}{count}{look}</span></h2>\n<div class=\"images\">",
        modality = escaped(value("Modality")),
        description = escaped(value("SeriesDescription")),
        number = match value("SeriesNumber") {
            "" => String::new(),
            number => {
                let number = escaped(number);
                let series = language.fill("series {number}", &[("number", &number)]);
                format!("{series} · ")
            }
        },
        count = language.count(row.instances_of_series, IMAGES),
        look = match images.rows.first().map(picture::missing) {
            Some(None) => format!(
                " · <a href=\"{}/look{}\">{}</a>",
                asked.study,
                asked.look_part(Some(series_uid)),
                language.say("Quick look")
            ),
            _ => String::new(),
        },
    );
    for image in &images.rows {
        write_image(html, language, asked, series_uid, image);
    }
    html.push_str("</div>\n");
    match asked.series {
        None if images.remaining != Remaining::Exactly(0) => {
            let _ = writeln!(
                html,
                "<p class=\"more\"><a href=\"{}?{}series={}\">{}</a></p>",
                asked.study,
                asked.case_part(),
                escaped(series_uid),
                language.fill("All {count} images", &[("count", &row.instances_of_series)])
            );
        }
        None => {}
        Some(_) => {
            let link = format!(
                "{}?{}series={}&amp;",
                asked.study,
                asked.case_part(),
                escaped(series_uid)
            );
            write_more(html, language, &link, asked, images);
        }
    }
    html.push_str("</section>\n");
}

fn write_image(html: &mut String, language: Language, asked: &Asked, series_uid: &str, row: &Row) {
    let study = &asked.study;
    let value = |keyword| row.attributes.by_keyword(keyword).unwrap_or_default();
    let place = format!(
        "studies/{study}/series/{}/instances/{}",
        escaped(series_uid),
        escaped(value("SOPInstanceUID"))
    );
    let number = match value("InstanceNumber") {
        "" => language.say("image").to_owned(),
        number => language.fill("image {number}", &[("number", &escaped(number))]),
    };
    html.push_str("<figure>");
    let _ = match picture::missing(row) {
        None => write!(
            html,
            "<a href=\"../picture/{place}/frames/1?size={large}\"><img src=\"../picture/{place}/frames/1?size={small}\" \
             alt=\"{number}\" loading=\"lazy\"></a>",
            small = SIDES.0,
            large = SIDES.1,
        ),
        Some(why) => write!(
            html,
            "<div class=\"none\"><span>{}</span></div>",
            escaped(&why.said(language))
        ),
    };
    let mut facts = vec![number];
    if let (columns @ 1.., rows @ 1..) = (natural(value("Columns")), natural(value("Rows"))) {
        facts.push(format!("{columns} × {rows}"));
    }
    if natural(value("NumberOfFrames")) > 1 {
        let count = natural(value("NumberOfFrames"));
        facts.push(language.fill("{count} frames", &[("count", &count)]));
    }
    let mark = asked.case.map_or_else(String::new, |case| {
        format!(
            "<form class=\"act\" method=\"post\" action=\"../cases/{case}/mark\"><input type=\"hidden\" name=\"key_image\" \
             value=\"{study}/{}/{}\"><button class=\"plain\">{}</button></form>",
            escaped(series_uid),
            escaped(value("SOPInstanceUID")),
            language.say("Key image")
        )
    });
    let _ = writeln!(
        html,
        "<figcaption>{facts}<br>{look}<a href=\"{tags}\">{tags_name}</a> <a href=\"../dicom-web/{place}/metadata\">{metadata}</a> \
         <a href=\"../dicom-web/{place}?accept=application/dicom\" download>DICOM</a>{mark}</figcaption></figure>",
        facts = facts.join(" · "),
        tags = tags::place(study, series_uid, value("SOPInstanceUID")),
        tags_name = language.say("tags"),
        metadata = language.say("metadata"),
        look = match picture::missing(row) {
            None => format!(
                "<a href=\"{study}/look{}&amp;instance={}\">{}</a> ",
                asked.look_part(Some(series_uid)),
                escaped(value("SOPInstanceUID")),
                language.say("view")
            ),
            Some(_) => String::new(),
        },
    );
}

fn natural(value: &str) -> u64 {
    value.trim().parse().unwrap_or(0)
}

/// Links to the page before and the page after. `link` is up to and with its `?` or `&amp;`.
fn write_more(html: &mut String, language: Language, link: &str, asked: &Asked, page: &Page) {
    let shown = page.rows.len() as u64;
    let (rows, what) = match &asked.series {
        Some(_) => (IMAGES_ROWS, "images {first}–{last}"),
        None => (SERIES_ROWS, "series {first}–{last}"),
    };
    if asked.offset == 0 && page.remaining == Remaining::Exactly(0) {
        return;
    }
    html.push_str("<nav class=\"paging\">");
    if asked.offset > 0 {
        let _ = write!(
            html,
            "<a rel=\"prev\" href=\"{link}offset={}\">← {}</a> ",
            asked.offset.saturating_sub(u64::from(rows)),
            language.say("Previous")
        );
    }
    let end = asked.offset.saturating_add(shown);
    let first = asked.offset.saturating_add(1);
    let what = language.fill(what, &[("first", &first), ("last", &end)]);
    let _ = write!(html, "<span>{what}</span> ");
    if page.remaining != Remaining::Exactly(0) {
        let _ = write!(
            html,
            "<a rel=\"next\" href=\"{link}offset={end}\">{} →</a>",
            language.say("Next")
        );
    }
    html.push_str("</nav>\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "</h1><script>alert(1)</script>\"'><img src=x onerror=alert(1)>";

    #[test]
    fn hostile_values_stay_text() {
        let mut row = Row::default();
        for (id, _) in (0u8..).zip(crate::dicom::ATTRIBUTES) {
            row.attributes.set(AttributeId(id), HOSTILE);
        }
        row.modalities_in_study = vec![HOSTILE.into()];
        let asked = Asked::read("1.2.3", "series=1.2.3.4&offset=60").unwrap();
        let images = Page {
            rows: vec![row.clone()],
            remaining: Remaining::AtLeast(1),
        };
        let mut html = String::new();
        let language = Language::German;
        write_study(&mut html, language, &row);
        write_series(&mut html, language, &asked, &row, &images);
        write_series(
            &mut html,
            language,
            &Asked {
                series: None,
                ..asked
            },
            &row,
            &images,
        );
        assert!(
            !html.contains("<script")
                && !html.contains("onerror=alert(1)>\"")
                && !html.contains("<img src=x"),
            "{html}"
        );
    }

    #[test]
    fn only_uids_are_looked_for() {
        assert!(Asked::read("../etc", "").is_err());
        assert!(Asked::read("1.2.3", "series=x").is_err());
        assert_eq!(
            Asked::read("1.2.3", "offset=x")
                .map(|asked| asked.offset)
                .unwrap_or(9),
            0
        );
    }

    #[test]
    fn a_long_series_is_paged() {
        let asked = Asked::read("1.2.3", "series=1.2.3.4&offset=60").unwrap();
        let page = Page {
            rows: vec![Row::default(); 60],
            remaining: Remaining::Exactly(1),
        };
        let mut html = String::new();
        write_more(
            &mut html,
            Language::English,
            "1.2.3?series=1.2.3.4&amp;",
            &asked,
            &page,
        );
        assert!(
            html.contains("series=1.2.3.4&amp;offset=0\"") && html.contains("offset=120\""),
            "{html}"
        );
        assert!(html.contains("images 61–120"));
    }
}
