//! How the door treats those who are late, many, foreign, or in the way of a fault.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use overread::dicomweb;

use super::house::*;

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
