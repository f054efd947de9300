//! The attributes and texts of a search made the keys of a [`Query`](super::Query): QIDO-RS and
//! C-FIND say the same in two ways (PS3.18 §10.6.1.2, PS3.4 §C.2.2), and both say it here.

use dicom_core::{Tag, VR};

use super::data_keys::DataKeys;
use super::fact::is_fact;
use super::field::{Field, creator_of};
use super::{Key, Lists, MatchError, Matching, Syntax, combined};
use crate::dicom::{AttributeId, Level, SEQUENCES, Uid};

/// In a request it says how dates and times are meant, it is not matched (PS3.18 §10.6.1.2.3,
/// PS3.4 §C.4.1.1.3.1).
const TIMEZONE: Tag = Tag(0x0008, 0x0201);

/// What a range of dates and a range of times of the same event mean together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ranges {
    /// One interval (PS3.4 §C.2.2.2.5.1).
    Combined,
    /// Each day from the one time to the other (PS3.4 §C.2.2.2.5).
    Separate,
}

/// The keys of one search, as they are read.
#[derive(Debug)]
pub struct Keys {
    level: Level,
    keys: Vec<Key>,
    /// Keys that only metadata can answer.
    data: DataKeys,
}

impl Keys {
    /// For a search of a level that asks for these attributes, with their texts: private creators
    /// among them are known before any key is added.
    #[must_use]
    pub fn new<'t>(level: Level, asked: impl IntoIterator<Item = (Field, &'t str)>) -> Self {
        Self {
            level,
            keys: Vec::new(),
            data: DataKeys::new(asked),
        }
    }

    /// Adds a UID that is known beforehand.
    pub fn fix(&mut self, id: AttributeId, uid: &Uid) {
        let matching = Matching::Single(uid.as_str().into());
        self.keys.push(Key::Attribute(id, matching));
    }

    /// The creator of the private attribute at this place, if it is named and needed.
    #[must_use]
    pub fn creator(&self, path: &[Tag]) -> Option<Box<str>> {
        self.data.creator(path)
    }

    /// Adds a key; one that all match is only asked for. Whoever calls has seen that there is no
    /// [reason to ignore](Self::reason_to_ignore) it.
    ///
    /// # Errors
    /// When its VR does not allow such a text.
    pub fn add(&mut self, field: &Field, text: &str, syntax: Syntax) -> Result<(), MatchError> {
        let parse = |vr, syntax| Matching::parse(vr, text, syntax);
        match field {
            Field::Attribute(id) => {
                let syntax = lenient(syntax, id.attribute().keyword == "Modality");
                let matching = parse(id.attribute().vr, syntax)?;
                self.keys.push(Key::Attribute(*id, matching));
            }
            Field::ModalitiesInStudy => {
                let matching = parse(VR::CS, lenient(syntax, true))?;
                self.keys.push(Key::ModalitiesInStudy(matching));
            }
            Field::SopClassesInStudy => {
                if let Some(uids) = uids(&parse(VR::UI, syntax)?) {
                    self.keys.push(Key::SopClassesInStudy(uids));
                }
            }
            Field::SequenceItem(sequence, item) => {
                let (_, _, vr) = SEQUENCES[usize::from(*sequence)].items[usize::from(*item)];
                let matching = parse(vr, syntax)?;
                self.sequence_item(*sequence, *item, matching);
            }
            Field::Sequence(place) => {
                let path = [SEQUENCES[usize::from(*place)].tag];
                self.data.add(&path, text, syntax)?;
            }
            Field::Other(path) => self.data.add(path, text, syntax)?,
        }
        Ok(())
    }

    /// The keys of the query.
    #[must_use]
    pub fn finish(mut self, ranges: Ranges) -> Vec<Key> {
        if ranges == Ranges::Combined {
            combine_ranges(&mut self.keys);
        }
        self.data.finish(&mut self.keys);
        self.keys
    }

    /// Why an attribute is no key of this search; `None` when it is one.
    #[must_use]
    pub fn reason_to_ignore(&self, field: &Field) -> Option<&'static str> {
        const CANNOT: Option<&str> = Some("this attribute cannot be matched");
        if let Field::Attribute(id) = field
            && id.attribute().tag == TIMEZONE
        {
            return Some("dates and times are compared as stored");
        }
        if let Field::Other(path) = field {
            let last = path.last().copied().unwrap_or(Tag(0, 0));
            if is_fact(last) || !DataKeys::can_match(path) {
                return CANNOT;
            }
        }
        if field.level() > self.level {
            return Some("this attribute belongs to a lower level");
        }
        let Field::Other(path) = field else {
            return None;
        };
        if field.is_creator() {
            return (!self.data.is_used(path))
                .then_some("no attribute of this private creator is asked for");
        }
        let last = path.last().copied()?;
        let is_orphan = creator_of(last).is_some() && self.data.creator(path).is_none();
        is_orphan.then_some("a private attribute needs its private creator")
    }

    /// All keys inside a sequence are one key item (PS3.4 §C.2.2.2.6).
    fn sequence_item(&mut self, sequence: u8, item: u8, matching: Matching) {
        let known = self.keys.iter_mut().find_map(|key| match key {
            Key::Sequence(place, items) if *place == sequence => Some(items),
            _ => None,
        });
        match known {
            Some(items) => items.push((item, matching)),
            None => self
                .keys
                .push(Key::Sequence(sequence, vec![(item, matching)])),
        }
    }
}

/// Viewers list modalities with commas and mean one of them: taken so unless all are asked for.
fn lenient(syntax: Syntax, is_modality: bool) -> Syntax {
    match syntax.lists {
        Lists::Refused if is_modality => Syntax {
            lists: Lists::Any,
            ..syntax
        },
        _ => syntax,
    }
}

/// The UIDs of a single value or list; `None` when all match. What is malformed was refused before.
fn uids(matching: &Matching) -> Option<Vec<Uid>> {
    match matching {
        Matching::Single(uid) => Some(Uid::parse(uid).into_iter().collect()),
        Matching::List(uids) => Some(uids.iter().filter_map(|uid| Uid::parse(uid).ok()).collect()),
        _ => None,
    }
}

/// A range of dates with a range of times of the same event is one interval.
fn combine_ranges(keys: &mut Vec<Key>) {
    const PAIRS: &[(&str, &str)] = &[
        ("StudyDate", "StudyTime"),
        ("SeriesDate", "SeriesTime"),
        ("AcquisitionDate", "AcquisitionTime"),
        ("ContentDate", "ContentTime"),
        (
            "PerformedProcedureStepStartDate",
            "PerformedProcedureStepStartTime",
        ),
        ("PatientBirthDate", "PatientBirthTime"),
    ];
    for (date, time) in PAIRS {
        let place = |keyword: &str| {
            let wanted = AttributeId::of_keyword(keyword);
            keys.iter()
                .position(|key| matches!(key, Key::Attribute(id, _) if Some(*id) == wanted))
        };
        let (Some(date), Some(time)) = (place(date), place(time)) else {
            continue;
        };
        let (Key::Attribute(date_id, dates), Key::Attribute(time_id, times)) =
            (&keys[date], &keys[time])
        else {
            continue;
        };
        if let Some((first, last)) = combined(dates, times) {
            let key = Key::DateTimeRange(*date_id, *time_id, first, last);
            keys[date] = key;
            keys.remove(time);
        }
    }
}
