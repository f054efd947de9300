//! The web door as a client meets it: a real server on a free port, plain HTTP/1.1 on a socket,
//! an archive in memory. What other programs make of it is tested under `tests/interop`.

#![expect(clippy::unwrap_used, reason = "a test ends with its first failure")]

mod house;
mod manners;

use std::io::Write;

use house::*;

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
