//! What a JPEG 2000 codestream claims (ISO/IEC 15444-1 Annex A), judged before a decoder sees it:
//! its size, how finely it is cut into tiles, precincts, code-blocks and layers, and whether every
//! tile-part that it announces is there.

use super::super::{Bounds, Fault};

/// Precincts and code-blocks, in every layer, that are cheap however small the image is; each costs
/// a decoder up to 400 bytes.
const PIECES_FREE: u64 = 200_000;
/// Beyond them, each is worth so many samples.
const PIECE_SAMPLES_MIN: u64 = 8;
/// Tiles that are cheap however small the image is.
const TILES_FREE: u64 = 64;
/// Tiles are of this many pixels at least, on average.
const TILE_PIXELS_MIN: u64 = 256;
/// Changes of the progression, as other decoders bound them.
const PROGRESSIONS_MAX: usize = 32;
/// Levels of High-Throughput wavelets: a side of 16 bits is halved no more often.
const LEVELS_MAX: u32 = 16;
/// Bits that survive 32-bit floats through wavelet and color transform.
const BITS_MAX: u16 = 16;

/// A codestream that keeps to [`Bounds`].
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Headers {
    pub(super) bits: u16,
    pub(super) is_signed: bool,
    pub(super) has_color_transform: bool,
    pub(super) is_high_throughput: bool,
    /// The bytes up to its end marker, without it.
    pub(super) length: usize,
}

struct Size {
    samples: u16,
    bits: u16,
    is_signed: bool,
    tile_columns: u64,
    tile_rows: u64,
    tiles: u64,
    pixels: u64,
}

#[derive(Default)]
struct Style {
    /// The most that occur.
    layers: u64,
    has_color_transform: bool,
    is_high_throughput: bool,
    lacks_guard_bits: bool,
    has_unknown_segments: bool,
    /// Of the wavelet, the most that occur.
    levels: u32,
    /// Code-blocks and precincts of one tile of one component, in the finest style that occurs.
    pieces: u64,
    progressions: usize,
    is_known: bool,
}

/// Reads forward; the end of the bytes is [`Fault::CutOff`].
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Fault> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Fault::CutOff)?;
        self.0 = rest;
        Ok(taken)
    }

    fn number(&mut self, bytes: usize) -> Result<u32, Fault> {
        let taken = self.take(bytes)?;
        Ok(taken
            .iter()
            .fold(0, |number, byte| number << 8 | u32::from(*byte)))
    }

    /// The content of a marker segment.
    fn segment(&mut self) -> Result<Reader<'a>, Fault> {
        let length = self.number(2)? as usize;
        let content = length
            .checked_sub(2)
            .ok_or(Fault::Malformed("the length of a JPEG 2000 segment"))?;
        self.take(content).map(Reader)
    }
}

/// # Errors
/// When the codestream is not whole, is not as the data set says, or would cost more than its pixels.
pub(super) fn read(codestream: &[u8], bounds: &Bounds) -> Result<Headers, Fault> {
    let mut reader = Reader(codestream);
    if (reader.number(2)?, reader.number(2)?) != (0xFF4F, 0xFF51) {
        return Err(Fault::Malformed("the beginning of a JPEG 2000 codestream"));
    }
    let size = size(reader.segment()?, bounds)?;
    let mut style = main_header(&mut reader, &size)?;
    let length = tile_parts(codestream, reader, &size, &mut style)?;
    let pieces = style
        .pieces
        .saturating_mul(style.layers)
        .saturating_mul(size.tiles)
        .saturating_mul(size.samples.into());
    let samples = size.pixels.saturating_mul(size.samples.into());
    if pieces > PIECES_FREE + samples / PIECE_SAMPLES_MIN || style.progressions > PROGRESSIONS_MAX {
        return Err(Fault::Unsupported(
            "JPEG 2000 of more pieces than its pixels are worth",
        ));
    }
    // Nobody writes these. The decoder counts the bit planes of a band to less than none without guard
    // bits, shifts sides of 32 bits by more than they have with precincts on more levels, and reads
    // into a segment that it does not know.
    if style.is_high_throughput
        && (style.lacks_guard_bits || style.levels > LEVELS_MAX || style.has_unknown_segments)
    {
        return Err(Fault::Unsupported(
            "High-Throughput JPEG 2000 without guard bits, of so many levels or with unknown segments",
        ));
    }
    Ok(Headers {
        bits: size.bits,
        is_signed: size.is_signed,
        has_color_transform: style.has_color_transform,
        is_high_throughput: style.is_high_throughput,
        length,
    })
}

/// §A.5.1.
fn size(mut segment: Reader<'_>, bounds: &Bounds) -> Result<Size, Fault> {
    const MALFORMED: Fault = Fault::Malformed("the image size of a JPEG 2000 codestream");
    let _capabilities = segment.number(2)?;
    let (right, bottom) = (segment.number(4)?, segment.number(4)?);
    let (left, top) = (segment.number(4)?, segment.number(4)?);
    let (tile_columns, tile_rows) = (segment.number(4)?, segment.number(4)?);
    let (tile_left, tile_top) = (segment.number(4)?, segment.number(4)?);
    let samples = u16::try_from(segment.number(2)?).map_err(|_| MALFORMED)?;
    if segment.0.len() != 3 * usize::from(samples) || tile_columns == 0 || tile_rows == 0 {
        return Err(MALFORMED);
    }
    if samples != 1 && samples != 3 {
        return Err(Fault::Unsupported(
            "JPEG 2000 of other than 1 or 3 components",
        ));
    }
    let depth = segment.0[0];
    if segment
        .0
        .chunks(3)
        .any(|component| component != [depth, 1, 1])
    {
        return Err(Fault::Unsupported("JPEG 2000 with components that differ"));
    }
    let rows = bottom.checked_sub(top).ok_or(MALFORMED)?;
    let columns = right.checked_sub(left).ok_or(MALFORMED)?;
    let bits = u16::from(depth & 0x7F) + 1;
    bounds.agree(rows, columns, samples, bits)?;
    bounds.sample_count()?;
    if bits > BITS_MAX {
        return Err(Fault::Unsupported("JPEG 2000 of more than 16 bits"));
    }
    // The first tile is not empty (§B.3).
    let is_first = |tile_start: u32, tile_side: u32, start: u32| {
        tile_start <= start && u64::from(tile_start) + u64::from(tile_side) > u64::from(start)
    };
    if !is_first(tile_left, tile_columns, left) || !is_first(tile_top, tile_rows, top) {
        return Err(MALFORMED);
    }
    let along = |end: u32, start: u32, side: u32| u64::from((end - start).div_ceil(side));
    let tiles =
        along(right, tile_left, tile_columns).saturating_mul(along(bottom, tile_top, tile_rows));
    let pixels = u64::from(rows) * u64::from(columns);
    if tiles > u64::from(u16::MAX) || tiles > TILES_FREE + pixels / TILE_PIXELS_MIN {
        return Err(Fault::Unsupported("JPEG 2000 of so many tiles"));
    }
    Ok(Size {
        samples,
        bits,
        is_signed: depth & 0x80 != 0,
        tile_columns: u64::from(tile_columns.min(columns)),
        tile_rows: u64::from(tile_rows.min(rows)),
        tiles,
        pixels,
    })
}

/// Up to the first tile-part (§A.3).
fn main_header(reader: &mut Reader<'_>, size: &Size) -> Result<Style, Fault> {
    let mut style = Style::default();
    while !reader.0.starts_with(&[0xFF, 0x90]) {
        let marker = reader.number(2)?;
        let segment = reader.segment()?;
        match marker {
            0xFF52 | 0xFF53 => coding(marker, segment, size, &mut style)?,
            0xFF5C | 0xFF5D => quantization(marker, segment, &mut style)?,
            // POC: of 7 bytes each where components have one (§A.6.6).
            0xFF5F => style.progressions += segment.0.len().div_ceil(7),
            // MCT, MCC, NLT, MCO, CBD and the wavelets of Part 2 (15444-2 §A.3).
            0xFF72..=0xFF79 => {
                return Err(Fault::Unsupported(
                    "JPEG 2000 with transforms of its Part 2",
                ));
            }
            0xFF50..=0xFF6F => style.has_unknown_segments |= !is_known(marker),
            _ => return Err(Fault::Malformed("a JPEG 2000 header")),
        }
    }
    if style.is_known {
        Ok(style)
    } else {
        Err(Fault::Malformed("a JPEG 2000 header without coding style"))
    }
}

/// COD and, for one component, COC (§A.6.1, §A.6.2); also of a tile, which may not change whether
/// colors are transformed.
fn coding(
    marker: u32,
    mut segment: Reader<'_>,
    size: &Size,
    style: &mut Style,
) -> Result<(), Fault> {
    if marker == 0xFF53 {
        let _component = segment.number(1)?;
    }
    let has_precincts = segment.number(1)? & 1 != 0;
    if marker == 0xFF52 {
        let _progression = segment.number(1)?;
        let layers = u64::from(segment.number(2)?);
        let has_color_transform = match segment.number(1)? {
            0 => false,
            1 if size.samples == 3 => true,
            _ => return Err(Fault::Unsupported("a JPEG 2000 component transform")),
        };
        if layers == 0 {
            return Err(Fault::Malformed("a JPEG 2000 codestream without layers"));
        }
        if style.is_known && style.has_color_transform != has_color_transform {
            return Err(Fault::Unsupported("JPEG 2000 with tiles that differ"));
        }
        style.has_color_transform = has_color_transform;
        style.layers = style.layers.max(layers);
        style.is_known = true;
    }
    blocks(segment, has_precincts, size, style)
}

/// Table A.15, and what it cuts a tile into (§B.6, §B.7).
fn blocks(
    mut segment: Reader<'_>,
    has_precincts: bool,
    size: &Size,
    style: &mut Style,
) -> Result<(), Fault> {
    const MALFORMED: Fault = Fault::Malformed("the coding style of a JPEG 2000 codestream");
    let levels = segment.number(1)?;
    let (width, height) = (segment.number(1)? + 2, segment.number(1)? + 2);
    style.is_high_throughput |= segment.number(1)? & 0x40 != 0;
    let _wavelet = segment.number(1)?;
    if levels > 32 || width > 10 || height > 10 || width + height > 12 {
        return Err(MALFORMED);
    }
    style.levels = style.levels.max(levels);
    let mut pieces = 0_u64;
    for level in 0..=levels {
        // Precincts cut the bands, which are half their resolution, except in the lowest.
        let (bands, halving) = if level == 0 { (1, 0) } else { (3, 1) };
        let (mut precinct_width, mut precinct_height) = (15, 15);
        if has_precincts {
            let both = segment.number(1)?;
            (precinct_width, precinct_height) = (both & 15, both >> 4);
        }
        let side = |whole: u64, precinct: u32, block: u32| {
            let precinct = precinct.checked_sub(halving).ok_or(MALFORMED)?;
            let band = whole.div_ceil(1 << (levels - level + halving).min(40));
            // An edge may cut a piece in two at either end.
            Ok::<_, Fault>((band >> precinct.min(block)) + 2)
        };
        let across = side(size.tile_columns, precinct_width, width)?;
        let down = side(size.tile_rows, precinct_height, height)?;
        pieces = pieces.saturating_add(across.saturating_mul(down).saturating_mul(bands));
    }
    if !segment.0.is_empty() {
        return Err(MALFORMED);
    }
    style.pieces = style.pieces.max(pieces);
    Ok(())
}

/// Whether a segment is one of Table A.2, or CAP and CPF of Part 15.
fn is_known(marker: u32) -> bool {
    !matches!(
        marker,
        0xFF54 | 0xFF56 | 0xFF5A | 0xFF5B | 0xFF62 | 0xFF65..
    )
}

/// QCD and, for one component, QCC (§A.6.4, §A.6.5).
fn quantization(marker: u32, mut segment: Reader<'_>, style: &mut Style) -> Result<(), Fault> {
    if marker == 0xFF5D {
        let _component = segment.number(1)?;
    }
    style.lacks_guard_bits |= segment.number(1)? >> 5 == 0;
    Ok(())
}

/// Walks the tile-parts (§A.4.2) to the end marker; where they end.
fn tile_parts(
    codestream: &[u8],
    mut reader: Reader<'_>,
    size: &Size,
    style: &mut Style,
) -> Result<usize, Fault> {
    const MALFORMED: Fault = Fault::Malformed("a tile of a JPEG 2000 codestream");
    let mut is_there = vec![false; usize::try_from(size.tiles).map_err(|_| MALFORMED)?];
    let mut missing = is_there.len();
    while reader.0.starts_with(&[0xFF, 0x90]) {
        let whole = reader.0;
        reader.take(2)?;
        let mut segment = reader.segment()?;
        let (tile, length) = (segment.number(2)?, segment.number(4)? as usize);
        let place = is_there.get_mut(tile as usize).ok_or(MALFORMED)?;
        missing -= usize::from(!std::mem::replace(place, true));
        let length = match length {
            // The last one may reach up to the end marker.
            0 => {
                let end = whole
                    .iter()
                    .rposition(|byte| *byte != 0)
                    .map_or(0, |at| at + 1);
                let content = whole[..end].strip_suffix(&[0xFF, 0xD9]);
                content.ok_or(Fault::CutOff)?.len()
            }
            length => length,
        };
        let content = whole.get(..length).ok_or(Fault::CutOff)?;
        let mut header = Reader(content.get(12..).ok_or(MALFORMED)?);
        loop {
            match header.number(2).map_err(|_| MALFORMED)? {
                0xFF93 => break,
                marker @ (0xFF52 | 0xFF53) => {
                    let segment = header.segment().map_err(|_| MALFORMED)?;
                    coding(marker, segment, size, style)?;
                }
                marker @ (0xFF5C | 0xFF5D) => {
                    let segment = header.segment().map_err(|_| MALFORMED)?;
                    quantization(marker, segment, style)?;
                }
                marker @ 0xFF50..=0xFF6F => {
                    let segment = header.segment().map_err(|_| MALFORMED)?;
                    style.has_unknown_segments |= !is_known(marker);
                    if marker == 0xFF5F {
                        style.progressions += segment.0.len().div_ceil(7);
                    }
                }
                _ => return Err(MALFORMED),
            }
        }
        reader = Reader(&whole[length..]);
    }
    // Every byte of every tile is there: a missing end marker takes nothing away.
    let is_ended = reader.0.starts_with(&[0xFF, 0xD9]) || reader.0.iter().all(|byte| *byte == 0);
    match (is_ended, missing) {
        (true, 0) => Ok(codestream.len() - reader.0.len()),
        (true, _) => Err(Fault::CutOff),
        (false, _) if reader.0.len() < 2 => Err(Fault::CutOff),
        (false, _) => Err(MALFORMED),
    }
}
