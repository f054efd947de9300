//! What a reader could see when an opinion was signed: every instance with its digest, in a form of which a digest can be
//! taken, frozen with the opinion; and what has become of it since.

use std::collections::{BTreeMap, BTreeSet};

use super::error::{Error, Fault};
use crate::access::{LedgerError, Scope};
use crate::archive::{Archive, Target};
use crate::dicom::Uid;
use crate::dicom::opinion::EVIDENCE_MAX;

/// The most instances that a manifest names: as many as the documents of an opinion can.
pub const INSTANCES_MAX: usize = EVIDENCE_MAX;

/// So many instances are read from the index in one go.
const BATCH: usize = 1000;

/// An instance as it was.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seen {
    /// (0020,000D)
    pub study_instance_uid: Uid,
    /// (0020,000E)
    pub series_instance_uid: Uid,
    /// (0008,0018)
    pub sop_instance_uid: Uid,
    /// (0008,0016)
    pub sop_class_uid: Uid,
    /// How its data set is encoded: the digest is of that.
    pub transfer_syntax_uid: Uid,
    /// BLAKE3 of its data set.
    pub digest: [u8; 32],
}

/// The instances of a case at one moment, by their UIDs, each once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Manifest {
    seen: Vec<Seen>,
    /// The version that the index had of each study before they were read.
    pub versions: Vec<(Uid, u64)>,
}

impl Manifest {
    /// Reads what is in the archive now of these studies, as far as the scope goes. Something that comes or goes meanwhile
    /// makes the versions differ from those of later, never the other way round.
    ///
    /// # Errors
    /// When the index fails, or there are more instances than [`INSTANCES_MAX`].
    pub fn read<'s>(
        archive: &Archive,
        studies: impl Iterator<Item = &'s Uid>,
        scope: &Scope,
    ) -> Result<Self, Error> {
        let mut manifest = Self::default();
        for study in studies {
            let target = Target::Study(study.clone());
            // The index's own, whoever asks: those of later are compared with it.
            let version = archive.version(&target, &Scope::All)?.unwrap_or(0);
            manifest.versions.push((study.clone(), version));
            let mut after = None;
            loop {
                let batch = archive.locate(&target, scope, after, BATCH)?;
                let Some(last) = batch.last() else { break };
                after = Some(last.cursor);
                if manifest.seen.len() + batch.len() > INSTANCES_MAX {
                    let why = format!("have more than {INSTANCES_MAX} instances");
                    return Err(Fault::new("studies", why).into());
                }
                manifest.seen.extend(batch.into_iter().map(|located| Seen {
                    study_instance_uid: located.study_instance_uid,
                    series_instance_uid: located.series_instance_uid,
                    sop_instance_uid: located.sop_instance_uid,
                    sop_class_uid: located.sop_class_uid,
                    transfer_syntax_uid: located.transfer_syntax_uid,
                    digest: located.digest,
                }));
            }
        }
        manifest.seen.sort_unstable();
        manifest.seen.dedup();
        Ok(manifest)
    }

    /// The instances, in order.
    #[must_use]
    pub fn seen(&self) -> &[Seen] {
        &self.seen
    }

    /// As it is kept, and as its digest is taken: a line an instance, its fields with a space between them.
    #[must_use]
    pub fn rows(&self) -> String {
        let mut rows = String::new();
        for seen in &self.seen {
            for uid in [
                &seen.study_instance_uid,
                &seen.series_instance_uid,
                &seen.sop_instance_uid,
                &seen.sop_class_uid,
                &seen.transfer_syntax_uid,
            ] {
                rows.push_str(uid.as_str());
                rows.push(' ');
            }
            rows.push_str(blake3::Hash::from_bytes(seen.digest).to_hex().as_str());
            rows.push('\n');
        }
        rows
    }

    /// The digest of rows.
    #[must_use]
    pub fn digest(rows: &str) -> [u8; 32] {
        *blake3::hash(rows.as_bytes()).as_bytes()
    }

    /// Reads what [`Manifest::rows`] wrote.
    ///
    /// # Errors
    /// When it is nothing of that form.
    pub fn parse(rows: &str) -> Result<Self, LedgerError> {
        let wrong = || LedgerError::broken("reading a manifest", "a row is malformed");
        let uid = |text: Option<&str>| text.and_then(|text| Uid::parse(text).ok());
        let row = |line: &str| {
            let mut fields = line.split(' ');
            Some(Seen {
                study_instance_uid: uid(fields.next())?,
                series_instance_uid: uid(fields.next())?,
                sop_instance_uid: uid(fields.next())?,
                sop_class_uid: uid(fields.next())?,
                transfer_syntax_uid: uid(fields.next())?,
                digest: *blake3::Hash::from_hex(fields.next()?).ok()?.as_bytes(),
            })
        };
        let seen = rows.lines().map(|line| row(line).ok_or_else(wrong));
        Ok(Self {
            seen: seen.collect::<Result<_, _>>()?,
            versions: Vec::new(),
        })
    }

    /// What has become of it by `now`. What we have put into the record ourselves is no news.
    #[must_use]
    pub fn since(&self, now: &Self, ours: &BTreeSet<Uid>) -> Since {
        let key = |seen: &Seen| {
            let (study, series) = (&seen.study_instance_uid, &seen.series_instance_uid);
            (study.clone(), series.clone(), seen.sop_instance_uid.clone())
        };
        let mut later: BTreeMap<_, _> = now.seen.iter().map(|seen| (key(seen), seen)).collect();
        let mut since = Since::default();
        for seen in &self.seen {
            match later.remove(&key(seen)) {
                None => since.removed.push(seen.clone()),
                Some(same) if same == seen => since.unchanged += 1,
                Some(other) => since.changed.push(other.clone()),
            }
        }
        let arrived = later.into_values();
        let arrived = arrived.filter(|seen| !ours.contains(&seen.sop_instance_uid));
        since.arrived.extend(arrived.cloned());
        since
    }
}

/// What has become of the instances of a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Since {
    /// How many are as they were.
    pub unchanged: u64,
    /// Those that have other bytes, as they are now.
    pub changed: Vec<Seen>,
    /// Those that are not there any more.
    pub removed: Vec<Seen>,
    /// Those that were not there.
    pub arrived: Vec<Seen>,
}

impl Since {
    /// Whether everything is as it was.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.changed.is_empty() && self.removed.is_empty() && self.arrived.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(instance: &str, digest: u8) -> Seen {
        let uid = |text: &str| Uid::parse(text).unwrap();
        Seen {
            study_instance_uid: uid("1.2"),
            series_instance_uid: uid("1.3"),
            sop_instance_uid: uid(instance),
            sop_class_uid: uid("1.2.840.10008.5.1.4.1.1.2"),
            transfer_syntax_uid: uid("1.2.840.10008.1.2.1"),
            digest: [digest; 32],
        }
    }

    fn manifest(seen: &[Seen]) -> Manifest {
        Manifest {
            seen: seen.to_vec(),
            versions: Vec::new(),
        }
    }

    #[test]
    fn rows_are_read_back_and_nothing_else_is() {
        let two = manifest(&[seen("1.4", 1), seen("1.5", 2)]);
        let rows = two.rows();
        assert_eq!(rows.lines().count(), 2);
        assert_eq!(Manifest::parse(&rows).unwrap(), two);
        assert_eq!(Manifest::parse("").unwrap(), Manifest::default());
        for wrong in [&rows[1..], &rows[..rows.len() - 4], "x\n", "\n"] {
            // Another first digit of the first UID is another UID, and found by the digest.
            let read = Manifest::parse(wrong);
            assert!(read.is_err() || Manifest::digest(wrong) != Manifest::digest(&rows));
        }
    }

    #[test]
    fn what_changed_went_and_came_is_told_apart() {
        let before = manifest(&[seen("1.4", 1), seen("1.5", 2), seen("1.6", 3)]);
        let now = manifest(&[
            seen("1.4", 1),
            seen("1.5", 9),
            seen("1.7", 4),
            seen("1.8", 5),
        ]);
        let ours = [Uid::parse("1.8").unwrap()].into();
        let since = before.since(&now, &ours);
        assert_eq!(
            since,
            Since {
                unchanged: 1,
                changed: vec![seen("1.5", 9)],
                removed: vec![seen("1.6", 3)],
                arrived: vec![seen("1.7", 4)],
            }
        );
        assert!(before.since(&before, &ours).is_nothing());
    }
}
