//! C-STORE and its statuses, whatever the cut of its fragments; and commands that are none of ours.

use super::*;

#[test]
fn what_is_stored_is_found_with_its_bytes() {
    let server = Server::start();
    let mut peer = server.associate();
    assert_eq!(server.held(&OBJECT), None);
    assert_eq!(peer.store(&OBJECT), 0x0000);
    assert_eq!(server.held(&OBJECT).unwrap(), OBJECT.bytes());
    peer.release();
}

#[test]
fn fragments_may_be_cut_anywhere() {
    let (command, data) = (OBJECT.command(9), OBJECT.bytes());
    let one_pdu = p_data(&[pdv(STORAGE, 3, &command), pdv(STORAGE, 2, &data)].concat());
    let mixed = p_data(
        &[
            pdv(STORAGE, 1, &command[..5]),
            pdv(STORAGE, 1, b""),
            pdv(STORAGE, 3, &command[5..]),
            pdv(STORAGE, 0, &data[..3]),
        ]
        .concat(),
    );
    let empty_last = p_data(
        &[
            pdv(STORAGE, 0, b""),
            pdv(STORAGE, 0, &data[3..]),
            pdv(STORAGE, 2, b""),
        ]
        .concat(),
    );
    for (what, bytes, write) in [
        ("command and data in one PDU", one_pdu.clone(), usize::MAX),
        ("written byte by byte", one_pdu.clone(), 1),
        ("written in sevens", one_pdu, 7),
        ("empty fragments", [mixed, empty_last].concat(), usize::MAX),
        (
            "a PDU for each byte",
            [
                pdus(STORAGE, true, &command, 7),
                pdus(STORAGE, false, &data, 7),
            ]
            .concat(),
            usize::MAX,
        ),
        (
            "the largest PDUs we take",
            [
                pdus(STORAGE, true, &command, 16384),
                pdus(STORAGE, false, &data, 16384),
            ]
            .concat(),
            usize::MAX,
        ),
    ] {
        let server = Server::start();
        let mut peer = server.associate();
        for bytes in bytes.chunks(write) {
            peer.say(bytes);
        }
        assert_eq!(peer.status(STORAGE, 9), 0x0000, "{what}");
        assert_eq!(server.held(&OBJECT).as_ref(), Some(&data), "{what}");
    }
}

#[test]
fn an_object_larger_than_the_buffers_is_stored() {
    let server = Server::start();
    let object = Object {
        pixel_bytes: 800_000,
        ..OBJECT
    };
    assert_eq!(server.associate().store(&object), 0x0000);
    assert_eq!(server.held(&object).unwrap(), object.bytes());
}

#[test]
fn the_same_again_is_a_success_and_other_bytes_are_not() {
    let server = Server::start();
    let mut peer = server.associate();
    assert_eq!(peer.store(&OBJECT), 0x0000);
    assert_eq!(peer.store(&OBJECT), 0x0000);
    assert_eq!(
        peer.store(&Object {
            pixel_bytes: 256,
            ..OBJECT
        }),
        0x0111
    );
    assert_eq!(
        peer.store(&Object {
            instance: "1.2.3.4.6",
            patient_id: "P2",
            ..OBJECT
        }),
        0xA910
    );
    let totals = server.archive.totals().unwrap();
    assert_eq!((totals.instances, totals.quarantined), (1, 2));
    assert_eq!(server.held(&OBJECT).unwrap(), OBJECT.bytes());
}

#[test]
fn a_refused_object_is_answered_by_the_tables_and_the_association_goes_on() {
    let server = Server::start();
    let mut peer = server.associate();
    let whole = OBJECT.bytes();
    let no_study = Object {
        study: "",
        ..OBJECT
    }
    .bytes();
    let announced = |instance| command(0x0001, 9, CT, Some(instance), true);
    for (what, command, data, class) in [
        (
            "another instance than announced",
            announced("1.2.3.4.99"),
            &whole[..],
            0xA900,
        ),
        (
            "cut off",
            announced(OBJECT.instance),
            &whole[..whole.len() - 7],
            0xC000,
        ),
        (
            "no study",
            announced(OBJECT.instance),
            &no_study[..],
            0xC000,
        ),
        (
            "a JPEG",
            announced(OBJECT.instance),
            &[0xFF, 0xD8, 0xFF, 0xE0, 0, 16, b'J', b'F', b'I', b'F'][..],
            0xC000,
        ),
        ("nothing", announced(OBJECT.instance), b"", 0xC000),
        (
            "an instance UID that is none",
            announced("1.02.3"),
            &whole[..],
            0x0100,
        ),
        (
            "a class UID that is none",
            command(0x0001, 9, "one", Some(OBJECT.instance), true),
            &whole[..],
            0x0100,
        ),
    ] {
        peer.say(&pdus(STORAGE, true, &command, 16384));
        peer.say(&p_data(&pdv(STORAGE, 2, data)));
        assert_eq!(peer.status(STORAGE, 9) & 0xFF00, class, "{what}");
        assert_eq!(peer.echo(), 0x0000, "{what}");
    }
    assert_eq!(server.archive.totals().unwrap().instances, 0);
    assert_eq!(peer.store(&OBJECT), 0x0000);
}

#[test]
fn the_command_may_leave_the_identity_to_the_data_set() {
    let server = Server::start();
    let mut peer = server.associate();
    let mut command = command_element(0x0100, &1_u16.to_le_bytes()); // C-STORE-RQ
    command.extend(command_element(0x0110, &9_u16.to_le_bytes())); // Message ID
    command.extend(command_element(0x0800, &1_u16.to_le_bytes())); // with a data set
    peer.say(&pdus(STORAGE, true, &command, 16384));
    peer.say(&pdus(STORAGE, false, &OBJECT.bytes(), 16384));
    assert_eq!(peer.status(STORAGE, 9), 0x0000);
    assert!(server.held(&OBJECT).is_some());
}

#[test]
fn commands_that_are_not_ours_are_answered_and_their_data_read_away() {
    let server = Server::start();
    let mut peer = server.associate();
    for (what, context_id, field, has_data, status) in [
        ("C-FIND on a storage context", STORAGE, 0x0020, true, 0x0211),
        ("C-MOVE without identifier", STORAGE, 0x0021, false, 0x0211),
        ("N-ACTION", STORAGE, 0x0130, true, 0x0211),
        ("an invented command", VERIFICATION, 0x0055, false, 0x0211),
        (
            "C-STORE for verification",
            VERIFICATION,
            0x0001,
            true,
            0x0122,
        ),
        ("C-ECHO for storage", STORAGE, 0x0030, false, 0x0122),
        ("C-ECHO with a data set", VERIFICATION, 0x0030, true, 0x0000),
        ("C-STORE without data set", STORAGE, 0x0001, false, 0xC000),
    ] {
        peer.say(&pdus(
            context_id,
            true,
            &command(field, 3, CT, None, has_data),
            16384,
        ));
        if has_data {
            peer.say(&pdus(context_id, false, &OBJECT.bytes(), 100));
        }
        assert_eq!(peer.status(context_id, 3), status, "{what}");
    }
    assert_eq!(server.archive.totals().unwrap().instances, 0);
    peer.release();
}

#[test]
fn a_cancel_and_a_response_are_not_answered() {
    let server = Server::start();
    let mut peer = server.associate();
    let mut cancel = command_element(0x0100, &0x0FFF_u16.to_le_bytes()); // C-CANCEL-RQ
    cancel.extend(command_element(0x0120, &9_u16.to_le_bytes())); // Message ID Being Responded To
    cancel.extend(command_element(0x0800, &0x0101_u16.to_le_bytes())); // no data set
    peer.say(&pdus(STORAGE, true, &cancel, 16384));
    peer.say(&pdus(
        STORAGE,
        true,
        &command(0x8020, 9, CT, None, true),
        16384,
    )); // C-FIND-RSP
    peer.say(&pdus(STORAGE, false, &OBJECT.bytes(), 16384));
    assert_eq!(peer.echo(), 0x0000);
}

#[test]
fn a_response_keeps_to_the_peers_maximum_length() {
    let server = Server::start();
    for pdu_bytes_max in [8_u32, 64, 4096] {
        let mut request = proposal();
        request.user_items[0] = proposal::item(0x51, &pdu_bytes_max.to_be_bytes());
        let mut peer = server.connect();
        peer.say(&request.bytes());
        assert_eq!(peer.hear().unwrap()[0], 2);
        let echo = command(0x0030, 7, "1.2.840.10008.1.1", None, false);
        peer.say(&pdus(VERIFICATION, true, &echo, 16384));
        let mut response = Vec::new();
        loop {
            let pdu = peer.hear().unwrap();
            assert!(pdu.len() - 6 <= pdu_bytes_max as usize);
            response.extend(&pdu[12..]);
            if pdu[11] == 3 {
                break;
            }
        }
        assert_eq!(us(&response, 0x0900), Some(0x0000));
    }
}
