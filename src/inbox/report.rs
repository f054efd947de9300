//! What became of the files of one request, for whoever sent them. Names are theirs and go back to them only: what people
//! call their files may name a patient, so they are in no log.

use std::collections::BTreeSet;

use crate::dicom::Uid;

/// The most files that are named; all are counted.
const NAMED_MAX: usize = 1000;
/// The longest name that is told back. Characters.
const NAME_CHARS_MAX: usize = 200;

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// It is here now.
    Stored,
    /// It was here already.
    AlreadyStored,
    /// It was not taken.
    Refused,
    /// It is nothing for us.
    Skipped,
}

impl Fate {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::AlreadyStored => "already-stored",
            Self::Refused => "refused",
            Self::Skipped => "skipped",
        }
    }
}

/// A file and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// As its sender calls it.
    pub name: String,
    /// What became of it.
    pub fate: Fate,
    /// Why, in words.
    pub why: String,
}

/// What became of all.
#[derive(Debug, Default)]
pub struct Report {
    /// Files that are here now.
    pub stored: u64,
    /// Files that were here already.
    pub already_stored: u64,
    /// Files that were not taken.
    pub refused: u64,
    /// Files that are nothing for us.
    pub skipped: u64,
    /// Papers and photographs among those that were stored, or were here already, by name; all that was refused or skipped.
    pub named: Vec<Named>,
    /// The studies of what is here.
    pub studies: BTreeSet<Uid>,
    /// Whether something failed that may go well when it is sent again: no room, too busy.
    pub is_to_be_repeated: bool,
}

impl Report {
    /// Counts a file, and names it if it needs a word.
    pub fn add(&mut self, name: &str, fate: Fate, why: impl Into<String>) {
        let count = match fate {
            Fate::Stored => &mut self.stored,
            Fate::AlreadyStored => &mut self.already_stored,
            Fate::Refused => &mut self.refused,
            Fate::Skipped => &mut self.skipped,
        };
        *count += 1;
        let why = why.into();
        if !why.is_empty() && self.named.len() < NAMED_MAX {
            let name = name.chars().take(NAME_CHARS_MAX).collect();
            self.named.push(Named { name, fate, why });
        }
    }
}
