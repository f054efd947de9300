//! The letters of the PDF: the faces that lie beside this file (fonts/README.md), shaped by `rustybuzz`, and the account
//! of what a document uses of them.
//!
//! A character identifier (CID) of a face stands for a glyph and the text it came from, so that text comes out of the PDF
//! as it went in: ligatures, Arabic forms and letters that no face has alike.

use std::collections::{BTreeSet, HashMap};
use std::sync::OnceLock;

use rustybuzz::{Direction, Face, GlyphBuffer, Script, ShapePlan, UnicodeBuffer};
use subsetter::GlyphRemapper;
use unicode_normalization::char::is_combining_mark;

/// How a text looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Regular,
    Bold,
}

/// A face that lies beside this file.
struct Source {
    /// In the PDF.
    name: &'static str,
    /// TrueType, compressed by zstd.
    packed: &'static [u8],
    /// The code points that it is asked for; all for none.
    ranges: &'static [(u32, u32)],
}

macro_rules! source {
    ($name:literal, $file:literal, $($from:literal - $to:literal),*) => {
        Source {
            name: $name,
            packed: include_bytes!(concat!("fonts/", $file, ".ttf.zst")),
            ranges: &[$(($from, $to)),*],
        }
    };
}

/// The faces, in the order in which they are asked.
#[rustfmt::skip]
const FACES: [Source; 17] = [
    source!("DejaVuSans", "DejaVuSans",),
    source!("DejaVuSans-Bold", "DejaVuSans-Bold",),
    source!("DroidSansFallback", "DroidSansFallback", 0x1100-0x11FF, 0x2E80-0xA4CF, 0xAC00-0xD7FF, 0xF900-0xFAFF, 0xFE10-0xFE6F, 0xFF00-0xFFEF),
    source!("NotoSansDevanagari", "NotoSansDevanagari-Regular", 0x0900-0x097F, 0x1CD0-0x1CFF, 0xA8E0-0xA8FF),
    source!("NotoSansBengali", "NotoSansBengali-Regular", 0x0980-0x09FF),
    source!("NotoSansGurmukhi", "NotoSansGurmukhi-Regular", 0x0A00-0x0A7F),
    source!("NotoSansGujarati", "NotoSansGujarati-Regular", 0x0A80-0x0AFF),
    source!("NotoSansOriya", "NotoSansOriya-Regular", 0x0B00-0x0B7F),
    source!("NotoSansTamil", "NotoSansTamil-Regular", 0x0B80-0x0BFF),
    source!("NotoSansTelugu", "NotoSansTelugu-Regular", 0x0C00-0x0C7F),
    source!("NotoSansKannada", "NotoSansKannada-Regular", 0x0C80-0x0CFF),
    source!("NotoSansMalayalam", "NotoSansMalayalam-Regular", 0x0D00-0x0D7F),
    source!("NotoSansSinhala", "NotoSansSinhala-Regular", 0x0D80-0x0DFF),
    source!("NotoSansThai", "NotoSansThai-Regular", 0x0E00-0x0E7F),
    source!("NotoSansKhmer", "NotoSansKhmer-Regular", 0x1780-0x17FF, 0x19E0-0x19FF),
    source!("NotoSansMyanmar", "NotoSansMyanmar-Regular", 0x1000-0x109F, 0xA9E0-0xA9FF, 0xAA60-0xAA7F),
    source!("NotoSansEthiopic", "NotoSansEthiopic-Regular", 0x1200-0x139F, 0x2D80-0x2DDF, 0xAB00-0xAB2F),
];
const REGULAR: usize = 0;
const BOLD: usize = 1;

/// Larger than each of them.
const FACE_BYTES_MAX: usize = 8 << 20;

/// Stands for a letter that no face has.
const BOX: char = '□';

/// As many as two bytes tell apart.
const CIDS_MAX: usize = 0xFFFF;

fn bytes(face: usize) -> &'static [u8] {
    static BYTES: [OnceLock<Vec<u8>>; FACES.len()] = [const { OnceLock::new() }; FACES.len()];
    BYTES[face].get_or_init(|| {
        zstd::bulk::decompress(FACES[face].packed, FACE_BYTES_MAX)
            .expect("the program's own fonts are whole")
    })
}

/// A glyph in its place, in thousandths of the size of its text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Glyph {
    pub(super) face: usize,
    pub(super) cid: u16,
    /// How far the pen goes on.
    pub(super) advance: f32,
    /// How far the PDF believes it goes.
    pub(super) width: f32,
    /// Where it is drawn, from the pen.
    pub(super) shift: (f32, f32),
}

/// A character identifier.
#[derive(Debug)]
struct Cid {
    glyph: u16,
    width: f32,
    text: String,
}

/// What a document uses of a face.
struct Used {
    face: Face<'static>,
    cids: Vec<Cid>,
    found: HashMap<(u16, String), u16>,
    /// Working one out takes longer than most texts; there are as many as scripts.
    plans: Vec<(Direction, Script, ShapePlan)>,
}

/// The faces of one document.
#[derive(Default)]
pub(super) struct Fonts {
    used: [Option<Used>; FACES.len()],
    missing: BTreeSet<char>,
}

impl Fonts {
    /// The characters that were asked for and that no face has.
    pub(super) fn missing(&self) -> impl Iterator<Item = char> {
        self.missing.iter().copied()
    }

    fn used(&mut self, face: usize) -> &mut Used {
        self.used[face].get_or_insert_with(|| Used {
            face: Face::from_slice(bytes(face), 0).expect("the program's own fonts are fonts"),
            cids: Vec::new(),
            found: HashMap::new(),
            plans: Vec::new(),
        })
    }

    fn has(&mut self, face: usize, c: char) -> bool {
        self.used(face).face.glyph_index(c).is_some()
    }

    /// The face that writes a character; `None` when none does.
    fn face_of(&mut self, c: char, style: Style) -> Option<usize> {
        let first = match style {
            Style::Regular => REGULAR,
            Style::Bold => BOLD,
        };
        let code = u32::from(c);
        let asked = |face: &usize| {
            FACES[*face]
                .ranges
                .iter()
                .any(|(from, to)| (*from..=*to).contains(&code))
        };
        [first, REGULAR]
            .into_iter()
            .chain((0..FACES.len()).filter(asked))
            .find(|face| self.has(*face, c))
    }

    /// How wide a text is, in thousandths of its size, without taking note of it.
    pub(super) fn width(&mut self, text: &str, style: Style) -> f32 {
        let mut width = 0.0;
        for (face, part) in self.parts(text, style) {
            let used = self.used(face.unwrap_or(REGULAR));
            let mut chars = part.chars();
            width += match (face, chars.next(), chars.next()) {
                // Most of what is measured in long words, and in scripts without spaces.
                (Some(_), Some(c), None) => used.advance(c),
                (Some(_), ..) => used.width(part),
                (None, ..) => used.advance(BOX) * part.chars().count() as f32,
            };
        }
        width
    }

    /// The glyphs of a text of one direction, from left to right.
    pub(super) fn shape(&mut self, text: &str, style: Style, is_rtl: bool, out: &mut Vec<Glyph>) {
        let mut parts = self.parts(text, style);
        if is_rtl {
            parts.reverse();
        }
        for (face, part) in parts {
            match face {
                Some(face) => self.shape_part(face, part, is_rtl, out),
                None => self.boxes(part, is_rtl, out),
            }
        }
    }

    /// A text cut where the face changes; what shows nothing by itself stays with what it stands beside.
    fn parts<'a>(&mut self, text: &'a str, style: Style) -> Vec<(Option<usize>, &'a str)> {
        let mut parts: Vec<(Option<usize>, &str)> = Vec::new();
        let (mut start, mut now) = (0, None::<Option<usize>>);
        for (at, c) in text.char_indices() {
            if is_ignorable(c) && now.is_some() {
                continue;
            }
            let keeps = match now {
                Some(Some(face)) => (is_combining_mark(c) || c == ' ') && self.has(face, c),
                _ => false,
            };
            if keeps {
                continue;
            }
            let face = if is_ignorable(c) {
                Some(REGULAR)
            } else {
                self.face_of(c, style)
            };
            if let Some(before) = now
                && before != face
            {
                parts.push((before, &text[start..at]));
                start = at;
            }
            now = Some(face);
        }
        if let Some(face) = now {
            parts.push((face, &text[start..]));
        }
        parts
    }

    fn shape_part(&mut self, face: usize, text: &str, is_rtl: bool, out: &mut Vec<Glyph>) {
        let used = self.used(face);
        let scale = 1000.0 / used.face.units_per_em() as f32;
        let shaped = used.shaped(text, Some(is_rtl));
        let mut starts: Vec<usize> = shaped
            .glyph_infos()
            .iter()
            .map(|info| info.cluster as usize)
            .collect();
        starts.sort_unstable();
        starts.dedup();
        let mut before = None;
        for (info, at) in shaped.glyph_infos().iter().zip(shaped.glyph_positions()) {
            let start = info.cluster as usize;
            // Of several glyphs of one text, the first bears it.
            let said = if before == Some(start) {
                ""
            } else {
                let end = starts.partition_point(|other| *other <= start);
                let end = starts.get(end).copied().unwrap_or(text.len());
                text.get(start..end).unwrap_or_default()
            };
            before = Some(start);
            let (cid, width) = used.cid(u16::try_from(info.glyph_id).unwrap_or_default(), said);
            out.push(Glyph {
                face,
                cid,
                advance: at.x_advance as f32 * scale,
                width,
                shift: (at.x_offset as f32 * scale, at.y_offset as f32 * scale),
            });
        }
    }

    fn boxes(&mut self, text: &str, is_rtl: bool, out: &mut Vec<Glyph>) {
        let mut chars: Vec<char> = text.chars().filter(|c| !is_ignorable(*c)).collect();
        self.missing.extend(&chars);
        if is_rtl {
            chars.reverse();
        }
        let used = self.used(REGULAR);
        let glyph = used.face.glyph_index(BOX).unwrap_or_default().0;
        for c in chars {
            let (cid, width) = used.cid(glyph, c.encode_utf8(&mut [0; 4]));
            out.push(Glyph {
                face: REGULAR,
                cid,
                advance: width,
                width,
                shift: (0.0, 0.0),
            });
        }
    }

    /// The faces that were used, as they go into the file.
    pub(super) fn embedded(&self) -> Vec<Embedded> {
        let all = self.used.iter().enumerate();
        all.filter_map(|(at, used)| Some((at, used.as_ref()?)))
            .filter(|(_, used)| !used.cids.is_empty())
            .map(|(at, used)| used.embed(at))
            .collect()
    }
}

impl Used {
    /// `is_rtl` is worked out from the text when nobody knows.
    fn shaped(&mut self, text: &str, is_rtl: Option<bool>) -> GlyphBuffer {
        let buffer = buffer(text, is_rtl);
        let (direction, script) = (buffer.direction(), buffer.script());
        let known = self
            .plans
            .iter()
            .position(|plan| (plan.0, plan.1) == (direction, script));
        let at = known.unwrap_or_else(|| {
            let plan = ShapePlan::new(&self.face, direction, Some(script), None, &[]);
            self.plans.push((direction, script, plan));
            self.plans.len() - 1
        });
        rustybuzz::shape_with_plan(&self.face, &self.plans[at].2, buffer)
    }

    fn width(&mut self, text: &str) -> f32 {
        let shaped = self.shaped(text, None);
        let units: i64 = shaped
            .glyph_positions()
            .iter()
            .map(|at| i64::from(at.x_advance))
            .sum();
        units as f32 * 1000.0 / self.face.units_per_em() as f32
    }

    fn advance(&self, c: char) -> f32 {
        let glyph = self.face.glyph_index(c).unwrap_or_default();
        let units = self.face.glyph_hor_advance(glyph).unwrap_or_default();
        f32::from(units) * 1000.0 / self.face.units_per_em() as f32
    }

    fn cid(&mut self, glyph: u16, text: &str) -> (u16, f32) {
        let width = self
            .face
            .glyph_hor_advance(rustybuzz::ttf_parser::GlyphId(glyph))
            .map_or(0.0, |units| {
                f32::from(units) * 1000.0 / self.face.units_per_em() as f32
            });
        let key = (glyph, text.to_owned());
        if let Some(cid) = self.found.get(&key) {
            return (*cid, width);
        }
        if self.cids.len() >= CIDS_MAX {
            // More combinations than a font tells apart: the glyph is right, its text another's.
            let other = self.cids.iter().position(|cid| cid.glyph == glyph);
            return (
                other.map_or(0, |at| u16::try_from(at + 1).unwrap_or_default()),
                width,
            );
        }
        self.cids.push(Cid {
            glyph,
            width,
            text: text.to_owned(),
        });
        let cid = u16::try_from(self.cids.len()).unwrap_or_default();
        self.found.insert(key, cid);
        (cid, width)
    }

    fn embed(&self, at: usize) -> Embedded {
        let mut glyphs = GlyphRemapper::new();
        let map = self
            .cids
            .iter()
            .map(|cid| glyphs.remap(cid.glyph))
            .collect();
        let file =
            subsetter::subset(bytes(at), 0, &glyphs).expect("the program's own fonts can be cut");
        let scale = 1000.0 / self.face.units_per_em() as f32;
        let bounds = self.face.global_bounding_box();
        let of = |units: i16| f32::from(units) * scale;
        Embedded {
            face: at,
            name: FACES[at].name,
            file,
            map,
            widths: self.cids.iter().map(|cid| cid.width).collect(),
            texts: self.cids.iter().map(|cid| cid.text.clone()).collect(),
            ascent: of(self.face.ascender()),
            descent: of(self.face.descender()),
            bounds: [bounds.x_min, bounds.y_min, bounds.x_max, bounds.y_max].map(of),
        }
    }
}

/// A face as it goes into the file: CID 1 is the first of each list.
#[derive(Debug)]
pub(super) struct Embedded {
    pub(super) face: usize,
    pub(super) name: &'static str,
    /// TrueType, the glyphs used and no others.
    pub(super) file: Vec<u8>,
    /// The glyph in the file.
    pub(super) map: Vec<u16>,
    pub(super) widths: Vec<f32>,
    pub(super) texts: Vec<String>,
    pub(super) ascent: f32,
    pub(super) descent: f32,
    pub(super) bounds: [f32; 4],
}

fn buffer(text: &str, is_rtl: Option<bool>) -> UnicodeBuffer {
    let mut buffer = UnicodeBuffer::new();
    buffer.push_str(text);
    buffer.guess_segment_properties();
    if let Some(is_rtl) = is_rtl {
        buffer.set_direction(if is_rtl {
            Direction::RightToLeft
        } else {
            Direction::LeftToRight
        });
    }
    buffer
}

/// What shows nothing by itself: joiners, marks of direction, variation selectors.
fn is_ignorable(c: char) -> bool {
    matches!(c, '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{200B}'..='\u{200F}' | '\u{2060}'..='\u{206F}' | '\u{FE00}'..='\u{FE0F}' | '\u{E0000}'..='\u{E0FFF}')
}
