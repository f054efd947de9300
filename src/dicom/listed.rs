//! All attributes of an instance as lines of a list, for people who look something up: what the prepared metadata (DICOM
//! JSON, PS3.18 Annex F) holds, nested as it is nested, long values cut, and only what a word is found in.

use dicom_core::Tag;
use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry};
use dicom_dictionary_std::StandardDataDictionary;
use serde_json::{Map, Value};

/// So much is shown of a value. Characters.
const SHOWN_MAX: usize = 200;
/// Lines that are given; all are counted.
const LINES_MAX: usize = 2_000;
/// The deepest nesting that is followed: below it the number of items is said. Each level calls itself.
const DEPTH_MAX: usize = 16;

/// The list.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// The lines in order.
    pub lines: Vec<Line>,
    /// How many there would be without a bound.
    pub total: usize,
}

/// An attribute, or the beginning of an item of a sequence.
#[derive(Debug, PartialEq, Eq)]
pub struct Line {
    /// How many sequences it stands in.
    pub depth: usize,
    /// `(0010,0010)`; empty for an item.
    pub tag: String,
    /// The keyword of PS3.6; of a private attribute its creator, when it names one.
    pub name: String,
    /// The value representation.
    pub vr: String,
    /// What it says.
    pub value: Shown,
}

/// What is shown of a value.
#[derive(Debug, PartialEq, Eq)]
pub enum Shown {
    /// No value.
    Empty,
    /// Its text, several values joined by a backslash; how many characters it has, when it is cut.
    Text(String, Option<usize>),
    /// Inline binary of so many bytes.
    Bytes(usize),
    /// It lies elsewhere, below this address.
    Bulk(String),
    /// A sequence of so many items; they follow.
    Items(usize),
    /// A sequence of so many items, too deep to be followed.
    Deep(usize),
    /// An item begins; its number from 1.
    Item(usize),
}

/// The attributes of an instance of which one side of a line says `word`, whatever its case, with the sequences and items that
/// they stand in; of a sequence that says it, all it holds. All of them without a word. `None` when `metadata` is no DICOM
/// JSON or nested deeper than can be read.
#[must_use]
pub fn listed(metadata: &[u8], word: &str) -> Option<Listed> {
    let Ok(Value::Object(dataset)) = serde_json::from_slice(metadata) else {
        return None;
    };
    let mut list = List {
        word: word.trim().to_lowercase(),
        ancestors: Vec::new(),
        given: 0,
        listed: Listed::default(),
    };
    list.dataset(&dataset, 0, list.word.is_empty());
    Some(list.listed)
}

struct List {
    word: String,
    /// Sequences and items around what is looked at, outermost first.
    ancestors: Vec<Line>,
    /// How many of the ancestors are on the list.
    given: usize,
    listed: Listed,
}

impl List {
    fn dataset(&mut self, dataset: &Map<String, Value>, depth: usize, is_found: bool) {
        for (digits, attribute) in dataset {
            let name = name(digits, dataset);
            let vr = attribute.get("vr").and_then(Value::as_str).unwrap_or("");
            let line = |value| Line {
                depth,
                tag: bracketed(digits),
                name: name.clone(),
                vr: vr.to_owned(),
                value,
            };
            let values = attribute.get("Value").and_then(Value::as_array);
            if let ("SQ", Some(items)) = (vr, values) {
                let is_found = is_found || self.says(digits, &name, vr, "");
                self.sequence(items, depth, is_found, line);
                continue;
            }
            let (value, text) = shown(attribute);
            if is_found || self.says(digits, &name, vr, &text) {
                self.give(line(value));
            }
        }
    }

    fn sequence(
        &mut self,
        items: &[Value],
        depth: usize,
        is_found: bool,
        line: impl Fn(Shown) -> Line,
    ) {
        if depth >= DEPTH_MAX {
            if is_found {
                self.give(line(Shown::Deep(items.len())));
            }
            return;
        }
        self.enter(line(Shown::Items(items.len())), is_found);
        for (place, item) in items.iter().enumerate() {
            self.enter(
                Line {
                    depth: depth + 1,
                    tag: String::new(),
                    name: String::new(),
                    vr: String::new(),
                    value: Shown::Item(place + 1),
                },
                is_found,
            );
            if let Value::Object(item) = item {
                self.dataset(item, depth + 1, is_found);
            }
            self.leave();
        }
        self.leave();
    }

    fn enter(&mut self, line: Line, is_found: bool) {
        self.ancestors.push(line);
        if is_found {
            self.give_ancestors();
        }
    }

    fn leave(&mut self) {
        self.ancestors.pop();
        self.given = self.given.min(self.ancestors.len());
    }

    fn give_ancestors(&mut self) {
        for line in &self.ancestors[self.given..] {
            self.listed.total += 1;
            if self.listed.lines.len() < LINES_MAX {
                self.listed.lines.push(Line {
                    depth: line.depth,
                    tag: line.tag.clone(),
                    name: line.name.clone(),
                    vr: line.vr.clone(),
                    value: match line.value {
                        Shown::Item(number) => Shown::Item(number),
                        Shown::Items(count) => Shown::Items(count),
                        _ => Shown::Empty,
                    },
                });
            }
        }
        self.given = self.ancestors.len();
    }

    fn give(&mut self, line: Line) {
        self.give_ancestors();
        self.listed.total += 1;
        if self.listed.lines.len() < LINES_MAX {
            self.listed.lines.push(line);
        }
    }

    fn says(&self, digits: &str, name: &str, vr: &str, text: &str) -> bool {
        let has = |side: &str| side.to_lowercase().contains(&self.word);
        has(digits) || has(&bracketed(digits)) || has(name) || has(vr) || has(text)
    }
}

/// `00100010` as `(0010,0010)`.
fn bracketed(digits: &str) -> String {
    match digits.split_at_checked(4) {
        Some((group, element)) => format!("({group},{element})"),
        None => digits.to_owned(),
    }
}

/// The keyword of a tag, or who made it up: the private creator of its block in the same data set (PS3.5 §7.8.1).
fn name(digits: &str, dataset: &Map<String, Value>) -> String {
    let Ok(number) = u32::from_str_radix(digits, 16) else {
        return String::new();
    };
    let (group, element) = ((number >> 16) as u16, number as u16);
    if group.is_multiple_of(2) {
        let entry = StandardDataDictionary.by_tag(Tag(group, element));
        return entry.map_or_else(String::new, |entry| entry.alias().to_owned());
    }
    match element {
        0x0010..=0x00FF => "private creator".to_owned(),
        _ => {
            let creator = dataset.get(&format!("{group:04X}{:04X}", element >> 8));
            let (_, creator) = creator.map(shown).unwrap_or((Shown::Empty, String::new()));
            match creator.is_empty() {
                true => "private".to_owned(),
                false => format!("private: {}", cut(creator).0),
            }
        }
    }
}

/// What is shown of an attribute, and its whole text.
fn shown(attribute: &Value) -> (Shown, String) {
    if let Some(uri) = attribute.get("BulkDataURI").and_then(Value::as_str) {
        return (Shown::Bulk(uri.to_owned()), "bulk data".to_owned());
    }
    if let Some(text) = attribute.get("InlineBinary").and_then(Value::as_str) {
        let padding = text.bytes().rev().take_while(|byte| *byte == b'=').count();
        let bytes = (text.len() / 4 * 3).saturating_sub(padding);
        return (Shown::Bytes(bytes), String::new());
    }
    let values = attribute.get("Value").and_then(Value::as_array);
    let Some(values) = values.filter(|values| !values.is_empty()) else {
        return (Shown::Empty, String::new());
    };
    let texts: Vec<String> = values.iter().map(text).collect();
    let text = texts.join("\\");
    let (short, characters) = cut(text.clone());
    (Shown::Text(short, characters), text)
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Object(name) => {
            let group = |key| name.get(key).and_then(Value::as_str).unwrap_or_default();
            let groups = ["Alphabetic", "Ideographic", "Phonetic"].map(group);
            groups.join("=").trim_end_matches('=').to_owned()
        }
        other => other.to_string(),
    }
}

fn cut(text: String) -> (String, Option<usize>) {
    match text.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => (text[..end].to_owned(), Some(text.chars().count())),
        None => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const METADATA: &str = r#"{
        "00080060":{"vr":"CS","Value":["CT"]},
        "00081140":{"vr":"SQ","Value":[{"00081150":{"vr":"UI","Value":["1.2"]}},{"00081155":{"vr":"UI","Value":["1.3"]}}]},
        "00091001":{"vr":"LO","Value":["theirs"]},"00090010":{"vr":"LO","Value":["ACME"]},
        "00100010":{"vr":"PN","Value":[{"Alphabetic":"Yamada^Tarou","Ideographic":"山田^太郎"}]},
        "00100020":{"vr":"LO"},
        "00280010":{"vr":"US","Value":[512]},
        "00282000":{"vr":"OB","InlineBinary":"AAECAw=="},
        "7FE00010":{"vr":"OW","BulkDataURI":"x/bulkdata/7FE00010"}}"#;

    fn told(word: &str) -> Vec<String> {
        let listed = listed(METADATA.as_bytes(), word).unwrap();
        assert_eq!(listed.total, listed.lines.len());
        let lines = listed.lines.iter();
        lines
            .map(|line| {
                let indent = ">".repeat(line.depth);
                format!("{indent}{}{} {:?}", line.tag, line.name, line.value)
            })
            .collect()
    }

    #[test]
    fn everything_is_listed_as_it_is_nested() {
        assert_eq!(
            told(""),
            [
                "(0008,0060)Modality Text(\"CT\", None)",
                "(0008,1140)ReferencedImageSequence Items(2)",
                "> Item(1)",
                ">(0008,1150)ReferencedSOPClassUID Text(\"1.2\", None)",
                "> Item(2)",
                ">(0008,1155)ReferencedSOPInstanceUID Text(\"1.3\", None)",
                "(0009,0010)private creator Text(\"ACME\", None)",
                "(0009,1001)private: ACME Text(\"theirs\", None)",
                "(0010,0010)PatientName Text(\"Yamada^Tarou=山田^太郎\", None)",
                "(0010,0020)PatientID Empty",
                "(0028,0010)Rows Text(\"512\", None)",
                "(0028,2000)ICCProfile Bytes(4)",
                "(7FE0,0010)PixelData Bulk(\"x/bulkdata/7FE00010\")",
            ]
        );
    }

    #[test]
    fn what_is_found_stands_where_it_was() {
        assert_eq!(
            told("1.3"),
            [
                "(0008,1140)ReferencedImageSequence Items(2)",
                "> Item(2)",
                ">(0008,1155)ReferencedSOPInstanceUID Text(\"1.3\", None)",
            ]
        );
        assert_eq!(told("referencedimage").len(), 5);
        for (word, count) in [
            ("TAROU", 1),
            ("0010,00", 2),
            ("00280010", 1),
            ("us", 1),
            ("nothing", 0),
        ] {
            assert_eq!(told(word).len(), count, "{word}");
        }
    }

    #[test]
    fn long_deep_and_many_are_bounded() {
        let long = format!(
            r#"{{"00104000":{{"vr":"LT","Value":["{}"]}}}}"#,
            "é".repeat(1000)
        );
        let found = listed(long.as_bytes(), "").unwrap();
        assert_eq!(
            found.lines[0].value,
            Shown::Text("é".repeat(SHOWN_MAX), Some(1000))
        );

        let nested = |depth| {
            let mut text = String::from("{}");
            for _ in 0..depth {
                text = format!(r#"{{"00081140":{{"vr":"SQ","Value":[{text}]}}}}"#);
            }
            listed(text.as_bytes(), "")
        };
        let deep = nested(DEPTH_MAX + 3).unwrap();
        assert_eq!(deep.lines.last().unwrap().value, Shown::Deep(1));
        assert!(nested(1000).is_none());

        let many: Vec<String> = (0..LINES_MAX + 5)
            .map(|n| format!(r#""{:08X}":{{"vr":"LO"}}"#, 0x0009_1000 + n))
            .collect();
        let found = listed(format!("{{{}}}", many.join(",")).as_bytes(), "").unwrap();
        assert_eq!((found.lines.len(), found.total), (LINES_MAX, LINES_MAX + 5));
        assert!(listed(b"[]", "").is_none() && listed(b"{", "").is_none());
    }
}
