//! A batch to a DICOM destination, by the one C-STORE as SCU. What the peer has acknowledged is noted
//! by a thread of its own, so that the next acknowledgements come in while the disk is waited for, and
//! share a commit.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use super::stow::target;
use super::worker::{Batch, DUPLICATE, Unreachable, Worker};
use crate::access::Scope;
use crate::archive::queue::{Ended, Ending, Queued};
use crate::archive::{Error, Located, Target};
use crate::dicom::Uid;
use crate::dimse::scu::{self, Fate, Observer, Peer, Reason};

/// Acknowledgements that share a commit, at the most, and that may wait for one.
const NOTES_MAX: usize = 256;

impl Worker {
    pub(super) fn send_by_dicom(&self, peer: &Peer, queued: Vec<Queued>) -> Result<Batch, Error> {
        let targets: Vec<Target> = queued.iter().map(target).collect();
        let is_broken = AtomicBool::new(false);
        let (tell, told) = sync_channel(NOTES_MAX);
        let mut watch = Watch {
            worker: self,
            waiting: queued
                .into_iter()
                .map(|q| (q.sop_instance_uid.clone(), q))
                .collect(),
            unreachable: None,
            tell,
            is_broken: &is_broken,
        };
        thread::scope(|scope| {
            let is_broken = &is_broken;
            // Its end of the channel goes when it fails, so that nobody waits for it.
            let noting = scope.spawn(move || self.note_all(&told, is_broken));
            let request = scu::Request {
                targets: &targets,
                scope: &Scope::All,
                peer,
                originator: None,
            };
            let sent = scu::send(&self.archive, &request, &self.outgoing, &mut watch);
            let unreachable = watch.unreachable.take();
            drop(watch);
            let noted = noting.join();
            let mut batch =
                noted.map_err(|_| Error::broken("noting what was forwarded", "it panicked"))??;
            // Targets that are missing were removed meanwhile.
            sent?;
            batch.unreachable = unreachable;
            Ok(batch)
        })
    }

    fn note_all(&self, told: &Receiver<Ended>, is_broken: &AtomicBool) -> Result<Batch, Error> {
        let mut batch = Batch::default();
        while let Ok(first) = told.recv() {
            let mut ended = vec![first];
            ended.extend(told.try_iter().take(NOTES_MAX - 1));
            if let Err(error) = self.note(&ended, &mut batch) {
                is_broken.store(true, Ordering::Release);
                return Err(error);
            }
        }
        Ok(batch)
    }
}

/// Hears what becomes of each instance.
struct Watch<'a> {
    worker: &'a Worker,
    waiting: HashMap<Uid, Queued>,
    unreachable: Option<Unreachable>,
    tell: SyncSender<Ended>,
    /// Nothing can be noted any more: what is sent from now on would be sent again.
    is_broken: &'a AtomicBool,
}

impl Observer for Watch<'_> {
    fn ended(&mut self, instance: &Located, fate: &Fate) {
        let Some(queued) = self.waiting.remove(&instance.sop_instance_uid) else {
            return;
        };
        let ending = match fate {
            Fate::Stored | Fate::Warned(_) => Ending::Sent,
            Fate::Failed(Reason::Unreachable(why)) => {
                self.unreachable.get_or_insert_with(|| Unreachable {
                    reason: why.clone(),
                    wait: None,
                });
                Ending::Unsent
            }
            Fate::Failed(reason @ Reason::Refused(said)) if said.status == DUPLICATE => {
                self.worker.duplicate(&queued, reason.to_string())
            }
            Fate::Failed(reason @ Reason::Lost(_)) => self.worker.lost(&queued, reason.to_string()),
            Fate::Failed(reason) => self.worker.refused(&queued, reason.to_string()),
        };
        // Whoever notes may have failed: that is told at the end.
        let _ = self.tell.send(Ended { queued, ending });
    }

    fn is_cancelled(&mut self) -> bool {
        self.worker.signal.is_given() || self.is_broken.load(Ordering::Acquire)
    }
}
