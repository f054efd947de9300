//! The quick look as HTML: its head, the shelf of series, and what is seen of it without scripts.

use std::fmt::Write;

use super::{Asked, Found, Shown, value};
use crate::archive::{Remaining, Row, is_same_patient};
use crate::dicom::text_form::{self, escaped};
use crate::dicom::{TransferSyntax, Uid, sop_class};
use crate::web::language::Language;
use crate::web::{assets, html, picture, viewer};

/// From the page to `/`.
const ROOT: &str = "../../";

/// What a series has for the quick look.
#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Pictures,
    /// A stream that browsers play themselves.
    Video,
    /// A report or the like, which DICOMweb renders as a text.
    Document,
    /// Why there is nothing to see.
    Nothing(String),
}

impl Kind {
    fn of(language: Language, series: &Row, first: Option<&Row>) -> Self {
        let Some(first) = first else {
            return Self::Nothing(language.say("no images").into());
        };
        let uid = first.transfer_syntax_uid.as_ref();
        let syntax = uid.and_then(|uid| TransferSyntax::of_uid(uid.as_str()));
        if syntax.is_some_and(TransferSyntax::is_video) {
            return Self::Video;
        }
        match picture::missing(first) {
            None => Self::Pictures,
            Some(_) if sop_class::DOCUMENT_MODALITIES.contains(&value(series, "Modality")) => {
                Self::Document
            }
            Some(why) => Self::Nothing(language.sentence(&why)),
        }
    }
}

pub(super) fn written(shown: &Shown) -> String {
    let Shown {
        asked,
        found,
        language,
        ..
    } = shown;
    let language = *language;
    let name = text_form::person(value(&found.study, "PatientName"));
    let date = text_form::date(value(&found.study, "StudyDate"));
    let title = language.fill(
        "Quick look: {name} {date}",
        &[("name", &name), ("date", &date)],
    );
    let texts = assets::texts(language);
    let data = |name: &str, value: Option<&str>| {
        let data = |value| format!(" data-{name}=\"{}\"", escaped(value));
        value.map_or_else(String::new, data)
    };
    let case = asked.case.map(|case| case.to_string());
    let mut page = format!(
        "<!doctype html>\n<html lang=\"{tag}\"{data_texts}>\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"dark\">\n<title>{title} · Overread</title>\n\
         <link rel=\"icon\" href=\"{ROOT}assets/icon.svg\" type=\"image/svg+xml\">\n\
         <link rel=\"stylesheet\" href=\"{ROOT}assets/{style}\">\n\
         {preload}{texts}<script type=\"module\" src=\"{ROOT}assets/{script}\"></script>\n</head>\n\
         <body data-dicomweb=\"{ROOT}dicom-web\" data-api=\"{ROOT}api/v1\"{study}{prior}{series}{instance}{case}>\n",
        tag = language.tag(),
        data_texts = data(
            "texts",
            texts
                .as_ref()
                .map(|texts| format!("{ROOT}assets/{texts}"))
                .as_deref()
        ),
        // As modules fetch them.
        texts = texts.as_ref().map_or_else(String::new, |texts| {
            format!(
                "<link rel=\"preload\" as=\"fetch\" crossorigin href=\"{ROOT}assets/{texts}\">\n"
            )
        }),
        title = escaped(&title),
        style = assets::stamped("look.css"),
        script = assets::stamped("look.js"),
        // All at once, not one after another as they name each other.
        preload = assets::modules_of_look()
            .map(assets::stamped)
            .map(|name| format!("<link rel=\"modulepreload\" href=\"{ROOT}assets/{name}\">\n"))
            .collect::<String>(),
        study = data("study", Some(asked.study.as_str())),
        prior = data("prior", asked.prior.as_ref().map(Uid::as_str)),
        series = data("series", asked.series.as_ref().map(Uid::as_str)),
        instance = data("instance", asked.instance.as_ref().map(Uid::as_str)),
        case = data("case", case.as_deref().filter(|_| shown.may_mark)),
    );
    write_head(&mut page, shown);
    let _ = writeln!(
        page,
        "<nav id=\"shelf\" aria-label=\"{}\">",
        language.say("Series")
    );
    write_series(&mut page, shown, found, &asked.study, false);
    if let (Some(prior), Some(uid)) = (&shown.prior, &asked.prior) {
        write_series(&mut page, shown, prior, uid, true);
    }
    page.push_str("</nav>\n<main id=\"look\">\n");
    write_without_scripts(&mut page, language, found, &asked.study);
    if let (Some(prior), Some(uid)) = (&shown.prior, &asked.prior) {
        write_without_scripts(&mut page, language, prior, uid);
    }
    let _ = write!(
        page,
        "</main>\n<footer id=\"notice\"><span>{}</span>",
        language.say("Not for primary diagnosis.")
    );
    language.write_switch(&mut page, ROOT, &shown.path);
    page.push_str("</footer>\n</body>\n</html>\n");
    page
}

fn write_head(html: &mut String, shown: &Shown) {
    let Shown {
        asked,
        found,
        language,
        ..
    } = shown;
    let back = match asked.case {
        Some(case) => {
            let named = language.fill("Case {number}", &[("number", &case)]);
            format!("<a href=\"{ROOT}cases/{case}\">← {named}</a>")
        }
        None => format!(
            "<a href=\"../{}\">← {}</a>",
            asked.study,
            language.say("Study")
        ),
    };
    let _ = write!(
        html,
        "<header>{back}<h1>{name} <span><bdi>{id}</bdi> {date} <bdi>{description}</bdi></span></h1>",
        name = html::person(value(&found.study, "PatientName")),
        id = escaped(value(&found.study, "PatientID")),
        date = escaped(&text_form::date(value(&found.study, "StudyDate"))),
        description = escaped(value(&found.study, "StudyDescription")),
    );
    if let Some(words) = shown.prior.as_ref().and_then(|prior| doubt(found, prior)) {
        let _ = write!(
            html,
            "<strong role=\"alert\">{}</strong>",
            language.say(words)
        );
    }
    let (prior, series) = (asked.prior.as_ref(), asked.series.as_ref());
    let series = series.map(Uid::as_str);
    if !shown.others.is_empty() || prior.is_some() {
        let compare = language.say("Compare");
        let _ = write!(html, "<details><summary>{compare}</summary><ul>");
        for row in &shown.others {
            let uid = value(row, "StudyInstanceUID");
            let is_chosen = prior.is_some_and(|prior| prior.as_str() == uid);
            let _ = write!(
                html,
                "<li><a href=\"{link}\"{current}>{date} {modalities} <bdi>{description}</bdi></a></li>",
                link = asked.link(Some(uid), series),
                current = if is_chosen {
                    " aria-current=\"true\""
                } else {
                    ""
                },
                date = escaped(&text_form::date(value(row, "StudyDate"))),
                modalities = escaped(&row.modalities_in_study.join(" ")),
                description = escaped(value(row, "StudyDescription")),
            );
        }
        if prior.is_some() {
            let _ = write!(
                html,
                "<li><a href=\"{}\">{}</a></li>",
                asked.link(None, series),
                language.say("This study alone")
            );
        }
        html.push_str("</ul></details>");
    }
    if shown.has_viewer {
        let prior = prior.map_or_else(String::new, |prior| format!(",{prior}"));
        let _ = write!(
            html,
            "<a href=\"{ROOT}{}{}{prior}\">OHIF</a>",
            viewer::STUDY_LINK,
            asked.study
        );
    }
    html.push_str("</header>\n");
}

/// Why two studies may be of two patients.
fn doubt(found: &Found, prior: &Found) -> Option<&'static str> {
    let (one, other) = (&found.study, &prior.study);
    let is_alike = |keyword| value(one, keyword) == value(other, keyword);
    if is_alike("StudyInstanceUID") || is_same_patient(one, other) {
        return None;
    }
    let has_id = |row| !value(row, "PatientID").is_empty();
    Some(
        match (has_id(one) && has_id(other), is_alike("PatientID")) {
            (false, _) => {
                "Without Patient IDs nobody knows whether the two studies are of one patient"
            }
            (true, true) => "The two studies have Patient IDs of different issuers",
            (true, false) => "The two studies have different Patient IDs",
        },
    )
}

/// The series of a study, each as a link that leads somewhere without scripts too.
fn write_series(html: &mut String, shown: &Shown, found: &Found, uid: &Uid, is_prior: bool) {
    let language = shown.language;
    let what = match is_prior {
        true => language.say("Prior"),
        false => language.say("Current"),
    };
    let _ = writeln!(
        html,
        "<section data-study=\"{uid}\" data-date=\"{date}\" data-patient=\"{patient}\" data-id=\"{id}\">\
         <h2>{what} <span>{date}</span></h2>\n<ul>",
        date = escaped(&text_form::date(value(&found.study, "StudyDate"))),
        patient = escaped(&text_form::person(value(&found.study, "PatientName"))),
        id = escaped(value(&found.study, "PatientID")),
    );
    for (row, first) in found.series.rows.iter().zip(&found.first) {
        write_one(html, (language, &shown.asked), uid, row, first.as_ref());
    }
    html.push_str("</ul>\n");
    if found.series.remaining != Remaining::Exactly(0) {
        let more = language.say("More series");
        let _ = writeln!(html, "<p><a href=\"../{uid}\">{more}</a></p>");
    }
    html.push_str("</section>\n");
}

fn write_one(
    html: &mut String,
    (language, asked): (Language, &Asked),
    study: &Uid,
    row: &Row,
    first: Option<&Row>,
) {
    let series = value(row, "SeriesInstanceUID");
    let label = format!(
        "<b>{modality}</b> <bdi>{description}</bdi> <span>{number}{count}</span>",
        modality = escaped(value(row, "Modality")),
        description = escaped(value(row, "SeriesDescription")),
        number = match value(row, "SeriesNumber") {
            "" => String::new(),
            number => language.fill("series {number}", &[("number", &escaped(number))]) + " · ",
        },
        count = row.instances_of_series,
    );
    let place = format!("{ROOT}dicom-web/studies/{study}/series/{}", escaped(series));
    let rendered = first.map_or_else(String::new, |first| {
        format!(
            "{place}/instances/{}/rendered",
            escaped(value(first, "SOPInstanceUID"))
        )
    });
    let _ = match Kind::of(language, row, first) {
        Kind::Pictures => {
            let prior = asked.prior.as_ref().map(Uid::as_str);
            // Without scripts a series of the prior is looked at on the page of its study.
            let link = if *study == asked.study {
                asked.link(prior, Some(series))
            } else {
                format!("../{study}?series={}", escaped(series))
            };
            writeln!(
                html,
                "<li><a class=\"entry\" href=\"{link}\" data-series=\"{series}\" data-modality=\"{modality}\" \
                 data-description=\"{description}\" data-syntax=\"{syntax}\"><img src=\"{place}/thumbnail\" alt=\"\" width=\"64\" height=\"64\" \
                 loading=\"lazy\">{label}</a></li>",
                series = escaped(series),
                modality = escaped(value(row, "Modality")),
                description = escaped(value(row, "SeriesDescription")),
                syntax = first
                    .and_then(|row| row.transfer_syntax_uid.as_ref())
                    .map_or("", Uid::as_str),
            )
        }
        Kind::Video => writeln!(
            html,
            "<li class=\"other\">{label} {} <a href=\"{rendered}\">{}</a></li>",
            language.say("A video, which is no stack of pictures:"),
            language.say("play it")
        ),
        Kind::Document => writeln!(
            html,
            "<li class=\"other\">{label} {} <a href=\"{rendered}\">{}</a></li>",
            language.say("No pictures:"),
            language.say("open it")
        ),
        Kind::Nothing(why) => writeln!(html, "<li class=\"other\">{label} {}</li>", escaped(&why)),
    };
}

/// The picture in the middle of each series, drawn here.
fn write_without_scripts(html: &mut String, language: Language, found: &Found, study: &Uid) {
    html.push_str("<noscript>\n");
    for (row, first) in found.series.rows.iter().zip(&found.first) {
        if Kind::of(language, row, first.as_ref()) != Kind::Pictures {
            continue;
        }
        let series = escaped(value(row, "SeriesInstanceUID")).to_string();
        let _ = writeln!(
            html,
            "<figure><a href=\"../{study}?series={series}\"><img src=\"{ROOT}dicom-web/studies/{study}/series/{series}/thumbnail?viewport=512%2C512\" \
             alt=\"{alt}\" loading=\"lazy\"></a><figcaption><a href=\"../{study}?series={series}\">{modality} <bdi>{description}</bdi>: \
             {all}</a></figcaption></figure>",
            alt = language.say("The picture in the middle of the series"),
            modality = escaped(value(row, "Modality")),
            description = escaped(value(row, "SeriesDescription")),
            all = language.fill("all {count} images", &[("count", &row.instances_of_series)]),
        );
    }
    html.push_str("</noscript>\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::Page;
    use crate::dicom::AttributeId;

    const HOSTILE: &str = "</h1><script>alert(1)</script>\"'><img src=x onerror=alert(1)>";

    fn hostile() -> Row {
        let mut row = Row::default();
        for (id, _) in (0u8..).zip(crate::dicom::ATTRIBUTES) {
            row.attributes.set(AttributeId(id), HOSTILE);
        }
        row.modalities_in_study = vec![HOSTILE.into()];
        row.transfer_syntax_uid = Some(Uid::parse("1.2.840.10008.1.2.1").unwrap());
        row
    }

    fn found() -> Found {
        let series = Page {
            rows: vec![hostile()],
            remaining: Remaining::AtLeast(1),
        };
        Found {
            study: hostile(),
            series,
            first: vec![Some(hostile())],
        }
    }

    #[test]
    fn hostile_values_stay_text() {
        let page = written(&Shown {
            asked: Asked::read("1.2.3", "prior=1.2.4&series=1.2.3.4&case=7").unwrap(),
            found: found(),
            prior: Some(found()),
            others: vec![hostile()],
            has_viewer: true,
            may_mark: true,
            language: Language::German,
            path: format!("/studies/1.2.3/look?case={HOSTILE}"),
        });
        // Ours is the only one.
        assert_eq!(page.matches("<script").count(), 1, "{page}");
        assert!(
            !page.contains("<img src=x") && !page.contains("\"'>"),
            "{page}"
        );
    }

    #[test]
    fn what_has_no_pictures_says_so() {
        let of = |syntax: &str, modality: &str, rows: &str| {
            let mut row = Row::default();
            for (keyword, value) in [("Modality", modality), ("Rows", rows), ("Columns", rows)] {
                row.attributes
                    .set(AttributeId::of_keyword(keyword).unwrap(), value);
            }
            row.transfer_syntax_uid = Uid::parse(syntax).ok();
            Kind::of(Language::English, &row, Some(&row))
        };
        assert_eq!(of("1.2.840.10008.1.2.1", "CT", "512"), Kind::Pictures);
        assert_eq!(of("1.2.840.10008.1.2.4.102", "XC", "512"), Kind::Video);
        assert_eq!(of("1.2.840.10008.1.2.1", "SR", ""), Kind::Document);
        assert!(matches!(
            of("1.2.840.10008.1.2.1", "RTPLAN", ""),
            Kind::Nothing(_)
        ));
        let none = Kind::of(Language::German, &Row::default(), None);
        assert_eq!(none, Kind::Nothing("keine Bilder".into()));
    }
}
