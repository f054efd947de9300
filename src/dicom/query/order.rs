//! The order of the answers of a search. Patients always come newest first, series and instances by number;
//! what can be chosen is how the studies follow each other.

use crate::dicom::Uid;

/// What studies are ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderBy {
    /// Study Date and Time; what has no date comes last.
    StudyDate,
    /// Patient's Name, folded as names are matched, component by component: without case and accents. Who has
    /// no name comes last, whichever way it goes.
    PatientName,
    /// Patient ID, as it is written. An empty one comes last, then none at all, whichever way it goes.
    PatientId,
    /// When the first object of the study came.
    Arrival,
}

/// How studies follow each other. What is equal by name or ID comes newest first, whichever way it goes; of the
/// same moment what came last. So no two studies have the same place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// What they are ordered by.
    pub by: OrderBy,
    /// Whether the last comes first.
    pub is_descending: bool,
    /// The answers begin with the study behind this one, and the query's offset is passed over: what arrives
    /// meanwhile moves no place, so a reader who names the last study of a page loses none and sees none
    /// twice. A study that is not there (any more) leaves the offset to say where they begin.
    pub after: Option<Uid>,
}

impl Order {
    /// The newest Study Date first.
    pub const NEWEST: Self = Self {
        by: OrderBy::StudyDate,
        is_descending: true,
        after: None,
    };

    /// Whether the newest Study Date comes first, wherever the answers begin.
    #[must_use]
    pub fn is_newest_first(&self) -> bool {
        self.by == OrderBy::StudyDate && self.is_descending
    }
}
