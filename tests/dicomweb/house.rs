//! A server of one's own, how a client asks it, and objects to store.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use overread::archive::{
    Archive, Coercion, DuplicatePolicy, IngestSettings, PatientConflictPolicy,
};
use overread::dicom::walk::Limits;
use overread::{access, db, dicomweb, http, store};
use serde_json::Value;

pub(super) const ANY_DICOM: &str =
    "Accept: multipart/related; type=application/dicom; transfer-syntax=*";
pub(super) const STOW: &str =
    "Content-Type: multipart/related; type=\"application/dicom\"; boundary=B";

/// A server of one's own.
pub(super) struct House(
    pub(super) http::Server,
    #[expect(dead_code, reason = "where its ledger lies, as long as it is there")]
    tempfile::TempDir,
);

/// An answer, its body unchunked.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The bodies of the parts.
    pub(super) fn parts(&self) -> Vec<&[u8]> {
        let boundary = self
            .header("Content-Type")
            .unwrap()
            .split_once("boundary=")
            .unwrap()
            .1;
        let delimiter = format!("--{boundary}");
        let places: Vec<_> = memchr::memmem::find_iter(&self.body, &delimiter).collect();
        let between = places
            .windows(2)
            .map(|pair| &self.body[pair[0]..pair[1] - 2]);
        between
            .map(|part| &part[memchr::memmem::find(part, b"\r\n\r\n").unwrap() + 4..])
            .collect()
    }
}

pub(super) fn open() -> House {
    open_with(&[dicomweb::configure], |_| {})
}

pub(super) fn open_with(
    doors: &[fn(&mut actix_web::web::ServiceConfig)],
    change: impl FnOnce(&mut http::Settings),
) -> House {
    let ingest = IngestSettings {
        duplicate: DuplicatePolicy::Quarantine,
        patient_conflict: PatientConflictPolicy::Quarantine,
        buffer_bytes_max: 64 << 10,
        free_bytes_min: 0,
        limits: Limits {
            value_bytes_max: 1 << 16,
            depth_max: 64,
            metadata_bytes_max: 4 << 20,
            fragments_max: 100_000,
            object_bytes_max: 8 << 20,
            inline_bytes_max: 16,
        },
        coercion: Coercion::default(),
        forwarding: Arc::default(),
        made_bytes_max: 1 << 20,
    };
    let (index, blobs) = (
        Arc::new(db::Memory::default()),
        Arc::new(store::Memory::default()),
    );
    let (archive, _) = Archive::open(index, blobs, ingest).unwrap();
    let mut settings = http::Settings {
        listen: "127.0.0.1:0".parse().unwrap(),
        public_url: None,
        trusted_proxies: Vec::new(),
        allowed_origins: vec!["https://viewer.example".into()],
        body_idle_timeout: Duration::from_secs(20),
        uploads_max: 2,
        allow_delete: true,
        commitment_keep: Duration::from_secs(60),
        results_max: 50,
        workers: 1,
        viewer_dir: "no-viewer".into(),
    };
    change(&mut settings);
    let doors = doors.iter().map(|door| Arc::new(*door) as http::Door);
    let folder = tempfile::tempdir().unwrap();
    let ledger = db::Ledger::open(&folder.path().join("ledger.sqlite"), 1).unwrap();
    let entrance = access::Settings {
        sign_in: access::SignIn::Auto,
        session_idle_ms: 60_000,
        session_max_ms: 60_000,
        pin_tries_max: 5,
        inbox_bytes_max: 1 << 36,
    };
    let desk = Arc::new(access::Desk::open(Arc::new(ledger), entrance).unwrap());
    let server = http::serve(settings, archive, desk, doors.collect()).unwrap();
    House(server, folder)
}

impl House {
    pub(super) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.0.address()).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        stream
    }

    pub(super) fn ask(&self, method: &str, path: &str, headers: &[&str], body: &[u8]) -> Answer {
        let mut stream = self.connect();
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: pacs\r\nConnection: close\r\n");
        for line in headers {
            head += &format!("{line}\r\n");
        }
        if !body.is_empty() {
            head += &format!("Content-Length: {}\r\n", body.len());
        }
        stream.write_all(format!("{head}\r\n").as_bytes()).unwrap();
        stream.write_all(body).unwrap();
        let answer = raw_answer(stream);
        // HEAD may say how GET would be framed (RFC 9110 §9.3.2): there is nothing to unpack.
        if method == "HEAD" {
            answer
        } else {
            answer.unpacked()
        }
    }

    pub(super) fn get(&self, path: &str, headers: &[&str]) -> Answer {
        self.ask("GET", &format!("/dicom-web{path}"), headers, b"")
    }

    pub(super) fn search(&self, path: &str) -> Answer {
        self.get(path, &["Accept: application/dicom+json"])
    }

    pub(super) fn store(&self, path: &str, objects: &[Vec<u8>]) -> Answer {
        self.ask(
            "POST",
            &format!("/dicom-web{path}"),
            &[STOW],
            &multipart(objects),
        )
    }
}

impl Answer {
    pub(super) fn unpacked(mut self) -> Self {
        if self.header("Transfer-Encoding") == Some("chunked") {
            self.body = unchunk(&self.body);
        }
        self
    }
}

pub(super) fn answer(stream: TcpStream) -> Answer {
    raw_answer(stream).unpacked()
}

/// Reads an answer up to its end, which need not be the end of the connection.
pub(super) fn raw_answer(mut stream: TcpStream) -> Answer {
    let mut bytes = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    let mut answer = None;
    loop {
        if let (None, Some(end)) = (&answer, memchr::memmem::find(&bytes, b"\r\n\r\n")) {
            let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
            let status = head.split(' ').nth(1).unwrap().parse().unwrap();
            let body = bytes.split_off(end + 4);
            bytes = Vec::new();
            answer = Some(Answer { status, head, body });
        }
        if let Some(answer) = &mut answer {
            answer.body.append(&mut bytes);
            let length = answer
                .header("Content-Length")
                .map(|length| length.parse().unwrap());
            if length == Some(answer.body.len()) {
                break;
            }
        }
        match stream.read(&mut buffer).unwrap() {
            0 => break,
            count => bytes.extend_from_slice(&buffer[..count]),
        }
    }
    answer.expect("a head")
}

pub(super) fn unchunk(mut rest: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    while let Some(end) = memchr::memmem::find(rest, b"\r\n") {
        let length = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
        if length == 0 {
            return plain;
        }
        plain.extend_from_slice(&rest[end + 2..end + 2 + length]);
        rest = &rest[end + 4 + length..];
    }
    panic!("the body was cut off");
}

pub(super) fn multipart(objects: &[Vec<u8>]) -> Vec<u8> {
    let mut body = Vec::new();
    for object in objects {
        body.extend_from_slice(b"--B\r\nContent-Type: application/dicom\r\n\r\n");
        body.extend_from_slice(object);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--B--\r\n");
    body
}

/// One element in Explicit VR Little Endian (PS3.5 §7.1.2).
pub(super) fn element(group: u16, element: u16, vr: &str, value: &[u8]) -> Vec<u8> {
    let mut out = [group.to_le_bytes(), element.to_le_bytes()].concat();
    out.extend_from_slice(vr.as_bytes());
    let mut value = value.to_vec();
    if value.len() % 2 == 1 {
        value.push(if vr == "UI" { 0 } else { b' ' });
    }
    if vr == "OB" || vr == "OW" {
        out.extend([0, 0]);
        out.extend(u32::try_from(value.len()).unwrap().to_le_bytes());
    } else {
        out.extend(u16::try_from(value.len()).unwrap().to_le_bytes());
    }
    out.extend(value);
    out
}

/// A Part 10 file: `frames` frames of 2 by 4 pixels, each byte the frame's number.
pub(super) fn file(study: &str, instance: u32, frames: u8) -> Vec<u8> {
    let pixels: Vec<u8> = (1..=frames).flat_map(|frame| [frame; 8]).collect();
    image((study, instance), frames, (2, 4), &pixels)
}

/// A Part 10 file of frames of so many rows and columns, a byte a pixel.
pub(super) fn image(
    (study, instance): (&str, u32),
    frames: u8,
    (rows, columns): (u16, u16),
    pixels: &[u8],
) -> Vec<u8> {
    let number = instance.to_string();
    let uid = format!("{study}.1.{instance}");
    let series = format!("{study}.1");
    let syntax = element(0x0002, 0x0010, "UI", b"1.2.840.10008.1.2.1");
    let parts = [
        vec![0; 128],
        b"DICM".to_vec(),
        element(
            0x0002,
            0x0000,
            "UL",
            &u32::try_from(syntax.len()).unwrap().to_le_bytes(),
        ),
        syntax,
        element(0x0008, 0x0016, "UI", b"1.2.840.10008.5.1.4.1.1.7"),
        element(0x0008, 0x0018, "UI", uid.as_bytes()),
        element(0x0008, 0x0020, "DA", b"20261124"),
        element(0x0008, 0x0060, "CS", b"OT"),
        element(0x0010, 0x0010, "PN", b"Doe^Jane"),
        element(0x0010, 0x0020, "LO", b"P1"),
        element(0x0020, 0x000D, "UI", study.as_bytes()),
        element(0x0020, 0x000E, "UI", series.as_bytes()),
        element(0x0020, 0x0013, "IS", number.as_bytes()),
        element(0x0028, 0x0002, "US", &1u16.to_le_bytes()),
        element(0x0028, 0x0004, "CS", b"MONOCHROME2"),
        element(0x0028, 0x0008, "IS", frames.to_string().as_bytes()),
        element(0x0028, 0x0010, "US", &rows.to_le_bytes()),
        element(0x0028, 0x0011, "US", &columns.to_le_bytes()),
        element(0x0028, 0x0100, "US", &8u16.to_le_bytes()),
        element(0x7FE0, 0x0010, "OB", pixels),
    ];
    parts.concat()
}

/// What stands behind File Meta.
pub(super) fn dataset(file: &[u8]) -> &[u8] {
    &file[memchr::memmem::find(file, b"\x08\0\x16\0UI").unwrap()..]
}

pub(super) const ONE: &str = "/studies/1.2.3/series/1.2.3.1/instances/1.2.3.1.1";
