//! Whether a study is complete enough to be read: what its series hold, and what seems to be missing or wrong with
//! them. It is evidence for a human, who says "complete"; nothing here decides.
//!
//! [`of_series`] is arithmetic over plain values: [`numbers`] looks at Instance Numbers, [`stack`] at where slices lie
//! (Image Plane, PS3.3 C.7.6.2; Plane Position and Plane Orientation of enhanced multi-frame images, C.7.6.16.2.3 and .4),
//! [`quality`] at compression, bits and the like. [`instance`] reads the values from prepared metadata, [`collect`] has
//! them from the archive, [`known`] keeps what was worked out lately. Whatever an object says is believed only within bounds, so no value can break a sum.

pub mod collect;
pub mod finding;
pub mod instance;
pub(super) mod known;
pub mod numbers;
pub mod quality;
pub mod stack;

pub use collect::{Arrival, SeriesLooked, StudyEvidence, of_study};
pub use finding::{Finding, Kind, Severity};
pub use instance::{Compression, Instance, Slice};
pub use numbers::Numbers;
pub use quality::Quality;
pub use stack::{Gap, Plane, Position, Stack};

/// The longest list of gaps or duplicates that is given; they are counted to the end.
pub const LIST_MAX: usize = 100;

/// What the instances of a series say together.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SeriesEvidence {
    /// Instances that were looked at.
    pub instances: u64,
    /// Those of them that are images.
    pub images: u64,
    /// Their frames; an image that is no multi-frame one has one.
    pub frames: u64,
    /// Of the images, localizers.
    pub localizers: u64,
    /// What their Instance Numbers tell.
    pub numbers: Numbers,
    /// Slices side by side, each orientation by itself and localizers apart.
    pub stacks: Vec<Stack>,
    /// Slices in orientations beyond [`stack::STACKS_MAX`].
    pub slices_elsewhere: u64,
    /// Frames that should say where they lie (PS3.3 C.7.6.2) and do not.
    pub without_geometry: u64,
    /// Frames whose position or orientation is no such thing.
    pub malformed_geometry: u64,
    /// Frames that were not looked at, because there are too many.
    pub frames_unseen: u64,
    /// How they are made.
    pub quality: Quality,
    /// What should be looked at.
    pub findings: Vec<Finding>,
}

/// The evidence of the instances of one series.
#[must_use]
pub fn of_series(instances: &[Instance]) -> SeriesEvidence {
    let numbers = numbers::of(instances.iter().map(|instance| instance.number));
    let slices = instances.iter().flat_map(|instance| {
        let is_localizer = instance.is_localizer;
        instance
            .slices
            .iter()
            .map(move |slice| (is_localizer, slice))
    });
    let (stacks, slices_elsewhere) = stack::of(slices);
    let images = || instances.iter().filter(|instance| instance.is_image);
    let mut evidence = SeriesEvidence {
        instances: instances.len() as u64,
        images: images().count() as u64,
        frames: images().map(|image| u64::from(image.frames)).sum(),
        localizers: images().filter(|image| image.is_localizer).count() as u64,
        numbers,
        stacks,
        slices_elsewhere,
        without_geometry: images().map(Instance::without_geometry).sum(),
        malformed_geometry: images().map(|image| u64::from(image.malformed)).sum(),
        frames_unseen: images().map(|image| u64::from(image.unseen)).sum(),
        quality: quality::of(images()),
        findings: Vec::new(),
    };
    evidence.findings = finding::of_series(&evidence, instances);
    evidence
}
