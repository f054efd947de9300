//! A heart under ultrasound, four chambers seen from its tip: a sector of speckle in which the
//! walls move and the valves open, one beat in thirty frames.

use std::f64::consts::TAU;

use dicom_core::{Tag, VR};

use super::dataset::DataSet;
use super::study::{Series, grey, noise};

const ROWS: u16 = 480;
const COLUMNS: u16 = 640;
const FRAMES: u16 = 30;
/// Where the probe is, in pixels; pixels are 0.035 cm.
const APEX: [f64; 2] = [319.5, 18.0];
const DEPTH: f64 = 440.0;
const CENTIMETRES_PER_PIXEL: f64 = 0.035;
/// Half the opening of the sector.
const HALF_ANGLE: f64 = 0.72;

/// The loop.
pub(super) fn ultrasound(series: &Series) -> DataSet {
    let mut set = series.begin(1);
    set.texts(&[
        (Tag(0x0018, 0x1063), VR::DS, "33.3"),
        (Tag(0x0020, 0x0020), VR::CS, ""),
        (Tag(0x0028, 0x0008), VR::IS, &FRAMES.to_string()),
        (Tag(0x0028, 0x1050), VR::DS, "128"),
        (Tag(0x0028, 0x1051), VR::DS, "256"),
    ]);
    set.at(Tag(0x0028, 0x0009), Tag(0x0018, 0x1063));
    set.sequence(Tag(0x0018, 0x6011), &[region(series)]);
    grey(&mut set, "MONOCHROME2", [ROWS, COLUMNS], [8, 8]);
    let mut pixels =
        Vec::with_capacity(usize::from(ROWS) * usize::from(COLUMNS) * usize::from(FRAMES));
    (0..FRAMES).for_each(|number| {
        frame(
            f64::from(number) / f64::from(FRAMES),
            u64::from(number),
            &mut pixels,
        )
    });
    set.pixels8(pixels);
    set
}

/// US Region Calibration (PS3.3 §C.8.5.5): a tissue image in centimetres.
fn region(series: &Series) -> DataSet {
    let mut item = DataSet::new(series.study.patient.charset);
    item.us(Tag(0x0018, 0x6012), &[1]);
    item.us(Tag(0x0018, 0x6014), &[1]);
    item.ul(Tag(0x0018, 0x6016), 0);
    item.ul(Tag(0x0018, 0x6018), 0);
    item.ul(Tag(0x0018, 0x601A), 0);
    item.ul(Tag(0x0018, 0x601C), u32::from(COLUMNS) - 1);
    item.ul(Tag(0x0018, 0x601E), u32::from(ROWS) - 1);
    item.us(Tag(0x0018, 0x6024), &[3]);
    item.us(Tag(0x0018, 0x6026), &[3]);
    item.fd(Tag(0x0018, 0x602C), CENTIMETRES_PER_PIXEL);
    item.fd(Tag(0x0018, 0x602E), CENTIMETRES_PER_PIXEL);
    item
}

fn frame(phase: f64, number: u64, pixels: &mut Vec<u8>) {
    for row in 0..ROWS {
        for column in 0..COLUMNS {
            let (dx, dy) = (f64::from(column) - APEX[0], f64::from(row) - APEX[1]);
            let (depth, angle) = (dx.hypot(dy), dx.atan2(dy));
            let is_sector = angle.abs() < HALF_ANGLE && (14.0..DEPTH).contains(&depth);
            let brightness = if is_sector {
                echo([dx, dy], [depth, angle], phase, number)
            } else {
                0.0
            };
            pixels.push(brightness.clamp(0.0, 255.0) as u8);
        }
    }
}

/// Brightness at a point: what is there, times speckle that is drawn out sideways with depth.
fn echo(point: [f64; 2], [depth, angle]: [f64; 2], phase: f64, number: u64) -> f64 {
    let cell =
        |size: f64, steps: f64| (((depth / size) as u64) << 20) + ((angle + 1.0) * steps) as u64;
    // Half of the speckle stays with the tissue, half flickers from frame to frame.
    let speckle =
        1.0 + 0.34 * noise(31, cell(3.0, 190.0)) + 0.2 * noise(32 + number, cell(2.5, 230.0));
    let fading = 1.0 - 0.3 * depth / DEPTH;
    reflectivity(point, phase) * speckle.max(0.05) * fading
}

/// 0 is blood, 200 the bright linings.
fn reflectivity([x, y]: [f64; 2], phase: f64) -> f64 {
    // Squeezed most at a third of the beat; atria go the other way.
    let squeeze = (0.5 - 0.5 * (TAU * phase).cos()).powf(1.4);
    let shape = |center: [f64; 2], radii: [f64; 2]| {
        ((x - center[0]) / radii[0]).hypot((y - center[1]) / radii[1])
    };
    let valve_plane = 238.0 - 18.0 * squeeze;
    let (ventricle, atrium) = (1.0 - 0.24 * squeeze, 0.86 + 0.16 * squeeze);
    let chambers = [
        shape(
            [46.0, valve_plane - 88.0],
            [44.0 * ventricle, 84.0 * (1.0 - 0.1 * squeeze)],
        ),
        shape(
            [-50.0, valve_plane - 66.0],
            [35.0 * ventricle, 62.0 * (1.0 - 0.1 * squeeze)],
        ),
        shape([50.0, valve_plane + 62.0], [44.0 * atrium, 54.0 * atrium]),
        shape([-52.0, valve_plane + 58.0], [42.0 * atrium, 50.0 * atrium]),
    ];
    if let Some(valve) = leaflets([x, y], valve_plane, phase) {
        return valve;
    }
    let nearest = chambers.iter().copied().fold(f64::MAX, f64::min);
    match nearest {
        ..0.96 => 9.0,
        ..1.05 => 175.0,
        _ if shape([0.0, 188.0], [116.0, 168.0]) < 1.0 => 92.0,
        _ if shape([0.0, 188.0], [124.0, 176.0]) < 1.0 => 205.0,
        _ => 52.0,
    }
}

/// Two leaflets on each side, shut while the ventricles squeeze.
fn leaflets([x, y]: [f64; 2], valve_plane: f64, phase: f64) -> Option<f64> {
    let opening = if phase < 0.5 {
        0.08
    } else {
        0.95 * (TAU * (phase - 0.5)).sin().abs().sqrt()
    };
    for (center, reach) in [(48.0, 36.0), (-51.0, 31.0)] {
        for side in [-1.0, 1.0] {
            let hinge = center + side * reach;
            let inward = (hinge - x) * side;
            // Hinged at the wall, the tip swings up into the ventricle.
            let line = valve_plane - inward * opening * 1.1;
            let length = reach * (1.0 - 0.45 * opening);
            if (0.0..length).contains(&inward) && (y - line).abs() < 3.2 {
                return Some(190.0);
            }
        }
    }
    None
}
