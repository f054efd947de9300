//! A search, whatever dress it came in (QIDO-RS, C-FIND, the shell), and the matching rules of
//! PS3.4 §C.2.2.2.

pub mod data;
mod data_keys;
mod dataset_keys;
mod fact;
mod field;
mod identifier;
mod keys;
pub mod matching;
pub mod moment;
mod order;

use crate::dicom::{AttributeId, Level, Uid};

pub use data::{DataKey, Wanted};
pub use dataset_keys::DatasetKeys;
pub use fact::{FACTS, Fact, is_fact};
pub use field::Field;
pub use identifier::{Identifier, KeyElement};
pub use keys::{Keys, Ranges};
pub use matching::{
    Ends, FINDABLE_VALUES_MAX, Lists, MatchError, NameKey, Syntax, combined, findable, glob,
    matches, matches_combined, matches_list, number,
};
pub use moment::{moments, normal_date, normal_date_time, normal_time};
pub use order::{Order, OrderBy};

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Query {
    /// The level of the answers.
    pub level: Level,
    /// All must match. An attribute stands once at most.
    pub keys: Vec<Key>,
    /// The most answers wanted.
    pub limit: u32,
    /// How many matches to pass over first.
    pub offset: u64,
    /// How the studies follow each other.
    pub order: Order,
}

/// What is matched, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    /// An indexed attribute.
    Attribute(AttributeId, Matching),
    /// (0008,0061) Modalities in Study: any modality of the study is one of these patterns.
    ModalitiesInStudy(Matching),
    /// (0008,0062) SOP Classes in Study.
    SopClassesInStudy(Vec<Uid>),
    /// Sequence matching (PS3.4 §C.2.2.2.6): position in `SEQUENCES`; one item satisfies all of
    /// (position in its `items`, matching).
    Sequence(u8, Vec<(u8, Matching)>),
    /// Combined date-time range (PS3.4 §C.2.2.2.5.1): date attribute, time attribute, both ends inclusive,
    /// each as `YYYYMMDDHHMMSS.FFFFFF` filled up to the earliest or latest moment it can mean.
    DateTimeRange(AttributeId, AttributeId, Option<Box<str>>, Option<Box<str>>),
    /// Any other attribute of the data set, at the level it belongs to. Of a patient, study or series
    /// the first instance in the order of the answers speaks.
    Data(Level, DataKey),
}

/// The matching types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Matching {
    /// Everything matches; the attribute is only asked for.
    Universal,
    /// The value equals. Dates (`YYYYMMDD` here) and times by meaning (see [`moments`]: a text such
    /// as `2230` means all its minute), numbers as numbers, person names without case and accents.
    Single(Box<str>),
    /// The value is one of these (list of UID matching; for other VRs where a door allows it).
    List(Vec<Box<str>>),
    /// The attribute has each of these values (PS3.4 §C.2.2.2.8 multiple value matching).
    All(Vec<Box<str>>),
    /// A person name that has all these keys of [`sound`](crate::dicom::sound); never empty.
    Sounds(Vec<Box<str>>),
    /// `*` any run, `?` any one character.
    Wildcard(Box<str>),
    /// Dates, times and date-times between two ends, inclusive; an open end is `None`. Ends are as
    /// long as what [`normal_date`], [`normal_time`] and [`normal_date_time`] give and are compared
    /// with that as texts.
    Range(Option<Box<str>>, Option<Box<str>>),
    /// Absent or without a value (PS3.4 §C.2.2.2.7 empty value matching).
    Empty,
}
