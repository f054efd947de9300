//! The objects of a PDF file (ISO 32000-1 §7.5): body, cross-reference table, trailer; fonts as composite fonts with
//! Identity-H, a map from character identifiers to glyphs and one to Unicode (§9.7).

use std::fmt::Write as _;
use std::io::Write as _;

use flate2::Compression;
use flate2::write::ZlibEncoder;

use super::About;
use super::fonts::Embedded;

/// A page of A4, in points.
pub(super) const PAGE: (f32, f32) = (595.28, 841.89);

const CATALOG: usize = 1;
const PAGES: usize = 2;
const INFO: usize = 3;
const FIRST_FONT: usize = 4;
/// Font, descendant, descriptor, file, glyph map, Unicode map.
const FONT_OBJECTS: usize = 6;

#[derive(Debug, Default)]
struct File {
    bytes: Vec<u8>,
    /// Where each object begins, from 1.
    offsets: Vec<usize>,
}

impl File {
    /// Objects are written in the order of their numbers.
    fn object(&mut self, body: &str) {
        self.offsets.push(self.bytes.len());
        let number = self.offsets.len();
        self.text(&format!("{number} 0 obj\n{body}\nendobj\n"));
    }

    fn stream(&mut self, entries: &str, data: &[u8]) {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        let packed = encoder
            .write_all(data)
            .and_then(|()| encoder.finish())
            .expect("a Vec takes every byte");
        self.offsets.push(self.bytes.len());
        let number = self.offsets.len();
        let length = packed.len();
        self.text(&format!(
            "{number} 0 obj\n<< {entries} /Filter /FlateDecode /Length {length} >>\nstream\n"
        ));
        self.bytes.extend_from_slice(&packed);
        self.text("\nendstream\nendobj\n");
    }

    fn text(&mut self, text: &str) {
        self.bytes.extend_from_slice(text.as_bytes());
    }
}

/// The file of these pages, each the operators that draw it.
pub(super) fn file(pages: &[String], fonts: &[Embedded], about: &About<'_>) -> Vec<u8> {
    let mut file = File::default();
    file.text("%PDF-1.7\n");
    file.bytes.extend_from_slice(b"%\xE2\xE3\xCF\xD3\n");
    let first_page = FIRST_FONT + fonts.len() * FONT_OBJECTS;
    file.object(&format!(
        "<< /Type /Catalog /Pages {PAGES} 0 R /Lang {} /ViewerPreferences << /DisplayDocTitle true >> >>",
        string(about.language)
    ));
    let kids: Vec<_> = (0..pages.len())
        .map(|at| format!("{} 0 R", first_page + at * 2))
        .collect();
    file.object(&format!(
        "<< /Type /Pages /Count {} /Kids [{}] >>",
        pages.len(),
        kids.join(" ")
    ));
    file.object(&format!(
        "<< /Title {} /Author {} /Producer (Overread) /CreationDate (D:{}Z) >>",
        string(about.title),
        string(about.author),
        about.created
    ));
    for font in fonts {
        embed(&mut file, font);
    }
    let named: String = fonts
        .iter()
        .enumerate()
        .fold(String::new(), |mut all, (at, font)| {
            let _ = write!(
                all,
                "/F{} {} 0 R ",
                font.face,
                FIRST_FONT + at * FONT_OBJECTS
            );
            all
        });
    for (at, page) in pages.iter().enumerate() {
        let content = first_page + at * 2 + 1;
        file.object(&format!(
            "<< /Type /Page /Parent {PAGES} 0 R /MediaBox [0 0 {} {}] /Resources << /Font << {named}>> >> /Contents {content} 0 R >>",
            PAGE.0, PAGE.1
        ));
        file.stream("", page.as_bytes());
    }
    finish(file)
}

fn finish(mut file: File) -> Vec<u8> {
    let digest = blake3::hash(&file.bytes).to_hex();
    let id = &digest.as_str()[..32];
    let start = file.bytes.len();
    let size = file.offsets.len() + 1;
    let mut end = format!("xref\n0 {size}\n0000000000 65535 f \n");
    for offset in &file.offsets {
        let _ = writeln!(end, "{offset:010} 00000 n ");
    }
    let _ = write!(
        end,
        "trailer\n<< /Size {size} /Root {CATALOG} 0 R /Info {INFO} 0 R /ID [<{id}> <{id}>] >>\nstartxref\n{start}\n%%EOF\n"
    );
    file.text(&end);
    file.bytes
}

fn embed(file: &mut File, font: &Embedded) {
    let number = file.offsets.len() + 1;
    // Six letters tell subsets of one face apart (ISO 32000-1 §9.6.4).
    let tag: String = blake3::hash(&font.file).as_bytes()[..6]
        .iter()
        .map(|byte| char::from(b'A' + byte % 26))
        .collect();
    let name = format!("{tag}+{}", font.name);
    let [descendant, descriptor, data, glyphs, unicode] = [1, 2, 3, 4, 5].map(|next| number + next);
    file.object(&format!(
        "<< /Type /Font /Subtype /Type0 /BaseFont /{name} /Encoding /Identity-H /DescendantFonts [{descendant} 0 R] /ToUnicode {unicode} 0 R >>"
    ));
    let widths: Vec<_> = font
        .widths
        .iter()
        .map(|width| format!("{width:.0}"))
        .collect();
    file.object(&format!(
        "<< /Type /Font /Subtype /CIDFontType2 /BaseFont /{name} /CIDSystemInfo << /Registry (Adobe) /Ordering (Identity) /Supplement 0 >> \
         /FontDescriptor {descriptor} 0 R /CIDToGIDMap {glyphs} 0 R /DW 0 /W [1 [{}]] >>",
        widths.join(" ")
    ));
    let [left, bottom, right, top] = font.bounds;
    file.object(&format!(
        "<< /Type /FontDescriptor /FontName /{name} /Flags 4 /FontBBox [{left:.0} {bottom:.0} {right:.0} {top:.0}] /ItalicAngle 0 \
         /Ascent {:.0} /Descent {:.0} /CapHeight {:.0} /StemV 80 /FontFile2 {data} 0 R >>",
        font.ascent, font.descent, font.ascent
    ));
    file.stream(&format!("/Length1 {}", font.file.len()), &font.file);
    let map: Vec<u8> = std::iter::once(0)
        .chain(font.map.iter().copied())
        .flat_map(u16::to_be_bytes)
        .collect();
    file.stream("", &map);
    file.stream("", to_unicode(font).as_bytes());
}

/// At most a hundred entries stand together (ISO 32000-1 §9.10.3).
const ENTRIES_MAX: usize = 100;

fn to_unicode(font: &Embedded) -> String {
    let mut map = String::from(
        "/CIDInit /ProcSet findresource begin\n12 dict begin\nbegincmap\n\
         /CIDSystemInfo << /Registry (Adobe) /Ordering (UCS) /Supplement 0 >> def\n\
         /CMapName /Adobe-Identity-UCS def\n/CMapType 2 def\n1 begincodespacerange\n<0000> <FFFF>\nendcodespacerange\n",
    );
    let texts: Vec<_> = font
        .texts
        .iter()
        .enumerate()
        .filter(|(_, text)| !text.is_empty())
        .collect();
    for part in texts.chunks(ENTRIES_MAX) {
        let _ = writeln!(map, "{} beginbfchar", part.len());
        for (at, text) in part {
            let _ = write!(map, "<{:04X}> <", at + 1);
            text.encode_utf16().for_each(|unit| {
                let _ = write!(map, "{unit:04X}");
            });
            map.push_str(">\n");
        }
        map.push_str("endbfchar\n");
    }
    map.push_str("endcmap\nCMapName currentdict /CMap defineresource pop\nend\nend\n");
    map
}

/// A text string (ISO 32000-1 §7.9.2.2), in UTF-16.
fn string(text: &str) -> String {
    let mut out = String::from("<FEFF");
    text.encode_utf16().for_each(|unit| {
        let _ = write!(out, "{unit:04X}");
    });
    out.push('>');
    out
}
