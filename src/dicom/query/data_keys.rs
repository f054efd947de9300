//! Match attributes outside the index (PS3.18 §8.3.4.1, PS3.4 §C.2.2.1): private ones with their
//! creators, those inside any sequence, and all the rest, as keys that are judged on metadata.

use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry};
use dicom_core::{Tag, VR};
use dicom_dictionary_std::StandardDataDictionary;

use super::field::{Field, creator_of, is_private_creator};
use crate::dicom::SEQUENCES;
use crate::dicom::modules::level_of;
use crate::dicom::query::{DataKey, Key, MatchError, Matching, Syntax, Wanted};

/// The keys of one search, as they are read.
#[derive(Debug, Default)]
pub(super) struct DataKeys {
    /// Where a private creator stands, and who it is.
    creators: Vec<(Vec<Tag>, Box<str>)>,
    /// The places of all other attributes that are asked for.
    asked: Vec<Vec<Tag>>,
    keys: Vec<DataKey>,
}

impl DataKeys {
    /// Knows the attributes of a search, with their texts: the private creators among them.
    #[must_use]
    pub(super) fn new<'t>(asked: impl IntoIterator<Item = (Field, &'t str)>) -> Self {
        let mut found = Self::default();
        for (field, text) in asked {
            found.note(field, text);
        }
        found
    }

    fn note(&mut self, field: Field, value: &str) {
        let Field::Other(path) = field else { return };
        let value = value.trim_matches(' ');
        match path.last() {
            Some(tag) if is_private_creator(*tag) => {
                if !value.is_empty() {
                    self.creators.push((path, value.into()));
                }
            }
            _ => self.asked.push(path),
        }
    }

    /// The creator of the private attribute at this place: one that is named beside it, or else at
    /// the root; `None` when there is none, or the attribute is not private.
    #[must_use]
    pub(super) fn creator(&self, path: &[Tag]) -> Option<Box<str>> {
        let (tag, above) = path.split_last()?;
        let creator = creator_of(*tag)?;
        let named = |above: &[Tag]| {
            let is_meant =
                |(place, _): &&(Vec<Tag>, Box<str>)| place.split_last() == Some((&creator, above));
            self.creators.iter().find(is_meant)
        };
        named(above)
            .or_else(|| named(&[]))
            .map(|(_, name)| name.clone())
    }

    /// Whether some attribute that is asked for has the creator named at this place.
    pub(super) fn is_used(&self, creator: &[Tag]) -> bool {
        let Some((creator, above)) = creator.split_last() else {
            return false;
        };
        self.asked.iter().any(|path| {
            path.iter().enumerate().any(|(at, tag)| {
                creator_of(*tag) == Some(*creator) && path.starts_with(above) && at >= above.len()
            })
        })
    }

    /// Whether values of an attribute can be compared with a key: not when it is bulk data, belongs
    /// to the File Meta or lies in something that is no sequence.
    pub(super) fn can_match(path: &[Tag]) -> bool {
        let Some((last, above)) = path.split_last() else {
            return false;
        };
        let is_in_data_set = |tag: &Tag| tag.group() > 0x0007 && tag.element() != 0;
        let is_bulk = matches!(
            vr_of(*last),
            Some(VR::OB | VR::OD | VR::OF | VR::OL | VR::OV | VR::OW | VR::UN)
        );
        let are_sequences = above
            .iter()
            .all(|tag| vr_of(*tag).is_none_or(|vr| vr == VR::SQ));
        path.iter().all(is_in_data_set) && !is_bulk && are_sequences
    }

    /// Adds a key. One that all match is only asked for.
    ///
    /// # Errors
    /// When the VR does not allow such a text; a sequence takes none but `""`.
    pub(super) fn add(
        &mut self,
        path: &[Tag],
        text: &str,
        syntax: Syntax,
    ) -> Result<(), MatchError> {
        let Some((last, above)) = path.split_last() else {
            return Ok(());
        };
        let vr = vr_of(*last);
        let matching = Matching::parse(vr.unwrap_or(VR::LT), text, syntax)?;
        let wanted = match (vr, matching) {
            (_, Matching::Universal) => return Ok(()),
            (Some(VR::SQ), Matching::Empty) => Wanted::Value(VR::SQ, Matching::Empty),
            (Some(VR::SQ), _) => return Err(MatchError::Sequence),
            (Some(vr), matching) => Wanted::Value(vr, matching),
            // Only the data set knows the VR.
            (None, _) => Wanted::Text(text.into(), syntax),
        };
        // All keys inside a sequence are one key item (PS3.4 §C.2.2.2.6).
        let creators: Vec<_> = (1..=path.len())
            .map(|end| self.creator(&path[..end]))
            .collect();
        let mut keys = &mut self.keys;
        for (tag, creator) in above.iter().zip(&creators) {
            let Some(inner) = item_keys(keys, *tag, creator.clone()) else {
                return Ok(());
            };
            keys = inner;
        }
        keys.push(DataKey {
            tag: *last,
            creator: creators.into_iter().next_back().flatten(),
            wanted,
        });
        Ok(())
    }

    /// The keys as those of a query. Where one item has to satisfy keys of both kinds, the one that
    /// is judged on metadata has them all.
    pub(super) fn finish(mut self, keys: &mut Vec<Key>) {
        for key in keys.iter() {
            let Key::Sequence(place, items) = key else {
                continue;
            };
            let row = &SEQUENCES[usize::from(*place)];
            let same = self.keys.iter_mut().find(|key| key.tag == row.tag);
            let Some(Wanted::Item(inner)) = same.map(|key| &mut key.wanted) else {
                continue;
            };
            inner.extend(items.iter().map(|(at, matching)| {
                let (tag, _, vr) = row.items[usize::from(*at)];
                DataKey {
                    tag,
                    creator: None,
                    wanted: Wanted::Value(vr, matching.clone()),
                }
            }));
        }
        keys.extend(
            self.keys
                .into_iter()
                .map(|key| Key::Data(level_of(key.tag), key)),
        );
    }
}

/// The keys for one item of a sequence; makes them when there are none.
fn item_keys(
    keys: &mut Vec<DataKey>,
    tag: Tag,
    creator: Option<Box<str>>,
) -> Option<&mut Vec<DataKey>> {
    let is_meant = |key: &DataKey| {
        key.tag == tag && key.creator == creator && matches!(key.wanted, Wanted::Item(_))
    };
    let at = keys.iter().position(is_meant).unwrap_or(keys.len());
    if at == keys.len() {
        keys.push(DataKey {
            tag,
            creator,
            wanted: Wanted::Item(Vec::new()),
        });
    }
    match &mut keys[at].wanted {
        Wanted::Item(inner) => Some(inner),
        _ => None,
    }
}

/// The VR of an attribute of the standard; `None` of a private or unknown one.
fn vr_of(tag: Tag) -> Option<VR> {
    if tag.group() % 2 == 1 {
        return None;
    }
    Some(StandardDataDictionary.by_tag(tag)?.vr().relaxed())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(parameters: &[(&str, &str)]) -> Vec<Key> {
        let named = |(name, value)| Some((Field::read(name)?, value));
        let mut data = DataKeys::new(parameters.iter().copied().filter_map(named));
        for (name, value) in parameters {
            if let Some(Field::Other(path)) = Field::read(name)
                && !is_private_creator(*path.last().unwrap())
            {
                data.add(&path, value, Syntax::WEB).unwrap();
            }
        }
        let mut keys = Vec::new();
        data.finish(&mut keys);
        keys
    }

    #[test]
    fn private_attributes_take_the_creator_of_their_block() {
        let found = keys(&[("00231001", "x"), ("00230010", "Acme")]);
        let [Key::Data(level, key)] = found.as_slice() else {
            panic!("{found:?}");
        };
        assert_eq!(*level, crate::dicom::Level::Instance);
        assert_eq!(key.creator.as_deref(), Some("Acme"));
        let other_block = keys(&[("00231101", "x"), ("00230010", "Acme")]);
        assert!(matches!(&other_block[..], [Key::Data(_, key)] if key.creator.is_none()));
    }

    #[test]
    fn keys_inside_a_sequence_are_one_item() {
        let found = keys(&[
            ("OtherPatientIDsSequence.PatientID", "1"),
            ("00101002.00100021", "X"),
            ("00101002.00100024.00400032", "u"),
        ]);
        let [Key::Data(level, key)] = found.as_slice() else {
            panic!("{found:?}");
        };
        assert_eq!(*level, crate::dicom::Level::Patient);
        let Wanted::Item(inner) = &key.wanted else {
            panic!("{key:?}");
        };
        assert_eq!(inner.len(), 3);
        assert!(matches!(&inner[2].wanted, Wanted::Item(deepest) if deepest.len() == 1));
    }
}
