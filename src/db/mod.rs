//! Where the index lies: [`Sqlite`] for work, [`Memory`] for tests. Both keep the promise of
//! [`crate::archive::Index`] and pass the same contract suite.

mod memory;
mod order;
mod record;
mod rules;
pub mod sqlite;

#[cfg(test)]
mod contract;

pub use memory::Memory;
pub use sqlite::Sqlite;
