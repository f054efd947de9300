//! The walls of the house (ARCHITECTURE.md, "Map" and "Invariants"): which room may name which, and
//! which crates and parts of std stay outside. Reads the sources; test code may reach further.

#![allow(clippy::unwrap_used, reason = "a test may stop at what it cannot read")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Each room, and the other rooms it may name.
const EDGES: &[(&str, &[&str])] = &[
    // Words
    ("dicom", &[]),
    ("imaging", &["dicom"]),
    // Deeds
    ("access", &["dicom"]),
    ("archive", &["access", "dicom", "imaging"]),
    ("worklist", &["access", "dicom"]),
    ("cases", &["access", "archive", "dicom", "worklist"]),
    ("inbox", &["access", "archive", "cases", "dicom", "imaging"]),
    // Shelves
    ("store", &["archive"]),
    ("db", &["access", "archive", "cases", "dicom", "worklist"]),
    // Doors, and the hall that the web doors share
    ("http", &["access", "archive", "cases", "dicom", "inbox"]),
    (
        "api",
        &["access", "archive", "cases", "dicom", "http", "inbox"],
    ),
    ("dimse", &["access", "archive", "dicom", "imaging"]),
    (
        "dicomweb",
        &[
            "access", "archive", "dicom", "http", "imaging", "inbox", "worklist",
        ],
    ),
    (
        "web",
        &[
            "access", "archive", "cases", "dicom", "dimse", "http", "imaging", "inbox",
        ],
    ),
    // Doors that lead outwards: what goes on to other archives, and one that meets our server over HTTP,
    // like every other.
    ("forward", &["access", "archive", "dicom", "dimse"]),
    ("notices", &["access", "cases", "forward"]),
    ("doctor", &["dicom"]),
    (
        "cli",
        &[
            "access",
            "app",
            "archive",
            "cases",
            "config",
            "dicom",
            "dimse",
            "doctor",
            "inbox",
            "notices",
            "telemetry",
        ],
    ),
    // Wiring
    (
        "app",
        &[
            "access", "api", "archive", "cases", "config", "db", "demo", "dicom", "dicomweb",
            "dimse", "forward", "http", "notices", "store", "web", "worklist",
        ],
    ),
    (
        "config",
        &[
            "access", "archive", "cases", "dicom", "dimse", "forward", "http", "notices",
        ],
    ),
    ("demo", &["dicom"]),
    ("telemetry", &["config"]),
    ("main", &[]),
];

/// What only these rooms may name.
const OUTSIDE: &[(&str, &[&str])] = &[
    ("actix_web::", &["api", "dicomweb", "http", "web"]),
    ("actix_ws::", &["dicomweb"]),
    ("argon2::", &["access"]),
    ("clap::", &["cli"]),
    ("dicom_ul::", &["dimse"]),
    ("indicatif::", &["cli"]),
    ("lettre::", &["access", "notices"]),
    ("ring::", &["access", "dimse", "notices"]),
    ("rustybuzz::", &["dicom"]),
    ("rusqlite::", &["db"]),
    ("rustls::", &["dimse", "notices"]),
    ("rustls_platform_verifier::", &["notices"]),
    ("rustix::", &["app", "cli", "store"]),
    ("subsetter::", &["dicom"]),
    ("tokio::", &["app", "dicomweb", "http", "web"]),
    ("tracing_subscriber::", &["config", "telemetry"]),
    ("ureq::", &["doctor", "forward", "notices"]),
    ("std::env", &["cli", "config", "main"]),
    // The viewer's files are no part of the archive: `web` reads them itself. So does `forward` with
    // its secrets, `dimse` with certificates and users, again when they change.
    (
        "std::fs",
        &[
            "app", "cli", "config", "db", "dimse", "forward", "notices", "store", "web",
        ],
    ),
    (
        "std::net",
        &[
            "app", "cli", "config", "dimse", "forward", "http", "notices", "dicomweb",
        ],
    ),
    ("std::process", &["app", "cli", "main"]),
    // In `web` for what goes on when its request has been answered; all else has `off_thread`.
    (
        "std::thread",
        &[
            "app", "archive", "cli", "db", "dimse", "forward", "http", "notices", "web",
        ],
    ),
    (
        "std::time",
        &[
            "app", "archive", "cli", "config", "db", "dicomweb", "dimse", "doctor", "forward",
            "http", "inbox", "notices", "store",
        ],
    ),
];

/// A file of the program, without comments and test code.
struct Source {
    path: PathBuf,
    room: String,
    /// How many `super::` lead out of the room.
    depth: usize,
    code: String,
}

#[test]
fn rooms_name_only_the_rooms_they_may() {
    let mut broken = Vec::new();
    for source in sources() {
        let Some((_, allowed)) = EDGES.iter().find(|(room, _)| *room == source.room) else {
            broken.push(format!(
                "{}: room {} is not in the table",
                source.path.display(),
                source.room
            ));
            continue;
        };
        for named in named_rooms(&source.code) {
            if named != source.room && !allowed.contains(&&*named) {
                broken.push(format!(
                    "{}: {} must not name {named}",
                    source.path.display(),
                    source.room
                ));
            }
        }
        if source.code.contains(&"super::".repeat(source.depth)) {
            broken.push(format!(
                "{}: leaves its room by super::",
                source.path.display()
            ));
        }
    }
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn crates_and_the_system_stay_where_they_belong() {
    let mut broken = Vec::new();
    for source in sources() {
        for (name, rooms) in OUTSIDE {
            if names(&source.code, name) && !rooms.contains(&&*source.room) {
                broken.push(format!(
                    "{}: {} must not name {name}",
                    source.path.display(),
                    source.room
                ));
            }
        }
    }
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn files_stay_readable() {
    let mut broken = Vec::new();
    for source in sources() {
        let text = fs::read_to_string(&source.path).unwrap();
        if !text.starts_with("//! ") {
            broken.push(format!(
                "{}: does not open with what it owns",
                source.path.display()
            ));
        }
        let lines = source
            .code
            .lines()
            .filter(|line| !line.trim().is_empty())
            .count();
        if lines > 600 {
            broken.push(format!("{}: {lines} lines of code", source.path.display()));
        }
    }
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn the_table_has_no_circles() {
    // `app` and `cli` stand at the end; a room that could reach itself would be no room.
    for (room, _) in EDGES {
        let mut seen = BTreeSet::new();
        let mut waiting: Vec<&str> = vec![room];
        while let Some(next) = waiting.pop() {
            let (_, allowed) = EDGES
                .iter()
                .find(|(name, _)| name == &next)
                .expect("every room has a row");
            for named in *allowed {
                assert_ne!(named, room, "{room} reaches itself through {next}");
                if seen.insert(*named) {
                    waiting.push(named);
                }
            }
        }
    }
}

#[test]
fn the_reader_of_sources_reads_them_right() {
    let text = "\
//! `crate::db`
use crate::{access::Scope, archive::{self, Archive}, http};
use crate::dicom::Uid;
#[cfg(test)]
mod contract;
#[cfg(test)]
fn only_in_tests() {
    crate::store::x();
}
fn f() { crate::config::load() }
#[cfg(test)]
mod tests {
    use crate::web;
}
";
    let (code, hidden) = without_tests(text);
    assert_eq!(hidden, ["contract"]);
    let rooms: Vec<_> = named_rooms(&code).into_iter().collect();
    assert_eq!(rooms, ["access", "archive", "config", "dicom", "http"]);
    assert!(names("x: rusqlite::Row", "rusqlite::") && !names("my_rusqlite::Row", "rusqlite::"));
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut hidden = BTreeSet::new();
    let mut waiting = vec![root.clone()];
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            waiting.extend(
                fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
            continue;
        }
        let relative = path.strip_prefix(&root).unwrap();
        let parts: Vec<_> = relative.iter().map(|part| part.to_str().unwrap()).collect();
        let stem = path.file_stem().unwrap().to_str().unwrap();
        if path.extension().is_none_or(|extension| extension != "rs") || parts == ["lib.rs"] {
            continue;
        }
        let (code, only_in_tests) = without_tests(&fs::read_to_string(&path).unwrap());
        let folder = if stem == "mod" {
            path.parent().unwrap().to_owned()
        } else {
            path.with_extension("")
        };
        hidden.extend(only_in_tests.iter().map(|name| folder.join(name)));
        found.push(Source {
            room: parts[0].trim_end_matches(".rs").to_owned(),
            depth: if stem == "mod" || parts.len() == 1 {
                parts.len().max(2) - 1
            } else {
                parts.len()
            },
            path,
            code,
        });
    }
    found.retain(|source| {
        let place = if source.path.ends_with("mod.rs") {
            source.path.parent().unwrap().to_owned()
        } else {
            source.path.with_extension("")
        };
        !hidden.iter().any(|module| place.starts_with(module))
    });
    assert!(found.len() > 20, "the sources are where they were");
    found
}

/// The code without comments and without what only tests compile, and the modules that only tests have.
fn without_tests(text: &str) -> (String, Vec<String>) {
    let mut code = String::new();
    let mut hidden = Vec::new();
    let mut lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    while let Some(line) = lines.next() {
        if line.trim() != "#[cfg(test)]" {
            code.push_str(line);
            code.push('\n');
            continue;
        }
        let item = lines
            .by_ref()
            .find(|line| !line.trim_start().starts_with("#["))
            .unwrap_or_default();
        let indent = item.len() - item.trim_start().len();
        let words: Vec<&str> = item
            .trim_end_matches([';', '{', ' '])
            .split_whitespace()
            .collect();
        if let (Some(place), true) = (
            words.iter().position(|word| *word == "mod"),
            item.ends_with(';'),
        ) {
            hidden.extend(words.get(place + 1).map(|name| (*name).to_owned()));
        }
        // A `use` or a declaration ends in its line or at a semicolon, a body at a brace as deep as its head.
        let mut last = item;
        while !(last.ends_with(';') || last.ends_with('}'))
            || last.len() - last.trim_start().len() != indent
        {
            let Some(line) = lines.next() else { break };
            last = line;
        }
    }
    (code, hidden)
}

/// Every room that follows a `crate::`.
fn named_rooms(code: &str) -> BTreeSet<String> {
    let mut rooms = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(group) => rooms.extend(first_words(group)),
            None => rooms.extend(word(rest)),
        }
    }
    rooms
}

/// The first words of the members of a `{…}` group.
fn first_words(group: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut depth = 0;
    let mut is_start = true;
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => is_start = true,
            c if c.is_whitespace() => {}
            _ => {
                if is_start {
                    words.extend(word(&group[at..]));
                }
                is_start = false;
            }
        }
    }
    words
}

fn word(text: &str) -> Option<String> {
    let word: String = text
        .chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect();
    (!word.is_empty() && word.chars().all(|c| !c.is_uppercase())).then_some(word)
}

fn names(code: &str, name: &str) -> bool {
    code.match_indices(name)
        .any(|(at, _)| !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':'))
}
