//! C-ECHO (PS3.7 §9.1.5, PS3.4 Annex A): whether a peer is there, knows us, and speaks DICOM.

use std::time::{Duration, Instant};

use super::association::Association;
use super::proposal::{Answer, Proposed};
use super::{Failure, Peer, Settings, command};
use crate::dicom::Uid;
use crate::dicom::sop_class::VERIFICATION;
use crate::dicom::transfer_syntax::{EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN};
use crate::dimse::message::C_ECHO_RQ;
use crate::dimse::pdu;

/// What a peer answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Echo {
    /// (0000,0900): 0000 when all is well.
    pub status: u16,
    /// What it calls its implementation.
    pub implementation: Option<String>,
    /// From the request to the response.
    pub took: Duration,
}

/// Asks once.
///
/// # Errors
/// Why there is no answer.
pub fn echo(peer: &Peer, settings: &Settings) -> Result<Echo, Failure> {
    let uid = |text| Uid::parse(text).expect("the tables hold UIDs");
    let proposed = [Proposed {
        abstract_syntax: uid(VERIFICATION),
        transfer_syntaxes: vec![
            uid(IMPLICIT_VR_LITTLE_ENDIAN),
            uid(EXPLICIT_VR_LITTLE_ENDIAN),
        ],
    }];
    let mut association = Association::open(peer, settings, &proposed, 1, &mut || false)?;
    let answer = association.accepted.answers[0];
    if !matches!(answer, Answer::Accepted(_)) {
        association.release();
        return Err(Failure::NoContext(answer.words()));
    }
    let request = command::echo_request(1);
    let pdus = pdu::encode_command(1, &request, association.accepted.sent_pdu_bytes_max);
    let begun = Instant::now();
    let answered = association
        .send(&pdus)
        .and_then(|()| association.receive(&|| false));
    match answered {
        Ok(response) if (response.command, response.message_id) == (C_ECHO_RQ, 1) => {
            let echo = Echo {
                status: response.status,
                implementation: association.accepted.implementation.clone(),
                took: begun.elapsed(),
            };
            association.release();
            Ok(echo)
        }
        Ok(_) => {
            let failure = Failure::Violated("it answers what was not asked");
            association.close(&failure);
            Err(failure)
        }
        Err(failure) => {
            association.close(&failure);
            Err(failure)
        }
    }
}
