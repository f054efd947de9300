//! A-ASSOCIATE-RQ as we propose it and A-ASSOCIATE-AC as it is answered (PS3.8 §9.3.2, §9.3.3;
//! PS3.7 Annex D): bytes in, bytes out, no socket.
//!
//! An answer is read leniently (items that nobody asked for are passed over) but nothing in it is
//! believed that was not proposed.

use dicom_ul::pdu::{
    AssociationRQ, Pdu, PresentationContextProposed, RequestorRoles, UserVariableItem, WriteError,
};

use crate::dicom::{AeTitle, TransferSyntax, Uid, part10};
use crate::dimse::negotiation::{APPLICATION_CONTEXT, ASYNCHRONOUS_OPERATIONS, trimmed};
use crate::dimse::pdu::{self, Violation};

/// Presentation contexts of one association: odd numbers from 1 to 255 (PS3.8 §9.3.2.2).
pub(super) const CONTEXTS_MAX: usize = 128;

/// The longest PDU that we send, whatever the peer allows.
const SENT_PDU_BYTES_MAX: u32 = 128 * 1024;
/// What is sent to a peer that does not say what it takes, which the standard forbids.
const SENT_PDU_BYTES_CAREFUL: u32 = 16 * 1024;

/// The fixed fields of A-ASSOCIATE-AC, without its header.
const FIXED_BYTES: usize = 68;
/// Item types (PS3.8 §9.3.3, PS3.7 §D.1, §D.3.3).
const PRESENTATION_CONTEXT: u8 = 0x21;
const TRANSFER_SYNTAX: u8 = 0x40;
const USER_INFORMATION: u8 = 0x50;
const MAXIMUM_LENGTH: u8 = 0x51;
const IMPLEMENTATION_VERSION_NAME: u8 = 0x55;

/// A presentation context that is proposed; its ID follows from its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Proposed {
    pub(super) abstract_syntax: Uid,
    pub(super) transfer_syntaxes: Vec<Uid>,
}

/// The ID of the context at this place.
pub(super) fn id(place: usize) -> u8 {
    u8::try_from(place * 2 + 1).expect("at most 128 contexts are proposed")
}

/// A-ASSOCIATE-RQ.
///
/// # Errors
/// When a text does not fit its field.
pub(super) fn request(
    calling: &AeTitle,
    called: &AeTitle,
    contexts: &[Proposed],
    pdu_bytes_max: u32,
    window: u16,
    roles: &[Uid],
) -> Result<Vec<u8>, WriteError> {
    let mut user_variables = vec![
        UserVariableItem::MaxLength(pdu_bytes_max),
        UserVariableItem::ImplementationClassUID(part10::IMPLEMENTATION_CLASS_UID.into()),
    ];
    if window > 1 {
        let [high, low] = window.to_be_bytes();
        // So many invoked, one performed: we perform none.
        user_variables.push(UserVariableItem::Unknown(
            ASYNCHRONOUS_OPERATIONS,
            vec![high, low, 0, 1],
        ));
    }
    // Of instances that come back on this association we are SCP.
    user_variables.extend(roles.iter().map(|class_uid| {
        UserVariableItem::ScuScpRoleSelectionSubItem(
            class_uid.as_str().into(),
            RequestorRoles {
                scu: false,
                scp: true,
            },
        )
    }));
    user_variables.push(UserVariableItem::ImplementationVersionName(
        part10::IMPLEMENTATION_VERSION_NAME.into(),
    ));
    pdu::encode(&Pdu::AssociationRQ(AssociationRQ {
        protocol_version: 1,
        calling_ae_title: calling.as_str().into(),
        called_ae_title: called.as_str().into(),
        application_context_name: APPLICATION_CONTEXT.into(),
        presentation_contexts: contexts
            .iter()
            .enumerate()
            .map(|(place, context)| PresentationContextProposed {
                id: id(place),
                abstract_syntax: context.abstract_syntax.as_str().into(),
                transfer_syntaxes: context
                    .transfer_syntaxes
                    .iter()
                    .map(|uid| uid.as_str().into())
                    .collect(),
            })
            .collect(),
        user_variables,
    }))
}

/// What the peer says to one context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// Taken, in this transfer syntax.
    Accepted(&'static TransferSyntax),
    /// PS3.8 Table 9-18: why not.
    Refused(u8),
    /// Nothing.
    Unsaid,
}

impl Answer {
    /// The words of Table 9-18.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Accepted(_) => "accepted",
            Self::Refused(1) => "user-rejection: we may have no right to it",
            Self::Refused(2) => "no reason given",
            Self::Refused(3) => "abstract syntax not supported",
            Self::Refused(4) => "transfer syntaxes not supported",
            Self::Refused(_) => "a reason that the standard does not know",
            Self::Unsaid => "it does not say why",
        }
    }
}

/// A-ASSOCIATE-AC, read.
#[derive(Debug)]
pub(super) struct Accepted {
    /// By the place of the proposal.
    pub(super) answers: Vec<Answer>,
    /// The longest P-DATA-TF PDU to send.
    pub(super) sent_pdu_bytes_max: u32,
    /// Operations that may wait for their answers at once; at least 1.
    pub(super) window: u16,
    /// Implementation Version Name, made printable.
    pub(super) implementation: Option<String>,
}

impl Accepted {
    /// Before anything is said.
    pub(super) fn nothing(proposed: &[Proposed]) -> Self {
        Self {
            answers: vec![Answer::Unsaid; proposed.len()],
            sent_pdu_bytes_max: SENT_PDU_BYTES_CAREFUL,
            // Without a word of the peer operations are synchronous (PS3.7 §D.3.3.3).
            window: 1,
            implementation: None,
        }
    }

    /// Reads what follows the header of the PDU.
    pub(super) fn read(body: &[u8], proposed: &[Proposed], window: u16) -> Result<Self, Violation> {
        let mut accepted = Self::nothing(proposed);
        let mut items = body.get(FIXED_BYTES..).ok_or(Violation::InvalidParameter)?;
        while !items.is_empty() {
            let (kind, value) = item(&mut items)?;
            match kind {
                PRESENTATION_CONTEXT => accepted.context(value, proposed)?,
                USER_INFORMATION => accepted.user_information(value, window)?,
                _ => {}
            }
        }
        Ok(accepted)
    }

    fn context(&mut self, value: &[u8], proposed: &[Proposed]) -> Result<(), Violation> {
        let &[id, _, result, _, ref inner @ ..] = value else {
            return Err(Violation::InvalidParameter);
        };
        let place = usize::from(id / 2);
        let (Some(context), Some(answer)) = (proposed.get(place), self.answers.get_mut(place))
        else {
            return Err(Violation::InvalidParameter);
        };
        if id.is_multiple_of(2) || *answer != Answer::Unsaid {
            return Err(Violation::InvalidParameter);
        }
        if result != 0 {
            // What transfer syntax stands there is of no meaning (PS3.8 Table 9-18).
            *answer = Answer::Refused(result);
            return Ok(());
        }
        let mut inner = inner;
        let (TRANSFER_SYNTAX, syntax) = item(&mut inner)? else {
            return Err(Violation::InvalidParameter);
        };
        let syntax = std::str::from_utf8(syntax).map_err(|_| Violation::InvalidParameter)?;
        let chosen = context
            .transfer_syntaxes
            .iter()
            .find(|uid| uid.as_str() == trimmed(syntax))
            .and_then(|uid| TransferSyntax::of_uid(uid.as_str()));
        // One that was not proposed is no agreement.
        *answer = Answer::Accepted(chosen.ok_or(Violation::InvalidParameter)?);
        Ok(())
    }

    fn user_information(&mut self, mut value: &[u8], window: u16) -> Result<(), Violation> {
        while !value.is_empty() {
            let (kind, inner) = item(&mut value)?;
            match (kind, inner) {
                (MAXIMUM_LENGTH, &[a, b, c, d]) => {
                    self.sent_pdu_bytes_max = match u32::from_be_bytes([a, b, c, d]) {
                        // No limit (PS3.8 §D.1.1).
                        0 => SENT_PDU_BYTES_MAX,
                        // No fragment fits into less than a PDV header and two bytes.
                        1..8 => return Err(Violation::InvalidParameter),
                        bytes => bytes.min(SENT_PDU_BYTES_MAX),
                    };
                }
                (MAXIMUM_LENGTH, _) => return Err(Violation::InvalidParameter),
                (ASYNCHRONOUS_OPERATIONS, &[a, b, _, _]) => {
                    // 0 is no limit; nobody gets more than was proposed.
                    self.window = match u16::from_be_bytes([a, b]) {
                        0 => window,
                        theirs => theirs.min(window),
                    }
                    .max(1);
                }
                (IMPLEMENTATION_VERSION_NAME, name) => {
                    let graphic = |b: &&u8| b.is_ascii_graphic() || **b == b' ';
                    let name: String = name
                        .iter()
                        .filter(graphic)
                        .take(16)
                        .map(|b| char::from(*b))
                        .collect();
                    self.implementation = Some(name.trim().into());
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Takes an item off the front: its type and its value.
fn item<'a>(bytes: &mut &'a [u8]) -> Result<(u8, &'a [u8]), Violation> {
    let (&[kind, _, high, low], rest) = bytes
        .split_first_chunk::<4>()
        .ok_or(Violation::InvalidParameter)?;
    let length = usize::from(u16::from_be_bytes([high, low]));
    let (value, rest) = rest
        .split_at_checked(length)
        .ok_or(Violation::InvalidParameter)?;
    *bytes = rest;
    Ok((kind, value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dicom::transfer_syntax::{EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN};

    fn uid(text: &str) -> Uid {
        Uid::parse(text).unwrap()
    }

    fn proposed() -> Vec<Proposed> {
        let syntaxes = [EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN];
        let context = |abstract_syntax| Proposed {
            abstract_syntax: uid(abstract_syntax),
            transfer_syntaxes: syntaxes.map(uid).to_vec(),
        };
        vec![context("1.2.3"), context("1.2.4"), context("1.2.5")]
    }

    /// An item of PS3.8 §9.3.3.
    fn put(kind: u8, value: &[u8]) -> Vec<u8> {
        let mut bytes = vec![kind, 0];
        bytes.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
        bytes.extend(value);
        bytes
    }

    fn context(id: u8, result: u8, syntax: &str) -> Vec<u8> {
        let inner = [&[id, 0, result, 0][..], &put(0x40, syntax.as_bytes())].concat();
        put(0x21, &inner)
    }

    fn accept(items: &[Vec<u8>]) -> Result<Accepted, Violation> {
        let body = [vec![0; FIXED_BYTES], items.concat()].concat();
        Accepted::read(&body, &proposed(), 8)
    }

    #[test]
    fn a_request_is_laid_out_as_the_standard_says() {
        let title = |text| AeTitle::parse(text).unwrap();
        let bytes = request(
            &title("US"),
            &title("THEM"),
            &proposed()[..1],
            65536,
            8,
            &[uid("1.2.3")],
        )
        .unwrap();
        // PS3.8 Table 9-11.
        assert_eq!(bytes[..2], [1, 0]);
        let length = u32::from_be_bytes(bytes[2..6].try_into().unwrap());
        assert_eq!(length as usize, bytes.len() - 6);
        assert_eq!(bytes[6..10], [0, 1, 0, 0]);
        assert_eq!(&bytes[10..26], b"THEM            ");
        assert_eq!(&bytes[26..42], b"US              ");
        let mut items = &bytes[74..];
        assert_eq!(
            item(&mut items).unwrap(),
            (0x10, &b"1.2.840.10008.3.1.1.1"[..])
        );
        let (kind, context) = item(&mut items).unwrap();
        assert_eq!((kind, &context[..4]), (0x20, &[1, 0, 0, 0][..]));
        let mut inner = &context[4..];
        assert_eq!(item(&mut inner).unwrap(), (0x30, &b"1.2.3"[..]));
        assert_eq!(
            item(&mut inner).unwrap(),
            (0x40, &b"1.2.840.10008.1.2.1"[..])
        );
        assert_eq!(item(&mut inner).unwrap(), (0x40, &b"1.2.840.10008.1.2"[..]));
        let (kind, mut user) = item(&mut items).unwrap();
        assert_eq!((kind, items), (0x50, &[][..]));
        assert_eq!(item(&mut user).unwrap(), (0x51, &[0, 1, 0, 0][..]));
        assert_eq!(item(&mut user).unwrap().0, 0x52);
        assert_eq!(item(&mut user).unwrap(), (0x53, &[0, 8, 0, 1][..]));
        assert_eq!(item(&mut user).unwrap(), (0x54, &b"\0\x051.2.3\0\x01"[..]));
        assert_eq!(item(&mut user).unwrap().0, 0x55);
    }

    #[test]
    fn an_answer_is_read() {
        let user = [
            put(0x51, &[0, 0, 0x40, 0]),
            put(0x53, &[0, 3, 0, 1]),
            put(0x55, b"PEER_1\x1b"),
            put(0x99, b"of tomorrow"),
        ];
        let accepted = accept(&[
            put(0x10, b"1.2.840.10008.3.1.1.1"),
            context(1, 0, "1.2.840.10008.1.2\0"),
            context(3, 3, "whatever"),
            put(0x50, &user.concat()),
        ])
        .unwrap();
        assert!(matches!(accepted.answers[0],
            Answer::Accepted(syntax) if syntax.uid == IMPLICIT_VR_LITTLE_ENDIAN));
        assert_eq!(accepted.answers[1..], [Answer::Refused(3), Answer::Unsaid]);
        assert_eq!((accepted.sent_pdu_bytes_max, accepted.window), (0x4000, 3));
        assert_eq!(accepted.implementation.as_deref(), Some("PEER_1"));
    }

    #[test]
    fn lengths_and_windows_are_clamped() {
        for (announced, expected) in [
            ([0, 0, 0, 0], SENT_PDU_BYTES_MAX),
            ([0xFF, 0xFF, 0xFF, 0xFF], SENT_PDU_BYTES_MAX),
            ([0, 0, 0, 8], 8),
        ] {
            let accepted = accept(&[put(0x50, &put(0x51, &announced))]).unwrap();
            assert_eq!(accepted.sent_pdu_bytes_max, expected);
            assert_eq!(accepted.window, 1);
        }
        for (answered, expected) in [
            ([0, 0, 0, 1], 8),
            ([0, 1, 0, 1], 1),
            ([0xFF, 0xFF, 0, 1], 8),
        ] {
            let accepted = accept(&[put(0x50, &put(0x53, &answered))]).unwrap();
            assert_eq!(accepted.window, expected);
        }
    }

    #[test]
    fn what_was_not_proposed_is_no_agreement() {
        for (what, items) in [
            ("an even ID", context(2, 0, EXPLICIT_VR_LITTLE_ENDIAN)),
            (
                "an ID not proposed",
                context(7, 0, EXPLICIT_VR_LITTLE_ENDIAN),
            ),
            (
                "another transfer syntax",
                context(1, 0, "1.2.840.10008.1.2.2"),
            ),
            (
                "an ID answered twice",
                [context(1, 0, EXPLICIT_VR_LITTLE_ENDIAN), context(1, 3, "")].concat(),
            ),
            ("a length beyond the end", vec![0x21, 0, 0xFF, 0xFF, 1]),
            ("half a header", vec![0x21, 0]),
            ("a PDU of 7 bytes", put(0x50, &put(0x51, &[0, 0, 0, 7]))),
            ("no transfer syntax", put(0x21, &[1, 0, 0, 0])),
        ] {
            assert!(accept(&[items]).is_err(), "{what}");
        }
        assert!(Accepted::read(&[0; 67], &proposed(), 1).is_err());
    }

    proptest::proptest! {
        #[test]
        fn whatever_comes_is_read_or_malformed(bytes: Vec<u8>) {
            let _ = accept(std::slice::from_ref(&bytes));
            let _ = accept(&[put(0x50, &bytes), put(0x21, &bytes)]);
        }
    }
}
