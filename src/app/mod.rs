//! The only place that joins doors, deeds and shelves: opening an archive, starting the listeners,
//! stopping them in order.

pub mod data_dir;
pub mod stop;
