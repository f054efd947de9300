//! The content tree (PS3.3 §C.17.3) read depth first out of prepared metadata, one pass an item, without
//! recursion.

use crate::dicom::json::prepared::{items, members};
use crate::dicom::report::Line;
use crate::dicom::report::leaf::{code, first_text, measured, person, plain_text, referenced};
use crate::dicom::text_form;

/// The deepest content item shown; prepared metadata nests no deeper than ingest allows.
const DEPTH_MAX: usize = 128;

/// The members of a content item that say something to a reader.
#[derive(Default)]
struct Item<'a> {
    relationship: String,
    value_type: String,
    concept: String,
    content: Option<&'a [u8]>,
    target: String,
    values: Vec<(&'a [u8], &'a [u8])>,
}

/// The concept of the root, and its content.
pub(super) fn lay_out(metadata: &[u8]) -> (String, Vec<Line>) {
    let root = read(metadata);
    let mut lines = Vec::new();
    let mut open: Vec<std::vec::IntoIter<&[u8]>> = vec![children(&root)];
    while let Some(level) = open.last_mut() {
        let Some(object) = level.next() else {
            open.pop();
            continue;
        };
        let item = read(object);
        lines.push(line(&item, open.len() - 1));
        if open.len() < DEPTH_MAX {
            open.push(children(&item));
        }
    }
    (root.concept, lines)
}

fn children<'a>(item: &Item<'a>) -> std::vec::IntoIter<&'a [u8]> {
    let content = item.content.and_then(items);
    let children: Vec<_> = content.into_iter().flatten().collect();
    children.into_iter()
}

fn read(object: &[u8]) -> Item<'_> {
    let mut item = Item::default();
    for (tag, member) in members(object) {
        match tag {
            b"0040A010" => item.relationship = first_text(member),
            b"0040A040" => item.value_type = first_text(member),
            b"0040A043" => item.concept = code(member),
            b"0040A730" => item.content = Some(member),
            b"0040DB73" => item.target = numbers(member),
            b"0040A120" | b"0040A121" | b"0040A122" | b"0040A123" | b"0040A124" | b"0040A130"
            | b"0040A160" | b"0040A168" | b"0040A300" | b"0040A301" | b"00081199" | b"00700023" => {
                item.values.push((tag, member));
            }
            _ => {}
        }
    }
    item
}

fn line(item: &Item<'_>, depth: usize) -> Line {
    let is_heading = item.value_type == "CONTAINER";
    let of = |wanted: &[u8]| {
        let found = item.values.iter().find(|(tag, _)| *tag == wanted);
        found.map_or(&b""[..], |(_, member)| member)
    };
    let value = match item.value_type.as_str() {
        "TEXT" => plain_text(of(b"0040A160")),
        "CODE" => code(of(b"0040A168")),
        "NUM" => {
            let value = measured(of(b"0040A300"));
            if value.is_empty() {
                code(of(b"0040A301"))
            } else {
                value
            }
        }
        "PNAME" => person(of(b"0040A123")),
        "DATE" => text_form::date(&first_text(of(b"0040A121"))),
        "TIME" => text_form::time(&first_text(of(b"0040A122"))),
        "DATETIME" => text_form::date_time(&first_text(of(b"0040A120"))),
        "UIDREF" => first_text(of(b"0040A124")),
        "IMAGE" | "COMPOSITE" | "WAVEFORM" => referenced(of(b"00081199")),
        "SCOORD" | "SCOORD3D" => named("Region", &first_text(of(b"00700023"))),
        "TCOORD" => named("Time range", &first_text(of(b"0040A130"))),
        // An item that stands elsewhere in the tree (PS3.3 §C.17.3.2.5).
        "" if !item.target.is_empty() => format!("see item {}", item.target),
        _ => String::new(),
    };
    Line {
        depth,
        is_heading,
        is_aside: matches!(
            item.relationship.as_str(),
            "HAS CONCEPT MOD" | "HAS OBS CONTEXT" | "HAS ACQ CONTEXT" | "HAS PROPERTIES"
        ),
        concept: item.concept.clone(),
        value,
    }
}

fn named(what: &str, kind: &str) -> String {
    if kind.is_empty() {
        what.to_owned()
    } else {
        format!("{what} ({kind})")
    }
}

fn numbers(member: &[u8]) -> String {
    super::leaf::values(member)
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(".")
}
