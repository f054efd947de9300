//! The four levels of the information model (PS3.4 §C.6).

/// A level of the Patient Root information model, from the top.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// One patient.
    Patient,
    /// One study of a patient.
    Study,
    /// One series of a study.
    Series,
    /// One composite SOP instance of a series (IMAGE in PS3.4).
    Instance,
}
