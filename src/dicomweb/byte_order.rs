//! Stored values as little endian, which is how all values leave us (PS3.18 §8.7.3): only those of
//! the retired Explicit VR Big Endian have to be turned round.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dicom_core::{Tag, VR};

use super::call::target_of;
use super::parts::Refusal;
use crate::access::Scope;
use crate::archive::{Archive, Error, Located};
use crate::dicom::json;
use crate::dicom::transfer_syntax::EXPLICIT_VR_BIG_ENDIAN;

const BITS_ALLOCATED: Tag = Tag(0x0028, 0x0100);
const PIXEL_DATA: Tag = Tag(0x7FE0, 0x0010);

/// What must be done to stored bytes to make them little endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Swap {
    /// Nothing.
    No,
    /// The bytes of each word of this size are turned round.
    Words(usize),
}

impl Swap {
    pub(super) fn of_vr(vr: VR) -> Self {
        match vr {
            VR::OW | VR::US | VR::SS | VR::AT => Self::Words(2),
            VR::OL | VR::UL | VR::SL | VR::OF | VR::FL => Self::Words(4),
            VR::OD | VR::FD | VR::OV | VR::UV | VR::SV => Self::Words(8),
            _ => Self::No,
        }
    }

    /// Does it. A rest shorter than a word stays.
    pub(super) fn apply(self, bytes: &mut [u8]) {
        if let Self::Words(size) = self {
            bytes.chunks_exact_mut(size).for_each(<[u8]>::reverse);
        }
    }
}

/// How the pixel data of an instance become little endian: pixels of more than a byte by the size
/// of a pixel, those of a byte by their VR (PS3.5 §8.1.1).
///
/// # Errors
/// For pixels of less than a byte in big endian words.
pub(super) fn word_of_pixels(
    archive: &Archive,
    scope: &Scope,
    located: &Located,
) -> Result<Swap, Refusal> {
    if located.transfer_syntax_uid.as_str() != EXPLICIT_VR_BIG_ENDIAN {
        return Ok(Swap::No);
    }
    let metadata = archive
        .metadata(&target_of(located), scope, None, 1)?
        .pop()
        .ok_or(Error::NotFound)?
        .metadata;
    let is_words = json::top_level_member(&metadata, PIXEL_DATA)
        .is_some_and(|member| member.starts_with(br#"{"vr":"OW""#));
    match number(&metadata, BITS_ALLOCATED) {
        Some(16) => Ok(Swap::Words(2)),
        Some(32) => Ok(Swap::Words(4)),
        Some(64) => Ok(Swap::Words(8)),
        Some(8) if is_words => Ok(Swap::Words(2)),
        _ if !is_words => Ok(Swap::No),
        _ => Err(Refusal::NotAcceptable(
            "big endian pixels of this size cannot be given in little endian yet; \
             ask for the object with transfer-syntax=*"
                .to_owned(),
        )),
    }
}

/// The first value of a root attribute, as a whole number.
pub(super) fn number(metadata: &[u8], tag: Tag) -> Option<u64> {
    value(metadata, tag)?.as_u64()
}

/// The first value of a root attribute.
pub(super) fn value(metadata: &[u8], tag: Tag) -> Option<serde_json::Value> {
    let member: serde_json::Value =
        serde_json::from_slice(json::top_level_member(metadata, tag)?).ok()?;
    member.get("Value")?.get(0).cloned()
}

/// The bytes of a root attribute that stand in the metadata.
pub(super) fn inline(metadata: &[u8], tag: Tag) -> Option<Vec<u8>> {
    let member: serde_json::Value =
        serde_json::from_slice(json::top_level_member(metadata, tag)?).ok()?;
    STANDARD.decode(member.get("InlineBinary")?.as_str()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_turned_round_by_vr() {
        for (vr, expected) in [
            (VR::OW, [2, 1, 4, 3, 6, 5, 8, 7]),
            (VR::OF, [4, 3, 2, 1, 8, 7, 6, 5]),
            (VR::OD, [8, 7, 6, 5, 4, 3, 2, 1]),
            (VR::OB, [1, 2, 3, 4, 5, 6, 7, 8]),
        ] {
            let mut bytes = [1, 2, 3, 4, 5, 6, 7, 8];
            Swap::of_vr(vr).apply(&mut bytes);
            assert_eq!(bytes, expected, "{vr}");
        }
    }
}
