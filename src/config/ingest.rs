//! The `[ingest]`, `[coercion]` and `[imaging]` sections: what becomes of what arrives.

use std::sync::Arc;

use serde::Deserialize;

use super::{Error, invalid, number};
use crate::archive::{Coercion, DuplicatePolicy, IngestSettings, PatientConflictPolicy, Rule};
use crate::dicom::walk::Limits;

/// The most rules of `[coercion]`: every object is held against each.
const COERCION_RULES_MAX: usize = 256;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawIngest {
    duplicate: String,
    patient_conflict: String,
    buffer_bytes_max: i64,
    object_bytes_max: i64,
    free_bytes_min: i64,
    value_bytes_max: i64,
    inline_bytes_max: i64,
    metadata_bytes_max: i64,
    depth_max: i64,
    fragments_max: i64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCoercion {
    rules: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawImaging {
    cache_bytes_max: i64,
}

impl RawCoercion {
    fn check(self, ae_title: &str) -> Result<Coercion, Error> {
        if self.rules.len() > COERCION_RULES_MAX {
            return Err(invalid("coercion.rules", "are too many"));
        }
        let read = |text: &String| {
            Rule::parse(text).map_err(|problem| {
                invalid("coercion.rules", format!("the rule \"{text}\" {problem}"))
            })
        };
        Ok(Coercion {
            modifying_system: ae_title.trim().into(),
            rules: self.rules.iter().map(read).collect::<Result<_, _>>()?,
        })
    }
}

impl RawIngest {
    pub(super) fn check(
        self,
        coercion: RawCoercion,
        imaging: &RawImaging,
        ae_title: &str,
    ) -> Result<IngestSettings, Error> {
        let duplicate = match self.duplicate.as_str() {
            "quarantine" => DuplicatePolicy::Quarantine,
            "keep-first" => DuplicatePolicy::KeepFirst,
            "replace" => DuplicatePolicy::Replace,
            _ => {
                return Err(invalid(
                    "ingest.duplicate",
                    "must be \"quarantine\", \"keep-first\" or \"replace\"",
                ));
            }
        };
        let patient_conflict = match self.patient_conflict.as_str() {
            "quarantine" => PatientConflictPolicy::Quarantine,
            "accept" => PatientConflictPolicy::Accept,
            _ => {
                return Err(invalid(
                    "ingest.patient_conflict",
                    "must be \"quarantine\" or \"accept\"",
                ));
            }
        };
        let object_bytes_max = number(
            "ingest.object_bytes_max",
            self.object_bytes_max,
            4_096..=1 << 50,
        )?;
        Ok(IngestSettings {
            duplicate,
            patient_conflict,
            buffer_bytes_max: number(
                "ingest.buffer_bytes_max",
                self.buffer_bytes_max,
                4_096..=1 << 30,
            )?,
            free_bytes_min: number("ingest.free_bytes_min", self.free_bytes_min, 0..=1 << 50)?,
            limits: Limits {
                object_bytes_max,
                value_bytes_max: number(
                    "ingest.value_bytes_max",
                    self.value_bytes_max,
                    1_024..=1 << 28,
                )?,
                inline_bytes_max: number(
                    "ingest.inline_bytes_max",
                    self.inline_bytes_max,
                    0..=1 << 28,
                )?,
                metadata_bytes_max: number(
                    "ingest.metadata_bytes_max",
                    self.metadata_bytes_max,
                    65_536..=1 << 32,
                )?,
                depth_max: number("ingest.depth_max", self.depth_max, 1..=4_096)?,
                fragments_max: number("ingest.fragments_max", self.fragments_max, 1..=1 << 28)?,
            },
            coercion: coercion.check(ae_title)?,
            forwarding: Arc::default(),
            made_bytes_max: number(
                "imaging.cache_bytes_max",
                imaging.cache_bytes_max,
                0..=1 << 40,
            )?,
        })
    }
}
