//! The `[ingest]`, `[coercion]`, `[forward]` and `[imaging]` sections of the configuration, checked.

use std::sync::Arc;

use crate::archive::{Coercion, Forwarding};
use crate::dicom::walk::Limits;

/// `[ingest] duplicate`: what becomes of a known SOP Instance UID with other bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DuplicatePolicy {
    /// The newcomer is held back for an administrator.
    Quarantine,
    /// The newcomer is refused, the first stays.
    KeepFirst,
    /// The newcomer takes the place of the first.
    Replace,
}

/// `[ingest] patient_conflict`: what becomes of an instance whose study belongs to another patient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatientConflictPolicy {
    /// It is held back for an administrator.
    Quarantine,
    /// It is stored as sent; the study keeps its patient; the conflict is listed.
    Accept,
}

/// The `[ingest]` section.
#[derive(Debug, Clone)]
pub struct IngestSettings {
    /// See [`DuplicatePolicy`].
    pub duplicate: DuplicatePolicy,
    /// See [`PatientConflictPolicy`].
    pub patient_conflict: PatientConflictPolicy,
    /// Objects up to this size wait in memory, larger ones in a staging file. Bytes.
    pub buffer_bytes_max: usize,
    /// Nothing is taken when less than this would stay free. Bytes.
    pub free_bytes_min: u64,
    /// Limits of the header walk.
    pub limits: Limits,
    /// `[coercion]`: what is changed of objects that arrive.
    pub coercion: Coercion,
    /// `[forward]`: where what arrives goes on to.
    pub forwarding: Arc<Forwarding>,
    /// `[imaging] cache_bytes_max`: how much of what was made lately, frames and pictures, is kept in
    /// memory. Bytes; 0 for nothing.
    pub made_bytes_max: usize,
}

#[cfg(test)]
impl IngestSettings {
    /// For tests of other rooms: little of everything.
    pub(crate) fn small() -> Self {
        Self {
            duplicate: DuplicatePolicy::Replace,
            patient_conflict: PatientConflictPolicy::Quarantine,
            buffer_bytes_max: 64 * 1024,
            free_bytes_min: 0,
            limits: Limits {
                object_bytes_max: 1 << 20,
                value_bytes_max: 64 * 1024,
                depth_max: 64,
                metadata_bytes_max: 1 << 20,
                fragments_max: 1000,
                inline_bytes_max: 4096,
            },
            coercion: Coercion::default(),
            forwarding: Arc::default(),
            made_bytes_max: 1 << 20,
        }
    }
}
