//! Whole messages from a peer that asks us something on an association that we asked for: an
//! N-EVENT-REPORT with its data set (PS3.4 §J.3.3), besides the responses to what we ask.

use std::time::Instant;

use super::{Association, Failure, Heard};
use crate::dicom::walk::{Encoding, Fault};
use crate::dimse::commitment::information::{Information, Reading};
use crate::dimse::message::Request;
use crate::dimse::pdu::Violation;

/// The longest data set that is read away after it has shown to be nonsense. Bytes.
const DISCARDED_BYTES_MAX: u64 = 16 << 20;

/// A message.
#[derive(Debug)]
pub(in crate::dimse::scu) struct Message {
    pub(in crate::dimse::scu) context_id: u8,
    pub(in crate::dimse::scu) command: Request,
    /// Its data set, if it has one.
    pub(in crate::dimse::scu) information: Option<Result<Information, Fault>>,
}

/// What has been heard of a message that is not whole yet.
pub(in crate::dimse::scu) struct Hearing {
    encoding: Encoding,
    begun: Option<(u8, Request, Result<Reading, Fault>)>,
    discarded: u64,
}

impl Hearing {
    /// For data sets in this encoding.
    pub(in crate::dimse::scu) fn new(encoding: Encoding) -> Self {
        Self {
            encoding,
            begun: None,
            discarded: 0,
        }
    }

    fn begin(&mut self, context_id: u8, command: Request) {
        self.discarded = 0;
        self.begun = Some((context_id, command, Ok(Reading::new(self.encoding))));
    }

    /// Takes a piece of the data set that is due; the message when it is whole.
    fn take(&mut self, bytes: &[u8], is_last: bool) -> Result<Option<Message>, Violation> {
        let Some((context_id, command, reading)) = self.begun.take() else {
            return Err(Violation::UnexpectedParameter);
        };
        let reading = match reading {
            Ok(mut reading) => reading.take(bytes).map(|()| reading),
            Err(fault) => {
                self.discarded = self.discarded.saturating_add(bytes.len() as u64);
                Err(fault)
            }
        };
        if self.discarded > DISCARDED_BYTES_MAX {
            return Err(Violation::InvalidParameter);
        }
        if !is_last {
            self.begun = Some((context_id, command, reading));
            return Ok(None);
        }
        Ok(Some(Message {
            context_id,
            command,
            information: Some(reading.and_then(Reading::finish)),
        }))
    }
}

impl Association {
    /// The next message; `None` when it is not whole before `deadline`.
    pub(in crate::dimse::scu) fn hear(
        &mut self,
        hearing: &mut Hearing,
        deadline: Instant,
    ) -> Result<Option<Message>, Failure> {
        loop {
            match self.next(deadline) {
                Ok(Heard::Command(context_id)) => {
                    let command = self.request()?;
                    if !command.has_data {
                        return Ok(Some(Message {
                            context_id,
                            command,
                            information: None,
                        }));
                    }
                    self.expect_data(context_id);
                    hearing.begin(context_id, command);
                }
                Ok(Heard::Data(place, is_last)) => {
                    if let Some(message) = hearing.take(self.bytes(place), is_last)? {
                        return Ok(Some(message));
                    }
                }
                Ok(Heard::Released) => return Err(Violation::UnexpectedPdu.into()),
                Err(Failure::Silent) => return Ok(None),
                Err(failure) => return Err(failure),
            }
        }
    }
}
