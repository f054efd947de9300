//! What every sample says besides its pixels: patient, study, series and equipment
//! (PS3.3 §C.7.1 to §C.7.5), the same at each start.

use dicom_core::{Tag, VR};

use super::dataset::{Charset, DataSet};

/// Who.
pub(super) struct Patient {
    pub(super) charset: Charset,
    pub(super) name: &'static str,
    pub(super) id: &'static str,
    pub(super) birth_date: &'static str,
    pub(super) sex: &'static str,
}

/// When and why.
pub(super) struct Study {
    pub(super) patient: &'static Patient,
    /// Where its UIDs come from: never change it.
    pub(super) key: &'static str,
    pub(super) date: &'static str,
    pub(super) time: &'static str,
    pub(super) id: &'static str,
    pub(super) accession: &'static str,
    pub(super) description: &'static str,
    pub(super) referring: &'static str,
    pub(super) age: &'static str,
}

/// What of it.
pub(super) struct Series {
    pub(super) study: &'static Study,
    /// Where its UIDs come from: never change it.
    pub(super) key: &'static str,
    pub(super) sop_class_uid: &'static str,
    pub(super) modality: &'static str,
    pub(super) number: u16,
    pub(super) description: &'static str,
    pub(super) body_part: &'static str,
    pub(super) laterality: Option<&'static str>,
}

/// Where an image of a volume lies, in millimetres of the patient (PS3.3 §C.7.6.2).
pub(super) struct Plane {
    /// Number of rows and of columns; planes here are square.
    pub(super) side: u16,
    /// Between pixels, both ways.
    pub(super) spacing: f64,
    pub(super) thickness: f64,
    pub(super) between_slices: f64,
    /// Up the patient.
    pub(super) z: f64,
}

/// A UID made from a name: always the same, and of nobody else (PS3.5 §B.2).
pub(super) fn uid_of(name: &str) -> String {
    let digest = blake3::hash(format!("overread demo {name}").as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest.as_bytes()[..16]);
    // RFC 9562 version 8, "of our own making".
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    format!("2.25.{}", u128::from_be_bytes(bytes))
}

impl Series {
    /// The UID of one of its instances.
    pub(super) fn sop_instance_uid(&self, instance: usize) -> String {
        uid_of(&format!("{} {} {instance}", self.study.key, self.key))
    }

    /// A data set with everything but image and pixels. `instance` counts from 1.
    pub(super) fn begin(&self, instance: usize) -> DataSet {
        let (study, patient) = (self.study, self.study.patient);
        let mut set = DataSet::new(patient.charset);
        let number = self.number.to_string();
        set.texts(&[
            (Tag(0x0008, 0x0005), VR::CS, patient.charset.term()),
            (Tag(0x0008, 0x0008), VR::CS, "ORIGINAL\\PRIMARY"),
            (Tag(0x0008, 0x0016), VR::UI, self.sop_class_uid),
            (
                Tag(0x0008, 0x0018),
                VR::UI,
                &self.sop_instance_uid(instance),
            ),
            (Tag(0x0008, 0x0020), VR::DA, study.date),
            (Tag(0x0008, 0x0021), VR::DA, study.date),
            (Tag(0x0008, 0x0022), VR::DA, study.date),
            (Tag(0x0008, 0x0023), VR::DA, study.date),
            (Tag(0x0008, 0x0030), VR::TM, study.time),
            (Tag(0x0008, 0x0031), VR::TM, study.time),
            (Tag(0x0008, 0x0032), VR::TM, study.time),
            (Tag(0x0008, 0x0033), VR::TM, study.time),
            (Tag(0x0008, 0x0050), VR::SH, study.accession),
            (Tag(0x0008, 0x0060), VR::CS, self.modality),
            (Tag(0x0008, 0x0070), VR::LO, "Overread"),
            (Tag(0x0008, 0x0080), VR::LO, "Overread demo clinic"),
            (Tag(0x0008, 0x0090), VR::PN, study.referring),
            (Tag(0x0008, 0x1010), VR::SH, "PHANTOM"),
            (Tag(0x0008, 0x1030), VR::LO, study.description),
            (Tag(0x0008, 0x103E), VR::LO, self.description),
            (Tag(0x0008, 0x1090), VR::LO, "Demo phantom"),
            (Tag(0x0010, 0x0010), VR::PN, patient.name),
            (Tag(0x0010, 0x0020), VR::LO, patient.id),
            (Tag(0x0010, 0x0030), VR::DA, patient.birth_date),
            (Tag(0x0010, 0x0040), VR::CS, patient.sex),
            (Tag(0x0010, 0x1010), VR::AS, study.age),
            (Tag(0x0018, 0x0015), VR::CS, self.body_part),
            (Tag(0x0018, 0x1000), VR::LO, "1"),
            (Tag(0x0018, 0x1020), VR::LO, "1"),
            (Tag(0x0018, 0x1030), VR::LO, self.description),
            (Tag(0x0020, 0x000D), VR::UI, &uid_of(study.key)),
            (
                Tag(0x0020, 0x000E),
                VR::UI,
                &uid_of(&format!("{} {}", study.key, self.key)),
            ),
            (Tag(0x0020, 0x0010), VR::SH, study.id),
            (Tag(0x0020, 0x0011), VR::IS, &number),
            (Tag(0x0020, 0x0012), VR::IS, &number),
            (Tag(0x0020, 0x0013), VR::IS, &instance.to_string()),
            (Tag(0x0028, 0x0301), VR::CS, "NO"),
            (Tag(0x0028, 0x2110), VR::CS, "00"),
        ]);
        if let Some(laterality) = self.laterality {
            set.text(Tag(0x0020, 0x0060), VR::CS, laterality);
        }
        set
    }

    /// Adds the modules of a transverse image: frame of reference, plane, orientation.
    pub(super) fn place(&self, set: &mut DataSet, plane: &Plane) {
        let corner = -f64::from(plane.side - 1) / 2.0 * plane.spacing;
        set.texts(&[
            (Tag(0x0018, 0x0050), VR::DS, &plane.thickness.to_string()),
            (
                Tag(0x0018, 0x0088),
                VR::DS,
                &plane.between_slices.to_string(),
            ),
            (
                Tag(0x0020, 0x0032),
                VR::DS,
                &format!("{corner}\\{corner}\\{}", plane.z),
            ),
            (Tag(0x0020, 0x0037), VR::DS, "1\\0\\0\\0\\1\\0"),
            (
                Tag(0x0020, 0x0052),
                VR::UI,
                &uid_of(&format!("{} frame of reference", self.study.key)),
            ),
            (Tag(0x0020, 0x1040), VR::LO, ""),
            (Tag(0x0020, 0x1041), VR::DS, &plane.z.to_string()),
            (
                Tag(0x0028, 0x0030),
                VR::DS,
                &format!("{0}\\{0}", plane.spacing),
            ),
        ]);
    }
}

/// Adds the Image Pixel module (PS3.3 §C.7.6.3) of unsigned grey pixels.
pub(super) fn grey(
    set: &mut DataSet,
    photometric: &str,
    [rows, columns]: [u16; 2],
    [allocated, stored]: [u16; 2],
) {
    set.text(Tag(0x0028, 0x0004), VR::CS, photometric);
    let numbers = [
        (0x0002, 1),
        (0x0010, rows),
        (0x0011, columns),
        (0x0100, allocated),
        (0x0101, stored),
        (0x0102, stored - 1),
        (0x0103, 0),
    ];
    numbers
        .iter()
        .for_each(|(element, number)| set.us(Tag(0x0028, *element), &[*number]));
}

/// Adds rescale and window.
pub(super) fn scale(
    set: &mut DataSet,
    [slope, intercept]: [&str; 2],
    kind: &str,
    [center, width]: [&str; 2],
) {
    set.texts(&[
        (Tag(0x0028, 0x1050), VR::DS, center),
        (Tag(0x0028, 0x1051), VR::DS, width),
        (Tag(0x0028, 0x1052), VR::DS, intercept),
        (Tag(0x0028, 0x1053), VR::DS, slope),
    ]);
    if !kind.is_empty() {
        set.text(Tag(0x0028, 0x1054), VR::LO, kind);
    }
}

/// Noise with a bell shape, about -1 to 1, from a place: the same place, the same noise.
pub(super) fn noise(seed: u64, place: u64) -> f64 {
    let mut bits =
        seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ place.wrapping_mul(0xD1B5_4A32_D192_ED03);
    bits = (bits ^ bits >> 32).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    bits = (bits ^ bits >> 32).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    bits ^= bits >> 32;
    let sum: u64 = (0..4).map(|i| bits >> (16 * i) & 0xffff).sum();
    (sum as f64 / 131_070.0 - 1.0) * 1.5
}
