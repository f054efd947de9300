//! The color profiles that pictures can carry (ICC.1:2022, version 4): sRGB for colors, and for grey
//! the tone curve of sRGB. Written out here, a few hundred bytes each, rather than taken from
//! somebody's file.

/// D50, the white of every profile.
const WHITE: [f64; 3] = [0.9642, 1.0, 0.8249];
/// The primaries of sRGB (IEC 61966-2-1), adapted to D50.
const PRIMARIES: [(&[u8; 4], [f64; 3]); 3] = [
    (b"rXYZ", [0.436_07, 0.222_49, 0.013_92]),
    (b"gXYZ", [0.385_15, 0.716_87, 0.097_08]),
    (b"bXYZ", [0.143_07, 0.060_61, 0.714_10]),
];
/// From D65, the white of sRGB, to D50 (Bradford).
const ADAPTATION: [f64; 9] = [
    1.047_88, 0.022_92, -0.050_22, 0.029_59, 0.990_48, -0.017_07, -0.009_25, 0.015_08, 0.751_68,
];
/// The curve of sRGB: ((x + 0.055) / 1.055)^2.4 from 0.04045 on, x / 12.92 below.
const CURVE: [f64; 5] = [2.4, 1.0 / 1.055, 0.055 / 1.055, 1.0 / 12.92, 0.040_45];

/// The profile of a color picture, or of a grey one.
pub(super) fn profile(is_color: bool) -> Vec<u8> {
    let name = if is_color { "sRGB" } else { "Grey, sRGB curve" };
    let mut tags: Vec<(&[u8; 4], Vec<u8>)> = vec![
        (b"desc", text(name)),
        (b"cprt", text("No copyright, use freely")),
        (b"wtpt", numbers(b"XYZ ", &[], &WHITE)),
        (b"chad", numbers(b"sf32", &[], &ADAPTATION)),
    ];
    let curve = numbers(b"para", &[0, 3, 0, 0], &CURVE);
    if is_color {
        tags.extend(PRIMARIES.map(|(tag, xyz)| (tag, numbers(b"XYZ ", &[], &xyz))));
        tags.extend([b"rTRC", b"gTRC", b"bTRC"].map(|tag| (tag, curve.clone())));
    } else {
        tags.push((b"kTRC", curve));
    }
    assemble(if is_color { b"RGB " } else { b"GRAY" }, &tags)
}

/// The header (ICC.1 §7.2), the table of tags and the tags.
fn assemble(space: &[u8; 4], tags: &[(&[u8; 4], Vec<u8>)]) -> Vec<u8> {
    let mut table = (tags.len() as u32).to_be_bytes().to_vec();
    let mut data = Vec::new();
    for (tag, bytes) in tags {
        let offset = 128 + 4 + tags.len() * 12 + data.len();
        table.extend_from_slice(*tag);
        table.extend((offset as u32).to_be_bytes());
        table.extend((bytes.len() as u32).to_be_bytes());
        data.extend_from_slice(bytes);
        data.resize(data.len().next_multiple_of(4), 0);
    }
    let mut profile = vec![0; 128];
    profile[8..12].copy_from_slice(&[4, 0x40, 0, 0]);
    profile[12..16].copy_from_slice(b"mntr");
    profile[16..20].copy_from_slice(space);
    profile[20..24].copy_from_slice(b"XYZ ");
    // A date is required: 2026-01-01.
    for (at, number) in [2026_u16, 1, 1, 0, 0, 0].iter().enumerate() {
        profile[24 + at * 2..26 + at * 2].copy_from_slice(&number.to_be_bytes());
    }
    profile[36..40].copy_from_slice(b"acsp");
    for (at, number) in WHITE.iter().enumerate() {
        profile[68 + at * 4..72 + at * 4].copy_from_slice(&fixed(*number));
    }
    profile.extend(table);
    profile.extend(data);
    let length = (profile.len() as u32).to_be_bytes();
    profile[..4].copy_from_slice(&length);
    profile
}

/// A tag of s15Fixed16 numbers.
fn numbers(kind: &[u8; 4], head: &[u8], values: &[f64]) -> Vec<u8> {
    let mut bytes = [&kind[..], &[0; 4], head].concat();
    values.iter().for_each(|value| bytes.extend(fixed(*value)));
    bytes
}

/// s15Fixed16.
fn fixed(value: f64) -> [u8; 4] {
    ((value * 65_536.0).round() as i32).to_be_bytes()
}

/// A multiLocalizedUnicode tag of one English text.
fn text(text: &str) -> Vec<u8> {
    let units: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let mut bytes = b"mluc\0\0\0\0\0\0\0\x01\0\0\0\x0cenUS".to_vec();
    bytes.extend((units.len() as u32).to_be_bytes());
    bytes.extend(28_u32.to_be_bytes());
    bytes.extend(units);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tag_lies_inside_and_on_a_word() {
        // That color management reads them is tested from outside, with LittleCMS.
        for (is_color, tags) in [(true, 10), (false, 5)] {
            let profile = profile(is_color);
            let word =
                |at: usize| u32::from_be_bytes(profile[at..at + 4].try_into().unwrap()) as usize;
            assert_eq!((word(0), word(128)), (profile.len(), tags));
            for tag in 0..tags {
                let (offset, length) = (word(136 + tag * 12), word(140 + tag * 12));
                assert!(offset % 4 == 0 && offset + length <= profile.len());
            }
        }
    }
}
