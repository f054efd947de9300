//! The table of studies, and the way through its pages.

use std::fmt::{Display, Write};

use super::form::Form;
use super::order;
use super::{Found, PAGE_ROWS, arriving_until};
use crate::archive::{Page, Remaining, Row, Totals};
use crate::dicom::query::OrderBy;
use crate::dicom::text_form::{self, escaped};
use crate::web::language::Language;
use crate::web::{html, viewer};

pub(super) fn write_found(html: &mut String, language: Language, form: &Form, found: &Found) {
    let say = |english| language.say(english);
    if found.page.rows.is_empty() {
        let text = match (form.is_empty(), form.offset) {
            (true, 0) => language.fill(
                "No studies yet. Send some with DICOM or DICOMweb, or run {command}.",
                &[("command", &"<code>overread import</code>")],
            ),
            _ => say("No study matches.").to_owned(),
        };
        let _ = writeln!(html, "<p class=\"empty\">{text}</p>");
        return;
    }
    html.push_str("<table class=\"studies\">\n<thead class=\"orders\"><tr>");
    html.push_str(&order::head(
        "patient",
        form,
        &[
            (OrderBy::PatientName, say("Patient")),
            (OrderBy::PatientId, say("ID")),
        ],
    ));
    html.push_str(&order::head(
        "date",
        form,
        &[
            (OrderBy::StudyDate, say("Date")),
            (OrderBy::Arrival, say("Arrived")),
        ],
    ));
    let _ = write!(
        html,
        "<th>{}</th><th>{}</th><th>{}</th><th class=\"count\">{}</th><th class=\"count\">{}</th></tr></thead>\n<tbody>\n",
        say("Modality"),
        say("Description"),
        say("Accession"),
        say("Series"),
        say("Images")
    );
    for row in &found.page.rows {
        write_study(html, language, row, found);
    }
    html.push_str("</tbody>\n</table>\n");
    write_paging(html, language, form, &found.page, found.totals.as_ref());
}

fn write_study(html: &mut String, language: Language, row: &Row, found: &Found) {
    let value = |keyword| row.attributes.by_keyword(keyword).unwrap_or_default();
    let say = |english| language.say(english);
    let name = html::patient(language, row);
    let _ = writeln!(
        html,
        "<tr data-study=\"{study}\"><td class=\"patient\"><a href=\"studies/{study}\">{name}</a> <span class=\"also\"><bdi>{id}</bdi>{born} · <a href=\"studies/{study}/look\">{quick_look}</a>{view}{arriving}</span></td>\
         <td class=\"date\">{date} <span class=\"also\">{time}</span></td><td class=\"modality\">{modalities}</td>\
         <td class=\"description\"><bdi>{description}</bdi></td><td class=\"accession\" data-label=\"{accession_label}\"><bdi>{accession}</bdi></td>\
         <td class=\"count\" data-label=\"{series_label}\">{series}</td><td class=\"count\" data-label=\"{images_label}\">{images}</td></tr>",
        study = escaped(value("StudyInstanceUID")),
        quick_look = say("quick look"),
        accession_label = say("Accession"),
        series_label = say("Series"),
        images_label = say("Images"),
        id = escaped(value("PatientID")),
        born = match value("PatientBirthDate") {
            "" => String::new(),
            born => {
                let date = text_form::date(born);
                let born = language.fill("born {date}", &[("date", &escaped(&date))]);
                format!(" · {born}")
            }
        },
        view = if found.has_viewer {
            format!(
                " · <a href=\"{}{}\">{}</a>",
                viewer::STUDY_LINK,
                escaped(value("StudyInstanceUID")),
                say("open in viewer")
            )
        } else {
            String::new()
        },
        arriving = match arriving_until(row, found.at_ms) {
            Some(_) => format!(" <span class=\"chip good\">{}</span>", say("arriving")),
            None => String::new(),
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

fn write_paging(
    html: &mut String,
    language: Language,
    form: &Form,
    found: &Page,
    totals: Option<&Totals>,
) {
    let shown = found.rows.len() as u64;
    let end = form.offset.saturating_add(shown);
    let (before, behind) = match form.order().is_newest_first() {
        true => (language.say("Newer"), language.say("Older")),
        false => (language.say("Previous"), language.say("Next")),
    };
    html.push_str("<nav class=\"paging\">\n");
    if form.offset > 0 {
        let newer = form.offset.saturating_sub(u64::from(PAGE_ROWS));
        let _ = writeln!(
            html,
            "<a rel=\"prev\" href=\"{}\">← {before}</a>",
            form.link(newer, None)
        );
    }
    let (exactly, at_least) = (
        (
            "Studies {first}–{last} of {total}.",
            "{first}–{last} of {total}",
        ),
        (
            "Studies {first}–{last} of more than {total}.",
            "{first}–{last} of more than {total}",
        ),
    );
    let (total, (told, written)) = match found.remaining {
        // Behind a study nobody counts what is left of all there are.
        Remaining::AtLeast(_) if form.is_empty() && totals.is_some() => {
            let studies = totals.map_or(0, |totals| totals.studies);
            (studies.max(end), exactly)
        }
        Remaining::Exactly(more) => (end.saturating_add(more), exactly),
        Remaining::AtLeast(more) => (end.saturating_add(more), at_least),
    };
    let first = form.offset.saturating_add(1);
    let values: [(&str, &dyn Display); 3] = [("first", &first), ("last", &end), ("total", &total)];
    let _ = writeln!(
        html,
        "<span data-told=\"{}\">{}</span>",
        language.fill(told, &values),
        language.fill(written, &values)
    );
    if found.remaining != Remaining::Exactly(0) {
        let last = found.rows.last();
        let last = last.and_then(|row| row.attributes.by_keyword("StudyInstanceUID"));
        let _ = writeln!(
            html,
            "<a rel=\"next\" href=\"{}\">{behind} →</a>",
            form.link(end, last)
        );
    }
    if let Some(totals) = totals {
        let all = language.fill(
            "{patients} patients, {studies} studies, {images} images in the archive",
            &[
                ("patients", &totals.patients),
                ("studies", &totals.studies),
                ("images", &totals.instances),
            ],
        );
        let _ = writeln!(html, "<span class=\"also\">{all}</span>");
    }
    html.push_str("</nav>\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dicom::AttributeId;
    use crate::http::now_ms;

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

    fn found(at_ms: i64) -> Found {
        Found {
            page: Page {
                rows: vec![hostile_row()],
                remaining: Remaining::Exactly(7),
            },
            totals: Some(Totals::default()),
            has_viewer: true,
            at_ms,
        }
    }

    #[test]
    fn a_study_arrives_for_half_a_minute() {
        let mut row = Row::default();
        let mut is_told = |received_at_ms: i64, at_ms: i64| {
            row.received_at_ms = received_at_ms;
            let mut html = String::new();
            write_study(&mut html, Language::English, &row, &found(at_ms));
            html.contains(">arriving<")
        };
        for (ago, is_arriving) in [(0, true), (29_999, true), (30_000, false), (-1, false)] {
            assert_eq!(is_told(1_000_000, 1_000_000 + ago), is_arriving, "{ago}");
        }
        // Clocks of others, and none.
        assert!(!is_told(i64::MIN, i64::MAX) && !is_told(i64::MAX, i64::MIN));
    }

    #[test]
    fn hostile_values_stay_text() {
        let mut html = String::new();
        write_study(
            &mut html,
            Language::German,
            &hostile_row(),
            &found(now_ms()),
        );
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
        let language = Language::English;
        form.write(&mut html, language);
        write_found(&mut html, language, &form, &found(now_ms()));
        assert!(
            !html.contains("<script") && !html.contains("\" onfocus"),
            "{html}"
        );
        assert!(html.contains("href=\"./?name=%3Cscript%3E%22%27&amp;id=%22%20onfocus%3D%22x&amp;from=2026-01-01&amp;offset=51&amp;after=%3Cscript%3Ealert%281%29%3C%2Fscript%3E%22%27%3E%3Cimg%20src%3Dx%20onerror%3Dalert%281%29%3E\""));
        assert!(html.contains("offset=0\">← Newer"));
        assert!(html.contains(">51–51 of 58<"));
    }
}
