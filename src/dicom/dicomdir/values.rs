//! Where the values of a directory record come from, and what of them fits into it: a record is
//! for finding, the object itself keeps the whole value.

use dicom_core::value::DataSetSequence;
use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;

use crate::dicom::json::{prepared, top_level_member};
use crate::dicom::query::{normal_date, normal_time};
use crate::dicom::{AttributeId, AttributeValues, Uid};

/// The values of one object.
#[derive(Debug, Clone, Copy)]
pub(super) enum Values<'a> {
    /// Of a row of the index.
    Row(&'a AttributeValues),
    /// Of the prepared metadata of an instance.
    Metadata(&'a [u8]),
}

/// What is copied of a coded concept (PS3.3 Table 8.8-1).
const CODE: &[(Tag, VR)] = &[
    (tags::CODE_VALUE, VR::SH),
    (tags::CODING_SCHEME_DESIGNATOR, VR::SH),
    (tags::CODING_SCHEME_VERSION, VR::SH),
    (tags::CODE_MEANING, VR::LO),
];

impl Values<'_> {
    /// The value as it may stand in a record: well-formed for its VR, not too long, never empty.
    pub(super) fn text(self, tag: Tag, vr: VR) -> Option<String> {
        let raw = match self {
            Self::Row(row) => row.get(AttributeId::of_tag(tag)?)?.to_owned(),
            Self::Metadata(metadata) => prepared::text(top_level_member(metadata, tag)?)?,
        };
        fitting(&raw, vr).filter(|value| !value.is_empty())
    }

    /// The first coded concept of a sequence, in a sequence of its own; an empty one when there is none.
    pub(super) fn code_sequence(self, tag: Tag) -> DataElement<InMemDicomObject> {
        let item = match self {
            Self::Row(_) => None,
            Self::Metadata(metadata) => top_level_member(metadata, tag)
                .and_then(prepared::items)
                .and_then(|mut items| items.next()),
        };
        let items: Vec<InMemDicomObject> = item.map(code).into_iter().collect();
        DataElement::new(tag, VR::SQ, DataSetSequence::from(items))
    }
}

fn code(item: &[u8]) -> InMemDicomObject {
    let values = Values::Metadata(item);
    InMemDicomObject::from_element_iter(CODE.iter().filter_map(|&(tag, vr)| {
        let text = values.text(tag, vr)?;
        Some(DataElement::new(tag, vr, PrimitiveValue::from(text)))
    }))
}

/// A value for one element of `vr` (PS3.5 Table 6.2-1). Several values are kept of CS only, which
/// is where a record may have them; elsewhere the first counts.
fn fitting(raw: &str, vr: VR) -> Option<String> {
    let clean: String = raw
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let first = clean.split('\\').next().unwrap_or_default().trim();
    let clipped = |text: &str, max: usize| text.chars().take(max).collect::<String>();
    Some(match vr {
        VR::DA => normal_date(first)?,
        VR::TM => match normal_time(first)? {
            normal if first.contains(':') || first.len() > 14 => normal,
            _ => first.to_owned(),
        },
        VR::UI => Uid::parse(first).ok()?.as_str().to_owned(),
        VR::IS => first.parse::<i32>().ok()?.to_string(),
        VR::US => first.parse::<u16>().ok()?.to_string(),
        VR::UL => first.parse::<u32>().ok()?.to_string(),
        VR::CS => {
            let values: Vec<String> = clean
                .split('\\')
                .take(16)
                .map(|value| clipped(value.trim(), 16))
                .collect();
            values.join("\\")
        }
        VR::PN => {
            let groups: Vec<String> = first
                .split('=')
                .take(3)
                .map(|group| clipped(group, 64))
                .collect();
            groups.join("=")
        }
        VR::SH => clipped(first, 16),
        VR::LO => clipped(first, 64),
        // No other VR is in the tables but ST, where a backslash is a character.
        _ => clipped(clean.trim(), 1024),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_made_to_fit_their_vr() {
        let long = "ü".repeat(100);
        for (vr, raw, fits) in [
            (VR::DA, "20260102", Some("20260102")),
            (VR::DA, "2026.01.02", Some("20260102")),
            (VR::DA, "20261302", None),
            (VR::TM, "1011", Some("1011")),
            (VR::TM, "10:11:12", Some("101112.000000")),
            (VR::TM, "later", None),
            (VR::IS, "+7 ", Some("7")),
            (VR::IS, "7.5", None),
            (VR::IS, "99999999999", None),
            (VR::US, "70000", None),
            (VR::UI, "1.2.3", Some("1.2.3")),
            (VR::UI, "1.2.a", None),
            (VR::CS, "ORIGINAL\\PRIMARY ", Some("ORIGINAL\\PRIMARY")),
            (VR::LO, "a\\b", Some("a")),
            (VR::LO, "a\nb", Some("a b")),
            (VR::ST, "a\\b", Some("a\\b")),
            (VR::SH, &long, Some(&long[..32])),
            (VR::PN, "A^B=C=D=E", Some("A^B=C=D")),
        ] {
            assert_eq!(fitting(raw, vr).as_deref(), fits, "{vr} {raw}");
        }
    }

    #[test]
    fn metadata_gives_texts_of_every_kind() {
        let metadata = r#"{"00100010":{"vr":"PN","Value":[{"Alphabetic":"A^B","Phonetic":"C"}]},"00200013":{"vr":"IS","Value":[12]},"0040A043":{"vr":"SQ","Value":[{"00080100":{"vr":"SH","Value":["121070"]},"00080102":{"vr":"SH","Value":["DCM"]}}]},"00700080":{"vr":"CS"}}"#;
        let values = Values::Metadata(metadata.as_bytes());
        assert_eq!(
            values.text(tags::PATIENT_NAME, VR::PN).as_deref(),
            Some("A^B==C")
        );
        assert_eq!(
            values.text(tags::INSTANCE_NUMBER, VR::IS).as_deref(),
            Some("12")
        );
        assert_eq!(values.text(tags::CONTENT_LABEL, VR::CS), None);
        let code = values.code_sequence(tags::CONCEPT_NAME_CODE_SEQUENCE);
        let items = code.items().unwrap();
        assert_eq!(items.len(), 1);
        assert_eq!(
            items[0]
                .element(tags::CODE_VALUE)
                .unwrap()
                .to_str()
                .unwrap(),
            "121070"
        );
        let none = values.code_sequence(tags::CONTENT_SEQUENCE);
        assert_eq!(none.items().map(<[_]>::len), Some(0));
    }
}
