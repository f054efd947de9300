//! What every document of an opinion says besides its content (PS3.3 §C.7.1 to §C.7.5, §C.12.1, §C.17.1, §C.17.2): the
//! patient and the study as they are, a new series, who wrote it, what asked for it.

use dicom_core::{Tag, VR};

use super::file::Set;
use super::{Code, Opinion, Person, Place, codes, evidence, safe};
use crate::dicom::text_form;

/// Who made the document (PS3.3 §C.7.5.1).
const MANUFACTURER: &str = "Overread";

/// What the observer's organization is when nobody said (type 1).
const NOT_STATED: &str = "Not stated";

/// Patient, study, series, equipment, SOP common.
pub(super) fn common(set: &mut Set, opinion: &Opinion, place: &Place, modality: &str, what: &str) {
    let study = &opinion.study;
    set.own(Tag(0x0008, 0x0005), VR::CS, "ISO_IR 192");
    set.moment(Tag(0x0008, 0x0012), Tag(0x0008, 0x0013), opinion.signed);
    set.copied(Tag(0x0008, 0x0020), VR::DA, &study.study_date);
    set.copied(Tag(0x0008, 0x0030), VR::TM, &study.study_time);
    set.moment(Tag(0x0008, 0x0021), Tag(0x0008, 0x0031), opinion.signed);
    set.moment(Tag(0x0008, 0x0023), Tag(0x0008, 0x0033), opinion.signed);
    set.copied(Tag(0x0008, 0x0050), VR::SH, &study.accession_number);
    set.own(Tag(0x0008, 0x0060), VR::CS, modality);
    set.own(Tag(0x0008, 0x0070), VR::LO, MANUFACTURER);
    if !safe::line(&opinion.reader.institution).is_empty() {
        set.said(Tag(0x0008, 0x0080), VR::LO, &opinion.reader.institution);
    }
    set.copied(Tag(0x0008, 0x0090), VR::PN, &study.referring_physician_name);
    if !study.study_description.is_empty() {
        set.copied(Tag(0x0008, 0x1030), VR::LO, &study.study_description);
    }
    set.said(Tag(0x0008, 0x103E), VR::LO, &description(opinion, what));
    set.own(Tag(0x0008, 0x1090), VR::LO, MANUFACTURER);
    set.copied(Tag(0x0010, 0x0010), VR::PN, &study.patient_name);
    set.copied(Tag(0x0010, 0x0020), VR::LO, &study.patient_id);
    if !study.issuer_of_patient_id.is_empty() {
        set.copied(Tag(0x0010, 0x0021), VR::LO, &study.issuer_of_patient_id);
    }
    set.copied(Tag(0x0010, 0x0030), VR::DA, &study.patient_birth_date);
    set.copied(Tag(0x0010, 0x0040), VR::CS, &study.patient_sex);
    set.own(Tag(0x0018, 0x1020), VR::LO, env!("CARGO_PKG_VERSION"));
    set.own(
        Tag(0x0020, 0x000D),
        VR::UI,
        study.study_instance_uid.as_str(),
    );
    set.own(
        Tag(0x0020, 0x000E),
        VR::UI,
        place.series_instance_uid.as_str(),
    );
    set.copied(Tag(0x0020, 0x0010), VR::SH, &study.study_id);
    set.own(Tag(0x0020, 0x0011), VR::IS, &number(place.series_number));
    set.own(Tag(0x0020, 0x0013), VR::IS, &number(opinion.version.max(1)));
}

/// `Second opinion 12, version 2`, with what the document is.
pub(super) fn description(opinion: &Opinion, what: &str) -> String {
    let mut text = String::from("Second opinion");
    let case = safe::line(&opinion.request.case);
    if !case.is_empty() {
        text.push(' ');
        text.push_str(&case);
    }
    if opinion.version > 1 {
        text.push_str(&format!(", version {}", opinion.version));
    }
    if !opinion.is_final {
        text.push_str(", preliminary");
    }
    if !what.is_empty() {
        text.push_str(&format!(" ({what})"));
    }
    text
}

/// A person and where they work, as people write it; empty for nobody.
pub(super) fn signature(person: &Person) -> String {
    let [name, institution] = [&person.name, &person.institution].map(|text| safe::line(text));
    let name = in_words(&name);
    match (name.is_empty(), institution.is_empty()) {
        (_, true) => name,
        (true, false) => institution,
        (false, false) => format!("{name}, {institution}"),
    }
}

/// A Person Name as people write it, in each of its scripts: `Yamada, Tarou (山田, 太郎)`.
pub(super) fn in_words(name: &str) -> String {
    let mut groups = name
        .split('=')
        .map(text_form::plain_name)
        .filter(|group| !group.is_empty());
    let first = groups.next().unwrap_or_default();
    match groups.next() {
        Some(second) => format!("{first} ({second})"),
        None => first,
    }
}

/// IS holds no larger ones (PS3.5 §6.2).
fn number(number: u32) -> String {
    number.min(i32::MAX.unsigned_abs()).to_string()
}

/// Who explains our own codes (PS3.3 §C.12.1.1.17).
pub(super) fn coding_schemes(set: &mut Set) {
    let mut item = Set::default();
    item.own(Tag(0x0008, 0x0102), VR::SH, codes::SCHEME);
    item.own(
        Tag(0x0008, 0x0115),
        VR::ST,
        "Grades of second opinions of Overread",
    );
    set.items(Tag(0x0008, 0x0110), [item]);
}

/// Who verified it, who wrote it, whether it is the last word (PS3.3 Table C.17-2).
pub(super) fn observers(set: &mut Set, opinion: &Opinion) {
    set.own(Tag(0x0040, 0xA491), VR::CS, "COMPLETE");
    if opinion.version > 1 {
        let text = format!("Version {}", opinion.version);
        set.own(Tag(0x0040, 0xA492), VR::LO, &text);
    }
    let (verification, preliminary) = if opinion.is_final {
        ("VERIFIED", "FINAL")
    } else {
        ("UNVERIFIED", "PRELIMINARY")
    };
    set.own(Tag(0x0040, 0xA493), VR::CS, verification);
    set.own(Tag(0x0040, 0xA496), VR::CS, preliminary);
    if opinion.is_final {
        set.items(Tag(0x0040, 0xA073), [verifying(opinion)]);
    }
    set.items(Tag(0x0040, 0xA078), [author(&opinion.reader)]);
}

fn verifying(opinion: &Opinion) -> Set {
    let reader = &opinion.reader;
    let mut item = Set::default();
    let organization = match safe::short(&reader.institution, 64) {
        text if text.is_empty() => NOT_STATED.to_owned(),
        text => text,
    };
    item.own(Tag(0x0040, 0xA027), VR::LO, &organization);
    item.own(Tag(0x0040, 0xA030), VR::DT, &opinion.signed.date_time());
    item.said(Tag(0x0040, 0xA075), VR::PN, &reader.name);
    item.codes(Tag(0x0040, 0xA088), &reader.identification);
    item
}

fn author(reader: &Person) -> Set {
    let mut item = Set::default();
    item.said(Tag(0x0008, 0x0080), VR::LO, &reader.institution);
    item.codes(Tag(0x0008, 0x0082), None::<&Code>);
    item.own(Tag(0x0040, 0xA084), VR::CS, "PSN");
    item.codes(Tag(0x0040, 0x1101), &reader.identification);
    item.said(Tag(0x0040, 0xA123), VR::PN, &reader.name);
    item
}

/// What asked for it (PS3.3 Table C.17-3c).
pub(super) fn request(set: &mut Set, opinion: &Opinion) {
    let (study, request) = (&opinion.study, &opinion.request);
    let mut item = Set::default();
    item.copied(Tag(0x0008, 0x0050), VR::SH, &study.accession_number);
    item.items(Tag(0x0008, 0x1110), []);
    item.own(
        Tag(0x0020, 0x000D),
        VR::UI,
        study.study_instance_uid.as_str(),
    );
    item.said(Tag(0x0032, 0x1060), VR::LO, &request.requested_procedure);
    item.codes(Tag(0x0032, 0x1064), None::<&Code>);
    item.said(Tag(0x0040, 0x1001), VR::SH, &request.requested_procedure_id);
    if !safe::line(&request.question).is_empty() {
        item.said(Tag(0x0040, 0x1002), VR::LO, &request.question);
    }
    item.said(Tag(0x0040, 0x2016), VR::LO, &request.placer_order_number);
    item.said(Tag(0x0040, 0x2017), VR::LO, &request.filler_order_number);
    set.items(Tag(0x0040, 0xA370), [item]);
}

/// The documents that this one takes the place of (PS3.3 §C.17.2.2).
pub(super) fn predecessors(set: &mut Set, opinion: &Opinion) {
    if !opinion.predecessors.is_empty() {
        set.items(
            Tag(0x0040, 0xA360),
            evidence::hierarchy(&opinion.predecessors),
        );
    }
}
