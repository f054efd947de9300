//! Proposals as bytes, each field under its name, against the answers of PS3.8 §9.3.3 and §9.3.4.

use std::time::Duration;

use super::*;
use crate::dicom::AeTitles;
use crate::dimse::tests::proposal::{CT, EXPLICIT, IMPLICIT, Request, context, counted, item};

const JPEG_2000: &str = "1.2.840.10008.1.2.4.90";

fn settings() -> Settings {
    Settings {
        listen: "127.0.0.1:0".parse().unwrap(),
        ae_title: AeTitle::parse("OVERREAD").unwrap(),
        called_ae_titles: AeTitles::parse(&["SECOND"]).unwrap(),
        calling_ae_titles: AeTitles::parse(&["CT1"]).unwrap(),
        modalities: crate::dimse::Modalities::default(),
        tls: None,
        identity: None,
        max_pdu_bytes: 0x0002_0000,
        associations_max: 2,
        moves_max: 1,
        artim_timeout: Duration::from_secs(1),
        idle_timeout: Duration::from_secs(1),
        object_bytes_max: 1 << 20,
        commitment_keep: std::time::Duration::from_secs(60),
        outgoing: crate::dimse::scu::Settings::of(AeTitle::parse("OVERREAD").unwrap()),
    }
}

fn decide(bytes: &[u8]) -> Result<Agreement, Refusal> {
    let proposal = Proposal::parse(bytes)?;
    let admitted = Admitted {
        rights: proposal.admit(&settings(), "192.0.2.1".parse().unwrap())?,
        wants_identity_answer: false,
    };
    proposal.negotiate(&settings(), admitted)
}

impl Request {
    fn negotiate(&self) -> Result<Agreement, Refusal> {
        decide(&self.bytes())
    }

    /// The items of the A-ASSOCIATE-AC after the application context: (type, content).
    fn answer(&self) -> Vec<(u8, Vec<u8>)> {
        let answer = self.negotiate().unwrap().answer;
        assert_eq!(answer[0], 2);
        assert_eq!(
            answer[2..6],
            u32::try_from(answer.len() - 6).unwrap().to_be_bytes()
        );
        let top = split(&answer[74..]);
        assert_eq!(top[0], (0x10, APPLICATION_CONTEXT.as_bytes().to_vec()));
        let mut items = top[1..top.len() - 1].to_vec();
        let user = top.last().unwrap();
        assert_eq!(user.0, 0x50);
        items.extend(split(&user.1));
        items
    }

    fn user_items(&self, kind: u8) -> Vec<Vec<u8>> {
        self.answer()
            .into_iter()
            .filter(|(k, _)| *k == kind)
            .map(|(_, content)| content)
            .collect()
    }

    /// ID and result of each presentation context.
    fn results(&self) -> Vec<(u8, u8)> {
        self.user_items(0x21)
            .iter()
            .map(|content| (content[0], content[2]))
            .collect()
    }
}

fn split(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut items = Vec::new();
    while let [kind, 0, a, b, rest @ ..] = bytes {
        let (content, rest) = rest.split_at(usize::from(u16::from_be_bytes([*a, *b])));
        items.push((*kind, content.to_vec()));
        bytes = rest;
    }
    assert_eq!(bytes, b"");
    items
}

/// Result, source and reason as PS3.8 Table 9-21 numbers them.
fn numbers(refusal: Refusal) -> [u8; 3] {
    let Refusal::Reject(rejection) = refusal else {
        panic!("{refusal:?}")
    };
    pdu::encode(&Pdu::AssociationRJ(rejection)).unwrap()[7..10]
        .try_into()
        .unwrap()
}

#[test]
fn the_answer_is_laid_out_as_the_standard_says() {
    let request = Request::default();
    let answer = request.negotiate().unwrap().answer;
    let mut expected = vec![2, 0]; // A-ASSOCIATE-AC, reserved
    expected.extend(u32::try_from(answer.len() - 6).unwrap().to_be_bytes());
    expected.extend([0, 1, 0, 0]); // protocol version, reserved
    expected.extend(b"OVERREAD        CT1             "); // as they came
    expected.extend([0x5A; 32]); // as it came
    expected.extend(item(0x10, b"1.2.840.10008.3.1.1.1"));
    let mut context = vec![1, 0, 0, 0]; // ID, reserved, acceptance, reserved
    context.extend(item(0x40, IMPLICIT.as_bytes()));
    expected.extend(item(0x21, &context));
    let mut user = item(0x51, &[0, 2, 0, 0]); // we take 131072 bytes
    user.extend(item(0x52, part10::IMPLEMENTATION_CLASS_UID.as_bytes()));
    user.extend(item(0x55, part10::IMPLEMENTATION_VERSION_NAME.as_bytes()));
    expected.extend(item(0x50, &user));
    assert_eq!(answer, expected);
}

#[test]
fn who_is_not_let_in_hears_why() {
    let default = Request::default;
    let wrong_context = vec![item(0x10, b"1.2.840.10008.3.1.1.2")];
    let cases = [
        (
            "version 2 only",
            Request {
                version: 2,
                ..default()
            },
            [1, 2, 2],
        ),
        (
            "another application context",
            Request {
                items: wrong_context,
                ..default()
            },
            [1, 1, 2],
        ),
        (
            "no application context",
            Request {
                items: vec![],
                ..default()
            },
            [1, 1, 2],
        ),
        (
            "called somebody else",
            Request {
                called: b"ELSEWHERE       ",
                ..default()
            },
            [1, 1, 7],
        ),
        (
            "called nobody",
            Request {
                called: b"                ",
                ..default()
            },
            [1, 1, 7],
        ),
        (
            "called in lower case",
            Request {
                called: b"overread        ",
                ..default()
            },
            [1, 1, 7],
        ),
        (
            "called with a control character",
            Request {
                called: b"OVER\nREAD       ",
                ..default()
            },
            [1, 1, 7],
        ),
        (
            "calling is a stranger",
            Request {
                calling: b"CT2             ",
                ..default()
            },
            [1, 1, 3],
        ),
        (
            "calling is nobody",
            Request {
                calling: b"                ",
                ..default()
            },
            [1, 1, 3],
        ),
    ];
    for (what, request, expected) in cases {
        assert_eq!(
            numbers(request.negotiate().unwrap_err()),
            expected,
            "{what}"
        );
    }
}

#[test]
fn other_names_and_versions_are_let_in() {
    for request in [
        Request {
            called: b"SECOND          ",
            ..Request::default()
        },
        Request {
            called: b"        OVERREAD",
            ..Request::default()
        },
        Request {
            calling: b"CT1\0\0\0\0\0\0\0\0\0\0\0\0\0",
            ..Request::default()
        },
        Request {
            version: 0xFFFF,
            ..Request::default()
        },
    ] {
        request.negotiate().unwrap();
    }
}

#[test]
fn contexts_are_answered_one_by_one() {
    let request = Request::with_contexts(vec![
        context(1, "1.2.840.10008.1.1", &[EXPLICIT, IMPLICIT]),
        context(3, CT, &["1.2.840.10008.1.2.4.94", JPEG_2000, IMPLICIT]), // JPIP is passed over
        context(5, CT, &["1.2.840.10008.1.2.4.94", "1.2.3.4"]),
        context(7, CT, &[]),
        context(9, "1.2.840.10008.5.1.4.1.2.2.1", &[IMPLICIT]), // Study Root FIND
        context(11, "1.2.840.10008.5.1.4.31", &[IMPLICIT]),     // Modality Worklist
        context(13, "1.2.840.10008.5.1.4.1.1.999", &[IMPLICIT]), // storage of a later edition
        context(15, "1.2.840.113619.4.30", &[IMPLICIT]),        // private
        context(17, "1.2.840.10008.1.1", &[JPEG_2000]),
        context(19, "no UID", &[IMPLICIT]),
        context(21, "1.2.840.10008.5.1.4.1.1.2\0", &["1.2.840.10008.1.2 "]), // padded
        context(255, "1.2.840.10008.1.20.1", &[IMPLICIT]),                   // Storage Commitment
    ]);
    let expected = [
        (1, 0),
        (3, 0),
        (5, 4),
        (7, 4),
        (9, 0),
        (11, 3),
        (13, 0),
        (15, 0),
        (17, 4),
        (19, 3),
        (21, 0),
        (255, 0),
    ];
    assert_eq!(request.results(), expected);

    let agreement = request.negotiate().unwrap();
    let accepted = |id: u8| {
        let context = agreement.context(id)?;
        Some((context.service, context.transfer_syntax_uid.as_str()))
    };
    assert_eq!(accepted(1), Some((Service::Verification, EXPLICIT)));
    assert_eq!(accepted(3), Some((Service::Storage, JPEG_2000)));
    assert_eq!(accepted(15), Some((Service::Storage, IMPLICIT)));
    let find = Service::QueryRetrieve(Model::Study, Deed::Find, Options::default());
    assert_eq!(accepted(9), Some((find, IMPLICIT)));
    for never in [0, 2, 5, 11, 16, 22, 23, 253, 254] {
        assert_eq!(accepted(never), None, "{never}");
    }
}

#[test]
fn a_proposal_of_128_contexts_with_every_syntax_is_answered_in_full() {
    let syntaxes: Vec<&str> = crate::dicom::transfer_syntax::TRANSFER_SYNTAXES
        .iter()
        .rev()
        .map(|t| t.uid)
        .collect();
    let contexts = (0..128)
        .map(|n| context(2 * n + 1, CT, &syntaxes))
        .collect();
    let results = Request::with_contexts(contexts).results();
    assert_eq!(results.len(), 128);
    assert!(
        results
            .iter()
            .enumerate()
            .all(|(n, result)| *result == (u8::try_from(2 * n + 1).unwrap(), 0))
    );
}

#[test]
fn a_class_of_the_standard_is_storage_when_the_requestor_says_so() {
    let hanging_protocol = "1.2.840.10008.5.1.4.38.1";
    let mut request = Request::with_contexts(vec![context(1, hanging_protocol, &[IMPLICIT])]);
    assert_eq!(request.results(), [(1, 3)]);
    let mut common = counted(hanging_protocol);
    common.extend(counted(STORAGE_SERVICE_CLASS));
    common.extend([0, 0]); // no related general SOP class
    request.user_items.push(item(0x57, &common));
    assert_eq!(request.results(), [(1, 0)]);
    assert_eq!(request.user_items(0x57), [b""; 0]);
}

#[test]
fn what_was_not_offered_is_not_answered() {
    let kinds: Vec<u8> = Request::default()
        .answer()
        .into_iter()
        .map(|(kind, _)| kind)
        .collect();
    assert_eq!(kinds, [0x21, 0x51, 0x52, 0x55]);
}

#[test]
fn what_was_offered_is_answered() {
    let mut role = counted(CT);
    role.extend([1, 1]); // SCU and SCP
    let mut role_unknown = counted("1.2.3");
    role_unknown.extend([1, 1]);
    let mut extended = counted(CT);
    extended.extend([2, 0, 0]);
    let request = Request::with_user_items(vec![
        item(0x53, &[0, 4, 0, 8]), // 4 invoked, 8 performed
        item(0x54, &role),
        item(0x54, &role_unknown),
        item(0x56, &extended),
        item(0x58, &[1, 1, 0, 1, b'X', 0, 0]), // a user name, response requested
        item(0x5F, b"from the future"),
    ]);
    let kinds: Vec<u8> = request.answer().into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, [0x21, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56]);
    assert_eq!(request.user_items(0x53), [[0, 4, 0, 1]]);
    let mut role = counted(CT);
    role.extend([1, 0]); // SCU, not SCP
    assert_eq!(request.user_items(0x54), [role]);
    let mut extended = counted(CT);
    extended.extend([2, 0, 0]); // Level 2; as many bytes as offered
    assert_eq!(request.user_items(0x56), [extended]);
}

#[test]
fn a_requestor_of_c_get_may_be_scp() {
    let get = "1.2.840.10008.5.1.4.1.2.2.3"; // Study Root GET
    let mut role = counted(CT);
    role.extend([0, 1]); // SCP only
    let mut extended = counted(get);
    extended.extend([1, 1]); // relational, multi-frame conversion
    let mut request = Request::with_user_items(vec![item(0x54, &role), item(0x56, &extended)]);
    request.items = Request::with_contexts(vec![
        context(1, get, &[IMPLICIT]),
        context(3, CT, &["1.2.840.10008.1.2.4.81", JPEG_2000, IMPLICIT]), // near-lossless first
        context(5, CT, &["1.2.840.10008.1.2.4.81"]),
        context(7, "1.2.840.10008.5.1.4.1.1.4", &[JPEG_2000]), // MR: no role was selected
    ])
    .items;
    assert_eq!(request.user_items(0x54), [role]);
    let mut granted = counted(get);
    granted.extend([1, 0]);
    assert_eq!(request.user_items(0x56), [granted]);
    let agreement = request.negotiate().unwrap();
    let of = |id| {
        let context = agreement.context(id).unwrap();
        (
            context.takes_instances,
            context.transfer_syntax_uid.as_str(),
        )
    };
    // What every instance can be given in goes before what the requestor likes best.
    assert_eq!(of(3), (true, JPEG_2000));
    assert_eq!(of(5), (true, "1.2.840.10008.1.2.4.81"));
    assert_eq!(of(7), (false, JPEG_2000));
    let Service::QueryRetrieve(Model::Study, Deed::Get, options) =
        agreement.context(1).unwrap().service
    else {
        panic!("Study Root GET");
    };
    assert!(options.is_relational);
}

#[test]
fn the_peers_maximum_length_is_clamped() {
    for (announced, sent) in [(0_u32, 131_072), (u32::MAX, 131_072), (4096, 4096), (8, 8)] {
        let mut request = Request::default();
        request.user_items[0] = item(0x51, &announced.to_be_bytes());
        assert_eq!(
            request.negotiate().unwrap().sent_pdu_bytes_max,
            sent,
            "{announced}"
        );
    }
    let mut request = Request::default();
    request.user_items[0] = item(0x51, &[0, 0, 0, 7]);
    assert_eq!(
        request.negotiate().unwrap_err(),
        Refusal::Abort(Violation::InvalidParameter)
    );
}

#[test]
fn what_is_no_proposal_is_aborted() {
    let even = Request::with_contexts(vec![context(2, CT, &[IMPLICIT])]);
    let twice = Request::with_contexts(vec![
        context(1, CT, &[IMPLICIT]),
        context(1, CT, &[EXPLICIT]),
    ]);
    let no_abstract = Request::with_contexts(vec![item(0x20, &[1, 0, 0, 0])]);
    for (what, request) in [
        ("even", even),
        ("twice", twice),
        ("no abstract syntax", no_abstract),
    ] {
        assert_eq!(
            request.negotiate().unwrap_err(),
            Refusal::Abort(Violation::InvalidParameter),
            "{what}"
        );
    }
    let mut unknown = Request::default();
    unknown.items.push(item(0x99, b""));
    assert_eq!(
        unknown.negotiate().unwrap_err(),
        Refusal::Abort(Violation::UnrecognizedParameter)
    );
}

#[test]
fn a_proposal_cut_anywhere_or_with_any_byte_changed_does_not_panic() {
    let mut role = counted(CT);
    role.extend([1, 1]);
    let bytes = Request::with_user_items(vec![
        item(0x54, &role),
        item(0x56, &role),
        item(0x57, &role),
        item(0x58, &[2, 1, 0, 1, b'X', 0, 1, b'Y']),
    ])
    .bytes();
    for at in 0..bytes.len() {
        let mut cut = bytes[..at].to_vec();
        if let Some(field) = cut.get_mut(2..6) {
            field.copy_from_slice(&u32::try_from(at - 6).unwrap().to_be_bytes());
        }
        let _ = decide(&cut);
        for value in [0, 1, 0x7F, 0xFF] {
            let mut changed = bytes.clone();
            changed[at] = value;
            let _ = decide(&changed);
        }
    }
}
