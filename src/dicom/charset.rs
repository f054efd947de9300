//! Specific Character Set (0008,0005): the bytes of text values made UTF-8
//! (PS3.3 §C.12.1.1.2, PS3.5 §6.1).
//!
//! A [`Charset`] is a few bytes and copied freely. Decoding never fails: what cannot be read
//! becomes U+FFFD. Delimiters are told from trail bytes (0x5C inside a GBK character is none), so
//! values, components and groups are split *after* decoding: only a delimiter becomes an ASCII
//! backslash, caret or equals sign.
//!
//! Lenient where files in the wild are wrong: misspelt terms and labels of other worlds (`latin1`,
//! `ISO-IR 100`) are understood; escape sequences are obeyed whether announced or not; Shift-JIS
//! under `ISO_IR 13` is read; bytes above 0x7F without any announced set are UTF-8 when they are
//! valid UTF-8, otherwise Latin-1.

use std::borrow::Cow;

use dicom_core::VR;
use encoding_rs::{EUC_JP, EUC_KR, Encoding, GB18030, GBK, SHIFT_JIS};

const ESC: u8 = 0x1B;

/// How the text of a data set, or of one item, is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Charset(Coding);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    /// ISO 2022: what is designated before the first escape sequence and after each reset.
    Iso2022 { g0: G0, g1: G1 },
    /// ISO_IR 192.
    Utf8,
    /// GB18030, of which GBK is a part.
    Gb18030,
}

/// The set that bytes below 0x80 select from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum G0 {
    Ascii,
    /// ISO-IR 14: ASCII but for yen and overline.
    JisRoman,
    /// ISO-IR 13 in the lower half, as ISO 2022 mail does it.
    Katakana,
    /// ISO-IR 87, two bytes a character.
    JisX0208,
    /// ISO-IR 159, two bytes a character.
    JisX0212,
}

/// The set that bytes from 0x80 select from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum G1 {
    /// Nothing was said.
    Unknown,
    Latin1,
    /// One byte a character.
    Table(&'static Encoding),
    /// ISO-IR 13, read as Shift-JIS, which contains it.
    Katakana,
    /// ISO-IR 149 (EUC-KR) or 58 (GB 2312): both bytes in the upper half.
    Double(&'static Encoding),
}

/// The single-byte sets (PS3.3 Tables C.12-2 and C.12-3) and the G1 multi-byte sets (Table C.12-4):
/// ISO-IR number, final of the escape sequence, set.
const G1_SETS: &[(u16, &[u8], G1)] = &[
    (100, b"-A", G1::Latin1),
    (101, b"-B", G1::Table(encoding_rs::ISO_8859_2)),
    (109, b"-C", G1::Table(encoding_rs::ISO_8859_3)),
    (110, b"-D", G1::Table(encoding_rs::ISO_8859_4)),
    (144, b"-L", G1::Table(encoding_rs::ISO_8859_5)),
    (127, b"-G", G1::Table(encoding_rs::ISO_8859_6)),
    (126, b"-F", G1::Table(encoding_rs::ISO_8859_7)),
    (138, b"-H", G1::Table(encoding_rs::ISO_8859_8)),
    (148, b"-M", G1::Table(encoding_rs::WINDOWS_1254)),
    (203, b"-b", G1::Table(encoding_rs::ISO_8859_15)),
    (166, b"-T", G1::Table(encoding_rs::WINDOWS_874)),
    (13, b")I", G1::Katakana),
    (149, b"$)C", G1::Double(EUC_KR)),
    (58, b"$)A", G1::Double(GBK)),
];

/// The sets that are designated to G0: final of the escape sequence, set. The last three are not
/// DICOM's but are met in Japanese files.
const G0_SETS: &[(&[u8], G0)] = &[
    (b"(B", G0::Ascii),
    (b"(J", G0::JisRoman),
    (b"$B", G0::JisX0208),
    (b"$(D", G0::JisX0212),
    (b"(I", G0::Katakana),
    (b"$@", G0::JisX0208),
    (b"$(B", G0::JisX0208),
];

/// Where the table of the Web reads JIS X 0208 otherwise than ISO-IR 87: its character, ours.
const JIS_X_0208_REPAIRS: &[(char, char)] = &[
    ('\u{FF5E}', '\u{301C}'), // wave dash
    ('\u{2225}', '\u{2016}'), // double vertical line
    ('\u{FF0D}', '\u{2212}'), // minus sign
    ('\u{FFE0}', '\u{00A2}'), // cent sign
    ('\u{FFE1}', '\u{00A3}'), // pound sign
    ('\u{FFE2}', '\u{00AC}'), // not sign
];

/// What one value of (0008,0005) stands for.
enum Term {
    Iso2022(G0, G1),
    Utf8,
    Gb18030,
}

impl Default for Charset {
    fn default() -> Self {
        Self(Coding::Iso2022 {
            g0: G0::Ascii,
            g1: G1::Unknown,
        })
    }
}

impl Charset {
    /// Reads the raw value of (0008,0005). Unknown terms count as the default repertoire.
    #[must_use]
    pub fn from_value(raw: &[u8]) -> Self {
        let mut terms = raw.split(|&b| b == b'\\').map(Term::parse);
        let (g0, mut g1) = match terms.next() {
            Some(Term::Utf8) => return Self(Coding::Utf8),
            Some(Term::Gb18030) => return Self(Coding::Gb18030),
            Some(Term::Iso2022(g0, g1)) => (g0, g1),
            None => (G0::Ascii, G1::Unknown),
        };
        // Value 1 announces nothing for the upper half: files that forget the escape sequence mean
        // the first extension that does.
        for term in terms {
            if let (G1::Unknown, Term::Iso2022(_, extension)) = (g1, term) {
                g1 = extension;
            }
        }
        Self(Coding::Iso2022 { g0, g1 })
    }

    /// The text of a whole value field. Backslashes that delimit values stay backslashes; in ST, LT
    /// and UT, which have one value, 0x5C under ISO-IR 14 is a yen sign. Of VRs outside PS3.5
    /// §6.1.2.3 (CS, UI, DS …) only the default repertoire is expected.
    #[must_use]
    pub fn decode<'a>(self, vr: VR, raw: &'a [u8]) -> Cow<'a, str> {
        let coding = if is_affected(vr) {
            self.0
        } else {
            Self::default().0
        };
        match coding {
            Coding::Utf8 => String::from_utf8_lossy(raw),
            Coding::Gb18030 => decode_borrowing(GB18030, raw),
            Coding::Iso2022 { g0, g1 } => {
                let is_plain = memchr::memchr(ESC, raw).is_none()
                    && (g0 == G0::Ascii || memchr::memchr2(b'\\', b'~', raw).is_none());
                if is_plain
                    && (g1 == G1::Unknown || raw.is_ascii())
                    && let Ok(text) = std::str::from_utf8(raw)
                {
                    return Cow::Borrowed(text);
                }
                Cow::Owned(
                    Decoder {
                        initial: (g0, g1),
                        g0,
                        g1,
                        vr,
                        out: String::with_capacity(raw.len() * 2),
                    }
                    .run(raw),
                )
            }
        }
    }
}

/// Whether (0008,0005) governs a VR (PS3.5 §6.1.2.3).
#[must_use]
pub fn is_affected(vr: VR) -> bool {
    matches!(
        vr,
        VR::SH | VR::LO | VR::ST | VR::LT | VR::PN | VR::UC | VR::UT
    )
}

/// Whether a text VR has one value always, in which a backslash is a character (PS3.5 §6.2).
#[must_use]
pub fn is_single_valued(vr: VR) -> bool {
    matches!(vr, VR::ST | VR::LT | VR::UT | VR::UR)
}

impl Term {
    /// Understands a defined term, whatever its punctuation and case, or a label of the Web.
    fn parse(raw: &[u8]) -> Self {
        let letters: Vec<u8> = raw
            .iter()
            .filter(|b| b.is_ascii_alphanumeric())
            .map(u8::to_ascii_uppercase)
            .collect();
        let bare = [&b"ISO2022IR"[..], b"ISO2022", b"ISOIR", b"IR"]
            .iter()
            .find_map(|prefix| letters.strip_prefix(*prefix))
            .unwrap_or(&letters);
        match bare {
            b"" | b"6" => return Self::Iso2022(G0::Ascii, G1::Unknown),
            b"13" => return Self::Iso2022(G0::JisRoman, G1::Katakana),
            b"192" => return Self::Utf8,
            b"GB18030" | b"GBK" => return Self::Gb18030,
            _ => {}
        }
        let number = std::str::from_utf8(bare)
            .ok()
            .and_then(|text| text.parse::<u16>().ok());
        if let Some((.., g1)) = G1_SETS.iter().find(|(n, ..)| Some(*n) == number) {
            return Self::Iso2022(G0::Ascii, *g1);
        }
        Self::of_label(raw)
    }

    fn of_label(raw: &[u8]) -> Self {
        let trimmed = raw.strip_suffix(b"\0").unwrap_or(raw);
        match Encoding::for_label(trimmed) {
            Some(e) if e == encoding_rs::UTF_8 => Self::Utf8,
            Some(e) if e == GBK || e == GB18030 => Self::Gb18030,
            Some(e) if e == SHIFT_JIS => Self::Iso2022(G0::JisRoman, G1::Katakana),
            Some(e) if e == EUC_KR => Self::Iso2022(G0::Ascii, G1::Double(EUC_KR)),
            Some(e) if e.is_single_byte() => Self::Iso2022(G0::Ascii, G1::Table(e)),
            _ => Self::Iso2022(G0::Ascii, G1::Unknown),
        }
    }
}

/// One run through an ISO 2022 value (PS3.5 §6.1.2.5).
struct Decoder {
    initial: (G0, G1),
    g0: G0,
    g1: G1,
    vr: VR,
    out: String,
}

impl Decoder {
    fn run(mut self, raw: &[u8]) -> String {
        let mut rest = raw;
        while let Some(&byte) = rest.first() {
            let taken = match byte {
                ESC => self.escape(rest),
                0x00..0x20 => self.push_and_reset(byte),
                0x20 => self.push(' '),
                0x80.. => self.upper(rest),
                0x21..=0x7E if matches!(self.g0, G0::JisX0208 | G0::JisX0212) => self.double(rest),
                b'\\' if !is_single_valued(self.vr) => self.push_and_reset(byte),
                b'^' | b'=' if self.vr == VR::PN => self.push_and_reset(byte),
                _ => self.lower(byte),
            };
            // Every arm takes at least one byte and never more than there are.
            rest = &rest[taken..];
        }
        self.out
    }

    fn push(&mut self, c: char) -> usize {
        self.out.push(c);
        1
    }

    /// Control characters and delimiters bring back what was designated at first (PS3.5 §6.1.2.5.3).
    fn push_and_reset(&mut self, byte: u8) -> usize {
        (self.g0, self.g1) = self.initial;
        self.push(char::from(byte))
    }

    fn escape(&mut self, rest: &[u8]) -> usize {
        let after = &rest[1..];
        if let Some((sequence, g0)) = G0_SETS.iter().find(|(s, _)| after.starts_with(s)) {
            self.g0 = *g0;
            return 1 + sequence.len();
        }
        if let Some((_, sequence, g1)) = G1_SETS.iter().find(|(_, s, _)| after.starts_with(s)) {
            self.g1 = *g1;
            return 1 + sequence.len();
        }
        self.push(char::REPLACEMENT_CHARACTER)
    }

    fn lower(&mut self, byte: u8) -> usize {
        self.push(match (self.g0, byte) {
            (G0::JisRoman, b'\\') => '\u{A5}',
            (G0::JisRoman, b'~') => '\u{203E}',
            (G0::Katakana, 0x21..=0x5F) => char::from_u32(0xFF61 + u32::from(byte - 0x21))
                .unwrap_or(char::REPLACEMENT_CHARACTER),
            _ => char::from(byte),
        })
    }

    /// Two-byte characters in G0. JIS X 0208 and 0212 are read by EUC-JP, which holds both.
    fn double(&mut self, rest: &[u8]) -> usize {
        let end = rest
            .iter()
            .position(|b| !(0x21..=0x7E).contains(b))
            .unwrap_or(rest.len());
        let mut euc = Vec::with_capacity(end * 2);
        for pair in rest[..end].chunks(2) {
            if self.g0 == G0::JisX0212 {
                euc.push(0x8F);
            }
            euc.extend(pair.iter().map(|b| b | 0x80));
        }
        let (text, _) = EUC_JP.decode_without_bom_handling(&euc);
        if self.g0 == G0::JisX0208 {
            self.out.extend(text.chars().map(repair_jis_x_0208));
        } else {
            self.out.push_str(&text);
        }
        end
    }

    fn upper(&mut self, rest: &[u8]) -> usize {
        let end = match self.g1 {
            G1::Katakana => shift_jis_run(rest),
            _ => rest.iter().position(|b| *b < 0x80).unwrap_or(rest.len()),
        };
        let run = &rest[..end];
        match self.g1 {
            G1::Unknown => match std::str::from_utf8(run) {
                Ok(text) => self.out.push_str(text),
                Err(_) => self.out.extend(run.iter().map(|b| char::from(*b))),
            },
            G1::Latin1 => self.out.extend(run.iter().map(|b| char::from(*b))),
            G1::Katakana => self
                .out
                .push_str(&SHIFT_JIS.decode_without_bom_handling(run).0),
            G1::Table(encoding) | G1::Double(encoding) => {
                self.out
                    .push_str(&encoding.decode_without_bom_handling(run).0);
            }
        }
        end
    }
}

/// How many bytes from the start are Shift-JIS beyond ASCII, trail bytes below 0x80 included.
fn shift_jis_run(bytes: &[u8]) -> usize {
    let mut end = 0;
    while let Some(&byte) = bytes.get(end) {
        let is_lead = matches!(byte, 0x81..=0x9F | 0xE0..=0xFC);
        let has_trail = bytes
            .get(end + 1)
            .is_some_and(|b| matches!(b, 0x40..=0x7E | 0x80..=0xFC));
        match byte {
            0x00..0x80 => break,
            _ if is_lead && has_trail => end += 2,
            _ => end += 1,
        }
    }
    end
}

fn repair_jis_x_0208(c: char) -> char {
    JIS_X_0208_REPAIRS
        .iter()
        .find(|(theirs, _)| *theirs == c)
        .map_or(c, |(_, ours)| *ours)
}

fn decode_borrowing<'a>(encoding: &'static Encoding, raw: &'a [u8]) -> Cow<'a, str> {
    encoding.decode_without_bom_handling(raw).0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(charset: &[u8], vr: VR, raw: &[u8], text: &str) {
        assert_eq!(
            Charset::from_value(charset).decode(vr, raw),
            text,
            "{:?}",
            String::from_utf8_lossy(charset)
        );
    }

    fn split(charset: &[u8], raw: &[u8]) -> Vec<String> {
        Charset::from_value(charset)
            .decode(VR::LO, raw)
            .split('\\')
            .map(str::to_owned)
            .collect()
    }

    /// DEL is no half of a character: it once kept the decoder going for ever.
    #[test]
    fn delete_among_two_byte_characters_goes_by() {
        check(b"\\ISO 2022 IR 87", VR::LO, b"\x1b$B\x7f;3", "\u{7F}山");
    }

    /// The names of PS3.5 Annexes H, I, J and K, and of pydicom's charset_files.
    #[test]
    fn names_of_the_standard() {
        check(
            b"\\ISO 2022 IR 87",
            VR::PN,
            b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
            "Yamada^Tarou=山田^太郎=やまだ^たろう",
        );
        check(
            b"ISO 2022 IR 13\\ISO 2022 IR 87",
            VR::PN,
            b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J=\x1b$B$d$^$@\x1b(J^\x1b$B$?$m$&\x1b(J",
            "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
        );
        check(
            b"\\ISO 2022 IR 149",
            VR::PN,
            b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
            "Hong^Gildong=洪^吉洞=홍^길동",
        );
        check(
            b"GB18030",
            VR::PN,
            b"Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab",
            "Wang^XiaoDong=王^小东",
        );
        check(
            b"\\ISO 2022 IR 58",
            VR::PN,
            b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab=",
            "Zhang^XiaoDong=张^小东=",
        );
        check(
            b"ISO_IR 192",
            VR::PN,
            "Wang^XiaoDong=王^小東".as_bytes(),
            "Wang^XiaoDong=王^小東",
        );
    }

    #[test]
    fn single_byte_sets() {
        check(b"ISO_IR 100", VR::PN, b"Buc^J\xe9r\xf4me", "Buc^Jérôme");
        check(b"ISO_IR 101", VR::LO, b"Wa\xb3\xeasa", "Wałęsa");
        check(
            b"ISO_IR 144",
            VR::PN,
            b"\xbb\xee\xdace\xdc\xd1yp\xd3",
            "Люкceмбypг",
        );
        check(
            b"ISO_IR 126",
            VR::PN,
            b"\xc4\xe9\xef\xed\xf5\xf3\xe9\xef\xf2",
            "Διονυσιος",
        );
        check(
            b"ISO_IR 127",
            VR::PN,
            b"\xe2\xc8\xc7\xe6\xea^\xe4\xe6\xd2\xc7\xd1",
            "قباني^لنزار",
        );
        check(
            b"ISO_IR 138",
            VR::PN,
            b"\xf9\xf8\xe5\xef^\xe3\xe1\xe5\xf8\xe4",
            "שרון^דבורה",
        );
        check(b"ISO_IR 148", VR::LO, b"\xc7avu\xfeo\xf0lu", "Çavuşoğlu");
        check(b"ISO_IR 166", VR::LO, b"\xca\xc1\xaa\xd2\xc2", "สมชาย");
        check(b"ISO_IR 203", VR::LO, b"\xa4\xbc\xbd", "€Œœ");
        check(b"ISO_IR 109", VR::LO, b"\xa1\xb1", "Ħħ");
        check(b"ISO_IR 110", VR::LO, b"\xa3\xb3", "Ŗŗ");
        check(b"ISO_IR 13", VR::LO, b"\xb1\xb2~", "ｱｲ\u{203E}");
        check(b"ISO_IR 100", VR::LO, b"\x92", "\u{92}");
    }

    #[test]
    fn terms_in_the_wild() {
        for term in [
            &b"ISO-IR 100"[..],
            b"ISO_IR_100",
            b"iso_ir 100",
            b"ISO IR 100",
            b"ISO_IR 100 ",
            b"100",
            b"latin1",
            b"ISO 2022 IR 100",
        ] {
            check(term, VR::LO, b"M\xfcller", "Müller");
        }
        for term in [&b"ISO IR 192"[..], b"UTF-8", b"utf8", b"ISO_IR 192\0"] {
            check(term, VR::LO, "Müller".as_bytes(), "Müller");
        }
        for term in [&b""[..], b"49", b"nonsense", b"ISO_IR 6"] {
            check(term, VR::LO, b"M\xfcller", "Müller");
            check(term, VR::LO, "Müller".as_bytes(), "Müller");
        }
        check(b"\\ISO 2022 IR 149", VR::LO, b"\xc8\xab", "홍");
        check(b"ISO_IR 192", VR::LO, b"M\xfcller", "M\u{FFFD}ller");
    }

    #[test]
    fn trail_bytes_are_no_delimiters() {
        let values = split(b"GB18030", b"\x8e\x5ca\\\x81\x5e");
        assert_eq!(values, ["嶾a", "乛"]);
        let values = split(b"ISO_IR 13", b"\x83\x5c\\\xb1");
        assert_eq!(values, ["ソ", "ｱ"]);
        let values = split(b"\\ISO 2022 IR 87", b"\x1b$B\x5c\x5c\x1b(B\\x");
        assert_eq!(values.len(), 2);
    }

    #[test]
    fn yen_and_backslash() {
        check(b"ISO_IR 13", VR::LT, b"100\\", "100\u{A5}");
        check(b"ISO_IR 13", VR::LO, b"a\\b", "a\\b");
        check(b"ISO_IR 13", VR::CS, b"a\\b~", "a\\b~");
    }

    #[test]
    fn delimiters_and_line_ends_reset() {
        check(
            b"ISO 2022 IR 100\\ISO 2022 IR 144",
            VR::LT,
            b"\x1b-L\xbb\r\n\xe9",
            "Л\r\né",
        );
        check(
            b"ISO 2022 IR 100\\ISO 2022 IR 144",
            VR::LO,
            b"\x1b-L\xbb\\\xe9",
            "Л\\é",
        );
        check(
            b"ISO 2022 IR 100\\ISO 2022 IR 144",
            VR::PN,
            b"\x1b-L\xbb^\xe9=\xe9",
            "Л^é=é",
        );
        check(
            b"ISO 2022 IR 100\\ISO 2022 IR 144",
            VR::LO,
            b"\x1b-L\xbb^\xee",
            "Л^ю",
        );
    }

    #[test]
    fn nothing_makes_it_fail() {
        check(b"\\ISO 2022 IR 87", VR::LO, b"\x1b", "\u{FFFD}");
        check(b"\\ISO 2022 IR 87", VR::LO, b"\x1b$", "\u{FFFD}$");
        check(b"\\ISO 2022 IR 87", VR::LO, b"\x1b$B;", "\u{FFFD}");
        check(b"GB18030", VR::LO, b"a\x81", "a\u{FFFD}");
    }

    #[test]
    fn ascii_is_borrowed() {
        for charset in [
            &b""[..],
            b"ISO_IR 100",
            b"ISO_IR 192",
            b"GB18030",
            b"ISO 2022 IR 13\\ISO 2022 IR 87",
        ] {
            assert!(matches!(
                Charset::from_value(charset).decode(VR::PN, b"Doe^Jane"),
                Cow::Borrowed("Doe^Jane")
            ));
        }
    }
}
