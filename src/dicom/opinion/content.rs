//! Content items (PS3.3 §C.17.3, §C.18), and the context that both content trees begin with (PS3.16 TID 1001, 1204).

use dicom_core::{Tag, VR};

use super::evidence::{Kind, has_frames, kind};
use super::file::{Set, sop};
use super::{Code, KeyImage, Opinion, Role, codes, safe};

const CONTENT: Tag = Tag(0x0040, 0xA730);

/// How an item hangs on its parent (PS3.3 Table C.17.3-8).
#[derive(Debug, Clone, Copy)]
pub(super) enum Rel {
    Contains,
    HasObsContext,
    HasConceptMod,
    InferredFrom,
}

impl Rel {
    fn word(self) -> &'static str {
        match self {
            Self::Contains => "CONTAINS",
            Self::HasObsContext => "HAS OBS CONTEXT",
            Self::HasConceptMod => "HAS CONCEPT MOD",
            Self::InferredFrom => "INFERRED FROM",
        }
    }
}

fn item(rel: Rel, value_type: &str, concept: Option<&Code>) -> Set {
    let mut item = Set::default();
    item.own(Tag(0x0040, 0xA010), VR::CS, rel.word());
    item.own(Tag(0x0040, 0xA040), VR::CS, value_type);
    if let Some(concept) = concept {
        item.codes(Tag(0x0040, 0xA043), [concept]);
    }
    item
}

pub(super) fn text(rel: Rel, concept: &Code, text: &str) -> Set {
    let mut item = item(rel, "TEXT", Some(concept));
    item.said(Tag(0x0040, 0xA160), VR::UT, text);
    item
}

pub(super) fn code(rel: Rel, concept: &Code, value: &Code) -> Set {
    let mut item = item(rel, "CODE", Some(concept));
    item.codes(Tag(0x0040, 0xA168), [value]);
    item
}

/// What a key image points at, of whatever kind it is.
pub(super) fn object(rel: Rel, concept: Option<&Code>, key: &KeyImage) -> Set {
    let value_type = match kind(key.image.sop_class_uid.as_str()) {
        Kind::Image => "IMAGE",
        Kind::Waveform => "WAVEFORM",
        Kind::Composite => "COMPOSITE",
    };
    let mut item = item(rel, value_type, concept);
    let mut reference = sop(&key.image);
    if !key.frames.is_empty() && has_frames(key.image.sop_class_uid.as_str()) {
        let frames: Vec<_> = key.frames.iter().map(ToString::to_string).collect();
        reference.own(Tag(0x0008, 0x1160), VR::IS, &frames.join("\\"));
    }
    item.items(Tag(0x0008, 0x1199), [reference]);
    item
}

/// A container of the content that is there; `None` when there is none.
pub(super) fn section(heading: &Code, content: Vec<Set>) -> Option<Set> {
    if content.is_empty() {
        return None;
    }
    let mut item = item(Rel::Contains, "CONTAINER", Some(heading));
    item.own(Tag(0x0040, 0xA050), VR::CS, "SEPARATE");
    item.items(CONTENT, content);
    Some(item)
}

/// What hangs under an item.
pub(super) fn under(mut parent: Set, children: Vec<Set>) -> Set {
    if !children.is_empty() {
        parent.items(CONTENT, children);
    }
    parent
}

/// The root of a tree by a template of PS3.16, in the data set itself.
pub(super) fn root(set: &mut Set, title: &Code, template: &str, content: Vec<Set>) {
    set.own(Tag(0x0040, 0xA040), VR::CS, "CONTAINER");
    set.codes(Tag(0x0040, 0xA043), [title]);
    set.own(Tag(0x0040, 0xA050), VR::CS, "SEPARATE");
    let mut identification = Set::default();
    identification.own(Tag(0x0008, 0x0105), VR::CS, "DCMR");
    identification.own(Tag(0x0040, 0xDB00), VR::CS, template);
    set.items(Tag(0x0040, 0xA504), [identification]);
    set.items(CONTENT, content);
}

/// TID 1204: what it is written in.
pub(super) fn language(opinion: &Opinion) -> Set {
    code(
        Rel::HasConceptMod,
        &codes::LANGUAGE,
        &language_code(&opinion.language),
    )
}

/// Names of languages that are asked for most; another's name is its tag.
const LANGUAGES: &[(&str, &str)] = &[
    ("ar", "Arabic"),
    ("bg", "Bulgarian"),
    ("cs", "Czech"),
    ("da", "Danish"),
    ("de", "German"),
    ("el", "Greek"),
    ("en", "English"),
    ("es", "Spanish"),
    ("fa", "Persian"),
    ("fi", "Finnish"),
    ("fr", "French"),
    ("he", "Hebrew"),
    ("hi", "Hindi"),
    ("hu", "Hungarian"),
    ("id", "Indonesian"),
    ("it", "Italian"),
    ("ja", "Japanese"),
    ("ko", "Korean"),
    ("nl", "Dutch"),
    ("no", "Norwegian"),
    ("pl", "Polish"),
    ("pt", "Portuguese"),
    ("ro", "Romanian"),
    ("ru", "Russian"),
    ("sv", "Swedish"),
    ("th", "Thai"),
    ("tr", "Turkish"),
    ("uk", "Ukrainian"),
    ("und", "Undetermined"),
    ("vi", "Vietnamese"),
    ("zh", "Chinese"),
];

/// A tag of RFC 5646 as a code (CID 5000); what is none is undetermined.
pub(super) fn language_code(tag: &str) -> Code {
    let is_tag = (2..=35).contains(&tag.len())
        && tag.split('-').all(|part| {
            (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
        });
    let tag = if is_tag { tag } else { "und" };
    let primary = tag.split('-').next().unwrap_or(tag).to_ascii_lowercase();
    let name = LANGUAGES.iter().find(|(language, _)| *language == primary);
    let meaning = match name {
        Some((_, name)) if tag.len() == primary.len() => (*name).to_owned(),
        Some((_, name)) => format!("{name} ({tag})"),
        None => tag.to_owned(),
    };
    Code {
        value: tag.to_owned().into(),
        scheme: "RFC5646".into(),
        meaning: meaning.into(),
    }
}

/// TID 1002 and 1003: a person, where they work, as whom they answer.
pub(super) fn observer(opinion: &Opinion) -> Vec<Set> {
    let rel = Rel::HasObsContext;
    let mut name = item(rel, "PNAME", Some(&codes::OBSERVER_NAME));
    name.said(Tag(0x0040, 0xA123), VR::PN, &opinion.reader.name);
    let mut all = vec![code(rel, &codes::OBSERVER_TYPE, &codes::PERSON), name];
    if !safe::text(&opinion.reader.institution).is_empty() {
        all.push(text(
            rel,
            &codes::OBSERVER_ORGANIZATION,
            &opinion.reader.institution,
        ));
    }
    let role = match opinion.role {
        Role::Reviewer => &codes::REVIEWER,
        Role::Adjudicator => &codes::ADJUDICATOR,
    };
    all.push(code(rel, &codes::OBSERVER_ROLE, role));
    all
}

/// TID 1005: which procedure is spoken of.
pub(super) fn procedure(opinion: &Opinion) -> Vec<Set> {
    let rel = Rel::HasObsContext;
    let (study, request) = (&opinion.study, &opinion.request);
    let mut uid = item(rel, "UIDREF", Some(&codes::PROCEDURE_STUDY));
    uid.own(
        Tag(0x0040, 0xA124),
        VR::UI,
        study.study_instance_uid.as_str(),
    );
    let numbers = [
        (&codes::PLACER_NUMBER, &request.placer_order_number),
        (&codes::FILLER_NUMBER, &request.filler_order_number),
        (&codes::ACCESSION_NUMBER, &study.accession_number),
    ];
    let numbers = numbers
        .into_iter()
        .filter(|(_, number)| !safe::text(number).is_empty())
        .map(|(concept, number)| text(rel, concept, number));
    [uid].into_iter().chain(numbers).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_are_tags_of_rfc_5646() {
        for (tag, value, meaning) in [
            ("en", "en", "English"),
            ("pt-BR", "pt-BR", "Portuguese (pt-BR)"),
            ("mi", "mi", "mi"),
            ("", "und", "Undetermined"),
            ("e", "und", "Undetermined"),
            ("en\\de", "und", "Undetermined"),
            ("日本", "und", "Undetermined"),
        ] {
            let code = language_code(tag);
            assert_eq!((&*code.value, &*code.meaning), (value, meaning));
        }
    }
}
