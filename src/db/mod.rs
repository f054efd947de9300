//! Where the index lies: [`Sqlite`] for work, [`Memory`] for tests. Both keep the promise of
//! [`crate::archive::Index`] and pass the same contract suite. Beside it [`Ledger`], where people's words lie.

pub mod ledger;
mod memory;
mod order;
mod pool;
mod record;
mod rules;
pub mod sqlite;
mod versions;

#[cfg(test)]
mod contract;

pub use ledger::Ledger;
pub use memory::Memory;
pub use sqlite::Sqlite;
