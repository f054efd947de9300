//! A head for MR, in millimetres: scalp, skull, brain with folds, ventricles, eyes, and a few
//! bright spots in the white matter that only the T2 series shows well.

use dicom_core::{Tag, VR};

use super::dataset::DataSet;
use super::study::{Plane, Series, grey, noise};

/// How the series is weighted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weighting {
    T1,
    T2,
}

#[derive(Debug, Clone, Copy)]
enum Tissue {
    Air,
    Fat,
    Bone,
    Water,
    Grey,
    White,
    Lesion,
}

impl Tissue {
    fn signal(self, weighting: Weighting) -> f64 {
        let (t1, t2) = match self {
            Self::Air => (12.0, 12.0),
            Self::Fat => (1_050.0, 720.0),
            Self::Bone => (70.0, 60.0),
            Self::Water => (170.0, 1_250.0),
            Self::Grey => (480.0, 640.0),
            Self::White => (680.0, 430.0),
            Self::Lesion => (560.0, 900.0),
        };
        if weighting == Weighting::T1 { t1 } else { t2 }
    }
}

/// White matter lesions: place and radius.
const LESIONS: [([f64; 3], f64); 4] = [
    ([24.0, -22.0, 22.0], 3.5),
    ([-27.0, 6.0, 24.0], 4.5),
    ([29.0, 24.0, 18.0], 3.0),
    ([-22.0, -30.0, 14.0], 2.5),
];

fn reach([x, y, z]: [f64; 3], [a, b, c]: [f64; 3]) -> f64 {
    ((x / a).powi(2) + (y / b).powi(2) + (z / c).powi(2)).sqrt()
}

fn tissue([x, y, z]: [f64; 3]) -> Tissue {
    let point = [x, y, z];
    let head = reach(point, [76.0, 97.0, 92.0]);
    if head > 1.0 {
        let is_nose = reach([x, y + 96.0, z + 48.0], [9.0, 18.0, 16.0]) < 1.0;
        return if is_nose { Tissue::Fat } else { Tissue::Air };
    }
    for side in [-1.0, 1.0] {
        let eye = reach([x - side * 31.0, y + 72.0, z + 38.0], [12.0, 12.0, 12.0]);
        if eye < 1.0 {
            return if eye > 0.88 {
                Tissue::Bone
            } else {
                Tissue::Water
            };
        }
    }
    match head {
        0.94.. => return Tissue::Fat,
        0.875.. => return Tissue::Bone,
        0.85.. => return Tissue::Water,
        _ => {}
    }
    // Folds: the surface of the brain goes in and out around the head.
    let (around, up) = (y.atan2(x), z / 14.0);
    let fold =
        0.016 * ((around * 19.0 + (up * 1.3).sin() * 2.0).sin() + (around * 11.0 - up * 2.0).sin());
    let depth = head + fold;
    let is_fissure = x.abs() < 1.3 && (z > 12.0 || y.abs() > 45.0) && head > 0.32;
    if is_fissure || depth > 0.842 {
        return Tissue::Water;
    }
    if is_ventricle(point) {
        return Tissue::Water;
    }
    if LESIONS.iter().any(|(center, radius)| {
        reach([x - center[0], y - center[1], z - center[2]], [*radius; 3]) < 1.0
    }) {
        return Tissue::Lesion;
    }
    let is_nucleus = reach([x.abs() - 16.0, y - 6.0, z + 2.0], [9.0, 15.0, 10.0]) < 1.0
        || reach([x.abs() - 24.0, y + 8.0, z - 2.0], [5.0, 17.0, 11.0]) < 1.0;
    if is_nucleus || depth > 0.745 + 0.6 * fold {
        Tissue::Grey
    } else {
        Tissue::White
    }
}

/// Two horns that bend apart to the back, and the slit between the thalami.
fn is_ventricle([x, y, z]: [f64; 3]) -> bool {
    let bend = 5.0 + 0.006 * (y + 8.0).powi(2);
    let horn = reach(
        [
            x.abs() - bend,
            y - 2.0,
            z - 12.0 + 0.01 * y.max(0.0).powi(2),
        ],
        [5.2, 40.0, 13.0],
    );
    horn < 1.0 || reach([x, y - 4.0, z + 4.0], [2.0, 13.0, 10.0]) < 1.0
}

/// One slice; `number` from 1, from below up.
pub(super) fn mr(series: &Series, number: usize, slices: usize, weighting: Weighting) -> DataSet {
    let step = 5.5;
    let z = (number - 1) as f64 * step - 52.0;
    let plane = Plane {
        side: 256,
        spacing: 0.9,
        thickness: 5.0,
        between_slices: step,
        z,
    };
    let mut set = series.begin(number);
    series.place(&mut set, &plane);
    let (repetition, echo, train, center, width) = match weighting {
        Weighting::T1 => ("550", "12", "1", "520", "1100"),
        Weighting::T2 => ("4200", "98", "15", "620", "1300"),
    };
    set.texts(&[
        (Tag(0x0008, 0x0008), VR::CS, "ORIGINAL\\PRIMARY\\OTHER"),
        (Tag(0x0018, 0x0020), VR::CS, "SE"),
        (
            Tag(0x0018, 0x0021),
            VR::CS,
            if weighting == Weighting::T1 {
                "NONE"
            } else {
                "SK"
            },
        ),
        (Tag(0x0018, 0x0022), VR::CS, ""),
        (Tag(0x0018, 0x0023), VR::CS, "2D"),
        (Tag(0x0018, 0x0080), VR::DS, repetition),
        (Tag(0x0018, 0x0081), VR::DS, echo),
        (Tag(0x0018, 0x0087), VR::DS, "1.5"),
        (Tag(0x0018, 0x0091), VR::IS, train),
        (Tag(0x0018, 0x5100), VR::CS, "HFS"),
        (Tag(0x0020, 0x1002), VR::IS, &slices.to_string()),
    ]);
    grey(&mut set, "MONOCHROME2", [256, 256], [16, 12]);
    set.text(Tag(0x0028, 0x1050), VR::DS, center);
    set.text(Tag(0x0028, 0x1051), VR::DS, width);
    let seed = number as u64 + if weighting == Weighting::T1 { 200 } else { 400 };
    let pixels = (0..256_u64 * 256).map(|place| {
        let [x, y] = [place % 256, place / 256].map(|i| (i as f64 - 127.5) * plane.spacing);
        // Four samples a pixel soften the edges as a real slice does.
        let corners = [(-0.22, -0.22), (0.22, -0.22), (-0.22, 0.22), (0.22, 0.22)];
        let signal = corners
            .iter()
            .map(|(dx, dy)| tissue([x + dx, y + dy, z]).signal(weighting))
            .sum::<f64>()
            / 4.0;
        // The coil hears the near side better.
        let shading = 1.0 - 0.0009 * y;
        (signal * shading + 16.0 * noise(seed, place))
            .clamp(0.0, 4095.0)
            .round() as u16
    });
    set.pixels16(&pixels.collect::<Vec<_>>());
    set
}
