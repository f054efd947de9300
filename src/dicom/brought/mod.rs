//! Papers and pictures that people bring, as objects of a study: a PDF as Encapsulated PDF (PS3.3 §A.45.1), a photograph
//! or scan as Secondary Capture (§A.8.1). Patient and study are those of the study that they go to.
//!
//! A photograph of a letter becomes a PDF of one page ([`print()`]). Else a baseline JPEG keeps its bytes as the one fragment of the pixel data (PS3.5 §8.2.1); other pictures come decoded.

mod print;

use dicom_core::{Tag, VR};

pub use print::print;

use crate::dicom::Uid;
use crate::dicom::encode::{EncodeError, Offsets, fragment_head, fragments_end, fragments_start};
use crate::dicom::opinion::file::Set;
use crate::dicom::opinion::{Moment, Place, Study};

/// Encapsulated PDF Storage.
pub const PDF_SOP_CLASS_UID: &str = "1.2.840.10008.5.1.4.1.1.104.1";
/// Secondary Capture Image Storage.
pub const PICTURE_SOP_CLASS_UID: &str = "1.2.840.10008.5.1.4.1.1.7";

/// JPEG Baseline (Process 1).
const JPEG_BASELINE: &str = "1.2.840.10008.1.2.4.50";

/// Who made the object (PS3.3 §C.7.5.1).
const MANUFACTURER: &str = "Overread";

/// Where something that was brought goes.
#[derive(Debug, Clone)]
pub struct Brought<'a> {
    /// The study, and its patient.
    pub study: &'a Study,
    /// Its UIDs and the number of its series.
    pub place: Place,
    /// (0020,0013)
    pub number: u32,
    /// When it came.
    pub came: Moment,
    /// What it is called.
    pub title: &'a str,
}

/// A picture of one frame.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    /// Rows.
    pub rows: u16,
    /// Columns.
    pub columns: u16,
    /// 1 or 3.
    pub samples: u16,
    /// 8 or 16; all of them are stored.
    pub bits: u16,
    /// (0028,0004)
    pub photometric: &'static str,
    /// Of what was compressed with loss: how many times smaller it was.
    pub lossy_ratio: Option<f64>,
    /// The pixels.
    pub pixels: Pixels,
}

/// The pixels of a picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pixels {
    /// By row, by pixel, by sample; little endian.
    Native(Vec<u8>),
    /// A whole codestream of baseline JPEG.
    Jpeg(Vec<u8>),
}

/// The Part 10 file of a PDF.
///
/// # Errors
/// [`EncodeError`] when it is too long.
pub fn document(brought: &Brought<'_>, pdf: Vec<u8>) -> Result<Vec<u8>, EncodeError> {
    let mut set = common(brought, "DOC", "Documents brought with the study");
    set.own(Tag(0x0008, 0x002A), VR::DT, "");
    // Whose name stands on it cannot be told.
    set.own(Tag(0x0028, 0x0301), VR::CS, "YES");
    set.codes(Tag(0x0040, 0xA043), []);
    set.own(Tag(0x0040, 0xA493), VR::CS, "UNVERIFIED");
    set.said(Tag(0x0042, 0x0010), VR::ST, brought.title);
    set.own(Tag(0x0042, 0x0012), VR::LO, "application/pdf");
    let length = u32::try_from(pdf.len()).unwrap_or(u32::MAX);
    set.bytes(Tag(0x0042, 0x0015), VR::UL, length.to_le_bytes().to_vec());
    set.bytes(Tag(0x0042, 0x0011), VR::OB, pdf);
    let place = &brought.place;
    set.part10(PDF_SOP_CLASS_UID, &place.sop_instance_uid)
}

/// The Part 10 file of a picture.
///
/// # Errors
/// [`EncodeError`] when it is too long.
pub fn picture(brought: &Brought<'_>, picture: Picture) -> Result<Vec<u8>, EncodeError> {
    let mut set = common(brought, "OT", "Photographs brought with the study");
    let image_type = match picture.lossy_ratio {
        Some(_) => "DERIVED\\SECONDARY",
        None => "ORIGINAL\\SECONDARY",
    };
    set.own(Tag(0x0008, 0x0008), VR::CS, image_type);
    if !brought.title.is_empty() {
        set.said(Tag(0x0020, 0x4000), VR::LT, brought.title);
    }
    // Nobody knows how the camera was held to the patient, and to which side.
    set.own(Tag(0x0020, 0x0020), VR::CS, "");
    set.own(Tag(0x0020, 0x0060), VR::CS, "");
    set.moment(Tag(0x0018, 0x1012), Tag(0x0018, 0x1014), brought.came);
    let mut short = |tag, value: u16| {
        set.bytes(tag, VR::US, value.to_le_bytes().to_vec());
    };
    short(Tag(0x0028, 0x0002), picture.samples);
    if picture.samples > 1 {
        short(Tag(0x0028, 0x0006), 0);
    }
    short(Tag(0x0028, 0x0010), picture.rows);
    short(Tag(0x0028, 0x0011), picture.columns);
    short(Tag(0x0028, 0x0100), picture.bits);
    short(Tag(0x0028, 0x0101), picture.bits);
    short(Tag(0x0028, 0x0102), picture.bits - 1);
    short(Tag(0x0028, 0x0103), 0);
    set.own(Tag(0x0028, 0x0004), VR::CS, picture.photometric);
    let is_lossy = if picture.lossy_ratio.is_some() {
        "01"
    } else {
        "00"
    };
    set.own(Tag(0x0028, 0x2110), VR::CS, is_lossy);
    if let Some(ratio) = picture.lossy_ratio {
        let ratio = format!("{:.3}", ratio.clamp(0.001, 99_999.0));
        set.own(Tag(0x0028, 0x2112), VR::DS, &ratio);
        set.own(Tag(0x0028, 0x2114), VR::CS, "ISO_10918_1");
    }
    let sop_instance_uid = &brought.place.sop_instance_uid;
    match picture.pixels {
        Pixels::Native(pixels) => {
            let vr = if picture.bits > 8 { VR::OW } else { VR::OB };
            set.bytes(Tag(0x7FE0, 0x0010), vr, pixels);
            set.part10(PICTURE_SOP_CLASS_UID, sop_instance_uid)
        }
        Pixels::Jpeg(codestream) => {
            let length = codestream.len() as u64;
            let mut file = set.part10_in(JPEG_BASELINE, PICTURE_SOP_CLASS_UID, sop_instance_uid)?;
            fragments_start(&mut file, &Offsets::of_frames(&[length]))?;
            fragment_head(&mut file, length)?;
            file.extend_from_slice(&codestream);
            if length % 2 == 1 {
                file.push(0);
            }
            fragments_end(&mut file);
            Ok(file)
        }
    }
}

/// Patient, study, series, equipment, SOP common.
fn common(brought: &Brought<'_>, modality: &str, series: &str) -> Set {
    let Brought { study, place, .. } = brought;
    let mut set = Set::default();
    set.own(Tag(0x0008, 0x0005), VR::CS, "ISO_IR 192");
    set.moment(Tag(0x0008, 0x0012), Tag(0x0008, 0x0013), brought.came);
    set.copied(Tag(0x0008, 0x0020), VR::DA, &study.study_date);
    set.copied(Tag(0x0008, 0x0030), VR::TM, &study.study_time);
    set.moment(Tag(0x0008, 0x0023), Tag(0x0008, 0x0033), brought.came);
    set.copied(Tag(0x0008, 0x0050), VR::SH, &study.accession_number);
    set.own(Tag(0x0008, 0x0060), VR::CS, modality);
    // "Workstation" (PS3.3 §C.8.6.1).
    set.own(Tag(0x0008, 0x0064), VR::CS, "WSD");
    set.own(Tag(0x0008, 0x0070), VR::LO, MANUFACTURER);
    set.copied(Tag(0x0008, 0x0090), VR::PN, &study.referring_physician_name);
    if !study.study_description.is_empty() {
        set.copied(Tag(0x0008, 0x1030), VR::LO, &study.study_description);
    }
    set.own(Tag(0x0008, 0x103E), VR::LO, series);
    set.own(Tag(0x0008, 0x1090), VR::LO, MANUFACTURER);
    set.copied(Tag(0x0010, 0x0010), VR::PN, &study.patient_name);
    set.copied(Tag(0x0010, 0x0020), VR::LO, &study.patient_id);
    if !study.issuer_of_patient_id.is_empty() {
        set.copied(Tag(0x0010, 0x0021), VR::LO, &study.issuer_of_patient_id);
    }
    set.copied(Tag(0x0010, 0x0030), VR::DA, &study.patient_birth_date);
    set.copied(Tag(0x0010, 0x0040), VR::CS, &study.patient_sex);
    set.own(Tag(0x0018, 0x1020), VR::LO, env!("CARGO_PKG_VERSION"));
    let uid = |uid: &Uid| uid.as_str().to_owned();
    set.own(Tag(0x0020, 0x000D), VR::UI, &uid(&study.study_instance_uid));
    set.own(
        Tag(0x0020, 0x000E),
        VR::UI,
        &uid(&place.series_instance_uid),
    );
    set.copied(Tag(0x0020, 0x0010), VR::SH, &study.study_id);
    set.own(
        Tag(0x0020, 0x0011),
        VR::IS,
        &place.series_number.to_string(),
    );
    set.own(Tag(0x0020, 0x0013), VR::IS, &brought.number.to_string());
    set
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dicom::header::HeaderReader;
    use crate::dicom::part10::MetaReader;
    use crate::dicom::transfer_syntax::EXPLICIT_VR_LITTLE_ENDIAN;
    use crate::dicom::walk::Limits;

    const LIMITS: Limits = Limits {
        value_bytes_max: 1024,
        depth_max: 8,
        metadata_bytes_max: 1 << 16,
        fragments_max: 100,
        object_bytes_max: 1 << 20,
        inline_bytes_max: 64,
    };

    fn study() -> Study {
        Study {
            patient_name: "Meier^Anna".into(),
            patient_id: "7".into(),
            issuer_of_patient_id: String::new(),
            patient_birth_date: "19700131".into(),
            patient_sex: "F".into(),
            study_instance_uid: Uid::parse("1.2.3").unwrap(),
            study_date: "20261128".into(),
            study_time: String::new(),
            study_id: String::new(),
            study_description: String::new(),
            accession_number: String::new(),
            referring_physician_name: String::new(),
            modalities: Vec::new(),
            procedures: Vec::new(),
            target_regions: Vec::new(),
        }
    }

    fn brought<'a>(study: &'a Study, title: &'a str) -> Brought<'a> {
        Brought {
            study,
            place: Place {
                series_instance_uid: Uid::parse("1.2.4").unwrap(),
                sop_instance_uid: Uid::parse("1.2.5").unwrap(),
                series_number: 9501,
            },
            number: 1,
            came: Moment {
                at_ms: 1_795_856_217_000,
                offset_minutes: 0,
            },
            title,
        }
    }

    /// Reads it as ingest would: the transfer syntax and how many bytes the data set has.
    fn read(file: &[u8]) -> String {
        let mut meta = MetaReader::new();
        let head = match meta.feed(file).unwrap() {
            Some(head) => head,
            None => meta.finish().unwrap(),
        };
        let mut reader = HeaderReader::new(&head.transfer_syntax_uid, &LIMITS).unwrap();
        reader.feed(meta.rest(&head)).unwrap();
        let header = reader.finish().unwrap();
        assert_eq!(header.study_instance_uid.as_str(), "1.2.3");
        head.transfer_syntax_uid.to_string()
    }

    #[test]
    fn what_was_brought_can_be_read() {
        let study = study();
        let pdf = document(&brought(&study, "letter"), b"%PDF-1.4 x".to_vec()).unwrap();
        assert_eq!(read(&pdf), EXPLICIT_VR_LITTLE_ENDIAN);
        let of = |pixels| Picture {
            rows: 1,
            columns: 3,
            samples: 1,
            bits: 8,
            photometric: "MONOCHROME2",
            lossy_ratio: None,
            pixels,
        };
        let about = brought(&study, "");
        let native = picture(&about, of(Pixels::Native(vec![1, 2, 3]))).unwrap();
        assert_eq!(read(&native), EXPLICIT_VR_LITTLE_ENDIAN);
        let jpeg = picture(&about, of(Pixels::Jpeg(vec![0xFF, 0xD8, 0xFF, 0xD9, 0]))).unwrap();
        assert_eq!(read(&jpeg), JPEG_BASELINE);
    }
}
