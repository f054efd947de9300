//! What evidence needs of one instance, read from its prepared metadata. What is malformed is as good as missing, and
//! counted where that matters.

use dicom_core::Tag;

use super::stack::Plane;
use crate::dicom::TransferSyntax;
use crate::dicom::json::prepared::{items, tagged_members, text};

/// Positions further from the origin, and slices thicker, are no such thing: a kilometre. Millimetres.
const LENGTH_MAX_MM: f64 = 1e6;

/// The most that is believed of a ratio of compression.
const RATIO_MAX: f64 = 1e6;

/// SOP classes whose images must say where they lie: of the modules Image Plane (PS3.3 C.7.6.2) and Plane Position.
#[rustfmt::skip]
const PLANAR_CLASSES: &[&str] = &[
    "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2",
    "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.4.1", "1.2.840.10008.5.1.4.1.1.4.3",
    "1.2.840.10008.5.1.4.1.1.4.4",
    "1.2.840.10008.5.1.4.1.1.128", "1.2.840.10008.5.1.4.1.1.128.1", "1.2.840.10008.5.1.4.1.1.130",
];

/// Secondary Capture Image Storage; the multi-frame ones are below it.
const SECONDARY_CAPTURE: &str = "1.2.840.10008.5.1.4.1.1.7";

/// Transfer syntaxes whose images have always lost something (JPEG XL that repacks a JPEG among them), beside all video.
const LOSSY_SYNTAXES: &[&str] = &[
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.51",
    "1.2.840.10008.1.2.4.81",
    "1.2.840.10008.1.2.4.111",
];

/// Those that can be either.
const EITHER_SYNTAXES: &[&str] = &[
    "1.2.840.10008.1.2.4.91",
    "1.2.840.10008.1.2.4.93",
    "1.2.840.10008.1.2.4.112",
    "1.2.840.10008.1.2.4.203",
];

/// What a transfer syntax says of what was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// Nothing by this.
    #[default]
    Lossless,
    /// It can be either.
    Either,
    /// Something.
    Lossy,
}

/// One instance of a series.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Instance {
    /// (0020,0013)
    pub number: Option<i64>,
    /// Whether it has Rows (0028,0010).
    pub is_image: bool,
    /// Frames; 0 when it is no image.
    pub frames: u32,
    /// By a value of Image Type (0008,0008).
    pub is_localizer: bool,
    /// Whether it must say where its frames lie.
    pub is_planar: bool,
    /// By its SOP class.
    pub is_secondary_capture: bool,
    /// Whether Modality (0008,0060) is CT, MR or PT.
    pub is_tomographic: bool,
    /// By its transfer syntax.
    pub compression: Compression,
    /// Lossy Image Compression (0028,2110), where it says 00 or 01.
    pub is_lossy: Option<bool>,
    /// Lossy Image Compression Ratio (0028,2112): the product of all steps.
    pub lossy_ratio: Option<f64>,
    /// Whether Burned In Annotation (0028,0301) is YES.
    pub is_burned_in: bool,
    /// (0028,0101)
    pub bits_stored: Option<u32>,
    /// Number of Slices (0054,0081) in each volume, of PET.
    pub slices_declared: Option<u64>,
    /// Number of Series Related Instances (0020,1209), where whoever made it wrote that in.
    pub series_declared: Option<u64>,
    /// Number of Study Related Instances (0020,1208), likewise.
    pub study_declared: Option<u64>,
    /// Frames that say where they lie.
    pub slices: Vec<Slice>,
    /// Frames whose position or orientation is no such thing.
    pub malformed: u32,
    /// Frames that were not looked at, because there are too many.
    pub unseen: u32,
}

/// An image, or a frame of one, that says where it lies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Slice {
    /// Where.
    pub plane: Plane,
    /// Slice Thickness (0018,0050). Millimetres.
    pub thickness_mm: Option<f64>,
}

impl Instance {
    /// Frames that must say where they lie and say nothing.
    #[must_use]
    pub fn without_geometry(&self) -> u64 {
        let told = self.slices.len() as u64 + u64::from(self.malformed) + u64::from(self.unseen);
        match self.is_planar {
            true => u64::from(self.frames).saturating_sub(told),
            false => 0,
        }
    }

    /// Reads prepared metadata; of its frames the first `slices_max` are looked at.
    #[must_use]
    pub fn read(metadata: &[u8], transfer_syntax_uid: &str, slices_max: usize) -> Self {
        let mut instance = Self {
            compression: compression(transfer_syntax_uid),
            ..Self::default()
        };
        let (mut shared, mut own) = (Told::default(), Told::default());
        let mut by_frame = None;
        let mut frames = 1;
        for (tag, member) in tagged_members(metadata) {
            match tag {
                IMAGE_TYPE => {
                    let text = text(member).unwrap_or_default();
                    instance.is_localizer = text.split('\\').any(|value| value == "LOCALIZER");
                }
                SOP_CLASS_UID => {
                    let class = text(member).unwrap_or_default();
                    let below = class.strip_prefix(SECONDARY_CAPTURE);
                    instance.is_secondary_capture =
                        below.is_some_and(|below| below.is_empty() || below.starts_with('.'));
                    instance.is_planar = PLANAR_CLASSES.contains(&&*class);
                }
                MODALITY => {
                    let modality = text(member).unwrap_or_default();
                    instance.is_tomographic = ["CT", "MR", "PT"].contains(&&*modality);
                }
                INSTANCE_NUMBER => instance.number = whole(member),
                STUDY_RELATED_INSTANCES => instance.study_declared = count(member),
                SERIES_RELATED_INSTANCES => instance.series_declared = count(member),
                NUMBER_OF_SLICES => instance.slices_declared = count(member),
                NUMBER_OF_FRAMES => {
                    frames =
                        count(member).map_or(1, |frames| frames.try_into().unwrap_or(u32::MAX));
                }
                ROWS => instance.is_image = count(member).is_some_and(|rows| rows > 0),
                BITS_STORED => {
                    instance.bits_stored = count(member).and_then(|bits| bits.try_into().ok());
                }
                BURNED_IN_ANNOTATION => {
                    instance.is_burned_in = text(member).is_some_and(|text| text == "YES");
                }
                LOSSY_IMAGE_COMPRESSION => {
                    instance.is_lossy = match text(member).as_deref() {
                        Some("01") => Some(true),
                        Some("00") => Some(false),
                        _ => None,
                    };
                }
                LOSSY_IMAGE_COMPRESSION_RATIO => instance.lossy_ratio = ratio(member),
                SHARED_FUNCTIONAL_GROUPS => {
                    if let Some(item) = items(member).and_then(|mut items| items.next()) {
                        shared = Told::of_groups(item);
                    }
                }
                PER_FRAME_FUNCTIONAL_GROUPS => by_frame = items(member),
                _ => own.take(tag, member),
            }
        }
        if !instance.is_image {
            return instance;
        }
        instance.frames = frames.max(1);
        match by_frame {
            Some(items) => {
                let looked_at = slices_max.min(instance.frames as usize);
                // What does not fit into a number of frames is none of them.
                instance.unseen = instance.frames - u32::try_from(looked_at).unwrap_or(u32::MAX);
                for item in items.take(looked_at) {
                    instance.add(Told::of_groups(item).or(&shared));
                }
            }
            // Of frames without groups only one could lie at one position.
            None if instance.frames == 1 && slices_max > 0 => instance.add(own.or(&shared)),
            None => {}
        }
        instance
    }

    fn add(&mut self, told: Told) {
        match told.plane() {
            Some(Some(plane)) => self.slices.push(Slice {
                plane,
                thickness_mm: told.thickness_mm,
            }),
            Some(None) => self.malformed += 1,
            None => {}
        }
    }
}

/// What is said of where a frame lies, in one place or another. Of a vector: not at all, malformed, or well.
#[derive(Debug, Clone, Copy, Default)]
struct Told {
    position: Option<Option<[f64; 3]>>,
    orientation: Option<Option<[f64; 6]>>,
    thickness_mm: Option<f64>,
}

impl Told {
    fn take(&mut self, tag: Tag, member: &[u8]) {
        match tag {
            IMAGE_POSITION => self.position = vector(member),
            IMAGE_ORIENTATION => self.orientation = vector(member),
            SLICE_THICKNESS => {
                self.thickness_mm = vector::<1>(member).flatten().map(|[thickness]| thickness);
                self.thickness_mm = self.thickness_mm.filter(|thickness| *thickness > 0.0);
            }
            _ => {}
        }
    }

    /// Of an item of functional groups: Plane Position, Plane Orientation and Pixel Measures.
    fn of_groups(item: &[u8]) -> Self {
        let mut told = Self::default();
        for (tag, member) in tagged_members(item) {
            let is_group = [PLANE_POSITION, PLANE_ORIENTATION, PIXEL_MEASURES].contains(&tag);
            let group = items(member).filter(|_| is_group);
            if let Some(group) = group.and_then(|mut items| items.next()) {
                tagged_members(group).for_each(|(tag, member)| told.take(tag, member));
            }
        }
        told
    }

    fn or(self, shared: &Self) -> Self {
        Self {
            position: self.position.or(shared.position),
            orientation: self.orientation.or(shared.orientation),
            thickness_mm: self.thickness_mm.or(shared.thickness_mm),
        }
    }

    /// `None` when nothing is said, `Some(None)` when it is no plane.
    fn plane(&self) -> Option<Option<Plane>> {
        let (position, orientation) = match (self.position, self.orientation) {
            (None, None) => return None,
            // Half of it is none.
            (position, orientation) => (position.flatten(), orientation.flatten()),
        };
        let ([a, b, c, x, y, z], position) = match orientation.zip(position) {
            Some(both) => both,
            None => return Some(None),
        };
        Some(Plane::new(position, [a, b, c], [x, y, z]))
    }
}

/// What a transfer syntax says of what was lost.
fn compression(uid: &str) -> Compression {
    let is_video = TransferSyntax::of_uid(uid).is_some_and(TransferSyntax::is_video);
    if is_video || LOSSY_SYNTAXES.contains(&uid) {
        Compression::Lossy
    } else if EITHER_SYNTAXES.contains(&uid) {
        Compression::Either
    } else {
        Compression::Lossless
    }
}

/// `N` numbers, finite and no longer than [`LENGTH_MAX_MM`]; `None` when there is no value at all.
fn vector<const N: usize>(member: &[u8]) -> Option<Option<[f64; N]>> {
    let text = text(member)?;
    let mut vector = [0.0; N];
    let mut values = text.split('\\');
    for part in &mut vector {
        let value = values
            .next()
            .and_then(|value| value.trim().parse::<f64>().ok());
        match value {
            // Not so for what is no number.
            Some(value) if value.abs() <= LENGTH_MAX_MM => *part = value,
            _ => return Some(None),
        }
    }
    Some(values.next().is_none().then_some(vector))
}

fn whole(member: &[u8]) -> Option<i64> {
    text(member)?.trim().parse().ok()
}

fn count(member: &[u8]) -> Option<u64> {
    text(member)?.trim().parse().ok()
}

/// The product of the ratios of all steps of compression.
fn ratio(member: &[u8]) -> Option<f64> {
    let text = text(member)?;
    let ratios = text
        .split('\\')
        .map(|value| value.trim().parse::<f64>().ok());
    let product = ratios
        .take(8)
        .try_fold(1.0, |product, ratio| Some(product * ratio?))?;
    (product > 0.0 && product <= RATIO_MAX).then_some(product)
}

const IMAGE_TYPE: Tag = Tag(0x0008, 0x0008);
const SOP_CLASS_UID: Tag = Tag(0x0008, 0x0016);
const MODALITY: Tag = Tag(0x0008, 0x0060);
const SLICE_THICKNESS: Tag = Tag(0x0018, 0x0050);
const INSTANCE_NUMBER: Tag = Tag(0x0020, 0x0013);
const IMAGE_POSITION: Tag = Tag(0x0020, 0x0032);
const IMAGE_ORIENTATION: Tag = Tag(0x0020, 0x0037);
const STUDY_RELATED_INSTANCES: Tag = Tag(0x0020, 0x1208);
const SERIES_RELATED_INSTANCES: Tag = Tag(0x0020, 0x1209);
const PLANE_POSITION: Tag = Tag(0x0020, 0x9113);
const PLANE_ORIENTATION: Tag = Tag(0x0020, 0x9116);
const NUMBER_OF_FRAMES: Tag = Tag(0x0028, 0x0008);
const ROWS: Tag = Tag(0x0028, 0x0010);
const BITS_STORED: Tag = Tag(0x0028, 0x0101);
const BURNED_IN_ANNOTATION: Tag = Tag(0x0028, 0x0301);
const LOSSY_IMAGE_COMPRESSION: Tag = Tag(0x0028, 0x2110);
const LOSSY_IMAGE_COMPRESSION_RATIO: Tag = Tag(0x0028, 0x2112);
const PIXEL_MEASURES: Tag = Tag(0x0028, 0x9110);
const NUMBER_OF_SLICES: Tag = Tag(0x0054, 0x0081);
const SHARED_FUNCTIONAL_GROUPS: Tag = Tag(0x5200, 0x9229);
const PER_FRAME_FUNCTIONAL_GROUPS: Tag = Tag(0x5200, 0x9230);

#[cfg(test)]
mod tests {
    use super::*;

    const J2K: &str = "1.2.840.10008.1.2.4.91";

    fn read(members: &str) -> Instance {
        Instance::read(format!("{{{members}}}").as_bytes(), J2K, 1000)
    }

    fn ds(tag: &str, values: &str) -> String {
        format!(r#""{tag}":{{"vr":"DS","Value":[{values}]}}"#)
    }

    const ROWS_4: &str = r#""00280010":{"vr":"US","Value":[4]}"#;

    #[test]
    fn what_a_slice_says_of_itself() {
        let axial = ds("00200037", "1,0,0,0,1,0");
        let position = ds("00200032", r#"-1.5,"2",3e1"#);
        let thickness = ds("00180050", "2.5");
        let class = r#""00080016":{"vr":"UI","Value":["1.2.840.10008.5.1.4.1.1.2"]}"#;
        let slice = read(&[class, &*thickness, &*position, &*axial, ROWS_4].join(","));
        assert!(slice.is_image && slice.is_planar && slice.malformed == 0);
        assert_eq!(slice.slices[0].plane.position, [-1.5, 2.0, 30.0]);
        assert_eq!(slice.slices[0].thickness_mm, Some(2.5));
        assert_eq!(slice.without_geometry(), 0);
        assert_eq!(read(&[class, ROWS_4].join(",")).without_geometry(), 1);
        for hostile in [
            r#"1,2"#,
            r#"1,2,3,4"#,
            r#""NaN",0,0"#,
            r#""inf",0,0"#,
            r#"0,0,1e7"#,
            r#""",0,0"#,
        ] {
            let position = ds("00200032", hostile);
            let read = read(&[class, &*position, &*axial, ROWS_4].join(","));
            let told = (read.slices.len(), read.malformed, read.without_geometry());
            assert_eq!(told, (0, 1, 0), "{hostile}");
        }
        for skewed in [
            "1,0,0,1,0,0",
            "0,0,0,0,1,0",
            "2,0,0,0,1,0",
            "1,0,0,0.5,0.8,0",
        ] {
            let axial = ds("00200037", skewed);
            let read = read(&[class, &*position, &*axial, ROWS_4].join(","));
            assert_eq!((read.slices.len(), read.malformed), (0, 1), "{skewed}");
        }
    }

    #[test]
    fn frames_say_it_in_their_groups() {
        let frame = |z: u32| {
            let position = ds("00200032", &format!("0,0,{z}"));
            format!(r#"{{"00209113":{{"vr":"SQ","Value":[{{{position}}}]}}}}"#)
        };
        let frames: Vec<String> = (0..3).map(frame).collect();
        let shared = format!(
            r#""52009229":{{"vr":"SQ","Value":[{{"00209116":{{"vr":"SQ","Value":[{{{}}}]}},"00289110":{{"vr":"SQ","Value":[{{{}}}]}}}}]}}"#,
            ds("00200037", "0,1,0,0,0,-1"),
            ds("00180050", "3")
        );
        let by_frame = format!(r#""52009230":{{"vr":"SQ","Value":[{}]}}"#, frames.join(","));
        let class = r#""00080016":{"vr":"UI","Value":["1.2.840.10008.5.1.4.1.1.4.1"]}"#;
        let count = |n| format!(r#""00280008":{{"vr":"IS","Value":[{n}]}}"#);
        let image = read(&[class, &*count(4), ROWS_4, &*shared, &*by_frame].join(","));
        assert_eq!((image.frames, image.slices.len()), (4, 3));
        assert_eq!(image.without_geometry(), 1);
        assert_eq!(image.slices[2].plane.position, [0.0, 0.0, 2.0]);
        assert_eq!(image.slices[0].thickness_mm, Some(3.0));
        // What a group holds beyond the frames is none.
        let image = read(&[class, &*count(2), ROWS_4, &*shared, &*by_frame].join(","));
        assert_eq!(image.slices.len(), 2);
    }

    #[test]
    fn what_was_lost_and_what_is_written_on_it() {
        let lossy = |code: &str| {
            read(&format!(
                r#"{ROWS_4},"00280301":{{"vr":"CS","Value":["YES"]}},"00282110":{{"vr":"CS","Value":["{code}"]}},{}"#,
                ds("00282112", "4,2.5")
            ))
        };
        assert_eq!(
            (lossy("01").is_lossy, lossy("01").lossy_ratio),
            (Some(true), Some(10.0))
        );
        assert_eq!(
            (lossy("00").is_lossy, lossy("x").is_lossy),
            (Some(false), None)
        );
        assert!(lossy("01").is_burned_in && lossy("01").compression == Compression::Either);
        assert_eq!(compression("1.2.840.10008.1.2.4.50"), Compression::Lossy);
        assert_eq!(compression("1.2.840.10008.1.2.4.102"), Compression::Lossy);
        assert_eq!(compression("1.2.840.10008.1.2.4.80"), Compression::Lossless);
    }

    #[test]
    fn any_text_is_survived() {
        for text in [
            "",
            "{",
            "{}",
            r#"{"00200013":{"vr":"IS","Value":[99999999999999999999]}}"#,
        ] {
            assert_eq!(Instance::read(text.as_bytes(), J2K, 10).number, None);
        }
        let no_image = Instance::read(br#"{"00280008":{"vr":"IS","Value":[7]}}"#, "", 10);
        assert_eq!(no_image.frames, 0);
    }
}
