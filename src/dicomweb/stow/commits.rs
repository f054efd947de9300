//! What a request hands to the archive, and what became of it. Several instances wait for one
//! commit together, within bounds.

use std::collections::VecDeque;

use super::compose::Flaw;
use crate::archive::{Archive, Declared, Error, Handed, Incoming, Origin, Refusal, Scratch};
use crate::dicom::Uid;
use crate::dicomweb::store_answer::{Identity, StoreAnswer};

/// Instances of one request that may wait for their commit together.
const HANDED_MAX: usize = 32;
/// How much they may hold in memory together. Bytes.
const HANDED_BYTES_MAX: usize = 4 * 1024 * 1024;

pub(super) struct Commits {
    archive: Archive,
    origin: Origin,
    declared: Declared,
    /// What came whole and is being committed, in order.
    handed: VecDeque<Handed>,
    answer: StoreAnswer,
}

impl Commits {
    pub(super) fn new(archive: Archive, origin: Origin, declared: Declared) -> Self {
        Self {
            archive,
            origin,
            declared,
            handed: VecDeque::new(),
            answer: StoreAnswer::default(),
        }
    }

    pub(super) fn archive(&self) -> &Archive {
        &self.archive
    }

    /// Opens a place for what objects are made of.
    pub(super) fn scratch(&self) -> Result<Scratch, Error> {
        self.archive.scratch(self.declared.gate.clone())
    }

    /// Begins a Part 10 file.
    pub(super) fn begin_file(&self) -> Result<Incoming, Error> {
        self.archive
            .receive_part10(self.origin.clone(), self.declared.clone())
    }

    /// Begins a data set that we encode ourselves.
    pub(super) fn begin_dataset(&self, transfer_syntax_uid: &Uid) -> Result<Incoming, Error> {
        self.archive.receive_dataset(
            self.origin.clone(),
            transfer_syntax_uid,
            self.declared.clone(),
        )
    }

    /// Writes some of an object. Where the inbox seems full, what is being committed comes first: what is here already
    /// takes nothing. If it is, the object is told as failed by its name when it is whole.
    pub(super) fn write(&mut self, incoming: &mut Incoming, bytes: &[u8]) -> Result<(), Error> {
        let is_full = |written: &Result<(), Error>| {
            matches!(written, Err(Error::Refused(Refusal::InboxFull)))
        };
        let mut written = incoming.write(bytes);
        if is_full(&written) && !self.handed.is_empty() {
            self.settle(0);
            written = incoming.write(bytes);
        }
        match is_full(&written) {
            true => incoming.give_up(bytes),
            false => written,
        }
    }

    /// The same where objects are made as a whole.
    pub(super) fn settle_if_limited(&mut self) {
        if self.declared.gate.is_some() {
            self.settle(0);
        }
    }

    /// An object came whole.
    pub(super) fn hand_over(&mut self, incoming: Incoming) {
        let identity = incoming.identity();
        match incoming.hand_over() {
            Ok(handed) => self.handed.push_back(handed),
            Err(error) => self.failed(identity, &error),
        }
        self.settle(HANDED_MAX);
        while self.handed.iter().map(Handed::held_bytes).sum::<usize>() > HANDED_BYTES_MAX {
            self.settle(self.handed.len() - 1);
        }
    }

    /// The archive did not take an object. Tells the sender, and the log.
    pub(super) fn failed(&mut self, identity: Identity, error: &Error) {
        let (sop_class, sop_instance) = &identity;
        tracing::warn!(peer = &*self.origin.peer, ?sop_class, ?sop_instance, %error, "an instance was not stored");
        self.tell_if_full(error);
        self.answer.add_error(identity, error);
    }

    /// Tells the trail, when it is that nothing more may come by the inbox.
    pub(super) fn tell_if_full(&self, error: &Error) {
        if let (Some(gate), Error::Refused(Refusal::InboxFull)) = (&self.declared.gate, error) {
            gate.0.tell_full();
        }
    }

    /// No object could be made of metadata and bulk data.
    pub(super) fn flawed(&mut self, identity: Identity, flaw: &Flaw) {
        let (sop_class, sop_instance) = &identity;
        tracing::warn!(peer = &*self.origin.peer, ?sop_class, ?sop_instance, %flaw, "an instance was not stored");
        self.answer.add_flaw(identity, flaw);
    }

    /// An object was cut off on the way.
    pub(super) fn cut(&mut self, identity: Identity) {
        self.answer.add_cut(identity);
    }

    /// Waits for everything that is being committed.
    pub(super) fn finish(mut self) -> StoreAnswer {
        self.settle(0);
        self.answer
    }

    /// Waits for commits until at most `left` are outstanding.
    fn settle(&mut self, left: usize) {
        while self.handed.len() > left {
            let Some(handed) = self.handed.pop_front() else {
                return;
            };
            let (class, instance) = handed.identity();
            let identity = (Some(class.clone()), Some(instance.clone()));
            match handed.wait() {
                Ok(receipt) => self.answer.add_receipt(receipt),
                Err(error) => self.failed(identity, &error),
            }
        }
    }
}
