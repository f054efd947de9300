//! What we answer to A-ASSOCIATE-RQ (PS3.8 §7.1, §9.3.2 to §9.3.4; PS3.7 Annex D): bytes in, a
//! decision out, no socket.
//!
//! Choices where the standard leaves one: the first transfer syntax in the requestor's order that
//! we take is accepted, because it is the one the requestor likes best and we keep objects as they
//! come; abstract syntaxes outside the DICOM root count as private storage classes, because an
//! archive of Level 2 (PS3.4 §B.4.1) keeps them too; what the peer or its user has no right to is
//! result 1, user-rejection (PS3.8 Table 9-18). On a storage class whose requestor offers to be SCP,
//! so that C-GET can send it instances, the first transfer syntax that every instance can be given
//! in is accepted.

use std::net::IpAddr;
use std::num::NonZeroU16;

use dicom_ul::pdu::{
    AssociationAC, AssociationRJ, AssociationRJResult,
    AssociationRJServiceProviderASCEReason as AcseReason,
    AssociationRJServiceUserReason as UserReason, AssociationRJSource, AssociationRQ,
    MAXIMUM_PDU_SIZE, Pdu, PresentationContextProposed, PresentationContextResult,
    PresentationContextResultReason as ContextResult, ReadError, UserIdentity, UserVariableItem,
    read_pdu,
};

use crate::dicom::transfer_syntax::{Form, IMPLICIT_VR_LITTLE_ENDIAN};
use crate::dicom::{AeTitle, TransferSyntax, Uid, part10, sop_class};
use crate::dimse::modalities::{Right, Rights, Verdict};
use crate::dimse::pdu::{self, Violation};
use crate::dimse::{Settings, commitment};

mod query_retrieve;
mod roles;

use query_retrieve::class;
pub(crate) use query_retrieve::{CLASSES, Deed, Model, Options};
use roles::{is_givable, role, roles};

/// The DICOM Application Context Name (PS3.7 §A.2.1).
pub(super) const APPLICATION_CONTEXT: &str = "1.2.840.10008.3.1.1.1";
/// Storage Service Class, named by the common extended negotiation of a class (PS3.7 §D.3.3.6).
const STORAGE_SERVICE_CLASS: &str = "1.2.840.10008.4.2";
/// Every UID of the standard begins so.
const DICOM_ROOT: &str = "1.2.840.10008.";
/// Storage classes of the standard begin so, those of later editions too.
const DICOM_STORAGE_ROOT: &str = "1.2.840.10008.5.1.4.1.1.";

/// User information sub-items that dicom-ul does not know (PS3.7 §D.3.3.3, §D.3.3.6).
pub(super) const ASYNCHRONOUS_OPERATIONS: u8 = 0x53;
const COMMON_EXTENDED_NEGOTIATION: u8 = 0x57;
/// And the answer to a user identity (PS3.7 §D.3.3.7.2).
const USER_IDENTITY_RESPONSE: u8 = 0x59;

/// Called and calling AE title and the reserved field after them, from the first byte of the PDU:
/// A-ASSOCIATE-AC sends them back as they came (PS3.8 Table 9-17).
const ECHOED: std::ops::Range<usize> = 10..74;

/// Operations that a peer may have unanswered on one association, when it asks for more than one.
const OPERATIONS_MAX: NonZeroU16 = NonZeroU16::new(16).expect("16 is not 0");

/// The longest PDU that we send, whatever the peer allows: so much of an instance is in memory.
const SENT_PDU_BYTES_MAX: u32 = 128 * 1024;
/// The longest PDU that we send to a peer that does not say what it allows.
const SENT_PDU_BYTES_UNSAID: u32 = 16 * 1024;

/// Service-class-application-information of Storage (PS3.4 §B.3.1): Level 2 (full), signatures
/// unspecified, no element is coerced.
const STORAGE_APPLICATION_INFORMATION: [u8; 6] = [2, 0, 0, 0, 0, 0];

/// Why there is no association.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// A-ASSOCIATE-RJ.
    Reject(AssociationRJ),
    /// A-ABORT: what came is no A-ASSOCIATE-RQ.
    Abort(Violation),
}

/// What an accepted presentation context is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    /// C-ECHO.
    Verification,
    /// C-STORE.
    Storage,
    /// C-FIND, C-MOVE or C-GET on an information model.
    QueryRetrieve(Model, Deed, Options),
    /// N-ACTION and N-EVENT-REPORT, in either direction.
    Commitment,
}

/// An accepted presentation context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Context {
    pub(crate) service: Service,
    pub(crate) abstract_syntax: Uid,
    pub(crate) transfer_syntax_uid: Uid,
    /// Whether the requestor is SCP too: we may send it instances (PS3.7 §D.3.3.4).
    pub(crate) takes_instances: bool,
    /// Whether the requestor may send us instances.
    pub(crate) gives_instances: bool,
}

/// What somebody who is let in may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Admitted {
    pub(crate) rights: Rights,
    /// The user identity was good, and an answer that says so was asked for.
    pub(crate) wants_identity_answer: bool,
}

/// What both sides may rely on for the life of the association.
#[derive(Debug)]
pub(crate) struct Agreement {
    /// By presentation context ID, which is odd: ID 1 at 0, ID 255 at 127.
    contexts: Vec<Option<Context>>,
    /// The longest P-DATA-TF PDU to send.
    pub(crate) sent_pdu_bytes_max: u32,
    /// Operations of the peer that may wait for their answers at once; at least 1.
    pub(crate) window: u16,
    /// How many contexts were rejected because the peer, or its user, has no right to them.
    pub(crate) without_right: usize,
    /// A-ASSOCIATE-AC, ready to be sent.
    pub(crate) answer: Vec<u8>,
}

impl Agreement {
    /// The accepted contexts with their IDs.
    pub(crate) fn contexts(&self) -> impl Iterator<Item = (u8, &Context)> {
        (0_u8..128)
            .zip(&self.contexts)
            .filter_map(|(place, context)| Some((2 * place + 1, context.as_ref()?)))
    }

    /// The accepted context with this ID.
    pub(crate) fn context(&self, id: u8) -> Option<&Context> {
        if id.is_multiple_of(2) {
            return None;
        }
        self.contexts.get(usize::from(id / 2))?.as_ref()
    }
}

/// A-ASSOCIATE-RQ, read.
#[derive(Debug)]
pub(crate) struct Proposal {
    /// `None` when it is no AE title (PS3.8 §9.3.2 forbids sixteen spaces).
    pub(crate) called: Option<AeTitle>,
    /// Likewise.
    pub(crate) calling: Option<AeTitle>,
    echoed: Vec<u8>,
    request: AssociationRQ,
}

/// A-ASSOCIATE-RJ for good, by the service user.
fn rejected(reason: UserReason) -> Refusal {
    Refusal::Reject(AssociationRJ {
        result: AssociationRJResult::Permanent,
        source: AssociationRJSource::ServiceUser(reason),
    })
}

impl Proposal {
    /// Reads a whole A-ASSOCIATE-RQ PDU, header included.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Refusal> {
        let malformed = Refusal::Abort(Violation::InvalidParameter);
        let (Some(version), Some(echoed)) = (bytes.get(7), bytes.get(ECHOED)) else {
            return Err(malformed);
        };
        // Only bit 0 of the protocol version is tested (PS3.8 Table 9-11).
        if version & 1 == 0 {
            let reason = AcseReason::ProtocolVersionNotSupported;
            return Err(Refusal::Reject(AssociationRJ {
                result: AssociationRJResult::Permanent,
                source: AssociationRJSource::ServiceProviderASCE(reason),
            }));
        }
        let request = match read_pdu(bytes, MAXIMUM_PDU_SIZE, true) {
            Ok(Some(Pdu::AssociationRQ(request))) => request,
            Err(ReadError::MissingApplicationContextName { .. }) => {
                return Err(rejected(UserReason::ApplicationContextNameNotSupported));
            }
            Err(
                ReadError::InvalidPduVariable { .. }
                | ReadError::UnknownPresentationContextSubItem { .. },
            ) => {
                return Err(Refusal::Abort(Violation::UnrecognizedParameter));
            }
            Ok(_) | Err(_) => return Err(malformed),
        };
        Ok(Self {
            called: AeTitle::from_value(&echoed[..16]).ok(),
            calling: AeTitle::from_value(&echoed[16..32]).ok(),
            echoed: echoed.to_vec(),
            request,
        })
    }

    /// Whether the requestor is let in from `host`, and what its title may do.
    pub(crate) fn admit(&self, settings: &Settings, host: IpAddr) -> Result<Rights, Refusal> {
        if trimmed(&self.request.application_context_name) != APPLICATION_CONTEXT {
            return Err(rejected(UserReason::ApplicationContextNameNotSupported));
        }
        let wrong_called = || rejected(UserReason::CalledAETitleNotRecognized);
        let called = self.called.as_ref().filter(|title| settings.is_ours(title));
        let called = called.ok_or_else(wrong_called)?;
        let unknown = || rejected(UserReason::CallingAETitleNotRecognized);
        let calling = self.calling.as_ref().ok_or_else(unknown)?;
        match settings.judge(calling, called, host) {
            Verdict::Admitted(rights) => Ok(rights),
            Verdict::WrongCalled => Err(wrong_called()),
            Verdict::Unknown | Verdict::Refused => Err(unknown()),
        }
    }

    /// Who the requestor says it is (PS3.7 §D.3.3.7); the standard wants one at most.
    pub(crate) fn identities(&self) -> Vec<&UserIdentity> {
        let items = self.request.user_variables.iter();
        items
            .filter_map(|item| match item {
                UserVariableItem::UserIdentityItem(identity) => Some(identity),
                _ => None,
            })
            .collect()
    }

    /// Decides on everything else, for a requestor that is let in.
    pub(crate) fn negotiate(
        &self,
        settings: &Settings,
        admitted: Admitted,
    ) -> Result<Agreement, Refusal> {
        let (contexts, results) = self.contexts(admitted.rights)?;
        let rejected = results
            .iter()
            .filter(|result| result.reason == ContextResult::UserRejection);
        let without_right = rejected.count();
        let answer = Pdu::AssociationAC(AssociationAC {
            protocol_version: 1,
            application_context_name: APPLICATION_CONTEXT.into(),
            called_ae_title: String::new(),
            calling_ae_title: String::new(),
            presentation_contexts: results,
            user_variables: self.user_information(&contexts, settings, admitted),
        });
        let mut answer =
            pdu::encode(&answer).map_err(|_| Refusal::Abort(Violation::InvalidParameter))?;
        answer[ECHOED].copy_from_slice(&self.echoed);
        Ok(Agreement {
            sent_pdu_bytes_max: self.sent_pdu_bytes_max()?,
            contexts,
            window: self.window().map_or(1, NonZeroU16::get),
            without_right,
            answer,
        })
    }

    /// Answers each presentation context in the order of the proposal.
    fn contexts(
        &self,
        rights: Rights,
    ) -> Result<(Vec<Option<Context>>, Vec<PresentationContextResult>), Refusal> {
        let mut contexts = vec![None; 128];
        let mut is_seen = [false; 256];
        let mut results = Vec::with_capacity(self.request.presentation_contexts.len());
        for proposed in &self.request.presentation_contexts {
            let id = usize::from(proposed.id);
            // Odd, and each once (PS3.8 §9.3.2.2).
            if id.is_multiple_of(2) || std::mem::replace(&mut is_seen[id], true) {
                return Err(Refusal::Abort(Violation::InvalidParameter));
            }
            let (reason, transfer_syntax) = match self.accept(proposed, rights) {
                Ok(context) => {
                    let syntax = context.transfer_syntax_uid.as_str().to_owned();
                    contexts[id / 2] = Some(context);
                    (ContextResult::Acceptance, syntax)
                }
                // The field is not significant then, but it has to be there (PS3.8 Table 9-18).
                Err(reason) => (reason, IMPLICIT_VR_LITTLE_ENDIAN.to_owned()),
            };
            results.push(PresentationContextResult {
                id: proposed.id,
                reason,
                transfer_syntax,
            });
        }
        Ok((contexts, results))
    }

    fn accept(
        &self,
        proposed: &PresentationContextProposed,
        rights: Rights,
    ) -> Result<Context, ContextResult> {
        let name = trimmed(&proposed.abstract_syntax);
        let (service, abstract_syntax) = self
            .service(name)
            .zip(Uid::parse(name).ok())
            .ok_or(ContextResult::AbstractSyntaxNotSupported)?;
        let is_storage = service == Service::Storage;
        let takes_instances = is_storage && rights.hold(Right::Get) && self.takes_instances(name);
        let gives_instances = is_storage && rights.hold(Right::Store);
        let is_allowed = match service {
            Service::Verification => true,
            Service::Storage => takes_instances || gives_instances,
            Service::QueryRetrieve(_, deed, _) => rights.hold(deed.right()),
            Service::Commitment => rights.hold(Right::Commit),
        };
        if !is_allowed {
            return Err(ContextResult::UserRejection);
        }
        let known = || {
            let uids = proposed.transfer_syntaxes.iter();
            uids.filter_map(|uid| TransferSyntax::of_uid(trimmed(uid)))
                .filter(|syntax| is_storage || syntax.form == Form::Native)
        };
        let givable = known().find(|syntax| takes_instances && is_givable(syntax.uid));
        let syntax = givable
            .or_else(|| known().next())
            .ok_or(ContextResult::TransferSyntaxesNotSupported)?;
        Ok(Context {
            service,
            abstract_syntax,
            transfer_syntax_uid: Uid::parse(syntax.uid).expect("the table holds UIDs"),
            takes_instances,
            gives_instances,
        })
    }

    /// What an abstract syntax is for; `None` when it is for nothing we do.
    fn service(&self, abstract_syntax: &str) -> Option<Service> {
        if abstract_syntax == sop_class::VERIFICATION {
            return Some(Service::Verification);
        }
        if abstract_syntax == commitment::SOP_CLASS {
            return Some(Service::Commitment);
        }
        if let Some((_, _, model, deed)) = class(abstract_syntax) {
            let offered = self.offered(abstract_syntax).unwrap_or_default();
            let options = Options::of(&deed.granted(offered));
            return Some(Service::QueryRetrieve(*model, *deed, options));
        }
        Uid::parse(abstract_syntax).ok()?;
        let is_storage = sop_class::storage(abstract_syntax).is_some()
            || abstract_syntax.starts_with(DICOM_STORAGE_ROOT)
            || !abstract_syntax.starts_with(DICOM_ROOT)
            || self.common_extended(abstract_syntax) == Some(STORAGE_SERVICE_CLASS);
        is_storage.then_some(Service::Storage)
    }

    /// Whether the requestor offers to be SCP of a storage class, and C-GET to send it anything.
    fn takes_instances(&self, class_uid: &str) -> bool {
        let asks = |proposed: &PresentationContextProposed| {
            let found = class(trimmed(&proposed.abstract_syntax));
            found.is_some_and(|(.., deed)| *deed == Deed::Get)
        };
        self.request.presentation_contexts.iter().any(asks)
            && roles(class_uid, &self.request.user_variables).is_some_and(|roles| roles.scp)
    }

    /// The service-class-application-information that came for a SOP class.
    fn offered(&self, class_uid: &str) -> Option<&[u8]> {
        self.request
            .user_variables
            .iter()
            .find_map(|item| match item {
                UserVariableItem::SopClassExtendedNegotiationSubItem(uid, bytes)
                    if trimmed(uid) == class_uid =>
                {
                    Some(bytes.as_slice())
                }
                _ => None,
            })
    }

    /// The service class that the requestor says a SOP class belongs to (PS3.7 §D.3.3.6.1).
    fn common_extended(&self, abstract_syntax: &str) -> Option<&str> {
        self.request.user_variables.iter().find_map(|item| {
            let UserVariableItem::Unknown(COMMON_EXTENDED_NEGOTIATION, data) = item else {
                return None;
            };
            let (sop_class, rest) = counted_uid(data)?;
            let (service_class, _) = counted_uid(rest)?;
            (sop_class == abstract_syntax).then_some(service_class)
        })
    }

    /// The largest PDU the requestor takes, clamped. Absent, which the standard forbids, is taken
    /// as a careful guess.
    fn sent_pdu_bytes_max(&self) -> Result<u32, Refusal> {
        let announced = self
            .request
            .user_variables
            .iter()
            .find_map(|item| match item {
                UserVariableItem::MaxLength(bytes) => Some(*bytes),
                _ => None,
            });
        match announced {
            None => Ok(SENT_PDU_BYTES_UNSAID),
            Some(0) => Ok(SENT_PDU_BYTES_MAX),
            // No fragment fits into less than a PDV header and two bytes.
            Some(1..8) => Err(Refusal::Abort(Violation::InvalidParameter)),
            Some(bytes) => Ok(bytes.min(SENT_PDU_BYTES_MAX)),
        }
    }

    /// How many operations may be unanswered at once, when the requestor speaks of it (PS3.7
    /// §D.3.3.3): as many as it wants to invoke, 0 being no limit, and no more than we let it.
    fn window(&self) -> Option<NonZeroU16> {
        let offered = self.request.user_variables.iter();
        let mut windows = offered.filter_map(|item| match item {
            UserVariableItem::Unknown(ASYNCHRONOUS_OPERATIONS, value) => match value[..] {
                [high, low, _, _] => Some(u16::from_be_bytes([high, low])),
                _ => None,
            },
            _ => None,
        });
        let invoked = NonZeroU16::new(windows.next()?);
        Some(invoked.map_or(OPERATIONS_MAX, |invoked| invoked.min(OPERATIONS_MAX)))
    }

    /// Our user information: in the order of the item types, and nothing that was not offered.
    fn user_information(
        &self,
        contexts: &[Option<Context>],
        settings: &Settings,
        admitted: Admitted,
    ) -> Vec<UserVariableItem> {
        let offered = &self.request.user_variables;
        let mut items = vec![
            UserVariableItem::MaxLength(settings.max_pdu_bytes),
            UserVariableItem::ImplementationClassUID(part10::IMPLEMENTATION_CLASS_UID.into()),
        ];
        if let Some(window) = self.window() {
            let [high, low] = window.get().to_be_bytes();
            // So many the peer may invoke; we have one unanswered at a time.
            items.push(UserVariableItem::Unknown(
                ASYNCHRONOUS_OPERATIONS,
                vec![high, low, 0, 1],
            ));
        }
        // Each accepted class once, however many contexts it has.
        let mut classes: Vec<&Context> = contexts.iter().flatten().collect();
        classes.sort_unstable_by_key(|context| context.abstract_syntax.as_str());
        classes.dedup_by_key(|context| context.abstract_syntax.as_str());
        items.extend(classes.iter().filter_map(|context| role(context, offered)));
        items.push(UserVariableItem::ImplementationVersionName(
            part10::IMPLEMENTATION_VERSION_NAME.into(),
        ));
        items.extend(classes.iter().filter_map(|context| self.extended(context)));
        if admitted.wants_identity_answer {
            // A server response of no bytes: names and tokens have none.
            items.push(UserVariableItem::Unknown(
                USER_IDENTITY_RESPONSE,
                vec![0, 0],
            ));
        }
        items
    }

    /// The answer to an extended negotiation: as many bytes as were offered and are known.
    fn extended(&self, context: &Context) -> Option<UserVariableItem> {
        let class_uid = context.abstract_syntax.as_str();
        let offered = self.offered(class_uid)?;
        let bytes = match context.service {
            Service::Verification | Service::Commitment => return None,
            Service::QueryRetrieve(_, deed, _) => deed.granted(offered),
            Service::Storage => {
                let length = offered.len().min(STORAGE_APPLICATION_INFORMATION.len());
                STORAGE_APPLICATION_INFORMATION[..length].to_vec()
            }
        };
        Some(UserVariableItem::SopClassExtendedNegotiationSubItem(
            class_uid.into(),
            bytes,
        ))
    }
}

/// A UID without the padding that it should not have here but sometimes has.
pub(super) fn trimmed(uid: &str) -> &str {
    uid.trim_matches([' ', '\0'])
}

/// Takes a UID with its length before it off the front.
fn counted_uid(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    let (uid, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    Some((trimmed(std::str::from_utf8(uid).ok()?), rest))
}

#[cfg(test)]
mod tests;
