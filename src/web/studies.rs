//! `/`: studies, newest first, by patient and date.

use std::fmt::Write;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};

use crate::archive::{self, Page, Remaining, Row, Totals};
use crate::dicom::asked::{Asked, AskedError};
use crate::dicom::text_form::{self, escaped};
use crate::http::{Hall, Problem, off_thread, parameters};
use crate::web::html::{self, InQuery};
use crate::web::viewer;

/// Studies on a page.
const PAGE_ROWS: u32 = 50;

/// What the form asks. Names are those of its fields.
#[derive(Debug, Default)]
struct Form {
    name: String,
    id: String,
    from: String,
    to: String,
    modality: String,
    accession: String,
    /// `from` and `to` as one range of days.
    days: String,
    offset: u64,
}

/// Studies, and what stands beside them.
struct Found {
    page: Page,
    totals: Totals,
    has_viewer: bool,
}

/// What the archive had to say.
enum Answer {
    Found(Found),
    /// The question makes no sense, or is too broad: said to the reader beside the form.
    Unanswered(StatusCode, String),
}

/// `GET /`
pub(super) async fn page(
    request: HttpRequest,
    hall: web::Data<Hall>,
) -> Result<HttpResponse, Problem> {
    let form = Form::read(request.query_string())?;
    let answer = match form.asked().query(PAGE_ROWS, form.offset) {
        Err(error) => Answer::Unanswered(StatusCode::BAD_REQUEST, complaint(error)),
        Ok(query) => {
            let found = off_thread(move || {
                Ok::<_, archive::Error>(Found {
                    page: hall.archive().find(&query, &hall.scope())?,
                    totals: hall.archive().totals()?,
                    has_viewer: viewer::is_there(&hall),
                })
            });
            match found.await? {
                Ok(found) => Answer::Found(found),
                Err(archive::Error::TooBroad(_)) => Answer::Unanswered(
                    StatusCode::OK,
                    "That would search too much. Ask for more of a name, or for fewer days.".into(),
                ),
                Err(error) => return Err(error.into()),
            }
        }
    };
    let mut body = String::new();
    form.write(&mut body);
    let status = match &answer {
        Answer::Found(found) => {
            write_found(&mut body, &form, found);
            StatusCode::OK
        }
        Answer::Unanswered(status, text) => {
            let _ = writeln!(
                body,
                "<p class=\"problem\" role=\"alert\">{}</p>",
                escaped(text)
            );
            *status
        }
    };
    Ok(html::page(
        HttpResponse::build(status),
        "Studies",
        "",
        &body,
    ))
}

fn complaint(error: AskedError) -> String {
    match error {
        AskedError::StudyDate => {
            "Dates are written 2026-01-31, and the first must not be after the last.".into()
        }
        AskedError::TooLong => format!("What was asked for is {error}."),
    }
}

impl Form {
    fn read(query: &str) -> Result<Self, Problem> {
        let mut form = Self::default();
        for (name, value) in parameters(query)? {
            match name.as_str() {
                "name" => form.name = value,
                "id" => form.id = value,
                "from" => form.from = value,
                "to" => form.to = value,
                "modality" => form.modality = value,
                "accession" => form.accession = value,
                // A page that nobody linked to is the first one.
                "offset" => form.offset = value.parse().unwrap_or(0),
                _ => {}
            }
        }
        form.days = match (form.from.trim(), form.to.trim()) {
            ("", "") => String::new(),
            (from, to) => format!("{from}-{to}"),
        };
        Ok(form)
    }

    fn asked(&self) -> Asked<'_> {
        Asked {
            patient_name: &self.name,
            patient_id: &self.id,
            study_date: &self.days,
            modality: &self.modality,
            accession_number: &self.accession,
        }
    }

    /// The form's fields: name, label, value, type.
    fn fields(&self) -> [(&'static str, &'static str, &str, &'static str); 6] {
        [
            ("name", "Patient name", &self.name, "search"),
            ("id", "Patient ID", &self.id, "search"),
            ("from", "From", &self.from, "date"),
            ("to", "To", &self.to, "date"),
            ("modality", "Modality", &self.modality, "search"),
            ("accession", "Accession", &self.accession, "search"),
        ]
    }

    fn is_empty(&self) -> bool {
        self.fields()
            .iter()
            .all(|(_, _, value, _)| value.trim().is_empty())
    }

    fn write(&self, html: &mut String) {
        html.push_str("<form class=\"filter\" method=\"get\" action=\"./\">\n");
        for (name, label, value, kind) in self.fields() {
            let value = escaped(value);
            let _ = writeln!(
                html,
                "<label class=\"for-{name}\">{label}<input name=\"{name}\" type=\"{kind}\" value=\"{value}\"></label>"
            );
        }
        html.push_str("<button>Search</button>\n");
        if !self.is_empty() {
            html.push_str("<a class=\"clear\" href=\"./\">Clear</a>\n");
        }
        html.push_str("</form>\n");
    }

    /// A link to the same search at another offset.
    fn link(&self, offset: u64) -> String {
        let mut query = String::new();
        for (name, _, value, _) in self.fields() {
            if !value.is_empty() {
                let _ = write!(query, "{name}={}&amp;", InQuery(value));
            }
        }
        format!("./?{query}offset={offset}")
    }
}

fn write_found(html: &mut String, form: &Form, found: &Found) {
    if found.page.rows.is_empty() {
        let text = match (form.is_empty(), form.offset) {
            (true, 0) => {
                "No studies yet. Send some with DICOM or DICOMweb, or run <code>overread import</code>."
            }
            _ => "No study matches.",
        };
        let _ = writeln!(html, "<p class=\"empty\">{text}</p>");
        return;
    }
    html.push_str(
        "<table class=\"studies\">\n<thead><tr><th>Patient</th><th>Date</th><th>Modality</th>\
         <th>Description</th><th>Accession</th><th class=\"count\">Series</th><th class=\"count\">Images</th></tr></thead>\n<tbody>\n",
    );
    for row in &found.page.rows {
        write_study(html, row, found.has_viewer);
    }
    html.push_str("</tbody>\n</table>\n");
    write_paging(html, form, &found.page, &found.totals);
}

fn write_study(html: &mut String, row: &Row, has_viewer: bool) {
    let value = |keyword| row.attributes.by_keyword(keyword).unwrap_or_default();
    let name = match html::person(value("PatientName")) {
        name if name.is_empty() => "<i>no name</i>".to_owned(),
        name => name,
    };
    let _ = writeln!(
        html,
        "<tr><td class=\"patient\"><a href=\"studies/{study}\">{name}</a> <span class=\"also\"><bdi>{id}</bdi>{born}{view}</span></td>\
         <td class=\"date\">{date} <span class=\"also\">{time}</span></td><td class=\"modality\">{modalities}</td>\
         <td class=\"description\"><bdi>{description}</bdi></td><td class=\"accession\" data-label=\"Accession\"><bdi>{accession}</bdi></td>\
         <td class=\"count\" data-label=\"Series\">{series}</td><td class=\"count\" data-label=\"Images\">{images}</td></tr>",
        study = escaped(value("StudyInstanceUID")),
        id = escaped(value("PatientID")),
        born = match value("PatientBirthDate") {
            "" => String::new(),
            born => format!(" · born {}", escaped(&text_form::date(born))),
        },
        view = if has_viewer {
            format!(
                " · <a href=\"{}{}\">open in viewer</a>",
                viewer::STUDY_LINK,
                escaped(value("StudyInstanceUID"))
            )
        } else {
            String::new()
        },
        date = escaped(&text_form::date(value("StudyDate"))),
        time = escaped(&text_form::time(value("StudyTime"))),
        modalities = escaped(&row.modalities_in_study.join(" ")),
        description = escaped(value("StudyDescription")),
        accession = escaped(value("AccessionNumber")),
        series = row.series_of_study,
        images = row.instances_of_study,
    );
}

fn write_paging(html: &mut String, form: &Form, found: &Page, totals: &Totals) {
    let shown = found.rows.len() as u64;
    let end = form.offset.saturating_add(shown);
    html.push_str("<nav class=\"paging\">\n");
    if form.offset > 0 {
        let newer = form.offset.saturating_sub(u64::from(PAGE_ROWS));
        let _ = writeln!(
            html,
            "<a rel=\"prev\" href=\"{}\">← Newer</a>",
            form.link(newer)
        );
    }
    let total = match found.remaining {
        Remaining::Exactly(more) => end.saturating_add(more).to_string(),
        Remaining::AtLeast(more) => format!("more than {}", end.saturating_add(more)),
    };
    let _ = writeln!(
        html,
        "<span>{}–{end} of {total}</span>",
        form.offset.saturating_add(1)
    );
    if found.remaining != Remaining::Exactly(0) {
        let _ = writeln!(
            html,
            "<a rel=\"next\" href=\"{}\">Older →</a>",
            form.link(end)
        );
    }
    let _ = writeln!(
        html,
        "<span class=\"also\">{} patients, {} studies, {} images in the archive</span>\n</nav>",
        totals.patients, totals.studies, totals.instances
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dicom::AttributeId;

    const HOSTILE: &str = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>";

    fn hostile_row() -> Row {
        let mut row = Row::default();
        for keyword in [
            "PatientName",
            "PatientID",
            "PatientBirthDate",
            "StudyDate",
            "StudyTime",
        ] {
            row.attributes
                .set(AttributeId::of_keyword(keyword).unwrap(), HOSTILE);
        }
        for keyword in ["StudyDescription", "AccessionNumber", "StudyInstanceUID"] {
            row.attributes
                .set(AttributeId::of_keyword(keyword).unwrap(), HOSTILE);
        }
        row.modalities_in_study = vec![HOSTILE.into()];
        row
    }

    #[test]
    fn hostile_values_stay_text() {
        let mut html = String::new();
        write_study(&mut html, &hostile_row(), true);
        assert!(
            !html.contains("<script") && !html.contains("<img"),
            "{html}"
        );
        assert!(html.contains("&lt;script&gt;"));
    }

    #[test]
    fn a_hostile_question_stays_text() {
        let query = "name=%3Cscript%3E%22%27&id=%22+onfocus%3D%22x&from=2026-01-01&offset=50";
        let form = Form::read(query).unwrap();
        let mut html = String::new();
        form.write(&mut html);
        let found = Found {
            page: Page {
                rows: vec![hostile_row()],
                remaining: Remaining::Exactly(7),
            },
            totals: Totals::default(),
            has_viewer: true,
        };
        write_found(&mut html, &form, &found);
        assert!(
            !html.contains("<script") && !html.contains("\" onfocus"),
            "{html}"
        );
        assert!(html.contains("href=\"./?name=%3Cscript%3E%22%27&amp;id=%22%20onfocus%3D%22x&amp;from=2026-01-01&amp;offset=51\""));
        assert!(html.contains("offset=0\">← Newer"));
        assert!(html.contains("51–51 of 58"));
    }

    #[test]
    fn days_of_the_form_are_one_range() {
        for (query, days) in [
            ("", ""),
            ("from=2026-01-01", "2026-01-01-"),
            ("to=2026-01-31", "-2026-01-31"),
            ("from=2026-01-01&to=2026-01-31", "2026-01-01-2026-01-31"),
        ] {
            let form = Form::read(query).unwrap();
            assert_eq!(form.days, days);
            form.asked().query(1, 0).unwrap();
        }
        assert!(Form::read("from=x").unwrap().asked().query(1, 0).is_err());
    }
}
