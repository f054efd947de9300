//! What a C-MOVE uses: [`scu::send`] with an observer, between two archives in memory, and to a
//! peer that shows what it hears.

use std::net::TcpListener;
use std::time::Duration;

use super::*;
use crate::archive::{Error, Located};
use crate::dimse::scu::{self, Fate, Observer, Originator, Peer, Report};

const OBJECTS: [Object; 4] = [
    Object {
        instance: "1.2.3.4.1",
        ..OBJECT
    },
    Object {
        instance: "1.2.3.4.2",
        ..OBJECT
    },
    Object {
        instance: "1.2.3.4.3",
        pixel_bytes: 300_000,
        ..OBJECT
    },
    Object {
        instance: "1.2.3.4.4",
        ..OBJECT
    },
];

/// Notes what it is told; wants to stop after so many.
struct Notes {
    told: Vec<(String, Fate)>,
    stop_after: usize,
}

impl Observer for Notes {
    fn ended(&mut self, instance: &Located, fate: &Fate) {
        let uid = instance.sop_instance_uid.as_str().to_owned();
        self.told.push((uid, fate.clone()));
    }

    fn is_cancelled(&mut self) -> bool {
        self.told.len() >= self.stop_after
    }
}

fn filled() -> Server {
    let server = Server::start();
    let mut peer = server.associate();
    for object in &OBJECTS {
        assert_eq!(peer.store(object), 0);
    }
    peer.release();
    server
}

fn send(
    from: &Server,
    to: SocketAddr,
    originator: Option<Originator>,
    stop_after: usize,
) -> Result<(Report, Vec<(String, Fate)>), Error> {
    let title = |text| AeTitle::parse(text).unwrap();
    let peer = Peer {
        ae_title: title("OVERREAD"),
        host: to.ip().to_string().into(),
        port: to.port(),
        tls: None,
    };
    let settings = scu::Settings {
        answer_timeout: PATIENCE,
        back_off: Duration::from_millis(1),
        associations: 1,
        window: 1,
        ..scu::Settings::of(title("US"))
    };
    let request = scu::Request {
        targets: &[Target::Study(uid("1.2.3"))],
        scope: &Scope::All,
        peer: &peer,
        originator,
    };
    let mut notes = Notes {
        told: Vec::new(),
        stop_after,
    };
    let (report, missing) = scu::send(&from.archive, &request, &settings, &mut notes)?;
    assert!(missing.is_empty());
    Ok((report, notes.told))
}

#[test]
fn each_instance_arrives_and_is_told_once() {
    let (from, to) = (filled(), Server::start());
    let (report, mut told) = send(&from, to.address(), None, usize::MAX).unwrap();
    assert_eq!((report.total, report.stored, report.left()), (4, 4, 0));
    told.sort_by(|a, b| a.0.cmp(&b.0));
    let expected = OBJECTS.map(|object| (object.instance.to_owned(), Fate::Stored));
    assert_eq!(told, expected);
    for object in &OBJECTS {
        assert_eq!(to.held(object).unwrap(), object.bytes());
    }
}

#[test]
fn an_observer_can_end_it() {
    let (from, to) = (filled(), Server::start());
    let (report, told) = send(&from, to.address(), None, 0).unwrap();
    assert_eq!(told.len() as u64 + report.left(), 4);
    assert_eq!(report.failed, 0);
}

/// A-ASSOCIATE-AC (PS3.8 Table 9-17) that takes the first context, as stored.
fn acceptance() -> Vec<u8> {
    let item = |kind: u8, value: &[u8]| {
        let mut bytes = vec![kind, 0];
        bytes.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
        bytes.extend(value);
        bytes
    };
    let mut body = vec![0, 1, 0, 0];
    body.extend([0; 64]);
    let syntax = item(0x40, EXPLICIT.as_bytes());
    body.extend(item(0x21, &[&[1, 0, 0, 0][..], &syntax].concat()));
    body.extend(item(0x50, &item(0x51, &[0, 0, 0x40, 0])));
    let mut bytes = vec![2, 0];
    bytes.extend(u32::try_from(body.len()).unwrap().to_be_bytes());
    bytes.extend(body);
    bytes
}

#[test]
fn who_asked_for_a_move_is_named() {
    let from = filled();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let heard = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut peer = Requestor(stream);
        assert_eq!(peer.hear().unwrap()[0], 1, "A-ASSOCIATE-RQ");
        peer.say(&acceptance());
        let command = peer.hear().unwrap();
        peer.say(&abort(0, 0));
        command
    });
    let originator = Originator {
        ae_title: AeTitle::parse("VIEWER").unwrap(),
        message_id: 0x1234,
    };
    // PS3.7 Table 9.3-1: (0000,1030) and (0000,1031).
    let (report, _) = send(&from, address, Some(originator), usize::MAX).unwrap();
    assert_eq!((report.stored, report.failed), (0, 4));
    let command = heard.join().unwrap();
    let title = command_element(0x1030, b"VIEWER");
    assert!(command.windows(title.len()).any(|bytes| bytes == title));
    assert_eq!(us(&command[12..], 0x1031), Some(0x1234));
}
