//! Asynchronous operations (PS3.7 §D.3.3.3): what a peer may send before it has an answer, when both
//! agreed on more than one operation at once.
//!
//! C-STORE is answered in the order of its requests. While the next object comes in, those before it
//! share a commit; who has nothing more to say gets all answers at once. An operation with many
//! responses is the only one of its kind at a time: requests of one answer are answered between its
//! responses, others wait for its end, cancelled or not.

use std::sync::atomic::Ordering;

use super::{Association, Message, Stage};
use crate::dimse::association::End;
use crate::dimse::inbox::Inbox;
use crate::dimse::message::{C_FIND_RQ, N_EVENT_REPORT_RQ, RESPONSE, Request};
use crate::dimse::scp::{Answer, Stored, Task};
use crate::dimse::status::{Reply, Status};

/// Searches and retrievals that wait for another to end. Each has an identifier of 1 MiB at most.
const DEFERRED_MAX: usize = 4;
/// Metadata of instances that wait for their commit. Bytes.
const HELD_BYTES_MAX: usize = 4 << 20;

/// A C-STORE whose instance waits for its commit.
pub(super) struct Unanswered {
    context_id: u8,
    request: Request,
    stored: Stored,
}

/// A search or retrieval that waits for another one.
pub(super) struct Deferred {
    pub(super) message: Message,
    pub(super) is_cancelled: bool,
}

impl Association<'_> {
    /// Waits for more from the peer. Nothing is left unanswered meanwhile, and when the peer says
    /// nothing for a while, it is told what it is owed.
    pub(super) fn wait(&mut self, inbox: &mut Inbox<'_>) -> Result<(), End> {
        if !self.unanswered.is_empty() {
            if inbox.look()? {
                return Ok(());
            }
            self.flush()?;
            self.rest()?;
        }
        if self.is_silence_awaited() && matches!(self.stage, Stage::Between) {
            self.report_in_silence(inbox)
        } else {
            inbox.wait()
        }
    }

    /// Takes a whole message; gives it back unless its answer is for later.
    pub(super) fn hand_over(&mut self, message: Message) -> Result<Option<Message>, End> {
        let Message {
            context_id,
            request,
            task,
        } = message;
        let task = match task {
            Task::Store(store) if self.agreement.window > 1 => match store.hand_over() {
                Ok(stored) => {
                    self.unanswered.push_back(Unanswered {
                        context_id,
                        request,
                        stored,
                    });
                    self.keep_to_the_bounds()?;
                    return Ok(None);
                }
                Err(reply) => Task::Answer(reply),
            },
            task => task,
        };
        self.flush()?;
        Ok(Some(Message {
            context_id,
            request,
            task,
        }))
    }

    /// Answers the first as long as there are more than agreed on, or they hold too much.
    fn keep_to_the_bounds(&mut self) -> Result<(), End> {
        let window = usize::from(self.agreement.window);
        let held = |all: &Self| -> usize {
            all.unanswered
                .iter()
                .map(|one| one.stored.held_bytes())
                .sum()
        };
        while self.unanswered.len() > window || held(self) > HELD_BYTES_MAX {
            self.answer_first()?;
        }
        Ok(())
    }

    fn answer_first(&mut self) -> Result<(), End> {
        let Some(first) = self.unanswered.pop_front() else {
            return Ok(());
        };
        let reply = first.stored.wait();
        self.reply(first.context_id, &first.request, &reply)
    }

    /// Answers all that waits for its commit.
    pub(super) fn flush(&mut self) -> Result<(), End> {
        while !self.unanswered.is_empty() {
            self.answer_first()?;
        }
        Ok(())
    }

    /// A message is answered, or will be: unless another is under way, a stop need not wait.
    pub(super) fn rest(&mut self) -> Result<(), End> {
        if matches!(self.stage, Stage::Data(_) | Stage::Command { .. }) {
            return Ok(());
        }
        if self.house.is_stopping() {
            self.flush()?;
            return Err(End::Stopping);
        }
        if self.unanswered.is_empty() && self.deferred.is_empty() {
            self.connection.is_busy.store(false, Ordering::SeqCst);
        }
        Ok(())
    }

    /// Whether a command may come while another operation goes on: the answer to what we asked, and
    /// any request where that was agreed on.
    pub(super) fn may_come_between(&self, heard: &Request) -> bool {
        let is_request = heard.command & RESPONSE == 0;
        heard.command == N_EVENT_REPORT_RQ | RESPONSE || is_request && self.agreement.window > 1
    }

    /// Answers a whole message while another operation goes on, or keeps it for later.
    pub(super) fn aside(&mut self, message: Message) -> Result<(), End> {
        let Message {
            context_id,
            request,
            task,
        } = message;
        if matches!(task, Task::Ask(_)) {
            if self.deferred.len() < DEFERRED_MAX {
                let message = Message {
                    context_id,
                    request,
                    task,
                };
                self.deferred.push_back(Deferred {
                    message,
                    is_cancelled: false,
                });
                return Ok(());
            }
            let status = match request.command {
                C_FIND_RQ => Status::TOO_BROAD,
                _ => Status::NOTHING_SENT,
            };
            let busy = Reply::because(status, "too many operations at once");
            return self.reply(context_id, &request, &busy);
        }
        match task.finish(&self.peer) {
            Answer::None => Ok(()),
            Answer::One(reply) => self.reply(context_id, &request, &reply),
            Answer::Commitment(reply, transaction_uid) => {
                self.take_on(context_id, &request, &reply, transaction_uid)
            }
            // Only what was asked has many responses, and that is kept for later.
            _ => self.reply(
                context_id,
                &request,
                &Reply::plain(Status::PROCESSING_FAILURE),
            ),
        }
    }

    /// A C-CANCEL of something that has not begun.
    pub(super) fn cancel_deferred(&mut self, message_id: u16) {
        for deferred in &mut self.deferred {
            deferred.is_cancelled |= deferred.message.request.message_id == message_id;
        }
    }
}
