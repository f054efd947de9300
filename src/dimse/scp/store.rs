//! C-STORE (PS3.7 §9.1.1, PS3.4 Annex B): a data set from the association into the archive.
//!
//! The answer is given when `archive::Incoming::finish` has returned: what it calls stored is
//! durable and findable. After a failure in the middle the rest of the data set is read away by
//! the caller, and the association goes on.

use tracing::{debug, error, warn};

use crate::archive::{Archive, Declared, Error, Handed, Incoming, Origin, Receipt};
use crate::dicom::Uid;
use crate::dimse::message::Request;
use crate::dimse::status::{Reply, Status};

/// One instance on its way in.
pub(crate) struct Store {
    incoming: Incoming,
    sop_instance_uid: Option<Uid>,
}

impl Store {
    /// Opens the archive for the instance that `request` announces. A UID that the command leaves
    /// out is taken from the data set; one that is no UID is refused.
    pub(crate) fn begin(
        archive: &Archive,
        origin: Origin,
        transfer_syntax_uid: &Uid,
        request: &Request,
    ) -> Result<Self, Reply> {
        if !request.has_data {
            return Err(Reply::because(
                Status::NOT_DICOM,
                "the message has no data set",
            ));
        }
        let sop_class_uid = request
            .sop_class_uid
            .clone()
            .transpose()
            .map_err(|error| Reply::because(Status::CLASS_NOT_SUPPORTED, &error.to_string()))?;
        let sop_instance_uid = request
            .sop_instance_uid
            .clone()
            .transpose()
            .map_err(|error| Reply::because(Status::INVALID_INSTANCE, &error.to_string()))?;
        let declared = Declared {
            sop_class_uid,
            sop_instance_uid: sop_instance_uid.clone(),
            ..Declared::default()
        };
        match archive.receive_dataset(origin, transfer_syntax_uid, declared) {
            Ok(incoming) => Ok(Self {
                incoming,
                sop_instance_uid,
            }),
            Err(error) => Err(failed(sop_instance_uid.as_ref(), &error)),
        }
    }

    /// Takes the next bytes of the data set. After an error there is nothing more to write.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), Reply> {
        let written = self.incoming.write(bytes);
        written.map_err(|error| failed(self.sop_instance_uid.as_ref(), &error))
    }

    /// The data set is complete.
    pub(crate) fn finish(self) -> Reply {
        answer(self.incoming.finish(), self.sop_instance_uid.as_ref())
    }

    /// The data set is complete; it is stored when [`Stored::wait`] says so.
    pub(crate) fn hand_over(self) -> Result<Stored, Reply> {
        let sop_instance_uid = self.sop_instance_uid;
        match self.incoming.hand_over() {
            Ok(handed) => Ok(Stored {
                handed,
                sop_instance_uid,
            }),
            Err(error) => Err(failed(sop_instance_uid.as_ref(), &error)),
        }
    }
}

/// An instance that came whole and waits for its commit.
pub(crate) struct Stored {
    handed: Handed,
    sop_instance_uid: Option<Uid>,
}

impl Stored {
    /// How much memory it holds until then, in bytes.
    pub(crate) fn held_bytes(&self) -> usize {
        self.handed.held_bytes()
    }

    /// Blocks until it is committed.
    pub(crate) fn wait(self) -> Reply {
        answer(self.handed.wait(), self.sop_instance_uid.as_ref())
    }
}

fn answer(committed: Result<Receipt, Error>, sop_instance_uid: Option<&Uid>) -> Reply {
    let receipt = match committed {
        Ok(receipt) => receipt,
        Err(error) => return failed(sop_instance_uid, &error),
    };
    let mut reply = Reply::from(receipt.outcome);
    if receipt.is_coerced && reply.status == Status::SUCCESS {
        reply.status = Status::COERCED;
    }
    let (sop_instance_uid, outcome) = (&receipt.sop_instance_uid, receipt.outcome);
    // The archive has its own line for what is in conflict.
    debug!(%sop_instance_uid, status = %reply.status, ?outcome, "answered");
    reply.stored = Some(receipt.study_instance_uid);
    reply
}

/// Logs a failure, which ends here, and gives its answer.
fn failed(sop_instance_uid: Option<&Uid>, cause: &Error) -> Reply {
    let reply = Reply::from(cause);
    let status = reply.status;
    let sop_instance_uid = sop_instance_uid.map_or("not said", Uid::as_str);
    match cause {
        // Somebody has to act.
        Error::Broken(_) | Error::Full => error!(sop_instance_uid, %status, %cause, "not stored"),
        Error::Refused(_)
        | Error::TooLarge { .. }
        | Error::Busy(_)
        | Error::TooBroad(_)
        | Error::Unmakable(_)
        | Error::NotFound => {
            warn!(sop_instance_uid, %status, %cause, "not stored");
        }
    }
    reply
}
