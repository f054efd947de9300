//! The one way in (PS3.4 §B.2, PS3.18 §10.5): bytes stream through header walk and digest into a
//! bounded buffer or, beyond it, a staging file; the end checks identity, makes the blob, hands it
//! to the committer and returns only when the index has committed.
//!
//! What `[coercion]` changes is written a second time from the buffer or the staging file, through the
//! same checks; nothing else is.
//!
//! Memory for one sender is `buffer_bytes_max` + `metadata_bytes_max` + a few values, whatever the
//! size of the object.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use dicom_core::Tag;

use crate::access::{Scope, Stay};
use crate::archive::adopt::Note;
use crate::archive::blob::{Locator, Staged};
use crate::archive::coercion::Coercer;
use crate::archive::commit::discard;
use crate::archive::committer::Decision;
use crate::archive::index::{Made, NewInstance};
use crate::archive::removal::now_ms;
use crate::archive::share::Share;
use crate::archive::{
    Arriving, Declared, Error, Gate, Inner, Origin, Outcome, Receipt, Refusal, Target,
};
use crate::dicom::header::HeaderReader;
use crate::dicom::part10::{self, Meta, MetaError, MetaReader};
use crate::dicom::query::{Key, Matching, Order};
use crate::dicom::rewrite::Edit;
use crate::dicom::walk::Fault;
use crate::dicom::{AttributeId, Header, Level, Query, TransferSyntax, Uid};

/// How often a large object asks whether the disk still has room, in bytes.
pub(super) const ROOM_CHECK_BYTES: u64 = 4 << 20;

/// A large object whose attributes are coerced is read again in pieces of this size.
const REWRITE_BYTES: usize = 256 << 10;

/// One object on its way in. Dropped before [`Incoming::finish`], it leaves nothing.
pub struct Incoming {
    archive: Arc<Inner>,
    origin: Origin,
    declared: Declared,
    received_at_ms: i64,
    stage: Stage,
    share: Share,
    /// Whether the gate did not give what was to be written last.
    is_short: bool,
    /// Whether it is only looked at any more.
    is_over: bool,
    has_failed: bool,
}

/// How far it has come.
enum Stage {
    /// Preamble and File Meta of a Part 10 file are still arriving.
    Head(Box<MetaReader>),
    /// The data set is arriving.
    Body(Box<Body>),
}

struct Body {
    transfer_syntax_uid: Uid,
    reader: HeaderReader,
    digest: blake3::Hasher,
    bytes: u64,
    next_room_check: u64,
    sink: Sink,
}

enum Sink {
    Memory(Vec<u8>),
    Staged(Box<dyn Staged>),
}

impl Incoming {
    pub(super) fn of_dataset(
        archive: Arc<Inner>,
        origin: Origin,
        transfer_syntax_uid: &Uid,
        declared: Declared,
    ) -> Result<Self, Error> {
        let body = Body::begin(&archive, transfer_syntax_uid)?;
        Self::begin(archive, origin, declared, Stage::Body(body))
    }

    pub(super) fn of_part10(
        archive: Arc<Inner>,
        origin: Origin,
        declared: Declared,
    ) -> Result<Self, Error> {
        Self::begin(archive, origin, declared, Stage::Head(Box::default()))
    }

    fn begin(
        archive: Arc<Inner>,
        origin: Origin,
        declared: Declared,
        stage: Stage,
    ) -> Result<Self, Error> {
        archive.check_room()?;
        Ok(Self {
            archive,
            origin,
            share: Share::new(declared.gate.clone(), Stay::Lasting),
            declared,
            received_at_ms: now_ms(),
            stage,
            is_short: false,
            is_over: false,
            has_failed: false,
        })
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// The first error is final: drop the object (and, on a socket, read the rest away). But for
    /// [`Refusal::InboxFull`]: when something else was settled, the same bytes can be written again.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if self.is_over {
            return self.look(bytes);
        }
        self.is_short = true;
        self.share.add(bytes.len())?;
        self.is_short = false;
        let result = self.take(bytes);
        self.has_failed |= result.is_err();
        result
    }

    /// Gives up an object that the gate does not let be written: the rest is looked at only, so that it has a name when
    /// [`Incoming::hand_over`] says [`Refusal::InboxFull`].
    ///
    /// # Errors
    /// As [`Incoming::write`], of these bytes.
    pub fn give_up(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.is_over = true;
        self.share.clear();
        if let Stage::Body(body) = &mut self.stage {
            body.sink = Sink::Memory(Vec::new());
        }
        self.look(bytes)
    }

    fn look(&mut self, bytes: &[u8]) -> Result<(), Error> {
        match &mut self.stage {
            Stage::Body(body) => body.look(&self.archive, bytes),
            Stage::Head(meta) => {
                let Some(head) = meta.feed(bytes).map_err(refused)? else {
                    return Ok(());
                };
                let mut body = Body::begin(&self.archive, &head.transfer_syntax_uid)?;
                let result = body.look(&self.archive, meta.rest(&head));
                self.stage = Stage::Body(body);
                result
            }
        }
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), Error> {
        match &mut self.stage {
            Stage::Body(body) => body.take(&self.archive, bytes),
            Stage::Head(meta) => {
                let Some(head) = meta.feed(bytes).map_err(refused)? else {
                    return Ok(());
                };
                let rest = meta.rest(&head).to_vec();
                self.enter_body(&head, &rest)
            }
        }
    }

    /// The File Meta is complete: the data set begins with what was read beyond it.
    fn enter_body(&mut self, head: &Meta, rest: &[u8]) -> Result<(), Error> {
        let mut body = Body::begin(&self.archive, &head.transfer_syntax_uid)?;
        let result = body.take(&self.archive, rest);
        self.stage = Stage::Body(body);
        result
    }

    /// What is known of the object's identity so far, read or else declared: SOP class, SOP instance.
    #[must_use]
    pub fn identity(&self) -> (Option<Uid>, Option<Uid>) {
        let (class, instance) = match &self.stage {
            Stage::Head(_) => (None, None),
            Stage::Body(body) => {
                let [class, instance, ..] = body.reader.identity();
                (class.cloned(), instance.cloned())
            }
        };
        (
            class.or_else(|| self.declared.sop_class_uid.clone()),
            instance.or_else(|| self.declared.sop_instance_uid.clone()),
        )
    }

    /// The last byte was written: checks identity, makes the object durable, commits it to the
    /// index, and only then returns.
    ///
    /// # Errors
    /// Nothing of the object remains then.
    pub fn finish(self) -> Result<Receipt, Error> {
        let archive = self.archive.clone();
        let (receipt, new, mut share) = self.publish()?;
        let locator = new.locator;
        let outcome = archive
            .committer
            .commit(new, || discard(&*archive.blobs, &[locator]))?;
        share.keep(outcome.is_kept());
        Ok(Receipt { outcome, ..receipt })
    }

    /// As [`Incoming::finish`], but returns once the commit is asked for, so that a sender of many
    /// objects can go on with the next and several share one commit. Nothing may be told as stored
    /// before [`Handed::wait`] has said so.
    ///
    /// # Errors
    /// Nothing of the object remains then.
    pub fn hand_over(self) -> Result<Handed, Error> {
        let archive = self.archive.clone();
        let (receipt, new, mut share) = self.publish()?;
        let (locator, held_bytes) = (new.locator, new.header.metadata.len());
        let submitted = archive.committer.submit(new);
        let decision = submitted.inspect_err(|_| discard(&*archive.blobs, &[locator]))?;
        // Whoever does not wait for the decision leaves it here all the same.
        share.keep(true);
        Ok(Handed {
            receipt,
            held_bytes,
            decision,
            share,
        })
    }

    /// Checks what came whole, and makes it a blob that no row names yet.
    fn publish(mut self) -> Result<(Receipt, NewInstance, Share), Error> {
        if self.is_over {
            return Err(Refusal::InboxFull.into());
        }
        if self.has_failed || self.is_short {
            return Err(Error::broken(
                "finishing an object",
                "an earlier write had failed",
            ));
        }
        if let Stage::Head(meta) = &mut self.stage {
            let head = meta.finish().map_err(refused)?;
            let rest = meta.rest(&head).to_vec();
            self.enter_body(&head, &rest)?;
        }
        let Stage::Body(mut body) = self.stage else {
            return Err(Refusal::NotDicom.into());
        };
        let received_digest = *body.digest.finalize().as_bytes();
        let found = body.reader.found();
        let Body {
            transfer_syntax_uid,
            reader,
            digest,
            sink,
            bytes,
            ..
        } = *body;
        let header = reader.finish().map_err(Refusal::Fault)?;
        check_identity(&self.declared, &header)?;
        let coercion = &self.archive.settings.coercion;
        let edits = coercion.edits(&self.origin, &found, self.received_at_ms);
        let is_coerced = !edits.is_empty();
        let (header, digest, sink) = if is_coerced {
            let mut body = Body::begin(&self.archive, &transfer_syntax_uid)?;
            body.take_coerced(&self.archive, sink, bytes, edits)?;
            let header = body.reader.finish().map_err(Refusal::Fault)?;
            (header, body.digest, body.sink)
        } else {
            (header, digest, sink)
        };
        if let Some(gate) = &self.declared.gate {
            check_admission(&self.archive, gate, &header)?;
        }
        let head = part10::head(
            &header.sop_class_uid,
            &header.sop_instance_uid,
            &transfer_syntax_uid,
        );
        let note = Note {
            origin: self.origin,
            received_at_ms: self.received_at_ms,
            received_digest,
        };
        let locator = sink.publish(&self.archive, &head, &note.write())?;
        let mut new = NewInstance {
            transfer_syntax_uid,
            locator,
            dataset_offset: u32::try_from(head.len())
                .map_err(|e| Error::broken("writing the head", e))?,
            digest: *digest.finalize().as_bytes(),
            received_digest,
            origin: note.origin,
            received_at_ms: note.received_at_ms,
            header,
            made: Made::default(),
        };
        self.archive
            .index
            .prepare(&mut new)
            .inspect_err(|_| discard(&*self.archive.blobs, &[locator]))?;
        let header = &new.header;
        let receipt = Receipt {
            sop_class_uid: header.sop_class_uid.clone(),
            sop_instance_uid: header.sop_instance_uid.clone(),
            study_instance_uid: header.study_instance_uid.clone(),
            series_instance_uid: header.series_instance_uid.clone(),
            // Until the committer has decided.
            outcome: Outcome::Stored,
            is_coerced,
        };
        Ok((receipt, new, self.share))
    }
}

/// Asks the gate. Who sends what is held elsewhere, or of a study that is here, is asked about by all that was stored.
fn check_admission(archive: &Inner, gate: &Gate, header: &Header) -> Result<(), Error> {
    archive.index.commit_kept()?;
    let study = &header.study_instance_uid;
    let held = archive
        .index
        .version(&Target::Study(study.clone()), &Scope::All)?;
    let key = AttributeId::of_keyword("SOPInstanceUID")
        .ok_or_else(|| Error::broken("looking for an instance", "no such key"))?;
    let wanted = Matching::Single(header.sop_instance_uid.as_str().into());
    let query = Query {
        level: Level::Instance,
        keys: vec![Key::Attribute(key, wanted)],
        limit: 1,
        offset: 0,
        order: Order::NEWEST,
    };
    let page = archive.index.find(&query, &Scope::All)?;
    let row = page.rows.first();
    let place = row.and_then(|row| row.attributes.by_keyword("StudyInstanceUID"));
    let instance_in = place.map(Uid::parse).transpose();
    let arriving = Arriving {
        study,
        is_study_held: held.is_some(),
        instance_in: instance_in.map_err(|e| Error::broken("reading the index", e))?,
    };
    match gate.0.admit(&arriving)? {
        true => Ok(()),
        false => Err(Refusal::NotAdmitted.into()),
    }
}

/// An object that came whole and waits for its commit. Dropped, it is committed all the same.
pub struct Handed {
    receipt: Receipt,
    held_bytes: usize,
    decision: Decision,
    share: Share,
}

impl Handed {
    /// SOP class and SOP instance.
    #[must_use]
    pub fn identity(&self) -> (&Uid, &Uid) {
        (&self.receipt.sop_class_uid, &self.receipt.sop_instance_uid)
    }

    /// How much memory it holds until then, in bytes: nearly all of it prepared metadata.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// Blocks until it is committed. What the receipt says is durable.
    ///
    /// # Errors
    /// Nothing of the object remains then.
    pub fn wait(mut self) -> Result<Receipt, Error> {
        let decided = self.decision.wait();
        self.share
            .keep(decided.as_ref().is_ok_and(|outcome| outcome.is_kept()));
        let outcome = decided?;
        Ok(Receipt {
            outcome,
            ..self.receipt
        })
    }
}

impl Body {
    fn begin(archive: &Inner, transfer_syntax_uid: &Uid) -> Result<Box<Self>, Error> {
        if TransferSyntax::of_uid(transfer_syntax_uid.as_str()).is_none() {
            return Err(Refusal::TransferSyntax(transfer_syntax_uid.clone()).into());
        }
        Ok(Box::new(Self {
            transfer_syntax_uid: transfer_syntax_uid.clone(),
            reader: HeaderReader::new(transfer_syntax_uid, &archive.settings.limits)
                .map_err(Refusal::Fault)?
                .watching(archive.settings.coercion.tags()),
            digest: blake3::Hasher::new(),
            bytes: 0,
            next_room_check: ROOM_CHECK_BYTES,
            sink: Sink::Memory(archive.spare.take()),
        }))
    }

    fn take(&mut self, archive: &Inner, bytes: &[u8]) -> Result<(), Error> {
        self.look(archive, bytes)?;
        if self.bytes > self.next_room_check {
            archive.check_room()?;
            self.next_room_check = self.bytes.saturating_add(ROOM_CHECK_BYTES);
        }
        self.digest.update(bytes);
        self.sink.take(archive, bytes)
    }

    /// Reads what they say, and keeps nothing else of them.
    fn look(&mut self, archive: &Inner, bytes: &[u8]) -> Result<(), Error> {
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        let max = archive.settings.limits.object_bytes_max;
        if self.bytes > max {
            return Err(Error::TooLarge {
                limit: "ingest.object_bytes_max",
                max,
            });
        }
        self.reader.feed(bytes).map_err(unreadable)
    }

    /// Takes the `bytes` bytes of a data set that came whole, changed by `edits`.
    fn take_coerced(
        &mut self,
        archive: &Inner,
        received: Sink,
        bytes: u64,
        edits: BTreeMap<Tag, Edit>,
    ) -> Result<(), Error> {
        let uid = &self.transfer_syntax_uid;
        let syntax = TransferSyntax::of_uid(uid.as_str())
            .ok_or_else(|| Refusal::TransferSyntax(uid.clone()))?;
        let mut coercer = Coercer::new(syntax, &archive.settings.limits, edits);
        match received {
            Sink::Memory(buffer) => self.take(archive, coercer.feed(&buffer)?)?,
            Sink::Staged(staged) => {
                let mut at = 0;
                let mut piece = vec![0; REWRITE_BYTES];
                while at < bytes {
                    let left = usize::try_from(bytes - at).unwrap_or(REWRITE_BYTES);
                    let piece = &mut piece[..left.min(REWRITE_BYTES)];
                    staged.read_at(at, piece)?;
                    at += piece.len() as u64;
                    self.take(archive, coercer.feed(piece)?)?;
                }
            }
        }
        self.take(archive, &coercer.finish()?)
    }
}

impl Sink {
    fn take(&mut self, archive: &Inner, bytes: &[u8]) -> Result<(), Error> {
        match self {
            Self::Memory(buffer)
                if buffer.len() + bytes.len() <= archive.settings.buffer_bytes_max =>
            {
                buffer.extend_from_slice(bytes);
                Ok(())
            }
            Self::Memory(buffer) => {
                let mut staged = archive.blobs.stage()?;
                staged.write(buffer)?;
                staged.write(bytes)?;
                *self = Self::Staged(staged);
                Ok(())
            }
            Self::Staged(staged) => staged.write(bytes),
        }
    }

    fn publish(self, archive: &Inner, head: &[u8], note: &[u8]) -> Result<Locator, Error> {
        match self {
            Self::Memory(buffer) => {
                let put = archive.blobs.put(head, &buffer, note);
                archive.spare.give(buffer);
                put
            }
            Self::Staged(staged) => staged.finish(head, note),
        }
    }
}

/// Buffers of objects for the next ones: fresh memory costs more than what is written to it.
#[derive(Default)]
pub(super) struct Spare(Mutex<Vec<Vec<u8>>>);

impl Spare {
    /// So many are kept, none larger than this.
    const KEPT_MAX: usize = 4;
    const BYTES_MAX: usize = 2 << 20;

    fn take(&self) -> Vec<u8> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.pop().unwrap_or_default()
    }

    fn give(&self, mut buffer: Vec<u8>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < Self::KEPT_MAX && buffer.capacity() <= Self::BYTES_MAX {
            buffer.clear();
            kept.push(buffer);
        }
    }
}

/// A deflated object is held to the limit of all objects, inflated.
fn unreadable(fault: Fault) -> Error {
    match fault {
        Fault::TooLarge {
            limit: limit @ "ingest.object_bytes_max",
            max,
        } => Error::TooLarge { limit, max },
        other => Refusal::Fault(other).into(),
    }
}

fn refused(error: MetaError) -> Refusal {
    match error {
        MetaError::NotDicom => Refusal::NotDicom,
        MetaError::Fault(fault) => Refusal::Fault(fault),
    }
}

/// PS3.4 §B.2.3 (A9xx) and PS3.18 §10.5.2: an object must be what its sender said it was.
fn check_identity(declared: &Declared, header: &Header) -> Result<(), Refusal> {
    let pairs = [
        (
            "SOPClassUID",
            &declared.sop_class_uid,
            &header.sop_class_uid,
        ),
        (
            "SOPInstanceUID",
            &declared.sop_instance_uid,
            &header.sop_instance_uid,
        ),
        (
            "StudyInstanceUID",
            &declared.study_instance_uid,
            &header.study_instance_uid,
        ),
    ];
    for (keyword, said, is) in pairs {
        if said.as_ref().is_some_and(|said| said != is) {
            return Err(Refusal::Mismatch { keyword });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_buffers_are_kept_empty_and_none_that_is_large() {
        let spare = Spare::default();
        spare.give(Vec::with_capacity(Spare::BYTES_MAX + 1));
        assert_eq!(spare.take().capacity(), 0);
        for _ in 0..2 * Spare::KEPT_MAX {
            spare.give(vec![7; 1000]);
        }
        let taken: Vec<_> = (0..2 * Spare::KEPT_MAX).map(|_| spare.take()).collect();
        assert!(taken.iter().all(Vec::is_empty));
        let used = taken.iter().filter(|buffer| buffer.capacity() >= 1000);
        assert_eq!(used.count(), Spare::KEPT_MAX);
    }
}
