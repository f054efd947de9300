//! What of a data set its native pixel data depend on (PS3.5 §8.1), gathered as it goes by.

use dicom_core::Tag;

use crate::dicom::walk::ByteOrder;

/// The attributes of one data set: the root or an item.
#[derive(Debug, Clone, Default)]
pub(super) struct Pixels {
    pub(super) bits_allocated: Option<u16>,
    rows: Option<u16>,
    columns: Option<u16>,
    samples_per_pixel: Option<u16>,
    number_of_frames: Option<u32>,
}

impl Pixels {
    pub(super) fn note(&mut self, tag: Tag, value: &[u8], order: ByteOrder) {
        let number = || value.first_chunk().map(|bytes| order.u16(*bytes));
        match tag {
            Tag(0x0028, 0x0002) => self.samples_per_pixel = number(),
            Tag(0x0028, 0x0008) => {
                let first = value.split(|byte| *byte == b'\\').next();
                let text = first.and_then(|text| std::str::from_utf8(text).ok());
                self.number_of_frames =
                    text.and_then(|text| text.trim_matches([' ', '\0']).parse().ok());
            }
            Tag(0x0028, 0x0010) => self.rows = number(),
            Tag(0x0028, 0x0011) => self.columns = number(),
            Tag(0x0028, 0x0100) => self.bits_allocated = number(),
            _ => {}
        }
    }

    /// How many frames, and the bytes of each. `None` when that is not said, or when frames do not
    /// end with a byte, so that one after the other they are no native pixel data.
    pub(super) fn frames(&self) -> Option<(u64, u64)> {
        let frames = u64::from(self.number_of_frames.unwrap_or(1));
        // Two factors of 16 bits, then two more: checked.
        let bits = (u64::from(self.rows?) * u64::from(self.columns?))
            .checked_mul(self.samples_per_pixel.unwrap_or(1).into())?
            .checked_mul(self.bits_allocated?.into())?;
        let is_whole = bits > 0 && frames > 0 && (frames == 1 || bits % 8 == 0);
        is_whole.then_some((frames, bits.div_ceil(8)))
    }
}
