//! Every row of the state table (PS3.8 Table 9-10) that a peer can reach.

use super::*;

/// PDU headers with the reason of the A-ABORT that answers them where they do not belong.
const NEVER_EXPECTED: [(&str, &[u8], u8); 7] = [
    ("A-ASSOCIATE-AC", &[2, 0, 0, 0, 0, 68], 2),
    ("A-ASSOCIATE-RJ", &[3, 0, 0, 0, 0, 4, 0, 1, 1, 1], 2),
    ("A-RELEASE-RP", &[6, 0, 0, 0, 0, 4, 0, 0, 0, 0], 2),
    ("type 0", &[0, 0, 0, 0, 0, 0], 1),
    ("type 8", &[8, 0, 0, 0, 0, 0], 1),
    ("type 255", &[255, 0, 0, 0, 0, 0], 1),
    ("an HTTP request", b"GET / HTTP/1.1\r\n\r\n", 1),
];

/// What is said after `prepare` must be answered with exactly this A-ABORT, then the close.
fn check_abort(prepare: impl Fn() -> Requestor, what: &str, bytes: &[u8], source: u8, reason: u8) {
    let mut peer = prepare();
    peer.say(bytes);
    assert_eq!(
        peer.hear().as_deref(),
        Some(&abort(source, reason)[..]),
        "{what}"
    );
    assert_eq!(peer.hear(), None, "{what}");
}

#[test]
fn an_echo_is_answered_byte_by_byte_as_the_standard_says() {
    let server = Server::start();
    let mut peer = server.associate();
    #[rustfmt::skip]
    peer.say(&[
        4, 0, 0, 0, 0, 74, // P-DATA-TF of 74
        0, 0, 0, 70, 1, 3, // PDV of 70, context 1, last of a command
        0, 0, 0x00, 0x00, 4, 0, 0, 0, 56, 0, 0, 0, // Command Group Length
        0, 0, 0x02, 0x00, 18, 0, 0, 0, // Affected SOP Class UID
        b'1', b'.', b'2', b'.', b'8', b'4', b'0', b'.', b'1', b'0', b'0', b'0', b'8', b'.', b'1', b'.', b'1', 0,
        0, 0, 0x00, 0x01, 2, 0, 0, 0, 0x30, 0x00, // Command Field: C-ECHO-RQ
        0, 0, 0x10, 0x01, 2, 0, 0, 0, 0x39, 0x30, // Message ID: 12345
        0, 0, 0x00, 0x08, 2, 0, 0, 0, 0x01, 0x01, // Command Data Set Type: none
    ]);
    #[rustfmt::skip]
    let expected = [
        4, 0, 0, 0, 0, 84, // P-DATA-TF of 84
        0, 0, 0, 80, 1, 3, // PDV of 80, context 1, last of a command
        0, 0, 0x00, 0x00, 4, 0, 0, 0, 66, 0, 0, 0, // Command Group Length
        0, 0, 0x02, 0x00, 18, 0, 0, 0, // Affected SOP Class UID
        b'1', b'.', b'2', b'.', b'8', b'4', b'0', b'.', b'1', b'0', b'0', b'0', b'8', b'.', b'1', b'.', b'1', 0,
        0, 0, 0x00, 0x01, 2, 0, 0, 0, 0x30, 0x80, // Command Field: C-ECHO-RSP
        0, 0, 0x20, 0x01, 2, 0, 0, 0, 0x39, 0x30, // Message ID Being Responded To
        0, 0, 0x00, 0x08, 2, 0, 0, 0, 0x01, 0x01, // Command Data Set Type: none
        0, 0, 0x00, 0x09, 2, 0, 0, 0, 0x00, 0x00, // Status: success
    ];
    assert_eq!(peer.hear().unwrap(), expected);
    peer.release();
}

#[test]
fn before_an_association_only_a_request_is_expected() {
    let server = Server::start();
    for (what, bytes, reason) in NEVER_EXPECTED {
        check_abort(|| server.connect(), what, bytes, 2, reason);
    }
    check_abort(
        || server.connect(),
        "data",
        &pdus(1, true, &OBJECT.command(1), 16384),
        2,
        2,
    );
    check_abort(|| server.connect(), "release", &RELEASE_RQ, 2, 2);
}

#[test]
fn a_request_of_impossible_length_is_aborted() {
    let server = Server::start();
    for (what, header) in [
        ("0", [1, 0, 0, 0, 0, 0]),
        ("67", [1, 0, 0, 0, 0, 67]),
        ("1 MiB and 1", [1, 0, 0, 0x10, 0, 1]),
        ("4 GiB", [1, 0, 0xFF, 0xFF, 0xFF, 0xFF]),
    ] {
        check_abort(|| server.connect(), what, &header, 2, 6);
    }
    let mut garbage = vec![1, 0, 0, 0, 0x10, 0]; // A-ASSOCIATE-RQ of 4096
    garbage.extend([0xFF; 4096]);
    check_abort(|| server.connect(), "items that are none", &garbage, 2, 6);
}

#[test]
fn a_request_that_is_rejected_hears_why() {
    let server = Server::start();
    for (request, rejection) in [
        (
            Request {
                version: 2,
                ..proposal()
            },
            [1, 2, 2],
        ),
        (
            Request {
                items: vec![],
                ..proposal()
            },
            [1, 1, 2],
        ),
        (
            Request {
                called: b"ELSEWHERE       ",
                ..proposal()
            },
            [1, 1, 7],
        ),
    ] {
        let mut peer = server.connect();
        peer.say(&request.bytes());
        let mut expected = vec![3, 0, 0, 0, 0, 4, 0]; // A-ASSOCIATE-RJ of 4, reserved
        expected.extend(rejection); // result, source, reason
        assert_eq!(peer.hear().unwrap(), expected);
        assert_eq!(peer.hear(), None);
    }
}

#[test]
fn an_abort_before_an_association_is_not_answered() {
    let server = Server::start();
    let mut peer = server.connect();
    peer.say(&abort(0, 0));
    assert_eq!(peer.hear(), None);
}

#[test]
fn silence_before_an_association_ends_with_artim() {
    let server = Server::with(|settings| settings.artim_timeout = SHORT);
    let request = proposal().bytes();
    for said in [0, 3, 6, 100, request.len() - 1] {
        let mut peer = server.connect();
        peer.say(&request[..said]);
        assert_eq!(peer.hear(), None, "after {said} bytes");
    }
}

#[test]
fn a_request_may_come_byte_by_byte() {
    let server = Server::start();
    let mut peer = server.connect();
    for byte in proposal().bytes() {
        peer.say(&[byte]);
    }
    assert_eq!(peer.hear().unwrap()[0], 2);
    assert_eq!(peer.echo(), 0x0000);
}

#[test]
fn in_an_association_only_data_release_and_abort_are_expected() {
    let server = Server::start();
    for (what, bytes, reason) in NEVER_EXPECTED {
        check_abort(|| server.associate(), what, bytes, 2, reason);
    }
    check_abort(
        || server.associate(),
        "a second request",
        &proposal().bytes(),
        2,
        2,
    );
}

#[test]
fn data_that_lies_is_aborted() {
    let server = Server::start();
    let store = OBJECT.command(1);
    let begun = p_data(&pdv(STORAGE, 3, &store));
    let with_command = |rest: &[u8]| [&begun, rest].concat();
    let endless: Vec<u8> = (0..5)
        .flat_map(|_| p_data(&pdv(STORAGE, 1, &[0; 16000])))
        .collect();
    for (what, bytes, reason) in [
        ("PDU of 4 GiB", vec![4, 0, 0xFF, 0xFF, 0xFF, 0xFF], 6),
        ("PDU one above what we take", vec![4, 0, 0, 0, 0x40, 1], 6),
        ("PDU of 0", vec![4, 0, 0, 0, 0, 0], 6),
        (
            "PDV longer than its PDU",
            vec![4, 0, 0, 0, 0, 6, 0, 0, 0, 3, STORAGE, 3],
            6,
        ),
        (
            "PDV of 1",
            vec![4, 0, 0, 0, 0, 6, 0, 0, 0, 1, STORAGE, 3],
            6,
        ),
        (
            "PDV of 4 GiB",
            vec![4, 0, 0, 0, 0, 6, 0xFF, 0xFF, 0xFF, 0xFF, STORAGE, 3],
            6,
        ),
        ("a context never proposed", p_data(&pdv(9, 3, &store)), 6),
        ("an even context", p_data(&pdv(4, 3, &store)), 6),
        (
            "a context not accepted",
            p_data(&pdv(WORKLIST, 3, &store)),
            6,
        ),
        (
            "a command that is none",
            p_data(&pdv(STORAGE, 3, b"rubbish!")),
            6,
        ),
        ("an empty command", p_data(&pdv(STORAGE, 3, b"")), 6),
        ("a command without end", endless, 6),
        (
            "a command that changes its context",
            p_data(
                &[
                    pdv(STORAGE, 1, &store[..8]),
                    pdv(VERIFICATION, 3, &store[8..]),
                ]
                .concat(),
            ),
            6,
        ),
        ("data without command", p_data(&pdv(STORAGE, 2, b"data")), 5),
        (
            "data inside a command",
            p_data(&[pdv(STORAGE, 1, &store[..8]), pdv(STORAGE, 0, b"data")].concat()),
            5,
        ),
        (
            "a command inside data",
            with_command(&p_data(
                &[pdv(STORAGE, 0, b""), pdv(STORAGE, 3, &store)].concat(),
            )),
            5,
        ),
        (
            "data on another context",
            with_command(&p_data(&pdv(IMPLICIT_STORAGE, 0, b"data"))),
            6,
        ),
    ] {
        check_abort(|| server.associate(), what, &bytes, 2, reason);
    }
    assert_eq!(server.archive.totals().unwrap().instances, 0);
}

#[test]
fn silence_in_an_association_is_aborted() {
    let server = Server::with(|settings| settings.idle_timeout = SHORT);
    let store = pdus(STORAGE, true, &OBJECT.command(1), 16384);
    for (what, bytes) in [
        ("between messages", vec![]),
        ("half a PDU header", vec![4, 0, 0]),
        ("half a PDV header", vec![4, 0, 0, 0, 0, 6, 0, 0]),
        ("half a command", store[..20].to_vec()),
        ("a command without its data", store.clone()),
        (
            "half an object",
            [
                &store[..],
                &p_data(&pdv(STORAGE, 0, &OBJECT.bytes()[..300])),
            ]
            .concat(),
        ),
        ("half a release", RELEASE_RQ[..8].to_vec()),
    ] {
        check_abort(|| server.associate(), what, &bytes, 0, 0);
    }
    assert_eq!(server.archive.totals().unwrap().instances, 0);
}

#[test]
fn an_abort_is_not_answered_and_leaves_nothing() {
    let server = Server::start();
    let store = pdus(STORAGE, true, &OBJECT.command(1), 16384);
    for before in [
        &[][..],
        &store,
        &[&store[..], &p_data(&pdv(STORAGE, 0, &OBJECT.bytes()))].concat(),
    ] {
        let mut peer = server.associate();
        peer.say(before);
        peer.say(&abort(0, 0));
        assert_eq!(peer.hear(), None);
    }
    assert_eq!(server.archive.totals().unwrap().instances, 0);
}

#[test]
fn a_closed_connection_leaves_nothing() {
    let server = Server::start();
    let mut peer = server.associate();
    peer.say(&pdus(STORAGE, true, &OBJECT.command(1), 16384));
    peer.say(&p_data(&pdv(STORAGE, 0, &OBJECT.bytes())));
    peer.finish_writing();
    assert_eq!(peer.hear(), None);
    assert_eq!(server.archive.totals().unwrap().instances, 0);
}

#[test]
fn a_release_in_the_middle_of_an_object_is_granted_and_leaves_nothing() {
    let server = Server::start();
    let mut peer = server.associate();
    peer.say(&pdus(STORAGE, true, &OBJECT.command(1), 16384));
    peer.say(&p_data(&pdv(STORAGE, 0, &OBJECT.bytes())));
    peer.release();
    assert_eq!(server.archive.totals().unwrap().instances, 0);
}

#[test]
fn after_the_release_nothing_is_answered() {
    let server = Server::start();
    for (what, more) in [
        ("release again", RELEASE_RQ),
        ("abort", abort(0, 0)),
        ("rubbish", [9; 10]),
    ] {
        let mut peer = server.associate();
        peer.say(&[RELEASE_RQ, more].concat());
        assert_eq!(peer.hear().unwrap(), RELEASE_RP, "{what}");
        assert_eq!(peer.hear(), None, "{what}");
    }
}

#[test]
fn after_our_abort_nothing_is_answered() {
    let server = Server::start();
    let mut peer = server.associate();
    peer.say(&[9; 6]); // a PDU of type 9
    peer.say(&proposal().bytes());
    peer.say(&RELEASE_RQ);
    assert_eq!(peer.hear().unwrap(), abort(2, 1));
    assert_eq!(peer.hear(), None);
}
