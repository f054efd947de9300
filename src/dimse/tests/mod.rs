//! The door as a peer meets it: raw bytes over a loopback socket, a real archive behind it.

pub(crate) mod proposal;

mod associations;
mod limits;
mod outgoing;
mod stores;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::access::Scope;
use crate::archive::{Archive, DuplicatePolicy, IngestSettings, Target};
use crate::dicom::walk::Limits;
use crate::dicom::{AeTitle, AeTitles, Uid};
use crate::dimse::{Listener, Running, Settings};
use crate::{db, store};
use proposal::{CT, EXPLICIT, IMPLICIT, Request, context};

/// Longer than any answer takes, so that a missing one fails a test instead of hanging it.
const PATIENCE: Duration = Duration::from_secs(20);
/// For timers that a test waits for.
const SHORT: Duration = Duration::from_millis(150);

/// Presentation contexts of [`Server::associate`].
const VERIFICATION: u8 = 1;
const STORAGE: u8 = 3;
const IMPLICIT_STORAGE: u8 = 5;
/// Proposed, not accepted.
const WORKLIST: u8 = 7;

/// A-ABORT of PS3.8 §9.3.8 with its source and reason.
const fn abort(source: u8, reason: u8) -> [u8; 10] {
    [7, 0, 0, 0, 0, 4, 0, 0, source, reason]
}
const RELEASE_RQ: [u8; 10] = [5, 0, 0, 0, 0, 4, 0, 0, 0, 0];
const RELEASE_RP: [u8; 10] = [6, 0, 0, 0, 0, 4, 0, 0, 0, 0];

struct Server {
    running: Running,
    archive: Archive,
}

impl Server {
    fn start() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings {
            listen: "127.0.0.1:0".parse().unwrap(),
            ae_title: AeTitle::parse("OVERREAD").unwrap(),
            called_ae_titles: AeTitles::These(Vec::new()),
            calling_ae_titles: AeTitles::Any,
            modalities: crate::dimse::Modalities::default(),
            tls: None,
            identity: None,
            max_pdu_bytes: 16384,
            associations_max: 32,
            moves_max: 4,
            artim_timeout: PATIENCE,
            idle_timeout: PATIENCE,
            object_bytes_max: 1 << 20,
            commitment_keep: Duration::from_secs(86_400),
            outgoing: crate::dimse::scu::Settings::of(AeTitle::parse("OVERREAD").unwrap()),
        };
        change(&mut settings);
        let small = IngestSettings::small();
        let ingest = IngestSettings {
            duplicate: DuplicatePolicy::Quarantine,
            limits: Limits {
                object_bytes_max: settings.object_bytes_max,
                ..small.limits
            },
            ..small
        };
        let index = Arc::new(db::Memory::default());
        let blobs = Arc::new(store::Memory::default());
        let (archive, _) = Archive::open(index, blobs, ingest).unwrap();
        let running = Listener::bind(settings, archive.clone(), None)
            .unwrap()
            .start()
            .unwrap();
        Self { running, archive }
    }

    fn address(&self) -> SocketAddr {
        self.running.local_addr()
    }

    /// A connection on which nothing was said yet.
    fn connect(&self) -> Requestor {
        Requestor::connect(self.address())
    }

    /// An established association with the contexts above.
    fn associate(&self) -> Requestor {
        let mut peer = self.connect();
        peer.say(&proposal().bytes());
        assert_eq!(peer.hear().unwrap()[0], 2, "A-ASSOCIATE-AC");
        peer
    }

    /// An association that has sent the command of a C-STORE, and the server has read it.
    fn begin(&self, object: &Object) -> Requestor {
        let mut peer = self.associate();
        peer.say(&pdus(STORAGE, true, &object.command(9), 16384));
        while self.running.busy() == 0 {
            thread::yield_now();
        }
        peer
    }

    /// The data set bytes held under a SOP Instance UID of [`Object`].
    fn held(&self, object: &Object) -> Option<Vec<u8>> {
        let target = Target::Instance(uid(object.study), uid("1.2.3.4"), uid(object.instance));
        let located = self.archive.locate(&target, &Scope::All, None, 2).unwrap();
        let [located] = &located[..] else { return None };
        let file_bytes = usize::try_from(located.locator.length).unwrap();
        let mut bytes = vec![0; file_bytes - located.dataset_offset as usize];
        self.archive
            .read_at(located, located.dataset_offset.into(), &mut bytes)
            .unwrap();
        Some(bytes)
    }
}

fn uid(text: &str) -> Uid {
    Uid::parse(text).unwrap()
}

fn proposal() -> Request {
    Request::with_contexts(vec![
        context(VERIFICATION, "1.2.840.10008.1.1", &[IMPLICIT]),
        context(STORAGE, CT, &[EXPLICIT]),
        context(IMPLICIT_STORAGE, CT, &[IMPLICIT]),
        context(WORKLIST, "1.2.840.10008.5.1.4.31", &[IMPLICIT]),
    ])
}

/// The other side.
struct Requestor(TcpStream);

impl Requestor {
    fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(stream)
    }

    fn say(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    /// The next PDU; `None` when the server has closed.
    fn hear(&mut self) -> Option<Vec<u8>> {
        let mut pdu = vec![0; 6];
        if self.0.read(&mut pdu[..1]).unwrap() == 0 {
            return None;
        }
        self.0.read_exact(&mut pdu[1..]).unwrap();
        let length = u32::from_be_bytes(pdu[2..6].try_into().unwrap());
        pdu.resize(6 + length as usize, 0);
        self.0.read_exact(&mut pdu[6..]).unwrap();
        Some(pdu)
    }

    /// The status of the next response, which must answer `message_id` on `context_id`.
    fn status(&mut self, context_id: u8, message_id: u16) -> u16 {
        let pdu = self.hear().expect("a response");
        assert_eq!((pdu[0], pdu[10], pdu[11]), (4, context_id, 3), "{pdu:02X?}");
        let command = &pdu[12..];
        assert_eq!(us(command, 0x0120), Some(message_id));
        assert_eq!(us(command, 0x0800), Some(0x0101), "no data set");
        us(command, 0x0900).unwrap()
    }

    /// One C-STORE with everything in one write.
    fn store(&mut self, object: &Object) -> u16 {
        let mut bytes = pdus(STORAGE, true, &object.command(9), 16384);
        bytes.extend(pdus(STORAGE, false, &object.bytes(), 16384));
        self.say(&bytes);
        self.status(STORAGE, 9)
    }

    fn echo(&mut self) -> u16 {
        let command = command(0x0030, 7, "1.2.840.10008.1.1", None, false);
        self.say(&pdus(VERIFICATION, true, &command, 16384));
        self.status(VERIFICATION, 7)
    }

    /// Asks for release and hears that all is well.
    fn release(mut self) {
        self.say(&RELEASE_RQ);
        assert_eq!(self.hear().unwrap(), RELEASE_RP);
        assert_eq!(self.hear(), None);
    }

    fn finish_writing(&self) {
        self.0.shutdown(Shutdown::Write).unwrap();
    }
}

/// A US value of a command set.
fn us(mut command: &[u8], wanted: u16) -> Option<u16> {
    while let [0, 0, e0, e1, a, b, c, d, rest @ ..] = command {
        let (value, rest) = rest.split_at(u32::from_le_bytes([*a, *b, *c, *d]) as usize);
        if u16::from_le_bytes([*e0, *e1]) == wanted {
            return Some(u16::from_le_bytes(value.try_into().unwrap()));
        }
        command = rest;
    }
    None
}

/// An element of a command set: group 0000, element, length, value.
fn command_element(element: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0];
    bytes.extend(element.to_le_bytes());
    bytes.extend(u32::try_from(value.len()).unwrap().to_le_bytes());
    bytes.extend(value);
    bytes
}

fn even(text: &str, padding: u8) -> Vec<u8> {
    let mut value = text.as_bytes().to_vec();
    value.resize(value.len().next_multiple_of(2), padding);
    value
}

/// A command set (PS3.7 Table 9.3-1) without its group length, which nobody needs.
fn command(
    field: u16,
    message_id: u16,
    class: &str,
    instance: Option<&str>,
    has_data: bool,
) -> Vec<u8> {
    let data_set_type: u16 = if has_data { 0x0001 } else { 0x0101 };
    let mut bytes = command_element(0x0002, &even(class, 0)); // Affected SOP Class UID
    bytes.extend(command_element(0x0100, &field.to_le_bytes())); // Command Field
    bytes.extend(command_element(0x0110, &message_id.to_le_bytes())); // Message ID
    bytes.extend(command_element(0x0800, &data_set_type.to_le_bytes())); // Command Data Set Type
    if let Some(instance) = instance {
        bytes.extend(command_element(0x1000, &even(instance, 0))); // Affected SOP Instance UID
    }
    bytes
}

/// A PDV: length, context, message control header, fragment.
fn pdv(context_id: u8, control: u8, fragment: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(fragment.len() + 2)
        .unwrap()
        .to_be_bytes()
        .to_vec();
    bytes.extend([context_id, control]);
    bytes.extend(fragment);
    bytes
}

/// A P-DATA-TF PDU around PDVs.
fn p_data(pdvs: &[u8]) -> Vec<u8> {
    let mut bytes = vec![4, 0];
    bytes.extend(u32::try_from(pdvs.len()).unwrap().to_be_bytes());
    bytes.extend(pdvs);
    bytes
}

/// A command or data set as PDUs of one PDV each, none above `pdu_bytes_max`.
fn pdus(context_id: u8, is_command: bool, set: &[u8], pdu_bytes_max: usize) -> Vec<u8> {
    let fragments = set.chunks(pdu_bytes_max - 6);
    let last = fragments.len() - 1;
    fragments
        .enumerate()
        .flat_map(|(n, fragment)| {
            let control = u8::from(is_command) | if n == last { 2 } else { 0 };
            p_data(&pdv(context_id, control, fragment))
        })
        .collect()
}

/// A small CT instance, made here.
#[derive(Clone, Copy)]
struct Object {
    instance: &'static str,
    study: &'static str,
    patient_id: &'static str,
    pixel_bytes: usize,
}

const OBJECT: Object = Object {
    instance: "1.2.3.4.5",
    study: "1.2.3",
    patient_id: "P1",
    pixel_bytes: 512,
};

impl Object {
    /// Its data set in Explicit VR Little Endian.
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut put = |group: u16, element: u16, vr: &[u8; 2], value: &[u8]| {
            bytes.extend(group.to_le_bytes());
            bytes.extend(element.to_le_bytes());
            bytes.extend(vr);
            if vr == b"OW" {
                bytes.extend([0, 0]);
                bytes.extend(u32::try_from(value.len()).unwrap().to_le_bytes());
            } else {
                bytes.extend(u16::try_from(value.len()).unwrap().to_le_bytes());
            }
            bytes.extend(value);
        };
        put(0x0008, 0x0016, b"UI", &even(CT, 0)); // SOP Class UID
        put(0x0008, 0x0018, b"UI", &even(self.instance, 0)); // SOP Instance UID
        put(0x0010, 0x0010, b"PN", &even("Test^Only", b' ')); // Patient's Name
        put(0x0010, 0x0020, b"LO", &even(self.patient_id, b' ')); // Patient ID
        put(0x0020, 0x000D, b"UI", &even(self.study, 0)); // Study Instance UID
        put(0x0020, 0x000E, b"UI", &even("1.2.3.4", 0)); // Series Instance UID
        put(0x7FE0, 0x0010, b"OW", &vec![0x5A; self.pixel_bytes]); // Pixel Data
        bytes
    }

    /// The C-STORE-RQ that announces it.
    fn command(&self, message_id: u16) -> Vec<u8> {
        command(0x0001, message_id, CT, Some(self.instance), true)
    }
}
