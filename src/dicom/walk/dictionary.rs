//! What Implicit VR leaves out: the value representation of an attribute, from the data
//! dictionary of PS3.6. `dicom-dictionary-std` answers by up to three SipHash look-ups, which would
//! be the dearest step of the walk; its answers are kept in a direct-mapped table, so that a tag
//! met again costs one multiplication and one load.

use std::sync::atomic::{AtomicU64, Ordering};

use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry, VirtualVr};
use dicom_core::{Tag, VR};
use dicom_dictionary_std::StandardDataDictionary;

/// What the dictionary says of an attribute. The choices are made by PS3.5 §A.1 and PS3.3
/// §C.11.1.1, given what went before in the data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// Always this.
    Vr(VR),
    /// `US` or `SS`, as Pixel Representation says.
    Signedness,
    /// LUT Data: `US` when the LUT has one entry, else `OW`.
    LutData,
}

/// A power of two, about the number of attributes; two that share a place take turns.
const PLACES: usize = 1 << 13;

/// Tag in the upper half, [`pack`]ed meaning in the lower; 0 is empty.
static ANSWERS: [AtomicU64; PLACES] = [const { AtomicU64::new(0) }; PLACES];

fn ask(tag: Tag) -> Option<Meaning> {
    Some(match StandardDataDictionary.by_tag(tag)?.vr() {
        VirtualVr::Exact(vr) => Meaning::Vr(vr),
        VirtualVr::Xs => Meaning::Signedness,
        VirtualVr::Lt => Meaning::LutData,
        // OB or OW is OW under Implicit VR (PS3.5 §A.1).
        _ => Meaning::Vr(VR::OW),
    })
}

fn pack(meaning: Option<Meaning>) -> u32 {
    match meaning {
        None => 1,
        Some(Meaning::Signedness) => 2,
        Some(Meaning::LutData) => 3,
        Some(Meaning::Vr(vr)) => u32::from(u16::from_be_bytes(vr.to_bytes())),
    }
}

fn unpack(packed: u32) -> Option<Meaning> {
    match packed {
        2 => Some(Meaning::Signedness),
        3 => Some(Meaning::LutData),
        _ => {
            let [_, _, first, second] = packed.to_be_bytes();
            VR::from_binary([first, second]).map(Meaning::Vr)
        }
    }
}

/// What is known of an attribute: by PS3.6, or as group length or private creator (PS3.5 §7.2,
/// §7.8.1).
pub(crate) fn look_up(tag: Tag) -> Option<Meaning> {
    if tag.0 & 1 == 1 {
        return (0x0010..=0x00FF)
            .contains(&tag.1)
            .then_some(Meaning::Vr(VR::LO));
    }
    let key = u32::from(tag.0) << 16 | u32::from(tag.1);
    // Fibonacci hashing: the high bits of the product are well mixed.
    let place = key.wrapping_mul(0x9E37_79B1) >> (32 - PLACES.trailing_zeros());
    let place = &ANSWERS[place as usize];
    // Each word is whole in itself, so no order between threads is needed.
    let kept = place.load(Ordering::Relaxed);
    if kept != 0 && kept >> 32 == u64::from(key) {
        return unpack(kept as u32);
    }
    let meaning = ask(tag);
    place.store(
        u64::from(key) << 32 | u64::from(pack(meaning)),
        Ordering::Relaxed,
    );
    meaning
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_data_dictionary() {
        // Expected values: pydicom.datadict.dictionary_VR, and PS3.5 §A.1 for OB or OW.
        let cases = [
            (0x0008_0018, Some(Meaning::Vr(VR::UI))),
            (0x0010_0010, Some(Meaning::Vr(VR::PN))),
            (0x0028_0106, Some(Meaning::Signedness)),
            (0x0028_3006, Some(Meaning::LutData)),
            (0x5400_1010, Some(Meaning::Vr(VR::OW))),
            (0x7FE0_0010, Some(Meaning::Vr(VR::OW))),
            (0x7FE0_0008, Some(Meaning::Vr(VR::OF))),
            (0x6002_3000, Some(Meaning::Vr(VR::OW))),
            (0x601E_0010, Some(Meaning::Vr(VR::US))),
            (0x5012_0010, Some(Meaning::Vr(VR::US))),
            (0x0020_3142, Some(Meaning::Vr(VR::CS))),
            (0x0009_0010, Some(Meaning::Vr(VR::LO))),
            (0x0009_1010, None),
            (0x0009_0000, None),
            (0x0010_0000, Some(Meaning::Vr(VR::UL))),
            (0x0010_9999, None),
            (0x5200_9229, Some(Meaning::Vr(VR::SQ))),
        ];
        for (tag, expected) in cases {
            let tag = Tag((tag >> 16) as u16, tag as u16);
            assert_eq!(look_up(tag), expected, "{tag}");
        }
    }

    #[test]
    fn answers_stay_the_same_when_kept() {
        for element in 0..=0xFFFF {
            for group in [0x0008, 0x0018, 0x0028, 0x6000] {
                let tag = Tag(group, element);
                let first = look_up(tag);
                assert_eq!((first, look_up(tag)), (ask(tag), first), "{tag}");
            }
        }
    }
}
