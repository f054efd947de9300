//! What was read (PS3.3 §C.17.2, Table C.17-3 "Hierarchical SOP Instance Reference"): every instance once, below its
//! series and study; and whether what an opinion names belongs together.

use std::collections::{BTreeMap, BTreeSet};

use dicom_core::{Tag, VR};

use super::file::{Set, sop};
use super::{Opinion, OpinionError, Reference};
use crate::dicom::sop_class;

/// Studies with their series with their instances, each once.
pub(super) fn hierarchy<'a>(references: impl IntoIterator<Item = &'a Reference>) -> Vec<Set> {
    let mut studies: BTreeMap<_, BTreeMap<_, BTreeMap<_, &Reference>>> = BTreeMap::new();
    for reference in references {
        studies
            .entry(&reference.study_instance_uid)
            .or_default()
            .entry(&reference.series_instance_uid)
            .or_default()
            .insert(&reference.sop_instance_uid, reference);
    }
    let series = |(uid, instances): (&crate::dicom::Uid, BTreeMap<_, &Reference>)| {
        let mut item = Set::default();
        item.own(Tag(0x0020, 0x000E), VR::UI, uid.as_str());
        item.items(Tag(0x0008, 0x1199), instances.into_values().map(sop));
        item
    };
    studies
        .into_iter()
        .map(|(uid, all)| {
            let mut item = Set::default();
            item.own(Tag(0x0020, 0x000D), VR::UI, uid.as_str());
            item.items(Tag(0x0008, 0x1115), all.into_iter().map(series));
            item
        })
        .collect()
}

/// Whether all that is named is of the study it is listed under, and the key images are images that were read.
pub(super) fn check(opinion: &Opinion) -> Result<(), OpinionError> {
    let study = &opinion.study.study_instance_uid;
    let strays = opinion
        .evidence
        .iter()
        .filter(|reference| reference.study_instance_uid != *study)
        .chain(
            opinion
                .priors
                .iter()
                .filter(|reference| reference.study_instance_uid == *study),
        );
    if let Some(stray) = strays.into_iter().next() {
        return Err(OpinionError::WrongStudy(stray.sop_instance_uid.clone()));
    }
    let read: BTreeSet<&Reference> = opinion.evidence.iter().chain(&opinion.priors).collect();
    for key in &opinion.key_images {
        let uid = || key.image.sop_instance_uid.clone();
        if !read.contains(&key.image) {
            return Err(OpinionError::NotRead(uid()));
        }
        // IS holds no larger ones (PS3.5 §6.2).
        if key
            .frames
            .iter()
            .any(|frame| *frame == 0 || i32::try_from(*frame).is_err())
        {
            return Err(OpinionError::NotAFrame(uid()));
        }
        if key.frames.len() > super::KEY_IMAGES_MAX {
            let (what, max) = ("frames of a key image", super::KEY_IMAGES_MAX);
            return Err(OpinionError::TooMany { what, max });
        }
    }
    Ok(())
}

/// What content items point at (PS3.3 Table C.17.3-7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Image,
    Waveform,
    Composite,
}

/// What the instances of a class are: images, except of storage classes that are documents, presentation states, raw
/// data or plans.
pub(super) fn kind(class: &str) -> Kind {
    const STORAGE: &str = "1.2.840.10008.5.1.4.1.1.";
    const OTHERS: &[&str] = &[
        "4.2", "9.", "11.", "66", "67", "68.", "77.1.5.3", "78.", "79.", "80.", "88.", "90.",
        "91.", "104.", "131", "200.", "481.1", "481.20", "481.21", "481.22", "481.25", "481.3",
        "481.4", "481.5", "481.6", "481.7", "481.8", "481.9",
    ];
    match class.strip_prefix(STORAGE) {
        Some("481.1" | "66.4" | "66.7" | "66.8") => Kind::Image,
        // Presentation states of waveforms are none.
        Some(suffix) if suffix.starts_with("9.") && !suffix.starts_with("9.100.") => Kind::Waveform,
        Some(suffix)
            if sop_class::storage(class).is_some()
                && !OTHERS.iter().any(|other| suffix.starts_with(other)) =>
        {
            Kind::Image
        }
        _ => Kind::Composite,
    }
}

/// Whether the frames of an instance of a class are told apart: of images that can have several (PS3.3 Table 10-3).
pub(super) fn has_frames(class: &str) -> bool {
    const STORAGE: &str = "1.2.840.10008.5.1.4.1.1.";
    const SINGLE: &[&str] = &[
        "1", "1.1", "1.1.1", "1.2", "1.2.1", "1.3", "1.3.1", "2", "4", "6", "6.1", "7", "77.1.1",
        "77.1.2", "77.1.2.1", "77.1.4", "128",
    ];
    let is_single = class
        .strip_prefix(STORAGE)
        .is_some_and(|suffix| SINGLE.contains(&suffix));
    kind(class) == Kind::Image && !is_single
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_told_from_documents() {
        let class = |suffix: &str| kind(&format!("1.2.840.10008.5.1.4.1.1.{suffix}"));
        for suffix in [
            "1", "1.1", "2", "2.1", "3.1", "4", "4.1", "6.1", "6.2", "7", "7.4", "12.1", "13.1.3",
            "20", "30", "77.1.1", "77.1.4.1", "77.1.6", "128", "130", "481.1", "481.2", "66.4",
        ] {
            assert_eq!(class(suffix), Kind::Image, "{suffix}");
        }
        for suffix in [
            "11.1", "66", "66.5", "88.22", "88.59", "104.1", "481.3", "481.5", "481.18", "99.99",
        ] {
            assert_eq!(class(suffix), Kind::Composite, "{suffix}");
        }
        assert_eq!(class("9.1.1"), Kind::Waveform);
        assert_eq!(class("9.100.1"), Kind::Composite);
        assert_eq!(kind("1.2.3"), Kind::Composite);
    }
}
