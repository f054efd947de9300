//! The conformance statement (PS3.2): CONFORMANCE.md, whose tables are made from the tables that the
//! program itself goes by. `overread conformance` prints it; a test holds the file to it.

use std::fmt::Write as _;

use crate::dicom::sop_class::STORAGE_SOP_CLASSES;
use crate::dicom::transfer_syntax::TRANSFER_SYNTAXES;
use crate::dicom::{ATTRIBUTES, Level, SEQUENCES};
use crate::dicomweb;
use crate::dimse;

const STATEMENT: &str = include_str!("../../CONFORMANCE.md");

/// A table stands between these lines in the text.
const BEGIN: &str = "<!-- from the code: ";
const END: &str = "<!-- end -->";

type Made = fn() -> String;

/// Name in the text, and what makes it.
const TABLES: &[(&str, Made)] = &[
    ("resources", resources),
    ("query/retrieve SOP classes", query_retrieve_classes),
    ("search keys", search_keys),
    ("transfer syntaxes", transfer_syntaxes),
    ("storage SOP classes", sop_classes),
];

/// The whole statement as Markdown.
///
/// # Panics
/// When the text names a table that there is not; a test sees to it that it does not.
#[must_use]
pub fn statement() -> String {
    let mut text = String::with_capacity(STATEMENT.len());
    let mut is_inside = false;
    for line in STATEMENT.lines() {
        if line == END {
            is_inside = false;
        }
        if is_inside {
            continue;
        }
        text.push_str(line);
        text.push('\n');
        if let Some(name) = line
            .strip_prefix(BEGIN)
            .and_then(|l| l.strip_suffix(" -->"))
        {
            let (_, make) = TABLES
                .iter()
                .find(|(known, _)| *known == name)
                .expect("the text names the tables of this file");
            text.push_str(&make());
            is_inside = true;
        }
    }
    text
}

fn level(level: Level) -> &'static str {
    match level {
        Level::Patient => "patient",
        Level::Study => "study",
        Level::Series => "series",
        Level::Instance => "instance",
    }
}

fn resources() -> String {
    let mut table =
        String::from("| resource | method | takes | gives | success |\n|---|---|---|---|---|\n");
    let list = |media: &[&str]| media.join(", ");
    for row in dicomweb::resources() {
        let statuses: Vec<String> = row.statuses.iter().map(u16::to_string).collect();
        let _ = writeln!(
            table,
            "| {} | {} | {} | {} | {} |",
            row.path,
            row.method,
            list(row.takes),
            list(row.gives),
            statuses.join(", ")
        );
    }
    table
}

fn query_retrieve_classes() -> String {
    let mut table = String::from("| UID | name |\n|---|---|\n");
    for (uid, name) in dimse::query_retrieve_classes() {
        let _ = writeln!(table, "| {uid} | {name} |");
    }
    table
}

fn search_keys() -> String {
    let mut table =
        String::from("| attribute | tag | VR | level | in every answer |\n|---|---|---|---|---|\n");
    let told = |is_default| if is_default { "yes" } else { "" };
    for row in ATTRIBUTES {
        let _ = writeln!(
            table,
            "| {} | {} | {} | {} | {} |",
            row.keyword,
            row.tag,
            row.vr.to_string(),
            level(row.level),
            told(row.is_default)
        );
    }
    for row in SEQUENCES {
        let _ = writeln!(
            table,
            "| {} | {} | SQ | {} | {} |",
            row.keyword,
            row.tag,
            level(row.level),
            told(row.is_default)
        );
        for (tag, keyword, vr) in row.items {
            let _ = writeln!(table, "| >{keyword} | {tag} | {vr} | | |");
        }
    }
    table
}

fn transfer_syntaxes() -> String {
    let mut table = String::from("| UID | name | media type of a frame |\n|---|---|---|\n");
    for row in TRANSFER_SYNTAXES {
        let _ = writeln!(table, "| {} | {} | {} |", row.uid, row.name, row.media_type);
    }
    table
}

fn sop_classes() -> String {
    let mut table = String::from("| UID | name |\n|---|---|\n");
    for row in STORAGE_SOP_CLASSES {
        let _ = writeln!(table, "| {} | {} |", row.uid, row.name);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statement_is_what_the_code_does() {
        let made = statement();
        let wrong = made
            .lines()
            .zip(STATEMENT.lines())
            .find(|(made, file)| made != file);
        assert_eq!(
            wrong, None,
            "CONFORMANCE.md is out of date: overread conformance > CONFORMANCE.md"
        );
        assert_eq!(made.len(), STATEMENT.len());
        for (name, _) in TABLES {
            assert!(STATEMENT.contains(&format!("{BEGIN}{name} -->")), "{name}");
        }
    }
}
