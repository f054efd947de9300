//! What of the evidence should be looked at, each with a word for programs and a sentence for people. A warning may
//! spoil an opinion; a note is good to know.

use super::instance::Instance;
use super::stack::{Stack, tolerance_mm};
use super::{SeriesEvidence, StudyEvidence};

/// A stack that leans by more is told: a gantry is tilted by half degrees and more. Degrees.
const LEAN_DEGREES: f64 = 0.5;

/// As many bits as a screen shot has.
const SCREEN_BITS: u32 = 8;

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Good to know.
    Note,
    /// It may spoil an opinion.
    Warning,
}

/// Something that should be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finding {
    /// What.
    pub kind: Kind,
    /// How many of what its sentence names.
    pub count: u64,
}

/// Makes the closed list of what is found: variant, word, severity, sentence (after a number).
macro_rules! kinds {
    ($($variant:ident = $word:literal $severity:ident $sentence:literal,)+) => {
        /// What is found.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Kind { $(#[doc = $sentence] $variant,)+ }

        impl Kind {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word for programs.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// How much it weighs.
            #[must_use]
            pub const fn severity(self) -> Severity {
                match self { $(Self::$variant => Severity::$severity,)+ }
            }

            /// What a number of it stands for.
            #[must_use]
            pub const fn sentence(self) -> &'static str {
                match self { $(Self::$variant => $sentence,)+ }
            }
        }
    };
}

#[rustfmt::skip]
kinds! {
    NoImages = "no-images" Warning "instances, and no image among them",
    LocalizersOnly = "localizers-only" Warning "images, all of them localizers",
    SecondaryCapturesOnly = "secondary-captures-only" Warning "images, all of them secondary captures",
    FewerThanDeclared = "fewer-than-declared" Warning "instances missing of those that the objects themselves declare",
    FewerSlicesThanDeclared = "fewer-slices-than-declared" Warning "slices missing of those that the objects themselves declare",
    MissingNumbers = "missing-numbers" Warning "numbers missing between the first and the last Instance Number",
    DuplicateNumbers = "duplicate-numbers" Warning "instances with an Instance Number that another one has",
    MissingSlices = "missing-slices" Warning "slices missing between neighbours at the usual distance",
    IrregularSpacing = "irregular-spacing" Warning "distances between slices that are no multiple of the usual one",
    DuplicatePositions = "duplicate-positions" Warning "positions with more than one slice",
    UnevenPositions = "uneven-positions" Warning "positions with more or fewer slices than the others have",
    MissingGeometry = "missing-geometry" Warning "frames that do not say where they lie",
    MalformedGeometry = "malformed-geometry" Warning "frames whose position or orientation is malformed",
    LossyCompression = "lossy-compression" Warning "images with lossy compression",
    LossyUndeclared = "lossy-undeclared" Warning "images with lossy compression that do not say so",
    EightBitOnly = "eight-bit-only" Warning "images of CT, MR or PET with eight bits at most",
    BurnedInAnnotation = "burned-in-annotation" Warning "images with burned-in annotation",
    PerhapsLossy = "perhaps-lossy" Note "images whose compression may be lossy, and that do not say",
    RepeatedPositions = "repeated-positions" Note "slices at each position (phases, echoes, or sent twice)",
    MixedOrientations = "mixed-orientations" Note "orientations in one series",
    LeaningStack = "leaning-stack" Note "stacks whose slices do not lie straight above each other (tilted gantry)",
    Overlapping = "overlapping" Note "stacks whose slices overlap",
    SpaceBetween = "space-between" Note "stacks with space between their slices",
    NotAllLookedAt = "not-all-looked-at" Warning "instances not looked at, because there are too many",
    FramesNotLookedAt = "frames-not-looked-at" Warning "frames not looked at, because there are too many",
    SeriesNotLookedAt = "series-not-looked-at" Warning "series not looked at, because there are too many",
}

/// Collects findings of which there is at least one.
#[derive(Default)]
struct Found(Vec<Finding>);

impl Found {
    fn count(&mut self, kind: Kind, count: u64) {
        if count > 0 {
            self.0.push(Finding { kind, count });
        }
    }

    fn when(&mut self, kind: Kind, is_so: bool, count: u64) {
        self.count(kind, if is_so { count } else { 0 });
    }

    fn in_order(mut self) -> Vec<Finding> {
        self.0.sort_by_key(|finding| finding.kind);
        self.0
    }
}

/// What should be looked at in a series. That a series has no images, or only localizers, is no fault: a study may.
pub(super) fn of_series(evidence: &SeriesEvidence, instances: &[Instance]) -> Vec<Finding> {
    let mut found = Found::default();
    let (numbers, quality) = (&evidence.numbers, &evidence.quality);
    let images = evidence.images;
    let is_captured = images > 0 && quality.secondary_captures == images;
    found.when(Kind::SecondaryCapturesOnly, is_captured, images);
    let declared = instances
        .iter()
        .filter_map(|instance| instance.series_declared);
    let declared = declared.max().unwrap_or(0);
    found.count(
        Kind::FewerThanDeclared,
        declared.saturating_sub(evidence.instances),
    );
    found.count(Kind::MissingNumbers, numbers.missing);
    found.count(Kind::DuplicateNumbers, numbers.duplicates);
    found.count(Kind::MissingGeometry, evidence.without_geometry);
    found.count(Kind::MalformedGeometry, evidence.malformed_geometry);
    found.count(Kind::FramesNotLookedAt, evidence.frames_unseen);
    found.count(Kind::LossyCompression, quality.lossy);
    found.count(Kind::LossyUndeclared, quality.lossy_undeclared);
    found.count(Kind::PerhapsLossy, quality.perhaps_lossy);
    found.count(Kind::BurnedInAnnotation, quality.burned_in);
    let is_flat = images > 0
        && quality.tomographic == images
        && quality.bits_stored.is_some_and(|bits| bits <= SCREEN_BITS);
    found.when(Kind::EightBitOnly, is_flat, images);
    // What localizers lack of a stack is nothing to look at.
    let stacks = || evidence.stacks.iter().filter(|stack| !stack.is_localizer);
    let sum = |count: fn(&Stack) -> u64| stacks().map(count).fold(0, u64::saturating_add);
    found.count(Kind::MissingSlices, sum(|stack| stack.missing));
    found.count(Kind::IrregularSpacing, sum(|stack| stack.irregular));
    let is_single = |stack: &&Stack| stack.slices_per_position <= 1;
    let uneven = |is_wanted: &dyn Fn(&&Stack) -> bool| {
        stacks().filter(is_wanted).map(|stack| stack.uneven).sum()
    };
    found.count(Kind::DuplicatePositions, uneven(&is_single));
    found.count(Kind::UnevenPositions, uneven(&|stack| !is_single(stack)));
    let repeated = stacks()
        .map(|stack| stack.slices_per_position)
        .max()
        .unwrap_or(0);
    found.when(Kind::RepeatedPositions, repeated > 1, repeated);
    let orientations = stacks().count() as u64 + u64::from(evidence.slices_elsewhere > 0);
    found.when(Kind::MixedOrientations, orientations > 1, orientations);
    let leaning = |stack: &&Stack| stack.lean_degrees.is_some_and(|lean| lean > LEAN_DEGREES);
    found.count(Kind::LeaningStack, stacks().filter(leaning).count() as u64);
    let between = |sign: f64| {
        let is_so = |stack: &&Stack| {
            let tolerance = stack.spacing_mm.map_or(f64::INFINITY, tolerance_mm);
            let between = stack.between_slices_mm();
            between.is_some_and(|between| between * sign > tolerance)
        };
        stacks().filter(is_so).count() as u64
    };
    found.count(Kind::Overlapping, between(-1.0));
    found.count(Kind::SpaceBetween, between(1.0));
    let wanted = instances
        .iter()
        .filter_map(|instance| instance.slices_declared);
    let most = stacks().map(|stack| stack.positions.len() as u64).max();
    let lacking = wanted
        .max()
        .unwrap_or(0)
        .saturating_sub(most.unwrap_or(u64::MAX));
    found.count(Kind::FewerSlicesThanDeclared, lacking);
    found.in_order()
}

/// What should be looked at in a study as a whole.
pub(super) fn of_study(study: &StudyEvidence) -> Vec<Finding> {
    let mut found = Found::default();
    let all = |count: fn(&SeriesEvidence) -> u64| -> u64 {
        study
            .series
            .iter()
            .map(|series| count(&series.evidence))
            .sum()
    };
    let images = all(|series| series.images);
    found.when(Kind::NoImages, images == 0, study.instances);
    let localizers = all(|series| series.localizers);
    found.when(
        Kind::LocalizersOnly,
        images > 0 && localizers == images,
        images,
    );
    let captures = all(|series| series.quality.secondary_captures);
    found.when(
        Kind::SecondaryCapturesOnly,
        images > 0 && captures == images,
        images,
    );
    let lacking = study.declared.unwrap_or(0).saturating_sub(study.instances);
    found.count(Kind::FewerThanDeclared, lacking);
    found.count(Kind::SeriesNotLookedAt, study.series_not_looked_at);
    found.in_order()
}

#[cfg(test)]
mod tests {
    use super::super::of_series;
    use super::super::stack::Plane;
    use super::*;
    use crate::cases::evidence::Slice;

    fn slice(number: i64, z: f64) -> Instance {
        let plane = Plane::new([0.0, 0.0, z], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]);
        Instance {
            number: Some(number),
            is_image: true,
            is_planar: true,
            is_tomographic: true,
            frames: 1,
            bits_stored: Some(12),
            slices: vec![Slice {
                plane: plane.unwrap(),
                thickness_mm: Some(2.0),
            }],
            ..Instance::default()
        }
    }

    fn words(instances: &[Instance]) -> Vec<(&'static str, u64)> {
        let findings = of_series(instances).findings;
        findings
            .iter()
            .map(|found| (found.kind.word(), found.count))
            .collect()
    }

    #[test]
    fn a_whole_stack_has_nothing_to_look_at() {
        let whole: Vec<_> = (1..=20).map(|n| slice(n, 2.0 * n as f64)).collect();
        assert_eq!(words(&whole), []);
        assert_eq!(words(&[]), []);
    }

    #[test]
    fn what_is_wrong_is_found() {
        let mut instances: Vec<_> = (1..=20).map(|n| slice(n, 3.0 * n as f64)).collect();
        instances.remove(10);
        instances[3].number = Some(3);
        instances[5].slices.clear();
        instances[6].is_burned_in = true;
        instances[7].series_declared = Some(25);
        assert_eq!(
            words(&instances),
            [
                ("fewer-than-declared", 6),
                ("missing-numbers", 2),
                ("duplicate-numbers", 1),
                ("missing-slices", 2),
                ("missing-geometry", 1),
                ("burned-in-annotation", 1),
                ("space-between", 1),
            ]
        );
    }

    #[test]
    fn words_are_told_apart() {
        let mut words: Vec<_> = Kind::ALL.iter().map(|kind| kind.word()).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), Kind::ALL.len());
    }
}
