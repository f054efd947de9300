//! The codes of an opinion: PS3.16 CID 7000, 7001, 7002, 7003, 7010, 3217, 7453, and a scheme of our own for grades
//! that no standard code says.

use super::Code;

/// Our own coding scheme (PS3.16 §8.2: private designators begin with 99).
pub const SCHEME: &str = "99OVERREAD";

const LN: &str = "LN";
const DCM: &str = "DCM";

/// Titles. CID 7000 is a baseline that may be extended; this one tells a second reading from the first.
pub const SECOND_OPINION: Code = Code::of("47040-1", LN, "Consultation 2nd opinion");

// What the grades answer, and the grades: short values, since SH has 16 characters.

/// How far the second reading agrees with the first.
pub const AGREEMENT: Code = Code::of("AGREEMENT", SCHEME, "Agreement with first reading");
/// RADPEER 1.
pub const AGREE: Code = Code::of("AGREE", SCHEME, "Agrees");
/// RADPEER 2.
pub const MINOR: Code = Code::of("MINOR", SCHEME, "Minor discrepancy");
/// RADPEER 3.
pub const MAJOR: Code = Code::of("MAJOR", SCHEME, "Major discrepancy");
/// The reader cannot judge.
pub const CANNOT_JUDGE: Code = Code::of("CANNOTJUDGE", SCHEME, "Cannot judge");

/// Whether a difference matters.
pub const SIGNIFICANCE: Code = Code::of("SIGNIFICANCE", SCHEME, "Clinical significance");
/// Nothing was seen otherwise, or it does not matter.
pub const NOT_SIGNIFICANT: Code = Code::of("SIGNONE", SCHEME, "None");
/// RADPEER a.
pub const UNLIKELY_SIGNIFICANT: Code =
    Code::of("SIGUNLIKELY", SCHEME, "Unlikely to be significant");
/// RADPEER b.
pub const LIKELY_SIGNIFICANT: Code = Code::of("SIGLIKELY", SCHEME, "Likely to be significant");

/// What the opinion changes in what is done.
pub const MANAGEMENT: Code = Code::of("MANAGEMENT", SCHEME, "Effect on management");
/// Nothing.
pub const MANAGEMENT_UNCHANGED: Code = Code::of("MGTNONE", SCHEME, "No change");
/// Less.
pub const MORE_CONSERVATIVE: Code = Code::of("MGTLESS", SCHEME, "More conservative");
/// More.
pub const MORE_INVASIVE: Code = Code::of("MGTMORE", SCHEME, "More invasive");
/// More is to be seen first.
pub const MORE_IMAGING: Code = Code::of("MGTIMAGING", SCHEME, "More imaging");

/// What the opinion changes in the stage of a disease.
pub const STAGE: Code = Code::of("STAGE", SCHEME, "Effect on stage");
/// There is no stage to speak of.
pub const STAGE_NOT_APPLICABLE: Code = Code::of("STGNA", SCHEME, "Not applicable");
/// Nothing.
pub const STAGE_UNCHANGED: Code = Code::of("STGSAME", SCHEME, "Unchanged");
/// The stage is higher.
pub const STAGE_HIGHER: Code = Code::of("STGHIGHER", SCHEME, "Higher stage");
/// The stage is lower.
pub const STAGE_LOWER: Code = Code::of("STGLOWER", SCHEME, "Lower stage");

/// How sure the reader is.
pub const CONFIDENCE: Code = Code::of("CONFIDENCE", SCHEME, "Confidence of the reader");
/// Not very.
pub const CONFIDENCE_LOW: Code = Code::of("CNFLOW", SCHEME, "Low");
/// Fairly.
pub const CONFIDENCE_MODERATE: Code = Code::of("CNFMODERATE", SCHEME, "Moderate");
/// Very.
pub const CONFIDENCE_HIGH: Code = Code::of("CNFHIGH", SCHEME, "High");

/// The standard's own word for a reading that agrees (CID 3217).
pub const AGREES_WITH_PRIOR: Code = Code::of("122775", DCM, "Agreement with prior findings");
/// And for one that does not.
pub const DISAGREES_WITH_PRIOR: Code = Code::of("122776", DCM, "Disagreement with prior findings");

/// The standard's word for a grade of agreement; `None` for one that cannot judge.
#[must_use]
pub fn concordance(grade: &Code) -> Option<Code> {
    if grade.is(&AGREE) || grade.is(&AGREES_WITH_PRIOR) {
        Some(AGREES_WITH_PRIOR)
    } else if [&MINOR, &MAJOR, &DISAGREES_WITH_PRIOR]
        .into_iter()
        .any(|code| grade.is(code))
    {
        Some(DISAGREES_WITH_PRIOR)
    } else {
        None
    }
}

// Headings (CID 7001).
pub(super) const REQUEST: Code = Code::of("55115-0", LN, "Request");
pub(super) const HISTORY: Code = Code::of("11329-0", LN, "History");
pub(super) const PREVIOUS_FINDINGS: Code = Code::of("18834-2", LN, "Previous Findings");
pub(super) const FINDINGS: Code = Code::of("59776-5", LN, "Findings");
pub(super) const IMPRESSIONS: Code = Code::of("19005-8", LN, "Impressions");
pub(super) const CONCLUSIONS: Code = Code::of("55110-1", LN, "Conclusions");
pub(super) const RECOMMENDATIONS: Code = Code::of("18783-1", LN, "Recommendations");
pub(super) const ADDENDUM: Code = Code::of("55107-7", LN, "Addendum");
pub(super) const KEY_IMAGES: Code = Code::of("55113-5", LN, "Key Images");

// Elements (CID 7002) that are not headings too.
pub(super) const PREVIOUS_FINDING: Code = Code::of("121069", DCM, "Previous Finding");
pub(super) const FINDING: Code = Code::of("121071", DCM, "Finding");
pub(super) const IMPRESSION: Code = Code::of("121073", DCM, "Impression");
pub(super) const RECOMMENDATION: Code = Code::of("121075", DCM, "Recommendation");
pub(super) const SUMMARY: Code = Code::of("55112-7", LN, "Summary");
pub(super) const CONCLUSION: Code = Code::of("121077", DCM, "Conclusion");

/// Why an image is pointed at (CID 7003).
pub(super) const BEST_ILLUSTRATION: Code = Code::of("121080", DCM, "Best illustration of finding");

/// The title of a selection of key images (CID 7010).
pub(super) const OF_INTEREST: Code = Code::of("113000", DCM, "Of Interest");
pub(super) const KEY_OBJECT_DESCRIPTION: Code = Code::of("113012", DCM, "Key Object Description");

// Context: TID 1001 to 1005, 1204, 2000.
pub(super) const PROCEDURE_REPORTED: Code = Code::of("121058", DCM, "Procedure reported");
pub(super) const ACQUISITION_DEVICE: Code = Code::of("122142", DCM, "Acquisition Device Type");
pub(super) const TARGET_REGION: Code = Code::of("123014", DCM, "Target Region");
pub(super) const LANGUAGE: Code =
    Code::of("121049", DCM, "Language of Content Item and Descendants");
pub(super) const OBSERVER_TYPE: Code = Code::of("121005", DCM, "Observer Type");
pub(super) const PERSON: Code = Code::of("121006", DCM, "Person");
pub(super) const OBSERVER_NAME: Code = Code::of("121008", DCM, "Person Observer Name");
pub(super) const OBSERVER_ORGANIZATION: Code =
    Code::of("121009", DCM, "Person Observer's Organization Name");
pub(super) const OBSERVER_ROLE: Code =
    Code::of("121011", DCM, "Person Observer's Role in this Procedure");
pub(super) const PROCEDURE_STUDY: Code = Code::of("121018", DCM, "Procedure Study Instance UID");
pub(super) const PLACER_NUMBER: Code = Code::of("121020", DCM, "Placer Number");
pub(super) const FILLER_NUMBER: Code = Code::of("121021", DCM, "Filler Number");
pub(super) const ACCESSION_NUMBER: Code = Code::of("121022", DCM, "Accession Number");
pub(super) const REVIEWER: Code = Code::of("C54634", "NCIt", "Reviewer");
pub(super) const ADJUDICATOR: Code = Code::of("C96561", "NCIt", "Adjudicator");

/// Devices (CID 29) by the modalities that studies name.
const DEVICES: &[Code] = &[
    Code::of("BMD", DCM, "Bone Mineral Densitometry"),
    Code::of("CR", DCM, "Computed Radiography"),
    Code::of("CT", DCM, "Computed Tomography"),
    Code::of("DX", DCM, "Digital Radiography"),
    Code::of("ECG", DCM, "Electrocardiography"),
    Code::of("ES", DCM, "Endoscopy"),
    Code::of("IO", DCM, "Intra-oral Radiography"),
    Code::of("IVUS", DCM, "Intravascular Ultrasound"),
    Code::of("MG", DCM, "Mammography"),
    Code::of("MR", DCM, "Magnetic Resonance"),
    Code::of("NM", DCM, "Nuclear Medicine"),
    Code::of("OCT", DCM, "Optical Coherence Tomography"),
    Code::of("PT", DCM, "Positron emission tomography"),
    Code::of("PX", DCM, "Panoramic X-Ray"),
    Code::of("RF", DCM, "Radiofluoroscopy"),
    Code::of("RG", DCM, "Radiographic imaging"),
    Code::of("SM", DCM, "Slide Microscopy"),
    Code::of("US", DCM, "Ultrasound"),
    Code::of("XA", DCM, "X-Ray Angiography"),
    Code::of("XC", DCM, "External-camera Photography"),
];

/// The device of a modality; `None` for what acquires nothing.
pub(super) fn device(modality: &str) -> Option<&'static Code> {
    DEVICES.iter().find(|device| device.value == modality)
}
