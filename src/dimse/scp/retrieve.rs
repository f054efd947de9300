//! C-MOVE and C-GET (PS3.7 §9.1.3, §9.1.4, PS3.4 §C.4.2, §C.4.3): which instances an identifier means, in what order, and what
//! became of each. The wire is `exchange`'s.
//!
//! The matches are counted before the first is sent; of the identifier only the unique keys count,
//! and (0010,0021) Issuer of Patient ID where it tells two patients apart.

use dicom_core::Tag;
use tracing::debug;

use super::question::{Asked, failed, unique_keys, wrong};
use crate::access::{Action, Scope};
use crate::archive::{Archive, Error, Located, Target};
use crate::dicom::dataset::{Element, Value};
use crate::dicom::query::{Key, Matching, Order, Query};
use crate::dicom::rewrite::encode;
use crate::dicom::walk::Encoding;
use crate::dicom::{AttributeId, Level, Uid};
use crate::dimse::association::Peer;
use crate::dimse::status::{Counters, Reply, Status};

/// Rows asked for at a time, and instances located.
const PAGE_ROWS: u32 = 1000;
/// UIDs of a list that are looked for at a time.
const LIST_UIDS: usize = 500;
/// The most studies, series or instances that an identifier may name or match.
const TARGETS_MAX: usize = 100_000;
/// (0008,0058) Failed SOP Instance UID List: a value of VR UI that 16 bits can tell the length of.
const FAILED_BYTES_MAX: usize = 65_534;
const FAILED_SOP_INSTANCE_UID_LIST: Tag = Tag(0x0008, 0x0058);
const ISSUER_OF_PATIENT_ID: Tag = Tag(0x0010, 0x0021);

/// What became of a sub-operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sent {
    /// Stored.
    Completed,
    /// Stored, the peer says, but.
    Warning,
    /// Not sent, or not stored.
    Failed,
}

impl Sent {
    /// By the status of a C-STORE response (PS3.7 §C, PS3.4 Table B.2-1).
    pub(crate) fn of_status(status: u16) -> Self {
        match status {
            0x0000 => Self::Completed,
            0x0001 | 0x0107 | 0x0116 | 0xB000..=0xBFFF => Self::Warning,
            _ => Self::Failed,
        }
    }
}

/// The sub-operations of one request.
pub(crate) struct Retrieval {
    archive: Archive,
    scope: Scope,
    encoding: Encoding,
    targets: std::vec::IntoIter<Target>,
    /// The target that is being located, and what of it has been.
    open: Option<Target>,
    page: std::vec::IntoIter<Located>,
    last: Option<Located>,
    total: u64,
    completed: u64,
    warning: u64,
    failed: u64,
    /// The failed ones, joined by backslashes.
    failed_uids: String,
}

impl Retrieval {
    pub(super) fn begin(peer: &Peer<'_>, asked: &Asked) -> Result<Self, Reply> {
        let scope = peer.admit(Action::Retrieve)?;
        let mut found = Found {
            archive: peer.archive,
            scope: &scope,
            targets: Vec::new(),
            total: 0,
        };
        found.search(asked)?;
        let Found { targets, total, .. } = found;
        debug!(targets = targets.len(), instances = total, "retrieving");
        Ok(Self {
            archive: peer.archive.clone(),
            scope,
            encoding: asked.encoding,
            targets: targets.into_iter(),
            open: None,
            page: Vec::new().into_iter(),
            last: None,
            total,
            completed: 0,
            warning: 0,
            failed: 0,
            failed_uids: String::new(),
        })
    }

    /// What of it may be seen.
    pub(crate) fn scope(&self) -> &Scope {
        &self.scope
    }

    /// All that is to be sent, for who finds the instances in it himself.
    pub(crate) fn targets(&mut self) -> Vec<Target> {
        std::mem::take(&mut self.targets).collect()
    }

    /// How many instances there are in the end.
    pub(crate) fn set_total(&mut self, total: u64) {
        self.total = total;
    }

    /// The last response, when the archive fails in the middle.
    pub(crate) fn failed(&self, cause: &Error) -> Reply {
        self.broken_off(&failed(Status::NOTHING_SENT, cause))
    }

    /// The next instance to be sent; `None` after the last.
    pub(crate) fn next(&mut self) -> Result<Option<Located>, Reply> {
        loop {
            if let Some(located) = self.page.next() {
                self.last = Some(located.clone());
                return Ok(Some(located));
            }
            let after = self.last.take().map(|located| located.cursor);
            if after.is_none() {
                self.open = self.targets.next();
            }
            let Some(target) = &self.open else {
                return Ok(None);
            };
            let page = self
                .archive
                .locate(target, &self.scope, after, PAGE_ROWS as usize)
                .map_err(|cause| self.failed(&cause))?;
            self.page = page.into_iter();
        }
    }

    /// Notes what became of an instance.
    pub(crate) fn count(&mut self, located: &Located, sent: Sent) {
        match sent {
            Sent::Completed => self.completed += 1,
            Sent::Warning => self.warning += 1,
            Sent::Failed => {
                self.failed += 1;
                let uid = located.sop_instance_uid.as_str();
                if self.failed_uids.len() + 1 + uid.len() <= FAILED_BYTES_MAX {
                    if !self.failed_uids.is_empty() {
                        self.failed_uids.push('\\');
                    }
                    self.failed_uids.push_str(uid);
                }
            }
        }
    }

    /// The response after a sub-operation.
    pub(crate) fn pending(&self) -> Reply {
        Reply {
            counters: Some(self.counters(true)),
            ..Reply::plain(Status::PENDING)
        }
    }

    /// The last response, after C-CANCEL.
    pub(crate) fn cancelled(&self) -> Reply {
        Reply {
            counters: Some(self.counters(true)),
            data_set: self.failed_list(),
            ..Reply::plain(Status::CANCELLED)
        }
    }

    /// The last response.
    pub(crate) fn finished(&self) -> Reply {
        let status = if self.failed == 0 && self.warning == 0 {
            Status::SUCCESS
        } else if self.completed == 0 && self.warning == 0 {
            Status::NOTHING_SENT
        } else {
            Status::SENT_IN_PART
        };
        Reply {
            counters: Some(self.counters(false)),
            data_set: self.failed_list(),
            ..Reply::plain(status)
        }
    }

    /// The last response, when what is left cannot be found any more: it counts as failed.
    fn broken_off(&self, why: &Reply) -> Reply {
        let mut counters = self.counters(true);
        let left = counters.remaining.take().unwrap_or(0);
        counters.failed = counters.failed.saturating_add(left);
        Reply {
            counters: Some(counters),
            data_set: self.failed_list(),
            ..why.clone()
        }
    }

    fn counters(&self, has_remaining: bool) -> Counters {
        let count = |number: u64| u16::try_from(number).unwrap_or(u16::MAX);
        let done = self.completed + self.warning + self.failed;
        Counters {
            remaining: has_remaining.then(|| count(self.total.saturating_sub(done))),
            completed: count(self.completed),
            failed: count(self.failed),
            warning: count(self.warning),
        }
    }

    /// (0008,0058), where something failed.
    fn failed_list(&self) -> Option<Vec<u8>> {
        if self.failed_uids.is_empty() {
            return None;
        }
        let element = Element {
            tag: FAILED_SOP_INSTANCE_UID_LIST,
            vr: dicom_core::VR::UI,
            value: Value::Bytes(self.failed_uids.as_bytes().to_vec()),
        };
        let mut bytes = Vec::new();
        encode::element(&mut bytes, self.encoding, &element);
        Some(bytes)
    }
}

/// What an identifier means, as it is found.
struct Found<'p> {
    archive: &'p Archive,
    scope: &'p Scope,
    targets: Vec<Target>,
    total: u64,
}

impl Found<'_> {
    fn search(&mut self, asked: &Asked) -> Result<(), Reply> {
        let mut keys = Vec::new();
        let tags: Vec<Tag> = unique_keys(asked.model, asked.level).collect();
        let Some((own, above)) = tags.split_last() else {
            return Ok(());
        };
        for tag in above {
            let said = match asked.matching(*tag)? {
                // Relational: what is not said is not asked.
                None => continue,
                Some(Matching::Single(_)) => asked.single(*tag)?,
                Some(_) => return Err(wrong("a unique key needs a single value here").about(*tag)),
            };
            keys.extend(AttributeId::of_tag(*tag).map(|id| Key::Attribute(id, said)));
        }
        let issuer = asked.matching(ISSUER_OF_PATIENT_ID)?;
        let has_patient = tags.contains(&Tag(0x0010, 0x0020));
        if let Some(said @ Matching::Single(_)) = issuer.filter(|_| has_patient) {
            let id = AttributeId::of_tag(ISSUER_OF_PATIENT_ID);
            keys.extend(id.map(|id| Key::Attribute(id, said)));
        }
        let Some(id) = AttributeId::of_tag(*own) else {
            return Ok(());
        };
        match asked.matching(*own)? {
            Some(said @ Matching::Single(_)) => {
                keys.push(Key::Attribute(id, said));
                self.pages(asked.level, &keys)
            }
            // A list of UIDs; of patients one at a time only (PS3.4 §C.4.3.1.3).
            Some(Matching::List(uids)) if asked.level != Level::Patient => {
                let mut uids: Vec<Uid> = uids.iter().filter_map(|u| Uid::parse(u).ok()).collect();
                uids.sort_unstable();
                uids.dedup();
                for some in uids.chunks(LIST_UIDS) {
                    let some = some.iter().map(|uid| uid.as_str().into()).collect();
                    let mut keys = keys.clone();
                    keys.push(Key::Attribute(id, Matching::List(some)));
                    self.pages(asked.level, &keys)?;
                }
                Ok(())
            }
            _ => Err(wrong("the unique key of the level is missing or a pattern").about(*own)),
        }
    }

    /// All rows that have these keys.
    fn pages(&mut self, level: Level, keys: &[Key]) -> Result<(), Reply> {
        let mut query = Query {
            // The studies of a patient are what is sent.
            level: level.max(Level::Study),
            keys: keys.to_vec(),
            limit: PAGE_ROWS,
            offset: 0,
            order: Order::NEWEST,
        };
        loop {
            let unable = |cause| failed(Status::UNCOUNTABLE, &cause);
            let page = self.archive.find(&query, self.scope);
            let rows = page.map_err(unable)?.rows;
            for row in &rows {
                self.targets.push(row.target(query.level).map_err(unable)?);
                self.total += match query.level {
                    Level::Patient | Level::Study => row.instances_of_study,
                    Level::Series => row.instances_of_series,
                    Level::Instance => 1,
                };
            }
            if self.targets.len() > TARGETS_MAX {
                return Err(Reply::because(
                    Status::UNCOUNTABLE,
                    "the identifier means too many entities",
                ));
            }
            if rows.len() < PAGE_ROWS as usize {
                return Ok(());
            }
            query.offset += rows.len() as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sub_operation_is_what_its_status_says() {
        for (status, sent) in [
            (0x0000, Sent::Completed),
            (0xB000, Sent::Warning),
            (0xB006, Sent::Warning),
            (0xB007, Sent::Warning),
            (0x0110, Sent::Failed),
            (0x0111, Sent::Failed),
            (0x0122, Sent::Failed),
            (0xA700, Sent::Failed),
            (0xA900, Sent::Failed),
            (0xC000, Sent::Failed),
        ] {
            assert_eq!(Sent::of_status(status), sent, "{status:04X}");
        }
    }
}
