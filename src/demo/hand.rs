//! A left hand on a radiograph, made of tapered tubes: bones inside, skin around.

use dicom_core::{Tag, VR};

use super::dataset::DataSet;
use super::study::{Series, grey, noise, scale};

/// A tube from one end to the other: (x, y) in millimetres, x to the right of the picture, y down;
/// with its radius at both ends.
struct Tube {
    ends: [[f64; 2]; 2],
    radii: [f64; 2],
}

const SIZE: [u16; 2] = [1280, 1024];
const SPACING: f64 = 0.18;
/// Where the corner of the picture is.
const CORNER: [f64; 2] = [-6.0, -8.0];
const WRIST: [f64; 2] = [92.0, 186.0];

/// Per finger from the thumb on: direction in degrees from straight up, where its first joint
/// lies from the wrist, and the lengths of its bones.
const FINGERS: [(f64, f64, &[f64]); 5] = [
    (44.0, 22.0, &[40.0, 30.0, 23.0]),
    (14.0, 22.0, &[62.0, 40.0, 24.0, 18.0]),
    (2.0, 21.0, &[60.0, 44.0, 28.0, 19.0]),
    (-10.0, 22.0, &[54.0, 41.0, 26.0, 19.0]),
    (-23.0, 22.0, &[49.0, 33.0, 19.0, 17.0]),
];

fn bones() -> Vec<Tube> {
    let mut tubes = Vec::new();
    for (degrees, gap, lengths) in FINGERS {
        let (sin, cos) = degrees.to_radians().sin_cos();
        let along = |distance: f64| [WRIST[0] - sin * distance, WRIST[1] - cos * distance];
        let mut start = gap;
        for (joint, length) in lengths.iter().enumerate() {
            let radius = 5.4 - 0.7 * joint as f64;
            let middle = start + length * 0.5;
            // Waisted: wide at the joints, narrow between.
            tubes.push(Tube {
                ends: [along(start), along(middle)],
                radii: [radius * 1.15, radius * 0.72],
            });
            tubes.push(Tube {
                ends: [along(middle), along(start + length - 2.5)],
                radii: [radius * 0.72, radius],
            });
            start += length + 3.0;
        }
    }
    // Carpal bones in two rows, then radius and ulna.
    let carpals: [[f64; 2]; 8] = [
        [76.0, 178.0],
        [87.0, 174.0],
        [98.0, 175.0],
        [108.0, 179.0],
        [79.0, 191.0],
        [90.0, 190.0],
        [101.0, 191.0],
        [110.0, 190.0],
    ];
    tubes.extend(carpals.map(|at| Tube {
        ends: [at, [at[0] + 1.5, at[1] + 1.0]],
        radii: [5.6, 5.2],
    }));
    tubes.push(Tube {
        ends: [[84.0, 206.0], [82.0, 245.0]],
        radii: [12.0, 8.0],
    });
    tubes.push(Tube {
        ends: [[109.0, 206.0], [111.0, 245.0]],
        radii: [7.5, 6.0],
    });
    tubes
}

fn skin() -> Vec<Tube> {
    let mut tubes = vec![
        Tube {
            ends: [[94.0, 190.0], [95.0, 260.0]],
            radii: [29.0, 28.0],
        },
        Tube {
            ends: [[84.0, 140.0], [90.0, 178.0]],
            radii: [27.0, 27.0],
        },
        Tube {
            ends: [[102.0, 138.0], [97.0, 178.0]],
            radii: [25.0, 26.0],
        },
    ];
    for (degrees, gap, lengths) in FINGERS {
        let (sin, cos) = degrees.to_radians().sin_cos();
        let length = gap + lengths.iter().map(|length| length + 3.0).sum::<f64>();
        let along = |distance: f64| [WRIST[0] - sin * distance, WRIST[1] - cos * distance];
        tubes.push(Tube {
            ends: [along(gap), along(length - 4.0)],
            radii: [13.0, 8.4],
        });
    }
    tubes
}

impl Tube {
    /// How far the point is from the axis in units of the radius there, and that radius.
    fn reach(&self, [x, y]: [f64; 2]) -> (f64, f64) {
        let [[ax, ay], [bx, by]] = self.ends;
        let (dx, dy) = (bx - ax, by - ay);
        let along = (((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy)).clamp(0.0, 1.0);
        let radius = self.radii[0] + (self.radii[1] - self.radii[0]) * along;
        (
            (x - ax - dx * along).hypot(y - ay - dy * along) / radius,
            radius,
        )
    }

    /// Millimetres on the ray through the point; `hollow` is the share of the radius that is marrow.
    fn chord(&self, point: [f64; 2], hollow: f64) -> f64 {
        let (reach, radius) = self.reach(point);
        let outer = (1.0 - reach * reach).max(0.0).sqrt();
        let inner = (hollow * hollow - reach * reach).max(0.0).sqrt();
        2.0 * radius * (outer - 0.75 * inner)
    }
}

/// The picture: bone high, so MONOCHROME2 shows it white.
pub(super) fn radiograph(series: &Series) -> DataSet {
    let mut set = series.begin(1);
    set.texts(&[
        (Tag(0x0018, 0x0060), VR::DS, "50"),
        (Tag(0x0018, 0x1164), VR::DS, "0.18\\0.18"),
        (Tag(0x0018, 0x5101), VR::CS, "PA"),
        (Tag(0x0020, 0x0020), VR::CS, "R\\P"),
    ]);
    grey(&mut set, "MONOCHROME2", SIZE, [16, 12]);
    scale(&mut set, ["1", "0"], "US", ["1500", "3000"]);
    let (bones, skin) = (bones(), skin());
    let [rows, columns] = SIZE.map(u64::from);
    let pixels = (0..rows * columns).map(|place| {
        let point = [
            CORNER[0] + (place % columns) as f64 * SPACING,
            CORNER[1] + (place / columns) as f64 * SPACING,
        ];
        let flesh = skin
            .iter()
            .map(|tube| tube.chord(point, 0.0).min(17.0))
            .fold(0.0, f64::max);
        let bone = if flesh > 0.0 {
            bones
                .iter()
                .map(|tube| tube.chord(point, 0.78))
                .fold(0.0, f64::max)
        } else {
            0.0
        };
        let value = 120.0 + 42.0 * flesh + 210.0 * bone.min(8.0) + 22.0 * noise(55, place);
        value.clamp(0.0, 4095.0).round() as u16
    });
    set.pixels16(&pixels.collect::<Vec<_>>());
    set
}
