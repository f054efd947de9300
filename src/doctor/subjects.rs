//! What is asked about: studies, series and instances of the server, chosen so that few of them show
//! every kind of object. Values of patients stay in here and in requests.

use serde_json::Value;

use super::datasets::{bulk_uris, number, text, uid, values};
use crate::dicom::Uid;
use crate::dicom::transfer_syntax::{Form, TransferSyntax};

/// The most series of one study, and of all.
const SERIES_OF_STUDY_MAX: usize = 6;
pub(super) const SERIES_MAX: usize = 20;
/// The most instances of all.
pub(super) const INSTANCES_MAX: usize = 16;
/// Studies beyond the newest that are taken for the sake of modalities not seen yet.
const STUDIES_FOR_VARIETY: usize = 5;
/// URIs remembered of one instance.
const URIS_MAX: usize = 8;

/// A study item.
#[derive(Debug, Clone)]
pub(super) struct Study {
    pub(super) uid: Uid,
    pub(super) patient_name: Option<String>,
    pub(super) patient_id: Option<String>,
    pub(super) date: Option<String>,
    pub(super) time: Option<String>,
    pub(super) accession_number: Option<String>,
    pub(super) description: Option<String>,
    pub(super) modalities: Vec<String>,
    pub(super) instances: Option<u64>,
}

/// A series item.
#[derive(Debug, Clone)]
pub(super) struct Series {
    pub(super) uid: Uid,
    pub(super) modality: String,
    pub(super) instances: Option<u64>,
}

/// A data set of the metadata.
#[derive(Debug, Clone)]
pub(super) struct Instance {
    pub(super) uid: Uid,
    pub(super) kind: Kind,
    pub(super) sop_class_uid: String,
    pub(super) frames: u64,
    /// The length of a native frame, where the metadata tell it: as stored, and with as many
    /// chrominances as luminances, which is how it comes out of a decoder.
    pub(super) frame_bytes: Option<[u64; 2]>,
    /// Whether the metadata mention pixel data.
    pub(super) has_pixels: bool,
    /// (0008,3002), where the server tells it.
    pub(super) transfer_syntax_uid: Option<String>,
    /// Tags and URIs.
    pub(super) bulk: Vec<(String, String)>,
}

/// Kinds of objects that viewers ask for in different ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    SingleFrame,
    MultiFrame,
    Report,
    Segmentation,
    Document,
    Video,
    Other,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::SingleFrame => "image",
            Self::MultiFrame => "multi-frame image",
            Self::Report => "structured report",
            Self::Segmentation => "segmentation",
            Self::Document => "document",
            Self::Video => "video",
            Self::Other => "other object",
        }
    }

    /// Whether its frames are asked for one by one.
    pub(super) fn has_frames(self) -> bool {
        matches!(
            self,
            Self::SingleFrame | Self::MultiFrame | Self::Segmentation
        )
    }

    fn of(sop_class_uid: &str, has_rows: bool, frames: u64) -> Self {
        const ROOT: &str = "1.2.840.10008.5.1.4.1.1.";
        match sop_class_uid.strip_prefix(ROOT).unwrap_or_default() {
            "66.4" | "66.7" => Self::Segmentation,
            class if class.starts_with("88.") && !has_rows => Self::Report,
            class if class.starts_with("104.") => Self::Document,
            "77.1.1.1" | "77.1.2.1" | "77.1.4.1" => Self::Video,
            _ if has_rows && frames > 1 => Self::MultiFrame,
            _ if has_rows => Self::SingleFrame,
            _ => Self::Other,
        }
    }
}

impl Study {
    /// A study item; `None` without a sound UID.
    pub(super) fn of(dataset: &Value) -> Option<Self> {
        let owned = |tag| text(dataset, tag).map(str::to_owned);
        let modalities = values(dataset, "00080061").iter();
        Some(Self {
            uid: uid(dataset, "0020000D")?,
            patient_name: owned("00100010"),
            patient_id: owned("00100020"),
            date: owned("00080020"),
            time: owned("00080030"),
            accession_number: owned("00080050"),
            description: owned("00081030"),
            modalities: modalities
                .filter_map(|value| Some(value.as_str()?.to_owned()))
                .filter(|text| !text.is_empty())
                .collect(),
            instances: number(dataset, "00201208"),
        })
    }
}

impl Series {
    /// A series item; `None` without a sound UID.
    pub(super) fn of(dataset: &Value) -> Option<Self> {
        Some(Self {
            uid: uid(dataset, "0020000E")?,
            modality: text(dataset, "00080060").unwrap_or_default().to_owned(),
            instances: number(dataset, "00201209"),
        })
    }
}

impl Instance {
    /// A data set; `None` without a sound UID.
    pub(super) fn of(dataset: &Value) -> Option<Self> {
        let sop_class_uid = text(dataset, "00080016").unwrap_or_default().to_owned();
        let frames = number(dataset, "00280008").unwrap_or(1).max(1);
        let has_rows = number(dataset, "00280010").is_some();
        let syntax = text(dataset, "00083002").map(str::to_owned);
        let is_video = syntax
            .as_deref()
            .and_then(TransferSyntax::of_uid)
            .is_some_and(TransferSyntax::is_video);
        Some(Self {
            uid: uid(dataset, "00080018")?,
            kind: if is_video {
                Kind::Video
            } else {
                Kind::of(&sop_class_uid, has_rows, frames)
            },
            sop_class_uid,
            frames,
            frame_bytes: frame_bytes(dataset),
            has_pixels: has_pixels(dataset),
            transfer_syntax_uid: syntax,
            bulk: bulk_uris(dataset, URIS_MAX),
        })
    }

    /// Whether its pixel data are known to be compressed.
    pub(super) fn is_compressed(&self) -> bool {
        self.transfer_syntax_uid
            .as_deref()
            .and_then(TransferSyntax::of_uid)
            .is_some_and(|syntax| syntax.form == Form::Encapsulated)
    }
}

/// Whether a data set mentions pixel data, of whatever kind (PS3.3 §C.7.6.3, §C.7.6.24, §C.7.6.25).
pub(super) fn has_pixels(dataset: &Value) -> bool {
    ["7FE00010", "7FE00008", "7FE00009"]
        .iter()
        .any(|tag| dataset.get(tag).is_some())
}

/// The lengths of one native frame (PS3.5 §8.1.1, §8.2), without padding.
fn frame_bytes(dataset: &Value) -> Option<[u64; 2]> {
    let [rows, columns, bits] =
        ["00280010", "00280011", "00280100"].map(|tag| number(dataset, tag));
    let samples = number(dataset, "00280002").unwrap_or(1);
    let stored = match text(dataset, "00280004") {
        // Two luminances share two chrominances.
        Some("YBR_FULL_422" | "YBR_PARTIAL_422") => 2,
        _ => samples,
    };
    let bits = rows?.checked_mul(columns?)?.checked_mul(bits?)?;
    let bytes = |samples: u64| Some(bits.checked_mul(samples)?.div_ceil(8));
    Some([bytes(stored)?, bytes(samples)?])
}

/// The newest studies, and some others with modalities that those lack.
pub(super) fn choose_studies(mut studies: Vec<Study>, newest: usize) -> Vec<Study> {
    studies.sort_by(|a, b| (&b.date, &b.time).cmp(&(&a.date, &a.time)));
    let mut others = studies.split_off(newest.min(studies.len()));
    let mut seen: Vec<String> = studies.iter().flat_map(|s| s.modalities.clone()).collect();
    others.retain(|study| {
        let is_new = study.modalities.iter().any(|m| !seen.contains(m));
        seen.extend(study.modalities.iter().cloned());
        is_new
    });
    others.truncate(STUDIES_FOR_VARIETY);
    studies.extend(others);
    studies
}

/// Series with modalities not taken yet, then others.
pub(super) fn choose_series(series: Vec<Series>, seen: &mut Vec<String>) -> Vec<Series> {
    let (mut chosen, mut others) = (Vec::new(), Vec::new());
    for one in series {
        if seen.contains(&one.modality) {
            others.push(one);
        } else {
            seen.push(one.modality.clone());
            chosen.push(one);
        }
    }
    // One of a modality known already may still be of another kind.
    let room = 2usize.saturating_sub(chosen.len());
    chosen.extend(others.into_iter().take(room));
    chosen.truncate(SERIES_OF_STUDY_MAX);
    chosen
}

/// Whether an instance shows something that those before it did not.
pub(super) fn is_new_kind(instance: &Instance, known: &[Instance]) -> bool {
    !known.iter().any(|other| {
        other.kind == instance.kind
            && other.sop_class_uid == instance.sop_class_uid
            && other.transfer_syntax_uid == instance.transfer_syntax_uid
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn study(uid: &str, date: &str, modalities: &[&str]) -> Study {
        Study::of(&json!({
            "0020000D": {"vr": "UI", "Value": [uid]},
            "00080020": {"vr": "DA", "Value": [date]},
            "00080061": {"vr": "CS", "Value": modalities},
        }))
        .unwrap()
    }

    #[test]
    fn the_newest_are_taken_and_others_for_their_modalities() {
        let all = vec![
            study("1.1", "20200101", &["CT"]),
            study("1.2", "20240101", &["CT"]),
            study("1.3", "20230101", &["MR", "SR"]),
            study("1.4", "20190101", &["SR"]),
        ];
        let chosen: Vec<_> = choose_studies(all, 1)
            .iter()
            .map(|s| s.uid.to_string())
            .collect();
        assert_eq!(chosen, ["1.2", "1.3"]);
    }

    #[test]
    fn a_frame_has_the_length_that_the_standard_says() {
        let of = |rows: u64, columns: u64, samples: u64, bits: u64, photometric: &str| {
            frame_bytes(&json!({
                "00280010": {"Value": [rows]}, "00280011": {"Value": [columns]},
                "00280002": {"Value": [samples]}, "00280100": {"Value": [bits]},
                "00280004": {"Value": [photometric]},
            }))
        };
        assert_eq!(of(512, 512, 1, 16, "MONOCHROME2"), Some([524_288; 2]));
        assert_eq!(of(3, 3, 3, 8, "RGB"), Some([27; 2]));
        assert_eq!(of(4, 4, 3, 8, "YBR_FULL_422"), Some([32, 48]));
        assert_eq!(of(3, 3, 1, 1, "MONOCHROME2"), Some([2; 2]));
        assert_eq!(of(u64::MAX, 2, 1, 8, "MONOCHROME2"), None);
        assert_eq!(frame_bytes(&json!({})), None);
    }

    #[test]
    fn kinds_are_told_by_class_and_frames() {
        let kind = |class: &str, rows, frames| {
            Kind::of(&format!("1.2.840.10008.5.1.4.1.1.{class}"), rows, frames)
        };
        assert_eq!(kind("2", true, 1), Kind::SingleFrame);
        assert_eq!(kind("3.1", true, 30), Kind::MultiFrame);
        assert_eq!(kind("88.33", false, 1), Kind::Report);
        assert_eq!(kind("66.4", true, 30), Kind::Segmentation);
        assert_eq!(kind("104.1", false, 1), Kind::Document);
        assert_eq!(kind("77.1.4.1", true, 300), Kind::Video);
        assert_eq!(kind("66", false, 1), Kind::Other);
    }
}
