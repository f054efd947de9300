//! The command sets of a service class user (PS3.7 §9.3): C-ECHO-RQ, C-STORE-RQ, C-FIND-RQ, C-MOVE-RQ,
//! C-GET-RQ and C-CANCEL-RQ written, responses read.

use crate::dicom::{AeTitle, Uid, sop_class};
use crate::dimse::message::{
    AFFECTED_SOP_CLASS_UID, AFFECTED_SOP_INSTANCE_UID, C_CANCEL_RQ, C_ECHO_RQ, C_STORE_RQ,
    COMMAND_DATA_SET_TYPE, COMMAND_FIELD, COMPLETED_SUBOPERATIONS, ERROR_COMMENT,
    FAILED_SUBOPERATIONS, MESSAGE_ID, MESSAGE_ID_RESPONDED_TO, MOVE_DESTINATION, Malformed,
    NO_DATA_SET, REMAINING_SUBOPERATIONS, RESPONSE, STATUS, WARNING_SUBOPERATIONS, put, put_text,
    take_element, us,
};

/// Elements of group 0000 that only requests have (PS3.7 Table 9.3-1).
const PRIORITY: u16 = 0x0700;
const MOVE_ORIGINATOR_AE_TITLE: u16 = 0x1030;
const MOVE_ORIGINATOR_MESSAGE_ID: u16 = 0x1031;

/// Priority (0000,0700): medium.
const MEDIUM: u16 = 0;
/// Command Data Set Type (0000,0800) of a message with a data set: anything but 0101.
const WITH_DATA_SET: u16 = 1;

/// VR LO (PS3.5 Table 6.2-1).
const COMMENT_CHARACTERS_MAX: usize = 64;

/// On whose behalf an instance is sent (PS3.7 §9.1.1.1.5): who asked for the C-MOVE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Originator {
    /// (0000,1030): the AE that asked.
    pub ae_title: AeTitle,
    /// (0000,1031): the Message ID of its C-MOVE-RQ.
    pub message_id: u16,
}

/// C-STORE-RQ (PS3.7 Table 9.3-1).
pub(in crate::dimse) fn store_request(
    message_id: u16,
    sop_class_uid: &Uid,
    sop_instance_uid: &Uid,
    originator: Option<&Originator>,
) -> Vec<u8> {
    let mut bytes = begin(sop_class_uid.as_str(), C_STORE_RQ, message_id);
    put(&mut bytes, PRIORITY, &MEDIUM.to_le_bytes());
    put(
        &mut bytes,
        COMMAND_DATA_SET_TYPE,
        &WITH_DATA_SET.to_le_bytes(),
    );
    put_text(
        &mut bytes,
        AFFECTED_SOP_INSTANCE_UID,
        sop_instance_uid.as_str(),
        0,
    );
    if let Some(originator) = originator {
        put_text(
            &mut bytes,
            MOVE_ORIGINATOR_AE_TITLE,
            originator.ae_title.as_str(),
            b' ',
        );
        put(
            &mut bytes,
            MOVE_ORIGINATOR_MESSAGE_ID,
            &originator.message_id.to_le_bytes(),
        );
    }
    end(bytes)
}

/// C-ECHO-RQ (PS3.7 Table 9.3-12).
pub(super) fn echo_request(message_id: u16) -> Vec<u8> {
    let mut bytes = begin(sop_class::VERIFICATION, C_ECHO_RQ, message_id);
    put(
        &mut bytes,
        COMMAND_DATA_SET_TYPE,
        &NO_DATA_SET.to_le_bytes(),
    );
    end(bytes)
}

/// C-FIND-RQ, C-MOVE-RQ or C-GET-RQ (PS3.7 Tables 9.3-3, 9.3-6, 9.3-9).
pub(super) fn question_request(
    message_id: u16,
    command: u16,
    sop_class_uid: &str,
    destination: Option<&AeTitle>,
) -> Vec<u8> {
    let mut bytes = begin(sop_class_uid, command, message_id);
    if let Some(title) = destination {
        put_text(&mut bytes, MOVE_DESTINATION, title.as_str(), b' ');
    }
    put(&mut bytes, PRIORITY, &MEDIUM.to_le_bytes());
    put(
        &mut bytes,
        COMMAND_DATA_SET_TYPE,
        &WITH_DATA_SET.to_le_bytes(),
    );
    end(bytes)
}

/// C-CANCEL-RQ (PS3.7 §9.3.2.3).
pub(super) fn cancel_request(message_id: u16) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(64);
    put(&mut bytes, 0x0000, &[0; 4]);
    put(&mut bytes, COMMAND_FIELD, &C_CANCEL_RQ.to_le_bytes());
    put(
        &mut bytes,
        MESSAGE_ID_RESPONDED_TO,
        &message_id.to_le_bytes(),
    );
    put(
        &mut bytes,
        COMMAND_DATA_SET_TYPE,
        &NO_DATA_SET.to_le_bytes(),
    );
    end(bytes)
}

fn begin(sop_class_uid: &str, command: u16, message_id: u16) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    // (0000,0000) Command Group Length is known at the end.
    put(&mut bytes, 0x0000, &[0; 4]);
    put_text(&mut bytes, AFFECTED_SOP_CLASS_UID, sop_class_uid, 0);
    put(&mut bytes, COMMAND_FIELD, &command.to_le_bytes());
    put(&mut bytes, MESSAGE_ID, &message_id.to_le_bytes());
    bytes
}

fn end(mut bytes: Vec<u8>) -> Vec<u8> {
    let group_length = u32::try_from(bytes.len() - 12).expect("a request is a few hundred bytes");
    bytes[8..12].copy_from_slice(&group_length.to_le_bytes());
    bytes
}

/// What a peer answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Response {
    /// (0000,0100), the bit of responses taken off.
    pub(super) command: u16,
    /// (0000,0120)
    pub(super) message_id: u16,
    /// (0000,0900)
    pub(super) status: u16,
    /// (0000,0902): the peer's words, made printable. They may be about anybody: not for the log.
    pub(super) comment: Option<Box<str>>,
    /// Whether a data set follows.
    pub(super) has_data: bool,
    /// Sub-operations that remain, are completed, failed and had warnings, as far as it is said.
    pub(super) counted: [Option<u16>; 4],
}

const COUNTERS: [u16; 4] = [
    REMAINING_SUBOPERATIONS,
    COMPLETED_SUBOPERATIONS,
    FAILED_SUBOPERATIONS,
    WARNING_SUBOPERATIONS,
];

impl Response {
    /// Reads a whole command set.
    pub(super) fn parse(mut bytes: &[u8]) -> Result<Self, Malformed> {
        let (mut command, mut message_id, mut status) = (None, None, None);
        let (mut data_set_type, mut comment, mut counted) = (NO_DATA_SET, None, [None; 4]);
        while !bytes.is_empty() {
            let (element, value) = take_element(&mut bytes)?;
            match element {
                COMMAND_FIELD => command = Some(us(value)?),
                MESSAGE_ID_RESPONDED_TO => message_id = Some(us(value)?),
                COMMAND_DATA_SET_TYPE => data_set_type = us(value)?,
                STATUS => status = Some(us(value)?),
                ERROR_COMMENT => comment = words(value),
                other => {
                    if let Some(place) = COUNTERS.iter().position(|known| *known == other) {
                        counted[place] = us(value).ok();
                    }
                }
            }
        }
        let command = command.filter(|command| command & RESPONSE != 0);
        Ok(Self {
            command: command.ok_or(Malformed)? & !RESPONSE,
            message_id: message_id.ok_or(Malformed)?,
            status: status.ok_or(Malformed)?,
            comment,
            has_data: data_set_type != NO_DATA_SET,
            counted,
        })
    }
}

/// Text in whatever character set, as printable ASCII.
fn words(value: &[u8]) -> Option<Box<str>> {
    let fit = |byte: &u8| match byte {
        b' '..=b'~' => char::from(*byte),
        _ => '?',
    };
    let text: String = value.iter().take(COMMENT_CHARACTERS_MAX).map(fit).collect();
    let text = text.trim_matches([' ', '?']);
    (!text.is_empty()).then(|| text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[rustfmt::skip]
    fn a_store_is_laid_out_as_the_standard_says() {
        // PS3.7 Table 9.3-1, and §6.3.1 for the encoding.
        let expected = [
            0, 0, 0x00, 0x00, 4, 0, 0, 0,  90, 0, 0, 0, // Command Group Length: what follows
            0, 0, 0x02, 0x00, 8, 0, 0, 0,  b'1', b'.', b'2', b'.', b'3', b'.', b'4', 0, // Affected SOP Class UID
            0, 0, 0x00, 0x01, 2, 0, 0, 0,  0x01, 0x00, // Command Field: C-STORE-RQ
            0, 0, 0x10, 0x01, 2, 0, 0, 0,  0x34, 0x12, // Message ID
            0, 0, 0x00, 0x07, 2, 0, 0, 0,  0, 0, // Priority: medium
            0, 0, 0x00, 0x08, 2, 0, 0, 0,  0x01, 0x00, // Command Data Set Type: a data set follows
            0, 0, 0x00, 0x10, 4, 0, 0, 0,  b'1', b'.', b'9', 0, // Affected SOP Instance UID
            0, 0, 0x30, 0x10, 4, 0, 0, 0,  b'P', b'A', b'C', b' ', // Move Originator AE Title
            0, 0, 0x31, 0x10, 2, 0, 0, 0,  7, 0, // Move Originator Message ID
        ];
        let uid = |text| Uid::parse(text).unwrap();
        let originator = Originator { ae_title: AeTitle::parse("PAC").unwrap(), message_id: 7 };
        assert_eq!(store_request(0x1234, &uid("1.2.3.4"), &uid("1.9"), Some(&originator)), expected);
        let mut without = expected[..80].to_vec();
        without[8] = 68;
        assert_eq!(store_request(0x1234, &uid("1.2.3.4"), &uid("1.9"), None), without);
    }

    #[test]
    #[rustfmt::skip]
    fn an_echo_is_laid_out_as_the_standard_says() {
        let mut expected = vec![
            0, 0, 0x00, 0x00, 4, 0, 0, 0,  56, 0, 0, 0, // Command Group Length
            0, 0, 0x02, 0x00, 18, 0, 0, 0, // Affected SOP Class UID
        ];
        expected.extend(b"1.2.840.10008.1.1\0");
        expected.extend([
            0, 0, 0x00, 0x01, 2, 0, 0, 0,  0x30, 0x00, // Command Field: C-ECHO-RQ
            0, 0, 0x10, 0x01, 2, 0, 0, 0,  1, 0, // Message ID
            0, 0, 0x00, 0x08, 2, 0, 0, 0,  0x01, 0x01, // Command Data Set Type: none
        ]);
        assert_eq!(echo_request(1), expected);
    }

    #[rustfmt::skip]
    const FAILURE: &[u8] = &[
        0, 0, 0x00, 0x01, 2, 0, 0, 0,  0x01, 0x80, // Command Field: C-STORE-RSP
        0, 0, 0x20, 0x01, 2, 0, 0, 0,  0x34, 0x12, // Message ID Being Responded To
        0, 0, 0x00, 0x08, 2, 0, 0, 0,  0x01, 0x01, // Command Data Set Type: none
        0, 0, 0x00, 0x09, 2, 0, 0, 0,  0x00, 0xA7, // Status: A700
        0, 0, 0x02, 0x09, 6, 0, 0, 0,  b'f', b'u', 0x1B, b'l', b'l', b' ', // Error Comment
    ];

    #[test]
    fn a_response_is_read() {
        let response = Response::parse(FAILURE).unwrap();
        let expected = Response {
            command: C_STORE_RQ,
            message_id: 0x1234,
            status: 0xA700,
            comment: Some("fu?ll".into()),
            has_data: false,
            counted: [None; 4],
        };
        assert_eq!(response, expected);
    }

    #[test]
    fn what_is_no_response_is_malformed() {
        for length in 0..FAILURE.len() - 14 {
            assert_eq!(
                Response::parse(&FAILURE[..length]),
                Err(Malformed),
                "{length}"
            );
        }
        let mut request = FAILURE.to_vec();
        request[9] = 0;
        assert_eq!(Response::parse(&request), Err(Malformed));
        let mut with_data_set = FAILURE.to_vec();
        with_data_set[28] = 0;
        assert!(Response::parse(&with_data_set).unwrap().has_data);
    }

    proptest::proptest! {
        #[test]
        fn whatever_comes_is_read_or_malformed(at in 0..FAILURE.len(), bytes: [u8; 4]) {
            let mut changed = FAILURE.to_vec();
            for (place, byte) in changed[at..].iter_mut().zip(bytes) {
                *place = byte;
            }
            let _ = Response::parse(&changed);
        }
    }
}
