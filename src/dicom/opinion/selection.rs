//! The key images as a Key Object Selection (PS3.3 §A.35.4, PS3.16 TID 2010 "Key Object Selection"), which viewers
//! mark on the images themselves.
//!
//! One selection, in the study that was read: a key image of a prior stays in the report, since a document that points
//! into another study needs an identical twin there (PS3.3 §C.17.6), and the prior's study is not ours to add to.

use dicom_core::Tag;

use super::content::{self, Rel, object, text};
use super::file::Set;
use super::{KeyImage, Opinion, OpinionError, Place, codes, evidence, modules, safe};

/// Key Object Selection Document Storage.
pub(super) const CLASS: &str = "1.2.840.10008.5.1.4.1.1.88.59";

/// The Part 10 file of the selection, Modality KO; `None` when no key image is of the study.
///
/// # Errors
/// [`OpinionError`].
pub fn selection(opinion: &Opinion, place: &Place) -> Result<Option<Vec<u8>>, OpinionError> {
    opinion.check()?;
    let study = &opinion.study.study_instance_uid;
    let keys: Vec<&KeyImage> = opinion
        .key_images
        .iter()
        .filter(|key| key.image.study_instance_uid == *study)
        .collect();
    if keys.is_empty() {
        return Ok(None);
    }
    let mut set = Set::default();
    modules::common(&mut set, opinion, place, "KO", "key images");
    modules::request(&mut set, opinion);
    set.items(Tag(0x0008, 0x1111), []);
    let images = keys.iter().map(|key| &key.image);
    set.items(Tag(0x0040, 0xA375), evidence::hierarchy(images));
    content::root(&mut set, &codes::OF_INTEREST, "2010", tree(opinion, &keys));
    Ok(Some(set.part10(CLASS, &place.sop_instance_uid)?))
}

/// The rows of TID 2010 in order: language, observer, description, images and other objects.
fn tree(opinion: &Opinion, keys: &[&KeyImage]) -> Vec<Set> {
    let mut rows = vec![content::language(opinion)];
    rows.extend(content::observer(opinion));
    rows.push(text(
        Rel::Contains,
        &codes::KEY_OBJECT_DESCRIPTION,
        &words(opinion, keys),
    ));
    rows.extend(keys.iter().map(|key| object(Rel::Contains, None, key)));
    rows
}

/// What the selection is, and the notes, in the order of the images: TID 2010 has one text for all.
fn words(opinion: &Opinion, keys: &[&KeyImage]) -> String {
    let mut words = modules::description(opinion, "");
    for (at, key) in keys.iter().enumerate() {
        let note = safe::text(&key.note);
        if !note.is_empty() {
            words.push_str(&format!("\n{}. {note}", at + 1));
        }
    }
    words
}
