//! C-MOVE on the wire (PS3.7 §9.1.4, §9.3.4): what is asked for goes to its destination on an
//! association of its own (`scu::send`), while this one tells how far that is, and hears C-CANCEL.
//!
//! One association at a time leads to a destination, as those that ask for moves expect, and
//! `dicom.moves_max` moves run at once.

use std::time::{Duration, Instant};

use tracing::{info, warn};

use super::Association;
use crate::access::audit::AuditOutcome;
use crate::archive::Located;
use crate::dimse::association::End;
use crate::dimse::inbox::Inbox;
use crate::dimse::message::Request;
use crate::dimse::scp::{Retrieval, Sent};
use crate::dimse::scu::{self, Fate, Observer, Originator};
use crate::dimse::status::{Reply, Status};

/// A pending response comes at least so often, so that nobody who waits takes us for dead.
const PENDING_EVERY: Duration = Duration::from_secs(3);

impl Association<'_> {
    /// Has everything sent to `destination`.
    pub(super) fn move_to(
        &mut self,
        inbox: &mut Inbox<'_>,
        context_id: u8,
        request: &Request,
        mut retrieval: Retrieval,
        destination: &scu::Peer,
    ) -> Result<(), End> {
        let Some(permit) = self.house.move_permit() else {
            warn!(%destination, "not moved: dicom.moves_max");
            let refused = Reply::because(Status::NOTHING_SENT, "too many moves at once");
            return self.reply(context_id, request, &refused);
        };
        let settings = scu::Settings {
            associations: 1,
            ..self.house.settings.outgoing.clone()
        };
        let (archive, scope) = (self.peer.archive.clone(), retrieval.scope().clone());
        let targets = retrieval.targets();
        let sending = scu::Request {
            targets: &targets,
            scope: &scope,
            peer: destination,
            originator: Some(Originator {
                ae_title: self.peer.calling.clone(),
                message_id: request.message_id,
            }),
        };
        let mut watch = Watch {
            association: self,
            inbox,
            context_id,
            request,
            retrieval,
            destination: destination.to_string(),
            told: Instant::now(),
            ended: None,
        };
        let sent = scu::send(&archive, &sending, &settings, &mut watch);
        // What came in after the last look.
        watch.is_cancelled();
        let Watch {
            retrieval, ended, ..
        } = watch;
        let last = match sent {
            _ if self.is_cancelled => retrieval.cancelled(),
            Ok(_) => retrieval.finished(),
            Err(cause) => retrieval.failed(&cause),
        };
        let (status, counters) = (last.status, last.counters.unwrap_or_default());
        let (completed, failed) = (counters.completed, counters.failed);
        info!(%destination, %status, completed, failed, warning = counters.warning, "moved");
        // Whoever has the answer may ask for the next move at once.
        drop(permit);
        match ended {
            Some(end) => Err(end),
            None => self.reply(context_id, request, &last),
        }
    }
}

/// Tells the requestor, and hears it.
struct Watch<'w, 'a, 'i> {
    association: &'w mut Association<'a>,
    inbox: &'w mut Inbox<'i>,
    context_id: u8,
    request: &'w Request,
    retrieval: Retrieval,
    destination: String,
    /// When a response was sent last.
    told: Instant,
    /// How the association with the requestor ended, if it did.
    ended: Option<End>,
}

impl Watch<'_, '_, '_> {
    fn tell(&mut self) {
        if self.ended.is_none() {
            let pending = self.retrieval.pending();
            let told = self
                .association
                .reply(self.context_id, self.request, &pending);
            self.ended = told.err();
            self.told = Instant::now();
        }
    }
}

impl Observer for Watch<'_, '_, '_> {
    fn planned(&mut self, total: u64) {
        self.retrieval.set_total(total);
    }

    fn ended(&mut self, instance: &Located, fate: &Fate) {
        let sent = match fate {
            Fate::Stored => Sent::Completed,
            Fate::Warned(_) => Sent::Warning,
            Fate::Failed(_) => Sent::Failed,
        };
        self.retrieval.count(instance, sent);
        // What was refused may have been sent before.
        let outcome = match sent {
            Sent::Completed | Sent::Warning => AuditOutcome::Success,
            Sent::Failed => AuditOutcome::MinorFailure,
        };
        let study = &instance.study_instance_uid;
        let trail = &mut self.association.trail;
        trail.sent(&self.destination, study, outcome);
        self.tell();
    }

    fn is_cancelled(&mut self) -> bool {
        if self.ended.is_none() {
            self.ended = self.association.look(self.inbox, self.request).err();
        }
        let is_cancelled = self.ended.is_some() || self.association.is_cancelled;
        if !is_cancelled && self.told.elapsed() >= PENDING_EVERY {
            self.tell();
        }
        is_cancelled
    }
}
