//! Command sets (PS3.7 §6.3, §9.3, Annex E): Implicit VR Little Endian, group 0000, a handful of
//! elements. Read and written by hand, so that a command from the wire costs no object model.

use dicom_core::Tag;

use crate::dicom::uid::UidError;
use crate::dicom::{AeTitle, Uid};
use crate::dimse::status::Reply;

/// The longest command set taken. Real ones are about 200 bytes.
pub(crate) const COMMAND_BYTES_MAX: usize = 64 * 1024;

/// Values of Command Field (0000,0100), PS3.7 §E.1.
pub(crate) const C_STORE_RQ: u16 = 0x0001;
pub(crate) const C_GET_RQ: u16 = 0x0010;
pub(crate) const C_FIND_RQ: u16 = 0x0020;
pub(crate) const C_MOVE_RQ: u16 = 0x0021;
pub(crate) const C_ECHO_RQ: u16 = 0x0030;
pub(crate) const C_CANCEL_RQ: u16 = 0x0FFF;
pub(crate) const N_EVENT_REPORT_RQ: u16 = 0x0100;
pub(crate) const N_ACTION_RQ: u16 = 0x0130;
/// Set in the Command Field of every response.
pub(crate) const RESPONSE: u16 = 0x8000;

/// Command Data Set Type (0000,0800) of a message without data set.
pub(super) const NO_DATA_SET: u16 = 0x0101;

/// Of one with a data set: any other value.
const DATA_SET: u16 = 0x0001;

/// Elements of group 0000 that we read or write.
pub(super) const AFFECTED_SOP_CLASS_UID: u16 = 0x0002;
pub(super) const REQUESTED_SOP_CLASS_UID: u16 = 0x0003;
pub(super) const COMMAND_FIELD: u16 = 0x0100;
pub(super) const MESSAGE_ID: u16 = 0x0110;
pub(super) const MESSAGE_ID_RESPONDED_TO: u16 = 0x0120;
pub(super) const MOVE_DESTINATION: u16 = 0x0600;
pub(super) const COMMAND_DATA_SET_TYPE: u16 = 0x0800;
pub(super) const STATUS: u16 = 0x0900;
const OFFENDING_ELEMENT: u16 = 0x0901;
pub(super) const ERROR_COMMENT: u16 = 0x0902;
pub(super) const AFFECTED_SOP_INSTANCE_UID: u16 = 0x1000;
pub(super) const REQUESTED_SOP_INSTANCE_UID: u16 = 0x1001;
pub(super) const EVENT_TYPE_ID: u16 = 0x1002;
pub(super) const ACTION_TYPE_ID: u16 = 0x1008;
pub(super) const REMAINING_SUBOPERATIONS: u16 = 0x1020;
pub(super) const COMPLETED_SUBOPERATIONS: u16 = 0x1021;
pub(super) const FAILED_SUBOPERATIONS: u16 = 0x1022;
pub(super) const WARNING_SUBOPERATIONS: u16 = 0x1023;

/// What a peer asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    /// (0000,0100)
    pub(crate) command: u16,
    /// (0000,0110); 0 in a C-CANCEL and in a response, which have none.
    pub(crate) message_id: u16,
    /// (0000,0120) of a C-CANCEL and of a response; 0 when absent.
    pub(crate) responded_to: u16,
    /// (0000,0900) of a response; 0 when absent.
    pub(crate) status: u16,
    /// (0000,0600) of a C-MOVE, if it is there and a title.
    pub(crate) move_destination: Option<AeTitle>,
    /// Whether a data set follows.
    pub(crate) has_data: bool,
    /// (0000,1002) or (0000,1008): which event, which action.
    pub(crate) type_id: Option<u16>,
    /// (0000,0002), or (0000,0003) of an N-ACTION, if it is there.
    pub(crate) sop_class_uid: Option<Result<Uid, UidError>>,
    /// (0000,1000), or (0000,1001) of an N-ACTION, if it is there.
    pub(crate) sop_instance_uid: Option<Result<Uid, UidError>>,
}

/// The bytes are no command set, or one without Command Field, Data Set Type or Message ID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed command set")]
pub(crate) struct Malformed;

impl Request {
    /// Reads a whole command set. Elements that we do not need are passed over; the group length
    /// is not believed.
    pub(crate) fn parse(mut bytes: &[u8]) -> Result<Self, Malformed> {
        let (mut command, mut message_id, mut data_set_type) = (None, None, None);
        let (mut sop_class_uid, mut sop_instance_uid) = (None, None);
        let (mut responded_to, mut status, mut move_destination) = (0, 0, None);
        let mut type_id = None;
        while !bytes.is_empty() {
            let (element, value) = take_element(&mut bytes)?;
            match element {
                AFFECTED_SOP_CLASS_UID | REQUESTED_SOP_CLASS_UID => sop_class_uid = uid(value),
                COMMAND_FIELD => command = Some(us(value)?),
                MESSAGE_ID => message_id = Some(us(value)?),
                MESSAGE_ID_RESPONDED_TO => responded_to = us(value)?,
                STATUS => status = us(value)?,
                MOVE_DESTINATION => move_destination = AeTitle::from_value(value).ok(),
                COMMAND_DATA_SET_TYPE => data_set_type = Some(us(value)?),
                AFFECTED_SOP_INSTANCE_UID | REQUESTED_SOP_INSTANCE_UID => {
                    sop_instance_uid = uid(value);
                }
                EVENT_TYPE_ID | ACTION_TYPE_ID => type_id = Some(us(value)?),
                _ => {}
            }
        }
        let command = command.ok_or(Malformed)?;
        let needs_no_id = command == C_CANCEL_RQ || command & RESPONSE != 0;
        Ok(Self {
            command,
            message_id: message_id.or(needs_no_id.then_some(0)).ok_or(Malformed)?,
            responded_to,
            status,
            move_destination,
            has_data: data_set_type.ok_or(Malformed)? != NO_DATA_SET,
            type_id,
            sop_class_uid,
            sop_instance_uid,
        })
    }

    /// The command set of the response.
    pub(crate) fn response(&self, reply: &Reply) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(256);
        // (0000,0000) Command Group Length is known at the end.
        put(&mut bytes, 0x0000, &[0; 4]);
        if let Some(Ok(uid)) = &self.sop_class_uid {
            put_text(&mut bytes, AFFECTED_SOP_CLASS_UID, uid.as_str(), 0);
        }
        put(
            &mut bytes,
            COMMAND_FIELD,
            &(self.command | RESPONSE).to_le_bytes(),
        );
        put(
            &mut bytes,
            MESSAGE_ID_RESPONDED_TO,
            &self.message_id.to_le_bytes(),
        );
        let data_set_type = if reply.data_set.is_some() {
            DATA_SET
        } else {
            NO_DATA_SET
        };
        put(
            &mut bytes,
            COMMAND_DATA_SET_TYPE,
            &data_set_type.to_le_bytes(),
        );
        put(&mut bytes, STATUS, &reply.status.0.to_le_bytes());
        if let Some(Tag(group, element)) = reply.offending {
            let [a, b] = group.to_le_bytes();
            let [c, d] = element.to_le_bytes();
            put(&mut bytes, OFFENDING_ELEMENT, &[a, b, c, d]);
        }
        if let Some(comment) = &reply.comment {
            put_text(&mut bytes, ERROR_COMMENT, comment, b' ');
        }
        if let Some(Ok(uid)) = &self.sop_instance_uid {
            put_text(&mut bytes, AFFECTED_SOP_INSTANCE_UID, uid.as_str(), 0);
        }
        if let Some(type_id) = self.type_id {
            match self.command {
                N_EVENT_REPORT_RQ => put(&mut bytes, EVENT_TYPE_ID, &type_id.to_le_bytes()),
                N_ACTION_RQ => put(&mut bytes, ACTION_TYPE_ID, &type_id.to_le_bytes()),
                _ => {}
            }
        }
        if let Some(counters) = &reply.counters {
            for (element, count) in [
                (REMAINING_SUBOPERATIONS, counters.remaining),
                (COMPLETED_SUBOPERATIONS, Some(counters.completed)),
                (FAILED_SUBOPERATIONS, Some(counters.failed)),
                (WARNING_SUBOPERATIONS, Some(counters.warning)),
            ] {
                if let Some(count) = count {
                    put(&mut bytes, element, &count.to_le_bytes());
                }
            }
        }
        with_group_length(bytes)
    }
}

/// N-EVENT-REPORT-RQ (PS3.7 Table 10.3-1), with a data set.
pub(crate) fn event_report_request(
    message_id: u16,
    sop_class_uid: &str,
    sop_instance_uid: &str,
    event_type_id: u16,
) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    put(&mut bytes, 0x0000, &[0; 4]);
    put_text(&mut bytes, AFFECTED_SOP_CLASS_UID, sop_class_uid, 0);
    put(&mut bytes, COMMAND_FIELD, &N_EVENT_REPORT_RQ.to_le_bytes());
    put(&mut bytes, MESSAGE_ID, &message_id.to_le_bytes());
    put(&mut bytes, COMMAND_DATA_SET_TYPE, &DATA_SET.to_le_bytes());
    put_text(&mut bytes, AFFECTED_SOP_INSTANCE_UID, sop_instance_uid, 0);
    put(&mut bytes, EVENT_TYPE_ID, &event_type_id.to_le_bytes());
    with_group_length(bytes)
}

/// N-ACTION-RQ (PS3.7 Table 10.3-7), with a data set.
pub(crate) fn action_request(
    message_id: u16,
    sop_class_uid: &str,
    sop_instance_uid: &str,
    action_type_id: u16,
) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    put(&mut bytes, 0x0000, &[0; 4]);
    put_text(&mut bytes, REQUESTED_SOP_CLASS_UID, sop_class_uid, 0);
    put(&mut bytes, COMMAND_FIELD, &N_ACTION_RQ.to_le_bytes());
    put(&mut bytes, MESSAGE_ID, &message_id.to_le_bytes());
    put(&mut bytes, COMMAND_DATA_SET_TYPE, &DATA_SET.to_le_bytes());
    put_text(&mut bytes, REQUESTED_SOP_INSTANCE_UID, sop_instance_uid, 0);
    put(&mut bytes, ACTION_TYPE_ID, &action_type_id.to_le_bytes());
    with_group_length(bytes)
}

/// Fills in (0000,0000) Command Group Length, the first element.
fn with_group_length(mut bytes: Vec<u8>) -> Vec<u8> {
    let length = u32::try_from(bytes.len() - 12).expect("a command set is a few hundred bytes");
    bytes[8..12].copy_from_slice(&length.to_le_bytes());
    bytes
}

/// Takes one element off the front: its number in group 0000, and its value.
pub(super) fn take_element<'a>(bytes: &mut &'a [u8]) -> Result<(u16, &'a [u8]), Malformed> {
    let (header, rest) = bytes.split_first_chunk::<8>().ok_or(Malformed)?;
    let [0, 0, e0, e1, length @ ..] = *header else {
        return Err(Malformed);
    };
    let length = u32::from_le_bytes(length) as usize;
    let (value, rest) = rest.split_at_checked(length).ok_or(Malformed)?;
    *bytes = rest;
    Ok((u16::from_le_bytes([e0, e1]), value))
}

pub(super) fn us(value: &[u8]) -> Result<u16, Malformed> {
    value
        .try_into()
        .map(u16::from_le_bytes)
        .map_err(|_| Malformed)
}

/// An empty value counts as absent.
fn uid(value: &[u8]) -> Option<Result<Uid, UidError>> {
    match Uid::from_value(value) {
        Err(UidError::Empty) => None,
        checked => Some(checked),
    }
}

pub(super) fn put(bytes: &mut Vec<u8>, element: u16, value: &[u8]) {
    let length = u32::try_from(value.len()).expect("values that we write are short");
    bytes.extend([0, 0]);
    bytes.extend(element.to_le_bytes());
    bytes.extend(length.to_le_bytes());
    bytes.extend(value);
}

/// Puts a text, padded to even length.
pub(super) fn put_text(bytes: &mut Vec<u8>, element: u16, text: &str, padding: u8) {
    let mut value = text.as_bytes().to_vec();
    if value.len() % 2 == 1 {
        value.push(padding);
    }
    put(bytes, element, &value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dimse::status::Status;

    /// C-STORE-RQ as PS3.7 Table 9.3-1 lays it out.
    #[rustfmt::skip]
    const STORE: &[u8] = &[
        0, 0, 0x00, 0x00, 4, 0, 0, 0,  88, 0, 0, 0, // Command Group Length
        0, 0, 0x02, 0x00, 8, 0, 0, 0,  b'1', b'.', b'2', b'.', b'3', b'.', b'4', 0, // Affected SOP Class UID
        0, 0, 0x00, 0x01, 2, 0, 0, 0,  0x01, 0x00, // Command Field: C-STORE-RQ
        0, 0, 0x10, 0x01, 2, 0, 0, 0,  0x34, 0x12, // Message ID
        0, 0, 0x00, 0x07, 2, 0, 0, 0,  0, 0, // Priority
        0, 0, 0x00, 0x08, 2, 0, 0, 0,  0x01, 0x00, // Command Data Set Type: a data set follows
        0, 0, 0x00, 0x10, 4, 0, 0, 0,  b'1', b'.', b'9', 0, // Affected SOP Instance UID
        0, 0, 0x30, 0x10, 4, 0, 0, 0,  b'P', b'A', b'C', b'S', // Move Originator AE Title
    ];

    fn store() -> Request {
        Request {
            command: C_STORE_RQ,
            message_id: 0x1234,
            responded_to: 0,
            status: 0,
            move_destination: None,
            has_data: true,
            type_id: None,
            sop_class_uid: Some(Uid::parse("1.2.3.4")),
            sop_instance_uid: Some(Uid::parse("1.9")),
        }
    }

    #[test]
    fn a_request_is_read() {
        assert_eq!(Request::parse(STORE), Ok(store()));
    }

    #[test]
    fn cut_anywhere_it_is_malformed_or_lacks_what_was_cut() {
        for length in 0..STORE.len() {
            if let Ok(request) = Request::parse(&STORE[..length]) {
                assert_eq!(request.message_id, 0x1234, "cut at {length}");
            }
        }
        // Cut after the Message ID: no word on the data set.
        assert_eq!(Request::parse(&STORE[..48]), Err(Malformed));
    }

    #[test]
    fn what_is_no_command_set_is_malformed() {
        let cases: &[(&str, &[u8])] = &[
            ("nothing", &[]),
            ("group 0008", &[8, 0, 0x16, 0, 2, 0, 0, 0, 1, 0]),
            (
                "a length beyond the end",
                &[0, 0, 0x00, 0x01, 3, 0, 0, 0, 1, 0],
            ),
            (
                "a length of 4 GiB",
                &[0, 0, 0x00, 0x01, 0xFF, 0xFF, 0xFF, 0xFF, 1, 0],
            ),
            (
                "a Command Field of 4 bytes",
                &[0, 0, 0x00, 0x01, 4, 0, 0, 0, 1, 0, 0, 0],
            ),
            (
                "an explicit VR",
                &[0, 0, 0x00, 0x01, b'U', b'S', 2, 0, 1, 0],
            ),
        ];
        for (what, bytes) in cases {
            assert_eq!(Request::parse(bytes), Err(Malformed), "{what}");
        }
    }

    #[test]
    fn a_cancel_needs_no_message_id() {
        #[rustfmt::skip]
        let bytes = [
            0, 0, 0x00, 0x01, 2, 0, 0, 0, 0xFF, 0x0F, // Command Field: C-CANCEL-RQ
            0, 0, 0x20, 0x01, 2, 0, 0, 0, 7, 0, // Message ID Being Responded To
            0, 0, 0x00, 0x08, 2, 0, 0, 0, 0x01, 0x01, // Command Data Set Type: none
        ];
        let cancel = Request::parse(&bytes).unwrap();
        assert_eq!((cancel.command, cancel.has_data), (C_CANCEL_RQ, false));
        assert_eq!(cancel.responded_to, 7);
    }

    #[test]
    fn a_malformed_uid_is_told_from_an_absent_one() {
        let mut bytes = STORE.to_vec();
        bytes[20..27].copy_from_slice(b"1.02.3 ");
        assert_eq!(
            Request::parse(&bytes).unwrap().sop_class_uid,
            Some(Err(UidError::Malformed))
        );
        bytes[20..28].fill(0);
        assert_eq!(Request::parse(&bytes).unwrap().sop_class_uid, None);
    }

    #[test]
    #[rustfmt::skip]
    fn a_response_is_laid_out_as_the_standard_says() {
        let success = [
            0, 0, 0x00, 0x00, 4, 0, 0, 0,  68, 0, 0, 0, // Command Group Length: what follows
            0, 0, 0x02, 0x00, 8, 0, 0, 0,  b'1', b'.', b'2', b'.', b'3', b'.', b'4', 0, // Affected SOP Class UID
            0, 0, 0x00, 0x01, 2, 0, 0, 0,  0x01, 0x80, // Command Field: C-STORE-RSP
            0, 0, 0x20, 0x01, 2, 0, 0, 0,  0x34, 0x12, // Message ID Being Responded To
            0, 0, 0x00, 0x08, 2, 0, 0, 0,  0x01, 0x01, // Command Data Set Type: none
            0, 0, 0x00, 0x09, 2, 0, 0, 0,  0x00, 0x00, // Status: success
            0, 0, 0x00, 0x10, 4, 0, 0, 0,  b'1', b'.', b'9', 0, // Affected SOP Instance UID
        ];
        assert_eq!(store().response(&Reply::plain(Status::SUCCESS)), success);

        let reply = Reply { offending: Some(Tag(0x0008, 0x0018)), ..Reply::because(Status::MISMATCH, "odd") };
        let failure = [
            0, 0, 0x00, 0x00, 4, 0, 0, 0,  92, 0, 0, 0, // Command Group Length: what follows
            0, 0, 0x02, 0x00, 8, 0, 0, 0,  b'1', b'.', b'2', b'.', b'3', b'.', b'4', 0, // Affected SOP Class UID
            0, 0, 0x00, 0x01, 2, 0, 0, 0,  0x01, 0x80, // Command Field: C-STORE-RSP
            0, 0, 0x20, 0x01, 2, 0, 0, 0,  0x34, 0x12, // Message ID Being Responded To
            0, 0, 0x00, 0x08, 2, 0, 0, 0,  0x01, 0x01, // Command Data Set Type: none
            0, 0, 0x00, 0x09, 2, 0, 0, 0,  0x00, 0xA9, // Status: A900
            0, 0, 0x01, 0x09, 4, 0, 0, 0,  8, 0, 0x18, 0, // Offending Element: (0008,0018)
            0, 0, 0x02, 0x09, 4, 0, 0, 0,  b'o', b'd', b'd', b' ', // Error Comment
            0, 0, 0x00, 0x10, 4, 0, 0, 0,  b'1', b'.', b'9', 0, // Affected SOP Instance UID
        ];
        assert_eq!(store().response(&reply), failure);
    }

    proptest::proptest! {
        #[test]
        fn whatever_comes_is_read_or_malformed(at in 0..STORE.len(), bytes: [u8; 4]) {
            let mut changed = STORE.to_vec();
            for (place, byte) in changed[at..].iter_mut().zip(bytes) {
                *place = byte;
            }
            let _ = Request::parse(&changed);
        }
    }
}
