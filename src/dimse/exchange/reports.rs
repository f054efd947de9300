//! Event reports of storage commitment on the association that asked for it (PS3.4 §J.3.3): once the
//! peer has been silent for a moment. Who goes at once, or never answers, is told on an association of
//! our own ([`reporter`](crate::dimse::commitment::reporter)).

use std::collections::VecDeque;
use std::io::Write;
use std::time::Duration;

use tracing::{info, warn};

use super::Association;
use crate::access::Scope;
use crate::dicom::{TransferSyntax, Uid};
use crate::dimse::association::End;
use crate::dimse::commitment::reporter::Claim;
use crate::dimse::commitment::{FAILURES_EXIST, SOP_CLASS, SOP_INSTANCE, SUCCESSFUL, information};
use crate::dimse::inbox::Inbox;
use crate::dimse::message::{N_EVENT_REPORT_RQ, RESPONSE, Request, event_report_request};
use crate::dimse::pdu::{self, Part};
use crate::dimse::status::{Reply, Status};

/// Who says nothing for so long waits for a report. Those who release the association do it sooner.
const SILENCE: Duration = Duration::from_millis(300);

/// What a peer is owed on its association.
#[derive(Default)]
pub(super) struct Reports {
    /// To be told, each on its context.
    owed: VecDeque<(u8, Claim)>,
    /// Told and not answered, with its Message ID.
    told: Option<(u16, Claim)>,
}

impl Association<'_> {
    /// Accepts a request for storage commitment, and remembers to report.
    pub(super) fn take_on(
        &mut self,
        context_id: u8,
        request: &Request,
        reply: &Reply,
        transaction_uid: Uid,
    ) -> Result<(), End> {
        let claim = self.house.reports.claim(&transaction_uid);
        self.reply(context_id, request, reply)?;
        self.reports
            .owed
            .extend(claim.map(|claim| (context_id, claim)));
        Ok(())
    }

    /// Whether there is something to report. One report at a time: operations of ours are not asynchronous.
    pub(super) fn is_silence_awaited(&self) -> bool {
        self.reports.told.is_none() && !self.reports.owed.is_empty()
    }

    /// Waits for the peer, and reports when it says nothing.
    pub(super) fn report_in_silence(&mut self, inbox: &mut Inbox<'_>) -> Result<(), End> {
        if inbox.wait_for(SILENCE)? {
            return Ok(());
        }
        let Some((context_id, claim)) = self.reports.owed.pop_front() else {
            return Ok(());
        };
        let answered = self.peer.archive.answer_commitment_request(
            claim.transaction_uid(),
            // Whoever may store, which who asked for this may, is told of what is stored.
            &Scope::All,
            self.house.settings.commitment_keep,
        );
        let commitment = match answered {
            Ok(Some(commitment)) => commitment,
            // Whoever reports later finds that out again, and settles it.
            Ok(None) => return Ok(()),
            Err(cause) => {
                warn!(transaction_uid = %claim.transaction_uid(), %cause, "a storage commitment is not answered yet");
                return Ok(());
            }
        };
        // That may have taken a while: who has spoken meanwhile is heard first.
        if inbox.look()? {
            self.reports.owed.push_front((context_id, claim));
            return Ok(());
        }
        let Some(context) = self.agreement.context(context_id) else {
            return Ok(());
        };
        let syntax = TransferSyntax::of_uid(context.transfer_syntax_uid.as_str());
        let (is_whole, data_set) = information::event(
            claim.transaction_uid(),
            &commitment,
            self.peer.called,
            syntax.expect("negotiated from the table").encoding,
        );
        self.suboperation = self.suboperation.wrapping_add(1);
        let event_type = if is_whole { SUCCESSFUL } else { FAILURES_EXIST };
        let command = event_report_request(self.suboperation, SOP_CLASS, SOP_INSTANCE, event_type);
        let max = self.agreement.sent_pdu_bytes_max;
        let mut pdus = pdu::encode_command(context_id, &command, max);
        pdu::put_fragments(&mut pdus, context_id, Part::LastData, &data_set, max);
        self.reports.told = Some((self.suboperation, claim));
        (&self.connection.stream).write_all(&pdus)?;
        Ok(())
    }

    /// Notes the answer to a report, if that is what has come.
    pub(super) fn hear_report_answer(&mut self, heard: &Request) {
        if heard.command != N_EVENT_REPORT_RQ | RESPONSE {
            return;
        }
        let is_it = |(message_id, _): &mut (u16, Claim)| *message_id == heard.responded_to;
        let Some((_, claim)) = self.reports.told.take_if(is_it) else {
            return;
        };
        let transaction_uid = claim.transaction_uid();
        if Status(heard.status) == Status::SUCCESS {
            info!(%transaction_uid, "storage commitment reported");
            claim.settle(self.peer.archive);
        } else {
            let status = Status(heard.status);
            warn!(%transaction_uid, %status, "a report of storage commitment was refused");
            claim.postpone(self.peer.archive, self.house.settings.outgoing.back_off);
        }
    }
}
