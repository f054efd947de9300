//! High-Throughput JPEG 2000 (ISO/IEC 15444-15) with `openjp2`, a translation of OpenJPEG, behind
//! `jpeg2k`. It is the one decoder at hand that is right, and it is full of unsafe code: it sees
//! nothing that the headers were not judged of, and it is told to refuse what it would have to guess.

use jpeg2k::{DecodeParameters, Image};

use super::super::{Bounds, Fault};
use super::headers::Headers;
use super::{MALFORMED, interleave};

pub(super) fn samples(
    codestream: &[u8],
    headers: &Headers,
    bounds: &Bounds,
) -> Result<Vec<u8>, Fault> {
    let strict = DecodeParameters::new().strict(true);
    let image = Image::from_bytes_with(codestream, strict).map_err(|_| MALFORMED)?;
    // Its components hand out as many samples as they claim.
    let is_expected = image.num_components() == u32::from(bounds.samples)
        && image.components().iter().all(|component| {
            (component.width(), component.height()) == (bounds.columns, bounds.rows)
                && component.precision() == u32::from(headers.bits)
                && component.is_signed() == headers.is_signed
        });
    if !is_expected {
        return Err(MALFORMED);
    }
    let components: Vec<_> = image.components().iter().map(|one| one.data()).collect();
    interleave(&components, headers, bounds, |sample| sample)
}
