//! The sign that stands for a video where a small picture is wanted: we decode no moving pictures.

use super::Picture;

/// The sign is never larger. Pixels.
const SIDE_MAX: u32 = 256;
const DARK: u8 = 24;
const LIGHT: u8 = 208;

/// A light triangle that points to the right, on dark, at most as large as the box.
#[must_use]
pub fn film(width: u32, height: u32) -> Picture {
    let side = width.min(height).clamp(1, SIDE_MAX);
    // In halves of a pixel, so that both edges are seen from the middle of each.
    let full = 2 * side;
    let place = |n: u32| 2 * n + 1;
    let samples = (0..side)
        .flat_map(|y| (0..side).map(move |x| (place(x), place(y))))
        .map(|(x, y)| {
            let reach = (full * 7 / 10).saturating_sub(x);
            let is_inside = x > full * 7 / 20 && y.abs_diff(side) * 7 < reach * 4;
            if is_inside { LIGHT } else { DARK }
        })
        .collect();
    Picture {
        samples,
        width: side,
        height: side,
        is_color: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sign_points_to_the_right_and_stays_small() {
        for (box_of, side) in [
            ((128, 128), 128),
            ((300, 90), 90),
            ((8192, 8192), 256),
            ((1, 5), 1),
        ] {
            let picture = film(box_of.0, box_of.1);
            assert_eq!((picture.width(), picture.height()), (side, side));
            assert_eq!(picture.samples.len(), (side * side) as usize);
        }
        let picture = film(128, 128);
        let row = |y: usize| {
            let row = &picture.samples[y * 128..][..128];
            row.iter().filter(|sample| **sample == LIGHT).count()
        };
        assert_eq!((row(0), row(127)), (0, 0));
        assert!(row(64) > row(50) && row(50) > row(42) && row(64).abs_diff(row(63)) <= 1);
        assert_eq!(picture.samples[64 * 128 + 5], DARK);
        assert_eq!(picture.samples[64 * 128 + 60], LIGHT);
    }
}
