//! The attributes of presentation states that are read (PS3.3 §A.33), beside those of images.

use crate::imaging::metadata::{Interest, OfImage};

pub(in super::super) const SHUTTER_SHAPE: u32 = 0x0018_1600;
/// Left, right, upper and lower edge.
pub(in super::super) const RECTANGLE: [u32; 4] =
    [0x0018_1602, 0x0018_1604, 0x0018_1606, 0x0018_1608];
pub(in super::super) const CIRCLE_CENTER: u32 = 0x0018_1610;
pub(in super::super) const CIRCLE_RADIUS: u32 = 0x0018_1612;
pub(in super::super) const POLYGON: u32 = 0x0018_1620;
pub(in super::super) const SHUTTER_VALUE: u32 = 0x0018_1622;
pub(in super::super) const SHUTTER_OVERLAY_GROUP: u32 = 0x0018_1623;
pub(in super::super) const SHUTTER_COLOR: u32 = 0x0018_1624;
pub(super) const REFERENCED_SERIES: u32 = 0x0008_1115;
pub(super) const REFERENCED_IMAGES: u32 = 0x0008_1140;
pub(super) const REFERENCED_INSTANCE: u32 = 0x0008_1155;
pub(super) const REFERENCED_FRAMES: u32 = 0x0008_1160;
pub(super) const SERIES_INSTANCE_UID: u32 = 0x0020_000E;
pub(super) const SOFTCOPY_VOI_LUT: u32 = 0x0028_3110;
pub(super) const MASK_SUBTRACTION: u32 = 0x0028_6100;
pub(super) const PRESENTATION_LUT: u32 = 0x2050_0010;
pub(super) const PRESENTATION_LUT_SHAPE: u32 = 0x2050_0020;
pub(super) const GRAPHIC_ANNOTATIONS: u32 = 0x0070_0001;
pub(super) const LAYER: u32 = 0x0070_0002;
pub(super) const BOX_UNITS: u32 = 0x0070_0003;
pub(super) const ANCHOR_UNITS: u32 = 0x0070_0004;
pub(super) const GRAPHIC_UNITS: u32 = 0x0070_0005;
pub(super) const TEXT: u32 = 0x0070_0006;
pub(super) const TEXTS: u32 = 0x0070_0008;
pub(super) const GRAPHICS: u32 = 0x0070_0009;
pub(super) const BOX_FIRST: u32 = 0x0070_0010;
pub(super) const BOX_LAST: u32 = 0x0070_0011;
pub(super) const ANCHOR: u32 = 0x0070_0014;
pub(super) const ANCHOR_IS_VISIBLE: u32 = 0x0070_0015;
pub(super) const DIMENSIONS: u32 = 0x0070_0020;
pub(super) const POINT_COUNT: u32 = 0x0070_0021;
pub(super) const POINTS: u32 = 0x0070_0022;
pub(super) const GRAPHIC_TYPE: u32 = 0x0070_0023;
pub(super) const IS_FILLED: u32 = 0x0070_0024;
pub(super) const IS_MIRRORED: u32 = 0x0070_0041;
pub(super) const ROTATION: u32 = 0x0070_0042;
pub(super) const DISPLAYED_FIRST: u32 = 0x0070_0052;
pub(super) const DISPLAYED_LAST: u32 = 0x0070_0053;
pub(super) const DISPLAYED_AREAS: u32 = 0x0070_005A;
pub(super) const LAYERS: u32 = 0x0070_0060;
pub(super) const LAYER_ORDER: u32 = 0x0070_0062;
pub(super) const LAYER_VALUE: u32 = 0x0070_0066;
pub(super) const SIZE_MODE: u32 = 0x0070_0100;
pub(super) const SPACING: u32 = 0x0070_0101;
pub(super) const ASPECT_RATIO: u32 = 0x0070_0102;
pub(super) const MAGNIFICATION: u32 = 0x0070_0103;
pub(super) const LAYER_COLOR: u32 = 0x0070_0401;

/// Every tag above.
const OF_STATES: &[u32] = &[
    SHUTTER_SHAPE,
    RECTANGLE[0],
    RECTANGLE[1],
    RECTANGLE[2],
    RECTANGLE[3],
    CIRCLE_CENTER,
    CIRCLE_RADIUS,
    POLYGON,
    SHUTTER_VALUE,
    SHUTTER_OVERLAY_GROUP,
    SHUTTER_COLOR,
    REFERENCED_SERIES,
    REFERENCED_IMAGES,
    REFERENCED_INSTANCE,
    REFERENCED_FRAMES,
    SERIES_INSTANCE_UID,
    SOFTCOPY_VOI_LUT,
    MASK_SUBTRACTION,
    PRESENTATION_LUT,
    PRESENTATION_LUT_SHAPE,
    GRAPHIC_ANNOTATIONS,
    LAYER,
    BOX_UNITS,
    ANCHOR_UNITS,
    GRAPHIC_UNITS,
    TEXT,
    TEXTS,
    GRAPHICS,
    BOX_FIRST,
    BOX_LAST,
    ANCHOR,
    ANCHOR_IS_VISIBLE,
    DIMENSIONS,
    POINT_COUNT,
    POINTS,
    GRAPHIC_TYPE,
    IS_FILLED,
    IS_MIRRORED,
    ROTATION,
    DISPLAYED_FIRST,
    DISPLAYED_LAST,
    DISPLAYED_AREAS,
    LAYERS,
    LAYER_ORDER,
    LAYER_VALUE,
    SIZE_MODE,
    SPACING,
    ASPECT_RATIO,
    MAGNIFICATION,
    LAYER_COLOR,
];

/// What is of interest in a presentation state.
#[derive(Debug)]
pub(in super::super) enum OfState {}

impl Interest for OfState {
    fn is_met(tag: u32) -> bool {
        OF_STATES.contains(&tag) || OfImage::is_met(tag)
    }
}
