//! Elements of a new document put together, and the Part 10 file of them.

use dicom_core::{Tag, VR};

use super::{Code, Moment, Reference, safe};
use crate::dicom::dataset::{Dataset, Element, Value};
use crate::dicom::encode::{EncodeError, encode};
use crate::dicom::transfer_syntax::EXPLICIT_VR_LITTLE_ENDIAN;
use crate::dicom::{Uid, part10};

/// A data set or an item that is being made.
#[derive(Debug, Default)]
pub(in crate::dicom) struct Set(Dataset);

impl Set {
    fn put(&mut self, tag: Tag, vr: VR, value: Value) {
        self.0.set(Element { tag, vr, value });
    }

    /// A value that needs no care: our own words, UIDs, codes of CS, dates.
    pub(in crate::dicom) fn own(&mut self, tag: Tag, vr: VR, text: &str) -> &mut Self {
        self.put(tag, vr, Value::Bytes(text.as_bytes().to_vec()));
        self
    }

    /// What people wrote, made to fit.
    pub(in crate::dicom) fn said(&mut self, tag: Tag, vr: VR, text: &str) -> &mut Self {
        let value = match vr {
            VR::SH | VR::CS => safe::short(text, 16),
            VR::LO => safe::short(text, 64),
            VR::PN => safe::person(text),
            VR::ST => {
                let text = safe::text(text);
                text.chars().take(1024).collect()
            }
            _ => safe::text(text),
        };
        self.own(tag, vr, &value)
    }

    /// A value as the study has it.
    pub(in crate::dicom) fn copied(&mut self, tag: Tag, vr: VR, text: &str) -> &mut Self {
        self.own(tag, vr, &safe::copied(text))
    }

    /// Bytes.
    pub(in crate::dicom) fn bytes(&mut self, tag: Tag, vr: VR, bytes: Vec<u8>) -> &mut Self {
        self.put(tag, vr, Value::Bytes(bytes));
        self
    }

    /// A sequence.
    pub(in crate::dicom) fn items(
        &mut self,
        tag: Tag,
        items: impl IntoIterator<Item = Self>,
    ) -> &mut Self {
        let items = items.into_iter().map(|item| item.0).collect();
        self.put(tag, VR::SQ, Value::Items(items));
        self
    }

    /// A sequence of coded entries (PS3.3 §8.8).
    pub(in crate::dicom) fn codes<'a>(
        &mut self,
        tag: Tag,
        codes: impl IntoIterator<Item = &'a Code>,
    ) -> &mut Self {
        self.items(tag, codes.into_iter().map(coded))
    }

    /// A date and a time of the same moment.
    pub(in crate::dicom) fn moment(&mut self, date: Tag, time: Tag, moment: Moment) -> &mut Self {
        let text = moment.civil();
        self.own(date, VR::DA, &text[..8]);
        self.own(time, VR::TM, &text[8..])
    }

    /// The file, in Explicit VR Little Endian.
    pub(in crate::dicom) fn part10(
        self,
        sop_class_uid: &str,
        sop_instance_uid: &Uid,
    ) -> Result<Vec<u8>, EncodeError> {
        self.part10_in(EXPLICIT_VR_LITTLE_ENDIAN, sop_class_uid, sop_instance_uid)
    }

    /// The file in a transfer syntax that encodes all but pixel data so; those are appended by the caller.
    pub(in crate::dicom) fn part10_in(
        mut self,
        transfer_syntax_uid: &str,
        sop_class_uid: &str,
        sop_instance_uid: &Uid,
    ) -> Result<Vec<u8>, EncodeError> {
        self.own(Tag(0x0008, 0x0016), VR::UI, sop_class_uid);
        self.own(Tag(0x0008, 0x0018), VR::UI, sop_instance_uid.as_str());
        let uid = |text| Uid::parse(text).expect("a UID of PS3.6");
        let mut file = part10::head(
            &uid(sop_class_uid),
            sop_instance_uid,
            &uid(transfer_syntax_uid),
        );
        file.append(&mut encode(&self.0)?);
        Ok(file)
    }
}

/// A coded entry as an item.
fn coded(code: &Code) -> Set {
    let mut item = Set::default();
    let value = safe::line(&code.value).replace('\\', "/");
    if value.chars().count() > 16 {
        item.own(Tag(0x0008, 0x0119), VR::UC, &value);
    } else {
        item.own(Tag(0x0008, 0x0100), VR::SH, &value);
    }
    item.said(Tag(0x0008, 0x0102), VR::SH, &code.scheme);
    item.said(Tag(0x0008, 0x0104), VR::LO, &code.meaning);
    item
}

/// UTC+14 is the farthest.
const OFFSET_MAX: u16 = 14 * 60;

/// A Referenced SOP Class and Instance UID.
pub(super) fn sop(reference: &Reference) -> Set {
    let mut item = Set::default();
    item.own(
        Tag(0x0008, 0x1150),
        VR::UI,
        reference.sop_class_uid.as_str(),
    );
    item.own(
        Tag(0x0008, 0x1155),
        VR::UI,
        reference.sop_instance_uid.as_str(),
    );
    item
}

impl Moment {
    /// Whether it can be told in fourteen digits and an offset (PS3.5 §6.2).
    pub(super) fn is_date(self) -> bool {
        // 9999-12-30T00:00:00Z.
        (0..253_402_128_000_000).contains(&self.at_ms)
            && self.offset_minutes.unsigned_abs() <= OFFSET_MAX
    }

    fn zoned(self) -> (jiff::civil::DateTime, i16) {
        let minutes = self.offset_minutes;
        let moment = jiff::Timestamp::from_millisecond(self.at_ms).unwrap_or_default();
        let offset = jiff::tz::Offset::from_seconds(i32::from(minutes) * 60);
        (
            offset.unwrap_or(jiff::tz::Offset::UTC).to_datetime(moment),
            minutes,
        )
    }

    /// Date and time in fourteen digits.
    pub(super) fn civil(self) -> String {
        self.zoned().0.strftime("%Y%m%d%H%M%S").to_string()
    }

    /// A DT with its offset (PS3.5 §6.2).
    pub fn date_time(self) -> String {
        format!("{}{}", self.civil(), self.offset(""))
    }

    /// As people read it.
    pub(super) fn in_words(self) -> String {
        let (moment, minutes) = self.zoned();
        let zone = if minutes == 0 {
            String::new()
        } else {
            self.offset(":")
        };
        format!("{} UTC{zone}", moment.strftime("%Y-%m-%d %H:%M"))
    }

    fn offset(self, colon: &str) -> String {
        let minutes = self.zoned().1;
        let sign = if minutes < 0 { '-' } else { '+' };
        let minutes = minutes.unsigned_abs();
        format!("{sign}{:02}{colon}{:02}", minutes / 60, minutes % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_told_as_their_place_has_them() {
        // 2026-11-28T08:56:57Z.
        let at = |offset_minutes| Moment {
            at_ms: 1_795_856_217_000,
            offset_minutes,
        };
        assert_eq!(at(0).date_time(), "20261128085657+0000");
        assert_eq!(at(-210).date_time(), "20261128052657-0330");
        assert_eq!(at(330).in_words(), "2026-11-28 14:26 UTC+05:30");
        assert_eq!(at(0).in_words(), "2026-11-28 08:56 UTC");
        let is_date = |at_ms, offset_minutes| {
            Moment {
                at_ms,
                offset_minutes,
            }
            .is_date()
        };
        assert!(is_date(0, -840) && is_date(253_402_127_999_999, 840));
        for (at_ms, offset_minutes) in [
            (-1, 0),
            (253_402_128_000_000, 0),
            (i64::MAX, 0),
            (i64::MIN, 0),
            (0, 841),
            (0, i16::MIN),
        ] {
            assert!(!is_date(at_ms, offset_minutes));
        }
    }
}
