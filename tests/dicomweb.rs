//! The web door as a client meets it: a real server on a free port, plain HTTP/1.1 on a socket,
//! an archive in memory. What other programs make of it is tested under `tests/interop`.

#![expect(clippy::unwrap_used, reason = "a test ends with its first failure")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use overread::archive::{
    Archive, Coercion, DuplicatePolicy, IngestSettings, PatientConflictPolicy,
};
use overread::dicom::walk::Limits;
use overread::{db, dicomweb, http, store};
use serde_json::Value;

const ANY_DICOM: &str = "Accept: multipart/related; type=application/dicom; transfer-syntax=*";
const STOW: &str = "Content-Type: multipart/related; type=\"application/dicom\"; boundary=B";

/// A server of one's own.
struct House(http::Server);

/// An answer, its body unchunked.
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The bodies of the parts.
    fn parts(&self) -> Vec<&[u8]> {
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

fn open() -> House {
    open_with(&[dicomweb::configure], |_| {})
}

fn open_with(
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
        forwarding: std::sync::Arc::default(),
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
    House(http::serve(settings, archive, doors.collect()).unwrap())
}

impl House {
    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.0.address()).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        stream
    }

    fn ask(&self, method: &str, path: &str, headers: &[&str], body: &[u8]) -> Answer {
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

    fn get(&self, path: &str, headers: &[&str]) -> Answer {
        self.ask("GET", &format!("/dicom-web{path}"), headers, b"")
    }

    fn search(&self, path: &str) -> Answer {
        self.get(path, &["Accept: application/dicom+json"])
    }

    fn store(&self, path: &str, objects: &[Vec<u8>]) -> Answer {
        self.ask(
            "POST",
            &format!("/dicom-web{path}"),
            &[STOW],
            &multipart(objects),
        )
    }
}

impl Answer {
    fn unpacked(mut self) -> Self {
        if self.header("Transfer-Encoding") == Some("chunked") {
            self.body = unchunk(&self.body);
        }
        self
    }
}

fn answer(stream: TcpStream) -> Answer {
    raw_answer(stream).unpacked()
}

/// Reads an answer up to its end, which need not be the end of the connection.
fn raw_answer(mut stream: TcpStream) -> Answer {
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

fn unchunk(mut rest: &[u8]) -> Vec<u8> {
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

fn multipart(objects: &[Vec<u8>]) -> Vec<u8> {
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
fn element(group: u16, element: u16, vr: &str, value: &[u8]) -> Vec<u8> {
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
fn file(study: &str, instance: u32, frames: u8) -> Vec<u8> {
    let pixels: Vec<u8> = (1..=frames).flat_map(|frame| [frame; 8]).collect();
    image((study, instance), frames, (2, 4), &pixels)
}

/// A Part 10 file of frames of so many rows and columns, a byte a pixel.
fn image(
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
fn dataset(file: &[u8]) -> &[u8] {
    &file[memchr::memmem::find(file, b"\x08\0\x16\0UI").unwrap()..]
}

const ONE: &str = "/studies/1.2.3/series/1.2.3.1/instances/1.2.3.1.1";

#[test]
fn what_is_stored_is_found_and_given_back() {
    let house = open();
    let sent = file("1.2.3", 1, 3);
    let stored = house.store("/studies", std::slice::from_ref(&sent));
    assert_eq!(stored.status, 200, "{}", stored.text());
    let url = stored.json()["00081199"]["Value"][0]["00081190"]["Value"][0].clone();
    assert_eq!(url, format!("http://pacs/dicom-web{ONE}"));

    let found = house
        .search("/studies?PatientName=doe*&includefield=00081030")
        .json();
    assert_eq!(found[0]["0020000D"]["Value"][0], "1.2.3");
    assert_eq!(
        found[0]["00201208"],
        serde_json::json!({"vr": "IS", "Value": [1]})
    );
    assert_eq!(house.search("/studies?PatientID=P2").status, 204);

    for path in ["/studies/1.2.3", "/studies/1.2.3/series/1.2.3.1", ONE] {
        let given = house.get(path, &[ANY_DICOM]);
        assert_eq!(
            given.header("Content-Length").unwrap(),
            given.body.len().to_string()
        );
        assert_eq!(dataset(given.parts()[0]), dataset(&sent), "{path}");
    }
    let metadata = house.search(&format!("{ONE}/metadata")).json();
    let bulk = metadata[0]["7FE00010"]["BulkDataURI"].as_str().unwrap();
    let path = bulk.strip_prefix("http://pacs/dicom-web").unwrap();
    let value = house.get(path, &["Accept: */*"]);
    assert_eq!(value.body.len(), 24);
    let part = house.get(path, &["Accept: */*", "Range: bytes=8-9"]);
    assert_eq!(
        (part.status, &part.body[..], part.header("Content-Range")),
        (206, &[2, 2][..], Some("bytes 8-9/24"))
    );
    assert_eq!(
        house.get(path, &["Accept: */*", "Range: bytes=24-"]).status,
        416
    );
    let head = house.ask(
        "HEAD",
        &format!("/dicom-web{path}"),
        &["Accept: */*", "Range: bytes=8-9"],
        b"",
    );
    assert_eq!(
        (head.status, head.header("Content-Length")),
        (200, Some("24"))
    );
}

#[test]
fn a_document_is_another_representation_than_its_octets() {
    let house = open();
    let text = [b"%PDF-1.7 of more than sixteen bytes".as_slice(), b"\n"].concat();
    let mut object = image(("1.2.3", 1), 1, (2, 4), &[0; 8]);
    // In place of the pixels, which are the last element: 12 bytes of header, 8 of value.
    object.truncate(object.len() - 20);
    object.extend(element(0x0042, 0x0011, "OB", &text));
    object.extend(element(0x0042, 0x0012, "LO", b"application/pdf"));
    object.extend(element(0x0042, 0x0015, "UL", &35u32.to_le_bytes()));
    assert_eq!(house.store("/studies", &[object]).status, 200);
    let path = format!("{ONE}/bulkdata/00420011");
    let document = house.get(&path, &["Accept: application/pdf"]);
    let octets = house.get(&path, &["Accept: application/octet-stream"]);
    assert_eq!(
        (document.status, &document.body[..]),
        (200, &text[..35]),
        "without padding"
    );
    assert_eq!((octets.status, &octets.body[..]), (200, &text[..]));
    assert_ne!(document.header("ETag"), octets.header("ETag"));
}

#[test]
fn frames_come_in_the_order_asked_for() {
    let house = open();
    house.store("/studies", &[file("1.2.3", 1, 3)]);
    let octets = "Accept: multipart/related; type=application/octet-stream; transfer-syntax=*";
    let frames = house.get(&format!("{ONE}/frames/3,1"), &[octets]);
    assert_eq!(frames.parts(), [&[3; 8], &[1; 8]]);
    let single = house.get(
        &format!("{ONE}/frames/2"),
        &["Accept: application/octet-stream"],
    );
    assert_eq!(single.body, [2; 8]);
    for (list, status) in [
        ("4", 404),
        ("1,4", 404),
        ("0", 400),
        ("-1", 400),
        ("a", 400),
        ("1,,2", 400),
    ] {
        assert_eq!(
            house.get(&format!("{ONE}/frames/{list}"), &[octets]).status,
            status,
            "{list}"
        );
    }
    assert_eq!(
        house
            .get(&format!("{ONE}/frames/1"), &["Accept: image/jpeg"])
            .status,
        406
    );
}

#[test]
fn frames_larger_than_a_piece_come_whole() {
    let house = open();
    let pixels: Vec<u8> = (0..251).cycle().take(2 * 40 * 40_001).collect();
    let (one, two) = pixels.split_at(40 * 40_001);
    let sent = image(("1.2.3", 1), 2, (40, 40_001), &pixels);
    assert_eq!(house.store("/studies", &[sent]).status, 200);
    let octets = "Accept: multipart/related; type=application/octet-stream; transfer-syntax=*";
    let frames = house.get(&format!("{ONE}/frames/2,1,2"), &[octets]);
    assert_eq!(
        frames.header("Content-Length").unwrap(),
        frames.body.len().to_string()
    );
    assert!(frames.parts() == [two, one, two]);
    let single = "Accept: application/octet-stream";
    let frame = house.get(&format!("{ONE}/frames/2"), &[single]);
    assert_eq!(
        frame.header("Content-Length").unwrap(),
        two.len().to_string()
    );
    assert!(frame.body == two);
}

#[test]
fn a_deflated_object_is_read_forward_and_back() {
    let house = open();
    let pixels: Vec<u8> = (0..251).cycle().take(3 * 40 * 20_001).collect();
    let plain = image(("1.2.3", 1), 3, (40, 20_001), &pixels);
    let mut deflater =
        flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    deflater.write_all(dataset(&plain)).unwrap();
    let syntax = element(0x0002, 0x0010, "UI", b"1.2.840.10008.1.2.1.99");
    let length = u32::try_from(syntax.len()).unwrap().to_le_bytes();
    let sent = [
        vec![0; 128],
        b"DICM".to_vec(),
        element(0x0002, 0x0000, "UL", &length),
        syntax,
        deflater.finish().unwrap(),
    ];
    assert_eq!(house.store("/studies", &[sent.concat()]).status, 200);
    let octets = "Accept: multipart/related; type=application/octet-stream; transfer-syntax=*";
    let frames = house.get(&format!("{ONE}/frames/3,1,2,2"), &[octets]);
    let stored: Vec<_> = pixels.chunks(40 * 20_001).collect();
    assert!(frames.parts() == [stored[2], stored[0], stored[1], stored[1]]);
    let value = house.get(&format!("{ONE}/bulkdata/7FE00010"), &["Accept: */*"]);
    assert!(value.body == pixels);
}

#[test]
fn a_study_of_several_pages_comes_whole() {
    let house = open();
    let files: Vec<_> = (1..=300).map(|n| file("1.2.3", n, 1)).collect();
    assert_eq!(house.store("/studies/1.2.3", &files).status, 200);
    let given = house.get("/studies/1.2.3", &[ANY_DICOM]);
    let parts = given.parts();
    assert_eq!(parts.len(), 300);
    assert!(
        parts
            .iter()
            .zip(&files)
            .all(|(part, file)| dataset(part) == dataset(file)),
        "in order"
    );
    assert_eq!(
        house
            .search("/studies/1.2.3/metadata")
            .json()
            .as_array()
            .unwrap()
            .len(),
        300
    );

    let page = house.search("/studies/1.2.3/instances?limit=40&offset=20");
    assert_eq!(page.json().as_array().unwrap().len(), 40);
    let warning =
        "299 http://pacs/dicom-web: There are 240 additional results that can be requested";
    assert_eq!(page.header("Warning"), Some(warning));
    assert_eq!(
        house
            .search("/instances?limit=9999")
            .json()
            .as_array()
            .unwrap()
            .len(),
        50,
        "clamped"
    );
}

#[test]
fn each_instance_has_its_own_outcome() {
    let house = open();
    let good = file("1.2.3", 1, 1);
    let mut other = file("1.2.3", 1, 1);
    *other.last_mut().unwrap() = 9;
    let mixed = house.store(
        "/studies",
        &[
            good.clone(),
            b"\xFF\xD8\xFF JPEG".to_vec(),
            file("1.2.3", 2, 1),
        ],
    );
    assert_eq!(mixed.status, 202);
    assert_eq!(
        mixed.json()["00081199"]["Value"].as_array().unwrap().len(),
        2
    );
    assert_eq!(
        mixed.json()["0008119A"]["Value"][0]["00081197"]["Value"][0],
        0xC000
    );
    assert_eq!(
        house.store("/studies", std::slice::from_ref(&good)).status,
        200,
        "the same bytes again"
    );
    let duplicate = house.store("/studies", &[other]);
    assert_eq!(duplicate.status, 409);
    assert_eq!(
        duplicate.json()["00081198"]["Value"][0]["00081197"]["Value"][0],
        273
    );
    let elsewhere = house.store("/studies/1.9", &[good]);
    assert_eq!(elsewhere.status, 409);
    assert_eq!(
        elsewhere.json()["00081198"]["Value"][0]["00081197"]["Value"][0],
        43265
    );
    let large = file("1.2.3", 3, 1)
        .into_iter()
        .chain(vec![0; 9 << 20])
        .collect();
    assert_eq!(house.store("/studies", &[large]).status, 413);
    assert_eq!(
        house.search("/instances").json().as_array().unwrap().len(),
        2
    );
}

#[test]
fn broken_bodies_store_only_what_came_whole() {
    let house = open();
    let whole = multipart(&[file("1.2.3", 1, 1), file("1.2.3", 2, 1)]);
    let post =
        |body: &[u8], content_type| house.ask("POST", "/dicom-web/studies", &[content_type], body);
    let cut = &whole[..whole.len() - 30];
    assert_eq!(post(cut, STOW).status, 202);
    assert_eq!(
        house.search("/instances").json().as_array().unwrap().len(),
        1
    );
    for (body, content_type, status) in [
        (&b"--B--"[..], STOW, 400),
        (b"--B\r\n\r\nab", STOW, 400),
        (b"hello", STOW, 400),
        (&whole, "Content-Type: multipart/related; boundary=C", 400),
        (
            &whole,
            "Content-Type: multipart/related; type=application/dicom",
            400,
        ),
        (
            &whole,
            "Content-Type: multipart/related; type=\"application/pdf\"; boundary=B",
            415,
        ),
        (&whole, "Content-Type: text/plain", 415),
    ] {
        let answer = post(body, content_type);
        assert_eq!(
            (answer.status, answer.body.is_empty()),
            (status, false),
            "{content_type}"
        );
    }
    // A sender that goes away in the middle.
    let mut stream = house.connect();
    write!(
        stream,
        "POST /dicom-web/studies HTTP/1.1\r\nHost: pacs\r\n{STOW}\r\nContent-Length: 9999\r\n\r\n"
    )
    .unwrap();
    stream.write_all(&whole[..whole.len() / 4]).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(answer(stream).status, 400);
}

#[test]
fn uploads_beyond_the_limit_and_silent_ones_are_turned_away() {
    let house = open_with(&[dicomweb::configure], |settings| {
        settings.uploads_max = 1;
        settings.body_idle_timeout = Duration::from_millis(300);
    });
    let mut silent = house.connect();
    let head = format!(
        "POST /dicom-web/studies HTTP/1.1\r\nHost: pacs\r\n{STOW}\r\nContent-Length: 9999\r\n"
    );
    write!(silent, "{head}Expect: 100-continue\r\n\r\n").unwrap();
    let mut began = [0; 25];
    silent.read_exact(&mut began).unwrap();
    assert_eq!(&began, b"HTTP/1.1 100 Continue\r\n\r\n");
    let refused = house.store("/studies", &[file("1.2.3", 1, 1)]);
    // The silent one may have been turned away first on a slow machine.
    assert!(
        refused.status == 503 && refused.header("Retry-After") == Some("5")
            || refused.status == 200
    );
    assert_eq!(answer(silent).status, 408);
    assert_eq!(house.store("/studies", &[file("1.2.3", 1, 1)]).status, 200);
}

#[test]
fn an_upload_that_dribbles_is_turned_away() {
    let house = open_with(&[dicomweb::configure], |settings| {
        settings.uploads_max = 1;
        settings.body_idle_timeout = Duration::from_millis(500);
    });
    let mut slow = house.connect();
    slow.set_read_timeout(Some(Duration::from_millis(20)))
        .unwrap();
    let head = format!(
        "POST /dicom-web/studies HTTP/1.1\r\nHost: pacs\r\n{STOW}\r\nContent-Length: 9999\r\n\r\n"
    );
    slow.write_all(head.as_bytes()).unwrap();
    let mut status = [0; 12];
    let answered = multipart(&[file("1.2.3", 1, 1)]).iter().any(|byte| {
        slow.write_all(&[*byte]).unwrap();
        slow.read_exact(&mut status).is_ok()
    });
    assert!(answered);
    assert_eq!(&status, b"HTTP/1.1 408");
    assert_eq!(house.store("/studies", &[file("1.2.3", 1, 1)]).status, 200);
}

#[test]
fn nothing_is_encoded_for_a_head() {
    let house = open();
    house.store("/studies", &[image(("1.2.3", 1), 1, (2, 4), &[7; 8])]);
    let frame = format!("{ONE}/frames/1");
    for (path, accept) in [
        (&*frame, "Accept: image/jls"),
        (&*frame, "Accept: multipart/related; type=\"image/jls\""),
        (
            ONE,
            "Accept: application/dicom; transfer-syntax=1.2.840.10008.1.2.4.80",
        ),
        (
            ONE,
            "Accept: multipart/related; type=\"application/dicom\"; transfer-syntax=1.2.840.10008.1.2.4.80",
        ),
    ] {
        let get = house.get(path, &[accept]);
        let head = house.ask("HEAD", &format!("/dicom-web{path}"), &[accept], b"");
        assert_eq!((get.status, head.status), (200, 200), "{accept}");
        assert!(!get.body.is_empty() && head.body.is_empty(), "{accept}");
        // Only whoever makes it learns how long it is.
        assert_eq!(head.header("Content-Length"), None, "{accept}");
        assert!(
            head.header("ETag")
                .is_some_and(|tag| get.header("ETag") == Some(tag))
        );
        let kind = |answer: &Answer| {
            let whole = answer.header("Content-Type").unwrap();
            whole.split("boundary").next().unwrap().to_owned()
        };
        assert_eq!(kind(&head), kind(&get));
    }
}

#[test]
fn methods_heads_and_known_versions() {
    let house = open();
    house.store("/studies", &[file("1.2.3", 1, 1)]);
    let metadata = format!("{ONE}/metadata");
    let whole = house.search(&metadata);
    let head = house.ask(
        "HEAD",
        &format!("/dicom-web{metadata}"),
        &["Accept: */*"],
        b"",
    );
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(
        head.header("Content-Length"),
        whole.header("Content-Length")
    );
    let known = format!("If-None-Match: {}", whole.header("ETag").unwrap());
    assert_eq!(house.get(&metadata, &["Accept: */*", &known]).status, 304);
    assert_eq!(
        house
            .get(&metadata, &["Accept: */*", &known, "Accept-Encoding: gzip"])
            .status,
        200
    );
    house.store("/studies", &[file("1.2.3", 2, 1)]);
    let of_study = house.search("/studies/1.2.3/metadata");
    house.store("/studies", &[file("1.2.3", 3, 1)]);
    let known = format!("If-None-Match: {}", of_study.header("ETag").unwrap());
    assert_eq!(
        house
            .get("/studies/1.2.3/metadata", &["Accept: */*", &known])
            .status,
        200,
        "it has grown"
    );

    let put = house.ask("PUT", "/dicom-web/studies/1.2.3", &[], b"");
    assert_eq!(
        (put.status, put.header("Allow")),
        (405, Some("GET, HEAD, POST, DELETE, OPTIONS"))
    );
    let options = house.ask("OPTIONS", "/dicom-web/studies/1.2.3/series", &[], b"");
    assert_eq!(
        (options.status, options.header("Allow")),
        (204, Some("GET, HEAD, OPTIONS"))
    );
    for (path, status) in [
        ("/studies/01.2", 400),
        ("/studies/1.9", 404),
        ("/nothing", 404),
        ("/studies/1.2.3/rendered", 406),
    ] {
        let answer = house.get(path, &[ANY_DICOM]);
        assert_eq!(
            (answer.status, answer.body.is_empty()),
            (status, false),
            "{path}"
        );
    }
    assert_eq!(house.get("/studies", &[]).status, 406, "no Accept header");
    assert_eq!(whole.header("X-Content-Type-Options"), Some("nosniff"));
}

#[test]
fn only_allowed_origins_are_let_in() {
    let house = open();
    let preflight = |origin| {
        let asks = [
            "Access-Control-Request-Method: GET",
            "Access-Control-Request-Headers: accept",
            origin,
        ];
        house.ask("OPTIONS", "/dicom-web/studies", &asks, b"")
    };
    let allowed = preflight("Origin: https://viewer.example");
    assert_eq!(
        (
            allowed.status,
            allowed.header("Access-Control-Allow-Origin")
        ),
        (204, Some("https://viewer.example"))
    );
    assert_eq!(
        allowed.header("Access-Control-Allow-Headers"),
        Some("accept")
    );
    assert_eq!(
        preflight("Origin: https://evil.example").header("Access-Control-Allow-Origin"),
        None
    );
}

fn with_a_fault(config: &mut actix_web::web::ServiceConfig) {
    async fn fault() -> &'static str {
        panic!("a fault")
    }
    config.route("/fault", actix_web::web::get().to(fault));
}

#[test]
fn a_panic_costs_one_answer_and_a_stop_is_graceful() {
    let house = open_with(&[dicomweb::configure, with_a_fault], |_| {});
    assert_eq!(house.ask("GET", "/fault", &[], b"").status, 500);
    assert_eq!(house.ask("GET", "/healthz", &[], b"").status, 200);
    assert_eq!(house.ask("GET", "/readyz", &[], b"").status, 200);
    assert!(
        house
            .ask("GET", "/metrics", &[], b"")
            .text()
            .contains("overread_instances 0\n")
    );
    let address = house.0.address();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(house.0.stop()).unwrap();
    assert!(TcpStream::connect(address).is_err());
}
