//! Which directory record an instance gets, and what stands in it (PS3.3 Tables F.4-1 and F.5-1 ff).
//! Attributes of types 1C and 3 are left out, but for the few that people choose by.

use dicom_core::{Tag, VR};

use crate::dicom::sop_class;

/// A kind of directory record.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RecordType {
    /// (0004,1430)
    pub(super) name: &'static str,
    /// Its own attributes.
    pub(super) keys: &'static [Key],
}

/// An attribute of a record.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) tag: Tag,
    pub(super) vr: VR,
    pub(super) otherwise: Otherwise,
}

/// What is written when the object has no value.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Otherwise {
    /// Nothing (type 3).
    Omitted,
    /// The attribute without a value (type 2).
    Empty,
    /// This value (type 1): an object that lacks it can be on a medium all the same.
    Text(&'static str),
    /// This, and the number of the record among its siblings (type 1).
    Numbered(&'static str),
}

use Otherwise::{Empty, Numbered, Omitted, Text};

const fn key(group: u16, element: u16, vr: VR, otherwise: Otherwise) -> Key {
    Key {
        tag: Tag(group, element),
        vr,
        otherwise,
    }
}

/// The day that stands for an unknown one, as DCMTK does.
const NO_DATE: Otherwise = Text("19000101");
const NO_TIME: Otherwise = Text("000000");
const NO_LABEL: Otherwise = Text("UNNAMED");

const INSTANCE_NUMBER: Key = key(0x0020, 0x0013, VR::IS, Numbered(""));
const CONTENT_DATE: Key = key(0x0008, 0x0023, VR::DA, NO_DATE);
const CONTENT_TIME: Key = key(0x0008, 0x0033, VR::TM, NO_TIME);
const CONTENT_LABEL: Key = key(0x0070, 0x0080, VR::CS, NO_LABEL);
const CONTENT_DESCRIPTION: Key = key(0x0070, 0x0081, VR::LO, Empty);
const CONTENT_CREATOR: Key = key(0x0070, 0x0084, VR::PN, Empty);
const CONCEPT_NAME: Key = key(0x0040, 0xA043, VR::SQ, Empty);

/// Table F.5-1.
pub(super) const PATIENT: RecordType = RecordType {
    name: "PATIENT",
    keys: &[
        key(0x0010, 0x0010, VR::PN, Empty),
        key(0x0010, 0x0020, VR::LO, Numbered("NO_ID_")),
        key(0x0010, 0x0030, VR::DA, Omitted),
        key(0x0010, 0x0040, VR::CS, Omitted),
    ],
};

/// Table F.5-2.
pub(super) const STUDY: RecordType = RecordType {
    name: "STUDY",
    keys: &[
        key(0x0008, 0x0020, VR::DA, NO_DATE),
        key(0x0008, 0x0030, VR::TM, NO_TIME),
        key(0x0008, 0x0050, VR::SH, Empty),
        key(0x0008, 0x1030, VR::LO, Empty),
        key(0x0020, 0x000D, VR::UI, Empty),
        key(0x0020, 0x0010, VR::SH, Numbered("NO_ID_")),
    ],
};

/// Table F.5-3.
pub(super) const SERIES: RecordType = RecordType {
    name: "SERIES",
    keys: &[
        key(0x0008, 0x0060, VR::CS, Text("OT")),
        key(0x0008, 0x103E, VR::LO, Omitted),
        key(0x0020, 0x000E, VR::UI, Empty),
        key(0x0020, 0x0011, VR::IS, Numbered("")),
    ],
};

const IMAGE: RecordType = RecordType {
    name: "IMAGE",
    keys: &[INSTANCE_NUMBER],
};

/// For what no other record type is meant, with [`PRIVATE_RECORD_UID`].
const PRIVATE: RecordType = RecordType {
    name: "PRIVATE",
    keys: &[
        key(0x0004, 0x1432, VR::UI, Text(PRIVATE_RECORD_UID)),
        INSTANCE_NUMBER,
    ],
};

/// (0004,1432): our private record, which holds an instance number (2.25: PS3.5 §B.2).
const PRIVATE_RECORD_UID: &str = "2.25.101089895323115681785851473041539114575";

const fn content(name: &'static str) -> RecordType {
    RecordType {
        name,
        keys: &[INSTANCE_NUMBER, CONTENT_DATE, CONTENT_TIME],
    }
}

const fn labelled(name: &'static str) -> RecordType {
    RecordType {
        name,
        keys: &[
            INSTANCE_NUMBER,
            CONTENT_DATE,
            CONTENT_TIME,
            CONTENT_LABEL,
            CONTENT_DESCRIPTION,
            CONTENT_CREATOR,
        ],
    }
}

/// The record types of instances other than images, each with its SOP classes: what follows
/// `1.2.840.10008.5.1.4.`
const OF_SOP_CLASSES: &[(RecordType, &[&str])] = &[
    (
        RecordType {
            name: "RT DOSE",
            keys: &[
                INSTANCE_NUMBER,
                key(0x3004, 0x000A, VR::CS, Text("UNKNOWN")),
            ],
        },
        &["1.1.481.2"],
    ),
    (
        RecordType {
            name: "RT STRUCTURE SET",
            keys: &[
                INSTANCE_NUMBER,
                key(0x3006, 0x0002, VR::SH, NO_LABEL),
                key(0x3006, 0x0008, VR::DA, Empty),
                key(0x3006, 0x0009, VR::TM, Empty),
            ],
        },
        &["1.1.481.3"],
    ),
    (
        RecordType {
            name: "RT PLAN",
            keys: &[
                INSTANCE_NUMBER,
                key(0x300A, 0x0002, VR::SH, NO_LABEL),
                key(0x300A, 0x0006, VR::DA, Empty),
                key(0x300A, 0x0007, VR::TM, Empty),
            ],
        },
        &["1.1.481.5", "1.1.481.8"],
    ),
    (
        RecordType {
            name: "RT TREAT RECORD",
            keys: &[
                INSTANCE_NUMBER,
                key(0x3008, 0x0250, VR::DA, Empty),
                key(0x3008, 0x0251, VR::TM, Empty),
            ],
        },
        &["1.1.481.4", "1.1.481.6", "1.1.481.7", "1.1.481.9"],
    ),
    (
        RecordType {
            name: "PRESENTATION",
            keys: &[
                INSTANCE_NUMBER,
                key(0x0070, 0x0082, VR::DA, NO_DATE),
                key(0x0070, 0x0083, VR::TM, NO_TIME),
                CONTENT_LABEL,
                CONTENT_DESCRIPTION,
                CONTENT_CREATOR,
            ],
        },
        &[
            "1.1.11.1",
            "1.1.11.2",
            "1.1.11.3",
            "1.1.11.4",
            "1.1.11.5",
            "1.1.11.6",
            "1.1.11.7",
            "1.1.11.8",
            "1.1.11.9",
            "1.1.11.10",
            "1.1.11.11",
            "1.1.11.12",
            "1.1.9.100.1",
            "1.1.9.100.2",
            "1.1.131",
        ],
    ),
    (
        content("WAVEFORM"),
        &[
            "1.1.9.1.1",
            "1.1.9.1.2",
            "1.1.9.1.3",
            "1.1.9.1.4",
            "1.1.9.2.1",
            "1.1.9.3.1",
            "1.1.9.4.1",
            "1.1.9.4.2",
            "1.1.9.5.1",
            "1.1.9.6.1",
            "1.1.9.6.2",
            "1.1.9.7.1",
            "1.1.9.7.2",
            "1.1.9.7.3",
            "1.1.9.7.4",
            "1.1.9.8.1",
        ],
    ),
    (
        RecordType {
            name: "SR DOCUMENT",
            keys: &[
                INSTANCE_NUMBER,
                key(0x0040, 0xA491, VR::CS, Text("PARTIAL")),
                key(0x0040, 0xA493, VR::CS, Text("UNVERIFIED")),
                CONTENT_DATE,
                CONTENT_TIME,
                CONCEPT_NAME,
            ],
        },
        &[
            "1.1.88.11",
            "1.1.88.22",
            "1.1.88.33",
            "1.1.88.34",
            "1.1.88.35",
            "1.1.88.40",
            "1.1.88.50",
            "1.1.88.65",
            "1.1.88.67",
            "1.1.88.68",
            "1.1.88.69",
            "1.1.88.70",
            "1.1.88.71",
            "1.1.88.72",
            "1.1.88.73",
            "1.1.88.74",
            "1.1.88.75",
            "1.1.88.76",
            "1.1.88.77",
            "1.1.78.6",
            "1.1.79.1",
        ],
    ),
    (
        RecordType {
            name: "KEY OBJECT DOC",
            keys: &[INSTANCE_NUMBER, CONTENT_DATE, CONTENT_TIME, CONCEPT_NAME],
        },
        &["1.1.88.59"],
    ),
    (
        RecordType {
            name: "SPECTROSCOPY",
            keys: &[
                key(0x0008, 0x0008, VR::CS, Text("ORIGINAL\\PRIMARY")),
                CONTENT_DATE,
                CONTENT_TIME,
                INSTANCE_NUMBER,
                key(0x0028, 0x0008, VR::IS, Text("1")),
                key(0x0028, 0x0010, VR::US, Text("1")),
                key(0x0028, 0x0011, VR::US, Text("1")),
                key(0x0028, 0x9001, VR::UL, Text("1")),
                key(0x0028, 0x9002, VR::UL, Text("1")),
            ],
        },
        &["1.1.4.2"],
    ),
    (content("RAW DATA"), &["1.1.66"]),
    (labelled("REGISTRATION"), &["1.1.66.1", "1.1.66.3"]),
    (labelled("FIDUCIAL"), &["1.1.66.2"]),
    (labelled("SURFACE"), &["1.1.66.5"]),
    (labelled("TRACT"), &["1.1.66.6"]),
    (labelled("VALUE MAP"), &["1.1.67"]),
    (
        RecordType {
            name: "SURFACE SCAN",
            keys: &[CONTENT_DATE, CONTENT_TIME],
        },
        &["1.1.68.1", "1.1.68.2"],
    ),
    (
        RecordType {
            name: "STEREOMETRIC",
            keys: &[],
        },
        &["1.1.77.1.5.3"],
    ),
    (
        labelled("MEASUREMENT"),
        &[
            "1.1.78.1", "1.1.78.2", "1.1.78.3", "1.1.78.4", "1.1.78.5", "1.1.78.7", "1.1.78.8",
            "1.1.80.1",
        ],
    ),
    (
        RecordType {
            name: "ASSESSMENT",
            keys: &[
                INSTANCE_NUMBER,
                key(0x0008, 0x0012, VR::DA, NO_DATE),
                key(0x0008, 0x0013, VR::TM, Empty),
            ],
        },
        &["1.1.90.1"],
    ),
    (labelled("ANNOTATION"), &["1.1.91.1"]),
    (
        RecordType {
            name: "ENCAP DOC",
            keys: &[
                key(0x0008, 0x0023, VR::DA, Empty),
                key(0x0008, 0x0033, VR::TM, Empty),
                INSTANCE_NUMBER,
                key(0x0042, 0x0010, VR::ST, Empty),
                CONCEPT_NAME,
                key(0x0042, 0x0012, VR::LO, Text("application/octet-stream")),
            ],
        },
        &[
            "1.1.104.1",
            "1.1.104.2",
            "1.1.104.3",
            "1.1.104.4",
            "1.1.104.5",
        ],
    ),
    (
        RecordType {
            name: "PLAN",
            keys: &[],
        },
        &["34.7", "34.10"],
    ),
    (
        RecordType {
            name: "RADIOTHERAPY",
            keys: &[
                INSTANCE_NUMBER,
                key(0x3010, 0x0033, VR::SH, Omitted),
                key(0x3010, 0x0034, VR::LO, Omitted),
                CONTENT_DESCRIPTION,
                CONTENT_CREATOR,
            ],
        },
        &[
            "1.1.481.10",
            "1.1.481.11",
            "1.1.481.12",
            "1.1.481.13",
            "1.1.481.14",
            "1.1.481.15",
            "1.1.481.16",
            "1.1.481.17",
            "1.1.481.18",
            "1.1.481.19",
            "1.1.481.20",
            "1.1.481.21",
            "1.1.481.22",
            "1.1.481.25",
        ],
    ),
];

/// The record type of an instance. What is in no table is an image when its class says so or it
/// `has_rows`, else private (PS3.3 §F.6.1).
pub(super) fn of_instance(sop_class_uid: &str, has_rows: bool) -> &'static RecordType {
    let listed = sop_class_uid
        .strip_prefix("1.2.840.10008.5.1.4.")
        .and_then(|end| {
            OF_SOP_CLASSES
                .iter()
                .find(|(_, classes)| classes.contains(&end))
        });
    if let Some((record_type, _)) = listed {
        return record_type;
    }
    let is_image = sop_class::storage(sop_class_uid).is_some_and(|it| it.name.contains("Image"));
    if has_rows || is_image {
        &IMAGE
    } else {
        &PRIVATE
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry};
    use dicom_dictionary_std::StandardDataDictionary;

    use super::*;

    #[test]
    fn keys_agree_with_the_data_dictionary() {
        let all = OF_SOP_CLASSES.iter().map(|row| &row.0);
        for record_type in all.chain([&PATIENT, &STUDY, &SERIES, &IMAGE, &PRIVATE]) {
            for key in record_type.keys {
                let entry = StandardDataDictionary
                    .by_tag(key.tag)
                    .expect("a standard attribute");
                assert_eq!(entry.vr().exact(), Some(key.vr), "{}", key.tag);
                assert!(!matches!(key.otherwise, Text("")) && key.vr != VR::UN);
            }
            assert!(record_type.name.len() <= 16);
        }
    }

    #[test]
    fn every_listed_class_is_a_storage_class_and_listed_once() {
        let mut seen = HashSet::new();
        for class in OF_SOP_CLASSES.iter().flat_map(|row| row.1) {
            let uid = format!("1.2.840.10008.5.1.4.{class}");
            assert!(sop_class::storage(&uid).is_some(), "{uid}");
            assert!(seen.insert(class), "{uid}");
        }
    }

    #[test]
    fn the_class_decides_and_rows_where_it_does_not() {
        for (uid, has_rows, name) in [
            ("1.2.840.10008.5.1.4.1.1.2", true, "IMAGE"),
            ("1.2.840.10008.5.1.4.1.1.77.1.6", false, "IMAGE"),
            ("1.2.840.10008.5.1.4.1.1.66.4", true, "IMAGE"),
            ("1.2.840.10008.5.1.4.1.1.481.1", false, "IMAGE"),
            ("1.2.840.10008.5.1.4.1.1.481.2", true, "RT DOSE"),
            ("1.2.840.10008.5.1.4.1.1.88.67", false, "SR DOCUMENT"),
            ("1.2.840.10008.5.1.4.34.7", false, "PLAN"),
            ("1.3.12.2.1107.5.9.1", false, "PRIVATE"),
            ("1.3.12.2.1107.5.9.1", true, "IMAGE"),
            ("1.2.840.10008.5.1.4.1.1.9", false, "PRIVATE"),
        ] {
            assert_eq!(of_instance(uid, has_rows).name, name, "{uid}");
        }
    }
}
