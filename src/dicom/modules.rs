//! Which level an attribute belongs to: what may be said of a whole patient, study or series, by the
//! modules of PS3.3 that describe them. All else belongs to single instances, private attributes
//! too. The rows of [`ATTRIBUTES`](crate::dicom::ATTRIBUTES) say their level themselves.

use dicom_core::Tag;

use crate::dicom::{AttributeId, Level, SEQUENCES};

/// Patient, Clinical Trial Subject (PS3.3 §C.7.1), but for what the index keeps.
const PATIENT: &[u32] = &[
    0x0008_1120,
    0x0010_0022,
    0x0010_0024,
    0x0010_0026,
    0x0010_0027,
    0x0010_0033,
    0x0010_0034,
    0x0010_0035,
    0x0010_0200,
    0x0010_0212,
    0x0010_0213,
    0x0010_0214,
    0x0010_0215,
    0x0010_0216,
    0x0010_0217,
    0x0010_0218,
    0x0010_0219,
    0x0010_0221,
    0x0010_1000,
    0x0010_1001,
    0x0010_1002,
    0x0010_1100,
    0x0010_2160,
    0x0010_2161,
    0x0010_2201,
    0x0010_2202,
    0x0010_2292,
    0x0010_2293,
    0x0010_2294,
    0x0010_2297,
    0x0010_2298,
    0x0010_2299,
    0x0010_4000,
    0x0012_0010,
    0x0012_0020,
    0x0012_0021,
    0x0012_0022,
    0x0012_0023,
    0x0012_0030,
    0x0012_0031,
    0x0012_0032,
    0x0012_0040,
    0x0012_0041,
    0x0012_0042,
    0x0012_0043,
    0x0012_0062,
    0x0012_0063,
    0x0012_0064,
    0x0012_0081,
    0x0012_0082,
];

/// General Study, Patient Study, Clinical Trial Study (PS3.3 §C.7.2), and what older objects say of
/// the request and the visit.
const STUDY: &[u32] = &[
    0x0008_0051,
    0x0008_0096,
    0x0008_009C,
    0x0008_009D,
    0x0008_1048,
    0x0008_1049,
    0x0008_1062,
    0x0008_1084,
    0x0008_1110,
    0x0010_1021,
    0x0010_1022,
    0x0010_1023,
    0x0010_1024,
    0x0010_2000,
    0x0010_2110,
    0x0010_2180,
    0x0010_21A0,
    0x0010_21B0,
    0x0010_21C0,
    0x0010_21D0,
    0x0010_21F0,
    0x0010_2203,
    0x0012_0050,
    0x0012_0051,
    0x0012_0052,
    0x0012_0053,
    0x0012_0083,
    0x0032_1032,
    0x0032_1033,
    0x0032_1034,
    0x0032_1060,
    0x0032_1064,
    0x0038_0010,
    0x0038_0014,
    0x0038_0060,
    0x0038_0062,
    0x0038_0064,
    0x0038_0500,
    0x0040_1012,
];

/// General Series, Clinical Trial Series, Frame of Reference, General Equipment (PS3.3 §C.7.3 to
/// §C.7.5).
const SERIES: &[u32] = &[
    0x0008_0068,
    0x0008_0081,
    0x0008_0082,
    0x0008_103F,
    0x0008_1041,
    0x0008_1052,
    0x0008_1072,
    0x0008_1111,
    0x0008_1250,
    0x0012_0060,
    0x0012_0071,
    0x0012_0072,
    0x0012_0073,
    0x0018_1000,
    0x0018_1002,
    0x0018_1008,
    0x0018_100A,
    0x0018_100B,
    0x0018_1020,
    0x0018_1200,
    0x0018_1201,
    0x0018_5100,
    0x0020_0052,
    0x0020_1040,
    0x0028_0108,
    0x0028_0109,
    0x0040_0250,
    0x0040_0251,
    0x0040_0253,
    0x0040_0260,
    0x0040_0280,
];

/// The level of any attribute at the root of a data set.
#[must_use]
pub fn level_of(tag: Tag) -> Level {
    if let Some(id) = AttributeId::of_tag(tag) {
        return id.attribute().level;
    }
    if let Some(sequence) = SEQUENCES.iter().find(|sequence| sequence.tag == tag) {
        return sequence.level;
    }
    let number = u32::from(tag.group()) << 16 | u32::from(tag.element());
    [
        (PATIENT, Level::Patient),
        (STUDY, Level::Study),
        (SERIES, Level::Series),
    ]
    .into_iter()
    .find(|(tags, _)| tags.binary_search(&number).is_ok())
    .map_or(Level::Instance, |(_, level)| level)
}

#[cfg(test)]
mod tests {
    use dicom_core::dictionary::DataDictionary;
    use dicom_dictionary_std::StandardDataDictionary;

    use super::*;

    #[test]
    fn tables_are_sorted_and_hold_what_the_index_has_not() {
        for table in [PATIENT, STUDY, SERIES] {
            assert!(table.is_sorted_by(|a, b| a < b));
            for number in table {
                #[expect(clippy::cast_possible_truncation, reason = "the two halves of a tag")]
                let tag = Tag((number >> 16) as u16, *number as u16);
                assert_eq!(AttributeId::of_tag(tag), None, "{tag}");
                assert!(StandardDataDictionary.by_tag(tag).is_some(), "{tag}");
            }
        }
    }

    #[test]
    fn levels() {
        for (tag, level) in [
            (Tag(0x0010, 0x0010), Level::Patient),
            (Tag(0x0010, 0x4000), Level::Patient),
            (Tag(0x0010, 0x21B0), Level::Study),
            (Tag(0x0008, 0x1032), Level::Study),
            (Tag(0x0018, 0x1000), Level::Series),
            (Tag(0x0018, 0x0050), Level::Instance),
            (Tag(0x0009, 0x1001), Level::Instance),
        ] {
            assert_eq!(level_of(tag), level, "{tag}");
        }
    }
}
