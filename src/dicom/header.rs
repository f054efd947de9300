//! What one pass over an arriving data set leaves behind: everything that index, search and
//! retrieve will ever need, so that nothing parses the object again.

use dicom_core::VR;

use crate::dicom::attributes::SequenceValue;
use crate::dicom::{AttributeValues, FrameMap, Uid};

/// Stands in [`Header::metadata`] where the base of every `BulkDataURI` belongs (for example
/// `https://host/dicom-web`). A control character, so it occurs nowhere else in valid JSON.
pub const BASE_MARK: u8 = 0x01;

/// The result of reading one data set from end to end.
#[derive(Debug, Clone, PartialEq)]
pub struct Header {
    /// (0008,0016)
    pub sop_class_uid: Uid,
    /// (0008,0018)
    pub sop_instance_uid: Uid,
    /// (0020,000D)
    pub study_instance_uid: Uid,
    /// (0020,000E)
    pub series_instance_uid: Uid,
    /// The values of the indexed attributes.
    pub attributes: AttributeValues,
    /// The values inside indexed sequences.
    pub sequences: Vec<SequenceValue>,
    /// Per indexed sequence present (position in `SEQUENCES`): its DICOM JSON `Value` array, as text.
    pub sequence_json: Vec<(u8, Box<str>)>,
    /// Where each frame lies.
    pub frames: FrameMap,
    /// Every value that the metadata gives as `BulkDataURI`.
    pub bulk: Vec<BulkValue>,
    /// One DICOM JSON object (PS3.18 §F.2) in UTF-8, with [`BASE_MARK`] before each `/studies/…` bulk data path.
    pub metadata: Vec<u8>,
    /// The length of the data set as it arrived (deflated when the transfer syntax is).
    pub dataset_bytes: u64,
}

/// A value kept out of the metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BulkValue {
    /// Tags and item numbers (from 0), as in the URI: `7FE00010`, `52009230/3/00281201`.
    pub path: Box<str>,
    /// Its value representation.
    pub vr: VR,
    /// Where it lies in the (inflated) data set; `None` for encapsulated pixel data, whose parts are its frames.
    pub span: Option<(u64, u64)>,
}
