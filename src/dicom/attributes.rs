//! The one table of attributes that the index keeps, matches and returns (PS3.4 §C.6.1.1,
//! PS3.18 Tables 10.6.1-5 and 10.6.3-3 to 10.6.3-5). Schema, QIDO-RS, C-FIND and the conformance
//! statement are all made from it, so that they cannot disagree.

use std::sync::Arc;

use dicom_core::{Tag, VR};

use crate::dicom::Level;

/// One indexed attribute.
#[derive(Debug)]
pub struct Attribute {
    /// Its tag.
    pub tag: Tag,
    /// Its keyword in PS3.6.
    pub keyword: &'static str,
    /// Its value representation.
    pub vr: VR,
    /// The level it belongs to.
    pub level: Level,
    /// Its column, in the table of its level.
    pub column: &'static str,
    /// Whether a search may be driven by it: there is an index that begins with its column, or, for
    /// names and times, with the forms they are searched by.
    pub is_indexed: bool,
    /// Whether it is in every answer of its level, or only when asked for by `includefield`.
    pub is_default: bool,
}

/// The position of an attribute in [`ATTRIBUTES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttributeId(pub u8);

impl AttributeId {
    /// The table row.
    #[must_use]
    pub fn attribute(self) -> &'static Attribute {
        &ATTRIBUTES[usize::from(self.0)]
    }

    /// The attribute with this tag.
    #[must_use]
    pub fn of_tag(tag: Tag) -> Option<Self> {
        let place = ATTRIBUTES.iter().position(|a| a.tag == tag)?;
        u8::try_from(place).ok().map(Self)
    }

    /// The attribute with this keyword. Keywords are case-sensitive (PS3.18 §8.3.1).
    #[must_use]
    pub fn of_keyword(keyword: &str) -> Option<Self> {
        let place = ATTRIBUTES.iter().position(|a| a.keyword == keyword)?;
        u8::try_from(place).ok().map(Self)
    }
}

/// The values of one instance for the rows of [`ATTRIBUTES`]: text in UTF-8, padding removed,
/// several values joined by a backslash, binary numbers in decimal. Absent and empty are both
/// told: `None` is absent, `Some("")` is present without a value. Clones share the texts: all instances
/// of a series answer with those of its study.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttributeValues(Box<[Option<Arc<str>>]>);

impl Default for AttributeValues {
    fn default() -> Self {
        Self(vec![None; ATTRIBUTES.len()].into_boxed_slice())
    }
}

impl AttributeValues {
    /// The value, `None` when the attribute was absent.
    #[must_use]
    pub fn get(&self, id: AttributeId) -> Option<&str> {
        self.0[usize::from(id.0)].as_deref()
    }

    /// The value by keyword of the table, `None` when absent or no row of the table.
    #[must_use]
    pub fn by_keyword(&self, keyword: &str) -> Option<&str> {
        self.get(AttributeId::of_keyword(keyword)?)
    }

    /// Keeps a value.
    pub fn set(&mut self, id: AttributeId, value: impl Into<Arc<str>>) {
        self.0[usize::from(id.0)] = Some(value.into());
    }

    /// The rows that have a value or are present without one, in table order.
    pub fn iter(&self) -> impl Iterator<Item = (AttributeId, &str)> {
        (0u8..)
            .zip(self.0.iter())
            .filter_map(|(i, v)| Some((AttributeId(i), v.as_deref()?)))
    }
}

/// A sequence whose items can be matched (PS3.4 §C.2.2.2.6).
#[derive(Debug)]
pub struct SequenceAttribute {
    /// Its tag.
    pub tag: Tag,
    /// Its keyword.
    pub keyword: &'static str,
    /// The level it belongs to.
    pub level: Level,
    /// Whether it is in every answer of its level.
    pub is_default: bool,
    /// What can be matched inside an item: tag, keyword, VR.
    pub items: &'static [(Tag, &'static str, VR)],
}

/// One matchable value inside a sequence item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SequenceValue {
    /// Position in [`SEQUENCES`].
    pub sequence: u8,
    /// Which item of the sequence, from 0.
    pub item: u32,
    /// Position in the `items` of the sequence's row.
    pub attribute: u8,
    /// As in [`AttributeValues`].
    pub value: Box<str>,
}

const fn row(
    tag: u32,
    keyword: &'static str,
    vr: VR,
    level: Level,
    column: &'static str,
    flags: (bool, bool),
) -> Attribute {
    #[expect(clippy::cast_possible_truncation, reason = "the two halves of a tag")]
    let tag = Tag((tag >> 16) as u16, tag as u16);
    Attribute {
        tag,
        keyword,
        vr,
        level,
        column,
        is_indexed: flags.0,
        is_default: flags.1,
    }
}

/// Indexed and in every answer.
const KEY: (bool, bool) = (true, true);
/// Indexed, answered when asked for.
const MATCH: (bool, bool) = (true, false);
/// In every answer; matched as a filter beside an indexed key.
const SHOWN: (bool, bool) = (false, true);
/// Answered when asked for; matched as a filter beside an indexed key.
const EXTRA: (bool, bool) = (false, false);

/// Every attribute in the index. Order is part of no format: columns go by name.
pub const ATTRIBUTES: &[Attribute] = &[
    // Patient (PS3.4 Table C.6-1)
    row(
        0x0010_0010,
        "PatientName",
        VR::PN,
        Level::Patient,
        "patient_name",
        KEY,
    ),
    row(
        0x0010_0020,
        "PatientID",
        VR::LO,
        Level::Patient,
        "patient_id",
        KEY,
    ),
    row(
        0x0010_0021,
        "IssuerOfPatientID",
        VR::LO,
        Level::Patient,
        "issuer_of_patient_id",
        EXTRA,
    ),
    row(
        0x0010_0030,
        "PatientBirthDate",
        VR::DA,
        Level::Patient,
        "patient_birth_date",
        KEY,
    ),
    row(
        0x0010_0032,
        "PatientBirthTime",
        VR::TM,
        Level::Patient,
        "patient_birth_time",
        EXTRA,
    ),
    row(
        0x0010_0040,
        "PatientSex",
        VR::CS,
        Level::Patient,
        "patient_sex",
        SHOWN,
    ),
    // Study (PS3.18 Tables 10.6.1-5, 10.6.3-3; PS3.4 Table C.6-2)
    row(
        0x0008_0020,
        "StudyDate",
        VR::DA,
        Level::Study,
        "study_date",
        KEY,
    ),
    row(
        0x0008_0030,
        "StudyTime",
        VR::TM,
        Level::Study,
        "study_time",
        KEY,
    ),
    row(
        0x0008_0050,
        "AccessionNumber",
        VR::SH,
        Level::Study,
        "accession_number",
        KEY,
    ),
    row(
        0x0008_0090,
        "ReferringPhysicianName",
        VR::PN,
        Level::Study,
        "referring_physician_name",
        KEY,
    ),
    row(
        0x0008_0201,
        "TimezoneOffsetFromUTC",
        VR::SH,
        Level::Study,
        "timezone_offset_from_utc",
        SHOWN,
    ),
    row(
        0x0008_1030,
        "StudyDescription",
        VR::LO,
        Level::Study,
        "study_description",
        MATCH,
    ),
    row(
        0x0008_1060,
        "NameOfPhysiciansReadingStudy",
        VR::PN,
        Level::Study,
        "name_of_physicians_reading_study",
        EXTRA,
    ),
    row(
        0x0008_1080,
        "AdmittingDiagnosesDescription",
        VR::LO,
        Level::Study,
        "admitting_diagnoses_description",
        EXTRA,
    ),
    row(
        0x0010_1010,
        "PatientAge",
        VR::AS,
        Level::Study,
        "patient_age",
        EXTRA,
    ),
    row(
        0x0010_1020,
        "PatientSize",
        VR::DS,
        Level::Study,
        "patient_size",
        EXTRA,
    ),
    row(
        0x0010_1030,
        "PatientWeight",
        VR::DS,
        Level::Study,
        "patient_weight",
        EXTRA,
    ),
    row(
        0x0020_000D,
        "StudyInstanceUID",
        VR::UI,
        Level::Study,
        "study_instance_uid",
        KEY,
    ),
    row(
        0x0020_0010,
        "StudyID",
        VR::SH,
        Level::Study,
        "study_id",
        KEY,
    ),
    // Series (PS3.18 Tables 10.6.1-5, 10.6.3-4; PS3.4 Table C.6-3)
    row(
        0x0008_0021,
        "SeriesDate",
        VR::DA,
        Level::Series,
        "series_date",
        EXTRA,
    ),
    row(
        0x0008_0031,
        "SeriesTime",
        VR::TM,
        Level::Series,
        "series_time",
        EXTRA,
    ),
    row(
        0x0008_0060,
        "Modality",
        VR::CS,
        Level::Series,
        "modality",
        KEY,
    ),
    row(
        0x0008_0070,
        "Manufacturer",
        VR::LO,
        Level::Series,
        "manufacturer",
        EXTRA,
    ),
    row(
        0x0008_0080,
        "InstitutionName",
        VR::LO,
        Level::Series,
        "institution_name",
        EXTRA,
    ),
    row(
        0x0008_1010,
        "StationName",
        VR::SH,
        Level::Series,
        "station_name",
        EXTRA,
    ),
    row(
        0x0008_103E,
        "SeriesDescription",
        VR::LO,
        Level::Series,
        "series_description",
        KEY,
    ),
    row(
        0x0008_1040,
        "InstitutionalDepartmentName",
        VR::LO,
        Level::Series,
        "institutional_department_name",
        EXTRA,
    ),
    row(
        0x0008_1050,
        "PerformingPhysicianName",
        VR::PN,
        Level::Series,
        "performing_physician_name",
        EXTRA,
    ),
    row(
        0x0008_1070,
        "OperatorsName",
        VR::PN,
        Level::Series,
        "operators_name",
        EXTRA,
    ),
    row(
        0x0008_1090,
        "ManufacturerModelName",
        VR::LO,
        Level::Series,
        "manufacturer_model_name",
        EXTRA,
    ),
    row(
        0x0018_0015,
        "BodyPartExamined",
        VR::CS,
        Level::Series,
        "body_part_examined",
        MATCH,
    ),
    row(
        0x0018_1030,
        "ProtocolName",
        VR::LO,
        Level::Series,
        "protocol_name",
        EXTRA,
    ),
    row(
        0x0020_000E,
        "SeriesInstanceUID",
        VR::UI,
        Level::Series,
        "series_instance_uid",
        KEY,
    ),
    row(
        0x0020_0011,
        "SeriesNumber",
        VR::IS,
        Level::Series,
        "series_number",
        SHOWN,
    ),
    row(
        0x0020_0060,
        "Laterality",
        VR::CS,
        Level::Series,
        "laterality",
        EXTRA,
    ),
    row(
        0x0040_0244,
        "PerformedProcedureStepStartDate",
        VR::DA,
        Level::Series,
        "performed_procedure_step_start_date",
        KEY,
    ),
    row(
        0x0040_0245,
        "PerformedProcedureStepStartTime",
        VR::TM,
        Level::Series,
        "performed_procedure_step_start_time",
        KEY,
    ),
    row(
        0x0040_0254,
        "PerformedProcedureStepDescription",
        VR::LO,
        Level::Series,
        "performed_procedure_step_description",
        EXTRA,
    ),
    // Instance (PS3.18 Tables 10.6.1-5, 10.6.3-5; PS3.4 Table C.6-4)
    row(
        0x0008_0008,
        "ImageType",
        VR::CS,
        Level::Instance,
        "image_type",
        EXTRA,
    ),
    row(
        0x0008_0016,
        "SOPClassUID",
        VR::UI,
        Level::Instance,
        "sop_class_uid",
        KEY,
    ),
    row(
        0x0008_0018,
        "SOPInstanceUID",
        VR::UI,
        Level::Instance,
        "sop_instance_uid",
        KEY,
    ),
    row(
        0x0008_0022,
        "AcquisitionDate",
        VR::DA,
        Level::Instance,
        "acquisition_date",
        EXTRA,
    ),
    row(
        0x0008_0023,
        "ContentDate",
        VR::DA,
        Level::Instance,
        "content_date",
        EXTRA,
    ),
    row(
        0x0008_002A,
        "AcquisitionDateTime",
        VR::DT,
        Level::Instance,
        "acquisition_date_time",
        EXTRA,
    ),
    row(
        0x0008_0032,
        "AcquisitionTime",
        VR::TM,
        Level::Instance,
        "acquisition_time",
        EXTRA,
    ),
    row(
        0x0008_0033,
        "ContentTime",
        VR::TM,
        Level::Instance,
        "content_time",
        EXTRA,
    ),
    row(
        0x0020_0012,
        "AcquisitionNumber",
        VR::IS,
        Level::Instance,
        "acquisition_number",
        EXTRA,
    ),
    row(
        0x0020_0013,
        "InstanceNumber",
        VR::IS,
        Level::Instance,
        "instance_number",
        SHOWN,
    ),
    row(
        0x0028_0008,
        "NumberOfFrames",
        VR::IS,
        Level::Instance,
        "number_of_frames",
        SHOWN,
    ),
    row(0x0028_0010, "Rows", VR::US, Level::Instance, "rows", SHOWN),
    row(
        0x0028_0011,
        "Columns",
        VR::US,
        Level::Instance,
        "columns",
        SHOWN,
    ),
    row(
        0x0028_0100,
        "BitsAllocated",
        VR::US,
        Level::Instance,
        "bits_allocated",
        SHOWN,
    ),
    row(
        0x0040_A491,
        "CompletionFlag",
        VR::CS,
        Level::Instance,
        "completion_flag",
        EXTRA,
    ),
    row(
        0x0040_A493,
        "VerificationFlag",
        VR::CS,
        Level::Instance,
        "verification_flag",
        EXTRA,
    ),
    row(
        0x0042_0010,
        "DocumentTitle",
        VR::ST,
        Level::Instance,
        "document_title",
        EXTRA,
    ),
    row(
        0x0070_0080,
        "ContentLabel",
        VR::CS,
        Level::Instance,
        "content_label",
        EXTRA,
    ),
    row(
        0x0070_0081,
        "ContentDescription",
        VR::LO,
        Level::Instance,
        "content_description",
        EXTRA,
    ),
    row(
        0x0070_0084,
        "ContentCreatorName",
        VR::PN,
        Level::Instance,
        "content_creator_name",
        EXTRA,
    ),
];

const CODE: &[(Tag, &str, VR)] = &[
    (Tag(0x0008, 0x0100), "CodeValue", VR::SH),
    (Tag(0x0008, 0x0102), "CodingSchemeDesignator", VR::SH),
    (Tag(0x0008, 0x0104), "CodeMeaning", VR::LO),
];

/// The most items of one sequence of one instance that it is found by.
pub const FINDABLE_ITEMS_MAX: u32 = 256;

/// Every sequence whose items are indexed.
pub const SEQUENCES: &[SequenceAttribute] = &[
    SequenceAttribute {
        tag: Tag(0x0040, 0x0275),
        keyword: "RequestAttributesSequence",
        level: Level::Series,
        is_default: true,
        items: &[
            (Tag(0x0040, 0x0009), "ScheduledProcedureStepID", VR::SH),
            (Tag(0x0040, 0x1001), "RequestedProcedureID", VR::SH),
            (Tag(0x0008, 0x0050), "AccessionNumber", VR::SH),
        ],
    },
    SequenceAttribute {
        tag: Tag(0x0008, 0x1032),
        keyword: "ProcedureCodeSequence",
        level: Level::Study,
        is_default: false,
        items: CODE,
    },
    SequenceAttribute {
        tag: Tag(0x0040, 0xA043),
        keyword: "ConceptNameCodeSequence",
        level: Level::Instance,
        is_default: false,
        items: CODE,
    },
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry};
    use dicom_dictionary_std::StandardDataDictionary;

    use super::*;

    #[test]
    fn rows_agree_with_the_data_dictionary() {
        for a in ATTRIBUTES {
            let entry = StandardDataDictionary
                .by_tag(a.tag)
                .expect("a standard attribute");
            assert_eq!(entry.alias(), a.keyword);
            assert_eq!(entry.vr().relaxed(), a.vr, "{}", a.keyword);
        }
        for s in SEQUENCES {
            assert_eq!(
                StandardDataDictionary
                    .by_tag(s.tag)
                    .expect("standard")
                    .alias(),
                s.keyword
            );
            for (tag, keyword, vr) in s.items {
                let entry = StandardDataDictionary
                    .by_tag(*tag)
                    .expect("a standard attribute");
                assert_eq!((entry.alias(), entry.vr().relaxed()), (*keyword, *vr));
            }
        }
    }

    #[test]
    fn no_tag_or_column_stands_twice() {
        let tags: HashSet<_> = ATTRIBUTES.iter().map(|a| a.tag).collect();
        let columns: HashSet<_> = ATTRIBUTES.iter().map(|a| a.column).collect();
        assert_eq!(
            (tags.len(), columns.len()),
            (ATTRIBUTES.len(), ATTRIBUTES.len())
        );
        assert!(ATTRIBUTES.len() < 256);
    }
}
