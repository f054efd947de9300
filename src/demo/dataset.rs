//! Data sets of the samples, written in Explicit VR Little Endian (PS3.5 §7.1.2), and the
//! character sets of their texts (PS3.3 §C.12.1.1.2).

use std::collections::BTreeMap;

use dicom_core::{Tag, VR};

use crate::dicom::{Uid, part10};

/// Explicit VR Little Endian.
const TRANSFER_SYNTAX_UID: &str = "1.2.840.10008.1.2.1";

/// What texts are encoded in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Charset {
    Latin1,
    Cyrillic,
    Japanese,
    Chinese,
    Utf8,
}

impl Charset {
    /// The value of (0008,0005).
    pub(super) fn term(self) -> &'static str {
        match self {
            Self::Latin1 => "ISO_IR 100",
            Self::Cyrillic => "ISO_IR 144",
            Self::Japanese => "\\ISO 2022 IR 87",
            Self::Chinese => "GB18030",
            Self::Utf8 => "ISO_IR 192",
        }
    }

    fn encode(self, text: &str) -> Vec<u8> {
        let encoding = match self {
            Self::Latin1 => encoding_rs::WINDOWS_1252,
            Self::Cyrillic => encoding_rs::ISO_8859_5,
            Self::Chinese => encoding_rs::GB18030,
            Self::Utf8 => encoding_rs::UTF_8,
            Self::Japanese => return encode_japanese(text),
        };
        encoding.encode(text).0.into_owned()
    }
}

/// ISO-2022-JP part by part: each delimiter is reached in ASCII (PS3.5 §6.1.2.5.3).
fn encode_japanese(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in text.split_inclusive(['^', '=']) {
        let (words, delimiter) = part.split_at(part.trim_end_matches(['^', '=']).len());
        bytes.extend_from_slice(&encoding_rs::ISO_2022_JP.encode(words).0);
        bytes.extend_from_slice(delimiter.as_bytes());
    }
    bytes
}

/// Elements in the order of their tags, encoded.
#[derive(Debug, Clone)]
pub(super) struct DataSet {
    charset: Charset,
    elements: BTreeMap<Tag, (VR, Vec<u8>)>,
}

impl DataSet {
    /// An empty one, for items too.
    pub(super) fn new(charset: Charset) -> Self {
        Self {
            charset,
            elements: BTreeMap::new(),
        }
    }

    /// Sets a text, several values parted by backslashes; empty for an element without value.
    pub(super) fn text(&mut self, tag: Tag, vr: VR, text: &str) {
        let value = match vr {
            VR::PN | VR::LO | VR::SH | VR::ST | VR::LT | VR::UT | VR::UC => {
                self.charset.encode(text)
            }
            _ => text.as_bytes().to_vec(),
        };
        self.elements.insert(tag, (vr, value));
    }

    /// Sets many texts.
    pub(super) fn texts(&mut self, texts: &[(Tag, VR, &str)]) {
        texts
            .iter()
            .for_each(|(tag, vr, text)| self.text(*tag, *vr, text));
    }

    /// Sets numbers of VR US.
    pub(super) fn us(&mut self, tag: Tag, numbers: &[u16]) {
        self.elements.insert(
            tag,
            (
                VR::US,
                numbers.iter().flat_map(|n| n.to_le_bytes()).collect(),
            ),
        );
    }

    /// Sets a number of VR UL.
    pub(super) fn ul(&mut self, tag: Tag, number: u32) {
        self.elements
            .insert(tag, (VR::UL, number.to_le_bytes().to_vec()));
    }

    /// Sets a number of VR FD.
    pub(super) fn fd(&mut self, tag: Tag, number: f64) {
        self.elements
            .insert(tag, (VR::FD, number.to_le_bytes().to_vec()));
    }

    /// Points to another attribute.
    pub(super) fn at(&mut self, tag: Tag, target: Tag) {
        let value = [target.0.to_le_bytes(), target.1.to_le_bytes()].concat();
        self.elements.insert(tag, (VR::AT, value));
    }

    /// Sets a sequence.
    pub(super) fn sequence(&mut self, tag: Tag, items: &[Self]) {
        let mut value = Vec::new();
        for item in items {
            let bytes = item.encode();
            value.extend_from_slice(&[0xfe, 0xff, 0x00, 0xe0]);
            value.extend_from_slice(&length_of(&bytes).to_le_bytes());
            value.extend_from_slice(&bytes);
        }
        self.elements.insert(tag, (VR::SQ, value));
    }

    /// Sets a sequence of one coded entry (PS3.3 §8.8): value, scheme, meaning.
    pub(super) fn code(&mut self, tag: Tag, [value, scheme, meaning]: [&str; 3]) {
        let mut item = Self::new(self.charset);
        item.texts(&[
            (Tag(0x0008, 0x0100), VR::SH, value),
            (Tag(0x0008, 0x0102), VR::SH, scheme),
            (Tag(0x0008, 0x0104), VR::LO, meaning),
        ]);
        self.sequence(tag, &[item]);
    }

    /// Sets (7FE0,0010) to samples of 16 bits.
    pub(super) fn pixels16(&mut self, samples: &[u16]) {
        let bytes = samples
            .iter()
            .flat_map(|sample| sample.to_le_bytes())
            .collect();
        self.elements.insert(Tag(0x7FE0, 0x0010), (VR::OW, bytes));
    }

    /// Sets (7FE0,0010) to samples of 8 bits.
    pub(super) fn pixels8(&mut self, samples: Vec<u8>) {
        self.elements.insert(Tag(0x7FE0, 0x0010), (VR::OB, samples));
    }

    fn encode(&self) -> Vec<u8> {
        let room = self
            .elements
            .values()
            .map(|(_, value)| value.len() + 13)
            .sum();
        let mut bytes = Vec::with_capacity(room);
        for (tag, (vr, value)) in &self.elements {
            let padding = value.len() % 2;
            let length = length_of(value) + u32::from(padding == 1);
            bytes.extend_from_slice(&tag.0.to_le_bytes());
            bytes.extend_from_slice(&tag.1.to_le_bytes());
            bytes.extend_from_slice(vr.to_string().as_bytes());
            if matches!(vr, VR::OB | VR::OW | VR::SQ | VR::UT | VR::UC | VR::UN) {
                bytes.extend_from_slice(&[0, 0]);
                bytes.extend_from_slice(&length.to_le_bytes());
            } else {
                let short =
                    u16::try_from(length).expect("the samples hold no long values in short VRs");
                bytes.extend_from_slice(&short.to_le_bytes());
            }
            bytes.extend_from_slice(value);
            if padding == 1 {
                bytes.push(if matches!(vr, VR::UI | VR::OB) {
                    0
                } else {
                    b' '
                });
            }
        }
        bytes
    }

    /// A Part 10 file of it.
    pub(super) fn part10(&self, sop_class_uid: &str, sop_instance_uid: &str) -> Vec<u8> {
        let uid = |text| Uid::parse(text).expect("the samples' UIDs are well-formed");
        let mut file = part10::head(
            &uid(sop_class_uid),
            &uid(sop_instance_uid),
            &uid(TRANSFER_SYNTAX_UID),
        );
        file.extend_from_slice(&self.encode());
        file
    }
}

fn length_of(value: &[u8]) -> u32 {
    u32::try_from(value.len()).expect("the samples are far below 4 GB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_encoded_as_the_standard_shows() {
        // PS3.5 §H.3.1.
        let expected =
            b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B";
        assert_eq!(
            Charset::Japanese.encode("Yamada^Tarou=山田^太郎=やまだ^たろう"),
            expected
        );
        assert_eq!(Charset::Latin1.encode("Müller"), b"M\xfcller");
        // PS3.5 §J.3: Wang^XiaoDong=王^小东.
        assert_eq!(
            Charset::Chinese.encode("王^小东"),
            b"\xcd\xf5^\xd0\xa1\xb6\xab"
        );
        // PS3.5 Table H.3: the Russian for Luxembourg begins with Л.
        assert_eq!(Charset::Cyrillic.encode("Люк"), b"\xbb\xee\xda");
    }

    #[test]
    fn elements_are_in_order_and_of_even_length() {
        let mut item = DataSet::new(Charset::Utf8);
        item.us(Tag(0x0028, 0x0010), &[2]);
        let mut set = DataSet::new(Charset::Utf8);
        set.sequence(Tag(0x0040, 0x0275), &[item]);
        set.text(Tag(0x0008, 0x0018), VR::UI, "1.2.3");
        set.text(Tag(0x0010, 0x0010), VR::PN, "A^B");
        assert_eq!(
            set.encode(),
            b"\x08\0\x18\0UI\x06\x001.2.3\0\x10\0\x10\0PN\x04\0A^B \x40\0\x75\x02SQ\0\0\x12\0\0\0\xfe\xff\0\xe0\x0a\0\0\0\x28\0\x10\0US\x02\0\x02\0"
        );
    }
}
