//! Color transforms of HP's JPEG-LS encoder (`LOCO-I` package, segment APP8 `mrfx`), which CharLS
//! took over. They are outside the standard; DICOM files with them exist all the same.

use super::header::Transform;

/// Turns samples of three components, of 8 or 16 bits, back to red, green, blue.
pub(super) fn undo(transform: Transform, bits: u16, bytes: &mut [u8]) {
    if bits == 8 {
        for pixel in bytes.as_chunks_mut::<3>().0 {
            *pixel = color(transform, 256, pixel.map(i32::from)).map(|sample| sample as u8);
        }
    } else {
        for pixel in bytes.as_chunks_mut::<6>().0 {
            let [a, b, c, d, e, f] = *pixel;
            let samples =
                [[a, b], [c, d], [e, f]].map(|sample| i32::from(u16::from_le_bytes(sample)));
            let color =
                color(transform, 65_536, samples).map(|sample| (sample as u16).to_le_bytes());
            pixel.copy_from_slice(color.as_flattened());
        }
    }
}

/// All sums are modulo `range`.
fn color(transform: Transform, range: i32, [first, second, third]: [i32; 3]) -> [i32; 3] {
    let half = range / 2;
    match transform {
        Transform::Hp1 => {
            let green = second;
            [first + green - half, green, third + green - half]
        }
        Transform::Hp2 => {
            let green = second;
            let red = (first + green - half) & (range - 1);
            [red, green, third + ((red + green) >> 1) - half]
        }
        Transform::Hp3 => {
            let green = first - ((second + third) >> 2) + range / 4;
            [third + green - half, green, second + green - half]
        }
    }
}
