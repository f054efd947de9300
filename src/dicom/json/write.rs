//! How each value representation looks in DICOM JSON (PS3.18 §F.2.3): the `Value` and
//! `InlineBinary` members, written behind `"vr":"…"`. Pure appending to a byte vector.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dicom_core::{Tag, VR};

use crate::dicom::Attribute;
use crate::dicom::charset;
use crate::dicom::walk::ByteOrder;

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// The largest magnitude up to which every integer is exact in an IEEE double (PS3.18 §F.2.3: SV
/// and UV beyond it are strings).
const EXACT_MAX: u64 = 1 << 53;

/// A binary value that JSON numbers cannot express: NaN or infinite (FL, FD).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotFinite;

/// Writes `text` as a JSON string, quotes included. Control characters are escaped, all else stays UTF-8.
pub fn write_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut done = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&bytes[done..at]);
        done = at + 1;
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => out.extend_from_slice(&[
                b'\\',
                b'u',
                b'0',
                b'0',
                HEX[usize::from(byte >> 4)],
                HEX[usize::from(byte & 15)],
            ]),
        }
    }
    out.extend_from_slice(&bytes[done..]);
    out.push(b'"');
}

/// Writes the member of an attribute for a search answer, `{"vr":"…","Value":[…]}`, from its text
/// as [`AttributeValues`](crate::dicom::AttributeValues) keeps it.
pub fn write_attribute(out: &mut Vec<u8>, attribute: &Attribute, text: &str) {
    out.push(b'{');
    write_vr(out, attribute.vr);
    if is_binary_number(attribute.vr) {
        if !text.is_empty() {
            write_list(out, text.split('\\'), |out, value| {
                write_decimal(out, value)
            });
        }
    } else {
        write_text(out, attribute.vr, text);
    }
    out.push(b'}');
}

/// `"vr":"XX"`.
pub(super) fn write_vr(out: &mut Vec<u8>, vr: VR) {
    out.extend_from_slice(b"\"vr\":\"");
    out.extend_from_slice(vr.to_string().as_bytes());
    out.push(b'"');
}

/// Eight upper-case hexadecimal digits.
pub(crate) fn tag_digits(tag: Tag) -> [u8; 8] {
    let number = u32::from(tag.group()) << 16 | u32::from(tag.element());
    // The mask keeps four bits.
    std::array::from_fn(|i| HEX[(number >> (28 - 4 * i)) as usize & 15])
}

/// Whether a VR is encoded as characters (PS3.5 §6.2).
pub(crate) fn is_text(vr: VR) -> bool {
    charset::is_affected(vr)
        || matches!(
            vr,
            VR::AE | VR::AS | VR::CS | VR::DA | VR::DS | VR::DT | VR::IS | VR::TM | VR::UI | VR::UR
        )
}

/// Whether a VR is encoded as binary numbers that JSON shows one by one. The VRs that remain are
/// bulk: OB OD OF OL OV OW UN.
pub(crate) fn is_binary_number(vr: VR) -> bool {
    number_size(vr).is_some()
}

/// The bytes of one number of a VR that JSON shows number by number.
pub(crate) fn number_size(vr: VR) -> Option<usize> {
    match vr {
        VR::US | VR::SS => Some(2),
        VR::UL | VR::SL | VR::FL | VR::AT => Some(4),
        VR::FD | VR::SV | VR::UV => Some(8),
        _ => None,
    }
}

/// One value without padding (PS3.5 §6.2): trailing spaces and NULs never count; leading spaces
/// are padding too where the VR says so, except in SH and LO, where they stay as they came.
pub(super) fn trim(vr: VR, value: &str) -> &str {
    let value = value.trim_end_matches([' ', '\0']);
    if charset::is_affected(vr) || vr == VR::UR {
        value
    } else {
        value.trim_start_matches(' ')
    }
}

/// `,"Value":[…]` of a text VR, nothing when there is no value.
pub(super) fn write_text(out: &mut Vec<u8>, vr: VR, text: &str) {
    let write_one: fn(&mut Vec<u8>, &str) = match vr {
        VR::PN => write_person_name,
        VR::DS | VR::IS => write_decimal,
        _ => write_string,
    };
    if charset::is_single_valued(vr) || memchr::memchr(b'\\', text.as_bytes()).is_none() {
        let value = trim(vr, text);
        if !is_empty(vr, value) {
            out.extend_from_slice(b",\"Value\":[");
            write_one(out, value);
            out.push(b']');
        }
    } else {
        write_list(
            out,
            text.split('\\').map(|value| trim(vr, value)),
            |out, value| {
                if is_empty(vr, value) {
                    out.extend_from_slice(b"null")
                } else {
                    write_one(out, value)
                }
            },
        );
    }
}

fn is_empty(vr: VR, value: &str) -> bool {
    value.is_empty() || vr == VR::PN && value.bytes().all(|b| matches!(b, b'=' | b' '))
}

fn write_list<T>(
    out: &mut Vec<u8>,
    values: impl Iterator<Item = T>,
    mut write_one: impl FnMut(&mut Vec<u8>, T),
) {
    out.extend_from_slice(b",\"Value\":");
    let mut separator = b'[';
    for value in values {
        out.push(separator);
        write_one(out, value);
        separator = b',';
    }
    out.push(b']');
}

/// The component groups of a name that are not empty (PS3.18 §F.2.2). What follows a third equals
/// sign has no name and is left out.
fn write_person_name(out: &mut Vec<u8>, name: &str) {
    let mut separator = b'{';
    for (key, group) in [
        &b"\"Alphabetic\":"[..],
        b"\"Ideographic\":",
        b"\"Phonetic\":",
    ]
    .into_iter()
    .zip(name.split('='))
    {
        let group = group.trim_end_matches(' ');
        if !group.is_empty() {
            out.push(separator);
            out.extend_from_slice(key);
            write_string(out, group);
            separator = b',';
        }
    }
    if separator == b'{' {
        out.push(b'{');
    }
    out.push(b'}');
}

/// A decimal text as a JSON number when a reader that uses doubles gets back the same number,
/// otherwise as a string: garbage stays visible, precision is never lost (PS3.18 §F.2.3).
pub(super) fn write_decimal(out: &mut Vec<u8>, text: &str) {
    let Some(parts) = Decimal::parse(text) else {
        return write_string(out, text);
    };
    if !parts.is_exact_in_double(text) {
        return write_string(out, text);
    }
    if parts.is_negative {
        out.push(b'-');
    }
    let whole = parts.whole.trim_start_matches('0');
    out.extend_from_slice(if whole.is_empty() { "0" } else { whole }.as_bytes());
    if !parts.fraction.is_empty() {
        out.push(b'.');
        out.extend_from_slice(parts.fraction.as_bytes());
    }
    if !parts.exponent.is_empty() {
        out.push(b'e');
        out.extend_from_slice(parts.exponent.as_bytes());
    }
}

/// The parts of a fixed or floating point number (PS3.5 §6.2, DS and IS).
struct Decimal<'a> {
    is_negative: bool,
    whole: &'a str,
    fraction: &'a str,
    /// With its sign.
    exponent: &'a str,
}

impl<'a> Decimal<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let is_negative = text.starts_with('-');
        let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, Some(exponent)),
            None => (unsigned, None),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let is_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        let has_digits = !(whole.is_empty() && fraction.is_empty());
        let exponent_is_good = exponent.is_none_or(|e| {
            let digits = e.strip_prefix(['+', '-']).unwrap_or(e);
            !digits.is_empty() && is_digits(digits)
        });
        (has_digits && is_digits(whole) && is_digits(fraction) && exponent_is_good).then_some(
            Self {
                is_negative,
                whole,
                fraction,
                exponent: exponent.unwrap_or(""),
            },
        )
    }

    /// Fifteen significant digits always survive a double; more of them, or an exponent, are tried.
    fn is_exact_in_double(&self, text: &str) -> bool {
        if self.exponent.is_empty() && self.whole.len() + self.fraction.len() <= 15 {
            return true;
        }
        let digits = || {
            self.whole
                .bytes()
                .chain(self.fraction.bytes())
                .skip_while(|b| *b == b'0')
        };
        let Ok(number) = text.parse::<f64>() else {
            return false;
        };
        let shortest = format!("{number:e}");
        let mantissa = shortest.split('e').next().unwrap_or("");
        let ours = mantissa
            .bytes()
            .filter(u8::is_ascii_digit)
            .skip_while(|b| *b == b'0');
        // Trailing zeros change no number: compare as if both went on with zeros.
        let length = digits().count().max(ours.clone().count());
        let padded = |n: usize| std::iter::repeat_n(b'0', length.saturating_sub(n));
        number.is_finite()
            && digits()
                .chain(padded(digits().count()))
                .eq(ours.clone().chain(padded(ours.count())))
    }
}

/// `,"Value":[…]` of a VR with binary numbers. `bytes` is a whole number of numbers, not empty.
///
/// # Errors
/// [`NotFinite`]; what was written so far is taken back.
pub(super) fn write_numbers(
    out: &mut Vec<u8>,
    vr: VR,
    bytes: &[u8],
    order: ByteOrder,
) -> Result<(), NotFinite> {
    let before = out.len();
    let size = number_size(vr).unwrap_or(1);
    let mut is_finite = true;
    write_list(out, bytes.chunks_exact(size), |out, chunk| {
        is_finite &= write_number(out, vr, chunk, order)
    });
    if is_finite {
        return Ok(());
    }
    out.truncate(before);
    Err(NotFinite)
}

/// One number; `false` when it is NaN or infinite.
fn write_number(out: &mut Vec<u8>, vr: VR, chunk: &[u8], order: ByteOrder) -> bool {
    match (vr, Number::read(vr, chunk, order)) {
        (VR::AT, Number::Unsigned(tag)) => {
            #[expect(clippy::cast_possible_truncation, reason = "the two halves of a tag")]
            let digits = tag_digits(Tag((tag >> 16) as u16, tag as u16));
            out.push(b'"');
            out.extend_from_slice(&digits);
            out.push(b'"');
        }
        (_, Number::Unsigned(n)) if n > EXACT_MAX => {
            write_string(out, itoa::Buffer::new().format(n))
        }
        (_, Number::Signed(n)) if n.unsigned_abs() > EXACT_MAX => {
            write_string(out, itoa::Buffer::new().format(n))
        }
        (_, Number::Unsigned(n)) => out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes()),
        (_, Number::Signed(n)) => out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes()),
        (_, Number::Float(n)) => {
            // The shortest text that reads back as the same double.
            return n.is_finite() && serde_json::to_writer(out, &n).is_ok();
        }
    }
    true
}

/// A binary number of any VR. FL is widened: the same number, exactly.
enum Number {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
}

impl Number {
    /// Reads `chunk`, which has the size of the VR's numbers.
    fn read(vr: VR, chunk: &[u8], order: ByteOrder) -> Self {
        // AT is two 16-bit numbers, group first (PS3.5 §6.2): each has its own byte order.
        if vr == VR::AT {
            let (group, element) = chunk.split_at(chunk.len() / 2);
            return Self::Unsigned(unsigned(group, order) << 16 | unsigned(element, order));
        }
        let bits = unsigned(chunk, order);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_possible_wrap,
            reason = "the number has that many bits"
        )]
        match vr {
            VR::SS => Self::Signed(i64::from(bits as i16)),
            VR::SL => Self::Signed(i64::from(bits as i32)),
            VR::SV => Self::Signed(bits as i64),
            VR::FL => Self::Float(f64::from(f32::from_bits(bits as u32))),
            VR::FD => Self::Float(f64::from_bits(bits)),
            _ => Self::Unsigned(bits),
        }
    }
}

fn unsigned(bytes: &[u8], order: ByteOrder) -> u64 {
    let shift = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
    match order {
        ByteOrder::Little => bytes.iter().rev().fold(0, shift),
        ByteOrder::Big => bytes.iter().fold(0, shift),
    }
}

/// Binary numbers as the index keeps them: decimal, joined by backslashes; AT as in JSON.
pub(super) fn numbers_as_text(vr: VR, bytes: &[u8], order: ByteOrder) -> String {
    let mut out = Vec::new();
    for chunk in bytes.chunks_exact(number_size(vr).unwrap_or(1)) {
        if !out.is_empty() {
            out.push(b'\\');
        }
        write_number(&mut out, vr, chunk, order);
    }
    out.retain(|b| *b != b'"');
    String::from_utf8(out).unwrap_or_default()
}

/// `,"InlineBinary":"…"`: base64 of the value in little endian (PS3.18 §F.2.7).
pub(super) fn write_inline_binary(out: &mut Vec<u8>, vr: VR, bytes: &[u8], order: ByteOrder) {
    out.extend_from_slice(b",\"InlineBinary\":\"");
    let word = match vr {
        VR::OW | VR::US | VR::SS => 2,
        VR::OL | VR::OF => 4,
        VR::OD | VR::OV => 8,
        _ => 1,
    };
    if order == ByteOrder::Big && word > 1 {
        let mut swapped = bytes.to_vec();
        swapped.chunks_exact_mut(word).for_each(<[u8]>::reverse);
        write_base64(out, &swapped);
    } else {
        write_base64(out, bytes);
    }
    out.push(b'"');
}

fn write_base64(out: &mut Vec<u8>, bytes: &[u8]) {
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    let written = STANDARD
        .encode_slice(bytes, &mut out[start..])
        .expect("the room was just made by the same formula");
    out.truncate(start + written);
}
