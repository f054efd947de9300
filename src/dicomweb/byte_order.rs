//! Stored values as little endian, which is how all values leave us (PS3.18 §8.7.3): only those of
//! the retired Explicit VR Big Endian have to be turned round.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dicom_core::{Tag, VR};

use super::call::target_of;
use crate::access::Scope;
use crate::archive::{Archive, Error, Located};
use crate::dicom::json;
use crate::dicom::rewrite::Swap;
use crate::dicom::transfer_syntax::EXPLICIT_VR_BIG_ENDIAN;

const BITS_ALLOCATED: Tag = Tag(0x0028, 0x0100);
const PIXEL_DATA: Tag = Tag(0x7FE0, 0x0010);

/// How the pixel data of an instance become little endian.
///
/// # Errors
/// When the archive fails.
pub(super) fn word_of_pixels(
    archive: &Archive,
    scope: &Scope,
    located: &Located,
) -> Result<Swap, Error> {
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
    let vr = if is_words { VR::OW } else { VR::OB };
    let bits = number(&metadata, BITS_ALLOCATED).and_then(|bits| u16::try_from(bits).ok());
    Ok(Swap::of_pixels(bits, vr))
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
