//! Pixel Data from bulk parts (PS3.18 §10.5.2, Table 10.5.2-1): native values as they are, pictures
//! decoded to them, compressed frames one part each. What the parts say of the pixels is filled in
//! or held against the metadata.

use std::io::BufReader;

use dicom_core::VR;
use dicom_dictionary_std::uids;

use super::bulk::{Kind, Part};
use super::compose::Flaw;
use crate::archive::{Archive, Scratch};
use crate::dicom::transfer_syntax::{EXPLICIT_VR_LITTLE_ENDIAN, Form, RLE_LOSSLESS};
use crate::dicom::{Dataset, TransferSyntax};
use crate::imaging::codestream::{self, Codestream};
use crate::imaging::{pixel_module, still};

/// Pixel Data to be written.
pub(super) struct Pixels {
    pub(super) transfer_syntax: &'static str,
    /// Where each fragment, or each piece of the native value, lies: start and length.
    pub(super) spans: Vec<(u64, u64)>,
    /// Where the spans lie when not among the bulk parts: what pictures were decoded to.
    pub(super) decoded: Option<Scratch>,
    pub(super) is_encapsulated: bool,
    /// What native ones are written as.
    pub(super) vr: VR,
}

/// Makes Pixel Data of its parts and completes the data set.
pub(super) fn make(
    dataset: &mut Dataset,
    parts: &[Part],
    bytes: &Scratch,
    archive: &Archive,
) -> Result<Pixels, Flaw> {
    let parts = in_order(parts)?;
    let first = parts.first().ok_or(Flaw::Parts("there is no part"))?;
    if parts.iter().any(|part| part.kind != first.kind) {
        return Err(Flaw::Parts("the frames are of different media types"));
    }
    match &first.kind {
        Kind::Octets => octets(dataset, &parts),
        Kind::Png | Kind::Gif => pictures(dataset, &parts, bytes, archive),
        Kind::Codestream(media_type) => compressed(dataset, &parts, bytes, media_type),
        Kind::Document(_) => Err(Flaw::MediaType),
    }
}

/// The parts by frame number; in the order they came when they have none.
fn in_order(parts: &[Part]) -> Result<Vec<&Part>, Flaw> {
    let mut parts: Vec<&Part> = parts.iter().collect();
    if parts.iter().any(|part| part.frame.is_some()) {
        parts.sort_by_key(|part| part.frame);
        let numbers = parts.iter().map(|part| part.frame);
        if !numbers.eq((1..).take(parts.len()).map(Some)) {
            return Err(Flaw::Parts(
                "the frames are not numbered from 1 without gaps",
            ));
        }
    }
    Ok(parts)
}

/// The one transfer syntax that the parts name.
fn named(parts: &[&Part]) -> Result<Option<&'static TransferSyntax>, Flaw> {
    let mut named = None;
    for part in parts {
        let Some(syntax) = part.transfer_syntax.map_err(|()| Flaw::TransferSyntax)? else {
            continue;
        };
        if named.replace(syntax).is_some_and(|before| before != syntax) {
            return Err(Flaw::Parts("the frames are of different transfer syntaxes"));
        }
    }
    Ok(named)
}

fn spans(parts: &[&Part]) -> Vec<(u64, u64)> {
    parts.iter().map(|part| (part.start, part.length)).collect()
}

/// Bare values: nothing can be told from them, but whether they are as many as they should be.
fn octets(dataset: &mut Dataset, parts: &[&Part]) -> Result<Pixels, Flaw> {
    let syntax = named(parts)?;
    let form = syntax.map_or(Form::Native, |syntax| syntax.form);
    match syntax.map(|syntax| syntax.uid) {
        // Bulk data are little endian whatever the object was (PS3.18 §8.7.3.3.1).
        None | Some(EXPLICIT_VR_LITTLE_ENDIAN | uids::IMPLICIT_VR_LITTLE_ENDIAN) => {
            let length = parts.iter().map(|part| part.length).sum();
            pixel_module::check_native(dataset, length)?;
        }
        Some(_) if form == Form::Encapsulated => {
            pixel_module::native_bytes(dataset)?;
            pixel_module::complete_frames(dataset, count(parts)?)?;
        }
        Some(_) => return Err(Flaw::TransferSyntax),
    }
    let is_encapsulated = form == Form::Encapsulated;
    Ok(Pixels {
        transfer_syntax: syntax
            .filter(|_| is_encapsulated)
            .map_or(EXPLICIT_VR_LITTLE_ENDIAN, |syntax| syntax.uid),
        spans: spans(parts),
        decoded: None,
        is_encapsulated,
        vr: VR::OW,
    })
}

/// PNG and GIF, decoded into a scratch of their own.
fn pictures(
    dataset: &mut Dataset,
    parts: &[&Part],
    bytes: &Scratch,
    archive: &Archive,
) -> Result<Pixels, Flaw> {
    let max = archive.limits().object_bytes_max;
    // Gone before the next object; what is made of it counts.
    let mut decoded = archive.scratch(None)?;
    let (mut described, mut frames) = (None, 0_u32);
    for part in parts {
        let stream = BufReader::new(bytes.reader(part.start, part.length));
        let sink = |pixels: &[u8]| -> Result<(), Flaw> {
            decoded.write(pixels)?;
            if decoded.bytes() > max {
                return Err(Flaw::too_large(max));
            }
            Ok(())
        };
        let found = match part.kind {
            Kind::Png => still::png(stream, sink)?,
            _ => still::gif(stream, sink)?,
        };
        frames = frames.saturating_add(found.frames.unwrap_or(1));
        agree(&mut described, found)?;
    }
    let described = described.ok_or(Flaw::Parts("there is no part"))?;
    pixel_module::complete(dataset, &described)?;
    pixel_module::complete_frames(dataset, frames)?;
    pixel_module::check_native(dataset, decoded.bytes())?;
    Ok(Pixels {
        transfer_syntax: EXPLICIT_VR_LITTLE_ENDIAN,
        spans: vec![(0, decoded.bytes())],
        decoded: Some(decoded),
        is_encapsulated: false,
        vr: VR::OW,
    })
}

/// Every frame must be like the first but for what compression did to it.
fn agree(first: &mut Option<Codestream>, found: Codestream) -> Result<(), Flaw> {
    let Some(first) = first else {
        *first = Some(found);
        return Ok(());
    };
    let shape = |c: &Codestream| (c.rows, c.columns, c.samples, c.bits, c.is_signed);
    if shape(first) != shape(&found) || first.photometric != found.photometric {
        return Err(Flaw::Parts("the frames differ in size, depth or color"));
    }
    first.is_lossy |= found.is_lossy;
    Ok(())
}

/// Compressed frames, kept as they are.
fn compressed(
    dataset: &mut Dataset,
    parts: &[&Part],
    bytes: &Scratch,
    media_type: &'static str,
) -> Result<Pixels, Flaw> {
    let named = named(parts)?;
    let mut spans = spans(parts);
    let mut described = None;
    let mut candidates: Option<Vec<&'static str>> = None;
    for span in &mut spans {
        let mut stream = BufReader::new(bytes.reader(span.0, span.1));
        let Some(found) = codestream::read(media_type, &mut stream)? else {
            continue;
        };
        if matches!(media_type, "image/jp2" | "image/jpx" | "image/jphc") {
            let (offset, length) = codestream::codestream_span(&mut stream)?;
            *span = (span.0.saturating_add(offset), length);
        }
        match &mut candidates {
            Some(candidates) => candidates.retain(|uid| found.transfer_syntaxes.contains(uid)),
            none => *none = Some(found.transfer_syntaxes.to_vec()),
        }
        agree(&mut described, found)?;
    }
    let transfer_syntax = choose(media_type, named, candidates)?;
    let is_video = TransferSyntax::of_uid(transfer_syntax).is_some_and(TransferSyntax::is_video);
    match &described {
        Some(described) => pixel_module::complete(dataset, described)?,
        // Run lengths say nothing of themselves: the metadata must.
        None => drop(pixel_module::native_bytes(dataset)?),
    }
    let frames = described.as_ref().and_then(|described| described.frames);
    match frames {
        _ if !is_video => pixel_module::complete_frames(dataset, count(parts)?)?,
        _ if parts.len() > 1 => return Err(Flaw::Parts("a video is one part")),
        Some(frames) => pixel_module::complete_frames(dataset, frames)?,
        None => {
            pixel_module::said_frames(dataset)?
                .ok_or(pixel_module::Mismatch::Missing("NumberOfFrames"))?;
        }
    }
    if let Some(described) = described.filter(|described| described.is_lossy) {
        let compressed = spans.iter().map(|(_, length)| length).sum();
        pixel_module::note_loss(dataset, described.method, compressed)?;
    }
    Ok(Pixels {
        transfer_syntax,
        spans,
        decoded: None,
        is_encapsulated: true,
        vr: VR::OB,
    })
}

/// The transfer syntax that the parts name, when their codestreams can be it; else the one that
/// says most of them, of those that go with the media type (PS3.18 Table 8.7.3-5).
fn choose(
    media_type: &str,
    named: Option<&'static TransferSyntax>,
    candidates: Option<Vec<&'static str>>,
) -> Result<&'static str, Flaw> {
    let candidates = candidates.unwrap_or_else(|| vec![RLE_LOSSLESS]);
    match named {
        Some(named) if candidates.contains(&named.uid) => Ok(named.uid),
        Some(_) => Err(Flaw::NotThatSyntax),
        None => candidates
            .into_iter()
            .find(|uid| {
                TransferSyntax::of_uid(uid).is_some_and(|syntax| syntax.media_type == media_type)
            })
            .ok_or(Flaw::NotThatSyntax),
    }
}

fn count(parts: &[&Part]) -> Result<u32, Flaw> {
    u32::try_from(parts.len()).map_err(|_| Flaw::Parts("there are too many frames"))
}
