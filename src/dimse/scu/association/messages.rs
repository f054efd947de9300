//! Whole messages from a peer that asks us something on an association that we asked for: an
//! N-EVENT-REPORT with its data set (PS3.4 §J.3.3), besides the responses to what we ask.

use std::io;
use std::time::Instant;

use super::{Association, Failure};
use crate::dicom::walk::{Encoding, Fault};
use crate::dimse::commitment::information::{Information, Reading};
use crate::dimse::message::{COMMAND_BYTES_MAX, Request};
use crate::dimse::pdu::{Piece, Violation};

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

    /// Takes a piece of a data set; the message when it is whole.
    fn take(
        &mut self,
        context_id: u8,
        bytes: &[u8],
        is_last: bool,
    ) -> Result<Option<Message>, Violation> {
        let Some((begun, command, reading)) = self.begun.take() else {
            return Err(Violation::UnexpectedParameter);
        };
        if begun != context_id {
            return Err(Violation::InvalidParameter);
        }
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
            self.begun = Some((begun, command, reading));
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
            let mut bytes = &self.buffer[self.begin..self.end];
            while let Some(piece) = self.framer.next(&mut bytes)? {
                self.begin = self.end - bytes.len();
                match piece {
                    Piece::Fragment {
                        context_id,
                        is_command: true,
                        is_last,
                        bytes: fragment,
                    } => {
                        if hearing.begun.is_some() {
                            return Err(Violation::UnexpectedParameter.into());
                        }
                        if *self.context_id.get_or_insert(context_id) != context_id
                            || self.command.len() + fragment.len() > COMMAND_BYTES_MAX
                        {
                            return Err(Violation::InvalidParameter.into());
                        }
                        self.command.extend_from_slice(fragment);
                        if !is_last {
                            continue;
                        }
                        self.context_id = None;
                        let command = Request::parse(&self.command);
                        self.command.clear();
                        let command = command.map_err(|_| Violation::InvalidParameter)?;
                        if !command.has_data {
                            return Ok(Some(Message {
                                context_id,
                                command,
                                information: None,
                            }));
                        }
                        hearing.discarded = 0;
                        let reading = Ok(Reading::new(hearing.encoding));
                        hearing.begun = Some((context_id, command, reading));
                    }
                    Piece::Fragment {
                        context_id,
                        is_last,
                        bytes: fragment,
                        ..
                    } => {
                        if let Some(message) = hearing.take(context_id, fragment, is_last)? {
                            return Ok(Some(message));
                        }
                    }
                    Piece::ReleaseRequest => return Err(Failure::Released),
                    Piece::ReleaseResponse => return Err(Violation::UnexpectedPdu.into()),
                    Piece::Abort(source, reason) => return Err(Failure::Aborted(source, reason)),
                }
            }
            match self.more(deadline) {
                Ok(()) => {}
                Err(Failure::Silent) => return Ok(None),
                Err(failure) => return Err(failure),
            }
        }
    }

    /// Reads what comes before `deadline`, once all pieces have been taken.
    fn more(&mut self, deadline: Instant) -> Result<(), Failure> {
        (self.begin, self.end) = (0, 0);
        loop {
            match self.stream.read_before(&mut self.buffer, deadline) {
                Ok(0) => return Err(Failure::Closed),
                Ok(read) => {
                    self.end = read;
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}
