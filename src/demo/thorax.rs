//! A chest, in millimetres of the patient: x to the left, y to the back, z to the head. Made of
//! ellipsoids: body, lungs, heart, liver, spine, ribs, vessels, and one nodule in the right lung.
//! CT, PET and a radiograph look at the same chest.

use dicom_core::{Tag, VR};

use super::dataset::DataSet;
use super::study::{Plane, Series, grey, noise, scale};

type Point = [f64; 3];

/// Where the nodule is.
const NODULE: Point = [-78.0, -22.0, 22.0];

struct Ellipsoid {
    center: Point,
    radii: Point,
}

const fn ellipsoid(center: Point, radii: Point) -> Ellipsoid {
    Ellipsoid { center, radii }
}

// Beyond the images above and below.
const BODY: Ellipsoid = ellipsoid([0.0, 0.0, 0.0], [178.0, 118.0, 600.0]);
const MUSCLE: Ellipsoid = ellipsoid([0.0, 0.0, 0.0], [164.0, 104.0, 600.0]);
const CAGE: Ellipsoid = ellipsoid([0.0, -2.0, 10.0], [148.0, 92.0, 240.0]);
const LUNGS: [Ellipsoid; 2] = [
    ellipsoid([-76.0, -2.0, 15.0], [62.0, 78.0, 150.0]),
    ellipsoid([76.0, 2.0, 15.0], [58.0, 76.0, 150.0]),
];
const HEART: Ellipsoid = ellipsoid([28.0, -34.0, -55.0], [62.0, 48.0, 62.0]);
const CHAMBERS: [Ellipsoid; 2] = [
    ellipsoid([48.0, -30.0, -60.0], [30.0, 26.0, 40.0]),
    ellipsoid([0.0, -46.0, -55.0], [24.0, 22.0, 36.0]),
];
const LIVER: Ellipsoid = ellipsoid([-50.0, 0.0, -185.0], [112.0, 86.0, 100.0]);
const SPLEEN: Ellipsoid = ellipsoid([98.0, 30.0, -165.0], [40.0, 42.0, 60.0]);

impl Ellipsoid {
    /// Below 1 inside, in units of the radii.
    fn reach(&self, point: Point) -> f64 {
        (0..3)
            .map(|i| ((point[i] - self.center[i]) / self.radii[i]).powi(2))
            .sum::<f64>()
            .sqrt()
    }

    fn holds(&self, point: Point) -> bool {
        self.reach(point) < 1.0
    }

    /// How long a ray from front to back runs inside.
    fn chord(&self, x: f64, z: f64) -> f64 {
        let off = ((x - self.center[0]) / self.radii[0]).powi(2)
            + ((z - self.center[2]) / self.radii[2]).powi(2);
        2.0 * self.radii[1] * (1.0 - off).max(0.0).sqrt()
    }
}

fn is_near([x, y]: [f64; 2], center: [f64; 2], radius: f64) -> bool {
    (x - center[0]).powi(2) + (y - center[1]).powi(2) < radius * radius
}

/// Hounsfield units at a point.
fn hounsfield(point: Point, nodule_radius: f64) -> f64 {
    let [x, y, z] = point;
    if !BODY.holds(point) {
        // The table is a shallow trough below the back.
        let trough = 138.0 - x * x / 900.0;
        return if (0.0..4.0).contains(&(y - trough)) && x.abs() < 200.0 {
            -350.0
        } else {
            -1000.0
        };
    }
    if let Some(bone) = bone(point) {
        return bone;
    }
    if !MUSCLE.holds(point) {
        return -100.0;
    }
    // The arch joins the descending aorta before the spine and the ascending one behind the breastbone.
    let is_aorta = is_near([x, y], [20.0, 48.0], 13.0)
        || (z > -40.0 && z < 62.0 && is_near([x, y], [-12.0, -30.0], 16.0))
        || ((62.0..86.0).contains(&z) && is_arch(x, y));
    if is_aorta || CHAMBERS.iter().any(|chamber| chamber.holds(point)) {
        return 190.0;
    }
    if HEART.holds(point) {
        return 70.0;
    }
    if LIVER.holds(point) || SPLEEN.holds(point) {
        return 95.0 + 10.0 * ((x / 9.0).sin() * (z / 11.0).cos());
    }
    let windpipe = [0.0, 12.0];
    if z > 50.0 && is_near([x, y], windpipe, 9.0)
        || (20.0..=50.0).contains(&z) && is_near([x.abs(), y], [(50.0 - z) * 0.9, 12.0], 7.0)
    {
        return -1000.0;
    }
    let Some(lung) = LUNGS.iter().find(|lung| lung.holds(point)) else {
        return 45.0;
    };
    let from_nodule = (0..3)
        .map(|i| (point[i] - NODULE[i]).powi(2))
        .sum::<f64>()
        .sqrt();
    if from_nodule < nodule_radius {
        return 35.0;
    }
    if is_vessel(point, lung) {
        40.0
    } else {
        -860.0 + 0.35 * (y + 80.0)
    }
}

fn is_arch(x: f64, y: f64) -> bool {
    let along = ((y - 48.0) / (-30.0 - 48.0)).clamp(0.0, 1.0);
    is_near([x, y], [20.0 - 32.0 * along, 48.0 - 78.0 * along], 13.0)
}

/// Branches that fan out from the hilum and grow thin.
fn is_vessel(point: Point, lung: &Ellipsoid) -> bool {
    let inward = -lung.center[0].signum();
    let hilum = [lung.center[0] + inward * 44.0, 8.0, 18.0];
    let d: Point = [0, 1, 2].map(|i| point[i] - hilum[i]);
    let distance = (d[0] * d[0] + d[1] * d[1] + d[2] * d[2]).sqrt();
    let thickness = (5.5 - distance * 0.045).max(0.9);
    let (around, up) = (
        d[1].atan2(-inward * d[0]),
        (d[2] / distance.max(1.0)).asin(),
    );
    // The nearest of the directions that branches take, wavering a little on the way.
    let spread = 0.3;
    let ring = (up / spread).round();
    let waver = 0.08 * (distance / 13.0 + ring).sin() + ring * 0.13;
    let off_around = (around + waver) - ((around + waver) / spread).round() * spread;
    distance * off_around.hypot(up - ring * spread) < thickness
}

/// Hounsfield units where there is bone or what it holds.
fn bone(point: Point) -> Option<f64> {
    let [x, y, z] = point;
    let in_vertebra = (z / 26.0).rem_euclid(1.0) < 0.84;
    if is_near([x, y], [0.0, 92.0], 8.0) {
        return Some(15.0);
    }
    if is_near([x, y * 1.2], [0.0, 66.0 * 1.2], 21.0) {
        let is_rim = !is_near([x, y * 1.2], [0.0, 66.0 * 1.2], 18.0);
        return Some(if !in_vertebra {
            80.0
        } else if is_rim {
            650.0
        } else {
            230.0
        });
    }
    let is_arch = is_near([x, y], [0.0, 92.0], 13.0)
        || (x.abs() < 3.5 && (92.0..112.0).contains(&y))
        || (y - 88.0).abs() < 4.0 && x.abs() < 30.0;
    if in_vertebra && is_arch {
        return Some(520.0);
    }
    if x.abs() < 17.0 && (y + 92.0).abs() < 6.0 && z > -90.0 {
        return Some(if (y + 92.0).abs() < 4.0 { 180.0 } else { 480.0 });
    }
    let shell = CAGE.reach(point);
    if (0.985..1.085).contains(&shell) && y > -78.0 && is_rib(y, z) {
        return Some(if (1.01..1.06).contains(&shell) {
            260.0
        } else {
            700.0
        });
    }
    None
}

/// Ribs fall to the front, 26 mm from one to the next.
fn is_rib(y: f64, z: f64) -> bool {
    ((z - 0.45 * y) / 26.0).rem_euclid(1.0) < 0.42
}

/// One CT slice; `number` from 1, from the head down.
pub(super) fn ct(
    series: &Series,
    number: usize,
    slices: usize,
    thickness: f64,
    nodule_radius: f64,
) -> DataSet {
    let z = 150.0 - (number - 1) as f64 * 300.0 / (slices - 1) as f64;
    let plane = Plane {
        side: 512,
        spacing: 0.78125,
        thickness,
        between_slices: 300.0 / (slices - 1) as f64,
        z,
    };
    let mut set = series.begin(number);
    series.place(&mut set, &plane);
    set.texts(&[
        (Tag(0x0008, 0x0008), VR::CS, "ORIGINAL\\PRIMARY\\AXIAL"),
        (Tag(0x0018, 0x0010), VR::LO, "Iodine"),
        (Tag(0x0018, 0x0022), VR::CS, "HELICAL MODE"),
        (Tag(0x0018, 0x0060), VR::DS, "120"),
        (Tag(0x0018, 0x0090), VR::DS, "500"),
        (Tag(0x0018, 0x1100), VR::DS, "400"),
        (Tag(0x0018, 0x1150), VR::IS, "500"),
        (Tag(0x0018, 0x1151), VR::IS, "220"),
        (Tag(0x0018, 0x1210), VR::SH, "STANDARD"),
        (Tag(0x0018, 0x5100), VR::CS, "HFS"),
    ]);
    grey(&mut set, "MONOCHROME2", [512, 512], [16, 12]);
    scale(&mut set, ["1", "-1024"], "HU", ["40\\-600", "400\\1500"]);
    set.text(Tag(0x0028, 0x1055), VR::LO, "Soft tissue\\Lung");
    set.pixels16(&pixels(&plane, |place, point| {
        let value = hounsfield(point, nodule_radius) + 14.0 * noise(number as u64, place);
        (value + 1024.0).clamp(0.0, 4095.0)
    }));
    set
}

/// One PET slice at the place of the CT slice of the same number; pixels in becquerels by 3.
pub(super) fn pet(
    series: &Series,
    number: usize,
    slices: usize,
    thickness: f64,
    nodule_radius: f64,
) -> DataSet {
    let z = 150.0 - (number - 1) as f64 * 300.0 / (slices - 1) as f64;
    let plane = Plane {
        side: 128,
        spacing: 3.125,
        thickness,
        between_slices: 300.0 / (slices - 1) as f64,
        z,
    };
    let mut set = series.begin(number);
    series.place(&mut set, &plane);
    grey(&mut set, "MONOCHROME2", [128, 128], [16, 16]);
    scale(&mut set, ["3", "0"], "", ["7500", "15000"]);
    set.us(
        Tag(0x0054, 0x0081),
        &[u16::try_from(slices).unwrap_or(u16::MAX)],
    );
    set.us(
        Tag(0x0054, 0x1330),
        &[u16::try_from(number).unwrap_or(u16::MAX)],
    );
    set.texts(&[
        (Tag(0x0010, 0x1030), VR::DS, "82"),
        (Tag(0x0018, 0x1181), VR::CS, "NONE"),
        (Tag(0x0018, 0x1242), VR::IS, "120000"),
        (Tag(0x0028, 0x0051), VR::CS, "DECY\\ATTN\\SCAT\\DTIM\\NORM"),
        (Tag(0x0054, 0x1000), VR::CS, "WHOLE BODY\\IMAGE"),
        (Tag(0x0054, 0x1001), VR::CS, "BQML"),
        (Tag(0x0054, 0x1002), VR::CS, "EMISSION"),
        (Tag(0x0054, 0x1102), VR::CS, "START"),
        (Tag(0x0054, 0x1300), VR::DS, "60000"),
        (Tag(0x0054, 0x1321), VR::DS, "1"),
    ]);
    set.sequence(Tag(0x0054, 0x0016), &[tracer(series)]);
    let mut orientation = DataSet::new(series.study.patient.charset);
    orientation.code(Tag(0x0054, 0x0412), ["40199007", "SCT", "supine"]);
    orientation.texts(&[
        (Tag(0x0008, 0x0100), VR::SH, "102538003"),
        (Tag(0x0008, 0x0102), VR::SH, "SCT"),
        (Tag(0x0008, 0x0104), VR::LO, "recumbent"),
    ]);
    set.sequence(Tag(0x0054, 0x0410), &[orientation]);
    set.code(Tag(0x0054, 0x0414), ["102540008", "SCT", "headfirst"]);
    set.pixels16(&pixels(&plane, |place, point| {
        let uptake = uptake(point, nodule_radius);
        ((uptake + (0.12 * uptake + 60.0) * noise(900 + number as u64, place)) / 3.0)
            .clamp(0.0, 65_535.0)
    }));
    set
}

/// Radiopharmaceutical Information Sequence item (PS3.3 §C.8.9.2).
fn tracer(series: &Series) -> DataSet {
    let mut item = DataSet::new(series.study.patient.charset);
    item.texts(&[
        (Tag(0x0018, 0x0031), VR::LO, "Fluorodeoxyglucose F^18^"),
        (Tag(0x0018, 0x1072), VR::TM, "090500"),
        (Tag(0x0018, 0x1074), VR::DS, "300000000"),
        (Tag(0x0018, 0x1075), VR::DS, "6586.2"),
        (Tag(0x0018, 0x1076), VR::DS, "0.967"),
    ]);
    item.code(Tag(0x0054, 0x0300), ["77004003", "SCT", "^18^Fluorine"]);
    item.code(
        Tag(0x0054, 0x0304),
        ["35321007", "SCT", "Fluorodeoxyglucose F^18^"],
    );
    item
}

/// Becquerels per millilitre, with the soft edges of a PET image.
fn uptake(point: Point, nodule_radius: f64) -> f64 {
    let inside = |shape: &Ellipsoid| 1.0 / (1.0 + ((shape.reach(point) - 1.0) * 14.0).exp());
    let lungs: f64 = LUNGS.iter().map(inside).sum::<f64>().min(1.0);
    let muscle_of_heart = inside(&HEART) - inside(&CHAMBERS[0]);
    let from_nodule = (0..3).map(|i| (point[i] - NODULE[i]).powi(2)).sum::<f64>();
    let spread = nodule_radius + 3.0;
    inside(&BODY) * (1_900.0 - 1_300.0 * lungs)
        + 9_000.0 * muscle_of_heart.max(0.0)
        + 3_600.0 * inside(&LIVER)
        + 2_600.0 * inside(&SPLEEN)
        + 24_000.0 * (-from_nodule / (spread * spread)).exp()
}

/// The pixels of a plane: `value` by the place in the plane and the point of the patient.
fn pixels(plane: &Plane, value: impl Fn(u64, Point) -> f64) -> Vec<u16> {
    let side = u64::from(plane.side);
    let middle = (side - 1) as f64 / 2.0;
    let along = |i: u64| (i as f64 - middle) * plane.spacing;
    (0..side * side)
        .map(|place| {
            value(place, [along(place % side), along(place / side), plane.z]).round() as u16
        })
        .collect()
}

const RADIOGRAPH: [u16; 2] = [2048, 1792];

/// A frontal radiograph: what is left of the rays, so that air is high; MONOCHROME1 shows it dark.
pub(super) fn radiograph(series: &Series) -> DataSet {
    let mut set = series.begin(1);
    let spacing = 0.2;
    set.texts(&[
        (Tag(0x0018, 0x0060), VR::DS, "125"),
        (Tag(0x0018, 0x1164), VR::DS, "0.2\\0.2"),
        (Tag(0x0018, 0x5101), VR::CS, "PA"),
        (Tag(0x0020, 0x0020), VR::CS, "L\\F"),
    ]);
    grey(&mut set, "MONOCHROME1", RADIOGRAPH, [16, 12]);
    scale(&mut set, ["1", "0"], "US", ["2048", "3400"]);
    let [rows, columns] = RADIOGRAPH.map(u64::from);
    let pixels = (0..rows * columns).map(|place| {
        let x = ((place % columns) as f64 - columns as f64 / 2.0) * spacing;
        let z = 150.0 - (place / columns) as f64 * spacing + 20.0;
        let value = 3_900.0 - 11.5 * thickness(x, z) + 16.0 * noise(77, place);
        value.clamp(0.0, 4095.0).round() as u16
    });
    set.pixels16(&pixels.collect::<Vec<_>>());
    set
}

/// Millimetres of tissue, bone counted several times, on the ray through (x, z).
fn thickness(x: f64, z: f64) -> f64 {
    // Shoulders slope away at the top.
    let body = if z > 105.0 {
        BODY.chord(x * (1.0 + (z - 105.0) / 260.0), z)
    } else {
        BODY.chord(x, z)
    };
    let below = LIVER.chord(x, z).max(SPLEEN.chord(x, z)) / 150.0;
    let air: f64 = LUNGS.iter().map(|lung| lung.chord(x, z)).sum::<f64>() * (1.0 - below.min(1.0));
    let heart = HEART.chord(x, z).min(air * 0.7);
    let spine = (1.0 - (x / 20.0).powi(2)).max(0.0).sqrt()
        * if (z / 26.0).rem_euclid(1.0) < 0.84 {
            46.0
        } else {
            30.0
        };
    let windpipe = if z > 45.0 {
        18.0 * (1.0 - (x / 9.0).powi(2)).max(0.0).sqrt()
    } else {
        0.0
    };
    0.62 * body + 14.0 - 0.85 * air + heart + spine + ribs(x, z) + clavicle(x, z) - windpipe
}

/// The back halves of the ribs arch down to the side, the front halves come back lower.
fn ribs(x: f64, z: f64) -> f64 {
    let cage = CAGE.radii[0]
        * (1.0 - ((z - CAGE.center[2]) / 240.0).powi(2))
            .max(0.0)
            .sqrt();
    let share = x.abs() / cage;
    if share >= 1.03 || x.abs() < 18.0 {
        return 0.0;
    }
    let depth = (1.0 - share.min(1.0).powi(2)).sqrt();
    // The rim of the cage is seen on edge.
    let edge = 1.0 + 1.6 * (share - 0.9).max(0.0) * 10.0;
    let band = |y: f64, width: f64| {
        let phase = ((z - 0.45 * y) / 26.0).rem_euclid(1.0) - 0.21;
        (1.0 - (phase / width).powi(2)).max(0.0).sqrt()
    };
    let front = if depth * 92.0 < 74.0 {
        band(-92.0 * depth, 0.2)
    } else {
        0.0
    };
    9.0 * edge * (band(92.0 * depth, 0.2) + 0.6 * front)
}

fn clavicle(x: f64, z: f64) -> f64 {
    let line = 118.0 + 0.2 * (x.abs() - 12.0) + 5.0 * (x.abs() / 28.0).sin();
    let off = (z - line) / 6.5;
    if (12.0..140.0).contains(&x.abs()) {
        17.0 * (1.0 - off * off).max(0.0).sqrt()
    } else {
        0.0
    }
}
