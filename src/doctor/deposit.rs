//! Storing as OHIF does it when a measurement is saved (dicomweb-client of JavaScript), with an object made for
//! the purpose: a Secondary Capture of 8 × 8 pixels in a study of its own, removed again where the
//! server lets us (PS3.18 §10.5, Supplement 194 for DELETE).

use dicom_core::{Tag, VR};

use super::asking::Ready;
use super::checks::{self, Found, Place, came};
use super::client::{ANSWER_BYTES_MAX, Ask, BEGINNING_BYTES_MAX};
use super::examination::Examination;
use super::faults;
use super::replay::{Expect, JSON, STORING};
use super::report::Viewer;
use crate::dicom::dataset::{Dataset, Element, Value};
use crate::dicom::transfer_syntax::EXPLICIT_VR_LITTLE_ENDIAN;
use crate::dicom::{Uid, encode, part10};

const SECONDARY_CAPTURE: &str = "1.2.840.10008.5.1.4.1.1.7";
const BOUNDARY: &str = "overread-doctor-3f8a6c15";
const SIDE: u16 = 8;
const OHIF: &[Viewer] = &[Viewer::Ohif, Viewer::JavaScript];

impl Examination<'_> {
    /// Stores, looks for what was stored, and removes it.
    pub(super) fn deposit(&mut self) {
        let study = Uid::fresh();
        let Some(file) = object(&study) else { return };
        let mut body =
            format!("\r\n--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n").into_bytes();
        body.extend_from_slice(&file);
        body.extend_from_slice(format!("\r\n--{BOUNDARY}--").as_bytes());
        let content_type =
            format!("multipart/related; type=\"application/dicom\"; boundary=\"{BOUNDARY}\"");
        let url = format!("{}/studies", self.root.url());
        let store = Ready {
            title: "store",
            chapter: STORING,
            viewers: OHIF,
            shown: format!("POST {}/studies", self.root.path()),
            ask: Ask {
                method: "POST",
                url: &url,
                headers: vec![("content-type", content_type), ("accept", "*/*".into())],
                body: Some(&body),
                is_anonymous: false,
                bytes_max: ANSWER_BYTES_MAX,
            },
            refused: &faults::STORE_REFUSED,
        };
        let Some(answer) = self.dispatch(&store) else {
            return;
        };
        if !matches!(answer.status, 200 | 202 | 204) {
            self.record(&store, vec![(&faults::STORE_REFUSED, came(&answer))]);
        }
        self.look_for(&study);
        self.remove(&study);
    }

    fn look_for(&mut self, study: &Uid) {
        let url = format!("{}/studies?StudyInstanceUID={study}", self.root.url());
        let search = Ready {
            title: "what was stored is found",
            chapter: STORING,
            viewers: OHIF,
            shown: format!("GET {}/studies?StudyInstanceUID={study}", self.root.path()),
            ask: Ask {
                method: "GET",
                url: &url,
                headers: vec![("accept", JSON.into())],
                body: None,
                is_anonymous: false,
                bytes_max: ANSWER_BYTES_MAX,
            },
            refused: &faults::STUDY_BY_UID,
        };
        let Some(answer) = self.dispatch(&search) else {
            return;
        };
        let mut found = Found::new();
        let studies =
            checks::lists::studies(&answer, Expect::Studies, Place::default(), &mut found);
        if !studies.is_some_and(|all| all.iter().any(|one| one.uid == *study)) {
            found.push((&faults::STORED_NOT_FOUND, came(&answer)));
        }
        self.record(&search, found);
    }

    fn remove(&mut self, study: &Uid) {
        let url = format!("{}/studies/{study}", self.root.url());
        self.dispatch(&Ready {
            title: "what was stored is removed",
            chapter: STORING,
            viewers: &[Viewer::Other],
            shown: format!("DELETE {}/studies/{study}", self.root.path()),
            ask: Ask {
                method: "DELETE",
                url: &url,
                headers: Vec::new(),
                body: None,
                is_anonymous: false,
                bytes_max: BEGINNING_BYTES_MAX,
            },
            refused: &faults::LEFT_BEHIND,
        });
    }
}

/// A whole file.
fn object(study: &Uid) -> Option<Vec<u8>> {
    let (series, sop) = (Uid::fresh(), Uid::fresh());
    let class = Uid::parse(SECONDARY_CAPTURE).ok()?;
    let syntax = Uid::parse(EXPLICIT_VR_LITTLE_ENDIAN).ok()?;
    let text = |group, element, vr, value: &str| {
        let mut bytes = value.as_bytes().to_vec();
        if bytes.len() % 2 == 1 {
            bytes.push(encode::padding(vr));
        }
        Element {
            tag: Tag(group, element),
            vr,
            value: Value::Bytes(bytes),
        }
    };
    let number = |element, value: u16| Element {
        tag: Tag(0x0028, element),
        vr: VR::US,
        value: Value::Bytes(value.to_le_bytes().to_vec()),
    };
    let pixels = Element {
        tag: Tag(0x7FE0, 0x0010),
        vr: VR::OB,
        value: Value::Bytes((0..SIDE * SIDE).map(|n| (n * 4) as u8).collect()),
    };
    let dataset = Dataset::from_elements(vec![
        text(0x0008, 0x0005, VR::CS, "ISO_IR 192"),
        text(0x0008, 0x0016, VR::UI, class.as_str()),
        text(0x0008, 0x0018, VR::UI, sop.as_str()),
        text(0x0008, 0x0020, VR::DA, "19000101"),
        text(0x0008, 0x0030, VR::TM, "000000"),
        text(0x0008, 0x0050, VR::SH, ""),
        text(0x0008, 0x0060, VR::CS, "OT"),
        text(0x0008, 0x0064, VR::CS, "WSD"),
        text(0x0008, 0x0090, VR::PN, ""),
        text(0x0008, 0x1030, VR::LO, "overread doctor: may be removed"),
        text(0x0010, 0x0010, VR::PN, "Overread^Doctor"),
        text(0x0010, 0x0020, VR::LO, "OVERREAD-DOCTOR"),
        text(0x0010, 0x0030, VR::DA, ""),
        text(0x0010, 0x0040, VR::CS, ""),
        text(0x0020, 0x000D, VR::UI, study.as_str()),
        text(0x0020, 0x000E, VR::UI, series.as_str()),
        text(0x0020, 0x0010, VR::SH, ""),
        text(0x0020, 0x0011, VR::IS, "1"),
        text(0x0020, 0x0013, VR::IS, "1"),
        number(0x0002, 1),
        text(0x0028, 0x0004, VR::CS, "MONOCHROME2"),
        number(0x0010, SIDE),
        number(0x0011, SIDE),
        number(0x0100, 8),
        number(0x0101, 8),
        number(0x0102, 7),
        number(0x0103, 0),
        pixels,
    ])
    .ok()?;
    let mut file = part10::head(&class, &sop, &syntax);
    file.extend_from_slice(&encode::encode(&dataset).ok()?);
    Some(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_object_is_another_and_whole() {
        let (one, other) = (Uid::fresh(), Uid::fresh());
        assert_ne!(one, other);
        let file = object(&one).unwrap();
        assert_eq!(&file[128..132], b"DICM");
        assert_eq!(&file[file.len() - 3..], [244, 248, 252]);
        let read = dicom_object::from_reader(&file[..]).unwrap();
        let rows = read.element_by_name("Rows").unwrap();
        assert_eq!(rows.to_int::<u16>().unwrap(), SIDE);
    }
}
