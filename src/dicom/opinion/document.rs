//! The opinion as an Encapsulated PDF (PS3.3 §A.45.1, §C.24), for people and for systems that show no structured reports.

use dicom_core::{Tag, VR};

use super::evidence::has_frames;
use super::file::{Set, sop};
use super::pdf::{About, Sheets};
use super::{
    Grade, KeyImage, Opinion, OpinionError, Place, Reference, Role, content, modules, safe,
};
use crate::dicom::text_form;

/// Encapsulated PDF Storage.
/// Encapsulated PDF Storage.
pub const PRINT_SOP_CLASS_UID: &str = "1.2.840.10008.5.1.4.1.1.104.1";

/// How many characters that could not be printed are named.
const MISSING_SHOWN_MAX: usize = 60;

/// The Part 10 file of the document, Modality DOC. `report` is the structured report of the same opinion.
///
/// # Errors
/// [`OpinionError`].
pub fn document(
    opinion: &Opinion,
    place: &Place,
    report: &Reference,
) -> Result<Vec<u8>, OpinionError> {
    opinion.check()?;
    let pdf = print(opinion);
    let mut set = Set::default();
    modules::common(&mut set, opinion, place, "DOC", "PDF");
    set.own(Tag(0x0008, 0x002A), VR::DT, "");
    // "Workstation" (PS3.3 §C.8.6.1).
    set.own(Tag(0x0008, 0x0064), VR::CS, "WSD");
    set.own(Tag(0x0028, 0x0301), VR::CS, "YES");
    set.codes(Tag(0x0040, 0xA043), [&opinion.title]);
    let verification = if opinion.is_final {
        "VERIFIED"
    } else {
        "UNVERIFIED"
    };
    set.own(Tag(0x0040, 0xA493), VR::CS, verification);
    modules::predecessors(&mut set, opinion);
    set.said(Tag(0x0042, 0x0010), VR::ST, &title(opinion));
    set.own(Tag(0x0042, 0x0012), VR::LO, "application/pdf");
    let sources = [report]
        .into_iter()
        .chain(&opinion.evidence)
        .chain(&opinion.priors);
    set.items(Tag(0x0042, 0x0013), sources.map(sop));
    let length = u32::try_from(pdf.len()).unwrap_or(u32::MAX);
    set.bytes(Tag(0x0042, 0x0015), VR::UL, length.to_le_bytes().to_vec());
    set.bytes(Tag(0x0042, 0x0011), VR::OB, pdf);
    Ok(set.part10(PRINT_SOP_CLASS_UID, &place.sop_instance_uid)?)
}

fn title(opinion: &Opinion) -> String {
    let study = safe::line(&opinion.study.study_description);
    let description = modules::description(opinion, "");
    if study.is_empty() {
        description
    } else {
        format!("{description}: {study}")
    }
}

/// The PDF.
fn print(opinion: &Opinion) -> Vec<u8> {
    let mut sheets = Sheets::new();
    head(&mut sheets, opinion);
    sections(&mut sheets, opinion);
    key_images(&mut sheets, opinion);
    signature(&mut sheets, opinion);
    missing(&mut sheets);
    let study = &opinion.study;
    let foot: Vec<_> = [
        modules::in_words(&safe::line(&study.patient_name)),
        safe::short(&study.patient_id, 64),
        modules::description(opinion, ""),
        opinion.signed.in_words(),
    ]
    .into_iter()
    .filter(|part| !part.is_empty())
    .collect();
    let created = super::Moment {
        offset_minutes: 0,
        ..opinion.signed
    };
    let about = About {
        title: &safe::short(&title(opinion), 200),
        author: &safe::short(&modules::signature(&opinion.reader), 200),
        language: &content::language_code(&opinion.language).value,
        created: &created.civil(),
    };
    sheets.file(&foot.join(" · "), &about)
}

fn head(sheets: &mut Sheets, opinion: &Opinion) {
    let (study, request) = (&opinion.study, &opinion.request);
    let case = safe::short(&request.case, 64);
    let mut aside = String::new();
    if !case.is_empty() {
        aside.push_str(&format!("Case {case}\n"));
    }
    let state = if opinion.is_final {
        "Final"
    } else {
        "Preliminary"
    };
    aside.push_str(&format!(
        "{state}, version {}\n{}",
        opinion.version,
        opinion.signed.in_words()
    ));
    let title = match opinion.role {
        Role::Reviewer => "Second opinion",
        Role::Adjudicator => "Second opinion: adjudication",
    };
    sheets.title(title, &aside);
    let line = |text: &str| safe::short(text, 256);
    sheets.facts(&[
        ("Patient", modules::in_words(&line(&study.patient_name))),
        ("Patient ID", line(&study.patient_id)),
        ("Born", text_form::date(&line(&study.patient_birth_date))),
        ("Sex", line(&study.patient_sex)),
        ("Study", line(&study.study_description)),
        ("Study date", study_date(opinion)),
        ("Modality", line(&study.modalities.join(", "))),
        ("Accession number", line(&study.accession_number)),
        (
            "Referred by",
            modules::in_words(&line(&study.referring_physician_name)),
        ),
        (
            "Requested by",
            line(&modules::signature(&request.requester)),
        ),
    ]);
}

fn study_date(opinion: &Opinion) -> String {
    let study = &opinion.study;
    let date = text_form::date(&safe::short(&study.study_date, 64));
    let time = text_form::time(&safe::short(&study.study_time, 64));
    format!("{date} {time}").trim().to_owned()
}

fn sections(sheets: &mut Sheets, opinion: &Opinion) {
    let plain = |sheets: &mut Sheets, heading: &str, text: &str| {
        let text = printed(text);
        if !text.is_empty() {
            sheets.heading(heading);
            sheets.text(&text);
        }
    };
    plain(sheets, "Question", &opinion.request.question);
    plain(sheets, "History", &opinion.request.history);
    plain(sheets, "Comparison", &opinion.comparison);
    plain(sheets, "Findings", &opinion.findings);
    let impression = printed(&opinion.impression);
    if !impression.is_empty() {
        sheets.heading("Impression");
        sheets.strong(&impression);
    }
    plain(sheets, "Cannot judge", &opinion.cannot_judge);
    plain(sheets, "Recommendation", &opinion.recommendation);
    let rows: Vec<_> = opinion
        .grades()
        .map(|(concept, grade)| {
            let value = match grade {
                Grade::Coded(code) => safe::short(&code.meaning, 256),
                Grade::Text(words) => printed(words),
            };
            (safe::line(&concept.meaning), value)
        })
        .collect();
    if !rows.is_empty() {
        sheets.heading("Compared with the first reading");
        sheets.table(&rows);
    }
    plain(sheets, "Comment", &opinion.comment);
    plain(
        sheets,
        "Why this version corrects the one before",
        &opinion.correction,
    );
}

fn key_images(sheets: &mut Sheets, opinion: &Opinion) {
    if opinion.key_images.is_empty() {
        return;
    }
    sheets.heading("Key images");
    for (at, key) in opinion.key_images.iter().enumerate() {
        sheets.text(&format!("{}. {}", at + 1, key_image(opinion, key)));
        sheets.note(&format!("Image {}", key.image.sop_instance_uid), 16.0);
    }
}

/// `series 3, image 41, frame 2, of an earlier study: the nodule`.
fn key_image(opinion: &Opinion, key: &KeyImage) -> String {
    let mut words = safe::short(&key.place, 128);
    let mut say = |more: &str| {
        if !words.is_empty() {
            words.push_str(", ");
        }
        words.push_str(more);
    };
    if !key.frames.is_empty() && has_frames(key.image.sop_class_uid.as_str()) {
        let frames: Vec<_> = key.frames.iter().map(ToString::to_string).collect();
        let word = if frames.len() == 1 { "frame" } else { "frames" };
        say(&format!("{word} {}", frames.join(", ")));
    }
    if key.image.study_instance_uid != opinion.study.study_instance_uid {
        say("of another study");
    }
    let note = printed(&key.note);
    match (words.is_empty(), note.is_empty()) {
        (true, true) => "An image".to_owned(),
        (true, false) => note,
        (false, true) => words,
        (false, false) => format!("{words}: {note}"),
    }
}

fn signature(sheets: &mut Sheets, opinion: &Opinion) {
    sheets.gap(14.0);
    sheets.divide();
    let by = printed(&modules::signature(&opinion.reader));
    let verb = if opinion.is_final {
        "Signed by"
    } else {
        "Written (preliminary, not signed) by"
    };
    sheets.strong(&format!("{verb} {by}"));
    sheets.text(&format!(
        "{}, version {}",
        opinion.signed.in_words(),
        opinion.version
    ));
    if !opinion.predecessors.is_empty() {
        sheets.text("This version takes the place of the earlier one, which stays on record.");
    }
    let mut read = vec![format!("Read: {}", counted(&opinion.evidence))];
    if !opinion.priors.is_empty() {
        read.push(format!(
            "of earlier or other studies: {}",
            counted(&opinion.priors)
        ));
    }
    sheets.note(&format!("{}.", read.join("; ")), 0.0);
    sheets.note(&format!("Study {}", opinion.study.study_instance_uid), 0.0);
    let manifest = safe::short(&opinion.manifest, 128);
    if !manifest.is_empty() {
        sheets.note(
            &format!("Digest of the list of everything that was read: {manifest}"),
            0.0,
        );
    }
}

/// `120 instances in 3 series`.
fn counted(references: &[Reference]) -> String {
    let instances: std::collections::BTreeSet<_> =
        references.iter().map(|one| &one.sop_instance_uid).collect();
    let series: std::collections::BTreeSet<_> = references
        .iter()
        .map(|one| &one.series_instance_uid)
        .collect();
    let word = if instances.len() == 1 {
        "instance"
    } else {
        "instances"
    };
    format!("{} {word} in {} series", instances.len(), series.len())
}

/// What could not be printed, said where people read it.
fn missing(sheets: &mut Sheets) {
    let missing = sheets.missing();
    if missing.is_empty() {
        return;
    }
    let shown: Vec<_> = missing
        .iter()
        .take(MISSING_SHOWN_MAX)
        .map(|c| format!("U+{:04X}", u32::from(*c)))
        .collect();
    let rest = missing.len() - shown.len();
    let more = if rest == 0 {
        String::new()
    } else {
        format!(" and {rest} more")
    };
    sheets.gap(6.0);
    sheets.strong(
        "This print is not complete: characters that it has no letters for stand as a box □.",
    );
    sheets.note(
        &format!(
            "The structured report of this opinion holds them all. They are: {}{more}.",
            shown.join(" ")
        ),
        0.0,
    );
}

/// A text with the line ends that the sheets know.
fn printed(text: &str) -> String {
    safe::text(text).replace("\r\n", "\n")
}
