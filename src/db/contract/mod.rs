//! What every index must do, whichever shelf it lies on. Each check is run on all of them.

mod blind;
mod forwarding;
mod holding;
mod matching;
mod ordering;
mod random;
mod removing;
mod reports;
pub(in crate::db) mod sample;
mod searching;
mod storing;

use crate::archive::Index;
use crate::db::{Memory, Sqlite};

/// Runs a check on an empty index of each kind.
fn on_every_index(check: impl Fn(&dyn Index)) {
    check(&Memory::new());
    let folder = tempfile::tempdir().unwrap();
    check(&Sqlite::open(&folder.path().join("index.sqlite"), 2).unwrap());
}
