//! Structured reports and key object selections (PS3.3 §A.35, §C.17.3) as people read them: the
//! content tree of prepared metadata, laid out as lines. [`html`] and [`text`] write them.

mod content;
mod leaf;
mod write;

use dicom_core::Tag;

use crate::dicom::json::top_level_member;

pub use write::{html, text};

const CONTENT_SEQUENCE: Tag = Tag(0x0040, 0xA730);
const VALUE_TYPE: Tag = Tag(0x0040, 0xA040);

/// What a report says of itself, and its content, top down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The concept of the root, or a word for it.
    pub title: String,
    /// Patient, dates, who answers for it: label and value, only what is there.
    pub facts: Vec<(&'static str, String)>,
    /// The content tree, depth first.
    pub lines: Vec<Line>,
}

/// One content item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// How deep it stands, from 0.
    pub depth: usize,
    /// A container: its concept is a heading.
    pub is_heading: bool,
    /// It says more of the item it stands under (HAS CONCEPT MOD, HAS OBS CONTEXT, HAS ACQ CONTEXT, HAS PROPERTIES).
    pub is_aside: bool,
    /// Its concept name; empty when it has none.
    pub concept: String,
    /// Its value in words; empty for containers.
    pub value: String,
}

/// Whether an instance is one that [`Report::of_metadata`] can lay out.
#[must_use]
pub fn is_report(metadata: &[u8]) -> bool {
    top_level_member(metadata, VALUE_TYPE).is_some()
        || top_level_member(metadata, CONTENT_SEQUENCE).is_some()
}

impl Report {
    /// Lays out prepared metadata (as [`json::Builder`](crate::dicom::json::Builder) writes it).
    /// `None` when it holds no content tree.
    #[must_use]
    pub fn of_metadata(metadata: &[u8]) -> Option<Self> {
        if !is_report(metadata) {
            return None;
        }
        let (title, lines) = content::lay_out(metadata);
        Some(Self {
            title: if title.is_empty() {
                "Structured report".to_owned()
            } else {
                title
            },
            facts: leaf::facts(metadata),
            lines,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A report as the Builder writes it: a container, a text that would be markup, a measurement with
    /// a modifier, an image.
    const METADATA: &[u8] = br#"{"00080023":{"vr":"DA","Value":["20260131"]},"00100010":{"vr":"PN","Value":[{"Alphabetic":"Doe^Jane^^Dr"}]},"0040A040":{"vr":"CS","Value":["CONTAINER"]},"0040A043":{"vr":"SQ","Value":[{"00080104":{"vr":"LO","Value":["Radiology Report"]}}]},"0040A491":{"vr":"CS","Value":["COMPLETE"]},"0040A730":{"vr":"SQ","Value":[{"0040A010":{"vr":"CS","Value":["CONTAINS"]},"0040A040":{"vr":"CS","Value":["CONTAINER"]},"0040A043":{"vr":"SQ","Value":[{"00080104":{"vr":"LO","Value":["Findings"]}}]},"0040A730":{"vr":"SQ","Value":[{"0040A010":{"vr":"CS","Value":["CONTAINS"]},"0040A040":{"vr":"CS","Value":["TEXT"]},"0040A043":{"vr":"SQ","Value":[{"00080104":{"vr":"LO","Value":["Finding"]}}]},"0040A160":{"vr":"UT","Value":["<script>alert(1)</script>\r\nsecond \"line\""]}},{"0040A010":{"vr":"CS","Value":["CONTAINS"]},"0040A040":{"vr":"CS","Value":["NUM"]},"0040A043":{"vr":"SQ","Value":[{"00080104":{"vr":"LO","Value":["Length"]}}]},"0040A300":{"vr":"SQ","Value":[{"004008EA":{"vr":"SQ","Value":[{"00080100":{"vr":"SH","Value":["mm"]},"00080104":{"vr":"LO","Value":["millimeter"]}}]},"0040A30A":{"vr":"DS","Value":[12.5]}}]},"0040A730":{"vr":"SQ","Value":[{"0040A010":{"vr":"CS","Value":["HAS CONCEPT MOD"]},"0040A040":{"vr":"CS","Value":["CODE"]},"0040A043":{"vr":"SQ","Value":[{"00080104":{"vr":"LO","Value":["Laterality"]}}]},"0040A168":{"vr":"SQ","Value":[{"00080104":{"vr":"LO","Value":["Left"]}}]}}]}}]}},{"0040A010":{"vr":"CS","Value":["CONTAINS"]},"0040A040":{"vr":"CS","Value":["IMAGE"]},"00081199":{"vr":"SQ","Value":[{"00081150":{"vr":"UI","Value":["1.2.840.10008.5.1.4.1.1.2"]},"00081155":{"vr":"UI","Value":["1.2.3"]}}]}}]}}"#;

    #[test]
    fn the_content_tree_becomes_lines() {
        let report = Report::of_metadata(METADATA).unwrap();
        assert_eq!(report.title, "Radiology Report");
        assert!(report.facts.contains(&("Patient", "Doe, Jane".to_owned())));
        assert!(report.facts.contains(&("Date", "2026-01-31".to_owned())));
        let lines: Vec<_> = report
            .lines
            .iter()
            .map(|l| (l.depth, l.is_heading, l.is_aside, &*l.concept, &*l.value))
            .collect();
        assert_eq!(
            lines,
            [
                (0, true, false, "Findings", ""),
                (
                    1,
                    false,
                    false,
                    "Finding",
                    "<script>alert(1)</script>\nsecond \"line\""
                ),
                (1, false, false, "Length", "12.5 mm"),
                (2, false, true, "Laterality", "Left"),
                (0, false, false, "", "CT Image Storage 1.2.3"),
            ]
        );
    }

    #[test]
    fn markup_in_values_stays_text() {
        let report = Report::of_metadata(METADATA).unwrap();
        let page = html(&report);
        assert!(!page.contains("<script") && page.contains("&lt;script&gt;alert(1)"));
        assert!(text(&report).contains("    Length: 12.5 mm\n"));
    }

    #[test]
    fn what_is_cut_or_no_report_does_no_harm() {
        assert_eq!(Report::of_metadata(b"{}"), None);
        assert_eq!(
            Report::of_metadata(br#"{"00080060":{"vr":"CS","Value":["CT"]}}"#),
            None
        );
        for cut in 0..METADATA.len() {
            let _ = Report::of_metadata(&METADATA[..cut]);
        }
    }
}
