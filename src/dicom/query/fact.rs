//! What the archive knows of an entity beyond its data sets, and tells in answers when it is asked
//! (PS3.4 §C.3.4, PS3.18 §10.6.3): counts, lists, where to get it.

use dicom_core::Tag;

use crate::dicom::Level;

/// What the archive knows of an entity beyond its data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fact {
    /// (0008,0056) Instance Availability.
    InstanceAvailability,
    /// (0008,0061) Modalities in Study.
    ModalitiesInStudy,
    /// (0008,0062) SOP Classes in Study.
    SopClassesInStudy,
    /// (0008,1190) Retrieve URL.
    RetrieveUrl,
    /// (0008,3002) Available Transfer Syntax UID.
    AvailableTransferSyntax,
    /// (0020,1200) Number of Patient Related Studies.
    StudiesOfPatient,
    /// (0020,1206) Number of Study Related Series.
    SeriesOfStudy,
    /// (0020,1208) Number of Study Related Instances.
    InstancesOfStudy,
    /// (0020,1209) Number of Series Related Instances.
    InstancesOfSeries,
}

/// Tag, fact, the levels whose table has it by default, the highest level at which it can be asked for.
type FactRow = (Tag, Fact, &'static [Level], Level);

/// Every fact.
pub const FACTS: &[FactRow] = &[
    (
        Tag(0x0008, 0x0056),
        Fact::InstanceAvailability,
        &[Level::Study, Level::Instance],
        Level::Study,
    ),
    (
        Tag(0x0008, 0x0061),
        Fact::ModalitiesInStudy,
        &[Level::Study],
        Level::Study,
    ),
    (
        Tag(0x0008, 0x0062),
        Fact::SopClassesInStudy,
        &[],
        Level::Study,
    ),
    (
        Tag(0x0008, 0x1190),
        Fact::RetrieveUrl,
        &[Level::Study, Level::Series, Level::Instance],
        Level::Study,
    ),
    (
        Tag(0x0008, 0x3002),
        Fact::AvailableTransferSyntax,
        &[],
        Level::Instance,
    ),
    (
        Tag(0x0020, 0x1200),
        Fact::StudiesOfPatient,
        &[],
        Level::Patient,
    ),
    (
        Tag(0x0020, 0x1206),
        Fact::SeriesOfStudy,
        &[Level::Study],
        Level::Study,
    ),
    (
        Tag(0x0020, 0x1208),
        Fact::InstancesOfStudy,
        &[Level::Study],
        Level::Study,
    ),
    (
        Tag(0x0020, 0x1209),
        Fact::InstancesOfSeries,
        &[Level::Series],
        Level::Series,
    ),
];

/// Whether an attribute is what the archive knows, and stands in no data set.
#[must_use]
pub fn is_fact(tag: Tag) -> bool {
    FACTS.iter().any(|(known, ..)| *known == tag)
}
